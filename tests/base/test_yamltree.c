#include "base/yamltree.h"
#include "tests/support/cmocka.h"
#include "tests/support/scratch.h"
#include <string.h>

static int read_text(const char *text, struct yamltree **out, struct error *err)
{
	return yamltree_read(scratch_write("tree.yaml", text, strlen(text)), 1 << 16, out, err);
}

static void scalars_have_the_types_of_the_core_schema(void **state)
{
	(void)state;
	const struct {
		const char *yaml, *json;
	} rows[] = {
		{"", "null"},
		{"# nothing", "null"},
		{"~", "null"},
		{"Null", "null"},
		{"nULL", "\"nULL\""},
		{"''", "\"\""},
		{"'null'", "\"null\""},
		{"true", "true"},
		{"FALSE", "false"},
		{"yes", "\"yes\""},
		{"on", "\"on\""},
		{"12", "12"},
		{"-12", "-12"},
		{"+12", "12"},
		{"007", "7"},
		{"'12'", "\"12\""},
		{"\"12\"", "\"12\""},
		{"!!str 12", "\"12\""},
		{"! 12", "\"12\""},
		{"9223372036854775807", "9223372036854775807"},
		{"1.5", "1.5"},
		{"1e3", "1000.0"},
		{".5", "0.5"},
		{".", "\".\""},
		{"1e999", "\"1e999\""},
		{"12a", "\"12a\""},
		{"2026-11-20", "\"2026-11-20\""},
		{"6f1c1f6e-0c0e-4b7a-9a55-0d6a4a1f2b01", "\"6f1c1f6e-0c0e-4b7a-9a55-0d6a4a1f2b01\""},
		{"|\n  two\n  lines\n", "\"two\\nlines\\n\""},
		{"{a: 1, b: [x, {c: ~}]}", "{\"a\":1,\"b\":[\"x\",{\"c\":null}]}"},
		{"a:\n- 1\n- b: 2\n", "{\"a\":[1,{\"b\":2}]}"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		AUTO(yamltree) struct yamltree *tree = NULL;
		AUTO(json) json_t *json = NULL;
		AUTO_FREE char *text = NULL;
		if (read_text(rows[i].yaml, &tree, &err) < 0 || yamltree_to_json(tree, &json, &err) < 0 ||
			json_print(json, &text, &err) < 0)
			fail_msg("%s: %s", rows[i].yaml, err.text);
		if (strcmp(text, rows[i].json) != 0)
			fail_msg("%s: %s, expected %s", rows[i].yaml, text, rows[i].json);
	}
}

static void places_are_remembered(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(yamltree) struct yamltree *tree = NULL;
	assert_ok(read_text("# a comment\nfirst: 1\nsecond:\n  - x\n  -   y\n", &tree, &err), err);
	assert_int_equal(tree->kind, YAMLTREE_MAPPING);
	assert_int_equal(tree->count, 2);
	const struct yamltree *second = &tree->children[1];
	assert_string_equal(second->key, "second");
	assert_int_equal(second->key_line, 3);
	assert_int_equal(second->key_column, 1);
	assert_int_equal(second->children[1].line, 5);
	assert_int_equal(second->children[1].column, 7);
}

static void every_prefix_is_read_or_refused_cleanly(void **state)
{
	(void)state;
	static const char text[] = "a: [1, {b: 'x', \"c\\t\": |\n  y\n}]\nd:\n- &e f\n- !!str g\n";
	for (size_t len = 0; len < sizeof(text); len++) {
		struct error err = {0};
		AUTO(yamltree) struct yamltree *tree = NULL;
		if (yamltree_read(scratch_write("tree.yaml", text, len), 1 << 16, &tree, &err) < 0)
			assert_int_equal(err.kind, ERROR_INVALID);
	}
}

static void bytes_that_are_no_text_are_refused(void **state)
{
	(void)state;
	const struct {
		const char *bytes;
		size_t len;
	} rows[] = {{"a: \xff", 4}, {"a: \xc3", 4}, {"a: \0b", 5}, {"\x01", 1}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		struct yamltree *tree = NULL;
		const char *path = scratch_write("tree.yaml", rows[i].bytes, rows[i].len);
		assert_error(yamltree_read(path, 100, &tree, &err), err, ERROR_INVALID, path);
	}
}

static void a_file_past_its_size_is_refused(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(yamltree) struct yamltree *tree = NULL;
	const char *path = scratch_write("tree.yaml", "0123456789", 10);
	assert_error(yamltree_read(path, 9, &tree, &err), err, ERROR_INVALID, "is longer than 9 bytes");
	assert_ok(yamltree_read(path, 10, &tree, &err), err);
}

static int collect(void *arg, const struct yamltree *item, struct error *err)
{
	json_t *value = NULL;
	if (yamltree_to_json(item, &value, err) < 0)
		return -1;
	return json_array_append_new(arg, value);
}

static void documents_come_one_by_one(void **state)
{
	(void)state;
	static const struct {
		const char *label, *text, *wanted, *complaint;
	} rows[] = {
		{"none", "", "[]", NULL},
		{"one", "a: 1\n", "[{\"a\":1}]", NULL},
		{"three, one of them empty", "a: 1\n---\n---\n- b\n", "[{\"a\":1},null,[\"b\"]]", NULL},
		{"the second is broken", "a: 1\n---\nb: [\n", NULL, "tree.yaml:4:1"},
		{"the second is too long", "a: 1\n---\nb: 0123456789012345678901234567890123456789\n", NULL, "too long"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		AUTO(json) json_t *got = json_array();
		AUTO_FREE char *text = NULL;
		const char *path = scratch_write("tree.yaml", rows[i].text, strlen(rows[i].text));
		const struct yamltree_items items = {.max_bytes = 1000, .max_item_bytes = 40, .on_item = collect, .arg = got};
		print_message("# %s\n", rows[i].label);
		if (rows[i].complaint != NULL) {
			assert_error(yamltree_read_documents(path, &items, &err), err, ERROR_INVALID, rows[i].complaint);
			continue;
		}
		assert_ok(yamltree_read_documents(path, &items, &err), err);
		assert_ok(json_print(got, &text, &err), err);
		assert_string_equal(text, rows[i].wanted);
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(scalars_have_the_types_of_the_core_schema),
		cmocka_unit_test(places_are_remembered),
		cmocka_unit_test(every_prefix_is_read_or_refused_cleanly),
		cmocka_unit_test(bytes_that_are_no_text_are_refused),
		cmocka_unit_test(a_file_past_its_size_is_refused),
		cmocka_unit_test(documents_come_one_by_one),
	};
	return cmocka_run_group_tests_name("base/yamltree", cases, NULL, NULL);
}
