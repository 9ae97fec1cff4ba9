#include "k8s/watch_lines.h"
#include "k8s/watch_event.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES ((size_t)16)

struct seen {
	struct buf lines; // each followed by "|"
	int refuse_at;    // line that fails, from 1
	int count;
};

static int on_line(void *arg, const char *line, size_t len, struct error *err)
{
	struct seen *seen = arg;
	if (++seen->count == seen->refuse_at)
		return error_set(err, ERROR_INTERNAL, "refused");
	if (buf_add(&seen->lines, line, len, err) < 0)
		return -1;
	return buf_add(&seen->lines, "|", 1, err);
}

struct lines_row {
	const char *label;
	const char *input;
	int refuse_at;
	const char *lines;
	enum error_kind kind;
	const char *text;
};

static const struct lines_row lines_rows[] = {
	{"nothing", "", 0, "", ERROR_NONE, ""},
	{"one line", "abc\n", 0, "abc|", ERROR_NONE, ""},
	{"two lines", "abc\ndef\n", 0, "abc|def|", ERROR_NONE, ""},
	{"what is not ended is not handed over", "abc\ndef", 0, "abc|", ERROR_NONE, ""},
	{"blank lines", "\n\nabc\n\n", 0, "abc|", ERROR_NONE, ""},
	{"CR LF", "abc\r\n\r\ndef\r\n", 0, "abc|def|", ERROR_NONE, ""},
	{"as long as allowed", "0123456789abcdef\nx\n", 0, "0123456789abcdef|x|", ERROR_NONE, ""},
	{"longer by one", "a\n0123456789abcdefg\nx\n", 0, "a|", ERROR_INVALID, "a line is longer than 16 bytes"},
	{"longer, without an end", "0123456789abcdefghij", 0, "", ERROR_INVALID, "a line is longer than 16 bytes"},
	{"a line that the owner refuses", "a\nb\nc\n", 2, "a|", ERROR_INTERNAL, "refused"},
};

static int feed_in_pieces(struct watch_lines *lines, const char *input, size_t piece, struct error *err)
{
	size_t len = strlen(input);
	for (size_t at = 0; at < len; at += piece) {
		// A copy of its own, so that the sanitizer sees a byte read past the piece.
		size_t part = len - at < piece ? len - at : piece;
		AUTO_FREE char *copy = malloc(part);
		assert_non_null(copy);
		memcpy(copy, input + at, part);
		if (watch_lines_feed(lines, copy, part, err) < 0)
			return -1;
	}
	return 0;
}

static void lines_come_whole_however_they_are_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lines_rows) / sizeof(lines_rows[0]); i++) {
		const struct lines_row *row = &lines_rows[i];
		print_message("# %s\n", row->label);
		for (size_t piece = 1; piece <= strlen(row->input) + 1; piece++) {
			struct error err = {0};
			struct seen seen = {.refuse_at = row->refuse_at};
			AUTO(watch_lines) struct watch_lines lines;
			buf_init(&seen.lines, 1024);
			watch_lines_init(&lines, LINE_MAX_BYTES, on_line, &seen);
			int rc = feed_in_pieces(&lines, row->input, piece, &err);
			if (row->kind == ERROR_NONE)
				assert_ok(rc, err);
			else
				assert_error(rc, err, row->kind, row->text);
			assert_string_equal(buf_str(&seen.lines), row->lines);
			buf_fini(&seen.lines);
		}
	}
}

static int ignore_line(void *arg, const char *line, size_t len, struct error *err)
{
	(void)line;
	(void)err;
	*(size_t *)arg = len;
	return 0;
}

static void a_large_line_leaves_no_memory_behind(void **state)
{
	(void)state;
	size_t len = 0;
	struct error err = {0};
	AUTO(watch_lines) struct watch_lines lines;
	static char half[(size_t)1 << 20];
	memset(half, 'x', sizeof(half));
	watch_lines_init(&lines, 4 * sizeof(half), ignore_line, &len);
	assert_ok(watch_lines_feed(&lines, half, sizeof(half), &err), err);
	assert_ok(watch_lines_feed(&lines, half, sizeof(half), &err), err);
	assert_ok(watch_lines_feed(&lines, "\nabc", 4, &err), err);
	assert_int_equal(len, 2 * sizeof(half));
	assert_int_equal(lines.partial.len, 3);
	assert_true(lines.partial.room < 4096);
}

