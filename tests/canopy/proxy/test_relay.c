// Requests on their way to S3: signed anew, over connections that are verified and used again. Bodies are in test_body.c.
#include "base/clock.h"
#include "base/file.h"
#include "tests/canopy/proxy/world.h"
#include "tests/support/cmocka.h"
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define GET_K "GET /bucket/p/k HTTP/1.1\r\nHost: e\r\n\r\n"

static char last[WORLD_TEXT_MAX];

// Keeps the request in `last` until there is another: reading the next one clears what it reads into.
static bool read_request(struct raw_connection *connection)
{
	char request[WORLD_TEXT_MAX];
	if (!raw_read_request(connection, request, sizeof(request)))
		return false;
	memcpy(last, request, sizeof(last));
	return true;
}

static void ok_script(void *arg, struct raw_connection *connection, int number)
{
	(void)arg;
	(void)number;
	while (read_request(connection))
		raw_write(connection, OK);
}

// The first connection answers once and then closes on the second request, as S3 does to one that idled too long.
static void stale_script(void *arg, struct raw_connection *connection, int number)
{
	(void)arg;
	if (!read_request(connection))
		return;
	raw_write(connection, OK);
	if (number == 0) {
		(void)read_request(connection);
		return;
	}
	while (read_request(connection))
		raw_write(connection, OK);
}

static void a_dead_connection_from_the_pool_is_replaced_unseen(void **state)
{
	(void)state;
	struct raw_server *s3 = raw_server_start(stale_script, NULL, NULL);
	struct world *w = world_new(&(struct world_options){.s3_port = raw_server_port(s3)});
	for (int i = 0; i < 3; i++)
		world_expect(w, "GET", "/bucket/p/k", "", 200, "ok");
	assert_int_equal(raw_server_connections(s3), 2);
	world_free(w);
	raw_server_stop(s3);
}

static void close_script(void *arg, struct raw_connection *connection, int number)
{
	atomic_int *seen = arg;
	(void)number;
	if (read_request(connection))
		(void)atomic_fetch_add(seen, 1);
}

static void a_new_connection_that_says_nothing_is_not_tried_again(void **state)
{
	(void)state;
	atomic_int seen = 0;
	struct world *w = world_new(&(struct world_options){.s3 = close_script, .arg = &seen});
	world_expect(w, "GET", "/bucket/p/k", "", 503, "<Code>ServiceUnavailable</Code>");
	assert_int_equal(atomic_load(&seen), 1);
	world_free(w);
}

static void connections_to_s3_are_used_again(void **state)
{
	(void)state;
	struct raw_server *s3 = raw_server_start(ok_script, NULL, NULL);
	struct world *w = world_new(&(struct world_options){.s3_port = raw_server_port(s3)});
	int fd = world_connect(w);
	for (int i = 0; i < 10; i++) {
		struct world_reply reply = world_ask(fd, "GET", "/bucket/p/k", "");
		assert_int_equal(reply.status, 200);
		world_reply_fini(&reply);
	}
	(void)close(fd);
	world_expect(w, "GET", "/bucket/p/k", "", 200, "ok");
	assert_int_equal(raw_server_connections(s3), 1);
	world_free(w);
	raw_server_stop(s3);
}

static void requests_that_were_sent_ahead_are_answered_in_turn(void **state)
{
	(void)state;
	struct world *w = world_new(&(struct world_options){.s3 = ok_script});
	int fd = world_connect(w);
	world_say(fd, GET_K "GET /bucket/q/k HTTP/1.1\r\nHost: e\r\n\r\n" GET_K "GET /bucket/p/k HTTP/1.1\r\nHo");
	static const int expected[] = {200, 403, 200};
	for (size_t i = 0; i < 3; i++) {
		struct world_reply reply = world_read(fd, false);
		assert_int_equal(reply.status, expected[i]);
		world_reply_fini(&reply);
	}
	world_say(fd, "st: e\r\nConnection: close\r\n\r\n");
	struct world_reply reply = world_read(fd, false);
	assert_int_equal(reply.status, 200);
	assert_true(world_is_closed(fd));
	world_reply_fini(&reply);
	(void)close(fd);
	world_free(w);
}

