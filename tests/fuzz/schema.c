#include "tests/fuzz/schema.h"

#include "tests/fuzz/fuzz.h"
#include <string.h>

#define REF_PREFIX "#/definitions/"

struct schema {
	json_t *document; // owns what follows
	const json_t *definitions;
	json_t *kinds; // "apiVersion kind" -> definition
};

static void add_kinds(struct schema *schema, json_t *definition)
{
	size_t i = 0;
	const json_t *gvk = NULL;
	json_array_foreach (json_object_get(definition, "x-kubernetes-group-version-kind"), i, gvk) {
		const char *group = json_find_str(gvk, "group");
		AUTO_FREE char *key = NULL;
		FUZZ_CHECK(asprintf(&key, "%s%s%s %s", group, *group == '\0' ? "" : "/", json_find_str(gvk, "version"),
				   json_find_str(gvk, "kind")) > 0,
			"no memory");
		(void)json_object_set(schema->kinds, key, definition);
	}
}

struct schema *schema_open(const char *path)
{
	const char *name = NULL;
	json_t *definition = NULL;
	json_t *document = json_load_file(path, 0, NULL);
	if (document == NULL)
		return NULL;
	struct schema *schema = calloc(1, sizeof(*schema));
	FUZZ_CHECK(schema != NULL, "no memory");
	*schema = (struct schema){
		.document = document, .definitions = json_object_get(document, "definitions"), .kinds = json_object()};
	json_object_foreach (json_object_get(document, "definitions"), name, definition)
		add_kinds(schema, definition);
	FUZZ_CHECK(json_object_size(schema->kinds) > 0, "%s: no kinds", path);
	return schema;
}

static bool is_type(const json_t *value, const char *type)
{
	return strcmp(type, "object") == 0    ? json_is_object(value)
	       : strcmp(type, "array") == 0   ? json_is_array(value)
	       : strcmp(type, "string") == 0  ? json_is_string(value)
	       : strcmp(type, "integer") == 0 ? json_is_integer(value)
	       : strcmp(type, "boolean") == 0 ? json_is_boolean(value)
	       : strcmp(type, "number") == 0  ? json_is_number(value)
					      : false;
}

static bool holds(const struct schema *schema, const json_t *rule, const json_t *value, const char **where);

static bool members_hold(const struct schema *schema, const json_t *rule, const json_t *object, const char **where)
{
	const json_t *properties = json_object_get(rule, "properties");
	const json_t *others = json_object_get(rule, "additionalProperties");
	size_t i = 0;
	const char *key = NULL;
	json_t *member = NULL;
	json_t *needed = NULL;
	json_array_foreach (json_object_get(rule, "required"), i, needed) {
		*where = json_string_value(needed);
		if (json_object_get(object, *where) == NULL)
			return false;
	}
	json_object_foreach ((json_t *)(uintptr_t)object, key, member) {
		const json_t *property = json_object_get(properties, key);
		*where = key;
		if (property == NULL && properties == NULL && others == NULL)
			continue; // says nothing about its members
		if (property == NULL && others == NULL)
			return false;
		if (!holds(schema, property != NULL ? property : others, member, where))
			return false;
	}
	return true;
}

static bool holds(const struct schema *schema, const json_t *rule, const json_t *value, const char **where)
{
	const char *ref = json_find_str(rule, "$ref");
	if (ref != NULL && strstr(ref, "IntOrString") != NULL)
		return json_is_integer(value) || json_is_string(value);
	if (ref != NULL)
		return holds(schema, json_object_get(schema->definitions, ref + strlen(REF_PREFIX)), value, where);
	const char *type = json_find_str(rule, "type");
	if (type != NULL && !is_type(value, type))
		return false;
	if (json_is_object(value))
		return members_hold(schema, rule, value, where);
	size_t i = 0;
	json_t *element = NULL;
	json_array_foreach (value, i, element) {
		if (!holds(schema, json_object_get(rule, "items"), element, where))
			return false;
	}
	return true;
}

bool schema_holds(const struct schema *schema, const json_t *object, const char **where)
{
	AUTO_FREE char *key = NULL;
	const char *version = json_find_str(object, "apiVersion");
	const char *kind = json_find_str(object, "kind");
	*where = "apiVersion or kind";
	if (version == NULL || kind == NULL)
		return false;
	FUZZ_CHECK(asprintf(&key, "%s %s", version, kind) > 0, "no memory");
	const json_t *rule = json_object_get(schema->kinds, key);
	return rule != NULL && holds(schema, rule, object, where);
}
