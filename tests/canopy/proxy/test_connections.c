// Connections of both sides: heads of any size, ends in order and out of it, an S3 that takes no connection or shakes no hands;
// answers that come in pieces, late, or not to their end.
#include "base/clock.h"
#include "tests/canopy/proxy/world.h"
#include "tests/support/cmocka.h"
#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define GET_K "GET /bucket/p/k HTTP/1.1\r\nHost: e\r\n"
#define BIG_BYTES 20000 // more than is read at once, and than is kept for the next head
#define HEAD_MAX 32768

static void ok_script(void *arg, struct raw_connection *connection, int number)
{
	char request[WORLD_TEXT_MAX];
	(void)arg;
	(void)number;
	while (raw_read_request(connection, request, sizeof(request)))
		raw_write(connection, OK);
}

static void silent_script(void *arg, struct raw_connection *connection, int number)
{
	char request[WORLD_TEXT_MAX];
	(void)arg;
	(void)number;
	if (raw_read_request(connection, request, sizeof(request)))
		raw_hold(connection);
}

static void connect_soon(struct config *config)
{
	config->connect_ms = 300;
}

// --- the engine's side ---

static void say_big(int fd, size_t bytes)
{
	static char text[2 * HEAD_MAX];
	int len = snprintf(text, sizeof(text), GET_K "X-Filler: ");
	memset(text + len, 'f', bytes);
	(void)snprintf(text + (size_t)len + bytes, sizeof(text) - (size_t)len - bytes, "\r\n\r\n");
	world_say(fd, text);
}

static void assert_ok_reply(int fd)
{
	struct world_reply reply = world_read(fd, false);
	assert_int_equal(reply.status, 200);
	assert_string_equal(reply.body, "ok");
	world_reply_fini(&reply);
}

static void a_large_head_is_taken_and_the_next_one_too(void **state)
{
	(void)state;
	struct world *w = world_new(&(struct world_options){.s3 = ok_script});
	int fd = world_connect(w);
	say_big(fd, BIG_BYTES);
	assert_ok_reply(fd);
	world_say(fd, GET_K "\r\n");
	assert_ok_reply(fd);
	(void)close(fd);
	world_free(w);
}

static void a_head_that_is_whole_but_too_long_is_refused(void **state)
{
	(void)state;
	struct world *w = world_new(&(struct world_options){.s3 = ok_script});
	for (size_t more = 0; more < 4; more++) {
		int fd = world_connect(w);
		say_big(fd, HEAD_MAX - strlen(GET_K "X-Filler: ") - strlen("\r\n\r\n") + more);
		struct world_reply reply = world_read(fd, false);
		assert_int_equal(reply.status, more == 0 ? 200 : 431);
		world_reply_fini(&reply);
		(void)close(fd);
	}
	world_free(w);
}

static void who_asks_for_the_end_gets_it_also_with_a_refusal(void **state)
{
	(void)state;
	struct world *w = world_new(&(struct world_options){.s3 = ok_script});
	static const char *const paths[] = {"/bucket/p/k", "/other/p/k"};
	for (int i = 0; i < 2; i++) {
		int fd = world_connect(w);
		struct world_reply reply = world_ask(fd, "GET", paths[i], "Connection: close\r\n");
		assert_int_equal(reply.status, i == 0 ? 200 : 403);
		world_reply_fini(&reply);
		assert_true(world_is_closed(fd));
		(void)close(fd);
	}
	world_free(w);
}

static void the_end_closes_who_asks_nothing(void **state)
{
	(void)state;
	struct world *w = world_new(&(struct world_options){.s3 = ok_script});
	int silent = world_connect(w), idle = world_connect(w), lingering = world_connect(w);
	world_say(idle, GET_K "\r\n");
	assert_ok_reply(idle);
	world_say(lingering, GET_K "Connection: close\r\n\r\n"); // and keeps its own side open
	assert_ok_reply(lingering);
	world_stop(w);
	assert_true(world_is_closed(silent));
	assert_true(world_is_closed(idle));
	assert_true(world_is_closed(lingering));
	(void)close(silent);
	(void)close(idle);
	(void)close(lingering);
	world_free(w);
}

static atomic_bool may_answer;

static void late_script(void *arg, struct raw_connection *connection, int number)
{
	char request[WORLD_TEXT_MAX];
	(void)arg;
	(void)number;
	while (raw_read_request(connection, request, sizeof(request))) {
		while (!atomic_load(&may_answer))
			world_nap();
		raw_write(connection, OK);
	}
}

static void drain_long(struct config *config)
{
	config->drain_ms = WORLD_TIMEOUT_MS;
}

