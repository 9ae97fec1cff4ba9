// A fixed crew of threads that share out the pieces of one job: workers_run() is a parallel for.
#ifndef RECONCILER_WORKERS_H
#define RECONCILER_WORKERS_H

#include "base/cleanup.h"
#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>

#define WORKERS_COUNT 8 // design.md "The way of the data": so many replicas are worked on at once

struct workers;

MUST_CHECK int workers_new(struct workers **out, struct error *err);
void workers_free(struct workers *workers);
DEFINE_AUTO(struct workers, workers, workers_free)

// Call piece(arg, i) for every i below count, each once, from WORKERS_COUNT threads; returns when all are done. One caller at a time.
void workers_run(struct workers *workers, size_t count, void (*piece)(void *arg, size_t i), void *arg);

#endif
