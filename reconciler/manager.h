// What the parts of the running operator share: clients, settings, counters, and the little that it remembers between passes.
//
// Made by main, borrowed by all others. What the cluster does not hold (back-off of errors, the brake, results of checks) is lost
// with the process, and may be: it only delays.
#ifndef RECONCILER_MANAGER_H
#define RECONCILER_MANAGER_H

#include "base/settings.h"
#include "canopy/client.h"
#include "k8s/client.h"
#include "k8s/lease.h"
#include "reconciler/authority.h"
#include "reconciler/brake.h"
#include "reconciler/cache.h"
#include "reconciler/checks.h"
#include "reconciler/events.h"
#include "reconciler/memo.h"
#include "reconciler/metrics.h"
#include "reconciler/note.h"
#include "reconciler/pulse.h"
#include "reconciler/queue.h"
#include "reconciler/slots.h"
#include <pthread.h>
#include <stdatomic.h>

struct manager {
	const struct settings *settings;
	const char *s3_ca_pem;        // content of settings->s3_ca_file; NULL without one
	struct authority *authority;  // has its CA before the first pass; NULL but for `run`
	bool has_native_sidecars;     // the API server is 1.29 or newer
	struct k8s_client *k8s;       // writes only while this operator leads
	struct lease *lease;          // NULL with LEADER_ELECTION=off
	struct canopy_client *canopy; // NULL with WORKLIST_FILE
	struct metrics *metrics;
	struct checks *checks;
	struct events *events;
	struct cache *cache; // the replicas, wanted and seen
	struct queue *queue; // those that somebody should look at
	struct slots *slots;
	struct memos *memos;
	struct pulse pulse;        // of the passes, likewise
	struct notes *notes;       // what was heard of replicas, for the status page
	struct brake brake;        // the pass's
	struct brake saved_brake;  // as the cluster has it
	bool is_brake_loaded;      // from the cluster, since this operator leads
	struct worklist *worklist; // the pass's: the one that is in force; owned; NULL before the first
	struct worklist *fetched;  // the pass's: one that was read since and is not in force yet; owned
	atomic_bool is_current;    // the last pass could fetch the worklist: else nothing begins and nothing ends
	atomic_bool has_changed;   // a replica has been brought forward since the metrics were counted
	bool is_registered;        // the intents, with canopy, since this operator leads
	atomic_bool stopping;      // SIGTERM: no new step begins
	atomic_bool cancelling;    // requests in flight end: the grace after SIGTERM is over, or the Lease is lost
	atomic_llong beat_mono_ms; // the main loop was here
	atomic_bool hears_events;  // the cluster is known and the first pass has begun: what changes from now on is looked at
	atomic_bool is_synced;     // a pass has gone through: ready
};

// Whether this operator may act. Asked before each write, to the API server (by the client itself) and to canopy.
static inline bool manager_leads(const struct manager *op)
{
	return op->lease == NULL || lease_is_held(op->lease);
}

#endif
