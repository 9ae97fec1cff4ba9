#include "reconciler/round.h"

#include "builders/exit_codes.h"
#include <stdio.h>
#include <string.h>

const char *const step_kind_text[] = {
	[STEP_WAIT] = "wait",
	[STEP_CLAIM] = "claim",
	[STEP_MAKE] = "make",
	[STEP_START] = "start",
	[STEP_CHECK] = "check",
	[STEP_ACTIVATE] = "activate",
	[STEP_FAIL] = "fail",
	[STEP_REPORT] = "report",
	[STEP_DISCARD] = "discard",
	[STEP_SWEEP] = "sweep",
};

static void wait_for(struct step *out, const char *what)
{
	out->kind = STEP_WAIT;
	(void)snprintf(out->text, sizeof(out->text), "%s", what);
}

static void fail(struct step *out, enum report_grade grade, const char *stage, const char *cause)
{
	out->kind = STEP_FAIL;
	out->grade = grade;
	(void)snprintf(out->stage, sizeof(out->stage), "%s", stage);
	(void)snprintf(out->text, sizeof(out->text), "%s", cause);
}

// Begin a round when one is due; false when none is.
static bool claim_if_due(const struct round_view *v, struct step *out)
{
	if (v->entry == NULL)
		return false;
	struct action act = diff_next_round(v->entry, v->replica, v->settings, v->now_ms);
	if (act.kind != ACTION_REFRESH)
		return false;
	out->reason = act.reason;
	if (!v->has_slot) {
		out->wants_slot = true;
		wait_for(out, "a free slot for its restore (MAX_CONCURRENT_RESTORES)");
		return false;
	}
	out->kind = STEP_CLAIM;
	return true;
}

static void pending_step(const struct round_view *v, struct step *out)
{
	wait_for(out, "a snapshot: the backup has none yet");
	if (v->entry != NULL && v->entry->snapshot_id != NULL)
		wait_for(out, "its turn");
	(void)claim_if_due(v, out);
}

// Whether an exit code of our scripts says that the data itself is at fault. All else is the cluster's, the network's or the
// credentials' doing, and the backup has not been judged.
static bool blames_the_backup(int exit_code)
{
	return exit_code == EXIT_SNAPSHOT_GONE || exit_code == EXIT_NO_CLUSTER || exit_code == EXIT_INCOMPLETE ||
	       exit_code == EXIT_RECOVERY_FAILED;
}

// The engine's own sentence where it left one, else what Kubernetes says of the pod, else what it says of the Job.
static void restore_failed(const struct job_view *job, const struct pod_view *pod, struct step *out)
{
	char cause[ERROR_TEXT_MAX];
	struct restore_message said = {0};
	bool has_said = pod != NULL && restore_message_parse(pod->message, &said) && said.error[0] != '\0';

	if (has_said)
		(void)snprintf(cause, sizeof(cause), "%.400s (%s)", said.error, job->reason);
	else if (pod != NULL && pod->ended_reason[0] != '\0')
		(void)snprintf(cause, sizeof(cause), "the restore pod ended with exit code %d, %s: %.200s (%s)", pod->exit_code,
			pod->ended_reason, pod->message == NULL ? "it left no message" : pod->message, job->reason);
	else if (pod != NULL && pod->waiting_reason[0] != '\0')
		(void)snprintf(cause, sizeof(cause), "the restore pod did not run: %s: %.300s (%s)", pod->waiting_reason,
			pod->waiting_message, job->reason);
	else
		(void)snprintf(cause, sizeof(cause), "%s: %.400s", job->reason, job->message);
	bool is_backup = has_said && blames_the_backup(pod->exit_code);
	out->is_volume_full = pod != NULL && pod->exit_code == EXIT_VOLUME_FULL;
	fail(out, is_backup ? GRADE_FAILED : GRADE_INCONCLUSIVE, has_said && said.stage[0] != '\0' ? said.stage : "restore",
		cause);
}

