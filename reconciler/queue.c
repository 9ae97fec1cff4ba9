#include "reconciler/queue.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BUCKETS 1024
#define NOT_DUE INT64_MAX

struct key {
	struct key *next;
	int64_t due_mono_ms; // NOT_DUE: only in hand
	size_t place;        // in the heap; meaningless when NOT_DUE
	bool is_in_hand;
	int64_t added_mono_ms, taken_mono_ms;
	char namespace[ENTRY_NAMESPACE_SIZE];
};

struct queue {
	pthread_mutex_t lock; // guards all below
	pthread_cond_t changed;
	bool is_closed;
	size_t in_hand;
	uint64_t adds;
	struct key *buckets[BUCKETS];
	// A binary heap by due time, of the keys that are due some time and in nobody's hands.
	struct key **heap;
	size_t count, room;
};

int queue_new(struct queue **out, struct error *err)
{
	pthread_condattr_t monotonic;
	struct queue *made = calloc(1, sizeof(*made));
	if (made == NULL)
		return error_no_memory(err, "queue");
	(void)pthread_mutex_init(&made->lock, NULL);
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&made->changed, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
	*out = made;
	return 0;
}

void queue_free(struct queue *queue)
{
	if (queue == NULL)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		while (queue->buckets[i] != NULL) {
			struct key *gone = queue->buckets[i];
			queue->buckets[i] = gone->next;
			free(gone);
		}
	}
	free(queue->heap);
	(void)pthread_cond_destroy(&queue->changed);
	(void)pthread_mutex_destroy(&queue->lock);
	free(queue);
}

static struct key **find(struct queue *q, const char *namespace)
{
	struct key **at = &q->buckets[hash_text(namespace) % BUCKETS];
	while (*at != NULL && strcmp((*at)->namespace, namespace) != 0)
		at = &(*at)->next;
	return at;
}

// --- the heap

static void set(struct queue *q, size_t place, struct key *key)
{
	q->heap[place] = key;
	key->place = place;
}

static void rise(struct queue *q, size_t place)
{
	struct key *key = q->heap[place];
	while (place > 0 && q->heap[(place - 1) / 2]->due_mono_ms > key->due_mono_ms) {
		set(q, place, q->heap[(place - 1) / 2]);
		place = (place - 1) / 2;
	}
	set(q, place, key);
}

static void sink(struct queue *q, size_t place)
{
	struct key *key = q->heap[place];
	for (;;) {
		size_t child = 2 * place + 1;
		if (child >= q->count)
			break;
		if (child + 1 < q->count && q->heap[child + 1]->due_mono_ms < q->heap[child]->due_mono_ms)
			child++;
		if (q->heap[child]->due_mono_ms >= key->due_mono_ms)
			break;
		set(q, place, q->heap[child]);
		place = child;
	}
	set(q, place, key);
}

static bool push(struct queue *q, struct key *key)
{
	if (q->count == q->room) {
		size_t room = q->room == 0 ? 64 : q->room * 2;
		struct key **heap = reallocarray(q->heap, room, sizeof(struct key *));
		if (heap == NULL)
			return false;
		q->heap = heap;
		q->room = room;
	}
	set(q, q->count++, key);
	rise(q, key->place);
	return true;
}

static struct key *pop(struct queue *q)
{
	struct key *first = q->heap[0];
	struct key *last = q->heap[--q->count];
	if (q->count > 0) {
		set(q, 0, last);
		sink(q, 0);
	}
	return first;
}

// --- keys

static void forget(struct key **at)
{
	struct key *gone = *at;
	*at = gone->next;
	free(gone);
}

static void no_memory(const char *namespace)
{
	log_warn("out of memory: a replica is looked at in the next pass only", LOG_STR("namespace", namespace));
}

static void add(struct queue *q, const char *namespace, int64_t due_mono_ms)
{
	struct key **at = find(q, namespace);
	struct key *key = *at;
	if (key == NULL) {
		key = calloc(1, sizeof(*key));
		if (key == NULL) {
			no_memory(namespace);
			return;
		}
		memcpy(key->namespace, namespace, strnlen(namespace, sizeof(key->namespace) - 1));
		key->due_mono_ms = NOT_DUE;
		*at = key;
	}
	if (due_mono_ms >= key->due_mono_ms)
		return;
	bool was_due = key->due_mono_ms != NOT_DUE;
	q->adds += !was_due;
	key->due_mono_ms = due_mono_ms;
	if (!was_due)
		key->added_mono_ms = clock_mono_ms();
	if (key->is_in_hand)
		return; // queue_done() puts it back
	if (was_due) {
		rise(q, key->place);
	} else if (!push(q, key)) {
		no_memory(namespace);
		forget(at);
	}
}

