// One pass of the running operator: fetch, decide, put what is due into the queue, tell people.
#ifndef RECONCILER_TICK_H
#define RECONCILER_TICK_H

#include "reconciler/manager.h"

// Fails when the worklist could not be fetched or nothing could be decided; what is in hand goes on all the same.
MUST_CHECK int tick(struct manager *op, struct error *err);

// Say that the loop came round, by the metric of that name: for a pass that ended before it began.
void tick_note_end(struct manager *op);

// Bring the metrics of the replicas up to date when something has changed since.
void tick_count(struct manager *op);

#endif
