// Entries as packs: the strings as they are, the params as their text.
#include "canopy/entry.h"

#include <string.h>

struct packed {
	struct entry entry;
	char *params; // NULL: {}
};

#define TEXT(member) PACK_FIELD(PACK_TEXT, struct packed, entry.member)
#define STRING(member) PACK_FIELD(PACK_STRING, struct packed, entry.member)
static const struct pack_field fields[] = {
	TEXT(replica_id),
	TEXT(group_id),
	TEXT(server_id),
	PACK_FIELD(PACK_BOOL, struct packed, entry.has_server_id),
	STRING(type),
	STRING(intent),
	STRING(name),
	STRING(storage),
	STRING(bucket),
	STRING(prefix),
	STRING(region),
	STRING(snapshot_id),
	STRING(snapshot_at),
	PACK_FIELD(PACK_INT64, struct packed, entry.overdue_after_s),
	STRING(engine),
	STRING(secret),
	STRING(databases),
	STRING(stanza),
	STRING(account),
	STRING(endpoint),
	STRING(client_id),
	STRING(flavour),
	STRING(passwords),
	STRING(source_secret),
	PACK_FIELD(PACK_INT, struct packed, entry.known_intent),
	TEXT(memory_request),
	TEXT(memory_limit),
	PACK_FIELD(PACK_STRING, struct packed, params),
};
static const struct pack_shape shape = PACK_SHAPE(struct packed, fields);

int entry_pack(const struct entry *entry, struct pack **out, struct error *err)
{
	AUTO_FREE char *params = NULL;
	struct packed packed = {.entry = *entry};
	if (json_object_size(entry->params) > 0) {
		if (json_print(entry->params, &params, err) < 0)
			return -1;
		packed.params = params;
	}
	return pack_make(&shape, &packed, out, err);
}

int entry_open(const struct pack *pack, struct entry *out, struct error *err)
{
	struct packed packed;
	pack_open(&shape, pack, &packed);
	if (packed.params != NULL && json_parse(packed.params, strlen(packed.params), &packed.entry.params, err) < 0)
		return error_wrap(err, "params");
	*out = packed.entry;
	return 0;
}

void entry_close(struct entry *entry)
{
	json_decref(entry->params);
	*entry = (struct entry){.overdue_after_s = -1, .known_intent = -1};
}
