// The credential broker: where the proxies of restore pods ask for S3 keys and report what they did. TLS only.
//
//   POST /internal/restore-creds {group, type}                   canopy's `credentials` object alone
//   POST /api/v1/canopy-progress/{namespace}/{job} {...}         204
//   POST /api/v1/canopy-stats/{namespace}/{job} {...}            204
//
// Each request carries a ServiceAccount's token for audience understory-broker (canopy/token_review.h); the Namespace of that
// ServiceAccount must be managed, and what it asks for must be its own. All that needs the cluster or canopy is asked through
// callbacks. Errors are RFC 7807 bodies. One line is logged for each set of keys that is given out and for each caller that is
// refused; keys and tokens never are. Keys live in memory only (canopy/credential_cache.h).
//
// Statuses: 400 body, 401 token, 403 not theirs, 404 and 405 strictly, 411, 413 (BROKER_BODY_MAX), 429 and 503 with Retry-After,
// and what canopy refused with (4xx) in its own words.
#ifndef CANOPY_BROKER_H
#define CANOPY_BROKER_H

#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/secret.h"
#include "base/uuid.h"
#include "canopy/client.h"
#include "canopy/token_review.h"

#define BROKER_PATH_CREDENTIALS "/internal/restore-creds"
#define BROKER_PATH_STATS "/api/v1/canopy-stats/"       // {namespace}/{job}
#define BROKER_PATH_PROGRESS "/api/v1/canopy-progress/" // {namespace}/{job}

#define BROKER_BODY_MAX ((size_t)64 << 10)
#define BROKER_TYPE_SIZE 256

// From a connection's start, or from its last answer, to the end of the next request.
#define BROKER_REQUEST_LIMIT_MS 15000

// The round that a managed Namespace has in hand, and whose keys it may have.
struct broker_replica {
	char group[UUID_TEXT_SIZE];
	char type[BROKER_TYPE_SIZE]; // whole, not as the label has it
	char run_id[UUID_TEXT_SIZE];
};

// Counts that a proxy sent: an object, as it came. ERROR_INVALID: they are no good, or canopy refuses them (its 4xx is passed
// on).
typedef int (*broker_take)(void *arg, const char *namespace, const char *job, const struct broker_replica *replica,
	const json_t *counts, struct error *err);

// Called from the threads of requests, several at once; each may block. Kinds of failure: ERROR_TRANSIENT and ERROR_CANCELLED are
// answered with 503, ERROR_INTERNAL with 500; the others as below. The texts go to the caller and into the log: no secrets.
struct broker_callbacks {
	// ERROR_INVALID with http_status 0: the token is not good (401); any other failure: 503. See canopy/token_review.h.
	int (*review)(void *arg, const char *token, struct broker_caller *out, struct error *err);

	// ERROR_NOT_FOUND, ERROR_INVALID: not managed (403). ERROR_CONFLICT: managed, but no round is in hand (409).
	int (*lookup)(void *arg, const char *namespace, struct broker_replica *out, struct error *err);

	// canopy_get_credentials(), or what stands for it with WORKLIST_FILE.
	int (*fetch)(void *arg, const char *group, const char *type, const char *run_id, struct canopy_credentials *out,
		struct error *err);
	broker_take stats;    // totals, at the end
	broker_take progress; // every now and then
	void *arg;            // outlives the broker
};

struct broker_options {
	const char *address;  // PGRO_BROKER_LISTEN_ADDR; port 0 takes a free one
	const char *cert_pem; // tls.crt and tls.key of canopy/ca.h
	const struct secret *key_pem;
	const struct broker_callbacks *callbacks; // copied
	int64_t request_limit_ms;                 // 0: BROKER_REQUEST_LIMIT_MS
	int64_t (*wall_ms)(void);                 // NULL: clock_wall_ms()
	int64_t (*mono_ms)(void);                 // NULL: clock_mono_ms(); for the limits of callers and the memory of reviews
};

struct broker;

// Serves from its return on. ERROR_INVALID for a bad address or certificate, ERROR_TRANSIENT when the port is taken.
MUST_CHECK int broker_start(const struct broker_options *options, struct broker **out, struct error *err);
int broker_port(const struct broker *broker);

// After a renewal: handshakes from now on get this certificate; connections stay, and no request is lost. Any thread.
MUST_CHECK int broker_set_certificate(
	struct broker *broker, const char *cert_pem, const struct secret *key_pem, struct error *err);

// Waits for the callbacks that are running: have what they wait for cancelled. Keys are wiped.
void broker_stop(struct broker *broker);
DEFINE_AUTO(struct broker, broker, broker_stop)

#endif
