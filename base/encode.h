// Text forms of bytes: hex, base64 (RFC 4648 section 4 and 5), SHA-256 as hex. Pure; any thread.
#ifndef BASE_ENCODE_H
#define BASE_ENCODE_H

#include "base/error.h"
#include <stddef.h>

// Room for the base64 of n bytes with padding and NUL.
#define ENCODE_BASE64_SIZE(n) (((n) + 2) / 3 * 4 + 1)
#define ENCODE_SHA256_BYTES 32
#define ENCODE_SHA256_HEX_SIZE (2 * ENCODE_SHA256_BYTES + 1)

// Lower-case hex and a NUL: out has room for 2 * len + 1.
void encode_hex(const void *bytes, size_t len, char *out);

// The value of one hex digit in either case, -1 for any other character.
int encode_hex_value(char c);

// Padded base64, as Secret data wants it: out has room for ENCODE_BASE64_SIZE(len).
void encode_base64(const void *bytes, size_t len, char *out);

// URL-safe alphabet, no padding: same room.
void encode_base64url(const void *bytes, size_t len, char *out);

// Padded base64 to bytes. *out is NUL-terminated beyond *out_len and the caller frees it. ERROR_INVALID when it is no base64.
MUST_CHECK int encode_unbase64(const char *text, char **out, size_t *out_len, struct error *err);

MUST_CHECK int encode_sha256(const void *bytes, size_t len, unsigned char out[ENCODE_SHA256_BYTES], struct error *err);

#endif
