#include "canopy/intents.h"

#include "base/clock.h"
#include "base/quantity.h"
#include "base/settings_flavour.h"
#include <stddef.h>
#include <string.h>

#define MS_PER_S 1000
#define DURATION_MAX_S (INT64_C(365) * 86400)
#define SIZE_MIN (INT64_C(1) << 20)
#define SIZE_MAX_BYTES (INT64_C(1) << 50)

static const struct {
	const char *semantics[3];
	bool is_once;
	const char *description;
} intents[INTENT_COUNT] = {
	[INTENT_VERIFY] = {{"check", "once"}, true, "restore each snapshot once, prove it, discard it"},
	[INTENT_ANALYTICS] = {{"check", "url"}, false, "a standing replica to read from"},
	[INTENT_DISASTER_RECOVERY] = {{"check"}, false, "a standing replica to take over with"},
};

enum param_type { PARAM_DURATION, PARAM_BYTES, PARAM_TEXT, PARAM_DEPTH, PARAM_SWITCH, PARAM_FLAVOUR };
static const char *const type_text[] = {"duration", "bytes", "text", "text", "boolean", "text"};

// What canopy's operators may set. On the wire a duration is whole seconds, bytes are bytes; both may also come as text ("2h",
// "2Gi").
struct param {
	const char *name;
	enum param_type type;
	size_t offset; // of int64_t ms, int64_t bytes, the text of a quantity, an enum settings_depth, or a bool
	bool is_text;  // bytes that are kept as the text of a quantity
	int64_t minimum;
	bool is_for_standing; // not offered where a snapshot is proven once
};

#define AT(member) offsetof(struct settings_for_intent, member)
static const struct param params[] = {
	{"minimum_ttl", PARAM_DURATION, AT(minimum_ttl_ms), .minimum = 0},
	{"switchover_grace", PARAM_DURATION, AT(switchover_grace_ms), .minimum = 0},
	{"storage_size_maximum", PARAM_BYTES, AT(storage_size_maximum_bytes), .minimum = SIZE_MIN},
	{"memory_request", PARAM_BYTES, AT(memory_request), .is_text = true, .minimum = 1},
	{"memory_limit", PARAM_BYTES, AT(memory_limit), .is_text = true, .minimum = 1},
	{"cpu_request", PARAM_TEXT, AT(cpu_request), .is_text = true, .minimum = 1},
	{"cpu_limit", PARAM_TEXT, AT(cpu_limit), .is_text = true, .minimum = 1},
	{"deployment_ready_timeout", PARAM_DURATION, AT(ready_timeout_ms), .minimum = 1},
	{"depth", PARAM_DEPTH, AT(depth), .minimum = 0},
	{"flavour", PARAM_FLAVOUR, AT(flavour), .is_text = true, .minimum = 0},
	{"allow_reset_wal", PARAM_SWITCH, AT(allow_reset_wal), .is_for_standing = true},
};
#undef AT

static const char *text_at(const struct settings_for_intent *s, const struct param *p)
{
	const char *text;
	memcpy(&text, (const char *)s + p->offset, sizeof(text));
	return text;
}

static int64_t number_at(const struct settings_for_intent *s, const struct param *p)
{
	int64_t number;
	memcpy(&number, (const char *)s + p->offset, sizeof(number));
	return number;
}

// The default that the settings give, as it goes over the wire; NULL for none.
static int param_default(const struct settings_for_intent *s, const struct param *p, json_t **out, struct error *err)
{
	int64_t bytes = 0;
	*out = NULL;
	if (p->type == PARAM_FLAVOUR)
		return 0; // the backup says it, else it is stock
	if (p->type == PARAM_DEPTH)
		return json_made(json_string(settings_depth_text[s->depth]), p->name, out, err);
	if (p->type == PARAM_SWITCH)
		return json_made(json_boolean(s->allow_reset_wal), p->name, out, err);
	if (p->type == PARAM_DURATION)
		return json_made(json_integer(number_at(s, p) / MS_PER_S), p->name, out, err);
	if (!p->is_text)
		return json_made(json_integer(number_at(s, p)), p->name, out, err);
	const char *text = text_at(s, p);
	if (text == NULL)
		return 0;
	if (p->type == PARAM_TEXT)
		return json_made(json_string(text), p->name, out, err);
	if (quantity_bytes(text, &bytes, err) < 0)
		return error_wrap(err, "%s", p->name);
	return json_made(json_integer(bytes), p->name, out, err);
}

