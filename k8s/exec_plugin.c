#include "k8s/exec_plugin.h"

#include "base/clock.h"
#include "base/log.h"
#include "k8s/exec_command.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define INFO_NAME "KUBERNETES_EXEC_INFO="
#define WAIT_SLICE_MS 100 // how long a waiter may overlook that it is cancelled
#define HINT_SHOWN 160

struct exec_plugin {
	const struct exec_plugin_spec *spec;
	char **argv; // pointers are borrowed from spec
	char **envp; // and from environ, but for the last one
	char *info;  // the last one
	atomic_bool stop;

	pthread_mutex_t lock; // guards what follows
	pthread_cond_t ended;
	pthread_t thread; // of the last run; to be joined when has_thread
	bool has_thread;
	bool is_running;
	struct exec_credential credential;
	uint64_t issue;       // 0: there were none yet
	int64_t renew_at_ms;  // wall
	int64_t forced_at_ms; // monotonic: when a refusal last caused a run
	bool has_failed;      // the last run did
	int64_t failed_at_ms; // monotonic
	struct error error;   // of it
};

// --- life ---

static void free_texts(char **texts)
{
	for (size_t i = 0; texts != NULL && texts[i] != NULL; i++)
		free(texts[i]);
	free(texts);
}

void exec_plugin_spec_free(struct exec_plugin_spec *spec)
{
	if (spec == NULL)
		return;
	free_texts(spec->args);
	free_texts(spec->env);
	free(spec->command);
	free(spec->api_version);
	free(spec->install_hint);
	free(spec->info);
	free(spec);
}

static size_t count_of(char *const *texts)
{
	size_t count = 0;
	while (texts != NULL && texts[count] != NULL)
		count++;
	return count;
}

// Do both set the same variable?
static bool is_same_variable(const char *a, const char *b)
{
	size_t len = strcspn(a, "=") + 1;
	return strncmp(a, b, len) == 0;
}

static bool is_overridden(const struct exec_plugin *p, const char *variable)
{
	for (size_t i = 0; p->spec->env != NULL && p->spec->env[i] != NULL; i++) {
		if (is_same_variable(p->spec->env[i], variable))
			return true;
	}
	return is_same_variable(INFO_NAME, variable);
}

static int make_arguments(struct exec_plugin *p, struct error *err)
{
	size_t count = count_of(p->spec->args);
	p->argv = calloc(count + 2, sizeof(*p->argv));
	if (p->argv == NULL)
		return error_no_memory(err, "exec plugin");
	p->argv[0] = p->spec->command;
	for (size_t i = 0; i < count; i++)
		p->argv[i + 1] = p->spec->args[i];
	return 0;
}

static int make_environment(struct exec_plugin *p, struct error *err)
{
	size_t used = 0;
	p->envp = calloc(count_of(environ) + count_of(p->spec->env) + 2, sizeof(*p->envp));
	if (p->envp == NULL || asprintf(&p->info, INFO_NAME "%s", p->spec->info) < 0) {
		p->info = NULL;
		return error_no_memory(err, "exec plugin");
	}
	for (size_t i = 0; environ[i] != NULL; i++) {
		if (!is_overridden(p, environ[i]))
			p->envp[used++] = environ[i];
	}
	for (size_t i = 0; p->spec->env != NULL && p->spec->env[i] != NULL; i++)
		p->envp[used++] = p->spec->env[i];
	p->envp[used] = p->info;
	return 0;
}

int exec_plugin_new(const struct exec_plugin_spec *spec, struct exec_plugin **out, struct error *err)
{
	pthread_condattr_t monotonic;
	struct exec_plugin *made = calloc(1, sizeof(*made));
	if (made == NULL)
		return error_no_memory(err, "exec plugin");
	made->spec = spec;
	made->forced_at_ms = INT64_MIN / 2;
	(void)pthread_mutex_init(&made->lock, NULL);
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&made->ended, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
	AUTO(exec_plugin) struct exec_plugin *p = made;
	if (make_arguments(p, err) < 0 || make_environment(p, err) < 0)
		return -1;
	*out = TAKE_PTR(p);
	return 0;
}

void exec_plugin_free(struct exec_plugin *p)
{
	if (p == NULL)
		return;
	atomic_store(&p->stop, true);
	if (p->has_thread)
		(void)pthread_join(p->thread, NULL);
	(void)pthread_cond_destroy(&p->ended);
	(void)pthread_mutex_destroy(&p->lock);
	exec_credential_fini(&p->credential);
	free(p->argv);
	free(p->envp);
	free(p->info);
	free(p);
}

// --- a run ---

// The hint is a text for people, often of several lines.
static void add_hint(const struct exec_plugin_spec *spec, struct error *err)
{
	char hint[HINT_SHOWN + 1];
	size_t len = strlen(err->text);
	size_t taken = strnlen(spec->install_hint, HINT_SHOWN);
	memcpy(hint, spec->install_hint, taken);
	hint[taken] = '\0';
	for (size_t i = 0; i < taken; i++) {
		if ((unsigned char)hint[i] < ' ')
			hint[i] = ' ';
	}
	(void)snprintf(err->text + len, sizeof(err->text) - len, "; hint: %s", hint);
}

