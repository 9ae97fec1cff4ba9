// The wrappers of tests/support/torture.h: what -Wl,--wrap puts in the place of fallible calls. tests/meson.build names
// the same functions to the linker, which refuses a list that differs.
#include "tests/support/torture.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#pragma GCC diagnostic ignored "-Wredundant-decls"
#if defined(__clang__)
#pragma GCC diagnostic ignored "-Wreserved-identifier"
#endif

#define WRAP(type, name, parameters, arguments, os_errno, otherwise)                           \
	type __real_##name parameters;                                                         \
	type __wrap_##name parameters;                                                         \
	type __wrap_##name parameters                                                          \
	{                                                                                      \
		return torture_fails(#name, os_errno) ? (otherwise) : __real_##name arguments; \
	}

// Memory.
WRAP(void *, malloc, (size_t size), (size), ENOMEM, NULL)
WRAP(void *, calloc, (size_t count, size_t size), (count, size), ENOMEM, NULL)
WRAP(void *, realloc, (void *at, size_t size), (at, size), ENOMEM, NULL)
WRAP(void *, reallocarray, (void *at, size_t count, size_t size), (at, count, size), ENOMEM, NULL)
WRAP(void *, aligned_alloc, (size_t alignment, size_t size), (alignment, size), ENOMEM, NULL)
WRAP(char *, strdup, (const char *text), (text), ENOMEM, NULL)
WRAP(char *, strndup, (const char *text, size_t len), (text, len), ENOMEM, NULL)

int __wrap_asprintf(char **out, const char *fmt, ...) PRINTF_LIKE(2, 3);
int __wrap_asprintf(char **out, const char *fmt, ...)
{
	va_list ap;
	if (torture_fails("asprintf", ENOMEM))
		return -1;
	va_start(ap, fmt);
	int rc = vasprintf(out, fmt, ap);
	va_end(ap);
	return rc;
}

// Files, sockets, threads, programs.
int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
	va_list ap;
	va_start(ap, flags);
	// NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): va_start() stands above
	mode_t mode = (flags & O_CREAT) != 0 ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return torture_fails("open", EMFILE) ? -1 : __real_open64(path, flags, mode);
}

int __real_fcntl64(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, ...)
{
	va_list ap;
	va_start(ap, command);
	long value = va_arg(ap, long);
	va_end(ap);
	bool may_fail = command == F_DUPFD_CLOEXEC || command == F_DUPFD || command == F_SETPIPE_SZ;
	return may_fail && torture_fails("fcntl", EMFILE) ? -1 : __real_fcntl64(fd, command, value);
}

WRAP(FILE *, fopen64, (const char *path, const char *mode), (path, mode), EMFILE, NULL)
WRAP(ssize_t, read, (int fd, void *out, size_t len), (fd, out, len), EIO, -1)
WRAP(ssize_t, recv, (int fd, void *out, size_t len, int flags), (fd, out, len, flags), ECONNRESET, -1)
WRAP(ssize_t, send, (int fd, const void *data, size_t len, int flags), (fd, data, len, flags), ECONNRESET, -1)
WRAP(ssize_t, splice, (int from, off64_t *from_at, int to, off64_t *to_at, size_t len, unsigned int flags),
	(from, from_at, to, to_at, len, flags), ECONNRESET, -1)
