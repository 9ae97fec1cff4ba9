// UUIDs (RFC 9562) as text and bytes. Any thread.
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include "base/error.h"

#define UUID_TEXT_SIZE 37 // 36 characters and a NUL
#define UUID_BYTES 16

// A random UUID, version 4.
MUST_CHECK int uuid_make(char out[UUID_TEXT_SIZE], struct error *err);

// Read the hyphenated form in either case; out is the canonical lower-case text. ERROR_INVALID names the text.
MUST_CHECK int uuid_parse(const char *text, char out[UUID_TEXT_SIZE], struct error *err);

// The 16 bytes of a canonical UUID.
void uuid_to_bytes(const char uuid[UUID_TEXT_SIZE], unsigned char out[UUID_BYTES]);

#endif
