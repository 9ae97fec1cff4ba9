#include "base/http.h"
#include "tests/support/cmocka.h"
#include "tests/support/http_server.h"
#include "tests/support/pki.h"
#include "tests/support/raw_server.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define THREADS 4
#define REQUESTS_A_THREAD 50
#define URL_MAX 128
#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static struct pki_cert ca;
static struct pki_cert other_ca;
static struct pki_cert leaf; // for api.test and 127.0.0.1

static int make_pki(void **state)
{
	(void)state;
	ca = pki_make_ca("test CA");
	other_ca = pki_make_ca("another CA");
	leaf = pki_make_leaf(&ca, "api.test", "DNS:api.test,IP:127.0.0.1");
	return 0;
}

static int free_pki(void **state)
{
	(void)state;
	pki_cert_fini(&ca);
	pki_cert_fini(&other_ca);
	pki_cert_fini(&leaf);
	return 0;
}

static struct http_client *new_client(const struct http_options *options)
{
	struct error err = {0};
	struct http_client *client = NULL;
	static const struct http_options none = {.user_agent = "test/1"};
	assert_ok(http_client_new(options == NULL ? &none : options, &client, &err), err);
	return client;
}

// GET url with its own client.
static int get(const struct http_options *options, const char *url, struct http_response *response, struct error *err)
{
	AUTO(http_client) struct http_client *client = new_client(options);
	const struct http_request request = {.method = "GET", .url = url, .timeout_ms = 20000};
	return http_do(client, &request, response, err);
}

static const char *raw_url(const struct raw_server *server, const char *scheme, const char *host, char out[URL_MAX])
{
	(void)snprintf(out, URL_MAX, "%s://%s:%d/path", scheme, host, raw_server_port(server));
	return out;
}

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

// Answers every request of a connection with the same text.
static void answer_always(void *arg, struct raw_connection *connection, int number)
{
	char request[4096];
	(void)number;
	while (raw_read_request(connection, request, sizeof(request)))
		raw_write(connection, arg);
}

// Answers one request and closes.
static void answer_and_close(void *arg, struct raw_connection *connection, int number)
{
	char request[4096];
	(void)number;
	if (raw_read_request(connection, request, sizeof(request)))
		raw_write(connection, arg);
}

static void answer_and_hold(void *arg, struct raw_connection *connection, int number)
{
	answer_and_close(arg, connection, number);
	raw_hold(connection);
}

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

// --- connections ---

static void a_connection_is_used_again(void **state)
{
	(void)state;
	static char text[] = OK_ANSWER;
	char url[URL_MAX];
	struct raw_server *server = raw_server_start(answer_always, text, NULL);
	AUTO(http_client) struct http_client *client = new_client(NULL);
	const struct http_request request = {.method = "GET", .url = raw_url(server, "http", "127.0.0.1", url)};
	for (int i = 0; i < 5; i++) {
		struct error err = {0};
		AUTO(http_response) struct http_response response = {0};
		assert_ok(http_do(client, &request, &response, &err), err);
	}
	assert_int_equal(raw_server_requests(server), 5);
	assert_int_equal(raw_server_connections(server), 1);
	raw_server_stop(server);
}

// The first connection answers once and takes a second request without an answer, as a server does that dies in the middle.
static void answer_first_only(void *arg, struct raw_connection *connection, int number)
{
	char request[4096];
	if (raw_read_request(connection, request, sizeof(request)))
		raw_write(connection, arg);
	if (number == 0)
		(void)raw_read_request(connection, request, sizeof(request));
}

static void a_request_whose_answer_was_lost_is_sent_again_only_when_it_changes_nothing(void **state)
{
	(void)state;
	static char text[] = OK_ANSWER;
	static const char *const methods[] = {"GET", "POST", "PATCH", "DELETE"};
	for (size_t i = 0; i < 4; i++) {
		char url[URL_MAX];
		struct error err = {0};
		struct raw_server *server = raw_server_start(answer_first_only, text, NULL);
		AUTO(http_client) struct http_client *client = new_client(NULL);
		AUTO(http_response) struct http_response first = {0};
		AUTO(http_response) struct http_response second = {0};
		const struct http_request get_first = {.method = "GET", .url = raw_url(server, "http", "127.0.0.1", url)};
		const struct http_request then = {.method = methods[i], .url = url, .timeout_ms = 5000};
		assert_ok(http_do(client, &get_first, &first, &err), err);
		print_message("# %s\n", methods[i]);
		if (i == 0)
			assert_ok(http_do(client, &then, &second, &err), err);
		else
			assert_error(http_do(client, &then, &second, &err), err, ERROR_TRANSIENT, "closed before an answer");
		assert_int_equal(raw_server_requests(server), i == 0 ? 3 : 2);
		raw_server_stop(server);
	}
}

