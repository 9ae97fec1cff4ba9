// One pass of the running operator: fetch, decide, put what is due into the queue, tell people.
#ifndef RECONCILER_TICK_H
#define RECONCILER_TICK_H

#include "reconciler/manager.h"

// Fails when the worklist could not be fetched or nothing could be decided; what is in hand goes on all the same.
MUST_CHECK int tick(struct manager *op, struct error *err);

// Bring the metrics of the replicas up to date when something has changed since.
void tick_count(struct manager *op);

#endif
