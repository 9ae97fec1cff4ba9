#include "reconciler/checks.h"

#include "reconciler/check_database.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum progress { WAITING, RUNNING, DONE };

// One round's check. The list has one that is not forgotten for a round at most.
struct check {
	struct check_request request; // with user and password below
	char *user, *source_user, *source_database;
	struct secret password, source_password;
	enum progress progress;
	bool is_forgotten;  // nobody will look at it: the thread that runs it removes it
	atomic_bool cancel; // the only thing that a running check and others share without the lock
	struct check_result result;
	struct check *next;
};

struct checks {
	pthread_mutex_t lock;
	pthread_cond_t changed; // a check was added, or the end has come
	struct check *first;    // in the order they were started
	bool is_ending;
	void (*on_done)(void *arg, const char *namespace);
	void *arg;
	int threads; // that run
	pthread_t thread[];
};

static void check_free(struct check *check)
{
	json_decref(check->result.details);
	secret_fini(&check->password);
	secret_fini(&check->source_password);
	free(check->user);
	free(check->source_user);
	free(check->source_database);
	free(check);
}

DEFINE_AUTO(struct check, check, check_free)

static void remove_check(struct checks *checks, struct check *check)
{
	struct check **slot = &checks->first;
	while (*slot != check)
		slot = &(*slot)->next;
	*slot = check->next;
	check_free(check);
}

static struct check *find_check(const struct checks *checks, const char *namespace, const char *round_key)
{
	for (struct check *c = checks->first; c != NULL; c = c->next)
		if (!c->is_forgotten && strcmp(c->request.namespace, namespace) == 0 &&
			strcmp(c->request.round_key, round_key) == 0)
			return c;
	return NULL;
}

// The check that has waited longest, marked as running; NULL at the end.
static struct check *take_check(struct checks *checks)
{
	while (!checks->is_ending) {
		for (struct check *c = checks->first; c != NULL; c = c->next) {
			if (c->progress == WAITING) {
				c->progress = RUNNING;
				return c;
			}
		}
		(void)pthread_cond_wait(&checks->changed, &checks->lock);
	}
	return NULL;
}

static void *work(void *arg)
{
	struct checks *checks = arg;
	(void)pthread_mutex_lock(&checks->lock);
	for (struct check *check = take_check(checks); check != NULL; check = take_check(checks)) {
		struct check_result result;
		(void)pthread_mutex_unlock(&checks->lock);
		check_database(&check->request, &check_limits_default, &check->cancel, &result);
		(void)pthread_mutex_lock(&checks->lock);

		check->result = result;
		check->progress = DONE;
		bool is_wanted = !check->is_forgotten && !checks->is_ending;
		if (check->is_forgotten)
			remove_check(checks, check);
		if (is_wanted && checks->on_done != NULL) {
			// Once the lock is open the check may be forgotten.
			char namespace[ENTRY_NAMESPACE_SIZE];
			memcpy(namespace, check->request.namespace, sizeof(namespace));
			(void)pthread_mutex_unlock(&checks->lock);
			checks->on_done(checks->arg, namespace);
			(void)pthread_mutex_lock(&checks->lock);
		}
	}
	(void)pthread_mutex_unlock(&checks->lock);
	return NULL;
}

