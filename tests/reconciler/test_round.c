// next_step: every row of the table in design.md "A round: next_step".
#include "reconciler/round.h"
#include "tests/reconciler/scenes.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <string.h>

#define KEY "aaaaaaaa"
#define OLD "bbbbbbbb"
#define STARTED "\"round\":\"" KEY "\",\"round-snapshot-id\":\"s1\",\"attempt\":\"1\",\"round-started-at\":\"2026-11-20T11:00:00Z\""
#define RESTORING "\"restore-state\":\"restoring\"," STARTED
#define STARTING "\"restore-state\":\"starting\"," STARTED
#define ACTIVE(at)                                                                                                               \
	"\"restore-state\":\"active\"," STARTED ",\"active-round\":\"" KEY                                                       \
	"\",\"last-restored-snapshot-id\":\"s1\",\"last-restored-at\":\"" at "\""
#define REPORTED ",\"last-verification-reported-round\":\"" KEY "\""
#define FAILED "\"restore-state\":\"failed\"," STARTED ",\"failures\":\"1\",\"failed-at\":\"2026-11-20T11:00:00Z\""
#define RESTORED_MESSAGE "{\"postgres_version\":\"15\",\"bytes\":1000,\"files\":10}\n"

#define MINUTES(n) ((n) * INT64_C(60000))

// What a row puts into the scene; all belong to `round`.
struct seen {
	const char *round;
	bool has_job, has_deployment, has_pvc, has_restore_pod, has_postgres_pod;
	bool is_deleting, has_lost_sidecar;
	enum job_outcome job;
	const char *job_reason;
	const char *message; // termination message of the pod
	int exit_code;
	const char *waiting_reason;
	bool is_available;
	int64_t deployment_age_ms;
};

struct row {
	const char *label;
	const char *intent, *entry; // entry NULL: not in the worklist
	const char *annotations;
	struct seen seen;
	int64_t starting_ms;
	bool has_slot;
	enum check_state check;
	enum report_grade check_grade;
	enum step_kind kind;
	enum report_grade grade; // with STEP_FAIL
	bool is_volume_full;	 // with STEP_FAIL
	const char *text;	 // part of the step's text; NULL: not looked at
};

#define S1 ",\"snapshot_id\":\"s1\""
#define S2 ",\"snapshot_id\":\"s2\""

