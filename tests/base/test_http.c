// What is sent and what comes back.
#include "tests/base/http_case.h"
#include "tests/support/cmocka.h"
#include "tests/support/http_server.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// --- what is sent ---

static void echo_ok(void *arg, const struct http_server_request *request, struct http_server_answer *answer)
{
	(void)arg;
	(void)request;
	answer->body = strdup("ok");
}

struct sent_row {
	const char *label;
	const char *method;
	const char *body;
	const char *content_type;
	const char *expect_length; // "" for none
};

static const struct sent_row sent[] = {
	{"a GET", "GET", NULL, NULL, ""},
	{"a POST with a body", "POST", "{\"a\":1}", "application/json", "7"},
	{"an empty POST", "POST", NULL, NULL, "0"},
	{"a PATCH", "PATCH", "{}", "application/merge-patch+json", "2"},
	{"a PUT", "PUT", "{}", "application/json", "2"},
	{"a DELETE without a body", "DELETE", NULL, NULL, ""},
	{"a DELETE with a body", "DELETE", "{}", "application/json", "2"},
};

static void a_request_arrives_as_it_was_asked_for(void **state)
{
	(void)state;
	struct http_server *server = http_server_start(echo_ok, NULL);
	AUTO(http_client) struct http_client *client = new_client(NULL);
	AUTO(secret) struct secret bearer = {0};
	struct error err = {0};
	assert_ok(secret_set(&bearer, "t0ken", &err), err);
	for (size_t i = 0; i < sizeof(sent) / sizeof(sent[0]); i++) {
		char url[URL_MAX];
		char type[80];
		char value[128];
		(void)snprintf(url, sizeof(url), "%s/a/b?x=1%%2C2", http_server_url(server));
		(void)snprintf(type, sizeof(type), "Content-Type: %s", sent[i].content_type == NULL ? "" : sent[i].content_type);
		const char *const headers[] = {"Accept: application/json", sent[i].content_type == NULL ? NULL : type, NULL};
		const struct http_request request = {.method = sent[i].method,
			.url = url,
			.headers = headers,
			.bearer = &bearer,
			.body = sent[i].body,
			.body_len = sent[i].body == NULL ? 0 : strlen(sent[i].body)};
		AUTO(http_response) struct http_response response = {0};
		assert_ok(http_do(client, &request, &response, &err), err);
		assert_int_equal(response.status, 200);
		assert_string_equal(buf_str(&response.body), "ok");

		const struct http_server_request *seen = http_server_request(server, i);
		print_message("# %s\n", sent[i].label);
		assert_string_equal(seen->method, sent[i].method);
		assert_string_equal(seen->target, "/a/b?x=1%2C2");
		assert_string_equal(buf_str(&seen->body), sent[i].body == NULL ? "" : sent[i].body);
		assert_string_equal(http_server_header(seen, "Content-Length", value, sizeof(value)), sent[i].expect_length);
		assert_string_equal(http_server_header(seen, "Content-Type", value, sizeof(value)),
			sent[i].content_type == NULL ? "" : sent[i].content_type);
		assert_string_equal(http_server_header(seen, "Authorization", value, sizeof(value)), "Bearer t0ken");
		assert_string_equal(http_server_header(seen, "Accept", value, sizeof(value)), "application/json");
		assert_string_equal(http_server_header(seen, "User-Agent", value, sizeof(value)), "test/1");
		assert_string_equal(http_server_header(seen, "Expect", value, sizeof(value)), "");
	}
	http_server_stop(server);
}

static void a_large_body_is_sent_without_waiting_for_a_100(void **state)
{
	(void)state;
	struct http_server *server = http_server_start(echo_ok, NULL);
	AUTO(http_client) struct http_client *client = new_client(NULL);
	struct error err = {0};
	size_t len = (size_t)3 << 20;
	AUTO_FREE char *body = malloc(len + 1);
	assert_non_null(body);
	memset(body, 'x', len);
	const struct http_request request = {.method = "POST", .url = http_server_url(server), .body = body, .body_len = len};
	AUTO(http_response) struct http_response response = {0};
	assert_ok(http_do(client, &request, &response, &err), err);
	char value[64];
	const struct http_server_request *seen = http_server_request(server, 0);
	assert_int_equal(seen->body.len, len);
	assert_string_equal(http_server_header(seen, "Expect", value, sizeof(value)), "");
	http_server_stop(server);
}

