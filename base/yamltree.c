#include "base/yamltree.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

struct reader {
	const char *path;
	FILE *file;
	size_t max_bytes; // of the file
	size_t bytes;     // read so far
	int read_errno;
	size_t item_start; // where the element in hand begins, and how long it may be
	size_t max_item_bytes;
	yaml_parser_t parser;
};

static int feed(void *arg, unsigned char *out, size_t room, size_t *got)
{
	struct reader *r = arg;
	*got = fread(out, 1, room, r->file);
	r->bytes += *got;
	r->read_errno = ferror(r->file) ? errno : 0;
	return r->read_errno == 0 && r->bytes <= r->max_bytes;
}

static int complain(const struct reader *r, yaml_mark_t at, const char *what, struct error *err)
{
	return error_set(err, ERROR_INVALID, "%s:%zu:%zu: %s", r->path, at.line + 1, at.column + 1, what);
}

static void reader_close(struct reader *r)
{
	yaml_parser_delete(&r->parser);
	(void)fclose(r->file);
}

static int reader_open(struct reader *r, const char *path, size_t max_bytes, size_t max_item_bytes, struct error *err)
{
	*r = (struct reader){.path = path, .max_bytes = max_bytes, .max_item_bytes = max_item_bytes};
	r->file = fopen(path, "re");
	if (r->file == NULL)
		return error_set_errno(err, errno, "open %s", path);
	if (!yaml_parser_initialize(&r->parser)) {
		(void)fclose(r->file);
		return error_no_memory(err, "YAML parser");
	}
	yaml_parser_set_input(&r->parser, feed, r);
	return 0;
}

// The caller deletes the event after a success.
static int next(struct reader *r, yaml_event_t *event, struct error *err)
{
	if (yaml_parser_parse(&r->parser, event))
		return 0;
	if (r->read_errno != 0)
		return error_set_errno(err, r->read_errno, "read %s", r->path);
	if (r->bytes > r->max_bytes)
		return error_set(err, ERROR_INVALID, "%s is longer than %zu bytes", r->path, r->max_bytes);
	if (r->parser.error == YAML_MEMORY_ERROR)
		return error_no_memory(err, "YAML");
	const char *problem = r->parser.problem == NULL ? "not YAML" : r->parser.problem;
	// An encoding error has an offset and no mark.
	return complain(r, r->parser.error == YAML_READER_ERROR ? r->parser.mark : r->parser.problem_mark, problem, err);
}

static int expect(struct reader *r, yaml_event_type_t type, const char *otherwise, struct error *err)
{
	yaml_event_t event;
	if (next(r, &event, err) < 0)
		return -1;
	bool good = event.type == type;
	yaml_mark_t at = event.start_mark;
	yaml_event_delete(&event);
	return good ? 0 : complain(r, at, otherwise, err);
}

// NOLINTBEGIN(misc-no-recursion): no tree is deeper than YAMLTREE_DEPTH_MAX
static void release(struct yamltree *tree)
{
	for (size_t i = 0; i < tree->count; i++)
		release(&tree->children[i]);
	free(tree->children);
	free(tree->key);
	free(tree->text);
	*tree = (struct yamltree){0};
}
// NOLINTEND(misc-no-recursion)

static struct yamltree *add_child(struct yamltree *parent, struct error *err)
{
	if (parent->count == parent->room) {
		size_t room = parent->room == 0 ? 8 : parent->room * 2;
		struct yamltree *children = reallocarray(parent->children, room, sizeof(*children));
		if (children == NULL) {
			(void)error_no_memory(err, "YAML");
			return NULL;
		}
		parent->children = children;
		parent->room = room;
	}
	struct yamltree *child = &parent->children[parent->count++];
	*child = (struct yamltree){0};
	return child;
}

