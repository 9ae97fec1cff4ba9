#include "reconciler/steps.h"

#include "base/clock.h"
#include "base/encode.h"
#include "base/log.h"
#include "builders/objects.h"
#include "canopy/intents.h"
#include "reconciler/adopt.h"
#include "reconciler/gate.h"
#include "reconciler/patch.h"
#include "reconciler/sweep.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POSTGRES_PORT 5432

static struct build build_of(const struct operator *op, const struct round_view *v)
{
	return (struct build){.settings = op->settings, .entry = v->entry, .sizing = v->sizing, .s3_ca_pem = op->s3_ca_pem};
}

// What an earlier round asked for is a floor like the setting; the maximum holds for both.
static int64_t volume_bytes(const struct round_view *v)
{
	int64_t bytes = v->sizing.storage_size_bytes > v->replica->volume_bytes ? v->sizing.storage_size_bytes : v->replica->volume_bytes;
	return bytes > v->sizing.storage_size_maximum_bytes ? v->sizing.storage_size_maximum_bytes : bytes;
}

static struct build_round round_of(const struct round_view *v)
{
	struct build_round round = {
		.snapshot_id = v->replica->round_snapshot_id, .attempt = v->replica->attempt, .pvc_bytes = volume_bytes(v)};
	memcpy(round.key, v->replica->round, sizeof(round.key));
	return round;
}

static void say(struct operator *op, const struct replica *replica, const char *api_version, const char *kind, const char *name,
	bool is_warning, const char *reason, const char *note)
{
	const struct event_regarding regarding = {.api_version = api_version, .kind = kind, .name = name};
	events_send(op->events, replica->namespace, &regarding, is_warning, reason, reason, note);
}

// ---- provision ----

static int adopt_namespace(struct operator *op, const struct entry *entry, struct replica *out, struct error *err)
{
	AUTO(json) json_t *there = NULL;
	AUTO(replica) struct replica found = {0};
	if (k8s_get(op->k8s, &K8S_NAMESPACE, NULL, entry->namespace, &there, err) < 0 || replica_from_json(there, &found, err) < 0)
		return -1;
	if (!replica_is_of(&found, entry)) {
		say(op, &found, NULL, NULL, NULL, true, "ForeignNamespace",
			"a Namespace with this replica's name is there and is not ours: it is left alone and the replica is not made");
		return error_set(err, ERROR_INVALID, "namespace %s is foreign: it lacks our label or has another identity", entry->namespace);
	}
	if (found.is_deleting)
		return error_set(err, ERROR_TRANSIENT, "namespace %s is being deleted", entry->namespace);
	*out = found;
	found = (struct replica){0};
	return 0;
}

int step_provision(struct operator *op, const struct entry *entry, struct replica *out, struct error *err)
{
	AUTO(json) json_t *object = NULL;
	AUTO(json) json_t *answer = NULL;
	AUTO(replica) struct replica made = {0};
	struct build b = {.settings = op->settings, .entry = entry, .s3_ca_pem = op->s3_ca_pem};

	if (intents_resolve(op->settings, entry, &b.sizing, err) < 0 || build_namespace(&b, &object, err) < 0)
		return -1;
	if (k8s_create(op->k8s, &K8S_NAMESPACE, NULL, object, &answer, err) == 0) {
		if (replica_from_json(answer, &made, err) < 0)
			return -1;
		log_info("replica provisioned", LOG_STR("namespace", entry->namespace), LOG_STR("intent", entry->intent));
		metrics_add(op->metrics, METRIC_ACTIONS_TOTAL, "provision", "new", NULL, 1);
		say(op, &made, NULL, NULL, NULL, false, "Provisioned", "the Namespace of this replica was made");
	} else if (err->kind != ERROR_EXISTS || adopt_namespace(op, entry, &made, err) < 0) {
		return -1;
	}
	*out = made;
	made = (struct replica){0};
	return 0;
}

// ---- claim ----

