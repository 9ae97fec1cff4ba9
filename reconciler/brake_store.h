// The brake's memory in the cluster: a hold survives the operator (design.md "The brake"), neither beginning anew nor being
// forgotten.
//
// A ConfigMap in OPERATOR_NAMESPACE, written in each pass of a hold and at its end. It says how long the hold has lasted, not
// since when: a monotonic moment means nothing to the next process, and a wall clock that jumps must not end a hold. The time
// during which no operator runs does not count.
#ifndef RECONCILER_BRAKE_STORE_H
#define RECONCILER_BRAKE_STORE_H

#include "k8s/client.h"
#include "reconciler/brake.h"

#define BRAKE_CONFIG_MAP "understory-brake"

// What was saved last; zero when nothing was. One that cannot be read (a person's typing) counts as nothing, with a warning: a
// hold begins anew.
MUST_CHECK int brake_load(
	struct k8s_client *k8s, const char *namespace, int64_t now_mono_ms, struct brake *out, struct error *err);

MUST_CHECK int brake_save(
	struct k8s_client *k8s, const char *namespace, const struct brake *brake, int64_t now_mono_ms, struct error *err);

#endif
