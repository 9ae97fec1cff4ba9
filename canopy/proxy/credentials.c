#include "canopy/proxy/credentials.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SAME_AGAIN_MAX_MS 10000
#define SAME_AGAIN_MIN_MS 1000

struct credentials {
	struct credentials_options options;
	struct broker_client *broker; // of the thread
	atomic_bool cancel;
	pthread_t thread;

	pthread_mutex_t lock; // guards what follows
	pthread_cond_t changed;
	bool stop;
	struct credentials_set current;
	bool is_rejected; // current
	bool is_refused;
	struct error why;  // the refusal, or the last failure since a set came
	int64_t ask_at_ms; // mono
	int64_t backoff_ms;
	int unauthorized;
};

int64_t credentials_renew_in_ms(int64_t remaining_ms)
{
	int64_t margin = remaining_ms / CREDENTIALS_SHORT_LIFE_DIVISOR;
	return remaining_ms - (margin < CREDENTIALS_MARGIN_MS ? margin : CREDENTIALS_MARGIN_MS);
}

static bool is_same(const struct secret *a, const struct secret *b)
{
	return strcmp(secret_reveal(a), secret_reveal(b)) == 0;
}

static bool is_same_set(const struct s3_keys *a, const struct s3_keys *b)
{
	return is_same(&a->access_key_id, &b->access_key_id) && is_same(&a->secret_access_key, &b->secret_access_key) &&
	       is_same(&a->session_token, &b->session_token);
}

static void back_off(struct credentials *c)
{
	c->backoff_ms = c->backoff_ms == 0 ? CREDENTIALS_BACKOFF_MIN_MS : c->backoff_ms * 2;
	if (c->backoff_ms > CREDENTIALS_BACKOFF_MAX_MS)
		c->backoff_ms = CREDENTIALS_BACKOFF_MAX_MS;
	c->ask_at_ms = clock_mono_ms() + random_jitter(c->backoff_ms, 20);
}

static void on_failure(struct credentials *c, const struct error *err)
{
	bool is_first = c->why.kind == ERROR_NONE;
	c->unauthorized = err->http_status == 401 ? c->unauthorized + 1 : 0;
	bool is_definite = err->http_status / 100 == 4 && (err->kind == ERROR_INVALID || err->kind == ERROR_NOT_FOUND) &&
			   (err->http_status != 401 || c->unauthorized >= CREDENTIALS_UNAUTHORIZED_MAX);
	c->why = *err;
	if (is_definite) {
		c->is_refused = true;
		log_error("credentials are refused", LOG_ERR(err));
		return;
	}
	if (is_first)
		log_warn("no credentials; asking again until they come", LOG_ERR(err));
	back_off(c);
}

// The broker had nothing newer: soon again, before the end of the set comes.
static void on_same(struct credentials *c, int64_t remaining_ms)
{
	int64_t wait_ms = remaining_ms / CREDENTIALS_SHORT_LIFE_DIVISOR;
	wait_ms = wait_ms > SAME_AGAIN_MAX_MS ? SAME_AGAIN_MAX_MS : wait_ms;
	c->ask_at_ms = clock_mono_ms() + (wait_ms < SAME_AGAIN_MIN_MS ? SAME_AGAIN_MIN_MS : wait_ms);
}

static void on_keys(struct credentials *c, struct s3_keys *keys)
{
	int64_t remaining_ms = keys->expires_at_ms - clock_wall_ms();
	struct error err = {0};
	bool same = c->current.generation > 0 && is_same_set(keys, &c->current.keys);
	if (remaining_ms <= 0)
		(void)error_set(
			&err, ERROR_TRANSIENT, "the credentials that came have expired already; hint: is the clock right?");
	else if (same && c->is_rejected)
		(void)error_set(&err, ERROR_TRANSIENT, "the broker still gives the credentials that S3 has refused");
	c->unauthorized = 0;
	if (err.kind != ERROR_NONE) {
		on_failure(c, &err);
		return;
	}
	c->backoff_ms = 0;
	c->why = (struct error){0};
	if (same) {
		on_same(c, remaining_ms);
		return;
	}
	s3_keys_fini(&c->current.keys);
	c->current.keys = *keys;
	*keys = (struct s3_keys){0};
	c->current.generation++;
	c->is_rejected = false;
	c->ask_at_ms = clock_mono_ms() + credentials_renew_in_ms(remaining_ms);
	log_info("credentials", LOG_INT("generation", c->current.generation), LOG_INT("seconds_left", remaining_ms / 1000));
}

static void wait_until(struct credentials *c, int64_t mono_ms)
{
	const struct timespec when = {.tv_sec = mono_ms / 1000, .tv_nsec = (mono_ms % 1000) * 1000000};
	(void)pthread_cond_timedwait(&c->changed, &c->lock, &when);
}

