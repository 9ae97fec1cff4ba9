// What went over the wire, and telling the operator about it.
//
// Counted with respect to S3: raw is every byte on the connections (TLS and heads included), payload the content of bodies. The
// counters may be read and added to by any thread. A reporter posts them while the restore runs and once more at its end, from a
// thread of its own, so that neither S3 nor the broker waits for it.
#ifndef CANOPY_PROXY_STATS_H
#define CANOPY_PROXY_STATS_H

#include "base/cleanup.h"
#include "base/error.h"
#include "canopy/proxy/config.h"
#include <stdatomic.h>
#include <stddef.h>

struct stats {
	atomic_llong sent_raw_bytes;
	atomic_llong sent_payload_bytes; // stays 0: no request has a body
	atomic_llong received_raw_bytes;
	atomic_llong received_payload_bytes;
	atomic_llong requests; // what follows is for the log line at the end
	atomic_llong refused;
	atomic_llong slow_downs; // 503 of S3 that was passed on
};

static inline void stats_add(atomic_llong *counter, size_t n)
{
	(void)atomic_fetch_add_explicit(counter, (long long)n, memory_order_relaxed);
}

// {"sent_raw_bytes": ...}; with is_progress also run_id (unless NULL) and type. The caller frees.
MUST_CHECK int stats_print(
	const struct stats *stats, const struct config *config, bool is_progress, char **out, struct error *err);

struct stats_reporter;

// config and stats outlive the reporter. Without PGRO_PROGRESS_CALLBACK_URL nothing is posted while it runs.
MUST_CHECK int stats_reporter_new(
	const struct config *config, const struct stats *stats, struct stats_reporter **out, struct error *err);

// Stop, post the totals (within config's totals_ms; tried again until then) and free. The totals' failure is logged.
void stats_reporter_free(struct stats_reporter *reporter);
DEFINE_AUTO(struct stats_reporter, stats_reporter, stats_reporter_free)

#endif
