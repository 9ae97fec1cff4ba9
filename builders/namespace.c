// The Namespace of a replica, and whose it is: the operator's rights in it and the account of its pods.
#include "builders/azure.h"
#include "builders/metadata.h"

#define POD_SECURITY "pod-security.kubernetes.io/"

// The whole text beside a label that could not hold it.
static int annotate_sanitised(json_t *annotations, const char *key, const char *text)
{
	char ignored[LABEL_VALUE_SIZE];
	return label_value(text, ignored) ? 0 : json_object_set_new(annotations, key, json_string(text));
}

static json_t *namespace_annotations(const struct entry *entry)
{
	AUTO(json)
	json_t *annotations = json_pack("{s:s, s:s*, s:s*}", ANN_RESTORE_STATE, "pending", ANN_DESIRED_SNAPSHOT_ID,
		entry->snapshot_id, ANN_DESIRED_SNAPSHOT_AT, entry->snapshot_at);
	if (annotations == NULL || annotate_sanitised(annotations, LABEL_TYPE, entry->type) != 0 ||
		annotate_sanitised(annotations, LABEL_INTENT, entry->intent) != 0)
		return NULL;
	return TAKE_PTR(annotations);
}

static json_t *namespace_labels(const struct build *b)
{
	AUTO(json) json_t *labels = metadata_labels(b, COMPONENT_REPLICA, NULL);
	AUTO(json)
	json_t *pod_security = json_pack("{s:s, s:s, s:s}", POD_SECURITY "enforce", "restricted", POD_SECURITY "warn",
		"restricted", POD_SECURITY "audit", "restricted");
	if (labels == NULL || pod_security == NULL || json_object_update(labels, pod_security) != 0)
		return NULL;
	return TAKE_PTR(labels);
}

// One key a line.
// clang-format off
int build_namespace(const struct build *b, json_t **out, struct error *err)
{
	json_begin();
	json_t *made = json_pack("{s:s, s:s, s:{s:s, s:o, s:o}}",
		"apiVersion", "v1",
		"kind", "Namespace",
		"metadata",
			"name", b->entry->namespace,
			"labels", namespace_labels(b),
			"annotations", namespace_annotations(b->entry));
	return json_made_whole(made, "Namespace", out, err);
}

int build_role_binding(const struct build *b, json_t **out, struct error *err)
{
	json_begin();
	json_t *made = json_pack("{s:s, s:s, s:o, s:{s:s, s:s, s:s}, s:[{s:s, s:s, s:s}]}",
		"apiVersion", "rbac.authorization.k8s.io/v1",
		"kind", "RoleBinding",
		"metadata", metadata_new(b, NAME_ROLE_BINDING, COMPONENT_REPLICA, NULL),
		"roleRef",
			"apiGroup", "rbac.authorization.k8s.io",
			"kind", "ClusterRole",
			"name", NAME_REPLICA_CLUSTER_ROLE,
		"subjects",
			"kind", "ServiceAccount",
			"name", NAME_OPERATOR_SERVICE_ACCOUNT,
			"namespace", b->settings->operator_namespace);
	return json_made_whole(made, "RoleBinding " NAME_ROLE_BINDING, out, err);
}

static json_t *account_metadata(const struct build *b)
{
	AUTO(json) json_t *metadata = metadata_new(b, NAME_RESTORE_SERVICE_ACCOUNT, COMPONENT_RESTORE, NULL);
	if (azure_uses_identity(b) && json_object_set_new(metadata, "annotations",
					      json_pack("{s:s}", AZURE_ANN_CLIENT_ID, b->entry->client_id)) != 0)
		return NULL;
	return TAKE_PTR(metadata);
}

int build_service_account(const struct build *b, json_t **out, struct error *err)
{
	json_begin();
	json_t *made = json_pack("{s:s, s:s, s:o, s:b}",
		"apiVersion", "v1",
		"kind", "ServiceAccount",
		"metadata", account_metadata(b),
		"automountServiceAccountToken", 0);
	return json_made_whole(made, "ServiceAccount " NAME_RESTORE_SERVICE_ACCOUNT, out, err);
}
// clang-format on
