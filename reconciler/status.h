// `understory status`: the replicas as the cluster shows them. Nothing is written; canopy is not asked.
#ifndef RECONCILER_STATUS_H
#define RECONCILER_STATUS_H

#include "base/error.h"
#include "base/settings.h"
#include "k8s/client.h"
#include "reconciler/output.h"
#include "reconciler/replica.h"

MUST_CHECK int status(const struct settings *settings, const struct output *output, struct error *err);

// Why a Namespace stays Terminating, in the words of its conditions (remaining objects, finalizers, a broken API group). The
// caller frees *out; NULL when it says nothing.
MUST_CHECK int status_why_terminating(struct k8s_client *k8s, const struct replica *replica, char **out, struct error *err);

#endif
