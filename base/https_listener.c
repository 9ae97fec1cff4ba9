#include "base/https_listener.h"

#include "base/clock.h"
#include "base/listen.h"
#include <errno.h>
#include <fcntl.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

// Request line, headers, a piece of body and answer headers of one connection: a ServiceAccount's token has 1 to 2 KiB, a chain
// of extra claims more. A longer head gets 431 or 414 from libmicrohttpd.
#define CONNECTION_BYTES_MAX ((size_t)16 << 10)
#define ANSWER_MAX ((size_t)1 << 20)
#define SERVE_STACK_BYTES ((size_t)512 << 10) // libcurl and OpenSSL need a tenth of it
#define CHAIN_MAX 8
#define PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

struct connection {
	int fd; // a copy of libmicrohttpd's, which closes its own when it likes
	int64_t cut_at_mono_ms;
	struct connection *next, **slot;
};

struct certificate {
	char *cert_pem;
	struct secret key_pem;
};

struct https_listener {
	struct MHD_Daemon *daemon;
	https_listener_refuse refuse;
	https_listener_serve serve;
	void *arg;
	size_t body_max_bytes;
	size_t pressed_count; // from so many connections on HTTPS_LISTENER_PRESSED_LIMIT_MS counts
	int64_t limit_ms;
	int port;
	int wake_fd; // eventfd of the watchman
	pthread_t watchman;
	bool has_watchman;

	pthread_mutex_t lock; // guards what follows
	pthread_cond_t served;
	bool is_stopping;
	size_t serving; // handlers that are running
	struct connection *connections;
	size_t connection_count;
	struct certificate certificate;
};

// One request, from its head to the end of its answer. While its handler runs, the connection is suspended and only the handler's
// thread touches it.
struct exchange {
	struct https_listener *listener;
	struct MHD_Connection *connection;
	char *method, *path;
	struct secret authorization;
	struct https_listener_request request;
	struct buf body;
	struct https_listener_answer answer;
	bool is_answered;
};

// libmicrohttpd hands nothing of ours to the callback that gives the certificate, but calls it on the thread that runs the
// daemon.
static _Thread_local struct https_listener *running;

static void certificate_fini(struct certificate *certificate)
{
	free(certificate->cert_pem);
	secret_fini(&certificate->key_pem);
}

static void wipe_buf(struct buf *b)
{
	if (b->data != NULL)
		secret_wipe(b->data, b->room);
	buf_fini(b);
}

static gnutls_datum_t datum_of(const char *text)
{
	return (gnutls_datum_t){.data = (unsigned char *)(uintptr_t)text, .size = (unsigned int)strlen(text)};
}

static int import_pair(const struct certificate *from, gnutls_pcert_st *chain, unsigned int *chain_len, gnutls_privkey_t *key)
{
	const gnutls_datum_t cert = datum_of(from->cert_pem);
	const gnutls_datum_t key_text = datum_of(secret_reveal(&from->key_pem));
	if (gnutls_privkey_init(key) < 0)
		return -1;
	if (gnutls_privkey_import_x509_raw(*key, &key_text, GNUTLS_X509_FMT_PEM, NULL, 0) < 0 ||
		gnutls_pcert_list_import_x509_raw(chain, chain_len, &cert, GNUTLS_X509_FMT_PEM, 0) < 0) {
		gnutls_privkey_deinit(*key);
		return -1;
	}
	return 0;
}

// For each handshake a copy of its own, which GnuTLS releases: an exchange of the certificate then never meets one that is in
// use. Parsing costs a fraction of the signature that follows.
static int give_certificate(gnutls_session_t session, const struct gnutls_cert_retr_st *info, gnutls_pcert_st **chain,
	unsigned int *chain_len, gnutls_ocsp_data_st **ocsp, unsigned int *ocsp_len, gnutls_privkey_t *key, unsigned int *flags)
{
	(void)session;
	(void)info;
	gnutls_pcert_st *made = gnutls_calloc(CHAIN_MAX, sizeof(*made));
	if (made == NULL)
		return -1;
	*chain_len = CHAIN_MAX;
	(void)pthread_mutex_lock(&running->lock);
	int rc = import_pair(&running->certificate, made, chain_len, key);
	(void)pthread_mutex_unlock(&running->lock);
	if (rc < 0) {
		gnutls_free(made);
		return -1;
	}
	*chain = made;
	*ocsp = NULL;
	*ocsp_len = 0;
	*flags = GNUTLS_CERT_RETR_DEINIT_ALL;
	return 0;
}