static void restored_step(const struct round_view *v, struct step *out)
{
	const struct pod_view *pod = scene_pod(&v->scene, v->replica->round, true);
	if (pod == NULL || !restore_message_parse(pod->message, &out->restored)) {
		fail(out, GRADE_INCONCLUSIVE, "restore",
			"the restore ended well but its termination message is lost, so the PostgreSQL version is unknown");
		return;
	}
	if (out->restored.postgres_major <= 0) {
		fail(out, GRADE_INCONCLUSIVE, "restore", "the termination message of the restore names no PostgreSQL version");
		return;
	}
	out->kind = STEP_START;
}

static void restoring_step(const struct round_view *v, struct step *out)
{
	const struct job_view *job = scene_job(&v->scene, v->replica->round);
	const struct pod_view *pod = scene_pod(&v->scene, v->replica->round, true);
	if (job == NULL)
		out->kind = STEP_MAKE;
	else if (job->outcome == JOB_RUNNING && pod != NULL && pod->has_lost_sidecar)
		fail(out, GRADE_INCONCLUSIVE, "restore",
			"the restore pod lost the restartPolicy of its sidecar: a webhook with an old API drops it, and the pod "
			"hangs");
	else if (job->of.is_deleting)
		wait_for(out, "the restore Job that is being deleted");
	else if (job->outcome == JOB_FAILED)
		restore_failed(job, pod, out);
	else if (job->outcome == JOB_COMPLETE)
		restored_step(v, out);
	else
		wait_for(out, "the restore Job");
}

static bool has_passed(const struct check_result *result)
{
	return result->grade == GRADE_CLEAN || result->grade == GRADE_REPAIRED;
}

static void checked_step(const struct round_view *v, struct step *out)
{
	if (v->check == CHECK_NONE)
		out->kind = STEP_CHECK;
	else if (v->check == CHECK_RUNNING)
		wait_for(out, "the checks of the database");
	else if (has_passed(v->check_result))
		out->kind = STEP_ACTIVATE;
	else
		fail(out, v->check_result->grade, v->check_result->stage, v->check_result->cause);
}

// Whose fault it is that PostgreSQL does not come up: what the prepare step found in the data is the backup's, all else the
// cluster's.
static void not_ready(const struct pod_view *pod, struct step *out)
{
	char cause[ERROR_TEXT_MAX];
	struct restore_message said = {0};
	bool has_said = pod != NULL && restore_message_parse(pod->message, &said) && said.error[0] != '\0';

	if (has_said)
		(void)snprintf(cause, sizeof(cause), "%s", said.error);
	else if (pod == NULL)
		(void)snprintf(cause, sizeof(cause), "PostgreSQL was not available in time and has no pod");
	else if (pod->ended_container[0] != '\0')
		(void)snprintf(cause, sizeof(cause),
			"PostgreSQL was not available in time: container %s ended with exit code %d, %s: %.200s",
			pod->ended_container, pod->exit_code, pod->ended_reason, pod->message == NULL ? "" : pod->message);
	else
		(void)snprintf(cause, sizeof(cause), "PostgreSQL was not available in time: %s: %.300s",
			pod->waiting_reason[0] != '\0' ? pod->waiting_reason : "it does not answer", pod->waiting_message);
	bool is_backup = has_said && blames_the_backup(pod->exit_code);
	fail(out, is_backup ? GRADE_FAILED : GRADE_INCONCLUSIVE, has_said && said.stage[0] != '\0' ? said.stage : "start", cause);
}

static bool is_overdue(const struct round_view *v, const struct deployment_view *deployment)
{
	int64_t wall_ms = diff_elapsed_ms(v->now_ms, deployment->of.created_at_ms);
	return (v->starting_ms > 0 ? v->starting_ms : wall_ms) > v->sizing.ready_timeout_ms;
}

