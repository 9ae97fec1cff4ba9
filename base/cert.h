// X.509 certificates over PEM text (OpenSSL, EC P-256): make a CA, issue certificates for servers, look at what is there.
//
// Pure functions of their arguments, the time among them; only the keys and serial numbers come from the kernel's random bytes.
// Any thread. Texts of certificates are plain strings; keys are secrets.
#ifndef BASE_CERT_H
#define BASE_CERT_H

#include "base/cleanup.h"
#include "base/error.h"
#include "base/secret.h"
#include <stdbool.h>
#include <stdint.h>

// Certificates are good from a little before they are made, for the clocks of other machines. Kubernetes' own signer takes the
// same time (pkg/controller/certificates/authority).
#define CERT_BACKDATE_MS ((int64_t)5 * 60 * 1000)

struct cert_pair {
	char *cert_pem;
	struct secret key_pem; // PKCS #8
};

void cert_pair_fini(struct cert_pair *pair);

static inline void auto_cert_pair(struct cert_pair *pair)
{
	cert_pair_fini(pair);
}

// A CA that signs servers only, no other CA. common_name has a few hex digits of the serial number added, so that two CAs never
// have one name: a client that trusts both could otherwise take the wrong one. *out is zeroed by the caller or an earlier pair,
// which is released.
MUST_CHECK int cert_make_ca(const char *common_name, int64_t now_ms, int64_t life_ms, struct cert_pair *out, struct error *err);

// A certificate for TLS servers with these names (DNS names and IP addresses, NULL at the end, at least one), good for life_ms
// but never longer than its issuer. ERROR_INVALID for a name that is neither, and for an issuer that cannot be read.
MUST_CHECK int cert_issue(const struct cert_pair *issuer, const char *const *names, int64_t now_ms, int64_t life_ms,
	struct cert_pair *out, struct error *err);

// When a certificate is good: wall time. Of the first one where the text holds several.
struct cert_validity {
	int64_t from_ms, until_ms;
};
MUST_CHECK int cert_validity(const char *cert_pem, struct cert_validity *out, struct error *err);

// Does the key belong to the (first) certificate? No, too, when either cannot be read. Fails only for want of memory, which says
// nothing about them.
MUST_CHECK int cert_matches_key(const char *cert_pem, const struct secret *key_pem, bool *matches, struct error *err);

// Is every one of these names in the certificate, as a subject alternative name? False too for want of memory: who asks issues it
// anew, which does no harm.
bool cert_has_names(const char *cert_pem, const char *const *names);

// Was the (first) certificate signed by one of the bundle? False too for want of memory.
bool cert_is_signed_by(const char *cert_pem, const char *bundle_pem);

// The first of first_pem, then those of others_pem (may be NULL) that are another and still good at now_ms. The caller frees.
MUST_CHECK int cert_bundle(const char *first_pem, const char *others_pem, int64_t now_ms, char **out, struct error *err);

#endif
