// Doing what next_step says. Each step can be cut off anywhere and be run again: names are deterministic, create means create or
// adopt, and a write that decides carries the resourceVersion it was decided on.
#ifndef RECONCILER_STEPS_H
#define RECONCILER_STEPS_H

#include "reconciler/adopt.h"
#include "reconciler/manager.h"
#include "reconciler/round.h"

// Make the Namespace of an entry; with a slot its first round is claimed by that. *out is the replica, *found says
// whether it was there already; ERROR_EXISTS when a namesake is foreign: it is left alone.
MUST_CHECK int step_provision(struct manager *op, const struct entry *entry, bool has_slot, struct replica *out,
	enum adopt_result *found, struct error *err);

// Do one step for the replica in hand. view->replica is brought up to date. *again is true when the next step may follow at once.
MUST_CHECK int step_do(
	struct manager *op, struct round_view *view, const struct step *step, struct memo *memo, bool *again, struct error *err);

// Delete the Namespace, with the uid and resourceVersion that were seen.
MUST_CHECK int step_teardown(struct manager *op, const struct replica *replica, struct error *err);

// Write desired-snapshot-* as the entry says, when no other write has done so.
MUST_CHECK int step_note_desired(struct manager *op, const struct entry *entry, struct replica *replica, struct error *err);

// Bring the certificate of the database and what people are told of it up to date, when that is due (reconciler/server_tls.h).
// The view has an entry.
MUST_CHECK int step_keep_tls(struct manager *op, struct round_view *view, struct error *err);

#endif
