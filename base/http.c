#include "base/http_setup.h"

#include "base/clock.h"
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <strings.h>
#include <time.h>

struct idle {
	CURL *easy;
	struct idle *next;
};

// An easy handle keeps its connection between requests. The one that was given back last is taken first, so that under less load
// fewer connections stay in use and the others grow old and are closed.
struct http_client {
	struct http_common common;
	const atomic_bool *cancel;

	pthread_mutex_t lock; // guards idle
	struct idle *idle;
};

DEFINE_AUTO(CURLU, curl_url, curl_url_cleanup)

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
	client->cancel = options->cancel;
	if (http_common_init(&client->common, options, err) < 0)
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
	http_common_fini(&client->common);
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

static int set_callbacks(CURL *easy, struct transfer *t, struct error *err)
{
	HTTP_SET(CURLOPT_WRITEFUNCTION, on_write);
	HTTP_SET(CURLOPT_WRITEDATA, t);
	HTTP_SET(CURLOPT_HEADERFUNCTION, on_header);
	HTTP_SET(CURLOPT_HEADERDATA, t);
	HTTP_SET(CURLOPT_XFERINFOFUNCTION, on_progress);
	HTTP_SET(CURLOPT_XFERINFODATA, t);
	HTTP_SET(CURLOPT_NOPROGRESS, 0L);
	HTTP_SET(CURLOPT_PREREQFUNCTION, on_send);
	HTTP_SET(CURLOPT_PREREQDATA, t);
	size_t largest = t->max_body_bytes < INT64_MAX ? t->max_body_bytes : INT64_MAX;
	HTTP_SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)largest); // refuses by Content-Length, before the first byte
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
	HTTP_SET(CURLOPT_CURLU, url);
	HTTP_SET(CURLOPT_ERRORBUFFER, detail);
	CURLcode code = curl_easy_perform(easy);
	if (code != CURLE_OK)
		return explain(t, code, detail, err);
	if (!t->head_complete)
		return error_set(err, ERROR_TRANSIENT, "the head of the answer is cut short");
	t->response->status = status_of(easy);
	t->response->retry_after_ms = retry_after_ms(easy);
	return 0;
}

static int set_up_and_perform(CURL *easy, struct transfer *t, CURLU *url, struct http_setup *setup, struct error *err)
{
	if (http_setup(easy, &t->client->common, t->request, url, setup, err) < 0 || set_callbacks(easy, t, err) < 0)
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
		if (code == CURLUE_OUT_OF_MEMORY)
			return error_no_memory(err, "URL");
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
	struct http_setup setup = {0};
	int rc = set_up_and_perform(handle->easy, &t, url, &setup, err);
	give_back(client, handle);
	http_setup_fini(&setup);
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
