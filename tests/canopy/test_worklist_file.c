#include "base/buf.h"
#include "canopy/worklist.h"
#include "tests/support/cmocka.h"
#include "tests/support/scratch.h"
#include <string.h>

#define HEAD                                                   \
	"- replica_id: 6f1c1f6e-0c0e-4b7a-9a55-0d6a4a1f2b01\n" \
	"  group_id: 0d5be8b8-6a3c-4c0e-8a55-1f6b7d2c9e10\n"   \
	"  server_id: b0a7c0de-1111-4222-8333-444455556666\n"  \
	"  type: postgres\n"                                   \
	"  intent: verify\n"                                   \
	"  name: Nauru prod analytics\n"                       \
	"  storage: s3\n"                                      \
	"  bucket: backups\n"                                  \
	"  prefix: ''\n"                                       \
	"  region: us-east-1\n"
#define ENTRY HEAD "  params: {}\n"

static int read_text(const char *text, struct worklist **out, struct error *err)
{
	return worklist_from_file(scratch_write("worklist.yaml", text, strlen(text)), out, err);
}

static void reads_the_same_fields_and_engine_and_secret(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(worklist) struct worklist *list = NULL;
	static const char text[] =
		"# replicas\n---\n" HEAD "  snapshot_id: \"12345678\" # digits, but quoted\n"
		"  snapshot_at: 2026-11-20T01:02:03Z\n"
		"  overdue_after_seconds: 86400\n"
		"  engine: restic\n  secret: s3-keys\n"
		"  params: {minimum_ttl: 60, cpu_limit: '2', deep: [1, 1.5, true, ~, text]}\n" ENTRY "  snapshot_id: ~\n";
	assert_ok(read_text(text, &list, &err), err);
	assert_int_equal(list->count, 2);
	struct entry first, second;
	const struct entry *e = &first;
	assert_ok(entry_open(list->entries[0], &first, &err), err);
	assert_ok(entry_open(list->entries[1], &second, &err), err);
	assert_string_equal(e->snapshot_id, "12345678");
	assert_string_equal(e->snapshot_at, "2026-11-20T01:02:03Z");
	assert_int_equal(e->overdue_after_s, 86400);
	assert_string_equal(e->engine, "restic");
	assert_string_equal(e->secret, "s3-keys");
	assert_string_equal(e->prefix, "");
	assert_int_equal(json_integer_value(json_object_get(e->params, "minimum_ttl")), 60);
	assert_string_equal(json_string_value(json_object_get(e->params, "cpu_limit")), "2");
	AUTO_FREE char *deep = NULL;
	assert_ok(json_print(json_object_get(e->params, "deep"), &deep, &err), err);
	assert_string_equal(deep, "[1,1.5,true,null,\"text\"]");
	assert_null(second.snapshot_id);
	assert_int_equal(second.overdue_after_s, -1);
	entry_close(&first);
	entry_close(&second);
}

static void the_empty_list_is_written_as_such(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(worklist) struct worklist *list = NULL;
	assert_ok(read_text("[]\n", &list, &err), err);
	assert_int_equal(list->count, 0);
}

