// A replica as the cluster shows it: its Namespace, decoded.
//
// The annotations are the operator's only memory (design.md "Identity"). A replica owns its strings; one thread at a time.
#ifndef RECONCILER_REPLICA_H
#define RECONCILER_REPLICA_H

#include "base/json.h"
#include "base/settings_flavour.h"
#include "builders/names.h"
#include "canopy/entry.h"
#include "reconciler/authority.h"
#include <stdbool.h>
#include <stdint.h>

#define REPLICA_STATES(X)               \
	X(STATE_PENDING, "pending")     \
	X(STATE_RESTORING, "restoring") \
	X(STATE_STARTING, "starting")   \
	X(STATE_ACTIVE, "active")       \
	X(STATE_FAILED, "failed")       \
	X(STATE_TERMINATING, "terminating")

enum replica_state {
#define X(name, text) name,
	REPLICA_STATES(X)
#undef X
};
#define STATE_COUNT (STATE_TERMINATING + 1)

#define REPLICA_UID_SIZE 64
#define REPLICA_VERSION_SIZE 32
#define REPLICA_NEVER INT64_C(-1) // for times that have not come

struct replica {
	char namespace[ENTRY_NAMESPACE_SIZE];
	char uid[REPLICA_UID_SIZE];
	char resource_version[REPLICA_VERSION_SIZE];
	int64_t created_at_ms;
	bool is_deleting; // has a deletionTimestamp

	// Labels; empty when missing or no UUID.
	bool is_managed;
	char replica_id[UUID_TEXT_SIZE];
	char group_id[UUID_TEXT_SIZE];
	char server_id[UUID_TEXT_SIZE];
	char *type; // the annotation's whole text, else the label
	char *intent;

	enum replica_state state;
	char *desired_snapshot_id, *desired_snapshot_at; // NULL when missing, as all below
	char round[ROUND_KEY_SIZE];
	char *round_snapshot_id;
	int attempt;
	char run_id[UUID_TEXT_SIZE];
	int64_t round_started_at_ms;
	char active_round[ROUND_KEY_SIZE];
	char *last_restored_snapshot_id;
	int64_t last_restored_at_ms;
	char *postgres_version;
	int failures;
	int64_t failed_at_ms;
	char *last_error;
	char *traffic;
	char *report;
	int64_t reported_at_ms;
	char reported_round[ROUND_KEY_SIZE];
	char *report_error;
	char *verdict;          // "<grade> <stage>"
	char *backup;           // of the round in hand or the last one, as its engine named it
	int64_t expected_bytes; // of the round in hand, by the one before; 0: not known
	bool force_refresh;
	bool teardown_hold;
	char credentials_refused[ROUND_KEY_SIZE];
	int64_t volume_bytes; // 0: as the settings say
	int64_t tls_renew_at_ms;
	char flavour[FLAVOUR_NAME_SIZE]; // "": none has come to its database yet
	char tls_ca[AUTHORITY_ID_SIZE]; // "": people are told to come without TLS
};

extern const char *const replica_state_text[STATE_COUNT];

// Decode a Namespace, whole or metadata only. What it needs must be there (name, uid, resourceVersion); annotations that cannot
// be read (a person's typing) count as missing. On failure *out is untouched.
MUST_CHECK int replica_from_json(const json_t *namespace, struct replica *out, struct error *err);
void replica_fini(struct replica *replica);

static inline void auto_replica(struct replica *replica)
{
	replica_fini(replica);
}

// The Namespace is that of this entry: managed, and (replica_id, server_id) agree.
bool replica_is_of(const struct replica *replica, const struct entry *entry);

// A round is being restored or started.
bool replica_has_round_in_hand(const struct replica *replica);

// Its intent is `once`, its healthy report has landed: it leaves the worklist by design.
bool replica_is_proven_once(const struct replica *replica);

#endif
