#include "tests/support/http_server.h"

#include "tests/support/cmocka.h"
#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KEPT_MAX 1024
#define TEXT_MAX ((size_t)16 << 20)

struct http_server {
	struct MHD_Daemon *daemon;
	http_server_on_request on_request;
	void *arg;
	char url[64];
	pthread_mutex_t lock; // guards kept and count
	struct http_server_request *kept[KEPT_MAX];
	size_t count;
};

static void must(int rc)
{
	if (rc != 0)
		abort();
}

// The raw target, before libmicrohttpd splits and decodes it. The result becomes *state of on_access.
static void *on_uri(void *arg, const char *uri, struct MHD_Connection *connection)
{
	(void)arg;
	(void)connection;
	struct http_server_request *request = calloc(1, sizeof(*request));
	must(request == NULL);
	request->target = strdup(uri);
	buf_init(&request->headers, TEXT_MAX);
	buf_init(&request->body, TEXT_MAX);
	return request;
}

static enum MHD_Result on_header(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
	(void)kind;
	struct error err;
	struct http_server_request *request = arg;
	must(buf_addf(&request->headers, &err, "%s: %s\n", name, value == NULL ? "" : value));
	return MHD_YES;
}

static void keep(struct http_server *server, struct http_server_request *request)
{
	must(pthread_mutex_lock(&server->lock));
	must(server->count == KEPT_MAX);
	server->kept[server->count++] = request;
	must(pthread_mutex_unlock(&server->lock));
}

// For a body of unknown length: what a reader callback sees, so that libmicrohttpd sends it in chunks.
static ssize_t on_chunk(void *arg, uint64_t at, char *out, size_t max)
{
	const char *text = arg;
	size_t left = strlen(text) - (size_t)at;
	size_t len = left < max ? left : max;
	memcpy(out, text + at, len);
	return len == 0 ? MHD_CONTENT_READER_END_OF_STREAM : (ssize_t)len;
}

static ssize_t on_chunk_cut(void *arg, uint64_t at, char *out, size_t max)
{
	ssize_t len = on_chunk(arg, at, out, max);
	return len == MHD_CONTENT_READER_END_OF_STREAM ? MHD_CONTENT_READER_END_WITH_ERROR : len;
}

static enum MHD_Result send_answer(struct MHD_Connection *connection, struct http_server_answer *answer)
{
	char *body = answer->body == NULL ? strdup("") : answer->body;
	struct MHD_Response *response = answer->cut || answer->chunked
						? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096,
							  answer->cut ? on_chunk_cut : on_chunk, body, free)
						: MHD_create_response_from_buffer(strlen(body), body, MHD_RESPMEM_MUST_FREE);
	for (size_t i = 0; answer->headers[i] != NULL; i++) {
		char name[64];
		const char *colon = strchr(answer->headers[i], ':');
		(void)snprintf(name, sizeof(name), "%.*s", (int)(colon - answer->headers[i]), answer->headers[i]);
		(void)MHD_add_response_header(response, name, colon + 2);
	}
	enum MHD_Result result = MHD_queue_response(connection, (unsigned int)answer->status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result on_access(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
	const char *version, const char *data, size_t *len, void **state)
{
	(void)url;
	(void)version;
	struct error err;
	struct http_server *server = arg;
	struct http_server_request *request = *state;
	if (request->method == NULL) {
		request->method = strdup(method);
		return MHD_YES;
	}
	if (*len > 0) {
		must(buf_add(&request->body, data, *len, &err));
		*len = 0;
		return MHD_YES;
	}
	(void)MHD_get_connection_values(connection, MHD_HEADER_KIND, on_header, request);
	*state = NULL;
	keep(server, request);
	struct http_server_answer answer = {.status = 200};
	server->on_request(server->arg, request, &answer);
	return send_answer(connection, &answer);
}

static void free_request(struct http_server_request *request)
{
	if (request == NULL)
		return;
	free(request->method);
	free(request->target);
	buf_fini(&request->headers);
	buf_fini(&request->body);
	free(request);
}

// A request that was cut off was not kept.
static void on_completed(void *arg, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode code)
{
	(void)arg;
	(void)connection;
	(void)code;
	free_request(*state);
	*state = NULL;
}

struct http_server *http_server_start(http_server_on_request on_request, void *arg)
{
	struct http_server *server = calloc(1, sizeof(*server));
	must(server == NULL);
	server->on_request = on_request;
	server->arg = arg;
	must(pthread_mutex_init(&server->lock, NULL));
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	server->daemon = MHD_start_daemon(MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0, NULL,
		NULL, on_access, server, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_URI_LOG_CALLBACK, on_uri, server,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, server, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)256 << 10,
		MHD_OPTION_END);
	must(server->daemon == NULL);
	unsigned int port = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
	(void)snprintf(server->url, sizeof(server->url), "http://127.0.0.1:%u", port);
	return server;
}

void http_server_stop(struct http_server *server)
{
	MHD_stop_daemon(server->daemon);
	for (size_t i = 0; i < server->count; i++)
		free_request(server->kept[i]);
	must(pthread_mutex_destroy(&server->lock));
	free(server);
}

const char *http_server_url(const struct http_server *server)
{
	return server->url;
}

size_t http_server_count(struct http_server *server)
{
	must(pthread_mutex_lock(&server->lock));
	size_t count = server->count;
	must(pthread_mutex_unlock(&server->lock));
	return count;
}

const struct http_server_request *http_server_request(struct http_server *server, size_t index)
{
	must(pthread_mutex_lock(&server->lock));
	const struct http_server_request *request = index < server->count ? server->kept[index] : NULL;
	must(pthread_mutex_unlock(&server->lock));
	return request;
}

void http_server_forget(struct http_server *server)
{
	must(pthread_mutex_lock(&server->lock));
	for (size_t i = 0; i < server->count; i++)
		free_request(server->kept[i]);
	server->count = 0;
	must(pthread_mutex_unlock(&server->lock));
}

const char *http_server_header(const struct http_server_request *request, const char *name, char *out, size_t size)
{
	size_t len = strlen(name);
	out[0] = '\0';
	for (const char *line = buf_str(&request->headers); *line != '\0'; line += strcspn(line, "\n") + 1) {
		if (strncasecmp(line, name, len) == 0 && line[len] == ':')
			(void)snprintf(out, size, "%.*s", (int)strcspn(line + len + 2, "\n"), line + len + 2);
	}
	return out;
}
