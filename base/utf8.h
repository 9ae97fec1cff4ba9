// UTF-8 (RFC 3629): is it well-formed? Pure; any thread.
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

// Length of the well-formed sequence at s, which ends with a NUL at the latest; 1 for the NUL itself, 0 when there is none.
size_t utf8_len(const char *s);

// Is all of the text well-formed?
bool utf8_is_good(const char *s);

#endif
