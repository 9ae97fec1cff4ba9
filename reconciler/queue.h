// The replicas that somebody should look at: Namespaces with the time from which on it is due.
//
// Holds keys only; equal keys are one, and the earlier time counts. A key is in the hands of one worker at a time: what is added
// meanwhile comes after that. Any thread.
#ifndef RECONCILER_QUEUE_H
#define RECONCILER_QUEUE_H

#include "base/cleanup.h"
#include "canopy/entry.h"
#include <stdbool.h>
#include <stdint.h>

struct queue;

MUST_CHECK int queue_new(struct queue **out, struct error *err);
void queue_free(struct queue *queue); // no thread is in it any more
DEFINE_AUTO(struct queue, queue, queue_free)

// Due at a monotonic time; 0: now. Without memory the key is lost and a warning logged: the next pass adds it again.
void queue_add(struct queue *queue, const char *namespace, int64_t due_mono_ms);

// Blocks until a key is due. False: the queue is closed. *waited_ms, if wanted: for how long the key has been due.
bool queue_take(struct queue *queue, char out[ENTRY_NAMESPACE_SIZE], int64_t *waited_ms);

// The worker is through with it.
void queue_done(struct queue *queue, const char *namespace);

// Forget the keys that no worker has in hand: they were added for reasons that do not hold any more.
void queue_clear(struct queue *queue);

// No worker has a key in hand.
bool queue_is_idle(struct queue *queue);

// For metrics.
struct queue_stats {
	uint64_t adds;      // keys that came to be due some time and were not before
	size_t depth;       // due now, in nobody's hands
	size_t in_hand;     // being worked on
	int64_t in_hand_ms; // for how long, added up
	int64_t longest_ms; // the one of them that began first
};
void queue_read_stats(struct queue *queue, struct queue_stats *out);

// Nothing is given out any more; those who wait return.
void queue_close(struct queue *queue);

#endif
