// The one way in which a Namespace's annotations are written: a merge patch with the resourceVersion it was decided on.
#ifndef RECONCILER_PATCH_H
#define RECONCILER_PATCH_H

#include "base/json.h"
#include "k8s/client.h"
#include "reconciler/replica.h"

// {"metadata":{"resourceVersion":...,"annotations":{}}} and setters for its annotations. A failure of a setter is kept and
// returned by patch_send(), so that a list of settings reads as a list.
struct patch {
	json_t *body;
	json_t *annotations; // borrowed from body
	bool no_memory;
};

void patch_init(struct patch *patch, const struct replica *replica);
void patch_set(struct patch *patch, const char *key, const char *value); // value NULL removes
void patch_set_int(struct patch *patch, const char *key, int64_t value);
void patch_set_time(struct patch *patch, const char *key, int64_t wall_ms);

// Send it; *replica becomes what the API server answered. ERROR_CONFLICT: read again, decide again.
MUST_CHECK int patch_send(struct patch *patch, struct k8s_client *k8s, struct replica *replica, struct error *err);

// Put what it sets into the annotations of an object that is about to be made. What it removes is passed over.
MUST_CHECK int patch_into(const struct patch *patch, json_t *object, struct error *err);
void patch_fini(struct patch *patch);

static inline void auto_patch(struct patch *patch)
{
	patch_fini(patch);
}

#endif
