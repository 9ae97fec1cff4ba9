// A connection of the engine: reading heads of requests, sending what it gets, keep-alive, the end.
//
// One request at a time; what an engine sends ahead waits in the buffer. The transfer (canopy/proxy/transfer.h) decides what is
// answered.
#ifndef CANOPY_PROXY_CLIENT_H
#define CANOPY_PROXY_CLIENT_H

#include "base/buf.h"
#include "canopy/proxy/core.h"
#include "canopy/proxy/head.h"
#include <sys/types.h>

#define CLIENT_MAX 256        // connections at once; more wait in the kernel's queue
#define CLIENT_LINGER_MS 2000 // reading on after a refusal, so that the answer is not lost to a reset
#define CLIENT_LINGER_BYTES ((size_t)4 << 20)

#define CLIENT_AGAIN (-1)
#define CLIENT_BROKEN (-2)

enum client_phase { CLIENT_HEAD, CLIENT_TRANSFER, CLIENT_ANSWER, CLIENT_LINGER };

struct transfer;

struct client {
	struct loop_source source; // first
	struct core *core;
	enum client_phase phase;
	bool can_read, can_write;
	struct buf in; // bytes that came; the head in hand is the first
	size_t scanned;
	size_t head_bytes;
	struct head_request head; // slices of in
	struct buf out;           // our own answer
	size_t out_sent;
	bool closes; // after this answer
	size_t lingered;
	int64_t deadline_ms; // mono; 0: none
	struct transfer *transfer;
	struct client *before, *after;
};

// Take over a connection that was accepted. Closes it when there is no memory.
void client_new(struct core *core, int fd);

// Close at once: what was sent so far is all that the engine gets.
void client_close(struct client *client);

// >0 bytes, CLIENT_AGAIN (the transfer is told when more fits), CLIENT_BROKEN.
ssize_t client_send(struct client *client, const void *data, size_t len);

// As client_send(), out of a pipe that holds that many bytes. splice(2) cannot be told to raise no SIGPIPE: the program ignores
// it.
ssize_t client_splice(struct client *client, int pipe_out, size_t len);

// Answer with an error of ours and end the request; with `closes` also the connection.
void client_answer(struct client *client, int status, const char *code, const char *message, bool closes);

// The answer has been sent whole: on to the next request.
void client_finish(struct client *client);

void client_set_deadline(struct client *client, int64_t in_ms);

// Close those whose time is up.
void client_tick_all(struct core *core);

// Close those that are not in the middle of an answer.
void client_close_idle(struct core *core);
void client_close_all(struct core *core);

#endif
