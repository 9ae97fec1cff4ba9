// Bodies on their way to the engine: byte for byte whichever way they take, through a pipe within the kernel or through a buffer,
// and never ended cleanly when S3 did not end them.
#include "base/clock.h"
#include "canopy/proxy/relay.h"
#include "tests/canopy/proxy/world.h"
#include "tests/support/cmocka.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define LARGE ((size_t)8 << 20)
#define GET_K "GET /bucket/p/k HTTP/1.1\r\nHost: e\r\n\r\n"

static char *large; // a pattern that a lost, doubled or moved piece would break

static int make_large(void **state)
{
	(void)state;
	large = malloc(LARGE);
	for (size_t i = 0; i < LARGE; i++)
		large[i] = (char)(i * 2654435761u >> 13);
	return 0;
}

static int free_large(void **state)
{
	(void)state;
	free(large);
	return 0;
}

static void send_large(struct raw_connection *connection, size_t announced)
{
	char head[128];
	(void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", announced);
	raw_write(connection, head);
	for (size_t at = 0; at < LARGE; at += 70001)
		raw_write_bytes(connection, large + at, LARGE - at < 70001 ? LARGE - at : 70001);
}

static void large_script(void *arg, struct raw_connection *connection, int number)
{
	const size_t *announced = arg;
	char request[WORLD_TEXT_MAX];
	(void)number;
	while (raw_read_request(connection, request, sizeof(request))) {
		send_large(connection, *announced);
		if (*announced > LARGE)
			return;
	}
}

static void expect_large(struct world *w, bool slowly)
{
	int fd = world_connect(w);
	world_say(fd, GET_K);
	if (slowly) {
		const struct timespec pause = {.tv_nsec = 300000000};
		(void)nanosleep(&pause, NULL); // all buffers fill up
	}
	struct world_reply reply = world_read(fd, false);
	assert_int_equal(reply.status, 200);
	assert_int_equal(reply.len, LARGE);
	assert_int_equal(memcmp(reply.body, large, LARGE), 0);
	world_reply_fini(&reply);
	(void)close(fd);
}

static void a_body_arrives_byte_for_byte(void **state)
{
	(void)state;
	size_t announced = LARGE;
	for (int is_tls = 0; is_tls < 2; is_tls++) {
		struct world *w = world_new(&(struct world_options){
			.s3 = large_script, .arg = &announced, .s3_tls = is_tls == 1 ? world_tls("IP:127.0.0.1") : NULL});
		expect_large(w, false);
		expect_large(w, true);
		world_free(w);
	}
}

static void a_body_that_ends_early_ends_the_engines_connection_early(void **state)
{
	(void)state;
	size_t announced = LARGE + 1;
	for (int is_tls = 0; is_tls < 2; is_tls++) {
		struct world *w = world_new(&(struct world_options){
			.s3 = large_script, .arg = &announced, .s3_tls = is_tls == 1 ? world_tls("IP:127.0.0.1") : NULL});
		int fd = world_connect(w);
		struct world_reply reply = world_ask(fd, "GET", "/bucket/p/k", "");
		assert_int_equal(reply.status, 200);
		assert_true(reply.is_cut);
		assert_int_equal(reply.len, LARGE); // nothing that came is lost
		assert_int_equal(memcmp(reply.body, large, LARGE), 0);
		assert_true(world_is_closed(fd));
		world_reply_fini(&reply);
		(void)close(fd);
		world_free(w);
	}
}

static void cut_chunks_script(void *arg, struct raw_connection *connection, int number)
{
	char request[WORLD_TEXT_MAX];
	(void)number;
	if (raw_read_request(connection, request, sizeof(request)))
		raw_write(connection, arg);
}

static void chunks_that_end_early_or_are_broken_are_never_ended_cleanly(void **state)
{
	(void)state;
	static char texts[][96] = {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\rhello\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5,\r\nhello\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a\n\r\nhello\r\n0\r\n\r\n"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct world *w = world_new(&(struct world_options){.s3 = cut_chunks_script, .arg = texts[i]});
		int fd = world_connect(w);
		struct world_reply reply = world_ask(fd, "GET", "/bucket/p/k", "");
		assert_true(reply.status == 0 || reply.is_cut);
		world_reply_fini(&reply);
		(void)close(fd);
		world_free(w);
	}
}

static void what_stands_beside_a_size_means_nothing(void **state)
{
	(void)state;
	static char texts[][96] = {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2 \r\nok\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\t\r\nok\r\n0;a=b\r\nX: y\r\n\r\n"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct world *w = world_new(&(struct world_options){.s3 = cut_chunks_script, .arg = texts[i]});
		world_expect(w, "GET", "/bucket/p/k", "", 200, strstr(texts[i], "\r\n\r\n") + 4);
		world_free(w);
	}
}

static void reset_script(void *arg, struct raw_connection *connection, int number)
{
	char request[WORLD_TEXT_MAX];
	(void)arg;
	(void)number;
	if (!raw_read_request(connection, request, sizeof(request)))
		return;
	raw_write(connection, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome");
	raw_reset(connection);
}

static void a_reset_in_the_body_is_seen_by_the_engine(void **state)
{
	(void)state;
	struct world *w = world_new(&(struct world_options){.s3 = reset_script});
	int fd = world_connect(w);
	struct world_reply reply = world_ask(fd, "GET", "/bucket/p/k", "");
	assert_true(reply.status == 0 || reply.is_cut);
	world_reply_fini(&reply);
	(void)close(fd);
	world_free(w);
}

// Of this process, which the proxy is a thread of.
static size_t open_pipes(void)
{
	size_t count = 0;
	DIR *dir = opendir("/proc/self/fd");
	assert_non_null(dir);
	for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
		char target[64];
		ssize_t len = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target));
		count += len > 5 && memcmp(target, "pipe:", 5) == 0 ? 1 : 0;
	}
	(void)closedir(dir);
	return count;
}

