// next_step: every row of the table in design.md "A round: next_step".
#include "reconciler/round.h"
#include "builders/exit_codes.h"
#include "reconciler/blame.h"
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
	bool is_available, has_no_ip;
	int64_t deployment_age_ms;
	enum prepare_state prepare;
	int prepare_restarts;
	int64_t prepare_began_ms, prepare_ended_ms; // before now; 0: it has not
	bool is_pod_deleting, has_two_volumes;
	const char *sizing; // of the Deployment; NULL: not said
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
	const char *check_cause; // NULL: "the cause"
	const struct pod_words *words;
	bool allows_reset_wal;
	int64_t grace_ms; // 0: two minutes
	enum step_kind kind;
	enum report_grade grade; // with STEP_FAIL and STEP_ACTIVATE
	enum report_owner owner; // with STEP_FAIL; OWNER_NONE: not looked at
	bool is_volume_bound;
	bool is_volume_full;	 // with STEP_FAIL
	const char *text;	 // part of the step's text; NULL: not looked at
};

static const struct pod_words clean_words = {.has_prepared = true};
static const struct pod_words repaired_words = {.has_prepared = true, .is_repaired = true};
static const struct pod_words salvaged_words = {.has_prepared = true, .is_repaired = true, .salvaged = "WAL from 0/3 on was lost"};
static const struct pod_words lost_words = {0};

#define S1 ",\"snapshot_id\":\"s1\""
#define S2 ",\"snapshot_id\":\"s2\""
#define PGBACKREST ",\"engine\":\"pgbackrest\""

