#include "tests/support/raw_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define POLL_MS 20

struct raw_server {
	int fd;
	int port;
	raw_script script;
	void *arg;
	SSL_CTX *tls;
	pthread_t thread;
	atomic_bool stop;
	atomic_int connections;
	atomic_int requests;
};

struct raw_connection {
	struct raw_server *server;
	int fd;
	SSL *ssl;
};

static void must(bool good)
{
	if (!good)
		abort();
}

static X509 *read_cert(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	must(cert != NULL);
	(void)BIO_free(bio);
	return cert;
}

static int choose_protocol(
	SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned int in_len, void *arg)
{
	const char *wanted = arg;
	(void)ssl;
	for (unsigned int at = 0; at < in_len; at += in[at] + 1U) {
		if (in[at] != strlen(wanted) || memcmp(in + at + 1, wanted, in[at]) != 0)
			continue;
		*out = in + at + 1;
		*out_len = in[at];
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_NOACK;
}

static SSL_CTX *make_tls(const struct raw_server_tls *tls)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	must(ctx != NULL);
	// Level 0, or TLS 1.1 is not even offered.
	if (tls->max_version != 0)
		must(SSL_CTX_set_cipher_list(ctx, "DEFAULT@SECLEVEL=0") == 1 && SSL_CTX_set_min_proto_version(ctx, 0) == 1 &&
			SSL_CTX_set_max_proto_version(ctx, tls->max_version) == 1);
	if (tls->alpn != NULL)
		SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, (void *)(uintptr_t)tls->alpn);
	X509 *cert = read_cert(tls->cert_pem);
	BIO *bio = BIO_new_mem_buf(tls->key_pem, -1);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	must(SSL_CTX_use_certificate(ctx, cert) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1);
	EVP_PKEY_free(key);
	X509_free(cert);
	(void)BIO_free(bio);
	if (tls->client_ca_pem != NULL) {
		X509 *ca = read_cert(tls->client_ca_pem);
		must(X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca) == 1);
		X509_free(ca);
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	}
	return ctx;
}

static void serve(struct raw_server *server, int fd)
{
	struct raw_connection connection = {.server = server, .fd = fd};
	int number = atomic_fetch_add(&server->connections, 1);
	bool ready = true;
	if (server->tls != NULL) {
		connection.ssl = SSL_new(server->tls);
		must(connection.ssl != NULL && SSL_set_fd(connection.ssl, fd) == 1);
		ready = SSL_accept(connection.ssl) == 1;
	}
	if (ready)
		server->script(server->arg, &connection, number);
	if (connection.ssl != NULL) {
		if (ready && connection.fd >= 0)
			(void)SSL_shutdown(connection.ssl);
		SSL_free(connection.ssl);
	}
	ERR_clear_error();
	if (connection.fd >= 0)
		(void)close(connection.fd);
}

static void *run(void *arg)
{
	struct raw_server *server = arg;
	while (!atomic_load(&server->stop)) {
		struct pollfd ready = {.fd = server->fd, .events = POLLIN};
		if (poll(&ready, 1, POLL_MS) <= 0)
			continue;
		int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			serve(server, fd);
	}
	return NULL;
}