static bool key_is_used(const struct round_view *v, const char *key)
{
	const struct scene *s = &v->scene;
	bool used = strcmp(key, v->replica->active_round) == 0;
	for (size_t i = 0; i < s->job_count; i++)
		used = used || strcmp(s->jobs[i].of.round, key) == 0;
	for (size_t i = 0; i < s->deployment_count; i++)
		used = used || strcmp(s->deployments[i].of.round, key) == 0;
	for (size_t i = 0; i < s->pvc_count; i++)
		used = used || strcmp(s->pvcs[i].of.round, key) == 0;
	return used;
}

// The next attempt of the snapshot. When canopy went to another snapshot and back, the count began anew: an attempt whose objects are
// still there is passed over, since a restore never writes over data that serves.
static int next_attempt(const struct round_view *v, int *attempt, char key[ROUND_KEY_SIZE], struct error *err)
{
	const struct replica *r = v->replica;
	bool is_same = r->round_snapshot_id != NULL && strcmp(r->round_snapshot_id, v->entry->snapshot_id) == 0;
	int next = is_same ? r->attempt : 0;
	do {
		next++;
		if (round_key(v->entry->snapshot_id, next, key, err) < 0)
			return -1;
	} while (key_is_used(v, key));
	*attempt = next;
	return 0;
}

static int claim(struct operator *op, struct round_view *v, const struct step *step, struct error *err)
{
	AUTO(patch) struct patch p = {0};
	char run_id[UUID_TEXT_SIZE], key[ROUND_KEY_SIZE];
	int attempt = 0;
	const struct replica *r = v->replica;

	if (uuid_make(run_id, err) < 0 || next_attempt(v, &attempt, key, err) < 0)
		return -1;
	bool is_other_snapshot = r->round_snapshot_id == NULL || strcmp(r->round_snapshot_id, v->entry->snapshot_id) != 0;
	patch_init(&p, r);
	patch_set(&p, ANN_RESTORE_STATE, replica_state_text[STATE_RESTORING]);
	patch_set(&p, ANN_DESIRED_SNAPSHOT_ID, v->entry->snapshot_id);
	patch_set(&p, ANN_DESIRED_SNAPSHOT_AT, v->entry->snapshot_at);
	patch_set(&p, ANN_ROUND, key);
	patch_set(&p, ANN_ROUND_SNAPSHOT_ID, v->entry->snapshot_id);
	patch_set_int(&p, ANN_ATTEMPT, attempt);
	patch_set(&p, ANN_RUN_ID, run_id);
	patch_set_time(&p, ANN_ROUND_STARTED_AT, v->now_ms);
	patch_set(&p, ANN_FORCE_REFRESH, NULL);
	patch_set(&p, ANN_TRAFFIC, NULL);
	patch_set(&p, ANN_CREDENTIALS_REFUSED, NULL);
	if (is_other_snapshot)
		patch_set(&p, ANN_FAILURES, NULL);
	if (patch_send(&p, op->k8s, v->replica, err) < 0)
		return -1;
	log_info("round claimed", LOG_STR("namespace", v->replica->namespace), LOG_STR("snapshot", v->entry->snapshot_id),
		LOG_INT("attempt", attempt), LOG_STR("round", key), LOG_STR("run_id", run_id),
		LOG_STR("reason", action_reason_text[step->reason]));
	if (step->reason != REASON_NEW)
		metrics_add(op->metrics, METRIC_ACTIONS_TOTAL, "refresh", action_reason_text[step->reason], NULL, 1);
	return 0;
}

// ---- make ----

// canopy refuses credentials for good: the round has failed, nothing is owed for it, and it is tried again when the declaration
// changes or after six hours.
static int credentials_refused(struct operator *op, struct round_view *v, const struct error *why, struct error *err)
{
	AUTO(patch) struct patch p = {0};
	char fingerprint[ROUND_KEY_SIZE];
	if (entry_fingerprint(v->entry, fingerprint, err) < 0)
		return -1;
	patch_init(&p, v->replica);
	patch_set(&p, ANN_RESTORE_STATE, replica_state_text[STATE_FAILED]);
	patch_set_time(&p, ANN_FAILED_AT, v->now_ms);
	patch_set(&p, ANN_LAST_ERROR, why->text);
	patch_set(&p, ANN_CREDENTIALS_REFUSED, fingerprint);
	if (patch_send(&p, op->k8s, v->replica, err) < 0)
		return -1;
	log_warn("credentials refused", LOG_STR("namespace", v->replica->namespace), LOG_ERR(why));
	metrics_add(op->metrics, METRIC_ROUNDS_TOTAL, "refused", NULL, NULL, 1);
	say(op, v->replica, NULL, NULL, NULL, true, "CredentialsRefused", why->text);
	return 0;
}

