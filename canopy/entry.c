#include "canopy/entry.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/settings_flavour.h"
#include "canopy/intents.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SLUG_MAX 50
#define DATABASE_NAME_MAX 63 // bytes; PostgreSQL would cut a longer one (NAMEDATALEN)
#define DATABASES_MAX ((size_t)64 << 10)

static bool is_printable(const char *text)
{
	for (const unsigned char *s = (const unsigned char *)text; *s != '\0'; s++) {
		if (*s < 0x20 || *s == 0x7f)
			return false;
	}
	return true;
}

// An optional field: NULL when absent or null. Anything but a string is an error.
static int optional_str(const json_t *object, const char *key, const char **out, struct error *err)
{
	const json_t *value = json_object_get(object, key);
	*out = NULL;
	if (json_is_absent(value))
		return 0;
	if (json_typeof(value) != JSON_STRING)
		return error_set(err, ERROR_INVALID, "field \"%s\" is not a string", key);
	*out = json_string_value(value);
	return 0;
}

// What goes on into environment variables, headers and URLs: no control characters.
static int check_printable(const char *key, const char *text, struct error *err)
{
	if (is_printable(text))
		return 0;
	return error_set(err, ERROR_INVALID, "field \"%s\" has control characters", key);
}

static int copy(const char *text, char **out, struct error *err)
{
	*out = strdup(text);
	return *out == NULL ? error_no_memory(err, "worklist entry") : 0;
}

static int read_uuid(const json_t *object, const char *key, char out[UUID_TEXT_SIZE], struct error *err)
{
	const char *text = NULL;
	if (json_need_str(object, key, &text, err) < 0)
		return -1;
	return uuid_parse(text, out, err) < 0 ? error_wrap(err, "field \"%s\"", key) : 0;
}

// server_id, or machine_id as it is called in newer worklists, or both when they say the same.
static int read_machine(const json_t *object, struct entry *e, struct error *err)
{
	const char *server = NULL;
	const char *machine = NULL;
	char other[UUID_TEXT_SIZE] = "";
	if (optional_str(object, "server_id", &server, err) < 0 || optional_str(object, "machine_id", &machine, err) < 0)
		return -1;
	if (server == NULL && machine == NULL)
		return error_set(err, ERROR_INVALID, "field \"server_id\" is missing");
	e->has_server_id = server != NULL;
	if (server != NULL && uuid_parse(server, e->server_id, err) < 0)
		return error_wrap(err, "field \"server_id\"");
	if (machine != NULL && uuid_parse(machine, server == NULL ? e->server_id : other, err) < 0)
		return error_wrap(err, "field \"machine_id\"");
	if (server != NULL && machine != NULL && strcmp(e->server_id, other) != 0)
		return error_set(err, ERROR_INVALID, "fields \"server_id\" %s and \"machine_id\" %s differ", e->server_id, other);
	return 0;
}

static int read_ids(const json_t *object, struct entry *e, struct error *err)
{
	if (read_uuid(object, "replica_id", e->replica_id, err) < 0 || read_uuid(object, "group_id", e->group_id, err) < 0)
		return -1;
	return read_machine(object, e, err);
}

static int read_texts(const json_t *object, struct entry *e, struct error *err)
{
	const struct {
		const char *key;
		char **out;
		bool any; // may hold anything: it is never more than shown or made into a name
	} fields[] = {
		{"type", &e->type, false},
		{"intent", &e->intent, false},
		{"name", &e->name, true},
		{"storage", &e->storage, false},
		{"bucket", &e->bucket, false},
		{"prefix", &e->prefix, false},
		{"region", &e->region, false},
	};
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		const char *text = NULL;
		if (json_need_str(object, fields[i].key, &text, err) < 0)
			return -1;
		if (!fields[i].any && check_printable(fields[i].key, text, err) < 0)
			return -1;
		if (copy(text, fields[i].out, err) < 0)
			return -1;
	}
	if (*e->bucket == '\0')
		return error_set(err, ERROR_INVALID, "field \"bucket\" is empty");
	return 0;
}

static int check_engine(const char *name, struct error *err)
{
	enum settings_engine ignored;
	char allowed[SETTINGS_ENGINE_NAMES_SIZE];
	if (name == NULL || settings_engine_find(name, &ignored))
		return 0;
	settings_engine_names(allowed);
	return error_set(err, ERROR_INVALID, "field \"engine\" is \"%.64s\", allowed is %s", name, allowed);
}

