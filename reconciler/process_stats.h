// What the kernel knows of this process, for the process_* metrics. Linux: read from /proc. Any thread.
#ifndef RECONCILER_PROCESS_STATS_H
#define RECONCILER_PROCESS_STATS_H

#include "base/error.h"
#include <stdint.h>

struct process_stats {
	double cpu_seconds;        // user and system, since the start
	double start_time_seconds; // Unix time
	int64_t resident_bytes;
	int64_t virtual_bytes;
	int64_t threads;
	int64_t open_fds;
	int64_t max_fds; // the soft limit; -1: none
};

MUST_CHECK int process_stats_read(struct process_stats *out, struct error *err);

#endif
