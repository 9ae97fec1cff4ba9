// `understory run`: the main loop, from the first registration to SIGTERM.
#ifndef RECONCILER_RUN_H
#define RECONCILER_RUN_H

#include "base/error.h"
#include "base/settings.h"

// Blocks until SIGTERM or SIGINT; 0 for an orderly end. Call before any thread is started: signals are blocked here for all of
// them.
MUST_CHECK int run(const struct settings *settings, struct error *err);

#endif