static int secret_from_data(const json_t *data, const char *key, struct secret *out, struct error *err)
{
	const char *encoded = NULL;
	char *plain = NULL;
	size_t len = 0;
	if (json_need_str(data, key, &encoded, err) < 0 || encode_unbase64(encoded, &plain, &len, err) < 0)
		return error_wrap(err, "key %s", key);
	int rc = secret_set(out, plain, err);
	secret_wipe(plain, len);
	free(plain);
	return rc;
}

// With WORKLIST_FILE the entry names a Secret of OPERATOR_NAMESPACE instead.
static int credentials_from_secret(
	struct operator *op, const struct entry *entry, struct canopy_credentials *out, struct error *err)
{
	AUTO(json) json_t *object = NULL;
	AUTO(canopy_credentials) struct canopy_credentials made = {.expires_at_ms = INT64_MAX};
	if (entry->secret == NULL)
		return error_set(err, ERROR_INVALID, "the entry names no secret (a Secret in %s)", op->settings->operator_namespace);
	if (k8s_get(op->k8s, &K8S_SECRET, op->settings->operator_namespace, entry->secret, &object, err) < 0)
		return -1;
	const json_t *data = json_object_get(object, "data");
	if (secret_from_data(data, "repositoryPassword", &made.repo_password, err) < 0 ||
		secret_from_data(data, "accessKeyId", &made.access_key_id, err) < 0 ||
		secret_from_data(data, "secretAccessKey", &made.secret_access_key, err) < 0 ||
		(json_object_get(data, "sessionToken") != NULL && secret_from_data(data, "sessionToken", &made.session_token, err) < 0))
		return error_wrap(err, "secret %s/%s", op->settings->operator_namespace, entry->secret);
	*out = made;
	made = (struct canopy_credentials){0};
	return 0;
}

static int get_credentials(struct operator *op, const struct round_view *v, struct canopy_credentials *out, struct error *err)
{
	if (op->canopy == NULL)
		return credentials_from_secret(op, v->entry, out, err);
	return canopy_get_credentials(op->canopy, v->entry->group_id, v->entry->type, v->replica->run_id, out, err);
}

// Unlike the other objects, a Secret that is there already gets the new keys: the old ones may have expired.
static int put_secret(struct operator *op, const struct round_view *v, const json_t *secret, struct error *err)
{
	enum adopt_result found;
	if (adopt_create(op->k8s, &K8S_SECRET, v->replica, secret, v->now_ms, &found, err) < 0)
		return -1;
	if (found == ADOPT_MADE)
		return 0;
	AUTO(json) json_t *patch = json_pack("{s:O}", "data", json_object_get(secret, "data"));
	const char *name = json_find_str(secret, "metadata", "name");
	if (patch == NULL || name == NULL)
		return error_no_memory(err, "secret");
	return k8s_patch(op->k8s, &K8S_SECRET, v->replica->namespace, name, patch, NULL, err);
}

// Our rights in the Namespace; everything else in it needs them.
static int bind_rights(struct operator *op, const struct build *b, const struct replica *replica, struct error *err)
{
	AUTO(json) json_t *binding = NULL;
	if (build_role_binding(b, &binding, err) < 0)
		return -1;
	return adopt_create(op->k8s, &K8S_ROLE_BINDING, replica, binding, clock_wall_ms(), NULL, err);
}

static int make_replica_objects(struct operator *op, const struct round_view *v, const struct build *b, struct error *err)
{
	AUTO(json) json_t *account = NULL;
	AUTO(json) json_t *policies = NULL;
	if (bind_rights(op, b, v->replica, err) < 0 || build_service_account(b, &account, err) < 0 ||
		adopt_create(op->k8s, &K8S_SERVICE_ACCOUNT, v->replica, account, v->now_ms, NULL, err) < 0 ||
		build_network_policies(b, &policies, err) < 0)
		return -1;
	size_t i;
	const json_t *policy;
	json_array_foreach(policies, i, policy) {
		if (adopt_create(op->k8s, &K8S_NETWORK_POLICY, v->replica, policy, v->now_ms, NULL, err) < 0)
			return -1;
	}
	return 0;
}

