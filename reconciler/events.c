#include "reconciler/events.h"

#include "base/clock.h"
#include "base/log.h"
#include "builders/objects.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// client-go folds repeats for 6 minutes (tools/events/event_broadcaster.go); the table forgets the oldest series when it is full.
// What goes on and on is told of once a minute: a pass that finds the same each time is no reason to write each time.
#define SERIES_MS (INT64_C(6) * 60 * 1000)
#define REFRESH_MS (INT64_C(60) * 1000)
#define SERIES_MAX 256

// One Event that was sent and may come again.
struct series {
	uint64_t what;            // hash of all that makes two Events the same
	int64_t last_ms, told_ms; // when it last came, and when the API server was last told
	int count;
	char where[ENTRY_NAMESPACE_SIZE]; // the Namespace the Event lives in
	char name[ENTRY_NAMESPACE_SIZE + 40];
};

struct events {
	struct k8s_client *k8s;
	char *instance;
	pthread_mutex_t lock; // of the series
	struct series series[SERIES_MAX];
	unsigned int made; // makes names unique within a millisecond
};

int events_new(struct k8s_client *k8s, const char *instance, struct events **out, struct error *err)
{
	AUTO(events) struct events *made = calloc(1, sizeof(*made));
	if (made == NULL || (made->instance = strdup(instance)) == NULL)
		return error_no_memory(err, "events");
	made->k8s = k8s;
	(void)pthread_mutex_init(&made->lock, NULL);
	*out = TAKE_PTR(made);
	return 0;
}

void events_free(struct events *events)
{
	if (events == NULL)
		return;
	(void)pthread_mutex_destroy(&events->lock);
	free(events->instance);
	free(events);
}

static uint64_t hash_of(const char *const *texts, size_t count)
{
	uint64_t hash = UINT64_C(14695981039346656037);
	for (size_t i = 0; i < count; i++) {
		for (const char *c = texts[i] == NULL ? "" : texts[i]; *c != '\0'; c++)
			hash = (hash ^ (unsigned char)*c) * UINT64_C(1099511628211);
		hash = (hash ^ 0xff) * UINT64_C(1099511628211);
	}
	return hash;
}

// Find the living series of this Event and count it on: true and *out is its state; or take the oldest place for a new one. Of a
// series that has been told of lately, count 0 comes out: nothing is to be said.
static bool count_on(struct events *events, uint64_t what, int64_t now_ms, struct series *out)
{
	struct series *oldest = &events->series[0];
	bool is_repeat = false;

	(void)pthread_mutex_lock(&events->lock);
	for (size_t i = 0; i < SERIES_MAX && !is_repeat; i++) {
		struct series *s = &events->series[i];
		is_repeat = s->what == what && s->name[0] != '\0' && now_ms - s->last_ms < SERIES_MS;
		if (is_repeat || s->last_ms < oldest->last_ms)
			oldest = s;
	}
	if (is_repeat) {
		oldest->count++;
		oldest->last_ms = now_ms;
		const bool is_told = oldest->count > 2 && now_ms - oldest->told_ms < REFRESH_MS;
		if (!is_told)
			oldest->told_ms = now_ms;
		*out = *oldest;
		out->count = is_told ? 0 : oldest->count;
	} else {
		out->count = (int)events->made++;
	}
	(void)pthread_mutex_unlock(&events->lock);
	return is_repeat;
}

static void remember(struct events *events, uint64_t what, int64_t now_ms, const char *where, const char *name)
{
	(void)pthread_mutex_lock(&events->lock);
	struct series *oldest = &events->series[0];
	for (size_t i = 1; i < SERIES_MAX; i++) {
		if (events->series[i].last_ms < oldest->last_ms)
			oldest = &events->series[i];
	}
	*oldest = (struct series){.what = what, .last_ms = now_ms, .told_ms = now_ms, .count = 1};
	(void)snprintf(oldest->where, sizeof(oldest->where), "%s", where);
	(void)snprintf(oldest->name, sizeof(oldest->name), "%s", name);
	(void)pthread_mutex_unlock(&events->lock);
}

static int send_repeat(struct events *events, const struct series *s, struct error *err)
{
	char now[CLOCK_TEXT_SIZE];
	AUTO(json) json_t *patch = NULL;
	clock_format_micro(s->last_ms, now);
	if (json_made(json_pack("{s:{s:i,s:s}}", "series", "count", s->count, "lastObservedTime", now), "event series", &patch,
		    err) < 0)
		return -1;
	return k8s_patch(events->k8s, &K8S_EVENT, s->where, s->name, patch, NULL, err);
}

static int send_new(struct events *events, uint64_t what, const struct build_event *event, struct error *err)
{
	AUTO(json) json_t *object = NULL;
	if (build_event(event, &object, err) < 0)
		return -1;
	const char *where = json_find_str(object, "metadata", "namespace");
	const char *name = json_find_str(object, "metadata", "name");
	if (where == NULL || name == NULL)
		return error_set(err, ERROR_INTERNAL, "an event without a name");
	if (k8s_create(events->k8s, &K8S_EVENT, where, object, NULL, err) < 0)
		return -1;
	remember(events, what, event->now_ms, where, name);
	return 0;
}

void events_send(struct events *events, const char *namespace, const struct event_regarding *regarding, bool is_warning,
	const char *reason, const char *action, const char *note)
{
	events_send_at(events, namespace, regarding, is_warning, reason, action, note, clock_wall_ms());
}

void events_send_at(struct events *events, const char *namespace, const struct event_regarding *regarding, bool is_warning,
	const char *reason, const char *action, const char *note, int64_t now_ms)
{
	struct error err = {0};
	struct series s = {0};
	char unique[40];
	const char *const texts[] = {namespace, regarding->kind, regarding->name, reason, action, note};
	uint64_t what = hash_of(texts, sizeof(texts) / sizeof(texts[0]));

	bool is_repeat = count_on(events, what, now_ms, &s);
	if (is_repeat && (s.count == 0 || send_repeat(events, &s, &err) == 0))
		return;
	if (!is_repeat || err.kind == ERROR_NOT_FOUND) {
		(void)snprintf(unique, sizeof(unique), "%llx.%x", (unsigned long long)now_ms, (unsigned int)s.count);
		const struct build_event event = {.namespace = namespace,
			.regarding_kind = regarding->kind,
			.regarding_api_version = regarding->api_version,
			.regarding_name = regarding->name,
			.regarding_uid = regarding->uid,
			.reason = reason,
			.action = action,
			.note = note,
			.is_warning = is_warning,
			.now_ms = now_ms,
			.instance = events->instance,
			.unique = unique};
		if (send_new(events, what, &event, &err) == 0)
			return;
	}
	log_warn("event not sent", LOG_STR("namespace", namespace), LOG_STR("reason", reason), LOG_ERR(&err));
}
