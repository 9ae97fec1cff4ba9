// A round's restore: its Secret, its volume and the Job that fills it.
#include "base/quantity.h"
#include "builders/azure.h"
#include "builders/endpoint.h"
#include "builders/engines/engine.h"
#include "builders/exit_codes.h"
#include "builders/metadata.h"
#include "builders/opaque.h"
#include "builders/pod.h"
#include "builders/proxy.h"

#define KEY_REPOSITORY_PASSWORD "repositoryPassword"
#define KEY_ACCESS_KEY_ID "accessKeyId"
#define KEY_SECRET_ACCESS_KEY "secretAccessKey"
#define KEY_SESSION_TOKEN "sessionToken"
#define KEY_CA_CERTIFICATE "caCertificate"

#define BACKOFF_LIMIT 3
#define ACTIVE_DEADLINE_SECONDS 14400

// Only here do keys of the store enter the cluster. Every key is always there, if empty: a pod waits for ever for a missing one.
static int add_keys_of_the_store(json_t *object, const struct canopy_credentials *credentials, struct error *err)
{
	if (opaque_add_secret(object, KEY_ACCESS_KEY_ID, &credentials->access_key_id, err) != 0 ||
		opaque_add_secret(object, KEY_SECRET_ACCESS_KEY, &credentials->secret_access_key, err) != 0)
		return -1;
	return opaque_add_secret(object, KEY_SESSION_TOKEN, &credentials->session_token, err);
}

static int add_keys_of_the_engine(
	json_t *object, const struct engine *engine, const struct canopy_credentials *credentials, struct error *err)
{
	for (size_t i = 0; engine->keys[i].key != NULL; i++) {
		if (opaque_add_secret(object, engine->keys[i].key, &credentials->engine_keys[i], err) != 0)
			return -1;
	}
	return 0;
}

static int add_way_to_storage(
	const struct build *b, json_t *object, const struct canopy_credentials *credentials, struct error *err)
{
	if (entry_storage(b->entry) == STORAGE_FILE)
		return 0;
	if (endpoint_has_own_ca(b) && opaque_add_text(object, KEY_CA_CERTIFICATE, b->s3_ca_pem, err) != 0)
		return -1;
	if (entry_storage(b->entry) == STORAGE_AZURE)
		return azure_uses_identity(b) ? 0 : opaque_add_secret(object, AZURE_KEY_SAS, &credentials->sas_token, err);
	return proxy_is_used(b) ? opaque_add_text(object, PROXY_KEY_BROKER_CA, b->broker_ca_pem, err)
				: add_keys_of_the_store(object, credentials, err);
}

int build_restore_secret(const struct build *b, const struct build_round *round, const struct canopy_credentials *credentials,
	json_t **out, struct error *err)
{
	char name[OBJECT_NAME_SIZE];
	name_restore(round->key, name);
	const struct engine *engine = NULL;
	AUTO(json) json_t *object = NULL;
	if (proxy_is_used(b) && proxy_check(b, err) != 0)
		return error_wrap(err, "Secret %s", name);
	if (json_made(opaque_new(b, name, COMPONENT_RESTORE, round->key), "restore Secret", &object, err) != 0)
		return -1;
	if (metadata_own_by_volume(object, round, err) != 0)
		return error_wrap(err, "Secret %s", name);
	if (opaque_add_secret(object, KEY_REPOSITORY_PASSWORD, &credentials->repo_password, err) != 0)
		return -1;
	if (engine_of(b, &engine, err) != 0)
		return error_wrap(err, "Secret %s", name);
	if (opaque_add_text(object, POD_SCRIPT_RESTORE, engine_script(b, engine), err) != 0 ||
		add_keys_of_the_engine(object, engine, credentials, err) != 0 ||
		add_way_to_storage(b, object, credentials, err) != 0)
		return -1;
	*out = TAKE_PTR(object);
	return 0;
}

// One key a line.
// clang-format off
int build_pvc(const struct build *b, const struct build_round *round, json_t **out, struct error *err)
{
	char name[OBJECT_NAME_SIZE];
	char size[QUANTITY_TEXT_SIZE];
	name_pvc(round->key, name);
	quantity_format_bytes(round->pvc_bytes, size);
	json_begin();
	json_t *made = json_pack("{s:s, s:s, s:o, s:{s:[s], s:{s:{s:s}}, s:s*}}",
		"apiVersion", "v1",
		"kind", "PersistentVolumeClaim",
		"metadata", metadata_new(b, name, COMPONENT_DATABASE, round->key),
		"spec",
			"accessModes", "ReadWriteOnce",
			"resources", "requests", "storage", size,
			"storageClassName", b->settings->storage_class);
	return json_made_whole(made, name, out, err);
}
// clang-format on