struct canceller {
	struct raw_server *server;
	atomic_bool cancel;
};

static void *cancel_when_requested(void *arg)
{
	struct canceller *canceller = arg;
	while (raw_server_requests(canceller->server) == 0)
		(void)nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	atomic_store(&canceller->cancel, true);
	return NULL;
}

static void a_request_in_flight_is_cancelled(void **state)
{
	(void)state;
	static char nothing[] = "";
	char url[URL_MAX];
	pthread_t thread;
	struct error err = {0};
	struct http_response response;
	struct canceller canceller = {.server = raw_server_start(answer_and_hold, nothing, NULL)};
	const struct http_options options = {.cancel = &canceller.cancel};
	assert_int_equal(pthread_create(&thread, NULL, cancel_when_requested, &canceller), 0);
	assert_error(get(&options, raw_url(canceller.server, "http", "127.0.0.1", url), &response, &err), err, ERROR_CANCELLED,
		"cancelled");
	assert_int_equal(pthread_join(thread, NULL), 0);
	raw_server_stop(canceller.server);
}

// --- streams ---

static void say_and_hold(void *arg, struct raw_connection *connection, int number)
{
	char request[1024];
	(void)number;
	if (!raw_read_request(connection, request, sizeof(request)))
		return;
	raw_write(connection, arg);
	raw_hold(connection);
}

static int swallow(void *arg, const char *data, size_t len, struct error *err)
{
	(void)data;
	(void)err;
	*(size_t *)arg += len;
	return 0;
}

static void a_server_that_falls_silent_is_left(void **state)
{
	(void)state;
	static char nothing[] = "";
	static char head[] = "HTTP/1.1 200 OK\r\n\r\n";
	static char some[] = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc";
	char *const texts[] = {nothing, head, some};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char url[URL_MAX];
		size_t received = 0;
		struct error err = {0};
		struct http_response response;
		struct raw_server *server = raw_server_start(say_and_hold, texts[i], NULL);
		AUTO(http_client) struct http_client *client = new_client(NULL);
		const struct http_request request = {.method = "GET",
			.url = raw_url(server, "http", "127.0.0.1", url),
			.silence_timeout_ms = 200,
			.on_body = swallow,
			.arg = &received};
		assert_error(http_do(client, &request, &response, &err), err, ERROR_TRANSIENT, "the server was silent for");
		assert_int_equal(received, i == 2 ? 3 : 0);
		raw_server_stop(server);
	}
}

#define DRIPS 12

static void drip(void *arg, struct raw_connection *connection, int number)
{
	char request[1024];
	(void)arg;
	(void)number;
	if (!raw_read_request(connection, request, sizeof(request)))
		return;
	raw_write(connection, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
	for (int i = 0; i < DRIPS; i++) {
		(void)nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
		raw_write(connection, "x");
	}
}

static void a_slow_server_is_not_silent(void **state)
{
	(void)state;
	char url[URL_MAX];
	size_t received = 0;
	struct error err = {0};
	AUTO(http_response) struct http_response response = {0};
	struct raw_server *server = raw_server_start(drip, NULL, NULL);
	AUTO(http_client) struct http_client *client = new_client(NULL);
	const struct http_request request = {.method = "GET",
		.url = raw_url(server, "http", "127.0.0.1", url),
		.silence_timeout_ms = 1500, // in all it takes longer
		.max_body_bytes = SIZE_MAX, // a stream has no end
		.on_body = swallow,
		.arg = &received};
	assert_ok(http_do(client, &request, &response, &err), err);
	assert_int_equal(received, DRIPS);
	raw_server_stop(server);
}

struct opened {
	int port; // the server's
	int status;
	int keepalive, idle_s, interval_s;
	unsigned int user_timeout_ms;
	atomic_bool cancel;
};

static int option_of(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);
	return getsockopt(fd, level, name, &value, &len) == 0 ? value : -1;
}

