// The plain, read-only listener on METRICS_ADDR: /metrics, /livez (also as /healthz), /readyz, both with ?verbose, and what a
// source answers (the status page). Knows no secret.
//
// libmicrohttpd on one thread of its own, with limits on connections, sizes and time. Liveness depends on the main loop's
// heartbeat alone, never on canopy or the API server; readiness may.
#ifndef RECONCILER_WEB_H
#define RECONCILER_WEB_H

#include "base/cleanup.h"
#include "base/error.h"
#include "reconciler/metrics.h"
#include <stddef.h>
#include <sys/types.h>

// Answers for the probes; called from the listener's thread. why is filled when the answer is no.
struct web_probes {
	bool (*is_live)(void *arg, char *why, size_t why_size);
	bool (*is_ready)(void *arg, char *why, size_t why_size);
	void *arg;
};

// What answers the paths that are not the listener's own; called from the listener's thread, which it must not keep for long.
struct web_request {
	const char *path;
	const char *if_none_match; // NULL: not sent
	// An argument of the query, decoded; NULL when it is not there. Valid while the request is answered.
	const char *(*argument)(const void *of, const char *name);
	const void *of;
};

#define WEB_ETAG_SIZE 96

struct web_answer {
	unsigned int status;
	const char *type;            // Content-Type
	const char *policy;          // Content-Security-Policy; NULL: nothing at all is allowed
	char etag[WEB_ETAG_SIZE];    // with its quotes; "": none
	const char *text;            // the body, which outlives the listener; NULL: it is read piece by piece:
	// Put at most room bytes to out; 0: that was all; -1: it cannot be finished, and the connection is cut.
	ssize_t (*read)(void *stream, char *out, size_t room);
	void (*close)(void *stream); // always called, also when nothing was read
	void *stream;
};

struct web_source {
	// False: not a path of its. *out is all zero at the call.
	bool (*answer)(void *arg, const struct web_request *request, struct web_answer *out);
	void *arg;
};

struct web;

// From a connection's start, or from its last answer, to the end of the next answer. An idle or a slow client is cut off after
// that, so that clients that send or read a byte now and then cannot hold all the connections.
#define WEB_REQUEST_LIMIT_MS 15000

// An answer that is read piece by piece may take longer, as long as the client takes so much.
#define WEB_LEAST_BYTES_PER_S (64 << 10)

// addr as in METRICS_ADDR, in the forms of base/listen.h, whose errors it passes on. Port 0 takes a free one. metrics,
// probes->arg and source->arg outlive it; source may be NULL.
MUST_CHECK int web_start(const char *addr, struct metrics *metrics, const struct web_probes *probes, const struct web_source *source,
	struct web **out, struct error *err);
int web_port(const struct web *web);

// Another limit than WEB_REQUEST_LIMIT_MS, for connections that are opened from now on. Any thread.
void web_limit_requests(struct web *web, int64_t limit_ms);

// Closes all connections, whatever they are doing, and returns at once.
void web_stop(struct web *web);
DEFINE_AUTO(struct web, web, web_stop)

#endif
