// Signature Version 4 of AWS, for requests whose body is empty or unsigned.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
//
// The caller brings everything in its canonical form: the path as it is sent, the query sorted and encoded
// (canopy/proxy/query.h), the headers sorted by lower-case name. One thread at a time for a sigv4_key; the rest is pure.
#ifndef CANOPY_PROXY_SIGV4_H
#define CANOPY_PROXY_SIGV4_H

#include "base/buf.h"
#include "base/error.h"
#include "base/secret.h"
#include "canopy/proxy/head.h"
#include <stddef.h>
#include <stdint.h>

#define SIGV4_DATE_SIZE 17 // 20150830T123600Z
#define SIGV4_DAY_SIZE 9
#define SIGV4_KEY_BYTES 32
#define SIGV4_HEADERS_MAX 16
#define SIGV4_EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SIGV4_UNSIGNED "UNSIGNED-PAYLOAD"

// A derived key and what it was derived from: four HMACs that are the same for all requests of a day. Zeroed at first; wiped with
// sigv4_key_fini().
struct sigv4_key {
	unsigned char bytes[SIGV4_KEY_BYTES];
	char day[SIGV4_DAY_SIZE];
	char region[64];
	uint64_t generation; // of the secret
};

struct sigv4_header {
	const char *name;       // lower case
	struct head_text value; // trimmed; blanks within are made one here
};

struct sigv4_request {
	const char *method;
	const char *path;
	const char *query;
	struct sigv4_header headers[SIGV4_HEADERS_MAX]; // sorted by name; x-amz-date is one of them
	size_t header_count;
	const char *payload_hash;
	const char *region;
	const char *service; // "s3"
	const char *date;    // as x-amz-date
};

// 1440938160000 to "20150830T123600Z".
void sigv4_date(int64_t wall_ms, char out[SIGV4_DATE_SIZE]);

// Make *key fit the request and this secret. It is derived anew only when day, region or generation differ.
MUST_CHECK int sigv4_key_for(struct sigv4_key *key, const struct sigv4_request *request, const struct secret *secret,
	uint64_t generation, struct error *err);
void sigv4_key_fini(struct sigv4_key *key);

// The text that is hashed, for tests and for the signature.
MUST_CHECK int sigv4_canonical_request(const struct sigv4_request *request, struct buf *out, struct error *err);

// Append the value of Authorization.
MUST_CHECK int sigv4_authorization(const struct sigv4_request *request, const struct sigv4_key *key, const char *access_key_id,
	struct buf *out, struct error *err);

#endif
