// The proxy's side of the operator's broker: authenticated POSTs over TLS.
//
//   POST <PGRO_BROKER_URL>/internal/restore-creds  {"group": "...", "type": "..."}
//   Authorization: Bearer <projected ServiceAccount token, audience understory-broker>
//
// answers 200 with canopy's `credentials` object alone (CredentialProcessOutput in contract/canopy.openapi.json), else with an
// RFC 7807 problem. The callbacks for byte counts go to the same listener with the same authentication. The kubelet replaces the
// token and the operator its CA while we run: both files are read for each call. A broker belongs to one thread; calls block.
#ifndef CANOPY_PROXY_BROKER_CLIENT_H
#define CANOPY_PROXY_BROKER_CLIENT_H

#include "base/cleanup.h"
#include "base/error.h"
#include "base/http.h"
#include "base/secret.h"
#include "canopy/proxy/config.h"
#include <stdatomic.h>

#define BROKER_CLIENT_CREDENTIALS_PATH "/internal/restore-creds"
#define BROKER_CLIENT_BODY_MAX ((size_t)64 << 10) // session tokens are a few KiB at most
#define BROKER_CLIENT_TOKEN_MAX ((size_t)64 << 10)
#define BROKER_CLIENT_CA_MAX ((size_t)1 << 20)

struct broker_client;

// config outlives the broker; so does cancel, which ends a call in flight (may be NULL).
MUST_CHECK int broker_client_new(
	const struct config *config, const atomic_bool *cancel, struct broker_client **out, struct error *err);
void broker_client_free(struct broker_client *broker);
DEFINE_AUTO(struct broker_client, broker_client, broker_client_free)

// 0 when it answered 2xx; the caller releases *response. A refusal carries the status and the words of the problem body. Kinds as
// http_status_kind(), but 409 ("not ready yet") is ERROR_TRANSIENT, and so is a file that cannot be read.
MUST_CHECK int broker_client_post(struct broker_client *broker, const char *url, const char *body, int64_t timeout_ms,
	struct http_response *response, struct error *err);

// What a call for credentials gives.
struct s3_keys {
	struct secret access_key_id;
	struct secret secret_access_key;
	struct secret session_token; // empty: keys of no session
	int64_t expires_at_ms;       // wall time
};

// ERROR_INTERNAL when the answer is not what the contract says.
MUST_CHECK int broker_client_read_keys(const char *body, size_t len, struct s3_keys *out, struct error *err);
MUST_CHECK int broker_client_get_keys(struct broker_client *broker, struct s3_keys *out, struct error *err);
void s3_keys_fini(struct s3_keys *keys);

static inline void auto_s3_keys(struct s3_keys *keys)
{
	s3_keys_fini(keys);
}

#endif
