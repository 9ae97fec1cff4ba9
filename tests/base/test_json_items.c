#include "base/json_items.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <string.h>

#define ITEM_MAX ((size_t)200)
#define SEEN_MAX ((size_t)64 << 10)

struct good_row {
	const char *label;
	const char *key;
	const char *text;
	const char *items; // compact, each followed by ';'
	const char *envelope;
};

static const struct good_row good[] = {
	{"an empty array", NULL, "[]", "", "[]"},
	{"white space alone", NULL, " \n[ \t\r\n] ", "", "[]"},
	{"objects", NULL, "[{\"a\":1},{\"b\":[1,2,{\"c\":\"]},[\"}]}]", "{\"a\":1};{\"b\":[1,2,{\"c\":\"]},[\"}]};", "[]"},
	{"scalars", NULL, "[1, \"two\",null , true,-3.5e2]", "1;\"two\";null;true;-350.0;", "[]"},
	{"escapes", NULL, "[\"a\\\"]\\\\\",\"\\u005d\\\\\"]", "\"a\\\"]\\\\\";\"]\\\\\";", "[]"},
	{"text beyond ASCII", NULL, "[\"\xc3\xbc\xe2\x82\xac\"]", "\"\xc3\xbc\xe2\x82\xac\";", "[]"},
	{"a list", "items", "{\"kind\":\"L\",\"metadata\":{\"continue\":\"x\"},\"items\":[{\"n\":1},{\"n\":2}]}",
		"{\"n\":1};{\"n\":2};", "{\"items\":[],\"kind\":\"L\",\"metadata\":{\"continue\":\"x\"}}"},
	{"members after the array", "items", "{ \"items\" : [ 1 , 2 ] , \"z\" : {\"items\":[3]} }", "1;2;",
		"{\"items\":[],\"z\":{\"items\":[3]}}"},
	{"the key within another member is no array of ours", "items",
		"{\"a\":{\"items\":[1]},\"b\":[\"items\",{\"items\":[2]}],\"items\":[3]}", "3;",
		"{\"a\":{\"items\":[1]},\"b\":[\"items\",{\"items\":[2]}],\"items\":[]}"},
	{"the key as a value and within a key", "items", "{\"a\":\"items\",\"x\\\"items\":[1],\"my items\":[2],\"items\":[3]}",
		"3;", "{\"a\":\"items\",\"items\":[],\"my items\":[2],\"x\\\"items\":[1]}"},
	{"a list that is null is empty", "items", "{\"items\":null,\"metadata\":{}}", "", "{\"items\":null,\"metadata\":{}}"},
};

struct bad_row {
	const char *label;
	const char *key;
	const char *text;
	const char *part;
};

static const struct bad_row bad[] = {
	{"nothing", NULL, "", "cut short"},
	{"an object where an array is due", NULL, "{}", "no JSON array"},
	{"null where an array is due", NULL, "null", "no JSON array"},
	{"HTML", NULL, "<html>[]</html>", "no JSON array"},
	{"a byte order mark", NULL, "\xef\xbb\xbf[]", "no JSON array"},
	{"an array where an object is due", "items", "[]", "no JSON object"},
	{"the array is missing", "items", "{\"metadata\":{},\"Items\":[1]}", "\"items\" is missing"},
	{"the array is an object", "items", "{\"items\":{\"a\":[1]}}", "\"items\" is no array"},
	{"the array is a string", "items", "{\"items\":\"[]\"}", "\"items\" is no array"},
	{"the array's key is escaped", "items", "{\"item\\u0073\":[1]}", "spelled with escapes"},
	{"two arrays", "items", "{\"items\":[1],\"items\":[2]}", "invalid JSON"},
	{"two arrays, one null", "items", "{\"items\":null,\"items\":[2]}", "invalid JSON"},
	{"a comma at the end", NULL, "[1,]", "element 2: invalid JSON"},
	{"a comma at the start", NULL, "[,1]", "element 1: invalid JSON"},
	{"two commas", NULL, "[1,,2]", "element 2: invalid JSON"},
	{"no comma", NULL, "[{}{}]", "element 1: invalid JSON"},
	{"a member in an array", NULL, "[\"a\":1]", "unexpected ':'"},
	{"the wrong bracket", NULL, "[1}", "unexpected '}'"},
	{"the wrong bracket inside", NULL, "[{\"a\":1]]", "element 1: invalid JSON"},
	{"the wrong bracket of the object", "items", "{\"items\":[1]]", "invalid JSON"},
	{"a bad word", NULL, "[nil]", "element 1: invalid JSON"},
	{"bytes that are not UTF-8", NULL, "[\"\xff\"]", "element 1: invalid JSON"},
	{"a line break in a string", NULL, "[\"a\nb\"]", "element 1: invalid JSON"},
	{"something behind", NULL, "[1] x", "bytes after the end"},
	{"another document behind", NULL, "[1][2]", "bytes after the end"},
	{"something behind the object", "items", "{\"items\":[]}}", "bytes after the end"},
	{"an element that is too long", NULL,
		"[\"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678"
		"901234567"
		"8901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890\"]",
		"element 1: longer than 200 bytes"},
};

