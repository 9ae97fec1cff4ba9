// S3's error documents: writing ours, reading S3's.
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
//
// Pure; any thread.
#ifndef CANOPY_PROXY_S3ERROR_H
#define CANOPY_PROXY_S3ERROR_H

#include "base/buf.h"
#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>

#define S3ERROR_BODY_MAX ((size_t)64 << 10) // an error document is a few hundred bytes

struct s3error {
	char code[64];
	char region[64];
	char server_time[40];
	char endpoint[256];
};

// What stands in the document; a field that is missing, or too long to be what it says, is "". It is no XML reader: S3 writes
// these elements once and without attributes.
void s3error_read(const char *body, size_t len, struct s3error *out);

// Does the code say that the credentials, not the request, are at fault?
bool s3error_is_credentials(const char *code);

struct s3error_answer {
	int status;
	const char *code;    // "AccessDenied"
	const char *message; // for people; escaped here
	bool is_head;        // the head alone, as if the body were there
	bool closes;         // the connection ends with it
};

// A whole response, ready to be sent.
MUST_CHECK int s3error_write(const struct s3error_answer *answer, struct buf *out, struct error *err);

#endif