// Find our end of the connection, look at its options, and end the request.
static void look_and_cancel(void *arg, int status)
{
	struct opened *opened = arg;
	opened->status = status;
	for (int fd = 3; fd < 256; fd++) {
		struct sockaddr_in peer = {0};
		socklen_t len = sizeof(peer);
		if (getpeername(fd, (struct sockaddr *)&peer, &len) < 0 || peer.sin_family != AF_INET ||
			ntohs(peer.sin_port) != opened->port)
			continue;
		opened->keepalive = option_of(fd, SOL_SOCKET, SO_KEEPALIVE);
		opened->idle_s = option_of(fd, IPPROTO_TCP, TCP_KEEPIDLE);
		opened->interval_s = option_of(fd, IPPROTO_TCP, TCP_KEEPINTVL);
		opened->user_timeout_ms = (unsigned int)option_of(fd, IPPROTO_TCP, TCP_USER_TIMEOUT);
	}
	atomic_store(&opened->cancel, true);
}

// Also shows that the head is told of before the body, and that a request can be cancelled on its own.
static void the_kernel_looks_after_a_quiet_connection(void **state)
{
	(void)state;
	static char head[] = "HTTP/1.1 200 OK\r\n\r\n";
	char url[URL_MAX];
	struct error err = {0};
	struct http_response response;
	struct raw_server *server = raw_server_start(say_and_hold, head, NULL);
	struct opened opened = {.port = raw_server_port(server)};
	AUTO(http_client) struct http_client *client = new_client(NULL);
	const struct http_request request = {.method = "GET",
		.url = raw_url(server, "http", "127.0.0.1", url),
		.on_head = look_and_cancel,
		.arg = &opened,
		.cancel = &opened.cancel};
	assert_error(http_do(client, &request, &response, &err), err, ERROR_CANCELLED, "cancelled");
	assert_int_equal(opened.status, 200);
	assert_int_equal(opened.keepalive, 1);
	assert_int_equal(opened.user_timeout_ms, HTTP_PEER_TIMEOUT_MS);
	// Probes are on their way well before the time is over.
	assert_in_range(opened.idle_s + opened.interval_s, 2, HTTP_PEER_TIMEOUT_MS / 1000);
	raw_server_stop(server);
}

static void the_head_of_a_refusal_is_not_told_of(void **state)
{
	(void)state;
	static char text[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno";
	char url[URL_MAX];
	struct error err = {0};
	AUTO(http_response) struct http_response response = {0};
	struct raw_server *server = raw_server_start(answer_always, text, NULL);
	struct opened opened = {.port = raw_server_port(server)};
	AUTO(http_client) struct http_client *client = new_client(NULL);
	const struct http_request request = {.method = "GET",
		.url = raw_url(server, "http", "127.0.0.1", url),
		.on_head = look_and_cancel,
		.arg = &opened,
		.cancel = &opened.cancel};
	assert_ok(http_do(client, &request, &response, &err), err);
	assert_int_equal(response.status, 404);
	assert_int_equal(opened.status, 0);
	raw_server_stop(server);
}

struct worker {
	struct http_client *client;
	const char *base;
	int number;
	int good;
};

static void echo_path(void *arg, const struct http_server_request *request, struct http_server_answer *answer)
{
	(void)arg;
	answer->body = strdup(request->target);
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	for (int i = 0; i < REQUESTS_A_THREAD; i++) {
		char url[URL_MAX];
		struct error err = {0};
		AUTO(http_response) struct http_response response = {0};
		(void)snprintf(url, sizeof(url), "%s/%d/%d", worker->base, worker->number, i);
		const struct http_request request = {.method = i % 2 == 0 ? "GET" : "POST", .url = url};
		if (http_do(worker->client, &request, &response, &err) == 0 &&
			strcmp(buf_str(&response.body), url + strlen(worker->base)) == 0)
			worker->good++;
	}
	return NULL;
}

static void threads_share_a_client(void **state)
{
	(void)state;
	pthread_t threads[THREADS];
	struct worker workers[THREADS];
	struct http_server *server = http_server_start(echo_path, NULL);
	AUTO(http_client) struct http_client *client = new_client(NULL);
	for (int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){.client = client, .base = http_server_url(server), .number = i};
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(workers[i].good, REQUESTS_A_THREAD);
	}
	assert_int_equal(http_server_count(server), THREADS * REQUESTS_A_THREAD);
	http_server_stop(server);
}