static int collect(void *arg, json_t *item, struct error *err)
{
	char *text = json_dumps(item, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
	assert_non_null(text);
	int rc = buf_addf(arg, err, "%s;", text);
	free(text);
	return rc;
}

// Feed text in chunks and finish. *items collects the elements.
static int decode(
	const char *key, const char *text, size_t len, size_t chunk, struct buf *items, json_t **envelope, struct error *err)
{
	AUTO(json_items) struct json_items s;
	json_items_init(&s, key, ITEM_MAX, collect, items);
	for (size_t at = 0; at < len; at += chunk) {
		if (json_items_feed(&s, text + at, len - at < chunk ? len - at : chunk, err) < 0)
			return -1;
	}
	return json_items_finish(&s, envelope, err);
}

static void good_documents_give_their_elements_in_chunks_of_every_size(void **state)
{
	(void)state;
	for (size_t row = 0; row < sizeof(good) / sizeof(good[0]); row++) {
		size_t len = strlen(good[row].text);
		for (size_t chunk = 1; chunk <= len; chunk++) {
			struct error err = {0};
			AUTO(json) json_t *envelope = NULL;
			AUTO(buf) struct buf items;
			buf_init(&items, SEEN_MAX);
			if (decode(good[row].key, good[row].text, len, chunk, &items, &envelope, &err) < 0)
				fail_msg("%s, chunks of %zu: %s", good[row].label, chunk, err.text);
			AUTO_FREE char *rest = json_dumps(envelope, JSON_COMPACT | JSON_SORT_KEYS);
			if (strcmp(buf_str(&items), good[row].items) != 0 || strcmp(rest, good[row].envelope) != 0)
				fail_msg("%s, chunks of %zu: got %s and %s", good[row].label, chunk, buf_str(&items), rest);
		}
	}
}

static void every_prefix_of_a_good_document_fails(void **state)
{
	(void)state;
	for (size_t row = 0; row < sizeof(good) / sizeof(good[0]); row++) {
		const char *text = good[row].text;
		size_t len = strlen(text);
		while (text[len - 1] == ' ')
			len--;
		for (size_t cut = 0; cut < len; cut++) {
			for (size_t chunk = 1; chunk <= cut + 1; chunk++) {
				struct error err = {0};
				AUTO(buf) struct buf items;
				buf_init(&items, SEEN_MAX);
				if (decode(good[row].key, text, cut, chunk, &items, NULL, &err) == 0)
					fail_msg("%s: the first %zu bytes were taken for the whole", good[row].label, cut);
				assert_int_equal(err.kind, ERROR_INVALID);
			}
		}
	}
}

static void bad_documents_are_refused_with_the_reason(void **state)
{
	(void)state;
	for (size_t row = 0; row < sizeof(bad) / sizeof(bad[0]); row++) {
		size_t len = strlen(bad[row].text);
		for (size_t chunk = 1; chunk <= len + 1; chunk++) {
			struct error err = {0};
			AUTO(buf) struct buf items;
			buf_init(&items, SEEN_MAX);
			if (decode(bad[row].key, bad[row].text, len, chunk, &items, NULL, &err) == 0)
				fail_msg("%s: was taken", bad[row].label);
			if (err.kind != ERROR_INVALID || strstr(err.text, bad[row].part) == NULL)
				fail_msg("%s: %s, expected %s", bad[row].label, err.text, bad[row].part);
		}
	}
}

// Either way out is fine, as long as it is one: what matters is that nothing is read or written beside the buffers.
static void garbage_does_no_harm(void **state)
{
	(void)state;
	static const char alphabet[] = "[[[]]]{{}},,::\"\"\\ \nitems1nul\xff";
	unsigned int seed = 1;
	int taken = 0;
	for (int round = 0; round < 20000; round++) {
		char text[48];
		for (size_t i = 0; i < sizeof(text); i++) {
			seed = seed * 1103515245U + 12345U;
			text[i] = alphabet[(seed >> 16) % (sizeof(alphabet) - 1)];
		}
		text[0] = round % 2 == 0 ? '[' : '{';
		struct error err = {0};
		AUTO(buf) struct buf items;
		buf_init(&items, SEEN_MAX);
		taken += decode(round % 2 == 0 ? NULL : "items", text, (size_t)round % sizeof(text), 7, &items, NULL, &err) == 0;
	}
	assert_in_range(taken, 1, 19999);
}

static void nesting_is_limited(void **state)
{
	(void)state;
	for (int deep = 98; deep <= 102; deep++) {
		struct error err = {0};
		AUTO(buf) struct buf text;
		AUTO(buf) struct buf items;
		buf_init(&text, SEEN_MAX);
		buf_init(&items, SEEN_MAX);
		for (int i = 0; i < deep + 1; i++)
			assert_ok(buf_add_str(&text, "[", &err), err);
		for (int i = 0; i < deep + 1; i++)
			assert_ok(buf_add_str(&text, "]", &err), err);
		int rc = decode(NULL, buf_str(&text), text.len, text.len, &items, NULL, &err);
		assert_int_equal(rc, deep <= 100 ? 0 : -1);
		if (deep > 100)
			assert_non_null(strstr(err.text, "nested deeper than 100"));
	}
}

static int refuse_second(void *arg, json_t *item, struct error *err)
{
	(void)item;
	int *seen = arg;
	return ++*seen < 2 ? 0 : error_set(err, ERROR_CONFLICT, "enough");
}

static void a_failing_callback_ends_the_decoding(void **state)
{
	(void)state;
	struct error err = {0};
	int seen = 0;
	AUTO(json_items) struct json_items s;
	json_items_init(&s, NULL, ITEM_MAX, refuse_second, &seen);
	assert_error(json_items_feed(&s, "[1,2,3,4]", 9, &err), err, ERROR_CONFLICT, "enough");
	assert_int_equal(seen, 2);
	assert_error(json_items_feed(&s, ",5", 2, &err), err, ERROR_INTERNAL, "after a failure");
	assert_error(json_items_finish(&s, NULL, &err), err, ERROR_INTERNAL, "after a failure");
	assert_int_equal(seen, 2);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(good_documents_give_their_elements_in_chunks_of_every_size),
		cmocka_unit_test(every_prefix_of_a_good_document_fails),
		cmocka_unit_test(bad_documents_are_refused_with_the_reason),
		cmocka_unit_test(garbage_does_no_harm),
		cmocka_unit_test(nesting_is_limited),
		cmocka_unit_test(a_failing_callback_ends_the_decoding),
	};
	return cmocka_run_group_tests_name("base/json_items", cases, NULL, NULL);
}
