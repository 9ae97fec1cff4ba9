// A proxy in a thread of the test, between a broker over TLS and an S3 server that does as the test says.
//
// The broker hands out numbered sets of keys (AKID1, AKID2, ...) unless a test tells it otherwise, and keeps what is posted to
// it. Any failure to set up fails the test. One world at a time.
#ifndef TESTS_CANOPY_PROXY_WORLD_H
#define TESTS_CANOPY_PROXY_WORLD_H

#include "canopy/proxy/config.h"
#include "canopy/proxy/proxy.h"
#include "tests/support/pki.h"
#include "tests/support/raw_server.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define WORLD_TIMEOUT_MS 20000
#define WORLD_TEXT_MAX 8192

struct world;

// What the broker answers to the n-th (from 1) ask for credentials: the whole response, written into out. NULL: a good set.
typedef void (*world_broker)(int n, char *out, size_t size);

struct world_options {
	raw_script s3; // the test's server
	void *arg;
	const struct raw_server_tls *s3_tls; // NULL: plain
	int s3_port;                         // an upstream that the test has already, instead of s3
	const char *const *settings;         // NAME, value, ..., NULL: added to, or in place of, the usual ones
	world_broker broker;
	int (*post_status)(int n);           // what the broker answers to the n-th (from 1) post; NULL: 200
	void (*tune)(struct config *config); // shorten times; may be NULL
	bool is_driven;                      // by world_run(), in place of a thread
};

struct world *world_new(const struct world_options *options);
void world_free(struct world *w);                  // stops the proxy, unless world_stop() has; checks that no descriptor is lost
void world_stop(struct world *w);                  // proxy_stop() and wait for its end
int world_run(struct world *w, struct error *err); // the proxy, in the caller's thread, until proxy_stop()

// For the broker: a good set that expires so many seconds from now.
void world_good_keys(int n, int seconds, char *out, size_t size);
void world_answer_json(int status, const char *body, char *out, size_t size);

int world_broker_calls(struct world *w);
int world_s3_requests(struct world *w); // that the test's server has read so far
int world_posts(struct world *w);                            // to it, so far
const char *world_posted(struct world *w, const char *path); // the last body that was posted there; NULL: none
const char *world_ca_file(void);
const struct pki_cert *world_ca(void);
const struct config *world_config(struct world *w);
struct proxy *world_proxy(struct world *w);

// For s3_tls: a certificate of world_ca() for this name ("DNS:...", "IP:..."). Until the next call.
const struct raw_server_tls *world_tls(const char *san);

// An engine's connection.
int world_connect(struct world *w);
void world_say(int fd, const char *text);

// One answer. status 0: the connection ended before a whole head came.
struct world_reply {
	int status;
	char head[WORLD_TEXT_MAX];
	char *body;
	size_t len;
	bool is_cut; // the connection ended before the body was whole
};
struct world_reply world_read(int fd, bool is_head);
struct world_reply world_ask(int fd, const char *method, const char *path, const char *headers); // headers: whole lines or ""
void world_reply_fini(struct world_reply *reply);
bool world_is_closed(int fd); // by the proxy, within the time-out

// A request of its own connection, expected to have this status; and a part of its body or head unless NULL.
void world_expect(struct world *w, const char *method, const char *path, const char *headers, int status, const char *part);

// Poll until it is true; fails the test after WORLD_TIMEOUT_MS.
#define world_wait(condition)                                                  \
	do {                                                                   \
		int64_t until_ = clock_mono_ms() + WORLD_TIMEOUT_MS;           \
		while (!(condition)) {                                         \
			if (clock_mono_ms() > until_)                          \
				fail_msg("did not come true: %s", #condition); \
			world_nap();                                           \
		}                                                              \
	} while (0)
void world_nap(void);

#endif
