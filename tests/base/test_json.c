#include "base/json.h"
#include "tests/support/cmocka.h"
#include <string.h>

static int parse(const char *text, json_t **out, struct error *err)
{
	return json_parse(text, strlen(text), out, err);
}

static void errors_say_where_and_never_what(void **state)
{
	(void)state;
	const char *const texts[] = {"", "{\"password\":\"SECRET\"", "{\"a\":SECRET}", "\"SECRET", "[] SECRET",
		"{\"SECRET\":1,\"SECRET\":2}", "{\"a\":\"SECRET\\u0000\"}", "\xff"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct error err = {0};
		json_t *value = NULL;
		if (parse(texts[i], &value, &err) == 0)
			fail_msg("%s: taken", texts[i]);
		assert_int_equal(err.kind, ERROR_INVALID);
		assert_memory_equal(err.text, "invalid JSON at line 1, column", 30);
		assert_null(strstr(err.text, "SECRET"));
		assert_null(value);
	}
}

static void large_integers_are_exact(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(json) json_t *value = NULL;
	AUTO_FREE char *text = NULL;
	assert_ok(parse("[9007199254740993,-9223372036854775808]", &value, &err), err);
	assert_ok(json_print(value, &text, &err), err);
	assert_string_equal(text, "[9007199254740993,-9223372036854775808]");
}

static void finds_and_misses(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(json) json_t *root = NULL;
	assert_ok(parse("{\"a\":{\"b\":{\"c\":\"text\",\"n\":7,\"z\":null}},\"l\":[1]}", &root, &err), err);
	assert_string_equal(json_find_str(root, "a", "b", "c"), "text");
	assert_int_equal(json_find_int(-1, root, "a", "b", "n"), 7);
	assert_int_equal(json_find_int(-1, root, "a", "b", "c"), -1);
	assert_int_equal(json_find_int(-1, root, "a", "x"), -1);
	assert_true(json_is_null(json_find(root, "a", "b", "z")));
	assert_null(json_find(root, "a", "b", "c", "d"));
	assert_null(json_find(root, "l", "0"));
	assert_null(json_find_str(root, "a", "b", "n"));
	assert_null(json_find_str(NULL, "a"));
}

static void a_needed_string_is_missed_by_name(void **state)
{
	(void)state;
	struct error err = {0};
	const char *text = NULL;
	AUTO(json) json_t *root = NULL;
	assert_ok(parse("{\"a\":\"x\",\"n\":7,\"z\":null}", &root, &err), err);
	assert_ok(json_need_str(root, "a", &text, &err), err);
	assert_string_equal(text, "x");
	assert_error(json_need_str(root, "b", &text, &err), err, ERROR_INVALID, "field \"b\" is missing");
	assert_error(json_need_str(root, "n", &text, &err), err, ERROR_INVALID, "field \"n\" is not a string");
	assert_error(json_need_str(root, "z", &text, &err), err, ERROR_INVALID, "field \"z\" is not a string");
	assert_string_equal(text, "x");
}

static void equal_documents_are_equal_texts(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(json) json_t *a = NULL;
	AUTO(json) json_t *b = NULL;
	AUTO_FREE char *text_a = NULL;
	AUTO_FREE char *text_b = NULL;
	assert_ok(parse("{\"a\": 1, \"b\": {\"d\": 2, \"c\": []}}", &a, &err), err);
	assert_ok(parse("{\"b\":{\"c\":[],\"d\":2},\"a\":1}", &b, &err), err);
	assert_ok(json_print(a, &text_a, &err), err);
	assert_ok(json_print(b, &text_b, &err), err);
	assert_string_equal(text_a, "{\"a\":1,\"b\":{\"c\":[],\"d\":2}}");
	assert_string_equal(text_a, text_b);
}

static void what_could_not_be_built_is_named(void **state)
{
	(void)state;
	struct error err = {0};
	json_t *out = NULL;
	assert_error(json_made(json_string("\xff"), "label", &out, &err), err, ERROR_INTERNAL, "label");
	assert_null(out);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(errors_say_where_and_never_what),
		cmocka_unit_test(large_integers_are_exact),
		cmocka_unit_test(finds_and_misses),
		cmocka_unit_test(a_needed_string_is_missed_by_name),
		cmocka_unit_test(equal_documents_are_equal_texts),
		cmocka_unit_test(what_could_not_be_built_is_named),
	};
	return cmocka_run_group_tests_name("base/json", cases, NULL, NULL);
}
