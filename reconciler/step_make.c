#include "reconciler/step_parts.h"

#include "base/log.h"
#include "base/clock.h"
#include "reconciler/access.h"
#include "reconciler/adopt.h"
#include "reconciler/patch.h"
#include "reconciler/source_login.h"
#include <stdio.h>

#define NOTE_SIZE 256

// canopy refuses credentials for good: the round has failed, nothing is owed for it, and it is tried again when the declaration
// changes or after six hours.
static int credentials_refused(struct manager *op, struct round_view *v, const struct error *why, struct error *err)
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
	log_warn("credentials refused", LOG_STR("namespace", v->replica->namespace), LOG_STR("round", v->replica->round),
		LOG_STR("run_id", v->replica->run_id), LOG_ERR(why));
	metrics_add(op->metrics, METRIC_ROUNDS_TOTAL, "refused", NULL, NULL, 1);
	step_say(op, v->replica, NULL, NULL, NULL, true, "CredentialsRefused", why->text);
	return 0;
}

// With WORKLIST_FILE the entry names a Secret of OPERATOR_NAMESPACE instead.
static int credentials_from_secret(
	struct manager *op, const struct entry *entry, struct canopy_credentials *out, struct error *err)
{
	if (entry->secret == NULL && entry_storage(entry) == STORAGE_AZURE && entry->client_id != NULL)
		return 0;
	if (entry->secret == NULL)
		return error_set(
			err, ERROR_INVALID, "the entry names no secret (a Secret in %s)", op->settings->operator_namespace);
	return access_keys_from_secret(op->k8s, op->settings, entry, out, err);
}

static int get_credentials(struct manager *op, const struct round_view *v, struct canopy_credentials *out, struct error *err)
{
	if (!manager_leads(op))
		return error_set(err, ERROR_CANCELLED, "this operator does not lead: no credentials are asked for");
	if (entry_storage(v->entry) == STORAGE_FILE && (v->entry->secret == NULL || op->canopy != NULL))
		return 0; // a volume wants none; what decrypts it may be in one
	if (op->canopy == NULL)
		return credentials_from_secret(op, v->entry, out, err);
	return canopy_get_credentials(op->canopy, v->entry->group_id, v->entry->type, v->replica->run_id, out, err);
}

// Our rights in the Namespace; everything else in it needs them.
static int bind_rights(struct manager *op, const struct build *b, const struct replica *replica, struct error *err)
{
	AUTO(json) json_t *binding = NULL;
	if (build_role_binding(b, &binding, err) < 0)
		return -1;
	return adopt_create(op, &K8S_ROLE_BINDING, replica, binding, clock_wall_ms(), NULL, err);
}

static int make_replica_objects(struct manager *op, const struct round_view *v, const struct build *b, struct error *err)
{
	AUTO(json) json_t *account = NULL;
	AUTO(json) json_t *policies = NULL;
	if (bind_rights(op, b, v->replica, err) < 0 || build_service_account(b, &account, err) < 0 ||
		adopt_create(op, &K8S_SERVICE_ACCOUNT, v->replica, account, v->now_ms, NULL, err) < 0 ||
		build_network_policies(b, &policies, err) < 0)
		return -1;
	size_t i;
	const json_t *policy;
	json_array_foreach (policies, i, policy) {
		if (adopt_create(op, &K8S_NETWORK_POLICY, v->replica, policy, v->now_ms, NULL, err) < 0)
			return -1;
	}
	return 0;
}

static int make_volume(
	struct manager *op, const struct round_view *v, const struct build *b, struct adopted *out, struct error *err)
{
	AUTO(json) json_t *pvc = NULL;
	const struct build_round round = step_round(v);
	return build_pvc(b, &round, &pvc, err) < 0 ? -1 : adopt_create(op, &K8S_PVC, v->replica, pvc, v->now_ms, out, err);
}

static int make_secret_and_job(struct manager *op, const struct round_view *v, const struct build *b,
	const struct canopy_credentials *credentials, const struct adopted *volume, struct error *err)
{
	AUTO(json) json_t *secret = NULL;
	AUTO(json) json_t *job = NULL;
	struct build_round round = step_round(v);
	round.volume_uid = volume->uid;

	if (build_restore_secret(b, &round, credentials, &secret, err) < 0 || step_put_secret(op, v, secret, err) < 0 ||
		build_restore_job(b, &round, &job, err) < 0)
		return -1;
	return adopt_create(op, &K8S_JOB, v->replica, job, v->now_ms, NULL, err);
}

int step_make(struct manager *op, struct round_view *v, struct error *err)
{
	char job[OBJECT_NAME_SIZE], note[NOTE_SIZE];
	AUTO(canopy_credentials) struct canopy_credentials credentials = {0};
	AUTO(source_login) struct source_login login = {0};
	struct adopted volume;
	const struct build b = step_build(op, v);

	// Not needed before the database is tested; that it cannot be had is better known now.
	if (source_login_read(op, v, &login, err) < 0)
		return -1;
	// Rights, policies and volume first: credentials are counted by canopy from their first issue, so nothing that can fail
	// for our own reasons should come between them and the Job.
	if (make_replica_objects(op, v, &b, err) < 0 || make_volume(op, v, &b, &volume, err) < 0)
		return -1;
	if (get_credentials(op, v, &credentials, err) < 0) {
		const struct error why = *err;
		if (op->canopy != NULL && why.kind == ERROR_INVALID && why.http_status == 403)
			return credentials_refused(op, v, &why, err);
		return error_wrap(err, "credentials");
	}
	if (make_secret_and_job(op, v, &b, &credentials, &volume, err) < 0)
		return -1;
	name_restore(v->replica->round, job);
	log_info("restore started", LOG_STR("namespace", v->replica->namespace), LOG_STR("job", job),
		LOG_STR("run_id", v->replica->run_id));
	(void)snprintf(
		note, sizeof(note), "restoring snapshot %s, attempt %d", v->replica->round_snapshot_id, v->replica->attempt);
	step_say(op, v->replica, "batch/v1", "Job", job, false, "RestoreStarted", note);
	return 0;
}
