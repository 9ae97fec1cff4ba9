// How often each of many may do something: a token bucket for each name, in a table of fixed size.
//
// Times are given in. One thread at a time.
#ifndef BASE_RATELIMIT_H
#define BASE_RATELIMIT_H

#include <stdbool.h>
#include <stdint.h>

#define RATELIMIT_NAME_SIZE 64

// Names at once. When there are more, the one with the fullest bucket is forgotten, which loses least.
#define RATELIMIT_NAMES_MAX 256

struct ratelimit {
	int64_t interval_ms; // one more token each
	int64_t burst;       // tokens of a full bucket
	struct ratelimit_bucket {
		char name[RATELIMIT_NAME_SIZE]; // longer names are cut
		int64_t full_at_ms;             // monotonic: when the bucket is full again
	} buckets[RATELIMIT_NAMES_MAX];
};

void ratelimit_init(struct ratelimit *limit, int64_t interval_ms, int64_t burst);

// How long to wait until there is a token; 0: there is one now. Takes none.
int64_t ratelimit_wait_ms(const struct ratelimit *limit, const char *name, int64_t now_mono_ms);

// Take a token. False when there is none, and then nothing changes.
bool ratelimit_take(struct ratelimit *limit, const char *name, int64_t now_mono_ms);

#endif
