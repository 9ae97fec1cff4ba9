#include "base/http.h"

#include "base/clock.h"
#include <curl/curl.h>
#include <inttypes.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <strings.h>
#include <time.h>

// Seconds of silence before the kernel probes a connection, and between probes. A probe also keeps firewalls and NAT from
// forgetting an idle connection, which they commonly do after 5 minutes, some cloud balancers after 1. Linux counts probes
// (TCP_KEEPCNT, 9 by default: 20 + 9 * 5 s) unless TCP_USER_TIMEOUT is set; then it is that time since the last sign of the peer
// that ends the connection (net/ipv4/tcp_timer.c, tcp_keepalive_timer): 20, 25, 30, 35, and over at 40. The same time ends a
// connection whose sent bytes nobody acknowledges, for which the default is about 15 minutes.
#define KEEPALIVE_IDLE_S 20L
#define KEEPALIVE_INTERVAL_S 5L
#define HEADER_MAX ((size_t)64 << 10)

struct idle {
	CURL *easy;
	struct idle *next;
};

// An easy handle keeps its connection between requests. The one that was given back last is taken first, so that under less load
// fewer connections stay in use and the others grow old and are closed.
struct http_client {
	char *user_agent;
	char *ca_pem;
	char *client_cert_pem;
	struct secret client_key_pem;
	char *proxy;
	char *tls_server_name;
	bool skip_tls_verify;
	long connect_timeout_ms;
	const atomic_bool *cancel;

	pthread_mutex_t lock; // guards idle
	struct idle *idle;
};

DEFINE_AUTO(CURLU, curl_url, curl_url_cleanup)
DEFINE_AUTO(char, curl_text, curl_free)

// What the callbacks of one request share.
struct transfer {
	CURL *easy;
	const struct http_client *client;
	const struct http_request *request;
	struct http_response *response;
	size_t received;
	size_t max_body_bytes;
	int sent;            // times the request was put on the wire
	int64_t heard_at_ms; // monotonic: when the last byte came, and on_body was done with it
	bool head_complete;
	bool silent; // for longer than the request allows
	bool repeatable;
	bool failed; // a callback filled *err
	struct error *err;
};

static pthread_once_t global_once = PTHREAD_ONCE_INIT;
static CURLcode global_result;