// --- proxies ---

static void the_environments_proxies_are_ignored(void **state)
{
	(void)state;
	static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
	static char text[] = OK_ANSWER;
	char url[URL_MAX];
	struct error err = {0};
	AUTO(http_response) struct http_response response = {0};
	struct raw_server *server = raw_server_start(answer_always, text, NULL);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(setenv(names[i], "http://127.0.0.1:1", 1), 0);
	int rc = get(NULL, raw_url(server, "http", "127.0.0.1", url), &response, &err);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(unsetenv(names[i]), 0);
	assert_ok(rc, err);
	raw_server_stop(server);
}

// A SOCKS5 server (RFC 1928) that takes any address for itself and answers HTTP. arg receives the host asked for.
static void serve_socks5(void *arg, struct raw_connection *connection, int number)
{
	(void)number;
	unsigned char head[5];
	unsigned char rest[255];
	char request[1024];
	char *asked = arg;
	if (!raw_read(connection, head, 2) || !raw_read(connection, rest, head[1]))
		return;
	raw_write_bytes(connection, "\x05\x00", 2);
	if (!raw_read(connection, head, 5) || head[3] != 3 || !raw_read(connection, rest, (size_t)head[4] + 2))
		return;
	(void)snprintf(asked, 64, "%.*s", (int)head[4], (const char *)rest);
	raw_write_bytes(connection, "\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00", 10);
	if (raw_read_request(connection, request, sizeof(request)))
		raw_write(connection, OK_ANSWER);
}

static void a_socks5h_proxy_is_used_and_resolves_the_name(void **state)
{
	(void)state;
	char proxy[64];
	char asked[64] = "";
	struct error err = {0};
	AUTO(http_response) struct http_response response = {0};
	struct raw_server *server = raw_server_start(serve_socks5, asked, NULL);
	(void)snprintf(proxy, sizeof(proxy), "socks5h://127.0.0.1:%d", raw_server_port(server));
	const struct http_options options = {.proxy = proxy};
	assert_int_equal(setenv("no_proxy", "*", 1), 0);
	int rc = get(&options, "http://canopy.invalid/x", &response, &err);
	assert_int_equal(unsetenv("no_proxy"), 0);
	assert_ok(rc, err);
	raw_server_stop(server);
	assert_string_equal(asked, "canopy.invalid");
}

static void an_http_proxy_is_used(void **state)
{
	(void)state;
	static char text[] = OK_ANSWER;
	char proxy[64];
	struct error err = {0};
	AUTO(http_response) struct http_response response = {0};
	struct raw_server *server = raw_server_start(answer_always, text, NULL);
	(void)snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d", raw_server_port(server));
	const struct http_options options = {.proxy = proxy};
	assert_ok(get(&options, "http://canopy.invalid/x", &response, &err), err);
	raw_server_stop(server);
}

// --- TLS ---

struct seen {
	char sni[64];
	char host[64];
	char subject[64];
};

static void serve_tls(void *arg, struct raw_connection *connection, int number)
{
	char request[4096];
	struct seen *seen = arg;
	(void)number;
	if (!raw_read_request(connection, request, sizeof(request)))
		return;
	const char *host = strstr(request, "Host: ");
	(void)snprintf(seen->sni, sizeof(seen->sni), "%s", raw_sni(connection));
	(void)snprintf(seen->host, sizeof(seen->host), "%.*s", host == NULL ? 0 : (int)strcspn(host + 6, "\r"),
		host == NULL ? "" : host + 6);
	raw_client_subject(connection, seen->subject, sizeof(seen->subject));
	raw_write(connection, OK_ANSWER);
}

