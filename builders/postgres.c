// The database that comes up: its passwords, the Deployment of a round and the Service of the replica.
#include "base/buf.h"
#include "builders/engines/engine.h"
#include "builders/metadata.h"
#include "builders/opaque.h"
#include "builders/pod.h"
#include "builders/scripts.h"
#include "builders/sizing.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define KEY_USERNAME "username"
#define KEY_PASSWORD "password"
#define KEY_CA "ca.crt"
#define KEY_SSLMODE "sslmode"
#define SUPERUSER "postgres"
#define ANALYTICS_USER "analytics"

#define TLS_VOLUME "tls"
#define COUNT_SIZE 24 // the digits of an int64_t and a NUL

// What the Deployment controller takes for none (kubernetes/kubernetes: HasProgressDeadline). How long it may take the operator
// judges itself, which does not count recovery; a condition that says "stuck" meanwhile wakes people for nothing.
#define NO_PROGRESS_DEADLINE INT32_MAX

#define JOINED_MAX ((size_t)64 << 10) // of all libraries or lines of a flavour

// For a fast shutdown: the checkpoint at its end.
#define TERMINATION_GRACE_SECONDS 60

static int login_secret(
	const struct build *b, const char *name, const char *user, const struct secret *password, json_t **out, struct error *err)
{
	AUTO(json) json_t *object = NULL;
	if (json_made(opaque_new(b, name, COMPONENT_DATABASE, NULL), name, &object, err) != 0 ||
		opaque_add_text(object, KEY_USERNAME, user, err) != 0 ||
		opaque_add_secret(object, KEY_PASSWORD, password, err) != 0)
		return -1;
	*out = TAKE_PTR(object);
	return 0;
}

int build_superuser_secret(const struct build *b, const struct secret *password, json_t **out, struct error *err)
{
	return login_secret(b, NAME_SUPERUSER_SECRET, SUPERUSER, password, out, err);
}

// How libpq and its likes are to make sure that they speak with this replica's server.
static int add_trust(json_t *object, const char *ca_pem, struct error *err)
{
	return opaque_add_text(object, KEY_CA, ca_pem, err) != 0 ? -1 : opaque_add_text(object, KEY_SSLMODE, "verify-full", err);
}

int build_analytics_secret(const struct build *b, const struct secret *password, json_t **out, struct error *err)
{
	char host[sizeof NAME_SERVICE + sizeof ".svc" + ENTRY_NAMESPACE_SIZE];
	(void)snprintf(host, sizeof host, "%s.%s.svc", NAME_SERVICE, b->entry->namespace);

	AUTO(json) json_t *object = NULL;
	if (login_secret(b, NAME_ANALYTICS_SECRET, ANALYTICS_USER, password, &object, err) != 0 ||
		opaque_add_text(object, "host", host, err) != 0 ||
		opaque_add_text(object, "port", POD_POSTGRES_PORT_TEXT, err) != 0 ||
		opaque_add_text(object, "database", "postgres", err) != 0 ||
		(b->postgres_ca_pem != NULL && add_trust(object, b->postgres_ca_pem, err) != 0))
		return -1;
	*out = TAKE_PTR(object);
	return 0;
}

int build_analytics_tls(const char *postgres_ca_pem, json_t **out, struct error *err)
{
	if (postgres_ca_pem == NULL)
		return json_made(json_pack("{s:{s:n, s:n}}", "data", KEY_CA, KEY_SSLMODE), "TLS of analytics", out, err);
	AUTO(json) json_t *object = json_pack("{s:{}}", "data");
	if (add_trust(object, postgres_ca_pem, err) != 0)
		return -1;
	*out = TAKE_PTR(object);
	return 0;
}

int build_tls_secret(const struct build *b, const struct cert_pair *pair, json_t **out, struct error *err)
{
	AUTO(json) json_t *object = NULL;
	if (b->postgres_ca_pem == NULL)
		return error_set(err, ERROR_INTERNAL, "Secret " NAME_TLS_SECRET ": the operator has no CA yet");
	if (json_made(opaque_new(b, NAME_TLS_SECRET, COMPONENT_DATABASE, NULL), NAME_TLS_SECRET, &object, err) != 0 ||
		opaque_add_text(object, "tls.crt", pair->cert_pem, err) != 0 ||
		opaque_add_secret(object, "tls.key", &pair->key_pem, err) != 0 ||
		opaque_add_text(object, KEY_CA, b->postgres_ca_pem, err) != 0)
		return -1;
	*out = TAKE_PTR(object);
	return 0;
}

