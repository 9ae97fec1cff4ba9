#include "base/buf.h"
#include "tests/support/cmocka.h"
#include <string.h>

static void grows_and_terminates(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(buf) struct buf b;
	buf_init(&b, 4096);
	assert_string_equal(buf_str(&b), "");
	for (int i = 0; i < 1000; i++)
		assert_ok(buf_addf(&b, &err, "%04d", i), err);
	assert_int_equal(b.len, 4000);
	assert_memory_equal(buf_str(&b) + 3996, "0999", 5);
	buf_reset(&b);
	assert_string_equal(buf_str(&b), "");
}

static void an_append_past_the_maximum_changes_nothing(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(buf) struct buf b;
	buf_init(&b, 5);
	assert_ok(buf_add_str(&b, "12345", &err), err);
	assert_error(buf_add_str(&b, "6", &err), err, ERROR_INVALID, "longer than 5 bytes");
	assert_error(buf_addf(&b, &err, "%d", 6), err, ERROR_INVALID, "longer than 5 bytes");
	assert_string_equal(buf_str(&b), "12345");
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(grows_and_terminates),
		cmocka_unit_test(an_append_past_the_maximum_changes_nothing),
	};
	return cmocka_run_group_tests_name("base/buf", cases, NULL, NULL);
}
