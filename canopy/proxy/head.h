// Heads of HTTP/1.1 messages (RFC 9112), read strictly: a request that two readers could understand in two ways is refused.
//
// Pure functions over bytes in memory; what they give out are slices of those bytes. Any thread.
#ifndef CANOPY_PROXY_HEAD_H
#define CANOPY_PROXY_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEAD_BYTES_MAX ((size_t)32 << 10)
#define HEAD_FIELDS_MAX 100 // kopia and restic send about ten, S3 answers with about twenty

struct head_text {
	const char *at;
	size_t len;
};

struct head_field {
	struct head_text name;
	struct head_text value; // without the white space around it
	struct head_text line;  // all of it, with its CRLF
};

struct head_fields {
	struct head_field list[HEAD_FIELDS_MAX];
	size_t count;
};

struct head_request {
	struct head_text method;
	struct head_text target;
	struct head_fields fields;
	bool has_body;    // Transfer-Encoding, or a Content-Length other than 0
	bool wants_close; // Connection: close
};

struct head_response {
	int status;
	struct head_text line; // the status line with its CRLF
	struct head_fields fields;
	int64_t content_length; // -1: there is none
	bool is_chunked;
	bool wants_close;
};

// Where a head ends.
enum head_progress { HEAD_PARTIAL, HEAD_WHOLE, HEAD_BAD };

// Look for the empty line in the bytes so far. *scanned (0 at first) is what earlier calls have looked at. HEAD_WHOLE sets *bytes
// to the head's length; HEAD_BAD: a line ends with a bare LF.
enum head_progress head_find_end(const char *data, size_t len, size_t *scanned, size_t *bytes);

// Read a whole head of `bytes` bytes. NULL when it is good, else what is wrong with it, for people. For a request *status is then
// what the client is told (400 or 505).
const char *head_read_request(const char *data, size_t bytes, struct head_request *out, int *status);
const char *head_read_response(const char *data, size_t bytes, struct head_response *out);

// The first field of that name in any case; NULL when there is none.
const struct head_text *head_find(const struct head_fields *fields, const char *name);

bool head_text_is(struct head_text text, const char *word); // in any case

// A field that ends at this hop (RFC 9110 section 7.6.1): the fixed ones, and those that Connection names. It may not name
// Content-Length: who gets the answer would not know where it ends.
bool head_is_hop_by_hop(const struct head_fields *fields, const struct head_field *field);

// Drop the hop-by-hop fields of a response in the buffer where it stands, up against the byte after the head, so that head and
// body remain one piece; Transfer-Encoding stays, since the body's framing is passed on as it is. Returns where the head begins
// now. The slices of `response` are of no use afterwards.
size_t head_strip(char *data, size_t bytes, const struct head_response *response);

#endif