#define PULL_TYPE "kubernetes.io/dockerconfigjson"

int build_pull_secret(const struct build *b, const json_t *source, json_t **out, struct error *err)
{
	const char *type = json_find_str(source, "type");
	if (type == NULL || strcmp(type, PULL_TYPE) != 0)
		return error_set(
			err, ERROR_INVALID, "the Secret is of type \"%.100s\", allowed is " PULL_TYPE, type == NULL ? "" : type);
	return json_made(json_pack("{s:s, s:s, s:o, s:s, s:O}", "apiVersion", "v1", "kind", "Secret", "metadata",
				 metadata_new(b, NAME_PULL_SECRET, COMPONENT_DATABASE, NULL), "type", PULL_TYPE, "data",
				 json_object_get(source, "data")),
		NAME_PULL_SECRET, out, err);
}

// Steals metadata. One key a line.
// clang-format off
static json_t *service_to(const struct build *b, const char *round_key, enum settings_service type, json_t *metadata)
{
	return json_pack("{s:s, s:s, s:o, s:{s:s, s:o, s:[{s:s, s:s, s:i, s:i}]}}",
		"apiVersion", "v1",
		"kind", "Service",
		"metadata", metadata,
		"spec",
			"type", settings_service_text[type],
			"selector", metadata_selector(b, COMPONENT_DATABASE, round_key),
			"ports", "name", "postgres", "protocol", "TCP", "port", POD_POSTGRES_PORT, "targetPort", POD_POSTGRES_PORT);
}
// clang-format on

static json_t *service_metadata(const struct build *b)
{
	AUTO(json) json_t *metadata = metadata_new(b, NAME_SERVICE, COMPONENT_DATABASE, NULL);
	AUTO(json) json_t *annotations = json_object();
	for (size_t i = 0; i < b->sizing.service_annotation_count; i++) {
		const struct settings_pair *pair = &b->sizing.service_annotations[i];
		if (json_object_set_new(annotations, pair->key, json_string(pair->value)) != 0)
			return NULL;
	}
	if (json_object_size(annotations) > 0 && json_object_set(metadata, "annotations", annotations) != 0)
		return NULL;
	return TAKE_PTR(metadata);
}

// No round has this key: keys are hex.
#define NO_ROUND "none"

int build_service(const struct build *b, const char *round_key, json_t **out, struct error *err)
{
	json_begin();
	json_t *made = service_to(b, round_key == NULL ? NO_ROUND : round_key, b->sizing.service_type, service_metadata(b));
	return json_made_whole(made, "Service " NAME_SERVICE, out, err);
}

static json_t *round_service_metadata(const struct build *b, const char *name, const char *key, const char *deployment_uid)
{
	AUTO(json) json_t *metadata = metadata_new(b, name, COMPONENT_DATABASE, key);
	json_t *owners = json_pack(
		"[{s:s, s:s, s:s, s:s}]", "apiVersion", "apps/v1", "kind", "Deployment", "name", name, "uid", deployment_uid);
	return json_object_set_new(metadata, "ownerReferences", owners) != 0 ? NULL : TAKE_PTR(metadata);
}

int build_round_service(
	const struct build *b, const struct build_round *round, const char *deployment_uid, json_t **out, struct error *err)
{
	char name[OBJECT_NAME_SIZE];
	name_deployment(round->key, name);
	json_begin();
	json_t *made = service_to(b, round->key, SERVICE_CLUSTER_IP, round_service_metadata(b, name, round->key, deployment_uid));
	return json_made_whole(made, name, out, err);
}

static json_t *mounts(void)
{
	return json_pack("[o, o, o, o]", pod_mount("pgdata", POD_PGDATA_MOUNT, false), pod_mount("run", POD_RUN_MOUNT, false),
		pod_mount("tmp", "/tmp", false), pod_mount("dshm", "/dev/shm", false));
}

// What the engine that wrote the volume has the init step do in the place of ours; NULL: nothing.
static const struct engine_prepare *own_prepare(const struct build_restored *restored)
{
	const struct engine *engine = engine_said(restored->engine);
	return engine != NULL && engine->prepare.script != NULL ? &engine->prepare : NULL;
}

