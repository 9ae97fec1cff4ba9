#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define MS_PER_S 1000
#define MS_PER_DAY INT64_C(86400000)
#define FIRST_MS INT64_C(-62167219200000)            // 0000-01-01T00:00:00Z: RFC 3339 has years of four digits
#define LAST_MS INT64_C(253402300799999)             // 9999-12-31T23:59:59.999Z
#define DURATION_MAX_MS (INT64_C(3650) * MS_PER_DAY) // ten years: anything longer is a typing error

static int64_t read_clock(clockid_t id)
{
	struct timespec now;
	(void)clock_gettime(id, &now); // cannot fail for these clocks
	return (int64_t)now.tv_sec * MS_PER_S + now.tv_nsec / 1000000;
}

int64_t clock_wall_ms(void)
{
	return read_clock(CLOCK_REALTIME);
}

int64_t clock_mono_ms(void)
{
	return read_clock(CLOCK_BOOTTIME);
}

struct civil {
	int64_t year;
	int month, day;
};

// Days since 1970-01-01 to a date of the proleptic Gregorian calendar and back. March starts the year, so that the leap day is
// its last: http://howardhinnant.github.io/date_algorithms.html
static struct civil civil_from_days(int64_t days)
{
	days += 719468;
	int64_t era = (days >= 0 ? days : days - 146096) / 146097;
	int64_t doe = days - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;
	int month = (int)(mp < 10 ? mp + 3 : mp - 9);
	return (struct civil){.year = yoe + era * 400 + (month <= 2), .month = month, .day = (int)(doy - (153 * mp + 2) / 5 + 1)};
}

static int64_t days_from_civil(struct civil c)
{
	int64_t y = c.year - (c.month <= 2);
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t yoe = y - era * 400;
	int64_t doy = (153 * (c.month + (c.month > 2 ? -3 : 9)) + 2) / 5 + c.day - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void format(int64_t wall_ms, bool micro, char out[CLOCK_TEXT_SIZE])
{
	wall_ms = wall_ms < FIRST_MS ? FIRST_MS : wall_ms > LAST_MS ? LAST_MS : wall_ms;
	int64_t days = wall_ms / MS_PER_DAY - (wall_ms % MS_PER_DAY < 0);
	unsigned int ms = (unsigned int)(wall_ms - days * MS_PER_DAY);
	unsigned int s = ms / MS_PER_S;
	struct civil c = civil_from_days(days);
	char fraction[8] = "";
	if (micro)
		(void)snprintf(fraction, sizeof(fraction), ".%03u000", ms % MS_PER_S);
	// Nothing is longer than its field: the remainders of year, month, day and hour only say so to the compiler.
	(void)snprintf(out, CLOCK_TEXT_SIZE, "%04d-%02d-%02dT%02u:%02u:%02u%sZ", (int)(c.year % 10000), c.month % 100,
		c.day % 100, s / 3600 % 24, s / 60 % 60, s % 60, fraction);
}

void clock_format(int64_t wall_ms, char out[CLOCK_TEXT_SIZE])
{
	format(wall_ms, false, out);
}

void clock_format_micro(int64_t wall_ms, char out[CLOCK_TEXT_SIZE])
{
	format(wall_ms, true, out);
}

// Exactly `digits` digits at *at; -1 when they are not there.
static int number(const char **at, int digits)
{
	int value = 0;
	for (int i = 0; i < digits; i++, (*at)++) {
		if (**at < '0' || **at > '9')
			return -1;
		value = value * 10 + (**at - '0');
	}
	return value;
}

static bool eat(const char **at, const char *any_of)
{
	if (**at == '\0' || strchr(any_of, **at) == NULL)
		return false;
	(*at)++;
	return true;
}

static int days_in_month(int64_t year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return days[month - 1] + (month == 2 && leap);
}

static bool read_date(const char **at, struct civil *c)
{
	int year = number(at, 4);
	bool shape = year >= 0 && eat(at, "-") && (c->month = number(at, 2)) >= 1 && c->month <= 12 && eat(at, "-");
	c->year = year;
	return shape && (c->day = number(at, 2)) >= 1 && c->day <= days_in_month(year, c->month);
}

static bool read_time(const char **at, int64_t *ms)
{
	int hour = number(at, 2);
	int minute = hour >= 0 && eat(at, ":") ? number(at, 2) : -1;
	int second = minute >= 0 && eat(at, ":") ? number(at, 2) : -1;
	if (second < 0 || hour > 23 || minute > 59 || second > 60)
		return false;
	*ms = ((hour * 60 + minute) * INT64_C(60) + second) * MS_PER_S;
	if (!eat(at, "."))
		return true;
	int64_t unit = 100;
	if (**at < '0' || **at > '9')
		return false;
	for (; **at >= '0' && **at <= '9'; (*at)++, unit /= 10)
		*ms += (**at - '0') * unit;
	return true;
}

static bool read_offset(const char **at, int64_t *ms)
{
	*ms = 0;
	if (eat(at, "Zz"))
		return true;
	int64_t sign = **at == '-' ? -1 : 1;
	if (!eat(at, "+-"))
		return false;
	int hour = number(at, 2);
	int minute = hour >= 0 && hour <= 23 && eat(at, ":") ? number(at, 2) : -1;
	*ms = sign * (hour * 60 + minute) * 60 * MS_PER_S;
	return minute >= 0 && minute <= 59;
}

int clock_parse(const char *text, int64_t *wall_ms, struct error *err)
{
	const char *at = text;
	struct civil date = {0};
	int64_t time_ms = 0;
	int64_t offset_ms = 0;
	if (!read_date(&at, &date) || !eat(&at, "Tt ") || !read_time(&at, &time_ms) || !read_offset(&at, &offset_ms) ||
		*at != '\0')
		return error_set(err, ERROR_INVALID, "\"%.64s\" is not an RFC 3339 time (such as 2026-11-20T08:00:00Z)", text);
	int64_t at_ms = days_from_civil(date) * MS_PER_DAY + time_ms - offset_ms;
	if (at_ms < FIRST_MS || at_ms > LAST_MS)
		return error_set(err, ERROR_INVALID, "\"%.64s\" is before the year 0 or after the year 9999 in UTC", text);
	*wall_ms = at_ms;
	return 0;
}

static int64_t unit_ms(const char **at)
{
	static const struct {
		const char *name;
		int64_t ms;
	} units[] = {{"ms", 1}, {"s", MS_PER_S}, {"m", INT64_C(60) * MS_PER_S}, {"h", INT64_C(3600) * MS_PER_S}, {"d", MS_PER_DAY}};
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		size_t len = strlen(units[i].name);
		if (strncmp(*at, units[i].name, len) == 0) {
			*at += len;
			return units[i].ms;
		}
	}
	return **at == '\0' ? MS_PER_S : -1;
}

int clock_parse_duration(const char *text, int64_t *ms, struct error *err)
{
	const char *at = text;
	int64_t total = 0;
	bool good = *at != '\0';
	while (good && *at != '\0') {
		int64_t value = 0;
		good = *at >= '0' && *at <= '9';
		for (; *at >= '0' && *at <= '9' && value <= DURATION_MAX_MS; at++)
			value = value * 10 + (*at - '0');
		int64_t unit = good ? unit_ms(&at) : -1;
		good = unit > 0 && value <= (DURATION_MAX_MS - total) / unit;
		total += good ? value * unit : 0;
	}
	if (!good)
		return error_set(
			err, ERROR_INVALID, "\"%.64s\" is not a duration (such as 90, 90s, 5m, 2h30m; at most 3650d)", text);
	*ms = total;
	return 0;
}
