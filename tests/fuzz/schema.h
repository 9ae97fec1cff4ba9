// The API server's own schemas of the Kubernetes kinds (swagger definitions), as far as they say what an object may hold: types,
// required and unknown fields. tests/builders/validate.py is the thorough one; this one is fast enough for fuzzing.
#ifndef TESTS_FUZZ_SCHEMA_H
#define TESTS_FUZZ_SCHEMA_H

#include "base/json.h"
#include <stdbool.h>

struct schema;

// NULL when there is no such file.
struct schema *schema_open(const char *path);

// Is the object as its apiVersion and kind say? Where it is not, *where names the place.
bool schema_holds(const struct schema *schema, const json_t *object, const char **where);

#endif