struct tls_row {
	const char *label;
	const char *host;
	struct pki_cert *trusted; // NULL: the system's store
	const char *server_name;
	int max_version;
	bool works;
	const char *part;
	const char *sni;
};

static const struct tls_row tls_rows[] = {
	{"an address in the certificate", "127.0.0.1", &ca, NULL, 0, true, "", ""},
	{"another CA", "127.0.0.1", &other_ca, NULL, 0, false, "certificate", ""},
	{"the system's CAs", "127.0.0.1", NULL, NULL, 0, false, "certificate", ""},
	{"a name that is not in the certificate", "localhost", &ca, NULL, 0, false, "localhost", ""},
	{"the name to verify is given", "localhost", &ca, "api.test", 0, true, "", "api.test"},
	{"the name to verify is given, another CA", "localhost", &other_ca, "api.test", 0, false, "certificate", ""},
	{"the name to verify is not in the certificate", "127.0.0.1", &ca, "other.test", 0, false, "other.test", ""},
	{"TLS 1.1", "127.0.0.1", &ca, NULL, TLS1_1_VERSION, false, "", ""},
	{"TLS 1.2", "127.0.0.1", &ca, NULL, TLS1_2_VERSION, true, "", ""},
};

static void certificates_are_verified(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(tls_rows) / sizeof(tls_rows[0]); i++) {
		const struct tls_row *row = &tls_rows[i];
		char url[URL_MAX];
		char host[96];
		struct seen seen = {0};
		struct error err = {0};
		AUTO(http_response) struct http_response response = {0};
		const struct raw_server_tls tls = {
			.cert_pem = leaf.cert_pem, .key_pem = leaf.key_pem, .max_version = row->max_version};
		struct raw_server *server = raw_server_start(serve_tls, &seen, &tls);
		const struct http_options options = {
			.ca_pem = row->trusted == NULL ? NULL : row->trusted->cert_pem, .tls_server_name = row->server_name};
		(void)snprintf(host, sizeof(host), "%s:%d", row->host, raw_server_port(server));
		int rc = get(&options, raw_url(server, "https", row->host, url), &response, &err);
		raw_server_stop(server);
		print_message("# %s: %s\n", row->label, err.text);
		if (row->works) {
			assert_ok(rc, err);
			assert_string_equal(seen.sni, row->sni);
			assert_string_equal(seen.host, host);
		} else {
			assert_error(rc, err, ERROR_TRANSIENT, row->part);
		}
	}
}

static void the_environments_cas_are_ignored(void **state)
{
	(void)state;
	static const char *const names[] = {"SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"};
	char url[URL_MAX];
	char path[] = "/tmp/test_http_ca_XXXXXX";
	struct seen seen = {0};
	struct error err = {0};
	struct http_response response;
	AUTO_CLOSE int fd = mkstemp(path);
	assert_true(fd >= 0 && write(fd, ca.cert_pem, strlen(ca.cert_pem)) == (ssize_t)strlen(ca.cert_pem));
	const struct raw_server_tls tls = {.cert_pem = leaf.cert_pem, .key_pem = leaf.key_pem};
	struct raw_server *server = raw_server_start(serve_tls, &seen, &tls);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(setenv(names[i], path, 1), 0);
	int rc = get(NULL, raw_url(server, "https", "127.0.0.1", url), &response, &err);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(unsetenv(names[i]), 0);
	assert_int_equal(unlink(path), 0);
	raw_server_stop(server);
	assert_error(rc, err, ERROR_TRANSIENT, "certificate");
}

