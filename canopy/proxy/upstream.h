// Connections to S3: resolving, connecting, TLS, re-use.
//
// A transfer takes a connection, writes a request, reads the answer and gives it back. Everything is non-blocking and of the
// loop's thread. TLS is 1.2 at least, the certificate is verified for the name in the target, sessions are resumed. Bytes on the
// wire are counted in stats.
#ifndef CANOPY_PROXY_UPSTREAM_H
#define CANOPY_PROXY_UPSTREAM_H

#include "base/cleanup.h"
#include "base/error.h"
#include "canopy/proxy/config.h"
#include "canopy/proxy/loop.h"
#include "canopy/proxy/resolver.h"
#include "canopy/proxy/stats.h"
#include <stddef.h>
#include <sys/types.h>

#define UPSTREAM_IDLE_MAX 128
#define UPSTREAM_IDLE_MS 20000 // S3 closes idle connections after some seconds
#define UPSTREAM_TRIES_MAX 4   // addresses that are tried for one connection

#define UPSTREAM_AGAIN (-1)
#define UPSTREAM_BROKEN (-2)

struct upstream_target {
	char connect_to[RESOLVER_NAME_SIZE]; // host:port
	char tls_name[256];                  // "": plain HTTP
};

enum upstream_state {
	UPSTREAM_RESOLVING,
	UPSTREAM_CONNECTING,
	UPSTREAM_HANDSHAKE,
	UPSTREAM_OPEN,
	UPSTREAM_IDLE,
	UPSTREAM_FAILED
};

struct upstream_pool;
struct upstream;

// The state of a connection that was taken has changed, or it may be read or written.
typedef void (*upstream_on_event)(void *arg);

// All of these outlive the pool. Reads the CA file: ERROR_INVALID when it holds no certificate.
struct upstream_options {
	const struct config *config;
	struct loop *loop;
	struct resolver *resolver;
	struct stats *stats;
};
MUST_CHECK int upstream_pool_new(const struct upstream_options *options, struct upstream_pool **out, struct error *err);
void upstream_pool_free(struct upstream_pool *pool); // none is taken any more
DEFINE_AUTO(struct upstream_pool, upstream_pool, upstream_pool_free)

// Deadlines of those that are being opened or lie idle; names that have been resolved.
void upstream_pool_tick(struct upstream_pool *pool);
void upstream_pool_wake(struct upstream_pool *pool);

// An idle connection unless `fresh`, else a new one, which calls on_event when it is open or has failed. NULL: no memory.
struct upstream *upstream_take(
	struct upstream_pool *pool, const struct upstream_target *target, bool fresh, upstream_on_event on_event, void *arg);

enum upstream_state upstream_state(const struct upstream *upstream);
const struct error *upstream_error(const struct upstream *upstream); // why it failed or broke
bool upstream_was_idle(const struct upstream *upstream);             // it has served before
bool upstream_is_plain(const struct upstream *upstream);

// As read(2) and write(2): >0 bytes, 0 the end (reading), UPSTREAM_AGAIN (on_event will be called), UPSTREAM_BROKEN. Reading
// fills what it can in one go.
ssize_t upstream_read(struct upstream *upstream, void *data, size_t len);
ssize_t upstream_write(struct upstream *upstream, const void *data, size_t len);

// As upstream_read(), into an empty pipe; for a plain connection.
ssize_t upstream_splice(struct upstream *upstream, int pipe_in, size_t len);

// Give it back for the next one, or close it. on_event is not called any more. One that has ended, or on which more has come than
// was read, is closed in either case.
void upstream_give_back(struct upstream *upstream);
void upstream_close(struct upstream *upstream);

#endif
