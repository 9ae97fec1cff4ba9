// The way to a server: proxies, TLS, HTTP/2.
#include "tests/base/http_case.h"
#include "tests/support/cmocka.h"
#include "tests/support/pki.h"
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pki_cert ca;
static struct pki_cert other_ca;
static struct pki_cert leaf; // for api.test and 127.0.0.1

static int make_pki(void **state)
{
	(void)state;
	ca = pki_make_ca("test CA");
	other_ca = pki_make_ca("another CA");
	leaf = pki_make_leaf(&ca, "api.test", "DNS:api.test,IP:127.0.0.1");
	return 0;
}

static int free_pki(void **state)
{
	(void)state;
	pki_cert_fini(&ca);
	pki_cert_fini(&other_ca);
	pki_cert_fini(&leaf);
	return 0;
}

// --- proxies ---

static void the_environments_proxies_are_ignored(void **state)
{
	(void)state;
	static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
	static char text[] = OK_ANSWER;
	char url[URL_MAX];
	struct error err = {0};
	AUTO(http_response) struct http_response response = {0};
	struct raw_server *server = raw_server_start(answer_always, text, NULL);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(setenv(names[i], "http://127.0.0.1:1", 1), 0);
	int rc = get(NULL, raw_url(server, "http", "127.0.0.1", url), &response, &err);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(unsetenv(names[i]), 0);
	assert_ok(rc, err);
	raw_server_stop(server);
}

// A SOCKS5 server (RFC 1928) that takes any address for itself and answers HTTP. arg receives the host asked for.
static void serve_socks5(void *arg, struct raw_connection *connection, int number)
{
	(void)number;
	unsigned char head[5];
	unsigned char rest[255];
	char request[1024];
	char *asked = arg;
	if (!raw_read(connection, head, 2) || !raw_read(connection, rest, head[1]))
		return;
	raw_write_bytes(connection, "\x05\x00", 2);
	if (!raw_read(connection, head, 5) || head[3] != 3 || !raw_read(connection, rest, (size_t)head[4] + 2))
		return;
	(void)snprintf(asked, 64, "%.*s", (int)head[4], (const char *)rest);
	raw_write_bytes(connection, "\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00", 10);
	if (raw_read_request(connection, request, sizeof(request)))
		raw_write(connection, OK_ANSWER);
}

static void a_socks5h_proxy_is_used_and_resolves_the_name(void **state)
{
	(void)state;
	char proxy[64];
	char asked[64] = "";
	struct error err = {0};
	AUTO(http_response) struct http_response response = {0};
	struct raw_server *server = raw_server_start(serve_socks5, asked, NULL);
	(void)snprintf(proxy, sizeof(proxy), "socks5h://127.0.0.1:%d", raw_server_port(server));
	const struct http_options options = {.proxy = proxy};
	assert_int_equal(setenv("no_proxy", "*", 1), 0);
	int rc = get(&options, "http://canopy.invalid/x", &response, &err);
	assert_int_equal(unsetenv("no_proxy"), 0);
	assert_ok(rc, err);
	raw_server_stop(server);
	assert_string_equal(asked, "canopy.invalid");
}

static void an_http_proxy_is_used(void **state)
{
	(void)state;
	static char text[] = OK_ANSWER;
	char proxy[64];
	struct error err = {0};
	AUTO(http_response) struct http_response response = {0};
	struct raw_server *server = raw_server_start(answer_always, text, NULL);
	(void)snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d", raw_server_port(server));
	const struct http_options options = {.proxy = proxy};
	assert_ok(get(&options, "http://canopy.invalid/x", &response, &err), err);
	raw_server_stop(server);
}

// --- TLS ---

struct seen {
	char sni[64];
	char host[64];
	char subject[64];
};