// GnuTLS compares the key with the certificate only here.
static int check_pair(const char *cert_pem, const struct secret *key_pem, struct error *err)
{
	gnutls_certificate_credentials_t probe = NULL;
	const gnutls_datum_t cert = datum_of(cert_pem);
	const gnutls_datum_t key = datum_of(secret_reveal(key_pem));
	if (gnutls_certificate_allocate_credentials(&probe) < 0)
		return error_no_memory(err, "certificate of the listener");
	int rc = gnutls_certificate_set_x509_key_mem2(probe, &cert, &key, GNUTLS_X509_FMT_PEM, NULL, 0);
	gnutls_certificate_free_credentials(probe);
	if (rc == GNUTLS_E_MEMORY_ERROR)
		return error_no_memory(err, "certificate of the listener");
	return rc < 0 ? error_set(err, ERROR_INVALID, "certificate of the listener: %s", gnutls_strerror(rc)) : 0;
}

int https_listener_set_certificate(
	struct https_listener *listener, const char *cert_pem, const struct secret *key_pem, struct error *err)
{
	struct certificate made = {0};
	if (check_pair(cert_pem, key_pem, err) < 0 || secret_set(&made.key_pem, secret_reveal(key_pem), err) < 0)
		return -1;
	made.cert_pem = strdup(cert_pem);
	if (made.cert_pem == NULL) {
		certificate_fini(&made);
		return error_no_memory(err, "certificate of the listener");
	}
	(void)pthread_mutex_lock(&listener->lock);
	struct certificate old = listener->certificate;
	listener->certificate = made;
	(void)pthread_mutex_unlock(&listener->lock);
	certificate_fini(&old);
	return 0;
}

static struct connection *connection_of(struct MHD_Connection *made)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(made, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	return info == NULL ? NULL : info->socket_context;
}

// cut_at_mono_ms INT64_MAX: no limit.
static void set_limit(struct https_listener *listener, struct MHD_Connection *made, int64_t cut_at_mono_ms)
{
	struct connection *connection = connection_of(made);
	if (connection == NULL)
		return;
	(void)pthread_mutex_lock(&listener->lock);
	connection->cut_at_mono_ms = cut_at_mono_ms;
	(void)pthread_mutex_unlock(&listener->lock);
	(void)eventfd_write(listener->wake_fd, 1);
}

static void forget_connection(struct https_listener *listener, struct connection *connection)
{
	(void)pthread_mutex_lock(&listener->lock);
	*connection->slot = connection->next;
	if (connection->next != NULL)
		connection->next->slot = connection->slot;
	listener->connection_count--;
	(void)pthread_mutex_unlock(&listener->lock);
	(void)close(connection->fd);
	free(connection);
}

static struct connection *watch_connection(struct https_listener *listener, int fd)
{
	struct connection *connection = malloc(sizeof(*connection));
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (connection == NULL || copy < 0) {
		// Nobody could cut it off later.
		(void)shutdown(fd, SHUT_RDWR);
		if (copy >= 0)
			(void)close(copy);
		free(connection);
		return NULL;
	}
	(void)pthread_mutex_lock(&listener->lock);
	*connection = (struct connection){.fd = copy,
		.cut_at_mono_ms = clock_mono_ms() + listener->limit_ms,
		.next = listener->connections,
		.slot = &listener->connections};
	if (connection->next != NULL)
		connection->next->slot = &connection->next;
	listener->connections = connection;
	listener->connection_count++;
	(void)pthread_mutex_unlock(&listener->lock);
	(void)eventfd_write(listener->wake_fd, 1);
	return connection;
}

static void noticed_connection(void *arg, struct MHD_Connection *made, void **context, enum MHD_ConnectionNotificationCode code)
{
	running = arg;
	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (*context != NULL)
			forget_connection(running, *context);
		*context = NULL;
		return;
	}
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(made, MHD_CONNECTION_INFO_CONNECTION_FD);
	*context = info == NULL ? NULL : watch_connection(running, info->connect_fd);
}

