// The file that UNDERSTORY_CONFIG names, laid over the settings by the table.
#include "base/settings_flavour.h"
#include "base/settings_table.h"

#include <string.h>

#define FILE_MAX ((size_t)1 << 20)

struct source {
	struct settings *settings;
	const char *path;
};

static int complain(const struct source *from, const struct yamltree *at, struct error *err)
{
	return error_wrap(err, "%s:%d:%d: %s", from->path, at->key == NULL ? at->line : at->key_line,
		at->key == NULL ? at->column : at->key_column, at->key == NULL ? "element" : at->key);
}

static int refuse(const struct source *from, const struct yamltree *at, const char *what, struct error *err)
{
	(void)error_set(err, ERROR_INVALID, "%s", what);
	return complain(from, at, err);
}

// A member that is a scalar of at least one character and printable.
static int scalar(const struct source *from, const struct yamltree *node, char **out, struct error *err)
{
	if (node->kind != YAMLTREE_SCALAR || yamltree_is_null(node) || *node->text == '\0')
		return refuse(from, node, "allowed is a text", err);
	for (const unsigned char *s = (const unsigned char *)node->text; *s != '\0'; s++) {
		if (*s < 0x20 || *s == 0x7f)
			return refuse(from, node, "allowed is a text without control characters", err);
	}
	char *copy = strdup(node->text);
	if (copy == NULL)
		return error_no_memory(err, node->text);
	*out = copy;
	return 0;
}

static int read_pairs(const struct source *from, struct setting_pairs out, const struct yamltree *node, struct error *err)
{
	*out.list = calloc(node->count + 1, sizeof(**out.list));
	if (*out.list == NULL)
		return error_no_memory(err, node->key);
	for (size_t i = 0; i < node->count; i++) {
		struct settings_pair *pair = &(*out.list)[(*out.count)++];
		pair->key = strdup(node->children[i].key);
		if (pair->key == NULL)
			return error_no_memory(err, node->key);
		if (scalar(from, &node->children[i], &pair->value, err) < 0)
			return -1;
	}
	return 0;
}

static int refuse_engine(const struct source *from, const struct yamltree *node, const char *name, struct error *err)
{
	char allowed[SETTINGS_ENGINE_NAMES_SIZE];
	settings_engine_names(allowed);
	(void)error_set(err, ERROR_INVALID, "\"%.100s\": allowed is %s", name, allowed);
	return complain(from, node, err);
}

static int read_engines(const struct source *from, const struct yamltree *node, struct error *err)
{
	struct settings *settings = from->settings;
	settings->engines = calloc(node->count + 1, sizeof(*settings->engines));
	if (settings->engines == NULL)
		return error_no_memory(err, node->key);
	for (size_t i = 0; i < node->count; i++) {
		const struct yamltree *child = &node->children[i];
		AUTO_FREE char *name = NULL;
		if (scalar(from, child, &name, err) < 0)
			return -1;
		enum settings_engine engine;
		if (!settings_engine_find(name, &engine))
			return refuse_engine(from, child, name, err);
		struct settings_engine_rule *rule = &settings->engines[settings->engine_count++];
		rule->engine = engine;
		rule->type = strdup(child->key);
		if (rule->type == NULL)
			return error_no_memory(err, node->key);
	}
	return 0;
}

static int read_texts(const struct source *from, struct setting_texts out, const struct yamltree *node, struct error *err)
{
	if (node->kind != YAMLTREE_SEQUENCE)
		return refuse(from, node, "allowed is a list of texts", err);
	*out.list = calloc(node->count + 1, sizeof(**out.list));
	if (*out.list == NULL)
		return error_no_memory(err, node->key);
	for (size_t i = 0; i < node->count; i++, (*out.count)++) {
		if (scalar(from, &node->children[i], &(*out.list)[*out.count], err) < 0)
			return -1;
	}
	return 0;
}

static int read_flavour_member(
	const struct source *from, const struct yamltree *node, struct settings_flavour *out, struct error *err)
{
	if (strcmp(node->key, "image") == 0)
		return scalar(from, node, &out->image, err);
	if (strcmp(node->key, "pullSecret") == 0)
		return scalar(from, node, &out->pull_secret, err);
	if (strcmp(node->key, "label") == 0)
		return scalar(from, node, &out->label, err);
	if (strcmp(node->key, "preload") == 0)
		return read_texts(from, (struct setting_texts){&out->preload, &out->preload_count}, node, err);
	if (strcmp(node->key, "hba") == 0)
		return read_texts(from, (struct setting_texts){&out->hba, &out->hba_count}, node, err);
	if (strcmp(node->key, "environment") != 0)
		return refuse(from, node, "unknown key: allowed is image, pullSecret, label, environment, preload or hba", err);
	if (node->kind != YAMLTREE_MAPPING)
		return refuse(from, node, "allowed is a mapping of names to texts", err);
	return read_pairs(from, (struct setting_pairs){&out->environment, &out->environment_count}, node, err);
}