static void serve_tls(void *arg, struct raw_connection *connection, int number)
{
	char request[4096];
	struct seen *seen = arg;
	(void)number;
	if (!raw_read_request(connection, request, sizeof(request)))
		return;
	const char *host = strstr(request, "Host: ");
	(void)snprintf(seen->sni, sizeof(seen->sni), "%s", raw_sni(connection));
	(void)snprintf(seen->host, sizeof(seen->host), "%.*s", host == NULL ? 0 : (int)strcspn(host + 6, "\r"),
		host == NULL ? "" : host + 6);
	raw_client_subject(connection, seen->subject, sizeof(seen->subject));
	raw_write(connection, OK_ANSWER);
}

struct tls_row {
	const char *label;
	const char *host;
	struct pki_cert *trusted; // NULL: the system's store
	const char *server_name;
	int max_version;
	bool works;
	const char *part;
	const char *sni;
};

static const struct tls_row tls_rows[] = {
	{"an address in the certificate", "127.0.0.1", &ca, NULL, 0, true, "", ""},
	{"another CA", "127.0.0.1", &other_ca, NULL, 0, false, "certificate", ""},
	{"the system's CAs", "127.0.0.1", NULL, NULL, 0, false, "certificate", ""},
	{"a name that is not in the certificate", "localhost", &ca, NULL, 0, false, "localhost", ""},
	{"the name to verify is given", "localhost", &ca, "api.test", 0, true, "", "api.test"},
	{"the name to verify is given, another CA", "localhost", &other_ca, "api.test", 0, false, "certificate", ""},
	{"the name to verify is not in the certificate", "127.0.0.1", &ca, "other.test", 0, false, "other.test", ""},
	{"TLS 1.1", "127.0.0.1", &ca, NULL, TLS1_1_VERSION, false, "", ""},
	{"TLS 1.2", "127.0.0.1", &ca, NULL, TLS1_2_VERSION, true, "", ""},
};

static void certificates_are_verified(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(tls_rows) / sizeof(tls_rows[0]); i++) {
		const struct tls_row *row = &tls_rows[i];
		char url[URL_MAX];
		char host[96];
		struct seen seen = {0};
		struct error err = {0};
		AUTO(http_response) struct http_response response = {0};
		const struct raw_server_tls tls = {
			.cert_pem = leaf.cert_pem, .key_pem = leaf.key_pem, .max_version = row->max_version};
		struct raw_server *server = raw_server_start(serve_tls, &seen, &tls);
		const struct http_options options = {
			.ca_pem = row->trusted == NULL ? NULL : row->trusted->cert_pem, .tls_server_name = row->server_name};
		(void)snprintf(host, sizeof(host), "%s:%d", row->host, raw_server_port(server));
		int rc = get(&options, raw_url(server, "https", row->host, url), &response, &err);
		raw_server_stop(server);
		print_message("# %s: %s\n", row->label, err.text);
		if (row->works) {
			assert_ok(rc, err);
			assert_string_equal(seen.sni, row->sni);
			assert_string_equal(seen.host, host);
		} else {
			assert_error(rc, err, ERROR_TRANSIENT, row->part);
		}
	}
}

static void the_environments_cas_are_ignored(void **state)
{
	(void)state;
	static const char *const names[] = {"SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"};
	char url[URL_MAX];
	char path[] = "/tmp/test_http_ca_XXXXXX";
	struct seen seen = {0};
	struct error err = {0};
	struct http_response response;
	AUTO_CLOSE int fd = mkstemp(path);
	assert_true(fd >= 0 && write(fd, ca.cert_pem, strlen(ca.cert_pem)) == (ssize_t)strlen(ca.cert_pem));
	const struct raw_server_tls tls = {.cert_pem = leaf.cert_pem, .key_pem = leaf.key_pem};
	struct raw_server *server = raw_server_start(serve_tls, &seen, &tls);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(setenv(names[i], path, 1), 0);
	int rc = get(NULL, raw_url(server, "https", "127.0.0.1", url), &response, &err);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(unsetenv(names[i]), 0);
	assert_int_equal(unlink(path), 0);
	raw_server_stop(server);
	assert_error(rc, err, ERROR_TRANSIENT, "certificate");
}

