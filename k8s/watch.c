#include "k8s/watch.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "k8s/call.h"
#include "k8s/url.h"
#include "k8s/watch_event.h"
#include "k8s/watch_lines.h"
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define VERSION_MAX ((size_t)1 << 10) // of an opaque text that is a number today
#define HASTY_MS 1000                 // a stream that ended sooner and said nothing was closed at once
#define SETTLED_MS 30000              // a stream that lived so long was no failure, whatever its end
#define JITTER_PERCENT 50
#define TIMEOUT_GRACE_MS 60000 // for the server to end the stream itself
#define ACCEPT_METADATA "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json"

static const struct k8s_watch_timings default_timings = {
	.timeout_min_s = 300,
	.timeout_max_s = 600, // as client-go's reflector: 5 to 10 minutes
	.silence_ms = K8S_WATCH_SILENCE_MS,
	.pause_first_ms = 1000,
	.pause_max_ms = 30000,
};

struct k8s_watch {
	struct k8s_client *client;
	struct k8s_watch_options options;
	struct k8s_watch_timings timings;
	pthread_t thread;
	atomic_bool stop;
	atomic_bool is_synced;

	pthread_mutex_t lock; // guards status, but is_synced
	pthread_cond_t wake;  // when stop turns true
	struct k8s_watch_status status;

	// The thread's own.
	struct buf version; // where the stream goes on; empty: list first
	int failures;       // in a row: how long the next pause is
	int hasty;          // streams in a row that were closed at once
	uint64_t listed;    // objects of the list in hand
};

// One stream.
struct stream {
	struct k8s_watch *watch;
	struct watch_lines lines;
	int64_t opened_at_ms; // monotonic; 0 when no head came
	uint64_t events;      // and bookmarks
	bool is_broken;       // the owner could not take a change
	bool has_warned;
};

static void set_error(struct k8s_watch *w, const char *text)
{
	(void)pthread_mutex_lock(&w->lock);
	(void)snprintf(w->status.error, sizeof(w->status.error), "%s", text);
	(void)pthread_mutex_unlock(&w->lock);
}

static void count(struct k8s_watch *w, uint64_t *counter)
{
	(void)pthread_mutex_lock(&w->lock);
	(*counter)++;
	(void)pthread_mutex_unlock(&w->lock);
}

// --- list ---

static int on_listed(void *arg, json_t *item, struct error *err)
{
	struct k8s_watch *w = arg;
	if (watch_event_check_object(item, err) < 0)
		return error_wrap(err, "list %s", w->options.resource->plural);
	w->listed++;
	return w->options.callbacks.on_object(w->options.callbacks.arg, item, err);
}

static void on_list_begin(void *arg)
{
	struct k8s_watch *w = arg;
	w->listed = 0;
	w->options.callbacks.on_list_begin(w->options.callbacks.arg);
}

// resourceVersion is left out: what the list says is then no older than the request, so the mirror never goes back in time.
static int list(struct k8s_watch *w, struct error *err)
{
	AUTO(buf) struct buf version;
	buf_init(&version, VERSION_MAX);
	const struct k8s_list_options options = {
		.label_selector = w->options.label_selector,
		.metadata_only = w->options.metadata_only,
		.on_item = on_listed,
		.on_restart = on_list_begin,
		.arg = w,
		.resource_version = &version,
		.cancel = &w->stop,
	};
	on_list_begin(w);
	if (k8s_list(w->client, w->options.resource, w->options.namespace, &options, err) < 0 ||
		w->options.callbacks.on_list_end(w->options.callbacks.arg, err) < 0 ||
		buf_add(&w->version, version.data, version.len, err) < 0)
		return -1;
	count(w, &w->status.lists);
	atomic_store(&w->is_synced, true);
	log_info("listed", LOG_STR("resource", w->options.resource->plural), LOG_INT("objects", w->listed));
	return 0;
}

// --- stream ---

static int set_version(struct k8s_watch *w, const char *version, struct error *err)
{
	buf_reset(&w->version);
	return buf_add_str(&w->version, version, err);
}

static int on_change(struct stream *s, const struct watch_event *event, struct error *err)
{
	static const enum k8s_watch_change changes[] = {
		[WATCH_EVENT_ADDED] = K8S_WATCH_ADDED,
		[WATCH_EVENT_MODIFIED] = K8S_WATCH_MODIFIED,
		[WATCH_EVENT_DELETED] = K8S_WATCH_DELETED,
	};
	const struct k8s_watch_callbacks *callbacks = &s->watch->options.callbacks;
	if (callbacks->on_change(callbacks->arg, changes[event->type], event->object, err) < 0)
		return -1;
	count(s->watch, &s->watch->status.events);
	return 0;
}

static void warn_unknown(struct stream *s, const struct watch_event *event)
{
	if (!s->has_warned)
		log_warn("watch event of an unknown type is left out", LOG_STR("resource", s->watch->options.resource->plural),
			LOG_STR("type", event->type_text));
	s->has_warned = true;
}

