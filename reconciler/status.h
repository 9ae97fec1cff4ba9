// `understory status`: the replicas as the cluster shows them. Nothing is written; canopy is not asked.
#ifndef RECONCILER_STATUS_H
#define RECONCILER_STATUS_H

#include "base/error.h"
#include "base/settings.h"
#include "reconciler/output.h"

MUST_CHECK int status(const struct settings *settings, enum output_format format, struct error *err);

#endif
