#include "base/clock.h"
#include "k8s/exec_command.h"
#include "tests/support/cmocka.h"
#include "tests/support/scratch.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OUTPUT_MAX ((size_t)64)
#define LONG_MS 20000 // nothing here takes so long unless it hangs

static char *const environment[] = {(char[]){"PATH=/usr/bin:/bin"}, NULL};

struct outcome {
	char *text;
	size_t len;
};

static int run_with(const char *file, char *const *argv, int64_t timeout_ms, const atomic_bool *cancel, struct outcome *out,
	struct error *err)
{
	const struct exec_command command = {.file = file,
		.argv = argv,
		.envp = environment,
		.output_max = OUTPUT_MAX,
		.timeout_ms = timeout_ms,
		.cancel = cancel};
	return exec_command_run(&command, &out->text, &out->len, err);
}

// /bin/sh -c script
static int run_script(const char *script, int64_t timeout_ms, const atomic_bool *cancel, struct outcome *out, struct error *err)
{
	char text[512];
	(void)snprintf(text, sizeof(text), "%s", script);
	char *const argv[] = {(char[]){"sh"}, (char[]){"-c"}, text, NULL};
	return run_with("/bin/sh", argv, timeout_ms, cancel, out, err);
}

static size_t count_descriptors(void)
{
	size_t count = 0;
	DIR *dir = opendir("/proc/self/fd");
	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	assert_int_equal(closedir(dir), 0);
	return count;
}

// Orphans come to us, as they do to process 1 of a container: whatever is left shows as a child.
static size_t descriptors;

static int begin(void **state)
{
	(void)state;
	descriptors = count_descriptors();
	return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

static int nothing_is_left(void **state)
{
	(void)state;
	if (waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD)
		return -1;
	return count_descriptors() == descriptors ? 0 : -1;
}

static void what_it_prints_is_taken_whole(void **state)
{
	(void)state;
	struct outcome out = {0};
	struct error err = {0};
	assert_ok(run_script("printf 'a\\0b\\n'; echo noise >&2; printf c", LONG_MS, NULL, &out, &err), err);
	assert_int_equal(out.len, 5);
	assert_memory_equal(out.text, "a\0b\nc", 6);
	free(out.text);

	assert_ok(run_script("head -c 64 /dev/zero", LONG_MS, NULL, &out, &err), err);
	assert_int_equal(out.len, OUTPUT_MAX);
	free(out.text);
}

static void arguments_meet_no_shell_and_a_name_is_found_in_the_path(void **state)
{
	(void)state;
	struct outcome out = {0};
	struct error err = {0};
	char *const argv[] = {(char[]){"printf"}, (char[]){"%s|"}, (char[]){"$(id) *"}, (char[]){""}, (char[]){"a b"}, NULL};
	assert_ok(run_with("printf", argv, LONG_MS, NULL, &out, &err), err);
	assert_string_equal(out.text, "$(id) *||a b|");
	free(out.text);
}

static void stdin_is_empty(void **state)
{
	(void)state;
	struct outcome out = {0};
	struct error err = {0};
	assert_ok(run_script("cat; echo end", LONG_MS, NULL, &out, &err), err);
	assert_string_equal(out.text, "end\n");
	free(out.text);
}

static void nothing_of_ours_is_open_in_the_child(void **state)
{
	(void)state;
	struct outcome out = {0};
	struct error err = {0};
	int inheritable = open("/dev/null", O_RDONLY); // NOLINT: without O_CLOEXEC on purpose
	assert_true(inheritable >= 0);
	char *const argv[] = {(char[]){"ls"}, (char[]){"/proc/self/fd"}, NULL};
	int rc = run_with("/bin/ls", argv, LONG_MS, NULL, &out, &err);
	(void)close(inheritable);
	assert_ok(rc, err);
	assert_string_equal(out.text, "0\n1\n2\n3\n"); // 3 is the directory that ls reads
	free(out.text);
}

static void no_signal_is_blocked_or_ignored_in_the_child(void **state)
{
	(void)state;
	sigset_t blocked;
	sigset_t before;
	struct outcome out = {0};
	struct error err = {0};
	(void)sigfillset(&blocked);
	assert_int_equal(sigprocmask(SIG_SETMASK, &blocked, &before), 0);
	void (*old)(int) = signal(SIGPIPE, SIG_IGN);
	// 32 and 33 (the 18 below) are glibc's own: its posix_spawn() ignores them until the child's glibc takes them.
	char *const argv[] = {(char[]){"grep"}, (char[]){"-hoE"}, (char[]){"Sig(Blk|Ign):\\s*0*(18)?0{7}$"},
		(char[]){"/proc/self/status"}, NULL};
	int rc = run_with("grep", argv, LONG_MS, NULL, &out, &err);
	(void)signal(SIGPIPE, old);
	assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
	assert_ok(rc, err);
	assert_non_null(strstr(out.text, "SigBlk:"));
	assert_non_null(strstr(out.text, "SigIgn:"));
	free(out.text);
}

struct bad_row {
	const char *label;
	const char *script;
	int64_t timeout_ms;
	enum error_kind kind;
	const char *text; // the whole of it
};

static const struct bad_row bad[] = {
	{"an exit code", "echo 1 >&2; echo hush; exit 3", LONG_MS, ERROR_TRANSIENT, "ended with exit code 3: 1"},
	{"nothing to say", "exit 1", LONG_MS, ERROR_TRANSIENT, "ended with exit code 1"},
	{"many last words", "echo first >&2; printf 'the\\tlast \\r\\n\\n \\n' >&2; exit 1", LONG_MS, ERROR_TRANSIENT,
		"ended with exit code 1: the last"},
	{"a long stderr", "head -c 100000 /dev/zero | tr '\\0' x >&2; echo >&2; echo end >&2; exit 1", LONG_MS, ERROR_TRANSIENT,
		"ended with exit code 1: end"},
	{"a signal", "echo ouch >&2; kill -TERM $$", LONG_MS, ERROR_TRANSIENT, "was ended by signal 15: ouch"},
	{"too much", "head -c 65 /dev/zero", LONG_MS, ERROR_INVALID, "printed more than 64 bytes"},
	{"without end", "yes", LONG_MS, ERROR_INVALID, "printed more than 64 bytes"},
	{"a hang", "echo 'open a browser' >&2; sleep 1000", 300, ERROR_TRANSIENT, "has not ended within 300 ms: open a browser"},
	{"a hang that closed its output", "exec >&- 2>&-; sleep 1000", 300, ERROR_TRANSIENT, "has not ended within 300 ms"},
	{"a hang that wants no SIGTERM", "trap '' TERM INT HUP; sleep 1000; sleep 1000", 300, ERROR_TRANSIENT,
		"has not ended within 300 ms"},
	{"endless complaints", "yes >&2", 300, ERROR_TRANSIENT, "has not ended within 300 ms: y"},
};

static void what_goes_wrong_is_said(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct outcome out = {0};
		struct error err = {0};
		print_message("# %s\n", bad[i].label);
		assert_int_equal(run_script(bad[i].script, bad[i].timeout_ms, NULL, &out, &err), -1);
		assert_int_equal(err.kind, bad[i].kind);
		assert_string_equal(err.text, bad[i].text);
		assert_null(out.text);
	}
}

