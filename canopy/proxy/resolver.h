// Host names to addresses, without ever blocking the one who asks: a thread does the look-ups.
//
// Answers are refreshed after RESOLVER_FRESH_MS and stay in use while that happens or fails: S3 gives out other addresses every
// few seconds, and old ones go on working for long. Calls are for one thread.
#ifndef CANOPY_PROXY_RESOLVER_H
#define CANOPY_PROXY_RESOLVER_H

#include "base/cleanup.h"
#include "base/error.h"
#include <stddef.h>
#include <sys/socket.h>

#define RESOLVER_FRESH_MS 30000
#define RESOLVER_ADDRESSES_MAX 16
#define RESOLVER_HOSTS_MAX 4 // the endpoint, and those of other regions that it sent us to
#define RESOLVER_NAME_SIZE 280

struct resolver_address {
	struct sockaddr_storage address;
	socklen_t len;
};

struct resolver_answer {
	struct resolver_address list[RESOLVER_ADDRESSES_MAX];
	size_t count;
};

enum resolver_state { RESOLVER_READY, RESOLVER_PENDING, RESOLVER_FAILED };

struct resolver;

// on_change(arg) is called from the resolver's thread when a pending name has an answer or a failure.
MUST_CHECK int resolver_new(void (*on_change)(void *arg), void *arg, struct resolver **out, struct error *err);

// Does not wait for a look-up in flight, which may take as long as the DNS servers do.
void resolver_free(struct resolver *resolver);
DEFINE_AUTO(struct resolver, resolver, resolver_free)

// "host:port" or "[address]:port".
enum resolver_state resolver_ask(
	struct resolver *resolver, const char *host_port, struct resolver_answer *out, struct error *err);

#endif
