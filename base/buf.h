// A byte buffer that grows up to a maximum named at init, in the manner of curl's dynbuf.
//
// Owned by one thread at a time. After a failed append the buffer is as it was before. The bytes are always NUL-terminated, so
// data may be used as a string when it holds no NUL of its own.
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/cleanup.h"
#include "base/error.h"
#include <stddef.h>

struct buf {
	char *data; // NULL until the first append, then NUL-terminated
	size_t len;
	size_t room;
	size_t max; // append fails with ERROR_INVALID past it
};

void buf_init(struct buf *b, size_t max_bytes);
MUST_CHECK int buf_add(struct buf *b, const void *data, size_t len, struct error *err);
MUST_CHECK int buf_add_str(struct buf *b, const char *text, struct error *err);
MUST_CHECK int buf_addf(struct buf *b, struct error *err, const char *fmt, ...) PRINTF_LIKE(3, 4);

// The bytes as a string, "" when empty. Borrowed: valid until the next append.
const char *buf_str(const struct buf *b);

// Forget the bytes, keep the memory.
void buf_reset(struct buf *b);

// Release the memory; the buffer is empty and may be used again.
void buf_fini(struct buf *b);

// Scope-bound: `AUTO(buf) struct buf b; buf_init(&b, MAX);`
static inline void auto_buf(struct buf *b)
{
	buf_fini(b);
}

#endif
