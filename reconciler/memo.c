#include "reconciler/memo.h"

#include "base/hash.h"
#include "base/random.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 256
#define FIRST_WAIT_MS 1000
#define LONGEST_WAIT_MS 60000
#define JITTER_PERCENT 20

struct memos {
	pthread_mutex_t lock; // guards the chains, not what is in a memo
	struct memo *buckets[BUCKETS];
	size_t foreign, erring;
};

int memos_new(struct memos **out, struct error *err)
{
	struct memos *made = calloc(1, sizeof(*made));
	if (made == NULL)
		return error_no_memory(err, "memos");
	(void)pthread_mutex_init(&made->lock, NULL);
	*out = made;
	return 0;
}

void memos_free(struct memos *memos)
{
	if (memos == NULL)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		while (memos->buckets[i] != NULL) {
			struct memo *gone = memos->buckets[i];
			memos->buckets[i] = gone->next;
			free(gone);
		}
	}
	(void)pthread_mutex_destroy(&memos->lock);
	free(memos);
}

static struct memo **find(struct memos *memos, const char *namespace)
{
	struct memo **at = &memos->buckets[hash_text(namespace) % BUCKETS];
	while (*at != NULL && strcmp((*at)->namespace, namespace) != 0)
		at = &(*at)->next;
	return at;
}

struct memo *memos_take(struct memos *memos, const char *namespace)
{
	(void)pthread_mutex_lock(&memos->lock);
	struct memo **at = find(memos, namespace);
	if (*at == NULL) {
		*at = calloc(1, sizeof(**at));
		if (*at != NULL)
			memcpy((*at)->namespace, namespace, strnlen(namespace, sizeof((*at)->namespace) - 1));
	}
	struct memo *memo = *at;
	(void)pthread_mutex_unlock(&memos->lock);
	return memo;
}

static bool says_nothing(const struct memo *memo)
{
	return memo->errors_in_row == 0 && memo->teardown_since_mono_ms == 0 && memo->refused_since_mono_ms == 0 &&
	       memo->starting_round[0] == '\0' && memo->landed_run_id[0] == '\0' && !memo->is_foreign && !memo->is_volume_bound;
}

// Only when the worker is through: what is being tried once more still is what it was.
static void count(size_t *total, bool *was_counted, bool is)
{
	*total += is;
	*total -= *was_counted;
	*was_counted = is;
}

void memos_put(struct memos *memos, struct memo *memo)
{
	(void)pthread_mutex_lock(&memos->lock);
	count(&memos->foreign, &memo->counts_as_foreign, memo->is_foreign);
	count(&memos->erring, &memo->counts_as_erring, memo->errors_in_row > 0 && !memo->is_foreign);
	if (says_nothing(memo)) {
		struct memo **at = find(memos, memo->namespace);
		*at = memo->next;
		free(memo);
	}
	(void)pthread_mutex_unlock(&memos->lock);
}

size_t memos_foreign(struct memos *memos)
{
	(void)pthread_mutex_lock(&memos->lock);
	size_t foreign = memos->foreign;
	(void)pthread_mutex_unlock(&memos->lock);
	return foreign;
}

size_t memos_erring(struct memos *memos)
{
	(void)pthread_mutex_lock(&memos->lock);
	size_t erring = memos->erring;
	(void)pthread_mutex_unlock(&memos->lock);
	return erring;
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

int64_t memo_starting_ms(struct memo *memo, const char *round, int64_t now_mono_ms)
{
	const char *key = round == NULL ? "" : round;
	if (strcmp(memo->starting_round, key) != 0) {
		(void)snprintf(memo->starting_round, sizeof(memo->starting_round), "%s", key);
		memo->starting_since_mono_ms = now_mono_ms;
	}
	return round == NULL ? 0 : now_mono_ms - memo->starting_since_mono_ms + 1;
}

void memo_succeeded(struct memo *memo)
{
	memo->errors_in_row = 0;
	memo->next_try_mono_ms = 0;
}
