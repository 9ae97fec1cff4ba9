// What is not a read of the restore's own objects gets S3's error, and S3 never hears of it.
#include "base/clock.h"
#include "tests/canopy/proxy/world.h"
#include "tests/support/cmocka.h"
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define HOST " HTTP/1.1\r\nHost: e\r\n"

static void ok_script(void *arg, struct raw_connection *connection, int number)
{
	char request[WORLD_TEXT_MAX];
	(void)arg;
	(void)number;
	while (raw_read_request(connection, request, sizeof(request)))
		raw_write(connection, OK);
}

static const struct {
	const char *label;
	const char *text;
	int status;
	const char *code;
	bool closes; // the engine's connection ends with the answer
} rows[] = {
	{"PUT with a body", "PUT /bucket/p/k" HOST "Content-Length: 4\r\n\r\nbody", 403, "AccessDenied", true},
	{"PUT in chunks", "PUT /bucket/p/k" HOST "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", 403, "AccessDenied",
		true},
	{"PUT that waits for 100", "PUT /bucket/p/k" HOST "Content-Length: 4\r\nExpect: 100-continue\r\n\r\n", 403,
		"AccessDenied", true},
	{"POST", "POST /bucket/p/k?uploads" HOST "Content-Length: 0\r\n\r\n", 403, "AccessDenied", true},
	{"DELETE", "DELETE /bucket/p/k" HOST "\r\n", 403, "AccessDenied", true},
	{"another bucket", "GET /other/p/k" HOST "\r\n", 403, "AccessDenied", false},
	{"another prefix", "GET /bucket/q/k" HOST "\r\n", 403, "AccessDenied", false},
	{"listing of another prefix", "GET /bucket/?list-type=2&prefix=q" HOST "\r\n", 403, "AccessDenied", false},
	{"dot dot", "GET /bucket/p/../q/k" HOST "\r\n", 403, "AccessDenied", false},
	{"dot dot encoded", "GET /bucket/p/%2e%2e/q/k" HOST "\r\n", 403, "AccessDenied", false},
	{"two slashes", "GET /bucket/p//k" HOST "\r\n", 403, "AccessDenied", false},
	{"absolute form", "GET http://evil/bucket/p/k" HOST "\r\n", 403, "AccessDenied", false},
	{"a body that hides a request",
		"GET /bucket/p/k" HOST "Content-Length: 35\r\n\r\nGET /bucket/q HTTP/1.1\r\nHost: e\r\n\r\n", 400,
		"InvalidRequest", true},
	{"chunks that hide a request", "GET /bucket/p/k" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x" HOST "\r\n",
		400, "InvalidRequest", true},
	{"both lengths", "GET /bucket/p/k" HOST "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "InvalidRequest",
		true},
	{"two lengths", "GET /bucket/p/k" HOST "Content-Length: 0\r\nContent-Length: 5\r\n\r\n", 400, "InvalidRequest", true},
	{"two hosts", "GET /bucket/p/k" HOST "Host: f\r\n\r\n", 400, "InvalidRequest", true},
	{"bare LF", "GET /bucket/p/k HTTP/1.1\nHost: e\n\n", 400, "InvalidRequest", true},
	{"folded header", "GET /bucket/p/k" HOST "A: b\r\n c\r\n\r\n", 400, "InvalidRequest", true},
	{"HTTP/1.0", "GET /bucket/p/k HTTP/1.0\r\nHost: e\r\n\r\n", 505, "InvalidRequest", true},
	{"no HTTP", "\x16\x03\x01\x02\r\n\r\n", 400, "InvalidRequest", true},
};

static void it_gets_s3s_error_and_s3_never_hears_of_it(void **state)
{
	(void)state;
	struct raw_server *s3 = raw_server_start(ok_script, NULL, NULL);
	struct world *w = world_new(&(struct world_options){.s3_port = raw_server_port(s3)});
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int fd = world_connect(w);
		world_say(fd, rows[i].text);
		struct world_reply reply = world_read(fd, false);
		if (reply.status != rows[i].status || reply.body == NULL || strstr(reply.body, rows[i].code) == NULL)
			fail_msg("%s: %d %s", rows[i].label, reply.status, reply.body == NULL ? "" : reply.body);
		world_reply_fini(&reply);
		if (rows[i].closes != (strstr(reply.head, "Connection: close") != NULL) && rows[i].closes && !world_is_closed(fd))
			fail_msg("%s: not closed", rows[i].label);
		if (rows[i].closes && !world_is_closed(fd))
			fail_msg("%s: another answer came", rows[i].label);
		(void)close(fd);
	}
	assert_int_equal(raw_server_requests(s3), 0);
	world_free(w);
	raw_server_stop(s3);
}