static void what_is_sent_is_signed_anew_and_nothing_else_of_the_engine(void **state)
{
	(void)state;
	struct world *w = world_new(&(struct world_options){.s3 = ok_script});
	world_expect(w, "GET", "/bucket/p/a%20b",
		"Range: bytes=0-1\r\nAuthorization: AWS4-HMAC-SHA256 Credential=DUMMY\r\nx-amz-date: 20010101T000000Z\r\n"
		"x-amz-security-token: DUMMY\r\nx-amz-content-sha256: DUMMY\r\nAccept-Encoding: gzip\r\nCookie: c\r\nExpect: "
		"100-continue\r\n"
		"x-amz-meta-a: b\r\nx-amz-checksum-mode: ENABLED\r\nIf-Match: e\r\nConnection: If-Match, "
		"keep-alive\r\nUser-Agent: kopia\r\n",
		200, "ok");
	assert_ptr_equal(strstr(last, "GET /bucket/p/a%20b HTTP/1.1\r\nhost: 127.0.0.1:"), last);
	static const char *const there[] = {"Range: bytes=0-1\r\n", "User-Agent: kopia\r\n", "x-amz-checksum-mode: ENABLED\r\n",
		"x-amz-security-token: TOKENTOKEN1\r\n", "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb924",
		"SignedHeaders=host;x-amz-checksum-mode;x-amz-content-sha256;x-amz-date;x-amz-security-token, ",
		"Credential=AKID1/"};
	static const char *const absent[] = {
		"DUMMY", "gzip", "Cookie", "Expect", "x-amz-meta", "If-Match", "Connection", "20010101"};
	for (size_t i = 0; i < sizeof(there) / sizeof(there[0]); i++) {
		if (strstr(last, there[i]) == NULL)
			fail_msg("missing %s in %s", there[i], last);
	}
	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
		if (strcasestr(last, absent[i]) != NULL)
			fail_msg("%s in %s", absent[i], last);
	}
	world_free(w);
}

static void over_tls_the_body_is_unsigned_and_the_name_is_verified(void **state)
{
	(void)state;
	static const char *const settings[] = {"S3_TLS_NAME", "s3.example", NULL};
	struct world *w =
		world_new(&(struct world_options){.s3 = ok_script, .s3_tls = world_tls("DNS:s3.example"), .settings = settings});
	world_expect(w, "GET", "/bucket/p/k", "", 200, "ok");
	assert_non_null(strstr(last, "x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n"));
	world_free(w);
	last[0] = '\0';
	w = world_new(&(struct world_options){.s3 = ok_script, .s3_tls = world_tls("DNS:other.example"), .settings = settings});
	world_expect(w, "GET", "/bucket/p/k", "", 503, "the certificate is not good for s3.example");
	assert_string_equal(last, "");
	world_free(w);
}

static void a_certificate_of_another_ca_is_refused(void **state)
{
	(void)state;
	struct pki_cert other = pki_make_ca("other CA");
	struct pki_cert leaf = pki_make_leaf(&other, "s3", "IP:127.0.0.1");
	const struct raw_server_tls tls = {.cert_pem = leaf.cert_pem, .key_pem = leaf.key_pem};
	last[0] = '\0';
	struct world *w = world_new(&(struct world_options){.s3 = ok_script, .s3_tls = &tls});
	world_expect(w, "GET", "/bucket/p/k", "", 503, "the certificate is not good");
	assert_string_equal(last, "");
	world_free(w);
	pki_cert_fini(&leaf);
	pki_cert_fini(&other);
}

static void virtual_style_puts_the_bucket_into_the_host(void **state)
{
	(void)state;
	struct raw_server *s3 = raw_server_start(ok_script, NULL, NULL);
	char port[32];
	(void)snprintf(port, sizeof(port), "127.0.0.1:%d", raw_server_port(s3));
	const char *const settings[] = {"S3_STYLE", "virtual", "S3_ENDPOINT", "http://s3.example", "S3_CONNECT_TO", port, NULL};
	struct world *w = world_new(&(struct world_options){.s3_port = raw_server_port(s3), .settings = settings});
	world_expect(w, "GET", "/bucket/p/k", "", 200, "ok");
	assert_ptr_equal(strstr(last, "GET /p/k HTTP/1.1\r\nhost: bucket.s3.example\r\n"), last);
	world_expect(w, "GET", "/bucket/?location", "", 200, "ok");
	assert_ptr_equal(strstr(last, "GET /?location= HTTP/1.1\r\n"), last);
	world_free(w);
	raw_server_stop(s3);
}

static void silent_script(void *arg, struct raw_connection *connection, int number)
{
	(void)number;
	if (!read_request(connection))
		return;
	if (arg != NULL)
		raw_write(connection, arg);
	raw_hold(connection);
}

static void stall_soon(struct config *config)
{
	config->upstream_stall_ms = 300;
	config->client_stall_ms = 300;
	config->connect_ms = 300;
}

static void silence_is_not_waited_out_for_ever(void **state)
{
	(void)state;
	static char some[] = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome";
	struct world *w = world_new(&(struct world_options){.s3 = silent_script, .tune = stall_soon});
	world_expect(w, "GET", "/bucket/p/k", "", 503, "does not answer in time");
	world_free(w);
	w = world_new(&(struct world_options){.s3 = silent_script, .arg = some, .tune = stall_soon});
	int fd = world_connect(w);
	struct world_reply reply = world_ask(fd, "GET", "/bucket/p/k", "");
	assert_true(reply.is_cut);
	world_reply_fini(&reply);
	(void)close(fd);
	world_free(w);
}