static const struct row rows[] = {
	{.label = "pending, slot free", .intent = "verify", .entry = S1, .annotations = "\"restore-state\":\"pending\"",
		.has_slot = true, .kind = STEP_CLAIM},
	{.label = "pending, no slot", .intent = "verify", .entry = S1, .annotations = "\"restore-state\":\"pending\"",
		.kind = STEP_WAIT, .text = "MAX_CONCURRENT_RESTORES"},
	{.label = "pending, no snapshot", .intent = "verify", .entry = "", .annotations = "\"restore-state\":\"pending\"",
		.has_slot = true, .kind = STEP_WAIT, .text = "has none yet"},
	{.label = "pending, no longer in the worklist", .intent = "verify", .annotations = "\"restore-state\":\"pending\"",
		.has_slot = true, .kind = STEP_WAIT},

	{.label = "restoring, Job missing", .intent = "verify", .entry = S1, .annotations = RESTORING, .kind = STEP_MAKE},
	{.label = "restoring, keys would lie in a Secret", .intent = "verify", .entry = S1 PGBACKREST ",\"stanza\":\"main\"",
		.annotations = RESTORING, .kind = STEP_FAIL, .grade = GRADE_INCONCLUSIVE, .owner = OWNER_SETTINGS,
		.text = "hint: allow that by directCredentials: ["},
	{.label = "restoring, keys lie in a Secret already", .intent = "verify", .entry = S1 PGBACKREST ",\"stanza\":\"main\"",
		.annotations = RESTORING, .seen = {.round = KEY, .has_job = true}, .kind = STEP_WAIT, .text = "the restore Job"},
	{.label = "restoring, an entry without what its engine wants", .intent = "verify", .entry = S1 PGBACKREST,
		.annotations = RESTORING, .kind = STEP_FAIL, .grade = GRADE_INCONCLUSIVE, .owner = OWNER_CANOPY,
		.text = "needs `stanza` in the entry"},
	{.label = "restoring, the image of the engine is not set", .intent = "verify", .entry = S1 ",\"engine\":\"walg\"",
		.annotations = RESTORING, .kind = STEP_FAIL, .grade = GRADE_INCONCLUSIVE, .owner = OWNER_SETTINGS,
		.text = "setting WALG_IMAGE is not set"},
	{.label = "restoring, entry gone", .intent = "verify", .annotations = RESTORING, .kind = STEP_WAIT},
	{.label = "restoring, Job runs", .intent = "verify", .entry = S1, .annotations = RESTORING,
		.seen = {.round = KEY, .has_job = true}, .kind = STEP_WAIT, .text = "the restore Job"},
	{.label = "restoring, the sidecar lost its restartPolicy", .intent = "verify", .entry = S1, .annotations = RESTORING,
		.seen = {.round = KEY, .has_job = true, .has_restore_pod = true, .has_lost_sidecar = true}, .kind = STEP_FAIL,
		.grade = GRADE_INCONCLUSIVE, .text = "restartPolicy"},
	{.label = "restoring, its pod runs as it was made", .intent = "verify", .entry = S1, .annotations = RESTORING,
		.seen = {.round = KEY, .has_job = true, .has_restore_pod = true}, .kind = STEP_WAIT, .text = "the restore Job"},
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
	{.label = "restoring, Job failed: its last words are no error", .intent = "verify", .entry = S1, .annotations = RESTORING,
		.seen = {.round = KEY, .has_job = true, .job = JOB_FAILED, .job_reason = "BackoffLimitExceeded",
			.has_restore_pod = true, .exit_code = 1, .message = "{\"bytes\":1}"},
		.kind = STEP_FAIL, .grade = GRADE_INCONCLUSIVE, .owner = OWNER_CLUSTER,
		.text = "exit code 1, Error: {\"bytes\":1} (BackoffLimitExceeded)"},
	{.label = "restoring, Job failed: its pod has said nothing yet", .intent = "verify", .entry = S1, .annotations = RESTORING,
		.seen = {.round = KEY, .has_job = true, .job = JOB_FAILED, .job_reason = "DeadlineExceeded", .has_restore_pod = true},
		.kind = STEP_FAIL, .grade = GRADE_INCONCLUSIVE, .owner = OWNER_CLUSTER, .text = "DeadlineExceeded: "},
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
	{.label = "starting, dumps are loaded", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .prepare = PREPARE_RUNNING,
			.has_restore_pod = true, .message = "{\"engine\":\"dump 15.20 (volume)\"}", .deployment_age_ms = MINUTES(31)},
		.kind = STEP_WAIT, .text = "the load of its dumps"},
	{.label = "starting, available", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .is_available = true}, .kind = STEP_CHECK},
	{.label = "starting, available, checks run", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .is_available = true},
		.check = CHECK_RUNNING, .kind = STEP_WAIT, .text = "the checks"},
	{.label = "starting, its Deployment is being deleted", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .is_available = true, .is_deleting = true},
		.kind = STEP_WAIT, .text = "the Deployment that is being deleted"},
	{.label = "starting, available, its pod not seen yet", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .is_available = true}, .kind = STEP_WAIT,
		.text = "PostgreSQL to come up"},
	{.label = "starting, available, its pod without an address", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .is_available = true, .has_no_ip = true},
		.kind = STEP_WAIT, .text = "PostgreSQL to come up"},
	{.label = "starting, no longer available, checks run: they say how it ends", .intent = "verify", .entry = S1,
		.annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .deployment_age_ms = MINUTES(31)},
		.check = CHECK_RUNNING, .kind = STEP_WAIT, .text = "the checks"},
	{.label = "starting, not in time: the last words of prepare are no error", .intent = "verify", .entry = S1,
		.annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .exit_code = 1,
			.message = "{\"progress\":1}", .deployment_age_ms = MINUTES(31)},
		.kind = STEP_FAIL, .grade = GRADE_INCONCLUSIVE, .owner = OWNER_CLUSTER,
		.text = "container prepare ended with exit code 1, Error: {\"progress\":1}"},
	{.label = "starting, not in time: an error of no stage", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .exit_code = EXIT_RECOVERY_FAILED,
			.message = "{\"error\":\"no checkpoint\"}", .deployment_age_ms = MINUTES(31)},
		.kind = STEP_FAIL, .grade = GRADE_FAILED, .owner = OWNER_BACKUP, .text = "no checkpoint"},
	{.label = "starting, checks passed", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .is_available = true}, .check = CHECK_DONE,
		.check_grade = GRADE_CLEAN, .kind = STEP_ACTIVATE},
	{.label = "starting, checks failed", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .is_available = true}, .check = CHECK_DONE,
		.check_grade = GRADE_FAILED, .kind = STEP_FAIL, .grade = GRADE_FAILED, .text = "the cause"},
	{.label = "starting, the volume filled under the checks", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .is_available = true}, .check = CHECK_DONE,
		.check_grade = GRADE_INCONCLUSIVE,
		.check_cause = "database \"app\": could not extend file \"base/5/2619\": No space left on device", .kind = STEP_FAIL,
		.grade = GRADE_INCONCLUSIVE, .owner = OWNER_SETTINGS, .is_volume_full = true,
		.text = "the volume is full: database \"app\": could not extend"},
	{.label = "starting, the quota of the volume is used up", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .is_available = true}, .check = CHECK_DONE,
		.check_grade = GRADE_INCONCLUSIVE, .check_cause = "could not extend file \"base/5/2619\": Disk quota exceeded",
		.kind = STEP_FAIL, .grade = GRADE_INCONCLUSIVE, .owner = OWNER_SETTINGS, .is_volume_full = true,
		.text = "the volume is full: could not extend"},
	{.label = "starting, the server went with other words", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .is_available = true,
			.message = "PANIC:  could not locate a valid checkpoint record\n"},
		.check = CHECK_DONE, .check_grade = GRADE_INCONCLUSIVE, .check_cause = "server closed the connection unexpectedly",
		.kind = STEP_FAIL, .grade = GRADE_INCONCLUSIVE, .owner = OWNER_CLUSTER, .text = "server closed the connection"},
	{.label = "starting, the volume filled and the server went with it", .intent = "verify", .entry = S1,
		.annotations = STARTING ",\"volume-bytes\":\"8Gi\"",
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .is_available = true,
			.message = "PANIC:  could not write to file \"pg_wal/xlogtemp.29\": No space left on device\n"},
		.check = CHECK_DONE, .check_grade = GRADE_INCONCLUSIVE, .check_cause = "server closed the connection unexpectedly",
		.kind = STEP_FAIL, .grade = GRADE_INCONCLUSIVE, .owner = OWNER_SETTINGS, .is_volume_full = true,
		.text = "the volume is full: server closed the connection unexpectedly; the volume has the largest size already"},
	{.label = "starting, the backup is at fault, on a full volume too", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .is_available = true,
			.message = "ERROR:  No space left on device"},
		.check = CHECK_DONE, .check_grade = GRADE_FAILED, .kind = STEP_FAIL, .grade = GRADE_FAILED, .owner = OWNER_BACKUP,
		.text = "the cause"},
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
		.seen = {.round = KEY, .has_job = true, .has_deployment = true, .has_pvc = true, .is_deleting = true},
		.kind = STEP_WAIT},
	{.label = "active, verify, only its Job is left", .intent = "verify", .entry = S1,
		.annotations = ACTIVE("2026-11-20T11:59:00Z") REPORTED, .seen = {.round = KEY, .has_job = true}, .kind = STEP_DISCARD},
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
	{.label = "active, old round past its grace, its Deployment", .intent = "analytics", .entry = S1,
		.annotations = ACTIVE("2026-11-20T11:58:00Z") REPORTED, .seen = {.round = OLD, .has_deployment = true},
		.kind = STEP_SWEEP},
	{.label = "active, what names no round is left alone", .intent = "analytics", .entry = S1,
		.annotations = ACTIVE("2026-11-20T01:00:00Z") REPORTED,
		.seen = {.round = "", .has_job = true, .job = JOB_FAILED, .has_deployment = true, .has_pvc = true}, .kind = STEP_WAIT},
	{.label = "active, old round past its grace and on its way", .intent = "analytics", .entry = S1,
		.annotations = ACTIVE("2026-11-20T11:58:00Z") REPORTED,
		.seen = {.round = OLD, .has_job = true, .has_deployment = true, .has_pvc = true, .is_deleting = true},
		.kind = STEP_WAIT},

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

	// The time-out counts what comes before prepare and after it.
	{.label = "starting, prepare runs for hours", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .prepare = PREPARE_RUNNING,
			.prepare_began_ms = MINUTES(299), .deployment_age_ms = MINUTES(300)},
		.kind = STEP_WAIT, .text = "recovery"},
	{.label = "starting, prepare runs on a node that is gone", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .prepare = PREPARE_RUNNING,
			.prepare_began_ms = MINUTES(299), .deployment_age_ms = MINUTES(300), .is_pod_deleting = true},
		.kind = STEP_FAIL, .grade = GRADE_INCONCLUSIVE, .owner = OWNER_CLUSTER},
	{.label = "starting, 20 minutes before prepare and 9 after it", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .prepare = PREPARE_DONE,
			.prepare_began_ms = MINUTES(280), .prepare_ended_ms = MINUTES(9), .deployment_age_ms = MINUTES(300)},
		.kind = STEP_WAIT},
	{.label = "starting, 20 minutes before prepare and 11 after it", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .prepare = PREPARE_DONE,
			.prepare_began_ms = MINUTES(280), .prepare_ended_ms = MINUTES(11), .deployment_age_ms = MINUTES(300)},
		.kind = STEP_FAIL, .grade = GRADE_INCONCLUSIVE, .owner = OWNER_CLUSTER, .text = "not available in time"},
	{.label = "starting, prepare needed a second run", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .prepare = PREPARE_DONE, .prepare_restarts = 1,
			.prepare_began_ms = MINUTES(200), .prepare_ended_ms = MINUTES(29), .deployment_age_ms = MINUTES(300)},
		.kind = STEP_WAIT},
	{.label = "starting, prepare needed a second run and that is long ago", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .prepare = PREPARE_DONE, .prepare_restarts = 1,
			.prepare_began_ms = MINUTES(200), .prepare_ended_ms = MINUTES(31), .deployment_age_ms = MINUTES(300)},
		.kind = STEP_FAIL, .grade = GRADE_INCONCLUSIVE},
	{.label = "starting, the image cannot be had", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .waiting_reason = "ImagePullBackOff",
			.deployment_age_ms = MINUTES(31)},
		.kind = STEP_FAIL, .grade = GRADE_INCONCLUSIVE, .owner = OWNER_IMAGE, .text = "ImagePullBackOff"},

	// What will never work fails at once; what may, is tried again.