// With the first stop a request in flight comes to its end, and its connection with it.
static void a_request_in_flight_is_finished(void **state)
{
	(void)state;
	atomic_store(&may_answer, false);
	struct world *w = world_new(&(struct world_options){.s3 = late_script, .tune = drain_long});
	int fd = world_connect(w);
	world_say(fd, GET_K "\r\n");
	world_wait(world_s3_requests(w) == 1);
	proxy_stop(world_proxy(w));
	atomic_store(&may_answer, true);
	assert_ok_reply(fd);
	assert_true(world_is_closed(fd));
	(void)close(fd);
	world_free(w);
}

static void the_second_stop_waits_for_nobody(void **state)
{
	(void)state;
	struct world *w = world_new(&(struct world_options){.s3 = silent_script, .tune = drain_long});
	int fd = world_connect(w);
	world_say(fd, GET_K "\r\n");
	world_wait(world_s3_requests(w) == 1);
	proxy_stop(world_proxy(w));
	world_stop(w);
	assert_true(world_is_closed(fd));
	(void)close(fd);
	world_free(w);
}

static void a_request_that_does_not_end_is_waited_for_so_long(void **state)
{
	(void)state;
	struct world *w = world_new(&(struct world_options){.s3 = silent_script}); // drains for half a second
	int fd = world_connect(w);
	world_say(fd, GET_K "\r\n");
	world_wait(world_s3_requests(w) == 1);
	world_stop(w);
	assert_true(world_is_closed(fd));
	(void)close(fd);
	world_free(w);
}

// --- S3's side ---

// A full queue of connections that nobody accepts: the next gets no answer.
static void an_s3_that_takes_no_connection_is_not_waited_for(void **state)
{
	(void)state;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int fillers[4];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(fd, 0), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	for (int i = 0; i < 4; i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)connect(fillers[i], (const struct sockaddr *)&address, len);
	}
	struct world *w = world_new(&(struct world_options){.s3_port = ntohs(address.sin_port), .tune = connect_soon});
	world_expect(w, "GET", "/bucket/p/k", "", 503, "no answer in 300 ms");
	world_free(w);
	for (int i = 0; i < 4; i++)
		(void)close(fillers[i]);
	(void)close(fd);
}

static void hold_script(void *arg, struct raw_connection *connection, int number)
{
	(void)arg;
	(void)number;
	raw_hold(connection);
}

static void an_s3_that_shakes_no_hands_is_not_waited_for(void **state)
{
	(void)state;
	char endpoint[64];
	struct raw_server *s3 = raw_server_start(hold_script, NULL, NULL);
	(void)snprintf(endpoint, sizeof(endpoint), "https://127.0.0.1:%d", raw_server_port(s3));
	const char *const settings[] = {"S3_ENDPOINT", endpoint, NULL};
	struct world *w = world_new(&(struct world_options){.s3_port = 1, .settings = settings, .tune = connect_soon});
	world_expect(w, "GET", "/bucket/p/k", "", 503, "no answer in 300 ms");
	world_free(w);
	raw_server_stop(s3);
}

static void hang_up_script(void *arg, struct raw_connection *connection, int number)
{
	(void)arg;
	(void)connection;
	(void)number;
}

static void an_s3_that_hangs_up_instead_of_shaking_hands_is_said_so(void **state)
{
	(void)state;
	char endpoint[64];
	struct raw_server *s3 = raw_server_start(hang_up_script, NULL, NULL);
	(void)snprintf(endpoint, sizeof(endpoint), "https://127.0.0.1:%d", raw_server_port(s3));
	const char *const settings[] = {"S3_ENDPOINT", endpoint, NULL};
	struct world *w = world_new(&(struct world_options){.s3_port = 1, .settings = settings});
	world_expect(w, "GET", "/bucket/p/k", "", 503, "TLS handshake");
	world_free(w);
	raw_server_stop(s3);
}

