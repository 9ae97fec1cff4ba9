#include "base/cert.h"

#include "base/buf.h"
#include "base/encode.h"
#include "base/random.h"
#include <arpa/inet.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define CURVE "P-256"
#define SERIAL_BYTES 16    // RFC 5280 section 4.1.2.2 allows 20; the CA/Browser Forum asks for 64 random bits
#define NAME_HEX 8         // digits of the serial number in the name of a CA
#define COMMON_NAME_MAX 64 // RFC 5280 appendix A, ub-common-name
#define DNS_NAME_MAX 253
#define BUNDLE_MAX ((size_t)1 << 20)

DEFINE_AUTO(BIO, bio, BIO_free_all)
DEFINE_AUTO(X509, x509, X509_free)
DEFINE_AUTO(EVP_PKEY, pkey, EVP_PKEY_free)
DEFINE_AUTO(BIGNUM, bignum, BN_free)
DEFINE_AUTO(X509_EXTENSION, extension, X509_EXTENSION_free)
DEFINE_AUTO(GENERAL_NAMES, general_names, GENERAL_NAMES_free)
DEFINE_AUTO(GENERAL_NAME, general_name, GENERAL_NAME_free)

static bool is_out_of_memory(void)
{
	return ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE;
}

// The queue of errors belongs to the thread: what is left in it would be taken for another call's.
static int openssl_failed(enum error_kind kind, const char *what, struct error *err)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());
	if (is_out_of_memory())
		(void)error_no_memory(err, what);
	else
		(void)error_set(err, kind, "%s: %s", what, reason == NULL ? "refused by OpenSSL" : reason);
	ERR_clear_error();
	return -1;
}

void cert_pair_fini(struct cert_pair *pair)
{
	free(pair->cert_pem);
	secret_fini(&pair->key_pem);
	*pair = (struct cert_pair){0};
}

static int read_cert(const char *pem, X509 **out, struct error *err)
{
	AUTO(bio) BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *cert = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);
	if (cert == NULL)
		return openssl_failed(ERROR_INVALID, "read a certificate", err);
	*out = cert;
	return 0;
}

// Without this, OpenSSL would ask on the terminal for the password of an encrypted key.
static int no_password(char *out, int size, int for_writing, void *arg)
{
	(void)out;
	(void)size;
	(void)for_writing;
	(void)arg;
	return -1;
}

static int read_key(const struct secret *pem, EVP_PKEY **out, struct error *err)
{
	AUTO(bio) BIO *bio = BIO_new_mem_buf(secret_reveal(pem), -1);
	EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
	if (key == NULL)
		return openssl_failed(ERROR_INVALID, "read a key", err);
	*out = key;
	return 0;
}

static int64_t time_ms(const ASN1_TIME *time)
{
	struct tm parts = {0};
	return ASN1_TIME_to_tm(time, &parts) == 1 ? (int64_t)timegm(&parts) * 1000 : 0;
}

static struct cert_validity validity_of(const X509 *cert)
{
	return (struct cert_validity){time_ms(X509_get0_notBefore(cert)), time_ms(X509_get0_notAfter(cert))};
}

int cert_validity(const char *cert_pem, struct cert_validity *out, struct error *err)
{
	AUTO(x509) X509 *cert = NULL;
	if (read_cert(cert_pem, &cert, err) < 0)
		return -1;
	*out = validity_of(cert);
	return 0;
}

// What a new certificate is made from.
struct draft {
	const char *common_name; // NULL: an empty subject
	const X509 *issuer;      // NULL: itself
	EVP_PKEY *issuer_key;
	EVP_PKEY *key;
	GENERAL_NAMES *names;
	struct cert_validity validity;
};

static int make_serial(X509 *cert, char hex[NAME_HEX + 1], struct error *err)
{
	unsigned char bytes[SERIAL_BYTES];
	char all[2 * SERIAL_BYTES + 1];
	if (random_bytes(bytes, sizeof(bytes), err) < 0)
		return -1;
	bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40); // positive, and always of one length
	AUTO(bignum) BIGNUM *number = BN_bin2bn(bytes, sizeof(bytes), NULL);
	if (number == NULL || BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) == NULL)
		return openssl_failed(ERROR_INTERNAL, "make a serial number", err);
	encode_hex(bytes, sizeof(bytes), all);
	(void)snprintf(hex, NAME_HEX + 1, "%.*s", NAME_HEX, all + 1);
	return 0;
}

