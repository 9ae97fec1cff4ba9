// Follows a chunked body (RFC 9112 section 7.1) that is passed on as it is: where its content lies and where it ends.
//
// Pure state, fed with bytes in any cuts; one thread at a time.
#ifndef CANOPY_PROXY_CHUNKED_H
#define CANOPY_PROXY_CHUNKED_H

#include <stddef.h>
#include <stdint.h>

enum chunked_state {
	CHUNKED_SIZE, // zero is this one: a tracker begins zeroed
	CHUNKED_EXTENSION,
	CHUNKED_SIZE_LF,
	CHUNKED_DATA,
	CHUNKED_DATA_CR,
	CHUNKED_DATA_LF,
	CHUNKED_TRAILER_START,
	CHUNKED_TRAILER,
	CHUNKED_TRAILER_LF,
	CHUNKED_END_LF,
	CHUNKED_DONE,
	CHUNKED_BROKEN,
};

struct chunked {
	enum chunked_state state;
	uint64_t left; // of the chunk
	int digits;
	size_t overhead; // bytes of extensions and trailers, which are bounded
};

// A stretch of content within the bytes given.
struct chunked_span {
	const char *at;
	size_t len;
};

// Eat from data up to the end of the next stretch of content or of data; returns how many bytes, 0 when the body has ended or is
// broken. *span (len 0: none) is the content among them.
size_t chunked_next(struct chunked *tracker, const char *data, size_t len, struct chunked_span *span);

#endif