static const struct row rows[] = {
	{.label = "pending, slot free", .intent = "verify", .entry = S1, .annotations = "\"restore-state\":\"pending\"",
		.has_slot = true, .kind = STEP_CLAIM},
	{.label = "pending, no slot", .intent = "verify", .entry = S1, .annotations = "\"restore-state\":\"pending\"",
		.kind = STEP_WAIT, .text = "MAX_CONCURRENT_RESTORES"},
	{.label = "pending, no snapshot", .intent = "verify", .entry = "", .annotations = "\"restore-state\":\"pending\"",
		.has_slot = true, .kind = STEP_WAIT, .text = "has none yet"},

	{.label = "restoring, Job missing", .intent = "verify", .entry = S1, .annotations = RESTORING, .kind = STEP_MAKE},
	{.label = "restoring, entry gone", .intent = "verify", .annotations = RESTORING, .kind = STEP_WAIT},
	{.label = "restoring, Job runs", .intent = "verify", .entry = S1, .annotations = RESTORING,
		.seen = {.round = KEY, .has_job = true}, .kind = STEP_WAIT, .text = "the restore Job"},
	{.label = "restoring, the sidecar lost its restartPolicy", .intent = "verify", .entry = S1, .annotations = RESTORING,
		.seen = {.round = KEY, .has_job = true, .has_restore_pod = true, .has_lost_sidecar = true}, .kind = STEP_FAIL,
		.grade = GRADE_INCONCLUSIVE, .text = "restartPolicy"},
	{.label = "restoring, a Job of another round", .intent = "verify", .entry = S1, .annotations = RESTORING,
		.seen = {.round = OLD, .has_job = true, .job = JOB_COMPLETE}, .kind = STEP_MAKE},
	{.label = "restoring, Job is being deleted", .intent = "verify", .entry = S1, .annotations = RESTORING,
		.seen = {.round = KEY, .has_job = true, .is_deleting = true}, .kind = STEP_WAIT, .text = "being deleted"},
	{.label = "restoring, Job complete", .intent = "verify", .entry = S1, .annotations = RESTORING,
		.seen = {.round = KEY, .has_job = true, .job = JOB_COMPLETE, .has_restore_pod = true, .message = RESTORED_MESSAGE},
		.kind = STEP_START},
	{.label = "restoring, Job complete, its pod gone", .intent = "verify", .entry = S1, .annotations = RESTORING,
		.seen = {.round = KEY, .has_job = true, .job = JOB_COMPLETE}, .kind = STEP_FAIL, .grade = GRADE_INCONCLUSIVE,
		.text = "termination message is lost"},
	{.label = "restoring, Job complete, no version", .intent = "verify", .entry = S1, .annotations = RESTORING,
		.seen = {.round = KEY, .has_job = true, .job = JOB_COMPLETE, .has_restore_pod = true, .message = "{\"bytes\":1}"},
		.kind = STEP_FAIL, .grade = GRADE_INCONCLUSIVE, .text = "names no PostgreSQL version"},
	{.label = "restoring, Job failed: the snapshot is gone", .intent = "verify", .entry = S1, .annotations = RESTORING,
		.seen = {.round = KEY, .has_job = true, .job = JOB_FAILED, .job_reason = "PodFailurePolicy", .has_restore_pod = true,
			.message = "{\"error\":\"snapshot s1 is not there\",\"stage\":\"restore\"}", .exit_code = 10},
		.kind = STEP_FAIL, .grade = GRADE_FAILED, .text = "snapshot s1 is not there (PodFailurePolicy)"},
	{.label = "restoring, Job failed: wrong password", .intent = "verify", .entry = S1, .annotations = RESTORING,
		.seen = {.round = KEY, .has_job = true, .job = JOB_FAILED, .job_reason = "PodFailurePolicy", .has_restore_pod = true,
			.message = "{\"error\":\"wrong password\",\"stage\":\"restore\"}", .exit_code = 12},
		.kind = STEP_FAIL, .grade = GRADE_INCONCLUSIVE, .text = "wrong password"},
	{.label = "restoring, Job failed: the volume is full", .intent = "verify", .entry = S1, .annotations = RESTORING,
		.seen = {.round = KEY, .has_job = true, .job = JOB_FAILED, .job_reason = "PodFailurePolicy", .has_restore_pod = true,
			.message = "{\"error\":\"volume full\",\"stage\":\"restore\"}", .exit_code = 16},
		.kind = STEP_FAIL, .grade = GRADE_INCONCLUSIVE, .text = "volume full", .is_volume_full = true},
	{.label = "restoring, Job failed: killed for memory", .intent = "verify", .entry = S1, .annotations = RESTORING,
		.seen = {.round = KEY, .has_job = true, .job = JOB_FAILED, .job_reason = "BackoffLimitExceeded",
			.has_restore_pod = true, .exit_code = 137},
		.kind = STEP_FAIL, .grade = GRADE_INCONCLUSIVE, .text = "exit code 137"},
	{.label = "restoring, Job failed: never ran", .intent = "verify", .entry = S1, .annotations = RESTORING,
		.seen = {.round = KEY, .has_job = true, .job = JOB_FAILED, .job_reason = "DeadlineExceeded", .has_restore_pod = true,
			.waiting_reason = "ImagePullBackOff"},
		.kind = STEP_FAIL, .grade = GRADE_INCONCLUSIVE, .text = "did not run: ImagePullBackOff"},
	{.label = "restoring, Job failed, no pod", .intent = "verify", .entry = S1, .annotations = RESTORING,
		.seen = {.round = KEY, .has_job = true, .job = JOB_FAILED, .job_reason = "DeadlineExceeded"}, .kind = STEP_FAIL,
		.grade = GRADE_INCONCLUSIVE, .text = "DeadlineExceeded"},

	{.label = "starting, Deployment missing, Job complete", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_job = true, .job = JOB_COMPLETE, .has_restore_pod = true, .message = RESTORED_MESSAGE},
		.kind = STEP_START},
	{.label = "starting, the clock jumps forward", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .deployment_age_ms = MINUTES(24 * 60)},
		.starting_ms = MINUTES(29), .kind = STEP_WAIT, .text = "PostgreSQL to come up"},
	{.label = "starting, the clock jumps back", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .deployment_age_ms = -MINUTES(24 * 60)},
		.starting_ms = MINUTES(31), .kind = STEP_FAIL, .grade = GRADE_INCONCLUSIVE, .text = "not available in time"},
	{.label = "starting, not available yet", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .deployment_age_ms = MINUTES(29)},
		.kind = STEP_WAIT, .text = "PostgreSQL to come up"},
	{.label = "starting, not available within the time-out", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .waiting_reason = "CrashLoopBackOff",
			.deployment_age_ms = MINUTES(31)},
		.kind = STEP_FAIL, .grade = GRADE_INCONCLUSIVE, .text = "CrashLoopBackOff"},
	{.label = "starting, recovery failed", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .exit_code = 21,
			.message = "{\"error\":\"could not locate a valid checkpoint record\",\"stage\":\"recovery\"}",
			.deployment_age_ms = MINUTES(31)},
		.kind = STEP_FAIL, .grade = GRADE_FAILED, .text = "could not locate a valid checkpoint record"},
	{.label = "starting, available", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .is_available = true}, .kind = STEP_CHECK},
	{.label = "starting, available, checks run", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .is_available = true},
		.check = CHECK_RUNNING, .kind = STEP_WAIT, .text = "the checks"},
	{.label = "starting, checks passed", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .is_available = true}, .check = CHECK_DONE,
		.check_grade = GRADE_CLEAN, .kind = STEP_ACTIVATE},
	{.label = "starting, checks failed", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .is_available = true}, .check = CHECK_DONE,
		.check_grade = GRADE_FAILED, .kind = STEP_FAIL, .grade = GRADE_FAILED, .text = "the cause"},
	{.label = "starting, checks could not connect", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .is_available = true}, .check = CHECK_DONE,
		.check_grade = GRADE_INCONCLUSIVE, .kind = STEP_FAIL, .grade = GRADE_INCONCLUSIVE},
	{.label = "starting, salvaged does not pass", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .is_available = true}, .check = CHECK_DONE,
		.check_grade = GRADE_SALVAGED, .kind = STEP_FAIL, .grade = GRADE_SALVAGED},

	{.label = "active, report owed", .intent = "verify", .entry = S1,
		.annotations = ACTIVE("2026-11-20T11:59:00Z") ",\"report\":\"{}\"", .kind = STEP_REPORT},
	{.label = "active, report owed and a newer snapshot", .intent = "analytics", .entry = S2,
		.annotations = ACTIVE("2026-11-20T01:00:00Z") ",\"report\":\"{}\"", .has_slot = true, .kind = STEP_REPORT},
	{.label = "active, verify, report landed", .intent = "verify", .entry = S1,
		.annotations = ACTIVE("2026-11-20T11:59:00Z") REPORTED, .seen = {.round = KEY, .has_deployment = true},
		.kind = STEP_DISCARD},
	{.label = "active, verify, only the volume is left", .intent = "verify", .entry = S1,
		.annotations = ACTIVE("2026-11-20T11:59:00Z") REPORTED, .seen = {.round = KEY, .has_pvc = true}, .kind = STEP_DISCARD},
	{.label = "active, verify, all discarded", .intent = "verify", .entry = S1,
		.annotations = ACTIVE("2026-11-20T11:59:00Z") REPORTED, .kind = STEP_WAIT},
	{.label = "active, verify, its objects are going", .intent = "verify", .entry = S1,
		.annotations = ACTIVE("2026-11-20T11:59:00Z") REPORTED,
		.seen = {.round = KEY, .has_deployment = true, .has_pvc = true, .is_deleting = true}, .kind = STEP_WAIT},
	{.label = "active, verify, report given up", .intent = "verify", .entry = S1,
		.annotations = ACTIVE("2026-11-20T11:59:00Z"), .seen = {.round = KEY, .has_deployment = true}, .kind = STEP_WAIT},
	{.label = "active, analytics, nothing to do", .intent = "analytics", .entry = S1,
		.annotations = ACTIVE("2026-11-20T01:00:00Z") REPORTED, .seen = {.round = KEY, .has_deployment = true},
		.kind = STEP_WAIT},
	{.label = "active, analytics, newer snapshot", .intent = "analytics", .entry = S2,
		.annotations = ACTIVE("2026-11-20T01:00:00Z") REPORTED, .seen = {.round = KEY, .has_deployment = true},
		.has_slot = true, .kind = STEP_CLAIM},
	{.label = "active, analytics, newer snapshot, no slot", .intent = "analytics", .entry = S2,
		.annotations = ACTIVE("2026-11-20T01:00:00Z") REPORTED, .kind = STEP_WAIT},
	{.label = "active, old round within its grace", .intent = "analytics", .entry = S1,
		.annotations = ACTIVE("2026-11-20T11:58:01Z") REPORTED, .seen = {.round = OLD, .has_pvc = true}, .kind = STEP_WAIT},
	{.label = "active, old round past its grace", .intent = "analytics", .entry = S1,
		.annotations = ACTIVE("2026-11-20T11:58:00Z") REPORTED, .seen = {.round = OLD, .has_pvc = true}, .kind = STEP_SWEEP},

	{.label = "failed, report owed", .intent = "verify", .entry = S1, .annotations = FAILED ",\"report\":\"{}\"",
		.has_slot = true, .kind = STEP_REPORT},
	{.label = "failed, back-off over", .intent = "verify", .entry = S1, .annotations = FAILED, .has_slot = true,
		.kind = STEP_CLAIM},
	{.label = "failed, newer snapshot", .intent = "verify", .entry = S2, .annotations = FAILED, .has_slot = true,
		.kind = STEP_CLAIM},
	{.label = "failed, back-off over, no slot: its objects are swept", .intent = "verify", .entry = S1, .annotations = FAILED,
		.seen = {.round = KEY, .has_job = true, .job = JOB_FAILED}, .kind = STEP_SWEEP},
	{.label = "failed refresh: the old round serves on", .intent = "analytics", .entry = S1,
		.annotations = FAILED ",\"active-round\":\"" OLD "\",\"last-restored-snapshot-id\":\"s0\"",
		.seen = {.round = OLD, .has_deployment = true, .has_pvc = true}, .kind = STEP_WAIT},
};

