// Heads of requests and answers: what is taken, and what is refused because two readers could differ about it.
#include "canopy/proxy/head.h"
#include "tests/support/cmocka.h"
#include <stdlib.h>
#include <string.h>

#define GOOD "GET /b/k HTTP/1.1\r\nHost: h\r\n"

static const char *read_request(const char *text, size_t len, struct head_request *out, int *status)
{
	size_t scanned = 0;
	size_t bytes = 0;
	*status = 400;
	switch (head_find_end(text, len, &scanned, &bytes)) {
	case HEAD_PARTIAL:
		return "partial";
	case HEAD_BAD:
		return "bare LF";
	case HEAD_WHOLE:
	default:
		return head_read_request(text, bytes, out, status);
	}
}

static const struct {
	const char *label;
	const char *text;
	int status;
	const char *wrong; // a part of the complaint
} refused[] = {
	{"bare LF", "GET /b/k HTTP/1.1\nHost: h\n\n", 400, "bare LF"},
	{"bare LF after a good line", GOOD "X: y\n\r\n", 400, "bare LF"},
	{"bare CR in a value", GOOD "X: a\rb\r\n\r\n", 400, "control character"},
	{"empty line first", "\r\n" GOOD "\r\n", 400, "request line"},
	{"no host", "GET /b/k HTTP/1.1\r\n\r\n", 400, "one Host"},
	{"two hosts", GOOD "Host: i\r\n\r\n", 400, "one Host"},
	{"two lengths", GOOD "Content-Length: 0\r\nContent-Length: 0\r\n\r\n", 400, "more than one Content-Length"},
	{"length with sign", GOOD "Content-Length: +1\r\n\r\n", 400, "no number"},
	{"length list", GOOD "Content-Length: 0, 0\r\n\r\n", 400, "no number"},
	{"length beyond all", GOOD "Content-Length: 99999999999999999999\r\n\r\n", 400, "no number"},
	{"folded", GOOD "X: a\r\n b\r\n\r\n", 400, "folded"},
	{"blank before the colon", GOOD "X : a\r\n\r\n", 400, "name"},
	{"no colon", GOOD "X\r\n\r\n", 400, "no colon"},
	{"a slash in a name", GOOD "X/: x\r\n\r\n", 400, "name"},
	{"a comma in a name", GOOD "X,: x\r\n\r\n", 400, "name"},
	{"a bracket in a name", GOOD "X[: x\r\n\r\n", 400, "name"},
	{"a brace in a name", GOOD "X{: x\r\n\r\n", 400, "name"},
	{"an at sign in a name", GOOD "X@: x\r\n\r\n", 400, "name"},
	{"no name", GOOD ": x\r\n\r\n", 400, "name"},
	{"two blanks", "GET  /b/k HTTP/1.1\r\nHost: h\r\n\r\n", 400, "request line"},
	{"blank in target", "GET /b/ k HTTP/1.1\r\nHost: h\r\n\r\n", 400, "version"},
	{"tab in target", "GET /b/\tk HTTP/1.1\r\nHost: h\r\n\r\n", 400, "target"},
	{"byte above ASCII in target", "GET /b/\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n", 400, "target"},
	{"odd method", "G(T /b/k HTTP/1.1\r\nHost: h\r\n\r\n", 400, "method"},
	{"HTTP/1.0", "GET /b/k HTTP/1.0\r\nHost: h\r\n\r\n", 505, "HTTP/1.1"},
	{"HTTP/2.0", "GET /b/k HTTP/2.0\r\nHost: h\r\n\r\n", 505, "HTTP/1.1"},
	{"no version", "GET /b/k\r\nHost: h\r\n\r\n", 400, "request line"},
	{"a delete character in a value", GOOD "X: a\x7f\r\n\r\n", 400, "control character"},
	{"a delete character in target", "GET /b/\x7f HTTP/1.1\r\nHost: h\r\n\r\n", 400, "target"},
	{"no number in a length", GOOD "Content-Length: \r\n\r\n", 400, "no number"},
	{"not HTTP", "GET /b/k HTPP/1.1\r\nHost: h\r\n\r\n", 400, "HTTP"},
};

