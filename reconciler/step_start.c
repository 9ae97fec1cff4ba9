#include "reconciler/step_parts.h"

#include "base/log.h"
#include "canopy/intents.h"
#include "reconciler/adopt.h"
#include "reconciler/flavour.h"
#include "reconciler/patch.h"
#include "reconciler/secret_data.h"
#include "reconciler/server_tls.h"
#include "reconciler/source_login.h"
#include <string.h>

#define POSTGRES_PORT 5432

typedef int (*build_password_secret)(const struct build *b, const struct secret *password, json_t **out, struct error *err);

// Made once a replica: what is there stays.
static int make_password(struct manager *op, const struct round_view *v, const struct build *b, build_password_secret build,
	struct adopted *found, struct error *err)
{
	AUTO(secret) struct secret password = {0};
	AUTO(json) json_t *object = NULL;
	if (secret_make(&password, err) < 0 || build(b, &password, &object, err) < 0)
		return -1;
	return adopt_create(op, &K8S_SECRET, v->replica, object, v->now_ms, found, err);
}

static int make_secrets(struct manager *op, const struct round_view *v, const struct build *b, struct patch *p, struct error *err)
{
	struct adopted found = {.result = ADOPT_FOUND};
	bool is_standing = !intents_is_once((enum settings_intent)v->entry->known_intent);
	if (make_password(op, v, b, build_superuser_secret, NULL, err) < 0 ||
		(is_standing && make_password(op, v, b, build_analytics_secret, &found, err) < 0))
		return -1;
	if (found.result == ADOPT_MADE)
		server_tls_note_told(b, authority_trust(op->authority), p);
	return server_tls_provide(op, v, b, p, err);
}

// What the pod runs. Like the Secret of the restore it belongs to the volume.
static int make_scripts(struct manager *op, const struct round_view *v, const struct build *b,
	const struct build_restored *restored, struct error *err)
{
	AUTO(json) json_t *secret = NULL;
	const struct pvc_view *volume = scene_pvc(&v->scene, v->replica->round);
	struct build_round round = step_round(v);
	if (volume == NULL)
		return error_set(err, ERROR_TRANSIENT, "the volume of round %s has not been seen yet", round.key);
	round.volume_uid = volume->of.uid;
	return build_database_secret(b, &round, restored, &secret, err) < 0 ? -1 : step_put_secret(op, v, secret, err);
}

// What the image of the flavour is pulled with, from the operator's Namespace, as it is there now.
static int make_pull_secret(struct manager *op, const struct round_view *v, const struct build *b,
	const struct settings_flavour *flavour, struct error *err)
{
	AUTO(json) json_t *source = NULL;
	AUTO(json) json_t *object = NULL;
	if (flavour->pull_secret == NULL)
		return 0;
	if (secret_data_named(op->k8s, op->settings->operator_namespace, flavour->pull_secret, &source, err) < 0 ||
		build_pull_secret(b, source, &object, err) < 0)
		return error_wrap(err, "flavour %s: pullSecret %s", flavour->name, flavour->pull_secret);
	return step_put_secret(op, v, object, err);
}

int step_start(struct manager *op, struct round_view *v, const struct step *step, struct error *err)
{
	AUTO(json) json_t *deployment = NULL;
	AUTO(patch) struct patch p = {0};
	char name[OBJECT_NAME_SIZE];
	const struct build b = step_build(op, v);
	const struct build_round round = step_round(v);
	struct build_restored restored = {.postgres_major = step->restored.postgres_major,
		.bytes = step->restored.bytes,
		.files = step->restored.files,
		.engine = step->restored.engine};

	patch_init(&p, v->replica);
	if (flavour_choose(v, step->restored.flavour, &restored.flavour, err) < 0 ||
		make_pull_secret(op, v, &b, restored.flavour, err) < 0 || make_secrets(op, v, &b, &p, err) < 0 ||
		make_scripts(op, v, &b, &restored, err) < 0 || build_deployment(&b, &round, &restored, &deployment, err) < 0 ||
		adopt_create(op, &K8S_DEPLOYMENT, v->replica, deployment, v->now_ms, NULL, err) < 0)
		return -1;
	patch_set(&p, ANN_RESTORE_STATE, replica_state_text[STATE_STARTING]);
	if (step->restored.backup[0] != '\0')
		patch_set(&p, ANN_BACKUP, step->restored.backup);
	patch_set(&p, ANN_FLAVOUR, restored.flavour->name);
	if (v->replica->state != STATE_STARTING && patch_send(&p, op->k8s, v->replica, err) < 0)
		return -1;
	name_deployment(v->replica->round, name);
	log_info("restored", LOG_STR("namespace", v->replica->namespace), LOG_STR("deployment", name),
		LOG_INT("postgres", restored.postgres_major), LOG_INT("bytes", restored.bytes),
		LOG_STR("run_id", v->replica->run_id));
	step_say(op, v->replica, "apps/v1", "Deployment", name, false, "Restored",
		"the snapshot is restored and PostgreSQL is starting");
	return 0;
}

