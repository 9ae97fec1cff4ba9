#include "reconciler/web.h"

#include "base/clock.h"
#include "base/listen.h"
#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

// A scraper, a kubelet and a few people are expected; 16 from one address leave room for the others whatever that one does.
#define CONNECTIONS_MAX 64U
#define CONNECTIONS_PER_IP_MAX 16U

// From so many on, a connection has this long instead of web_limit_requests()'s: neighbours that hold them all would keep the
// kubelet's probes out, and it would then end the operator. An honest request takes a few milliseconds.
#define CONNECTIONS_PRESSED (CONNECTIONS_MAX / 4 * 3)
#define PRESSED_LIMIT_MS 100

// Request line, headers and answer headers of one connection. A longer request gets 431 or 414 from libmicrohttpd.
#define CONNECTION_BYTES_MAX ((size_t)16 << 10)

#define PAGE_MAX ((size_t)4 << 20)
#define WHY_SIZE 512

// Of a body that is made while it is sent: what is in memory for each that reads one.
#define PIECE_BYTES ((size_t)16 << 10)

struct connection {
	int fd; // libmicrohttpd's
	int64_t cut_at_mono_ms;
	struct connection *next, **slot;
};

// The daemon is run by our thread alone, so that its callbacks and the list of connections need no lock.
struct web {
	struct MHD_Daemon *daemon;
	struct metrics *metrics;
	struct web_probes probes;
	struct web_source source; // answer NULL: none
	int port;
	int stop_fd; // eventfd
	pthread_t thread;
	atomic_llong limit_ms;
	struct connection *connections;
	unsigned int connection_count;
	bool has_closed; // one of them, since the daemon was run last
};

static void noticed_connection(void *arg, struct MHD_Connection *made, void **context, enum MHD_ConnectionNotificationCode code)
{
	struct web *web = arg;
	struct connection *connection = *context;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (connection == NULL)
			return;
		*connection->slot = connection->next;
		if (connection->next != NULL)
			connection->next->slot = connection->slot;
		web->connection_count--;
		web->has_closed = true;
		free(connection);
		*context = NULL;
		return;
	}
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(made, MHD_CONNECTION_INFO_CONNECTION_FD);
	connection = malloc(sizeof(*connection));
	if (connection == NULL) {
		(void)shutdown(info->connect_fd, SHUT_RDWR); // nobody could cut it off later
		return;
	}
	*connection = (struct connection){.fd = info->connect_fd,
		.cut_at_mono_ms = clock_mono_ms() + atomic_load(&web->limit_ms),
		.next = web->connections,
		.slot = &web->connections};
	if (connection->next != NULL)
		connection->next->slot = &connection->next;
	web->connections = connection;
	web->connection_count++;
	*context = connection;
}

