// A secret: bytes that are wiped when they go and never formatted.
//
// Passwords, keys and tokens live in this type from the moment they are read, so that no log line, error text or dump of the
// settings can show them. Owned by one thread at a time.
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "base/cleanup.h"
#include "base/error.h"
#include <stddef.h>

struct secret {
	char *bytes; // NUL-terminated; NULL when unset
	size_t len;
};

// Copy text in; an earlier value is wiped first. text NULL unsets.
MUST_CHECK int secret_set(struct secret *s, const char *text, struct error *err);

// 32 random bytes as base64url without padding (43 characters), safe inside SQL literals, URLs and shell words.
MUST_CHECK int secret_make(struct secret *s, struct error *err);

// The text, for the one place that needs it. "" when unset. Borrowed.
const char *secret_reveal(const struct secret *s);

// What may be shown: "***" when set, "" when not.
const char *secret_shown(const struct secret *s);

void secret_fini(struct secret *s);

// Wipe memory in a way that the compiler keeps.
void secret_wipe(void *bytes, size_t len);

static inline void auto_secret(struct secret *s)
{
	secret_fini(s);
}

#endif
