// Answers of S3: framing in any cuts, error documents, and the documents of our own.
#include "canopy/proxy/answer.h"
#include "canopy/proxy/head.h"
#include "tests/support/cmocka.h"
#include <stdlib.h>
#include <string.h>

#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

static struct buffers buffers;

static void put(struct buffer *buffer, const char *text, size_t len)
{
	memcpy(buffer->data + buffer->end, text, len);
	buffer->end += len;
}

// Feed a whole answer in pieces of `step` bytes after its head; returns what answer_begin() said.
static const char *feed(struct answer *answer, struct buffer *buffer, const char *text, size_t step, bool is_head)
{
	size_t scanned = 0;
	size_t len = strlen(text);
	*answer = (struct answer){0};
	buffer->begin = buffer->end = 0;
	assert_int_equal(head_find_end(text, len, &scanned, &answer->head_bytes), HEAD_WHOLE);
	put(buffer, text, answer->head_bytes);
	const char *wrong = answer_begin(answer, buffer, is_head);
	for (size_t at = answer->head_bytes; wrong == NULL && at < len && !answer->body_done && !answer->is_broken; at += step) {
		size_t before = buffer->end;
		put(buffer, text + at, len - at < step ? len - at : step);
		answer_account(answer, buffer, before);
	}
	return wrong;
}