// --- events ---

#define META "\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"7\"}"
#define STATUS(rest) "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\"" rest "}}"

struct event_row {
	const char *label;
	const char *line;
	enum watch_event_type type;
	const char *version; // NULL: none
	enum error_kind kind;
	const char *text;
};

static const struct event_row event_rows[] = {
	{"added", "{\"type\":\"ADDED\",\"object\":{" META "}}", WATCH_EVENT_ADDED, "7", ERROR_NONE, ""},
	{"modified", "{\"type\":\"MODIFIED\",\"object\":{" META "}}", WATCH_EVENT_MODIFIED, "7", ERROR_NONE, ""},
	{"deleted", "{\"type\":\"DELETED\",\"object\":{" META "}}", WATCH_EVENT_DELETED, "7", ERROR_NONE, ""},
	{"a bookmark has no name", "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"9\"}}}",
		WATCH_EVENT_BOOKMARK, "9", ERROR_NONE, ""},
	{"a type of tomorrow", "{\"type\":\"SPARKLE\",\"object\":7}", WATCH_EVENT_UNKNOWN, NULL, ERROR_NONE, ""},
	{"a very long type", "{\"type\":\"SPARKLESPARKLESPARKLESPARKLESPARKLESPARKLE\"}", WATCH_EVENT_UNKNOWN, NULL, ERROR_NONE,
		""},
	{"no JSON", "<html>", 0, NULL, ERROR_INVALID, "invalid JSON at line 1"},
	{"no UTF-8", "{\"type\":\"ADDED\",\"object\":{\"x\":\"\xff\xfe\"," META "}}", 0, NULL, ERROR_INVALID, "invalid JSON"},
	{"two documents", "{\"type\":\"ADDED\",\"object\":{" META "}} {}", 0, NULL, ERROR_INVALID, "invalid JSON"},
	{"an array", "[]", 0, NULL, ERROR_INVALID, "the event is no JSON object"},
	{"no type", "{\"object\":{" META "}}", 0, NULL, ERROR_INVALID, "field \"type\" is missing"},
	{"a type that is no text", "{\"type\":1,\"object\":{" META "}}", 0, NULL, ERROR_INVALID,
		"field \"type\" is not a string"},
	{"no object", "{\"type\":\"ADDED\"}", 0, NULL, ERROR_INVALID, "ADDED: an object without metadata"},
	{"no metadata", "{\"type\":\"MODIFIED\",\"object\":{\"spec\":{}}}", 0, NULL, ERROR_INVALID,
		"MODIFIED: an object without metadata"},
	{"metadata that is text", "{\"type\":\"ADDED\",\"object\":{\"metadata\":\"a\"}}", 0, NULL, ERROR_INVALID,
		"ADDED: an object without metadata"},
	{"no name", "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":\"7\"}}}", 0, NULL, ERROR_INVALID,
		"ADDED: metadata: field \"name\" is missing"},
	{"an empty name", "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"\",\"resourceVersion\":\"7\"}}}", 0, NULL,
		ERROR_INVALID, "ADDED: metadata: field \"name\" is empty"},
	{"no version", "{\"type\":\"DELETED\",\"object\":{\"metadata\":{\"name\":\"a\"}}}", 0, NULL, ERROR_INVALID,
		"DELETED: metadata: field \"resourceVersion\" is missing"},
	{"a bookmark without a version", "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{}}}", 0, NULL, ERROR_INVALID,
		"BOOKMARK: metadata: field \"resourceVersion\" is missing"},
};

