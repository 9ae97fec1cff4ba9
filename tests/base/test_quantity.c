#include "base/quantity.h"
#include "tests/support/cmocka.h"
#include <string.h>

static void quantities(void **state)
{
	(void)state;
	const struct {
		const char *text;
		int64_t bytes, milli; // -1: refused
	} rows[] = {
		{"0", 0, 0},
		{"1", 1, 1000},
		{"128974848", 128974848, INT64_C(128974848000)},
		{"129e6", 129000000, INT64_C(129000000000)},
		{"129E6", 129000000, INT64_C(129000000000)},
		{"1e-3", 1, 1},
		{"129M", 129000000, INT64_C(129000000000)},
		{"123Mi", 128974848, INT64_C(128974848000)},
		{"20Gi", INT64_C(21474836480), INT64_C(21474836480000)},
		{"1.5Gi", INT64_C(1610612736), INT64_C(1610612736000)},
		{".5", 1, 500}, // rounded up
		{"0.5", 1, 500},
		{"1.", 1, 1000},
		{"500m", 1, 500},
		{"1500m", 2, 1500},
		{"1u", 1, 1},
		{"1n", 1, 1},
		{"2k", 2000, 2000000},
		{"7E", INT64_C(7000000000000000000), -1},
		{"1Ei", INT64_C(1) << 60, -1},
		{"9Ei", -1, -1},
		{"1e19", -1, -1},
		{"9999991919M", INT64_C(9999991919000000), -1},
		{"9999991919000000", INT64_C(9999991919000000), -1}, // as it is printed
		{"9223372036854775807", INT64_MAX, -1},
		{"9223372036854775808", -1, -1},
		{"0.00000000000000000001", -1, -1},
		{"", -1, -1},
		{".", -1, -1},
		{"Gi", -1, -1},
		{"-1", -1, -1},
		{"+1", -1, -1},
		{"1 Gi", -1, -1},
		{"1gi", -1, -1},
		{"1KI", -1, -1},
		{"1GiB", -1, -1},
		{"1.2.3", -1, -1},
		{"1e", -1, -1},
		{"1e+", -1, -1},
		{"1e3x", -1, -1},
		{"1e99", -1, -1},
		{"0x10", -1, -1},
		{"NaN", -1, -1},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		int64_t bytes = -1;
		int64_t milli = -1;
		int rc = quantity_bytes(rows[i].text, &bytes, &err);
		if ((rc == 0) != (rows[i].bytes >= 0) || (rc == 0 && bytes != rows[i].bytes))
			fail_msg("\"%s\": %lld bytes", rows[i].text, (long long)bytes);
		rc = quantity_milli(rows[i].text, &milli, &err);
		if ((rc == 0) != (rows[i].milli >= 0) || (rc == 0 && milli != rows[i].milli))
			fail_msg("\"%s\": %lld thousandths", rows[i].text, (long long)milli);
		if (rc != 0)
			assert_int_equal(err.kind, ERROR_INVALID);
	}
}

static void sizes_are_printed_with_the_largest_suffix_that_is_exact(void **state)
{
	(void)state;
	const struct {
		int64_t bytes;
		const char *text;
	} rows[] = {{0, "0"}, {1, "1"}, {1023, "1023"}, {1024, "1Ki"}, {1536, "1536"}, {INT64_C(21474836480), "20Gi"},
		{INT64_C(1) << 60, "1Ei"}, {INT64_MAX, "9223372036854775807"}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[QUANTITY_TEXT_SIZE];
		quantity_format_bytes(rows[i].bytes, text);
		assert_string_equal(text, rows[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(quantities),
		cmocka_unit_test(sizes_are_printed_with_the_largest_suffix_that_is_exact),
	};
	return cmocka_run_group_tests_name("base/quantity", cases, NULL, NULL);
}
