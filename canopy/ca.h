// The operator's own CA and the certificate that its broker serves with: made, kept in a Secret, renewed.
//
// Pure functions over PEM text and a given time; the caller reads and writes the Secret (with its resourceVersion, so that of two
// operators one wins) and hands the certificate to the broker. Any thread; a state belongs to one at a time.
//
// A renewal that nobody notices: clients hold the bundle that was in force when they were made. When the CA is renewed, the
// bundle gets the new one in front of the old, and for two months more the old key signs: until then everybody has taken the new
// bundle. A restore pod lives four hours at most (the Job's deadline); people who copied the bundle of a replica out of its
// Secret have those two months.
#ifndef CANOPY_CA_H
#define CANOPY_CA_H

#include "base/cert.h"
#include "base/error.h"
#include "base/json.h"
#include "base/secret.h"
#include <stdbool.h>
#include <stdint.h>

#define CA_DAY_MS ((int64_t)24 * 3600 * 1000)

// Renewed after two thirds (design.md, "Credentials"). Three years: two of use, then one in which people who copied the bundle
// out of the cluster can take the new one; ten would make the first renewal one that nobody has ever seen work. Ninety days:
// short enough to be routine, and an operator that is down for a month does no harm.
#define CA_LIFE_MS (INT64_C(3) * 365 * CA_DAY_MS)
#define CA_LEAF_LIFE_MS (90 * CA_DAY_MS)
#define CA_PUBLISH_MS (60 * CA_DAY_MS) // a new CA is shown for so long before it signs

#define CA_EXTRA_MAX 8
#define CA_NAME_SIZE 254 // a DNS name and a NUL

// Zeroed: nothing was made yet.
struct ca_state {
	char *bundle_pem;      // ca.crt: the CA that signs, then those before it that are still good; what clients trust
	struct secret key;     // ca.key: of the first of the bundle
	struct secret old_key; // previous.key: of the second, while it still signs
	struct cert_pair leaf; // tls.crt and tls.key
};

void ca_state_fini(struct ca_state *state);

static inline void auto_ca_state(struct ca_state *state)
{
	ca_state_fini(state);
}

// The names that the broker is reached under.
struct ca_names {
	char texts[3 + CA_EXTRA_MAX][CA_NAME_SIZE];
	const char *list[3 + CA_EXTRA_MAX + 1]; // into texts, NULL at the end: the struct must not be copied
};

// <service>, <service>.<namespace>.svc, <service>.<namespace>.svc.cluster.local, and extra (NULL-terminated, at most
// CA_EXTRA_MAX; may be NULL): the host of PGRO_BROKER_URL where that is another one. ERROR_INVALID when a name is too long or
// there are too many.
MUST_CHECK int ca_service_names(
	struct ca_names *out, const char *service, const char *namespace, const char *const *extra, struct error *err);

// From `data` of a Secret (base64 values). data NULL or without our keys is a zeroed state. A CA that cannot be read or whose key
// is another's is ERROR_INVALID, never silently replaced: pods trust it. A serving certificate that cannot be read is left out,
// since it is made again without harm.
MUST_CHECK int ca_decode(const json_t *data, struct ca_state *out, struct error *err);

// To `data` of a Secret: ca.crt, ca.key, previous.key, tls.crt, tls.key.
MUST_CHECK int ca_encode(const struct ca_state *state, json_t **out, struct error *err);

// Make what is missing, renew what is due at now_ms, and issue the serving certificate anew when names (NULL at the end) has one
// that it lacks. *changed says whether the Secret has to be written and the broker to be told. On failure the state is as it was.
MUST_CHECK int ca_renew_if_due(
	struct ca_state *state, const char *const *names, int64_t now_ms, bool *changed, struct error *err);

// The same certificates and keys?
bool ca_is_same(const struct ca_state *a, const struct ca_state *b);

// A certificate for another server (PostgreSQL of a replica): DNS names and IP addresses, NULL at the end. Clients verify it with
// bundle_pem.
MUST_CHECK int ca_issue(
	const struct ca_state *state, const char *const *names, int64_t now_ms, struct cert_pair *out, struct error *err);

// Whether it has to be issued anew: it cannot be read, is not its key's, lacks a name, has had two thirds of its life, or no CA
// of the bundle has signed it.
bool ca_is_due(const char *bundle_pem, const struct cert_pair *leaf, const char *const *names, int64_t now_ms);

// When that will be so for its age alone (wall time).
MUST_CHECK int ca_renew_at(const char *cert_pem, int64_t *out_ms, struct error *err);

#endif