static void after_a_refusal_the_connection_goes_on(void **state)
{
	(void)state;
	struct world *w = world_new(&(struct world_options){.s3 = ok_script});
	int fd = world_connect(w);
	static const struct {
		const char *method, *path;
		int status;
	} asked[] = {{"GET", "/bucket/q/k", 403}, {"HEAD", "/bucket/q/k", 403}, {"GET", "/bucket/p/k", 200}};
	for (size_t i = 0; i < 3; i++) {
		struct world_reply reply = world_ask(fd, asked[i].method, asked[i].path, "");
		assert_int_equal(reply.status, asked[i].status);
		world_reply_fini(&reply);
	}
	(void)close(fd);
	world_free(w);
}

static void a_megabyte_of_headers_is_refused_and_the_answer_arrives(void **state)
{
	(void)state;
	struct raw_server *s3 = raw_server_start(ok_script, NULL, NULL);
	struct world *w = world_new(&(struct world_options){.s3_port = raw_server_port(s3)});
	int fd = world_connect(w);
	char line[1024];
	memset(line, 'a', sizeof(line));
	memcpy(line, "X-", 2);
	line[100] = ':';
	memcpy(line + sizeof(line) - 3, "\r\n", 3);
	world_say(fd, "GET /bucket/p/k" HOST);
	for (int i = 0; i < 1024; i++)
		world_say(fd, line);
	struct world_reply reply = world_read(fd, false);
	assert_int_equal(reply.status, 431);
	world_reply_fini(&reply);
	(void)close(fd);
	assert_int_equal(raw_server_requests(s3), 0);
	world_expect(w, "GET", "/bucket/p/k", "", 200, "ok");
	world_free(w);
	raw_server_stop(s3);
}

static void hurry(struct config *config)
{
	config->client_head_ms = 300;
}

static void a_head_that_comes_too_slowly_is_refused(void **state)
{
	(void)state;
	struct world *w = world_new(&(struct world_options){.s3 = ok_script, .tune = hurry});
	int fd = world_connect(w);
	const struct timespec pause = {.tv_nsec = 50000000};
	int64_t begin_ms = clock_mono_ms();
	char end[2];
	while (recv(fd, end, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && clock_mono_ms() - begin_ms < WORLD_TIMEOUT_MS) {
		world_say(fd, "G"); // a byte now and then does not win time
		(void)nanosleep(&pause, NULL);
	}
	struct world_reply reply = world_read(fd, false);
	assert_int_equal(reply.status, 408);
	world_reply_fini(&reply);
	(void)close(fd);
	fd = world_connect(w);
	assert_true(world_is_closed(fd)); // one that never begins gets no answer
	(void)close(fd);
	world_free(w);
}

// More than are served at once; those that wait in the kernel's queue are served when the others go.
static void more_engines_than_are_served_at_once_wait_their_turn(void **state)
{
	(void)state;
	struct world *w = world_new(&(struct world_options){.s3 = ok_script});
	int fds[260];
	for (size_t i = 0; i < 260; i++)
		fds[i] = world_connect(w);
	for (size_t i = 0; i < 260; i++) {
		struct world_reply reply = world_ask(fds[i], "GET", "/bucket/p/k", "");
		assert_int_equal(reply.status, 200);
		world_reply_fini(&reply);
		(void)close(fds[i]);
	}
	world_free(w);
}

// CPU of all threads.
static int64_t cpu_ms(void)
{
	struct rusage used;
	assert_int_equal(getrusage(RUSAGE_SELF, &used), 0);
	return (int64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000 +
	       (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1000;
}

static void while_some_wait_the_proxy_does_not_spin(void **state)
{
	(void)state;
	struct world *w = world_new(&(struct world_options){.s3 = ok_script});
	int fds[260];
	for (size_t i = 0; i < 260; i++)
		fds[i] = world_connect(w);
	struct world_reply reply = world_ask(fds[0], "GET", "/bucket/p/k", ""); // by then as many are taken as will be
	world_reply_fini(&reply);
	// A loop that spins takes what it gets: all of a CPU, and a tenth of it where many others want it. One that sleeps takes
	// well under a hundredth.
	int64_t before_ms = cpu_ms();
	const struct timespec a_while = {.tv_sec = 1};
	(void)nanosleep(&a_while, NULL);
	assert_in_range(cpu_ms() - before_ms, 0, 40);
	for (size_t i = 0; i < 260; i++)
		(void)close(fds[i]);
	world_expect(w, "GET", "/bucket/p/k", "", 200, "ok");
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_gets_s3s_error_and_s3_never_hears_of_it),
		cmocka_unit_test(after_a_refusal_the_connection_goes_on),
		cmocka_unit_test(a_megabyte_of_headers_is_refused_and_the_answer_arrives),
		cmocka_unit_test(a_head_that_comes_too_slowly_is_refused),
		cmocka_unit_test(more_engines_than_are_served_at_once_wait_their_turn),
		cmocka_unit_test(while_some_wait_the_proxy_does_not_spin),
	};
	return cmocka_run_group_tests_name("proxy/refusals", tests, NULL, NULL);
}
