#include "builders/engines/engine.h"

#include "builders/azure.h"
#include "builders/endpoint.h"
#include "builders/pod.h"
#include <stdio.h>
#include <string.h>

#define BACKUP_VOLUME "backup"
#define STORAGES_SIZE 64

static const struct engine *const engines[ENGINE_COUNT] = {
#define X(NAME, name) [ENGINE_##NAME] = &engine_##name,
	SETTINGS_ENGINES(X)
#undef X
};

const char *engine_name(const struct engine *engine)
{
	return settings_engine_text[engine->which];
}

// NULL when the entry names none of ours.
static const struct engine *find(const struct settings *settings, const struct entry *entry)
{
	enum settings_engine which = settings_engine_for(settings, entry->type);
	return entry->engine == NULL || settings_engine_find(entry->engine, &which) ? engines[which] : NULL;
}

static int check_name(const struct build *b, const struct engine *engine, struct error *err)
{
	char allowed[SETTINGS_ENGINE_NAMES_SIZE];
	settings_engine_names(allowed);
	return engine != NULL
		       ? 0
		       : error_set(err, ERROR_INVALID, "engine \"%s\" is not known, allowed is %s", b->entry->engine, allowed);
}

// One without a script when the engine does not read this entry's storage.
static const struct engine_reader *reader_of(const struct build *b, const struct engine *engine)
{
	static const struct engine_reader none = {.script = NULL};
	enum settings_storage storage = entry_storage(b->entry);
	if (azure_uses_identity(b))
		return &engine->reads_by_identity;
	return storage < STORAGE_COUNT ? &engine->reads[storage] : &none;
}

// "s3, file"
static void name_storages(const struct engine *engine, char out[STORAGES_SIZE])
{
	out[0] = '\0';
	for (size_t i = 0; i < STORAGE_COUNT; i++) {
		size_t len = strlen(out);
		if (engine->reads[i].script != NULL)
			(void)snprintf(out + len, STORAGES_SIZE - len, "%s%s", len == 0 ? "" : ", ", settings_storage_text[i]);
	}
}

static int check_storage(const struct build *b, const struct engine *engine, struct error *err)
{
	char storages[STORAGES_SIZE];
	name_storages(engine, storages);
	if (azure_uses_identity(b) && engine->reads[STORAGE_AZURE].script != NULL && reader_of(b, engine)->script == NULL)
		return error_set(err, ERROR_INVALID,
			"engine %s cannot use a workload identity (client_id); hint: name a Secret with " AZURE_KEY_SAS,
			engine_name(engine));
	if (reader_of(b, engine)->script == NULL)
		return error_set(err, ERROR_INVALID, "engine %s cannot read storage \"%s\", allowed is %s", engine_name(engine),
			b->entry->storage, storages);
	return 0;
}

// S3 alone: what is not https in Azure Blob azure_check() has refused.
static int check_way(const struct build *b, const struct engine *engine, struct error *err)
{
	char endpoint[ENDPOINT_SIZE];
	if (!engine->is_tls_only || entry_storage(b->entry) != STORAGE_S3)
		return 0;
	if (!settings_allow_direct(b->settings, b->entry->type))
		return error_set(err, ERROR_INVALID,
			"engine %s speaks to S3 by TLS alone and cannot use the credential proxy: its keys would lie in the "
			"round's "
			"Secret; hint: allow that by directCredentials: [\"%s\"] in the settings",
			engine_name(engine), b->entry->type);
	if (endpoint_s3(b, endpoint, err) != 0)
		return -1;
	if (strncmp(endpoint, "https://", strlen("https://")) != 0)
		return error_set(err, ERROR_INVALID, "engine %s speaks TLS alone, S3_ENDPOINT is \"%s\"; hint: https",
			engine_name(engine), endpoint);
	return 0;
}