#define ENDED(code)                                                                                                     \
	.round = KEY, .has_deployment = true, .has_postgres_pod = true, .exit_code = (code), .prepare_began_ms = MINUTES(2), \
	.prepare_ended_ms = MINUTES(1), .deployment_age_ms = MINUTES(3),                                                 \
	.message = "{\"error\":\"the words of prepare\",\"stage\":\"recovery\"}"
	{.label = "starting, recovery failed a minute ago", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {ENDED(EXIT_RECOVERY_FAILED)}, .kind = STEP_FAIL, .grade = GRADE_FAILED, .owner = OWNER_BACKUP,
		.text = "the words of prepare"},
	{.label = "starting, recovery failed and runs again", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {ENDED(EXIT_RECOVERY_FAILED), .prepare = PREPARE_RUNNING}, .kind = STEP_FAIL, .grade = GRADE_FAILED,
		.owner = OWNER_BACKUP},
	{.label = "starting, the image is of another major", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {ENDED(EXIT_WRONG_MAJOR)}, .kind = STEP_FAIL, .grade = GRADE_INCONCLUSIVE, .owner = OWNER_IMAGE},
	{.label = "starting, the image lacks a locale", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {ENDED(EXIT_LOCALE_MISSING)}, .kind = STEP_FAIL, .grade = GRADE_INCONCLUSIVE, .owner = OWNER_IMAGE},
	{.label = "starting, an index cannot be rebuilt", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {ENDED(EXIT_COLLATION_FAILED)}, .kind = STEP_FAIL, .grade = GRADE_FAILED, .owner = OWNER_BACKUP},
	{.label = "starting, a dump that no server takes", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {ENDED(EXIT_LOAD_FAILED)}, .kind = STEP_FAIL, .grade = GRADE_FAILED, .owner = OWNER_BACKUP},
	{.label = "starting, an extension that the image lacks", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {ENDED(EXIT_EXTENSION_MISSING)}, .kind = STEP_FAIL, .grade = GRADE_INCONCLUSIVE, .owner = OWNER_IMAGE},
	{.label = "starting, a name of a database that no dump is of", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {ENDED(EXIT_MISCONFIGURED)}, .kind = STEP_FAIL, .grade = GRADE_INCONCLUSIVE, .owner = OWNER_SETTINGS},
	{.label = "starting, the server was killed once", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {ENDED(EXIT_NODE_FAILED)}, .kind = STEP_WAIT},
	{.label = "starting, recovery filled the volume", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {ENDED(EXIT_VOLUME_FULL)}, .kind = STEP_FAIL, .grade = GRADE_INCONCLUSIVE, .owner = OWNER_SETTINGS,
		.is_volume_full = true},
	{.label = "starting, recovery filled the largest volume", .intent = "verify", .entry = S1,
		.annotations = STARTING ",\"volume-bytes\":\"8Gi\"", .seen = {ENDED(EXIT_VOLUME_FULL)}, .kind = STEP_FAIL,
		.grade = GRADE_INCONCLUSIVE, .owner = OWNER_SETTINGS, .is_volume_full = true, .text = "storageSizeMaximum is 8Gi"},
	{.label = "starting, recovery stalled once", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {ENDED(EXIT_RECOVERY_STALLED)}, .kind = STEP_WAIT},
	{.label = "starting, recovery stalled three times", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {ENDED(EXIT_RECOVERY_STALLED), .prepare_restarts = 2}, .kind = STEP_WAIT},
	{.label = "starting, recovery stalled three times and is tried a fourth time", .intent = "verify", .entry = S1,
		.annotations = STARTING, .seen = {ENDED(EXIT_RECOVERY_STALLED), .prepare_restarts = 3, .prepare = PREPARE_RUNNING},
		.kind = STEP_WAIT, .text = "recovery"},
	{.label = "starting, recovery stalled four times", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {ENDED(EXIT_RECOVERY_STALLED), .prepare_restarts = 3}, .kind = STEP_FAIL, .grade = GRADE_INCONCLUSIVE,
		.owner = OWNER_CLUSTER, .text = "the words of prepare"},
	{.label = "starting, prepare failed and nothing tries it again", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {.round = KEY, .has_deployment = true, .has_postgres_pod = true, .exit_code = 137,
			.prepare_began_ms = MINUTES(40), .prepare_ended_ms = MINUTES(31), .deployment_age_ms = MINUTES(41)},
		.kind = STEP_FAIL, .grade = GRADE_INCONCLUSIVE, .text = "exit code 137"},

	// What prepare did to get there decides the grade.
