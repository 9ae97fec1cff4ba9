#include "base/encode.h"

#include "base/cleanup.h"
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

static const char standard_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void encode_hex(const void *bytes, size_t len, char *out)
{
	const unsigned char *in = bytes;
	for (size_t i = 0; i < len; i++) {
		out[2 * i] = "0123456789abcdef"[in[i] >> 4];
		out[2 * i + 1] = "0123456789abcdef"[in[i] & 15];
	}
	out[2 * len] = '\0';
}

int encode_hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

// Returns the end of what was written; pad is '\0' for none.
static char *base64(const unsigned char *in, size_t len, const char *alphabet, char pad, char *out)
{
	for (size_t i = 0; i < len; i += 3) {
		size_t have = len - i < 3 ? len - i : 3;
		unsigned int word = (unsigned int)in[i] << 16;
		word |= have > 1 ? (unsigned int)in[i + 1] << 8 : 0;
		word |= have > 2 ? (unsigned int)in[i + 2] : 0;
		for (size_t k = 0; k < 4; k++) {
			if (k <= have)
				*out++ = alphabet[word >> (18 - 6 * k) & 63];
			else if (pad != '\0')
				*out++ = pad;
		}
	}
	*out = '\0';
	return out;
}

void encode_base64(const void *bytes, size_t len, char *out)
{
	(void)base64(bytes, len, standard_alphabet, '=', out);
}

void encode_base64url(const void *bytes, size_t len, char *out)
{
	(void)base64(bytes, len, url_alphabet, '\0', out);
}

// -1 for a character outside the alphabet.
static int sextet(char c)
{
	const char *at = c == '\0' ? NULL : strchr(standard_alphabet, c);
	return at == NULL ? -1 : (int)(at - standard_alphabet);
}

int encode_unbase64(const char *text, char **out, size_t *out_len, struct error *err)
{
	size_t len = strlen(text);
	if (len % 4 != 0)
		return error_set(err, ERROR_INVALID, "base64 of %zu characters is not a multiple of 4", len);
	size_t pad = len > 0 && text[len - 1] == '=' ? (text[len - 2] == '=' ? 2 : 1) : 0;

	AUTO_FREE char *bytes = malloc(len / 4 * 3 + 1);
	if (bytes == NULL)
		return error_no_memory(err, "base64");
	size_t used = 0;
	for (size_t i = 0; i < len; i += 4) {
		unsigned int word = 0;
		for (size_t k = 0; k < 4; k++) {
			bool padding = i + k >= len - pad;
			int value = padding ? 0 : sextet(text[i + k]);
			if (value < 0)
				return error_set(err, ERROR_INVALID, "character %zu is not base64", i + k + 1);
			word = word << 6 | (unsigned int)value;
		}
		for (unsigned int shift = 16;; shift -= 8) {
			bytes[used++] = (char)(word >> shift & 255);
			if (shift == 0)
				break;
		}
	}
	used -= pad;
	bytes[used] = '\0';
	*out = TAKE_PTR(bytes);
	*out_len = used;
	return 0;
}

int encode_sha256(const void *bytes, size_t len, unsigned char out[ENCODE_SHA256_BYTES], struct error *err)
{
	if (EVP_Digest(bytes, len, out, NULL, EVP_sha256(), NULL) != 1)
		return error_set(err, ERROR_INTERNAL, "SHA-256 is not available");
	return 0;
}