// One key a line.
// clang-format off
static json_t *environment_of_the_store(const struct build *b, const char *secret, const char *endpoint)
{
	AUTO(json)
	json_t *list = json_pack("[o, o, o, o]",
		pod_env("S3_ENDPOINT", endpoint),
		pod_env_secret("AWS_ACCESS_KEY_ID", secret, KEY_ACCESS_KEY_ID),
		pod_env_secret("AWS_SECRET_ACCESS_KEY", secret, KEY_SECRET_ACCESS_KEY),
		pod_env_secret("AWS_SESSION_TOKEN", secret, KEY_SESSION_TOKEN));
	if (b->s3_ca_pem != NULL &&
		json_array_append_new(list, pod_env("S3_CA_FILE", ENDPOINT_CA_MOUNT "/" ENDPOINT_CA_FILE)) != 0)
		return NULL;
	return TAKE_PTR(list);
}

static json_t *environment_of_s3(const struct build *b, const char *secret, const char *endpoint)
{
	const struct entry *entry = b->entry;
	AUTO(json)
	json_t *list = json_pack("[o, o, o]",
		pod_env("S3_BUCKET", entry->bucket),
		pod_env("S3_PREFIX", entry->prefix),
		pod_env("S3_REGION", entry->region));
	AUTO(json)
	json_t *way = proxy_is_used(b) ? proxy_engine_environment(b) : environment_of_the_store(b, secret, endpoint);
	return json_array_extend(list, way) == 0 ? TAKE_PTR(list) : NULL;
}
// clang-format on

static json_t *environment_of_storage(const struct build *b, const char *secret, const char *endpoint)
{
	if (entry_storage(b->entry) == STORAGE_AZURE)
		return azure_environment(b, secret, endpoint);
	return entry_storage(b->entry) == STORAGE_FILE ? json_pack("[o]", engine_backup_folder(b))
						       : environment_of_s3(b, secret, endpoint);
}

static int add_own(const struct build *b, const struct engine *engine, const char *secret, json_t *list)
{
	if (engine->password_variable != NULL &&
		json_array_append_new(list, pod_env_secret(engine->password_variable, secret, KEY_REPOSITORY_PASSWORD)) != 0)
		return -1;
	for (const struct engine_key *key = engine->keys; key->key != NULL; key++) {
		if (json_array_append_new(list, pod_env_secret(key->variable, secret, key->key)) != 0)
			return -1;
	}
	AUTO(json) json_t *own = engine->environment == NULL ? json_array() : engine->environment(b);
	return json_array_extend(list, own);
}

static json_t *environment(const struct build *b, const struct build_round *round, const char *secret, const char *endpoint,
	const struct engine *engine)
{
	AUTO(json) json_t *list = json_pack("[o, o]", pod_env("HOME", "/tmp"), pod_env("SNAPSHOT_ID", round->snapshot_id));
	AUTO(json) json_t *storage = environment_of_storage(b, secret, endpoint);
	if (round->backup != NULL && json_array_append_new(list, pod_env("BACKUP_NAME", round->backup)) != 0)
		return NULL;
	if (json_array_extend(list, storage) != 0 || pod_add_cpu_limit(b, list) != 0 || add_own(b, engine, secret, list) != 0)
		return NULL;
	return TAKE_PTR(list);
}

static json_t *mounts(const struct build *b)
{
	AUTO(json)
	json_t *list = json_pack("[o, o]", pod_mount("pgdata", POD_PGDATA_MOUNT, false), pod_mount("tmp", "/tmp", false));
	if (entry_storage(b->entry) == STORAGE_FILE)
		return json_array_append_new(list, engine_backup_mount()) == 0 ? TAKE_PTR(list) : NULL;
	if (proxy_is_used(b))
		return json_array_append_new(list, proxy_engine_mount(b)) == 0 ? TAKE_PTR(list) : NULL;
	if (endpoint_has_own_ca(b) && json_array_append_new(list, pod_mount(ENDPOINT_CA_VOLUME, ENDPOINT_CA_MOUNT, true)) != 0)
		return NULL;
	return TAKE_PTR(list);
}

static json_t *volumes(const struct build *b, const char *key, const char *secret)
{
	char claim[OBJECT_NAME_SIZE];
	name_pvc(key, claim);
	AUTO(json)
	json_t *list = json_pack("[o, o, o]", pod_volume_claim("pgdata", claim), pod_volume_empty("tmp", false),
		pod_volume_scripts(secret, POD_SCRIPT_RESTORE, NULL));
	if (entry_storage(b->entry) == STORAGE_FILE)
		return json_array_append_new(list, engine_backup_volume(b)) == 0 ? TAKE_PTR(list) : NULL;
	if (endpoint_has_own_ca(b) && json_array_append_new(list, pod_volume_secret_file(ENDPOINT_CA_VOLUME, secret,
									  KEY_CA_CERTIFICATE, ENDPOINT_CA_FILE)) != 0)
		return NULL;
	return TAKE_PTR(list);
}

