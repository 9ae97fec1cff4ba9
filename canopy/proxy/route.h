// Where a bucket lives: the host that is signed, its region, the address to connect to; and following S3 to another region.
//
// Pure; any thread.
#ifndef CANOPY_PROXY_ROUTE_H
#define CANOPY_PROXY_ROUTE_H

#include "base/error.h"
#include "canopy/proxy/config.h"
#include "canopy/proxy/upstream.h"
#include <stdbool.h>

#define ROUTE_HOST_SIZE 256
#define ROUTE_REGION_SIZE 64

struct route {
	char endpoint[ROUTE_HOST_SIZE]; // host of the endpoint, with its port unless it is the scheme's own
	char host[ROUTE_HOST_SIZE];     // the same with the bucket before it in virtual style: what is signed
	char region[ROUTE_REGION_SIZE];
	struct upstream_target target;
};

// The route of the settings. ERROR_INVALID when a name is too long.
MUST_CHECK int route_init(const struct config *config, struct route *out, struct error *err);

// What an answer says about the bucket's place; "" for what it does not say.
struct route_hint {
	const char *region;   // x-amz-bucket-region, or Region of the error document
	const char *location; // the Location header
};

// Change the route as the answer says. Only to another region of the same service: requests carry a session token, and a Location
// to any other host is not followed. False when there is nothing new to follow.
bool route_follow(struct route *route, const struct config *config, const struct route_hint *hint);

#endif