// A name that Kubernetes takes for a claim, and so one component of a path.
static bool is_claim_name(const char *text)
{
	static const char ends[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	static const char all[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";
	size_t len = strlen(text);
	return len > 0 && len < 254 && strspn(text, all) == len && strchr(ends, text[0]) != NULL &&
	       strchr(ends, text[len - 1]) != NULL && strstr(text, "..") == NULL;
}

static bool climbs(const char *path)
{
	for (const char *part = path; *part != '\0'; part += strspn(part, "/")) {
		size_t len = strcspn(part, "/");
		if (len == 2 && part[0] == '.' && part[1] == '.')
			return true;
		part += len;
	}
	return false;
}

static int check_file(const struct build *b, struct error *err)
{
	const struct entry *entry = b->entry;
	if (entry_storage(entry) != STORAGE_FILE)
		return 0;
	if (!is_claim_name(entry->bucket))
		return error_set(err, ERROR_INVALID,
			"bucket \"%s\" is no name of a PersistentVolumeClaim, which it is with storage \"file\"", entry->bucket);
	if (climbs(entry->prefix))
		return error_set(err, ERROR_INVALID, "prefix \"%s\" leaves its volume", entry->prefix);
	return 0;
}

int engine_check_entry(const struct build *b, struct error *err)
{
	const struct engine *engine = find(b->settings, b->entry);
	if (check_name(b, engine, err) != 0 || check_storage(b, engine, err) != 0 || check_file(b, err) != 0 ||
		azure_check(b, err) != 0)
		return -1;
	return engine->check == NULL ? 0 : engine->check(b, err);
}

int engine_of(const struct build *b, const struct engine **out, struct error *err)
{
	const struct engine *engine = find(b->settings, b->entry);
	if (engine_check_entry(b, err) != 0 || check_way(b, engine, err) != 0)
		return -1;
	if (engine_image(b, engine) == NULL)
		return error_set(err, ERROR_INVALID, "setting %s is not set, backup type \"%s\" needs it",
			reader_of(b, engine)->image_setting, b->entry->type);
	*out = engine;
	return 0;
}

const char *engine_image(const struct build *b, const struct engine *engine)
{
	char *image = NULL;
	memcpy(&image, (const char *)b->settings + reader_of(b, engine)->image, sizeof(image));
	return image;
}

const char *engine_script(const struct build *b, const struct engine *engine)
{
	return reader_of(b, engine)->script;
}

bool engine_needs_password(const struct settings *settings, const struct entry *entry)
{
	const struct engine *engine = find(settings, entry);
	return engine != NULL && engine->password_variable != NULL && !engine->is_password_optional;
}

bool engine_is_tls_only(const struct build *b)
{
	const struct engine *engine = find(b->settings, b->entry);
	return engine != NULL && engine->is_tls_only;
}

const struct engine_key *engine_keys(const struct settings *settings, const struct entry *entry)
{
	static const struct engine_key none = {.key = NULL};
	const struct engine *engine = find(settings, entry);
	return engine == NULL ? &none : engine->keys;
}

const struct engine *engine_said(const char *said)
{
	for (size_t i = 0; said != NULL && i < ENGINE_COUNT; i++) {
		size_t len = strlen(settings_engine_text[i]);
		if (strncmp(said, settings_engine_text[i], len) == 0 && (said[len] == ' ' || said[len] == '\0'))
			return engines[i];
	}
	return NULL;
}

// One key a line.
// clang-format off
json_t *engine_backup_volume(const struct build *b)
{
	return json_pack("{s:s, s:{s:s, s:b}}",
		"name", BACKUP_VOLUME,
		"persistentVolumeClaim",
			"claimName", b->entry->bucket,
			"readOnly", 1);
}
// clang-format on

json_t *engine_backup_mount(void)
{
	return pod_mount(BACKUP_VOLUME, ENGINE_BACKUP_MOUNT, true);
}

json_t *engine_backup_folder(const struct build *b)
{
	const char *below = b->entry->prefix + strspn(b->entry->prefix, "/");
	AUTO(json) json_t *folder = json_sprintf("%s/%s", ENGINE_BACKUP_MOUNT, below);
	return folder == NULL ? NULL : pod_env(ENGINE_BACKUP_VARIABLE, json_string_value(folder));
}
