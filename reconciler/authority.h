// The operator's CA as the workers use it: what to trust, and certificates for PostgreSQL.
//
// The main loop gives it a new state when the CA has changed (about once in two months; the bundle once in two years); any thread
// may use it meanwhile. What authority_trust() hands out is never changed and lives as long as the authority, so it needs no
// copy.
#ifndef RECONCILER_AUTHORITY_H
#define RECONCILER_AUTHORITY_H

#include "base/cleanup.h"
#include "canopy/ca.h"

#define AUTHORITY_ID_SIZE 17

struct trust {
	char id[AUTHORITY_ID_SIZE]; // of the bundle, the same in every operator: 16 hex
	const char *bundle_pem;     // every CA whose certificates are in use
};

struct authority;

MUST_CHECK int authority_new(struct authority **out, struct error *err);
void authority_free(struct authority *authority);
DEFINE_AUTO(struct authority, authority, authority_free)

// Copies what it needs. On failure it is as it was.
MUST_CHECK int authority_set(struct authority *authority, const struct ca_state *state, struct error *err);

// NULL before the first authority_set(), and for authority NULL.
const struct trust *authority_trust(struct authority *authority);

// As ca_issue(); ERROR_INTERNAL before the first authority_set().
MUST_CHECK int authority_issue(
	struct authority *authority, const char *const *names, int64_t now_ms, struct cert_pair *out, struct error *err);

#endif