static bool set_subject(X509 *cert, const char *common_name, const char *hex)
{
	char text[COMMON_NAME_MAX + 1];
	if (common_name == NULL)
		return true;
	(void)snprintf(text, sizeof(text), "%.*s %s", COMMON_NAME_MAX - NAME_HEX - 1, common_name, hex);
	return X509_NAME_add_entry_by_txt(
		       X509_get_subject_name(cert), "CN", MBSTRING_UTF8, (const unsigned char *)text, -1, -1, 0) == 1;
}

static bool set_validity(X509 *cert, const struct cert_validity *validity)
{
	return ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)(validity->from_ms / 1000)) != NULL &&
	       ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)(validity->until_ms / 1000)) != NULL;
}

static bool add_extension(X509 *cert, const X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, (X509 *)(uintptr_t)issuer, cert, NULL, NULL, 0);
	AUTO(extension) X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	return extension != NULL && X509_add_ext(cert, extension, -1) == 1;
}

// RFC 5280 section 4.2.1: what each may be used for. The subject's key identifier comes before the authority's, which in a CA
// names the same key. An empty subject makes the alternative names critical (section 4.2.1.6).
static bool add_extensions(X509 *cert, const struct draft *draft)
{
	const X509 *issuer = draft->issuer == NULL ? cert : draft->issuer;
	bool is_ca = draft->issuer == NULL;
	return add_extension(cert, issuer, NID_basic_constraints, is_ca ? "critical,CA:TRUE,pathlen:0" : "critical,CA:FALSE") &&
	       add_extension(cert, issuer, NID_key_usage, is_ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature") &&
	       add_extension(cert, issuer, NID_subject_key_identifier, "hash") &&
	       add_extension(cert, issuer, NID_authority_key_identifier, "keyid:always") &&
	       (is_ca || (add_extension(cert, issuer, NID_ext_key_usage, "serverAuth") &&
				 X509_add1_ext_i2d(cert, NID_subject_alt_name, draft->names, 1, X509V3_ADD_DEFAULT) == 1));
}

static int sign(const struct draft *draft, X509 **out, struct error *err)
{
	char hex[NAME_HEX + 1];
	AUTO(x509) X509 *cert = X509_new();
	if (cert == NULL)
		return error_no_memory(err, "certificate");
	if (make_serial(cert, hex, err) < 0)
		return -1;
	bool good = X509_set_version(cert, X509_VERSION_3) == 1 && X509_set_pubkey(cert, draft->key) == 1 &&
		    set_subject(cert, draft->common_name, hex) && set_validity(cert, &draft->validity);
	good = good && X509_set_issuer_name(cert, X509_get_subject_name(draft->issuer == NULL ? cert : draft->issuer)) == 1;
	if (!good || !add_extensions(cert, draft) || X509_sign(cert, draft->issuer_key, EVP_sha256()) <= 0)
		return openssl_failed(ERROR_INTERNAL, "sign a certificate", err);
	*out = TAKE_PTR(cert);
	return 0;
}

static int text_of(BIO *bio, char **out, struct error *err)
{
	char *data = NULL;
	long len = BIO_get_mem_data(bio, &data);
	char *text = strndup(data == NULL ? "" : data, (size_t)len);
	if (text == NULL)
		return error_no_memory(err, "PEM text");
	*out = text;
	return 0;
}

static int write_pair(X509 *cert, EVP_PKEY *key, struct cert_pair *out, struct error *err)
{
	AUTO(bio) BIO *cert_bio = BIO_new(BIO_s_mem());
	AUTO(bio) BIO *key_bio = BIO_new(BIO_s_mem()); // wipes its bytes when it is freed
	AUTO(cert_pair) struct cert_pair made = {0};
	char *key_text = NULL;
	if (cert_bio == NULL || key_bio == NULL || PEM_write_bio_X509(cert_bio, cert) != 1 ||
		PEM_write_bio_PKCS8PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL) != 1)
		return openssl_failed(ERROR_INTERNAL, "write a certificate and its key", err);
	if (text_of(cert_bio, &made.cert_pem, err) < 0 || text_of(key_bio, &key_text, err) < 0)
		return -1;
	made.key_pem = (struct secret){.bytes = key_text, .len = strlen(key_text)};
	cert_pair_fini(out);
	*out = made;
	made = (struct cert_pair){0};
	return 0;
}