static void a_large_plain_body_goes_through_a_pipe(void **state)
{
	(void)state;
	size_t announced = LARGE;
	size_t before = open_pipes();
	struct world *w = world_new(&(struct world_options){.s3 = large_script, .arg = &announced});
	for (int i = 0; i < 10; i++)
		expect_large(w, i == 5);
	assert_int_equal(open_pipes(), before + 2); // one pipe, for one after the other
	world_free(w);
	assert_int_equal(open_pipes(), before);
}

static void a_body_over_tls_is_copied(void **state)
{
	(void)state;
	size_t announced = LARGE;
	size_t before = open_pipes();
	struct world *w =
		world_new(&(struct world_options){.s3 = large_script, .arg = &announced, .s3_tls = world_tls("IP:127.0.0.1")});
	expect_large(w, false);
	assert_int_equal(open_pipes(), before);
	world_free(w);
}

static void small_script(void *arg, struct raw_connection *connection, int number)
{
	char request[WORLD_TEXT_MAX];
	char head[128];
	(void)arg;
	(void)number;
	(void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", RELAY_PIPE_MIN - 1);
	while (raw_read_request(connection, request, sizeof(request))) {
		raw_write(connection, head);
		raw_write_bytes(connection, large, RELAY_PIPE_MIN - 1);
	}
}

static void a_small_body_is_copied(void **state)
{
	(void)state;
	size_t before = open_pipes();
	struct world *w = world_new(&(struct world_options){.s3 = small_script});
	int fd = world_connect(w);
	for (int i = 0; i < 3; i++) {
		struct world_reply reply = world_ask(fd, "GET", "/bucket/p/k", "");
		assert_int_equal(reply.len, RELAY_PIPE_MIN - 1);
		assert_int_equal(memcmp(reply.body, large, reply.len), 0);
		world_reply_fini(&reply);
	}
	assert_int_equal(open_pipes(), before);
	(void)close(fd);
	world_free(w);
}

#define CHUNK 65536
#define CHUNKS 10

static void chunked_script(void *arg, struct raw_connection *connection, int number)
{
	char request[WORLD_TEXT_MAX];
	(void)arg;
	(void)number;
	while (raw_read_request(connection, request, sizeof(request))) {
		raw_write(connection, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
		for (size_t i = 0; i < CHUNKS; i++) {
			raw_write(connection, "10000\r\n");
			raw_write_bytes(connection, large + i * CHUNK, CHUNK);
			raw_write(connection, "\r\n");
		}
		raw_write(connection, "0\r\n\r\n");
	}
}

static void a_chunked_body_is_copied(void **state)
{
	(void)state;
	size_t before = open_pipes();
	struct world *w = world_new(&(struct world_options){.s3 = chunked_script});
	int fd = world_connect(w);
	struct world_reply reply = world_ask(fd, "GET", "/bucket/p/k", "");
	assert_false(reply.is_cut);
	assert_int_equal(reply.len, CHUNKS * (7 + CHUNK + 2) + 5);
	for (size_t i = 0; i < CHUNKS; i++)
		assert_int_equal(memcmp(reply.body + i * (7 + CHUNK + 2) + 7, large + i * CHUNK, CHUNK), 0);
	assert_int_equal(open_pipes(), before);
	world_reply_fini(&reply);
	(void)close(fd);
	world_free(w);
}

static void small_then_large_script(void *arg, struct raw_connection *connection, int number)
{
	char request[WORLD_TEXT_MAX];
	(void)arg;
	(void)number;
	if (raw_read_request(connection, request, sizeof(request)))
		raw_write(connection, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	while (raw_read_request(connection, request, sizeof(request)))
		send_large(connection, LARGE);
}

#define FILLERS_MAX 256

// Every connection stands before the descriptors are used up.
static void without_a_pipe_a_large_body_is_copied(void **state)
{
	(void)state;
	struct rlimit limit;
	int fillers[FILLERS_MAX];
	size_t filled = 0;
	size_t before = open_pipes();
	struct world *w = world_new(&(struct world_options){.s3 = small_then_large_script});
	int fd = world_connect(w);
	struct world_reply reply = world_ask(fd, "GET", "/bucket/p/k", "");
	assert_int_equal(reply.len, 2);
	world_reply_fini(&reply);
	(void)usleep(200000); // the broker closes its end of the connection
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	const struct rlimit low = {.rlim_cur = FILLERS_MAX, .rlim_max = limit.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	while (filled < FILLERS_MAX && (fillers[filled] = dup(fd)) >= 0)
		filled++;
	reply = world_ask(fd, "GET", "/bucket/p/k", "");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	while (filled > 0)
		(void)close(fillers[--filled]);
	assert_int_equal(reply.status, 200);
	assert_int_equal(reply.len, LARGE);
	assert_int_equal(memcmp(reply.body, large, LARGE), 0);
	assert_int_equal(open_pipes(), before);
	world_reply_fini(&reply);
	(void)close(fd);
	world_free(w);
}

#define SURPLUS_TAIL 1000

static void surplus_script(void *arg, struct raw_connection *connection, int number)
{
	static const char surplus[] = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
	char request[WORLD_TEXT_MAX];
	char head[128];
	char *last = arg; // the end of the body and what nobody asked for, in one piece
	(void)number;
	(void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", LARGE);
	while (raw_read_request(connection, request, sizeof(request))) {
		memcpy(last, large + LARGE - SURPLUS_TAIL, SURPLUS_TAIL);
		memcpy(last + SURPLUS_TAIL, surplus, sizeof(surplus) - 1);
		raw_write(connection, head);
		raw_write_bytes(connection, large, LARGE - SURPLUS_TAIL);
		raw_write_bytes(connection, last, SURPLUS_TAIL + sizeof(surplus) - 1);
	}
}

static void what_stands_behind_a_body_never_becomes_the_next_answer(void **state)
{
	(void)state;
	char last[SURPLUS_TAIL + 100];
	struct world *w = world_new(&(struct world_options){.s3 = surplus_script, .arg = last});
	int fd = world_connect(w);
	for (int i = 0; i < 5; i++) {
		struct world_reply reply = world_ask(fd, "GET", "/bucket/p/k", "");
		assert_int_equal(reply.status, 200);
		assert_int_equal(reply.len, LARGE);
		assert_int_equal(memcmp(reply.body, large, LARGE), 0);
		world_reply_fini(&reply);
	}
	(void)close(fd);
	world_free(w);
}

static void leave_in_the_middle(struct world *w)
{
	char some[1000];
	int fd = world_connect(w);
	world_say(fd, GET_K);
	(void)!recv(fd, some, sizeof(some), 0);
	(void)close(fd);
}

static void a_pipe_with_bytes_in_it_is_not_used_again(void **state)
{
	(void)state;
	size_t announced = LARGE;
	size_t before = open_pipes();
	struct world *w = world_new(&(struct world_options){.s3 = large_script, .arg = &announced});
	for (int i = 0; i < 30; i++) {
		leave_in_the_middle(w);
		expect_large(w, false);
		assert_true(open_pipes() <= before + 4); // one perhaps still of the engine that left
	}
	world_free(w);
	assert_int_equal(open_pipes(), before);
}

static void stall_soon(struct config *config)
{
	config->upstream_stall_ms = 300;
	config->client_stall_ms = 300;
}

static void an_engine_that_reads_no_more_is_dropped(void **state)
{
	(void)state;
	size_t announced = LARGE;
	struct world *w = world_new(&(struct world_options){.s3 = large_script, .arg = &announced, .tune = stall_soon});
	int fd = world_connect(w);
	const int small = 65536; // else all of it would fit into the kernel's buffers
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	world_say(fd, GET_K);
	const struct timespec pause = {.tv_sec = 1};
	(void)nanosleep(&pause, NULL);
	struct world_reply reply = world_read(fd, false);
	assert_true(reply.is_cut);
	world_reply_fini(&reply);
	(void)close(fd);
	world_free(w);
}

static void nothing_is_left_of_an_engine_that_disappears(void **state)
{
	(void)state;
	size_t announced = LARGE;
	struct world *w = world_new(&(struct world_options){.s3 = large_script, .arg = &announced});
	for (int i = 0; i < 20; i++) {
		int fd = world_connect(w);
		world_say(fd, GET_K);
		char some[1000];
		if (i % 2 == 0)
			(void)!recv(fd, some, sizeof(some), 0);
		(void)close(fd); // with unread bytes: a reset
	}
	expect_large(w, false);
	world_free(w); // counts descriptors
}

static void report_often(struct config *config)
{
	config->progress_ms = 50;
}

static void counts_are_posted_on_the_way_and_at_the_end(void **state)
{
	(void)state;
	size_t announced = LARGE;
	char payload[64];
	struct world *w = world_new(&(struct world_options){.s3 = large_script, .arg = &announced, .tune = report_often});
	(void)snprintf(payload, sizeof(payload), "\"received_payload_bytes\":%zu,", LARGE);
	expect_large(w, false);
	world_wait(world_posted(w, "/progress") != NULL && strstr(world_posted(w, "/progress"), payload) != NULL);
	assert_non_null(strstr(world_posted(w, "/progress"), "\"run_id\":\"run-1\""));
	assert_non_null(strstr(world_posted(w, "/progress"), "\"type\":\"t\""));
	assert_null(world_posted(w, "/stats"));
	world_stop(w);
	assert_non_null(world_posted(w, "/stats"));
	assert_non_null(strstr(world_posted(w, "/stats"), payload));
	assert_non_null(strstr(world_posted(w, "/stats"), "\"sent_payload_bytes\":0,"));
	assert_null(strstr(world_posted(w, "/stats"), "run_id"));
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_body_arrives_byte_for_byte),
		cmocka_unit_test(a_large_plain_body_goes_through_a_pipe),
		cmocka_unit_test(a_body_over_tls_is_copied),
		cmocka_unit_test(a_small_body_is_copied),
		cmocka_unit_test(a_chunked_body_is_copied),
		cmocka_unit_test(without_a_pipe_a_large_body_is_copied),
		cmocka_unit_test(a_body_that_ends_early_ends_the_engines_connection_early),
		cmocka_unit_test(chunks_that_end_early_or_are_broken_are_never_ended_cleanly),
		cmocka_unit_test(what_stands_beside_a_size_means_nothing),
		cmocka_unit_test(a_reset_in_the_body_is_seen_by_the_engine),
		cmocka_unit_test(what_stands_behind_a_body_never_becomes_the_next_answer),
		cmocka_unit_test(an_engine_that_reads_no_more_is_dropped),
		cmocka_unit_test(nothing_is_left_of_an_engine_that_disappears),
		cmocka_unit_test(a_pipe_with_bytes_in_it_is_not_used_again),
		cmocka_unit_test(counts_are_posted_on_the_way_and_at_the_end),
	};
	return cmocka_run_group_tests_name("proxy/body", tests, make_large, free_large);
}
