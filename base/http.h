// HTTP client over libcurl: time-outs, size limits, TLS with private CAs and client certificates, SOCKS5, connection re-use.
//
// A client holds what is common to all requests to one service and a pool of connections; it may be used by any number of threads
// at once. http_do() blocks its caller, at most for the request's time-out; a stream may take as long as its time-outs allow, when
// on_body takes it. A peer that is gone without a word (its host died, a firewall forgot the connection) is found by the kernel in
// HTTP_PEER_TIMEOUT_MS, whether or not anything is being sent. http_do() never retries: the callers know which of their calls may
// be repeated. (A GET or HEAD may reach the server twice when a connection from the pool turns out to be closed; nothing else
// does.) Bodies, tokens and query strings are never logged and never part of an error text. The first client makes the process
// ignore SIGPIPE, unless the program has a handler for it.
#ifndef BASE_HTTP_H
#define BASE_HTTP_H

#include "base/buf.h"
#include "base/error.h"
#include "base/secret.h"
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_CONNECT_TIMEOUT_MS 10000
#define HTTP_TIMEOUT_MS 30000
#define HTTP_PEER_TIMEOUT_MS 40000 // TCP keepalive and TCP_USER_TIMEOUT: see http_setup.c
#define HTTP_BODY_MAX ((size_t)8 << 20)

// PEM texts and paths are copied. NULL leaves a thing out; without a CA the system's store is used.
struct http_options {
	const char *user_agent;
	const char *ca_pem;		// trust these certificates alone
	const char *client_cert_pem;	// certificate chain for mTLS
	const struct secret *client_key_pem; // its key
	const char *proxy;		// socks5h://[::1]:1055 or http://...
	const char *tls_server_name;	// verify the certificate for this name instead of the URL's host (kubeconfig tls-server-name)
	bool http2;			// offer it in the TLS handshake; over plain connections it is HTTP/1.1 always
	int connect_timeout_ms;		// 0: HTTP_CONNECT_TIMEOUT_MS
	const atomic_bool *cancel;	// when it turns true, requests in flight end with ERROR_CANCELLED within a second
};

// The status line and the headers have come, long before the body when that is a stream.
typedef void (*http_on_head)(void *arg, int status);

// Part of a body as it arrives. A failure ends the request with *err.
typedef int (*http_on_body)(void *arg, const char *data, size_t len, struct error *err);

struct http_request {
	const char *method;
	const char *url;
	const char *const *headers; // "Name: value", NULL at the end; may be NULL
	const struct secret *bearer; // Authorization: Bearer, when set
	const char *body;	    // may be NULL
	size_t body_len;
	int64_t timeout_ms;	    // whole request; 0: HTTP_TIMEOUT_MS
	int64_t silence_timeout_ms; // without a byte from the server; 0: no limit. The head has HTTP_TIMEOUT_MS at most.
	size_t max_body_bytes;	    // of the answer; 0: HTTP_BODY_MAX. Past it the request fails with ERROR_INVALID.
	http_on_head on_head;	    // called once the head of a 2xx is whole; may be NULL
	http_on_body on_body;	    // receives the body of a 2xx instead of http_response.body; other bodies keep HTTP_BODY_MAX
	void *arg;
	const atomic_bool *cancel;  // as in http_options, for this request; either one ends it
};

struct http_response {
	int status;
	int64_t retry_after_ms; // from Retry-After in either form (RFC 9110 section 10.2.3); 0 when absent
	struct buf body;	// whole, unless on_body took it
};

struct http_client;

MUST_CHECK int http_client_new(const struct http_options *options, struct http_client **out, struct error *err);
void http_client_free(struct http_client *client);
DEFINE_AUTO(struct http_client, http_client, http_client_free)

// 0 when an answer came, whatever its status. The caller inits nothing and calls http_response_fini() after a success.
// Fails with ERROR_TRANSIENT (connect, TLS, reset, time-out, body cut short), ERROR_INVALID (too long, bad URL), ERROR_CANCELLED,
// or what on_body said.
MUST_CHECK int http_do(struct http_client *client, const struct http_request *request, struct http_response *response,
	struct error *err);
void http_response_fini(struct http_response *response);

static inline void auto_http_response(struct http_response *response)
{
	http_response_fini(response);
}

// The kind that a status means for any HTTP service: 2xx none; 404 and 410 not found; 408, 425, 429 and 5xx transient; 409 and 412
// conflict; other 4xx invalid; 1xx and 3xx internal, since libcurl handles or we never ask for them.
enum error_kind http_status_kind(int status);

#endif