static int make_round_objects(struct operator *op, const struct round_view *v, const struct build *b,
	const struct canopy_credentials *credentials, struct error *err)
{
	AUTO(json) json_t *secret = NULL;
	AUTO(json) json_t *pvc = NULL;
	AUTO(json) json_t *job = NULL;
	const struct build_round round = round_of(v);

	if (build_restore_secret(b, &round, credentials, &secret, err) < 0 || put_secret(op, v, secret, err) < 0 ||
		build_pvc(b, &round, &pvc, err) < 0 || adopt_create(op->k8s, &K8S_PVC, v->replica, pvc, v->now_ms, NULL, err) < 0 ||
		build_restore_job(b, &round, &job, err) < 0)
		return -1;
	return adopt_create(op->k8s, &K8S_JOB, v->replica, job, v->now_ms, NULL, err);
}

static int make(struct operator *op, struct round_view *v, struct error *err)
{
	char job[OBJECT_NAME_SIZE];
	AUTO(canopy_credentials) struct canopy_credentials credentials = {0};
	const struct build b = build_of(op, v);

	// Rights and policies first: credentials are counted by canopy from their first issue, so nothing that can fail for our
	// own reasons should come between them and the Job.
	if (make_replica_objects(op, v, &b, err) < 0)
		return -1;
	if (get_credentials(op, v, &credentials, err) < 0) {
		const struct error why = *err;
		if (op->canopy != NULL && why.kind == ERROR_INVALID && why.http_status == 403)
			return credentials_refused(op, v, &why, err);
		return error_wrap(err, "credentials");
	}
	if (make_round_objects(op, v, &b, &credentials, err) < 0)
		return -1;
	name_restore(v->replica->round, job);
	log_info("restore started", LOG_STR("namespace", v->replica->namespace), LOG_STR("job", job),
		LOG_STR("run_id", v->replica->run_id));
	say(op, v->replica, "batch/v1", "Job", job, false, "RestoreStarted", v->replica->round_snapshot_id);
	return 0;
}

// ---- start ----

typedef int (*build_password_secret)(const struct build *b, const struct secret *password, json_t **out, struct error *err);

// Made once a replica: what is there stays.
static int make_password(
	struct operator *op, const struct round_view *v, const struct build *b, build_password_secret build, struct error *err)
{
	AUTO(secret) struct secret password = {0};
	AUTO(json) json_t *object = NULL;
	if (secret_make(&password, err) < 0 || build(b, &password, &object, err) < 0)
		return -1;
	return adopt_create(op->k8s, &K8S_SECRET, v->replica, object, v->now_ms, NULL, err);
}

static int start(struct operator *op, struct round_view *v, const struct step *step, struct error *err)
{
	AUTO(json) json_t *deployment = NULL;
	AUTO(patch) struct patch p = {0};
	char name[OBJECT_NAME_SIZE];
	const struct build b = build_of(op, v);
	const struct build_round round = round_of(v);
	const struct build_restored restored = {
		.postgres_major = step->restored.postgres_major, .bytes = step->restored.bytes, .files = step->restored.files};
	bool is_standing = !intents_is_once((enum settings_intent)v->entry->known_intent);

	if (make_password(op, v, &b, build_superuser_secret, err) < 0 ||
		(is_standing && make_password(op, v, &b, build_analytics_secret, err) < 0) ||
		build_deployment(&b, &round, &restored, &deployment, err) < 0 ||
		adopt_create(op->k8s, &K8S_DEPLOYMENT, v->replica, deployment, v->now_ms, NULL, err) < 0)
		return -1;
	patch_init(&p, v->replica);
	patch_set(&p, ANN_RESTORE_STATE, replica_state_text[STATE_STARTING]);
	if (v->replica->state != STATE_STARTING && patch_send(&p, op->k8s, v->replica, err) < 0)
		return -1;
	name_deployment(v->replica->round, name);
	log_info("restored", LOG_STR("namespace", v->replica->namespace), LOG_STR("deployment", name),
		LOG_INT("postgres", restored.postgres_major), LOG_INT("bytes", restored.bytes),
		LOG_STR("run_id", v->replica->run_id));
	say(op, v->replica, "apps/v1", "Deployment", name, false, "Restored", "the snapshot is restored and PostgreSQL is starting");
	return 0;
}

