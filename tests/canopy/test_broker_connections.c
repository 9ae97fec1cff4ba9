// Clients that are not well-behaved, and their connections.
#include "base/clock.h"
#include "tests/canopy/broker_world.h"
#include "tests/support/cmocka.h"
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define MORE_THAN_ALL 140 // connections: CONNECTIONS_MAX of broker.c is 128

// A bare TLS connection, for requests that no well-behaved client sends.
struct raw_client {
	int fd;
	SSL_CTX *ctx;
	SSL *ssl;
};

static int dial(const char *source)
{
	struct sockaddr_in from = {.sin_family = AF_INET};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((in_port_t)broker_port(world.broker))};
	const struct timeval limit = {.tv_sec = ANSWER_LIMIT_MS / 1000};
	assert_int_equal(inet_pton(AF_INET, source, &from.sin_addr), 1);
	assert_int_equal(inet_pton(AF_INET, "127.0.0.1", &to.sin_addr), 1);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static struct raw_client raw_open(void)
{
	struct raw_client raw = {.fd = dial("127.0.0.1"), .ctx = SSL_CTX_new(TLS_client_method())};
	raw.ssl = SSL_new(raw.ctx);
	assert_int_equal(SSL_set_fd(raw.ssl, raw.fd), 1);
	assert_int_equal(SSL_connect(raw.ssl), 1);
	return raw;
}

static void raw_close(struct raw_client *raw)
{
	SSL_free(raw->ssl);
	SSL_CTX_free(raw->ctx);
	(void)close(raw->fd);
}

// All that comes until the server closes.
static const char *raw_ask(const char *request)
{
	static char text[16384];
	size_t len = 0;
	struct raw_client raw = raw_open();
	(void)SSL_write(raw.ssl, request, (int)strlen(request));
	for (int n = 1; n > 0 && len + 1 < sizeof(text);) {
		n = SSL_read(raw.ssl, text + len, (int)(sizeof(text) - 1 - len));
		len += n > 0 ? (size_t)n : 0;
	}
	text[len] = '\0';
	raw_close(&raw);
	return text;
}

static void odd_requests_get_their_status_before_their_body_is_read(void **state)
{
	(void)state;
	static const struct {
		const char *request, *status, *also;
	} rows[] = {
		{"GET " CREDS " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 405", "\r\nAllow: POST\r\n"},
		{"PUT " STATS " HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 405", "Method Not Allowed"},
		{"POST " CREDS " HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n", "HTTP/1.1 401",
			"\r\nWWW-Authenticate: Bearer\r\n"},
		{"POST " CREDS " HTTP/1.1\r\nHost: x\r\nAuthorization: Basic eDp5\r\nContent-Length: 2\r\n\r\n{}", "HTTP/1.1 401",
			"application/problem+json"},
		{"POST " CREDS " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer TOKENSECRET-ns-1\r\nContent-Length: "
		 "65537\r\n\r\n",
			"HTTP/1.1 413", "longer than 65536 bytes"},
		{"POST " CREDS " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer TOKENSECRET-ns-1\r\nContent-Length: "
		 "10000000000\r\n\r\n",
			"HTTP/1.1 413", "application/problem+json"},
		{"POST " CREDS
		 " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer TOKENSECRET-ns-1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}",
			"HTTP/1.1 411", "Content-Length is needed"},
		{"POST " CREDS " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer TOKENSECRET-ns-1\r\nContent-Length: x\r\n\r\n",
			"HTTP/1.1 400", ""},
		{"nonsense\r\n\r\n", "", ""}, // closed without a word
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *answer = raw_ask(rows[i].request);
		if (strncmp(answer, rows[i].status, strlen(rows[i].status)) != 0 || strstr(answer, rows[i].also) == NULL)
			fail_msg("row %zu: expected %s, %s; got: %s", i, rows[i].status, rows[i].also, answer);
	}
	assert_int_equal(atomic_load(&world.reviews), 0);
}

static void a_head_without_end_is_refused(void **state)
{
	(void)state;
	char request[60000];
	int len = snprintf(request, sizeof(request), "POST " CREDS " HTTP/1.1\r\nHost: x\r\nX-Long: ");
	memset(request + len, 'a', sizeof(request) - (size_t)len - 1);
	request[sizeof(request) - 1] = '\0';
	const char *answer = raw_ask(request);
	// The server may close while the rest is on its way, and then its answer is lost.
	assert_true(*answer == '\0' || strncmp(answer, "HTTP/1.1 431", 12) == 0);
	assert_int_equal(post(CREDS, "TOKENSECRET-ns-1", WISH).status, 200);
}

// Bytes one by one until the server has had enough: true when it closed.
static bool is_cut_off(struct raw_client *raw, const char *text)
{
	int64_t deadline_mono_ms = clock_mono_ms() + ANSWER_LIMIT_MS;
	char c;
	for (size_t i = 0; clock_mono_ms() < deadline_mono_ms; i++) {
		struct pollfd came = {.fd = raw->fd, .events = POLLIN};
		const char *byte = &text[i < strlen(text) ? i : strlen(text) - 1];
		if (poll(&came, 1, 20) > 0) {
			if (raw->ssl == NULL ? read(raw->fd, &c, 1) <= 0 : SSL_read(raw->ssl, &c, 1) <= 0)
				return true;
			continue;
		}
		if (raw->ssl == NULL)
			(void)!send(raw->fd, byte, 1, MSG_NOSIGNAL);
		else if (SSL_write(raw->ssl, byte, 1) <= 0)
			return true;
	}
	return false;
}

