// The short-lived S3 keys: asked for ahead of their end, by one thread, for all requests.
//
// A set is renewed two minutes before it expires, or after 80 % of a short life, and serves until it does expire. While the
// broker is away it is asked again and again (0.5 s to 10 s apart); a definite refusal (4xx other than 401, 408, 409, 425 and
// 429; 401 when it persists) is final: the grant is gone, and so would be every later answer. credentials_get() and
// credentials_reject() never block; they are for one thread, that of the data.
#ifndef CANOPY_PROXY_CREDENTIALS_H
#define CANOPY_PROXY_CREDENTIALS_H

#include "base/cleanup.h"
#include "base/error.h"
#include "canopy/proxy/broker_client.h"
#include <stdint.h>

#define CREDENTIALS_MARGIN_MS ((int64_t)2 * 60 * 1000)
#define CREDENTIALS_SHORT_LIFE_DIVISOR 5 // the last fifth of a short life
#define CREDENTIALS_BACKOFF_MIN_MS 500
#define CREDENTIALS_BACKOFF_MAX_MS 10000 // the broker is back well within the time that a request is held
#define CREDENTIALS_UNAUTHORIZED_MAX 5   // 401 in a row; a token that was just replaced, or an API server that cannot review it

struct credentials_options {
	const struct config *config;  // outlives the credentials
	void (*on_change)(void *arg); // a set came, or a refusal; called from the thread of the credentials
	void *arg;
};

// A copy for the thread that signs. Zeroed at first.
struct credentials_set {
	uint64_t generation; // 0: none yet; another one with every new set
	struct s3_keys keys;
};

enum credentials_state { CREDENTIALS_READY, CREDENTIALS_AWAITED, CREDENTIALS_REFUSED, CREDENTIALS_FAILED };

struct credentials;

MUST_CHECK int credentials_new(const struct credentials_options *options, struct credentials **out, struct error *err);
void credentials_free(struct credentials *credentials); // waits a second at most for a call in flight
DEFINE_AUTO(struct credentials, credentials, credentials_free)

// READY: *set is the set to sign with at this time; it is only copied when it is another. AWAITED: *why is the last failure (kind
// ERROR_NONE when there was none). REFUSED: *why has the broker's words. FAILED: there is a set, and no memory for a copy; nothing
// will tell of a change, so it is not to be waited for.
enum credentials_state credentials_get(
	struct credentials *credentials, int64_t wall_ms, struct credentials_set *set, struct error *why);

// S3 does not take this set: it is not given out again, even if the broker has nothing else yet.
void credentials_reject(struct credentials *credentials, uint64_t generation);

// Has a definite refusal come?
bool credentials_is_refused(struct credentials *credentials);

// When a set that expires then should be renewed: as long from now as this. For tests.
int64_t credentials_renew_in_ms(int64_t remaining_ms);

void credentials_set_fini(struct credentials_set *set);

#endif
