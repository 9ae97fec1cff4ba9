#include "reconciler/workers.h"

#include "reconciler/reconcile.h"
#include <pthread.h>
#include <stdlib.h>

struct workers {
	struct manager *op;
	pthread_t threads[WORKERS_COUNT];
	size_t started;
};

static void *work(void *arg)
{
	struct manager *op = arg;
	char namespace[ENTRY_NAMESPACE_SIZE];
	while (queue_take(op->queue, namespace)) {
		reconcile(op, namespace);
		queue_done(op->queue, namespace);
	}
	return NULL;
}

int workers_start(struct manager *op, struct workers **out, struct error *err)
{
	AUTO(workers) struct workers *w = calloc(1, sizeof(*w));
	if (w == NULL)
		return error_no_memory(err, "workers");
	w->op = op;
	for (; w->started < WORKERS_COUNT; w->started++) {
		int rc = pthread_create(&w->threads[w->started], NULL, work, op);
		if (rc != 0)
			return error_set_errno(err, rc, "start worker %zu", w->started + 1);
	}
	*out = TAKE_PTR(w);
	return 0;
}

void workers_stop(struct workers *workers)
{
	if (workers == NULL)
		return;
	queue_close(workers->op->queue);
	while (workers->started > 0)
		(void)pthread_join(workers->threads[--workers->started], NULL);
	free(workers);
}