void queue_add(struct queue *queue, const char *namespace, int64_t due_mono_ms)
{
	(void)pthread_mutex_lock(&queue->lock);
	add(queue, namespace, due_mono_ms);
	(void)pthread_cond_signal(&queue->changed);
	(void)pthread_mutex_unlock(&queue->lock);
}

// Until the first key is due, or anything changes.
static void wait_for_change(struct queue *q)
{
	if (q->count == 0) {
		(void)pthread_cond_wait(&q->changed, &q->lock);
		return;
	}
	int64_t due = q->heap[0]->due_mono_ms;
	const struct timespec until = {.tv_sec = due / 1000, .tv_nsec = due % 1000 * 1000000};
	(void)pthread_cond_timedwait(&q->changed, &q->lock, &until);
}

bool queue_take(struct queue *queue, char out[ENTRY_NAMESPACE_SIZE], int64_t *waited_ms)
{
	(void)pthread_mutex_lock(&queue->lock);
	while (!queue->is_closed && (queue->count == 0 || queue->heap[0]->due_mono_ms > clock_mono_ms()))
		wait_for_change(queue);
	bool is_open = !queue->is_closed;
	if (is_open) {
		struct key *key = pop(queue);
		key->is_in_hand = true;
		key->taken_mono_ms = clock_mono_ms();
		if (waited_ms != NULL)
			*waited_ms = key->taken_mono_ms -
				     (key->due_mono_ms > key->added_mono_ms ? key->due_mono_ms : key->added_mono_ms);
		queue->in_hand++;
		key->due_mono_ms = NOT_DUE;
		memcpy(out, key->namespace, ENTRY_NAMESPACE_SIZE);
		// Another one may wait for what comes next.
		(void)pthread_cond_signal(&queue->changed);
	}
	(void)pthread_mutex_unlock(&queue->lock);
	return is_open;
}

void queue_done(struct queue *queue, const char *namespace)
{
	(void)pthread_mutex_lock(&queue->lock);
	struct key **at = find(queue, namespace);
	if (*at != NULL) {
		(*at)->is_in_hand = false;
		queue->in_hand--;
		if ((*at)->due_mono_ms == NOT_DUE) {
			forget(at);
		} else if (!push(queue, *at)) {
			no_memory(namespace);
			forget(at);
		}
	}
	(void)pthread_cond_signal(&queue->changed);
	(void)pthread_mutex_unlock(&queue->lock);
}

void queue_clear(struct queue *queue)
{
	(void)pthread_mutex_lock(&queue->lock);
	while (queue->count > 0) {
		struct key **at = find(queue, pop(queue)->namespace);
		if (*at != NULL)
			forget(at);
	}
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct key *key = queue->buckets[i]; key != NULL; key = key->next)
			key->due_mono_ms = NOT_DUE;
	}
	(void)pthread_mutex_unlock(&queue->lock);
}

bool queue_is_idle(struct queue *queue)
{
	(void)pthread_mutex_lock(&queue->lock);
	bool is_idle = queue->in_hand == 0;
	(void)pthread_mutex_unlock(&queue->lock);
	return is_idle;
}

void queue_read_stats(struct queue *queue, struct queue_stats *out)
{
	const int64_t now_mono_ms = clock_mono_ms();
	(void)pthread_mutex_lock(&queue->lock);
	*out = (struct queue_stats){.adds = queue->adds, .in_hand = queue->in_hand};
	for (size_t i = 0; i < queue->count; i++)
		out->depth += queue->heap[i]->due_mono_ms <= now_mono_ms;
	for (size_t i = 0; i < BUCKETS && queue->in_hand > 0; i++) {
		for (const struct key *key = queue->buckets[i]; key != NULL; key = key->next) {
			const int64_t ms = key->is_in_hand ? now_mono_ms - key->taken_mono_ms : 0;
			out->in_hand_ms += ms;
			if (ms > out->longest_ms)
				out->longest_ms = ms;
		}
	}
	(void)pthread_mutex_unlock(&queue->lock);
}

void queue_close(struct queue *queue)
{
	(void)pthread_mutex_lock(&queue->lock);
	queue->is_closed = true;
	(void)pthread_cond_broadcast(&queue->changed);
	(void)pthread_mutex_unlock(&queue->lock);
}