int cert_make_ca(const char *common_name, int64_t now_ms, int64_t life_ms, struct cert_pair *out, struct error *err)
{
	AUTO(pkey) EVP_PKEY *key = EVP_EC_gen(CURVE);
	AUTO(x509) X509 *cert = NULL;
	if (key == NULL)
		return openssl_failed(ERROR_INTERNAL, "make a key", err);
	const struct draft draft = {.common_name = common_name,
		.issuer_key = key,
		.key = key,
		.validity = {now_ms - CERT_BACKDATE_MS, now_ms + life_ms}};
	if (sign(&draft, &cert, err) < 0)
		return -1;
	return write_pair(cert, key, out, err);
}

// Letters, digits, hyphens and dots: what a client compares byte by byte. Wildcards are nobody's business here.
static bool is_dns_name(const char *name)
{
	size_t len = strlen(name);
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
	return len > 0 && len <= DNS_NAME_MAX && strspn(name, allowed) == len && name[0] != '.' && name[0] != '-' &&
	       strstr(name, "..") == NULL;
}

// The bytes of an address, 0 when the name is none.
static int address_bytes(const char *name, unsigned char out[16])
{
	if (inet_pton(AF_INET, name, out) == 1)
		return 4;
	return inet_pton(AF_INET6, name, out) == 1 ? 16 : 0;
}

static int add_name(GENERAL_NAMES *names, const char *name, struct error *err)
{
	unsigned char address[16];
	int address_len = address_bytes(name, address);
	if (address_len == 0 && !is_dns_name(name))
		return error_set(err, ERROR_INVALID, "certificate name \"%s\" is no DNS name and no IP address", name);

	AUTO(general_name) GENERAL_NAME *made = GENERAL_NAME_new();
	ASN1_STRING *value = address_len > 0 ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
	bool good =
		made != NULL && value != NULL &&
		ASN1_STRING_set(value, address_len > 0 ? (const void *)address : name, address_len > 0 ? address_len : -1) == 1;
	if (!good) {
		ASN1_STRING_free(value);
		return error_no_memory(err, "certificate name");
	}
	GENERAL_NAME_set0_value(made, address_len > 0 ? GEN_IPADD : GEN_DNS, value);
	if (sk_GENERAL_NAME_push(names, made) <= 0)
		return error_no_memory(err, "certificate name");
	made = NULL;
	return 0;
}

static int make_names(const char *const *names, GENERAL_NAMES **out, struct error *err)
{
	AUTO(general_names) GENERAL_NAMES *made = GENERAL_NAMES_new();
	if (made == NULL)
		return error_no_memory(err, "certificate names");
	if (names[0] == NULL)
		return error_set(err, ERROR_INVALID, "a certificate needs a name");
	for (size_t i = 0; names[i] != NULL; i++) {
		if (add_name(made, names[i], err) < 0)
			return -1;
	}
	*out = TAKE_PTR(made);
	return 0;
}

int cert_issue(const struct cert_pair *issuer, const char *const *names, int64_t now_ms, int64_t life_ms, struct cert_pair *out,
	struct error *err)
{
	AUTO(x509) X509 *issuer_cert = NULL;
	AUTO(pkey) EVP_PKEY *issuer_key = NULL;
	AUTO(general_names) GENERAL_NAMES *general_names = NULL;
	AUTO(x509) X509 *cert = NULL;
	if (read_cert(issuer->cert_pem, &issuer_cert, err) < 0 || read_key(&issuer->key_pem, &issuer_key, err) < 0 ||
		make_names(names, &general_names, err) < 0)
		return -1;
	AUTO(pkey) EVP_PKEY *key = EVP_EC_gen(CURVE);
	if (key == NULL)
		return openssl_failed(ERROR_INTERNAL, "make a key", err);

