// Who calls the broker: tokens are reviewed, good answers remembered for a short time, and nobody may ask too often.
//
// Tokens are kept as their SHA-256 alone. Memory is fixed: CALLERS_REVIEWS_MAX answers and two tables of buckets. Any thread.
#ifndef CANOPY_CALLERS_H
#define CANOPY_CALLERS_H

#include "base/cleanup.h"
#include "base/error.h"
#include "canopy/token_review.h"
#include <stdint.h>

// A Namespace that is torn down or a token that is revoked counts for at most this long.
#define CALLERS_REVIEW_LIFE_MS 30000
#define CALLERS_REVIEWS_MAX 256

// Per Namespace. One proxy asks for keys once in their life and posts its progress every 30 s; the burst is for proxies that
// start over, and for keys that live seconds.
#define CALLERS_INTERVAL_MS 1000
#define CALLERS_BURST 30

// Per address: tokens that were refused. Each costs a TokenReview. Many pods may share an address (masquerading).
#define CALLERS_REFUSED_INTERVAL_MS 1000
#define CALLERS_REFUSED_BURST 60

// Ask the API server (canopy/token_review.h). May block; any thread. ERROR_INVALID with http_status 0: the token is not good. Any
// other failure is the operator's, and the caller may come again.
typedef int (*callers_review)(void *arg, const char *token, struct broker_caller *out, struct error *err);

struct callers;

MUST_CHECK int callers_new(callers_review review, void *arg, struct callers **out, struct error *err);
void callers_free(struct callers *callers);
DEFINE_AUTO(struct callers, callers, callers_free)

// Who holds this token, and may it ask now? Blocks as long as the review does. On failure err->http_status says what to answer:
// 401 (the token is not good), 429 with retry_after_ms, or 503 (it could not be reviewed).
MUST_CHECK int callers_admit(struct callers *callers, const char *token, const char *peer, int64_t now_mono_ms,
	struct broker_caller *out, struct error *err);

#endif