struct raw_server *raw_server_start(raw_script script, void *arg, const struct raw_server_tls *tls)
{
	struct raw_server *server = calloc(1, sizeof(*server));
	must(server != NULL);
	server->script = script;
	server->arg = arg;
	server->tls = tls == NULL ? NULL : make_tls(tls);
	server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	must(server->fd >= 0 && bind(server->fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
	must(listen(server->fd, 16) == 0 && getsockname(server->fd, (struct sockaddr *)&address, &len) == 0);
	server->port = ntohs(address.sin_port);
	must(pthread_create(&server->thread, NULL, run, server) == 0);
	return server;
}

void raw_server_stop(struct raw_server *server)
{
	atomic_store(&server->stop, true);
	(void)shutdown(server->fd, SHUT_RDWR); // wakes a thread that waits for the next connection
	must(pthread_join(server->thread, NULL) == 0);
	(void)close(server->fd);
	SSL_CTX_free(server->tls);
	free(server);
}

int raw_server_port(const struct raw_server *server)
{
	return server->port;
}

int raw_server_connections(struct raw_server *server)
{
	return atomic_load(&server->connections);
}

int raw_server_requests(struct raw_server *server)
{
	return atomic_load(&server->requests);
}

// Blocks; gives up when the server stops, so that a test that failed does not hang.
static bool read_byte(struct raw_connection *connection, char *out)
{
	while (!atomic_load(&connection->server->stop)) {
		struct pollfd ready = {.fd = connection->fd, .events = POLLIN};
		bool pending = connection->ssl != NULL && SSL_pending(connection->ssl) > 0;
		if (!pending && poll(&ready, 1, POLL_MS) <= 0)
			continue;
		return connection->ssl != NULL ? SSL_read(connection->ssl, out, 1) == 1 : read(connection->fd, out, 1) == 1;
	}
	return false;
}

bool raw_read_request(struct raw_connection *connection, char *out, size_t size)
{
	size_t len = 0;
	size_t body = 0;
	bool in_body = false;
	out[0] = '\0';
	for (char c; !in_body || body > 0;) {
		if (!read_byte(connection, &c))
			return false;
		if (len + 1 < size) {
			out[len++] = c;
			out[len] = '\0';
		}
		if (in_body) {
			body--;
		} else if (len >= 4 && memcmp(out + len - 4, "\r\n\r\n", 4) == 0) {
			in_body = true;
			const char *header = strcasestr(out, "\r\nContent-Length:");
			body = header == NULL ? 0 : strtoul(header + strlen("\r\nContent-Length:"), NULL, 10);
		}
	}
	(void)atomic_fetch_add(&connection->server->requests, 1);
	return true;
}

bool raw_read(struct raw_connection *connection, unsigned char *out, size_t len)
{
	for (char c; len > 0; len--) {
		if (!read_byte(connection, &c))
			return false;
		*out++ = (unsigned char)c;
	}
	return true;
}

void raw_write_bytes(struct raw_connection *connection, const void *bytes, size_t len)
{
	if (connection->ssl != NULL)
		(void)SSL_write(connection->ssl, bytes, (int)len);
	else
		(void)!send(connection->fd, bytes, len, MSG_NOSIGNAL);
}

void raw_write(struct raw_connection *connection, const char *text)
{
	raw_write_bytes(connection, text, strlen(text));
}

void raw_hold(struct raw_connection *connection)
{
	for (char c; read_byte(connection, &c);)
		;
}

static bool carry(int from, int to)
{
	char chunk[4096];
	ssize_t got = read(from, chunk, sizeof(chunk));
	return got > 0 && send(to, chunk, (size_t)got, MSG_NOSIGNAL) == got;
}

void raw_relay(struct raw_connection *connection, int port)
{
	int far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	must(far >= 0 && connect(far, (const struct sockaddr *)&address, sizeof(address)) == 0);
	for (bool open = true; open && !atomic_load(&connection->server->stop);) {
		struct pollfd ready[2] = {{.fd = connection->fd, .events = POLLIN}, {.fd = far, .events = POLLIN}};
		(void)poll(ready, 2, POLL_MS);
		if (ready[0].revents != 0)
			open = carry(connection->fd, far);
		if (open && ready[1].revents != 0)
			open = carry(far, connection->fd);
	}
	(void)close(far);
}

void raw_reset(struct raw_connection *connection)
{
	const struct linger now = {.l_onoff = 1, .l_linger = 0};
	(void)setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	(void)close(connection->fd);
	connection->fd = -1;
}

const char *raw_sni(struct raw_connection *connection)
{
	const char *name = SSL_get_servername(connection->ssl, TLSEXT_NAMETYPE_host_name);
	return name == NULL ? "" : name;
}

void raw_client_subject(struct raw_connection *connection, char *out, size_t size)
{
	X509 *cert = SSL_get1_peer_certificate(connection->ssl);
	out[0] = '\0';
	if (cert != NULL)
		(void)X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, out, (int)size);
	X509_free(cert);
}
