// The Lease object of a leader election: what is read from it, and the objects that claim and release it.
// https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/lease-v1/
//
// The fields mean what client-go's tools/leaderelection makes of them, so that other electors can take part. Pure; any thread.
#ifndef K8S_LEASE_RECORD_H
#define K8S_LEASE_RECORD_H

#include "base/error.h"
#include "base/json.h"
#include <stdbool.h>
#include <stdint.h>

struct lease_claim {
	const char *namespace;
	const char *name;
	const char *identity;
	int64_t duration_ms; // whole seconds
	int64_t wall_ms;     // for the times in the record, which nobody decides by
};

// "" when nobody holds it. Borrowed.
const char *lease_record_holder(const json_t *lease);

// How long its holder wants others to wait; otherwise when the record does not say.
int64_t lease_record_duration_ms(const json_t *lease, int64_t otherwise);

int64_t lease_record_transitions(const json_t *lease);

// Whether the records are the same, whatever has become of the objects' metadata.
bool lease_record_is_same(const json_t *a, const json_t *b);

// The object that makes us the holder, or keeps us there: previous, which stays as it is, with our record; NULL: there is none
// yet. With the resourceVersion of previous, so that it fails when somebody was faster.
MUST_CHECK int lease_record_claim(const json_t *previous, const struct lease_claim *claim, json_t **out, struct error *err);

// previous without a holder and with a duration of 1 s: the next one need not wait.
MUST_CHECK int lease_record_release(const json_t *previous, int64_t wall_ms, json_t **out, struct error *err);

#endif
