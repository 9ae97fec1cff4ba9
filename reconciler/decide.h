// What is to be done for one replica now: the action of diff and, where it goes on step by step, the step of next_step. Pure but
// for a look at the checks.
#ifndef RECONCILER_DECIDE_H
#define RECONCILER_DECIDE_H

#include "reconciler/diff.h"
#include "reconciler/manager.h"
#include "reconciler/round.h"

// One replica, from a look at the cache or from its record. Borrows.
struct subject {
	const struct entry *entry;     // NULL: not wanted
	struct replica *replica;       // NULL: its Namespace is not there
	const struct scene *scene;     // NULL without a replica
	struct action decided;         // by the last pass: without its word nothing is torn down
	const struct pod_words *words; // of the round in hand, where they have been read
	int64_t starting_ms;           // round_view
};

// Of a look, which outlives it.
struct subject decide_subject(struct look *look);

struct decision {
	struct action action;
	bool is_worked_on;           // else it is left alone
	struct round_view view;      // with a replica that is worked on
	struct check_result checked; // the view borrows it
	struct step step;            // STEP_WAIT where none is to be taken
};

// An entry whose params cannot be read is ERROR_INVALID. The caller calls decision_fini() in any case.
MUST_CHECK int decide(const struct manager *op, const struct subject *subject, bool has_slot, int64_t now_ms,
	struct decision *out, struct error *err);
void decision_fini(struct decision *decision);

// As decided, but with a slot for its restore.
void decide_with_slot(struct decision *decision);

// Since when a replica waits for its next round, for the order in which slots are given (wall clock).
int64_t decide_waits_since(const struct replica *replica);

// A worker has something to do or to say: at once, or as soon as it has a slot.
bool decision_is_due(const struct decision *decision);

// desired-snapshot-* does not say what the entry says.
bool decide_is_note_due(const struct entry *entry, const struct replica *replica);

#endif