// ---- check ----

static int check(struct operator *op, const struct round_view *v, struct error *err)
{
	AUTO(json) json_t *object = NULL;
	AUTO(secret) struct secret password = {0};
	const struct pod_view *pod = scene_pod(&v->scene, v->replica->round, false);
	const struct deployment_view *deployment = scene_deployment(&v->scene, v->replica->round);

	if (pod == NULL || deployment == NULL)
		return error_set(err, ERROR_INTERNAL, "a check without a pod");
	if (k8s_get(op->k8s, &K8S_SECRET, v->replica->namespace, NAME_SUPERUSER_SECRET, &object, err) < 0 ||
		secret_from_data(json_object_get(object, "data"), "password", &password, err) < 0)
		return error_wrap(err, "secret %s", NAME_SUPERUSER_SECRET);
	struct check_request request = {
		.port = POSTGRES_PORT, .user = "postgres", .password = &password, .expected_major = deployment->postgres_major};
	memcpy(request.namespace, v->replica->namespace, sizeof(request.namespace));
	memcpy(request.round_key, v->replica->round, sizeof(request.round_key));
	memcpy(request.host, pod->ip, sizeof(request.host));
	return checks_start(op->checks, &request, err);
}

// ---- the end of a round ----

// What health_details holds beside grade and stage.
static int make_details(const struct round_view *v, json_t **out, struct error *err)
{
	AUTO(json) json_t *details = json_object();
	const struct deployment_view *deployment = scene_deployment(&v->scene, v->replica->round);
	const json_t *checked = v->check == CHECK_DONE ? v->check_result->details : NULL;
	int64_t seconds = (v->now_ms - v->replica->round_started_at_ms) / 1000;

	int rc = details == NULL ? -1 : 0;
	rc |= json_object_set_new(details, "attempt", json_integer(v->replica->attempt));
	if (v->replica->round_started_at_ms != REPLICA_NEVER)
		rc |= json_object_set_new(details, "restore_duration_sec", json_integer(seconds));
	if (deployment != NULL && deployment->restored_bytes >= 0)
		rc |= json_object_set_new(details, "restored_bytes", json_integer(deployment->restored_bytes));
	if (deployment != NULL && deployment->restored_files >= 0)
		rc |= json_object_set_new(details, "restored_files", json_integer(deployment->restored_files));
	if (checked != NULL) {
		AUTO(json) json_t *copy = json_deep_copy(checked);
		rc |= json_object_update(details, copy);
	}
	if (rc != 0)
		return error_no_memory(err, "health details");
	*out = TAKE_PTR(details);
	return 0;
}

static int make_report(const struct round_view *v, enum report_grade grade, const char *stage, const char *cause,
	const char *postgres_version, char **out, struct error *err)
{
	AUTO(json) json_t *details = NULL;
	AUTO(json) json_t *traffic = NULL;
	struct error ignored;
	const struct replica *r = v->replica;

	if (make_details(v, &details, err) < 0)
		return -1;
	if (r->traffic != NULL && json_parse(r->traffic, strlen(r->traffic), &traffic, &ignored) < 0)
		traffic = NULL; // a person's typing must not keep a report from leaving
	const struct report report = {.group_id = v->entry->group_id,
		.server_id = v->entry->server_id,
		.replica_id = v->entry->replica_id,
		.has_server_id = v->entry->has_server_id,
		.type = v->entry->type,
		.intent = v->entry->intent,
		.snapshot_id = r->round_snapshot_id,
		.run_id = r->run_id[0] == '\0' ? NULL : r->run_id,
		.grade = grade,
		.stage = stage,
		.cause = cause,
		.postgres_version = postgres_version,
		.observed_at_ms = v->now_ms,
		.details = details,
		.traffic = traffic};
	return report_build(&report, out, err);
}

