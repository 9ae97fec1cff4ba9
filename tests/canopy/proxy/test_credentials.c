// Credentials: asked for once whatever the number of requests, renewed ahead, held for, refused for good.
#include "base/clock.h"
#include "canopy/proxy/broker_client.h"
#include "canopy/proxy/credentials.h"
#include "tests/canopy/proxy/world.h"
#include "tests/support/cmocka.h"
#include "tests/support/http_server.h"
#include <stdio.h>
#include <string.h>

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define CLIENTS 64

static atomic_int broker_is_back;

// Serves a connection until its end; keeps the last request.
static void ok_script(void *arg, struct raw_connection *connection, int number)
{
	char *last = arg;
	char request[WORLD_TEXT_MAX];
	(void)number;
	while (raw_read_request(connection, request, sizeof(request))) {
		memcpy(last, request, sizeof(request));
		raw_write(connection, OK);
	}
}

static void away(int n, char *out, size_t size)
{
	if (atomic_load(&broker_is_back) == 0)
		world_answer_json(503, "{\"title\":\"away\"}", out, size);
	else
		world_good_keys(n, 3600, out, size);
}

static void refuse(int n, char *out, size_t size)
{
	(void)n;
	world_answer_json(403, "{\"title\":\"Forbidden\",\"detail\":\"the grant is gone <now>\"}", out, size);
}

static void short_lived(int n, char *out, size_t size)
{
	world_good_keys(n, 4, out, size); // renewed after 3.2 s
}

static void expired(int n, char *out, size_t size)
{
	world_good_keys(n, atomic_load(&broker_is_back) == 0 ? -5 : 3600, out, size);
}

static void nonsense(int n, char *out, size_t size)
{
	if (atomic_load(&broker_is_back) == 0)
		world_answer_json(200, "{\"Version\":1,\"AccessKeyId\":\"A\\r\\nX: y\"}", out, size);
	else
		world_good_keys(n, 3600, out, size);
}

// Once not let in, once the keys that S3 refuses again, then others.
static void in_trouble(int n, char *out, size_t size)
{
	if (n == 1)
		world_answer_json(401, "{\"title\":\"Unauthorized\"}", out, size);
	else
		world_good_keys(n <= 3 ? 2 : n, 3600, out, size);
}

static void gone(int n, char *out, size_t size)
{
	(void)n;
	world_answer_json(404, "no problem body", out, size);
}

// The same keys until they are near their end.
static void unchanged(int n, char *out, size_t size)
{
	static char first[1024];
	if (n == 1)
		world_good_keys(1, 5, first, sizeof(first));
	if (n <= 2)
		(void)snprintf(out, size, "%s", first);
	else
		world_good_keys(n, 3600, out, size);
}

static void refuse_second_keys(void *arg, struct raw_connection *connection, int number)
{
	static const char expired[] = "<Error><Code>ExpiredToken</Code></Error>";
	char request[WORLD_TEXT_MAX], answer[256];
	(void)arg;
	(void)number;
	(void)snprintf(answer, sizeof(answer), "HTTP/1.1 400 X\r\nContent-Length: %zu\r\n\r\n%s", strlen(expired), expired);
	while (raw_read_request(connection, request, sizeof(request)))
		raw_write(connection, strstr(request, "Credential=AKID2/") != NULL ? answer : OK);
}

static void hold_briefly(struct config *config)
{
	config->hold_ms = 300;
}

static void answer_late(void *arg, const struct http_server_request *request, struct http_server_answer *answer)
{
	(void)arg;
	(void)request;
	answer->body = strdup("ok");
}

static void many_requests_at_once_ask_the_broker_once(void **state)
{
	(void)state;
	struct http_server *s3 = http_server_start(answer_late, NULL);
	int port = (int)strtol(strrchr(http_server_url(s3), ':') + 1, NULL, 10);
	struct world *w = world_new(&(struct world_options){.s3_port = port});
	int fds[CLIENTS];
	for (int i = 0; i < CLIENTS; i++) {
		fds[i] = world_connect(w);
		world_say(fds[i], "GET /bucket/p/k HTTP/1.1\r\nHost: e\r\n\r\n");
	}
	for (int i = 0; i < CLIENTS; i++) {
		struct world_reply reply = world_read(fds[i], false);
		assert_int_equal(reply.status, 200);
		assert_string_equal(reply.body, "ok");
		world_reply_fini(&reply);
		(void)close(fds[i]);
	}
	assert_int_equal(world_broker_calls(w), 1);
	world_free(w);
	http_server_stop(s3);
}

