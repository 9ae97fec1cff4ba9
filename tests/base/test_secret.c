#include "base/secret.h"
#include "tests/support/cmocka.h"
#include <string.h>

static void is_set_shown_as_stars_and_unset(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(secret) struct secret s = {0};
	assert_string_equal(secret_reveal(&s), "");
	assert_string_equal(secret_shown(&s), "");
	assert_ok(secret_set(&s, "hunter2", &err), err);
	assert_string_equal(secret_reveal(&s), "hunter2");
	assert_int_equal(s.len, 7);
	assert_string_equal(secret_shown(&s), "***");
	assert_ok(secret_set(&s, s.bytes, &err), err); // of itself
	assert_string_equal(secret_reveal(&s), "hunter2");
	assert_ok(secret_set(&s, NULL, &err), err);
	assert_string_equal(secret_reveal(&s), "");
	secret_fini(&s);
	secret_fini(&s);
}

static void made_ones_are_43_safe_characters_and_differ(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(secret) struct secret a = {0};
	AUTO(secret) struct secret b = {0};
	assert_ok(secret_make(&a, &err), err);
	assert_ok(secret_make(&b, &err), err);
	assert_int_equal(a.len, 43);
	assert_int_equal(strspn(a.bytes, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), 43);
	assert_string_not_equal(secret_reveal(&a), secret_reveal(&b));
}

static void wiping_leaves_nothing(void **state)
{
	(void)state;
	char bytes[] = "hunter2";
	secret_wipe(bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		assert_int_equal(bytes[i], 0);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(is_set_shown_as_stars_and_unset),
		cmocka_unit_test(made_ones_are_43_safe_characters_and_differ),
		cmocka_unit_test(wiping_leaves_nothing),
	};
	return cmocka_run_group_tests_name("base/secret", cases, NULL, NULL);
}
