#include "base/http_setup.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <strings.h>

// Seconds of silence before the kernel probes a connection, and between probes. A probe also keeps firewalls and NAT from
// forgetting an idle connection, which they commonly do after 5 minutes, some cloud balancers after 1. Linux counts probes
// (TCP_KEEPCNT, 9 by default: 20 + 9 * 5 s) unless TCP_USER_TIMEOUT is set; then it is that time since the last sign of the peer
// that ends the connection (net/ipv4/tcp_timer.c, tcp_keepalive_timer): 20, 25, 30, 35, and over at 40. The same time ends a
// connection whose sent bytes nobody acknowledges, for which the default is about 15 minutes.
#define KEEPALIVE_IDLE_S 20L
#define KEEPALIVE_INTERVAL_S 5L
#define HEADER_MAX ((size_t)64 << 10)

DEFINE_AUTO(char, curl_text, curl_free)

static int copy_text(const char *from, char **to, struct error *err)
{
	if (from == NULL)
		return 0;
	*to = strdup(from);
	return *to == NULL ? error_no_memory(err, "HTTP client") : 0;
}

int http_common_init(struct http_common *common, const struct http_options *options, struct error *err)
{
	common->http2 = options->http2;
	common->connect_timeout_ms = options->connect_timeout_ms > 0 ? options->connect_timeout_ms : HTTP_CONNECT_TIMEOUT_MS;
	if (copy_text(options->user_agent, &common->user_agent, err) < 0 ||
		copy_text(options->ca_pem, &common->ca_pem, err) < 0 ||
		copy_text(options->client_cert_pem, &common->client_cert_pem, err) < 0 ||
		copy_text(options->proxy, &common->proxy, err) < 0 ||
		copy_text(options->tls_server_name, &common->tls_server_name, err) < 0)
		return -1;
	if (options->client_key_pem == NULL || options->client_key_pem->bytes == NULL)
		return 0;
	return secret_set(&common->client_key_pem, secret_reveal(options->client_key_pem), err);
}

