// Helpers over jansson for the small documents: find, require, print.
//
// Ownership is jansson's: a json_t returned through `json_t **out` is the caller's, everything found inside a document is
// borrowed from it. jansson's reference counts are not atomic: a document belongs to one thread at a time.
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/cleanup.h"
#include "base/error.h"
#include <jansson.h>

DEFINE_AUTO(json_t, json, json_decref)

// Parse one whole document; trailing bytes and duplicate keys are errors. The error text says where, never what: a body may hold
// a secret.
MUST_CHECK int json_parse(const char *text, size_t len, json_t **out, struct error *err);

// Walk object keys; NULL when one is missing or a step is no object. json_find(ns, "metadata", "labels")
#define json_find(root, ...) json_find_path(root, (const char *const[]){__VA_ARGS__, NULL})
json_t *json_find_path(const json_t *root, const char *const *path);

// As json_find(), for a string; NULL when missing or no string.
#define json_find_str(root, ...) json_string_value(json_find(root, __VA_ARGS__))

// As json_find(), for an integer; otherwise when missing or no integer.
#define json_find_int(otherwise, root, ...) json_int_or(json_find(root, __VA_ARGS__), otherwise)
json_int_t json_int_or(const json_t *value, json_int_t otherwise);

// Is a member missing or null? For optional members the two say the same.
bool json_is_absent(const json_t *value);

// A member that must be there and be a string: *out is borrowed from object. ERROR_INVALID names the key.
MUST_CHECK int json_need_str(const json_t *object, const char *key, const char **out, struct error *err);

// Compact text with sorted keys, so that equal documents are equal texts. The caller frees it.
MUST_CHECK int json_print(const json_t *value, char **out, struct error *err);

// As json_print(), members in the order in which they were put: half the work, for what nobody compares.
MUST_CHECK int json_print_as_put(const json_t *value, char **out, struct error *err);

// For builders: jansson's json_pack() with its failure as an error of ours. Steals nothing but what the format says.
// Usage: return json_made(json_pack("{s:s}", ...), "namespace", out, err);
// For want of memory json_pack() may leave a member out and succeed: what is built within the call is watched for that. Who builds
// in several statements says json_begin() before the first and json_made_whole() at the end.
#define json_made(made, what, out, err) (json_begin(), json_made_whole(made, what, out, err))
void json_begin(void);
bool json_lacked_memory(void); // since json_begin()
MUST_CHECK int json_made_whole(json_t *made, const char *what, json_t **out, struct error *err);

#endif
