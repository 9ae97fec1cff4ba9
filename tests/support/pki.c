#include "tests/support/pki.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define LIFE_S 3600L

static void must(bool good)
{
	if (!good)
		abort();
}

static char *text_of(BIO *bio)
{
	char *data = NULL;
	long len = BIO_get_mem_data(bio, &data);
	char *text = strndup(data, (size_t)len);
	must(text != NULL);
	(void)BIO_free(bio);
	return text;
}

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	must(extension != NULL && X509_add_ext(cert, extension, -1) == 1);
	X509_EXTENSION_free(extension);
}

static X509 *make_cert(EVP_PKEY *key, const char *common_name)
{
	static long serial = 1;
	X509 *cert = X509_new();
	must(cert != NULL && X509_set_version(cert, X509_VERSION_3) == 1 && X509_set_pubkey(cert, key) == 1);
	must(ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++) == 1);
	must(X509_gmtime_adj(X509_getm_notBefore(cert), -60) != NULL &&
		X509_gmtime_adj(X509_getm_notAfter(cert), LIFE_S) != NULL);
	must(X509_NAME_add_entry_by_txt(
		     X509_get_subject_name(cert), "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1, 0) == 1);
	return cert;
}

static struct pki_cert finish(X509 *cert, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key)
{
	struct pki_cert made;
	BIO *cert_bio = BIO_new(BIO_s_mem());
	BIO *key_bio = BIO_new(BIO_s_mem());
	must(X509_set_issuer_name(cert, X509_get_subject_name(issuer)) == 1 && X509_sign(cert, issuer_key, EVP_sha256()) > 0);
	must(PEM_write_bio_X509(cert_bio, cert) == 1 && PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL) == 1);
	made.cert_pem = text_of(cert_bio);
	made.key_pem = text_of(key_bio);
	X509_free(cert);
	EVP_PKEY_free(key);
	return made;
}

struct pki_cert pki_make_ca(const char *common_name)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	must(key != NULL);
	X509 *cert = make_cert(key, common_name);
	add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE");
	add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign");
	return finish(cert, key, cert, key);
}

struct pki_cert pki_make_leaf(const struct pki_cert *ca, const char *common_name, const char *san)
{
	BIO *ca_bio = BIO_new_mem_buf(ca->cert_pem, -1);
	BIO *key_bio = BIO_new_mem_buf(ca->key_pem, -1);
	X509 *issuer = PEM_read_bio_X509(ca_bio, NULL, NULL, NULL);
	EVP_PKEY *issuer_key = PEM_read_bio_PrivateKey(key_bio, NULL, NULL, NULL);
	EVP_PKEY *key = EVP_EC_gen("P-256");
	must(issuer != NULL && issuer_key != NULL && key != NULL);
	X509 *cert = make_cert(key, common_name);
	if (san != NULL)
		add_extension(cert, issuer, NID_subject_alt_name, san);
	struct pki_cert made = finish(cert, key, issuer, issuer_key);
	X509_free(issuer);
	EVP_PKEY_free(issuer_key);
	(void)BIO_free(ca_bio);
	(void)BIO_free(key_bio);
	return made;
}

void pki_cert_fini(struct pki_cert *cert)
{
	free(cert->cert_pem);
	free(cert->key_pem);
	*cert = (struct pki_cert){0};
}