static void global_init(void)
{
	// OpenSSL writes with write(2): to a connection that the server closed, that would end the process.
	struct sigaction now;
	if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
		(void)signal(SIGPIPE, SIG_IGN);
	global_result = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int copy_text(const char *from, char **to, struct error *err)
{
	if (from == NULL)
		return 0;
	*to = strdup(from);
	return *to == NULL ? error_no_memory(err, "HTTP client") : 0;
}

int http_client_new(const struct http_options *options, struct http_client **out, struct error *err)
{
	(void)pthread_once(&global_once, global_init);
	if (global_result != CURLE_OK)
		return error_set(err, ERROR_INTERNAL, "libcurl: %s", curl_easy_strerror(global_result));

	struct http_client *made = calloc(1, sizeof(*made));
	if (made == NULL)
		return error_no_memory(err, "HTTP client");
	(void)pthread_mutex_init(&made->lock, NULL);
	AUTO(http_client) struct http_client *client = made;
	client->skip_tls_verify = options->skip_tls_verify;
	client->connect_timeout_ms = options->connect_timeout_ms > 0 ? options->connect_timeout_ms : HTTP_CONNECT_TIMEOUT_MS;
	client->cancel = options->cancel;
	if (copy_text(options->user_agent, &client->user_agent, err) < 0 ||
		copy_text(options->ca_pem, &client->ca_pem, err) < 0 ||
		copy_text(options->client_cert_pem, &client->client_cert_pem, err) < 0 ||
		copy_text(options->proxy, &client->proxy, err) < 0 ||
		copy_text(options->tls_server_name, &client->tls_server_name, err) < 0)
		return -1;
	if (options->client_key_pem != NULL && options->client_key_pem->bytes != NULL &&
		secret_set(&client->client_key_pem, secret_reveal(options->client_key_pem), err) < 0)
		return -1;
	*out = TAKE_PTR(client);
	return 0;
}

void http_client_free(struct http_client *client)
{
	if (client == NULL)
		return;
	while (client->idle != NULL) {
		struct idle *first = client->idle;
		client->idle = first->next;
		curl_easy_cleanup(first->easy);
		free(first);
	}
	(void)pthread_mutex_destroy(&client->lock);
	secret_fini(&client->client_key_pem);
	free(client->user_agent);
	free(client->ca_pem);
	free(client->client_cert_pem);
	free(client->proxy);
	free(client->tls_server_name);
	free(client);
}

static struct idle *take_handle(struct http_client *client, struct error *err)
{
	(void)pthread_mutex_lock(&client->lock);
	struct idle *taken = client->idle;
	if (taken != NULL)
		client->idle = taken->next;
	(void)pthread_mutex_unlock(&client->lock);
	if (taken != NULL)
		return taken;

	taken = calloc(1, sizeof(*taken));
	if (taken != NULL)
		taken->easy = curl_easy_init();
	if (taken == NULL || taken->easy == NULL) {
		free(taken);
		(void)error_no_memory(err, "HTTP handle");
		return NULL;
	}
	return taken;
}

static void give_back(struct http_client *client, struct idle *handle)
{
	curl_easy_reset(handle->easy); // forgets the options and what they point to, keeps the connection
	(void)pthread_mutex_lock(&client->lock);
	handle->next = client->idle;
	client->idle = handle;
	(void)pthread_mutex_unlock(&client->lock);
}

static int status_of(CURL *easy)
{
	long status = 0;
	(void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	return (int)status;
}

static int take_body(struct transfer *t, const char *data, size_t len)
{
	if (len > t->max_body_bytes - t->received)
		return error_set(t->err, ERROR_INVALID, "the answer is longer than %zu bytes", t->max_body_bytes);
	t->received += len;
	if (t->request->on_body != NULL && status_of(t->easy) / 100 == 2)
		return t->request->on_body(t->request->arg, data, len, t->err);
	return buf_add(&t->response->body, data, len, t->err);
}

// CURLOPT_WRITEFUNCTION
static size_t on_write(char *data, size_t size, size_t count, void *arg)
{
	struct transfer *t = arg;
	size_t len = size * count;
	if (len == 0)
		return 0;
	if (take_body(t, data, len) < 0) {
		t->failed = true;
		return 0;
	}
	t->heard_at_ms = clock_mono_ms();
	return len;
}

// CURLOPT_HEADERFUNCTION. libcurl takes the end of the connection for the end of the head: only the empty line tells that it is
// whole.
static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
	struct transfer *t = arg;
	bool is_blank = line[0] == '\r' || line[0] == '\n';
	t->heard_at_ms = clock_mono_ms();
	if (is_blank && !t->head_complete && t->request->on_head != NULL && status_of(t->easy) / 100 == 2)
		t->request->on_head(t->request->arg, status_of(t->easy));
	if (is_blank)
		t->head_complete = true;
	else if (strncmp(line, "HTTP/", strlen("HTTP/")) == 0) // after a 1xx comes another; a trailer changes nothing
		t->head_complete = false;
	return size * count;
}

static bool is_cancelled(const struct transfer *t)
{
	const atomic_bool *of_client = t->client->cancel;
	const atomic_bool *of_request = t->request->cancel;
	return (of_client != NULL && atomic_load(of_client)) || (of_request != NULL && atomic_load(of_request));
}

static bool is_silent(const struct transfer *t)
{
	int64_t limit_ms = t->request->silence_timeout_ms;
	if (limit_ms > HTTP_TIMEOUT_MS && !t->head_complete)
		limit_ms = HTTP_TIMEOUT_MS;
	return limit_ms > 0 && clock_mono_ms() - t->heard_at_ms > limit_ms;
}

// CURLOPT_XFERINFOFUNCTION: at least once a second, also while connecting.
static int on_progress(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
	struct transfer *t = arg;
	(void)down_total;
	(void)down;
	(void)up_total;
	(void)up;
	t->silent = is_silent(t);
	return t->silent || is_cancelled(t) ? 1 : 0;
}

// CURLOPT_SOCKOPTFUNCTION. A connection works without it, only that a dead peer is found later.
static int on_socket(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	const unsigned int peer_timeout_ms = HTTP_PEER_TIMEOUT_MS;
	(void)arg;
	(void)purpose;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &peer_timeout_ms, sizeof(peer_timeout_ms));
	return CURL_SOCKOPT_OK;
}