static int read_flavour(const struct source *from, const struct yamltree *node, struct settings_flavour *out, struct error *err)
{
	out->name = strdup(node->key);
	if (out->name == NULL)
		return error_no_memory(err, node->key);
	if (node->kind != YAMLTREE_MAPPING)
		return refuse(from, node, "allowed is a mapping of image, pullSecret, label, environment, preload and hba", err);
	for (size_t i = 0; i < node->count; i++) {
		if (read_flavour_member(from, &node->children[i], out, err) < 0)
			return -1;
	}
	return settings_check_flavour(out, err) < 0 ? complain(from, node, err) : 0;
}

static int read_flavours(const struct source *from, const struct yamltree *node, struct error *err)
{
	struct settings *settings = from->settings;
	settings->flavours = calloc(node->count + 1, sizeof(*settings->flavours));
	if (settings->flavours == NULL)
		return error_no_memory(err, node->key);
	for (size_t i = 0; i < node->count; i++) {
		if (read_flavour(from, &node->children[i], &settings->flavours[settings->flavour_count++], err) < 0)
			return -1;
	}
	return 0;
}

static bool is_one_of(const char *text, const char *const *texts)
{
	for (; *texts != NULL; texts++) {
		if (strcmp(text, *texts) == 0)
			return true;
	}
	return false;
}

// What the API server would refuse in a pod's tolerations (Kubernetes, ValidateTolerations).
static int check_toleration(
	const struct source *from, const struct yamltree *node, const struct settings_toleration *t, struct error *err)
{
	static const char *const operators[] = {"Equal", "Exists", NULL};
	static const char *const effects[] = {"NoSchedule", "PreferNoSchedule", "NoExecute", NULL};
	bool exists = t->operator_ != NULL && strcmp(t->operator_, "Exists") == 0;
	if (t->operator_ != NULL && !is_one_of(t->operator_, operators))
		return refuse(from, node, "operator: allowed is Equal or Exists", err);
	if (t->effect != NULL && !is_one_of(t->effect, effects))
		return refuse(from, node, "effect: allowed is NoSchedule, PreferNoSchedule or NoExecute", err);
	if (exists && t->value != NULL)
		return refuse(from, node, "value: not allowed with operator Exists", err);
	if (!exists && t->key == NULL)
		return refuse(from, node, "key: missing, allowed only with operator Exists", err);
	return 0;
}

static int read_toleration(
	const struct source *from, const struct yamltree *node, struct settings_toleration *out, struct error *err)
{
	const struct {
		const char *key;
		char **at;
	} members[] = {{"key", &out->key}, {"operator", &out->operator_}, {"value", &out->value}, {"effect", &out->effect}};
	if (node->kind != YAMLTREE_MAPPING)
		return refuse(from, node, "allowed is a mapping with key, operator, value and effect", err);
	for (size_t i = 0; i < node->count; i++) {
		size_t m = 0;
		while (m < 4 && strcmp(members[m].key, node->children[i].key) != 0)
			m++;
		if (m == 4)
			return refuse(from, &node->children[i], "unknown key: allowed is key, operator, value or effect", err);
		if (scalar(from, &node->children[i], members[m].at, err) < 0)
			return -1;
	}
	return check_toleration(from, node, out, err);
}

static int read_tolerations(const struct source *from, const struct yamltree *node, struct error *err)
{
	struct settings *settings = from->settings;
	settings->tolerations = calloc(node->count + 1, sizeof(*settings->tolerations));
	if (settings->tolerations == NULL)
		return error_no_memory(err, node->key);
	for (size_t i = 0; i < node->count; i++) {
		if (read_toleration(from, &node->children[i], &settings->tolerations[settings->toleration_count++], err) < 0)
			return -1;
	}
	return 0;
}

// [5m, 30m, 2h] as the text that the table takes.
static int read_backoff(
	const struct source *from, const struct setting_place *place, const struct yamltree *node, struct error *err)
{
	AUTO(buf) struct buf text;
	buf_init(&text, FILE_MAX);
	for (size_t i = 0; i < node->count; i++) {
		AUTO_FREE char *part = NULL;
		if (scalar(from, &node->children[i], &part, err) < 0 ||
			buf_addf(&text, err, "%s%s", i == 0 ? "" : ", ", part) < 0)
			return -1;
	}
	return setting_set(from->settings, place, buf_str(&text), err) < 0 ? complain(from, node, err) : 0;
}

static int wrong_shape(
	const struct source *from, const struct setting_place *place, const struct yamltree *node, struct error *err)
{
	AUTO(buf) struct buf allowed;
	buf_init(&allowed, ERROR_TEXT_MAX);
	if (setting_allowed(place->row, &allowed, err) < 0)
		return -1;
	(void)error_set(err, ERROR_INVALID, "allowed is %s", buf_str(&allowed));
	return complain(from, node, err);
}

