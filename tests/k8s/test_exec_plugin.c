// When a plugin is run, and what those who ask get. What a run is, and what it may print, is in test_exec_command.c and
// test_exec_credential.c.
#include "base/clock.h"
#include "k8s/exec_plugin.h"
#include "tests/support/cmocka.h"
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PATH_SIZE 128
#define LONG_MS 20000
#define THREADS 8
#define V1 "client.authentication.k8s.io/v1"

// The plugin of these tests: adds a line to "runs", waits while "hold" is there, and prints "answer".
static const char script[] = "#!/bin/sh\ncd \"$PLUGIN_DIR\" || exit 9\necho run >>runs\n"
			     "while [ -e hold ]; do sleep 0.02; done\n"
			     "[ -e fail ] && { echo 'session expired' >&2; exit 3; }\ncat answer\n";

static char dir[] = "/tmp/test_exec_plugin_XXXXXX";

static const char *in_dir(const char *name, char out[PATH_SIZE])
{
	(void)snprintf(out, PATH_SIZE, "%s/%s", dir, name);
	return out;
}

static void put(const char *name, const char *text)
{
	char path[PATH_SIZE];
	FILE *file = fopen(in_dir(name, path), "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void drop(const char *name)
{
	char path[PATH_SIZE];
	assert_int_equal(unlink(in_dir(name, path)), 0);
}

static void answer(const char *token, int64_t life_ms)
{
	char text[256];
	char until[CLOCK_TEXT_SIZE];
	clock_format_micro(clock_wall_ms() + life_ms, until);
	(void)snprintf(text, sizeof(text),
		"{\"apiVersion\":\"" V1 "\",\"kind\":\"ExecCredential\",\"status\":{\"token\":\"%s\"%s%s%s}}", token,
		life_ms == 0 ? "" : ",\"expirationTimestamp\":\"", life_ms == 0 ? "" : until, life_ms == 0 ? "" : "\"");
	put("answer", text);
}

static int count_runs(void)
{
	char path[PATH_SIZE];
	char line[16];
	int count = 0;
	FILE *file = fopen(in_dir("runs", path), "re");
	if (file == NULL)
		return 0;
	while (fgets(line, sizeof(line), file) != NULL)
		count++;
	(void)fclose(file);
	return count;
}

static void await_runs(int wanted)
{
	for (int64_t until_ms = clock_mono_ms() + LONG_MS; count_runs() < wanted && clock_mono_ms() < until_ms;)
		(void)nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	assert_int_equal(count_runs(), wanted);
}

// --- the world of a test ---

static char version[] = V1;
static char info[] = "{\"spec\":{\"interactive\":false}}";
static char command[PATH_SIZE];
static char where[PATH_SIZE + 16];
static char *arguments[] = {NULL};
static char *variables[] = {where, NULL};
static struct exec_plugin_spec spec;
static struct exec_plugin *plugin;

static void make_plugin(void)
{
	struct error err = {0};
	assert_ok(exec_plugin_new(&spec, &plugin, &err), err);
}

static int begin(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/test_exec_plugin_XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	put("plugin", script);
	(void)in_dir("plugin", command);
	(void)snprintf(where, sizeof(where), "PLUGIN_DIR=%s", dir);
	spec = (struct exec_plugin_spec){.command = command,
		.args = arguments,
		.env = variables,
		.api_version = version,
		.info = info,
		.timeout_ms = LONG_MS};
	if (chmod(command, 0700) < 0)
		return -1;
	make_plugin();
	return 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
	(void)status;
	(void)type;
	(void)at;
	return remove(path);
}

static int end(void **state)
{
	(void)state;
	exec_plugin_free(plugin);
	plugin = NULL;
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static int get(uint64_t refused, int64_t wait_ms, char token[64], uint64_t *issue, struct error *err)
{
	AUTO(exec_credential) struct exec_credential credential = {0};
	const struct exec_plugin_ask ask = {.refused = refused, .deadline_ms = clock_mono_ms() + wait_ms};
	if (exec_plugin_get(plugin, &ask, &credential, issue, err) < 0)
		return -1;
	(void)snprintf(token, 64, "%s", secret_reveal(&credential.token));
	return 0;
}

static void expect(uint64_t refused, const char *token, uint64_t issue)
{
	char got[64];
	uint64_t got_issue = 0;
	struct error err = {0};
	assert_ok(get(refused, LONG_MS, got, &got_issue, &err), err);
	assert_string_equal(got, token);
	assert_int_equal(got_issue, issue);
}

// --- the tests ---

static void a_plugin_gets_what_the_kubeconfig_says(void **state)
{
	(void)state;
	static char first[] = "$(id) *";
	static char second[] = "";
	static char third[] = "a b";
	char *args[] = {first, second, third, NULL};
	static char profile[] = "PROFILE=prod";
	static char home[] = "TEST_INHERITED=ours";
	char *env[] = {where, profile, home, NULL};
	char path[PATH_SIZE];
	char text[512] = "";
	put("plugin", "#!/bin/sh\ncd \"$PLUGIN_DIR\"\n"
		      "printf '%s|' \"$@\" \"$PROFILE\" \"$TEST_INHERITED\" \"$TEST_KEPT\" \"$KUBERNETES_EXEC_INFO\" >seen\n"
		      // A shell shows the last of two; what it was given shows both.
		      "tr '\\0' '\\n' <\"/proc/$$/environ\" | grep -cE '^(TEST_INHERITED|KUBERNETES_EXEC_INFO)=' >>seen\n"
		      "cat answer\n");
	assert_int_equal(setenv("TEST_INHERITED", "theirs", 1), 0);
	assert_int_equal(setenv("TEST_KEPT", "kept", 1), 0);
	assert_int_equal(setenv("KUBERNETES_EXEC_INFO", "of somebody else", 1), 0);
	exec_plugin_free(plugin);
	spec.args = args;
	spec.env = env;
	make_plugin();
	answer("one", 0);
	expect(0, "one", 1);
	FILE *file = fopen(in_dir("seen", path), "re");
	assert_non_null(file);
	assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
	assert_int_equal(fclose(file), 0);
	assert_string_equal(text, "$(id) *||a b|prod|ours|kept|{\"spec\":{\"interactive\":false}}|2\n");
	exec_plugin_free(plugin);
	plugin = NULL; // args and env end with this function
}

static void credentials_without_an_end_are_kept(void **state)
{
	(void)state;
	answer("one", 0);
	expect(0, "one", 1);
	answer("two", 0);
	expect(0, "one", 1);
	assert_int_equal(count_runs(), 1);
}

static void credentials_that_expired_are_not_given(void **state)
{
	(void)state;
	answer("one", 1000);
	expect(0, "one", 1);
	answer("two", 0);
	// Whoever holds it back keeps the second run from its end: the first's end then passes for certain.
	put("hold", "");
	(void)nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 100000000}, NULL);
	char token[64];
	uint64_t issue = 0;
	struct error err = {0};
	assert_error(get(0, 200, token, &issue, &err), err, ERROR_TRANSIENT, "has not answered yet");
	drop("hold");
	expect(0, "two", 2);
	assert_int_equal(count_runs(), 2);
}

// One try: false when the machine was too slow to ask within the last fifth of the credentials' life.
static bool sees_a_renewal_ahead(void)
{
	char token[64] = "";
	uint64_t issue = 0;
	struct error err = {0};
	answer("one", 4000);
	expect(0, "one", 1);
	put("hold", "");
	answer("two", 0);
	int rc = 0;
	while (rc == 0 && count_runs() < 2) {
		rc = get(0, 0, token, &issue, &err);
		(void)nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	}
	bool was_ahead = rc == 0;
	// While the plugin is at work, the old ones go on.
	assert_true(!was_ahead || (strcmp(token, "one") == 0 && issue == 1));
	drop("hold");
	if (was_ahead) {
		for (int64_t until_ms = clock_mono_ms() + LONG_MS; issue < 2 && clock_mono_ms() < until_ms;)
			assert_ok(get(0, LONG_MS, token, &issue, &err), err);
		assert_string_equal(token, "two");
	}
	return was_ahead;
}

static void credentials_are_renewed_before_their_end(void **state)
{
	for (int i = 0; i < 5; i++) {
		if (sees_a_renewal_ahead())
			return;
		assert_int_equal(end(state), 0);
		assert_int_equal(begin(state), 0);
	}
	fail_msg("no renewal before the end in 5 tries");
}

static void a_refusal_runs_it_again_once(void **state)
{
	(void)state;
	answer("one", 0);
	expect(0, "one", 1);
	answer("two", 0);
	expect(1, "two", 2);
	expect(1, "two", 2); // came late: another thread has asked already
	assert_int_equal(count_runs(), 2);
	// Refused again at once: nothing better is to be had, and nobody runs it in a loop.
	expect(2, "two", 2);
	assert_int_equal(count_runs(), 2);
}

static void a_failure_is_told_and_not_repeated_at_once(void **state)
{
	(void)state;
	char token[64];
	char expected[256];
	uint64_t issue = 0;
	struct error err = {0};
	put("fail", "");
	(void)snprintf(expected, sizeof(expected), "exec plugin \"%s\": ended with exit code 3: session expired", command);
	for (int i = 0; i < 3; i++) {
		assert_error(get(0, LONG_MS, token, &issue, &err), err, ERROR_TRANSIENT, "exec plugin");
		assert_string_equal(err.text, expected);
	}
	assert_int_equal(count_runs(), 1);
	drop("fail");
	answer("one", 0);
	for (int64_t until_ms = clock_mono_ms() + LONG_MS; issue == 0 && clock_mono_ms() < until_ms;) {
		if (get(0, LONG_MS, token, &issue, &err) < 0)
			(void)nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
	}
	assert_int_equal(issue, 1);
	assert_int_equal(count_runs(), 2);
}

static void a_failed_renewal_after_a_refusal_is_told(void **state)
{
	(void)state;
	char token[64];
	uint64_t issue = 0;
	struct error err = {0};
	answer("one", 0);
	expect(0, "one", 1);
	put("fail", "");
	assert_error(get(1, LONG_MS, token, &issue, &err), err, ERROR_TRANSIENT, "session expired");
	assert_error(get(1, LONG_MS, token, &issue, &err), err, ERROR_TRANSIENT, "session expired");
	assert_int_equal(count_runs(), 2);
	expect(0, "one", 1); // whom nobody refused goes on
}

static void the_hint_is_shown_when_it_cannot_be_run(void **state)
{
	(void)state;
	static char hint[] = "install it:\n  brew install foo";
	static char absent[] = "/nowhere/foo-plugin";
	char token[64];
	uint64_t issue = 0;
	struct error err = {0};
	exec_plugin_free(plugin);
	spec.install_hint = hint;
	put("fail", "");
	make_plugin();
	assert_error(get(0, LONG_MS, token, &issue, &err), err, ERROR_TRANSIENT,
		": session expired; hint: install it:   brew install foo");
	exec_plugin_free(plugin);
	spec.command = absent;
	make_plugin();
	assert_error(get(0, LONG_MS, token, &issue, &err), err, ERROR_NOT_FOUND,
		"exec plugin \"/nowhere/foo-plugin\": cannot be started: No such file or directory (errno 2); hint: install it:");
}

static void garbage_is_told_and_never_shown(void **state)
{
	(void)state;
	char token[64];
	uint64_t issue = 0;
	struct error err = {0};
	put("answer", "hush");
	assert_error(get(0, LONG_MS, token, &issue, &err), err, ERROR_INVALID, "printed no ExecCredential");
	assert_null(strstr(err.text, "hush"));
}

static void a_hang_is_ended(void **state)
{
	(void)state;
	char token[64];
	uint64_t issue = 0;
	struct error err = {0};
	put("hold", "");
	exec_plugin_free(plugin);
	spec.timeout_ms = 200;
	make_plugin();
	assert_error(get(0, LONG_MS, token, &issue, &err), err, ERROR_TRANSIENT, "has not ended within 200 ms");
}

static void a_deadline_ends_the_wait_and_not_the_run(void **state)
{
	(void)state;
	char token[64];
	uint64_t issue = 0;
	struct error err = {0};
	put("hold", "");
	answer("one", 0);
	assert_error(get(0, 100, token, &issue, &err), err, ERROR_TRANSIENT, "has not answered yet");
	await_runs(1);
	drop("hold");
	expect(0, "one", 1);
	assert_int_equal(count_runs(), 1);
}

static void a_wait_is_cancelled_and_so_is_a_run_at_the_end(void **state)
{
	(void)state;
	atomic_bool cancel = true;
	uint64_t issue = 0;
	struct error err = {0};
	struct exec_credential credential = {0};
	const struct exec_plugin_ask ask = {.deadline_ms = clock_mono_ms() + LONG_MS, .cancel = &cancel};
	put("hold", "");
	assert_error(exec_plugin_get(plugin, &ask, &credential, &issue, &err), err, ERROR_CANCELLED, "cancelled");
	// end() frees the plugin while the run is in hand, which would last as long as the test's time.
}

struct asker {
	uint64_t refused;
	char token[64];
	uint64_t issue;
	int rc;
};

static void *ask_once(void *arg)
{
	struct asker *asker = arg;
	struct error err = {0};
	asker->rc = get(asker->refused, LONG_MS, asker->token, &asker->issue, &err);
	return NULL;
}

static void expect_of_threads(uint64_t refused, const char *token, uint64_t issue)
{
	pthread_t threads[THREADS];
	struct asker askers[THREADS] = {0};
	for (size_t i = 0; i < THREADS; i++) {
		askers[i].refused = refused;
		assert_int_equal(pthread_create(&threads[i], NULL, ask_once, &askers[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(askers[i].rc, 0);
		assert_string_equal(askers[i].token, token);
		assert_int_equal(askers[i].issue, issue);
	}
}

static void threads_share_a_run(void **state)
{
	(void)state;
	answer("one", 0);
	expect_of_threads(0, "one", 1);
	assert_int_equal(count_runs(), 1);
	answer("two", 0);
	expect_of_threads(1, "two", 2);
	assert_int_equal(count_runs(), 2);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test_setup_teardown(a_plugin_gets_what_the_kubeconfig_says, begin, end),
		cmocka_unit_test_setup_teardown(credentials_without_an_end_are_kept, begin, end),
		cmocka_unit_test_setup_teardown(credentials_that_expired_are_not_given, begin, end),
		cmocka_unit_test_setup_teardown(credentials_are_renewed_before_their_end, begin, end),
		cmocka_unit_test_setup_teardown(a_refusal_runs_it_again_once, begin, end),
		cmocka_unit_test_setup_teardown(a_failure_is_told_and_not_repeated_at_once, begin, end),
		cmocka_unit_test_setup_teardown(a_failed_renewal_after_a_refusal_is_told, begin, end),
		cmocka_unit_test_setup_teardown(the_hint_is_shown_when_it_cannot_be_run, begin, end),
		cmocka_unit_test_setup_teardown(garbage_is_told_and_never_shown, begin, end),
		cmocka_unit_test_setup_teardown(a_hang_is_ended, begin, end),
		cmocka_unit_test_setup_teardown(a_deadline_ends_the_wait_and_not_the_run, begin, end),
		cmocka_unit_test_setup_teardown(a_wait_is_cancelled_and_so_is_a_run_at_the_end, begin, end),
		cmocka_unit_test_setup_teardown(threads_share_a_run, begin, end),
	};
	return cmocka_run_group_tests_name("k8s/exec_plugin", cases, NULL, NULL);
}