static int take_event(struct stream *s, const struct watch_event *event, struct error *err)
{
	switch (event->type) {
	case WATCH_EVENT_ERROR:
		*err = event->error;
		return -1;
	case WATCH_EVENT_UNKNOWN:
		warn_unknown(s, event);
		return 0;
	case WATCH_EVENT_ADDED:
	case WATCH_EVENT_MODIFIED:
	case WATCH_EVENT_DELETED:
		s->is_broken = on_change(s, event, err) < 0;
		if (s->is_broken)
			return -1;
		break;
	case WATCH_EVENT_BOOKMARK:
		break;
	}
	s->events++;
	return set_version(s->watch, event->version, err);
}

static int on_line(void *arg, const char *line, size_t len, struct error *err)
{
	struct stream *s = arg;
	AUTO(watch_event) struct watch_event event = {0};
	if (watch_event_decode(line, len, &event, err) < 0)
		return -1;
	return take_event(s, &event, err);
}

static void on_head(void *arg, int status)
{
	struct stream *s = arg;
	(void)status;
	s->opened_at_ms = clock_mono_ms();
	count(s->watch, &s->watch->status.streams);
	set_error(s->watch, "");
}

static int on_body(void *arg, const char *data, size_t len, struct error *err)
{
	struct stream *s = arg;
	return watch_lines_feed(&s->lines, data, len, err);
}

static int64_t draw_timeout_s(const struct k8s_watch_timings *timings)
{
	int64_t middle = (timings->timeout_min_s + timings->timeout_max_s) / 2;
	int64_t half = (timings->timeout_max_s - timings->timeout_min_s) / 2;
	return random_jitter(middle, middle == 0 ? 0 : (int)(half * 100 / middle));
}

static int stream_target(const struct k8s_watch *w, int64_t timeout_s, struct buf *target, struct error *err)
{
	char timeout[24];
	(void)snprintf(timeout, sizeof(timeout), "%" PRId64, timeout_s);
	if (k8s_url_path(target, w->options.resource, w->options.namespace, NULL, err) < 0 ||
		k8s_url_query(target, "watch", "1", err) < 0 || k8s_url_query(target, "allowWatchBookmarks", "true", err) < 0 ||
		k8s_url_query(target, "timeoutSeconds", timeout, err) < 0 ||
		k8s_url_query(target, "resourceVersion", buf_str(&w->version), err) < 0)
		return -1;
	const char *selector = w->options.label_selector;
	return selector == NULL ? 0 : k8s_url_query(target, "labelSelector", selector, err);
}

// Until the server ends it, or it fails.
static int follow(struct k8s_watch *w, struct stream *s, struct error *err)
{
	int64_t timeout_s = draw_timeout_s(&w->timings);
	AUTO(http_response) struct http_response response = {0};
	AUTO(buf) struct buf target;
	buf_init(&target, K8S_URL_MAX);
	if (stream_target(w, timeout_s, &target, err) < 0)
		return -1;
	const struct k8s_call call = {
		.verb = "watch",
		.resource = w->options.resource->plural,
		.namespace = w->options.namespace,
		.method = "GET",
		.target = buf_str(&target),
		.accept = w->options.metadata_only ? ACCEPT_METADATA : NULL,
		.on_head = on_head,
		.on_body = on_body,
		.arg = s,
		.max_body_bytes = SIZE_MAX,
		.timeout_ms = timeout_s * 1000 + TIMEOUT_GRACE_MS,
		.silence_timeout_ms = w->timings.silence_ms,
		.tries = 1,
		.cancel = &w->stop,
	};
	return k8s_call_do(w->client, &call, &response, err);
}

// --- what follows ---

static int64_t next_pause_ms(struct k8s_watch *w)
{
	int64_t pause_ms = w->timings.pause_first_ms;
	for (int i = 0; i < w->failures && pause_ms < w->timings.pause_max_ms; i++)
		pause_ms *= 2;
	w->failures++;
	return random_jitter(pause_ms < w->timings.pause_max_ms ? pause_ms : w->timings.pause_max_ms, JITTER_PERCENT);
}

static int64_t lived_ms(const struct stream *s)
{
	return s->opened_at_ms == 0 ? 0 : clock_mono_ms() - s->opened_at_ms;
}

// Returns how long to pause.
static int64_t after_end(struct k8s_watch *w, const struct stream *s)
{
	bool was_short = lived_ms(s) < HASTY_MS;
	bool was_hasty = was_short && s->events == 0;
	log_debug("watch ended", LOG_STR("resource", w->options.resource->plural), LOG_INT("lived_ms", lived_ms(s)),
		LOG_INT("events", s->events));
	w->hasty = was_hasty ? w->hasty + 1 : 0;
	if (!was_hasty)
		w->failures = 0;
	// A server that takes our place in the stream for nothing may say so this way, without a 410.
	if (w->hasty >= K8S_WATCH_HASTY_MAX) {
		w->hasty = 0;
		buf_reset(&w->version);
		log_warn("watch is closed at once, again and again; listing again",
			LOG_STR("resource", w->options.resource->plural));
	}
	if (was_hasty)
		return next_pause_ms(w);
	return was_short ? random_jitter(w->timings.pause_first_ms, JITTER_PERCENT) : 0;
}