// CURLOPT_PREREQFUNCTION. When a connection from the pool turns out to be closed, libcurl sends the request again on a new one.
// The server may have acted on the first, so only a request that changes nothing is let through twice.
static int on_send(void *arg, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
	struct transfer *t = arg;
	(void)remote_ip;
	(void)local_ip;
	(void)remote_port;
	(void)local_port;
	t->sent++;
	return t->sent > 1 && !t->repeatable ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

// The first option that fails ends the request: a request must not go out without, say, its CA.
#define SET(option, value)                                                                                            \
	do {                                                                                                          \
		CURLcode code_ = curl_easy_setopt(easy, option, value);                                               \
		if (code_ != CURLE_OK)                                                                                \
			return error_set(err, ERROR_INTERNAL, "libcurl: " #option ": %s", curl_easy_strerror(code_)); \
	} while (0)

static struct curl_blob blob_of(char *pem)
{
	return (struct curl_blob){.data = pem, .len = strlen(pem), .flags = CURL_BLOB_NOCOPY};
}

static int set_tls(CURL *easy, const struct http_client *client, struct error *err)
{
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (client->skip_tls_verify) {
		SET(CURLOPT_SSL_VERIFYPEER, 0L);
		SET(CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (client->ca_pem != NULL) {
		// libcurl's built-in CAPATH would be trusted beside the blob.
		struct curl_blob ca = blob_of(client->ca_pem);
		SET(CURLOPT_CAINFO_BLOB, &ca);
		SET(CURLOPT_CAPATH, NULL);
	}
	if (client->client_cert_pem != NULL) {
		struct curl_blob cert = blob_of(client->client_cert_pem);
		SET(CURLOPT_SSLCERT_BLOB, &cert);
	}
	if (client->client_key_pem.bytes != NULL) {
		struct curl_blob key = blob_of(client->client_key_pem.bytes);
		SET(CURLOPT_SSLKEY_BLOB, &key);
	}
	return 0;
}

static int set_connection(CURL *easy, const struct http_client *client, int64_t timeout_ms, struct error *err)
{
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	// A connection serves one request at a time here: HTTP/2 would add windows and frames and save nothing.
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	// Set even when empty: otherwise libcurl looks into the environment.
	SET(CURLOPT_PROXY, client->proxy == NULL ? "" : client->proxy);
	SET(CURLOPT_NOPROXY, "");
	SET(CURLOPT_CONNECTTIMEOUT_MS, client->connect_timeout_ms);
	SET(CURLOPT_TIMEOUT_MS, timeout_ms > 0 ? (long)timeout_ms : (long)HTTP_TIMEOUT_MS);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
	SET(CURLOPT_TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
	SET(CURLOPT_SOCKOPTFUNCTION, on_socket);
	SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L); // a proxy's head is not the answer's
	SET(CURLOPT_USERAGENT, client->user_agent);
	return 0;
}

static int set_callbacks(CURL *easy, struct transfer *t, struct error *err)
{
	SET(CURLOPT_WRITEFUNCTION, on_write);
	SET(CURLOPT_WRITEDATA, t);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, t);
	SET(CURLOPT_XFERINFOFUNCTION, on_progress);
	SET(CURLOPT_XFERINFODATA, t);
	SET(CURLOPT_NOPROGRESS, 0L);
	SET(CURLOPT_PREREQFUNCTION, on_send);
	SET(CURLOPT_PREREQDATA, t);
	size_t largest = t->max_body_bytes < INT64_MAX ? t->max_body_bytes : INT64_MAX;
	SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)largest); // refuses by Content-Length, before the first byte
	return 0;
}

// A body goes out with its length, and so does none where a server expects one (RFC 9110 section 8.6).
static int set_method(CURL *easy, const struct http_request *request, struct error *err)
{
	bool wants_body = strcmp(request->method, "POST") == 0 || strcmp(request->method, "PUT") == 0 ||
			  strcmp(request->method, "PATCH") == 0;
	if (request->body != NULL || wants_body) {
		SET(CURLOPT_POSTFIELDS, request->body == NULL ? "" : request->body);
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(request->body == NULL ? 0 : request->body_len));
	} else if (strcmp(request->method, "HEAD") == 0) {
		SET(CURLOPT_NOBODY, 1L);
	}
	SET(CURLOPT_CUSTOMREQUEST, request->method);
	return 0;
}