static void a_client_certificate_is_shown(void **state)
{
	(void)state;
	char url[URL_MAX];
	struct seen seen = {0};
	struct pki_cert device = pki_make_leaf(&ca, "device 7", NULL);
	AUTO(secret) struct secret key = {0};
	const struct raw_server_tls tls = {.cert_pem = leaf.cert_pem, .key_pem = leaf.key_pem, .client_ca_pem = ca.cert_pem};
	struct raw_server *server = raw_server_start(serve_tls, &seen, &tls);
	struct error err = {0};
	AUTO(http_response) struct http_response response = {0};
	assert_ok(secret_set(&key, device.key_pem, &err), err);
	struct http_options options = {.ca_pem = ca.cert_pem, .client_cert_pem = device.cert_pem, .client_key_pem = &key};
	assert_ok(get(&options, raw_url(server, "https", "127.0.0.1", url), &response, &err), err);
	assert_string_equal(seen.subject, "device 7");

	struct http_response nothing;
	options.client_cert_pem = NULL;
	options.client_key_pem = NULL;
	assert_error(get(&options, url, &nothing, &err), err, ERROR_TRANSIENT, "");
	options.client_cert_pem = "no certificate";
	options.client_key_pem = &key;
	assert_error(get(&options, url, &nothing, &err), err, ERROR_INVALID, "");
	options.client_cert_pem = device.cert_pem;
	options.ca_pem = "no certificate";
	assert_error(get(&options, url, &nothing, &err), err, ERROR_INVALID, "");
	raw_server_stop(server);
	pki_cert_fini(&device);
}

// Says 200 to CONNECT and carries on to the port in it. arg receives what was asked for.
static void serve_connect(void *arg, struct raw_connection *connection, int number)
{
	char request[1024];
	char *asked = arg;
	(void)number;
	if (!raw_read_request(connection, request, sizeof(request)))
		return;
	(void)snprintf(asked, 64, "%.*s", (int)strcspn(request, "\r"), request);
	raw_write(connection, "HTTP/1.1 200 Connected\r\nX-Of-The-Proxy: 1\r\n\r\n");
	raw_relay(connection, (int)strtol(strchr(asked, ':') + 1, NULL, 10));
}

// The proxy is asked for the URL's host; the certificate is of another name.
static void an_http_proxy_carries_tls(void **state)
{
	(void)state;
	char url[URL_MAX];
	char proxy[64];
	char expected[64];
	char asked[64] = "";
	struct seen seen = {0};
	struct error err = {0};
	AUTO(http_response) struct http_response response = {0};
	const struct raw_server_tls tls = {.cert_pem = leaf.cert_pem, .key_pem = leaf.key_pem};
	struct raw_server *server = raw_server_start(serve_tls, &seen, &tls);
	struct raw_server *between = raw_server_start(serve_connect, asked, NULL);
	(void)snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d", raw_server_port(between));
	(void)snprintf(expected, sizeof(expected), "CONNECT cluster.invalid:%d HTTP/1.1", raw_server_port(server));
	const struct http_options options = {.ca_pem = ca.cert_pem, .proxy = proxy, .tls_server_name = "api.test"};
	int rc = get(&options, raw_url(server, "https", "cluster.invalid", url), &response, &err);
	raw_server_stop(between);
	raw_server_stop(server);
	assert_ok(rc, err);
	assert_string_equal(buf_str(&response.body), "ok");
	assert_string_equal(asked, expected);
	assert_string_equal(seen.sni, "api.test");
}

// --- HTTP/2 (RFC 9113) ---

#define H2_DATA 0
#define H2_HEADERS 1
#define H2_SETTINGS 4
#define H2_END_STREAM 1
#define H2_ACK 1
#define H2_FRAME_MAX 16384

static void write_frame(struct raw_connection *connection, unsigned char type, unsigned char flags, const unsigned char stream[4],
	const char *payload)
{
	unsigned char head[9] = {0, 0, (unsigned char)strlen(payload), type, flags, stream[0], stream[1], stream[2], stream[3]};
	raw_write_bytes(connection, head, sizeof(head));
	raw_write_bytes(connection, payload, strlen(payload));
}

// Answers one request after the other; ":status: 200" is 0x88 (RFC 7541 appendix A).
static void serve_h2_frames(struct raw_connection *connection)
{
	static const unsigned char none[4] = {0};
	unsigned char head[9];
	unsigned char payload[H2_FRAME_MAX];
	write_frame(connection, H2_SETTINGS, 0, none, "");
	while (raw_read(connection, head, sizeof(head))) {
		size_t len = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
		if (len > sizeof(payload) || !raw_read(connection, payload, len))
			return;
		if (head[3] == H2_SETTINGS && (head[4] & H2_ACK) == 0)
			write_frame(connection, H2_SETTINGS, H2_ACK, none, "");
		if ((head[3] == H2_HEADERS || head[3] == H2_DATA) && (head[4] & H2_END_STREAM) != 0) {
			write_frame(connection, H2_HEADERS, 4, head + 5, "\x88");
			write_frame(connection, H2_DATA, H2_END_STREAM, head + 5, "ok");
		}
	}
}