static void a_client_certificate_is_shown(void **state)
{
	(void)state;
	char url[URL_MAX];
	struct seen seen = {0};
	struct pki_cert device = pki_make_leaf(&ca, "device 7", NULL);
	AUTO(secret) struct secret key = {0};
	const struct raw_server_tls tls = {.cert_pem = leaf.cert_pem, .key_pem = leaf.key_pem, .client_ca_pem = ca.cert_pem};
	struct raw_server *server = raw_server_start(serve_tls, &seen, &tls);
	struct error err = {0};
	AUTO(http_response) struct http_response response = {0};
	assert_ok(secret_set(&key, device.key_pem, &err), err);
	struct http_options options = {.ca_pem = ca.cert_pem, .client_cert_pem = device.cert_pem, .client_key_pem = &key};
	assert_ok(get(&options, raw_url(server, "https", "127.0.0.1", url), &response, &err), err);
	assert_string_equal(seen.subject, "device 7");

	struct http_response nothing;
	options.client_cert_pem = NULL;
	options.client_key_pem = NULL;
	assert_error(get(&options, url, &nothing, &err), err, ERROR_TRANSIENT, "");
	options.client_cert_pem = "no certificate";
	options.client_key_pem = &key;
	assert_error(get(&options, url, &nothing, &err), err, ERROR_INVALID, "");
	options.client_cert_pem = device.cert_pem;
	options.ca_pem = "no certificate";
	assert_error(get(&options, url, &nothing, &err), err, ERROR_INVALID, "");
	raw_server_stop(server);
	pki_cert_fini(&device);
}

// Says 200 to CONNECT and carries on to the port in it. arg receives what was asked for.
static void serve_connect(void *arg, struct raw_connection *connection, int number)
{
	char request[1024];
	char *asked = arg;
	(void)number;
	if (!raw_read_request(connection, request, sizeof(request)))
		return;
	(void)snprintf(asked, 64, "%.*s", (int)strcspn(request, "\r"), request);
	raw_write(connection, "HTTP/1.1 200 Connected\r\nX-Of-The-Proxy: 1\r\n\r\n");
	raw_relay(connection, (int)strtol(strchr(asked, ':') + 1, NULL, 10));
}

// The proxy is asked for the URL's host; the certificate is of another name.
static void an_http_proxy_carries_tls(void **state)
{
	(void)state;
	char url[URL_MAX];
	char proxy[64];
	char expected[64];
	char asked[64] = "";
	struct seen seen = {0};
	struct error err = {0};
	AUTO(http_response) struct http_response response = {0};
	const struct raw_server_tls tls = {.cert_pem = leaf.cert_pem, .key_pem = leaf.key_pem};
	struct raw_server *server = raw_server_start(serve_tls, &seen, &tls);
	struct raw_server *between = raw_server_start(serve_connect, asked, NULL);
	(void)snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d", raw_server_port(between));
	(void)snprintf(expected, sizeof(expected), "CONNECT cluster.invalid:%d HTTP/1.1", raw_server_port(server));
	const struct http_options options = {.ca_pem = ca.cert_pem, .proxy = proxy, .tls_server_name = "api.test"};
	int rc = get(&options, raw_url(server, "https", "cluster.invalid", url), &response, &err);
	raw_server_stop(between);
	raw_server_stop(server);
	assert_ok(rc, err);
	assert_string_equal(buf_str(&response.body), "ok");
	assert_string_equal(asked, expected);
	assert_string_equal(seen.sni, "api.test");
}

// --- HTTP/2 (RFC 9113) ---

#define H2_DATA 0
#define H2_HEADERS 1
#define H2_SETTINGS 4
#define H2_END_STREAM 1
#define H2_ACK 1
#define H2_FRAME_MAX 16384

static void write_frame(struct raw_connection *connection, unsigned char type, unsigned char flags, const unsigned char stream[4],
	const char *payload)
{
	unsigned char head[9] = {0, 0, (unsigned char)strlen(payload), type, flags, stream[0], stream[1], stream[2], stream[3]};
	raw_write_bytes(connection, head, sizeof(head));
	raw_write_bytes(connection, payload, strlen(payload));
}

