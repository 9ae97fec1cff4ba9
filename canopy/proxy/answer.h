// An answer of S3 as it comes: its framing, what it says about itself, and how much of it is here.
//
// Works on the buffer that the answer is read into. One thread.
#ifndef CANOPY_PROXY_ANSWER_H
#define CANOPY_PROXY_ANSWER_H

#include "canopy/proxy/buffers.h"
#include "canopy/proxy/chunked.h"
#include "canopy/proxy/s3error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct answer {
	size_t head_bytes; // set before answer_begin()
	int status;
	bool closes; // the connection ends with it
	bool is_chunked;
	bool is_broken; // chunks that are none
	bool body_done; // all of the body has been read
	uint64_t left;  // of a body with Content-Length
	struct chunked chunks;
	size_t payload_bytes; // of the content so far
	char region[64];      // x-amz-bucket-region
	char location[512];
	char date[40];
	struct s3error error; // after answer_read_error()
};

// Read the head at the beginning of the buffer, and account for what stands behind it. NULL, or what is wrong with it. is_head:
// the request was HEAD, and there is no body whatever the head says. An answer without a length, whose end nobody could tell from
// a broken connection, is wrong.
const char *answer_begin(struct answer *answer, struct buffer *buffer, bool is_head);

// Bytes from `from` to the end of the buffer have come. What does not belong to the body is cut off.
void answer_account(struct answer *answer, struct buffer *buffer, size_t from);

// As many bytes of a body with Content-Length have come past the buffer.
void answer_account_unseen(struct answer *answer, size_t len);

// Make head and body what the engine gets: the head without its hop-by-hop fields. NULL, or what is wrong.
const char *answer_strip(const struct answer *answer, struct buffer *buffer);

bool answer_is_redirect(const struct answer *answer);

// The error document in the buffer behind the head.
void answer_read_error(struct answer *answer, const struct buffer *buffer);

// The server's time: ServerTime of the document, else the Date header.
bool answer_time(const struct answer *answer, int64_t *wall_ms);

#endif
