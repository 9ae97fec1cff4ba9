#include "base/quantity.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

// value = mantissa * times / over
struct scale {
	int64_t times;
	int64_t over;
};

static const struct {
	const char *suffix;
	struct scale scale;
} suffixes[] = {
	{"", {1, 1}},
	{"Ki", {INT64_C(1) << 10, 1}},
	{"Mi", {INT64_C(1) << 20, 1}},
	{"Gi", {INT64_C(1) << 30, 1}},
	{"Ti", {INT64_C(1) << 40, 1}},
	{"Pi", {INT64_C(1) << 50, 1}},
	{"Ei", {INT64_C(1) << 60, 1}},
	{"n", {1, 1000000000}},
	{"u", {1, 1000000}},
	{"m", {1, 1000}},
	{"k", {1000, 1}},
	{"M", {1000000, 1}},
	{"G", {1000000000, 1}},
	{"T", {INT64_C(1000000000000), 1}},
	{"P", {INT64_C(1000000000000000), 1}},
	{"E", {INT64_C(1000000000000000000), 1}},
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool shift(struct scale *scale, int powers_of_ten)
{
	for (; powers_of_ten > 0; powers_of_ten--) {
		if (__builtin_mul_overflow(scale->times, 10, &scale->times))
			return false;
	}
	for (; powers_of_ten < 0; powers_of_ten++) {
		if (__builtin_mul_overflow(scale->over, 10, &scale->over))
			return false;
	}
	return true;
}

// Digits with at most one point, as many as fit; *decimals counts those behind it.
static bool read_mantissa(const char **at, int64_t *mantissa, int *decimals)
{
	bool digits = false;
	bool point = false;
	*mantissa = 0;
	*decimals = 0;
	for (; is_digit(**at) || (**at == '.' && !point); (*at)++) {
		if (**at == '.') {
			point = true;
			continue;
		}
		digits = true;
		if (__builtin_mul_overflow(*mantissa, 10, mantissa) || __builtin_add_overflow(*mantissa, **at - '0', mantissa))
			return false;
		*decimals += point;
	}
	return digits;
}

// "e3", "E-2": the other way to write a decimal suffix. "E" alone is exa.
static bool read_exponent(const char **at, struct scale *scale)
{
	const char *s = *at + 1;
	bool negative = *s == '-';
	s += *s == '-' || *s == '+';
	int power = 0;
	int digits = 0;
	for (; is_digit(*s) && digits < 3; s++, digits++)
		power = power * 10 + (*s - '0');
	*at = s;
	return digits > 0 && shift(scale, negative ? -power : power);
}

static bool read_scale(const char *at, struct scale *scale)
{
	*scale = (struct scale){1, 1};
	if (*at == 'e' || (*at == 'E' && at[1] != '\0' && at[1] != 'i'))
		return read_exponent(&at, scale) && *at == '\0';
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		if (strcmp(at, suffixes[i].suffix) == 0) {
			*scale = suffixes[i].scale;
			return true;
		}
	}
	return false;
}

// text times 10^power, rounded up.
static bool read(const char *text, int power, int64_t *out)
{
	const char *at = text;
	int64_t mantissa = 0;
	int decimals = 0;
	struct scale scale;
	if (!read_mantissa(&at, &mantissa, &decimals) || !read_scale(at, &scale) || !shift(&scale, power) ||
		!shift(&scale, -decimals))
		return false;
	// 1.5Ei: divide what can be divided first, so that the product is not needlessly too large.
	while (mantissa % 10 == 0 && mantissa > 0 && scale.over % 10 == 0) {
		mantissa /= 10;
		scale.over /= 10;
	}
	while (scale.times % 10 == 0 && scale.over % 10 == 0) {
		scale.times /= 10;
		scale.over /= 10;
	}
	int64_t product = 0;
	if (__builtin_mul_overflow(mantissa, scale.times, &product))
		return false;
	*out = product / scale.over + (product % scale.over > 0);
	return true;
}

int quantity_bytes(const char *text, int64_t *bytes, struct error *err)
{
	if (!read(text, 0, bytes))
		return error_set(err, ERROR_INVALID, "\"%.64s\" is not a size (such as 20Gi, 500M, 1073741824)", text);
	return 0;
}

int quantity_milli(const char *text, int64_t *milli, struct error *err)
{
	if (!read(text, 3, milli))
		return error_set(err, ERROR_INVALID, "\"%.64s\" is not a number of CPUs (such as 2, 0.5, 500m)", text);
	return 0;
}

void quantity_format_bytes(int64_t bytes, char out[QUANTITY_TEXT_SIZE])
{
	static const char *const units[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
	size_t unit = 0;
	for (; bytes > 0 && bytes % 1024 == 0 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
		bytes /= 1024;
	(void)snprintf(out, QUANTITY_TEXT_SIZE, "%" PRId64 "%s", bytes, units[unit]);
}