// For a certificate of another name than the URL's host: the URL takes that name (libcurl sends it as SNI and verifies it), the
// connection and the Host header keep the host.
static int set_server_name(CURL *easy, const struct http_client *client, CURLU *url, struct curl_slist **connect_to,
	struct buf *host_header, struct error *err)
{
	AUTO(curl_text) char *scheme = NULL;
	AUTO(curl_text) char *host = NULL;
	AUTO(curl_text) char *port = NULL;
	if (client->tls_server_name == NULL || curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
		strcmp(scheme, "https") != 0)
		return 0;
	if (curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
		curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK)
		return error_no_memory(err, "URL");

	AUTO(buf) struct buf text;
	buf_init(&text, HEADER_MAX);
	bool is_ipv6 = strchr(client->tls_server_name, ':') != NULL;
	if (buf_addf(&text, err, is_ipv6 ? "[%s]" : "%s", client->tls_server_name) < 0)
		return -1;
	if (curl_url_set(url, CURLUPART_HOST, buf_str(&text), 0) != CURLUE_OK)
		return error_set(err, ERROR_INVALID, "TLS server name \"%s\" is no host name", client->tls_server_name);
	buf_reset(&text);
	if (buf_addf(&text, err, "::%s:%s", host, port) < 0 || buf_addf(host_header, err, "Host: %s:%s", host, port) < 0)
		return -1;
	*connect_to = curl_slist_append(NULL, buf_str(&text));
	if (*connect_to == NULL)
		return error_no_memory(err, "HTTP connect-to");
	SET(CURLOPT_CONNECT_TO, *connect_to);
	return 0;
}

static bool has_control(const char *text)
{
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < ' ' && *text != '\t')
			return true;
	}
	return false;
}

// Headers may hold tokens: what libcurl copied is wiped.
static void free_headers(struct curl_slist *list)
{
	for (struct curl_slist *at = list; at != NULL; at = at->next)
		secret_wipe(at->data, strlen(at->data));
	curl_slist_free_all(list);
}

static int add_header(struct curl_slist **list, const char *header, struct error *err)
{
	if (has_control(header))
		return error_set(err, ERROR_INVALID, "header %.*s holds a control character", (int)strcspn(header, ":"), header);
	struct curl_slist *longer = curl_slist_append(*list, header);
	if (longer == NULL)
		return error_no_memory(err, "HTTP header");
	*list = longer;
	return 0;
}

static int add_bearer(struct curl_slist **list, const struct secret *bearer, struct error *err)
{
	AUTO(buf) struct buf header;
	buf_init(&header, HEADER_MAX);
	int rc = buf_addf(&header, err, "Authorization: Bearer %s", secret_reveal(bearer));
	if (rc == 0)
		rc = add_header(list, buf_str(&header), err);
	if (header.len > 0)
		secret_wipe(header.data, header.len);
	return rc;
}