static int read_optional_texts(const json_t *object, struct entry *e, struct error *err)
{
	const struct {
		const char *key;
		char **out;
	} fields[] = {
		{"snapshot_id", &e->snapshot_id},
		{"snapshot_at", &e->snapshot_at},
		{"engine", &e->engine},
		{"secret", &e->secret},
		{"stanza", &e->stanza},
		{"account", &e->account},
		{"endpoint", &e->endpoint},
		{"client_id", &e->client_id},
		{"flavour", &e->flavour},
		{"passwords", &e->passwords},
		{"sourceSecret", &e->source_secret},
	};
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		const char *text = NULL;
		if (optional_str(object, fields[i].key, &text, err) < 0)
			return -1;
		if (text == NULL)
			continue;
		if (*text == '\0')
			return error_set(
				err, ERROR_INVALID, "field \"%s\" is empty, allowed is null where there is none", fields[i].key);
		if (check_printable(fields[i].key, text, err) < 0 || copy(text, fields[i].out, err) < 0)
			return -1;
	}
	int64_t ignored = 0;
	if (e->snapshot_at != NULL && clock_parse(e->snapshot_at, &ignored, err) < 0)
		return error_wrap(err, "field \"snapshot_at\"");
	bool is_choice = e->passwords == NULL || strcmp(e->passwords, settings_passwords_text[PASSWORDS_GENERATED]) == 0 ||
			 strcmp(e->passwords, settings_passwords_text[PASSWORDS_SOURCE]) == 0;
	if (!is_choice)
		return error_set(
			err, ERROR_INVALID, "field \"passwords\" is \"%.64s\", allowed is generated or source", e->passwords);
	if (e->flavour != NULL && !settings_is_flavour_name(e->flavour))
		return error_set(err, ERROR_INVALID,
			"field \"flavour\" is \"%.64s\", allowed is a name of letters, digits and inner -_., at most 63 long",
			e->flavour);
	return check_engine(e->engine, err);
}

static int check_database_name(const char *name, struct error *err)
{
	size_t len = name == NULL ? 0 : strlen(name);
	if (len == 0 || len > DATABASE_NAME_MAX || !is_printable(name))
		return error_set(err, ERROR_INVALID,
			"field \"databases\" maps \"%.64s\", allowed are names of 1 to %d bytes without control characters",
			name == NULL ? "" : name, DATABASE_NAME_MAX);
	return 0;
}

// A mapping of names, kept as the text that the script of the pod reads.
static int read_databases(const json_t *object, struct entry *e, struct error *err)
{
	const char *from;
	json_t *to;
	json_t *names = json_object_get(object, "databases");
	AUTO(buf) struct buf lines;
	buf_init(&lines, DATABASES_MAX);
	if (json_is_absent(names))
		return 0;
	if (json_typeof(names) != JSON_OBJECT)
		return error_set(err, ERROR_INVALID, "field \"databases\" is not an object");
	json_object_foreach (names, from, to) {
		if (check_database_name(from, err) < 0 || check_database_name(json_string_value(to), err) < 0 ||
			buf_add_str(&lines, from, err) < 0 || buf_add_str(&lines, "\t", err) < 0 ||
			buf_add_str(&lines, json_string_value(to), err) < 0 || buf_add_str(&lines, "\n", err) < 0)
			return -1;
	}
	return copy(buf_str(&lines), &e->databases, err);
}

static int read_bound(const json_t *object, const char *key, int64_t *out, struct error *err)
{
	const json_t *value = json_object_get(object, key);
	*out = -1;
	if (json_is_absent(value))
		return 0;
	// With 0 every replica would be refreshed in every pass.
	if (json_typeof(value) != JSON_INTEGER || json_integer_value(value) < 1)
		return error_set(err, ERROR_INVALID, "field \"%s\" is not a whole number of seconds of at least 1, or null", key);
	*out = json_integer_value(value);
	return 0;
}

// overdue_after_seconds, or freshness_seconds as it was called, or both when they say the same.
static int read_overdue(const json_t *object, struct entry *e, struct error *err)
{
	int64_t older = -1;
	if (read_bound(object, "overdue_after_seconds", &e->overdue_after_s, err) < 0 ||
		read_bound(object, "freshness_seconds", &older, err) < 0)
		return -1;
	if (e->overdue_after_s != -1 && older != -1 && e->overdue_after_s != older)
		return error_set(err, ERROR_INVALID,
			"fields \"overdue_after_seconds\" %" PRId64 " and \"freshness_seconds\" %" PRId64 " differ",
			e->overdue_after_s, older);
	e->overdue_after_s = e->overdue_after_s == -1 ? older : e->overdue_after_s;
	return 0;
}

static void bytes_text(const json_t *params, const char *key, char out[ENTRY_BYTES_SIZE])
{
	const json_t *value = json_object_get(params, key);
	out[0] = '\0';
	if (json_is_integer(value) && json_integer_value(value) > 0)
		(void)snprintf(out, ENTRY_BYTES_SIZE, "%" PRId64, (int64_t)json_integer_value(value));
}

