// One replica, brought forward: looks at what is known of it, decides, does one step after another until there is nothing to do
// now.
//
// For the workers: any thread, but one a replica (reconciler/queue.h). All errors end here: they are logged, and the replica
// comes again after a back-off.
#ifndef RECONCILER_RECONCILE_H
#define RECONCILER_RECONCILE_H

#include "reconciler/manager.h"

void reconcile(struct manager *op, const char *namespace);

// Replicas that may take a slot are put into the queue.
void reconcile_offer_slots(struct manager *op);

#endif
