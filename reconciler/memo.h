// What the operator remembers of a replica between two looks and may forget: errors in a row, reports that landed unrecorded.
//
// The table may be used by any thread; a memo belongs to the worker that has its replica in hand, from memos_take() to
// memos_put(). Only those that say something are kept.
#ifndef RECONCILER_MEMO_H
#define RECONCILER_MEMO_H

#include "base/cleanup.h"
#include "base/error.h"
#include "builders/names.h"
#include "canopy/entry.h"
#include <stdbool.h>
#include <stdint.h>

struct memo {
	char namespace[ENTRY_NAMESPACE_SIZE];
	int errors_in_row;
	int64_t next_try_mono_ms;            // 0: at once
	int64_t teardown_since_mono_ms;      // when it first was to go; 0: it is not
	int64_t refused_since_mono_ms;       // when canopy first refused the report that is owed; 0: it has not
	char starting_round[ROUND_KEY_SIZE]; // whose database was first seen to come up at the time below; "": none
	int64_t starting_since_mono_ms;
	char landed_run_id[UUID_TEXT_SIZE];       // canopy took this report, but the cluster does not say so yet
	bool is_foreign;                          // its Namespace is there and is not ours
	bool counts_as_foreign, counts_as_erring; // the table's own
	bool is_volume_bound;                     // it was said that a round waits for the sweep of an older one's volume
	struct memo *next;
};

struct memos;

MUST_CHECK int memos_new(struct memos **out, struct error *err);
void memos_free(struct memos *memos);
DEFINE_AUTO(struct memos, memos, memos_free)

// The memo of a Namespace, made when there is none. NULL only when memory is out.
struct memo *memos_take(struct memos *memos, const char *namespace);
void memos_put(struct memos *memos, struct memo *memo);

// How many were given up on because a namesake is foreign.
size_t memos_foreign(struct memos *memos);

// How many others ended their last try in an error.
size_t memos_erring(struct memos *memos);

// After an error: wait 1 s, 2 s, 4 s ... 60 s with jitter, or what the server asked for. After a success: nothing to wait for.
void memo_failed(struct memo *memo, const struct error *err, int64_t now_mono_ms);
void memo_succeeded(struct memo *memo);

// The database of this round is coming up, NULL: none is. How long this process has seen it do so, from 1 ms on; 0 for none. The
// wall clock cannot say: it may jump, and a database must not be called failed for that.
int64_t memo_starting_ms(struct memo *memo, const char *round, int64_t now_mono_ms);

#endif
