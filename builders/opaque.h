// A Kubernetes Secret of type Opaque, value by value.
#ifndef BUILDERS_OPAQUE_H
#define BUILDERS_OPAQUE_H

#include "builders/objects.h"

// A Secret without data; round_key may be NULL. NULL as in builders/metadata.h.
json_t *opaque_new(const struct build *b, const char *name, const char *component, const char *round_key);

// Add a value as base64. The bytes are copied into the object and nowhere else.
MUST_CHECK int opaque_add(json_t *object, const char *key, const void *bytes, size_t len, struct error *err);
MUST_CHECK int opaque_add_text(json_t *object, const char *key, const char *text, struct error *err);
MUST_CHECK int opaque_add_secret(json_t *object, const char *key, const struct secret *secret, struct error *err);

#endif