// A scalar's text. A NUL (from "\0") would end it early for everyone who reads it as a string.
static int scalar_text(const struct reader *r, const yaml_event_t *event, char **out, struct error *err)
{
	size_t len = event->data.scalar.length;
	if (memchr(event->data.scalar.value, '\0', len) != NULL)
		return complain(r, event->start_mark, "a NUL character is not allowed", err);
	*out = strndup((const char *)event->data.scalar.value, len);
	return *out == NULL ? error_no_memory(err, "YAML") : 0;
}

static const char *event_tag(const yaml_event_t *event)
{
	const yaml_char_t *tag = event->type == YAML_SCALAR_EVENT           ? event->data.scalar.tag
				 : event->type == YAML_SEQUENCE_START_EVENT ? event->data.sequence_start.tag
				 : event->type == YAML_MAPPING_START_EVENT  ? event->data.mapping_start.tag
									    : NULL;
	return (const char *)tag;
}

static int check_event(const struct reader *r, const yaml_event_t *event, int depth, struct error *err)
{
	const char *tag = event_tag(event);
	if (event->type == YAML_ALIAS_EVENT)
		return complain(r, event->start_mark, "aliases (*name) are not supported", err);
	if (tag != NULL && strcmp(tag, "!") != 0 && (event->type != YAML_SCALAR_EVENT || strcmp(tag, YAML_STR_TAG) != 0))
		return complain(r, event->start_mark, "tags are not supported", err);
	if (depth > YAMLTREE_DEPTH_MAX)
		return complain(r, event->start_mark, "nested too deep", err);
	if (r->max_item_bytes > 0 && event->end_mark.index - r->item_start > r->max_item_bytes)
		return complain(r, event->start_mark, "this element is too long", err);
	return 0;
}

// NOLINTBEGIN(misc-no-recursion): check_event() knows YAMLTREE_DEPTH_MAX
static int read_children(struct reader *r, struct yamltree *tree, int depth, struct error *err);

// The value that begins with event; takes the event.
static int read_value(struct reader *r, yaml_event_t *event, struct yamltree *out, int depth, struct error *err)
{
	int rc = check_event(r, event, depth, err);
	out->line = (int)event->start_mark.line + 1;
	out->column = (int)event->start_mark.column + 1;
	out->kind = event->type == YAML_SEQUENCE_START_EVENT  ? YAMLTREE_SEQUENCE
		    : event->type == YAML_MAPPING_START_EVENT ? YAMLTREE_MAPPING
							      : YAMLTREE_SCALAR;
	if (rc == 0 && out->kind == YAMLTREE_SCALAR) {
		out->is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && event->data.scalar.tag == NULL;
		rc = scalar_text(r, event, &out->text, err);
	}
	yaml_event_delete(event);
	if (rc < 0 || out->kind == YAMLTREE_SCALAR)
		return rc;
	return read_children(r, out, depth + 1, err);
}

// The key that the event holds and then its value.
static int read_member(struct reader *r, const yaml_event_t *key, struct yamltree *mapping, int depth, struct error *err)
{
	if (check_event(r, key, depth, err) < 0)
		return -1;
	if (key->type != YAML_SCALAR_EVENT)
		return complain(r, key->start_mark, "a key must be a scalar", err);
	AUTO_FREE char *text = NULL;
	if (scalar_text(r, key, &text, err) < 0)
		return -1;
	if (mapping->count >= YAMLTREE_KEYS_MAX)
		return complain(r, key->start_mark, "too many keys in one mapping", err);
	for (size_t i = 0; i < mapping->count; i++) {
		if (strcmp(mapping->children[i].key, text) == 0)
			return error_set(err, ERROR_INVALID, "%s:%zu:%zu: key \"%.64s\" comes twice, first in line %d", r->path,
				key->start_mark.line + 1, key->start_mark.column + 1, text, mapping->children[i].key_line);
	}
	struct yamltree *child = add_child(mapping, err);
	if (child == NULL)
		return -1;
	child->key = TAKE_PTR(text);
	child->key_line = (int)key->start_mark.line + 1;
	child->key_column = (int)key->start_mark.column + 1;
	yaml_event_t value;
	if (next(r, &value, err) < 0)
		return -1;
	return read_value(r, &value, child, depth, err);
}

