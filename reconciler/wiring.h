// Puts the operator together from its settings: clients, counters, pools. Nothing else in the program makes them.
#ifndef RECONCILER_WIRING_H
#define RECONCILER_WIRING_H

#include "reconciler/operator.h"

// What a program needs beside the API server.
enum wiring_need {
	WIRING_CLUSTER,	 // status: the API server alone
	WIRING_WORKLIST, // plan: and the worklist
	WIRING_ALL,	 // run: and checks, Events
};

struct wiring;

// Connects to nothing yet but the API server where a client certificate lies in a Secret. settings is borrowed.
MUST_CHECK int wiring_open(const struct settings *settings, enum wiring_need need, struct wiring **out, struct error *err);
struct operator *wiring_operator(struct wiring *wiring);
void wiring_close(struct wiring *wiring);
DEFINE_AUTO(struct wiring, wiring, wiring_close)

// Called from the threads of the checks when one is done; run.c wakes its loop by it. Set before checks begin.
void wiring_on_check_done(struct wiring *wiring, void (*on_done)(void *arg), void *arg);

#endif