bool step_check_request(const struct round_view *v, struct check_request *out)
{
	const struct pod_view *pod = scene_pod(&v->scene, v->replica->round, false);
	const struct deployment_view *deployment = scene_deployment(&v->scene, v->replica->round);
	if (pod == NULL || deployment == NULL)
		return false;
	*out = (struct check_request){.port = POSTGRES_PORT,
		.user = "postgres",
		.expected_major = deployment->postgres_major,
		.depth = v->sizing.depth,
		.service_type = v->sizing.service_type,
		.service_timeout_ms = v->sizing.service_timeout_ms,
		.is_standing = v->entry != NULL && !intents_is_once((enum settings_intent)v->entry->known_intent)};
	memcpy(out->namespace, v->replica->namespace, sizeof(out->namespace));
	memcpy(out->round_key, v->replica->round, sizeof(out->round_key));
	memcpy(out->host, pod->ip, sizeof(out->host));
	return true;
}

int step_check(struct manager *op, const struct round_view *v, struct error *err)
{
	AUTO(json) json_t *object = NULL;
	AUTO(secret) struct secret password = {0};
	AUTO(source_login) struct source_login login = {0};
	struct check_request request;
	const struct build b = step_build(op, v);

	if (!step_check_request(v, &request))
		return error_set(err, ERROR_INTERNAL, "a check without a pod");
	if (source_login_read(op, v, &login, err) < 0 || step_make_services(op, v, &b, err) < 0)
		return -1;
	source_login_give(&login, &request);
	request.find_service = step_find_service;
	request.find_service_arg = op;
	if (k8s_get(op->k8s, &K8S_SECRET, v->replica->namespace, NAME_SUPERUSER_SECRET, &object, err) < 0 ||
		secret_data_get(json_object_get(object, "data"), "password", &password, err) < 0)
		return error_wrap(err, "secret %s", NAME_SUPERUSER_SECRET);
	request.password = &password;
	if (scene_deployment(&v->scene, v->replica->round)->has_tls) {
		const struct trust *trust = authority_trust(op->authority);
		if (trust == NULL)
			return error_set(err, ERROR_TRANSIENT, "the operator has no CA yet");
		server_tls_name(v->replica->namespace, request.tls_name);
		request.ca_pem = trust->bundle_pem;
	}
	return checks_start(op->checks, &request, err);
}

int step_resize(struct manager *op, const struct round_view *v, struct error *err)
{
	AUTO(json) json_t *patch = NULL;
	AUTO(json) json_t *answer = NULL;
	const struct build b = step_build(op, v);
	const struct workload *of = &scene_deployment(&v->scene, v->replica->active_round)->of;

	if (build_resize(&b, of->uid, &patch, err) < 0 ||
		k8s_patch_strategic(op->k8s, &K8S_DEPLOYMENT, of->namespace, of->name, patch, &answer, err) < 0)
		return -1;
	cache_saw(op->cache, &K8S_DEPLOYMENT, answer);
	log_info("resized", LOG_STR("namespace", of->namespace), LOG_STR("deployment", of->name));
	step_say(op, v->replica, "apps/v1", "Deployment", of->name, false, "Resized",
		"CPU and memory were changed as the worklist or the settings say: PostgreSQL starts again");
	return 0;
}