// Up to and with the end of the sequence or mapping.
static int read_children(struct reader *r, struct yamltree *tree, int depth, struct error *err)
{
	for (;;) {
		yaml_event_t event;
		if (next(r, &event, err) < 0)
			return -1;
		if (event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&event);
			return 0;
		}
		if (tree->kind == YAMLTREE_MAPPING) {
			int rc = read_member(r, &event, tree, depth, err);
			yaml_event_delete(&event);
			if (rc < 0)
				return -1;
			continue;
		}
		struct yamltree *child = add_child(tree, err);
		if (child == NULL) {
			yaml_event_delete(&event);
			return -1;
		}
		if (read_value(r, &event, child, depth, err) < 0)
			return -1;
	}
}
// NOLINTEND(misc-no-recursion)

static int read_end(struct reader *r, struct error *err)
{
	if (expect(r, YAML_DOCUMENT_END_EVENT, "the document should end here", err) < 0)
		return -1;
	return expect(r, YAML_STREAM_END_EVENT, "a second document is not allowed", err);
}

static int read_document(struct reader *r, struct yamltree *root, struct error *err)
{
	yaml_event_t event;
	if (expect(r, YAML_STREAM_START_EVENT, "not YAML", err) < 0 || next(r, &event, err) < 0)
		return -1;
	bool empty = event.type == YAML_STREAM_END_EVENT;
	yaml_event_delete(&event);
	if (empty) {
		*root = (struct yamltree){.kind = YAMLTREE_SCALAR, .line = 1, .column = 1, .is_plain = true, .text = strdup("")};
		return root->text == NULL ? error_no_memory(err, "YAML") : 0;
	}
	if (next(r, &event, err) < 0 || read_value(r, &event, root, 0, err) < 0)
		return -1;
	return read_end(r, err);
}

int yamltree_read(const char *path, size_t max_bytes, struct yamltree **out, struct error *err)
{
	struct reader r;
	AUTO(yamltree) struct yamltree *root = calloc(1, sizeof(*root));
	if (root == NULL)
		return error_no_memory(err, "YAML");
	if (reader_open(&r, path, max_bytes, 0, err) < 0)
		return -1;
	int rc = read_document(&r, root, err);
	reader_close(&r);
	if (rc == 0)
		*out = TAKE_PTR(root);
	return rc;
}

static int read_item(struct reader *r, yaml_event_t *event, const struct yamltree_items *items, struct error *err)
{
	struct yamltree item = {0};
	r->item_start = event->start_mark.index;
	int rc = read_value(r, event, &item, 1, err);
	if (rc == 0)
		rc = items->on_item(items->arg, &item, err);
	release(&item);
	return rc;
}

static int read_items(struct reader *r, const struct yamltree_items *items, struct error *err)
{
	static const char wanted[] = "a sequence (lines that begin with \"- \", or []) is wanted here";
	if (expect(r, YAML_STREAM_START_EVENT, "not YAML", err) < 0 || expect(r, YAML_DOCUMENT_START_EVENT, wanted, err) < 0 ||
		expect(r, YAML_SEQUENCE_START_EVENT, wanted, err) < 0)
		return -1;
	for (;;) {
		yaml_event_t event;
		if (next(r, &event, err) < 0)
			return -1;
		if (event.type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(&event);
			return read_end(r, err);
		}
		if (read_item(r, &event, items, err) < 0)
			return -1;
	}
}

int yamltree_read_items(const char *path, const struct yamltree_items *items, struct error *err)
{
	struct reader r;
	if (reader_open(&r, path, items->max_bytes, items->max_item_bytes, err) < 0)
		return -1;
	int rc = read_items(&r, items, err);
	reader_close(&r);
	return rc;
}