static bool reads_backup(const struct build *b, const struct engine_prepare *own)
{
	return own != NULL && own->reads_backup && entry_storage(b->entry) == STORAGE_FILE;
}

static json_t *volumes(const struct build *b, const char *key, const struct engine_prepare *own)
{
	char claim[OBJECT_NAME_SIZE], scripts[OBJECT_NAME_SIZE];
	name_pvc(key, claim);
	name_deployment(key, scripts);
	AUTO(json)
	json_t *list = json_pack("[o, o, o, o, o]", pod_volume_claim("pgdata", claim), pod_volume_empty("run", false),
		pod_volume_empty("tmp", false), pod_volume_empty("dshm", true),
		pod_volume_scripts(scripts, POD_SCRIPT_PREPARE, POD_SCRIPT_POSTGRES));
	if (b->settings->postgres_tls && json_array_append_new(list, pod_volume_tls(TLS_VOLUME, NAME_TLS_SECRET)) != 0)
		return NULL;
	if (reads_backup(b, own) && json_array_append_new(list, engine_backup_volume(b)) != 0)
		return NULL;
	return TAKE_PTR(list);
}

// Lines or words as one text. NULL when memory ran out.
static json_t *joined(char *const *texts, size_t count, const char *joint)
{
	AUTO(buf) struct buf all;
	struct error ignored;
	buf_init(&all, JOINED_MAX);
	for (size_t i = 0; i < count; i++) {
		if (buf_addf(&all, &ignored, "%s%s", i == 0 ? "" : joint, texts[i]) < 0)
			return NULL;
	}
	return json_string(buf_str(&all));
}

static int add_joined(json_t *environment, const char *name, char *const *texts, size_t count, const char *joint)
{
	AUTO(json) json_t *text = count == 0 ? NULL : joined(texts, count, joint);
	if (count == 0)
		return 0;
	return text == NULL ? -1 : json_array_append_new(environment, pod_env(name, json_string_value(text)));
}

// What both containers of a flavour's server have in their environment.
static int add_flavour(json_t *environment, const struct settings_flavour *flavour)
{
	for (size_t i = 0; flavour != NULL && i < flavour->environment_count; i++) {
		const struct settings_pair *pair = &flavour->environment[i];
		if (json_array_append_new(environment, pod_env(pair->key, pair->value)) != 0)
			return -1;
	}
	return 0;
}

static int add_passwords(const struct build *b, json_t *environment)
{
	const char *text = settings_passwords_text[b->sizing.passwords];
	return b->sizing.passwords == PASSWORDS_GENERATED ? 0 : json_array_append_new(environment, pod_env("PASSWORDS", text));
}

static int add_own(const struct build *b, const struct engine_prepare *own, json_t *environment, json_t *its_mounts)
{
	AUTO(json) json_t *more = own == NULL || own->environment == NULL ? json_array() : own->environment(b);
	if (json_array_extend(environment, more) != 0)
		return -1;
	if (!reads_backup(b, own))
		return 0;
	return json_array_append_new(environment, engine_backup_folder(b)) != 0
		       ? -1
		       : json_array_append_new(its_mounts, engine_backup_mount());
}

static json_t *prepare_container(const struct build *b, const struct build_restored *restored, const char *image)
{
	AUTO(json)
	json_t *environment =
		json_pack("[o, o, o]", pod_env("HOME", "/tmp"), pod_env("INTENT", settings_intent_text[b->entry->known_intent]),
			pod_env_secret("POSTGRES_PASSWORD", NAME_SUPERUSER_SECRET, KEY_PASSWORD));
	if (b->entry->known_intent != INTENT_VERIFY &&
		json_array_append_new(environment, pod_env_secret("ANALYTICS_PASSWORD", NAME_ANALYTICS_SECRET, KEY_PASSWORD)) !=
			0)
		return NULL;
	if (b->sizing.allow_reset_wal && json_array_append_new(environment, pod_env("ALLOW_RESET_WAL", "true")) != 0)
		return NULL;
	char files[COUNT_SIZE];
	(void)snprintf(files, sizeof(files), "%" PRId64, restored->files);
	if (restored->files >= 0 && json_array_append_new(environment, pod_env("RESTORED_FILES", files)) != 0)
		return NULL;
	const struct engine_prepare *own = own_prepare(restored);
	AUTO(json) json_t *its_mounts = mounts();
	if (add_own(b, own, environment, its_mounts) != 0)
		return NULL;
	const struct settings_flavour *flavour = restored->flavour;
	if (add_passwords(b, environment) != 0 || add_flavour(environment, flavour) != 0 ||
		(flavour != NULL && add_joined(environment, "PRELOAD", flavour->preload, flavour->preload_count, ", ") != 0))
		return NULL;
	return pod_container(b, CONTAINER_PREPARE, image, POD_SCRIPT_PREPARE, json_incref(environment), json_incref(its_mounts));
}

