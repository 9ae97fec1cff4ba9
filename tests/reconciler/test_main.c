// The program `understory` as it is started: its exit codes, and what goes to stdout and to stderr. Its main() is linked in under
// another name; the cluster and canopy are inside of the test.
#include "base/log.h"
#include "tests/reconciler/cluster.h"
#include "tests/reconciler/scenes.h"
#include "tests/support/cmocka.h"
#include "tests/support/redirect.h"
#include "tests/support/scratch.h"
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RESTORED \
	"{\"postgres_version\":\"15\",\"bytes\":1000,\"files\":10,\"seconds\":3,\"layout\":\"debian\",\"engine\":\"kopia\"}"
#define WORDS_MAX 8

#pragma GCC diagnostic ignored "-Wredundant-decls"
#if defined(__clang__)
#pragma GCC diagnostic ignored "-Wreserved-identifier"
#endif

int understory_main(int argc, char **argv);

static struct cluster c;
static bool has_no_memory; // for the environment
static char *out, *errors; // of the last run

int __real_setenv(const char *name, const char *value, int replaces);
int __wrap_setenv(const char *name, const char *value, int replaces);
int __wrap_setenv(const char *name, const char *value, int replaces)
{
	errno = ENOMEM;
	return has_no_memory ? -1 : __real_setenv(name, value, replaces);
}

static void set(const char *name, const char *value)
{
	// No other thread reads it yet, or any more.
	int rc = value == NULL ? unsetenv(name) : setenv(name, value, 1); // NOLINT(concurrency-mt-unsafe)
	assert_int_equal(rc, 0);
}

static int set_up(void **state)
{
	(void)state;
	log_setup(LOG_ERROR, LOG_LOGFMT); // until a command reads its settings
	cluster_open(&c, "analytics", NULL);
	set("KUBECONFIG", cluster_kubeconfig(&c));
	set("CANOPY_BASE_URL", c.op.settings->canopy_base_url);
	set("CANOPY_PROXY_IMAGE", "proxy:1");
	set("METRICS_ADDR", "127.0.0.1:0");
	set("PGRO_BROKER_LISTEN_ADDR", "127.0.0.1:0");
	set("CANOPY_RECONCILE_INTERVAL_SECS", "30");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	free(out);
	free(errors);
	out = errors = NULL;
	cluster_close(&c);
	return 0;
}

static void serve(void)
{
	cluster_settle(&c);
	cluster_job_ends(&c, true, RESTORED);
	cluster_settle(&c);
	cluster_database_comes_up(&c);
	c.check = CHECK_DONE;
	c.checked = (struct check_result){.grade = GRADE_CLEAN, .server_version = "15.20"};
	(void)snprintf(c.checked.stage, sizeof(c.checked.stage), "catalogs");
	cluster_settle(&c);
	c.check = CHECK_NONE;
}

// The words after the program's name, separated by one blank.
static void start_as(const char *program, const char *words, int expected)
{
	char text[256], *rest = NULL;
	char *argv[WORDS_MAX + 2] = {(char *)(uintptr_t)program};
	int argc = 1;
	(void)snprintf(text, sizeof(text), "%s", words);
	for (char *word = strtok_r(text, " ", &rest); word != NULL && argc <= WORDS_MAX; word = strtok_r(NULL, " ", &rest))
		argv[argc++] = word;
	const char *out_path = scratch_write("out", "", 0), *errors_path = scratch_write("errors", "", 0);
	int stdout_before = redirect_begin(STDOUT_FILENO, out_path), stderr_before = redirect_begin(STDERR_FILENO, errors_path);
	int rc = understory_main(argc, argv);
	redirect_end(STDOUT_FILENO, stdout_before);
	redirect_end(STDERR_FILENO, stderr_before);
	free(out);
	free(errors);
	out = redirect_read(out_path);
	errors = redirect_read(errors_path);
	if (rc != expected)
		fail_msg("\"%s\" ended with %d:\n%s%s", words, rc, out, errors);
}

static void start(const char *words, int expected)
{
	start_as("understory", words, expected);
}

static void holds(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("\"%s\" is not in:\n%.2000s", part, text);
}

// --- without a cluster

static void it_says_what_it_can(void **state)
{
	(void)state;
	start("--help", 0);
	holds(out, "usage: understory run  ");
	holds(out, "       understory why NAMESPACE [OPTION...]");
	holds(out, "  2   of plan without --watch: a pass would do something\n");
	holds(out, "CANOPY_BASE_URL");
	assert_string_equal(errors, "");
	start_as("/usr/local/bin/kubectl-understory", "help", 0);
	holds(out, "usage: kubectl understory run  ");
	start("--version", 0);
	assert_string_equal(out, "understory " UNDERSTORY_VERSION "\n");
}

static void what_it_cannot_do_is_said_on_stderr(void **state)
{
	(void)state;
	start("", 1);
	assert_string_equal(out, "");
	holds(errors, "usage: understory run  ");
	char *const nothing[] = {NULL};
	int before = redirect_begin(STDERR_FILENO, scratch_write("errors", "", 0));
	int rc = understory_main(0, (char **)(uintptr_t)nothing);
	redirect_end(STDERR_FILENO, before);
	assert_int_equal(rc, 1);
	start("restore", 1);
	assert_string_equal(out, "");
	holds(errors, "understory: \"restore\" is no command; allowed: run, plan,");
}