static void count_round(struct operator *op, const struct round_view *v, enum report_grade grade)
{
	metrics_add(op->metrics, METRIC_ROUNDS_TOTAL, report_grade_text[grade], NULL, NULL, 1);
	if (v->replica->round_started_at_ms != REPLICA_NEVER)
		metrics_observe(op->metrics, METRIC_RESTORE_DURATION_SECONDS,
			(double)(v->now_ms - v->replica->round_started_at_ms) / 1000.0);
}

static int activate(struct operator *op, struct round_view *v, struct error *err)
{
	AUTO(patch) struct patch p = {0};
	AUTO_FREE char *report = NULL;
	char name[OBJECT_NAME_SIZE];
	const struct check_result *result = v->check_result;

	if (make_report(v, result->grade, result->stage, NULL, result->server_version, &report, err) < 0)
		return -1;
	patch_init(&p, v->replica);
	patch_set(&p, ANN_RESTORE_STATE, replica_state_text[STATE_ACTIVE]);
	patch_set(&p, ANN_ACTIVE_ROUND, v->replica->round);
	patch_set(&p, ANN_LAST_RESTORED_SNAPSHOT_ID, v->replica->round_snapshot_id);
	patch_set_time(&p, ANN_LAST_RESTORED_AT, v->now_ms);
	patch_set(&p, ANN_POSTGRES_VERSION, result->server_version);
	patch_set(&p, ANN_FAILURES, NULL);
	patch_set(&p, ANN_FAILED_AT, NULL);
	patch_set(&p, ANN_LAST_ERROR, NULL);
	patch_set(&p, ANN_REPORT, report);
	patch_set(&p, ANN_REPORT_ERROR, NULL);
	bool is_first = v->replica->active_round[0] == '\0';
	if (patch_send(&p, op->k8s, v->replica, err) < 0)
		return -1;
	count_round(op, v, result->grade);
	checks_forget(op->checks, v->replica->namespace, v->replica->round);
	name_deployment(v->replica->round, name);
	log_info("active", LOG_STR("namespace", v->replica->namespace), LOG_STR("round", v->replica->round),
		LOG_STR("postgres", v->replica->postgres_version), LOG_STR("run_id", v->replica->run_id));
	say(op, v->replica, "apps/v1", "Deployment", name, false, is_first ? "Active" : "Refreshed",
		"the database came up and passed its checks");
	return 0;
}

// The volume was too small: twice the size for the next round, up to the maximum.
static void enlarge_volume(struct operator *op, const struct round_view *v, struct patch *p)
{
	int64_t now = volume_bytes(v);
	bool is_capped = now >= v->sizing.storage_size_maximum_bytes / 2;
	patch_set_int(p, ANN_VOLUME_BYTES, is_capped ? v->sizing.storage_size_maximum_bytes : now * 2);
	if (now >= v->sizing.storage_size_maximum_bytes)
		say(op, v->replica, NULL, NULL, NULL, true, "VolumeAtMaximum",
			"the restore does not fit into storageSizeMaximum: raise it, or the next rounds will fail in the same way");
}

static int fail_round(struct operator *op, struct round_view *v, const struct step *step, struct error *err)
{
	AUTO(patch) struct patch p = {0};
	AUTO_FREE char *report = NULL;
	char job[OBJECT_NAME_SIZE];
	const char *version = v->check == CHECK_DONE && v->check_result->server_version[0] != '\0' ? v->check_result->server_version
											       : NULL;

	if (make_report(v, step->grade, step->stage, step->text, version, &report, err) < 0)
		return -1;
	patch_init(&p, v->replica);
	patch_set(&p, ANN_RESTORE_STATE, replica_state_text[STATE_FAILED]);
	patch_set_int(&p, ANN_FAILURES, v->replica->failures + 1);
	patch_set_time(&p, ANN_FAILED_AT, v->now_ms);
	patch_set(&p, ANN_LAST_ERROR, step->text);
	if (step->is_volume_full)
		enlarge_volume(op, v, &p);
	patch_set(&p, ANN_REPORT, report);
	patch_set(&p, ANN_REPORT_ERROR, NULL);
	if (patch_send(&p, op->k8s, v->replica, err) < 0)
		return -1;
	count_round(op, v, step->grade);
	checks_forget(op->checks, v->replica->namespace, v->replica->round);
	name_restore(v->replica->round, job);
	log_warn("round failed", LOG_STR("namespace", v->replica->namespace), LOG_STR("round", v->replica->round),
		LOG_STR("grade", report_grade_text[step->grade]), LOG_STR("stage", step->stage), LOG_STR("cause", step->text),
		LOG_STR("run_id", v->replica->run_id));
	say(op, v->replica, "batch/v1", "Job", job, true, "RestoreFailed", step->text);
	return 0;
}