#define PASSED .round = KEY, .has_deployment = true, .has_postgres_pod = true, .is_available = true
	{.label = "passed, prepare did nothing to the data", .intent = "verify", .entry = S1, .annotations = STARTING, .seen = {PASSED},
		.check = CHECK_DONE, .words = &clean_words, .kind = STEP_ACTIVATE, .grade = GRADE_CLEAN},
	{.label = "passed, repaired", .intent = "verify", .entry = S1, .annotations = STARTING, .seen = {PASSED}, .check = CHECK_DONE,
		.words = &repaired_words, .kind = STEP_ACTIVATE, .grade = GRADE_REPAIRED},
	{.label = "passed, salvaged where that is allowed", .intent = "analytics", .entry = S1, .annotations = STARTING,
		.seen = {PASSED}, .check = CHECK_DONE, .words = &salvaged_words, .allows_reset_wal = true, .kind = STEP_ACTIVATE,
		.grade = GRADE_SALVAGED, .owner = OWNER_BACKUP, .text = "WAL from 0/3 on was lost"},
	{.label = "passed, salvaged where that is not allowed", .intent = "verify", .entry = S1, .annotations = STARTING,
		.seen = {PASSED}, .check = CHECK_DONE, .words = &salvaged_words, .kind = STEP_FAIL, .grade = GRADE_SALVAGED,
		.owner = OWNER_BACKUP, .text = "WAL from 0/3 on was lost"},
	{.label = "passed, prepare's word is lost", .intent = "analytics", .entry = S1, .annotations = STARTING, .seen = {PASSED},
		.check = CHECK_DONE, .words = &lost_words, .kind = STEP_ACTIVATE, .grade = GRADE_CLEAN},
	{.label = "passed, prepare's word is lost and it may have reset the WAL", .intent = "analytics", .entry = S1,
		.annotations = STARTING, .seen = {PASSED}, .check = CHECK_DONE, .words = &lost_words, .allows_reset_wal = true,
		.kind = STEP_FAIL, .grade = GRADE_INCONCLUSIVE, .owner = OWNER_CLUSTER, .text = "is lost"},

	// Two rounds' volumes at most.
	{.label = "active, newer snapshot, two volumes within the grace", .intent = "analytics", .entry = S2,
		.annotations = ACTIVE("2026-11-20T11:59:00Z") REPORTED, .has_slot = true,
		.seen = {.round = OLD, .has_pvc = true, .has_two_volumes = true}, .kind = STEP_WAIT, .is_volume_bound = true,
		.text = "a third is not made"},
	{.label = "active, newer snapshot, two volumes and no slot: no slot is asked for", .intent = "analytics", .entry = S2,
		.annotations = ACTIVE("2026-11-20T11:59:00Z") REPORTED,
		.seen = {.round = OLD, .has_pvc = true, .has_two_volumes = true}, .kind = STEP_WAIT, .is_volume_bound = true},
	{.label = "active, newer snapshot, two volumes past the grace", .intent = "analytics", .entry = S2,
		.annotations = ACTIVE("2026-11-20T11:50:00Z") REPORTED, .has_slot = true,
		.seen = {.round = OLD, .has_pvc = true, .has_two_volumes = true}, .kind = STEP_SWEEP, .is_volume_bound = true},
	{.label = "active, newer snapshot, two volumes within a long grace", .intent = "analytics", .entry = S2,
		.annotations = ACTIVE("2026-11-20T11:50:00Z") REPORTED, .has_slot = true, .grace_ms = MINUTES(600),
		.seen = {.round = OLD, .has_pvc = true, .has_two_volumes = true}, .kind = STEP_WAIT, .is_volume_bound = true},
	{.label = "active, newer snapshot, one volume", .intent = "analytics", .entry = S2,
		.annotations = ACTIVE("2026-11-20T11:50:00Z") REPORTED, .has_slot = true, .seen = {.round = KEY, .has_pvc = true},
		.kind = STEP_CLAIM},
	{.label = "failed, two volumes: that of the failed round goes though the grace is long", .intent = "analytics", .entry = S1,
		.annotations = FAILED ",\"active-round\":\"" OLD "\",\"last-restored-snapshot-id\":\"s0\","
			       "\"last-restored-at\":\"2026-11-20T10:00:00Z\"",
		.grace_ms = MINUTES(600), .has_slot = true, .seen = {.round = KEY, .has_pvc = true, .has_two_volumes = true}, .kind = STEP_SWEEP,
		.is_volume_bound = true},

	// The Deployment that serves follows its sizing.
	{.label = "active, sized as is wanted", .intent = "analytics", .entry = S1,
		.annotations = ACTIVE("2026-11-20T01:00:00Z") REPORTED, .seen = {.round = KEY, .has_deployment = true, .sizing = ""},
		.kind = STEP_WAIT},
	{.label = "active, sized otherwise", .intent = "analytics", .entry = S1,
		.annotations = ACTIVE("2026-11-20T01:00:00Z") REPORTED,
		.seen = {.round = KEY, .has_deployment = true, .sizing = "01234567"}, .kind = STEP_RESIZE},
	{.label = "active, sized otherwise, and a newer snapshot: the new round has the new size", .intent = "analytics", .entry = S2,
		.annotations = ACTIVE("2026-11-20T01:00:00Z") REPORTED, .has_slot = true,
		.seen = {.round = KEY, .has_deployment = true, .sizing = "01234567"}, .kind = STEP_CLAIM},
	{.label = "active, the Deployment does not say how it is sized", .intent = "analytics", .entry = S1,
		.annotations = ACTIVE("2026-11-20T01:00:00Z") REPORTED, .seen = {.round = KEY, .has_deployment = true},
		.kind = STEP_WAIT},
	{.label = "active, sized otherwise, being deleted", .intent = "analytics", .entry = S1,
		.annotations = ACTIVE("2026-11-20T01:00:00Z") REPORTED,
		.seen = {.round = KEY, .has_deployment = true, .is_deleting = true, .sizing = "01234567"}, .kind = STEP_WAIT},
	{.label = "active, sized otherwise, of another round", .intent = "analytics", .entry = S1,
		.annotations = ACTIVE("2026-11-20T11:59:00Z") REPORTED,
		.seen = {.round = OLD, .has_deployment = true, .sizing = "01234567"}, .kind = STEP_WAIT},
	{.label = "active, sized otherwise, no longer in the worklist", .intent = "analytics",
		.annotations = ACTIVE("2026-11-20T01:00:00Z") REPORTED,
		.seen = {.round = KEY, .has_deployment = true, .sizing = "01234567"}, .kind = STEP_WAIT},
	{.label = "active, verify, sized otherwise", .intent = "verify", .entry = S1, .annotations = ACTIVE("2026-11-20T11:59:00Z"),
		.seen = {.round = KEY, .has_deployment = true, .sizing = "01234567"}, .kind = STEP_WAIT},
	{.label = "failed refresh, what serves is sized otherwise", .intent = "analytics", .entry = S1,
		.annotations = FAILED ",\"active-round\":\"" OLD "\",\"last-restored-snapshot-id\":\"s0\"",
		.seen = {.round = OLD, .has_deployment = true, .sizing = "01234567"}, .kind = STEP_RESIZE},
};

