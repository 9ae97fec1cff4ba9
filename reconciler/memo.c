#include "reconciler/memo.h"

#include "base/random.h"
#include <stdlib.h>
#include <string.h>

#define BUCKETS 4096 // two or three memos a bucket at 10,000 replicas
#define FIRST_WAIT_MS 1000
#define LONGEST_WAIT_MS 60000
#define JITTER_PERCENT 20

struct memos {
	struct memo *buckets[BUCKETS];
};

int memos_new(struct memos **out, struct error *err)
{
	struct memos *made = calloc(1, sizeof(*made));
	if (made == NULL)
		return error_no_memory(err, "memos");
	*out = made;
	return 0;
}

void memos_free(struct memos *memos)
{
	if (memos == NULL)
		return;
	memos_sweep(memos); // what was seen is left once
	memos_sweep(memos);
	free(memos);
}

static size_t bucket_of(const char *namespace)
{
	uint32_t hash = UINT32_C(2166136261); // FNV-1a, 32 bit
	for (const char *c = namespace; *c != '\0'; c++)
		hash = (hash ^ (unsigned char)*c) * UINT32_C(16777619);
	return hash % BUCKETS;
}

struct memo *memos_get(struct memos *memos, const char *namespace)
{
	struct memo **first = &memos->buckets[bucket_of(namespace)];
	struct memo *m = *first;
	while (m != NULL && strcmp(m->namespace, namespace) != 0)
		m = m->next;
	if (m == NULL) {
		m = calloc(1, sizeof(*m));
		if (m == NULL)
			return NULL;
		memcpy(m->namespace, namespace, strnlen(namespace, sizeof(m->namespace) - 1));
		m->next = *first;
		*first = m;
	}
	m->is_seen = true;
	return m;
}

void memos_sweep(struct memos *memos)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		struct memo **at = &memos->buckets[i];
		while (*at != NULL) {
			struct memo *m = *at;
			if (m->is_seen) {
				m->is_seen = false;
				at = &m->next;
			} else {
				*at = m->next;
				free(m);
			}
		}
	}
}

void memo_failed(struct memo *memo, const struct error *err, int64_t now_mono_ms)
{
	int64_t wait = FIRST_WAIT_MS;
	for (int i = 0; i < memo->errors_in_row && wait < LONGEST_WAIT_MS; i++)
		wait *= 2;
	if (wait > LONGEST_WAIT_MS)
		wait = LONGEST_WAIT_MS;
	memo->errors_in_row++;
	wait = random_jitter(wait, JITTER_PERCENT);
	memo->next_try_mono_ms = now_mono_ms + (err->retry_after_ms > wait ? err->retry_after_ms : wait);
}

void memo_succeeded(struct memo *memo)
{
	memo->errors_in_row = 0;
	memo->next_try_mono_ms = 0;
}