// ---- after the round ----

// Service `postgres` follows active-round. It is pointed before the report leaves, so that the report is true when it is read, and
// while a report is owed each try points it again: an operator that died in between is made good for.
static int point_service(struct operator *op, const struct round_view *v, struct error *err)
{
	AUTO(json) json_t *service = NULL;
	const struct build b = build_of(op, v);
	if (v->entry == NULL || v->replica->active_round[0] == '\0' || v->replica->state != STATE_ACTIVE)
		return 0;
	if (build_service(&b, v->replica->active_round, &service, err) < 0 ||
		k8s_apply(op->k8s, &K8S_SERVICE, v->replica->namespace, service, NULL, err) < 0)
		return adopt_soften(v->replica, v->now_ms, err);
	return 0;
}

int step_do(struct operator *op, struct round_view *view, const struct step *step, struct memo *memo, bool *again,
	struct error *err)
{
	int rc = 0;
	*again = step->kind == STEP_CLAIM || step->kind == STEP_ACTIVATE || step->kind == STEP_FAIL || step->kind == STEP_REPORT;
	switch (step->kind) {
	case STEP_WAIT:
		break;
	case STEP_CLAIM:
		rc = claim(op, view, step, err);
		break;
	case STEP_MAKE:
		rc = make(op, view, err);
		break;
	case STEP_START:
		rc = start(op, view, step, err);
		break;
	case STEP_CHECK:
		rc = check(op, view, err);
		break;
	case STEP_ACTIVATE:
		rc = activate(op, view, err);
		break;
	case STEP_FAIL:
		rc = fail_round(op, view, step, err);
		break;
	case STEP_REPORT:
		rc = point_service(op, view, err);
		if (rc == 0)
			rc = gate_send(op, view->replica, memo, view->now_ms, err);
		break;
	case STEP_DISCARD:
		rc = sweep_all(op, view, err);
		break;
	case STEP_SWEEP:
		rc = sweep_over(op, view, err);
		break;
	}
	return rc < 0 ? error_wrap(err, "%s", step_kind_text[step->kind]) : 0;
}

int step_teardown(struct operator *op, const struct replica *replica, struct error *err)
{
	if (k8s_delete(op->k8s, &K8S_NAMESPACE, NULL, replica->namespace, replica->uid, replica->resource_version, err) < 0)
		return error_wrap(err, "teardown");
	log_info("replica torn down", LOG_STR("namespace", replica->namespace), LOG_STR("intent", replica->intent));
	metrics_add(op->metrics, METRIC_ACTIONS_TOTAL, "teardown", "gone", NULL, 1);
	say(op, replica, NULL, NULL, NULL, false, "TornDown", "the replica left the worklist");
	return 0;
}

static bool differs(const char *wanted, const char *is)
{
	return wanted == NULL ? is != NULL : is == NULL || strcmp(wanted, is) != 0;
}

int step_note_desired(struct operator *op, const struct entry *entry, struct replica *replica, struct error *err)
{
	if (!differs(entry->snapshot_id, replica->desired_snapshot_id) && !differs(entry->snapshot_at, replica->desired_snapshot_at))
		return 0;
	AUTO(patch) struct patch p;
	patch_init(&p, replica);
	patch_set(&p, ANN_DESIRED_SNAPSHOT_ID, entry->snapshot_id);
	patch_set(&p, ANN_DESIRED_SNAPSHOT_AT, entry->snapshot_at);
	return patch_send(&p, op->k8s, replica, err);
}
