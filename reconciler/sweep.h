// The broom: deletes the objects of rounds that are over. Deployment and Job first, then the volume they hold, then the Secret.
#ifndef RECONCILER_SWEEP_H
#define RECONCILER_SWEEP_H

#include "reconciler/manager.h"
#include "reconciler/round.h"

// The rounds that round_is_over() names.
MUST_CHECK int sweep_over(struct manager *op, const struct round_view *view, struct error *err);

// Every round: a `once` replica that is proven keeps its Namespace alone.
MUST_CHECK int sweep_all(struct manager *op, const struct round_view *view, struct error *err);

#endif