// Speaks what the client begins with. arg receives its first line.
static void serve_either(void *arg, struct raw_connection *connection, int number)
{
	char first[512];
	unsigned char rest[6];
	char *seen = arg;
	(void)number;
	if (!raw_read_request(connection, first, sizeof(first)))
		return;
	(void)snprintf(seen, 64, "%.*s", (int)strcspn(first, "\r"), first);
	if (strncmp(first, "PRI ", 4) != 0)
		raw_write(connection, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
	else if (raw_read(connection, rest, sizeof(rest))) // "SM" and an empty line end the preface
		serve_h2_frames(connection);
}

struct protocol_row {
	const char *label;
	bool offer;
	const char *alpn;
	const char *seen;
	int connections; // for three requests: the server's HTTP/1.1 closes after each
};

static const struct protocol_row protocols[] = {
	{"both have HTTP/2", true, "h2", "PRI * HTTP/2.0", 1},
	{"the server has it not", true, NULL, "POST /path HTTP/1.1", 3},
	{"the server chooses HTTP/1.1", true, "http/1.1", "POST /path HTTP/1.1", 3},
	{"it is not offered", false, "h2", "POST /path HTTP/1.1", 3},
};

static void http2_is_spoken_where_the_server_has_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
		const struct protocol_row *row = &protocols[i];
		static const char *const methods[] = {"GET", "PATCH", "POST"};
		char url[URL_MAX];
		char seen[64] = "";
		struct error err = {0};
		const struct raw_server_tls tls = {.cert_pem = leaf.cert_pem, .key_pem = leaf.key_pem, .alpn = row->alpn};
		struct raw_server *server = raw_server_start(serve_either, seen, &tls);
		const struct http_options options = {.ca_pem = ca.cert_pem, .http2 = row->offer};
		struct http_client *client = new_client(&options);
		print_message("# %s\n", row->label);
		for (size_t m = 0; m < 3; m++) {
			const struct http_request request = {.method = methods[m],
				.url = raw_url(server, "https", "127.0.0.1", url),
				.body = m == 0 ? NULL : "{}",
				.body_len = m == 0 ? 0 : 2};
			AUTO(http_response) struct http_response response = {0};
			assert_ok(http_do(client, &request, &response, &err), err);
			assert_int_equal(response.status, 200);
			assert_string_equal(buf_str(&response.body), "ok");
		}
		int connections = raw_server_connections(server);
		http_client_free(client);
		raw_server_stop(server);
		assert_string_equal(seen, row->seen);
		assert_int_equal(connections, row->connections);
	}
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
		cmocka_unit_test(a_connection_is_used_again),
		cmocka_unit_test(a_request_whose_answer_was_lost_is_sent_again_only_when_it_changes_nothing),
		cmocka_unit_test(a_request_in_flight_is_cancelled),
		cmocka_unit_test(a_server_that_falls_silent_is_left),
		cmocka_unit_test(a_slow_server_is_not_silent),
		cmocka_unit_test(the_kernel_looks_after_a_quiet_connection),
		cmocka_unit_test(the_head_of_a_refusal_is_not_told_of),
		cmocka_unit_test(threads_share_a_client),
		cmocka_unit_test(the_environments_proxies_are_ignored),
		cmocka_unit_test(a_socks5h_proxy_is_used_and_resolves_the_name),
		cmocka_unit_test(an_http_proxy_is_used),
		cmocka_unit_test(certificates_are_verified),
		cmocka_unit_test(the_environments_cas_are_ignored),
		cmocka_unit_test(a_client_certificate_is_shown),
		cmocka_unit_test(an_http_proxy_carries_tls),
		cmocka_unit_test(http2_is_spoken_where_the_server_has_it),
		cmocka_unit_test(every_status_has_a_kind),
	};
	return cmocka_run_group_tests_name("base/http", cases, make_pki, free_pki);
}
