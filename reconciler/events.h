// Events (events.k8s.io/v1) for people: what happened to a replica. Repeats are merged into one series. docs/events.md names
// them.
//
// Never a fault of the caller: an Event that cannot be sent is logged and forgotten. Any thread. The API server keeps Events
// about an hour; they are no storage.
#ifndef RECONCILER_EVENTS_H
#define RECONCILER_EVENTS_H

#include "base/cleanup.h"
#include "base/error.h"
#include "k8s/client.h"
#include <stdbool.h>

struct events;

// k8s is borrowed. instance names this operator's pod in each Event.
MUST_CHECK int events_new(struct k8s_client *k8s, const char *instance, struct events **out, struct error *err);
void events_free(struct events *events);
DEFINE_AUTO(struct events, events, events_free)

// What an Event regards: an object of the replica's Namespace, or with kind NULL the Namespace itself.
struct event_regarding {
	const char *api_version, *kind, *name, *uid;
};

// reason and action are UpperCamelCase and constant; note is for people and is cut to 1024 bytes.
void events_send(struct events *events, const char *namespace, const struct event_regarding *regarding, bool is_warning,
	const char *reason, const char *action, const char *note);

// The same at a given time, for tests.
void events_send_at(struct events *events, const char *namespace, const struct event_regarding *regarding, bool is_warning,
	const char *reason, const char *action, const char *note, int64_t now_ms);

#endif
