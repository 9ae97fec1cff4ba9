#include "canopy/proxy/sigv4.h"

#include "base/encode.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ALGORITHM "AWS4-HMAC-SHA256"
#define CANONICAL_MAX ((size_t)512 << 10)

void sigv4_date(int64_t wall_ms, char out[SIGV4_DATE_SIZE])
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm utc;
	if (gmtime_r(&seconds, &utc) == NULL || strftime(out, SIGV4_DATE_SIZE, "%Y%m%dT%H%M%SZ", &utc) == 0)
		out[0] = '\0';
}

static int hmac(
	const void *key, size_t key_len, const void *data, size_t len, unsigned char out[SIGV4_KEY_BYTES], struct error *err)
{
	unsigned int out_len = SIGV4_KEY_BYTES;
	if (HMAC(EVP_sha256(), key, (int)key_len, data, len, out, &out_len) == NULL)
		return error_set(err, ERROR_INTERNAL, "HMAC-SHA256 failed");
	return 0;
}

static int derive(struct sigv4_key *key, const char *service, const struct secret *secret, struct error *err)
{
	unsigned char first[4 + 256] = "AWS4";
	if (secret->len > sizeof(first) - 4)
		return error_set(err, ERROR_INVALID, "the secret access key is longer than %zu bytes", sizeof(first) - 4);
	memcpy(first + 4, secret_reveal(secret), secret->len);
	unsigned char *k = key->bytes;
	int rc = hmac(first, 4 + secret->len, key->day, strlen(key->day), k, err) < 0 ||
				 hmac(k, SIGV4_KEY_BYTES, key->region, strlen(key->region), k, err) < 0 ||
				 hmac(k, SIGV4_KEY_BYTES, service, strlen(service), k, err) < 0 ||
				 hmac(k, SIGV4_KEY_BYTES, "aws4_request", strlen("aws4_request"), k, err) < 0
			 ? -1
			 : 0;
	secret_wipe(first, sizeof(first));
	return rc;
}

int sigv4_key_for(struct sigv4_key *key, const struct sigv4_request *request, const struct secret *secret, uint64_t generation,
	struct error *err)
{
	if (key->generation == generation && strncmp(key->day, request->date, SIGV4_DAY_SIZE - 1) == 0 &&
		strcmp(key->region, request->region) == 0)
		return 0;
	struct sigv4_key made = {.generation = generation};
	(void)snprintf(made.day, sizeof(made.day), "%.*s", SIGV4_DAY_SIZE - 1, request->date);
	if ((size_t)snprintf(made.region, sizeof(made.region), "%s", request->region) >= sizeof(made.region))
		return error_set(
			err, ERROR_INVALID, "region \"%s\" is longer than %zu bytes", request->region, sizeof(made.region) - 1);
	if (derive(&made, request->service, secret, err) < 0)
		return -1;
	*key = made;
	secret_wipe(&made, sizeof(made));
	return 0;
}

void sigv4_key_fini(struct sigv4_key *key)
{
	secret_wipe(key, sizeof(*key));
}

static int add_value(struct buf *out, struct head_text value, struct error *err)
{
	for (size_t i = 0; i < value.len; i++) {
		bool is_blank = value.at[i] == ' ' || value.at[i] == '\t';
		bool was_blank = i > 0 && (value.at[i - 1] == ' ' || value.at[i - 1] == '\t');
		if (is_blank && was_blank)
			continue;
		if (buf_add(out, is_blank ? " " : &value.at[i], 1, err) < 0)
			return -1;
	}
	return 0;
}

static int add_signed_names(const struct sigv4_request *request, struct buf *out, struct error *err)
{
	for (size_t i = 0; i < request->header_count; i++) {
		if (buf_addf(out, err, "%s%s", i == 0 ? "" : ";", request->headers[i].name) < 0)
			return -1;
	}
	return 0;
}

int sigv4_canonical_request(const struct sigv4_request *request, struct buf *out, struct error *err)
{
	if (buf_addf(out, err, "%s\n%s\n%s\n", request->method, request->path, request->query) < 0)
		return -1;
	for (size_t i = 0; i < request->header_count; i++) {
		if (buf_addf(out, err, "%s:", request->headers[i].name) < 0 ||
			add_value(out, request->headers[i].value, err) < 0 || buf_add(out, "\n", 1, err) < 0)
			return -1;
	}
	if (buf_add(out, "\n", 1, err) < 0 || add_signed_names(request, out, err) < 0)
		return -1;
	return buf_addf(out, err, "\n%s", request->payload_hash);
}

static int hash_canonical(const struct sigv4_request *request, char out[ENCODE_SHA256_HEX_SIZE], struct error *err)
{
	unsigned char hash[ENCODE_SHA256_BYTES];
	AUTO(buf) struct buf text;
	buf_init(&text, CANONICAL_MAX);
	int rc = sigv4_canonical_request(request, &text, err);
	if (rc == 0)
		rc = encode_sha256(text.data, text.len, hash, err);
	if (text.len > 0)
		secret_wipe(text.data, text.len); // it holds the session token, also when there is only a part of it
	if (rc == 0)
		encode_hex(hash, sizeof(hash), out);
	return rc;
}

int sigv4_authorization(const struct sigv4_request *request, const struct sigv4_key *key, const char *access_key_id,
	struct buf *out, struct error *err)
{
	char hash[ENCODE_SHA256_HEX_SIZE];
	char scope[160];
	char to_sign[320];
	unsigned char mac[SIGV4_KEY_BYTES];
	char signature[2 * SIGV4_KEY_BYTES + 1];
	if (hash_canonical(request, hash, err) < 0)
		return -1;
	(void)snprintf(scope, sizeof(scope), "%s/%s/%s/aws4_request", key->day, key->region, request->service);
	int len = snprintf(to_sign, sizeof(to_sign), ALGORITHM "\n%s\n%s\n%s", request->date, scope, hash);
	if (len < 0 || (size_t)len >= sizeof(to_sign))
		return error_set(err, ERROR_INTERNAL, "string to sign is longer than %zu bytes", sizeof(to_sign) - 1);
	if (hmac(key->bytes, sizeof(key->bytes), to_sign, (size_t)len, mac, err) < 0)
		return -1;
	encode_hex(mac, sizeof(mac), signature);
	if (buf_addf(out, err, ALGORITHM " Credential=%s/%s, SignedHeaders=", access_key_id, scope) < 0 ||
		add_signed_names(request, out, err) < 0)
		return -1;
	return buf_addf(out, err, ", Signature=%s", signature);
}