// One key a line.
// clang-format off
static json_t *readiness_probe(void)
{
	return json_pack("{s:{s:[s, s, s]}, s:i, s:i}",
		"exec", "command", "/bin/sh", "-c",
			"pg_isready -q -U postgres -h " POD_RUN_MOUNT
			" && pg_isready -q -U postgres -h \"$POD_IP\" -p " POD_POSTGRES_PORT_TEXT,
		"periodSeconds", 2,
		"timeoutSeconds", 5);
}

// The key is for the container that serves alone: what is wrong with it never stops a recovery.
static int add_tls(json_t *environment, json_t *its_mounts)
{
	return json_array_append_new(environment, pod_env("TLS_DIR", POD_TLS_MOUNT)) != 0
		       ? -1
		       : json_array_append_new(its_mounts, pod_mount(TLS_VOLUME, POD_TLS_MOUNT, true));
}

// The server writes no termination message of its own: its last lines are the best there is.
static json_t *postgres_container(const struct build *b, const char *image, const struct settings_flavour *flavour)
{
	AUTO(json) json_t *environment = json_pack("[o, o]", pod_env("HOME", "/tmp"), pod_env_field("POD_IP", "status.podIP"));
	AUTO(json) json_t *its_mounts = mounts();
	if (b->settings->postgres_tls && add_tls(environment, its_mounts) != 0)
		return NULL;
	if (add_passwords(b, environment) != 0 || add_flavour(environment, flavour) != 0 ||
		(flavour != NULL && add_joined(environment, "HBA_LOCAL", flavour->hba, flavour->hba_count, "\n") != 0))
		return NULL;
	AUTO(json)
	json_t *container = pod_container(
		b, CONTAINER_POSTGRES, image, POD_SCRIPT_POSTGRES, json_incref(environment), json_incref(its_mounts));
	AUTO(json) json_t *more = json_pack("{s:[{s:s, s:i, s:s}], s:o, s:s}",
		"ports", "name", "postgres", "containerPort", POD_POSTGRES_PORT, "protocol", "TCP",
		"readinessProbe", readiness_probe(),
		"terminationMessagePolicy", "FallbackToLogsOnError");
	if (container == NULL || more == NULL || json_object_update(container, more) != 0)
		return NULL;
	return TAKE_PTR(container);
}
// clang-format on

static int label_flavour(const json_t *metadata, const struct settings_flavour *flavour)
{
	const char *label = flavour == NULL ? FLAVOUR_STOCK : settings_flavour_label(flavour);
	return json_object_set_new(json_find(metadata, "labels"), LABEL_FLAVOUR, json_string(label));
}

static json_t *pod(const struct build *b, const char *key, const struct build_restored *restored, const char *image)
{
	AUTO(json) json_t *template = pod_template(b, COMPONENT_DATABASE, key, volumes(b, key, own_prepare(restored)));
	AUTO(json)
	json_t *spec = json_pack("{s:[o], s:[o], s:i}", "initContainers", prepare_container(b, restored, image), "containers",
		postgres_container(b, image, restored->flavour), "terminationGracePeriodSeconds", TERMINATION_GRACE_SECONDS);
	if (template == NULL || spec == NULL || json_object_update(json_find(template, "spec"), spec) != 0)
		return NULL;
	const struct settings_flavour *flavour = restored->flavour;
	if (flavour != NULL && flavour->pull_secret != NULL &&
		json_object_set_new(
			json_find(template, "spec"), "imagePullSecrets", json_pack("[{s:s}]", "name", NAME_PULL_SECRET)) != 0)
		return NULL;
	return label_flavour(json_find(template, "metadata"), flavour) != 0 ? NULL : TAKE_PTR(template);
}

