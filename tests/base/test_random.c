#include "base/random.h"
#include "tests/support/cmocka.h"
#include <string.h>

static void fills_what_it_is_given(void **state)
{
	(void)state;
	struct error err = {0};
	unsigned char a[300] = {0};
	unsigned char b[300] = {0};
	assert_ok(random_bytes(a, sizeof(a), &err), err);
	assert_ok(random_bytes(b, sizeof(b), &err), err);
	assert_memory_not_equal(a, b, sizeof(a));
	assert_memory_not_equal(a + 200, (unsigned char[100]){0}, 100);
	assert_ok(random_bytes(a, 0, &err), err);
}

static void jitter_stays_within_its_percentage_and_reaches_both_sides(void **state)
{
	(void)state;
	bool below = false;
	bool above = false;
	for (int i = 0; i < 1000; i++) {
		int64_t got = random_jitter(30000, 20);
		assert_true(got >= 24000 && got <= 36000);
		below = below || got < 30000;
		above = above || got > 30000;
	}
	assert_true(below && above);
	assert_int_equal(random_jitter(0, 20), 0);
	assert_int_equal(random_jitter(4, 20), 4); // too small to spread
	assert_int_equal(random_jitter(30000, 0), 30000);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(fills_what_it_is_given),
		cmocka_unit_test(jitter_stays_within_its_percentage_and_reaches_both_sides),
	};
	return cmocka_run_group_tests_name("base/random", cases, NULL, NULL);
}