static json_t *codes_that_fail_the_job(void)
{
	AUTO(json) json_t *codes = json_array();
	for (size_t i = 0; i < exit_code_row_count; i++) {
		const struct exit_code_row *row = &exit_code_rows[i];
		if (row->fails_job && json_array_append_new(codes, json_integer((json_int_t)row->code)) != 0)
			return NULL;
	}
	return TAKE_PTR(codes);
}

// One key a line.
// clang-format off
// The first rule that matches counts: a disrupted pod's exit code says nothing about the restore.
static json_t *failure_policy(void)
{
	return json_pack("{s:[{s:s, s:[{s:s, s:s}]}, {s:s, s:{s:s, s:s, s:o}}]}",
		"rules",
			"action", "Ignore", "onPodConditions",
				"type", "DisruptionTarget", "status", "True",
			"action", "FailJob", "onExitCodes",
				"containerName", CONTAINER_RESTORE, "operator", "In", "values", codes_that_fail_the_job());
}
// clang-format on

// container is stolen.
static json_t *pod(const struct build *b, const char *key, const char *secret, json_t *container)
{
	AUTO(json) json_t *template = pod_template(b, COMPONENT_RESTORE, key, volumes(b, key, secret));
	AUTO(json)
	json_t *spec = json_pack("{s:s, s:s, s:[o]}", "restartPolicy", "Never", "serviceAccountName",
		NAME_RESTORE_SERVICE_ACCOUNT, "containers", container);
	AUTO(json)
	json_t *labels = json_pack("{s:s, s:s*}", LABEL_JOB_KIND, LABEL_JOB_KIND_VALUE, AZURE_LABEL_USE,
		azure_uses_identity(b) ? AZURE_LABEL_USE_VALUE : NULL);
	if (template == NULL || spec == NULL || labels == NULL || json_object_update(json_find(template, "spec"), spec) != 0 ||
		json_object_update(json_find(template, "metadata", "labels"), labels) != 0)
		return NULL;
	return TAKE_PTR(template);
}

static json_t *job_metadata(const struct build *b, const char *name, const char *key)
{
	AUTO(json) json_t *metadata = metadata_new(b, name, COMPONENT_RESTORE, key);
	if (json_object_set_new(json_find(metadata, "labels"), LABEL_JOB_KIND, json_string(LABEL_JOB_KIND_VALUE)) != 0)
		return NULL;
	return TAKE_PTR(metadata);
}

static int make_pod(const struct build *b, const struct build_round *round, const char *secret, json_t **out, struct error *err)
{
	char endpoint[ENDPOINT_SIZE];
	const struct engine *engine = NULL;
	AUTO(json) json_t *template = NULL;
	if (endpoint_store(b, endpoint, err) != 0 || engine_of(b, &engine, err) != 0)
		return -1;
	json_begin();
	json_t *container = pod_container(b, CONTAINER_RESTORE, engine_image(b, engine), POD_SCRIPT_RESTORE,
		environment(b, round, secret, endpoint, engine), mounts(b));
	if (json_made_whole(pod(b, round->key, secret, container), "pod", &template, err) != 0)
		return -1;
	if (proxy_is_used(b) && (proxy_check(b, err) != 0 || proxy_add(b, round, template, err) != 0))
		return -1;
	*out = TAKE_PTR(template);
	return 0;
}

// One key a line.
// clang-format off
// No ttlSecondsAfterFinished: an operator that was away must still find the outcome. podReplacementPolicy Failed: two pods must
// never write one volume (and the API server accepts nothing else beside a podFailurePolicy).
int build_restore_job(const struct build *b, const struct build_round *round, json_t **out, struct error *err)
{
	char name[OBJECT_NAME_SIZE]; // of the Job and of its Secret
	json_t *template = NULL;
	name_restore(round->key, name);
	if (make_pod(b, round, name, &template, err) != 0)
		return error_wrap(err, "Job %s", name);

	json_begin();
	json_t *made = json_pack("{s:s, s:s, s:o, s:{s:i, s:i, s:s, s:o, s:o}}",
		"apiVersion", "batch/v1",
		"kind", "Job",
		"metadata", job_metadata(b, name, round->key),
		"spec",
			"backoffLimit", BACKOFF_LIMIT,
			"activeDeadlineSeconds", ACTIVE_DEADLINE_SECONDS,
			"podReplacementPolicy", "Failed",
			"podFailurePolicy", failure_policy(),
			"template", template);
	return json_made_whole(made, name, out, err);
}
// clang-format on
