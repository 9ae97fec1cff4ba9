#include "k8s/lease.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/uuid.h"
#include "k8s/call.h"
#include "k8s/lease_record.h"
#include "k8s/url.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NOT_HELD INT64_MIN

struct lease {
	struct k8s_client *client;
	char *namespace;
	char *name;
	char *identity;
	struct lease_timings timings;
	struct lease_clock clock;
	void (*on_change)(void *arg, bool is_held);
	void *arg;
	int64_t try_timeout_ms;

	_Atomic int64_t held_until_ms; // monotonic
	atomic_bool stop;
	atomic_bool cancel; // the calls in flight
	bool has_thread;
	pthread_t thread;

	pthread_mutex_t lock; // guards status, but is_held
	pthread_cond_t wake;  // when stop turns true
	struct lease_status status;

	// The thread's own; or of who calls lease_try() and lease_stop().
	json_t *seen;           // the object as last seen; NULL: none
	int64_t seen_change_ms; // monotonic: when its record was last seen to change
	bool may_be_ours;       // a claim was sent since another was last seen to hold it
	bool told_held;         // what on_change last said
	bool has_failed;        // the last try; only the first of a row is a warning
};

static int64_t mono_ms(const struct lease *l)
{
	return l->clock.mono_ms(l->clock.arg);
}

static int64_t own_mono_ms(void *arg)
{
	(void)arg;
	return clock_mono_ms();
}

static int64_t own_wall_ms(void *arg)
{
	(void)arg;
	return clock_wall_ms();
}

bool lease_is_held(const struct lease *lease)
{
	return mono_ms(lease) < atomic_load(&lease->held_until_ms);
}

void lease_read_status(struct lease *lease, struct lease_status *out)
{
	(void)pthread_mutex_lock(&lease->lock);
	*out = lease->status;
	(void)pthread_mutex_unlock(&lease->lock);
	out->is_held = lease_is_held(lease);
}

// --- what is known ---

static void tell(struct lease *l)
{
	bool is_held = lease_is_held(l);
	if (is_held == l->told_held)
		return;
	l->told_held = is_held;
	log_info(is_held ? "lease acquired" : "lease lost", LOG_STR("lease", l->name), LOG_STR("identity", l->identity));
	if (l->on_change != NULL)
		l->on_change(l->arg, is_held);
}

static void set_held_until(struct lease *l, int64_t until_ms)
{
	tell(l); // a loss by time that nobody was told of comes first
	atomic_store(&l->held_until_ms, until_ms);
	tell(l);
}

static bool is_ours(const struct lease *l, const json_t *object)
{
	return object != NULL && strcmp(lease_record_holder(object), l->identity) == 0;
}

static void note_holder(struct lease *l, const json_t *object)
{
	const char *holder = lease_record_holder(object);
	(void)pthread_mutex_lock(&l->lock);
	bool is_other = strcmp(l->status.holder, holder) != 0;
	(void)snprintf(l->status.holder, sizeof(l->status.holder), "%s", holder);
	l->status.transitions = lease_record_transitions(object);
	(void)pthread_mutex_unlock(&l->lock);
	if (is_other)
		log_info("leader changed", LOG_STR("lease", l->name), LOG_STR("holder", holder),
			LOG_INT("transitions", lease_record_transitions(object)));
}

// Remember what the server has. object becomes ours.
static void see(struct lease *l, json_t *object)
{
	if (l->seen == NULL || !lease_record_is_same(l->seen, object))
		l->seen_change_ms = mono_ms(l);
	json_decref(l->seen);
	l->seen = object;
	note_holder(l, object);
	if (!is_ours(l, object)) {
		l->may_be_ours = false;
		set_held_until(l, NOT_HELD);
	}
}

static bool is_free(const struct lease *l)
{
	const char *holder = lease_record_holder(l->seen);
	return holder[0] == '\0' || is_ours(l, l->seen) ||
	       mono_ms(l) >= l->seen_change_ms + lease_record_duration_ms(l->seen, l->timings.duration_ms);
}

// --- calls ---

// verb with the object (NULL for a get), within what is left of the try.
static int call(struct lease *l, const char *verb, const json_t *object, int64_t until_ms, json_t **out, struct error *err)
{
	bool creates = strcmp(verb, "create") == 0;
	int64_t left_ms = until_ms - clock_mono_ms();
	AUTO(buf) struct buf target;
	buf_init(&target, K8S_URL_MAX);
	if (left_ms <= 0)
		return error_set(err, ERROR_TRANSIENT, "%s lease %s/%s: no time is left", verb, l->namespace, l->name);
	if (k8s_url_path(&target, &K8S_LEASE, l->namespace, creates ? NULL : l->name, err) < 0 ||
		(object != NULL && k8s_url_query(&target, "fieldManager", K8S_FIELD_MANAGER, err) < 0))
		return -1;
	struct k8s_call made = {
		.verb = verb,
		.resource = K8S_LEASE.plural,
		.namespace = l->namespace,
		.name = l->name,
		.method = object == NULL ? "GET"
			  : creates      ? "POST"
					 : "PUT",
		.target = buf_str(&target),
		.content_type = object == NULL ? NULL : "application/json",
		.timeout_ms = left_ms,
		.tries = 1,
		.cancel = &l->cancel,
	};
	return k8s_call_json(l->client, &made, object, out, err);
}