// NULL: there was no memory for it.
static struct connection *connection_of(struct MHD_Connection *made)
{
	return MHD_get_connection_info(made, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static void finished_request(void *arg, struct MHD_Connection *made, void **request, enum MHD_RequestTerminationCode code)
{
	struct web *web = arg;
	(void)request;
	(void)code;
	struct connection *connection = connection_of(made);
	if (connection != NULL)
		connection->cut_at_mono_ms = clock_mono_ms() + atomic_load(&web->limit_ms);
}

// libmicrohttpd's own time-out starts again with every byte. It sees the end of a socket that we shut and closes it.
static int64_t cut_slow_connections(struct web *web, int64_t now_mono_ms)
{
	int64_t next_mono_ms = INT64_MAX;
	int64_t limit_ms = atomic_load(&web->limit_ms);
	bool is_pressed = web->connection_count >= CONNECTIONS_PRESSED;
	int64_t sooner_ms = is_pressed && limit_ms > PRESSED_LIMIT_MS ? limit_ms - PRESSED_LIMIT_MS : 0;
	for (struct connection *c = web->connections; c != NULL; c = c->next) {
		if (c->cut_at_mono_ms == INT64_MAX)
			continue;
		if (c->cut_at_mono_ms - sooner_ms <= now_mono_ms) {
			(void)shutdown(c->fd, SHUT_RDWR);
			c->cut_at_mono_ms = INT64_MAX;
		} else if (c->cut_at_mono_ms - sooner_ms < next_mono_ms) {
			next_mono_ms = c->cut_at_mono_ms - sooner_ms;
		}
	}
	return next_mono_ms;
}

static enum MHD_Result send_text(struct MHD_Connection *to, unsigned int status, const char *type, char *body, size_t len)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(len, body, MHD_RESPMEM_MUST_FREE);
	if (response == NULL) {
		free(body);
		return MHD_NO;
	}
	enum MHD_Result rc = MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (rc == MHD_YES)
		rc = MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (rc == MHD_YES && status == MHD_HTTP_METHOD_NOT_ALLOWED)
		rc = MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	if (rc == MHD_YES)
		rc = MHD_queue_response(to, status, response);
	MHD_destroy_response(response);
	return rc;
}

static enum MHD_Result send_words(struct MHD_Connection *to, unsigned int status, const char *words)
{
	char *body = strdup(words);
	return body == NULL ? MHD_NO : send_text(to, status, "text/plain; charset=utf-8", body, strlen(body));
}

static enum MHD_Result send_metrics(struct web *web, struct MHD_Connection *to)
{
	struct error err = {0};
	AUTO(buf) struct buf page;
	buf_init(&page, PAGE_MAX);
	if (metrics_render(web->metrics, &page, &err) < 0)
		return send_words(to, MHD_HTTP_INTERNAL_SERVER_ERROR, "the metrics cannot be written\n");
	size_t len = page.len;
	return send_text(to, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", TAKE_PTR(page.data), len);
}

// As Kubernetes' own components answer: "ok", or with ?verbose a line per check; a failure says why in both.
static enum MHD_Result send_probe(
	struct web *web, struct MHD_Connection *to, const char *name, bool (*probe)(void *arg, char *why, size_t why_size))
{
	char why[WHY_SIZE] = "";
	char text[WHY_SIZE + 128];
	bool is_verbose =
		MHD_lookup_connection_value_n(to, MHD_GET_ARGUMENT_KIND, "verbose", strlen("verbose"), NULL, NULL) == MHD_YES;

	bool passed = probe(web->probes.arg, why, sizeof(why));
	if (passed && !is_verbose)
		return send_words(to, MHD_HTTP_OK, "ok\n");
	if (passed)
		(void)snprintf(text, sizeof(text), "[+]%s ok\n%s check passed\n", name, name);
	else
		(void)snprintf(text, sizeof(text), "[-]%s failed: %s\n%s check failed\n", name, why, name);
	return send_words(to, passed ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, text);
}

// --- a source's answers

static const char *argument(const void *of, const char *name)
{
	// libmicrohttpd's getters take no const, and change nothing.
	struct MHD_Connection *connection;
	memcpy(&connection, of, sizeof(connection));
	return MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, name);
}

// What is behind a response that is read piece by piece; libmicrohttpd frees it with the response.
struct piece_source {
	struct connection *connection; // NULL: there was no memory for it
	ssize_t (*read)(void *stream, char *out, size_t room);
	void (*close)(void *stream);
	void *stream;
};

static ssize_t read_piece(void *arg, uint64_t at, char *out, size_t room)
{
	const struct piece_source *source = arg;
	(void)at;
	ssize_t n = source->read(source->stream, out, room);
	// What came before has been sent: who takes so much has earned the time for it.
	if (n > 0 && source->connection != NULL && source->connection->cut_at_mono_ms != INT64_MAX)
		source->connection->cut_at_mono_ms += (int64_t)n * 1000 / WEB_LEAST_BYTES_PER_S;
	return n < 0 ? MHD_CONTENT_READER_END_WITH_ERROR : n == 0 ? MHD_CONTENT_READER_END_OF_STREAM : n;
}

static void close_pieces(void *arg)
{
	struct piece_source *source = arg;
	source->close(source->stream);
	free(source);
}

static struct MHD_Response *respond_in_pieces(struct MHD_Connection *to, const struct web_answer *answer)
{
	struct piece_source *source = malloc(sizeof(*source));
	struct MHD_Response *response = NULL;
	if (source != NULL) {
		*source = (struct piece_source){
			.connection = connection_of(to), .read = answer->read, .close = answer->close, .stream = answer->stream};
		response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PIECE_BYTES, read_piece, source, close_pieces);
	}
	if (response == NULL) {
		answer->close(answer->stream);
		free(source);
	}
	return response;
}

