#include "reconciler/note.h"

#include "base/hash.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 256

struct kept {
	struct kept *next;
	char namespace[ENTRY_NAMESPACE_SIZE];
	struct note note;
};

struct notes {
	pthread_mutex_t lock; // guards all below
	struct kept *buckets[BUCKETS];
	size_t count;
	uint64_t revision;
};

int notes_new(struct notes **out, struct error *err)
{
	struct notes *made = calloc(1, sizeof(*made));
	if (made == NULL)
		return error_no_memory(err, "notes");
	(void)pthread_mutex_init(&made->lock, NULL);
	*out = made;
	return 0;
}

void notes_free(struct notes *notes)
{
	if (notes == NULL)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		while (notes->buckets[i] != NULL) {
			struct kept *gone = notes->buckets[i];
			notes->buckets[i] = gone->next;
			free(gone);
		}
	}
	(void)pthread_mutex_destroy(&notes->lock);
	free(notes);
}

static struct kept **find(struct notes *notes, const char *namespace)
{
	struct kept **at = &notes->buckets[hash_text(namespace) % BUCKETS];
	while (*at != NULL && strcmp((*at)->namespace, namespace) != 0)
		at = &(*at)->next;
	return at;
}

static void drop(struct notes *notes, struct kept **at)
{
	struct kept *gone = *at;
	if (gone == NULL)
		return;
	*at = gone->next;
	notes->count--;
	notes->revision++;
	free(gone);
}

static void drop_stale(struct notes *notes, int64_t now_ms)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		struct kept **at = &notes->buckets[i];
		while (*at != NULL) {
			const struct note *n = &(*at)->note;
			if (n->errors_in_row == 0 && now_ms - n->heard_at_ms > NOTES_STALE_MS)
				drop(notes, at);
			else
				at = &(*at)->next;
		}
	}
}

// NULL: no room, or no memory.
static struct note *need(struct notes *notes, const char *namespace, int64_t now_ms)
{
	struct kept **at = find(notes, namespace);
	if (*at == NULL && notes->count >= NOTES_MAX) {
		drop_stale(notes, now_ms);
		at = find(notes, namespace);
	}
	if (*at == NULL && notes->count < NOTES_MAX) {
		*at = calloc(1, sizeof(**at));
		if (*at != NULL) {
			memcpy((*at)->namespace, namespace, strnlen(namespace, ENTRY_NAMESPACE_SIZE - 1));
			notes->count++;
		}
	}
	return *at == NULL ? NULL : &(*at)->note;
}

void notes_progress(struct notes *notes, const char *namespace, const char *round, int64_t received_bytes, int64_t now_ms)
{
	(void)pthread_mutex_lock(&notes->lock);
	struct note *n = need(notes, namespace, now_ms);
	if (n != NULL) {
		int64_t took_ms = now_ms - n->heard_at_ms;
		bool goes_on = strcmp(n->round, round) == 0 && received_bytes >= n->received_bytes;
		int64_t rate = goes_on ? n->bytes_per_s : -1;
		if (goes_on && took_ms > 0)
			rate = (int64_t)((double)(received_bytes - n->received_bytes) * 1000.0 / (double)took_ms);
		memcpy(n->round, round, strnlen(round, sizeof(n->round) - 1) + 1);
		n->round[sizeof(n->round) - 1] = '\0';
		n->received_bytes = received_bytes;
		n->heard_at_ms = now_ms;
		n->bytes_per_s = rate;
		notes->revision++;
	}
	(void)pthread_mutex_unlock(&notes->lock);
}

void notes_trouble(
	struct notes *notes, const char *namespace, int errors_in_row, int64_t next_try_ms, const char *why, int64_t now_ms)
{
	(void)pthread_mutex_lock(&notes->lock);
	struct note *n = need(notes, namespace, now_ms);
	if (n != NULL) {
		n->errors_in_row = errors_in_row;
		n->next_try_ms = next_try_ms;
		(void)snprintf(n->trouble, sizeof(n->trouble), "%s", why);
		notes->revision++;
	}
	(void)pthread_mutex_unlock(&notes->lock);
}

void notes_well(struct notes *notes, const char *namespace)
{
	(void)pthread_mutex_lock(&notes->lock);
	struct kept **at = find(notes, namespace);
	if (*at != NULL && (*at)->note.errors_in_row > 0) {
		(*at)->note.errors_in_row = 0;
		notes->revision++;
		if ((*at)->note.round[0] == '\0')
			drop(notes, at);
	}
	(void)pthread_mutex_unlock(&notes->lock);
}

void notes_forget(struct notes *notes, const char *namespace)
{
	(void)pthread_mutex_lock(&notes->lock);
	drop(notes, find(notes, namespace));
	(void)pthread_mutex_unlock(&notes->lock);
}

bool notes_look(struct notes *notes, const char *namespace, struct note *out)
{
	*out = (struct note){0};
	(void)pthread_mutex_lock(&notes->lock);
	const struct kept *kept = *find(notes, namespace);
	if (kept != NULL)
		*out = kept->note;
	(void)pthread_mutex_unlock(&notes->lock);
	return kept != NULL;
}

uint64_t notes_revision(struct notes *notes)
{
	(void)pthread_mutex_lock(&notes->lock);
	uint64_t revision = notes->revision;
	(void)pthread_mutex_unlock(&notes->lock);
	return revision;
}
