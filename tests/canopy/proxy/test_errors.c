// What S3 says besides data: which of it is dealt with in the proxy, and which is passed on as it is.
#include "base/clock.h"
#include "canopy/proxy/proxy.h"
#include "tests/canopy/proxy/world.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <string.h>

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define ANSWERS_MAX 8

// An S3 that answers request after request from a list; the last is given again.
struct play {
	const char *answers[ANSWERS_MAX];
	char requests[ANSWERS_MAX][WORLD_TEXT_MAX];
	atomic_int count;
};

static void error_answer(char *out, size_t size, const char *status, const char *headers, const char *body)
{
	(void)snprintf(out, size, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n%s", status, headers, strlen(body), body);
}

static void play_script(void *arg, struct raw_connection *connection, int number)
{
	struct play *play = arg;
	char request[WORLD_TEXT_MAX];
	(void)number;
	while (raw_read_request(connection, request, sizeof(request))) {
		int n = atomic_fetch_add(&play->count, 1);
		if (n < ANSWERS_MAX)
			memcpy(play->requests[n], request, sizeof(request));
		int last = 0;
		while (last + 1 < ANSWERS_MAX && play->answers[last + 1] != NULL && last < n)
			last++;
		raw_write(connection, play->answers[last]);
	}
}

static const char *const aws[] = {"S3_ENDPOINT", "http://s3.us-east-1.amazonaws.com", "S3_CONNECT_TO", NULL, NULL};

static struct world *world_with(struct play *play)
{
	return world_new(&(struct world_options){.s3 = play_script, .arg = play});
}

#define EXPIRED_BODY "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"

static void expired_credentials_are_renewed_and_never_shown(void **state)
{
	(void)state;
	static const char *const lines[] = {"400 Bad Request", "403 Forbidden"};
	static const char *const bodies[] = {
		EXPIRED_BODY, "<Error><Code>InvalidAccessKeyId</Code></Error>", "<Error><Code>RequestExpired</Code></Error>"};
	for (size_t i = 0; i < 6; i++) {
		struct play play = {0};
		char expired[512];
		error_answer(expired, sizeof(expired), lines[i % 2], "", bodies[i / 2]);
		play.answers[0] = expired;
		play.answers[1] = OK;
		struct world *w = world_with(&play);
		world_expect(w, "GET", "/bucket/p/k", "", 200, "ok");
		assert_int_equal(world_broker_calls(w), 2);
		assert_non_null(strstr(play.requests[0], "Credential=AKID1/"));
		assert_non_null(strstr(play.requests[1], "Credential=AKID2/"));
		world_free(w);
	}
}

static void credentials_that_stay_expired_become_slow_down(void **state)
{
	(void)state;
	struct play play = {0};
	char expired[512];
	error_answer(expired, sizeof(expired), "400 Bad Request", "", EXPIRED_BODY);
	play.answers[0] = expired;
	struct world *w = world_with(&play);
	world_expect(w, "GET", "/bucket/p/k", "", 503, "<Code>SlowDown</Code>");
	assert_int_equal(atomic_load(&play.count), 2);
	world_free(w);
}

static void a_head_that_is_refused_is_asked_why(void **state)
{
	(void)state;
	struct play play = {
		.answers = {"HTTP/1.1 400 Bad Request\r\n\r\n", NULL, "HTTP/1.1 200 OK\r\nContent-Length: 7777\r\n\r\n"}};
	char expired[512];
	error_answer(expired, sizeof(expired), "400 Bad Request", "", EXPIRED_BODY);
	play.answers[1] = expired;
	struct world *w = world_with(&play);
	world_expect(w, "HEAD", "/bucket/p/k", "", 200, "Content-Length: 7777\r\n");
	assert_memory_equal(play.requests[0], "HEAD ", 5);
	assert_memory_equal(play.requests[1], "GET ", 4);
	assert_non_null(strstr(play.requests[1], "Range: bytes=0-0\r\n"));
	assert_memory_equal(play.requests[2], "HEAD ", 5);
	assert_int_equal(world_broker_calls(w), 2);
	world_free(w);
}

static void a_head_that_is_denied_stays_denied(void **state)
{
	(void)state;
	struct play play = {.answers = {"HTTP/1.1 403 Forbidden\r\nx-amz-request-id: one\r\n\r\n", NULL,
				    "HTTP/1.1 403 Forbidden\r\nx-amz-request-id: three\r\n\r\n"}};
	char denied[512];
	error_answer(denied, sizeof(denied), "403 Forbidden", "", "<Error><Code>AccessDenied</Code></Error>");
	play.answers[1] = denied;
	struct world *w = world_with(&play);
	world_expect(w, "HEAD", "/bucket/p/k", "", 403, "x-amz-request-id: three\r\n");
	assert_int_equal(world_broker_calls(w), 1);
	world_free(w);
}

static void the_clock_is_taken_from_s3(void **state)
{
	(void)state;
	struct play play = {0};
	char skewed[512];
	error_answer(skewed, sizeof(skewed), "403 Forbidden", "",
		"<Error><Code>RequestTimeTooSkewed</Code><ServerTime>2001-02-03T04:05:06Z</ServerTime></Error>");
	play.answers[0] = skewed;
	play.answers[1] = OK;
	struct world *w = world_with(&play);
	world_expect(w, "GET", "/bucket/p/k", "", 200, "ok");
	assert_null(strstr(play.requests[0], "x-amz-date: 20010203T"));
	assert_non_null(strstr(play.requests[1], "x-amz-date: 20010203T0405"));
	assert_non_null(strstr(play.requests[1], "/20010203/us-east-1/s3/aws4_request"));
	world_free(w);
}

static void another_region_is_followed_and_remembered(void **state)
{
	(void)state;
	const struct {
		const char *line, *headers, *body;
	} rows[] = {
		{"301 Moved Permanently", "x-amz-bucket-region: eu-west-1\r\n", "<Error><Code>PermanentRedirect</Code></Error>"},
		{"307 Temporary Redirect",
			"Location: http://bucket.s3.eu-west-1.amazonaws.com/p/k\r\nx-amz-bucket-region: eu-west-1\r\n", ""},
		{"400 Bad Request", "", "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>"},
	};
	for (size_t i = 0; i < 3; i++) {
		struct play play = {0};
		char redirect[512];
		char port[32];
		error_answer(redirect, sizeof(redirect), rows[i].line, rows[i].headers, rows[i].body);
		play.answers[0] = redirect;
		play.answers[1] = OK;
		struct raw_server *s3 = raw_server_start(play_script, &play, NULL);
		(void)snprintf(port, sizeof(port), "127.0.0.1:%d", raw_server_port(s3));
		const char *settings[] = {aws[0], aws[1], aws[2], port, NULL};
		struct world *w = world_new(&(struct world_options){.s3_port = raw_server_port(s3), .settings = settings});
		world_expect(w, "GET", "/bucket/p/k", "", 200, "ok");
		assert_non_null(strstr(play.requests[0], "host: s3.us-east-1.amazonaws.com\r\n"));
		assert_non_null(strstr(play.requests[1], "host: s3.eu-west-1.amazonaws.com\r\n"));
		assert_non_null(strstr(play.requests[1], "/eu-west-1/s3/aws4_request"));
		world_expect(w, "GET", "/bucket/p/k", "", 200, "ok");
		assert_int_equal(atomic_load(&play.count), 3);
		world_free(w);
		raw_server_stop(s3);
	}
}

static void a_head_follows_another_region_too(void **state)
{
	(void)state;
	struct play play = {.answers = {"HTTP/1.1 301 Moved\r\nx-amz-bucket-region: x\r\n\r\n",
				    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"}};
	struct world *w = world_with(&play);
	world_expect(w, "HEAD", "/bucket/p/k", "", 200, "Content-Length: 9\r\n");
	world_free(w);
}

static void a_redirect_to_a_stranger_is_not_followed_and_not_shown(void **state)
{
	(void)state;
	static const char *const lines[] = {
		"301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		char answer[256];
		struct play play = {.answers = {answer}};
		error_answer(answer, sizeof(answer), lines[i], "Location: http://evil.example/\r\n", "");
		struct world *w = world_with(&play);
		world_expect(w, "GET", "/bucket/p/k", "", 502, "<Code>InternalError</Code>");
		assert_int_equal(atomic_load(&play.count), 1);
		world_free(w);
	}
}

// Two others are tried, then it is enough.
static void regions_that_send_on_and_on_are_not_followed_for_ever(void **state)
{
	(void)state;
	char redirects[4][512], port[32];
	struct play play = {0};
	for (int i = 0; i < 4; i++) {
		char header[64];
		(void)snprintf(header, sizeof(header), "x-amz-bucket-region: eu-west-%d\r\n", i + 1);
		error_answer(redirects[i], sizeof(redirects[i]), "301 Moved Permanently", header, "");
		play.answers[i] = redirects[i];
	}
	struct raw_server *s3 = raw_server_start(play_script, &play, NULL);
	(void)snprintf(port, sizeof(port), "127.0.0.1:%d", raw_server_port(s3));
	const char *settings[] = {aws[0], aws[1], aws[2], port, NULL};
	struct world *w = world_new(&(struct world_options){.s3_port = raw_server_port(s3), .settings = settings});
	world_expect(w, "GET", "/bucket/p/k", "", 502, "elsewhere, and that is not followed");
	assert_int_equal(atomic_load(&play.count), 3);
	world_free(w);
	raw_server_stop(s3);
}

// The refusal does not say why, S3 gives the object itself to the question: both are as S3 says.
static void a_head_that_is_refused_where_the_object_is_given_stays_refused(void **state)
{
	(void)state;
	struct play play = {
		.answers = {"HTTP/1.1 403 Forbidden\r\n\r\n", "HTTP/1.1 206 Partial Content\r\nContent-Length: 1\r\n\r\nx",
			"HTTP/1.1 403 Forbidden\r\nx-amz-request-id: three\r\n\r\n"}};
	struct world *w = world_with(&play);
	world_expect(w, "HEAD", "/bucket/p/k", "", 403, "x-amz-request-id: three\r\n");
	assert_int_equal(atomic_load(&play.count), 3);
	world_free(w);
}

// What would be mended is not when the answer does not say how, or when it did not help.
static void what_cannot_be_mended_is_shown(void **state)
{
	(void)state;
	static const struct {
		const char *line, *headers, *body, *part;
		int status, count;
	} rows[] = {
		{"400 Bad Request", "", "<Error><Code>AuthorizationHeaderMalformed</Code></Error>",
			"AuthorizationHeaderMalformed", 400, 1},
		{"403 Forbidden", "", "<Error><Code>RequestTimeTooSkewed</Code></Error>", "RequestTimeTooSkewed", 403, 1},
		{"403 Forbidden", "Date: Sat, 03 Feb 2001 04:05:06 GMT\r\n", "<Error><Code>RequestTimeTooSkewed</Code></Error>",
			"RequestTimeTooSkewed", 403, 2},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char answer[512];
		struct play play = {.answers = {answer}};
		error_answer(answer, sizeof(answer), rows[i].line, rows[i].headers, rows[i].body);
		struct world *w = world_with(&play);
		world_expect(w, "GET", "/bucket/p/k", "", rows[i].status, rows[i].part);
		assert_int_equal(atomic_load(&play.count), rows[i].count);
		world_free(w);
	}
}

static void two_seconds(int n, char *out, size_t size)
{
	world_good_keys(n, n == 1 ? 2 : 3600, out, size);
}

static void late_script(void *arg, struct raw_connection *connection, int number)
{
	char request[WORLD_TEXT_MAX], denied[256];
	(void)arg;
	(void)number;
	error_answer(denied, sizeof(denied), "403 Forbidden", "", "<Error><Code>AccessDenied</Code></Error>");
	while (raw_read_request(connection, request, sizeof(request))) {
		bool is_old = strstr(request, "Credential=AKID1/") != NULL;
		int64_t until_ms = clock_mono_ms() + (is_old ? 2500 : 0); // past the end of the first keys
		while (clock_mono_ms() < until_ms)
			world_nap();
		raw_write(connection, is_old ? denied : OK);
	}
}

// Some servers say AccessDenied to a token whose time is up.
static void a_denial_after_the_end_of_the_keys_is_the_keys_fault(void **state)
{
	(void)state;
	struct world *w = world_new(&(struct world_options){.s3 = late_script, .broker = two_seconds});
	world_expect(w, "GET", "/bucket/p/k", "", 200, "ok");
	world_free(w);
}

static const struct {
	const char *label;
	const char *answer;
	const char *method;
	int status;
	const char *part;
} passed[] = {
	{"503", "HTTP/1.1 503 Slow Down\r\nRetry-After: 1\r\nContent-Length: 36\r\n\r\n<Error><Code>SlowDown</Code></Error>",
		"GET", 503, "Retry-After: 1\r\n"},
	{"404", "HTTP/1.1 404 Not Found\r\nContent-Length: 37\r\n\r\n<Error><Code>NoSuchKey</Code></Error>", "GET", 404,
		"<Code>NoSuchKey</Code>"},
	{"404 of HEAD", "HTTP/1.1 404 Not Found\r\nx-amz-request-id: r\r\n\r\n", "HEAD", 404, "x-amz-request-id: r\r\n"},
	{"HEAD", "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 123456789\r\n\r\n", "HEAD", 200,
		"Content-Length: 123456789\r\n"},
	{"206", "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 1-2/9\r\nContent-Length: 2\r\n\r\nbc", "GET", 206,
		"Content-Range: bytes 1-2/9\r\n"},
	{"304", "HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\n\r\n", "GET", 304, "ETag: \"e\"\r\n"},
	{"416",
		"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */9\r\nContent-Length: "
		"40\r\n\r\n<Error><Code>InvalidRange</Code></Error>",
		"GET", 416, "<Code>InvalidRange</Code>"},
	{"403", "HTTP/1.1 403 Forbidden\r\nContent-Length: 40\r\n\r\n<Error><Code>AccessDenied</Code></Error>", "GET", 403,
		"<Code>AccessDenied</Code>"},
	{"403 chunked",
		"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: "
		"chunked\r\n\r\n28\r\n<Error><Code>AccessDenied</Code></Error>\r\n0\r\n\r\n",
		"GET", 403, "AccessDenied"},
	{"500", "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", "GET", 500, NULL},
	{"list in chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n<a>\r\n4\r\n</a>\r\n0\r\n\r\n", "GET", 200,
		"3\r\n<a>\r\n4\r\n</a>\r\n0\r\n\r\n"},
};

static void what_engines_must_see_is_passed_on(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(passed) / sizeof(passed[0]); i++) {
		struct play play = {.answers = {passed[i].answer}};
		struct world *w = world_with(&play);
		world_expect(w, passed[i].method, "/bucket/p/k", "", passed[i].status, passed[i].part);
		assert_int_equal(atomic_load(&play.count), 1);
		assert_int_equal(world_broker_calls(w), 1);
		world_free(w);
	}
}

static void answers_that_nobody_can_trust_are_not_passed_on(void **state)
{
	(void)state;
	static const char *const answers[] = {"HTTP/1.1 200 OK\r\n\r\nno length", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", "SSH-2.0-x\r\n\r\n"};
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct play play = {.answers = {answers[i]}};
		struct world *w = world_with(&play);
		world_expect(w, "GET", "/bucket/p/k", "", 502, "<Code>InternalError</Code>");
		world_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(expired_credentials_are_renewed_and_never_shown),
		cmocka_unit_test(credentials_that_stay_expired_become_slow_down),
		cmocka_unit_test(a_head_that_is_refused_is_asked_why),
		cmocka_unit_test(a_head_that_is_denied_stays_denied),
		cmocka_unit_test(the_clock_is_taken_from_s3),
		cmocka_unit_test(another_region_is_followed_and_remembered),
		cmocka_unit_test(a_head_follows_another_region_too),
		cmocka_unit_test(a_redirect_to_a_stranger_is_not_followed_and_not_shown),
		cmocka_unit_test(regions_that_send_on_and_on_are_not_followed_for_ever),
		cmocka_unit_test(a_head_that_is_refused_where_the_object_is_given_stays_refused),
		cmocka_unit_test(what_cannot_be_mended_is_shown),
		cmocka_unit_test(a_denial_after_the_end_of_the_keys_is_the_keys_fault),
		cmocka_unit_test(what_engines_must_see_is_passed_on),
		cmocka_unit_test(answers_that_nobody_can_trust_are_not_passed_on),
	};
	return cmocka_run_group_tests_name("proxy/errors", tests, NULL, NULL);
}
