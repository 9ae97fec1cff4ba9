// What the PostgreSQL pod of a round said and when, read from the pod once, when the round ends: of a settled replica nobody
// asks, and ten thousand of them would be kept for nothing.
//
// The termination message of `prepare` is text from a pod that worked on somebody else's data: only known keys of the right type
// are taken, and of those so much as people read. pod_words_read() is pure; struct pod_words owns `details`.
#ifndef RECONCILER_POD_WORDS_H
#define RECONCILER_POD_WORDS_H

#include "base/cleanup.h"
#include "base/json.h"
#include "reconciler/workload.h"

#define POD_WORDS_TEXTS_MAX 64 // of a list; what is over is counted in <key>_more
#define POD_WORDS_TEXT_MAX 300 // bytes of one text
#define POD_WORDS_IMAGE_SIZE 256

struct pod_words {
	bool has_prepared; // prepare ended well and its message could be read
	bool is_repaired;
	char salvaged[WORKLOAD_MESSAGE_SIZE];        // what the reset of the WAL cost, in a sentence; "" when there was none
	int64_t recovery_s, load_s;                  // -1: not said
	int64_t checkpoint_at_ms, last_commit_at_ms; // 0: not said
	int64_t prepare_ended_at_ms, ready_at_ms;    // by the node's clock; 0: never
	char image[POD_WORDS_IMAGE_SIZE];            // of PostgreSQL, and the digest it came to; "" when not said
	char image_id[POD_WORDS_IMAGE_SIZE];
	json_t *details; // members of health_details; NULL when nothing was said
};

// From a pod as the API server shows it. Fails for lack of memory alone.
MUST_CHECK int pod_words_read(const json_t *pod, struct pod_words *out, struct error *err);
void pod_words_fini(struct pod_words *words);

static inline void auto_pod_words(struct pod_words *words)
{
	pod_words_fini(words);
}

#endif