static void a_request_is_held_until_the_broker_is_back(void **state)
{
	(void)state;
	char last[WORLD_TEXT_MAX];
	atomic_store(&broker_is_back, 0);
	struct world *w = world_new(&(struct world_options){.s3 = ok_script, .arg = last, .broker = away});
	int fd = world_connect(w);
	world_say(fd, "GET /bucket/p/k HTTP/1.1\r\nHost: e\r\n\r\n");
	world_wait(world_broker_calls(w) >= 2);
	atomic_store(&broker_is_back, 1);
	struct world_reply reply = world_read(fd, false);
	assert_int_equal(reply.status, 200);
	world_reply_fini(&reply);
	(void)close(fd);
	world_free(w);
}

static void a_request_is_not_held_for_ever(void **state)
{
	(void)state;
	char last[WORLD_TEXT_MAX];
	atomic_store(&broker_is_back, 0);
	struct world *w = world_new(&(struct world_options){.s3 = ok_script, .arg = last, .broker = away, .tune = hold_briefly});
	world_expect(w, "GET", "/bucket/p/k", "", 503, "<Code>SlowDown</Code>");
	world_free(w);
}

static void a_refusal_is_told_in_the_brokers_words_and_not_asked_again(void **state)
{
	(void)state;
	char last[WORLD_TEXT_MAX];
	struct world *w = world_new(&(struct world_options){.s3 = ok_script, .arg = last, .broker = refuse});
	for (int i = 0; i < 3; i++)
		world_expect(w, "GET", "/bucket/p/k", "", 403,
			"<Code>AccessDenied</Code><Message>the broker answered 403: Forbidden: the grant is gone "
			"&lt;now&gt;</Message>");
	world_expect(w, "HEAD", "/bucket/p/k", "", 403, NULL);
	assert_int_equal(world_broker_calls(w), 1);
	world_stop(w);
	assert_true(proxy_was_refused(world_proxy(w)));
	world_free(w);
}

static void a_set_is_renewed_before_its_end_unseen(void **state)
{
	(void)state;
	char last[WORLD_TEXT_MAX] = "";
	struct world *w = world_new(&(struct world_options){.s3 = ok_script, .arg = last, .broker = short_lived});
	int fd = world_connect(w);
	int64_t until_ms = clock_mono_ms() + WORLD_TIMEOUT_MS;
	while (world_broker_calls(w) < 3 && clock_mono_ms() < until_ms) {
		struct world_reply reply = world_ask(fd, "GET", "/bucket/p/k", "");
		assert_int_equal(reply.status, 200);
		world_reply_fini(&reply);
		world_nap();
	}
	assert_null(strstr(last, "TOKENTOKEN1\r\n"));
	assert_non_null(strstr(last, "TOKENTOKEN"));
	(void)close(fd);
	world_free(w);
}

static void a_set_that_came_too_late_or_is_none_is_not_used(void **state)
{
	(void)state;
	const world_broker brokers[] = {expired, nonsense};
	for (size_t i = 0; i < 2; i++) {
		char last[WORLD_TEXT_MAX] = "";
		atomic_store(&broker_is_back, 0);
		struct world *w = world_new(&(struct world_options){.s3 = ok_script, .arg = last, .broker = brokers[i]});
		int fd = world_connect(w);
		world_say(fd, "GET /bucket/p/k HTTP/1.1\r\nHost: e\r\n\r\n");
		world_wait(world_broker_calls(w) >= 2);
		atomic_store(&broker_is_back, 1);
		struct world_reply reply = world_read(fd, false);
		assert_int_equal(reply.status, 200);
		assert_null(strstr(last, "AKID1/"));
		world_reply_fini(&reply);
		(void)close(fd);
		world_free(w);
	}
}

static void renewal_is_two_minutes_ahead_or_at_four_fifths(void **state)
{
	(void)state;
	assert_int_equal(credentials_renew_in_ms(3600000), 3480000);
	assert_int_equal(credentials_renew_in_ms(600000), 480000);
	assert_int_equal(credentials_renew_in_ms(20000), 16000);
}

