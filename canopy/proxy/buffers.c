#include "canopy/proxy/buffers.h"

#include <stdlib.h>

struct buffer *buffers_take(struct buffers *buffers)
{
	struct buffer *taken = buffers->spare;
	if (taken != NULL) {
		buffers->spare = taken->next;
		buffers->spare_count--;
	} else {
		size_t size = buffers->large_count < BUFFERS_LARGE_MAX ? BUFFERS_LARGE_BYTES : BUFFERS_SMALL_BYTES;
		taken = aligned_alloc(BUFFERS_ALIGNMENT, sizeof(*taken) + size);
		if (taken == NULL)
			return NULL;
		taken->size = size;
		buffers->large_count += size == BUFFERS_LARGE_BYTES ? 1 : 0;
	}
	taken->begin = 0;
	taken->end = 0;
	taken->next = NULL;
	return taken;
}

static void release(struct buffers *buffers, struct buffer *buffer)
{
	buffers->large_count -= buffer->size == BUFFERS_LARGE_BYTES ? 1 : 0;
	free(buffer);
}

void buffers_give_back(struct buffers *buffers, struct buffer *buffer)
{
	if (buffer == NULL)
		return;
	if (buffers->spare_count == BUFFERS_SPARE_MAX || buffer->size != BUFFERS_LARGE_BYTES) {
		release(buffers, buffer);
		return;
	}
	buffer->next = buffers->spare;
	buffers->spare = buffer;
	buffers->spare_count++;
}

void buffers_fini(struct buffers *buffers)
{
	while (buffers->spare != NULL) {
		struct buffer *first = buffers->spare;
		buffers->spare = first->next;
		release(buffers, first);
	}
	buffers->spare_count = 0;
}
