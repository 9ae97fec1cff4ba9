// The operator's CA in its Secret of OPERATOR_NAMESPACE: read, made when it is missing, renewed when it is due.
//
// Several operators share it: whoever comes first makes it, every write carries the resourceVersion it was decided on. One
// thread.
#ifndef RECONCILER_CA_SECRET_H
#define RECONCILER_CA_SECRET_H

#include "canopy/ca.h"
#include "k8s/client.h"

#define CA_SECRET_NAME "understory-ca"

// Bring *state up to date with the Secret, and the Secret with the time. *changed is true when *state is another than before.
MUST_CHECK int ca_secret_sync(struct k8s_client *k8s, const char *namespace, const char *const *names, int64_t now_ms,
	struct ca_state *state, bool *changed, struct error *err);

#endif
