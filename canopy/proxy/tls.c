#include "canopy/proxy/tls.h"

#include <arpa/inet.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_SIZE 256

// Of TLS 1.3, in the order of their cost, as S3 itself prefers them; OpenSSL's own list has 256 bits first.
#define CIPHERSUITES "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

struct tls_context {
	size_t holders; // its owner and each connection: OpenSSL's objects use the method until they are freed
	SSL_CTX *ctx;
	BIO_METHOD *method;
	const struct tls_transport *transport;
	SSL_SESSION *session; // the last one
	char session_name[NAME_SIZE];
};

struct tls {
	struct tls_context *context;
	SSL *ssl;
	void *arg;
	char name[NAME_SIZE];
};

static int bio_write(BIO *bio, const char *data, int len)
{
	const struct tls *tls = BIO_get_data(bio);
	BIO_clear_retry_flags(bio);
	ssize_t n = tls->context->transport->write(tls->arg, data, (size_t)len);
	if (n == TLS_AGAIN)
		BIO_set_retry_write(bio);
	return n > 0 ? (int)n : -1;
}

static int bio_read(BIO *bio, char *data, int len)
{
	const struct tls *tls = BIO_get_data(bio);
	BIO_clear_retry_flags(bio);
	ssize_t n = tls->context->transport->read(tls->arg, data, (size_t)len);
	if (n == TLS_AGAIN)
		BIO_set_retry_read(bio);
	return n >= 0 ? (int)n : -1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH ? 1 : 0;
}

// A session as it comes; returning 1 keeps the reference.
static int on_session(SSL *ssl, SSL_SESSION *session)
{
	const struct tls *tls = SSL_get_app_data(ssl);
	struct tls_context *context = tls->context;
	SSL_SESSION_free(context->session);
	context->session = session;
	(void)snprintf(context->session_name, sizeof(context->session_name), "%s", tls->name);
	return 1;
}

static int failed(struct error *err, enum error_kind kind, const char *what)
{
	char reason[160] = "unknown error";
	unsigned long code = ERR_peek_last_error();
	if (code != 0)
		ERR_error_string_n(code, reason, sizeof(reason));
	ERR_clear_error();
	if (ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE)
		kind = ERROR_INTERNAL;
	return error_set(err, kind, "%s: %s", what, reason);
}

static int set_up(struct tls_context *context, const char *ca_file, struct error *err)
{
	SSL_CTX *ctx = context->ctx;
	if (ca_file != NULL && SSL_CTX_load_verify_file(ctx, ca_file) != 1)
		return failed(err, ERROR_INVALID, ca_file);
	if (ca_file == NULL && SSL_CTX_set_default_verify_paths(ctx) != 1)
		return failed(err, ERROR_INTERNAL, "the system's CA certificates");
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1)
		return failed(err, ERROR_INTERNAL, "TLS");
	if (SSL_CTX_set_ciphersuites(ctx, CIPHERSUITES) != 1)
		return failed(err, ERROR_INTERNAL, "TLS");
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	(void)SSL_CTX_set_mode(
		ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, on_session);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_default_read_buffer_len(ctx, TLS_READ_BYTES);
	context->method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "connection");
	if (context->method == NULL || BIO_meth_set_write(context->method, bio_write) != 1 ||
		BIO_meth_set_read(context->method, bio_read) != 1 || BIO_meth_set_ctrl(context->method, bio_ctrl) != 1)
		return failed(err, ERROR_INTERNAL, "TLS");
	return 0;
}

int tls_context_new(const char *ca_file, const struct tls_transport *transport, struct tls_context **out, struct error *err)
{
	struct tls_context *made = calloc(1, sizeof(*made));
	if (made == NULL)
		return error_no_memory(err, "TLS");
	AUTO(tls_context) struct tls_context *context = made;
	context->holders = 1;
	context->transport = transport;
	context->ctx = SSL_CTX_new(TLS_client_method());
	if (context->ctx == NULL)
		return failed(err, ERROR_INTERNAL, "TLS");
	if (set_up(context, ca_file, err) < 0)
		return -1;
	*out = TAKE_PTR(context);
	return 0;
}

