// `understory why NAMESPACE`: one replica in sentences, as the cluster shows it: what it is at and since when, what it waits for,
// whose problem its last error is, what comes next and when. Nothing is written; canopy is not asked.
#ifndef RECONCILER_WHY_H
#define RECONCILER_WHY_H

#include "base/error.h"
#include "base/settings.h"
#include "reconciler/output.h"

// ERROR_NOT_FOUND: no such Namespace, or none of ours.
MUST_CHECK int why(const struct settings *settings, const struct output *output, struct error *err);

#endif
