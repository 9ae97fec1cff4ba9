// Pipes that are shared: which one is had, how many at most, and what is done when the kernel refuses one.
#include "canopy/proxy/buffers.h"
#include "canopy/proxy/pipes.h"

#include "tests/support/cmocka.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void the_one_that_was_given_back_last_is_had_first(void **state)
{
	(void)state;
	struct pipes pipes = {0};
	struct pipe *first = pipes_take(&pipes);
	struct pipe *second = pipes_take(&pipes);
	assert_non_null(first);
	assert_non_null(second);
	assert_int_equal(fcntl(first->in, F_GETPIPE_SZ), (int)PIPES_BYTES);
	pipes_give_back(&pipes, first);
	pipes_give_back(&pipes, second);
	assert_ptr_equal(pipes_take(&pipes), second);
	assert_ptr_equal(pipes_take(&pipes), first);
	pipes_give_back(&pipes, first);
	pipes_give_back(&pipes, second);
	pipes_give_back(&pipes, NULL);
	int fd = first->in;
	pipes_fini(&pipes);
	assert_false(is_open(fd));
}

static void there_are_no_more_than_the_limit(void **state)
{
	(void)state;
	struct pipes pipes = {0};
	struct pipe *taken[PIPES_MAX];
	for (size_t i = 0; i < PIPES_MAX; i++) {
		taken[i] = pipes_take(&pipes);
		assert_non_null(taken[i]);
	}
	assert_null(pipes_take(&pipes));
	taken[3]->held = 1; // is closed, and leaves room for one more
	pipes_give_back(&pipes, taken[3]);
	taken[3] = pipes_take(&pipes);
	assert_non_null(taken[3]);
	assert_null(pipes_take(&pipes));
	for (size_t i = 0; i < PIPES_MAX; i++)
		pipes_give_back(&pipes, taken[i]);
	pipes_fini(&pipes);
	assert_int_equal(pipes.count, 0);
}

static void one_that_holds_bytes_is_closed(void **state)
{
	(void)state;
	struct pipes pipes = {0};
	char c = 'x';
	struct pipe *pipe = pipes_take(&pipes);
	assert_non_null(pipe);
	int out = pipe->out;
	int in = pipe->in;
	assert_int_equal(write(in, &c, 1), 1);
	pipe->held = 1;
	pipes_give_back(&pipes, pipe);
	assert_false(is_open(out));
	assert_false(is_open(in));
	pipe = pipes_take(&pipes);
	assert_non_null(pipe);
	assert_int_equal(read(pipe->out, &c, 1), -1);
	pipes_give_back(&pipes, pipe);
	pipes_fini(&pipes);
}

static void descriptor_0_is_one_like_any_other(void **state)
{
	(void)state;
	struct pipes pipes = {0};
	int kept = dup(STDIN_FILENO);
	(void)close(STDIN_FILENO);
	struct pipe *pipe = pipes_take(&pipes);
	assert_non_null(pipe);
	assert_int_equal(pipe->out, 0);
	pipes_give_back(&pipes, pipe);
	assert_ptr_equal(pipes_take(&pipes), pipe);
	pipe->held = 1;
	pipes_give_back(&pipes, pipe);
	assert_false(is_open(0));
	pipes_fini(&pipes);
	if (kept >= 0) {
		assert_int_equal(dup2(kept, STDIN_FILENO), STDIN_FILENO);
		(void)close(kept);
	}
}

static void after_a_refusal_the_kernel_is_not_asked_for_a_while(void **state)
{
	(void)state;
	struct pipes pipes = {0};
	struct rlimit limit;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	const struct rlimit none = {.rlim_cur = 0, .rlim_max = limit.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	struct pipe *pipe = pipes_take(&pipes);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_null(pipe);
	for (int i = 0; i < PIPES_PAUSE; i++)
		assert_null(pipes_take(&pipes));
	pipe = pipes_take(&pipes);
	assert_non_null(pipe);
	pipes_give_back(&pipes, pipe);
	pipes_fini(&pipes);
}

#define NOBODY 65534
#define SHARE_TRIES 2000

enum child_says { CHILD_GOOD, CHILD_IS_PRIVILEGED, CHILD_HAS_NO_LIMIT, CHILD_GOT_A_PIPE, CHILD_LOST_A_DESCRIPTOR };

// As a user without privileges, whose share of pipe memory is used up.
static int take_past_the_share(void)
{
	struct pipes pipes = {0};
	int fds[2];
	if (geteuid() == 0 && (setgid(NOBODY) < 0 || setuid(NOBODY) < 0))
		return CHILD_IS_PRIVILEGED;
	for (int i = 0; i < SHARE_TRIES; i++) {
		if (pipe(fds) < 0)
			return CHILD_HAS_NO_LIMIT;
		if (fcntl(fds[0], F_SETPIPE_SZ, (int)PIPES_BYTES) >= 0)
			continue;
		(void)close(fds[0]);
		(void)close(fds[1]);
		if (pipes_take(&pipes) != NULL)
			return CHILD_GOT_A_PIPE;
		return is_open(fds[0]) || is_open(fds[1]) ? CHILD_LOST_A_DESCRIPTOR : CHILD_GOOD;
	}
	return CHILD_HAS_NO_LIMIT;
}

static void a_small_pipe_is_none(void **state)
{
	(void)state;
	int status = 0;
	pid_t pid = fork();
	if (pid == 0)
		_exit(take_past_the_share());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), CHILD_GOOD);
}

// A transfer that comes when there are many still reads whole heads, and its buffer does not stay.
static void buffers_beyond_the_large_ones_are_small_and_not_kept(void **state)
{
	(void)state;
	struct buffers buffers = {0};
	struct buffer *taken[BUFFERS_LARGE_MAX + 1];
	for (size_t i = 0; i <= BUFFERS_LARGE_MAX; i++) {
		taken[i] = buffers_take(&buffers);
		assert_non_null(taken[i]);
		assert_int_equal(taken[i]->size, i < BUFFERS_LARGE_MAX ? BUFFERS_LARGE_BYTES : BUFFERS_SMALL_BYTES);
	}
	for (size_t i = 0; i <= BUFFERS_LARGE_MAX; i++)
		buffers_give_back(&buffers, taken[BUFFERS_LARGE_MAX - i]);
	assert_int_equal(buffers.spare_count, BUFFERS_SPARE_MAX);
	assert_int_equal(buffers.large_count, BUFFERS_SPARE_MAX);
	for (const struct buffer *at = buffers.spare; at != NULL; at = at->next)
		assert_int_equal(at->size, BUFFERS_LARGE_BYTES);
	buffers_fini(&buffers);
	assert_int_equal(buffers.large_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_one_that_was_given_back_last_is_had_first),
		cmocka_unit_test(there_are_no_more_than_the_limit),
		cmocka_unit_test(one_that_holds_bytes_is_closed),
		cmocka_unit_test(descriptor_0_is_one_like_any_other),
		cmocka_unit_test(after_a_refusal_the_kernel_is_not_asked_for_a_while),
		cmocka_unit_test(a_small_pipe_is_none),
		cmocka_unit_test(buffers_beyond_the_large_ones_are_small_and_not_kept),
	};
	return cmocka_run_group_tests_name("proxy/pipes", tests, NULL, NULL);
}
