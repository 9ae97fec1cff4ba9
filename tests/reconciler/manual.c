#include "tests/reconciler/manual.h"

#include "base/file.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MANUAL_MAX ((size_t)1 << 20)

static void add(json_t *keys, const char *key)
{
	assert_int_equal(json_object_set_new(keys, key, json_true()), 0);
}

// Of "| `key` | type | ...".
static void add_row(json_t *keys, const char *line)
{
	char key[64];
	if (sscanf(line, "| `%63[^`]` |", key) == 1)
		add(keys, key);
}

json_t *manual_keys(void)
{
	struct error err = {0};
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	bool is_of_keys = false;
	json_t *keys = json_object();
	const char *path = getenv("MANUAL");
	assert_non_null(path);
	assert_ok(file_read(path, MANUAL_MAX, &text, &len, &err), err);
	char *rest = text;
	for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
		if (line[0] != '|')
			is_of_keys = false;
		else if (strncmp(line, "| key |", 7) == 0)
			is_of_keys = true;
		else if (is_of_keys)
			add_row(keys, line);
	}
	assert_true(json_object_size(keys) > 10);
	return keys;
}

json_t *manual_keys_of(const json_t *details)
{
	static const char *const objects[] = {"durations", "versions"};
	json_t *keys = json_object();
	const char *key, *member;
	json_t *value, *ignored;
	json_object_foreach ((json_t *)(uintptr_t)details, key, value)
		add(keys, key);
	for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
		json_object_foreach (json_object_get(details, objects[i]), member, ignored) {
			char whole[64];
			(void)snprintf(whole, sizeof(whole), "%s.%s", objects[i], member);
			add(keys, whole);
		}
	}
	return keys;
}

void manual_assert_within(const json_t *of, const json_t *in, const char *what)
{
	const char *key;
	json_t *ignored;
	json_object_foreach ((json_t *)(uintptr_t)of, key, ignored) {
		if (json_object_get(in, key) == NULL)
			fail_msg("\"%s\" %s", key, what);
	}
}
