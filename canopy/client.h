// Client of the central service: the typed calls of contract/canopy.openapi.json.
//
// Every call blocks for at most HTTP_TIMEOUT_MS and never retries. Errors carry the HTTP status and canopy's own words (title and
// detail of the RFC 7807 body), never the body of a success. Kinds: 403, 404 and 422 are ERROR_INVALID (a definite refusal), 409
// is ERROR_CONFLICT (not ready yet), 5xx, time-outs and resets ERROR_TRANSIENT, anything that breaks the contract ERROR_INTERNAL.
// Any thread may call.
#ifndef CANOPY_CLIENT_H
#define CANOPY_CLIENT_H

#include "base/error.h"
#include "base/http.h"
#include "base/secret.h"
#include "canopy/worklist.h"

struct canopy_client;

// base_url as in CANOPY_BASE_URL. http's ownership passes to the client on success.
MUST_CHECK int canopy_client_new(const char *base_url, struct http_client *http, struct canopy_client **out, struct error *err);
void canopy_client_free(struct canopy_client *client);
DEFINE_AUTO(struct canopy_client, canopy_client, canopy_client_free)

// POST /restore-capabilities: the full set of intents (canopy/intents.h), with the defaults that the settings give.
MUST_CHECK int canopy_register(struct canopy_client *client, const struct settings *settings, struct error *err);

// GET /restore-worklist. A body equal to the last one is not decoded again: *unchanged is true then and *out stays untouched.
MUST_CHECK int canopy_worklist(struct canopy_client *client, struct worklist **out, bool *unchanged, struct error *err);

// As many keys as an engine may have of its own (builders/engines/engine.h).
#define CANOPY_ENGINE_KEYS 4

// Short-lived S3 keys and the password of the repository.
struct canopy_credentials {
	struct secret sas_token; // of Azure Blob: from a Secret that an entry names, never from canopy
	struct secret access_key_id;
	struct secret secret_access_key;
	struct secret session_token;
	struct secret repo_password;
	struct secret engine_keys[CANOPY_ENGINE_KEYS]; // in the order of the engine's row; as sas_token
	int64_t expires_at_ms;                         // wall time
};

// POST /restore-credentials. run_id may be NULL. *out is overwritten; the caller releases it with canopy_credentials_fini(). Keys
// that have expired already are ERROR_TRANSIENT.
MUST_CHECK int canopy_get_credentials(struct canopy_client *client, const char *group_id, const char *type, const char *run_id,
	struct canopy_credentials *out, struct error *err);
void canopy_credentials_fini(struct canopy_credentials *credentials);

static inline void auto_canopy_credentials(struct canopy_credentials *credentials)
{
	canopy_credentials_fini(credentials);
}

// POST /restore-verification with exactly these bytes.
MUST_CHECK int canopy_report(struct canopy_client *client, const char *body, struct error *err);

// POST /backup-progress: how far a restore is. Best effort: a sample that is lost costs nothing.
MUST_CHECK int canopy_progress(struct canopy_client *client, const char *body, struct error *err);

// Called after each request, from the thread that made it; status 0 stands for no answer. For metrics.
typedef void (*canopy_on_request)(void *arg, const char *endpoint, int status);
void canopy_observe(struct canopy_client *client, canopy_on_request on_request, void *arg);

#endif