// Signals are the main thread's business.
static int start_threads(struct checks *checks, int threads, struct error *err)
{
	sigset_t all, before;
	int rc = 0;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	while (rc == 0 && checks->threads < threads) {
		rc = pthread_create(&checks->thread[checks->threads], NULL, work, checks);
		if (rc == 0)
			(void)pthread_setname_np(checks->thread[checks->threads++], "check");
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc == 0 ? 0 : error_set_errno(err, rc, "start a thread for checks");
}

int checks_new(int threads, void (*on_done)(void *arg, const char *namespace), void *arg, struct checks **out, struct error *err)
{
	AUTO(checks) struct checks *checks = calloc(1, sizeof(*checks) + (size_t)threads * sizeof(checks->thread[0]));
	if (checks == NULL)
		return error_no_memory(err, "checks");
	(void)pthread_mutex_init(&checks->lock, NULL);
	(void)pthread_cond_init(&checks->changed, NULL);
	checks->on_done = on_done;
	checks->arg = arg;
	if (start_threads(checks, threads, err) < 0)
		return -1;
	*out = TAKE_PTR(checks);
	return 0;
}

void checks_free(struct checks *checks)
{
	if (checks == NULL)
		return;
	(void)pthread_mutex_lock(&checks->lock);
	checks->is_ending = true;
	for (struct check *c = checks->first; c != NULL; c = c->next)
		atomic_store(&c->cancel, true);
	(void)pthread_cond_broadcast(&checks->changed);
	(void)pthread_mutex_unlock(&checks->lock);

	for (int i = 0; i < checks->threads; i++)
		(void)pthread_join(checks->thread[i], NULL);
	while (checks->first != NULL)
		remove_check(checks, checks->first);
	(void)pthread_cond_destroy(&checks->changed);
	(void)pthread_mutex_destroy(&checks->lock);
	free(checks);
}

static int copy_source(const struct check_request *request, struct check *check, struct error *err)
{
	if (request->source_user == NULL)
		return 0;
	check->source_user = strdup(request->source_user);
	check->source_database = request->source_database == NULL ? NULL : strdup(request->source_database);
	if (check->source_user == NULL || (check->source_database == NULL) != (request->source_database == NULL))
		return error_no_memory(err, "check");
	return secret_set(&check->source_password, secret_reveal(request->source_password), err);
}

static int check_new(const struct check_request *request, struct check **out, struct error *err)
{
	AUTO(check) struct check *check = calloc(1, sizeof(*check));
	if (check == NULL)
		return error_no_memory(err, "check");
	check->user = strdup(request->user);
	if (check->user == NULL)
		return error_no_memory(err, "check");
	if (secret_set(&check->password, secret_reveal(request->password), err) < 0 || copy_source(request, check, err) < 0)
		return -1;
	check->request = *request;
	check->request.user = check->user;
	check->request.password = &check->password;
	check->request.source_user = check->source_user;
	check->request.source_database = check->source_database;
	check->request.source_password = &check->source_password;
	*out = TAKE_PTR(check);
	return 0;
}

static void append_check(struct checks *checks, struct check *check)
{
	struct check **slot = &checks->first;
	while (*slot != NULL)
		slot = &(*slot)->next;
	*slot = check;
}

int checks_start(struct checks *checks, const struct check_request *request, struct error *err)
{
	AUTO(check) struct check *check = NULL;
	if (check_new(request, &check, err) < 0)
		return -1;
	(void)pthread_mutex_lock(&checks->lock);
	if (find_check(checks, request->namespace, request->round_key) == NULL) {
		append_check(checks, TAKE_PTR(check));
		(void)pthread_cond_signal(&checks->changed);
	}
	(void)pthread_mutex_unlock(&checks->lock);
	return 0;
}

enum check_state checks_look(struct checks *checks, const char *namespace, const char *round_key, struct check_result *result)
{
	enum check_state state = CHECK_NONE;
	(void)pthread_mutex_lock(&checks->lock);
	const struct check *check = find_check(checks, namespace, round_key);
	if (check != NULL)
		state = check->progress == DONE ? CHECK_DONE : CHECK_RUNNING;
	if (state == CHECK_DONE && result != NULL) {
		*result = check->result;
		result->details = json_deep_copy(check->result.details);
	}
	(void)pthread_mutex_unlock(&checks->lock);
	return state;
}

void checks_forget(struct checks *checks, const char *namespace, const char *round_key)
{
	(void)pthread_mutex_lock(&checks->lock);
	struct check *check = find_check(checks, namespace, round_key);
	if (check != NULL && check->progress == RUNNING) {
		check->is_forgotten = true;
		atomic_store(&check->cancel, true);
	} else if (check != NULL) {
		remove_check(checks, check);
	}
	(void)pthread_mutex_unlock(&checks->lock);
}