WRAP(int, accept4, (int fd, struct sockaddr *from, socklen_t *len, int flags), (fd, from, len, flags), EMFILE, -1)
WRAP(int, pipe2, (int fds[2], int flags), (fds, flags), EMFILE, -1)
WRAP(int, mkfifo, (const char *path, mode_t mode), (path, mode), ENOSPC, -1)
WRAP(int, rename, (const char *from, const char *to), (from, to), EIO, -1)
WRAP(int, socket, (int domain, int type, int protocol), (domain, type, protocol), EMFILE, -1)
WRAP(int, bind, (int fd, const struct sockaddr *to, socklen_t len), (fd, to, len), ENOBUFS, -1)
WRAP(int, listen, (int fd, int backlog), (fd, backlog), ENOBUFS, -1)
WRAP(int, connect, (int fd, const struct sockaddr *to, socklen_t len), (fd, to, len), ECONNREFUSED, -1)
WRAP(int, getsockname, (int fd, struct sockaddr *out, socklen_t *len), (fd, out, len), ENOBUFS, -1)
WRAP(int, epoll_create1, (int flags), (flags), EMFILE, -1)
WRAP(int, epoll_ctl, (int epfd, int op, int fd, struct epoll_event *event), (epfd, op, fd, event), ENOSPC, -1)
WRAP(int, eventfd, (unsigned int count, int flags), (count, flags), EMFILE, -1)
WRAP(int, signalfd, (int fd, const sigset_t *mask, int flags), (fd, mask, flags), EMFILE, -1)
WRAP(ssize_t, getrandom, (void *out, size_t len, unsigned int flags), (out, len, flags), EIO, -1)
WRAP(int, pthread_create, (pthread_t * out, const pthread_attr_t *attributes, void *(*run)(void *), void *arg),
	(out, attributes, run, arg), EAGAIN, EAGAIN)
WRAP(int, posix_spawnp,
	(pid_t * out, const char *file, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
		char *const *argv, char *const *envp),
	(out, file, actions, attributes, argv, envp), EAGAIN, EAGAIN)
WRAP(int, posix_spawn_file_actions_init, (posix_spawn_file_actions_t * actions), (actions), ENOMEM, ENOMEM)
WRAP(int, posix_spawn_file_actions_adddup2, (posix_spawn_file_actions_t * actions, int fd, int new_fd), (actions, fd, new_fd),
	ENOMEM, ENOMEM)
WRAP(int, posix_spawn_file_actions_addopen,
	(posix_spawn_file_actions_t * actions, int fd, const char *path, int flags, mode_t mode),
	(actions, fd, path, flags, mode), ENOMEM, ENOMEM)
WRAP(int, posix_spawn_file_actions_addclosefrom_np, (posix_spawn_file_actions_t * actions, int from), (actions, from), ENOMEM,
	ENOMEM)
WRAP(int, posix_spawnattr_init, (posix_spawnattr_t * attributes), (attributes), ENOMEM, ENOMEM)

// libcurl.
WRAP(CURL *, curl_easy_init, (void), (), ENOMEM, NULL)
WRAP(CURLcode, curl_easy_perform, (CURL * easy), (easy), ENOMEM, CURLE_OUT_OF_MEMORY)
WRAP(struct curl_slist *, curl_slist_append, (struct curl_slist * list, const char *text), (list, text), ENOMEM, NULL)
WRAP(CURLU *, curl_url, (void), (), ENOMEM, NULL)
WRAP(CURLUcode, curl_url_set, (CURLU * url, CURLUPart part, const char *text, unsigned int flags), (url, part, text, flags),
	ENOMEM, CURLUE_OUT_OF_MEMORY)
WRAP(CURLUcode, curl_url_get, (const CURLU *url, CURLUPart part, char **out, unsigned int flags), (url, part, out, flags), ENOMEM,
	CURLUE_OUT_OF_MEMORY)

// All that comes here is a long, a pointer or a curl_off_t: one register each.
CURLcode __real_curl_easy_setopt(CURL *easy, CURLoption option, ...);
CURLcode __wrap_curl_easy_setopt(CURL *easy, CURLoption option, ...);
#undef curl_easy_setopt
CURLcode __wrap_curl_easy_setopt(CURL *easy, CURLoption option, ...)
{
	va_list ap;
	va_start(ap, option);
	void *value = va_arg(ap, void *);
	va_end(ap);
	return torture_fails("curl_easy_setopt", ENOMEM) ? CURLE_OUT_OF_MEMORY : __real_curl_easy_setopt(easy, option, value);
}