// Whether what came in between can still be had from the place where the stream stands.
static bool keeps_place(const struct stream *s, const struct error *err)
{
	return !s->is_broken && (err->kind == ERROR_TRANSIENT || err->http_status == 401 || err->http_status == 403);
}

// Returns how long to pause.
static int64_t after_failure(struct k8s_watch *w, const struct stream *s, const struct error *err)
{
	bool has_served = s->events > 0 && !s->is_broken && (err->http_status == 0 || err->http_status == 410);
	if (lived_ms(s) >= SETTLED_MS || (has_served && err->kind != ERROR_INVALID))
		w->failures = 0;
	bool keeps = w->version.len > 0 && keeps_place(s, err);
	if (!keeps)
		buf_reset(&w->version);
	int64_t pause_ms = next_pause_ms(w);
	int64_t asked_ms =
		err->retry_after_ms < K8S_WATCH_RETRY_AFTER_MAX_MS ? err->retry_after_ms : K8S_WATCH_RETRY_AFTER_MAX_MS;
	pause_ms = pause_ms < asked_ms ? random_jitter(asked_ms + asked_ms / 20, 5) : pause_ms;
	set_error(w, err->text);
	log_warn("watch failed", LOG_STR("resource", w->options.resource->plural), LOG_ERR(err), LOG_BOOL("lists_again", !keeps),
		LOG_INT("pause_ms", pause_ms));
	return pause_ms;
}

static void pause_thread(struct k8s_watch *w, int64_t ms)
{
	struct timespec until;
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	(void)pthread_mutex_lock(&w->lock);
	while (!atomic_load(&w->stop) && pthread_cond_timedwait(&w->wake, &w->lock, &until) != ETIMEDOUT)
		;
	(void)pthread_mutex_unlock(&w->lock);
}

static void *run(void *arg)
{
	struct k8s_watch *w = arg;
	while (!atomic_load(&w->stop)) {
		struct error err = {0};
		struct stream s = {.watch = w};
		watch_lines_init(&s.lines, K8S_WATCH_LINE_MAX, on_line, &s);
		int rc = w->version.len == 0 ? list(w, &err) : 0;
		if (rc == 0)
			rc = follow(w, &s, &err);
		watch_lines_fini(&s.lines);
		if (!atomic_load(&w->stop))
			pause_thread(w, rc == 0 ? after_end(w, &s) : after_failure(w, &s, &err));
	}
	return NULL;
}

// --- life ---

static void free_watch(struct k8s_watch *w)
{
	buf_fini(&w->version);
	(void)pthread_cond_destroy(&w->wake);
	(void)pthread_mutex_destroy(&w->lock);
	free(w);
}

int k8s_watch_start(struct k8s_client *client, const struct k8s_watch_options *options, struct k8s_watch **out, struct error *err)
{
	pthread_condattr_t monotonic;
	struct k8s_watch *w = calloc(1, sizeof(*w));
	if (w == NULL)
		return error_no_memory(err, "watch");
	w->client = client;
	w->options = *options;
	w->timings = options->timings == NULL ? default_timings : *options->timings;
	buf_init(&w->version, VERSION_MAX);
	(void)pthread_mutex_init(&w->lock, NULL);
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&w->wake, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
	int rc = pthread_create(&w->thread, NULL, run, w);
	if (rc != 0) {
		free_watch(w);
		return error_set_errno(err, rc, "thread of the watch of %s", options->resource->plural);
	}
	*out = w;
	return 0;
}

void k8s_watch_cancel(struct k8s_watch *watch)
{
	(void)pthread_mutex_lock(&watch->lock);
	atomic_store(&watch->stop, true);
	(void)pthread_cond_signal(&watch->wake);
	(void)pthread_mutex_unlock(&watch->lock);
}

void k8s_watch_stop(struct k8s_watch *watch)
{
	if (watch == NULL)
		return;
	k8s_watch_cancel(watch);
	(void)pthread_join(watch->thread, NULL);
	free_watch(watch);
}

bool k8s_watch_is_synced(const struct k8s_watch *watch)
{
	return atomic_load(&watch->is_synced);
}

void k8s_watch_read_status(struct k8s_watch *watch, struct k8s_watch_status *out)
{
	(void)pthread_mutex_lock(&watch->lock);
	*out = watch->status;
	(void)pthread_mutex_unlock(&watch->lock);
	out->is_synced = k8s_watch_is_synced(watch);
}
