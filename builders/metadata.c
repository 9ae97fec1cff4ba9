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
