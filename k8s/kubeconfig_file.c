#include "k8s/kubeconfig_file.h"

#include "base/buf.h"
#include "base/encode.h"
#include "base/file.h"
#include "base/secret.h"
#include "base/yamltree.h"
#include "k8s/config_internal.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JSON_DEPTH_MAX 32
#define JSON_NODES_MAX 1000 // anchors can make a short file endless

// --- files ---

static void wipe_scalars(yaml_document_t *document)
{
	for (yaml_node_t *node = document->nodes.start; node < document->nodes.top; node++) {
		if (node->type == YAML_SCALAR_NODE)
			secret_wipe(node->data.scalar.value, node->data.scalar.length);
	}
}

void kubeconfig_free(struct kubeconfig *k)
{
	if (k == NULL)
		return;
	for (size_t i = 0; i < k->count; i++) {
		wipe_scalars(&k->files[i].document);
		yaml_document_delete(&k->files[i].document);
		free(k->files[i].path);
	}
	free(k);
}

static int parse(const char *text, size_t len, yaml_document_t *out, struct error *err)
{
	yaml_parser_t parser;
	if (yaml_parser_initialize(&parser) == 0)
		return error_no_memory(err, "YAML parser");
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	int rc = 0;
	if (yaml_parser_load(&parser, out) == 0 && parser.error == YAML_MEMORY_ERROR)
		rc = error_no_memory(err, "YAML");
	else if (parser.error != YAML_NO_ERROR)
		rc = error_set(err, ERROR_INVALID, "line %zu, column %zu: %s", parser.problem_mark.line + 1,
			parser.problem_mark.column + 1, parser.problem == NULL ? "no YAML" : parser.problem);
	yaml_parser_delete(&parser);
	return rc;
}

static bool is_scalar(const yaml_node_t *node, const char *text)
{
	return node != NULL && node->type == YAML_SCALAR_NODE && node->data.scalar.length == strlen(text) &&
	       memcmp(node->data.scalar.value, text, strlen(text)) == 0;
}

static bool is_null(const yaml_node_t *node)
{
	return node == NULL || (node->type == YAML_SCALAR_NODE && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
				       (is_scalar(node, "") || is_scalar(node, "~") || is_scalar(node, "null")));
}

// An empty file says nothing, which is allowed.
static int check_root(struct kubeconfig_source *file, struct error *err)
{
	const yaml_node_t *root = yaml_document_get_root_node(&file->document);
	if (is_null(root) || root->type == YAML_MAPPING_NODE)
		return 0;
	return error_set(err, ERROR_INVALID, "kubeconfig %s:%zu: is no mapping of clusters, contexts and users", file->path,
		root->start_mark.line + 1);
}

// Has a person to mend it, or is it a lack of descriptors or memory?
static enum error_kind kind_of(const struct error *failure)
{
	bool is_setting = failure->os_errno == EACCES || failure->os_errno == EISDIR || failure->os_errno == ENOTDIR ||
			  failure->os_errno == ELOOP || failure->kind == ERROR_NOT_FOUND;
	return is_setting ? ERROR_INVALID : failure->kind;
}

static int add_file(struct kubeconfig *k, const char *path, struct error *err)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	if (k->count == KUBECONFIG_FILES_MAX)
		return error_set(err, ERROR_INVALID, "KUBECONFIG names more than %d files", KUBECONFIG_FILES_MAX);
	if (file_read(path, K8S_CONFIG_FILE_MAX, &text, &len, err) < 0) {
		if (err->kind == ERROR_NOT_FOUND)
			return 0;
		err->kind = kind_of(err);
		return error_wrap(err, "kubeconfig");
	}
	struct kubeconfig_source *file = &k->files[k->count];
	int rc = parse(text, len, &file->document, err);
	secret_wipe(text, len);
	if (rc < 0)
		return error_wrap(err, "kubeconfig %s", path);
	file->path = strdup(path);
	k->count++;
	return file->path == NULL ? error_no_memory(err, "kubeconfig") : check_root(file, err);
}