static int get(struct lease *l, int64_t until_ms, struct error *err)
{
	json_t *object = NULL;
	if (call(l, "get", NULL, until_ms, &object, err) < 0)
		return -1;
	see(l, object);
	return 0;
}

// Make us the holder, on top of what was seen.
static int claim(struct lease *l, int64_t until_ms, struct error *err)
{
	AUTO(json) json_t *object = NULL;
	json_t *answer = NULL;
	int64_t sent_ms = mono_ms(l); // a little before, never after
	const struct lease_claim ours = {.namespace = l->namespace,
		.name = l->name,
		.identity = l->identity,
		.duration_ms = l->timings.duration_ms,
		.wall_ms = l->clock.wall_ms(l->clock.arg)};
	if (lease_record_claim(l->seen, &ours, &object, err) < 0)
		return -1;
	l->may_be_ours = true;
	if (call(l, l->seen == NULL ? "create" : "update", object, until_ms, &answer, err) < 0)
		return -1;
	see(l, answer);
	if (!is_ours(l, l->seen))
		return error_set(
			err, ERROR_TRANSIENT, "lease %s/%s: the server answers with another holder", l->namespace, l->name);
	set_held_until(l, sent_ms + l->timings.renew_deadline_ms);
	return 0;
}

// The object is gone: anybody may be the holder of a new one before we hear of it.
static void forget(struct lease *l)
{
	json_decref(l->seen);
	l->seen = NULL;
	set_held_until(l, NOT_HELD);
}

// Read the record, then claim it if it is free.
static int read_and_claim(struct lease *l, int64_t until_ms, struct error *err)
{
	struct error failure = {0};
	if (get(l, until_ms, &failure) < 0) {
		if (failure.kind != ERROR_NOT_FOUND) {
			*err = failure;
			return -1;
		}
		forget(l);
	}
	return l->seen == NULL || is_free(l) ? claim(l, until_ms, err) : 0;
}

// A holder writes at once what it knows, and reads only when that is out of date.
static int get_or_keep(struct lease *l, struct error *err)
{
	struct error failure = {0};
	int64_t until_ms = clock_mono_ms() + l->try_timeout_ms;
	if (!is_ours(l, l->seen))
		return read_and_claim(l, until_ms, err);
	if (claim(l, until_ms, &failure) == 0)
		return 0;
	if (failure.kind != ERROR_CONFLICT && failure.kind != ERROR_NOT_FOUND) {
		*err = failure;
		return -1;
	}
	(void)pthread_mutex_lock(&l->lock);
	l->status.slow_paths++;
	(void)pthread_mutex_unlock(&l->lock);
	return read_and_claim(l, until_ms, err);
}

int lease_try(struct lease *lease, struct error *err)
{
	struct error failure = {0};
	int rc = get_or_keep(lease, &failure);
	tell(lease);
	(void)pthread_mutex_lock(&lease->lock);
	(void)snprintf(lease->status.error, sizeof(lease->status.error), "%s", failure.text);
	(void)pthread_mutex_unlock(&lease->lock);
	if (rc < 0)
		*err = failure;
	return rc;
}

// --- thread ---

static int64_t next_try_ms(const struct lease *l)
{
	int64_t period_ms = l->timings.retry_period_ms;
	// 1 to 2.2 times the period, as wait.JitterUntil() with the factor 1.2.
	return lease_is_held(l) ? period_ms : random_jitter(period_ms * 16 / 10, 37);
}

// Until the moment on our clock, or stop.
static void pause_until(struct lease *l, int64_t until_ms)
{
	int64_t ms = until_ms - mono_ms(l);
	struct timespec until;
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	ms = ms > 0 ? ms : 0;
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	(void)pthread_mutex_lock(&l->lock);
	while (!atomic_load(&l->stop) && pthread_cond_timedwait(&l->wake, &l->lock, &until) != ETIMEDOUT)
		;
	(void)pthread_mutex_unlock(&l->lock);
}

static void *run(void *arg)
{
	struct lease *l = arg;
	while (!atomic_load(&l->stop)) {
		struct error err = {0};
		int64_t began_ms = mono_ms(l);
		bool failed = lease_try(l, &err) < 0;
		if (failed && !l->has_failed && !atomic_load(&l->stop))
			log_warn("lease try failed", LOG_STR("lease", l->name), LOG_ERR(&err));
		l->has_failed = failed;
		int64_t next_ms = began_ms + next_try_ms(l);
		int64_t held_until_ms = atomic_load(&l->held_until_ms);
		if (lease_is_held(l) && held_until_ms < next_ms) {
			pause_until(l, held_until_ms);
			tell(l);
		}
		pause_until(l, next_ms);
	}
	return NULL;
}

// --- life ---

