// The pipe by which a proxy knows whether its engine is still there.
#include "base/cleanup.h"
#include "canopy/proxy/presence.h"
#include "tests/support/cmocka.h"
#include "tests/support/scratch.h"
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_MS 20000

static void wait_until(int fd, enum presence wanted)
{
	enum presence seen = presence_look(fd);
	for (int waited_ms = 0; seen != wanted; waited_ms += 10) {
		if (waited_ms > DEADLINE_MS)
			fail_msg("presence %d, expected %d", (int)seen, (int)wanted);
		(void)usleep(10000);
		seen = presence_look(fd);
	}
}

static int open_pipe(const char *path)
{
	struct error err = {0};
	int fd = -1;
	assert_ok(presence_open(path, &fd, &err), err);
	return fd;
}

static void an_engine_that_has_not_come_is_awaited(void **state)
{
	(void)state;
	const char *path = scratch_absent();
	AUTO_CLOSE int fd = open_pipe(path);
	for (int i = 0; i < 3; i++)
		assert_int_equal(presence_look(fd), PRESENCE_AWAITED);
	assert_int_equal(unlink(path), 0);
}

static void it_is_gone_when_the_last_who_held_the_pipe_has_ended(void **state)
{
	(void)state;
	const char *path = scratch_absent();
	AUTO_CLOSE int fd = open_pipe(path);
	int writer = open(path, O_RDWR | O_CLOEXEC);
	int inherited = dup(writer);
	assert_true(writer >= 0 && inherited >= 0);
	assert_int_equal(presence_look(fd), PRESENCE_THERE);
	assert_int_equal(close(writer), 0);
	assert_int_equal(presence_look(fd), PRESENCE_THERE);
	assert_int_equal(close(inherited), 0);
	assert_int_equal(presence_look(fd), PRESENCE_GONE);
	assert_int_equal(unlink(path), 0);
}

static void one_that_came_and_went_between_two_looks_is_gone(void **state)
{
	(void)state;
	const char *path = scratch_absent();
	AUTO_CLOSE int fd = open_pipe(path);
	int writer = open(path, O_RDWR | O_CLOEXEC);
	assert_true(writer >= 0);
	assert_int_equal(close(writer), 0);
	assert_int_equal(presence_look(fd), PRESENCE_GONE);
	assert_int_equal(unlink(path), 0);
}

static void a_shell_that_is_killed_is_gone(void **state)
{
	(void)state;
	const char *path = scratch_absent();
	AUTO_CLOSE int fd = open_pipe(path);
	pid_t shell = fork();
	assert_true(shell >= 0);
	if (shell == 0) {
		(void)execl("/bin/sh", "sh", "-c", "command exec 9<>\"$1\"; exec sleep 60", "sh", path, (char *)NULL);
		_exit(127);
	}
	wait_until(fd, PRESENCE_THERE);
	assert_int_equal(kill(shell, SIGKILL), 0);
	assert_int_equal(waitpid(shell, NULL, 0), shell);
	wait_until(fd, PRESENCE_GONE);
	assert_int_equal(unlink(path), 0);
}

static void a_pipe_that_is_there_is_taken_and_open_to_other_users(void **state)
{
	(void)state;
	const char *path = scratch_absent();
	struct stat found;
	assert_int_equal(mkfifo(path, 0600), 0);
	int writer = open(path, O_RDWR | O_CLOEXEC);
	AUTO_CLOSE int fd = open_pipe(path);
	assert_int_equal(presence_look(fd), PRESENCE_THERE);
	assert_int_equal(fstat(fd, &found), 0);
	assert_int_equal(found.st_mode & 0777, 0666);
	assert_int_equal(close(writer), 0);
	assert_int_equal(unlink(path), 0);
}

static void what_is_no_pipe_is_refused(void **state)
{
	(void)state;
	struct error err = {0};
	int fd = -1;
	assert_error(presence_open("/nowhere/engine", &fd, &err), err, ERROR_NOT_FOUND, "make the pipe /nowhere/engine");
	const char *file = scratch_write("engine", "x", 1);
	assert_error(presence_open(file, &fd, &err), err, ERROR_INVALID, "no pipe");
	assert_int_equal(fd, -1);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(an_engine_that_has_not_come_is_awaited),
		cmocka_unit_test(it_is_gone_when_the_last_who_held_the_pipe_has_ended),
		cmocka_unit_test(one_that_came_and_went_between_two_looks_is_gone),
		cmocka_unit_test(a_shell_that_is_killed_is_gone),
		cmocka_unit_test(a_pipe_that_is_there_is_taken_and_open_to_other_users),
		cmocka_unit_test(what_is_no_pipe_is_refused),
	};
	return cmocka_run_group_tests_name("proxy/presence", cases, NULL, NULL);
}