static const struct {
	const char *label;
	const char *text;
	bool is_head;
	const char *wrong;
	bool done, broken, closes;
	size_t payload;
} rows[] = {
	{"length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false, NULL, true, false, false, 5},
	{"cut short", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", false, NULL, false, false, false, 5},
	{"empty", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, NULL, true, false, false, 0},
	{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", true, NULL, true, false, false, 0},
	{"HEAD without length", "HTTP/1.1 403 No\r\n\r\n", true, NULL, true, false, false, 0},
	{"HEAD with chunks announced", CHUNKED, true, NULL, true, false, false, 0},
	{"304 with length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false, NULL, true, false, false, 0},
	{"204", "HTTP/1.1 204 No Content\r\n\r\n", false, NULL, true, false, false, 0},
	{"no length", "HTTP/1.1 200 OK\r\n\r\nhello", false, "no length", false, false, false, 0},
	{"100", "HTTP/1.1 100 Continue\r\n\r\n", false, "below 200", false, false, false, 0},
	{"close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", false, NULL, true, false, true, 1},
	{"chunks", CHUNKED "5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\n\r\n", false, NULL, true, false, false, 11},
	{"chunks with trailer", CHUNKED "1\r\nx\r\n0\r\nX-T: 1\r\nX-U: 2\r\n\r\n", false, NULL, true, false, false, 1},
	{"chunks cut short", CHUNKED "5\r\nhel", false, NULL, false, false, false, 3},
	{"chunks without the last", CHUNKED "5\r\nhello\r\n", false, NULL, false, false, false, 5},
	{"chunk with bare LF", CHUNKED "5\nhello\r\n0\r\n\r\n", false, NULL, false, true, true, 0},
	{"chunk longer than said", CHUNKED "4\r\nhello\r\n0\r\n\r\n", false, NULL, false, true, true, 4},
	{"chunk without size", CHUNKED "\r\nhello", false, NULL, false, true, true, 0},
	{"chunk of size beyond all", CHUNKED "ffffffffffffffffff\r\n", false, NULL, false, true, true, 0},
};

static void framing_is_followed_in_any_cuts(void **state)
{
	(void)state;
	struct buffer *buffer = buffers_take(&buffers);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t step = 1; step < 40; step++) {
			struct answer answer;
			const char *wrong = feed(&answer, buffer, rows[i].text, step, rows[i].is_head);
			bool as_said =
				rows[i].wrong == NULL ? wrong == NULL : wrong != NULL && strstr(wrong, rows[i].wrong) != NULL;
			if (!as_said)
				fail_msg("%s: %s", rows[i].label, wrong == NULL ? "taken" : wrong);
			if (wrong != NULL)
				continue;
			// What stands behind a broken chunk is only cut off when it came in the same piece.
			bool closes = answer.closes == rows[i].closes || rows[i].broken;
			if (answer.body_done != rows[i].done || answer.is_broken != rows[i].broken || !closes ||
				answer.payload_bytes != rows[i].payload)
				fail_msg("%s, step %zu: done %d, broken %d, closes %d, %zu bytes", rows[i].label, step,
					answer.body_done, answer.is_broken, answer.closes, answer.payload_bytes);
		}
	}
	buffers_give_back(&buffers, buffer);
}

static void bytes_behind_the_end_are_cut_off_and_the_connection_is_not_used_again(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK", CHUNKED "2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK"};
	struct buffer *buffer = buffers_take(&buffers);
	for (size_t i = 0; i < 2; i++) {
		struct answer answer;
		assert_null(feed(&answer, buffer, texts[i], 1000, false));
		assert_true(answer.body_done);
		assert_true(answer.closes);
		assert_int_equal(buffer->end, strlen(texts[i]) - strlen("HTTP/1.1 200 OK"));
	}
	buffers_give_back(&buffers, buffer);
}

static void an_error_document_is_read_also_from_chunks(void **state)
{
	(void)state;
	static const char *const texts[] = {"HTTP/1.1 403 No\r\nDate: Fri, 24 May 2013 00:00:00 GMT\r\nContent-Length: "
					    "120\r\n\r\n<?xml version=\"1.0\"?>\n<Error><Code>"
					    "RequestTimeTooSkewed</Code><ServerTime>2013-05-24T00:00:01Z</ServerTime></Error>  ",
		"HTTP/1.1 403 No\r\nTransfer-Encoding: "
		"chunked\r\n\r\n12\r\n<Error><Code>Reque\r\n48\r\nstTimeTooSkewed</Code><ServerTime>"
		"2013-05-24T00:00:01Z</ServerTime></Error>\r\n0\r\n\r\n"};
	struct buffer *buffer = buffers_take(&buffers);
	for (size_t i = 0; i < 2; i++) {
		struct answer answer;
		int64_t wall_ms = 0;
		assert_null(feed(&answer, buffer, texts[i], 7, false));
		answer_read_error(&answer, buffer);
		assert_string_equal(answer.error.code, "RequestTimeTooSkewed");
		assert_true(answer_time(&answer, &wall_ms));
		assert_int_equal(wall_ms, 1369353601000);
	}
	buffers_give_back(&buffers, buffer);
}

static void the_date_header_stands_in_for_a_missing_server_time(void **state)
{
	(void)state;
	struct answer answer = {.date = "Fri, 24 May 2013 00:00:00 GMT"};
	int64_t wall_ms = 0;
	assert_true(answer_time(&answer, &wall_ms));
	assert_int_equal(wall_ms, 1369353600000);
	answer.date[0] = '\0';
	assert_false(answer_time(&answer, &wall_ms));
}

// A copy without a byte behind it, so that AddressSanitizer sees a step too far.
static void any_part_of_a_document_can_be_read(void **state)
{
	(void)state;
	const char text[] = "<Error><Code>ExpiredToken</Code><Region>eu-west-1</Region><Endpoint>h</Endpoint></Error>";
	for (size_t from = 0; from < strlen(text); from++) {
		for (size_t to = from; to <= strlen(text); to++) {
			struct s3error error;
			char *copy = malloc(to - from + 1);
			memcpy(copy, text + from, to - from);
			char *exact = realloc(copy, to == from ? 1 : to - from);
			s3error_read(exact, to - from, &error);
			assert_true(error.code[0] == '\0' || strcmp(error.code, "ExpiredToken") == 0);
			free(exact);
		}
	}
}

static void values_that_cannot_be_what_they_say_are_left_out(void **state)
{
	(void)state;
	struct s3error error;
	char text[400] = "<Code>";
	memset(text + 6, 'x', 300);
	memcpy(text + 306, "</Code>", 8);
	s3error_read(text, strlen(text), &error);
	assert_string_equal(error.code, "");
	s3error_read("<Code>a\0b</Code>", 16, &error);
	assert_string_equal(error.code, "");
}

static void codes_of_credentials_are_known(void **state)
{
	(void)state;
	assert_true(s3error_is_credentials("ExpiredToken"));
	assert_true(s3error_is_credentials("InvalidAccessKeyId"));
	assert_true(s3error_is_credentials("RequestExpired"));
	assert_false(s3error_is_credentials("AccessDenied"));
	assert_false(s3error_is_credentials("SignatureDoesNotMatch"));
	assert_false(s3error_is_credentials(""));
}

static void our_documents_are_escaped_and_have_their_length(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(buf) struct buf out;
	buf_init(&out, 4096);
	const struct s3error_answer answer = {.status = 403, .code = "AccessDenied", .message = "a<b>&\x01", .closes = true};
	assert_ok(s3error_write(&answer, &out, &err), err);
	assert_non_null(strstr(buf_str(&out), "HTTP/1.1 403 Forbidden\r\n"));
	assert_non_null(strstr(buf_str(&out), "Connection: close\r\n"));
	const char *body = strstr(buf_str(&out), "\r\n\r\n") + 4;
	assert_string_equal(body,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code><Message>a&lt;b&gt;&amp;?"
		"</Message></Error>");
	assert_int_equal(strtoul(strstr(buf_str(&out), "Content-Length: ") + 16, NULL, 10), strlen(body));
}

static int teardown(void **state)
{
	(void)state;
	buffers_fini(&buffers);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(framing_is_followed_in_any_cuts),
		cmocka_unit_test(bytes_behind_the_end_are_cut_off_and_the_connection_is_not_used_again),
		cmocka_unit_test(an_error_document_is_read_also_from_chunks),
		cmocka_unit_test(the_date_header_stands_in_for_a_missing_server_time),
		cmocka_unit_test(any_part_of_a_document_can_be_read),
		cmocka_unit_test(values_that_cannot_be_what_they_say_are_left_out),
		cmocka_unit_test(codes_of_credentials_are_known),
		cmocka_unit_test(our_documents_are_escaped_and_have_their_length),
	};
	return cmocka_run_group_tests_name("proxy/answer", tests, NULL, teardown);
}
