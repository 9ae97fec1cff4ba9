// The table behind metrics.h: what each family of series is called, what it says, and which series exist from the start.
#ifndef RECONCILER_METRICS_TABLE_H
#define RECONCILER_METRICS_TABLE_H

#include "reconciler/metrics.h"

#define METRIC_LABELS_MAX 3
#define METRIC_BUCKETS_MAX 12
#define METRIC_PRESETS_MAX 8

enum metric_type { COUNTER, GAUGE, HISTOGRAM };

struct metric_family {
	enum metric_type type;
	const char *name;
	const char *help;
	const char *fixed; // labels that each series has, as they are printed: a="b",c="d"; NULL: none
	const char *labels[METRIC_LABELS_MAX];
	// Label values that exist at zero from the start: every combination of the alternatives ("a|b|c") of a row.
	const char *presets[METRIC_PRESETS_MAX][METRIC_LABELS_MAX];
	double buckets[METRIC_BUCKETS_MAX]; // upper bounds, ascending; 0 ends them; +Inf is implied
};

extern const struct metric_family metric_families[METRIC_COUNT];

#endif
