// health_details of a round's report, but for the verdict itself (canopy/report.h). Pure; docs/health-details.md is its manual,
// and a test compares the two.
#ifndef RECONCILER_DETAILS_H
#define RECONCILER_DETAILS_H

#include "reconciler/round.h"

// What is not known is left out. The caller owns *out.
MUST_CHECK int details_make(const struct round_view *view, json_t **out, struct error *err);

#endif