static const struct {
	const char *label, *body, *part;
} documents[] = {
	{"no object", "[]", "Version"},
	{"no JSON", "x", "credentials"},
	{"other version", "{\"Version\":2}", "Version"},
	{"key missing", "{\"Version\":1,\"AccessKeyId\":\"a\"}", "SecretAccessKey"},
	{"key empty", "{\"Version\":1,\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"\",\"SessionToken\":\"c\"}",
		"SecretAccessKey is empty"},
	{"token missing", "{\"Version\":1,\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"b\"}", "SessionToken"},
	{"line end", "{\"Version\":1,\"AccessKeyId\":\"a\\nb\"}", "no header may hold"},
	{"no time",
		"{\"Version\":1,\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"b\",\"SessionToken\":\"c\",\"Expiration\":\"soon\"}",
		"soon"},
};

static void an_answer_that_breaks_the_contract_is_an_error(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
		struct error err = {0};
		struct s3_keys keys = {0};
		assert_error(broker_client_read_keys(documents[i].body, strlen(documents[i].body), &keys, &err), err,
			ERROR_INTERNAL, documents[i].part);
	}
}

static void keys_of_no_session_have_an_empty_token(void **state)
{
	(void)state;
	static const char body[] = "{\"Version\":1,\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"b\",\"SessionToken\":\"\","
				   "\"Expiration\":\"2099-11-20T09:00:00Z\"}";
	struct error err = {0};
	struct s3_keys keys = {0};
	assert_ok(broker_client_read_keys(body, sizeof(body) - 1, &keys, &err), err);
	assert_string_equal(secret_reveal(&keys.session_token), "");
	s3_keys_fini(&keys);
}

static void keys_that_s3_refused_are_not_taken_again(void **state)
{
	(void)state;
	struct world *w = world_new(&(struct world_options){.s3 = refuse_second_keys, .broker = in_trouble});
	world_expect(w, "GET", "/bucket/p/k", "", 200, "ok");
	assert_int_equal(world_broker_calls(w), 4);
	world_free(w);
}

static void a_broker_that_knows_nothing_of_the_grant_ends_it(void **state)
{
	(void)state;
	char last[WORLD_TEXT_MAX];
	struct world *w = world_new(&(struct world_options){.s3 = ok_script, .arg = last, .broker = gone});
	world_expect(w, "GET", "/bucket/p/k", "", 403, "<Message>the broker answered 404</Message>");
	assert_int_equal(world_broker_calls(w), 1);
	world_free(w);
}

static void a_broker_without_newer_keys_is_asked_again_before_the_end(void **state)
{
	(void)state;
	char last[WORLD_TEXT_MAX];
	struct world *w = world_new(&(struct world_options){.s3 = ok_script, .arg = last, .broker = unchanged});
	world_expect(w, "GET", "/bucket/p/k", "", 200, "ok");
	world_wait(world_broker_calls(w) >= 3);
	world_expect(w, "GET", "/bucket/p/k", "", 200, "ok");
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_requests_at_once_ask_the_broker_once),
		cmocka_unit_test(a_request_is_held_until_the_broker_is_back),
		cmocka_unit_test(a_request_is_not_held_for_ever),
		cmocka_unit_test(a_refusal_is_told_in_the_brokers_words_and_not_asked_again),
		cmocka_unit_test(a_set_is_renewed_before_its_end_unseen),
		cmocka_unit_test(a_set_that_came_too_late_or_is_none_is_not_used),
		cmocka_unit_test(renewal_is_two_minutes_ahead_or_at_four_fifths),
		cmocka_unit_test(an_answer_that_breaks_the_contract_is_an_error),
		cmocka_unit_test(keys_of_no_session_have_an_empty_token),
		cmocka_unit_test(keys_that_s3_refused_are_not_taken_again),
		cmocka_unit_test(a_broker_that_knows_nothing_of_the_grant_ends_it),
		cmocka_unit_test(a_broker_without_newer_keys_is_asked_again_before_the_end),
	};
	return cmocka_run_group_tests_name("proxy/credentials", tests, NULL, NULL);
}