static void complaints_name_line_and_column(void **state)
{
	(void)state;
	const struct {
		const char *label, *text;
		const char *at;    // behind the path
		const char *words; // somewhere behind that
	} rows[] = {
		{"nothing", "", ":1:1: ", "a sequence"},
		{"a comment", "# none\n", ":2:1: ", "a sequence"},
		{"null", "~\n", ":1:1: ", "a sequence"},
		{"a mapping", "entries: []\n", ":1:1: ", "a sequence"},
		{"two documents", "[]\n---\n[]\n", ":2:1: ", "a second document is not allowed"},
		{"no mapping", "- 7\n", ":1:3: entry 1: ", "is not an object"},
		{"a missing field", ENTRY HEAD, ":12:3: entry 2: ", "field \"params\" is missing"},
		{"a number that was meant as text", ENTRY "  snapshot_id: 12345678\n",
			":1:3: entry 1: ", "field \"snapshot_id\" is not a string"},
		{"a text that was meant as number", ENTRY "  overdue_after_seconds: '60'\n",
			":1:3: entry 1: ", "field \"overdue_after_seconds\""},
		{"bad engine", ENTRY "  engine: tar\n", ":1:3: entry 1: ", "allowed is kopia, restic"},
		{"a key that comes twice", ENTRY "  name: other\n", ":12:3: ", "key \"name\" comes twice, first in line 6"},
		{"an alias", "- &a {x: 1}\n- *a\n", ":1:3: entry 1: ", "field"},
		{"an alias as a value", ENTRY "  engine: *a\n", ":12:11: ", "aliases (*name) are not supported"},
		{"a merge", ENTRY "  <<: *a\n", ":12:7: ", "aliases (*name) are not supported"},
		{"a tag", "- !!binary aGVsbG8=\n", ":1:3: ", "tags are not supported"},
		{"an open quote", "- \"a\n", ":2:1: ", "found unexpected end of stream"},
		{"a tab", "- a: 1\n\tb: 2\n", ":2:1: ", ""},
		{"an open brace", "- {a: 1\n- b\n", ":3:1: ", "did not find expected"},
		{"a NUL", "- \"a\\0b\"\n", ":1:3: ", "a NUL character is not allowed"},
		{"a list as key", "- {[a]: b}\n", ":1:4: ", "a key must be a scalar"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		struct worklist *list = NULL;
		const char *path = scratch_write("worklist.yaml", rows[i].text, strlen(rows[i].text));
		char start[512];
		(void)snprintf(start, sizeof(start), "worklist: %s%s", path, rows[i].at);
		if (worklist_from_file(path, &list, &err) == 0) {
			worklist_free(list);
			fail_msg("%s: taken", rows[i].label);
		}
		if (err.kind != ERROR_INVALID || strncmp(err.text, start, strlen(start)) != 0 ||
			strstr(err.text, rows[i].words) == NULL)
			fail_msg("%s: %s: %s, expected %s %s", rows[i].label, error_kind_text(err.kind), err.text, start,
				rows[i].words);
	}
}

static void every_prefix_is_whole_entries_or_an_error(void **state)
{
	(void)state;
	static const char text[] = ENTRY ENTRY;
	for (size_t len = 0; len < sizeof(text); len++) {
		struct error err = {0};
		AUTO(worklist) struct worklist *list = NULL;
		const char *path = scratch_write("worklist.yaml", text, len);
		if (worklist_from_file(path, &list, &err) < 0)
			continue;
		// YAML cannot tell a file that was cut between two entries; one that was cut within an entry lacks `params`, its
		// last field, and is no list.
		assert_true(list->count == 1 || list->count == 2);
	}
}

static void bombs_and_giants_are_refused(void **state)
{
	(void)state;
	struct error err = {0};
	struct worklist *list = NULL;
	AUTO(buf) struct buf text;
	buf_init(&text, (size_t)80 << 20);
	for (int i = 0; i < 100000; i++)
		assert_ok(buf_add_str(&text, "[", &err), err);
	assert_error(read_text(text.data, &list, &err), err, ERROR_INVALID, "nested too deep");

	buf_reset(&text);
	assert_ok(buf_add_str(&text, "- {", &err), err);
	for (int i = 0; i < 2000; i++)
		assert_ok(buf_addf(&text, &err, "k%d: 1, ", i), err);
	assert_error(read_text(text.data, &list, &err), err, ERROR_INVALID, "too many keys in one mapping");

	buf_reset(&text);
	assert_ok(buf_add_str(&text, "- params:\n", &err), err);
	while (text.len < (size_t)2 << 20)
		assert_ok(buf_add_str(&text, "  - 01234567890123456789012345678901234567890\n", &err), err);
	assert_error(read_text(text.data, &list, &err), err, ERROR_INVALID, "this element is too long");

	buf_reset(&text);
	assert_ok(buf_add_str(&text, "[]\n", &err), err);
	while (text.len <= WORKLIST_BODY_MAX + (1 << 20))
		assert_ok(buf_add_str(&text, "# 789012345678901234567890123456789012345678901234567890123456789012345678901234\n",
				  &err),
			err);
	assert_error(read_text(text.data, &list, &err), err, ERROR_INVALID, "is longer than 67108864 bytes");
}

static void a_missing_file_is_named(void **state)
{
	(void)state;
	struct error err = {0};
	struct worklist *list = NULL;
	assert_error(worklist_from_file(scratch_absent(), &list, &err), err, ERROR_NOT_FOUND, scratch_absent());
	assert_error(worklist_from_file("/", &list, &err), err, ERROR_INTERNAL, "read /: Is a directory");
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(reads_the_same_fields_and_engine_and_secret),
		cmocka_unit_test(the_empty_list_is_written_as_such),
		cmocka_unit_test(complaints_name_line_and_column),
		cmocka_unit_test(every_prefix_is_whole_entries_or_an_error),
		cmocka_unit_test(bombs_and_giants_are_refused),
		cmocka_unit_test(a_missing_file_is_named),
	};
	return cmocka_run_group_tests_name("canopy/worklist_file", cases, NULL, NULL);
}
