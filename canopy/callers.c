#include "canopy/callers.h"

#include "base/encode.h"
#include "base/ratelimit.h"
#include <pthread.h>
#include <string.h>

struct review {
	unsigned char digest[ENCODE_SHA256_BYTES];
	int64_t until_mono_ms; // 0: free
	struct broker_caller caller;
};

struct callers {
	callers_review review;
	void *arg;
	pthread_mutex_t lock; // guards what follows
	struct review reviews[CALLERS_REVIEWS_MAX];
	struct ratelimit asked;   // by Namespace
	struct ratelimit refused; // by address
};

int callers_new(callers_review review, void *arg, struct callers **out, struct error *err)
{
	struct callers *made = calloc(1, sizeof(*made));
	if (made == NULL)
		return error_no_memory(err, "callers of the broker");
	made->review = review;
	made->arg = arg;
	(void)pthread_mutex_init(&made->lock, NULL);
	ratelimit_init(&made->asked, CALLERS_INTERVAL_MS, CALLERS_BURST);
	ratelimit_init(&made->refused, CALLERS_REFUSED_INTERVAL_MS, CALLERS_REFUSED_BURST);
	*out = made;
	return 0;
}

void callers_free(struct callers *callers)
{
	if (callers == NULL)
		return;
	(void)pthread_mutex_destroy(&callers->lock);
	free(callers);
}

static int too_often(int64_t wait_ms, const char *who, struct error *err)
{
	(void)error_set(err, ERROR_TRANSIENT, "%s asks too often", who);
	err->http_status = 429;
	err->retry_after_ms = wait_ms;
	return -1;
}

// The answer for this token, and else the one whose place is to be taken: free, or the oldest.
static struct review *find_review(struct callers *callers, const unsigned char *digest, int64_t now_mono_ms, bool *is_found)
{
	struct review *oldest = &callers->reviews[0];
	for (size_t i = 0; i < CALLERS_REVIEWS_MAX; i++) {
		struct review *review = &callers->reviews[i];
		*is_found = review->until_mono_ms > now_mono_ms && memcmp(review->digest, digest, ENCODE_SHA256_BYTES) == 0;
		if (*is_found)
			return review;
		if (review->until_mono_ms < oldest->until_mono_ms)
			oldest = review;
	}
	return oldest;
}

// 1: remembered. 0: to be reviewed. -1: this address had too many refused.
static int look_up(struct callers *callers, const unsigned char *digest, const char *peer, int64_t now_mono_ms,
	struct broker_caller *out, struct error *err)
{
	bool is_found = false;
	(void)pthread_mutex_lock(&callers->lock);
	const struct review *review = find_review(callers, digest, now_mono_ms, &is_found);
	if (is_found)
		*out = review->caller;
	int64_t wait_ms = ratelimit_wait_ms(&callers->refused, peer, now_mono_ms);
	(void)pthread_mutex_unlock(&callers->lock);
	if (is_found)
		return 1;
	return wait_ms > 0 ? too_often(wait_ms, peer, err) : 0;
}

static void remember(
	struct callers *callers, const unsigned char *digest, int64_t now_mono_ms, const struct broker_caller *caller)
{
	bool is_found = false;
	(void)pthread_mutex_lock(&callers->lock);
	struct review *review = find_review(callers, digest, now_mono_ms, &is_found);
	memcpy(review->digest, digest, ENCODE_SHA256_BYTES);
	review->until_mono_ms = now_mono_ms + CALLERS_REVIEW_LIFE_MS;
	review->caller = *caller;
	(void)pthread_mutex_unlock(&callers->lock);
}

static int not_reviewed(struct callers *callers, const char *peer, int64_t now_mono_ms, struct error *err)
{
	bool is_refusal = err->kind == ERROR_INVALID && err->http_status == 0;
	if (is_refusal) {
		(void)pthread_mutex_lock(&callers->lock);
		(void)ratelimit_take(&callers->refused, peer, now_mono_ms);
		(void)pthread_mutex_unlock(&callers->lock);
	} else {
		(void)error_wrap(err, "the token cannot be reviewed");
	}
	err->http_status = is_refusal ? 401 : 503;
	return -1;
}

int callers_admit(struct callers *callers, const char *token, const char *peer, int64_t now_mono_ms, struct broker_caller *out,
	struct error *err)
{
	unsigned char digest[ENCODE_SHA256_BYTES];
	struct broker_caller caller = {0};
	if (encode_sha256(token, strlen(token), digest, err) < 0)
		return -1;
	int found = look_up(callers, digest, peer, now_mono_ms, &caller, err);
	if (found < 0)
		return -1;
	if (found == 0) {
		if (callers->review(callers->arg, token, &caller, err) < 0)
			return not_reviewed(callers, peer, now_mono_ms, err);
		remember(callers, digest, now_mono_ms, &caller);
	}
	(void)pthread_mutex_lock(&callers->lock);
	int64_t wait_ms = ratelimit_wait_ms(&callers->asked, caller.namespace, now_mono_ms);
	(void)ratelimit_take(&callers->asked, caller.namespace, now_mono_ms);
	(void)pthread_mutex_unlock(&callers->lock);
	if (wait_ms > 0)
		return too_often(wait_ms, caller.namespace, err);
	*out = caller;
	return 0;
}
