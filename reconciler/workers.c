#include "reconciler/workers.h"

#include "base/clock.h"
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
	int64_t waited_ms;
	while (queue_take(op->queue, namespace, &waited_ms)) {
		const int64_t begin_mono_ms = clock_mono_ms();
		metrics_observe(op->metrics, METRIC_WORKQUEUE_QUEUE_DURATION_SECONDS, (double)waited_ms / 1000.0);
		reconcile(op, namespace);
		queue_done(op->queue, namespace);
		const int64_t took_ms = clock_mono_ms() - begin_mono_ms;
		metrics_observe(op->metrics, METRIC_WORKQUEUE_WORK_DURATION_SECONDS, (double)took_ms / 1000.0);
		metrics_observe(op->metrics, METRIC_RECONCILE_TIME_SECONDS, (double)took_ms / 1000.0);
	}
	return NULL;
}

int workers_start(struct manager *op, struct workers **out, struct error *err)
{
	AUTO(workers) struct workers *w = calloc(1, sizeof(*w));
	if (w == NULL)
		return error_no_memory(err, "workers");
	w->op = op;
	metrics_set(op->metrics, METRIC_MAX_CONCURRENT_RECONCILES, NULL, NULL, NULL, WORKERS_COUNT);
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