// Answers one request after the other; ":status: 200" is 0x88 (RFC 7541 appendix A).
static void serve_h2_frames(struct raw_connection *connection)
{
	static const unsigned char none[4] = {0};
	unsigned char head[9];
	unsigned char payload[H2_FRAME_MAX];
	write_frame(connection, H2_SETTINGS, 0, none, "");
	while (raw_read(connection, head, sizeof(head))) {
		size_t len = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
		if (len > sizeof(payload) || !raw_read(connection, payload, len))
			return;
		if (head[3] == H2_SETTINGS && (head[4] & H2_ACK) == 0)
			write_frame(connection, H2_SETTINGS, H2_ACK, none, "");
		if ((head[3] == H2_HEADERS || head[3] == H2_DATA) && (head[4] & H2_END_STREAM) != 0) {
			write_frame(connection, H2_HEADERS, 4, head + 5, "\x88");
			write_frame(connection, H2_DATA, H2_END_STREAM, head + 5, "ok");
		}
	}
}

// Speaks what the client begins with. arg receives its first line.
static void serve_either(void *arg, struct raw_connection *connection, int number)
{
	char first[512];
	unsigned char rest[6];
	char *seen = arg;
	(void)number;
	if (!raw_read_request(connection, first, sizeof(first)))
		return;
	(void)snprintf(seen, 64, "%.*s", (int)strcspn(first, "\r"), first);
	if (strncmp(first, "PRI ", 4) != 0)
		raw_write(connection, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
	else if (raw_read(connection, rest, sizeof(rest))) // "SM" and an empty line end the preface
		serve_h2_frames(connection);
}

struct protocol_row {
	const char *label;
	bool offer;
	const char *alpn;
	const char *seen;
	int connections; // for three requests: the server's HTTP/1.1 closes after each
};

static const struct protocol_row protocols[] = {
	{"both have HTTP/2", true, "h2", "PRI * HTTP/2.0", 1},
	{"the server has it not", true, NULL, "POST /path HTTP/1.1", 3},
	{"the server chooses HTTP/1.1", true, "http/1.1", "POST /path HTTP/1.1", 3},
	{"it is not offered", false, "h2", "POST /path HTTP/1.1", 3},
};

static void http2_is_spoken_where_the_server_has_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
		const struct protocol_row *row = &protocols[i];
		static const char *const methods[] = {"GET", "PATCH", "POST"};
		char url[URL_MAX];
		char seen[64] = "";
		struct error err = {0};
		const struct raw_server_tls tls = {.cert_pem = leaf.cert_pem, .key_pem = leaf.key_pem, .alpn = row->alpn};
		struct raw_server *server = raw_server_start(serve_either, seen, &tls);
		const struct http_options options = {.ca_pem = ca.cert_pem, .http2 = row->offer};
		struct http_client *client = new_client(&options);
		print_message("# %s\n", row->label);
		for (size_t m = 0; m < 3; m++) {
			const struct http_request request = {.method = methods[m],
				.url = raw_url(server, "https", "127.0.0.1", url),
				.body = m == 0 ? NULL : "{}",
				.body_len = m == 0 ? 0 : 2};
			AUTO(http_response) struct http_response response = {0};
			assert_ok(http_do(client, &request, &response, &err), err);
			assert_int_equal(response.status, 200);
			assert_string_equal(buf_str(&response.body), "ok");
		}
		int connections = raw_server_connections(server);
		http_client_free(client);
		raw_server_stop(server);
		assert_string_equal(seen, row->seen);
		assert_int_equal(connections, row->connections);
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(the_environments_proxies_are_ignored),
		cmocka_unit_test(a_socks5h_proxy_is_used_and_resolves_the_name),
		cmocka_unit_test(an_http_proxy_is_used),
		cmocka_unit_test(certificates_are_verified),
		cmocka_unit_test(the_environments_cas_are_ignored),
		cmocka_unit_test(a_client_certificate_is_shown),
		cmocka_unit_test(an_http_proxy_carries_tls),
		cmocka_unit_test(http2_is_spoken_where_the_server_has_it),
	};
	return cmocka_run_group_tests_name("base/http_tls", cases, make_pki, free_pki);
}