static void an_event_is_read_or_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(event_rows) / sizeof(event_rows[0]); i++) {
		const struct event_row *row = &event_rows[i];
		struct error err = {0};
		AUTO(watch_event) struct watch_event event = {0};
		print_message("# %s\n", row->label);
		int rc = watch_event_decode(row->line, strlen(row->line), &event, &err);
		if (row->kind != ERROR_NONE) {
			assert_error(rc, err, row->kind, row->text);
			assert_null(event.document);
			continue;
		}
		assert_ok(rc, err);
		assert_int_equal(event.type, row->type);
		assert_int_equal(event.version == NULL, row->version == NULL);
		if (row->version != NULL)
			assert_string_equal(event.version, row->version);
		assert_int_equal(event.object != NULL, row->type <= WATCH_EVENT_DELETED);
	}
}

struct status_row {
	const char *label;
	const char *line;
	enum error_kind kind;
	int http_status;
	int64_t retry_after_ms;
	const char *text;
};

static const struct status_row status_rows[] = {
	{"expired", STATUS(",\"code\":410,\"reason\":\"Expired\",\"message\":\"too old resource version: 5 (9)\""),
		ERROR_CONFLICT, 410, 0, "the server ends the watch: too old resource version: 5 (9)"},
	{"expired without a code", STATUS(",\"reason\":\"Gone\""), ERROR_CONFLICT, 410, 0,
		"the server ends the watch: no reason"},
	{"too many requests", STATUS(",\"code\":429,\"message\":\"slowly\",\"details\":{\"retryAfterSeconds\":3}"),
		ERROR_TRANSIENT, 429, 3000, "the server ends the watch: slowly"},
	{"an internal error", STATUS(",\"code\":500,\"message\":\"etcd\""), ERROR_TRANSIENT, 500, 0,
		"the server ends the watch: etcd"},
	{"forbidden", STATUS(",\"code\":403,\"message\":\"no\""), ERROR_INVALID, 403, 0, "the server ends the watch: no"},
	{"gone, by its code alone", STATUS(",\"code\":410,\"message\":\"\""), ERROR_CONFLICT, 410, 0, "no reason"},
	{"another reason without a code", STATUS(",\"reason\":\"Internal\""), ERROR_TRANSIENT, 500, 0, "no reason"},
	{"a code beyond all", STATUS(",\"code\":600"), ERROR_TRANSIENT, 500, 0, "no reason"},
	{"a wait beyond all", STATUS(",\"code\":429,\"details\":{\"retryAfterSeconds\":99999999999}"), ERROR_TRANSIENT, 429, 0,
		"no reason"},
	{"an absurd code", STATUS(",\"code\":7"), ERROR_TRANSIENT, 500, 0, "no reason"},
	{"no object", "{\"type\":\"ERROR\"}", ERROR_TRANSIENT, 500, 0, "no reason"},
};

static void an_error_event_says_what_may_be_done(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(status_rows) / sizeof(status_rows[0]); i++) {
		const struct status_row *row = &status_rows[i];
		struct error err = {0};
		AUTO(watch_event) struct watch_event event = {0};
		print_message("# %s\n", row->label);
		assert_ok(watch_event_decode(row->line, strlen(row->line), &event, &err), err);
		assert_int_equal(event.type, WATCH_EVENT_ERROR);
		assert_int_equal(event.error.http_status, row->http_status);
		assert_int_equal(event.error.retry_after_ms, row->retry_after_ms);
		assert_error(-1, event.error, row->kind, row->text);
	}
}

static void every_prefix_of_an_event_is_refused(void **state)
{
	(void)state;
	const char *line = event_rows[0].line;
	for (size_t len = 0; len < strlen(line); len++) {
		struct error err = {0};
		struct watch_event event = {0};
		assert_error(watch_event_decode(line, len, &event, &err), err, ERROR_INVALID, "");
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(lines_come_whole_however_they_are_cut),
		cmocka_unit_test(a_large_line_leaves_no_memory_behind),
		cmocka_unit_test(an_event_is_read_or_refused),
		cmocka_unit_test(an_error_event_says_what_may_be_done),
		cmocka_unit_test(every_prefix_of_an_event_is_refused),
	};
	return cmocka_run_group_tests_name("k8s/watch_lines", cases, NULL, NULL);
}
