// A watch: keeps its owner's mirror of one resource up to date, for as long as it runs.
//
// It lists (pages of K8S_PAGE_LIMIT, decoded as they arrive) and then follows the changes, and begins again when it must. Nothing
// is kept here but the place in the stream: what the mirror holds is the owner's.
//
// A thread of its own for each watch: every wait is a blocking call, and an owner that is slow with one resource, or the first
// list of a large one, holds up no other. It costs a stack of a few pages and a connection, which a watch has in any case.
//
// What ends a stream and what follows:
//   the server's time-out (timeoutSeconds, drawn anew each time so that watches do not come back together): goes on from the last
//     resourceVersion, which bookmarks keep fresh, without a list;
//   connection lost, 429, 5xx: goes on from there after a pause; Retry-After is honoured up to K8S_WATCH_RETRY_AFTER_MAX_MS;
//   410 as a status or inside the stream: lists again;
//   a line that is too long, no UTF-8, no JSON, no event, an object without metadata, a callback that failed: what was missed is
//   not
//     known, so it lists again;
//   closed at once and without an event: pauses, and lists again after K8S_WATCH_HASTY_MAX in a row;
//   an event of an unknown type is left out with a warning.
// Pauses grow from 1 s to 30 s and are jittered by half, and begin at 1 s again when a stream has brought something.
//
// Half-open streams. A peer that is gone (host, network, NAT entry) is found by TCP keepalive in HTTP_PEER_TIMEOUT_MS (40 s). A
// peer whose kernel still answers while the API server or a balancer before it says nothing is found by silence, in
// K8S_WATCH_SILENCE_MS: the API server sends each watcher a bookmark a minute (k8s.io/apiserver, cacher.go:
// defaultBookmarkFrequency, looked at every 1 to 1.25 s), so a healthy one is never silent for more than about 62 s; 60 s would
// end healthy streams. Bookmarks are no promise: where a server sends none, a quiet stream is opened anew every 90 s, which costs
// one request and no list. The head of the answer comes at once, and has 30 s.
#ifndef K8S_WATCH_H
#define K8S_WATCH_H

#include "base/error.h"
#include "base/json.h"
#include "k8s/client.h"
#include "k8s/resource.h"
#include <stdbool.h>
#include <stdint.h>

#define K8S_WATCH_LINE_MAX ((size_t)4 << 20) // etcd keeps 1.5 MiB an object by default
#define K8S_WATCH_SILENCE_MS 90000
#define K8S_WATCH_RETRY_AFTER_MAX_MS 300000
#define K8S_WATCH_HASTY_MAX 4

enum k8s_watch_change { K8S_WATCH_ADDED, K8S_WATCH_MODIFIED, K8S_WATCH_DELETED };

// Called from the watch's thread, one at a time. An object is borrowed until the callback returns and has metadata.name and
// metadata.resourceVersion; in a list it lacks apiVersion and kind. A failure (out of memory) makes the watch pause and list
// again.
struct k8s_watch_callbacks {
	void (*on_list_begin)(void *arg); // may come again before the end: what was seen counts from the last one
	int (*on_object)(void *arg, json_t *object, struct error *err);
	int (*on_list_end)(void *arg, struct error *err); // now drop what was not seen since on_list_begin
	// ADDED of what is known and DELETED of what is not are possible after a reconnect; the last state counts.
	int (*on_change)(void *arg, enum k8s_watch_change change, json_t *object, struct error *err);
	void *arg;
};

struct k8s_watch_timings {
	int64_t timeout_min_s, timeout_max_s; // of a stream, at the server
	int64_t silence_ms;
	int64_t pause_first_ms, pause_max_ms;
};

// All pointers are borrowed for the watch's life, except timings.
struct k8s_watch_options {
	const struct k8s_resource *resource;
	const char *namespace;      // NULL: all
	const char *label_selector; // NULL: everything
	bool metadata_only;         // PartialObjectMetadata
	struct k8s_watch_callbacks callbacks;
	const struct k8s_watch_timings *timings; // NULL: 300 to 600 s, K8S_WATCH_SILENCE_MS, 1 s to 30 s
};

// For readiness and metrics; requests are counted by the client's k8s_observe(), as list and watch.
struct k8s_watch_status {
	bool is_synced; // a list has come to its end: the mirror is whole, though it may have grown old since
	uint64_t lists; // that came to their end
	uint64_t streams;
	uint64_t events;            // handed over by on_change
	char error[ERROR_TEXT_MAX]; // what keeps the watch from following now; "" when nothing does
};

struct k8s_watch;

// The client's cancel does not end a watch; k8s_watch_stop() does. Fails only for lack of memory or threads.
MUST_CHECK int k8s_watch_start(
	struct k8s_client *client, const struct k8s_watch_options *options, struct k8s_watch **out, struct error *err);

// Begin the end, without waiting for it: several watches then end together. Any thread, also a callback.
void k8s_watch_cancel(struct k8s_watch *watch);

// Blocks until the thread is gone: at most 1 s and the callback in hand. Never from a callback.
void k8s_watch_stop(struct k8s_watch *watch);
DEFINE_AUTO(struct k8s_watch, k8s_watch, k8s_watch_stop)

// Any thread.
bool k8s_watch_is_synced(const struct k8s_watch *watch);
void k8s_watch_read_status(struct k8s_watch *watch, struct k8s_watch_status *out);

#endif