void tls_context_free(struct tls_context *context)
{
	if (context == NULL || --context->holders > 0)
		return;
	SSL_SESSION_free(context->session);
	SSL_CTX_free(context->ctx);
	BIO_meth_free(context->method);
	free(context);
}

static bool is_address(const char *name)
{
	unsigned char bytes[16];
	return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

static int set_name(struct tls *tls, struct error *err)
{
	int rc = is_address(tls->name)
			 ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls->ssl), tls->name)
			 : SSL_set1_host(tls->ssl, tls->name) == 1 && SSL_set_tlsext_host_name(tls->ssl, tls->name) == 1;
	return rc == 1 ? 0 : failed(err, ERROR_INVALID, tls->name);
}

int tls_new(struct tls_context *context, const char *name, void *arg, struct tls **out, struct error *err)
{
	struct tls *tls = calloc(1, sizeof(*tls));
	BIO *bio = BIO_new(context->method);
	if (tls != NULL)
		tls->ssl = SSL_new(context->ctx);
	if (tls == NULL || tls->ssl == NULL || bio == NULL) {
		(void)BIO_free(bio);
		tls_free(tls);
		ERR_clear_error();
		return error_no_memory(err, "TLS");
	}
	tls->context = context;
	context->holders++;
	tls->arg = arg;
	(void)snprintf(tls->name, sizeof(tls->name), "%s", name);
	BIO_set_data(bio, tls);
	BIO_set_init(bio, 1);
	SSL_set_bio(tls->ssl, bio, bio);
	SSL_set_connect_state(tls->ssl);
	if (SSL_set_app_data(tls->ssl, tls) != 1) {
		tls_free(tls);
		ERR_clear_error();
		return error_no_memory(err, "TLS"); // on_session() needs it
	}
	if (set_name(tls, err) < 0) {
		tls_free(tls);
		return -1;
	}
	if (context->session != NULL && strcmp(context->session_name, name) == 0)
		(void)SSL_set_session(tls->ssl, context->session);
	*out = tls;
	return 0;
}

void tls_free(struct tls *tls)
{
	if (tls == NULL)
		return;
	SSL_free(tls->ssl);
	tls_context_free(tls->context);
	free(tls);
}

static ssize_t outcome(struct tls *tls, int rc, const char *what, struct error *err)
{
	switch (SSL_get_error(tls->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return TLS_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		(void)failed(err, ERROR_TRANSIENT, what);
		return TLS_BROKEN;
	}
}

int tls_handshake(struct tls *tls, struct error *err)
{
	ERR_clear_error();
	int rc = SSL_do_handshake(tls->ssl);
	if (rc == 1)
		return 1;
	long verified = SSL_get_verify_result(tls->ssl);
	ssize_t n = outcome(tls, rc, "TLS handshake", err);
	if (n == TLS_AGAIN)
		return TLS_AGAIN;
	if (verified != X509_V_OK)
		(void)error_set(err, ERROR_INVALID, "the certificate is not good for %s: %s", tls->name,
			X509_verify_cert_error_string(verified));
	else if (n == 0)
		(void)error_set(err, ERROR_TRANSIENT, "TLS handshake: the server went away");
	return TLS_BROKEN;
}

ssize_t tls_read(struct tls *tls, void *data, size_t len, struct error *err)
{
	size_t total = 0;
	while (total < len) {
		size_t n = 0;
		ERR_clear_error();
		int rc = SSL_read_ex(tls->ssl, (char *)data + total, len - total, &n);
		if (rc == 1) {
			total += n;
			continue;
		}
		if (total > 0)
			break; // what is wrong now is still wrong next time
		return outcome(tls, rc, "TLS", err);
	}
	return (ssize_t)total;
}

ssize_t tls_write(struct tls *tls, const void *data, size_t len, struct error *err)
{
	size_t n = 0;
	ERR_clear_error();
	int rc = SSL_write_ex(tls->ssl, data, len, &n);
	if (rc == 1)
		return (ssize_t)n;
	ssize_t why = outcome(tls, rc, "TLS", err);
	return why == 0 ? TLS_BROKEN : why;
}

void tls_shutdown(struct tls *tls)
{
	if (SSL_is_init_finished(tls->ssl))
		(void)SSL_shutdown(tls->ssl);
	ERR_clear_error();
}
