// One element of the worklist: one replica that should exist.
//
// An entry is read from JSON (canopy) or YAML (WORKLIST_FILE) into plain strings and not changed afterwards. It owns all it
// points to; entry_fini() releases it. Shapes move (design.md, Contracts): freshness_seconds is an older name for
// overdue_after_seconds, machine_id a newer one for server_id; either is read, both when equal. Unknown fields are ignored.
#ifndef CANOPY_ENTRY_H
#define CANOPY_ENTRY_H

#include "base/error.h"
#include "base/json.h"
#include "base/pack.h"
#include "base/settings.h"
#include "base/uuid.h"
#include <stdbool.h>
#include <stdint.h>

#define ENTRY_NAMESPACE_SIZE 64 // a DNS-1123 label and a NUL
#define ENTRY_BYTES_SIZE 24     // the digits of an int64_t and a NUL

struct entry {
	char replica_id[UUID_TEXT_SIZE]; // the declaration: many entries of a group-wide one share it
	char group_id[UUID_TEXT_SIZE];
	char server_id[UUID_TEXT_SIZE];
	bool has_server_id; // false: the entry said machine_id, and so does its report
	char *type;
	char *intent; // as canopy wrote it
	char *name;
	char *storage; // as the worklist wrote it; see entry_storage()
	char *bucket;
	char *prefix;
	char *region;
	char *snapshot_id;       // NULL: no backup yet
	char *snapshot_at;       // NULL: unknown; RFC 3339
	int64_t overdue_after_s; // -1: no bound
	json_t *params;          // an object; NULL stands for an empty one
	char *engine;            // WORKLIST_FILE only; NULL otherwise
	char *secret;            // WORKLIST_FILE only: the Secret in OPERATOR_NAMESPACE with its credentials
	char *databases;         // WORKLIST_FILE only: lines "FROM<tab>TO", names for databases of dumps; NULL: their own
	// WORKLIST_FILE only, NULL where there is none:
	char *stanza;                         // of pgBackRest's repository
	char *account;                        // the storage account, with storage azure
	char *endpoint;                       // its blob service, where that is none of the public cloud
	char *client_id;                      // of the workload identity that may read it; NULL: a SAS is in the Secret
	char *flavour;                        // canopy says it in params (canopy/intents.h)
	char *passwords;                      // "generated" or "source"; NULL: as the settings say
	char *source_secret;                  // the Secret in OPERATOR_NAMESPACE with a login of the source
	char namespace[ENTRY_NAMESPACE_SIZE]; // not kept in a pack
	int known_intent;                     // enum settings_intent, -1 when we do not advertise it
	// params.memory_request and memory_limit are bytes on the wire; as text they live here, so that intents_resolve() can
	// borrow them. "" when the params do not hold them as a number.
	char memory_request[ENTRY_BYTES_SIZE];
	char memory_limit[ENTRY_BYTES_SIZE];
};

// Read an entry. ERROR_INVALID names the field, the value and what is allowed; *out is then untouched.
MUST_CHECK int entry_from_json(const json_t *object, struct entry *out, struct error *err);
void entry_fini(struct entry *entry);

// As a pack, in which many are kept. An opened entry borrows its strings from the pack and owns its params alone:
// entry_close() releases those. Opening fails only for lack of memory.
MUST_CHECK int entry_pack(const struct entry *entry, struct pack **out, struct error *err);
MUST_CHECK int entry_open(const struct pack *pack, struct entry *out, struct error *err);
void entry_close(struct entry *entry);

// The Namespace of a replica: <slug(name)>-<hex8>, design.md "Identity".
MUST_CHECK int entry_namespace(const char *name, const char replica_id[UUID_TEXT_SIZE], const char server_id[UUID_TEXT_SIZE],
	char out[ENTRY_NAMESPACE_SIZE], struct error *err);

// STORAGE_COUNT: a kind that nobody here knows. An entry with it is whole; its rounds are refused (builders/engines/engine.h).
static inline enum settings_storage entry_storage(const struct entry *entry)
{
	return settings_storage_find(entry->storage);
}

// Same replica: (replica_id, server_id), never replica_id alone.
bool entry_same(const struct entry *a, const struct entry *b);

// First 8 hex of SHA-256 over what the declaration says (not the snapshot): changes when canopy's operators change it. For the
// retry after a refusal.
MUST_CHECK int entry_fingerprint(const struct entry *entry, char out[9], struct error *err);

#endif
