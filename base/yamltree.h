// YAML files that people write: read into a tree that remembers line and column, so that every complaint can point at its place.
//
// Over libyaml's events. A safe subset: aliases and tags of other types are refused (an alias can make a short file endless),
// nesting and size are bounded, a key that comes twice in one mapping is an error. Errors are ERROR_INVALID "file:line:column:
// what", a file that cannot be opened as error_set_errno() says. One thread.
#ifndef BASE_YAMLTREE_H
#define BASE_YAMLTREE_H

#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include <stdbool.h>
#include <stddef.h>

#define YAMLTREE_DEPTH_MAX 32
#define YAMLTREE_KEYS_MAX 1000 // of one mapping: keeps the search for keys that come twice short

enum yamltree_kind { YAMLTREE_SCALAR, YAMLTREE_SEQUENCE, YAMLTREE_MAPPING };

struct yamltree {
	enum yamltree_kind kind;
	int line, column; // from 1
	char *key;        // as a member of a mapping; NULL otherwise
	int key_line, key_column;
	char *text;    // of a scalar
	bool is_plain; // a scalar without quotes: null, true and 12 mean more than their text
	struct yamltree *children;
	size_t count;
	size_t room;
};

// The one document of a file. An empty file is a null scalar. The caller frees.
MUST_CHECK int yamltree_read(const char *path, size_t max_bytes, struct yamltree **out, struct error *err);

// The elements of a file whose document is a sequence, one at a time: memory is one element of at most max_item_bytes. item is
// borrowed until the callback returns; its failure ends the reading with *err.
typedef int (*yamltree_on_item)(void *arg, const struct yamltree *item, struct error *err);
struct yamltree_items {
	size_t max_bytes;
	size_t max_item_bytes;
	yamltree_on_item on_item;
	void *arg;
};
MUST_CHECK int yamltree_read_items(const char *path, const struct yamltree_items *items, struct error *err);

// The documents of a file, divided by "---", as manifests are. The same otherwise.
MUST_CHECK int yamltree_read_documents(const char *path, const struct yamltree_items *items, struct error *err);

// Plain null, ~ or nothing.
bool yamltree_is_null(const struct yamltree *tree);

// As JSON: plain scalars become null, booleans, integers and reals where YAML's core schema says so, everything else a string.
MUST_CHECK int yamltree_to_json(const struct yamltree *tree, json_t **out, struct error *err);

void yamltree_free(struct yamltree *tree);
DEFINE_AUTO(struct yamltree, yamltree, yamltree_free)

#endif
