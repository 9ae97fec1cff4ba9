// Pipes through which the kernel moves a body from one socket to the other without copying it (splice).
//
// Shared by all transfers, as buffers are: a transfer holds one only while bytes are in it, and with engines that keep up all
// traffic goes through one pipe. Bytes in a pipe are the kernel's pages: no resident size of this process shows them. They are at
// most PIPES_MAX * PIPES_BYTES, 16 MiB, when that many engines stall; past that a transfer copies. One thread.
#ifndef CANOPY_PROXY_PIPES_H
#define CANOPY_PROXY_PIPES_H

#include <stddef.h>

#define PIPES_BYTES ((size_t)1 << 20) // the most that an unprivileged process may ask for
#define PIPES_MAX 16                  // an unprivileged user has 64 of that size (pipe-user-pages-soft), in all of a node's pods
#define PIPES_PAUSE 1024              // pipes_take() that do not ask the kernel, after it has refused one

struct pipe {
	int out; // read from here
	int in;
	size_t held; // bytes in it; whoever moves bytes keeps it right
	struct pipe *next;
};

struct pipes {
	struct pipe *spare; // the one that was given back last is first
	size_t count;       // open: in use and spare
	size_t pause;
};

// Empty. NULL when PIPES_MAX are in use, when there is no descriptor left, or when the user's share of pipe memory is used up and
// the pipe would be a small one, which is slower than copying.
struct pipe *pipes_take(struct pipes *pipes);

// One that still holds bytes is closed, so that they never reach another transfer. NULL is fine.
void pipes_give_back(struct pipes *pipes, struct pipe *pipe);
void pipes_fini(struct pipes *pipes);

#endif
