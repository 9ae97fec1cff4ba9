// The whole proxy: listener, loop and all parts, from settings to totals.
//
// proxy_new() binds the port and writes the port file; proxy_run() serves until it is told to stop, the done-file appears or the
// engine is gone, lets what is in flight end (config's drain_ms), posts the totals and returns. proxy_stop() may be called from
// any thread and from a signal handler; a second call ends the draining.
#ifndef CANOPY_PROXY_PROXY_H
#define CANOPY_PROXY_PROXY_H

#include "base/cleanup.h"
#include "base/error.h"
#include "canopy/proxy/config.h"

struct proxy;

// config outlives the proxy.
MUST_CHECK int proxy_new(const struct config *config, struct proxy **out, struct error *err);
MUST_CHECK int proxy_run(struct proxy *proxy, struct error *err);
void proxy_stop(struct proxy *proxy);
void proxy_free(struct proxy *proxy);
DEFINE_AUTO(struct proxy, proxy, proxy_free)

// "[::1]:PORT" or "127.0.0.1:PORT".
const char *proxy_address(const struct proxy *proxy);

// Has the broker refused credentials for good? After proxy_run().
bool proxy_was_refused(struct proxy *proxy);

#endif