int kubeconfig_read(const char *list, struct kubeconfig **out, struct error *err)
{
	AUTO_FREE char *paths = strdup(list);
	AUTO(kubeconfig) struct kubeconfig *k = calloc(1, sizeof(*k));
	if (paths == NULL || k == NULL)
		return error_no_memory(err, "kubeconfig");
	for (char *rest = paths, *path = strsep(&rest, ":"); path != NULL; path = strsep(&rest, ":")) {
		if (path[0] != '\0' && add_file(k, path, err) < 0)
			return -1;
	}
	if (k->count == 0)
		return error_set(err, ERROR_NOT_FOUND, "no kubeconfig at %s", list);
	*out = TAKE_PTR(k);
	return 0;
}

// --- entries ---

struct kubeconfig_section kubeconfig_top(struct kubeconfig_source *file)
{
	return (struct kubeconfig_section){.file = file, .node = yaml_document_get_root_node(&file->document)};
}

static yaml_node_t *member_of(struct kubeconfig_source *file, const yaml_node_t *node, const char *key)
{
	if (node == NULL || node->type != YAML_MAPPING_NODE)
		return NULL;
	for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
		if (!is_scalar(yaml_document_get_node(&file->document, pair->key), key))
			continue;
		yaml_node_t *value = yaml_document_get_node(&file->document, pair->value);
		return is_null(value) ? NULL : value;
	}
	return NULL;
}

yaml_node_t *kubeconfig_member(const struct kubeconfig_section *in, const char *key)
{
	return member_of(in->file, in->node, key);
}

int kubeconfig_complain(const struct kubeconfig_section *in, const char *key, struct error *err, const char *what, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list ap;
	va_start(ap, what);
	(void)vsnprintf(text, sizeof(text), what, ap);
	va_end(ap);
	const yaml_node_t *at = kubeconfig_member(in, key);
	if (at == NULL)
		at = in->node;
	size_t line = at == NULL ? 1 : at->start_mark.line + 1;
	if (in->kind == NULL)
		return error_set(err, ERROR_INVALID, "kubeconfig %s:%zu: %s %s", in->file->path, line, key, text);
	return error_set(
		err, ERROR_INVALID, "kubeconfig %s:%zu: %s \"%s\": %s %s", in->file->path, line, in->kind, in->name, key, text);
}

// In one file, where a name may come once.
static int find_in_file(struct kubeconfig_source *file, const char *list_key, const char *kind, const char *name,
	const yaml_node_t **entry, struct error *err)
{
	const struct kubeconfig_section top = kubeconfig_top(file);
	yaml_node_t *item = NULL;
	for (size_t i = 0;; i++) {
		if (kubeconfig_element(&top, list_key, i, &item, err) < 0)
			return -1;
		if (item == NULL)
			return 0;
		if (item->type != YAML_MAPPING_NODE)
			return kubeconfig_complain(&top, list_key, err, "holds an entry that is no mapping of name and %s", kind);
		if (!is_scalar(member_of(file, item, "name"), name))
			continue;
		if (*entry != NULL)
			return kubeconfig_complain(&top, list_key, err, "holds \"%s\" twice", name);
		*entry = item;
	}
}

int kubeconfig_find(struct kubeconfig *k, const char *list_key, const char *kind, const char *name, bool *found,
	struct kubeconfig_section *out, struct error *err)
{
	const yaml_node_t *entry = NULL;
	*found = false;
	for (size_t i = 0; i < k->count && entry == NULL; i++) {
		struct kubeconfig_source *file = &k->files[i];
		if (find_in_file(file, list_key, kind, name, &entry, err) < 0)
			return -1;
		if (entry == NULL)
			continue;
		*found = true;
		*out = (struct kubeconfig_section){
			.file = file, .node = member_of(file, entry, kind), .kind = kind, .name = name};
		if (out->node != NULL && out->node->type != YAML_MAPPING_NODE)
			return error_set(err, ERROR_INVALID, "kubeconfig %s:%zu: %s \"%s\" is no mapping", file->path,
				out->node->start_mark.line + 1, kind, name);
	}
	return 0;
}

int kubeconfig_enter(const struct kubeconfig_section *in, const char *key, struct kubeconfig_section *out, struct error *err)
{
	*out = *in;
	out->node = kubeconfig_member(in, key);
	if (out->node != NULL && out->node->type != YAML_MAPPING_NODE)
		return kubeconfig_complain(in, key, err, "is no mapping");
	return 0;
}