static void what_cannot_be_started_is_said(void **state)
{
	(void)state;
	struct outcome out = {0};
	struct error err = {0};
	char *const argv[] = {(char[]){"x"}, NULL};
	assert_error(run_with(scratch_absent(), argv, LONG_MS, NULL, &out, &err), err, ERROR_NOT_FOUND,
		"cannot be started: No such file");
	assert_error(run_with("no-such-command-anywhere", argv, LONG_MS, NULL, &out, &err), err, ERROR_NOT_FOUND,
		"cannot be started: No such file");
	assert_error(run_with(scratch_write("plain", "x", 1), argv, LONG_MS, NULL, &out, &err), err, ERROR_INTERNAL,
		"cannot be started: Permission denied");
}

static void a_run_is_cancelled(void **state)
{
	(void)state;
	atomic_bool cancel = true;
	struct outcome out = {0};
	struct error err = {0};
	assert_error(run_script("sleep 1000", LONG_MS, &cancel, &out, &err), err, ERROR_CANCELLED, "cancelled");
}

// A helper that it left behind keeps the pipe open: not waited for, and gone afterwards.
static void the_end_of_the_command_is_the_end(void **state)
{
	(void)state;
	struct outcome out = {0};
	struct error err = {0};
	assert_ok(run_script("sleep 1000 & echo $!", LONG_MS, NULL, &out, &err), err);
	pid_t helper = (pid_t)strtol(out.text, NULL, 10);
	free(out.text);
	assert_true(helper > 1);
	for (int64_t until_ms = clock_mono_ms() + LONG_MS; kill(helper, 0) == 0 && clock_mono_ms() < until_ms;)
		(void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	assert_int_equal(kill(helper, 0), -1);
}

static void another_child_is_left_alone(void **state)
{
	(void)state;
	struct outcome out = {0};
	struct error err = {0};
	pid_t other = fork();
	if (other == 0)
		_exit(7);
	assert_true(other > 0);
	int rc = run_script("echo", LONG_MS, NULL, &out, &err);
	int status = 0;
	assert_int_equal(waitpid(other, &status, 0), other);
	assert_int_equal(WEXITSTATUS(status), 7);
	assert_ok(rc, err);
	free(out.text);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test_setup_teardown(what_it_prints_is_taken_whole, begin, nothing_is_left),
		cmocka_unit_test_setup_teardown(arguments_meet_no_shell_and_a_name_is_found_in_the_path, begin, nothing_is_left),
		cmocka_unit_test_setup_teardown(stdin_is_empty, begin, nothing_is_left),
		cmocka_unit_test_setup_teardown(nothing_of_ours_is_open_in_the_child, begin, nothing_is_left),
		cmocka_unit_test_setup_teardown(no_signal_is_blocked_or_ignored_in_the_child, begin, nothing_is_left),
		cmocka_unit_test_setup_teardown(what_goes_wrong_is_said, begin, nothing_is_left),
		cmocka_unit_test_setup_teardown(what_cannot_be_started_is_said, begin, nothing_is_left),
		cmocka_unit_test_setup_teardown(a_run_is_cancelled, begin, nothing_is_left),
		cmocka_unit_test_setup_teardown(the_end_of_the_command_is_the_end, begin, nothing_is_left),
		cmocka_unit_test_setup_teardown(another_child_is_left_alone, begin, nothing_is_left),
	};
	return cmocka_run_group_tests_name("k8s/exec_command", cases, NULL, NULL);
}
