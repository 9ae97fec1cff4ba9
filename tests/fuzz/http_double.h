// Stands for a server behind base/http.h: http_do() (linked with --wrap) answers what the target says. Bodies that are taken as
// they arrive come in pieces of chance lengths.
#ifndef TESTS_FUZZ_HTTP_DOUBLE_H
#define TESTS_FUZZ_HTTP_DOUBLE_H

#include "base/http.h"
#include <stdint.h>

struct http_double {
	int status;
	const uint8_t *body;
	size_t len;
	unsigned int requests; // so far
};
extern struct http_double http_double;

// "404" and a line end, then the body; a first line that is no status from 100 to 599 counts as 200.
void http_double_read(const uint8_t *data, size_t size);

int __wrap_http_do(
	struct http_client *client, const struct http_request *request, struct http_response *response, struct error *err);

#endif