// The objects of a row, in memory of the caller.
struct stage {
	struct job_view job;
	struct deployment_view deployment;
	struct pod_view pods[2];
	struct pvc_view pvcs[2];
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
	const int64_t now_ms = scene_now_ms();
	*pod = (struct pod_view){.of = workload_of(seen, 0), .is_restore = is_restore,
		.has_lost_sidecar = is_restore && seen->has_lost_sidecar,
		.exit_code = seen->exit_code,
		.prepare = seen->prepare,
		.prepare_restarts = seen->prepare_restarts,
		.prepare_started_at_ms = seen->prepare_began_ms == 0 ? 0 : now_ms - seen->prepare_began_ms,
		.prepare_ended_at_ms = seen->prepare_ended_ms == 0 ? 0 : now_ms - seen->prepare_ended_ms};
	pod->of.is_deleting = seen->is_deleting || seen->is_pod_deleting;
	(void)snprintf(pod->ip, sizeof(pod->ip), "%s", seen->has_no_ip ? "" : "127.64.0.2");
	(void)snprintf(stage->message, sizeof(stage->message), "%s", seen->message == NULL ? "" : seen->message);
	pod->message = seen->message == NULL ? NULL : stage->message;
	if (seen->exit_code != 0) {
		(void)snprintf(pod->ended_reason, sizeof(pod->ended_reason), "Error");
		(void)snprintf(pod->ended_container, sizeof(pod->ended_container), "%s",
			is_restore ? CONTAINER_RESTORE : CONTAINER_PREPARE);
	}
	if (seen->waiting_reason != NULL)
		(void)snprintf(pod->waiting_reason, sizeof(pod->waiting_reason), "%s", seen->waiting_reason);
}