static int set_headers(CURL *easy, const struct http_request *request, const struct buf *host_header, struct curl_slist **list,
	struct error *err)
{
	bool has_type = false;
	for (size_t i = 0; request->headers != NULL && request->headers[i] != NULL; i++) {
		has_type = has_type || strncasecmp(request->headers[i], "Content-Type:", strlen("Content-Type:")) == 0;
		if (add_header(list, request->headers[i], err) < 0)
			return -1;
	}
	// Without a value they are left out: libcurl would wait for a 100, and name a form.
	if (add_header(list, "Expect:", err) < 0 || (!has_type && add_header(list, "Content-Type:", err) < 0))
		return -1;
	if (host_header->len > 0 && add_header(list, buf_str(host_header), err) < 0)
		return -1;
	if (request->bearer != NULL && request->bearer->bytes != NULL && add_bearer(list, request->bearer, err) < 0)
		return -1;
	SET(CURLOPT_HTTPHEADER, *list);
	return 0;
}

static int64_t retry_after_ms(CURL *easy)
{
	struct curl_header *header = NULL;
	if (curl_easy_header(easy, "Retry-After", 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
		return 0;
	char *end = NULL;
	long long seconds = strtoll(header->value, &end, 10);
	if (end == header->value || *end != '\0') {
		time_t when = curl_getdate(header->value, NULL);
		seconds = when < 0 ? 0 : (long long)when - (long long)time(NULL);
	}
	if (seconds <= 0)
		return 0;
	return seconds > INT_MAX ? (int64_t)INT_MAX * 1000 : (int64_t)seconds * 1000;
}

static enum error_kind kind_of(CURLcode code)
{
	switch ((int)code) {
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_FILESIZE_EXCEEDED:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
		return ERROR_INVALID;
	case CURLE_OUT_OF_MEMORY:
	case CURLE_FAILED_INIT:
	case CURLE_BAD_FUNCTION_ARGUMENT:
	case CURLE_UNKNOWN_OPTION:
	case CURLE_NOT_BUILT_IN:
		return ERROR_INTERNAL;
	default:
		return ERROR_TRANSIENT;
	}
}

static int explain(const struct transfer *t, CURLcode code, const char *detail, struct error *err)
{
	if (t->failed)
		return -1; // by the callback
	if (code == CURLE_ABORTED_BY_CALLBACK && t->sent > 1 && !t->repeatable)
		return error_set(err, ERROR_TRANSIENT, "the connection was closed before an answer came");
	if (code == CURLE_ABORTED_BY_CALLBACK && t->silent)
		return error_set(
			err, ERROR_TRANSIENT, "the server was silent for %" PRId64 " ms", clock_mono_ms() - t->heard_at_ms);
	if (code == CURLE_ABORTED_BY_CALLBACK)
		return error_set(err, ERROR_CANCELLED, "cancelled");
	if (code == CURLE_FILESIZE_EXCEEDED)
		return error_set(err, ERROR_INVALID, "the answer is longer than %zu bytes", t->max_body_bytes);
	// A scheme that is not ours is refused before anything is sent; later it is an answer that is no HTTP.
	enum error_kind kind = code == CURLE_UNSUPPORTED_PROTOCOL && t->sent > 0 ? ERROR_TRANSIENT : kind_of(code);
	return error_set(err, kind, "%s", detail[0] != '\0' ? detail : curl_easy_strerror(code));
}

static int perform(CURL *easy, struct transfer *t, CURLU *url, struct error *err)
{
	char detail[CURL_ERROR_SIZE] = "";
	SET(CURLOPT_CURLU, url);
	SET(CURLOPT_ERRORBUFFER, detail);
	CURLcode code = curl_easy_perform(easy);
	if (code != CURLE_OK)
		return explain(t, code, detail, err);
	if (!t->head_complete)
		return error_set(err, ERROR_TRANSIENT, "the head of the answer is cut short");
	t->response->status = status_of(easy);
	t->response->retry_after_ms = retry_after_ms(easy);
	return 0;
}

static int set_up_and_perform(CURL *easy, struct transfer *t, CURLU *url, struct curl_slist **headers,
	struct curl_slist **connect_to, struct error *err)
{
	AUTO(buf) struct buf host_header;
	buf_init(&host_header, HEADER_MAX);
	if (set_connection(easy, t->client, t->request->timeout_ms, err) < 0 || set_tls(easy, t->client, err) < 0 ||
		set_callbacks(easy, t, err) < 0 || set_method(easy, t->request, err) < 0 ||
		set_server_name(easy, t->client, url, connect_to, &host_header, err) < 0 ||
		set_headers(easy, t->request, &host_header, headers, err) < 0)
		return -1;
	return perform(easy, t, url, err);
}

static int parse_url(const char *text, CURLU **out, struct error *err)
{
	CURLU *url = curl_url();
	if (url == NULL)
		return error_no_memory(err, "URL");
	CURLUcode code = curl_url_set(url, CURLUPART_URL, text, CURLU_DISALLOW_USER);
	if (code != CURLUE_OK) {
		curl_url_cleanup(url);
		return error_set(err, ERROR_INVALID, "bad URL: %s", curl_url_strerror(code));
	}
	*out = url;
	return 0;
}

// "GET https://host:port/path: ", without the query.
static int wrap_with_url(const struct http_request *request, struct error *err)
{
	size_t shown = strcspn(request->url, "?#");
	return error_wrap(err, "%s %.*s", request->method, shown > INT_MAX ? INT_MAX : (int)shown, request->url);
}

int http_do(struct http_client *client, const struct http_request *request, struct http_response *response, struct error *err)
{
	AUTO(curl_url) CURLU *url = NULL;
	if (parse_url(request->url, &url, err) < 0)
		return -1; // not shown: it may hold a password
	struct idle *handle = take_handle(client, err);
	if (handle == NULL)
		return -1;

	struct http_response made = {0};
	struct transfer t = {.easy = handle->easy, .client = client, .request = request, .response = &made, .err = err};
	t.heard_at_ms = clock_mono_ms();
	t.max_body_bytes = request->max_body_bytes > 0 ? request->max_body_bytes : HTTP_BODY_MAX;
	t.repeatable = strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
	buf_init(&made.body, request->on_body != NULL && t.max_body_bytes > HTTP_BODY_MAX ? HTTP_BODY_MAX : t.max_body_bytes);
	struct curl_slist *headers = NULL;
	struct curl_slist *connect_to = NULL;
	int rc = set_up_and_perform(handle->easy, &t, url, &headers, &connect_to, err);
	give_back(client, handle);
	free_headers(headers);
	curl_slist_free_all(connect_to);
	if (rc < 0) {
		http_response_fini(&made);
		return wrap_with_url(request, err);
	}
	*response = made;
	return 0;
}

void http_response_fini(struct http_response *response)
{
	// A body may hold credentials.
	if (response->body.data != NULL)
		secret_wipe(response->body.data, response->body.len);
	buf_fini(&response->body);
}

enum error_kind http_status_kind(int status)
{
	if (status >= 200 && status < 300)
		return ERROR_NONE;
	if (status >= 500 && status < 600)
		return ERROR_TRANSIENT;
	if (status < 400 || status >= 600)
		return ERROR_INTERNAL;
	switch (status) {
	case 404:
	case 410:
		return ERROR_NOT_FOUND;
	case 408:
	case 425:
	case 429:
		return ERROR_TRANSIENT;
	case 409:
	case 412:
		return ERROR_CONFLICT;
	default:
		return ERROR_INVALID;
	}
}
