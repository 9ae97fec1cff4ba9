// What an engine may ask S3 for: reading of objects below one bucket and prefix, and what it takes to find them.
//
// A restore never writes and never looks elsewhere, whatever the credentials would allow. The target is decoded once, checked,
// and encoded once again: what was checked is what is sent. (Seen: `restic --no-lock restore` needs ?location, listings with a
// prefix, HEAD and GET; kopia with --readonly the same.) Pure; any thread.
#ifndef CANOPY_PROXY_POLICY_H
#define CANOPY_PROXY_POLICY_H

#include "base/buf.h"
#include "base/error.h"
#include "canopy/proxy/head.h"

struct policy {
	const char *bucket;
	const char *prefix; // NULL or "": the whole bucket. One without a "/" at its end covers what stands behind a "/".
};

// What is to be sent: canonical already. Zeroed or released before; the caller releases it, also after a failure.
struct policy_request {
	struct buf key;   // encoded, without the leading slash; empty: the bucket itself
	struct buf query; // encoded and sorted, without the "?"
	bool is_head;
};

// ERROR_INVALID with the reason, for people, when the request is not allowed. Any other kind says nothing about the request.
MUST_CHECK int policy_check(
	const struct policy *policy, const struct head_request *request, struct policy_request *out, struct error *err);
void policy_request_fini(struct policy_request *request);

#endif
