#include "reconciler/steps.h"

#include "base/clock.h"
#include "base/log.h"
#include "canopy/intents.h"
#include "reconciler/adopt.h"
#include "reconciler/gate.h"
#include "reconciler/patch.h"
#include "reconciler/server_tls.h"
#include "reconciler/step_parts.h"
#include "reconciler/sweep.h"
#include <string.h>

struct build step_build(const struct manager *op, const struct round_view *v)
{
	const struct trust *trust = authority_trust(op->authority);
	const char *bundle_pem = trust == NULL ? NULL : trust->bundle_pem;
	return (struct build){.settings = op->settings,
		.entry = v->entry,
		.sizing = v->sizing,
		.s3_ca_pem = op->s3_ca_pem,
		.broker_ca_pem = bundle_pem,
		.postgres_ca_pem = op->settings->postgres_tls ? bundle_pem : NULL,
		.has_native_sidecars = op->has_native_sidecars};
}

struct build_round step_round(const struct round_view *v)
{
	struct build_round round = {.snapshot_id = v->replica->round_snapshot_id,
		.attempt = v->replica->attempt,
		.backup = v->replica->backup,
		.run_id = v->replica->run_id,
		.pvc_bytes = round_volume_bytes(v)};
	memcpy(round.key, v->replica->round, sizeof(round.key));
	return round;
}

int step_put_secret(struct manager *op, const struct round_view *v, const json_t *secret, struct error *err)
{
	struct adopted there;
	if (adopt_create(op, &K8S_SECRET, v->replica, secret, v->now_ms, &there, err) < 0)
		return -1;
	if (there.result == ADOPT_MADE)
		return 0;
	// With the version that was read: a patch of an operator that is long gone must not bring back its keys.
	AUTO(json)
	json_t *patch = json_pack("{s:{s:s, s:O*}, s:O}", "metadata", "resourceVersion", there.resource_version,
		"ownerReferences", json_find(secret, "metadata", "ownerReferences"), "data", json_object_get(secret, "data"));
	const char *name = json_find_str(secret, "metadata", "name");
	if (patch == NULL || name == NULL)
		return error_no_memory(err, "secret");
	return k8s_patch(op->k8s, &K8S_SECRET, v->replica->namespace, name, patch, NULL, err);
}

// "" when the cache does not know it. `kubectl describe` shows the Events of an object by its uid.
static void find_uid(struct manager *op, const char *namespace, const char *name, char out[REPLICA_UID_SIZE])
{
	struct error ignored;
	AUTO(look_value) struct look look = {0};
	if (cache_look(op->cache, namespace, &look, &ignored) < 0)
		return;
	for (size_t i = 0; i < look.scene.job_count; i++)
		if (strcmp(look.scene.jobs[i].of.name, name) == 0)
			memcpy(out, look.scene.jobs[i].of.uid, sizeof(look.scene.jobs[i].of.uid));
	for (size_t i = 0; i < look.scene.deployment_count; i++)
		if (strcmp(look.scene.deployments[i].of.name, name) == 0)
			memcpy(out, look.scene.deployments[i].of.uid, sizeof(look.scene.deployments[i].of.uid));
}

void step_say(struct manager *op, const struct replica *replica, const char *api_version, const char *kind, const char *name,
	bool is_warning, const char *reason, const char *note)
{
	char uid[REPLICA_UID_SIZE] = "";
	if (kind == NULL)
		memcpy(uid, replica->uid, sizeof(uid));
	else
		find_uid(op, replica->namespace, name, uid);
	const struct event_regarding regarding = {
		.api_version = api_version, .kind = kind, .name = name, .uid = uid[0] == '\0' ? NULL : uid};
	events_send(op->events, replica->namespace, &regarding, is_warning, reason, reason, note);
}

static int adopt_namespace(struct manager *op, const struct entry *entry, struct replica *out, struct error *err)
{
	AUTO(json) json_t *there = NULL;
	AUTO(replica) struct replica found = {0};
	if (k8s_get(op->k8s, &K8S_NAMESPACE, NULL, entry->namespace, &there, err) < 0 ||
		replica_from_json(there, &found, err) < 0)
		return -1;
	if (!replica_is_of(&found, entry)) {
		step_say(op, &found, NULL, NULL, NULL, true, "ForeignNamespace",
			"a Namespace with this replica's name is there and is not ours: it is left alone and the replica is not "
			"made");
		return error_set(err, ERROR_EXISTS, "namespace %s is foreign: it lacks our label or has another identity",
			entry->namespace);
	}
	if (found.is_deleting)
		return error_set(err, ERROR_TRANSIENT, "namespace %s is being deleted", entry->namespace);
	*out = found;
	found = (struct replica){0};
	return 0;
}

int step_provision(struct manager *op, const struct entry *entry, bool has_slot, struct replica *out, enum adopt_result *found,
	struct error *err)
{
	AUTO(json) json_t *object = NULL;
	AUTO(json) json_t *answer = NULL;
	AUTO(replica) struct replica made = {0};
	struct build b = {.settings = op->settings, .entry = entry, .s3_ca_pem = op->s3_ca_pem};

