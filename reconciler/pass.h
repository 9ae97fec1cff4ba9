// A pass in two halves: what is to be done (`plan` stops there), and doing it (tick.c).
//
// Preparing reads the worklist and the cluster and decides; it writes nothing anywhere.
#ifndef RECONCILER_PASS_H
#define RECONCILER_PASS_H

#include "reconciler/cluster.h"
#include "reconciler/diff.h"
#include "reconciler/manager.h"
#include "reconciler/round.h"

// One replica in a pass. Borrows from the pass and the operator.
struct work {
	struct action action;
	const struct entry *entry; // NULL when it has left the worklist
	struct replica *replica;   // NULL when its Namespace is still to be made
	struct memo *memo;
	bool has_slot;
	bool has_changed; // a step was done that another pass may build on
};

struct pass {
	struct cluster *cluster;
	struct diff diff;
	struct work *works;
	size_t work_count;
	size_t foreign;
	size_t held;	 // teardowns held by the brake
	bool is_current; // the worklist is the service's answer of this pass; else the last one known: no provision, claim or teardown
};

// The worklist as it stands now, into op->worklist. On failure op->worklist stays what it was.
MUST_CHECK int pass_fetch(struct manager *op, struct error *err);

// Read the cluster and decide. is_current says whether op->worklist was fetched for this pass. The caller calls pass_fini() in any case.
MUST_CHECK int pass_prepare(
	struct manager *op, bool is_current, int64_t now_ms, int64_t now_mono_ms, struct pass *out, struct error *err);
void pass_fini(struct pass *pass);

static inline void auto_pass(struct pass *pass)
{
	pass_fini(pass);
}

// What next_step sees of one work. result is borrowed and filled when its check is done; its details are the caller's.
MUST_CHECK int pass_view(const struct manager *op, const struct pass *pass, const struct work *work, int64_t now_ms,
	struct check_result *result, struct round_view *out, struct error *err);

#endif
