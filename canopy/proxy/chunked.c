#include "canopy/proxy/chunked.h"

#include "base/encode.h"

#define DIGITS_MAX 15
#define OVERHEAD_MAX ((size_t)64 << 10)

static enum chunked_state on_size(struct chunked *t, char c)
{
	int value = encode_hex_value(c);
	if (value >= 0 && t->digits < DIGITS_MAX) {
		t->left = t->left * 16 + (uint64_t)value;
		t->digits++;
		return CHUNKED_SIZE;
	}
	if (t->digits == 0 || value >= 0)
		return CHUNKED_BROKEN;
	if (c == '\r')
		return CHUNKED_SIZE_LF;
	return c == ';' || c == ' ' || c == '\t' ? CHUNKED_EXTENSION : CHUNKED_BROKEN;
}

static enum chunked_state after_size(struct chunked *t)
{
	t->digits = 0;
	return t->left == 0 ? CHUNKED_TRAILER_START : CHUNKED_DATA;
}

static enum chunked_state expect(char c, char wanted, enum chunked_state then)
{
	return c == wanted ? then : CHUNKED_BROKEN;
}

// Extensions and trailers mean nothing here, but a bare LF among them could mean something to another reader.
static enum chunked_state skip(struct chunked *t, char c, enum chunked_state now, enum chunked_state at_cr)
{
	if (c == '\n' || ++t->overhead > OVERHEAD_MAX)
		return CHUNKED_BROKEN;
	return c == '\r' ? at_cr : now;
}

static enum chunked_state step(struct chunked *t, char c)
{
	switch (t->state) {
	case CHUNKED_SIZE:
		return on_size(t, c);
	case CHUNKED_EXTENSION:
		return skip(t, c, CHUNKED_EXTENSION, CHUNKED_SIZE_LF);
	case CHUNKED_SIZE_LF:
		return c == '\n' ? after_size(t) : CHUNKED_BROKEN;
	case CHUNKED_DATA_CR:
		return expect(c, '\r', CHUNKED_DATA_LF);
	case CHUNKED_DATA_LF:
		return expect(c, '\n', CHUNKED_SIZE);
	case CHUNKED_TRAILER_START:
		return c == '\r' ? CHUNKED_END_LF : skip(t, c, CHUNKED_TRAILER, CHUNKED_TRAILER_LF);
	case CHUNKED_TRAILER:
		return skip(t, c, CHUNKED_TRAILER, CHUNKED_TRAILER_LF);
	case CHUNKED_TRAILER_LF:
		return expect(c, '\n', CHUNKED_TRAILER_START);
	case CHUNKED_END_LF:
		return expect(c, '\n', CHUNKED_DONE);
	case CHUNKED_DATA:
	case CHUNKED_DONE:
	case CHUNKED_BROKEN:
	default:
		return CHUNKED_BROKEN;
	}
}

size_t chunked_next(struct chunked *tracker, const char *data, size_t len, struct chunked_span *span)
{
	size_t at = 0;
	*span = (struct chunked_span){0};
	while (at < len && tracker->state != CHUNKED_DATA && tracker->state != CHUNKED_DONE && tracker->state != CHUNKED_BROKEN)
		tracker->state = step(tracker, data[at++]);
	if (tracker->state != CHUNKED_DATA || at == len)
		return at;
	size_t here = tracker->left < len - at ? (size_t)tracker->left : len - at;
	*span = (struct chunked_span){data + at, here};
	tracker->left -= here;
	if (tracker->left == 0)
		tracker->state = CHUNKED_DATA_CR;
	return at + here;
}
