// RFC 3339 times and durations (base/clock.h), held against the C library's calendar.
#include "base/clock.h"
#include "tests/fuzz/fuzz.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DURATION_MAX_MS (INT64_C(3650) * 86400000)

// The whole seconds of the text, by the C library; the text has been read, so its shape is known.
static int64_t expected_s(const char *text)
{
	struct tm tm = {0};
	int offset_h = 0;
	int offset_min = 0;
	FUZZ_CHECK(sscanf(text, "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
			   &tm.tm_sec) == 6,
		"a time of another shape: %s", text);
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	struct tm day = {.tm_year = tm.tm_year, .tm_mon = tm.tm_mon, .tm_mday = tm.tm_mday};
	(void)timegm(&day); // makes the 30th of February one of March
	FUZZ_CHECK(day.tm_mon == tm.tm_mon && day.tm_mday == tm.tm_mday, "a day that is not in the calendar: %s", text);
	int64_t seconds = (int64_t)timegm(&tm);
	const char *sign = strpbrk(text + strlen("2026-11-20T08:00:00"), "+-");
	if (sign == NULL)
		return seconds;
	FUZZ_CHECK(sscanf(sign + 1, "%2d:%2d", &offset_h, &offset_min) == 2, "an offset of another shape: %s", text);
	int64_t offset_s = (offset_h * 60 + offset_min) * 60;
	return *sign == '-' ? seconds + offset_s : seconds - offset_s;
}

static void check_time(const char *text)
{
	struct error err = {0};
	int64_t at_ms = INT64_MIN;
	int64_t again_ms = 0;
	char whole[CLOCK_TEXT_SIZE];
	char micro[CLOCK_TEXT_SIZE];
	if (clock_parse(text, &at_ms, &err) < 0) {
		fuzz_check_error(&err);
		FUZZ_CHECK(err.kind == ERROR_INVALID && at_ms == INT64_MIN, "a refused time is set");
		return;
	}
	int64_t seconds = at_ms / 1000 - (at_ms % 1000 < 0);
	FUZZ_CHECK(seconds == expected_s(text), "%s is %" PRId64 " s", text, seconds);
	clock_format_micro(at_ms, micro);
	FUZZ_CHECK(clock_parse(micro, &again_ms, &err) == 0 && again_ms == at_ms, "%s becomes %s", text, micro);
	clock_format(at_ms, whole);
	FUZZ_CHECK(clock_parse(whole, &again_ms, &err) == 0 && again_ms == seconds * 1000, "%s becomes %s", text, whole);
}

static void check_duration(const char *text)
{
	struct error err = {0};
	int64_t ms = -1;
	int64_t again_ms = -1;
	char printed[32];
	if (clock_parse_duration(text, &ms, &err) < 0) {
		fuzz_check_error(&err);
		FUZZ_CHECK(err.kind == ERROR_INVALID && ms == -1, "a refused duration is set");
		return;
	}
	FUZZ_CHECK(ms >= 0 && ms <= DURATION_MAX_MS, "%s is %" PRId64 " ms", text, ms);
	(void)snprintf(printed, sizeof(printed), "%" PRId64 "ms", ms);
	FUZZ_CHECK(clock_parse_duration(printed, &again_ms, &err) == 0 && again_ms == ms, "%s becomes %s", text, printed);
}

// Any time at all has a text that is a time.
static void check_format(int64_t wall_ms)
{
	struct error err = {0};
	char text[CLOCK_TEXT_SIZE];
	int64_t at_ms = 0;
	clock_format_micro(wall_ms, text);
	FUZZ_CHECK(clock_parse(text, &at_ms, &err) == 0, "%" PRId64 " ms becomes %s", wall_ms, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int64_t wall_ms = 0;
	AUTO_FREE char *text = fuzz_text(data, size);
	check_time(text);
	check_duration(text);
	memcpy(&wall_ms, data, size < sizeof(wall_ms) ? size : sizeof(wall_ms));
	check_format(wall_ms);
	return 0;
}