static void a_request_that_could_be_read_in_two_ways_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct head_request request;
		int status = 0;
		const char *wrong = read_request(refused[i].text, strlen(refused[i].text), &request, &status);
		if (wrong == NULL || strstr(wrong, refused[i].wrong) == NULL || status != refused[i].status)
			fail_msg("%s: %d %s", refused[i].label, status, wrong == NULL ? "taken" : wrong);
	}
}

static void a_good_request_is_taken_apart(void **state)
{
	(void)state;
	const char text[] = "HEAD /b/k?x=y HTTP/1.1\r\nHOST: h\r\nRange:  bytes=0-1 \t\r\nEmpty:\r\nConnection: a, Close\r\n"
			    "Content-Length: 0\r\n\r\nGET";
	struct head_request request;
	int status = 0;
	assert_null(read_request(text, strlen(text), &request, &status));
	assert_true(head_text_is(request.method, "HEAD"));
	assert_true(head_text_is(request.target, "/b/k?x=y"));
	assert_true(head_text_is(*head_find(&request.fields, "range"), "bytes=0-1"));
	assert_int_equal(head_find(&request.fields, "empty")->len, 0);
	assert_null(head_find(&request.fields, "emp"));
	assert_true(request.wants_close);
	assert_false(request.has_body);
	assert_int_equal(request.fields.count, 5);
}

static void a_body_is_seen(void **state)
{
	(void)state;
	const char *const bodies[] = {GOOD "Content-Length: 1\r\n\r\n", GOOD "Transfer-Encoding: chunked\r\n\r\n",
		GOOD "transfer-encoding: identity\r\nContent-Length: 0\r\n\r\n"};
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct head_request request;
		int status = 0;
		assert_null(read_request(bodies[i], strlen(bodies[i]), &request, &status));
		assert_true(request.has_body);
	}
}

// A copy without a byte behind it, so that AddressSanitizer sees a step too far.
static void every_beginning_is_partial(void **state)
{
	(void)state;
	const char text[] = GOOD "Range: bytes=1-2\r\n\r\n";
	for (size_t len = 0; len < strlen(text); len++) {
		char *copy = malloc(len == 0 ? 1 : len);
		assert_non_null(copy);
		memcpy(copy, text, len);
		size_t scanned = 0;
		size_t bytes = 0;
		assert_int_equal(head_find_end(copy, len, &scanned, &bytes), HEAD_PARTIAL);
		free(copy);
	}
}

static void the_end_is_found_in_any_cuts(void **state)
{
	(void)state;
	const char text[] = GOOD "\r\nnext";
	size_t scanned = 0;
	size_t bytes = 0;
	for (size_t len = 0; len < strlen(GOOD) + 2; len++)
		assert_int_equal(head_find_end(text, len, &scanned, &bytes), HEAD_PARTIAL);
	assert_int_equal(head_find_end(text, strlen(text), &scanned, &bytes), HEAD_WHOLE);
	assert_int_equal(bytes, strlen(GOOD) + 2);
}

static void too_many_headers_are_refused(void **state)
{
	(void)state;
	char text[8192] = GOOD;
	for (size_t i = 0; i < HEAD_FIELDS_MAX; i++)
		memcpy(text + strlen(text), "a: b\r\n", 7);
	memcpy(text + strlen(text), "\r\n", 3);
	struct head_request request;
	int status = 0;
	assert_string_equal(read_request(text, strlen(text), &request, &status), "too many headers");
}

