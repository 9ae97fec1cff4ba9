// What the broker asks of the cluster and of canopy: whose token it is, which round its Namespace has in hand, keys, and where
// counts go.
//
// The callbacks of canopy/broker.h, on the threads of its requests. They use clients of their own that write whether this
// operator leads or not: the broker serves on every operator.
#ifndef RECONCILER_ACCESS_H
#define RECONCILER_ACCESS_H

#include "canopy/broker.h"
#include "reconciler/manager.h"

// k8s is the client that may write without leading. All borrowed.
struct access {
	const struct settings *settings;
	struct k8s_client *k8s;
	struct canopy_client *canopy; // NULL with WORKLIST_FILE
	struct notes *notes;          // told of progress
};

struct broker_callbacks access_callbacks(struct access *access);

// The keys that an entry of WORKLIST_FILE names: a Secret of OPERATOR_NAMESPACE. Which it has to hold, the entry's storage and
// engine say; others stay empty.
MUST_CHECK int access_keys_from_secret(struct k8s_client *k8s, const struct settings *settings, const struct entry *entry,
	struct canopy_credentials *out, struct error *err);

#endif
