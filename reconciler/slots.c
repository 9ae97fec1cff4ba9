#include "reconciler/slots.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

// Holders come first, then those that wait, oldest first; a few of the one and, when many are new, many of the other.
struct place {
	bool is_held;
	int64_t since_ms;
	char namespace[ENTRY_NAMESPACE_SIZE];
};

// Of those that wait only so many are kept, the oldest: each pass names all of them again.
#define WAITING_MAX 256

struct slots {
	pthread_mutex_t lock; // guards all below
	size_t max;
	struct place *places;
	size_t count, room, held;
};

int slots_new(size_t max, struct slots **out, struct error *err)
{
	struct slots *made = calloc(1, sizeof(*made));
	if (made == NULL)
		return error_no_memory(err, "slots");
	made->max = max;
	(void)pthread_mutex_init(&made->lock, NULL);
	*out = made;
	return 0;
}

void slots_free(struct slots *slots)
{
	if (slots == NULL)
		return;
	(void)pthread_mutex_destroy(&slots->lock);
	free(slots->places);
	free(slots);
}

static size_t find(const struct slots *s, const char *namespace)
{
	size_t i = 0;
	while (i < s->count && strcmp(s->places[i].namespace, namespace) != 0)
		i++;
	return i;
}

static void take_out(struct slots *s, size_t i)
{
	s->held -= s->places[i].is_held;
	s->count--;
	memmove(&s->places[i], &s->places[i + 1], (s->count - i) * sizeof(*s->places));
}

static bool comes_before(const struct place *a, const struct place *b)
{
	if (a->is_held != b->is_held)
		return a->is_held;
	return a->since_ms != b->since_ms ? a->since_ms < b->since_ms : strcmp(a->namespace, b->namespace) < 0;
}

// Its place by order, found from the end: newcomers are the youngest as a rule.
static void put_in(struct slots *s, const struct place *place)
{
	if (s->count == s->room) {
		size_t room = s->room == 0 ? 16 : s->room * 2;
		struct place *places = reallocarray(s->places, room, sizeof(*places));
		if (places == NULL)
			return;
		s->places = places;
		s->room = room;
	}
	size_t i = s->count++;
	for (; i > 0 && comes_before(place, &s->places[i - 1]); i--)
		s->places[i] = s->places[i - 1];
	s->places[i] = *place;
	s->held += place->is_held;
}

static void put(struct slots *s, const char *namespace, bool is_held, int64_t since_ms)
{
	struct place place = {.is_held = is_held, .since_ms = since_ms};
	memcpy(place.namespace, namespace, strnlen(namespace, sizeof(place.namespace) - 1));
	bool is_full = s->count - s->held >= WAITING_MAX + s->max;
	if (is_full && !is_held && !comes_before(&place, &s->places[s->count - 1]))
		return;
	size_t i = find(s, namespace);
	if (i < s->count && (s->places[i].is_held || (!is_held && s->places[i].since_ms == since_ms)))
		return;
	if (i < s->count)
		take_out(s, i);
	else if (is_full)
		take_out(s, s->count - 1);
	put_in(s, &place);
}

void slots_hold(struct slots *slots, const char *namespace)
{
	(void)pthread_mutex_lock(&slots->lock);
	put(slots, namespace, true, 0);
	(void)pthread_mutex_unlock(&slots->lock);
}

void slots_wait(struct slots *slots, const char *namespace, int64_t since_ms)
{
	(void)pthread_mutex_lock(&slots->lock);
	put(slots, namespace, false, since_ms);
	(void)pthread_mutex_unlock(&slots->lock);
}

bool slots_take(struct slots *slots, const char *namespace)
{
	(void)pthread_mutex_lock(&slots->lock);
	size_t i = find(slots, namespace);
	// Holders stand first, so the place in line is the number of slots that must be there.
	bool may = i < slots->count && (slots->places[i].is_held || i < slots->max);
	if (may)
		put(slots, namespace, true, 0);
	(void)pthread_mutex_unlock(&slots->lock);
	return may;
}

bool slots_has(struct slots *slots, const char *namespace)
{
	(void)pthread_mutex_lock(&slots->lock);
	size_t i = find(slots, namespace);
	bool has = i < slots->count && slots->places[i].is_held;
	(void)pthread_mutex_unlock(&slots->lock);
	return has;
}

void slots_leave(struct slots *slots, const char *namespace)
{
	(void)pthread_mutex_lock(&slots->lock);
	size_t i = find(slots, namespace);
	if (i < slots->count)
		take_out(slots, i);
	(void)pthread_mutex_unlock(&slots->lock);
}

void slots_clear(struct slots *slots)
{
	(void)pthread_mutex_lock(&slots->lock);
	slots->count = slots->held = 0;
	(void)pthread_mutex_unlock(&slots->lock);
}

void slots_offer(struct slots *slots, void (*may_take)(void *arg, const char *namespace), void *arg)
{
	char namespace[ENTRY_NAMESPACE_SIZE];
	for (size_t next = 0;; next++) {
		(void)pthread_mutex_lock(&slots->lock);
		size_t i = slots->held + next;
		bool is_free = i < slots->count && i < slots->max;
		if (is_free)
			memcpy(namespace, slots->places[i].namespace, sizeof(namespace));
		(void)pthread_mutex_unlock(&slots->lock);
		if (!is_free)
			return;
		may_take(arg, namespace);
	}
}
