// Create or adopt: an object of ours that is there already is as good as made; a namesake that is not ours is an error.
#ifndef RECONCILER_ADOPT_H
#define RECONCILER_ADOPT_H

#include "base/json.h"
#include "reconciler/manager.h"
#include "reconciler/replica.h"

// A binding takes a moment to count: a 403 in a Namespace younger than this is transient (design.md "Rights").
#define ADOPT_YOUNG_MS 30000

enum adopt_result { ADOPT_MADE, ADOPT_FOUND };

// What is there now. uid and resource_version are filled for what was found, and for kinds whose answer is wanted
// (cache_wants_answer()); else they are empty.
struct adopted {
	enum adopt_result result;
	char uid[REPLICA_UID_SIZE];
	char resource_version[REPLICA_VERSION_SIZE];
};

// out may be NULL. What is there then, the cache knows at once. Objects of a round must carry its label to be ours. An object
// that is being deleted, or whose owner is another than the wanted one's so that the garbage collector is about to take it, is
// ERROR_TRANSIENT. One without an owner is taken as it is.
MUST_CHECK int adopt_create(struct manager *op, const struct k8s_resource *resource, const struct replica *replica,
	const json_t *object, int64_t now_ms, struct adopted *out, struct error *err);

// In a Namespace younger than ADOPT_YOUNG_MS: a 403 of the API server becomes transient. Returns -1.
int adopt_soften(const struct replica *replica, int64_t now_ms, struct error *err);

#endif
