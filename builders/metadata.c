#include "builders/metadata.h"

#define APP_NAME "postgres-replica"
#define APP_MANAGED_BY "understory"

// One key a line.
// clang-format off
json_t *metadata_labels(const struct build *b, const char *component, const char *round_key)
{
	const struct entry *entry = b->entry;
	char type[LABEL_VALUE_SIZE];
	char intent[LABEL_VALUE_SIZE];
	(void)label_value(entry->type, type);
	(void)label_value(entry->intent, intent);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s*}",
		LABEL_MANAGED_BY, LABEL_MANAGED_BY_VALUE,
		LABEL_DECLARATION_ID, entry->replica_id,
		LABEL_GROUP, entry->group_id,
		LABEL_SERVER, entry->server_id,
		LABEL_TYPE, type,
		LABEL_INTENT, intent,
		"app.kubernetes.io/name", APP_NAME,
		LABEL_INSTANCE, entry->namespace,
		LABEL_COMPONENT, component,
		"app.kubernetes.io/managed-by", APP_MANAGED_BY,
		LABEL_ROUND, round_key);
}
// clang-format on

json_t *metadata_new(const struct build *b, const char *name, const char *component, const char *round_key)
{
	return json_pack("{s:s, s:s, s:o}", "name", name, "namespace", b->entry->namespace, "labels",
		metadata_labels(b, component, round_key));
}

json_t *metadata_selector(const struct build *b, const char *component, const char *round_key)
{
	return json_pack(
		"{s:s, s:s, s:s*}", LABEL_INSTANCE, b->entry->namespace, LABEL_COMPONENT, component, LABEL_ROUND, round_key);
}

// No blockOwnerDeletion: it would need a right to the finalizers of PVCs where OwnerReferencesPermissionEnforcement is on.
int metadata_own_by_volume(json_t *object, const struct build_round *round, struct error *err)
{
	char claim[OBJECT_NAME_SIZE];
	name_pvc(round->key, claim);
	if (round->volume_uid == NULL || round->volume_uid[0] == '\0')
		return error_set(err, ERROR_INTERNAL, "the uid of %s is not known", claim);
	json_t *owners = json_pack("[{s:s, s:s, s:s, s:s}]", "apiVersion", "v1", "kind", "PersistentVolumeClaim", "name", claim,
		"uid", round->volume_uid);
	return json_object_set_new(json_object_get(object, "metadata"), "ownerReferences", owners) == 0
		       ? 0
		       : error_no_memory(err, "owner");
}
