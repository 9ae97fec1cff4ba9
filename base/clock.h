// Wall and monotonic time, and their texts.
//
// Two types that do not mix: wall_ms are milliseconds since 1970-01-01 UTC and may jump; mono_ms only go forward and mean
// nothing to another process. Decisions take times as arguments; only the programs' main loops read a clock.
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/error.h"
#include <stdint.h>

#define CLOCK_TEXT_SIZE 32

int64_t clock_wall_ms(void);
int64_t clock_mono_ms(void);

// RFC 3339 in UTC: with seconds ("2026-11-20T08:23:41Z"), as Kubernetes writes its Time, or with microseconds, as it writes its
// MicroTime ("2026-11-20T08:23:41.123000Z"). A time outside the years 0 to 9999 is written as the nearest one within.
void clock_format(int64_t wall_ms, char out[CLOCK_TEXT_SIZE]);
void clock_format_micro(int64_t wall_ms, char out[CLOCK_TEXT_SIZE]);

// RFC 3339 section 5.6 with any offset and fraction; within the years 0 to 9999 in UTC, so that it has a text again. ERROR_INVALID
// names the text.
MUST_CHECK int clock_parse(const char *text, int64_t *wall_ms, struct error *err);

// "90", "90s", "5m", "2h30m", "1d", "250ms" to milliseconds; a bare number is seconds. Negative, empty or overflowing:
// ERROR_INVALID with what is allowed.
MUST_CHECK int clock_parse_duration(const char *text, int64_t *ms, struct error *err);

#endif
