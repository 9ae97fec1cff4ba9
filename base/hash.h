// A hash of a text, for tables and for telling texts apart: FNV-1a, 64 bit (http://www.isthe.com/chongo/tech/comp/fnv/). The same
// in every process, so it may be kept; no protection against who chooses the texts. Any thread.
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdint.h>

uint64_t hash_text(const char *text);

#endif
