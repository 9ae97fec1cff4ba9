#include "reconciler/round.h"

#include "base/quantity.h"
#include "builders/engines/engine.h"
#include "builders/exit_codes.h"
#include "canopy/intents.h"
#include "reconciler/blame.h"
#include "reconciler/flavour.h"
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
	[STEP_RESIZE] = "resize",
	[STEP_SWEEP] = "sweep",
};

// So often prepare may run and end badly where it could end otherwise: as often as the restore Job's pod
// (builders/restore_job.c).
#define PREPARE_TRIES 4

#define FAILED_GRACE_MAX_MS (INT64_C(2) * 60 * 1000)

static const struct blame by_the_cluster = {.grade = GRADE_INCONCLUSIVE, .owner = OWNER_CLUSTER};
static const struct blame by_canopy = {.grade = GRADE_INCONCLUSIVE, .owner = OWNER_CANOPY};
static const struct blame by_the_settings = {.grade = GRADE_INCONCLUSIVE, .owner = OWNER_SETTINGS};

static void wait_for(struct step *out, const char *what)
{
	out->kind = STEP_WAIT;
	(void)snprintf(out->text, sizeof(out->text), "%s", what);
}

static void fail(struct step *out, struct blame blame, const char *stage, const char *cause)
{
	out->kind = STEP_FAIL;
	out->grade = blame.grade;
	out->owner = blame.owner;
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
	if (round_volumes_in_use(&v->scene)) {
		out->is_volume_bound = true;
		wait_for(out, ROUND_VOLUMES_TEXT);
		return false;
	}
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

// A script that left a sentence is taken at its exit code; else Kubernetes' word has to do.
static struct blame blame_of(const struct round_view *v, const struct pod_view *pod, bool has_said)
{
	return has_said ? blame_exit_code(pod->exit_code) : blame_pod(pod, &v->sizing);
}

// A volume that is full at its largest fails in the same way until somebody raises the setting.
static void note_full_volume(const struct round_view *v, bool is_full, struct step *out)
{
	char size[QUANTITY_TEXT_SIZE];
	out->is_volume_full = is_full;
	if (!is_full || round_volume_bytes(v) < v->sizing.storage_size_maximum_bytes)
		return;
	size_t len = strnlen(out->text, sizeof(out->text));
	quantity_format_bytes(v->sizing.storage_size_maximum_bytes, size);
	(void)snprintf(out->text + len, sizeof(out->text) - len,
		"; the volume has the largest size already, storageSizeMaximum is %s", size);
}

// The engine's own sentence where it left one, else what Kubernetes says of the pod, else what it says of the Job.
static void restore_failed(const struct round_view *v, const struct job_view *job, const struct pod_view *pod, struct step *out)
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
	fail(out, blame_of(v, pod, has_said), has_said && said.stage[0] != '\0' ? said.stage : "restore", cause);
	note_full_volume(v, pod != NULL && pod->exit_code == EXIT_VOLUME_FULL, out);
}

// No other server than the one that was backed up: false when there is none, and then the round has failed.
static bool has_flavour(const struct round_view *v, const char *said, struct step *out)
{
	const struct settings_flavour *ignored = NULL;
	struct error err = {0};
	if (flavour_choose(v, said, &ignored, &err) == 0)
		return true;
	fail(out, by_the_settings, "flavour", err.text);
	return false;
}

// What no engine can restore as entry and settings are: the round has failed before it asks for anything.
static bool has_engine(const struct round_view *v, struct step *out)
{
	const struct engine *ignored = NULL;
	const struct build b = {.settings = v->settings, .entry = v->entry, .sizing = v->sizing};
	struct error err = {0};
	if (engine_of(&b, &ignored, &err) == 0)
		return true;
	fail(out, engine_check_entry(&b, &err) == 0 ? by_the_settings : by_canopy, "restore", err.text);
	return false;
}

static void restored_step(const struct round_view *v, struct step *out)
{
	const struct pod_view *pod = scene_pod(&v->scene, v->replica->round, true);
	if (pod == NULL || !restore_message_parse(pod->message, &out->restored)) {
		fail(out, by_the_cluster, "restore",
			"the restore ended well but its termination message is lost, so the PostgreSQL version is unknown");
		return;
	}
	if (out->restored.postgres_major <= 0) {
		fail(out, by_the_cluster, "restore", "the termination message of the restore names no PostgreSQL version");
		return;
	}
	if (has_flavour(v, out->restored.flavour, out))
		out->kind = STEP_START;
}

