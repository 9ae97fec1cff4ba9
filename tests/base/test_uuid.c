#include "base/uuid.h"
#include "tests/support/cmocka.h"
#include <string.h>

static void either_case_is_read_as_lower(void **state)
{
	(void)state;
	struct error err = {0};
	char out[UUID_TEXT_SIZE];
	unsigned char bytes[UUID_BYTES];
	assert_ok(uuid_parse("6F1C1F6E-0c0e-4B7A-9a55-0D6A4A1F2B01", out, &err), err);
	assert_string_equal(out, "6f1c1f6e-0c0e-4b7a-9a55-0d6a4a1f2b01");
	uuid_to_bytes(out, bytes);
	assert_memory_equal(bytes, "\x6f\x1c\x1f\x6e\x0c\x0e\x4b\x7a\x9a\x55\x0d\x6a\x4a\x1f\x2b\x01", UUID_BYTES);
}

static void what_is_no_uuid_is_refused_and_leaves_out_untouched(void **state)
{
	(void)state;
	const char *const texts[] = {"", "6f1c1f6e", "6f1c1f6e-0c0e-4b7a-9a55-0d6a4a1f2b0",
		"6f1c1f6e-0c0e-4b7a-9a55-0d6a4a1f2b012", "6f1c1f6e0c0e4b7a9a550d6a4a1f2b01",
		"6f1c1f6e-0c0e-4b7a-9a55-0d6a4a1f2b0g", "6f1c1f6e-0c0e-4b7a-9a5-50d6a4a1f2b01",
		"{f1c1f6e-0c0e-4b7a-9a55-0d6a4a1f2b01}", "6f1c1f6e 0c0e-4b7a-9a55-0d6a4a1f2b01",
		" f1c1f6e-0c0e-4b7a-9a55-0d6a4a1f2b01"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct error err = {0};
		char out[UUID_TEXT_SIZE] = "as it was";
		if (uuid_parse(texts[i], out, &err) == 0)
			fail_msg("\"%s\": taken", texts[i]);
		assert_int_equal(err.kind, ERROR_INVALID);
		assert_string_equal(out, "as it was");
	}
}

static void made_ones_are_version_4_and_differ(void **state)
{
	(void)state;
	char before[UUID_TEXT_SIZE] = "";
	for (int i = 0; i < 100; i++) {
		struct error err = {0};
		char made[UUID_TEXT_SIZE];
		char read[UUID_TEXT_SIZE];
		assert_ok(uuid_make(made, &err), err);
		assert_ok(uuid_parse(made, read, &err), err);
		assert_string_equal(made, read);
		assert_int_equal(made[14], '4');
		assert_non_null(strchr("89ab", made[19]));
		assert_string_not_equal(made, before);
		memcpy(before, made, sizeof(before));
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(either_case_is_read_as_lower),
		cmocka_unit_test(what_is_no_uuid_is_refused_and_leaves_out_untouched),
		cmocka_unit_test(made_ones_are_version_4_and_differ),
	};
	return cmocka_run_group_tests_name("base/uuid", cases, NULL, NULL);
}
