// What the tests of base/http share: a client, one request, a server that answers. Any failure to set up fails the test.
#ifndef TESTS_BASE_HTTP_CASE_H
#define TESTS_BASE_HTTP_CASE_H

#include "base/http.h"
#include "tests/support/raw_server.h"

#define URL_MAX 128
#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

struct http_client *new_client(const struct http_options *options); // NULL: none but a name

// GET url with its own client.
int get(const struct http_options *options, const char *url, struct http_response *response, struct error *err);

const char *raw_url(const struct raw_server *server, const char *scheme, const char *host, char out[URL_MAX]);

// Scripts for raw_server_start(), which answer with the text in arg: every request of a connection; one, and then the end; one,
// and then silence.
void answer_always(void *arg, struct raw_connection *connection, int number);
void answer_and_close(void *arg, struct raw_connection *connection, int number);
void answer_and_hold(void *arg, struct raw_connection *connection, int number);

#endif