static int run_once(struct exec_plugin *p, struct exec_credential *out, struct error *err)
{
	char *text = NULL;
	size_t len = 0;
	const struct exec_command command = {
		.file = p->spec->command,
		.argv = p->argv,
		.envp = p->envp,
		.output_max = EXEC_PLUGIN_OUTPUT_MAX,
		.timeout_ms = p->spec->timeout_ms > 0 ? p->spec->timeout_ms : EXEC_PLUGIN_TIMEOUT_MS,
		.cancel = &p->stop,
	};
	int rc = exec_command_run(&command, &text, &len, err);
	if (rc == 0) {
		rc = exec_credential_parse(text, len, p->spec->api_version, clock_wall_ms(), out, err);
		secret_wipe(text, len);
		free(text);
	} else if (p->spec->install_hint != NULL) {
		add_hint(p->spec, err);
	}
	return rc < 0 ? error_wrap(err, "exec plugin \"%s\"", p->spec->command) : 0;
}

static int64_t when_to_renew(int64_t now_ms, int64_t expires_at_ms)
{
	if (expires_at_ms == INT64_MAX)
		return INT64_MAX;
	int64_t fifth_ms = (expires_at_ms - now_ms) / 5;
	return expires_at_ms - (fifth_ms < EXEC_PLUGIN_AHEAD_MS ? fifth_ms : EXEC_PLUGIN_AHEAD_MS);
}

static void *run(void *arg)
{
	struct exec_plugin *p = arg;
	struct error err = {0};
	struct exec_credential made = {0};
	int rc = run_once(p, &made, &err);
	(void)pthread_mutex_lock(&p->lock);
	p->is_running = false;
	p->has_failed = rc < 0;
	if (rc == 0) {
		exec_credential_fini(&p->credential);
		p->credential = made;
		p->issue++;
		p->renew_at_ms = when_to_renew(clock_wall_ms(), made.expires_at_ms);
	} else {
		p->error = err;
		p->failed_at_ms = clock_mono_ms();
		// While the old ones are still good, nobody else hears of it.
		if (p->issue > 0 && !atomic_load(&p->stop))
			log_warn("credentials were not renewed", LOG_ERR(&err));
	}
	(void)pthread_cond_broadcast(&p->ended);
	(void)pthread_mutex_unlock(&p->lock);
	return NULL;
}

static int start(struct exec_plugin *p, struct error *err)
{
	if (p->has_thread)
		(void)pthread_join(p->thread, NULL); // it is at its end: is_running was taken back under the lock that we hold
	int rc = pthread_create(&p->thread, NULL, run, p);
	p->has_thread = rc == 0;
	p->is_running = rc == 0;
	return rc == 0 ? 0 : error_set_errno(err, rc, "thread of exec plugin \"%s\"", p->spec->command);
}

// --- who asks ---

static bool may_run(const struct exec_plugin *p)
{
	return !p->is_running && (!p->has_failed || clock_mono_ms() - p->failed_at_ms >= EXEC_PLUGIN_PAUSE_MS);
}

static bool is_good(const struct exec_plugin *p, const struct exec_plugin_ask *ask)
{
	if (p->issue == 0 || clock_wall_ms() >= p->credential.expires_at_ms)
		return false;
	if (p->issue != ask->refused)
		return true;
	bool was_forced = clock_mono_ms() - p->forced_at_ms < EXEC_PLUGIN_PAUSE_MS;
	return was_forced && !p->is_running && !p->has_failed; // nothing better is to be had
}

static void wait_a_while(struct exec_plugin *p)
{
	struct timespec until;
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += WAIT_SLICE_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	(void)pthread_cond_timedwait(&p->ended, &p->lock, &until);
}

static int wait_for_run(struct exec_plugin *p, const struct exec_plugin_ask *ask, struct error *err)
{
	if (ask->cancel != NULL && atomic_load(ask->cancel))
		return error_set(err, ERROR_CANCELLED, "cancelled");
	if (clock_mono_ms() >= ask->deadline_ms)
		return error_set(err, ERROR_TRANSIENT, "exec plugin \"%s\" has not answered yet", p->spec->command);
	wait_a_while(p);
	return 0;
}

// Until there are good ones.
static int await(struct exec_plugin *p, const struct exec_plugin_ask *ask, struct error *err)
{
	while (!is_good(p, ask)) {
		if (!p->is_running && !may_run(p)) {
			*err = p->error;
			return -1;
		}
		if (!p->is_running) {
			if (p->issue > 0 && p->issue == ask->refused)
				p->forced_at_ms = clock_mono_ms();
			if (start(p, err) < 0)
				return -1;
		}
		if (wait_for_run(p, ask, err) < 0)
			return -1;
	}
	return 0;
}

int exec_plugin_get(
	struct exec_plugin *p, const struct exec_plugin_ask *ask, struct exec_credential *out, uint64_t *issue, struct error *err)
{
	struct error ignored;
	(void)pthread_mutex_lock(&p->lock);
	int rc = await(p, ask, err);
	if (rc == 0) {
		rc = exec_credential_copy(&p->credential, out, err);
		*issue = p->issue;
		if (clock_wall_ms() >= p->renew_at_ms && may_run(p))
			(void)start(p, &ignored); // the next one who asks tries again
	}
	(void)pthread_mutex_unlock(&p->lock);
	return rc;
}