static void a_header_with_a_control_character_is_refused_and_not_shown(void **state)
{
	(void)state;
	struct http_server *server = http_server_start(echo_ok, NULL);
	AUTO(http_client) struct http_client *client = new_client(NULL);
	AUTO(secret) struct secret bearer = {0};
	AUTO(http_response) struct http_response response = {0};
	struct error err = {0};
	assert_ok(secret_set(&bearer, "hush\r\nX-Evil: 1", &err), err);
	const struct http_request request = {.method = "GET", .url = http_server_url(server), .bearer = &bearer};
	assert_error(
		http_do(client, &request, &response, &err), err, ERROR_INVALID, "header Authorization holds a control character");
	assert_null(strstr(err.text, "hush"));
	assert_int_equal(http_server_count(server), 0);
	http_server_stop(server);
}

struct url_row {
	const char *url;
	const char *part;
};

static const struct url_row bad_urls[] = {
	{"", "bad URL"},
	{"127.0.0.1/x", "bad URL"},
	{"http://", "bad URL"},
	{"http://127.0.0.1:99999/", "bad URL"},
	{"http://user:hush@127.0.0.1/", "bad URL"},
	{"ftp://127.0.0.1/x?hush", "ftp"},
	{"file:///etc/passwd", "file"},
};

static void bad_urls_are_invalid(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad_urls) / sizeof(bad_urls[0]); i++) {
		struct error err = {0};
		struct http_response response;
		print_message("# %s\n", bad_urls[i].url);
		assert_error(get(NULL, bad_urls[i].url, &response, &err), err, ERROR_INVALID, bad_urls[i].part);
		assert_null(strstr(err.text, "hush"));
	}
}

// --- what comes back ---

static void answer_and_reset(void *arg, struct raw_connection *connection, int number)
{
	answer_and_close(arg, connection, number);
	raw_reset(connection);
}

struct retry_row {
	const char *header;
	int64_t from_ms, to_ms;
};

static void retry_after_is_read_in_both_forms(void **state)
{
	(void)state;
	char in_a_minute[64];
	char a_minute_ago[64];
	time_t now = time(NULL);
	(void)strftime(in_a_minute, sizeof(in_a_minute), "Retry-After: %a, %d %b %Y %H:%M:%S GMT\r\n",
		gmtime_r(&(time_t){now + 60}, &(struct tm){0}));
	(void)strftime(a_minute_ago, sizeof(a_minute_ago), "Retry-After: %a, %d %b %Y %H:%M:%S GMT\r\n",
		gmtime_r(&(time_t){now - 60}, &(struct tm){0}));
	const struct retry_row rows[] = {
		{"", 0, 0},
		{"Retry-After: 7\r\n", 7000, 7000},
		{"retry-after: 0\r\n", 0, 0},
		{"Retry-After: -5\r\n", 0, 0},
		{"Retry-After: soon\r\n", 0, 0},
		{"Retry-After: 99999999999999999999\r\n", (int64_t)INT32_MAX * 1000, (int64_t)INT32_MAX * 1000},
		{in_a_minute, 1000, 60000},
		{a_minute_ago, 0, 0},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[256];
		char url[URL_MAX];
		struct error err = {0};
		AUTO(http_response) struct http_response response = {0};
		(void)snprintf(text, sizeof(text), "HTTP/1.1 503 Busy\r\n%sContent-Length: 4\r\n\r\nbusy", rows[i].header);
		struct raw_server *server = raw_server_start(answer_and_close, text, NULL);
		assert_ok(get(NULL, raw_url(server, "http", "127.0.0.1", url), &response, &err), err);
		assert_int_equal(response.status, 503);
		assert_string_equal(buf_str(&response.body), "busy");
		if (response.retry_after_ms < rows[i].from_ms || response.retry_after_ms > rows[i].to_ms)
			fail_msg("%s: %lld ms", rows[i].header, (long long)response.retry_after_ms);
		raw_server_stop(server);
	}
}

static void a_redirect_is_an_answer(void **state)
{
	(void)state;
	static char text[] = "HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n";
	char url[URL_MAX];
	struct error err = {0};
	AUTO(http_response) struct http_response response = {0};
	struct raw_server *server = raw_server_start(answer_always, text, NULL);
	assert_ok(get(NULL, raw_url(server, "http", "127.0.0.1", url), &response, &err), err);
	assert_int_equal(response.status, 302);
	assert_int_equal(raw_server_requests(server), 1);
	raw_server_stop(server);
}

struct fault_row {
	const char *label;
	raw_script script;
	const char *text;
	enum error_kind kind;
	const char *part;
};

