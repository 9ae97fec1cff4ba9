// The gate: each report reaches canopy exactly once. design.md "Exactly once".
//
// A report is owed while the annotation `report` is there. The terminal state and the body are written in one guarded write
// (steps.c); the body is sent as it stands; one guarded write takes it away when it has landed. A crash between
// sending and that write sends the same bytes with the same run_id again.
#ifndef RECONCILER_GATE_H
#define RECONCILER_GATE_H

#include "canopy/entry.h"
#include "reconciler/manager.h"
#include "reconciler/replica.h"

// After a definite refusal, and for a teardown that waits for its report. By the monotonic clock of this process: a wall clock
// that jumps must not lose a report, and after a restart the time begins anew.
#define GATE_GIVE_UP_MS (INT64_C(10) * 60 * 1000)

// Send what replica owes and record that it landed; *replica is brought up to date. Success also when it was given up or when
// nothing is owed. An error means that it is still owed.
MUST_CHECK int gate_send(
	struct manager *op, struct replica *replica, struct memo *memo, int64_t now_ms, int64_t now_mono_ms, struct error *err);

// A replica that leaves the worklist may go: it owes nothing, or what it owes has landed by that very leaving (a healthy report
// of a `once` replica), or is sent now, or could not be sent for GATE_GIVE_UP_MS. An error means not yet.
MUST_CHECK int gate_release(
	struct manager *op, struct replica *replica, struct memo *memo, int64_t now_ms, int64_t now_mono_ms, struct error *err);

#endif
