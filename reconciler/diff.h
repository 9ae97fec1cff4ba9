// diff: what the worklist wants against what the cluster shows. Pure: design.md "diff: what to do", row by row.
#ifndef RECONCILER_DIFF_H
#define RECONCILER_DIFF_H

#include "base/cleanup.h"
#include "canopy/worklist.h"
#include "reconciler/replica.h"
#include <stddef.h>

enum action_kind { ACTION_NONE, ACTION_PROVISION, ACTION_REFRESH, ACTION_TEARDOWN };

// Why; also why not, where people will ask.
#define ACTION_REASONS(X)                                                                                                        \
	X(REASON_IN_SYNC, "in_sync")                                                                                             \
	X(REASON_NEW, "new")                                                                                                     \
	X(REASON_FORCED, "forced")                                                                                               \
	X(REASON_NEWER_SNAPSHOT, "newer_snapshot")                                                                               \
	X(REASON_FRESHNESS_EXPIRED, "freshness_expired")                                                                         \
	X(REASON_RETRY, "retry")                                                                                                 \
	X(REASON_GONE, "gone")                                                                                                   \
	X(REASON_FOREIGN, "foreign")				 /* the Namespace is not ours: never touched */                  \
	X(REASON_BEING_DELETED, "being_deleted")		 /* waits until it is gone */                                     \
	X(REASON_UNKNOWN_INTENT, "unknown_intent")		 /* not advertised: the Namespace is left alone */                \
	X(REASON_DUPLICATE, "duplicate")			 /* a second entry with the same name: reported */                \
	X(REASON_UNREADABLE_ENTRIES, "unreadable_entries")	 /* no teardown in this pass */                                  \
	X(REASON_TEARDOWN_HOLD, "teardown_hold")		 /* a person's annotation */                                     \
	X(REASON_BRAKE, "brake")				 /* held: too many at once */

enum action_reason {
#define X(name, text) name,
	ACTION_REASONS(X)
#undef X
};
extern const char *const action_reason_text[];
extern const char *const action_kind_text[];

// Borrows from the worklist and the replicas.
struct action {
	enum action_kind kind;
	enum action_reason reason;
	const struct entry *entry; // NULL: not in the worklist
	struct replica *replica;   // NULL: no Namespace
};

struct diff {
	struct action *actions; // one for every entry and for every Namespace without one, ordered by Namespace
	size_t count;
};

// Pairs entries and replicas by (replica_id, server_id): a declaration that was renamed keeps the Namespace it has, and its entry's
// namespace is set to that one. replicas all carry our managed-by label and are sorted by Namespace.
MUST_CHECK int diff_compute(struct worklist *worklist, struct replica *replicas, size_t replica_count,
	const struct settings *settings, int64_t now_ms, struct diff *out, struct error *err);
void diff_fini(struct diff *diff);

static inline void auto_diff(struct diff *diff)
{
	diff_fini(diff);
}

// May a new round begin for this pair now? ACTION_REFRESH with its reason, else ACTION_NONE. Also for the first round of a replica
// that waits (REASON_NEW).
struct action diff_next_round(const struct entry *entry, struct replica *replica, const struct settings *settings, int64_t now_ms);

#endif