static int read_documents(struct reader *r, const struct yamltree_items *items, struct error *err)
{
	if (expect(r, YAML_STREAM_START_EVENT, "not YAML", err) < 0)
		return -1;
	for (;;) {
		yaml_event_t event;
		if (next(r, &event, err) < 0)
			return -1;
		bool is_end = event.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&event);
		if (is_end)
			return 0;
		if (next(r, &event, err) < 0 || read_item(r, &event, items, err) < 0 ||
			expect(r, YAML_DOCUMENT_END_EVENT, "the document should end here", err) < 0)
			return -1;
	}
}

int yamltree_read_documents(const char *path, const struct yamltree_items *items, struct error *err)
{
	struct reader r;
	if (reader_open(&r, path, items->max_bytes, items->max_item_bytes, err) < 0)
		return -1;
	int rc = read_documents(&r, items, err);
	reader_close(&r);
	return rc;
}

static bool is_one_of(const char *text, const char *const *texts)
{
	for (; *texts != NULL; texts++) {
		if (strcmp(text, *texts) == 0)
			return true;
	}
	return false;
}

bool yamltree_is_null(const struct yamltree *tree)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
	return tree->kind == YAMLTREE_SCALAR && tree->is_plain && is_one_of(tree->text, nulls);
}

static bool is_all_digits(const char *text)
{
	size_t sign = *text == '-' || *text == '+';
	return text[sign] != '\0' && strspn(text + sign, "0123456789") == strlen(text + sign);
}

// [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?  (YAML 1.2.2 section 10.3.2)
static bool is_real(const char *text)
{
	const char *s = text + (*text == '-' || *text == '+');
	size_t whole = strspn(s, "0123456789");
	s += whole;
	size_t decimals = 0;
	if (*s == '.') {
		decimals = strspn(++s, "0123456789");
		s += decimals;
	}
	if (whole + decimals == 0)
		return false;
	if (*s == 'e' || *s == 'E') {
		s++;
		return is_all_digits(s);
	}
	return *s == '\0';
}

static json_t *scalar_to_json(const struct yamltree *tree)
{
	static const char *const trues[] = {"true", "True", "TRUE", NULL};
	static const char *const falses[] = {"false", "False", "FALSE", NULL};
	if (yamltree_is_null(tree))
		return json_null();
	if (!tree->is_plain)
		return json_string(tree->text);
	if (is_one_of(tree->text, trues))
		return json_true();
	if (is_one_of(tree->text, falses))
		return json_false();
	errno = 0;
	if (is_all_digits(tree->text)) {
		long long number = strtoll(tree->text, NULL, 10);
		return errno == 0 ? json_integer(number) : json_real(strtod(tree->text, NULL));
	}
	double real = is_real(tree->text) ? strtod(tree->text, NULL) : 0;
	return is_real(tree->text) && errno == 0 ? json_real(real) : json_string(tree->text);
}

// NOLINTBEGIN(misc-no-recursion): no tree is deeper than YAMLTREE_DEPTH_MAX
int yamltree_to_json(const struct yamltree *tree, json_t **out, struct error *err)
{
	if (tree->kind == YAMLTREE_SCALAR)
		return json_made(scalar_to_json(tree), "YAML scalar", out, err);
	AUTO(json) json_t *made = tree->kind == YAMLTREE_SEQUENCE ? json_array() : json_object();
	for (size_t i = 0; i < tree->count; i++) {
		const struct yamltree *child = &tree->children[i];
		json_t *value = NULL;
		if (yamltree_to_json(child, &value, err) < 0)
			return -1;
		int rc = tree->kind == YAMLTREE_SEQUENCE ? json_array_append_new(made, value)
							 : json_object_set_new(made, child->key, value);
		if (rc < 0)
			return error_no_memory(err, "YAML");
	}
	return json_made(TAKE_PTR(made), "YAML", out, err);
}
// NOLINTEND(misc-no-recursion)

void yamltree_free(struct yamltree *tree)
{
	if (tree == NULL)
		return;
	release(tree);
	free(tree);
}
