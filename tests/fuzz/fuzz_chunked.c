// A chunked body (canopy/proxy/chunked.h): the same content and the same end however it is cut, and no more of it than the sizes
// say.
#include "base/buf.h"
#include "canopy/proxy/chunked.h"
#include "tests/fuzz/fuzz.h"
#include <string.h>

#define CONTENT_MAX ((size_t)64 << 20)

// Returns how many bytes belong to the body.
static size_t follow(struct chunked *tracker, const char *data, size_t len, struct buf *content)
{
	struct error err;
	size_t at = 0;
	while (at < len) {
		struct chunked_span span;
		size_t used = chunked_next(tracker, data + at, len - at, &span);
		FUZZ_CHECK(
			used <= len - at && span.len <= used, "%zu bytes with %zu of content, of %zu", used, span.len, len - at);
		FUZZ_CHECK(
			span.len == 0 || (span.at >= data + at && span.at + span.len <= data + at + used), "content elsewhere");
		FUZZ_CHECK(span.len == 0 || buf_add(content, span.at, span.len, &err) == 0, "no memory");
		at += used;
		if (used == 0)
			break;
	}
	bool has_ended = tracker->state == CHUNKED_DONE || tracker->state == CHUNKED_BROKEN;
	FUZZ_CHECK(has_ended || at == len, "%zu bytes are left and the body has not ended", len - at);
	return at;
}

static size_t follow_pieces(struct chunked *tracker, const uint8_t *data, size_t size, struct buf *content)
{
	struct fuzz_cuts cuts;
	size_t len = 0;
	size_t used = 0;
	fuzz_cuts_begin(&cuts, data, size);
	while (fuzz_cuts_next(&cuts, &len))
		used += follow(tracker, cuts.piece, len, content);
	fuzz_cuts_end(&cuts);
	return used;
}

// A body of chunks without extensions and trailers; false where the bytes are none.
static bool read_plainly(const char *data, size_t len, struct buf *content)
{
	struct error err;
	for (size_t at = 0; at < len;) {
		size_t digits = strspn(data + at, "0123456789abcdefABCDEF");
		if (digits == 0 || digits > 8 || strncmp(data + at + digits, "\r\n", 2) != 0)
			return false;
		size_t size = strtoul(data + at, NULL, 16);
		at += digits + 2;
		if (size == 0)
			return strncmp(data + at, "\r\n", 2) == 0;
		if (at > len || size > len - at || strncmp(data + at + size, "\r\n", 2) != 0 ||
			buf_add(content, data + at, size, &err) < 0)
			return false;
		at += size + 2;
	}
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct chunked whole = {0};
	struct chunked pieces = {0};
	AUTO(buf) struct buf content;
	AUTO(buf) struct buf content_in_pieces;
	AUTO(buf) struct buf plain;
	buf_init(&content, CONTENT_MAX);
	buf_init(&content_in_pieces, CONTENT_MAX);
	buf_init(&plain, CONTENT_MAX);
	AUTO_FREE char *copy = fuzz_copy(data, size);
	size_t used = follow(&whole, copy, size, &content);
	size_t used_in_pieces = follow_pieces(&pieces, data, size, &content_in_pieces);
	FUZZ_CHECK(whole.state == pieces.state && whole.left == pieces.left, "state %d, in pieces %d", (int)whole.state,
		(int)pieces.state);
	FUZZ_CHECK(used == used_in_pieces, "%zu bytes, in pieces %zu", used, used_in_pieces);
	FUZZ_CHECK(
		content.len == content_in_pieces.len && memcmp(buf_str(&content), buf_str(&content_in_pieces), content.len) == 0,
		"other content in pieces");

	AUTO_FREE char *text = fuzz_bytes(data, size);
	if (read_plainly(text, size, &plain))
		FUZZ_CHECK(whole.state == CHUNKED_DONE && plain.len == content.len &&
				   memcmp(buf_str(&plain), buf_str(&content), plain.len) == 0,
			"a plain body is read otherwise");
	return 0;
}
