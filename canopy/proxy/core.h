// What the parts of one proxy share. Private to canopy/proxy/; all of it belongs to the loop's thread.
#ifndef CANOPY_PROXY_CORE_H
#define CANOPY_PROXY_CORE_H

#include "canopy/proxy/buffers.h"
#include "canopy/proxy/config.h"
#include "canopy/proxy/credentials.h"
#include "canopy/proxy/loop.h"
#include "canopy/proxy/pipes.h"
#include "canopy/proxy/policy.h"
#include "canopy/proxy/resolver.h"
#include "canopy/proxy/route.h"
#include "canopy/proxy/sigv4.h"
#include "canopy/proxy/stats.h"
#include "canopy/proxy/upstream.h"

struct client;

struct core {
	const struct config *config;
	struct loop *loop;
	struct buffers buffers;
	struct pipes pipes;
	struct resolver *resolver;
	struct upstream_pool *pool;
	struct credentials *credentials;
	struct stats stats;
	struct policy policy;
	struct route route; // as far as it is known
	unsigned route_changes;
	struct credentials_set set; // the copy to sign with
	struct sigv4_key key;
	int64_t skew_ms;        // S3's clock minus ours
	struct client *clients; // all
	size_t client_count;
	bool is_draining; // no new requests
};

#endif