	struct draft draft = {.issuer = issuer_cert,
		.issuer_key = issuer_key,
		.key = key,
		.names = general_names,
		.validity = {now_ms - CERT_BACKDATE_MS, now_ms + life_ms}};
	struct cert_validity limits = validity_of(issuer_cert);
	if (draft.validity.until_ms > limits.until_ms)
		draft.validity.until_ms = limits.until_ms;
	if (sign(&draft, &cert, err) < 0)
		return -1;
	return write_pair(cert, key, out, err);
}

int cert_matches_key(const char *cert_pem, const struct secret *key_pem, bool *matches, struct error *err)
{
	struct error why = {0};
	AUTO(x509) X509 *cert = NULL;
	AUTO(pkey) EVP_PKEY *key = NULL;
	if (read_cert(cert_pem, &cert, &why) < 0 || read_key(key_pem, &key, &why) < 0) {
		if (why.kind != ERROR_INVALID) {
			*err = why;
			return -1;
		}
		*matches = false;
		return 0;
	}
	*matches = X509_check_private_key(cert, key) == 1;
	ERR_clear_error();
	return 0;
}

bool cert_has_names(const char *cert_pem, const char *const *names)
{
	struct error ignored;
	AUTO(x509) X509 *cert = NULL;
	bool has_all = read_cert(cert_pem, &cert, &ignored) == 0;
	for (size_t i = 0; has_all && names[i] != NULL; i++) {
		unsigned char address[16];
		has_all = address_bytes(names[i], address) > 0
				  ? X509_check_ip_asc(cert, names[i], 0) == 1
				  : X509_check_host(cert, names[i], 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) == 1;
	}
	ERR_clear_error();
	return has_all;
}

bool cert_is_signed_by(const char *cert_pem, const char *bundle_pem)
{
	struct error ignored;
	bool found = false;
	AUTO(x509) X509 *cert = NULL;
	AUTO(bio) BIO *bio = BIO_new_mem_buf(bundle_pem, -1);
	if (bio == NULL || read_cert(cert_pem, &cert, &ignored) < 0)
		return false;
	for (X509 *issuer; !found && (issuer = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL; X509_free(issuer))
		found = X509_check_issued(issuer, cert) == X509_V_OK && X509_verify(cert, X509_get0_pubkey(issuer)) == 1;
	ERR_clear_error(); // the end of the bundle is an error to OpenSSL
	return found;
}

static int add_still_good(BIO *from, BIO *to, const X509 *first, int64_t now_ms)
{
	int rc = 0;
	for (X509 *cert; rc == 0 && (cert = PEM_read_bio_X509(from, NULL, NULL, NULL)) != NULL; X509_free(cert)) {
		if (validity_of(cert).until_ms > now_ms && X509_cmp(cert, first) != 0 && PEM_write_bio_X509(to, cert) != 1)
			rc = -1;
	}
	// The end of the text is an error to OpenSSL too.
	if (rc == 0 && is_out_of_memory())
		rc = -1;
	if (rc == 0)
		ERR_clear_error();
	return rc;
}

int cert_bundle(const char *first_pem, const char *others_pem, int64_t now_ms, char **out, struct error *err)
{
	AUTO(x509) X509 *first = NULL;
	AUTO(bio) BIO *to = BIO_new(BIO_s_mem());
	AUTO(bio) BIO *from = BIO_new_mem_buf(others_pem == NULL ? "" : others_pem, -1);
	if (to == NULL || from == NULL)
		return error_no_memory(err, "bundle of certificates");
	if (read_cert(first_pem, &first, err) < 0)
		return -1;
	if (PEM_write_bio_X509(to, first) != 1 || add_still_good(from, to, first, now_ms) < 0)
		return openssl_failed(ERROR_INTERNAL, "write a bundle of certificates", err);
	return text_of(to, out, err);
}