static struct settings_for_intent sizing_of(const struct row *row)
{
	static char memory[] = "1Gi";
	return (struct settings_for_intent){.ready_timeout_ms = MINUTES(30), .memory_limit = memory,
		.switchover_grace_ms = row != NULL && row->grace_ms != 0 ? row->grace_ms : MINUTES(2),
		.storage_size_bytes = INT64_C(1) << 30, .storage_size_maximum_bytes = INT64_C(8) << 30,
		.allow_reset_wal = row != NULL && row->allows_reset_wal};
}

// "": as is wanted.
static void set_sizing(const struct seen *seen, struct deployment_view *deployment)
{
	const struct settings_for_intent wanted = sizing_of(NULL);
	if (seen->sizing != NULL && seen->sizing[0] == '\0')
		build_sizing(&wanted, deployment->sizing);
	else if (seen->sizing != NULL)
		(void)snprintf(deployment->sizing, sizeof(deployment->sizing), "%s", seen->sizing);
}

static struct scene set_stage(const struct seen *seen, struct stage *stage)
{
	struct scene scene = {.jobs = &stage->job,
		.deployments = &stage->deployment,
		.pods = stage->pods,
		.pvcs = stage->pvcs,
		.job_count = seen->has_job,
		.deployment_count = seen->has_deployment,
		.pvc_count = (size_t)seen->has_pvc + seen->has_two_volumes};
	*stage = (struct stage){0};
	if (seen->round == NULL)
		return scene;
	stage->job = (struct job_view){.of = workload_of(seen, 0), .outcome = seen->job};
	(void)snprintf(stage->job.reason, sizeof(stage->job.reason), "%s", seen->job_reason == NULL ? "" : seen->job_reason);
	stage->deployment = (struct deployment_view){.of = workload_of(seen, scene_now_ms() - seen->deployment_age_ms),
		.is_available = seen->is_available,
		.postgres_major = 15};
	set_sizing(seen, &stage->deployment);
	stage->pvcs[0] = stage->pvcs[1] = (struct pvc_view){.of = workload_of(seen, 0)};
	(void)snprintf(stage->pvcs[1].of.round, sizeof(stage->pvcs[1].of.round), "%s", strcmp(seen->round, KEY) == 0 ? OLD : KEY);
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
	struct check_result result = {.grade = row->check_grade, .stage = "databases"};
	(void)snprintf(result.cause, sizeof(result.cause), "%s", row->check_cause == NULL ? "the cause" : row->check_cause);
	struct replica replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, row->intent, row->annotations);
	if (row->entry != NULL)
		entry = scene_entry(SCENE_SERVER_ID, row->intent, row->entry);
	const struct round_view view = {.entry = row->entry == NULL ? NULL : &entry,
		.replica = &replica,
		.scene = set_stage(&row->seen, &stage),
		.settings = settings,
		.sizing = sizing_of(row),
		.words = row->words,
		.has_slot = row->has_slot,
		.check = row->check,
		.check_result = &result,
		.now_ms = scene_now_ms(),
		.starting_ms = row->starting_ms};
	next_step(&view, &step);
	if (step.kind != row->kind)
		fail_msg("%s: %s (%s), expected %s", row->label, step_kind_text[step.kind], step.text, step_kind_text[row->kind]);
	if ((row->kind == STEP_FAIL || (row->kind == STEP_ACTIVATE && row->words != NULL)) && step.grade != row->grade)
		fail_msg("%s: grade %s, expected %s", row->label, report_grade_text[step.grade], report_grade_text[row->grade]);
	if (row->owner != OWNER_NONE && step.owner != row->owner)
		fail_msg("%s: owner %d, expected %s", row->label, (int)step.owner, report_owner_text[row->owner]);
	if (row->kind == STEP_FAIL && step.owner == OWNER_NONE)
		fail_msg("%s: a failure without an owner", row->label);
	if (step.is_volume_bound != row->is_volume_bound || (step.is_volume_bound && step.wants_slot))
		fail_msg("%s: bound by its volumes: %d", row->label, step.is_volume_bound);
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

// What is the backup's fault is a verdict, all else is none; and somebody has it.
static void every_exit_code_is_judged(void **state)
{
	(void)state;
	for (size_t i = 0; i < exit_code_row_count; i++) {
		const struct blame blame = blame_exit_code((int)exit_code_rows[i].code);
		bool is_verdict = blame.grade == GRADE_FAILED;
		if (blame.owner == OWNER_NONE || is_verdict != (blame.owner == OWNER_BACKUP) ||
			(!is_verdict && blame.grade != GRADE_INCONCLUSIVE))
			fail_msg("exit code %d: grade %s, owner %d", (int)exit_code_rows[i].code, report_grade_text[blame.grade],
				(int)blame.owner);
		// A code that fails the restore Job at once is final here too.
		if (exit_code_rows[i].fails_job && !blame.is_final)
			fail_msg("exit code %d is tried again", (int)exit_code_rows[i].code);
	}
	assert_int_equal(blame_exit_code(1).grade, GRADE_INCONCLUSIVE);
	assert_int_equal(blame_exit_code(1).owner, OWNER_CLUSTER);
	assert_false(blame_exit_code(1).is_final);
}