// libmicrohttpd's own time-out starts again with every byte. It sees the end of a socket that we shut and closes it. Returns how
// long to sleep, -1 for as long as nothing comes.
static int cut_slow_connections(struct https_listener *listener)
{
	int64_t now_mono_ms = clock_mono_ms();
	int64_t next_mono_ms = INT64_MAX;
	(void)pthread_mutex_lock(&listener->lock);
	bool is_stopping = listener->is_stopping;
	bool is_pressed = listener->connection_count >= listener->pressed_count;
	int64_t sooner_ms = is_pressed && listener->limit_ms > HTTPS_LISTENER_PRESSED_LIMIT_MS
				    ? listener->limit_ms - HTTPS_LISTENER_PRESSED_LIMIT_MS
				    : 0;
	for (struct connection *c = listener->connections; c != NULL; c = c->next) {
		if (c->cut_at_mono_ms == INT64_MAX)
			continue;
		if (c->cut_at_mono_ms - sooner_ms <= now_mono_ms) {
			(void)shutdown(c->fd, SHUT_RDWR);
			c->cut_at_mono_ms = INT64_MAX;
		} else if (c->cut_at_mono_ms - sooner_ms < next_mono_ms) {
			next_mono_ms = c->cut_at_mono_ms - sooner_ms;
		}
	}
	(void)pthread_mutex_unlock(&listener->lock);
	if (is_stopping)
		return 0;
	return next_mono_ms - now_mono_ms < INT32_MAX ? (int)(next_mono_ms - now_mono_ms) : -1;
}

static void *keep_watch(void *arg)
{
	struct https_listener *listener = arg;
	for (int wait_ms; (wait_ms = cut_slow_connections(listener)) != 0;) {
		struct pollfd woken = {.fd = listener->wake_fd, .events = POLLIN};
		eventfd_t ignored;
		if (poll(&woken, 1, wait_ms) > 0)
			(void)eventfd_read(listener->wake_fd, &ignored);
	}
	return NULL;
}

static void exchange_free(struct exchange *exchange)
{
	free(exchange->method);
	free(exchange->path);
	secret_fini(&exchange->authorization);
	wipe_buf(&exchange->body);
	wipe_buf(&exchange->answer.body);
	free(exchange);
}

DEFINE_AUTO(struct exchange, exchange, exchange_free)

static void finished_request(void *arg, struct MHD_Connection *made, void **request, enum MHD_RequestTerminationCode code)
{
	struct https_listener *listener = arg;
	(void)code;
	if (*request != NULL)
		exchange_free(*request);
	*request = NULL;
	set_limit(listener, made, clock_mono_ms() + listener->limit_ms);
}

static void describe_peer(struct MHD_Connection *from, char out[HTTPS_LISTENER_PEER_SIZE])
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(from, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *address = info == NULL ? NULL : info->client_addr;
	socklen_t len =
		address != NULL && address->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	if (address == NULL || getnameinfo(address, len, out, HTTPS_LISTENER_PEER_SIZE, NULL, 0, NI_NUMERICHOST) != 0)
		(void)snprintf(out, HTTPS_LISTENER_PEER_SIZE, "unknown");
}

static const char *header_of(struct MHD_Connection *from, const char *name)
{
	return MHD_lookup_connection_value(from, MHD_HEADER_KIND, name);
}

// libmicrohttpd has refused what is no number already.
static int64_t length_of(struct MHD_Connection *from)
{
	const char *length = header_of(from, MHD_HTTP_HEADER_CONTENT_LENGTH);
	if (length == NULL || header_of(from, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL)
		return -1;
	return strtoll(length, NULL, 10);
}

static struct exchange *exchange_new(
	struct https_listener *listener, struct MHD_Connection *from, const char *method, const char *path)
{
	struct error ignored;
	AUTO(exchange) struct exchange *exchange = calloc(1, sizeof(*exchange));
	if (exchange == NULL)
		return NULL;
	exchange->listener = listener;
	exchange->connection = from;
	buf_init(&exchange->body, listener->body_max_bytes);
	buf_init(&exchange->answer.body, ANSWER_MAX);
	exchange->answer.status = MHD_HTTP_INTERNAL_SERVER_ERROR;
	exchange->method = strdup(method);
	exchange->path = strdup(path);
	if (exchange->method == NULL || exchange->path == NULL ||
		secret_set(&exchange->authorization, header_of(from, MHD_HTTP_HEADER_AUTHORIZATION), &ignored) < 0)
		return NULL;
	exchange->request = (struct https_listener_request){.method = exchange->method,
		.path = exchange->path,
		.authorization = secret_reveal(&exchange->authorization),
		.content_length = length_of(from),
		.body = ""};
	describe_peer(from, exchange->request.peer);
	return TAKE_PTR(exchange);
}

static bool add_headers(struct MHD_Response *response, const struct https_listener_answer *answer)
{
	bool good = MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") == MHD_YES;
	if (answer->content_type != NULL)
		good = good && MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->content_type) == MHD_YES;
	for (size_t i = 0; i < sizeof(answer->headers) / sizeof(answer->headers[0]) && answer->headers[i][0] != NULL; i++)
		good = good && MHD_add_response_header(response, answer->headers[i][0], answer->headers[i][1]) == MHD_YES;
	if (answer->retry_after_s > 0) {
		char text[24];
		(void)snprintf(text, sizeof(text), "%lld", (long long)answer->retry_after_s);
		good = good && MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, text) == MHD_YES;
	}
	return good;
}

