#include "tests/support/cmocka.h"
#include <errno.h>
#include <string.h>

static void says_what_it_was_told_and_returns_minus_one(void **state)
{
	(void)state;
	struct error err = {.http_status = 9, .os_errno = 9, .retry_after_ms = 9};
	assert_int_equal(error_set(&err, ERROR_CONFLICT, "namespace %s is at %d", "a", 7), -1);
	assert_int_equal(err.kind, ERROR_CONFLICT);
	assert_string_equal(err.text, "namespace a is at 7");
	assert_int_equal(err.http_status, 0);
	assert_int_equal(err.os_errno, 0);
	assert_int_equal(err.retry_after_ms, 0);
}

static void errno_decides_the_kind(void **state)
{
	(void)state;
	const struct {
		int os_errno;
		enum error_kind kind;
	} rows[] = {
		{ENOENT, ERROR_NOT_FOUND},
		{EAGAIN, ERROR_TRANSIENT},
		{ECONNREFUSED, ERROR_TRANSIENT},
		{EMFILE, ERROR_TRANSIENT},
		{EACCES, ERROR_INTERNAL},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		assert_int_equal(error_set_errno(&err, rows[i].os_errno, "open %s", "/x"), -1);
		assert_int_equal(err.kind, rows[i].kind);
		assert_int_equal(err.os_errno, rows[i].os_errno);
	}
	struct error err = {0};
	(void)error_set_errno(&err, ENOENT, "open %s", "/x");
	assert_string_equal(err.text, "open /x: No such file or directory (errno 2)");
}

static void context_goes_in_front_and_the_rest_stays(void **state)
{
	(void)state;
	struct error err = {0};
	(void)error_set(&err, ERROR_INVALID, "field is missing");
	err.http_status = 422;
	err.retry_after_ms = 7000;
	assert_int_equal(error_wrap(&err, "entry %d", 3), -1);
	assert_string_equal(err.text, "entry 3: field is missing");
	assert_int_equal(err.kind, ERROR_INVALID);
	assert_int_equal(err.http_status, 422);
	assert_int_equal(err.retry_after_ms, 7000);
}

static void what_is_cut_ends_in_dots(void **state)
{
	(void)state;
	char longer[2 * ERROR_TEXT_MAX];
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	struct error err = {0};
	(void)error_set(&err, ERROR_INTERNAL, "%s", longer);
	assert_int_equal(strlen(err.text), ERROR_TEXT_MAX - 1);
	assert_string_equal(err.text + ERROR_TEXT_MAX - 4, "...");
	(void)error_wrap(&err, "%s", "context");
	assert_memory_equal(err.text, "context: xxx", 12);
	assert_string_equal(err.text + ERROR_TEXT_MAX - 4, "...");
	(void)error_set_errno(&err, EIO, "%s", longer);
	assert_string_equal(err.text + ERROR_TEXT_MAX - 4, "...");
	longer[ERROR_TEXT_MAX - 1] = '\0'; // fits to the last byte
	(void)error_set(&err, ERROR_INTERNAL, "%s", longer);
	assert_string_equal(err.text, longer);
}

// It goes into JSON, which takes nothing else.
static void the_text_is_utf8_whatever_it_was_made_of(void **state)
{
	(void)state;
	const struct {
		const char *label, *made_of, *text;
	} rows[] = {
		{"well-formed", "caf\u00e9 \u20ac \U0001F600 \x7f", "caf\u00e9 \u20ac \U0001F600 \x7f"},
		{"a byte that is none", "a\xff\xc0z", "a??z"},
		{"overlong", "\xc0\xaf\xe0\x80\xaf\xf0\x80\x80\xaf", "?????????"},
		{"surrogate", "\xed\xa0\x80", "???"},
		{"past the last character", "\xf4\x90\x80\x80", "????"},
		{"cut short at the end", "a\xe2\x82", "a??"},
		{"cut short within", "\xc3z\xe2\x82z", "?z??z"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		print_message("# %s\n", rows[i].label);
		(void)error_set(&err, ERROR_INVALID, "%s", rows[i].made_of);
		assert_string_equal(err.text, rows[i].text);
	}
	struct error err = {0};
	(void)error_set(&err, ERROR_INVALID, "\"%.2s\"", "x\u00e9");
	assert_string_equal(err.text, "\"x?\"");
	char longer[ERROR_TEXT_MAX + 2];
	memset(longer, '\xa9', sizeof(longer));
	for (size_t i = 0; i < sizeof(longer); i += 2)
		longer[i] = '\xc3';
	(void)error_set(&err, ERROR_INVALID, "x%.*s", (int)sizeof(longer), longer);
	assert_string_equal(err.text + ERROR_TEXT_MAX - 7, "\u00e9?...");
}

static void every_kind_has_a_text(void **state)
{
	(void)state;
	for (int kind = ERROR_NONE; kind <= ERROR_INTERNAL; kind++)
		assert_non_null(error_kind_text((enum error_kind)kind));
	assert_string_equal(error_kind_text(ERROR_NOT_FOUND), "not found");
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(says_what_it_was_told_and_returns_minus_one),
		cmocka_unit_test(errno_decides_the_kind),
		cmocka_unit_test(context_goes_in_front_and_the_rest_stays),
		cmocka_unit_test(what_is_cut_ends_in_dots),
		cmocka_unit_test(the_text_is_utf8_whatever_it_was_made_of),
		cmocka_unit_test(every_kind_has_a_text),
	};
	return cmocka_run_group_tests_name("base/error", cases, NULL, NULL);
}