	if (intents_resolve(op->settings, entry, &b.sizing, err) < 0 || build_namespace(&b, &object, err) < 0)
		return -1;
	if (has_slot && entry->snapshot_id != NULL && step_claim_first(entry, clock_wall_ms(), object, err) < 0)
		return -1;
	*found = ADOPT_MADE;
	if (k8s_create(op->k8s, &K8S_NAMESPACE, NULL, object, &answer, err) == 0) {
		if (replica_from_json(answer, &made, err) < 0)
			return -1;
		log_info("replica provisioned", LOG_STR("namespace", entry->namespace), LOG_STR("intent", entry->intent));
		if (made.state == STATE_RESTORING)
			step_say_claimed(&made, REASON_NEW);
		metrics_add(op->metrics, METRIC_ACTIONS_TOTAL, "provision", "new", NULL, 1);
		step_say(op, &made, NULL, NULL, NULL, false, "Provisioned", "the Namespace of this replica was made");
	} else if (err->kind != ERROR_EXISTS || adopt_namespace(op, entry, &made, err) < 0) {
		return -1;
	} else {
		*found = ADOPT_FOUND;
	}
	*out = made;
	made = (struct replica){0};
	return 0;
}

// People are told what the round that serves now speaks before canopy is. Trouble with that must not keep the report; but a
// replica that somebody else has written in between is read again before anything leaves.
static int tell_before_report(struct manager *op, struct round_view *v, struct error *err)
{
	struct error trouble = {0};
	if (v->entry == NULL || step_keep_tls(op, v, &trouble) == 0)
		return 0;
	if (trouble.kind == ERROR_CONFLICT) {
		*err = trouble;
		return -1;
	}
	log_warn("TLS of the database not brought up to date", LOG_STR("namespace", v->replica->namespace), LOG_ERR(&trouble));
	return 0;
}

int step_keep_tls(struct manager *op, struct round_view *view, struct error *err)
{
	const struct build b = step_build(op, view);
	return server_tls_keep(op, view, &b, err);
}

int step_do(
	struct manager *op, struct round_view *view, const struct step *step, struct memo *memo, bool *again, struct error *err)
{
	int rc = 0;
	*again = step->kind == STEP_CLAIM || step->kind == STEP_ACTIVATE || step->kind == STEP_FAIL || step->kind == STEP_REPORT;
	switch (step->kind) {
	case STEP_WAIT:
		break;
	case STEP_CLAIM:
		rc = step_claim(op, view, step, err);
		break;
	case STEP_MAKE:
		rc = step_make(op, view, err);
		break;
	case STEP_START:
		rc = step_start(op, view, step, err);
		break;
	case STEP_CHECK:
		rc = step_check(op, view, err);
		break;
	case STEP_ACTIVATE:
		rc = step_activate(op, view, step, err);
		break;
	case STEP_FAIL:
		rc = step_fail(op, view, step, err);
		break;
	case STEP_REPORT:
		rc = step_point_service(op, view, err);
		if (rc == 0)
			rc = tell_before_report(op, view, err);
		if (rc == 0)
			rc = gate_send(op, view->replica, memo, view->now_ms, clock_mono_ms(), err);
		break;
	case STEP_DISCARD:
		rc = sweep_all(op, view, err);
		break;
	case STEP_RESIZE:
		rc = step_resize(op, view, err);
		break;
	case STEP_SWEEP:
		rc = sweep_over(op, view, err);
		break;
	}
	return rc < 0 ? error_wrap(err, "%s", step_kind_text[step->kind]) : 0;
}

int step_teardown(struct manager *op, const struct replica *replica, struct error *err)
{
	if (k8s_delete(op->k8s, &K8S_NAMESPACE, NULL, replica->namespace, replica->uid, replica->resource_version, err) < 0)
		return error_wrap(err, "teardown");
	cache_deleted(op->cache, &K8S_NAMESPACE, NULL, replica->namespace, replica->uid);
	checks_forget(op->checks, replica->namespace, replica->round);
	log_info("replica torn down", LOG_STR("namespace", replica->namespace), LOG_STR("intent", replica->intent));
	metrics_add(op->metrics, METRIC_ACTIONS_TOTAL, "teardown", "gone", NULL, 1);
	step_say(op, replica, NULL, NULL, NULL, false, "TornDown", "the replica left the worklist");
	return 0;
}

int step_note_desired(struct manager *op, const struct entry *entry, struct replica *replica, struct error *err)
{
	AUTO(patch) struct patch p;
	patch_init(&p, replica);
	patch_set(&p, ANN_DESIRED_SNAPSHOT_ID, entry->snapshot_id);
	patch_set(&p, ANN_DESIRED_SNAPSHOT_AT, entry->snapshot_at);
	return patch_send(&p, op->k8s, replica, err);
}
