// The kinds of the Kubernetes API that are used, and where each lives.
#ifndef K8S_RESOURCE_H
#define K8S_RESOURCE_H

#include <stdbool.h>

struct k8s_resource {
	const char *prefix; // "/api/v1", "/apis/batch/v1"
	const char *plural;
	const char *api_version;
	const char *kind;
	bool namespaced;
};

extern const struct k8s_resource K8S_NAMESPACE, K8S_POD, K8S_SECRET, K8S_SERVICE, K8S_SERVICE_ACCOUNT, K8S_CONFIG_MAP, K8S_PVC,
	K8S_JOB, K8S_DEPLOYMENT, K8S_ROLE_BINDING, K8S_NETWORK_POLICY, K8S_LEASE, K8S_EVENT, K8S_TOKEN_REVIEW;

#endif