static int read_params(const json_t *object, struct entry *e, struct error *err)
{
	const json_t *params = json_object_get(object, "params");
	if (params == NULL)
		return error_set(err, ERROR_INVALID, "field \"params\" is missing");
	if (json_typeof(params) != JSON_OBJECT)
		return error_set(err, ERROR_INVALID, "field \"params\" is not an object");
	// A copy, so that the entry does not keep the rest of its document alive.
	if (json_made(json_deep_copy(params), "params", &e->params, err) < 0)
		return -1;
	bytes_text(params, "memory_request", e->memory_request);
	bytes_text(params, "memory_limit", e->memory_limit);
	return 0;
}

int entry_from_json(const json_t *object, struct entry *out, struct error *err)
{
	struct entry e = {.overdue_after_s = -1};
	if (!json_is_object(object))
		return error_set(err, ERROR_INVALID, "is not an object");
	if (read_ids(object, &e, err) < 0 || read_texts(object, &e, err) < 0 || read_optional_texts(object, &e, err) < 0 ||
		read_databases(object, &e, err) < 0 || read_overdue(object, &e, err) < 0 || read_params(object, &e, err) < 0 ||
		entry_namespace(e.name, e.replica_id, e.server_id, e.namespace, err) < 0) {
		entry_fini(&e);
		return -1;
	}
	e.known_intent = intents_find(e.intent);
	*out = e;
	return 0;
}

void entry_fini(struct entry *entry)
{
	char **const texts[] = {&entry->type, &entry->intent, &entry->name, &entry->storage, &entry->bucket, &entry->prefix,
		&entry->region, &entry->snapshot_id, &entry->snapshot_at, &entry->engine, &entry->secret, &entry->databases,
		&entry->stanza, &entry->account, &entry->endpoint, &entry->client_id, &entry->flavour, &entry->passwords,
		&entry->source_secret};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		free(*texts[i]);
	json_decref(entry->params);
	*entry = (struct entry){.overdue_after_s = -1, .known_intent = -1};
}

static void trim_end(char *slug, size_t *len)
{
	while (*len > 0 && slug[*len - 1] == '-')
		(*len)--;
	slug[*len] = '\0';
}

static void slug_of(const char *name, char out[SLUG_MAX + 1])
{
	size_t len = 0;
	for (const char *s = name; *s != '\0' && len < SLUG_MAX; s++) {
		char c = *s >= 'A' && *s <= 'Z' ? (char)(*s - 'A' + 'a') : *s;
		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
			out[len++] = c;
		else if (len > 0 && out[len - 1] != '-')
			out[len++] = '-';
	}
	trim_end(out, &len);
	if (len == 0)
		memcpy(out, "replica", sizeof("replica"));
}

int entry_namespace(const char *name, const char replica_id[UUID_TEXT_SIZE], const char server_id[UUID_TEXT_SIZE],
	char out[ENTRY_NAMESPACE_SIZE], struct error *err)
{
	unsigned char ids[2 * UUID_BYTES];
	unsigned char digest[ENCODE_SHA256_BYTES];
	char slug[SLUG_MAX + 1];
	char hex[9];
	uuid_to_bytes(replica_id, ids);
	uuid_to_bytes(server_id, ids + UUID_BYTES);
	if (encode_sha256(ids, sizeof(ids), digest, err) < 0)
		return -1;
	encode_hex(digest, 4, hex);
	slug_of(name, slug);
	(void)snprintf(out, ENTRY_NAMESPACE_SIZE, "%s-%s", slug, hex);
	return 0;
}

bool entry_same(const struct entry *a, const struct entry *b)
{
	return strcmp(a->replica_id, b->replica_id) == 0 && strcmp(a->server_id, b->server_id) == 0;
}

int entry_fingerprint(const struct entry *entry, char out[9], struct error *err)
{
	AUTO(json) json_t *declared = NULL;
	AUTO(json) json_t *empty = json_object();
	AUTO_FREE char *text = NULL;
	unsigned char digest[ENCODE_SHA256_BYTES];
	if (json_made(
		    json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:O, s:s*, s:s*, s:s*, s:s*, s:s*, s:s*, "
			      "s:s*, s:s*, s:s*, s:s*}",
			    "replica_id", entry->replica_id, "group_id", entry->group_id, "server_id", entry->server_id, "type",
			    entry->type, "intent", entry->intent, "name", entry->name, "storage", entry->storage, "bucket",
			    entry->bucket, "prefix", entry->prefix, "region", entry->region, "overdue_after_seconds",
			    (json_int_t)entry->overdue_after_s, "params", entry->params == NULL ? empty : entry->params, "engine",
			    entry->engine, "secret", entry->secret, "databases", entry->databases, "stanza", entry->stanza,
			    "account", entry->account, "endpoint", entry->endpoint, "client_id", entry->client_id, "flavour",
			    entry->flavour, "passwords", entry->passwords, "sourceSecret", entry->source_secret),
		    "fingerprint", &declared, err) < 0)
		return -1;
	if (json_print(declared, &text, err) < 0 || encode_sha256(text, strlen(text), digest, err) < 0)
		return -1;
	encode_hex(digest, 4, out);
	return 0;
}
