// diff: what the worklist wants against what the cluster shows. Pure: design.md "diff: what to do", row by row.
#ifndef RECONCILER_DIFF_H
#define RECONCILER_DIFF_H

#include "base/cleanup.h"
#include "canopy/entry.h"
#include "reconciler/replica.h"
#include <stddef.h>
#include <stdint.h>

enum action_kind { ACTION_NONE, ACTION_PROVISION, ACTION_REFRESH, ACTION_TEARDOWN };

// Why; also why not, where people will ask.
#define ACTION_REASONS(X)                                                                                    \
	X(REASON_IN_SYNC, "in_sync")                                                                         \
	X(REASON_NEW, "new")                                                                                 \
	X(REASON_FORCED, "forced")                                                                           \
	X(REASON_NEWER_SNAPSHOT, "newer_snapshot")                                                           \
	X(REASON_FRESHNESS_EXPIRED, "freshness_expired")                                                     \
	X(REASON_RETRY, "retry")                                                                             \
	X(REASON_GONE, "gone")                                                                               \
	X(REASON_FOREIGN, "foreign")                       /* the Namespace is not ours: never touched */    \
	X(REASON_BEING_DELETED, "being_deleted")           /* waits until it is gone */                      \
	X(REASON_UNKNOWN_INTENT, "unknown_intent")         /* not advertised: the Namespace is left alone */ \
	X(REASON_DUPLICATE, "duplicate")                   /* a second entry with the same name: reported */ \
	X(REASON_UNREADABLE_ENTRIES, "unreadable_entries") /* no teardown in this pass */                    \
	X(REASON_TEARDOWN_HOLD, "teardown_hold")           /* a person's annotation */                       \
	X(REASON_BRAKE, "brake")                           /* held: too many at once */

enum action_reason {
#define X(name, text) name,
	ACTION_REASONS(X)
#undef X
};
#define REASON_COUNT (REASON_BRAKE + 1)
extern const char *const action_reason_text[];
extern const char *const action_kind_text[];

// What is to be done for one pair.
struct action {
	enum action_kind kind;
	enum action_reason reason;
};

#define DIFF_NONE SIZE_MAX

// A pair: an entry, a replica, or both; where it has none, DIFF_NONE.
struct diff_row {
	struct action action;
	size_t entry, replica;
};

struct diff {
	struct diff_row *rows; // one for every entry and for every Namespace without one
	size_t count;
};

// Both sides, asked for one by one: neither is held open as a whole. What is opened is borrowed, but for an entry's params
// (entry_close()). Replicas are ordered by Namespace.
struct diff_sides {
	size_t entry_count, replica_count;
	size_t unreadable; // entries that could not be read: nothing is torn down
	int (*open_entry)(const void *arg, size_t i, struct entry *out, struct error *err);
	void (*open_replica)(const void *arg, size_t i, struct replica *out);
	const void *arg;
};

// Pairs entries and replicas by (replica_id, server_id): a declaration that was renamed keeps the Namespace it has.
MUST_CHECK int diff_compute(
	const struct diff_sides *sides, const struct settings *settings, int64_t now_ms, struct diff *out, struct error *err);
void diff_fini(struct diff *diff);

static inline void auto_diff(struct diff *diff)
{
	diff_fini(diff);
}

// One pair alone: what is to be done for an entry (replica NULL: it has no Namespace), and for a replica without one.
struct action diff_entry(
	const struct entry *entry, const struct replica *replica, const struct settings *settings, int64_t now_ms);
struct action diff_replica(const struct replica *replica, bool has_unreadable);

// Wall time from then to now. The clock may have been set back, or another operator's be ahead a little: a moment that lies ahead
// by more than DIFF_SKEW_MS counts as long ago (INT64_MAX), so that what only waits does not wait for a day.
#define DIFF_SKEW_MS (INT64_C(5) * 60 * 1000)
int64_t diff_elapsed_ms(int64_t now_ms, int64_t then_ms);

// Whether a pair is looked at beyond its action: not what is foreign, not advertised, a second of its kind, or on its way out.
bool diff_is_worked_on(const struct action *action);

// After canopy refused credentials, while its declaration stays as it is (design.md "Failure").
#define DIFF_REFUSED_RETRY_MS (INT64_C(6) * 3600 * 1000)

// From when on the snapshot whose round failed may be tried again; INT64_MAX: its tries are used up.
int64_t diff_retry_at_ms(const struct replica *replica, const struct settings *settings);

// May a new round begin for this pair now? ACTION_REFRESH with its reason, else ACTION_NONE. Also for the first round of a
// replica that waits (REASON_NEW).
struct action diff_next_round(
	const struct entry *entry, const struct replica *replica, const struct settings *settings, int64_t now_ms);

#endif