int lease_make_identity(char out[LEASE_IDENTITY_SIZE], struct error *err)
{
	char host[256] = "";
	char uuid[UUID_TEXT_SIZE];
	if (gethostname(host, sizeof(host) - 1) < 0)
		return error_set_errno(err, errno, "host name");
	if (uuid_make(uuid, err) < 0)
		return -1;
	(void)snprintf(out, LEASE_IDENTITY_SIZE, "%s_%s", host, uuid);
	return 0;
}

static int set_timings(struct lease *l, const struct lease_timings *timings, struct error *err)
{
	l->timings = *timings;
	if (timings->duration_ms == 0 && timings->renew_deadline_ms == 0 && timings->retry_period_ms == 0)
		l->timings = (struct lease_timings){LEASE_DURATION_MS, LEASE_RENEW_DEADLINE_MS, LEASE_RETRY_PERIOD_MS};
	const struct lease_timings *t = &l->timings;
	if (t->duration_ms <= t->renew_deadline_ms || t->renew_deadline_ms * 10 <= t->retry_period_ms * 12 ||
		t->retry_period_ms <= 0 || t->duration_ms % 1000 != 0)
		return error_set(err, ERROR_INVALID,
			"lease: the duration must be whole seconds and longer than the renew deadline, and that longer than 1.2 "
			"retry periods");
	// Three tries that hang fit into the deadline, and one that began at its end is over before the lease is.
	int64_t third_ms = t->renew_deadline_ms / 3;
	int64_t spare_ms = (t->duration_ms - t->renew_deadline_ms) * 4 / 5;
	l->try_timeout_ms = third_ms < spare_ms ? third_ms : spare_ms;
	return 0;
}

static int copy_texts(struct lease *l, const struct lease_options *options, struct error *err)
{
	l->namespace = strdup(options->namespace);
	l->name = strdup(options->name);
	l->identity = strdup(options->identity);
	if (l->namespace == NULL || l->name == NULL || l->identity == NULL)
		return error_no_memory(err, "lease");
	return 0;
}

int lease_new(struct k8s_client *client, const struct lease_options *options, struct lease **out, struct error *err)
{
	static const struct lease_clock own_clock = {.mono_ms = own_mono_ms, .wall_ms = own_wall_ms};
	pthread_condattr_t monotonic;
	struct lease *made = calloc(1, sizeof(*made));
	if (made == NULL)
		return error_no_memory(err, "lease");
	(void)pthread_mutex_init(&made->lock, NULL);
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&made->wake, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
	AUTO(lease) struct lease *lease = made;
	lease->client = client;
	lease->clock = options->clock == NULL ? own_clock : *options->clock;
	lease->on_change = options->on_change;
	lease->arg = options->arg;
	atomic_store(&lease->held_until_ms, NOT_HELD);
	if (set_timings(lease, &options->timings, err) < 0 || copy_texts(lease, options, err) < 0)
		return -1;
	*out = TAKE_PTR(lease);
	return 0;
}

int lease_start(struct lease *lease, struct error *err)
{
	int rc = pthread_create(&lease->thread, NULL, run, lease);
	if (rc != 0)
		return error_set_errno(err, rc, "thread of the lease");
	lease->has_thread = true;
	return 0;
}

// What we hold is read first: the answer to our last claim may not have reached us.
static int release_once(struct lease *l, int64_t until_ms, struct error *err)
{
	AUTO(json) json_t *object = NULL;
	json_t *answer = NULL;
	if (get(l, until_ms, err) < 0)
		return -1;
	if (!is_ours(l, l->seen))
		return 0;
	if (lease_record_release(l->seen, l->clock.wall_ms(l->clock.arg), &object, err) < 0 ||
		call(l, "update", object, until_ms, &answer, err) < 0)
		return -1;
	see(l, answer);
	return 0;
}

static void release(struct lease *l)
{
	struct error err = {0};
	int64_t until_ms = clock_mono_ms() + l->try_timeout_ms;
	int rc = release_once(l, until_ms, &err);
	if (rc < 0 && err.kind == ERROR_CONFLICT)
		rc = release_once(l, until_ms, &err);
	if (rc < 0 && err.kind != ERROR_NOT_FOUND)
		log_warn("lease could not be released", LOG_STR("lease", l->name), LOG_ERR(&err));
}

void lease_stop(struct lease *lease)
{
	if (lease->has_thread) {
		(void)pthread_mutex_lock(&lease->lock);
		atomic_store(&lease->stop, true);
		atomic_store(&lease->cancel, true);
		(void)pthread_cond_signal(&lease->wake);
		(void)pthread_mutex_unlock(&lease->lock);
		(void)pthread_join(lease->thread, NULL);
		lease->has_thread = false;
		atomic_store(&lease->cancel, false);
	}
	set_held_until(lease, NOT_HELD);
	if (lease->may_be_ours)
		release(lease);
	lease->may_be_ours = false;
}

void lease_free(struct lease *lease)
{
	if (lease == NULL)
		return;
	lease_stop(lease);
	json_decref(lease->seen);
	(void)pthread_cond_destroy(&lease->wake);
	(void)pthread_mutex_destroy(&lease->lock);
	free(lease->namespace);
	free(lease->name);
	free(lease->identity);
	free(lease);
}
