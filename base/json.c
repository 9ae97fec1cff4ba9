#include "base/json.h"

#include "base/buf.h"

#define TEXT_MAX ((size_t)1 << 30)

// jansson 2.14 goes on after some allocations that failed and returns a value all the same: a string that lacks a character
// (load.c, lex_save), an object without a member (pack_unpack.c, "s*" and "o*"), a text without a sorted key (dump.c, do_dump).
// Others it reports as a fault of the text, and the caller would blame who sent it. So they are noted here.
static _Thread_local bool lacked_memory;

static void *allocate(size_t size)
{
	void *made = malloc(size);
	if (made == NULL)
		lacked_memory = true;
	return made;
}

// Before main(), and so before any thread.
__attribute__((constructor)) static void watch_allocations(void)
{
	json_set_alloc_funcs(allocate, free);
}

void json_begin(void)
{
	lacked_memory = false;
}

bool json_lacked_memory(void)
{
	return lacked_memory;
}

int json_parse(const char *text, size_t len, json_t **out, struct error *err)
{
	json_error_t at;
	bool lacked_before = lacked_memory; // of what the caller is building
	json_begin();
	json_t *value = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &at);
	bool lacked = lacked_memory;
	lacked_memory = lacked_before;
	if (lacked) {
		json_decref(value);
		return error_no_memory(err, "JSON");
	}
	if (value == NULL)
		return error_set(
			err, ERROR_INVALID, "invalid JSON at line %d, column %d (byte %d)", at.line, at.column, at.position);
	*out = value;
	return 0;
}

json_t *json_find_path(const json_t *root, const char *const *path)
{
	json_t *at = NULL;
	for (const json_t *in = root; *path != NULL; path++, in = at) {
		at = json_object_get(in, *path);
		if (at == NULL)
			return NULL;
	}
	return at;
}

json_int_t json_int_or(const json_t *value, json_int_t otherwise)
{
	return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

bool json_is_absent(const json_t *value)
{
	return value == NULL || json_typeof(value) == JSON_NULL;
}

int json_need_str(const json_t *object, const char *key, const char **out, struct error *err)
{
	const json_t *value = json_object_get(object, key);
	if (value == NULL)
		return error_set(err, ERROR_INVALID, "field \"%s\" is missing", key);
	if (!json_is_string(value))
		return error_set(err, ERROR_INVALID, "field \"%s\" is not a string", key);
	*out = json_string_value(value);
	return 0;
}

static int on_text(const char *piece, size_t len, void *arg)
{
	struct error ignored;
	if (buf_add(arg, piece, len, &ignored) < 0)
		lacked_memory = true;
	return lacked_memory ? -1 : 0;
}

static int print(const json_t *value, size_t flags, char **out, struct error *err)
{
	struct buf text;
	bool lacked_before = lacked_memory;
	buf_init(&text, TEXT_MAX);
	json_begin();
	int rc = json_dump_callback(value, on_text, &text, JSON_COMPACT | JSON_ENCODE_ANY | flags);
	bool lacked = lacked_memory;
	lacked_memory = lacked_before;
	if (rc == 0 && !lacked) {
		*out = text.data;
		return 0;
	}
	buf_fini(&text);
	return error_no_memory(err, "JSON text");
}

int json_print(const json_t *value, char **out, struct error *err)
{
	return print(value, JSON_SORT_KEYS, out, err);
}

int json_print_as_put(const json_t *value, char **out, struct error *err)
{
	return print(value, 0, out, err);
}

int json_made_whole(json_t *made, const char *what, json_t **out, struct error *err)
{
	if (lacked_memory) {
		json_decref(made);
		return error_no_memory(err, what);
	}
	if (made == NULL)
		return error_set(err, ERROR_INTERNAL, "%s: could not be built (text that is not UTF-8)", what);
	*out = made;
	return 0;
}