static int annotate_count(json_t *annotations, const char *key, int64_t count)
{
	return count < 0 ? 0 : json_object_set_new(annotations, key, json_sprintf("%" PRId64, count));
}

static json_t *deployment_metadata(
	const struct build *b, const char *name, const char *key, const struct build_restored *restored)
{
	AUTO(json) json_t *metadata = metadata_new(b, name, COMPONENT_DATABASE, key);
	char sizing[BUILD_SIZING_SIZE];
	build_sizing(&b->sizing, sizing);
	AUTO(json)
	json_t *annotations = json_pack("{s:s, s:s}", ANN_SIZING, sizing, ANN_FLAVOUR,
		restored->flavour == NULL ? FLAVOUR_STOCK : restored->flavour->name);
	if (json_object_set_new(json_find(metadata, "labels"), LABEL_VERSION, json_sprintf("%d", restored->postgres_major)) !=
			0 ||
		label_flavour(metadata, restored->flavour) != 0 ||
		annotate_count(annotations, ANN_RESTORED_BYTES, restored->bytes) != 0 ||
		annotate_count(annotations, ANN_RESTORED_FILES, restored->files) != 0 ||
		(b->settings->postgres_tls && json_object_set_new(annotations, ANN_TLS, json_string(ANN_TLS_VALUE)) != 0) ||
		json_object_set(metadata, "annotations", annotations) != 0)
		return NULL;
	return TAKE_PTR(metadata);
}

int build_database_secret(const struct build *b, const struct build_round *round, const struct build_restored *restored,
	json_t **out, struct error *err)
{
	char name[OBJECT_NAME_SIZE];
	name_deployment(round->key, name);
	const struct engine_prepare *own = own_prepare(restored);
	AUTO(json) json_t *object = NULL;
	if (json_made(opaque_new(b, name, COMPONENT_DATABASE, round->key), name, &object, err) != 0)
		return -1;
	if (metadata_own_by_volume(object, round, err) != 0)
		return error_wrap(err, "Secret %s", name);
	if (opaque_add_text(object, POD_SCRIPT_PREPARE, own == NULL ? script_prepare : own->script, err) != 0 ||
		opaque_add_text(object, POD_SCRIPT_POSTGRES, script_postgres, err) != 0)
		return -1;
	*out = TAKE_PTR(object);
	return 0;
}

// A tag or a digest of its own is left as it is.
static json_t *image_of(const struct build *b, const struct build_restored *restored)
{
	const struct settings_flavour *flavour = restored->flavour;
	const char *image = flavour != NULL && flavour->image != NULL ? flavour->image : b->settings->postgres_image;
	const char *slash = strrchr(image, '/');
	if (strpbrk(slash == NULL ? image : slash, ":@") != NULL)
		return json_string(image);
	return json_sprintf("%s:%d", image, restored->postgres_major);
}

// One key a line.
// clang-format off
// Recreate: two servers must never open one volume.
int build_deployment(const struct build *b, const struct build_round *round, const struct build_restored *restored, json_t **out,
	struct error *err)
{
	char name[OBJECT_NAME_SIZE];
	name_deployment(round->key, name);
	if (b->settings->postgres_image == NULL)
		return error_set(err, ERROR_INVALID, "Deployment %s: setting POSTGRES_IMAGE is not set", name);
	if (b->entry->known_intent < 0 || b->entry->known_intent >= INTENT_COUNT)
		return error_set(err, ERROR_INVALID, "Deployment %s: intent \"%s\" is not ours", name, b->entry->intent);

	AUTO(json) json_t *image = image_of(b, restored);
	if (image == NULL)
		return error_no_memory(err, name);
	json_begin();
	json_t *made = json_pack("{s:s, s:s, s:o, s:{s:i, s:{s:s}, s:i, s:{s:o}, s:o}}",
		"apiVersion", "apps/v1",
		"kind", "Deployment",
		"metadata", deployment_metadata(b, name, round->key, restored),
		"spec",
			"replicas", 1,
			"strategy", "type", "Recreate",
			"progressDeadlineSeconds", NO_PROGRESS_DEADLINE,
			"selector", "matchLabels", metadata_selector(b, COMPONENT_DATABASE, round->key),
			"template", pod(b, round->key, restored, json_string_value(image)));
	return json_made_whole(made, name, out, err);
}
// clang-format on