static void starting_step(const struct round_view *v, struct step *out)
{
	const struct deployment_view *deployment = scene_deployment(&v->scene, v->replica->round);
	if (deployment == NULL) {
		// Gone, or never made: the Job still says what to start.
		restoring_step(v, out);
		return;
	}
	const struct pod_view *pod = scene_pod(&v->scene, v->replica->round, false);
	if (deployment->of.is_deleting)
		wait_for(out, "the Deployment that is being deleted");
	else if (deployment->is_available && pod != NULL && pod->ip[0] != '\0')
		checked_step(v, out);
	else if (v->check == CHECK_RUNNING)
		wait_for(out, "the checks of the database");
	else if (is_overdue(v, deployment))
		not_ready(pod, out);
	else
		wait_for(out, "PostgreSQL to come up");
}

bool round_is_over(const struct round_view *v, const char *key)
{
	const struct replica *r = v->replica;
	bool is_active = strcmp(key, r->active_round) == 0;
	bool is_in_hand = replica_has_round_in_hand(r) && strcmp(key, r->round) == 0;
	// The grace runs from the switch for the round that served before, and from the failure for the one that failed.
	int64_t since = r->state == STATE_FAILED ? r->failed_at_ms : r->last_restored_at_ms;
	bool is_in_grace = since != REPLICA_NEVER && diff_elapsed_ms(v->now_ms, since) < v->sizing.switchover_grace_ms;
	return key[0] != '\0' && !is_active && !is_in_hand && !is_in_grace;
}

static bool has_round_that_is_over(const struct round_view *v)
{
	const struct scene *s = &v->scene;
	for (size_t i = 0; i < s->job_count; i++) {
		if (!s->jobs[i].of.is_deleting && round_is_over(v, s->jobs[i].of.round))
			return true;
	}
	for (size_t i = 0; i < s->deployment_count; i++) {
		if (!s->deployments[i].of.is_deleting && round_is_over(v, s->deployments[i].of.round))
			return true;
	}
	for (size_t i = 0; i < s->pvc_count; i++) {
		if (!s->pvcs[i].of.is_deleting && round_is_over(v, s->pvcs[i].of.round))
			return true;
	}
	return false;
}

static bool has_objects(const struct scene *s)
{
	for (size_t i = 0; i < s->job_count; i++) {
		if (!s->jobs[i].of.is_deleting)
			return true;
	}
	for (size_t i = 0; i < s->deployment_count; i++) {
		if (!s->deployments[i].of.is_deleting)
			return true;
	}
	for (size_t i = 0; i < s->pvc_count; i++) {
		if (!s->pvcs[i].of.is_deleting)
			return true;
	}
	return false;
}

// Active and failed alike: what is owed goes first, then a round that is due, then the broom.
static void settled_step(const struct round_view *v, struct step *out)
{
	wait_for(out, "nothing");
	if (v->replica->report != NULL) {
		out->kind = STEP_REPORT;
		return;
	}
	if (claim_if_due(v, out))
		return;
	if (replica_is_proven_once(v->replica) && has_objects(&v->scene))
		out->kind = STEP_DISCARD;
	else if (has_round_that_is_over(v))
		out->kind = STEP_SWEEP;
}

void next_step(const struct round_view *view, struct step *out)
{
	*out = (struct step){.kind = STEP_WAIT, .restored = {.bytes = -1, .files = -1}};
	if (view->entry == NULL && replica_has_round_in_hand(view->replica)) {
		// Every further step builds objects from the entry.
		wait_for(out, "its entry in the worklist");
		return;
	}
	switch (view->replica->state) {
	case STATE_PENDING:
		pending_step(view, out);
		break;
	case STATE_RESTORING:
		restoring_step(view, out);
		break;
	case STATE_STARTING:
		starting_step(view, out);
		break;
	case STATE_ACTIVE:
	case STATE_FAILED:
		settled_step(view, out);
		break;
	case STATE_TERMINATING:
		wait_for(out, "the Namespace to be gone");
		break;
	}
}
