// One pass: the worklist, the cluster, what is to be done, and doing it on the workers.
#ifndef RECONCILER_TICK_H
#define RECONCILER_TICK_H

#include "reconciler/manager.h"
#include "reconciler/workers.h"

// *soon is true when something was done or is under way that another pass should look at without waiting for the interval. A failure
// of one replica is logged, counted and backed off, and is no failure of the pass.
MUST_CHECK int tick(struct manager *op, struct workers *workers, bool *soon, struct error *err);

#endif
