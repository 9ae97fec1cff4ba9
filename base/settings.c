#include "base/settings.h"

#include "base/quantity.h"
#include "base/settings_table.h"
#include <string.h>

#define DUMP_MAX ((size_t)1 << 20)

static int set_default(struct settings *settings, const struct setting_place *place, struct error *err)
{
	const char *text = setting_default(place);
	return text == NULL ? 0 : setting_set(settings, place, text, err);
}

static int set_from_environment(
	struct settings *settings, const struct setting_place *place, settings_getenv env, struct error *err)
{
	const char *text = place->row->env == NULL ? NULL : env(place->row->env);
	if (text == NULL || *text == '\0')
		return 0;
	settings->origins[place->index] = ORIGIN_ENVIRONMENT;
	return setting_set(settings, place, text, err) < 0 ? error_wrap(err, "environment: %s", place->row->env) : 0;
}

static int contradiction(const char *a, const char *b, const char *what, struct error *err)
{
	return error_set(err, ERROR_INVALID, "%s and %s: %s", a, b, what);
}

// A request above its limit; a value that is not set has no say.
static int check_order(const char *what, int (*read)(const char *, int64_t *, struct error *), const char *request,
	const char *limit, struct error *err)
{
	int64_t least = 0;
	int64_t most = 0;
	if (request == NULL || limit == NULL)
		return 0;
	if (read(request, &least, err) < 0 || read(limit, &most, err) < 0)
		return -1;
	if (least > most)
		return error_set(
			err, ERROR_INVALID, "the %s request %s is more than the %s limit %s", what, request, what, limit);
	return 0;
}

int settings_check_sizing(const struct settings_for_intent *s, struct error *err)
{
	if (s->storage_size_bytes > s->storage_size_maximum_bytes)
		return error_set(err, ERROR_INVALID, "the storage size is more than its maximum");
	if (check_order("CPU", quantity_milli, s->cpu_request, s->cpu_limit, err) < 0)
		return -1;
	return check_order("memory", quantity_bytes, s->memory_request, s->memory_limit, err);
}

