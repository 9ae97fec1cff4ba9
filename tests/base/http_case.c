#include "tests/base/http_case.h"

#include "tests/support/cmocka.h"
#include <stdio.h>

struct http_client *new_client(const struct http_options *options)
{
	struct error err = {0};
	struct http_client *client = NULL;
	static const struct http_options none = {.user_agent = "test/1"};
	assert_ok(http_client_new(options == NULL ? &none : options, &client, &err), err);
	return client;
}

int get(const struct http_options *options, const char *url, struct http_response *response, struct error *err)
{
	AUTO(http_client) struct http_client *client = new_client(options);
	const struct http_request request = {.method = "GET", .url = url, .timeout_ms = 20000};
	return http_do(client, &request, response, err);
}

const char *raw_url(const struct raw_server *server, const char *scheme, const char *host, char out[URL_MAX])
{
	(void)snprintf(out, URL_MAX, "%s://%s:%d/path", scheme, host, raw_server_port(server));
	return out;
}

void answer_always(void *arg, struct raw_connection *connection, int number)
{
	char request[4096];
	(void)number;
	while (raw_read_request(connection, request, sizeof(request)))
		raw_write(connection, arg);
}

void answer_and_close(void *arg, struct raw_connection *connection, int number)
{
	char request[4096];
	(void)number;
	if (raw_read_request(connection, request, sizeof(request)))
		raw_write(connection, arg);
}

void answer_and_hold(void *arg, struct raw_connection *connection, int number)
{
	answer_and_close(arg, connection, number);
	raw_hold(connection);
}
