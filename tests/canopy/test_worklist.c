#include "base/buf.h"
#include "canopy/worklist.h"
#include "tests/support/cmocka.h"
#include <string.h>

#define ENTRY(replica, server, more)                                                                                          \
	"{\"replica_id\":\"" replica "\",\"group_id\":\"0d5be8b8-6a3c-4c0e-8a55-1f6b7d2c9e10\",\"server_id\":\"" server "\"," \
	"\"type\":\"postgres\",\"intent\":\"verify\",\"name\":\"a [b] {c} \\\" , \\\\\",\"params\":{\"x\":[1,{}]},"           \
	"\"storage\":\"s3\",\"bucket\":\"b\",\"prefix\":\"p\",\"region\":\"r\",\"snapshot_id\":null" more "}"
#define ID1 "6f1c1f6e-0c0e-4b7a-9a55-0d6a4a1f2b01"
#define ID2 "6f1c1f6e-0c0e-4b7a-9a55-0d6a4a1f2b02"
#define SERVER "b0a7c0de-1111-4222-8333-444455556666"

static int decode(const char *text, size_t len, size_t step, struct worklist **out, struct error *err)
{
	AUTO(worklist_decoder) struct worklist_decoder *decoder = NULL;
	if (worklist_decoder_new(&decoder, err) < 0)
		return -1;
	for (size_t at = 0; at < len; at += step) {
		// A copy of exactly the chunk, so that the sanitizer sees a read past it.
		size_t n = len - at < step ? len - at : step;
		AUTO_FREE char *chunk = malloc(n);
		assert_non_null(chunk);
		memcpy(chunk, text + at, n);
		if (worklist_decoder_feed(decoder, chunk, n, err) < 0)
			return -1;
	}
	return worklist_decoder_finish(decoder, out, err);
}

static void has_id(const struct worklist *list, size_t i, const char *replica_id)
{
	struct error err = {0};
	struct entry entry;
	assert_ok(entry_open(list->entries[i], &entry, &err), err);
	assert_string_equal(entry.replica_id, replica_id);
	entry_close(&entry);
}

static void reads_entries_in_order_however_they_are_cut(void **state)
{
	(void)state;
	static const char text[] = " [\n" ENTRY(ID1, SERVER, "") " ,\n" ENTRY(ID2, SERVER, ",\"later\":[]") "]\n";
	for (size_t step = 1; step <= sizeof(text); step = step * 2 + 1) {
		struct error err = {0};
		AUTO(worklist) struct worklist *list = NULL;
		assert_ok(decode(text, strlen(text), step, &list, &err), err);
		assert_int_equal(list->count, 2);
		assert_int_equal(list->unreadable, 0);
		struct entry first, second;
		assert_ok(entry_open(list->entries[0], &first, &err), err);
		assert_ok(entry_open(list->entries[1], &second, &err), err);
		assert_string_equal(first.replica_id, ID1);
		assert_string_equal(second.replica_id, ID2);
		assert_string_equal(second.name, "a [b] {c} \" , \\");
		assert_null(first.snapshot_id);
		entry_close(&first);
		entry_close(&second);
	}
}

static void the_empty_list_is_a_list(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(worklist) struct worklist *list = NULL;
	assert_ok(decode(" [ ] ", 5, 5, &list, &err), err);
	assert_int_equal(list->count, 0);
}

// A body that ends early is never taken for a shorter list.
static void every_prefix_is_an_error(void **state)
{
	(void)state;
	static const char text[] = "[" ENTRY(ID1, SERVER, "") "," ENTRY(ID2, SERVER, "") "]";
	for (size_t len = 0; len + 1 < sizeof(text); len++) {
		struct error err = {0};
		struct worklist *list = NULL;
		if (decode(text, len, 16, &list, &err) == 0)
			fail_msg("a list of %zu entries from %zu of %zu bytes", list->count, len, sizeof(text) - 1);
		assert_int_equal(err.kind, ERROR_INVALID);
		assert_null(list);
	}
}