int kubeconfig_element(const struct kubeconfig_section *in, const char *key, size_t index, yaml_node_t **out, struct error *err)
{
	const yaml_node_t *list = kubeconfig_member(in, key);
	*out = NULL;
	if (list == NULL)
		return 0;
	if (list->type != YAML_SEQUENCE_NODE)
		return kubeconfig_complain(in, key, err, "is no list");
	const yaml_node_item_t *start = list->data.sequence.items.start;
	if (index < (size_t)(list->data.sequence.items.top - start))
		*out = yaml_document_get_node(&in->file->document, start[index]);
	return 0;
}

// --- values ---

int kubeconfig_text(const struct kubeconfig_section *in, const char *key, const char **out, struct error *err)
{
	*out = NULL;
	const yaml_node_t *node = kubeconfig_member(in, key);
	if (node == NULL)
		return 0;
	if (node->type != YAML_SCALAR_NODE)
		return kubeconfig_complain(in, key, err, "is no text");
	const char *text = (const char *)node->data.scalar.value;
	if (strlen(text) != node->data.scalar.length)
		return kubeconfig_complain(in, key, err, "holds a NUL");
	*out = text[0] == '\0' ? NULL : text;
	return 0;
}

static int copy_out(const char *text, char **out, struct error *err)
{
	if (text == NULL)
		return 0;
	*out = strdup(text);
	return *out == NULL ? error_no_memory(err, "kubeconfig") : 0;
}

int kubeconfig_copy_text(const struct kubeconfig_section *in, const char *key, char **out, struct error *err)
{
	const char *text = NULL;
	return kubeconfig_text(in, key, &text, err) < 0 ? -1 : copy_out(text, out, err);
}