static struct MHD_Response *respond_with_text(const char *text)
{
	// Never written, but MHD's buffers are not const.
	void *body;
	memcpy(&body, &text, sizeof(body));
	return MHD_create_response_from_buffer(strlen(text), body, MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result send_answer(struct MHD_Connection *to, const struct web_answer *answer)
{
	struct MHD_Response *response = answer->text != NULL ? respond_with_text(answer->text) : respond_in_pieces(to, answer);
	if (response == NULL)
		return MHD_NO;
	const char *headers[][2] = {{MHD_HTTP_HEADER_CONTENT_TYPE, answer->type},
		{"Content-Security-Policy",
			answer->policy != NULL ? answer->policy : "default-src 'none'; frame-ancestors 'none'"},
		{"X-Content-Type-Options", "nosniff"}, {"Referrer-Policy", "no-referrer"},
		// What has an ETag may be kept, and is asked for again each time.
		{MHD_HTTP_HEADER_CACHE_CONTROL, answer->etag[0] == '\0' ? "no-store" : "no-cache"},
		{MHD_HTTP_HEADER_ETAG, answer->etag},
		{MHD_HTTP_HEADER_RETRY_AFTER, answer->status == MHD_HTTP_SERVICE_UNAVAILABLE ? "2" : ""}};
	enum MHD_Result rc = MHD_YES;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]) && rc == MHD_YES; i++) {
		if (headers[i][1][0] != '\0')
			rc = MHD_add_response_header(response, headers[i][0], headers[i][1]);
	}
	if (rc == MHD_YES)
		rc = MHD_queue_response(to, answer->status, response);
	MHD_destroy_response(response);
	return rc;
}

static enum MHD_Result ask_source(struct web *web, struct MHD_Connection *to, const char *path)
{
	struct web_answer answer = {0};
	const struct web_request request = {.path = path,
		.if_none_match = MHD_lookup_connection_value(to, MHD_HEADER_KIND, MHD_HTTP_HEADER_IF_NONE_MATCH),
		.argument = argument,
		.of = &to};
	if (web->source.answer == NULL || !web->source.answer(web->source.arg, &request, &answer))
		return send_words(to, MHD_HTTP_NOT_FOUND,
			web->source.answer == NULL ? "not found; there is /metrics, /livez and /readyz\n"
						   : "not found; there is /, /status.json, /metrics, /livez and /readyz\n");
	return send_answer(to, &answer);
}

static enum MHD_Result route(struct web *web, struct MHD_Connection *to, const char *path)
{
	if (strcmp(path, "/metrics") == 0)
		return send_metrics(web, to);
	if (strcmp(path, "/livez") == 0 || strcmp(path, "/healthz") == 0)
		return send_probe(web, to, path + 1, web->probes.is_live);
	if (strcmp(path, "/readyz") == 0)
		return send_probe(web, to, path + 1, web->probes.is_ready);
	return ask_source(web, to, path);
}