static int describe_params(const struct settings_for_intent *s, bool is_once, json_t **out, struct error *err)
{
	AUTO(json) json_t *made = json_object();
	for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++) {
		json_t *otherwise = NULL;
		json_t *param = NULL;
		if (is_once && params[i].is_for_standing)
			continue;
		if (param_default(s, &params[i], &otherwise, err) < 0)
			return -1;
		if (json_made(json_pack("{s:s, s:o*}", "type", type_text[params[i].type], "default", otherwise), params[i].name,
			    &param, err) < 0)
			return -1;
		if (json_object_set_new(made, params[i].name, param) < 0)
			return error_no_memory(err, params[i].name);
	}
	return json_made(TAKE_PTR(made), "params", out, err);
}

static int describe_intent(const struct settings *settings, int intent, json_t **out, struct error *err)
{
	json_t *described = NULL;
	if (describe_params(&settings->intents[intent], intents[intent].is_once, &described, err) < 0)
		return -1;
	const char *const *semantics = intents[intent].semantics;
	return json_made(json_pack("{s:s, s:s, s:[s, s*], s:o}", "intent", settings_intent_text[intent], "description",
				 intents[intent].description, "semantics", semantics[0], semantics[1], "params", described),
		"intent", out, err);
}

int intents_capabilities(const struct settings *settings, json_t **out, struct error *err)
{
	AUTO(json) json_t *list = json_array();
	for (int i = 0; i < INTENT_COUNT; i++) {
		json_t *intent = NULL;
		if (describe_intent(settings, i, &intent, err) < 0)
			return -1;
		if (json_array_append_new(list, intent) < 0)
			return error_no_memory(err, "capabilities");
	}
	return json_made(json_pack("{s:O}", "intents", list), "capabilities", out, err);
}

int intents_find(const char *name)
{
	for (int i = 0; name != NULL && i < INTENT_COUNT; i++) {
		if (strcmp(settings_intent_text[i], name) == 0)
			return i;
	}
	return -1;
}

bool intents_is_once(enum settings_intent intent)
{
	return intents[intent].is_once;
}

static int refuse(const struct param *p, const json_t *value, const char *allowed, struct error *err)
{
	char *shown = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
	(void)error_set(err, ERROR_INVALID, "params.%s is %.100s, allowed is %s", p->name, shown == NULL ? "?" : shown, allowed);
	free(shown);
	return -1;
}

static int read_duration(const struct param *p, const json_t *value, int64_t *ms, struct error *err)
{
	static const char allowed[] = "a number of whole seconds, or a text such as 5m, at most 365d";
	struct error ignored;
	int64_t read_ms = -1;
	if (json_typeof(value) == JSON_INTEGER && json_integer_value(value) >= 0 && json_integer_value(value) <= DURATION_MAX_S)
		read_ms = json_integer_value(value) * MS_PER_S;
	else if (json_typeof(value) == JSON_STRING && clock_parse_duration(json_string_value(value), &read_ms, &ignored) < 0)
		read_ms = -1;
	if (read_ms < p->minimum * MS_PER_S || read_ms > DURATION_MAX_S * MS_PER_S)
		return refuse(p, value, p->minimum > 0 ? "at least 1 second, at most 365d" : allowed, err);
	*ms = read_ms;
	return 0;
}

static int read_bytes(const struct param *p, const json_t *value, int64_t *bytes, struct error *err)
{
	struct error ignored;
	int64_t read = -1;
	if (json_typeof(value) == JSON_INTEGER)
		read = json_integer_value(value);
	else if (json_typeof(value) == JSON_STRING && quantity_bytes(json_string_value(value), &read, &ignored) < 0)
		read = -1;
	if (read < p->minimum || read > SIZE_MAX_BYTES)
		return refuse(p, value,
			p->is_text ? "a number of bytes, or a text such as 2Gi" : "from 1Mi to 1Pi, in bytes or as text", err);
	*bytes = read;
	return 0;
}

static int read_cpu(const struct param *p, const json_t *value, struct error *err)
{
	struct error ignored;
	int64_t milli = 0;
	if (json_typeof(value) != JSON_STRING || quantity_milli(json_string_value(value), &milli, &ignored) < 0 ||
		milli < p->minimum)
		return refuse(p, value, "a text with a number of CPUs such as 2, 0.5 or 500m", err);
	return 0;
}

