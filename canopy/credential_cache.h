// Short-lived keys by (group, type): fetched once for all who ask at the same time, and kept until they come near their end.
//
// Any thread. At most CREDENTIAL_CACHE_MAX sets are held; those that have expired are wiped as soon as somebody asks for any. The
// password of the repository is never kept: nobody who asks here needs it.
#ifndef CANOPY_CREDENTIAL_CACHE_H
#define CANOPY_CREDENTIAL_CACHE_H

#include "canopy/client.h"
#include <stdbool.h>

#define CREDENTIAL_CACHE_MAX 128

// A set is given out until this long before its end, so that whoever gets it has time to use it. A set that lives less than
// CREDENTIAL_CACHE_SHORT_LIFE_MS is given out for four fifths of its life.
#define CREDENTIAL_CACHE_MARGIN_MS ((int64_t)2 * 60 * 1000)
#define CREDENTIAL_CACHE_SHORT_LIFE_MS ((int64_t)10 * 60 * 1000)

// As canopy_get_credentials(), which stands behind it. May block; any thread.
typedef int (*credential_fetch)(
	void *arg, const char *group, const char *type, const char *run_id, struct canopy_credentials *out, struct error *err);

struct credential_cache;

// wall_ms: clock_wall_ms(), or a test's clock; called from any thread.
MUST_CHECK int credential_cache_new(
	credential_fetch fetch, void *arg, int64_t (*wall_ms)(void), struct credential_cache **out, struct error *err);
void credential_cache_free(struct credential_cache *cache);
DEFINE_AUTO(struct credential_cache, credential_cache, credential_cache_free)

// Blocks while a fetch for this (group, type) runs, whoever began it; those who wait get its outcome, a failure too. A failure is
// not remembered. run_id goes with the fetch. *out is released first and then the caller's. *is_new: this call fetched it.
// ERROR_TRANSIENT when all sets are in use.
MUST_CHECK int credential_cache_get(struct credential_cache *cache, const char *group, const char *type, const char *run_id,
	struct canopy_credentials *out, bool *is_new, struct error *err);

#endif
