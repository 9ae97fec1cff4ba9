// An HTTPS/1.1 listener: libmicrohttpd on one thread of its own, with limits on connections, sizes and time.
//
// Each request that is not refused from its head is served on a thread of its own, so that a handler may block; no more of them
// run than there are connections. The certificate can be exchanged at any time: handshakes from then on get the new one,
// connections stay. Bodies, the Authorization header and answers are wiped when they are released.
#ifndef BASE_HTTPS_LISTENER_H
#define BASE_HTTPS_LISTENER_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/secret.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTPS_LISTENER_PEER_SIZE 64

// When three quarters of the connections are taken, this is the limit in place of request_limit_ms. Neighbours that open many and
// say little could otherwise keep everybody out for as long as that; an honest client in the cluster has shaken hands and asked
// within a few milliseconds. A quarter of a second lets in four times as many a second as there are connections.
#define HTTPS_LISTENER_PRESSED_LIMIT_MS 250

// All borrowed, for the time of the call.
struct https_listener_request {
	const char *method;
	const char *path;          // as it came, nothing decoded; without the query
	const char *authorization; // "" when absent
	int64_t content_length;    // -1 when absent, or when the body comes in chunks
	const char *body;          // NUL-terminated; "" while only the head is there
	size_t body_len;
	char peer[HTTPS_LISTENER_PEER_SIZE]; // address, without the port
};

// Preset to an empty 500. The handler fills; the listener releases the body.
struct https_listener_answer {
	int status;
	const char *content_type;  // of static life; NULL: none
	const char *headers[2][2]; // more headers: name, value, of static life; NULL: none
	int64_t retry_after_s;     // 0: none
	struct buf body;
};

// On the listener's thread, when the head has come: true when *answer is filled already; then the body is not read and the
// connection ends. Must not block.
typedef bool (*https_listener_refuse)(
	void *arg, const struct https_listener_request *request, struct https_listener_answer *answer);

// On a thread of the request's own. May block.
typedef void (*https_listener_serve)(
	void *arg, const struct https_listener_request *request, struct https_listener_answer *answer);

struct https_listener_options {
	const char *address;          // in the forms of base/listen.h; port 0 takes a free one
	const char *cert_pem;         // chain, NULL for no TLS
	const struct secret *key_pem; // its key
	unsigned int connections_max;
	unsigned int connections_per_ip_max;
	size_t body_max_bytes;    // a connection with more is closed
	int64_t request_limit_ms; // see below
	https_listener_refuse refuse;
	https_listener_serve serve;
	void *arg; // outlives the listener
};

// request_limit_ms: from a connection's start, or from its last answer, to the end of the next request; and again from there,
// when its handler is done, to the end of the answer. An idle or slow client is cut off after that, so that clients that send or
// read a byte now and then cannot hold all the connections.

struct https_listener;

// ERROR_INVALID for a certificate that cannot be read or is another key's, else what listen_open() says.
MUST_CHECK int https_listener_start(const struct https_listener_options *options, struct https_listener **out, struct error *err);
int https_listener_port(const struct https_listener *listener);

// Any thread. On failure the old certificate goes on.
MUST_CHECK int https_listener_set_certificate(
	struct https_listener *listener, const char *cert_pem, const struct secret *key_pem, struct error *err);

// Waits for the handlers that are running; whoever stops it makes them end. Connections are then closed, whatever they are doing.
void https_listener_stop(struct https_listener *listener);
DEFINE_AUTO(struct https_listener, https_listener, https_listener_stop)

#endif
