// Random bytes and numbers from the kernel. Any thread.
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include "base/error.h"
#include <stddef.h>
#include <stdint.h>

MUST_CHECK int random_bytes(void *out, size_t len, struct error *err);

// value spread by +-percent, for jitter. Falls back to value when the kernel gives no random bytes: jitter is never worth an error.
int64_t random_jitter(int64_t value, int percent);

#endif
