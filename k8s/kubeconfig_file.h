// The files of a KUBECONFIG as YAML, and how the entries in them are found and read. What the entries mean is in kubeconfig.c.
//
// Complaints name the file, the line, the entry and the key, and what is allowed; values only where they cannot be secret.
// Scalars are wiped when the files go. One thread.
#ifndef K8S_KUBECONFIG_FILE_H
#define K8S_KUBECONFIG_FILE_H

#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include <stdbool.h>
#include <stddef.h>
#include <yaml.h>

#define KUBECONFIG_FILES_MAX 64

struct kubeconfig_source {
	char *path;
	yaml_document_t document;
};

struct kubeconfig {
	struct kubeconfig_source files[KUBECONFIG_FILES_MAX];
	size_t count;
};

// A mapping of one file and what it is called in complaints: user "x", cluster "y", or nothing for the file itself.
struct kubeconfig_section {
	struct kubeconfig_source *file;
	yaml_node_t *node; // NULL: an entry that is empty
	const char *kind;  // NULL: the file
	const char *name;
};

// list has ':' between paths. Files that do not exist are left out; when none is left it is ERROR_NOT_FOUND.
MUST_CHECK int kubeconfig_read(const char *list, struct kubeconfig **out, struct error *err);
void kubeconfig_free(struct kubeconfig *k);
DEFINE_AUTO(struct kubeconfig, kubeconfig, kubeconfig_free)

struct kubeconfig_section kubeconfig_top(struct kubeconfig_source *file);

// The entry `name` of the list `list_key`, [{name: x, <kind>: {...}}], in the first file that has it. *found says whether.
MUST_CHECK int kubeconfig_find(struct kubeconfig *k, const char *list_key, const char *kind, const char *name, bool *found,
	struct kubeconfig_section *out, struct error *err);

// Readers of one key. It counts as not set when it is missing or null; a text also when it is empty.
yaml_node_t *kubeconfig_member(const struct kubeconfig_section *in, const char *key);
MUST_CHECK int kubeconfig_text(
	const struct kubeconfig_section *in, const char *key, const char **out, struct error *err); // borrowed
MUST_CHECK int kubeconfig_copy_text(const struct kubeconfig_section *in, const char *key, char **out, struct error *err);
MUST_CHECK int kubeconfig_bool(const struct kubeconfig_section *in, const char *key, bool *out, struct error *err);

// A path as the process can open it: relative ones start at the file that names them.
MUST_CHECK int kubeconfig_copy_path(const struct kubeconfig_section *in, const char *key, char **out, struct error *err);

// A PEM that is inline, or in a file whose path goes to *path. Inline wins, as it does for kubectl.
struct kubeconfig_pem {
	const char *data_key, *file_key;
	char **text, **path; // stay as they are when neither key is set
};
MUST_CHECK int kubeconfig_read_pem(const struct kubeconfig_section *in, const struct kubeconfig_pem *pem, struct error *err);

// The mapping under a key as a section of the same name; node NULL when the key is not set.
MUST_CHECK int kubeconfig_enter(
	const struct kubeconfig_section *in, const char *key, struct kubeconfig_section *out, struct error *err);

// The element `index` of the list under a key; NULL past its end. The key may be unset.
MUST_CHECK int kubeconfig_element(
	const struct kubeconfig_section *in, const char *key, size_t index, yaml_node_t **out, struct error *err);

// The value under a key as JSON; *out stays as it is when the key is not set.
MUST_CHECK int kubeconfig_json(const struct kubeconfig_section *in, const char *key, json_t **out, struct error *err);

// ERROR_INVALID "kubeconfig <path>:<line>: <kind> "<name>": <key> <what>".
int kubeconfig_complain(const struct kubeconfig_section *in, const char *key, struct error *err, const char *what, ...)
	PRINTF_LIKE(4, 5);

#endif