// The objects of a row, in memory of the caller.
struct stage {
	struct job_view job;
	struct deployment_view deployment;
	struct pod_view pods[2];
	struct pvc_view pvc;
	char message[512];
};

static struct workload workload_of(const struct seen *seen, int64_t created_at_ms)
{
	struct workload of = {.created_at_ms = created_at_ms, .is_deleting = seen->is_deleting};
	(void)snprintf(of.namespace, sizeof(of.namespace), "%s", SCENE_NAMESPACE);
	(void)snprintf(of.round, sizeof(of.round), "%s", seen->round);
	return of;
}

static void set_pod(const struct seen *seen, bool is_restore, struct stage *stage, struct pod_view *pod)
{
	*pod = (struct pod_view){.of = workload_of(seen, 0), .is_restore = is_restore,
		.has_lost_sidecar = is_restore && seen->has_lost_sidecar,
		.exit_code = seen->exit_code};
	(void)snprintf(pod->ip, sizeof(pod->ip), "127.64.0.2");
	(void)snprintf(stage->message, sizeof(stage->message), "%s", seen->message == NULL ? "" : seen->message);
	pod->message = seen->message == NULL ? NULL : stage->message;
	if (seen->exit_code != 0) {
		(void)snprintf(pod->ended_reason, sizeof(pod->ended_reason), "Error");
		(void)snprintf(pod->ended_container, sizeof(pod->ended_container), "restore");
	}
	if (seen->waiting_reason != NULL)
		(void)snprintf(pod->waiting_reason, sizeof(pod->waiting_reason), "%s", seen->waiting_reason);
}

