// Connections, streams that last, and threads.
#include "tests/base/http_case.h"
#include "tests/support/cmocka.h"
#include "tests/support/http_server.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define THREADS 4
#define REQUESTS_A_THREAD 50

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

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(a_connection_is_used_again),
		cmocka_unit_test(a_request_whose_answer_was_lost_is_sent_again_only_when_it_changes_nothing),
		cmocka_unit_test(a_request_in_flight_is_cancelled),
		cmocka_unit_test(a_server_that_falls_silent_is_left),
		cmocka_unit_test(a_slow_server_is_not_silent),
		cmocka_unit_test(the_kernel_looks_after_a_quiet_connection),
		cmocka_unit_test(the_head_of_a_refusal_is_not_told_of),
		cmocka_unit_test(threads_share_a_client),
	};
	return cmocka_run_group_tests_name("base/http_connections", cases, NULL, NULL);
}