// OpenSSL, which leaves the reason in the thread's queue.
#define WRAP_SSL(type, name, parameters, arguments, otherwise)   \
	type __real_##name parameters;                           \
	type __wrap_##name parameters;                           \
	type __wrap_##name parameters                            \
	{                                                        \
		if (!torture_fails(#name, ENOMEM))               \
			return __real_##name arguments;          \
		ERR_raise(ERR_LIB_CRYPTO, ERR_R_MALLOC_FAILURE); \
		return otherwise;                                \
	}

WRAP_SSL(BIO *, BIO_new, (const BIO_METHOD *method), (method), NULL)
WRAP_SSL(BIO *, BIO_new_mem_buf, (const void *data, int len), (data, len), NULL)
WRAP_SSL(X509 *, PEM_read_bio_X509, (BIO * bio, X509 **out, pem_password_cb *cb, void *arg), (bio, out, cb, arg), NULL)
WRAP_SSL(EVP_PKEY *, PEM_read_bio_PrivateKey, (BIO * bio, EVP_PKEY **out, pem_password_cb *cb, void *arg), (bio, out, cb, arg),
	NULL)
WRAP_SSL(int, PEM_write_bio_X509, (BIO * bio, const X509 *cert), (bio, cert), 0)
WRAP_SSL(int, PEM_write_bio_PKCS8PrivateKey,
	(BIO * bio, const EVP_PKEY *key, const EVP_CIPHER *cipher, const char *password, int len, pem_password_cb *cb, void *arg),
	(bio, key, cipher, password, len, cb, arg), 0)
WRAP_SSL(X509 *, X509_new, (void), (), NULL)
WRAP_SSL(int, X509_sign, (X509 * cert, EVP_PKEY *key, const EVP_MD *digest), (cert, key, digest), 0)
WRAP_SSL(int, X509_set_pubkey, (X509 * cert, EVP_PKEY *key), (cert, key), 0)
WRAP_SSL(int, X509_set_issuer_name, (X509 * cert, const X509_NAME *name), (cert, name), 0)
WRAP_SSL(int, X509_add_ext, (X509 * cert, X509_EXTENSION *extension, int at), (cert, extension, at), 0)
WRAP_SSL(int, X509_add1_ext_i2d, (X509 * cert, int nid, void *value, int critical, unsigned long flags),
	(cert, nid, value, critical, flags), 0)
WRAP_SSL(int, X509_NAME_add_entry_by_txt,
	(X509_NAME * name, const char *field, int type, const unsigned char *text, int len, int at, int set),
	(name, field, type, text, len, at, set), 0)
WRAP_SSL(X509_EXTENSION *, X509V3_EXT_conf_nid, (LHASH_OF(CONF_VALUE) * conf, X509V3_CTX *ctx, int nid, const char *value),
	(conf, ctx, nid, value), NULL)
WRAP_SSL(GENERAL_NAME *, GENERAL_NAME_new, (void), (), NULL)
WRAP_SSL(GENERAL_NAMES *, GENERAL_NAMES_new, (void), (), NULL)
WRAP_SSL(ASN1_IA5STRING *, ASN1_IA5STRING_new, (void), (), NULL)
WRAP_SSL(ASN1_OCTET_STRING *, ASN1_OCTET_STRING_new, (void), (), NULL)
WRAP_SSL(int, ASN1_STRING_set, (ASN1_STRING * text, const void *data, int len), (text, data, len), 0)
WRAP_SSL(ASN1_TIME *, ASN1_TIME_set, (ASN1_TIME * out, time_t at), (out, at), NULL)
WRAP_SSL(int, OPENSSL_sk_push, (OPENSSL_STACK * stack, const void *item), (stack, item), 0)
WRAP_SSL(BIGNUM *, BN_bin2bn, (const unsigned char *bytes, int len, BIGNUM *out), (bytes, len, out), NULL)
WRAP_SSL(ASN1_INTEGER *, BN_to_ASN1_INTEGER, (const BIGNUM *number, ASN1_INTEGER *out), (number, out), NULL)
WRAP_SSL(EVP_MD_CTX *, EVP_MD_CTX_new, (void), (), NULL)
WRAP_SSL(int, EVP_DigestInit_ex, (EVP_MD_CTX * ctx, const EVP_MD *digest, ENGINE *engine), (ctx, digest, engine), 0)
WRAP_SSL(int, EVP_DigestUpdate, (EVP_MD_CTX * ctx, const void *data, size_t len), (ctx, data, len), 0)
WRAP_SSL(int, EVP_DigestFinal_ex, (EVP_MD_CTX * ctx, unsigned char *out, unsigned int *len), (ctx, out, len), 0)
WRAP_SSL(int, EVP_Digest,
	(const void *data, size_t len, unsigned char *out, unsigned int *out_len, const EVP_MD *digest, ENGINE *engine),
	(data, len, out, out_len, digest, engine), 0)
WRAP_SSL(unsigned char *, HMAC,
	(const EVP_MD *digest, const void *key, int key_len, const unsigned char *data, size_t len, unsigned char *out,
		unsigned int *out_len),
	(digest, key, key_len, data, len, out, out_len), NULL)
WRAP_SSL(SSL_CTX *, SSL_CTX_new, (const SSL_METHOD *method), (method), NULL)
WRAP_SSL(int, SSL_CTX_load_verify_file, (SSL_CTX * ctx, const char *path), (ctx, path), 0)
WRAP_SSL(int, SSL_CTX_set_default_verify_paths, (SSL_CTX * ctx), (ctx), 0)
WRAP_SSL(int, SSL_CTX_set_ciphersuites, (SSL_CTX * ctx, const char *list), (ctx, list), 0)
WRAP_SSL(SSL *, SSL_new, (SSL_CTX * ctx), (ctx), NULL)
WRAP_SSL(int, SSL_set1_host, (SSL * ssl, const char *host), (ssl, host), 0)
WRAP_SSL(int, SSL_set_ex_data, (SSL * ssl, int index, void *data), (ssl, index, data), 0)

// EVP_EC_gen()
EVP_PKEY *__real_EVP_PKEY_Q_keygen(OSSL_LIB_CTX *ctx, const char *query, const char *type, ...);
EVP_PKEY *__wrap_EVP_PKEY_Q_keygen(OSSL_LIB_CTX *ctx, const char *query, const char *type, ...);
EVP_PKEY *__wrap_EVP_PKEY_Q_keygen(OSSL_LIB_CTX *ctx, const char *query, const char *type, ...)
{
	va_list ap;
	va_start(ap, type);
	char *curve = va_arg(ap, char *);
	va_end(ap);
	if (!torture_fails("EVP_EC_gen", ENOMEM))
		return __real_EVP_PKEY_Q_keygen(ctx, query, type, curve);
	ERR_raise(ERR_LIB_CRYPTO, ERR_R_MALLOC_FAILURE);
	return NULL;
}

// libyaml.
int __real_yaml_parser_parse(yaml_parser_t *parser, yaml_event_t *event);
int __wrap_yaml_parser_parse(yaml_parser_t *parser, yaml_event_t *event);
int __wrap_yaml_parser_parse(yaml_parser_t *parser, yaml_event_t *event)
{
	if (!torture_fails("yaml_parser_parse", ENOMEM))
		return __real_yaml_parser_parse(parser, event);
	parser->error = YAML_MEMORY_ERROR;
	memset(event, 0, sizeof(*event));
	return 0;
}

int __real_yaml_parser_load(yaml_parser_t *parser, yaml_document_t *document);
int __wrap_yaml_parser_load(yaml_parser_t *parser, yaml_document_t *document);
int __wrap_yaml_parser_load(yaml_parser_t *parser, yaml_document_t *document)
{
	if (!torture_fails("yaml_parser_load", ENOMEM))
		return __real_yaml_parser_load(parser, document);
	parser->error = YAML_MEMORY_ERROR;
	memset(document, 0, sizeof(*document));
	return 0;
}

WRAP(int, yaml_parser_initialize, (yaml_parser_t * parser), (parser), ENOMEM, 0)
