// Buffers for content on its way, shared by all transfers: a transfer holds one only while bytes are in it.
//
// The one that was given back last is taken first, so that its memory is still in the processor's cache: with clients that keep
// up, all traffic goes through one buffer. Past BUFFERS_LARGE_MAX buffers in use (clients that stall) new ones are small, which
// bounds the memory of the process. One thread.
#ifndef CANOPY_PROXY_BUFFERS_H
#define CANOPY_PROXY_BUFFERS_H

#include <stddef.h>

#define BUFFERS_LARGE_BYTES ((size_t)128 << 10) // half as much costs a tenth more CPU over TLS, twice as much saves nothing
#define BUFFERS_SMALL_BYTES ((size_t)32 << 10)  // still room for the head of a response
#define BUFFERS_LARGE_MAX 12
#define BUFFERS_SPARE_MAX 4 // kept for the next transfer; more go back to the system

#define BUFFERS_ALIGNMENT 4096 // the kernel copies to and from whole pages with less effort

struct buffer {
	size_t size;
	size_t begin, end; // the bytes in it
	struct buffer *next;
	_Alignas(BUFFERS_ALIGNMENT) char data[];
};

struct buffers {
	struct buffer *spare;
	size_t spare_count;
	size_t large_count; // in use and spare
};

// Empty; NULL when there is no memory.
struct buffer *buffers_take(struct buffers *buffers);
void buffers_give_back(struct buffers *buffers, struct buffer *buffer); // NULL is fine
void buffers_fini(struct buffers *buffers);

#endif
