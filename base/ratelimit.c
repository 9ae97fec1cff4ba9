#include "base/ratelimit.h"

#include <stdio.h>
#include <string.h>

void ratelimit_init(struct ratelimit *limit, int64_t interval_ms, int64_t burst)
{
	memset(limit, 0, sizeof(*limit));
	limit->interval_ms = interval_ms;
	limit->burst = burst;
}

// NULL: the name has a full bucket.
static const struct ratelimit_bucket *find(const struct ratelimit *limit, const char *name)
{
	for (size_t i = 0; i < RATELIMIT_NAMES_MAX; i++) {
		if (strncmp(limit->buckets[i].name, name, RATELIMIT_NAME_SIZE - 1) == 0)
			return &limit->buckets[i];
	}
	return NULL;
}

// A bucket is full `burst` intervals after it was empty: the time to that says how many tokens are gone.
int64_t ratelimit_wait_ms(const struct ratelimit *limit, const char *name, int64_t now_mono_ms)
{
	const struct ratelimit_bucket *bucket = find(limit, name);
	int64_t wait_ms = bucket == NULL ? 0 : bucket->full_at_ms - now_mono_ms - (limit->burst - 1) * limit->interval_ms;
	return wait_ms > 0 ? wait_ms : 0;
}

static struct ratelimit_bucket *find_or_replace(struct ratelimit *limit, const char *name)
{
	struct ratelimit_bucket *fullest = &limit->buckets[0];
	const struct ratelimit_bucket *found = find(limit, name);
	if (found != NULL)
		return &limit->buckets[found - limit->buckets];
	for (size_t i = 1; i < RATELIMIT_NAMES_MAX; i++) {
		if (limit->buckets[i].full_at_ms < fullest->full_at_ms)
			fullest = &limit->buckets[i];
	}
	(void)snprintf(fullest->name, sizeof(fullest->name), "%s", name);
	fullest->full_at_ms = 0;
	return fullest;
}

bool ratelimit_take(struct ratelimit *limit, const char *name, int64_t now_mono_ms)
{
	if (ratelimit_wait_ms(limit, name, now_mono_ms) > 0)
		return false;
	struct ratelimit_bucket *bucket = find_or_replace(limit, name);
	if (bucket->full_at_ms < now_mono_ms)
		bucket->full_at_ms = now_mono_ms;
	bucket->full_at_ms += limit->interval_ms;
	return true;
}