static struct scene set_stage(const struct seen *seen, struct stage *stage)
{
	struct scene scene = {.jobs = &stage->job,
		.deployments = &stage->deployment,
		.pods = stage->pods,
		.pvcs = &stage->pvc,
		.job_count = seen->has_job,
		.deployment_count = seen->has_deployment,
		.pvc_count = seen->has_pvc};
	*stage = (struct stage){0};
	if (seen->round == NULL)
		return scene;
	stage->job = (struct job_view){.of = workload_of(seen, 0), .outcome = seen->job};
	(void)snprintf(stage->job.reason, sizeof(stage->job.reason), "%s", seen->job_reason == NULL ? "" : seen->job_reason);
	stage->deployment = (struct deployment_view){.of = workload_of(seen, scene_now_ms() - seen->deployment_age_ms),
		.is_available = seen->is_available,
		.postgres_major = 15};
	stage->pvc = (struct pvc_view){.of = workload_of(seen, 0)};
	if (seen->has_restore_pod)
		set_pod(seen, true, stage, &stage->pods[scene.pod_count++]);
	if (seen->has_postgres_pod)
		set_pod(seen, false, stage, &stage->pods[scene.pod_count++]);
	return scene;
}

static void check_row(const struct row *row, const struct settings *settings)
{
	struct stage stage;
	struct step step;
	struct entry entry = {0};
	struct check_result result = {.grade = row->check_grade, .stage = "databases", .cause = "the cause"};
	struct replica replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, row->intent, row->annotations);
	if (row->entry != NULL)
		entry = scene_entry(SCENE_SERVER_ID, row->intent, row->entry);
	const struct round_view view = {.entry = row->entry == NULL ? NULL : &entry,
		.replica = &replica,
		.scene = set_stage(&row->seen, &stage),
		.settings = settings,
		.sizing = {.ready_timeout_ms = MINUTES(30), .switchover_grace_ms = MINUTES(2)},
		.has_slot = row->has_slot,
		.check = row->check,
		.check_result = &result,
		.now_ms = scene_now_ms(),
		.starting_ms = row->starting_ms};
	next_step(&view, &step);
	if (step.kind != row->kind)
		fail_msg("%s: %s (%s), expected %s", row->label, step_kind_text[step.kind], step.text, step_kind_text[row->kind]);
	if (row->kind == STEP_FAIL && step.grade != row->grade)
		fail_msg("%s: grade %s, expected %s", row->label, report_grade_text[step.grade], report_grade_text[row->grade]);
	if (step.is_volume_full != row->is_volume_full)
		fail_msg("%s: volume full is %d", row->label, step.is_volume_full);
	if (row->text != NULL && strstr(step.text, row->text) == NULL)
		fail_msg("%s: \"%s\", expected \"%s\"", row->label, step.text, row->text);
	if (row->entry != NULL)
		entry_fini(&entry);
	replica_fini(&replica);
}

