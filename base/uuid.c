#include "base/uuid.h"

#include "base/encode.h"
#include "base/random.h"
#include <stdio.h>
#include <string.h>

static bool is_hyphen_place(size_t i)
{
	return i == 8 || i == 13 || i == 18 || i == 23;
}

int uuid_make(char out[UUID_TEXT_SIZE], struct error *err)
{
	unsigned char b[UUID_BYTES];
	if (random_bytes(b, sizeof(b), err) < 0)
		return -1;
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40); // version 4
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80); // variant of RFC 9562
	size_t at = 0;
	for (size_t i = 0; i < UUID_BYTES; i++) {
		if (is_hyphen_place(at))
			out[at++] = '-';
		(void)snprintf(out + at, 3, "%02x", (unsigned int)b[i]);
		at += 2;
	}
	return 0;
}

int uuid_parse(const char *text, char out[UUID_TEXT_SIZE], struct error *err)
{
	char canonical[UUID_TEXT_SIZE];
	size_t len = strnlen(text, UUID_TEXT_SIZE);
	bool good = len == UUID_TEXT_SIZE - 1;
	for (size_t i = 0; good && i < len; i++) {
		int value = encode_hex_value(text[i]);
		good = is_hyphen_place(i) ? text[i] == '-' : value >= 0;
		canonical[i] = value >= 0 ? "0123456789abcdef"[value] : '-';
	}
	if (!good)
		return error_set(err, ERROR_INVALID, "\"%.64s\" is not a UUID (8-4-4-4-12 hex digits)", text);
	canonical[UUID_TEXT_SIZE - 1] = '\0';
	memcpy(out, canonical, sizeof(canonical));
	return 0;
}

void uuid_to_bytes(const char uuid[UUID_TEXT_SIZE], unsigned char out[UUID_BYTES])
{
	size_t n = 0;
	for (size_t i = 0; uuid[i] != '\0' && n < UUID_BYTES; i += 2) {
		if (uuid[i] == '-')
			i++;
		out[n++] = (unsigned char)(encode_hex_value(uuid[i]) << 4 | encode_hex_value(uuid[i + 1]));
	}
}