int kubeconfig_bool(const struct kubeconfig_section *in, const char *key, bool *out, struct error *err)
{
	const char *text = NULL;
	if (kubeconfig_text(in, key, &text, err) < 0)
		return -1;
	if (text != NULL && strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		return kubeconfig_complain(in, key, err, "is \"%.40s\", which is neither true nor false", text);
	*out = text != NULL && strcmp(text, "true") == 0;
	return 0;
}

int kubeconfig_copy_path(const struct kubeconfig_section *in, const char *key, char **out, struct error *err)
{
	const char *path = NULL;
	if (kubeconfig_text(in, key, &path, err) < 0)
		return -1;
	const char *slash = strrchr(in->file->path, '/');
	if (path == NULL || path[0] == '/' || slash == NULL)
		return copy_out(path, out, err);
	AUTO(buf) struct buf whole;
	buf_init(&whole, K8S_CONFIG_FILE_MAX);
	if (buf_add(&whole, in->file->path, (size_t)(slash - in->file->path) + 1, err) < 0 || buf_add_str(&whole, path, err) < 0)
		return -1;
	return copy_out(buf_str(&whole), out, err);
}

static int decode(const struct kubeconfig_section *in, const char *key, const char *base64, char **out, struct error *err)
{
	AUTO(buf) struct buf packed;
	buf_init(&packed, K8S_CONFIG_FILE_MAX);
	// Written by hand it may be folded into lines.
	for (const char *at = base64; *at != '\0';) {
		size_t run = strcspn(at, " \t\r\n");
		if (buf_add(&packed, at, run, err) < 0)
			return -1;
		at += run;
		at += strspn(at, " \t\r\n");
	}
	AUTO_FREE char *bytes = NULL;
	size_t len = 0;
	int rc = encode_unbase64(buf_str(&packed), &bytes, &len, err);
	if (packed.len > 0)
		secret_wipe(packed.data, packed.len);
	if (rc < 0)
		return err->kind == ERROR_INVALID ? kubeconfig_complain(in, key, err, "is no base64") : -1;
	if (strlen(bytes) != len)
		return kubeconfig_complain(in, key, err, "holds a NUL, not PEM");
	*out = TAKE_PTR(bytes);
	return 0;
}

int kubeconfig_read_pem(const struct kubeconfig_section *in, const struct kubeconfig_pem *pem, struct error *err)
{
	const char *inline_data = NULL;
	size_t len = 0;
	struct error failure = {0};
	if (kubeconfig_text(in, pem->data_key, &inline_data, err) < 0)
		return -1;
	if (inline_data != NULL)
		return decode(in, pem->data_key, inline_data, pem->text, err);
	if (kubeconfig_copy_path(in, pem->file_key, pem->path, err) < 0)
		return -1;
	if (*pem->path == NULL || file_read(*pem->path, K8S_CONFIG_FILE_MAX, pem->text, &len, &failure) == 0)
		return 0;
	(void)kubeconfig_complain(in, pem->file_key, err, "cannot be used: %s", failure.text);
	err->kind = kind_of(&failure);
	return -1;
}

// --- as JSON ---

struct conversion {
	yaml_document_t *document;
	size_t nodes;
};

static int convert(struct conversion *c, const yaml_node_t *node, size_t depth, json_t **out, struct error *err);

// NOLINTBEGIN(misc-no-recursion): JSON_DEPTH_MAX
static int convert_pair(struct conversion *c, const yaml_node_pair_t *pair, size_t depth, json_t *object, struct error *err)
{
	json_t *value = NULL;
	const yaml_node_t *key = yaml_document_get_node(c->document, pair->key);
	if (key->type != YAML_SCALAR_NODE)
		return error_set(err, ERROR_INVALID, "has a key that is no text");
	if (convert(c, yaml_document_get_node(c->document, pair->value), depth, &value, err) < 0)
		return -1;
	// libyaml lets nothing through that is no UTF-8.
	if (json_object_setn_new(object, (const char *)key->data.scalar.value, key->data.scalar.length, value) < 0)
		return error_no_memory(err, "kubeconfig");
	return 0;
}

static int convert_children(struct conversion *c, const yaml_node_t *node, size_t depth, json_t *into, struct error *err)
{
	if (node->type == YAML_MAPPING_NODE) {
		for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
			if (convert_pair(c, pair, depth, into, err) < 0)
				return -1;
		}
		return 0;
	}
	for (const yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++) {
		json_t *value = NULL;
		if (convert(c, yaml_document_get_node(c->document, *item), depth, &value, err) < 0)
			return -1;
		if (json_array_append_new(into, value) < 0)
			return error_no_memory(err, "kubeconfig");
	}
	return 0;
}

static int convert_scalar(const yaml_node_t *node, json_t **out, struct error *err)
{
	AUTO_FREE char *text = strndup((const char *)node->data.scalar.value, node->data.scalar.length);
	if (text == NULL)
		return error_no_memory(err, "kubeconfig");
	const struct yamltree scalar = {
		.kind = YAMLTREE_SCALAR, .text = text, .is_plain = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE};
	return yamltree_to_json(&scalar, out, err);
}

static int convert(struct conversion *c, const yaml_node_t *node, size_t depth, json_t **out, struct error *err)
{
	if (depth > JSON_DEPTH_MAX || ++c->nodes > JSON_NODES_MAX)
		return error_set(
			err, ERROR_INVALID, "is deeper than %d or has more than %d values", JSON_DEPTH_MAX, JSON_NODES_MAX);
	if (node->type == YAML_SCALAR_NODE)
		return convert_scalar(node, out, err);
	AUTO(json) json_t *made = node->type == YAML_MAPPING_NODE ? json_object() : json_array();
	if (made == NULL)
		return error_no_memory(err, "kubeconfig");
	if (convert_children(c, node, depth + 1, made, err) < 0)
		return -1;
	*out = TAKE_PTR(made);
	return 0;
}
// NOLINTEND(misc-no-recursion)

int kubeconfig_json(const struct kubeconfig_section *in, const char *key, json_t **out, struct error *err)
{
	struct error failure = {0};
	struct conversion c = {.document = &in->file->document};
	const yaml_node_t *node = kubeconfig_member(in, key);
	if (node == NULL || convert(&c, node, 0, out, &failure) == 0)
		return 0;
	(void)kubeconfig_complain(in, key, err, "%s", failure.text);
	err->kind = failure.kind;
	return -1;
}
