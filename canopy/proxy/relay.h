// The answer of S3 on its way to the engine, from the first byte of its head to the last of its body.
//
// Bytes go through a buffer, or, when they come unencrypted and are many, through a pipe within the kernel; at any time through
// one of the two, which is given back as soon as it is empty and nothing more is there. A body that ends early at S3 closes the
// engine's connection: never a clean end. Part of a transfer; of the loop's thread.
#ifndef CANOPY_PROXY_RELAY_H
#define CANOPY_PROXY_RELAY_H

#include "canopy/proxy/answer.h"
#include "canopy/proxy/core.h"

#define RELAY_TURN 16 // steps before the others have their turn

// What is left of a body when it is less than that is copied: a pipe takes a system call more to find the socket empty.
#define RELAY_PIPE_MIN ((size_t)256 << 10)

struct relay {
	struct core *core;
	struct client *client;
	struct answer *answer;     // whose body it is; borrowed
	struct upstream *upstream; // NULL as soon as all of the body is here
	struct buffer *buffer;
	struct pipe *pipe; // NULL while nothing is in it
};

// Take over the connection and the buffer, in which the head and perhaps a part of the body stand ready to be sent.
void relay_begin(struct relay *relay, struct upstream *upstream, struct buffer *buffer);

// As far as it goes now. Ends with client_finish() or client_close().
void relay_go(struct relay *relay);

void relay_on_deadline(struct relay *relay);

// Let go of everything. Harmless when there is nothing.
void relay_stop(struct relay *relay);

#endif
