// The wrappers of tests/support/torture.h for the libraries that only some programs are linked with.
#include "tests/support/torture.h"

#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <microhttpd.h>

#pragma GCC diagnostic ignored "-Wredundant-decls"
#if defined(__clang__)
#pragma GCC diagnostic ignored "-Wreserved-identifier"
#endif

struct MHD_Response *__real_MHD_create_response_from_buffer(size_t len, void *bytes, enum MHD_ResponseMemoryMode mode);
struct MHD_Response *__wrap_MHD_create_response_from_buffer(size_t len, void *bytes, enum MHD_ResponseMemoryMode mode);
struct MHD_Response *__wrap_MHD_create_response_from_buffer(size_t len, void *bytes, enum MHD_ResponseMemoryMode mode)
{
	bool fails = torture_fails("MHD_create_response_from_buffer", ENOMEM);
	return fails ? NULL : __real_MHD_create_response_from_buffer(len, bytes, mode);
}

enum MHD_Result __real_MHD_add_response_header(struct MHD_Response *response, const char *name, const char *value);
enum MHD_Result __wrap_MHD_add_response_header(struct MHD_Response *response, const char *name, const char *value);
enum MHD_Result __wrap_MHD_add_response_header(struct MHD_Response *response, const char *name, const char *value)
{
	bool fails = torture_fails("MHD_add_response_header", ENOMEM);
	return fails ? MHD_NO : __real_MHD_add_response_header(response, name, value);
}

struct MHD_Response *__real_MHD_create_response_from_callback(
	uint64_t size, size_t block_size, MHD_ContentReaderCallback read, void *arg, MHD_ContentReaderFreeCallback release);
struct MHD_Response *__wrap_MHD_create_response_from_callback(
	uint64_t size, size_t block_size, MHD_ContentReaderCallback read, void *arg, MHD_ContentReaderFreeCallback release);
struct MHD_Response *__wrap_MHD_create_response_from_callback(
	uint64_t size, size_t block_size, MHD_ContentReaderCallback read, void *arg, MHD_ContentReaderFreeCallback release)
{
	bool fails = torture_fails("MHD_create_response_from_callback", ENOMEM);
	return fails ? NULL : __real_MHD_create_response_from_callback(size, block_size, read, arg, release);
}

enum MHD_Result __real_MHD_queue_response(struct MHD_Connection *to, unsigned int status, struct MHD_Response *response);
enum MHD_Result __wrap_MHD_queue_response(struct MHD_Connection *to, unsigned int status, struct MHD_Response *response);
enum MHD_Result __wrap_MHD_queue_response(struct MHD_Connection *to, unsigned int status, struct MHD_Response *response)
{
	return torture_fails("MHD_queue_response", ENOMEM) ? MHD_NO : __real_MHD_queue_response(to, status, response);
}

int __real_gnutls_certificate_allocate_credentials(gnutls_certificate_credentials_t *out);
int __wrap_gnutls_certificate_allocate_credentials(gnutls_certificate_credentials_t *out);
int __wrap_gnutls_certificate_allocate_credentials(gnutls_certificate_credentials_t *out)
{
	bool fails = torture_fails("gnutls_certificate_allocate_credentials", ENOMEM);
	return fails ? GNUTLS_E_MEMORY_ERROR : __real_gnutls_certificate_allocate_credentials(out);
}

int __real_gnutls_certificate_set_x509_key_mem2(gnutls_certificate_credentials_t to, const gnutls_datum_t *cert,
	const gnutls_datum_t *key, gnutls_x509_crt_fmt_t format, const char *password, unsigned int flags);
int __wrap_gnutls_certificate_set_x509_key_mem2(gnutls_certificate_credentials_t to, const gnutls_datum_t *cert,
	const gnutls_datum_t *key, gnutls_x509_crt_fmt_t format, const char *password, unsigned int flags);
int __wrap_gnutls_certificate_set_x509_key_mem2(gnutls_certificate_credentials_t to, const gnutls_datum_t *cert,
	const gnutls_datum_t *key, gnutls_x509_crt_fmt_t format, const char *password, unsigned int flags)
{
	bool fails = torture_fails("gnutls_certificate_set_x509_key_mem2", ENOMEM);
	return fails ? GNUTLS_E_MEMORY_ERROR
		     : __real_gnutls_certificate_set_x509_key_mem2(to, cert, key, format, password, flags);
}

int __real_gnutls_privkey_init(gnutls_privkey_t *out);
int __wrap_gnutls_privkey_init(gnutls_privkey_t *out);
int __wrap_gnutls_privkey_init(gnutls_privkey_t *out)
{
	return torture_fails("gnutls_privkey_init", ENOMEM) ? GNUTLS_E_MEMORY_ERROR : __real_gnutls_privkey_init(out);
}

int __real_gnutls_privkey_import_x509_raw(
	gnutls_privkey_t to, const gnutls_datum_t *key, gnutls_x509_crt_fmt_t format, const char *password, unsigned int flags);
int __wrap_gnutls_privkey_import_x509_raw(
	gnutls_privkey_t to, const gnutls_datum_t *key, gnutls_x509_crt_fmt_t format, const char *password, unsigned int flags);
int __wrap_gnutls_privkey_import_x509_raw(
	gnutls_privkey_t to, const gnutls_datum_t *key, gnutls_x509_crt_fmt_t format, const char *password, unsigned int flags)
{
	bool fails = torture_fails("gnutls_privkey_import_x509_raw", ENOMEM);
	return fails ? GNUTLS_E_MEMORY_ERROR : __real_gnutls_privkey_import_x509_raw(to, key, format, password, flags);
}

int __real_gnutls_pcert_list_import_x509_raw(
	gnutls_pcert_st *list, unsigned int *count, const gnutls_datum_t *data, gnutls_x509_crt_fmt_t format, unsigned int flags);
int __wrap_gnutls_pcert_list_import_x509_raw(
	gnutls_pcert_st *list, unsigned int *count, const gnutls_datum_t *data, gnutls_x509_crt_fmt_t format, unsigned int flags);
int __wrap_gnutls_pcert_list_import_x509_raw(
	gnutls_pcert_st *list, unsigned int *count, const gnutls_datum_t *data, gnutls_x509_crt_fmt_t format, unsigned int flags)
{
	bool fails = torture_fails("gnutls_pcert_list_import_x509_raw", ENOMEM);
	return fails ? GNUTLS_E_MEMORY_ERROR : __real_gnutls_pcert_list_import_x509_raw(list, count, data, format, flags);
}