// Called once with the headers, then with each piece of a body, then once more. No body is wanted: another method is answered
// before its body is read, and a GET with a body is cut off at the first piece.
static enum MHD_Result answer(void *arg, struct MHD_Connection *to, const char *path, const char *method, const char *version,
	const char *body, size_t *body_len, void **request)
{
	static char seen;
	(void)version;
	(void)body;

	if (*request == NULL) {
		*request = &seen;
		if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
			return send_words(to, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD are allowed here\n");
		return MHD_YES;
	}
	return *body_len > 0 ? MHD_NO : route(arg, to, path);
}

static int poll_timeout_ms(struct web *web, int64_t now_mono_ms, int64_t next_mono_ms)
{
	unsigned long long wanted_ms;
	int64_t wait_ms = next_mono_ms == INT64_MAX ? INT32_MAX : next_mono_ms - now_mono_ms;
	if (MHD_get_timeout(web->daemon, &wanted_ms) == MHD_YES && wanted_ms < (unsigned long long)wait_ms)
		wait_ms = (int64_t)wanted_ms;
	return next_mono_ms == INT64_MAX && wait_ms == INT32_MAX ? -1 : (int)wait_ms;
}

static void *serve(void *arg)
{
	struct web *web = arg;
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(web->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	struct pollfd waits[] = {{.fd = info->epoll_fd, .events = POLLIN}, {.fd = web->stop_fd, .events = POLLIN}};

	while (waits[1].revents == 0) {
		web->has_closed = false;
		(void)MHD_run(web->daemon);
		int64_t now_mono_ms = clock_mono_ms();
		int64_t next_mono_ms = cut_slow_connections(web, now_mono_ms);
		// At its limit the daemon takes the listening socket out of its epoll set, and only a run after that in which a
		// connection ended puts it back (0.9.75): without one more run it would never be woken again.
		int wait_ms = web->has_closed ? 0 : poll_timeout_ms(web, now_mono_ms, next_mono_ms);
		(void)poll(waits, 2, wait_ms);
	}
	return NULL;
}

// Signals are the main thread's business.
static int start_thread(struct web *web, struct error *err)
{
	sigset_t all, before;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = pthread_create(&web->thread, NULL, serve, web);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		return error_set_errno(err, rc, "start the thread of the web listener");
	(void)pthread_setname_np(web->thread, "web");
	return 0;
}

static void web_release(struct web *web)
{
	if (web->daemon != NULL)
		MHD_stop_daemon(web->daemon);
	if (web->stop_fd >= 0)
		(void)close(web->stop_fd);
	free(web);
}

DEFINE_AUTO(struct web, web_release, web_release)

int web_start(const char *addr, struct metrics *metrics, const struct web_probes *probes, const struct web_source *source,
	struct web **out, struct error *err)
{
	AUTO(web_release) struct web *web = malloc(sizeof(*web));
	if (web == NULL)
		return error_no_memory(err, "web listener");
	*web = (struct web){.metrics = metrics, .probes = *probes, .stop_fd = -1, .limit_ms = WEB_REQUEST_LIMIT_MS};
	if (source != NULL)
		web->source = *source;
	web->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (web->stop_fd < 0)
		return error_set_errno(err, errno, "make an eventfd");

	AUTO_CLOSE int fd = -1;
	if (listen_open(addr, &fd, &web->port, err) < 0)
		return -1;
	web->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, answer, web, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT, CONNECTIONS_PER_IP_MAX,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES_MAX, MHD_OPTION_NOTIFY_CONNECTION, noticed_connection, web,
		MHD_OPTION_NOTIFY_COMPLETED, finished_request, web, MHD_OPTION_END);
	// From here on the socket is libmicrohttpd's. Whether it closed it when it could not start is not said anywhere, so it is
	// left alone.
	(void)take_fd(&fd);
	if (web->daemon == NULL)
		return error_set(err, ERROR_INTERNAL, "libmicrohttpd does not start on %s", addr);
	if (start_thread(web, err) < 0)
		return -1;
	*out = TAKE_PTR(web);
	return 0;
}

int web_port(const struct web *web)
{
	return web->port;
}

void web_limit_requests(struct web *web, int64_t limit_ms)
{
	atomic_store(&web->limit_ms, limit_ms);
}

void web_stop(struct web *web)
{
	if (web == NULL)
		return;
	(void)eventfd_write(web->stop_fd, 1);
	(void)pthread_join(web->thread, NULL);
	web_release(web);
}
