#include "k8s/watch_lines.h"

#include <string.h>

// Room that is kept from one partial line to the next: most objects are smaller, and one that is larger must not stay in memory
// for the hours that a watch may be quiet.
#define KEPT_ROOM ((size_t)16 << 10)

void watch_lines_init(struct watch_lines *lines, size_t max_bytes, watch_lines_on_line on_line, void *arg)
{
	*lines = (struct watch_lines){.on_line = on_line, .arg = arg};
	buf_init(&lines->partial, max_bytes);
}

void watch_lines_fini(struct watch_lines *lines)
{
	buf_fini(&lines->partial);
}

static int hand_over(struct watch_lines *lines, const char *line, size_t len, struct error *err)
{
	if (len > 0 && line[len - 1] == '\r')
		len--;
	return len == 0 ? 0 : lines->on_line(lines->arg, line, len, err);
}

static int keep(struct watch_lines *lines, const char *data, size_t len, struct error *err)
{
	if (len > lines->partial.max - lines->partial.len)
		return error_set(err, ERROR_INVALID, "a line is longer than %zu bytes", lines->partial.max);
	return buf_add(&lines->partial, data, len, err);
}

static int hand_over_partial(struct watch_lines *lines, struct error *err)
{
	int rc = hand_over(lines, lines->partial.data, lines->partial.len, err);
	if (lines->partial.room > KEPT_ROOM)
		buf_fini(&lines->partial);
	buf_reset(&lines->partial);
	return rc;
}

int watch_lines_feed(struct watch_lines *lines, const char *data, size_t len, struct error *err)
{
	while (len > 0) {
		const char *end = memchr(data, '\n', len);
		size_t run = end == NULL ? len : (size_t)(end - data);
		bool is_whole = end != NULL && lines->partial.len == 0 && run <= lines->partial.max;
		if (is_whole && hand_over(lines, data, run, err) < 0)
			return -1;
		if (!is_whole && keep(lines, data, run, err) < 0)
			return -1;
		if (!is_whole && end != NULL && hand_over_partial(lines, err) < 0)
			return -1;
		size_t used = end == NULL ? run : run + 1;
		data += used;
		len -= used;
	}
	return 0;
}
