#include "base/json.h"

int json_parse(const char *text, size_t len, json_t **out, struct error *err)
{
	json_error_t at;
	json_t *value = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &at);
	if (value == NULL && json_error_code(&at) == json_error_out_of_memory)
		return error_no_memory(err, "JSON");
	if (value == NULL)
		return error_set(err, ERROR_INVALID, "invalid JSON at line %d, column %d (byte %d)", at.line, at.column, at.position);
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

static int print(const json_t *value, size_t flags, char **out, struct error *err)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | flags);
	if (text == NULL)
		return error_no_memory(err, "JSON text");
	*out = text;
	return 0;
}

int json_print(const json_t *value, char **out, struct error *err)
{
	return print(value, JSON_SORT_KEYS, out, err);
}

int json_print_as_put(const json_t *value, char **out, struct error *err)
{
	return print(value, 0, out, err);
}

int json_made(json_t *made, const char *what, json_t **out, struct error *err)
{
	if (made == NULL)
		return error_set(err, ERROR_INTERNAL, "%s: could not be built (out of memory, or text that is not UTF-8)", what);
	*out = made;
	return 0;
}