// The bytes stay in the exchange, which ends after the answer.
static enum MHD_Result send_answer(struct exchange *exchange)
{
	struct buf *body = &exchange->answer.body;
	struct MHD_Response *response = MHD_create_response_from_buffer(body->len, body->data, MHD_RESPMEM_PERSISTENT);
	if (response == NULL)
		return MHD_NO;
	enum MHD_Result rc = MHD_NO;
	if (add_headers(response, &exchange->answer))
		rc = MHD_queue_response(exchange->connection, (unsigned int)exchange->answer.status, response);
	MHD_destroy_response(response);
	return rc;
}

static bool begin_serving(struct https_listener *listener)
{
	(void)pthread_mutex_lock(&listener->lock);
	bool may = !listener->is_stopping;
	listener->serving += may ? 1 : 0;
	(void)pthread_mutex_unlock(&listener->lock);
	return may;
}

static void end_serving(struct https_listener *listener)
{
	(void)pthread_mutex_lock(&listener->lock);
	listener->serving--;
	(void)pthread_cond_broadcast(&listener->served);
	(void)pthread_mutex_unlock(&listener->lock);
}

static void *serve_exchange(void *arg)
{
	struct exchange *exchange = arg;
	struct https_listener *listener = exchange->listener;
	listener->serve(listener->arg, &exchange->request, &exchange->answer);
	exchange->is_answered = true;
	MHD_resume_connection(exchange->connection); // from here on the exchange is the daemon's thread's again
	end_serving(listener);
	return NULL;
}

