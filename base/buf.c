#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 256

void buf_init(struct buf *b, size_t max_bytes)
{
	*b = (struct buf){.max = max_bytes};
}

static int make_room(struct buf *b, size_t more, struct error *err)
{
	if (more > b->max || b->len > b->max - more)
		return error_set(err, ERROR_INVALID, "longer than %zu bytes", b->max);
	size_t wanted = b->len + more + 1;
	if (wanted <= b->room)
		return 0;
	size_t room = b->room == 0 ? FIRST_ROOM : b->room;
	while (room < wanted)
		room *= 2;
	char *data = realloc(b->data, room);
	if (data == NULL)
		return error_no_memory(err, "buffer");
	b->data = data;
	b->room = room;
	return 0;
}

int buf_add(struct buf *b, const void *data, size_t len, struct error *err)
{
	if (make_room(b, len, err) < 0)
		return -1;
	if (len > 0)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
	return 0;
}

int buf_add_str(struct buf *b, const char *text, struct error *err)
{
	return buf_add(b, text, strlen(text), err);
}

int buf_addf(struct buf *b, struct error *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int wanted = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (wanted < 0)
		return error_set(err, ERROR_INTERNAL, "format %s", fmt);
	if (make_room(b, (size_t)wanted, err) < 0)
		return -1;
	va_start(ap, fmt);
	(void)vsnprintf(b->data + b->len, (size_t)wanted + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)wanted;
	return 0;
}

const char *buf_str(const struct buf *b)
{
	return b->data == NULL ? "" : b->data;
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	if (b->data != NULL)
		b->data[0] = '\0';
}

void buf_fini(struct buf *b)
{
	free(b->data);
	buf_init(b, b->max);
}
