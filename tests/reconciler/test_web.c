#include "reconciler/web.h"

#include "base/clock.h"
#include "tests/support/cmocka.h"
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define ANSWER_LIMIT_MS 20000
#define MORE_THAN_ALL 80 // connections: CONNECTIONS_MAX of web.c is 64
#define SLOW 10

struct fixture {
	struct metrics *metrics;
	struct web *web;
	atomic_bool is_live, is_ready;
};

static bool is_live(void *arg, char *why, size_t why_size)
{
	struct fixture *f = arg;
	(void)snprintf(why, why_size, "no heartbeat for 90 s");
	return atomic_load(&f->is_live);
}

static bool is_ready(void *arg, char *why, size_t why_size)
{
	struct fixture *f = arg;
	(void)snprintf(why, why_size, "the worklist was never read");
	return atomic_load(&f->is_ready);
}

static int setup(void **state)
{
	static struct fixture f;
	struct error err = {0};
	atomic_store(&f.is_live, true);
	atomic_store(&f.is_ready, true);
	const struct web_probes probes = {is_live, is_ready, &f};
	if (metrics_new(&f.metrics, &err) < 0 || web_start("127.0.0.1:0", f.metrics, &probes, NULL, &f.web, &err) < 0) {
		print_error("%s\n", err.text);
		return -1;
	}
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	web_stop(f->web);
	metrics_free(f->metrics);
	return 0;
}

// A connection from an address of our choice: the limits are per address.
static int dial_from(const char *source, int port)
{
	struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons((in_port_t)port)};
	assert_int_equal(inet_pton(AF_INET, source, &from.sin_addr), 1);
	assert_int_equal(inet_pton(AF_INET, "127.0.0.1", &to.sin_addr), 1);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static void send_text(int fd, const char *text, size_t len)
{
	// The server may have closed already: what it answered still counts.
	while (len > 0) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
		if (n <= 0)
			return;
		text += n;
		len -= (size_t)n;
	}
}

// Read until the server closes, or until `until` has come; false at the deadline.
static bool read_until(int fd, const char *until, char *out, size_t size)
{
	size_t len = 0;
	int64_t deadline_mono_ms = clock_mono_ms() + ANSWER_LIMIT_MS;
	out[0] = '\0';
	for (;;) {
		struct pollfd waits = {.fd = fd, .events = POLLIN};
		int64_t left_ms = deadline_mono_ms - clock_mono_ms();
		if (left_ms <= 0 || len + 1 >= size)
			return false;
		if (poll(&waits, 1, (int)left_ms) <= 0)
			continue;
		ssize_t n = recv(fd, out + len, size - 1 - len, 0);
		if (n <= 0)
			return true;
		len += (size_t)n;
		out[len] = '\0';
		if (until != NULL && strstr(out, until) != NULL)
			return true;
	}
}

static char answer_text[1 << 18];

static const char *ask_raw_from(const char *source, int port, const char *request, size_t len)
{
	int fd = dial_from(source, port);
	send_text(fd, request, len);
	bool ended = read_until(fd, NULL, answer_text, sizeof(answer_text));
	(void)close(fd);
	if (!ended)
		fail_msg("no end of the answer to: %.60s; got: %s", request, answer_text);
	return answer_text;
}

static const char *ask(const struct fixture *f, const char *method, const char *target)
{
	char request[256];
	int len = snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", method, target);
	return ask_raw_from("127.0.0.1", web_port(f->web), request, (size_t)len);
}

static void assert_answer(const char *answer, const char *status, const char *body)
{
	const char *got_body = strstr(answer, "\r\n\r\n");
	if (strncmp(answer, status, strlen(status)) != 0 || got_body == NULL || strcmp(got_body + 4, body) != 0)
		fail_msg("expected %s and \"%s\", got: %s", status, body, answer);
}