static void restoring_step(const struct round_view *v, struct step *out)
{
	const struct job_view *job = scene_job(&v->scene, v->replica->round);
	const struct pod_view *pod = scene_pod(&v->scene, v->replica->round, true);
	if (job == NULL && has_engine(v, out) && has_flavour(v, "", out))
		out->kind = STEP_MAKE;
	else if (job == NULL)
		return; // known before anything is moved
	else if (job->outcome == JOB_RUNNING && pod != NULL && pod->has_lost_sidecar)
		fail(out, by_the_cluster, "restore",
			"the restore pod lost the restartPolicy of its sidecar: a webhook with an old API drops it, and the pod "
			"hangs");
	else if (job->of.is_deleting)
		wait_for(out, "the restore Job that is being deleted");
	else if (job->outcome == JOB_FAILED)
		restore_failed(v, job, pod, out);
	else if (job->outcome == JOB_COMPLETE)
		restored_step(v, out);
	else
		wait_for(out, "the restore Job");
}

// The checks passed: what prepare did to get there decides the grade. A database whose log was reset serves where that was asked
// for, and nowhere else; where it may have been and prepare's word is lost, nobody can tell.
static void passed_step(const struct round_view *v, struct step *out)
{
	const struct pod_words *words = v->words;
	static const struct blame salvaged = {.grade = GRADE_SALVAGED, .owner = OWNER_BACKUP};
	out->kind = STEP_ACTIVATE;
	out->grade = GRADE_CLEAN;
	if (words == NULL)
		return; // they are read before it is done, and then it is decided again
	if (!words->has_prepared && v->sizing.allow_reset_wal) {
		fail(out, by_the_cluster, "recovery",
			"what the prepare container said is lost, and it was allowed to reset the write-ahead log");
	} else if (words->salvaged[0] != '\0') {
		fail(out, salvaged, "recovery", words->salvaged);
		if (v->sizing.allow_reset_wal)
			out->kind = STEP_ACTIVATE;
	} else if (words->is_repaired) {
		out->grade = GRADE_REPAIRED;
	}
}

static bool tells_of_full_volume(const char *text)
{
	return text != NULL && (strstr(text, "No space left on device") != NULL || strstr(text, "Disk quota exceeded") != NULL);
}

// The server may have said so itself, or gone with it: then its last lines do.
static void check_failed(const struct round_view *v, const struct pod_view *pod, struct step *out)
{
	char cause[ERROR_TEXT_MAX];
	const struct check_result *result = v->check_result;
	bool is_full = result->grade == GRADE_INCONCLUSIVE &&
		       (tells_of_full_volume(result->cause) || tells_of_full_volume(pod->message));
	(void)snprintf(cause, sizeof(cause), "%s%.480s", is_full ? "the volume is full: " : "", result->cause);
	fail(out, is_full ? by_the_settings : blame_check(result), result->stage, cause);
	note_full_volume(v, is_full, out);
}

static void checked_step(const struct round_view *v, const struct pod_view *pod, struct step *out)
{
	if (v->check == CHECK_NONE)
		out->kind = STEP_CHECK;
	else if (v->check == CHECK_RUNNING)
		wait_for(out, "the checks of the database");
	else if (v->check_result->grade == GRADE_CLEAN)
		passed_step(v, out);
	else
		check_failed(v, pod, out);
}

// Whose fault it is that PostgreSQL does not come up: what the prepare step found in the data is the backup's.
static void not_ready(const struct round_view *v, const struct pod_view *pod, struct step *out)
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
	fail(out, blame_of(v, pod, has_said), has_said && said.stage[0] != '\0' ? said.stage : "start", cause);
	note_full_volume(v, pod != NULL && pod->exit_code == EXIT_VOLUME_FULL, out);
}

static bool prepare_has_failed(const struct pod_view *pod)
{
	return pod != NULL && pod->prepare != PREPARE_DONE && strcmp(pod->ended_container, CONTAINER_PREPARE) == 0;
}

// Another run of prepare would end as this one did, or enough of them have been tried.
static bool is_hopeless(const struct pod_view *pod)
{
	if (!prepare_has_failed(pod))
		return false;
	return blame_exit_code(pod->exit_code).is_final ||
	       (pod->prepare == PREPARE_WAITING && pod->prepare_restarts >= PREPARE_TRIES - 1);
}

// A node that is gone leaves a pod that runs for ever, and is being deleted.
bool round_is_recovering(const struct pod_view *pod)
{
	return pod != NULL && pod->prepare == PREPARE_RUNNING && !pod->of.is_deleting;
}

bool round_is_load(const struct restore_message *said)
{
	const struct engine *engine = engine_said(said->engine);
	return engine != NULL && engine->prepare.script != NULL;
}

