// What the operator hears of the bytes, also when its broker is in trouble.
#include "base/clock.h"
#include "tests/canopy/proxy/world.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int saved_stderr, log_fd;

static int begin_log(void **state)
{
	(void)state;
	(void)fflush(stderr);
	saved_stderr = dup(STDERR_FILENO);
	log_fd = memfd_create("log", MFD_CLOEXEC);
	return dup2(log_fd, STDERR_FILENO) < 0 ? -1 : 0;
}

static int end_log(void **state)
{
	(void)state;
	(void)dup2(saved_stderr, STDERR_FILENO);
	(void)close(saved_stderr);
	return close(log_fd);
}

// How often this text has been logged so far.
static int logged(const char *text)
{
	static char all[1 << 16];
	ssize_t len = pread(log_fd, all, sizeof(all) - 1, 0);
	int count = 0;
	all[len > 0 ? len : 0] = '\0';
	for (const char *at = all; (at = strstr(at, text)) != NULL; at++)
		count++;
	return count;
}

static void report_often(struct config *config)
{
	config->progress_ms = 20;
}

static void report_once(struct config *config)
{
	config->progress_ms = 3600000;
	config->totals_ms = 1000;
}

static int fails_first(int n)
{
	return n <= 2 ? 503 : 200;
}

static int always_refuses(int n)
{
	(void)n;
	return 403;
}

static int is_always_away(int n)
{
	(void)n;
	return 503;
}

static void progress_that_fails_is_said_once_and_goes_on(void **state)
{
	(void)state;
	struct world *w = world_new(&(struct world_options){.s3_port = 1, .post_status = fails_first, .tune = report_often});
	world_wait(world_posts(w) > 4);
	assert_int_equal(logged("the progress could not be posted"), 1);
	assert_int_equal(logged("the broker answered 503"), 1);
	world_free(w);
}

static void totals_are_posted_again_while_the_broker_is_away(void **state)
{
	(void)state;
	struct world *w = world_new(&(struct world_options){.s3_port = 1, .post_status = fails_first, .tune = report_once});
	world_stop(w);
	assert_int_equal(world_posts(w), 3);
	assert_string_equal(world_posted(w, "/stats"),
		"{\"received_payload_bytes\":0,\"received_raw_bytes\":0,\"sent_payload_bytes\":0,\"sent_raw_bytes\":0}");
	assert_int_equal(logged("the totals could not be posted"), 0);
	world_free(w);
}

static void totals_that_are_refused_are_given_up_at_once(void **state)
{
	(void)state;
	struct world *w = world_new(&(struct world_options){.s3_port = 1, .post_status = always_refuses, .tune = report_once});
	world_stop(w);
	assert_int_equal(world_posts(w), 1);
	assert_int_equal(logged("the totals could not be posted"), 1);
	assert_int_equal(logged("the broker answered 403"), 1);
	world_free(w);
}

static void totals_that_find_no_broker_are_given_up_in_time(void **state)
{
	(void)state;
	struct world *w = world_new(&(struct world_options){.s3_port = 1, .post_status = is_always_away, .tune = report_once});
	world_stop(w);
	assert_in_range(world_posts(w), 2, 5);
	assert_int_equal(logged("the totals could not be posted"), 1);
	world_free(w);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin_log, end_log)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(progress_that_fails_is_said_once_and_goes_on),
		CASE(totals_are_posted_again_while_the_broker_is_away),
		CASE(totals_that_are_refused_are_given_up_at_once),
		CASE(totals_that_find_no_broker_are_given_up_in_time),
	};
	return cmocka_run_group_tests_name("proxy/stats", tests, NULL, NULL);
}