static int read_setting(
	const struct source *from, const struct setting_place *place, const struct yamltree *node, struct error *err)
{
	struct settings *settings = from->settings;
	enum setting_type type = place->row->type;
	enum yamltree_kind wanted =
		type == SETTING_TOLERATIONS || type == SETTING_BACKOFF || type == SETTING_TEXTS ? YAMLTREE_SEQUENCE
		: type == SETTING_PAIRS || type == SETTING_ENGINES || type == SETTING_FLAVOURS  ? YAMLTREE_MAPPING
												: YAMLTREE_SCALAR;
	if (yamltree_is_null(node))
		return 0; // a key without a value: as if it were not there
	if (node->kind != wanted)
		return wrong_shape(from, place, node, err);
	settings->origins[place->index] = ORIGIN_FILE;
	if (type == SETTING_BACKOFF)
		return read_backoff(from, place, node, err);
	if (type == SETTING_TOLERATIONS)
		return read_tolerations(from, node, err);
	if (type == SETTING_ENGINES)
		return read_engines(from, node, err);
	if (type == SETTING_PAIRS)
		return read_pairs(from, setting_pairs(settings, place), node, err);
	if (type == SETTING_FLAVOURS)
		return read_flavours(from, node, err);
	if (type == SETTING_TEXTS)
		return read_texts(from, setting_texts(settings, place), node, err);
	return setting_set(settings, place, node->text, err) < 0 ? complain(from, node, err) : 0;
}

// The mapping's members as settings: of an intent (intent >= 0), of a group ("retry."), or of the file itself ("").
static int read_members(
	const struct source *from, const struct yamltree *mapping, int intent, const char *prefix, struct error *err);

static int intent_of(const char *key)
{
	for (int i = 0; i < INTENT_COUNT; i++) {
		if (strcmp(settings_intent_text[i], key) == 0)
			return i;
	}
	return -1;
}

// NOLINTBEGIN(misc-no-recursion): settings are two levels deep, groups and their members
static int read_intents(const struct source *from, const struct yamltree *node, struct error *err)
{
	if (node->kind != YAMLTREE_MAPPING)
		return refuse(from, node, "allowed is a mapping of verify, analytics and disaster-recovery", err);
	for (size_t i = 0; i < node->count; i++) {
		int intent = intent_of(node->children[i].key);
		if (intent < 0)
			return refuse(from, &node->children[i],
				"unknown intent: allowed is verify, analytics or disaster-recovery", err);
		if (read_members(from, &node->children[i], intent, "", err) < 0)
			return -1;
	}
	return 0;
}

// The keys that are allowed here, as far as an error text holds them.
static int unknown_key(const struct source *from, const struct yamltree *node, int intent, const char *prefix, struct error *err)
{
	AUTO(buf) struct buf keys;
	buf_init(&keys, 4096);
	struct setting_place place;
	size_t prefix_len = strlen(prefix);
	for (size_t i = 0; setting_at(i, &place); i++) {
		const char *key = place.row->key;
		if (place.intent != intent || strncmp(key, prefix, prefix_len) != 0)
			continue;
		key += prefix_len;
		if (strchr(key, '.') == NULL && buf_addf(&keys, err, "%s%s", keys.len == 0 ? "" : ", ", key) < 0)
			return -1;
	}
	if (intent < 0 && prefix_len == 0 && buf_add_str(&keys, ", retry, intents", err) < 0)
		return -1;
	(void)error_set(err, ERROR_INVALID, "unknown key: allowed is %s", buf_str(&keys));
	return complain(from, node, err);
}

static int read_member(const struct source *from, const struct yamltree *node, int intent, const char *prefix, struct error *err)
{
	AUTO(buf) struct buf name;
	buf_init(&name, FILE_MAX);
	struct setting_place place;
	if (buf_addf(&name, err, "%s%s", prefix, node->key) < 0)
		return -1;
	// A key with a point in it would otherwise find a group's member.
	if (strchr(node->key, '.') == NULL && setting_find(intent, buf_str(&name), &place))
		return read_setting(from, &place, node, err);
	if (intent < 0 && *prefix == '\0' && strcmp(node->key, "intents") == 0)
		return yamltree_is_null(node) ? 0 : read_intents(from, node, err);
	if (intent < 0 && *prefix == '\0' && strcmp(node->key, "retry") == 0)
		return read_members(from, node, -1, "retry.", err);
	return unknown_key(from, node, intent, prefix, err);
}

static int read_members(
	const struct source *from, const struct yamltree *mapping, int intent, const char *prefix, struct error *err)
{
	if (yamltree_is_null(mapping))
		return 0;
	if (mapping->kind != YAMLTREE_MAPPING)
		return refuse(from, mapping, "allowed is a mapping of settings", err);
	for (size_t i = 0; i < mapping->count; i++) {
		if (read_member(from, &mapping->children[i], intent, prefix, err) < 0)
			return -1;
	}
	return 0;
}
// NOLINTEND(misc-no-recursion)

int settings_read_file(struct settings *settings, const char *path, struct error *err)
{
	AUTO(yamltree) struct yamltree *tree = NULL;
	if (yamltree_read(path, FILE_MAX, &tree, err) < 0) {
		err->kind = err->kind == ERROR_NOT_FOUND ? ERROR_INVALID : err->kind; // a typing error in UNDERSTORY_CONFIG
		return -1;
	}
	return read_members(&(struct source){settings, path}, tree, -1, "", err);
}
