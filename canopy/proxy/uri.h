// Percent-encoding as Signature Version 4 wants it, and its reverse.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
//
// Pure; any thread.
#ifndef CANOPY_PROXY_URI_H
#define CANOPY_PROXY_URI_H

#include "base/buf.h"
#include "base/error.h"
#include <stddef.h>

// Decode once. with_plus: "+" is a space, as in a query. ERROR_INVALID for a % without two hex digits and for a NUL.
MUST_CHECK int uri_decode(const char *text, size_t len, bool with_plus, struct buf *out, struct error *err);

// Encode everything but A-Z a-z 0-9 - . _ ~ and, with keep_slash, "/". Upper-case hex.
MUST_CHECK int uri_encode(const char *text, size_t len, bool keep_slash, struct buf *out, struct error *err);

#endif
