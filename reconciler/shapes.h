// How replicas and their workloads are packed (base/pack.h): which members are kept between two looks.
//
// A workload's Namespace is left out, since it is kept beside the pack; opening gives it back.
#ifndef RECONCILER_SHAPES_H
#define RECONCILER_SHAPES_H

#include "base/pack.h"
#include "reconciler/replica.h"
#include "reconciler/workload.h"

extern const struct pack_shape shape_replica, shape_job, shape_deployment, shape_pod, shape_pvc;

// A replica that owns its strings, from one that borrows them.
MUST_CHECK int shape_copy_replica(const struct replica *borrowed, struct replica *out, struct error *err);

#endif