static const struct fault_row faults[] = {
	{"closed without an answer", answer_and_close, "", ERROR_TRANSIENT, "Empty reply"},
	{"reset without an answer", answer_and_reset, "", ERROR_TRANSIENT, "reset"},
	{"half a header", answer_and_close, "HTTP/1.1 200 OK\r\nContent-Le", ERROR_TRANSIENT, "head of the answer"},
	{"a head without its end", answer_and_close, "HTTP/1.1 204 Done\r\nServer: x\r\n", ERROR_TRANSIENT, "head of the answer"},
	{"half a body", answer_and_close, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[1,2", ERROR_TRANSIENT, "remaining"},
	{"half a body and a reset", answer_and_reset, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[1,2", ERROR_TRANSIENT, ""},
	{"half a chunk", answer_and_close, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nabc", ERROR_TRANSIENT, ""},
	{"chunks without an end", answer_and_close, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		ERROR_TRANSIENT, ""},
	{"no HTTP", answer_and_close, "SSH-2.0-OpenSSH_9.2\r\n\r\n", ERROR_TRANSIENT, ""},
	{"1 GB announced", answer_and_hold, "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n", ERROR_INVALID,
		"the answer is longer than 8388608 bytes"},
	{"half an error's body", answer_and_close, "HTTP/1.1 500 No\r\nContent-Length: 100\r\n\r\nsorry", ERROR_TRANSIENT, ""},
};

static void a_broken_answer_is_an_error_of_the_right_kind(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		char url[URL_MAX];
		char text[128];
		struct error err = {0};
		struct http_response response;
		(void)snprintf(text, sizeof(text), "%s", faults[i].text);
		struct raw_server *server = raw_server_start(faults[i].script, text, NULL);
		print_message("# %s\n", faults[i].label);
		assert_error(get(NULL, raw_url(server, "http", "127.0.0.1", url), &response, &err), err, faults[i].kind,
			faults[i].part);
		assert_non_null(strstr(err.text, "GET http://127.0.0.1:"));
		raw_server_stop(server);
	}
}

static void a_silent_server_runs_into_the_time_out(void **state)
{
	(void)state;
	static char nothing[] = "";
	static char half[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc";
	char *const texts[] = {nothing, half};
	for (size_t i = 0; i < 2; i++) {
		char url[URL_MAX];
		struct error err = {0};
		struct http_response response;
		struct raw_server *server = raw_server_start(answer_and_hold, texts[i], NULL);
		AUTO(http_client) struct http_client *client = new_client(NULL);
		(void)snprintf(url, sizeof(url), "http://127.0.0.1:%d/slow?token=hush", raw_server_port(server));
		const struct http_request request = {.method = "GET", .url = url, .timeout_ms = 200};
		assert_error(http_do(client, &request, &response, &err), err, ERROR_TRANSIENT, "timed out");
		assert_null(strstr(err.text, "hush"));
		raw_server_stop(server);
	}
}

static void nobody_listening_is_transient(void **state)
{
	(void)state;
	char url[URL_MAX];
	struct error err = {0};
	struct http_response response;
	struct raw_server *server = raw_server_start(answer_always, NULL, NULL);
	(void)raw_url(server, "http", "127.0.0.1", url);
	raw_server_stop(server);
	assert_error(get(NULL, url, &response, &err), err, ERROR_TRANSIENT, "connect");
}

static void a_body_is_limited(void **state)
{
	(void)state;
	static const char chunked[] = "HTTP/1.1 %d X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n5\r\nfghij\r\n0\r\n\r\n";
	static const char counted[] = "HTTP/1.1 %d X\r\nContent-Length: 10\r\n\r\nabcdefghij";
	for (int i = 0; i < 8; i++) {
		char url[URL_MAX];
		char text[128];
		struct error err = {0};
		AUTO(http_response) struct http_response response = {0};
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		(void)snprintf(text, sizeof(text), i % 2 == 0 ? chunked : counted, i < 4 ? 200 : 500);
#pragma GCC diagnostic pop
		struct raw_server *server = raw_server_start(answer_always, text, NULL);
		AUTO(http_client) struct http_client *client = new_client(NULL);
		struct http_request request = {
			.method = "GET", .url = raw_url(server, "http", "127.0.0.1", url), .max_body_bytes = i % 4 < 2 ? 10 : 9};
		if (i % 4 < 2) {
			assert_ok(http_do(client, &request, &response, &err), err);
			assert_string_equal(buf_str(&response.body), "abcdefghij");
		} else {
			assert_error(http_do(client, &request, &response, &err), err, ERROR_INVALID, "longer than 9 bytes");
		}
		raw_server_stop(server);
	}
}

struct taken {
	struct buf text;
	bool refuse;
};

static int take(void *arg, const char *data, size_t len, struct error *err)
{
	struct taken *taken = arg;
	return taken->refuse ? error_set(err, ERROR_CONFLICT, "not this") : buf_add(&taken->text, data, len, err);
}

static void answer_by_path(void *arg, const struct http_server_request *request, struct http_server_answer *answer)
{
	(void)arg;
	answer->status = strcmp(request->target, "/good") == 0 ? 200 : 404;
	answer->chunked = true;
	answer->body = strdup("some text");
}

static void a_body_goes_to_the_callback_when_it_is_a_success(void **state)
{
	(void)state;
	struct http_server *server = http_server_start(answer_by_path, NULL);
	AUTO(http_client) struct http_client *client = new_client(NULL);
	struct error err = {0};
	struct taken taken = {0};
	char url[URL_MAX];
	buf_init(&taken.text, 100);
	struct http_request request = {.method = "GET", .url = url, .on_body = take, .arg = &taken};

	AUTO(http_response) struct http_response success = {0};
	(void)snprintf(url, sizeof(url), "%s/good", http_server_url(server));
	assert_ok(http_do(client, &request, &success, &err), err);
	assert_string_equal(buf_str(&taken.text), "some text");
	assert_int_equal(success.body.len, 0);

	AUTO(http_response) struct http_response refusal = {0};
	buf_reset(&taken.text);
	(void)snprintf(url, sizeof(url), "%s/bad", http_server_url(server));
	assert_ok(http_do(client, &request, &refusal, &err), err);
	assert_int_equal(taken.text.len, 0);
	assert_string_equal(buf_str(&refusal.body), "some text");

	struct http_response nothing;
	request.max_body_bytes = 8;
	(void)snprintf(url, sizeof(url), "%s/good", http_server_url(server));
	assert_error(http_do(client, &request, &nothing, &err), err, ERROR_INVALID, "longer than 8 bytes");
	assert_int_equal(taken.text.len, 0);

	request.max_body_bytes = 0;
	taken.refuse = true;
	assert_error(http_do(client, &request, &nothing, &err), err, ERROR_CONFLICT, "not this");
	buf_fini(&taken.text);
	http_server_stop(server);
}

// --- kinds ---

struct kind_row {
	int status;
	enum error_kind kind;
};

static void every_status_has_a_kind(void **state)
{
	(void)state;
	static const struct kind_row rows[] = {{200, ERROR_NONE}, {201, ERROR_NONE}, {204, ERROR_NONE}, {299, ERROR_NONE},
		{0, ERROR_INTERNAL}, {101, ERROR_INTERNAL}, {301, ERROR_INTERNAL}, {304, ERROR_INTERNAL}, {400, ERROR_INVALID},
		{401, ERROR_INVALID}, {403, ERROR_INVALID}, {404, ERROR_NOT_FOUND}, {408, ERROR_TRANSIENT}, {409, ERROR_CONFLICT},
		{410, ERROR_NOT_FOUND}, {412, ERROR_CONFLICT}, {415, ERROR_INVALID}, {422, ERROR_INVALID}, {425, ERROR_TRANSIENT},
		{429, ERROR_TRANSIENT}, {500, ERROR_TRANSIENT}, {502, ERROR_TRANSIENT}, {503, ERROR_TRANSIENT},
		{599, ERROR_TRANSIENT}, {600, ERROR_INTERNAL}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (http_status_kind(rows[i].status) != rows[i].kind)
			fail_msg("%d: %s", rows[i].status, error_kind_text(http_status_kind(rows[i].status)));
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(a_request_arrives_as_it_was_asked_for),
		cmocka_unit_test(a_large_body_is_sent_without_waiting_for_a_100),
		cmocka_unit_test(a_header_with_a_control_character_is_refused_and_not_shown),
		cmocka_unit_test(bad_urls_are_invalid),
		cmocka_unit_test(retry_after_is_read_in_both_forms),
		cmocka_unit_test(a_redirect_is_an_answer),
		cmocka_unit_test(a_broken_answer_is_an_error_of_the_right_kind),
		cmocka_unit_test(a_silent_server_runs_into_the_time_out),
		cmocka_unit_test(nobody_listening_is_transient),
		cmocka_unit_test(a_body_is_limited),
		cmocka_unit_test(a_body_goes_to_the_callback_when_it_is_a_success),
		cmocka_unit_test(every_status_has_a_kind),
	};
	return cmocka_run_group_tests_name("base/http", cases, NULL, NULL);
}
