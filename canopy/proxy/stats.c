#include "canopy/proxy/stats.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "canopy/proxy/broker_client.h"
#include <pthread.h>
#include <time.h>

#define PROGRESS_TIMEOUT_MS 20000
#define TOTALS_AGAIN_MS 300

struct stats_reporter {
	const struct config *config;
	const struct stats *stats;
	struct broker_client *broker; // of the thread
	atomic_bool cancel;
	pthread_t thread;
	pthread_mutex_t lock; // guards stop
	pthread_cond_t stopped;
	bool stop;
};

static json_int_t value(const atomic_llong *counter)
{
	return (json_int_t)atomic_load_explicit(counter, memory_order_relaxed);
}

int stats_print(const struct stats *stats, const struct config *config, bool is_progress, char **out, struct error *err)
{
	AUTO(json) json_t *body = NULL;
	json_begin();
	json_t *made = json_pack("{s:I, s:I, s:I, s:I}", "sent_raw_bytes", value(&stats->sent_raw_bytes), "sent_payload_bytes",
		value(&stats->sent_payload_bytes), "received_raw_bytes", value(&stats->received_raw_bytes),
		"received_payload_bytes", value(&stats->received_payload_bytes));
	if (json_made_whole(made, "byte counts", &body, err) < 0)
		return -1;
	if (is_progress &&
		(json_object_set_new(body, "type", json_string(config->type)) < 0 ||
			(config->run_id != NULL && json_object_set_new(body, "run_id", json_string(config->run_id)) < 0)))
		return error_no_memory(err, "byte counts");
	return json_print(body, out, err);
}

static int post(struct broker_client *broker, const struct stats_reporter *r, const char *url, bool is_progress,
	int64_t timeout_ms, struct error *err)
{
	AUTO_FREE char *body = NULL;
	struct http_response response = {0};
	if (stats_print(r->stats, r->config, is_progress, &body, err) < 0 ||
		broker_client_post(broker, url, body, timeout_ms, &response, err) < 0)
		return -1;
	http_response_fini(&response);
	return 0;
}

static bool wait_for_stop(struct stats_reporter *r, int64_t ms)
{
	int64_t until_ms = clock_mono_ms() + ms;
	const struct timespec when = {.tv_sec = until_ms / 1000, .tv_nsec = (until_ms % 1000) * 1000000};
	(void)pthread_mutex_lock(&r->lock);
	while (!r->stop && pthread_cond_timedwait(&r->stopped, &r->lock, &when) == 0)
		;
	bool stop = r->stop;
	(void)pthread_mutex_unlock(&r->lock);
	return stop;
}

static void *run(void *arg)
{
	struct stats_reporter *r = arg;
	bool failed = false;
	while (!wait_for_stop(r, r->config->progress_ms)) {
		struct error err = {0};
		bool fails = post(r->broker, r, r->config->progress_url, true, PROGRESS_TIMEOUT_MS, &err) < 0;
		if (fails && !failed && err.kind != ERROR_CANCELLED)
			log_warn("the progress could not be posted", LOG_ERR(&err));
		failed = fails;
	}
	return NULL;
}

static void post_totals(struct stats_reporter *r)
{
	struct error err = {0};
	AUTO(broker_client) struct broker_client *broker = NULL; // one that is not cancelled
	const struct timespec pause = {.tv_nsec = (long)TOTALS_AGAIN_MS * 1000000};
	int64_t until_ms = clock_mono_ms() + r->config->totals_ms;
	int rc = broker_client_new(r->config, NULL, &broker, &err);
	if (rc == 0)
		rc = post(broker, r, r->config->stats_url, false, r->config->totals_ms, &err);
	while (rc < 0 && broker != NULL && (err.kind == ERROR_TRANSIENT || err.kind == ERROR_INTERNAL) &&
		clock_mono_ms() + TOTALS_AGAIN_MS < until_ms) {
		(void)nanosleep(&pause, NULL);
		rc = post(broker, r, r->config->stats_url, false, until_ms - clock_mono_ms() + 1, &err);
	}
	if (rc < 0)
		log_error("the totals could not be posted", LOG_ERR(&err));
}

int stats_reporter_new(const struct config *config, const struct stats *stats, struct stats_reporter **out, struct error *err)
{
	pthread_condattr_t monotonic;
	struct stats_reporter *r = calloc(1, sizeof(*r));
	if (r == NULL)
		return error_no_memory(err, "reporter");
	r->config = config;
	r->stats = stats;
	(void)pthread_mutex_init(&r->lock, NULL);
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&r->stopped, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
	if (config->progress_url != NULL) {
		int rc = broker_client_new(config, &r->cancel, &r->broker, err);
		int started = rc < 0 ? 0 : pthread_create(&r->thread, NULL, run, r);
		if (started != 0)
			rc = error_set_errno(err, started, "thread for the progress");
		if (rc < 0) {
			broker_client_free(r->broker);
			free(r);
			return -1;
		}
	}
	*out = r;
	return 0;
}

void stats_reporter_free(struct stats_reporter *reporter)
{
	if (reporter == NULL)
		return;
	atomic_store(&reporter->cancel, true);
	(void)pthread_mutex_lock(&reporter->lock);
	reporter->stop = true;
	(void)pthread_cond_signal(&reporter->stopped);
	(void)pthread_mutex_unlock(&reporter->lock);
	if (reporter->broker != NULL)
		(void)pthread_join(reporter->thread, NULL);
	if (reporter->config->stats_url != NULL)
		post_totals(reporter);
	broker_client_free(reporter->broker);
	(void)pthread_cond_destroy(&reporter->stopped);
	(void)pthread_mutex_destroy(&reporter->lock);
	free(reporter);
}
