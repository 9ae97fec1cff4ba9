// Kubernetes quantities (base/quantity.h), held against the same computation in floating point.
#include "base/quantity.h"
#include "tests/fuzz/fuzz.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static long double suffix_value(const char *suffix)
{
	static const struct {
		const char *text;
		long double value;
	} suffixes[] = {{"", 1}, {"n", 1e-9L}, {"u", 1e-6L}, {"m", 1e-3L}, {"k", 1e3L}, {"M", 1e6L}, {"G", 1e9L}, {"T", 1e12L},
		{"P", 1e15L}, {"E", 1e18L}, {"Ki", 0x1p10L}, {"Mi", 0x1p20L}, {"Gi", 0x1p30L}, {"Ti", 0x1p40L}, {"Pi", 0x1p50L},
		{"Ei", 0x1p60L}};
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		if (strcmp(suffix, suffixes[i].text) == 0)
			return suffixes[i].value;
	}
	fuzz_fail(__FILE__, __LINE__, "suffix \"%s\" was read", suffix);
}

// Rounded up, with the error that floating point has.
static void check_value(const char *text, long double times, int64_t value)
{
	char *suffix = NULL;
	long double number = strtold(text, &suffix);
	long double wanted = number * suffix_value(suffix) * times;
	long double slack = wanted * 1e-15L + 1e-9L;
	long double got = (long double)value;
	FUZZ_CHECK(value >= 0 && got >= wanted - slack && got <= wanted + 1 + slack, "%s is %" PRId64 ", not %Lg", text, value,
		wanted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	int64_t bytes = -1;
	int64_t milli = -1;
	int64_t again = -1;
	char printed[QUANTITY_TEXT_SIZE];
	AUTO_FREE char *text = fuzz_text(data, size);
	if (quantity_bytes(text, &bytes, &err) == 0) {
		check_value(text, 1, bytes);
		quantity_format_bytes(bytes, printed);
		FUZZ_CHECK(quantity_bytes(printed, &again, &err) == 0 && again == bytes, "%s becomes %s", text, printed);
	} else {
		fuzz_check_error(&err);
		FUZZ_CHECK(bytes == -1, "a refused quantity is set");
	}
	if (quantity_milli(text, &milli, &err) == 0)
		check_value(text, 1000, milli);
	else
		FUZZ_CHECK(milli == -1, "a refused quantity is set");
	return 0;
}