static int read_depth(const struct param *p, const json_t *value, enum settings_depth *out, struct error *err)
{
	const char *text = json_typeof(value) == JSON_STRING ? json_string_value(value) : "";
	for (size_t i = 0; settings_depth_text[i] != NULL; i++) {
		if (strcmp(settings_depth_text[i], text) == 0) {
			*out = (enum settings_depth)i;
			return 0;
		}
	}
	return refuse(p, value, "quick or deep", err);
}

static int read_switch(const struct param *p, const json_t *value, bool *out, struct error *err)
{
	if (json_typeof(value) != JSON_TRUE && json_typeof(value) != JSON_FALSE)
		return refuse(p, value, "true or false", err);
	*out = json_typeof(value) == JSON_TRUE;
	return 0;
}

static int read_flavour(const struct param *p, const json_t *value, struct error *err)
{
	if (json_typeof(value) != JSON_STRING || !settings_is_flavour_name(json_string_value(value)))
		return refuse(p, value, "a name of letters, digits and inner -_., at most 63 long", err);
	return 0;
}

// The borrowed text of a quantity: the entry holds those that came as numbers.
static const char *quantity_text(const struct entry *entry, const struct param *p, const json_t *value)
{
	if (json_typeof(value) == JSON_STRING)
		return json_string_value(value);
	return strcmp(p->name, "memory_request") == 0 ? entry->memory_request : entry->memory_limit;
}

static int lay_over(
	const struct param *p, const struct entry *entry, const json_t *value, struct settings_for_intent *out, struct error *err)
{
	int64_t number = 0;
	if (p->type == PARAM_DEPTH)
		return read_depth(p, value, &out->depth, err);
	if (p->type == PARAM_SWITCH)
		return read_switch(p, value, &out->allow_reset_wal, err);
	int rc = p->type == PARAM_DURATION  ? read_duration(p, value, &number, err)
		 : p->type == PARAM_BYTES   ? read_bytes(p, value, &number, err)
		 : p->type == PARAM_FLAVOUR ? read_flavour(p, value, err)
					    : read_cpu(p, value, err);
	if (rc < 0)
		return -1;
	if (p->is_text) {
		const char *text = quantity_text(entry, p, value);
		memcpy((char *)out + p->offset, &text, sizeof(text));
	} else {
		memcpy((char *)out + p->offset, &number, sizeof(number));
	}
	return 0;
}

int intents_resolve(
	const struct settings *settings, const struct entry *entry, struct settings_for_intent *out, struct error *err)
{
	if (entry->known_intent < 0 || entry->known_intent >= INTENT_COUNT)
		return error_set(err, ERROR_INVALID, "intent \"%.64s\" is not advertised", entry->intent);
	struct settings_for_intent resolved = settings->intents[entry->known_intent];
	for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++) {
		const json_t *value = json_object_get(entry->params, params[i].name);
		if (!json_is_absent(value) && lay_over(&params[i], entry, value, &resolved, err) < 0)
			return -1;
	}
	if (entry->flavour != NULL && resolved.flavour != NULL && strcmp(entry->flavour, resolved.flavour) != 0)
		return error_set(err, ERROR_INVALID,
			"params.flavour is \"%s\" and field \"flavour\" is \"%s\": they have to agree", resolved.flavour,
			entry->flavour);
	if (entry->passwords != NULL)
		resolved.passwords = strcmp(entry->passwords, settings_passwords_text[PASSWORDS_SOURCE]) == 0
					     ? PASSWORDS_SOURCE
					     : PASSWORDS_GENERATED;
	if (resolved.passwords == PASSWORDS_SOURCE && entry->source_secret == NULL)
		return error_set(err, ERROR_INVALID,
			"passwords is source and the entry names no sourceSecret: the connection test has no login of the "
			"source");
	resolved.flavour = entry->flavour != NULL ? entry->flavour : resolved.flavour;
	if (resolved.allow_reset_wal && intents[entry->known_intent].is_once)
		return error_set(err, ERROR_INVALID,
			"params.allow_reset_wal is true, allowed is false for intent %s: a database without its log proves "
			"nothing "
			"about the backup",
			settings_intent_text[entry->known_intent]);
	// A maximum below the first size: the volume begins there.
	if (resolved.storage_size_bytes > resolved.storage_size_maximum_bytes)
		resolved.storage_size_bytes = resolved.storage_size_maximum_bytes;
	if (settings_check_sizing(&resolved, err) < 0)
		return -1;
	*out = resolved;
	return 0;
}