// By the wall clock, where nobody has watched it.
static int64_t waited_ms(const struct round_view *v, const struct deployment_view *deployment, const struct pod_view *pod)
{
	if (v->starting_ms > 0)
		return v->starting_ms;
	if (prepare_has_failed(pod))
		return v->now_ms - pod->prepare_ended_at_ms;
	if (pod != NULL && pod->prepare == PREPARE_DONE)
		return v->now_ms - pod->prepare_ended_at_ms +
		       (pod->prepare_restarts > 0 ? 0 : pod->prepare_started_at_ms - deployment->of.created_at_ms);
	return v->now_ms - deployment->of.created_at_ms;
}

// The time-out counts scheduling, the image's way, and what comes after prepare. How long recovery may take nobody knows
// beforehand: prepare watches it by its progress. Runs of prepare that ended badly are counted in tries.
static bool is_out_of_time(const struct round_view *v, const struct deployment_view *deployment, const struct pod_view *pod)
{
	return !round_is_recovering(pod) && waited_ms(v, deployment, pod) > v->sizing.ready_timeout_ms;
}

static bool is_load(const struct round_view *v)
{
	const struct restore_message said = round_said(v);
	return round_is_load(&said);
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
		checked_step(v, pod, out);
	else if (v->check == CHECK_RUNNING)
		wait_for(out, "the checks of the database");
	else if (is_hopeless(pod) || is_out_of_time(v, deployment, pod))
		not_ready(v, pod, out);
	else if (round_is_recovering(pod))
		wait_for(out, is_load(v) ? "the load of its dumps" : "recovery");
	else
		wait_for(out, "PostgreSQL to come up");
}

int64_t round_volume_bytes(const struct round_view *v)
{
	int64_t bytes =
		v->sizing.storage_size_bytes > v->replica->volume_bytes ? v->sizing.storage_size_bytes : v->replica->volume_bytes;
	return bytes > v->sizing.storage_size_maximum_bytes ? v->sizing.storage_size_maximum_bytes : bytes;
}

int64_t round_next_volume_bytes(const struct round_view *v, bool *is_capped)
{
	int64_t now = round_volume_bytes(v), maximum = v->sizing.storage_size_maximum_bytes;
	*is_capped = now > maximum / 2;
	return *is_capped ? maximum : now * 2;
}

struct restore_message round_said(const struct round_view *v)
{
	const struct restore_message nothing = {.bytes = -1, .files = -1, .seconds = -1};
	struct restore_message said = nothing;
	const struct pod_view *pod = scene_pod(&v->scene, v->replica->round, true);
	return pod != NULL && restore_message_parse(pod->message, &said) ? said : nothing;
}

bool round_keeps_backup(const struct round_view *v, enum action_reason reason)
{
	const struct replica *r = v->replica;
	return reason != REASON_FORCED && r->state == STATE_FAILED && r->round_snapshot_id != NULL &&
	       strcmp(r->round_snapshot_id, v->entry->snapshot_id) == 0;
}

bool round_volumes_in_use(const struct scene *scene)
{
	size_t count = 0;
	for (size_t i = 0; i < scene->pvc_count; i++)
		count += scene->pvcs[i].of.round[0] != '\0';
	return count >= ROUND_VOLUMES_MAX;
}

bool round_is_over(const struct round_view *v, const char *key)
{
	const struct replica *r = v->replica;
	bool is_active = strcmp(key, r->active_round) == 0;
	bool is_in_hand = replica_has_round_in_hand(r) && strcmp(key, r->round) == 0;
	// The grace runs from the switch for the round that served before. One that failed never served anybody: it stays for
	// those who want to look at it, and no longer, since its volume is in the next round's way.
	bool has_failed = r->state == STATE_FAILED && strcmp(key, r->round) == 0;
	int64_t since = has_failed ? r->failed_at_ms : r->last_restored_at_ms;
	int64_t grace_ms = v->sizing.switchover_grace_ms;
	if (has_failed && grace_ms > FAILED_GRACE_MAX_MS)
		grace_ms = FAILED_GRACE_MAX_MS;
	bool is_in_grace = since != REPLICA_NEVER && diff_elapsed_ms(v->now_ms, since) < grace_ms;
	// What names no round is somebody else's.
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

// A standing replica's Deployment follows its sizing. One that does not say what it was sized by is left alone: it is not of
// this operator's making.
static bool is_sized_otherwise(const struct round_view *v)
{
	char sizing[BUILD_SIZING_SIZE];
	const struct deployment_view *serving = scene_deployment(&v->scene, v->replica->active_round);
	if (v->entry == NULL || intents_is_once((enum settings_intent)v->entry->known_intent) || serving == NULL ||
		serving->of.is_deleting || serving->sizing[0] == '\0')
		return false;
	build_sizing(&v->sizing, sizing);
	return strcmp(sizing, serving->sizing) != 0;
}

// Active and failed alike: what is owed goes first, then a round that is due, then the sizing, then the broom.
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
	else if (is_sized_otherwise(v))
		out->kind = STEP_RESIZE;
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
