#include "reconciler/workers.h"

#include <pthread.h>
#include <stdlib.h>

struct workers {
	pthread_t threads[WORKERS_COUNT];
	size_t started;
	pthread_mutex_t lock;
	pthread_cond_t has_work, is_done;
	// The job in hand, under the lock.
	void (*piece)(void *arg, size_t i);
	void *arg;
	size_t next, count, done;
	bool is_closing;
};

static void *work(void *arg)
{
	struct workers *w = arg;
	(void)pthread_mutex_lock(&w->lock);
	for (;;) {
		while (w->next >= w->count && !w->is_closing)
			(void)pthread_cond_wait(&w->has_work, &w->lock);
		if (w->next >= w->count)
			break;
		size_t i = w->next++;
		(void)pthread_mutex_unlock(&w->lock);
		w->piece(w->arg, i);
		(void)pthread_mutex_lock(&w->lock);
		if (++w->done == w->count)
			(void)pthread_cond_signal(&w->is_done);
	}
	(void)pthread_mutex_unlock(&w->lock);
	return NULL;
}

int workers_new(struct workers **out, struct error *err)
{
	AUTO(workers) struct workers *w = calloc(1, sizeof(*w));
	if (w == NULL)
		return error_no_memory(err, "workers");
	(void)pthread_mutex_init(&w->lock, NULL);
	(void)pthread_cond_init(&w->has_work, NULL);
	(void)pthread_cond_init(&w->is_done, NULL);
	for (; w->started < WORKERS_COUNT; w->started++) {
		int rc = pthread_create(&w->threads[w->started], NULL, work, w);
		if (rc != 0)
			return error_set_errno(err, rc, "start worker %zu", w->started + 1);
	}
	*out = TAKE_PTR(w);
	return 0;
}

void workers_free(struct workers *workers)
{
	if (workers == NULL)
		return;
	(void)pthread_mutex_lock(&workers->lock);
	workers->is_closing = true;
	(void)pthread_cond_broadcast(&workers->has_work);
	(void)pthread_mutex_unlock(&workers->lock);
	while (workers->started > 0)
		(void)pthread_join(workers->threads[--workers->started], NULL);
	(void)pthread_cond_destroy(&workers->is_done);
	(void)pthread_cond_destroy(&workers->has_work);
	(void)pthread_mutex_destroy(&workers->lock);
	free(workers);
}

void workers_run(struct workers *workers, size_t count, void (*piece)(void *arg, size_t i), void *arg)
{
	if (count == 0)
		return;
	(void)pthread_mutex_lock(&workers->lock);
	workers->piece = piece;
	workers->arg = arg;
	workers->next = 0;
	workers->done = 0;
	workers->count = count;
	(void)pthread_cond_broadcast(&workers->has_work);
	while (workers->done < count)
		(void)pthread_cond_wait(&workers->is_done, &workers->lock);
	workers->count = 0;
	workers->next = 0;
	(void)pthread_mutex_unlock(&workers->lock);
}
