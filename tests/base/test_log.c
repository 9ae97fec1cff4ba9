#include "base/json.h"
#include "base/log.h"
#include "tests/support/cmocka.h"
#include <pthread.h>
#include <string.h>

#define AT INT64_C(1795161723456)
#define TS "2026-11-20T08:02:03.456000Z"

#define line(format, out, ...) \
	log_line(format, AT, LOG_WARN, "restore failed", (const struct log_field[]){__VA_ARGS__, LOG_NONE}, out)

static void a_line_is_exactly_this(void **state)
{
	(void)state;
	char out[LOG_LINE_MAX];
	size_t len = line(LOG_LOGFMT, out, LOG_STR("namespace", "a-1"), LOG_INT("attempt", -3), LOG_BOOL("forced", 1),
		LOG_STR("none", NULL), LOG_STR("empty", ""), LOG_STR("words", "a b=\"c\""));
	assert_int_equal(len, strlen("ts=" TS " level=warn msg=\"restore failed\" namespace=a-1 attempt=-3 forced=true none=null "
				     "empty=\"\" words=\"a b=\\\"c\\\"\"\n"));
	assert_memory_equal(out,
		"ts=" TS " level=warn msg=\"restore failed\" namespace=a-1 attempt=-3 forced=true none=null empty=\"\" "
		"words=\"a b=\\\"c\\\"\"\n",
		len);
	len = line(
		LOG_JSON, out, LOG_STR("namespace", "a-1"), LOG_INT("attempt", -3), LOG_BOOL("forced", 0), LOG_STR("none", NULL));
	assert_memory_equal(out,
		"{\"ts\":\"" TS "\",\"level\":\"warn\",\"msg\":\"restore failed\",\"namespace\":\"a-1\",\"attempt\":-3,"
		"\"forced\":false,\"none\":null}\n",
		len);
}

static json_t *parse(const char *text, size_t len)
{
	struct error err = {0};
	json_t *parsed = NULL;
	if (json_parse(text, len, &parsed, &err) < 0)
		fail_msg("%s: %.*s", err.text, (int)len, text);
	return parsed;
}

// Whatever the bytes: one line, valid, and what was text comes back as it was.
static void any_bytes_give_one_valid_line(void **state)
{
	(void)state;
	const struct {
		const char *value, *back;
	} rows[] = {
		{"plain", "plain"},
		{"quote \" backslash \\ slash /", "quote \" backslash \\ slash /"},
		{"line\nfeed\r\ttab\x01\x1f\x7f", "line\nfeed\r\ttab\x01\x1f\x7f"},
		{"\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x90\x98", "\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x90\x98"},
		{"\xff", "\xef\xbf\xbd"},
		{"cut \xc3", "cut \xef\xbf\xbd"},
		{"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},                 // overlong
		{"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, // a surrogate
		{"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char out[LOG_LINE_MAX];
		size_t len = line(LOG_JSON, out, LOG_STR("v", rows[i].value));
		assert_ptr_equal(memchr(out, '\n', len), out + len - 1);
		AUTO(json) json_t *parsed = parse(out, len);
		assert_string_equal(json_find_str(parsed, "v"), rows[i].back);
		len = line(LOG_LOGFMT, out, LOG_STR("v", rows[i].value));
		assert_ptr_equal(memchr(out, '\n', len), out + len - 1);
	}
}

static void every_byte_alone_gives_valid_json(void **state)
{
	(void)state;
	for (int byte = 1; byte < 256; byte++) {
		char out[LOG_LINE_MAX];
		const char value[] = {(char)byte, '\0'};
		size_t len = line(LOG_JSON, out, LOG_STR("v", value));
		AUTO(json) json_t *parsed = parse(out, len);
		assert_non_null(parsed);
	}
}

// Around the length where a line is full: always valid, always marked, never past the end.
static void a_line_that_is_too_long_loses_whole_values_and_says_so(void **state)
{
	(void)state;
	char value[LOG_LINE_MAX + 64];
	memset(value, '"', sizeof(value)); // each takes two bytes
	for (size_t n = LOG_LINE_MAX / 2 - 120; n < LOG_LINE_MAX / 2 + 20; n++) {
		char out[LOG_LINE_MAX];
		value[n] = '\0';
		size_t len = line(LOG_JSON, out, LOG_STR("v", value), LOG_STR("later", "x"));
		assert_true(len <= LOG_LINE_MAX && out[len - 1] == '\n');
		AUTO(json) json_t *parsed = parse(out, len);
		bool has_all = json_find(parsed, "v") != NULL && json_find(parsed, "later") != NULL;
		assert_true(has_all != json_is_true(json_find(parsed, "truncated")));
		value[n] = '"';
	}
	value[sizeof(value) - 1] = '\0';
	char out[LOG_LINE_MAX];
	size_t len = line(LOG_LOGFMT, out, LOG_STR("a", "kept"), LOG_STR("v", value));
	assert_memory_equal(out + len - strlen(" a=kept truncated=true\n"), " a=kept truncated=true\n", 23);
}

// What a thread carries is on its own lines alone, after their fields.
static void *line_elsewhere(void *arg)
{
	char *out = arg;
	out[line(LOG_LOGFMT, out, LOG_INT("a", 1))] = '\0';
	return NULL;
}

static void a_thread_carries_one_number(void **state)
{
	(void)state;
	static const char with[] = "ts=" TS " level=warn msg=\"restore failed\" a=1 pass=7\n";
	static const char without[] = "ts=" TS " level=warn msg=\"restore failed\" a=1\n";
	char out[LOG_LINE_MAX + 1];
	pthread_t thread;
	log_with("pass", 7);
	(void)line_elsewhere(out);
	assert_string_equal(out, with);
	assert_int_equal(pthread_create(&thread, NULL, line_elsewhere, out), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_string_equal(out, without);
	log_with("pass", 0);
	(void)line_elsewhere(out);
	assert_string_equal(out, without);
}

static void the_level_decides(void **state)
{
	(void)state;
	log_setup(LOG_WARN, LOG_JSON);
	assert_false(log_wants(LOG_INFO));
	assert_true(log_wants(LOG_WARN));
	assert_true(log_wants(LOG_ERROR));
	log_setup(LOG_INFO, LOG_LOGFMT);
	assert_true(log_wants(LOG_INFO));
	assert_false(log_wants(LOG_DEBUG));
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(a_line_is_exactly_this),
		cmocka_unit_test(any_bytes_give_one_valid_line),
		cmocka_unit_test(every_byte_alone_gives_valid_json),
		cmocka_unit_test(a_line_that_is_too_long_loses_whole_values_and_says_so),
		cmocka_unit_test(a_thread_carries_one_number),
		cmocka_unit_test(the_level_decides),
	};
	return cmocka_run_group_tests_name("base/log", cases, NULL, NULL);
}
