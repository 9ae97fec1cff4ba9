// Counters and gauges of the operator in Prometheus' text format 0.0.4. docs/metrics.md names them.
//
// One table (metrics_table.h) says name, type, help, labels and the label values that exist at zero from the start. Any thread.
#ifndef RECONCILER_METRICS_H
#define RECONCILER_METRICS_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"

enum metric {
	METRIC_TICK_DURATION_SECONDS,    // histogram
	METRIC_WORKLIST_ENTRIES,         // gauge
	METRIC_REPLICAS,                 // gauge {state,intent}; intent "other": none that is advertised
	METRIC_ACTIONS_TOTAL,            // counter {action,reason}
	METRIC_ROUNDS_TOTAL,             // counter {outcome}
	METRIC_RESTORE_DURATION_SECONDS, // histogram
	METRIC_REPORTS_TOTAL,            // counter {result}: landed, refused, failed, given_up
	METRIC_REPORTS_OWED,             // gauge
	METRIC_TEARDOWNS_HELD,           // gauge
	METRIC_CANOPY_REQUESTS_TOTAL,    // counter {endpoint,code}
	METRIC_KUBE_REQUESTS_TOTAL,      // counter {verb,resource,code}
	METRIC_LAST_TICK_TIMESTAMP_SECONDS,
	METRIC_REPLICAS_UNAVAILABLE,
	METRIC_LEADER,
	METRIC_BUILD_INFO, // {version}
	METRIC_FOREIGN_NAMESPACES,
	METRIC_WORKLIST_UNREADABLE_ENTRIES,
	METRIC_WORKLIST_LAST_SUCCESS_TIMESTAMP_SECONDS,
	METRIC_LAST_VERIFIED_TIMESTAMP_SECONDS,   // gauge {intent}
	METRIC_OLDEST_VERIFIED_TIMESTAMP_SECONDS, // gauge {intent}
	METRIC_REPLICAS_GIVEN_UP,
	METRIC_REPLICAS_CREDENTIALS_REFUSED,
	METRIC_REPLICAS_ERRING,
	METRIC_RESTORED_BYTES_TOTAL,
	METRIC_WATCH_FOLLOWING, // gauge {resource}
	// As controller-runtime and client-go call them.
	METRIC_RECONCILE_TOTAL, // counter {result}
	METRIC_RECONCILE_ERRORS_TOTAL,
	METRIC_RECONCILE_TIME_SECONDS, // histogram
	METRIC_MAX_CONCURRENT_RECONCILES,
	METRIC_ACTIVE_WORKERS,
	METRIC_WORKQUEUE_DEPTH,
	METRIC_WORKQUEUE_ADDS_TOTAL,
	METRIC_WORKQUEUE_RETRIES_TOTAL,
	METRIC_WORKQUEUE_QUEUE_DURATION_SECONDS, // histogram
	METRIC_WORKQUEUE_WORK_DURATION_SECONDS,  // histogram
	METRIC_WORKQUEUE_UNFINISHED_WORK_SECONDS,
	METRIC_WORKQUEUE_LONGEST_RUNNING_PROCESSOR_SECONDS,
	METRIC_REST_CLIENT_REQUESTS_TOTAL, // counter {code,method,host}
	METRIC_LEADER_ELECTION_MASTER_STATUS,
	METRIC_LEADER_ELECTION_SLOWPATH_TOTAL,
	METRIC_COUNT
};

struct metrics;

MUST_CHECK int metrics_new(struct metrics **out, struct error *err);
void metrics_free(struct metrics *metrics);
DEFINE_AUTO(struct metrics, metrics, metrics_free)

// Label values in the order of the metric's labels; NULL where it has fewer. A series that cannot be kept for want of memory is
// dropped: metrics never fail the caller.
void metrics_add(struct metrics *metrics, enum metric id, const char *l1, const char *l2, const char *l3, double value);
void metrics_set(struct metrics *metrics, enum metric id, const char *l1, const char *l2, const char *l3, double value);
void metrics_observe(struct metrics *metrics, enum metric id, double value); // histograms

// Counters and gauges: set, unless that would be lower. For a counter that somebody else keeps, and for the latest of several
// times.
void metrics_raise(struct metrics *metrics, enum metric id, const char *l1, const char *l2, const char *l3, double value);

// Called at the beginning of each metrics_render(), from its thread, to set what is looked up and not counted. To be set before
// anybody renders.
void metrics_on_render(struct metrics *metrics, void (*collect)(void *arg), void *arg);

// Set every series of a gauge to zero before it is counted anew.
void metrics_zero(struct metrics *metrics, enum metric id);

// The whole page, process_* included.
MUST_CHECK int metrics_render(struct metrics *metrics, struct buf *out, struct error *err);

#endif