static const struct {
	const char *label;
	const char *text;
	const char *wrong;
	int status;
	long long length;
	bool is_chunked, wants_close;
} responses[] = {
	{"plain", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", NULL, 200, 5, false, false},
	{"no reason", "HTTP/1.1 206\r\nContent-Length: 0\r\n\r\n", NULL, 206, 0, false, false},
	{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", NULL, 200, -1, true, false},
	{"close", "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n", NULL, 404, -1, false, true},
	{"old", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", NULL, 200, 1, false, true},
	{"length twice", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "twice", 0, 0, false, false},
	{"both", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "twice", 0, 0, false, false},
	{"gzip", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "not chunked", 0, 0, false, false},
	{"not HTTP", "SSH-2.0-OpenSSH\r\n\r\n", "status line", 0, 0, false, false},
	{"odd status", "HTTP/1.1 99x OK\r\n\r\n", "status", 0, 0, false, false},
	{"a tab in a value", "HTTP/1.1 200 OK\r\nX: a\tb\r\nContent-Length: 5\r\n\r\n", NULL, 200, 5, false, false},
	{"short", "HTTP/1.1\r\n\r\n", "status line", 0, 0, false, false},
	{"no blank", "HTTP/1.1-200 OK\r\n\r\n", "status line", 0, 0, false, false},
	{"status 99", "HTTP/1.1 099 OK\r\n\r\n", "status", 0, 0, false, false},
	{"four digits", "HTTP/1.1 2000 OK\r\n\r\n", "status", 0, 0, false, false},
	{"two codings", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "not chunked", 0,
		0, false, false},
	{"status 600", "HTTP/1.1 600 OK\r\n\r\n", "status", 0, 0, false, false},
	{"negative", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "no number", 0, 0, false, false},
};

static void answers_are_taken_apart(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(responses) / sizeof(responses[0]); i++) {
		struct head_response response;
		const char *wrong = head_read_response(responses[i].text, strlen(responses[i].text), &response);
		if (responses[i].wrong != NULL) {
			if (wrong == NULL || strstr(wrong, responses[i].wrong) == NULL)
				fail_msg("%s: %s", responses[i].label, wrong == NULL ? "taken" : wrong);
			continue;
		}
		if (wrong != NULL || response.status != responses[i].status || response.content_length != responses[i].length ||
			response.is_chunked != responses[i].is_chunked || response.wants_close != responses[i].wants_close)
			fail_msg("%s: %s", responses[i].label, wrong == NULL ? "read otherwise" : wrong);
	}
}

static void hop_by_hop_headers_are_dropped_before_the_body(void **state)
{
	(void)state;
	char text[] = "HTTP/1.0 200 OK\r\nConnection: X-Mine, keep-alive\r\nETag: \"e\"\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\n"
		      "Transfer-Encoding: chunked\r\nUpgrade: h2c\r\nx-amz-request-id: r\r\n\r\nbody";
	size_t bytes = strlen(text) - 4;
	struct head_response response;
	assert_null(head_read_response(text, bytes, &response));
	size_t begin = head_strip(text, bytes, &response);
	assert_string_equal(
		text + begin, "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nTransfer-Encoding: chunked\r\nx-amz-request-id: r\r\n\r\nbody");
}

static void a_length_stays_whatever_connection_names(void **state)
{
	(void)state;
	char text[] = "HTTP/1.1 200 OK\r\nConnection: content-length, x-mine\r\nX-Mine: 1\r\nContent-Length: 4\r\n\r\nbody";
	size_t bytes = strlen(text) - 4;
	struct head_response response;
	assert_null(head_read_response(text, bytes, &response));
	assert_string_equal(text + head_strip(text, bytes, &response), "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_that_could_be_read_in_two_ways_is_refused),
		cmocka_unit_test(a_good_request_is_taken_apart),
		cmocka_unit_test(a_body_is_seen),
		cmocka_unit_test(every_beginning_is_partial),
		cmocka_unit_test(the_end_is_found_in_any_cuts),
		cmocka_unit_test(too_many_headers_are_refused),
		cmocka_unit_test(answers_are_taken_apart),
		cmocka_unit_test(hop_by_hop_headers_are_dropped_before_the_body),
		cmocka_unit_test(a_length_stays_whatever_connection_names),
	};
	return cmocka_run_group_tests_name("proxy/head", tests, NULL, NULL);
}
