#include "base/clock.h"
#include "tests/support/cmocka.h"
#include <string.h>
#include <time.h>

static void texts_and_times_are_one(void **state)
{
	(void)state;
	const struct {
		const char *text;
		int64_t ms;
		const char *micro;
	} rows[] = {
		{"1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00.000000Z"},
		{"1969-12-31T23:59:59Z", -1000, "1969-12-31T23:59:59.000000Z"},
		{"2000-02-29T12:00:00Z", INT64_C(951825600000), "2000-02-29T12:00:00.000000Z"},
		{"2026-11-20T08:02:03Z", INT64_C(1795161723000), "2026-11-20T08:02:03.000000Z"},
		{"2100-03-01T00:00:00Z", INT64_C(4107542400000), "2100-03-01T00:00:00.000000Z"},
		{"0000-01-01T00:00:00Z", INT64_C(-62167219200000), "0000-01-01T00:00:00.000000Z"},
		{"9999-12-31T23:59:59Z", INT64_C(253402300799000), "9999-12-31T23:59:59.000000Z"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		char text[CLOCK_TEXT_SIZE];
		int64_t ms = -1;
		clock_format(rows[i].ms, text);
		assert_string_equal(text, rows[i].text);
		clock_format_micro(rows[i].ms, text);
		assert_string_equal(text, rows[i].micro);
		assert_ok(clock_parse(rows[i].text, &ms, &err), err);
		assert_int_equal(ms, rows[i].ms);
	}
}

// RFC 3339 has years of four digits.
static void times_that_have_no_text_become_the_nearest_that_has(void **state)
{
	(void)state;
	char text[CLOCK_TEXT_SIZE];
	clock_format(INT64_MAX, text);
	assert_string_equal(text, "9999-12-31T23:59:59Z");
	clock_format_micro(INT64_C(253402300800000), text);
	assert_string_equal(text, "9999-12-31T23:59:59.999000Z");
	clock_format(INT64_MIN, text);
	assert_string_equal(text, "0000-01-01T00:00:00Z");
}

// Every day of 400 years against the C library.
static void dates_are_those_of_the_c_library(void **state)
{
	(void)state;
	for (int64_t day = -80000; day < 66097; day += 7) {
		struct tm tm;
		char expected[CLOCK_TEXT_SIZE];
		char text[CLOCK_TEXT_SIZE];
		time_t at = (time_t)(day * 86400 + day % 86400);
		assert_non_null(gmtime_r(&at, &tm));
		assert_true(strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%SZ", &tm) > 0);
		clock_format((int64_t)at * 1000, text);
		assert_string_equal(text, expected);
	}
}

static void offsets_and_fractions_are_read(void **state)
{
	(void)state;
	const struct {
		const char *text;
		int64_t ms;
	} rows[] = {
		{"1970-01-01T01:00:00+01:00", 0}, {"1969-12-31T18:30:00-05:30", 0}, {"1970-01-01t00:00:00z", 0},
		{"1970-01-01 00:00:00.5Z", 500}, {"1970-01-01T00:00:00.123456789Z", 123},
		{"1970-01-01T00:00:60Z", 60000}, // a leap second
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		int64_t ms = -1;
		if (clock_parse(rows[i].text, &ms, &err) != 0 || ms != rows[i].ms)
			fail_msg("%s: %lld %s", rows[i].text, (long long)ms, err.text);
	}
}

static void what_is_no_time_is_refused(void **state)
{
	(void)state;
	const char *const texts[] = {"", "now", "2026-11-20", "2026-11-20T08:00:00", "2026-13-01T00:00:00Z",
		"2026-00-01T00:00:00Z", "2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2026-04-31T00:00:00Z",
		"2026-11-20T24:00:00Z", "2026-11-20T08:60:00Z", "2026-11-20T08:00:61Z", "2026-11-20T08:00:00.Z",
		"2026-11-20T08:00:00+24:00", "2026-11-20T08:00:00+01:60", "2026-11-20T08:00:00Zx", " 2026-11-20T08:00:00Z",
		"+026-11-20T08:00:00Z", "2026-11-20T8:00:00Z", "0000-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct error err = {0};
		int64_t ms = 42;
		if (clock_parse(texts[i], &ms, &err) == 0)
			fail_msg("%s: taken", texts[i]);
		assert_int_equal(err.kind, ERROR_INVALID);
		assert_int_equal(ms, 42);
	}
	static const char good[] = "2026-11-20T08:00:00.5+01:00";
	for (size_t len = 0; len + 1 < sizeof(good); len++) {
		struct error err = {0};
		int64_t ms = 0;
		char cut[sizeof(good)];
		memcpy(cut, good, len);
		cut[len] = '\0';
		if (clock_parse(cut, &ms, &err) == 0)
			fail_msg("%s: taken", cut);
	}
}

static void durations(void **state)
{
	(void)state;
	const struct {
		const char *text;
		int64_t ms; // -1: refused
	} rows[] = {
		{"0", 0},
		{"90", 90000},
		{"90s", 90000},
		{"250ms", 250},
		{"5m", 300000},
		{"2h30m", 9000000},
		{"1d", 86400000},
		{"3650d", INT64_C(315360000000)},
		{"3651d", -1},
		{"99999999999999999999999", -1},
		{"", -1},
		{"-1", -1},
		{"+1", -1},
		{"1.5h", -1},
		{" 1", -1},
		{"1 ", -1},
		{"1w", -1},
		{"m", -1},
		{"1sm", -1},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		int64_t ms = -1;
		int rc = clock_parse_duration(rows[i].text, &ms, &err);
		if ((rc == 0) != (rows[i].ms >= 0) || ms != rows[i].ms)
			fail_msg("%s: %lld", rows[i].text, (long long)ms);
		if (rc != 0)
			assert_int_equal(err.kind, ERROR_INVALID);
	}
}

static void the_monotonic_clock_goes_forward(void **state)
{
	(void)state;
	int64_t before = clock_mono_ms();
	assert_true(before > 0);
	assert_true(clock_mono_ms() >= before);
	assert_true(clock_wall_ms() > INT64_C(1700000000000));
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(texts_and_times_are_one),
		cmocka_unit_test(times_that_have_no_text_become_the_nearest_that_has),
		cmocka_unit_test(dates_are_those_of_the_c_library),
		cmocka_unit_test(offsets_and_fractions_are_read),
		cmocka_unit_test(what_is_no_time_is_refused),
		cmocka_unit_test(durations),
		cmocka_unit_test(the_monotonic_clock_goes_forward),
	};
	return cmocka_run_group_tests_name("base/clock", cases, NULL, NULL);
}
