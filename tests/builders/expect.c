#include "tests/builders/expect.h"

#include "tests/support/cmocka.h"
#include <string.h>

void expect_str(const char *label, const char *actual, const char *expected)
{
	if (actual == NULL || strcmp(actual, expected) != 0)
		fail_msg("%s: %s, expected %s", label, actual == NULL ? "missing" : actual, expected);
}

void assert_json(const char *label, const json_t *actual, const char *expected)
{
	struct error err = {0};
	char text[4096];
	size_t len = strlen(expected);
	assert_true(len < sizeof text);
	for (size_t i = 0; i <= len; i++)
		text[i] = expected[i] == '\'' ? '"' : expected[i];
	AUTO(json) json_t *wanted = NULL;
	assert_ok(json_parse(text, len, &wanted, &err), err);
	if (!json_equal(actual, wanted)) {
		AUTO_FREE char *shown = json_dumps(actual, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY);
		fail_msg("%s: %s, expected %s", label, shown == NULL ? "missing" : shown, text);
	}
}

const json_t *named(const json_t *list, const char *name)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *own = json_find_str(json_array_get(list, i), "name");
		if (own != NULL && strcmp(own, name) == 0)
			return json_array_get(list, i);
	}
	return NULL;
}