void http_common_fini(struct http_common *common)
{
	secret_fini(&common->client_key_pem);
	free(common->user_agent);
	free(common->ca_pem);
	free(common->client_cert_pem);
	free(common->proxy);
	free(common->tls_server_name);
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

static struct curl_blob blob_of(char *pem)
{
	return (struct curl_blob){.data = pem, .len = strlen(pem), .flags = CURL_BLOB_NOCOPY};
}

static int set_tls(CURL *easy, const struct http_common *common, struct error *err)
{
	HTTP_SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (common->ca_pem != NULL) {
		// libcurl's built-in CAPATH would be trusted beside the blob.
		struct curl_blob ca = blob_of(common->ca_pem);
		HTTP_SET(CURLOPT_CAINFO_BLOB, &ca);
		HTTP_SET(CURLOPT_CAPATH, NULL);
	}
	if (common->client_cert_pem != NULL) {
		struct curl_blob cert = blob_of(common->client_cert_pem);
		HTTP_SET(CURLOPT_SSLCERT_BLOB, &cert);
	}
	if (common->client_key_pem.bytes != NULL) {
		struct curl_blob key = blob_of(common->client_key_pem.bytes);
		HTTP_SET(CURLOPT_SSLKEY_BLOB, &key);
	}
	return 0;
}

static int set_connection(CURL *easy, const struct http_common *common, int64_t timeout_ms, struct error *err)
{
	HTTP_SET(CURLOPT_NOSIGNAL, 1L);
	HTTP_SET(CURLOPT_PROTOCOLS_STR, "http,https");
	HTTP_SET(CURLOPT_HTTP_VERSION, common->http2 ? (long)CURL_HTTP_VERSION_2TLS : (long)CURL_HTTP_VERSION_1_1);
	// Set even when empty: otherwise libcurl looks into the environment.
	HTTP_SET(CURLOPT_PROXY, common->proxy == NULL ? "" : common->proxy);
	HTTP_SET(CURLOPT_NOPROXY, "");
	HTTP_SET(CURLOPT_CONNECTTIMEOUT_MS, common->connect_timeout_ms);
	HTTP_SET(CURLOPT_TIMEOUT_MS, timeout_ms > 0 ? (long)timeout_ms : (long)HTTP_TIMEOUT_MS);
	HTTP_SET(CURLOPT_TCP_KEEPALIVE, 1L);
	HTTP_SET(CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
	HTTP_SET(CURLOPT_TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
	HTTP_SET(CURLOPT_SOCKOPTFUNCTION, on_socket);
	HTTP_SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L); // a proxy's head is not the answer's
	HTTP_SET(CURLOPT_USERAGENT, common->user_agent);
	return 0;
}

// A body goes out with its length, and so does none where a server expects one (RFC 9110 section 8.6).
static int set_method(CURL *easy, const struct http_request *request, struct error *err)
{
	bool wants_body = strcmp(request->method, "POST") == 0 || strcmp(request->method, "PUT") == 0 ||
			  strcmp(request->method, "PATCH") == 0;
	if (request->body != NULL || wants_body) {
		HTTP_SET(CURLOPT_POSTFIELDS, request->body == NULL ? "" : request->body);
		HTTP_SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(request->body == NULL ? 0 : request->body_len));
	} else if (strcmp(request->method, "HEAD") == 0) {
		HTTP_SET(CURLOPT_NOBODY, 1L);
	}
	HTTP_SET(CURLOPT_CUSTOMREQUEST, request->method);
	return 0;
}

// For a certificate of another name than the URL's host: the URL takes that name (libcurl sends it as SNI and verifies it), the
// connection and the Host header keep the host.
static int set_server_name(CURL *easy, const struct http_common *common, CURLU *url, struct curl_slist **connect_to,
	struct buf *host_header, struct error *err)
{
	AUTO(curl_text) char *scheme = NULL;
	AUTO(curl_text) char *host = NULL;
	AUTO(curl_text) char *port = NULL;
	if (common->tls_server_name == NULL)
		return 0;
	if (curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK)
		return error_no_memory(err, "URL");
	if (strcmp(scheme, "https") != 0)
		return 0;
	if (curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
		curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK)
		return error_no_memory(err, "URL");

	AUTO(buf) struct buf text;
	buf_init(&text, HEADER_MAX);
	bool is_ipv6 = strchr(common->tls_server_name, ':') != NULL;
	if (buf_addf(&text, err, is_ipv6 ? "[%s]" : "%s", common->tls_server_name) < 0)
		return -1;
	CURLUcode code = curl_url_set(url, CURLUPART_HOST, buf_str(&text), 0);
	if (code == CURLUE_OUT_OF_MEMORY)
		return error_no_memory(err, "URL");
	if (code != CURLUE_OK)
		return error_set(err, ERROR_INVALID, "TLS server name \"%s\" is no host name", common->tls_server_name);
	buf_reset(&text);
	if (buf_addf(&text, err, "::%s:%s", host, port) < 0 || buf_addf(host_header, err, "Host: %s:%s", host, port) < 0)
		return -1;
	*connect_to = curl_slist_append(NULL, buf_str(&text));
	if (*connect_to == NULL)
		return error_no_memory(err, "HTTP connect-to");
	HTTP_SET(CURLOPT_CONNECT_TO, *connect_to);
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
	HTTP_SET(CURLOPT_HTTPHEADER, *list);
	return 0;
}

int http_setup(CURL *easy, const struct http_common *common, const struct http_request *request, CURLU *url,
	struct http_setup *out, struct error *err)
{
	AUTO(buf) struct buf host_header;
	buf_init(&host_header, HEADER_MAX);
	if (set_connection(easy, common, request->timeout_ms, err) < 0 || set_tls(easy, common, err) < 0 ||
		set_method(easy, request, err) < 0 || set_server_name(easy, common, url, &out->connect_to, &host_header, err) < 0)
		return -1;
	return set_headers(easy, request, &host_header, &out->headers, err);
}

void http_setup_fini(struct http_setup *setup)
{
	free_headers(setup->headers);
	curl_slist_free_all(setup->connect_to);
}
