// Puts the operator together from its settings: clients, counters, pools. Nothing else in the program makes them.
#ifndef RECONCILER_WIRING_H
#define RECONCILER_WIRING_H

#include "reconciler/manager.h"

// What a program needs beside the API server.
enum wiring_need {
	WIRING_CLUSTER,  // status: the API server alone
	WIRING_WORKLIST, // plan: and the worklist
	WIRING_ALL,      // run: and checks, Events, the Lease
};

struct wiring;

// Connects to nothing yet but the API server where a client certificate lies in a Secret. settings is borrowed.
MUST_CHECK int wiring_open(const struct settings *settings, enum wiring_need need, struct wiring **out, struct error *err);
struct manager *wiring_manager(struct wiring *wiring);
void wiring_close(struct wiring *wiring);
DEFINE_AUTO(struct wiring, wiring, wiring_close)

// Called from other threads when the main loop has something to do: the Lease came or went, a list of the cluster is through. Set
// before the lease is started.
void wiring_on_wake(struct wiring *wiring, void (*on_wake)(void *arg), void *arg);

// Begin to watch the cluster, whether this operator leads or not: one that takes over knows how things stand.
MUST_CHECK int wiring_watch(struct wiring *wiring, struct error *err);

// Say by an Event that this operator leads now, as all do that elect a leader.
void wiring_announce(struct wiring *wiring);

// Make or renew the CA and give it to the workers; with CREDENTIALS=proxy start the broker or give it the new certificate, and
// learn what the API server can. To be called by the main loop between passes; cheap when there is nothing to do but one GET.
MUST_CHECK int wiring_keep_certificates(struct wiring *wiring, int64_t now_ms, struct error *err);

#endif