static void a_pod_without_a_word_is_judged_by_what_kubernetes_says(void **state)
{
	(void)state;
	static char limit[] = "1Gi";
	static const struct {
		const char *waiting, *ended;
		bool has_limit;
		enum report_owner owner;
	} pods[] = {
		{"ErrImagePull", "", false, OWNER_IMAGE},
		{"InvalidImageName", "", false, OWNER_IMAGE},
		{"Unschedulable", "", false, OWNER_CLUSTER},
		{"CreateContainerConfigError", "", false, OWNER_CLUSTER},
		{"", "OOMKilled", true, OWNER_SETTINGS},
		{"", "OOMKilled", false, OWNER_CLUSTER}, // no limit of ours: the node's memory was short
		{"", "Evicted", true, OWNER_CLUSTER},
		{"", "Error", true, OWNER_CLUSTER},
	};
	for (size_t i = 0; i < sizeof(pods) / sizeof(pods[0]); i++) {
		struct pod_view pod = {0};
		const struct settings_for_intent sizing = {.memory_limit = pods[i].has_limit ? limit : NULL};
		(void)snprintf(pod.waiting_reason, sizeof(pod.waiting_reason), "%s", pods[i].waiting);
		(void)snprintf(pod.ended_reason, sizeof(pod.ended_reason), "%s", pods[i].ended);
		const struct blame blame = blame_pod(&pod, &sizing);
		if (blame.owner != pods[i].owner || blame.grade != GRADE_INCONCLUSIVE)
			fail_msg("%s%s: owner %s", pods[i].waiting, pods[i].ended, report_owner_text[blame.owner]);
	}
	assert_int_equal(blame_pod(NULL, &(const struct settings_for_intent){0}).owner, OWNER_CLUSTER);
}

static void a_check_that_failed_is_judged_by_its_stage(void **state)
{
	(void)state;
	static const struct {
		enum report_grade grade;
		const char *stage, *cause;
		enum report_grade is;
		enum report_owner owner;
	} checks[] = {
		{GRADE_FAILED, "rows", "invalid page", GRADE_FAILED, OWNER_BACKUP},
		{GRADE_INCONCLUSIVE, "connect", "no route", GRADE_INCONCLUSIVE, OWNER_CLUSTER},
		{GRADE_INCONCLUSIVE, "service", "the login of the source was refused: database \"a\": password authentication failed",
			GRADE_INCONCLUSIVE, OWNER_CREDENTIALS},
		{GRADE_INCONCLUSIVE, "service", "no way in through the Service", GRADE_INCONCLUSIVE, OWNER_CLUSTER},
		{GRADE_FAILED, "version", "the server is PostgreSQL 16, the backup is of 15", GRADE_INCONCLUSIVE, OWNER_IMAGE},
		{GRADE_FAILED, "databases", "database \"a\": database locale is incompatible with operating system", GRADE_INCONCLUSIVE,
			OWNER_IMAGE},
	};
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		struct check_result result = {.grade = checks[i].grade};
		(void)snprintf(result.stage, sizeof(result.stage), "%s", checks[i].stage);
		(void)snprintf(result.cause, sizeof(result.cause), "%s", checks[i].cause);
		const struct blame blame = blame_check(&result);
		if (blame.grade != checks[i].is || blame.owner != checks[i].owner)
			fail_msg("%s: grade %s, owner %s", checks[i].stage, report_grade_text[blame.grade],
				report_owner_text[blame.owner]);
	}
}

static void a_volume_doubles_up_to_its_maximum(void **state)
{
	(void)state;
	static const struct {
		int64_t size_gib, asked_gib, maximum_gib, now_gib, next_gib;
		bool is_capped;
	} volumes[] = {
		{1, 0, 8, 1, 2, false},
		{1, 2, 8, 2, 4, false},
		{1, 4, 8, 4, 8, false},
		{1, 5, 8, 5, 8, true},
		{1, 8, 8, 8, 8, true},
		{1, 16, 8, 8, 8, true}, // the maximum was lowered since
		{4, 2, 8, 4, 8, false}, // the setting was raised since
	};
	for (size_t i = 0; i < sizeof(volumes) / sizeof(volumes[0]); i++) {
		bool is_capped = false;
		struct replica replica = {.volume_bytes = volumes[i].asked_gib << 30};
		const struct round_view view = {.replica = &replica,
			.sizing = {.storage_size_bytes = volumes[i].size_gib << 30,
				.storage_size_maximum_bytes = volumes[i].maximum_gib << 30}};
		int64_t now = round_volume_bytes(&view) >> 30, next = round_next_volume_bytes(&view, &is_capped) >> 30;
		if (now != volumes[i].now_gib || next != volumes[i].next_gib || is_capped != volumes[i].is_capped)
			fail_msg("row %zu: now %lld, next %lld, capped %d", i, (long long)now, (long long)next, is_capped);
	}
}

static void a_retry_goes_on_with_the_backup_that_was_found(void **state)
{
	(void)state;
	static const struct {
		const char *label, *annotations;
		enum action_reason reason;
		bool keeps;
	} claims[] = {
		{"a retry", FAILED, REASON_RETRY, true},
		{"a retry of a refresh for its age", FAILED, REASON_FRESHNESS_EXPIRED, true},
		{"a person wants a new one", FAILED, REASON_FORCED, false},
		{"the last round ended well", ACTIVE("2026-11-20T11:00:00Z"), REASON_FRESHNESS_EXPIRED, false},
		{"another snapshot failed", "\"restore-state\":\"failed\",\"round-snapshot-id\":\"s0\"", REASON_NEWER_SNAPSHOT, false},
		{"no round yet", "\"restore-state\":\"failed\"", REASON_RETRY, false},
	};
	for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
		struct entry entry = scene_entry(SCENE_SERVER_ID, "verify", ",\"snapshot_id\":\"s1\"");
		struct replica replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "verify", claims[i].annotations);
		const struct round_view view = {.entry = &entry, .replica = &replica};
		if (round_keeps_backup(&view, claims[i].reason) != claims[i].keeps)
			fail_msg("%s", claims[i].label);
		replica_fini(&replica);
		entry_fini(&entry);
	}
}

