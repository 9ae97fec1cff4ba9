// `understory plan`: what a pass would do now. Nothing is written.
#ifndef RECONCILER_PLAN_H
#define RECONCILER_PLAN_H

#include "base/error.h"
#include "base/settings.h"
#include "reconciler/output.h"

// *something is true when a pass would do anything.
MUST_CHECK int plan(const struct settings *settings, const struct output *output, bool *something, struct error *err);

#endif
