#include "base/ratelimit.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <string.h>

#define INTERVAL_MS 1000
#define BURST 5
#define NOW_MS 1000000

static struct ratelimit limit;

static int setup(void **state)
{
	(void)state;
	ratelimit_init(&limit, INTERVAL_MS, BURST);
	return 0;
}

static int taken(const char *name, int tries, int64_t now_ms)
{
	int count = 0;
	for (int i = 0; i < tries; i++)
		count += ratelimit_take(&limit, name, now_ms) ? 1 : 0;
	return count;
}

static void a_full_bucket_gives_its_burst_and_then_one_for_each_interval(void **state)
{
	(void)state;
	assert_int_equal(taken("a", 2 * BURST, NOW_MS), BURST);
	assert_int_equal(ratelimit_wait_ms(&limit, "a", NOW_MS), INTERVAL_MS);
	assert_int_equal(taken("a", 5, NOW_MS + INTERVAL_MS - 1), 0);
	assert_int_equal(taken("a", 5, NOW_MS + INTERVAL_MS), 1);
	assert_int_equal(taken("a", 5, NOW_MS + 3 * INTERVAL_MS), 2);
	assert_int_equal(taken("a", 2 * BURST, NOW_MS + 3600000), BURST); // never more than full
}

static void names_do_not_share_a_bucket(void **state)
{
	(void)state;
	assert_int_equal(taken("a", BURST, NOW_MS), BURST);
	assert_int_equal(ratelimit_wait_ms(&limit, "b", NOW_MS), 0);
	assert_int_equal(taken("ab", BURST, NOW_MS), BURST);
}

static void looking_takes_nothing(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(ratelimit_wait_ms(&limit, "a", NOW_MS), 0);
	assert_int_equal(taken("a", 2 * BURST, NOW_MS), BURST);
}

static void a_full_table_forgets_the_fullest_bucket(void **state)
{
	(void)state;
	char name[32];
	assert_int_equal(taken("greedy", BURST, NOW_MS), BURST);
	for (int i = 0; i < 10 * RATELIMIT_NAMES_MAX; i++) {
		(void)snprintf(name, sizeof(name), "n%d", i);
		assert_int_equal(taken(name, 1, NOW_MS), 1);
	}
	assert_int_equal(taken("greedy", 1, NOW_MS), 0);
}

static void long_names_are_cut_and_still_found(void **state)
{
	(void)state;
	char name[200] = {0};
	memset(name, 'x', sizeof(name) - 1);
	assert_int_equal(taken(name, 2 * BURST, NOW_MS), BURST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_full_bucket_gives_its_burst_and_then_one_for_each_interval, setup),
		cmocka_unit_test_setup(names_do_not_share_a_bucket, setup),
		cmocka_unit_test_setup(looking_takes_nothing, setup),
		cmocka_unit_test_setup(a_full_table_forgets_the_fullest_bucket, setup),
		cmocka_unit_test_setup(long_names_are_cut_and_still_found, setup),
	};
	return cmocka_run_group_tests_name("base/ratelimit", tests, NULL, NULL);
}
