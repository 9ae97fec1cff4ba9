// The query of a request to S3: taken apart, looked at, and written in Signature Version 4's canonical form.
//
// What is sent upstream is the canonical form itself, so that what was checked, what is signed and what S3 reads are one text.
// One thread at a time.
#ifndef CANOPY_PROXY_QUERY_H
#define CANOPY_PROXY_QUERY_H

#include "base/buf.h"
#include "base/error.h"
#include <stddef.h>

#define QUERY_PAIRS_MAX 16 // a listing has at most nine
#define QUERY_BYTES_MAX ((size_t)64 << 10)

struct query_pair {
	size_t name, name_len;   // decoded, in text
	size_t value, value_len; // the same; no "=" is an empty value
};

struct query {
	struct buf text; // the decoded names and values
	struct query_pair pairs[QUERY_PAIRS_MAX];
	size_t count;
};

// Decode what stands behind the "?". The caller releases *out after a success and after a failure. ERROR_INVALID when it is
// broken or has too many pairs.
MUST_CHECK int query_read(const char *raw, size_t len, struct query *out, struct error *err);
void query_fini(struct query *query);

// The value of a name, exactly once there; NULL when it is absent. *len (may be NULL) gets its length.
const char *query_find(const struct query *query, const char *name, size_t *len);

// Does every name stand in `names` (NULL at the end), and none twice? Otherwise *stranger is the first that does not
// (NUL-terminated).
bool query_is_within(const struct query *query, const char *const *names, const char **stranger);

// name=value, encoded, sorted by encoded name and then value.
MUST_CHECK int query_canonical(const struct query *query, struct buf *out, struct error *err);

static inline void auto_query(struct query *query)
{
	query_fini(query);
}

#endif
