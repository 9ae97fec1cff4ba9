#include "reconciler/words.h"

#include <stdio.h>

#define MINUTE_S 60
#define HOUR_S 3600
#define DAY_S 86400

void words_duration(int64_t ms, char out[WORDS_SIZE])
{
	long long s = ms < 0 ? 0 : ms / 1000;
	if (s < MINUTE_S)
		(void)snprintf(out, WORDS_SIZE, "%lld s", s);
	else if (s < HOUR_S)
		(void)snprintf(out, WORDS_SIZE, "%lld min", s / MINUTE_S);
	else if (s < DAY_S && s % HOUR_S >= MINUTE_S)
		(void)snprintf(out, WORDS_SIZE, "%lld h %lld min", s / HOUR_S, s % HOUR_S / MINUTE_S);
	else if (s < DAY_S)
		(void)snprintf(out, WORDS_SIZE, "%lld h", s / HOUR_S);
	else if (s % DAY_S >= HOUR_S)
		(void)snprintf(out, WORDS_SIZE, "%lld d %lld h", s / DAY_S, s % DAY_S / HOUR_S);
	else
		(void)snprintf(out, WORDS_SIZE, "%lld d", s / DAY_S);
}

void words_when(int64_t at_ms, int64_t now_ms, char out[WORDS_SIZE])
{
	char duration[WORDS_SIZE];
	int64_t ago_ms = now_ms - at_ms;
	words_duration(ago_ms < 0 ? -ago_ms : ago_ms, duration);
	if (ago_ms > -1000 && ago_ms < 1000)
		(void)snprintf(out, WORDS_SIZE, "now");
	else
		(void)snprintf(out, WORDS_SIZE, ago_ms < 0 ? "in %.40s" : "%.40s ago", duration);
}

void words_bytes(int64_t bytes, char out[WORDS_SIZE])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	long long whole = bytes < 0 ? 0 : bytes;
	int unit = 0;
	long long tenths = 0;
	while (whole >= 1024) {
		tenths = whole % 1024 * 10 / 1024;
		whole /= 1024;
		unit++;
	}
	if (unit > 0 && whole < 100)
		(void)snprintf(out, WORDS_SIZE, "%lld.%lld %s", whole, tenths, units[unit]);
	else
		(void)snprintf(out, WORDS_SIZE, "%lld %s", whole, units[unit]);
}