static void slow_clients_are_cut_off(void **state)
{
	(void)state;
	struct raw_client in_handshake = {.fd = dial("127.0.0.1")};
	assert_true(is_cut_off(&in_handshake, "\x16\x03\x01\x02"));
	(void)close(in_handshake.fd);
	static const char *const texts[] = {"POST " CREDS " HTTP/1.1\r\nHost: x\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		"POST " CREDS " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer TOKENSECRET-ns-1\r\nContent-Length: 60000\r\n\r\n{"};
	for (size_t i = 0; i < 2; i++) {
		struct raw_client raw = raw_open();
		size_t at_once = i == 0 ? 0 : strlen(texts[i]) - 1;
		if (at_once > 0)
			assert_int_equal(SSL_write(raw.ssl, texts[i], (int)at_once), at_once);
		assert_true(is_cut_off(&raw, texts[i] + at_once));
		raw_close(&raw);
	}
	assert_int_equal(post(CREDS, "TOKENSECRET-ns-1", WISH).status, 200);
}

static void an_answer_may_take_longer_than_a_client_may(void **state)
{
	(void)state;
	world.fetch_waits_for_lookups = 2; // comes after the limit of the client
	pthread_t first, second;
	int numbers[] = {1, 2};
	assert_int_equal(pthread_create(&first, NULL, ask_once, &numbers[0]), 0);
	(void)usleep(3 * SHORT_LIMIT_MS * 1000);
	assert_int_equal(pthread_create(&second, NULL, ask_once, &numbers[1]), 0);
	assert_int_equal(pthread_join(first, NULL), 0);
	assert_int_equal(pthread_join(second, NULL), 0);
	assert_int_equal(numbers[0], 200);
	assert_int_equal(numbers[1], 200);
}

static void idle_connections_of_one_address_leave_room_for_others(void **state)
{
	(void)state;
	int fds[MORE_THAN_ALL];
	for (int i = 0; i < MORE_THAN_ALL; i++)
		fds[i] = dial("127.0.0.9");
	assert_int_equal(post(CREDS, "TOKENSECRET-ns-1", WISH).status, 200);
	for (int i = 0; i < MORE_THAN_ALL; i++)
		(void)close(fds[i]);
}

static void old_tls_and_plain_text_are_refused(void **state)
{
	(void)state;
	struct raw_client raw = {.fd = dial("127.0.0.1"), .ctx = SSL_CTX_new(TLS_client_method())};
	assert_int_equal(SSL_CTX_set_cipher_list(raw.ctx, "DEFAULT@SECLEVEL=0"), 1);
	assert_int_equal(SSL_CTX_set_min_proto_version(raw.ctx, 0), 1);
	assert_int_equal(SSL_CTX_set_max_proto_version(raw.ctx, TLS1_1_VERSION), 1);
	raw.ssl = SSL_new(raw.ctx);
	assert_int_equal(SSL_set_fd(raw.ssl, raw.fd), 1);
	assert_int_not_equal(SSL_connect(raw.ssl), 1);
	raw_close(&raw);

	char answer[256];
	static const char request[] = "POST " CREDS " HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
	int fd = dial("127.0.0.1");
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	ssize_t len = read(fd, answer, sizeof(answer));
	assert_true(len <= 0 || memcmp(answer, "HTTP", 4) != 0);
	(void)close(fd);
}

static void a_client_of_another_ca_does_not_talk_to_us(void **state)
{
	(void)state;
	struct error err = {0};
	struct answer answer = {0};
	bool changed = false;
	AUTO(ca_state) struct ca_state stranger = {0};
	assert_ok(ca_renew_if_due(&stranger, world.names.list, clock_wall_ms(), &changed, &err), err);
	AUTO(http_client) struct http_client *other = client_with(stranger.bundle_pem);
	assert_error(post_with(other, CREDS, "TOKENSECRET-ns-1", WISH, &answer, &err), err, ERROR_TRANSIENT, "certificate");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, broker_world_setup, broker_world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(odd_requests_get_their_status_before_their_body_is_read),
		CASE(a_head_without_end_is_refused),
		cmocka_unit_test_setup_teardown(slow_clients_are_cut_off, broker_world_setup_impatient, broker_world_teardown),
		cmocka_unit_test_setup_teardown(
			an_answer_may_take_longer_than_a_client_may, broker_world_setup_impatient, broker_world_teardown),
		CASE(idle_connections_of_one_address_leave_room_for_others),
		CASE(old_tls_and_plain_text_are_refused),
		CASE(a_client_of_another_ca_does_not_talk_to_us),
	};
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	return cmocka_run_group_tests_name("canopy/broker_connections", tests, NULL, NULL);
}