// What is deleted by this must be nobody's.
static void a_round_is_over_when_nobody_needs_it(void **state)
{
	(void)state;
	static const struct {
		const char *label, *annotations, *key;
		bool is_over;
	} rounds[] = {
		{"an object of no round", ACTIVE("2026-11-20T01:00:00Z"), "", false},
		{"the one that serves", ACTIVE("2026-11-20T01:00:00Z"), KEY, false},
		{"the one before it", ACTIVE("2026-11-20T01:00:00Z"), OLD, true},
		{"the one that is restored", RESTORING, KEY, false},
		{"the one that starts", STARTING, KEY, false},
		{"another one while one is restored", RESTORING, OLD, true},
		{"the one that serves while another is restored", RESTORING ",\"active-round\":\"" OLD "\"", OLD, false},
		{"the one that failed an hour ago", FAILED, KEY, true},
	};
	for (size_t i = 0; i < sizeof(rounds) / sizeof(rounds[0]); i++) {
		struct replica replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "analytics", rounds[i].annotations);
		const struct round_view view = {.replica = &replica, .sizing = sizing_of(NULL), .now_ms = scene_now_ms()};
		if (round_is_over(&view, rounds[i].key) != rounds[i].is_over)
			fail_msg("%s", rounds[i].label);
		replica_fini(&replica);
	}
}

static void nothing_is_done_in_a_namespace_that_goes(void **state)
{
	(void)state;
	struct step step;
	AUTO(settings) struct settings *settings = scene_settings();
	struct entry entry = scene_entry(SCENE_SERVER_ID, "verify", S1);
	struct replica replica = scene_replica_with(SCENE_NAMESPACE, SCENE_SERVER_ID, "verify", ACTIVE("2026-11-20T01:00:00Z"),
		",\"deletionTimestamp\":\"2026-11-20T11:59:00Z\"");
	const struct round_view view = {.entry = &entry, .replica = &replica, .settings = settings, .has_slot = true,
		.now_ms = scene_now_ms()};
	next_step(&view, &step);
	assert_int_equal(step.kind, STEP_WAIT);
	assert_string_equal(step.text, "the Namespace to be gone");
	entry_fini(&entry);
	replica_fini(&replica);
}

// The objects of a scene by their round; an object of none is nobody's.
static void a_scene_knows_its_objects_by_their_round(void **state)
{
	(void)state;
	struct job_view jobs[] = {{.of = {.round = ""}}, {.of = {.round = OLD}}, {.of = {.round = KEY}}};
	struct deployment_view deployments[] = {{.of = {.round = ""}}, {.of = {.round = OLD}}, {.of = {.round = KEY}}};
	struct pvc_view pvcs[] = {{.of = {.round = ""}}, {.of = {.round = OLD}}, {.of = {.round = KEY}}};
	struct pod_view pods[] = {{.of = {.round = KEY, .created_at_ms = 2}}, {.of = {.round = KEY, .created_at_ms = 3}},
		{.of = {.round = KEY, .created_at_ms = 1}}, {.of = {.round = KEY, .created_at_ms = 4}, .is_restore = true},
		{.of = {.round = OLD, .created_at_ms = 5}}};
	const struct scene scene = {.jobs = jobs, .deployments = deployments, .pods = pods, .pvcs = pvcs, .job_count = 3,
		.deployment_count = 3, .pod_count = 5, .pvc_count = 3};
	assert_ptr_equal(scene_job(&scene, KEY), &jobs[2]);
	assert_ptr_equal(scene_deployment(&scene, KEY), &deployments[2]);
	assert_ptr_equal(scene_pvc(&scene, KEY), &pvcs[2]);
	assert_ptr_equal(scene_pod(&scene, KEY, false), &pods[1]); // the newest
	assert_ptr_equal(scene_pod(&scene, KEY, true), &pods[3]);
	static const char *const nobodys[] = {"", "cccccccc"};
	for (size_t i = 0; i < 2; i++) {
		assert_null(scene_job(&scene, nobodys[i]));
		assert_null(scene_deployment(&scene, nobodys[i]));
		assert_null(scene_pvc(&scene, nobodys[i]));
		assert_null(scene_pod(&scene, nobodys[i], false));
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(rows_of_the_table),
		cmocka_unit_test(a_start_knows_what_was_restored),
		cmocka_unit_test(a_volume_doubles_up_to_its_maximum),
		cmocka_unit_test(a_retry_goes_on_with_the_backup_that_was_found),
		cmocka_unit_test(a_round_is_over_when_nobody_needs_it),
		cmocka_unit_test(nothing_is_done_in_a_namespace_that_goes),
		cmocka_unit_test(a_scene_knows_its_objects_by_their_round),
		cmocka_unit_test(every_exit_code_is_judged),
		cmocka_unit_test(a_pod_without_a_word_is_judged_by_what_kubernetes_says),
		cmocka_unit_test(a_check_that_failed_is_judged_by_its_stage),
	};
	return cmocka_run_group_tests_name("reconciler/round", cases, NULL, NULL);
}
