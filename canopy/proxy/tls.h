// TLS towards S3 (OpenSSL): a context, and sessions over a transport that the connection brings.
//
// The transport is a pair of functions instead of OpenSSL's own socket BIO, so that the connection counts the bytes and knows
// when its socket is empty without asking the kernel. One thread.
#ifndef CANOPY_PROXY_TLS_H
#define CANOPY_PROXY_TLS_H

#include "base/cleanup.h"
#include "base/error.h"
#include <stddef.h>
#include <sys/types.h>

// Ciphertext that is read at once: several records of 16 KiB, else each costs two system calls. Per connection, while data flows.
#define TLS_READ_BYTES ((size_t)34 << 10)

#define TLS_AGAIN (-1)
#define TLS_BROKEN (-2)

// >0 bytes, 0 the end, TLS_AGAIN, TLS_BROKEN.
struct tls_transport {
	ssize_t (*read)(void *arg, void *data, size_t len);
	ssize_t (*write)(void *arg, const void *data, size_t len);
};

struct tls_context;
struct tls;

// ca_file NULL: the system's certificates. transport outlives the context.
MUST_CHECK int tls_context_new(
	const char *ca_file, const struct tls_transport *transport, struct tls_context **out, struct error *err);
void tls_context_free(struct tls_context *context); // lives on until the last of its connections is freed
DEFINE_AUTO(struct tls_context, tls_context, tls_context_free)

// name: a host name (also sent as SNI) or an IP address. The last session with that name is resumed where the server agrees.
MUST_CHECK int tls_new(struct tls_context *context, const char *name, void *arg, struct tls **out, struct error *err);
void tls_free(struct tls *tls);

// 1 done, TLS_AGAIN, TLS_BROKEN with *err filled (why a certificate was refused, say).
int tls_handshake(struct tls *tls, struct error *err);

// As upstream_read() and upstream_write(). A connection that ends without TLS's own goodbye is TLS_BROKEN.
ssize_t tls_read(struct tls *tls, void *data, size_t len, struct error *err);
ssize_t tls_write(struct tls *tls, const void *data, size_t len, struct error *err);

// Say goodbye, as far as the socket takes it at once.
void tls_shutdown(struct tls *tls);

#endif