static void s3_that_is_not_there_is_said_so(void **state)
{
	(void)state;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	struct world *w = world_new(&(struct world_options){.s3_port = ntohs(address.sin_port)});
	world_expect(w, "GET", "/bucket/p/k", "", 503, "Connection refused");
	world_free(w);
	(void)close(fd);
	static const char *const nowhere[] = {"S3_ENDPOINT", "http://no-such-host.invalid", NULL};
	w = world_new(&(struct world_options){.s3_port = 1, .settings = nowhere});
	world_expect(w, "GET", "/bucket/p/k", "", 503, "resolve no-such-host.invalid");
	world_free(w);
}

static void the_done_file_ends_it(void **state)
{
	(void)state;
	char path[64];
	(void)snprintf(path, sizeof(path), "/tmp/understory-proxy-done-%d", (int)getpid());
	const char *const settings[] = {"PGRO_DONE_FILE", path, NULL};
	struct world *w = world_new(&(struct world_options){.s3 = ok_script, .settings = settings});
	world_expect(w, "GET", "/bucket/p/k", "", 200, "ok");
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	(void)fclose(file);
	world_wait(world_posted(w, "/stats") != NULL);
	(void)unlink(path);
	world_free(w);
}

static void the_end_of_the_engine_ends_it(void **state)
{
	(void)state;
	char path[64];
	(void)snprintf(path, sizeof(path), "/tmp/understory-proxy-engine-%d", (int)getpid());
	const char *const settings[] = {"PGRO_ENGINE_PIPE", path, NULL};
	struct world *w = world_new(&(struct world_options){.s3 = ok_script, .settings = settings});
	int engine = open(path, O_RDWR | O_CLOEXEC);
	assert_true(engine >= 0);
	world_expect(w, "GET", "/bucket/p/k", "", 200, "ok");
	(void)usleep(1500000); // longer than the time between two looks
	assert_null(world_posted(w, "/stats"));
	(void)close(engine);
	world_wait(world_posted(w, "/stats") != NULL);
	(void)unlink(path);
	world_free(w);
}

static void wait_a_moment(struct config *config)
{
	config->engine_wait_ms = 1;
}

static void an_engine_that_never_comes_is_not_awaited_for_ever(void **state)
{
	(void)state;
	char path[64];
	(void)snprintf(path, sizeof(path), "/tmp/understory-proxy-engine-%d", (int)getpid());
	const char *const settings[] = {"PGRO_ENGINE_PIPE", path, NULL};
	struct world *w = world_new(&(struct world_options){.s3 = ok_script, .settings = settings, .tune = wait_a_moment});
	world_wait(world_posted(w, "/stats") != NULL);
	(void)unlink(path);
	world_free(w);
}

static void the_port_file_holds_the_address(void **state)
{
	(void)state;
	struct error err = {0};
	const char *const settings[] = {"PGRO_PORT_FILE", "/tmp/understory-proxy-test-port", NULL};
	struct world *w = world_new(&(struct world_options){.s3 = ok_script, .settings = settings});
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	assert_ok(file_read(settings[1], 100, &text, &len, &err), err);
	assert_int_equal(text[len - 1], '\n');
	text[len - 1] = '\0';
	assert_string_equal(text, proxy_address(world_proxy(w)));
	assert_int_equal(access("/tmp/understory-proxy-test-port.tmp", F_OK), -1);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_dead_connection_from_the_pool_is_replaced_unseen),
		cmocka_unit_test(a_new_connection_that_says_nothing_is_not_tried_again),
		cmocka_unit_test(connections_to_s3_are_used_again),
		cmocka_unit_test(requests_that_were_sent_ahead_are_answered_in_turn),
		cmocka_unit_test(what_is_sent_is_signed_anew_and_nothing_else_of_the_engine),
		cmocka_unit_test(over_tls_the_body_is_unsigned_and_the_name_is_verified),
		cmocka_unit_test(a_certificate_of_another_ca_is_refused),
		cmocka_unit_test(virtual_style_puts_the_bucket_into_the_host),
		cmocka_unit_test(silence_is_not_waited_out_for_ever),
		cmocka_unit_test(s3_that_is_not_there_is_said_so),
		cmocka_unit_test(the_done_file_ends_it),
		cmocka_unit_test(the_end_of_the_engine_ends_it),
		cmocka_unit_test(an_engine_that_never_comes_is_not_awaited_for_ever),
		cmocka_unit_test(the_port_file_holds_the_address),
	};
	return cmocka_run_group_tests_name("proxy/relay", tests, NULL, NULL);
}