static void probes_and_errors_are_plain_text(void **state)
{
	const struct fixture *f = *state;
	const struct {
		const char *method, *target, *status, *body;
	} rows[] = {
		{"GET", "/livez", "HTTP/1.1 200", "ok\n"},
		{"GET", "/healthz", "HTTP/1.1 200", "ok\n"},
		{"GET", "/readyz", "HTTP/1.1 200", "ok\n"},
		{"GET", "/readyz?verbose", "HTTP/1.1 200", "[+]readyz ok\nreadyz check passed\n"},
		{"GET", "/livez?verbose=1", "HTTP/1.1 200", "[+]livez ok\nlivez check passed\n"},
		{"HEAD", "/livez", "HTTP/1.1 200", ""},
		{"GET", "/nothing", "HTTP/1.1 404", "not found; there is /metrics, /livez and /readyz\n"},
		{"GET", "/metrics/", "HTTP/1.1 404", "not found; there is /metrics, /livez and /readyz\n"},
		{"POST", "/metrics", "HTTP/1.1 405", "only GET and HEAD are allowed here\n"},
		{"DELETE", "/nothing", "HTTP/1.1 405", "only GET and HEAD are allowed here\n"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_answer(ask(f, rows[i].method, rows[i].target), rows[i].status, rows[i].body);
	assert_non_null(strstr(ask(f, "PUT", "/livez"), "\r\nAllow: GET, HEAD\r\n"));
	assert_non_null(strstr(ask(f, "GET", "/livez"), "\r\nContent-Type: text/plain; charset=utf-8\r\n"));
}

static void a_failed_probe_says_why(void **state)
{
	struct fixture *f = *state;
	atomic_store(&f->is_ready, false);
	const char *why = "[-]readyz failed: the worklist was never read\nreadyz check failed\n";
	assert_answer(ask(f, "GET", "/readyz"), "HTTP/1.1 503", why);
	assert_answer(ask(f, "GET", "/readyz?verbose"), "HTTP/1.1 503", why);
	assert_answer(ask(f, "GET", "/livez"), "HTTP/1.1 200", "ok\n");
	atomic_store(&f->is_live, false);
	assert_answer(
		ask(f, "GET", "/healthz"), "HTTP/1.1 503", "[-]healthz failed: no heartbeat for 90 s\nhealthz check failed\n");
}

static void metrics_are_served_with_their_content_type(void **state)
{
	const struct fixture *f = *state;
	metrics_add(f->metrics, METRIC_ROUNDS_TOTAL, "clean", NULL, NULL, 3);
	const char *answer = ask(f, "GET", "/metrics");
	assert_memory_equal(answer, "HTTP/1.1 200", 12);
	assert_non_null(strstr(answer, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
	assert_non_null(strstr(answer, "\nunderstory_rounds_total{outcome=\"clean\"} 3\n"));
	assert_non_null(strstr(answer, "\nprocess_open_fds "));
}

static void a_connection_serves_many_requests(void **state)
{
	const struct fixture *f = *state;
	char answer[4096];
	int fd = dial_from("127.0.0.1", web_port(f->web));
	for (int i = 0; i < 50; i++) {
		static const char request[] = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
		send_text(fd, request, strlen(request));
		assert_true(read_until(fd, "\r\n\r\nok\n", answer, sizeof(answer)));
		assert_non_null(strstr(answer, "\r\n\r\nok\n"));
	}
	(void)close(fd);
}

static void bodies_are_not_read(void **state)
{
	const struct fixture *f = *state;
	static const char post[] = "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\n\r\nabc";
	assert_memory_equal(ask_raw_from("127.0.0.1", web_port(f->web), post, strlen(post)), "HTTP/1.1 405", 12);

	static const char get[] = "GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\n\r\nabc";
	assert_null(strstr(ask_raw_from("127.0.0.1", web_port(f->web), get, strlen(get)), "HTTP/1.1 200"));
	assert_answer(ask(f, "GET", "/livez"), "HTTP/1.1 200", "ok\n");
}

static void a_request_that_is_too_long_is_refused(void **state)
{
	const struct fixture *f = *state;
	static char request[100000];
	const struct {
		const char *start, *end;
	} rows[] = {
		{"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: ", "\r\n\r\n"},
		{"GET /livez?", " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(request, 'a', sizeof(request));
		memcpy(request, rows[i].start, strlen(rows[i].start));
		memcpy(request + sizeof(request) - strlen(rows[i].end), rows[i].end, strlen(rows[i].end));
		const char *answer = ask_raw_from("127.0.0.1", web_port(f->web), request, sizeof(request));
		assert_null(strstr(answer, "200 OK"));
	}
	assert_answer(ask(f, "GET", "/livez"), "HTTP/1.1 200", "ok\n");
}

static void garbage_does_no_harm(void **state)
{
	const struct fixture *f = *state;
	const char *const rows[] = {"\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "GET\r\n\r\n",
		"x x x\r\n\r\n", "GET /livez HTTP/9.9\r\n\r\n"};
	web_limit_requests(f->web, 300);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		(void)ask_raw_from("127.0.0.1", web_port(f->web), rows[i], strlen(rows[i]));
	assert_answer(ask(f, "GET", "/livez"), "HTTP/1.1 200", "ok\n");
}

static const char one_probe[] = "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

static void one_address_cannot_take_all_connections(void **state)
{
	const struct fixture *f = *state;
	int taken[MORE_THAN_ALL];
	web_limit_requests(f->web, INT32_MAX);
	for (int i = 0; i < MORE_THAN_ALL; i++)
		taken[i] = dial_from("127.0.0.2", web_port(f->web));
	assert_answer(ask_raw_from("127.0.0.3", web_port(f->web), one_probe, strlen(one_probe)), "HTTP/1.1 200", "ok\n");
	for (int i = 0; i < MORE_THAN_ALL; i++)
		(void)close(taken[i]);
}

// Clients that send a byte now and then and never come to an end.
// As many as there may be, from more addresses than one may fill.
static void take_all(int port, int fds[MORE_THAN_ALL])
{
	static const char unfinished[] = "GET /livez HTTP/1.1\r\nX: ";
	char source[32];
	for (int i = 0; i < MORE_THAN_ALL; i++) {
		(void)snprintf(source, sizeof(source), "127.0.2.%d", 1 + i / 10);
		fds[i] = dial_from(source, port);
		send_text(fds[i], unfinished, strlen(unfinished));
	}
}

static void let_go(int fds[MORE_THAN_ALL])
{
	for (int i = 0; i < MORE_THAN_ALL; i++)
		(void)close(fds[i]);
}

static void after_all_connections_were_taken_it_serves_again(void **state)
{
	const struct fixture *f = *state;
	int fds[MORE_THAN_ALL];
	for (int round = 0; round < 5; round++) {
		take_all(web_port(f->web), fds);
		let_go(fds);
	}
	assert_answer(ask_raw_from("127.0.0.3", web_port(f->web), one_probe, strlen(one_probe)), "HTTP/1.1 200", "ok\n");
}

// A kubelet that gets no answer ends the operator.
static void silent_clients_from_many_addresses_do_not_keep_a_probe_out(void **state)
{
	const struct fixture *f = *state;
	int fds[MORE_THAN_ALL];
	take_all(web_port(f->web), fds);
	int64_t begin_mono_ms = clock_mono_ms();
	assert_answer(ask_raw_from("127.0.0.3", web_port(f->web), one_probe, strlen(one_probe)), "HTTP/1.1 200", "ok\n");
	assert_true(clock_mono_ms() - begin_mono_ms < WEB_REQUEST_LIMIT_MS / 2);
	let_go(fds);
}

static void a_slow_client_is_cut_off(void **state)
{
	const struct fixture *f = *state;
	int slow[SLOW];
	web_limit_requests(f->web, 700);
	for (int i = 0; i < SLOW; i++) {
		slow[i] = dial_from("127.0.0.1", web_port(f->web));
		send_text(slow[i], "GET /livez HTTP/1.1\r\n", strlen("GET /livez HTTP/1.1\r\n"));
	}

	int open = SLOW;
	int64_t deadline_mono_ms = clock_mono_ms() + ANSWER_LIMIT_MS;
	while (open > 0 && clock_mono_ms() < deadline_mono_ms) {
		for (int i = 0; i < SLOW; i++) {
			char byte;
			if (slow[i] < 0)
				continue;
			ssize_t sent = send(slow[i], "a", 1, MSG_NOSIGNAL);
			ssize_t got = recv(slow[i], &byte, 1, MSG_DONTWAIT);
			if (sent < 0 || got == 0 || (got < 0 && errno != EAGAIN)) {
				(void)close(slow[i]);
				slow[i] = -1;
				open--;
			}
		}
		(void)poll(NULL, 0, 20);
	}
	assert_int_equal(open, 0);
	assert_answer(ask(f, "GET", "/livez"), "HTTP/1.1 200", "ok\n");
}

// The limit is on a request: a connection may outlive it by far.
static void a_connection_in_use_is_kept(void **state)
{
	const struct fixture *f = *state;
	char answer[4096];
	web_limit_requests(f->web, 1500);
	int fd = dial_from("127.0.0.1", web_port(f->web));
	for (int i = 0; i < 25; i++) {
		static const char request[] = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
		send_text(fd, request, strlen(request));
		assert_true(read_until(fd, "\r\n\r\nok\n", answer, sizeof(answer)));
		assert_non_null(strstr(answer, "\r\n\r\nok\n"));
		(void)poll(NULL, 0, 100);
	}
	(void)close(fd);
}

static void an_idle_connection_is_closed(void **state)
{
	const struct fixture *f = *state;
	char answer[4096];
	web_limit_requests(f->web, 200);
	int fd = dial_from("127.0.0.1", web_port(f->web));
	assert_true(read_until(fd, NULL, answer, sizeof(answer)));
	assert_string_equal(answer, "");
	(void)close(fd);
}

// Nothing but the stop can end them; were it to wait, the test would not end.
static void a_stop_does_not_wait_for_clients(void **state)
{
	struct fixture *f = *state;
	web_limit_requests(f->web, INT32_MAX);
	int idle = dial_from("127.0.0.1", web_port(f->web));
	int slow = dial_from("127.0.0.1", web_port(f->web));
	char answer[4096];
	send_text(slow, "GET /li", strlen("GET /li"));
	assert_answer(ask(f, "GET", "/livez"), "HTTP/1.1 200", "ok\n");

	web_stop(f->web);
	f->web = NULL;
	assert_true(read_until(idle, NULL, answer, sizeof(answer)));
	assert_true(read_until(slow, NULL, answer, sizeof(answer)));
	(void)close(idle);
	(void)close(slow);
}

static void ipv6_is_listened_on_and_takes_ipv4_too(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};
	const struct web_probes probes = {is_live, is_ready, f};
	AUTO(web) struct web *web = NULL;
	if (web_start("[::]:0", f->metrics, &probes, NULL, &web, &err) < 0) {
		assert_int_equal(err.os_errno, EAFNOSUPPORT);
		print_message("# this kernel has no IPv6\n");
		skip();
	}
	assert_answer(ask_raw_from("127.0.0.1", web_port(web), one_probe, strlen(one_probe)), "HTTP/1.1 200", "ok\n");
}

// --- a source

// /text answers at once, /pieces as many bytes as the argument says, /cut fails after some, /endless never ends.
struct stream {
	struct source *of;
	size_t left;
	bool fails;
};

struct source {
	atomic_int opened, closed;
	char said[64]; // the argument of the last request
};

static ssize_t read_stream(void *arg, char *out, size_t room)
{
	struct stream *s = arg;
	if (s->left == 0)
		return s->fails ? -1 : 0;
	size_t n = s->left < room ? s->left : room;
	memset(out, 'x', n);
	s->left -= n;
	return (ssize_t)n;
}

static void close_stream(void *arg)
{
	struct stream *s = arg;
	atomic_fetch_add(&s->of->closed, 1);
	free(s);
}

static bool answer_from_source(void *arg, const struct web_request *request, struct web_answer *out)
{
	struct source *source = arg;
	const char *bytes = request->argument(request->of, "bytes");
	(void)snprintf(source->said, sizeof(source->said), "%s", bytes == NULL ? "" : bytes);
	*out = (struct web_answer){.status = 200, .type = "text/plain", .etag = "\"v1\""};
	if (strcmp(request->path, "/text") == 0) {
		bool is_known = request->if_none_match != NULL && strcmp(request->if_none_match, out->etag) == 0;
		out->status = is_known ? 304 : 200;
		out->text = is_known ? "" : "a text";
		return true;
	}
	if (strcmp(request->path, "/busy") == 0) {
		*out = (struct web_answer){.status = 503, .type = "text/plain", .policy = "default-src 'self'", .text = "busy"};
		return true;
	}
	if (strcmp(request->path, "/pieces") != 0 && strcmp(request->path, "/cut") != 0)
		return false;
	struct stream *s = malloc(sizeof(*s));
	assert_non_null(s);
	*s = (struct stream){source, bytes == NULL ? 100 : strtoul(bytes, NULL, 10), strcmp(request->path, "/cut") == 0};
	atomic_fetch_add(&source->opened, 1);
	out->read = read_stream;
	out->close = close_stream;
	out->stream = s;
	return true;
}

static bool all_closed(struct source *source)
{
	const int64_t deadline_mono_ms = clock_mono_ms() + ANSWER_LIMIT_MS;
	while (atomic_load(&source->closed) != atomic_load(&source->opened) && clock_mono_ms() < deadline_mono_ms)
		(void)poll(NULL, 0, 5);
	return atomic_load(&source->closed) == atomic_load(&source->opened);
}

static void a_source_answers_other_paths(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};
	struct source source = {0};
	const struct web_probes probes = {is_live, is_ready, f};
	const struct web_source of = {answer_from_source, &source};
	AUTO(web) struct web *web = NULL;
	assert_ok(web_start("127.0.0.1:0", f->metrics, &probes, &of, &web, &err), err);
	struct fixture with_source = {.web = web};

	const char *answer = ask(&with_source, "GET", "/text?bytes=%3Cx%3E+y");
	assert_answer(answer, "HTTP/1.1 200", "a text");
	assert_string_equal(source.said, "<x> y");
	const char *const headers[] = {"Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n",
		"X-Content-Type-Options: nosniff\r\n", "Referrer-Policy: no-referrer\r\n", "ETag: \"v1\"\r\n",
		"Cache-Control: no-cache\r\n", "Content-Type: text/plain\r\n"};
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		if (strstr(answer, headers[i]) == NULL)
			fail_msg("no %s in: %s", headers[i], answer);
	}
	const char *busy = ask(&with_source, "GET", "/busy");
	assert_answer(busy, "HTTP/1.1 503", "busy");
	assert_non_null(strstr(busy, "Retry-After: 2\r\n"));
	assert_non_null(strstr(busy, "Cache-Control: no-store\r\n"));
	assert_non_null(strstr(busy, "Content-Security-Policy: default-src 'self'\r\n"));
	assert_null(strstr(busy, "ETag"));
	static const char known[] = "GET /text HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"v1\"\r\nConnection: close\r\n\r\n";
	assert_answer(ask_raw_from("127.0.0.1", web_port(web), known, strlen(known)), "HTTP/1.1 304", "");
	assert_answer(ask(&with_source, "POST", "/text"), "HTTP/1.1 405", "only GET and HEAD are allowed here\n");
	assert_answer(ask(&with_source, "GET", "/nothing"), "HTTP/1.1 404",
		"not found; there is /, /status.json, /metrics, /livez and /readyz\n");
	assert_answer(ask(&with_source, "GET", "/livez"), "HTTP/1.1 200", "ok\n");
}

static void a_source_is_read_piece_by_piece(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};
	struct source source = {0};
	const struct web_probes probes = {is_live, is_ready, f};
	const struct web_source of = {answer_from_source, &source};
	AUTO(web) struct web *web = NULL;
	assert_ok(web_start("127.0.0.1:0", f->metrics, &probes, &of, &web, &err), err);
	struct fixture with_source = {.web = web};

	// HTTP/1.0 knows no chunks: the bytes as they are, to the end of the connection.
	static const char old[] = "GET /pieces?bytes=200000 HTTP/1.0\r\n\r\n";
	const char *body = strstr(ask_raw_from("127.0.0.1", web_port(web), old, strlen(old)), "\r\n\r\n") + 4;
	assert_int_equal(strspn(body, "x"), 200000);
	assert_int_equal(strlen(body), 200000);
	assert_true(all_closed(&source));

	const char *whole = ask(&with_source, "GET", "/pieces");
	assert_non_null(strstr(whole, "Transfer-Encoding: chunked"));
	assert_non_null(strstr(whole, "\r\n0\r\n\r\n"));
	// One that cannot be finished must not look finished.
	assert_null(strstr(ask(&with_source, "GET", "/cut"), "\r\n0\r\n\r\n"));
	assert_int_equal(strncmp(ask(&with_source, "HEAD", "/pieces"), "HTTP/1.1 200", 12), 0);

	// A client that goes away in the middle.
	int fd = dial_from("127.0.0.1", web_port(web));
	static const char large[] = "GET /pieces?bytes=100000000 HTTP/1.1\r\nHost: x\r\n\r\n";
	send_text(fd, large, strlen(large));
	assert_true(read_until(fd, "xxxx", answer_text, sizeof(answer_text)));
	(void)close(fd);
	assert_true(all_closed(&source));
	assert_int_equal(atomic_load(&source.opened), 5);
}

static void a_large_answer_may_take_its_time(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};
	struct source source = {0};
	const struct web_probes probes = {is_live, is_ready, f};
	const struct web_source of = {answer_from_source, &source};
	AUTO(web) struct web *web = NULL;
	assert_ok(web_start("127.0.0.1:0", f->metrics, &probes, &of, &web, &err), err);
	web_limit_requests(web, 300);

	// More than the sockets hold.
	static const char large[] = "GET /pieces?bytes=30000000 HTTP/1.0\r\n\r\n";
	int fd = dial_from("127.0.0.1", web_port(web));
	send_text(fd, large, strlen(large));
	size_t total = 0;
	ssize_t n = recv(fd, answer_text, sizeof(answer_text), 0);
	(void)poll(NULL, 0, 600); // twice the limit; nothing can tell when that is over but the clock
	for (; n > 0; n = recv(fd, answer_text, sizeof(answer_text), 0))
		total += (size_t)n;
	(void)close(fd);
	assert_true(total > 30000000);

	assert_true(all_closed(&source));
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test_setup_teardown(probes_and_errors_are_plain_text, setup, teardown),
		cmocka_unit_test_setup_teardown(a_failed_probe_says_why, setup, teardown),
		cmocka_unit_test_setup_teardown(metrics_are_served_with_their_content_type, setup, teardown),
		cmocka_unit_test_setup_teardown(a_connection_serves_many_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(bodies_are_not_read, setup, teardown),
		cmocka_unit_test_setup_teardown(a_request_that_is_too_long_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(garbage_does_no_harm, setup, teardown),
		cmocka_unit_test_setup_teardown(one_address_cannot_take_all_connections, setup, teardown),
		cmocka_unit_test_setup_teardown(after_all_connections_were_taken_it_serves_again, setup, teardown),
		cmocka_unit_test_setup_teardown(silent_clients_from_many_addresses_do_not_keep_a_probe_out, setup, teardown),
		cmocka_unit_test_setup_teardown(a_slow_client_is_cut_off, setup, teardown),
		cmocka_unit_test_setup_teardown(a_connection_in_use_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(an_idle_connection_is_closed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_stop_does_not_wait_for_clients, setup, teardown),
		cmocka_unit_test_setup_teardown(ipv6_is_listened_on_and_takes_ipv4_too, setup, teardown),
		cmocka_unit_test_setup_teardown(a_source_answers_other_paths, setup, teardown),
		cmocka_unit_test_setup_teardown(a_source_is_read_piece_by_piece, setup, teardown),
		cmocka_unit_test_setup_teardown(a_large_answer_may_take_its_time, setup, teardown),
	};
	return cmocka_run_group_tests_name("reconciler/web", cases, NULL, NULL);
}