static void rows_of_the_table(void **state)
{
	(void)state;
	AUTO(settings) struct settings *settings = scene_settings();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_row(&rows[i], settings);
}

static void a_start_knows_what_was_restored(void **state)
{
	(void)state;
	struct stage stage;
	struct step step;
	AUTO(settings) struct settings *settings = scene_settings();
	struct entry entry = scene_entry(SCENE_SERVER_ID, "verify", S1);
	struct replica replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "verify", RESTORING);
	const struct seen seen = {.round = KEY, .has_job = true, .job = JOB_COMPLETE, .has_restore_pod = true, .message = RESTORED_MESSAGE};
	const struct round_view view = {.entry = &entry,
		.replica = &replica,
		.scene = set_stage(&seen, &stage),
		.settings = settings,
		.now_ms = scene_now_ms()};
	next_step(&view, &step);
	assert_int_equal(step.kind, STEP_START);
	assert_int_equal(step.restored.postgres_major, 15);
	assert_int_equal(step.restored.bytes, 1000);
	assert_int_equal(step.restored.files, 10);
	entry_fini(&entry);
	replica_fini(&replica);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(rows_of_the_table),
		cmocka_unit_test(a_start_knows_what_was_restored),
	};
	return cmocka_run_group_tests_name("reconciler/round", cases, NULL, NULL);
}
