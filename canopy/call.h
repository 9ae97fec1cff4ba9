// One request to the central service and what its answer means. Private to canopy/.
#ifndef CANOPY_CALL_H
#define CANOPY_CALL_H

#include "canopy/client.h"
#include <pthread.h>

struct canopy_client {
	char *base_url; // without a slash at the end
	struct http_client *http;
	canopy_on_request on_request;
	void *on_request_arg;
	pthread_mutex_t lock; // of the digest
	bool has_digest;      // of the last worklist body that was decoded
	unsigned char digest[32];
};

struct call {
	const char *method;
	const char *endpoint; // "/restore-worklist"
	const char *body;     // JSON; NULL for none
	size_t max_body_bytes;
	http_on_body on_body;
	void *arg;
};

// 0 for a 2xx, and then the caller calls http_response_fini(). Otherwise *err: the status as a kind, and canopy's own words.
MUST_CHECK int call_do(struct canopy_client *client, const struct call *call, struct http_response *response, struct error *err);

#endif