// A connection over TLS is resumed by the next one to the same name.
static void once_script(void *arg, struct raw_connection *connection, int number)
{
	char request[WORLD_TEXT_MAX];
	(void)arg;
	(void)number;
	if (raw_read_request(connection, request, sizeof(request)))
		raw_write(connection, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
}

static void a_session_is_taken_up_again(void **state)
{
	(void)state;
	struct world *w = world_new(&(struct world_options){.s3 = once_script, .s3_tls = world_tls("IP:127.0.0.1")});
	for (int i = 0; i < 3; i++)
		world_expect(w, "GET", "/bucket/p/k", "", 200, "ok");
	world_free(w);
}

// --- answers in pieces ---

// The pieces of one answer, each some milliseconds after the last; NULL: the connection ends.
struct pieces {
	const char *list[4];
	atomic_int requests;
};

static void pieces_script(void *arg, struct raw_connection *connection, int number)
{
	struct pieces *pieces = arg;
	char request[WORLD_TEXT_MAX];
	(void)number;
	while (raw_read_request(connection, request, sizeof(request))) {
		if (atomic_fetch_add(&pieces->requests, 1) > 0) {
			raw_write(connection, OK);
			continue;
		}
		for (int i = 0; i < 4; i++) {
			if (pieces->list[i] == NULL)
				return;
			raw_write(connection, pieces->list[i]);
			for (int nap = 0; nap < 10; nap++)
				world_nap();
		}
	}
}

#define EXPIRED_HEAD "HTTP/1.1 400 Bad Request\r\nContent-Length: 40\r\n"

static void an_error_in_pieces_is_read_to_its_end(void **state)
{
	(void)state;
	struct pieces pieces = {.list = {"HTTP/1.1 400 Bad", " Request\r\nContent-Length: 40\r\n\r\n<Error><Code>Expired",
					"Token</Code>", "</Error>"}};
	struct world *w = world_new(&(struct world_options){.s3 = pieces_script, .arg = &pieces});
	world_expect(w, "GET", "/bucket/p/k", "", 200, "ok");
	assert_int_equal(world_broker_calls(w), 2);
	assert_int_equal(atomic_load(&pieces.requests), 2);
	world_free(w);
}

static void an_error_that_ends_early_ends_early(void **state)
{
	(void)state;
	struct pieces pieces = {.list = {EXPIRED_HEAD "\r\n", "<Error><Code>Strange"}};
	struct world *w = world_new(&(struct world_options){.s3 = pieces_script, .arg = &pieces});
	int fd = world_connect(w);
	struct world_reply reply = world_ask(fd, "GET", "/bucket/p/k", "");
	assert_int_equal(reply.status, 400);
	assert_true(reply.is_cut);
	world_reply_fini(&reply);
	(void)close(fd);
	world_free(w);
}

static void a_head_that_ends_early_is_no_answer(void **state)
{
	(void)state;
	struct pieces pieces = {.list = {"HTTP/1.1 200 OK\r\nContent-"}};
	struct world *w = world_new(&(struct world_options){.s3 = pieces_script, .arg = &pieces});
	world_expect(w, "GET", "/bucket/p/k", "", 503, "S3 closed the connection before it answered");
	assert_int_equal(atomic_load(&pieces.requests), 1);
	world_free(w);
}

static void an_answers_head_has_its_limit(void **state)
{
	(void)state;
	static char long_head[2 * HEAD_MAX];
	for (int i = 0; i < 2; i++) { // with an end, and without
		int len = snprintf(long_head, sizeof(long_head), "HTTP/1.1 200 OK\r\nX-Filler: ");
		memset(long_head + len, 'f', HEAD_MAX);
		(void)snprintf(long_head + len + HEAD_MAX, sizeof(long_head) - (size_t)len - HEAD_MAX, "%s",
			i == 0 ? "\r\nContent-Length: 0\r\n\r\n" : "");
		struct pieces pieces = {.list = {long_head, "", ""}};
		struct world *w = world_new(&(struct world_options){.s3 = pieces_script, .arg = &pieces});
		world_expect(w, "GET", "/bucket/p/k", "", 502, "the head is too long");
		world_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_large_head_is_taken_and_the_next_one_too),
		cmocka_unit_test(a_head_that_is_whole_but_too_long_is_refused),
		cmocka_unit_test(who_asks_for_the_end_gets_it_also_with_a_refusal),
		cmocka_unit_test(the_end_closes_who_asks_nothing),
		cmocka_unit_test(a_request_in_flight_is_finished),
		cmocka_unit_test(the_second_stop_waits_for_nobody),
		cmocka_unit_test(a_request_that_does_not_end_is_waited_for_so_long),
		cmocka_unit_test(an_s3_that_takes_no_connection_is_not_waited_for),
		cmocka_unit_test(an_s3_that_shakes_no_hands_is_not_waited_for),
		cmocka_unit_test(an_s3_that_hangs_up_instead_of_shaking_hands_is_said_so),
		cmocka_unit_test(a_session_is_taken_up_again),
		cmocka_unit_test(an_error_in_pieces_is_read_to_its_end),
		cmocka_unit_test(an_error_that_ends_early_ends_early),
		cmocka_unit_test(a_head_that_ends_early_is_no_answer),
		cmocka_unit_test(an_answers_head_has_its_limit),
	};
	return cmocka_run_group_tests_name("proxy/connections", tests, NULL, NULL);
}
