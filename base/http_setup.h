// How a request becomes libcurl's options: the connection, TLS, method and headers. A part of base/http.c; nobody else includes
// it.
#ifndef BASE_HTTP_SETUP_H
#define BASE_HTTP_SETUP_H

#include "base/http.h"
#include <curl/curl.h>

// What the requests of a client have in common: copies of its http_options.
struct http_common {
	char *user_agent;
	char *ca_pem;
	char *client_cert_pem;
	struct secret client_key_pem;
	char *proxy;
	char *tls_server_name;
	bool http2;
	long connect_timeout_ms;
};

MUST_CHECK int http_common_init(struct http_common *common, const struct http_options *options, struct error *err);
void http_common_fini(struct http_common *common);

// What libcurl borrows until the request is over.
struct http_setup {
	struct curl_slist *headers;
	struct curl_slist *connect_to;
};

// url may be changed (tls_server_name); the caller sets it afterwards. The caller finishes *out after a failure too.
MUST_CHECK int http_setup(CURL *easy, const struct http_common *common, const struct http_request *request, CURLU *url,
	struct http_setup *out, struct error *err);
void http_setup_fini(struct http_setup *setup);

// The first option that fails ends the request: a request must not go out without, say, its CA.
#define HTTP_SET(option, value)                                                                                       \
	do {                                                                                                          \
		CURLcode code_ = curl_easy_setopt(easy, option, value);                                               \
		if (code_ != CURLE_OK)                                                                                \
			return error_set(err, ERROR_INTERNAL, "libcurl: " #option ": %s", curl_easy_strerror(code_)); \
	} while (0)

#endif
