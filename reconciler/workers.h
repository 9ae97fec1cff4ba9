// The eight threads that bring replicas forward: each takes one from the queue at a time (design.md "The way of the data").
#ifndef RECONCILER_WORKERS_H
#define RECONCILER_WORKERS_H

#include "reconciler/manager.h"

#define WORKERS_COUNT 8

struct workers;

MUST_CHECK int workers_start(struct manager *op, struct workers **out, struct error *err);

// Closes the queue and waits for what is in hand.
void workers_stop(struct workers *workers);
DEFINE_AUTO(struct workers, workers, workers_stop)

#endif
