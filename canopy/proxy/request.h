// The request that goes to S3: what the engine asked for, signed anew.
//
// Of the engine's headers only those that shape a read are taken over; everything else (its own signature with the dummy keys,
// Accept-Encoding, Connection, Cookie) stays behind. One thread at a time for a key.
#ifndef CANOPY_PROXY_REQUEST_H
#define CANOPY_PROXY_REQUEST_H

#include "base/buf.h"
#include "base/error.h"
#include "canopy/proxy/config.h"
#include "canopy/proxy/credentials.h"
#include "canopy/proxy/head.h"
#include "canopy/proxy/policy.h"
#include "canopy/proxy/route.h"
#include "canopy/proxy/sigv4.h"

struct request {
	const struct config *config;
	const struct route *route;
	const struct policy_request *what;
	const struct head_fields *fields; // of the engine
	const struct credentials_set *set;
	struct sigv4_key *key; // kept between requests
	int64_t wall_ms;       // when it is sent, by S3's clock
	bool is_probe;         // GET the first byte instead of HEAD: a HEAD's refusal has no document that says why
};

// Append the whole head. It holds the session token: the caller wipes it.
MUST_CHECK int request_write(const struct request *request, struct buf *out, struct error *err);

#endif