// --- settings

static void settings_are_read_and_printed(void **state)
{
	(void)state;
	start("check-config", 0);
	holds(out, "CANOPY_RECONCILE_INTERVAL_SECS");
	assert_string_equal(errors, "");
	// Good enough for plan and status.
	set("CANOPY_PROXY_IMAGE", NULL);
	start("check-config", 0);
	holds(errors, "understory: ");
	holds(errors, "CANOPY_PROXY_IMAGE");
	set("CANOPY_BASE_URL", NULL);
	start("check-config", 1);
	holds(errors, "CANOPY_BASE_URL");
}

static void settings_that_are_wrong_or_missing_end_it(void **state)
{
	(void)state;
	set("CANOPY_RECONCILE_INTERVAL_SECS", "often");
	start("status", 1);
	holds(errors, "CANOPY_RECONCILE_INTERVAL_SECS");
	set("CANOPY_RECONCILE_INTERVAL_SECS", "30");
	set("CANOPY_PROXY_IMAGE", NULL);
	start("run", 1);
	holds(errors, "CANOPY_PROXY_IMAGE");
	set("CANOPY_BASE_URL", NULL);
	start("run", 1);
	holds(errors, "CANOPY_BASE_URL");
	start("plan", 1);
	holds(errors, "CANOPY_BASE_URL");
	assert_string_equal(out, "");
}

// --- with one

static void plan_ends_with_what_there_is_to_do(void **state)
{
	(void)state;
	start("plan", 2);
	holds(out, "  provision  new  ");
	serve();
	start("plan -o json", 0);
	holds(out, "\"reason\": \"in_sync\"");
	c.entry = "\"";
	start("plan", 1);
	holds(errors, "understory: worklist: ");
}

static void status_and_why_look(void **state)
{
	(void)state;
	cluster_settle(&c);
	start("status", 0);
	holds(out, "\n" SCENE_NAMESPACE "  analytics  restoring  ");
	start("why " SCENE_NAMESPACE, 0);
	holds(out, SCENE_NAMESPACE "  ");
	start("why nothing-00000000", 1);
	holds(errors, "understory: why: there is no Namespace \"nothing-00000000\"");
	cluster_fault(&c, "[{\"verb\":\"list\",\"status\":403,\"reason\":\"Forbidden\",\"message\":\"not for you\"}]");
	start("status", 1);
	holds(errors, "understory: cluster: ");
	cluster_fault(&c, "[]");
}

static void the_cluster_that_is_named_counts(void **state)
{
	(void)state;
	char words[256];
	const char *path = getenv("KUBECONFIG"); // NOLINT(concurrency-mt-unsafe): nobody changes it meanwhile
	(void)snprintf(words, sizeof(words), "status --kubeconfig %s --context c", path);
	set("KUBECONFIG", "/nonexistent");
	start(words, 0);
	holds(out, "NAMESPACE");
	start("status --context d", 1);
	holds(errors, "\"d\"");
	set("UNDERSTORY_CONTEXT", NULL);
	(void)snprintf(words, sizeof(words), "status --kubeconfig %s", cluster_kubeconfig(&c));
	start(words, 0);
	has_no_memory = true;
	start(words, 1);
	holds(errors, "understory: set the environment: Cannot allocate memory");
	start("status --context c", 1);
	holds(errors, "understory: set the environment: Cannot allocate memory");
	has_no_memory = false;
}

// --- signals

// It is there before it is waited for.
static void send_signal(void)
{
	assert_int_equal(kill(getpid(), SIGTERM), 0);
}

static void a_watch_ends_by_a_signal(void **state)
{
	(void)state;
	send_signal();
	start("plan --watch", 0); // something is to be done, which is no end of a watch
	holds(out, "  provision  new  ");
}

static void the_operator_that_cannot_listen_says_so(void **state)
{
	(void)state;
	char text[64];
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	(void)snprintf(text, sizeof(text), "127.0.0.1:%d", ntohs(address.sin_port));
	set("METRICS_ADDR", text);
	start("run", 1);
	holds(errors, text);
}

static void the_operator_ends_by_a_signal(void **state)
{
	(void)state;
	send_signal();
	start("run", 0);
	assert_string_equal(out, "");
	holds(errors, "msg=\"understory started\" version=" UNDERSTORY_VERSION);
	holds(errors, "msg=stopped");
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest cases[] = {
		CASE(it_says_what_it_can),
		CASE(what_it_cannot_do_is_said_on_stderr),
		CASE(settings_are_read_and_printed),
		CASE(settings_that_are_wrong_or_missing_end_it),
		CASE(plan_ends_with_what_there_is_to_do),
		CASE(status_and_why_look),
		CASE(the_cluster_that_is_named_counts),
		CASE(a_watch_ends_by_a_signal),
		CASE(the_operator_that_cannot_listen_says_so),
		CASE(the_operator_ends_by_a_signal),
	};
	// Before any thread: the signal is the program's.
	sigset_t set_of_one;
	(void)sigemptyset(&set_of_one);
	(void)sigaddset(&set_of_one, SIGTERM);
	(void)pthread_sigmask(SIG_BLOCK, &set_of_one, NULL);
	return cmocka_run_group_tests_name("reconciler/main", cases, NULL, NULL);
}
