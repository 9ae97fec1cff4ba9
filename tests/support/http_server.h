// A plain HTTP server inside the test (libmicrohttpd): a callback answers, every request is kept.
//
// Loopback, a port of its own. The callback runs on a thread for each connection. Any failure to start ends the test program.
#ifndef TESTS_SUPPORT_HTTP_SERVER_H
#define TESTS_SUPPORT_HTTP_SERVER_H

#include "base/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_server_request {
	char *method;
	char *target;       // path and query as they came
	struct buf headers; // "Name: value\n" each, in order
	struct buf body;
};

struct http_server_answer {
	int status;             // preset to 200
	const char *headers[8]; // "Name: value", NULL at the end
	char *body;             // freed by the server; NULL for an empty one
	bool chunked;           // no Content-Length
	bool cut;               // chunked, and the connection ends in the middle
};

typedef void (*http_server_on_request)(void *arg, const struct http_server_request *request, struct http_server_answer *answer);

struct http_server;

struct http_server *http_server_start(http_server_on_request on_request, void *arg);
void http_server_stop(struct http_server *server);

// "http://127.0.0.1:PORT", the server's.
const char *http_server_url(const struct http_server *server);

// What came so far. A request stays valid until the server stops or forgets; NULL past the last.
size_t http_server_count(struct http_server *server);
const struct http_server_request *http_server_request(struct http_server *server, size_t index);

// As if nothing had come; requests that were looked at are gone.
void http_server_forget(struct http_server *server);

// The value of a header, copied into out ("" when it is absent).
const char *http_server_header(const struct http_server_request *request, const char *name, char *out, size_t size);

#endif