static void what_is_no_list_is_an_error(void **state)
{
	(void)state;
	const struct {
		const char *label, *text;
	} rows[] = {
		{"nothing", ""},
		{"blank", " \n"},
		{"a page", "<html><body>502 Bad Gateway</body></html>"},
		{"an object", "{\"entries\":[]}"},
		{"a list in an object", "{\"items\":[" ENTRY(ID1, SERVER, "") "]}"},
		{"null", "null"},
		{"a string", "\"[]\""},
		{"two lists", "[][]"},
		{"more after the end", "[] x"},
		{"a comma too many", "[" ENTRY(ID1, SERVER, "") ",]"},
		{"a missing comma", "[" ENTRY(ID1, SERVER, "") ENTRY(ID2, SERVER, "") "]"},
		{"garbage within", "[" ENTRY(ID1, SERVER, "") ",{\"a\":}]"},
		{"a key that comes twice", "[{\"a\":1,\"a\":2}]"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		struct worklist *list = NULL;
		if (decode(rows[i].text, strlen(rows[i].text), 7, &list, &err) == 0)
			fail_msg("%s: taken for a list", rows[i].label);
		if (err.kind != ERROR_INVALID || strncmp(err.text, "worklist: ", 10) != 0)
			fail_msg("%s: %s: %s", rows[i].label, error_kind_text(err.kind), err.text);
	}
}

static void unreadable_entries_are_counted_and_described(void **state)
{
	(void)state;
	static const char text[] = "[" ENTRY(ID1, SERVER, "") ",7," ENTRY(ID2, "b0a7", "") "," ENTRY(ID2, SERVER, "") ",{}]";
	struct error err = {0};
	AUTO(worklist) struct worklist *list = NULL;
	assert_ok(decode(text, strlen(text), 100, &list, &err), err);
	assert_int_equal(list->count, 2);
	has_id(list, 1, ID2);
	assert_int_equal(list->unreadable, 3);
	assert_int_equal(list->complaint_count, 3);
	assert_string_equal(list->complaints[0], "entry 2: is not an object");
	assert_string_equal(list->complaints[1], "entry 3: field \"server_id\": \"b0a7\" is not a UUID (8-4-4-4-12 hex digits)");
	assert_string_equal(list->complaints[2], "entry 5: field \"replica_id\" is missing");
}

static void complaints_are_bounded_and_all_are_counted(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(buf) struct buf text;
	AUTO(worklist) struct worklist *list = NULL;
	buf_init(&text, 1 << 20);
	assert_ok(buf_add_str(&text, "[{}", &err), err);
	for (int i = 1; i < 100; i++)
		assert_ok(buf_add_str(&text, ",{}", &err), err);
	assert_ok(buf_add_str(&text, "]", &err), err);
	assert_ok(decode(text.data, text.len, 64, &list, &err), err);
	assert_int_equal(list->unreadable, 100);
	assert_int_equal(list->complaint_count, WORKLIST_COMPLAINTS_MAX);
	assert_int_equal(list->count, 0);
}

static void reads_ten_thousand_entries(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(worklist) struct worklist *list = NULL;
	AUTO(worklist_decoder) struct worklist_decoder *decoder = NULL;
	assert_ok(worklist_decoder_new(&decoder, &err), err);
	for (int i = 0; i < 10000; i++) {
		char entry[1024];
		int len = snprintf(
			entry, sizeof(entry), "%c" ENTRY("6f1c1f6e-0c0e-4b7a-9a55-0000%08d", SERVER, ""), i == 0 ? '[' : ',', i);
		assert_true(len > 0 && (size_t)len < sizeof(entry));
		assert_ok(worklist_decoder_feed(decoder, entry, (size_t)len, &err), err);
	}
	assert_ok(worklist_decoder_feed(decoder, "]", 1, &err), err);
	assert_ok(worklist_decoder_finish(decoder, &list, &err), err);
	assert_int_equal(list->count, 10000);
	has_id(list, 9999, "6f1c1f6e-0c0e-4b7a-9a55-000000009999");
}

// 100 MB of white space, of entries and of one entry: each stops at its limit, long before the end.
static void a_body_past_the_limit_is_an_error(void **state)
{
	(void)state;
	static const size_t body = 100000000;
	const struct {
		const char *label, *start, *again, *error;
	} rows[] = {
		{"white space", "[", "                                        ", "worklist: "},
		{"entries", "[{}", ",{\"a\": \"0123456789012345678901234567890123\"}", "worklist is longer than 67108864 bytes"},
		{"one entry", "[{\"a\": \"", "0123456789012345678901234567890123",
			"worklist: element 1: longer than 1048576 bytes"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		AUTO(worklist_decoder) struct worklist_decoder *decoder = NULL;
		AUTO(buf) struct buf chunk;
		buf_init(&chunk, 1 << 17);
		while (chunk.len < 1 << 16)
			assert_ok(buf_add_str(&chunk, rows[i].again, &err), err);
		assert_ok(worklist_decoder_new(&decoder, &err), err);
		int rc = worklist_decoder_feed(decoder, rows[i].start, strlen(rows[i].start), &err);
		for (size_t fed = 0; rc == 0 && fed < body; fed += chunk.len)
			rc = worklist_decoder_feed(decoder, chunk.data, chunk.len, &err);
		if (rc == 0 || err.kind != ERROR_INVALID || strncmp(err.text, rows[i].error, strlen(rows[i].error)) != 0)
			fail_msg("%s: %s", rows[i].label, rc == 0 ? "taken" : err.text);
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(reads_entries_in_order_however_they_are_cut),
		cmocka_unit_test(the_empty_list_is_a_list),
		cmocka_unit_test(every_prefix_is_an_error),
		cmocka_unit_test(what_is_no_list_is_an_error),
		cmocka_unit_test(unreadable_entries_are_counted_and_described),
		cmocka_unit_test(complaints_are_bounded_and_all_are_counted),
		cmocka_unit_test(reads_ten_thousand_entries),
		cmocka_unit_test(a_body_past_the_limit_is_an_error),
	};
	return cmocka_run_group_tests_name("canopy/worklist", cases, NULL, NULL);
}