// One call, without the lock.
static void ask(struct credentials *c)
{
	struct error err = {0};
	AUTO(s3_keys) struct s3_keys keys = {0};
	(void)pthread_mutex_unlock(&c->lock);
	int rc = broker_client_get_keys(c->broker, &keys, &err);
	(void)pthread_mutex_lock(&c->lock);
	if (c->stop)
		return;
	if (rc < 0)
		on_failure(c, &err);
	else
		on_keys(c, &keys);
	c->options.on_change(c->options.arg);
}

static void *run(void *arg)
{
	struct credentials *c = arg;
	(void)pthread_mutex_lock(&c->lock);
	while (!c->stop) {
		if (c->is_refused)
			(void)pthread_cond_wait(&c->changed, &c->lock);
		else if (clock_mono_ms() < c->ask_at_ms)
			wait_until(c, c->ask_at_ms);
		else
			ask(c);
	}
	(void)pthread_mutex_unlock(&c->lock);
	return NULL;
}

static void release(struct credentials *c)
{
	broker_client_free(c->broker);
	s3_keys_fini(&c->current.keys);
	(void)pthread_cond_destroy(&c->changed);
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
}

int credentials_new(const struct credentials_options *options, struct credentials **out, struct error *err)
{
	struct credentials *c = calloc(1, sizeof(*c));
	pthread_condattr_t monotonic;
	if (c == NULL)
		return error_no_memory(err, "credentials");
	c->options = *options;
	(void)pthread_mutex_init(&c->lock, NULL);
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&c->changed, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
	if (broker_client_new(options->config, &c->cancel, &c->broker, err) < 0) {
		release(c);
		return -1;
	}
	int rc = pthread_create(&c->thread, NULL, run, c);
	if (rc != 0) {
		release(c);
		return error_set_errno(err, rc, "thread for credentials");
	}
	*out = c;
	return 0;
}

void credentials_free(struct credentials *credentials)
{
	if (credentials == NULL)
		return;
	atomic_store(&credentials->cancel, true);
	(void)pthread_mutex_lock(&credentials->lock);
	credentials->stop = true;
	(void)pthread_cond_signal(&credentials->changed);
	(void)pthread_mutex_unlock(&credentials->lock);
	(void)pthread_join(credentials->thread, NULL);
	release(credentials);
}

static int copy_set(const struct credentials_set *from, struct credentials_set *to, struct error *err)
{
	if (to->generation == from->generation)
		return 0;
	if (secret_set(&to->keys.access_key_id, secret_reveal(&from->keys.access_key_id), err) < 0 ||
		secret_set(&to->keys.secret_access_key, secret_reveal(&from->keys.secret_access_key), err) < 0 ||
		secret_set(&to->keys.session_token, secret_reveal(&from->keys.session_token), err) < 0) {
		to->generation = 0; // a mixture
		return -1;
	}
	to->keys.expires_at_ms = from->keys.expires_at_ms;
	to->generation = from->generation;
	return 0;
}

enum credentials_state credentials_get(
	struct credentials *credentials, int64_t wall_ms, struct credentials_set *set, struct error *why)
{
	enum credentials_state state;
	(void)pthread_mutex_lock(&credentials->lock);
	const struct credentials_set *current = &credentials->current;
	bool usable = current->generation > 0 && !credentials->is_rejected && wall_ms < current->keys.expires_at_ms;
	if (usable) {
		state = copy_set(current, set, why) == 0 ? CREDENTIALS_READY : CREDENTIALS_FAILED;
	} else {
		state = credentials->is_refused ? CREDENTIALS_REFUSED : CREDENTIALS_AWAITED;
		*why = credentials->why;
	}
	(void)pthread_mutex_unlock(&credentials->lock);
	return state;
}

void credentials_reject(struct credentials *credentials, uint64_t generation)
{
	(void)pthread_mutex_lock(&credentials->lock);
	if (credentials->current.generation == generation && !credentials->is_rejected) {
		credentials->is_rejected = true;
		credentials->ask_at_ms = 0;
		(void)pthread_cond_signal(&credentials->changed);
	}
	(void)pthread_mutex_unlock(&credentials->lock);
}

bool credentials_is_refused(struct credentials *credentials)
{
	(void)pthread_mutex_lock(&credentials->lock);
	bool refused = credentials->is_refused;
	(void)pthread_mutex_unlock(&credentials->lock);
	return refused;
}

void credentials_set_fini(struct credentials_set *set)
{
	s3_keys_fini(&set->keys);
	set->generation = 0;
}