// As the API server wants the key of an annotation: a name of at most 63, with the domain of its owner and a slash before it or
// not (https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/).
static bool is_annotation_key(const char *key)
{
	static const char alnum[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	const char *slash = strchr(key, '/');
	const char *name = slash == NULL ? key : slash + 1;
	size_t len = strlen(name), owner = slash == NULL ? 0 : (size_t)(slash - key);
	if (slash != NULL && (owner == 0 || owner > 253 || strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789.-") != owner))
		return false;
	return len >= 1 && len <= 63 && strspn(name, alnum) >= 1 && strchr(alnum, name[len - 1]) != NULL &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == len;
}

static int check_service(const struct settings_for_intent *s, bool is_verify, struct error *err)
{
	if (is_verify && s->service_type != SERVICE_CLUSTER_IP)
		return error_set(err, ERROR_INVALID,
			"serviceType is %s, allowed is ClusterIP: nobody but the operator comes to what is to be proven",
			settings_service_text[s->service_type]);
	for (size_t i = 0; i < s->service_annotation_count; i++) {
		if (!is_annotation_key(s->service_annotations[i].key))
			return error_set(err, ERROR_INVALID,
				"serviceAnnotations: \"%.300s\" is no name of an annotation, allowed is NAME or OWNER/NAME",
				s->service_annotations[i].key);
	}
	return 0;
}

// The connection test needs a login of the source, and only entries of a file name a Secret with one.
static int check_passwords(const struct settings *s, int intent, struct error *err)
{
	if (s->intents[intent].passwords == PASSWORDS_GENERATED || s->canopy_base_url == NULL)
		return 0;
	return error_set(err, ERROR_INVALID,
		"passwords is source, allowed with CANOPY_BASE_URL is generated: only entries of WORKLIST_FILE name a "
		"sourceSecret");
}

static int check(const struct settings *s, struct error *err)
{
	static const char exclude[] = "exclude each other, set one";
	if (s->canopy_base_url != NULL && s->worklist_file != NULL)
		return contradiction("CANOPY_BASE_URL", "WORKLIST_FILE", exclude, err);
	if (s->canopy_device_cert_secret != NULL && (s->canopy_device_cert_file != NULL || s->canopy_device_key_file != NULL))
		return contradiction(
			"CANOPY_DEVICE_CERT_SECRET", "CANOPY_DEVICE_CERT_FILE, CANOPY_DEVICE_KEY_FILE", exclude, err);
	if ((s->canopy_device_cert_file == NULL) != (s->canopy_device_key_file == NULL))
		return contradiction(
			"CANOPY_DEVICE_CERT_FILE", "CANOPY_DEVICE_KEY_FILE", "go together, set both or neither", err);
	if (s->intents[INTENT_VERIFY].allow_reset_wal)
		return error_set(err, ERROR_INVALID,
			"intents.verify.allowResetWal is on, allowed is off: a database without its log proves nothing about the "
			"backup");
	for (int i = 0; i < INTENT_COUNT; i++) {
		if (settings_check_sizing(&s->intents[i], err) < 0 ||
			check_service(&s->intents[i], i == INTENT_VERIFY, err) < 0 || check_passwords(s, i, err) < 0)
			return error_wrap(err, "intents.%s", settings_intent_text[i]);
	}
	return 0;
}

int settings_load(settings_getenv env, struct settings **out, struct error *err)
{
	struct setting_place place;
	AUTO(settings) struct settings *settings = calloc(1, sizeof(*settings));
	if (settings == NULL)
		return error_no_memory(err, "settings");
	settings->origins = calloc(setting_count(), sizeof(*settings->origins));
	if (settings->origins == NULL)
		return error_no_memory(err, "settings");

	for (size_t i = 0; setting_at(i, &place); i++) {
		if (set_default(settings, &place, err) < 0)
			return error_wrap(err, "default of %s", place.row->key);
	}
	const char *path = env("UNDERSTORY_CONFIG");
	if (path != NULL && *path != '\0') {
		settings->config_file = strdup(path);
		if (settings->config_file == NULL)
			return error_no_memory(err, "settings");
		if (settings_read_file(settings, path, err) < 0)
			return error_wrap(err, "UNDERSTORY_CONFIG");
	}
	for (size_t i = 0; setting_at(i, &place); i++) {
		if (set_from_environment(settings, &place, env, err) < 0)
			return -1;
	}
	if (check(settings, err) < 0)
		return error_wrap(err, "settings");
	*out = TAKE_PTR(settings);
	return 0;
}

int settings_need_worklist(const struct settings *settings, struct error *err)
{
	if (settings->canopy_base_url == NULL && settings->worklist_file == NULL)
		return error_set(err, ERROR_INVALID,
			"neither CANOPY_BASE_URL nor WORKLIST_FILE is set: one must say which replicas should exist");
	return 0;
}

int settings_need_proxy_image(const struct settings *settings, struct error *err)
{
	if (settings->credentials == CREDENTIALS_PROXY && settings->proxy_image == NULL)
		return error_set(err, ERROR_INVALID,
			"CANOPY_PROXY_IMAGE is not set: restores with CREDENTIALS=proxy, the default, need the image with "
			"understory-proxy; hint: set it, or set CREDENTIALS=direct, which puts the keys into the round's Secret");
	return 0;
}

void settings_free(struct settings *settings)
{
	struct setting_place place;
	if (settings == NULL)
		return;
	for (size_t i = 0; setting_at(i, &place); i++)
		setting_release(settings, &place);
	free(settings->config_file);
	free(settings->origins);
	free(settings);
}

static int dump_line(const struct settings *settings, const struct setting_place *place, FILE *to, struct error *err)
{
	static const char *const origins[] = {"default", "file", "environment"};
	AUTO(buf) struct buf name;
	AUTO(buf) struct buf value;
	buf_init(&name, DUMP_MAX);
	buf_init(&value, DUMP_MAX);
	if (place->row->env != NULL ? buf_add_str(&name, place->row->env, err) < 0 : setting_name(place, &name, err) < 0)
		return -1;
	if (setting_print(settings, place, &value, err) < 0)
		return -1;
	size_t origin = settings->origins == NULL ? ORIGIN_DEFAULT : settings->origins[place->index];
	(void)fprintf(to, "%-44s %-40s %s\n", buf_str(&name), value.len == 0 ? "-" : buf_str(&value), origins[origin]);
	return 0;
}

void settings_dump(const struct settings *settings, settings_getenv env, FILE *to)
{
	struct setting_place place;
	struct error err;
	(void)env; // origins were noted when the environment was read
	(void)fprintf(to, "%-44s %-40s %s\n", "UNDERSTORY_CONFIG", settings->config_file == NULL ? "-" : settings->config_file,
		settings->config_file == NULL ? "default" : "environment");
	for (size_t i = 0; setting_at(i, &place); i++) {
		if (dump_line(settings, &place, to, &err) < 0)
			(void)fprintf(to, "%-44s cannot be shown: %s\n", place.row->key, err.text);
	}
}

int settings_summary(const struct settings *settings, struct buf *out, struct error *err)
{
	struct setting_place place;
	for (size_t i = 0; settings->origins != NULL && setting_at(i, &place); i++) {
		if (settings->origins[place.index] == ORIGIN_DEFAULT)
			continue;
		if (buf_add_str(out, out->len == 0 ? "" : ", ", err) < 0 || setting_name(&place, out, err) < 0 ||
			buf_add_str(out, "=", err) < 0 || setting_print(settings, &place, out, err) < 0)
			return -1;
	}
	return out->len == 0 ? buf_add_str(out, "all defaults", err) : 0;
}

static int help_entry(const struct setting_place *place, FILE *to, struct error *err)
{
	AUTO(buf) struct buf allowed;
	buf_init(&allowed, ERROR_TEXT_MAX);
	if (setting_allowed(place->row, &allowed, err) < 0)
		return -1;
	const char *otherwise = setting_default(place);
	(void)fprintf(to, "  %s%s%s\n      %s\n      Allowed: %s. Default: %s.\n", place->row->env == NULL ? "" : place->row->env,
		place->row->env == NULL ? "" : ", in the file ", place->row->key, place->row->help, buf_str(&allowed),
		otherwise == NULL ? "none" : otherwise);
	return 0;
}

static int help_intent_entry(const struct setting_place *verify, FILE *to, struct error *err)
{
	struct setting_place place;
	AUTO(buf) struct buf allowed;
	buf_init(&allowed, ERROR_TEXT_MAX);
	if (setting_allowed(verify->row, &allowed, err) < 0)
		return -1;
	(void)fprintf(to, "  intents.<intent>.%s\n      %s\n      Allowed: %s. Default:", verify->row->key, verify->row->help,
		buf_str(&allowed));
	for (int i = 0; i < INTENT_COUNT; i++) {
		const char *otherwise = setting_find(i, verify->row->key, &place) ? setting_default(&place) : NULL;
		(void)fprintf(to, "%s %s %s", i == 0 ? "" : ",", settings_intent_text[i], otherwise == NULL ? "none" : otherwise);
	}
	(void)fprintf(to, ".\n");
	return 0;
}

void settings_help(FILE *to)
{
	struct setting_place place;
	struct error err;
	(void)fprintf(to,
		"Settings: the environment first, then the YAML file that UNDERSTORY_CONFIG names, then the default.\n\n"
		"  UNDERSTORY_CONFIG\n      The YAML file. An unknown key in it stops the start.\n");
	for (size_t i = 0; setting_at(i, &place) && place.intent <= INTENT_VERIFY; i++) {
		int rc = place.intent == INTENT_VERIFY ? help_intent_entry(&place, to, &err) : help_entry(&place, to, &err);
		if (rc < 0)
			(void)fprintf(to, "  %s: %s\n", place.row->key, err.text);
	}
}

bool settings_engine_find(const char *name, enum settings_engine *out)
{
	for (int i = 0; settings_engine_text[i] != NULL; i++) {
		if (strcmp(settings_engine_text[i], name) == 0) {
			*out = (enum settings_engine)i;
			return true;
		}
	}
	return false;
}

void settings_engine_names(char out[SETTINGS_ENGINE_NAMES_SIZE])
{
	out[0] = '\0';
	for (size_t i = 0; settings_engine_text[i] != NULL; i++) {
		size_t len = strlen(out);
		const char *joint = i == 0 ? "" : settings_engine_text[i + 1] == NULL ? " or " : ", ";
		(void)snprintf(out + len, SETTINGS_ENGINE_NAMES_SIZE - len, "%s%s", joint, settings_engine_text[i]);
	}
}

enum settings_storage settings_storage_find(const char *name)
{
	int i = 0;
	while (i < STORAGE_COUNT && strcmp(name, settings_storage_text[i]) != 0)
		i++;
	return (enum settings_storage)i;
}

bool settings_allow_direct(const struct settings *settings, const char *backup_type)
{
	bool allow = settings->credentials == CREDENTIALS_DIRECT;
	for (size_t i = 0; !allow && i < settings->direct_type_count; i++)
		allow = strcmp(settings->direct_types[i], backup_type) == 0;
	return allow;
}

enum settings_engine settings_engine_for(const struct settings *settings, const char *backup_type)
{
	for (size_t i = 0; i < settings->engine_count; i++) {
		if (strcmp(settings->engines[i].type, backup_type) == 0)
			return settings->engines[i].engine;
	}
	return ENGINE_KOPIA;
}
