#include "k8s/resource.h"

const struct k8s_resource K8S_NAMESPACE = {"/api/v1", "namespaces", "v1", "Namespace", false};
const struct k8s_resource K8S_POD = {"/api/v1", "pods", "v1", "Pod", true};
const struct k8s_resource K8S_SECRET = {"/api/v1", "secrets", "v1", "Secret", true};
const struct k8s_resource K8S_SERVICE = {"/api/v1", "services", "v1", "Service", true};
const struct k8s_resource K8S_SERVICE_ACCOUNT = {"/api/v1", "serviceaccounts", "v1", "ServiceAccount", true};
const struct k8s_resource K8S_CONFIG_MAP = {"/api/v1", "configmaps", "v1", "ConfigMap", true};
const struct k8s_resource K8S_PVC = {"/api/v1", "persistentvolumeclaims", "v1", "PersistentVolumeClaim", true};
const struct k8s_resource K8S_JOB = {"/apis/batch/v1", "jobs", "batch/v1", "Job", true};
const struct k8s_resource K8S_DEPLOYMENT = {"/apis/apps/v1", "deployments", "apps/v1", "Deployment", true};
const struct k8s_resource K8S_ROLE_BINDING = {
	"/apis/rbac.authorization.k8s.io/v1", "rolebindings", "rbac.authorization.k8s.io/v1", "RoleBinding", true};
const struct k8s_resource K8S_NETWORK_POLICY = {
	"/apis/networking.k8s.io/v1", "networkpolicies", "networking.k8s.io/v1", "NetworkPolicy", true};
const struct k8s_resource K8S_LEASE = {"/apis/coordination.k8s.io/v1", "leases", "coordination.k8s.io/v1", "Lease", true};
const struct k8s_resource K8S_EVENT = {"/apis/events.k8s.io/v1", "events", "events.k8s.io/v1", "Event", true};
const struct k8s_resource K8S_TOKEN_REVIEW = {
	"/apis/authentication.k8s.io/v1", "tokenreviews", "authentication.k8s.io/v1", "TokenReview", false};