static int start_thread(struct exchange *exchange)
{
	pthread_attr_t attributes;
	pthread_t thread;
	if (pthread_attr_init(&attributes) != 0)
		return -1;
	(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	(void)pthread_attr_setstacksize(&attributes, SERVE_STACK_BYTES);
	int rc = pthread_create(&thread, &attributes, serve_exchange, exchange);
	(void)pthread_attr_destroy(&attributes);
	return rc == 0 ? 0 : -1;
}

// The time that the handler takes is not the client's.
static enum MHD_Result hand_over(struct exchange *exchange)
{
	struct https_listener *listener = exchange->listener;
	struct MHD_Connection *connection = exchange->connection;
	if (!begin_serving(listener))
		return MHD_NO;
	exchange->request.body = buf_str(&exchange->body);
	exchange->request.body_len = exchange->body.len;
	set_limit(listener, connection, INT64_MAX);
	MHD_suspend_connection(connection);
	if (start_thread(exchange) == 0)
		return MHD_YES;
	exchange->answer.status = MHD_HTTP_SERVICE_UNAVAILABLE;
	exchange->is_answered = true;
	MHD_resume_connection(connection);
	end_serving(listener);
	return MHD_YES;
}

// Called with the head, then with each piece of the body, then once more, and again when the handler is done.
static enum MHD_Result answer(void *arg, struct MHD_Connection *from, const char *path, const char *method, const char *version,
	const char *body, size_t *body_len, void **context)
{
	struct https_listener *listener = arg;
	struct exchange *exchange = *context;
	struct error ignored;
	(void)version;

	if (exchange == NULL) {
		exchange = exchange_new(listener, from, method, path);
		*context = exchange;
		if (exchange == NULL)
			return MHD_NO;
		return listener->refuse(listener->arg, &exchange->request, &exchange->answer) ? send_answer(exchange) : MHD_YES;
	}
	if (*body_len > 0) {
		if (buf_add(&exchange->body, body, *body_len, &ignored) < 0)
			return MHD_NO;
		*body_len = 0;
		return MHD_YES;
	}
	if (!exchange->is_answered)
		return hand_over(exchange);
	set_limit(listener, from, clock_mono_ms() + listener->limit_ms);
	return send_answer(exchange);
}

// Paths are compared as they came: "%2F" is no slash, "%00" no end.
static size_t keep_escapes(void *arg, struct MHD_Connection *connection, char *text)
{
	(void)arg;
	(void)connection;
	return strlen(text);
}

static void stop_handlers(struct https_listener *listener)
{
	(void)pthread_mutex_lock(&listener->lock);
	listener->is_stopping = true;
	while (listener->serving > 0)
		(void)pthread_cond_wait(&listener->served, &listener->lock);
	(void)pthread_mutex_unlock(&listener->lock);
}

// libmicrohttpd must not be stopped while a connection is suspended: the handlers first.
static void release(struct https_listener *listener)
{
	stop_handlers(listener);
	if (listener->daemon != NULL)
		MHD_stop_daemon(listener->daemon);
	if (listener->has_watchman) {
		(void)eventfd_write(listener->wake_fd, 1);
		(void)pthread_join(listener->watchman, NULL);
	}
	if (listener->wake_fd >= 0)
		(void)close(listener->wake_fd);
	certificate_fini(&listener->certificate);
	(void)pthread_cond_destroy(&listener->served);
	(void)pthread_mutex_destroy(&listener->lock);
	free(listener);
}

DEFINE_AUTO(struct https_listener, release, release)

// poll, not epoll: in 0.9.75 a connection in its TLS handshake keeps an epoll daemon spinning (seen: one second of CPU for one
// second of a client that says nothing), and a daemon of an outer loop is not woken by MHD_resume_connection().
static int start_daemon(struct https_listener *listener, const struct https_listener_options *options, struct error *err)
{
	AUTO_CLOSE int fd = -1;
	if (listen_open(options->address, &fd, &listener->port, err) < 0)
		return -1;
	listener->daemon = MHD_start_daemon(MHD_USE_POLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_TLS, 0, NULL, NULL,
		answer, listener, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_HTTPS_CERT_CALLBACK2, give_certificate,
		MHD_OPTION_HTTPS_PRIORITIES, PRIORITIES, MHD_OPTION_CONNECTION_LIMIT, options->connections_max,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, options->connections_per_ip_max, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		CONNECTION_BYTES_MAX, MHD_OPTION_NOTIFY_CONNECTION, noticed_connection, listener, MHD_OPTION_NOTIFY_COMPLETED,
		finished_request, listener, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_END);
	// From here on the socket is libmicrohttpd's. Whether it closed it when it could not start is not said anywhere, so it is
	// left alone.
	(void)take_fd(&fd);
	if (listener->daemon == NULL)
		return error_set(err, ERROR_INTERNAL, "libmicrohttpd does not start on %s", options->address);
	return 0;
}

// Signals are the main thread's business; the daemon's and the handlers' threads inherit that.
static int start_threads(struct https_listener *listener, const struct https_listener_options *options, struct error *err)
{
	sigset_t all, before;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	int made = pthread_create(&listener->watchman, NULL, keep_watch, listener);
	listener->has_watchman = made == 0;
	int rc = made == 0 ? start_daemon(listener, options, err) : error_set_errno(err, made, "start a thread of the listener");
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

int https_listener_start(const struct https_listener_options *options, struct https_listener **out, struct error *err)
{
	AUTO(release) struct https_listener *listener = calloc(1, sizeof(*listener));
	if (listener == NULL)
		return error_no_memory(err, "listener");
	listener->refuse = options->refuse;
	listener->serve = options->serve;
	listener->arg = options->arg;
	listener->body_max_bytes = options->body_max_bytes;
	listener->limit_ms = options->request_limit_ms;
	listener->pressed_count = (size_t)options->connections_max / 4 * 3;
	(void)pthread_mutex_init(&listener->lock, NULL);
	(void)pthread_cond_init(&listener->served, NULL);
	listener->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (listener->wake_fd < 0)
		return error_set_errno(err, errno, "make an eventfd");
	if (https_listener_set_certificate(listener, options->cert_pem, options->key_pem, err) < 0)
		return -1;
	if (start_threads(listener, options, err) < 0)
		return -1;
	*out = TAKE_PTR(listener);
	return 0;
}

int https_listener_port(const struct https_listener *listener)
{
	return listener->port;
}

void https_listener_stop(struct https_listener *listener)
{
	if (listener != NULL)
		release(listener);
}
