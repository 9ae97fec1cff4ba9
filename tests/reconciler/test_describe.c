// describe: what people are told of a replica, state by state.
#include "reconciler/describe.h"
#include "reconciler/round.h"
#include "tests/reconciler/scenes.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <string.h>

#define KEY "aaaaaaaa"
#define OLD "bbbbbbbb"
#define ROUND "\"round\":\"" KEY "\",\"round-snapshot-id\":\"s1\",\"attempt\":\"2\",\"round-started-at\":\"2026-11-20T11:00:00Z\""
#define RESTORING "\"restore-state\":\"restoring\"," ROUND
#define STARTING "\"restore-state\":\"starting\"," ROUND
#define RESTORED_BY(engine) "{\"postgres_version\":\"15\",\"bytes\":3221225472,\"files\":3,\"engine\":\"" engine "\"}"
#define ACTIVE                                                                                                            \
	"\"restore-state\":\"active\"," ROUND ",\"active-round\":\"" KEY                                                  \
	"\",\"last-restored-snapshot-id\":\"s1\",\"last-restored-at\":\"2026-11-20T10:00:00Z\",\"last-verdict\":\"clean " \
	"checksums\""
#define REPORTED ",\"last-verification-reported-round\":\"" KEY "\",\"last-verification-reported-at\":\"2026-11-20T10:00:01Z\""
#define FAILED_TIMES(n)                                            \
	"\"restore-state\":\"failed\"," ROUND ",\"failures\":\"" n \
	"\",\"failed-at\":\"2026-11-20T11:58:00Z\",\"last-error\":\"it broke\""
#define FAILED FAILED_TIMES("1")
#define SERVES_STILL ",\"active-round\":\"" OLD "\""
#define S1 ",\"snapshot_id\":\"s1\",\"snapshot_at\":\"2026-11-20T09:00:00Z\""
#define S2 ",\"snapshot_id\":\"s2\",\"snapshot_at\":\"2026-11-20T11:30:00Z\""
#define MINUTES(n) ((n)*INT64_C(60000))
#define NEVER INT64_MAX // as an expected time: REPLICA_NEVER

struct row {
	const char *label;
	const char *intent, *entry, *annotations; // annotations NULL: no Namespace
	bool does_not_know_worklist, waits_for_slot, is_going, is_deleting;
	enum action_reason reason;
	const char *job, *postgres; // rounds of a Job that runs, of a Deployment
	bool is_available;
	bool is_beside_old; // the Deployment of the round before is there and available
	enum job_outcome job_outcome;
	const char *pod_waits; // the reason of the pod of the round; NULL: there is no pod
	const char *pod_message, *pod_ended;
	bool has_ended_well;
	const char *prepares; // the restore pod said this ("": it is gone), and the init step of the Deployment runs since ten
			      // minutes
	size_t volumes; // of older rounds
	enum check_state check;
	struct note note;
	enum describe_tone tone;
	const char *stage, *says, *waits_for, *next, *verdict, *blame, *report, *report_says, *progress; // NULL: not looked at
	int64_t next_in_ms;                                                                              // 0: not looked at
};

static const struct row rows[] = {
	{.label = "wanted, no Namespace",
		.entry = S1,
		.tone = TONE_WAITING,
		.stage = "queued",
		.says = "no Namespace yet",
		.waits_for = "a worker",
		.report = "none"},
	{.label = "wanted, but foreign",
		.entry = S1,
		.reason = REASON_FOREIGN,
		.tone = TONE_ATTENTION,
		.says = "not ours",
		.next = ""},
	{.label = "pending, no snapshot",
		.entry = "",
		.annotations = "\"restore-state\":\"pending\"",
		.tone = TONE_WAITING,
		.waits_for = "no snapshot"},
	{.label = "pending, no slot",
		.entry = S1,
		.annotations = "\"restore-state\":\"pending\"",
		.waits_for_slot = true,
		.tone = TONE_WAITING,
		.stage = "queued",
		.waits_for = "4 restores at once",
		.next = "first restore begins"},
	{.label = "restoring, no Job yet",
		.entry = S1,
		.annotations = RESTORING,
		.tone = TONE_WORKING,
		.stage = "preparing",
		.waits_for = "its Job to be made"},
	{.label = "restoring",
		.entry = S1,
		.annotations = RESTORING,
		.job = KEY,
		.tone = TONE_WORKING,
		.stage = "restore",
		.says = "Restores snapshot s1, attempt 2",
		.waits_for = "the restore Job",
		.next = "PostgreSQL is started",
		.report = "none",
		.progress = ""},
	{.label = "the verdict of the round before is not this one's",
		.entry = S1,
		.annotations = RESTORING ",\"last-verdict\":\"clean rows\"",
		.job = KEY,
		.tone = TONE_WORKING,
		.verdict = "The round before: The backup came up"},
	{.label = "a refresh beside what serves",
		.entry = S1,
		.annotations = RESTORING SERVES_STILL,
		.job = KEY,
		.postgres = OLD,
		.is_available = true,
		.tone = TONE_WORKING,
		.says = "serves meanwhile"},
	{.label = "restoring, the image cannot be pulled",
		.entry = S1,
		.annotations = RESTORING,
		.job = KEY,
		.pod_waits = "ImagePullBackOff",
		.tone = TONE_ATTENTION,
		.waits_for = "cannot run: ImagePullBackOff"},
	{.label = "restoring, its entry is gone",
		.annotations = RESTORING,
		.job = KEY,
		.tone = TONE_ATTENTION,
		.waits_for = "its entry in the worklist"},
	{.label = "restoring, the worklist is not known",
		.annotations = RESTORING,
		.does_not_know_worklist = true,
		.job = KEY,
		.tone = TONE_WORKING,
		.waits_for = "the restore Job"},
	{.label = "a first count",
		.entry = S1,
		.annotations = RESTORING,
		.job = KEY,
		.tone = TONE_WORKING,
		.note = {.round = KEY, .received_bytes = 3 << 20, .bytes_per_s = -1},
		.progress = "3.0 MiB read; how much is left is not known"},
	{.label = "how far, how fast, how long",
		.entry = S1,
		.annotations = RESTORING ",\"expected-bytes\":\"1073741824\"",
		.job = KEY,
		.tone = TONE_WORKING,
		.note = {.round = KEY, .received_bytes = 512 << 20, .bytes_per_s = 4 << 20},
		.progress = "512 MiB of about 1.0 GiB (50 %), 4.0 MiB/s, about 2 min left"},
	{.label = "more than expected is never 100 %",
		.entry = S1,
		.annotations = RESTORING ",\"expected-bytes\":\"1024\"",
		.job = KEY,
		.tone = TONE_WORKING,
		.note = {.round = KEY, .received_bytes = 4096, .bytes_per_s = 1},
		.progress = "(99 %), 1 B/s"},
	{.label = "counts of another round",
		.entry = S1,
		.annotations = RESTORING,
		.job = KEY,
		.tone = TONE_WORKING,
		.note = {.round = OLD, .received_bytes = 4096},
		.progress = ""},
	{.label = "starting",
		.entry = S1,
		.annotations = STARTING,
		.postgres = KEY,
		.tone = TONE_WORKING,
		.stage = "start",
		.says = "Starts PostgreSQL on snapshot s1",
		.waits_for = "PostgreSQL to come up",
		.next_in_ms = MINUTES(25)},
	{.label = "starting, it recovers",
		.entry = S1,
		.annotations = STARTING,
		.postgres = KEY,
		.prepares = RESTORED_BY("kopia 0.17.0"),
		.tone = TONE_WORKING,
		.stage = "recovery",
		.says = "Recovers the database of snapshot s1",
		.waits_for = "recovery",
		.progress = "",
		.next_in_ms = NEVER},
	{.label = "starting, dumps are loaded",
		.entry = S1,
		.annotations = STARTING SERVES_STILL,
		.postgres = KEY,
		.prepares = RESTORED_BY("dump 15.20 (rclone 1.60.1)"),
		.tone = TONE_WORKING,
		.stage = "load",
		.says = "Loads the dumps of snapshot s1, attempt 2",
		.waits_for = "its dumps to be loaded",
		.next = "nothing moves for 15 min",
		.progress = "3.0 GiB of dumps, for 10 min",
		.next_in_ms = NEVER},
	{.label = "starting, its entry is gone while dumps are loaded",
		.annotations = STARTING,
		.postgres = KEY,
		.prepares = RESTORED_BY("dump 15.20 (rclone 1.60.1)"),
		.tone = TONE_ATTENTION,
		.waits_for = "its entry in the worklist"},
	{.label = "starting, it crashes",
		.entry = S1,
		.annotations = STARTING,
		.postgres = KEY,
		.pod_waits = "CrashLoopBackOff",
		.tone = TONE_WORKING,
		.waits_for = "CrashLoopBackOff"},
	{.label = "checking",
		.entry = S1,
		.annotations = STARTING,
		.postgres = KEY,
		.is_available = true,
		.check = CHECK_RUNNING,
		.tone = TONE_WORKING,
		.stage = "checks",
		.says = "Checks the database",
		.waits_for = "the checks",
		.next_in_ms = NEVER},
	{.label = "active",
		.entry = S1,
		.annotations = ACTIVE REPORTED,
		.postgres = KEY,
		.is_available = true,
		.tone = TONE_GOOD,
		.stage = "settled",
		.says = "Serves snapshot s1",
		.waits_for = "",
		.next = "a newer snapshot",
		.verdict = "passed every check",
		.report = "landed"},
	{.label = "active, its report is owed",
		.entry = S1,
		.annotations = ACTIVE ",\"report\":\"{}\"",
		.postgres = KEY,
		.is_available = true,
		.tone = TONE_GOOD,
		.stage = "report",
		.waits_for = "canopy to take its report",
		.report = "owed"},
	{.label = "active, with a bound for its age",
		.entry = S1 ",\"overdue_after_seconds\":10800",
		.annotations = ACTIVE REPORTED,
		.postgres = KEY,
		.is_available = true,
		.tone = TONE_GOOD,
		.next = "for its age",
		.next_in_ms = MINUTES(60)},
	{.label = "active, a newer snapshot is wanted",
		.entry = S2,
		.annotations = ACTIVE REPORTED,
		.postgres = KEY,
		.is_available = true,
		.waits_for_slot = true,
		.tone = TONE_GOOD,
		.waits_for = "free slot for its refresh",
		.next = "A refresh to snapshot s2"},
	{.label = "active, but down",
		.entry = S1,
		.annotations = ACTIVE REPORTED,
		.postgres = KEY,
		.tone = TONE_BROKEN,
		.says = "not available",
		.waits_for = "to come back"},
	{.label = "active, its Deployment is gone",
		.entry = S1,
		.annotations = ACTIVE REPORTED,
		.tone = TONE_BROKEN,
		.waits_for = "its Deployment, which is gone"},
	{.label = "verify: proven",
		.intent = "verify",
		.entry = S1,
		.annotations = ACTIVE REPORTED,
		.tone = TONE_GOOD,
		.says = "proven and reported",
		.next = "Leaves the worklist"},
	{.label = "failed: the backup",
		.entry = S1,
		.annotations = FAILED ",\"last-verdict\":\"failed recovery backup\"" REPORTED,
		.tone = TONE_BROKEN,
		.stage = "settled",
		.says = "failed; nothing serves",
		.verdict = "cannot be used (stage: recovery)",
		.blame = "the backup",
		.next = "Round 2 of 3",
		.next_in_ms = MINUTES(3),
		.report = "landed"},
	{.label = "failed: not judged, what was there still serves",
		.entry = S1,
		.annotations = FAILED SERVES_STILL ",\"last-verdict\":\"inconclusive restore cluster\"" REPORTED,
		.postgres = OLD,
		.is_available = true,
		.tone = TONE_BROKEN,
		.says = "still serves",
		.verdict = "was not judged (stage: restore)",
		.blame = "not the backup"},
	{.label = "failed, the verdict is not known",
		.entry = S1,
		.annotations = FAILED REPORTED,
		.tone = TONE_BROKEN,
		.verdict = "",
		.blame = "the report says it"},
	{.label = "failed, a person typed the verdict",
		.entry = S1,
		.annotations = FAILED ",\"last-verdict\":\"cleanish\"",
		.tone = TONE_BROKEN,
		.verdict = ""},
	{.label = "failed, the report is owed",
		.entry = S1,
		.annotations = FAILED ",\"report\":\"{}\",\"last-verification-error\":\"canopy: 502\"",
		.tone = TONE_BROKEN,
		.report = "owed",
		.next = "No new round begins",
		.next_in_ms = NEVER},
	{.label = "failed, the report is refused for good",
		.entry = S1,
		.annotations = FAILED ",\"last-verification-error\":\"refused since 2026-11-20T11:00:00Z: 404\"",
		.tone = TONE_BROKEN,
		.report = "refused"},
	{.label = "active, its report is refused for good",
		.entry = S1,
		.annotations = ACTIVE ",\"last-verification-error\":\"refused since 2026-11-20T11:00:00Z: 404\"",
		.postgres = KEY,
		.is_available = true,
		.tone = TONE_ATTENTION,
		.report = "refused"},
	{.label = "failed, tries used up",
		.entry = S1,
		.annotations = FAILED_TIMES("3") REPORTED,
		.tone = TONE_BROKEN,
		.says = "3 times in a row",
		.next = "kubectl annotate namespace " SCENE_NAMESPACE " pgro.bes.au/force-refresh=true",
		.next_in_ms = NEVER},
	{.label = "failed, a newer snapshot is there",
		.entry = S2,
		.annotations = FAILED REPORTED,
		.tone = TONE_BROKEN,
		.next = "newer snapshot s2"},
	{.label = "failed, credentials refused",
		.entry = S1,
		.annotations = FAILED ",\"credentials-refused\":\"abcdef01\"",
		.tone = TONE_BROKEN,
		.verdict = "No backup was read",
		.blame = "canopy",
		.report = "none",
		.next_in_ms = MINUTES(358)},
	{.label = "going away",
		.annotations = ACTIVE REPORTED,
		.is_deleting = true,
		.tone = TONE_WAITING,
		.stage = "deletion",
		.says = "Is being deleted"},
	{.label = "to be torn down, a report is owed",
		.annotations = ACTIVE ",\"report\":\"{}\"",
		.postgres = KEY,
		.is_available = true,
		.is_going = true,
		.reason = REASON_GONE,
		.tone = TONE_GOOD,
		.says = "Left the worklist",
		.next = "Its report is sent first"},
	{.label = "held by the brake",
		.annotations = ACTIVE REPORTED,
		.postgres = KEY,
		.is_available = true,
		.reason = REASON_BRAKE,
		.tone = TONE_ATTENTION,
		.says = "the brake holds its teardown",
		.next = ""},
	{.label = "held by a person",
		.annotations = ACTIVE REPORTED,
		.postgres = KEY,
		.is_available = true,
		.reason = REASON_TEARDOWN_HOLD,
		.tone = TONE_ATTENTION,
		.says = "annotation teardown-hold"},
	{.label = "tried again and again",
		.entry = S1,
		.annotations = RESTORING,
		.note = {.errors_in_row = 3, .trouble = "credentials: canopy: 502", .next_try_ms = 1},
		.tone = TONE_ATTENTION,
		.waits_for = "after 3 that failed: credentials: canopy: 502",
		.next = "tried again"},
	{.label = "wanted, of an intent that nobody knows",
		.entry = S1,
		.reason = REASON_UNKNOWN_INTENT,
		.tone = TONE_ATTENTION,
		.says = "not one that this operator knows",
		.waits_for = "",
		.next = ""},
	{.label = "pending, its turn comes",
		.entry = S1,
		.annotations = "\"restore-state\":\"pending\"",
		.tone = TONE_WAITING,
		.waits_for = "its turn",
		.next = "first restore begins"},
	{.label = "pending, as a standby sees it",
		.annotations = "\"restore-state\":\"pending\",\"desired-snapshot-id\":\"s1\"",
		.does_not_know_worklist = true,
		.tone = TONE_WAITING,
		.waits_for = "its turn"},
	{.label = "restoring, its Job has ended and its pod is gone",
		.entry = S1,
		.annotations = RESTORING,
		.job = KEY,
		.job_outcome = JOB_COMPLETE,
		.tone = TONE_WORKING,
		.stage = "restore",
		.waits_for = "the restore Job"},
	{.label = "restoring, its pod cannot run and says why",
		.entry = S1,
		.annotations = RESTORING,
		.job = KEY,
		.pod_waits = "ErrImagePull",
		.pod_message = "no such image",
		.tone = TONE_ATTENTION,
		.waits_for = "the restore Job, whose pod cannot run: ErrImagePull: no such image"},
	{.label = "restoring, its container ended and is tried again",
		.entry = S1,
		.annotations = RESTORING,
		.job = KEY,
		.pod_waits = "",
		.pod_ended = "OOMKilled",
		.tone = TONE_WORKING,
		.waits_for = "the restore Job, whose container restore ended with exit code 137 (OOMKilled) and is tried again"},
	{.label = "restoring, its pod runs",
		.entry = S1,
		.annotations = RESTORING,
		.job = KEY,
		.pod_waits = "",
		.tone = TONE_WORKING,
		.waits_for = "the restore Job"},
	{.label = "starting, its Deployment is not there",
		.entry = S1,
		.annotations = STARTING,
		.tone = TONE_WORKING,
		.stage = "start",
		.waits_for = "its Deployment to be made"},
	{.label = "starting, its entry has gone",
		.annotations = STARTING,
		.postgres = KEY,
		.tone = TONE_ATTENTION,
		.waits_for = "without it the round stands still"},
	{.label = "starting, as a standby sees it",
		.annotations = STARTING,
		.does_not_know_worklist = true,
		.postgres = KEY,
		.pod_waits = "",
		.tone = TONE_WORKING,
		.says = "Starts PostgreSQL on snapshot s1, attempt 2",
		.waits_for = "PostgreSQL to come up",
		.next = "ready time-out"},
	{.label = "active, a refresh was asked for",
		.entry = S1,
		.annotations = ACTIVE REPORTED ",\"force-refresh\":\"true\"",
		.postgres = KEY,
		.is_available = true,
		.tone = TONE_GOOD,
		.next = "A refresh that a person asked for"},
	{.label = "active, its pod is gone",
		.entry = S1,
		.annotations = ACTIVE REPORTED,
		.postgres = KEY,
		.tone = TONE_BROKEN,
		.waits_for = "PostgreSQL to come back; it has no pod"},
	{.label = "active, its pod does not come back, and its report is owed",
		.entry = S1,
		.annotations = ACTIVE ",\"report\":\"{}\"",
		.postgres = KEY,
		.pod_waits = "CrashLoopBackOff",
		.tone = TONE_BROKEN,
		.stage = "report",
		.waits_for = "PostgreSQL to come back, whose pod cannot run: CrashLoopBackOff"},
	{.label = "active, a refresh waits for a volume",
		.entry = S2,
		.annotations = ACTIVE REPORTED,
		.postgres = KEY,
		.is_available = true,
		.volumes = 2,
		.tone = TONE_GOOD,
		.waits_for = ROUND_VOLUMES_TEXT,
		.next = "A refresh to snapshot s2"},
	{.label = "failed, a round was asked for",
		.entry = S1,
		.annotations = FAILED ",\"force-refresh\":\"true\"",
		.tone = TONE_BROKEN,
		.next = "A round that a person asked for"},
	{.label = "failed, the next round waits for a volume",
		.entry = S1,
		.annotations = FAILED ",\"force-refresh\":\"true\"",
		.volumes = 2,
		.tone = TONE_BROKEN,
		.waits_for = ROUND_VOLUMES_TEXT},
	{.label = "failed, the next round waits for a slot",
		.entry = S2,
		.annotations = FAILED,
		.waits_for_slot = true,
		.tone = TONE_BROKEN,
		.waits_for = "a free slot for its next round (MAX_CONCURRENT_RESTORES is 4)"},
	{.label = "torn down, its report goes first",
		.annotations = ACTIVE ",\"report\":\"{}\"",
		.postgres = KEY,
		.is_available = true,
		.is_going = true,
		.tone = TONE_GOOD,
		.says = "Left the worklist: it is torn down",
		.next = "Its report is sent first, then its Namespace goes"},
	{.label = "the verdict names no stage",
		.entry = S1,
		.annotations =
			"\"restore-state\":\"active\"," ROUND ",\"active-round\":\"" KEY "\",\"last-verdict\":\"clean\"" REPORTED,
		.postgres = KEY,
		.is_available = true,
		.tone = TONE_GOOD,
		.verdict = "=The backup came up and passed every check"},
	{.label = "active, the last try to report failed, and nothing is owed any more",
		.entry = S1,
		.annotations = ACTIVE ",\"last-verification-error\":\"canopy: 502\"",
		.postgres = KEY,
		.is_available = true,
		.tone = TONE_GOOD,
		.report = "none",
		.report_says = "=None yet"},
	{.label = "restoring, the report of the round before was refused",
		.entry = S1,
		.annotations = RESTORING ",\"last-verification-error\":\"refused since 2026-11-20T11:00:00Z: 404\"",
		.job = KEY,
		.tone = TONE_WORKING,
		.report = "none",
		.report_says = "=Not due yet: this round has not ended"},
	{.label = "restoring, credentials were refused before",
		.entry = S1,
		.annotations = RESTORING ",\"credentials-refused\":\"abcdef01\"",
		.job = KEY,
		.tone = TONE_WORKING,
		.verdict = "",
		.report_says = "=Not due yet: this round has not ended"},
	{.label = "restoring, of a round that has lost its name",
		.entry = S1,
		.annotations = "\"restore-state\":\"restoring\"",
		.tone = TONE_WORKING,
		.progress = ""},
	{.label = "how far, and nothing comes",
		.entry = S1,
		.annotations = RESTORING ",\"expected-bytes\":\"1073741824\"",
		.job = KEY,
		.tone = TONE_WORKING,
		.note = {.round = KEY, .received_bytes = 512 << 20, .bytes_per_s = 0},
		.progress = "=512 MiB of about 1.0 GiB (50 %), 0 B/s"},
	{.label = "restoring, its container has ended well",
		.entry = S1,
		.annotations = RESTORING,
		.job = KEY,
		.pod_waits = "",
		.pod_ended = "Completed",
		.has_ended_well = true,
		.tone = TONE_WORKING,
		.waits_for = "=the restore Job"},
	{.label = "restoring, its Job has ended and its pod waits for nothing any more",
		.entry = S1,
		.annotations = RESTORING,
		.job = KEY,
		.job_outcome = JOB_COMPLETE,
		.pod_waits = "ContainerCreating",
		.tone = TONE_WORKING},
	{.label = "restoring, a pod is seen before its Job",
		.entry = S1,
		.annotations = RESTORING,
		.pod_waits = "ImagePullBackOff",
		.tone = TONE_WORKING,
		.waits_for = "its Job to be made"},
	{.label = "starting, of an intent that nobody knows",
		.intent = "other",
		.annotations = STARTING,
		.does_not_know_worklist = true,
		.postgres = KEY,
		.tone = TONE_WORKING,
		.waits_for = "=PostgreSQL to come up; it has no pod yet",
		.next_in_ms = NEVER},
	{.label = "starting, params that are none: the settings' time-out",
		.entry = S1 ",\"params\":{\"deployment_ready_timeout\":\"soon\"}",
		.annotations = STARTING,
		.postgres = KEY,
		.tone = TONE_WORKING,
		.next_in_ms = MINUTES(25)},
	{.label = "starting, it recovers, and its restore pod is gone",
		.entry = S1,
		.annotations = STARTING SERVES_STILL,
		.postgres = KEY,
		.is_beside_old = true,
		.prepares = "",
		.tone = TONE_WORKING,
		.stage = "recovery",
		.says = "=Recovers the database of snapshot s1, attempt 2; the round before it serves meanwhile"},
	{.label = "starting, it recovers, and its restore pod said nothing that can be read",
		.entry = S1,
		.annotations = STARTING,
		.postgres = KEY,
		.prepares = "restored",
		.tone = TONE_WORKING,
		.stage = "recovery",
		.says = "=Recovers the database of snapshot s1, attempt 2"},
	{.label = "starting, dumps of a size that was not said are loaded",
		.entry = S1,
		.annotations = STARTING,
		.postgres = KEY,
		.prepares = "{\"postgres_version\":\"15\",\"engine\":\"dump 15.20 (rclone 1.60.1)\"}",
		.tone = TONE_WORKING,
		.stage = "load",
		.progress = ""},
	{.label = "starting beside what serves",
		.entry = S1,
		.annotations = STARTING SERVES_STILL,
		.postgres = KEY,
		.is_beside_old = true,
		.tone = TONE_WORKING,
		.says = "=Starts PostgreSQL on snapshot s1, attempt 2; the round before it serves meanwhile"},
	{.label = "starting, it is up and its checks have not begun",
		.entry = S1,
		.annotations = STARTING,
		.postgres = KEY,
		.is_available = true,
		.tone = TONE_WORKING,
		.stage = "checks",
		.says = "=Checks the database of snapshot s1, attempt 2",
		.next_in_ms = NEVER},
	{.label = "checking beside what serves",
		.entry = S1,
		.annotations = STARTING SERVES_STILL,
		.postgres = KEY,
		.is_available = true,
		.is_beside_old = true,
		.check = CHECK_RUNNING,
		.tone = TONE_WORKING,
		.says = "=Checks the database of snapshot s1, attempt 2; the round before it serves meanwhile"},
	{.label = "active, of an intent that nobody knows",
		.intent = "other",
		.annotations = ACTIVE REPORTED,
		.does_not_know_worklist = true,
		.postgres = KEY,
		.is_available = true,
		.tone = TONE_GOOD,
		.next = "=A refresh when a newer snapshot comes"},
	{.label = "active, with a bound for its age, which is not known",
		.entry = S1 ",\"overdue_after_seconds\":10800",
		.annotations = "\"restore-state\":\"active\"," ROUND ",\"active-round\":\"" KEY "\"" REPORTED,
		.postgres = KEY,
		.is_available = true,
		.tone = TONE_GOOD,
		.next = "=A refresh when a newer snapshot comes",
		.next_in_ms = NEVER},
	{.label = "active, but down, and a refresh waits for a slot",
		.entry = S2,
		.annotations = ACTIVE REPORTED,
		.postgres = KEY,
		.waits_for_slot = true,
		.tone = TONE_BROKEN,
		.waits_for = "=PostgreSQL to come back; it has no pod"},
	{.label = "failed, and what was there does not serve either",
		.entry = S1,
		.annotations = FAILED SERVES_STILL REPORTED,
		.postgres = OLD,
		.tone = TONE_BROKEN,
		.says = "=The restore of snapshot s1 failed"},
	{.label = "failed, and it is what should serve",
		.entry = S1,
		.annotations = FAILED ",\"active-round\":\"" KEY "\"" REPORTED,
		.postgres = KEY,
		.is_available = true,
		.tone = TONE_BROKEN,
		.says = "=The restore of snapshot s1 failed"},
	{.label = "failed, of a snapshot that is not known any more",
		.entry = S1,
		.annotations = "\"restore-state\":\"failed\",\"round\":\"" KEY
			       "\",\"failures\":\"1\",\"failed-at\":\"2026-11-20T11:58:00Z\"",
		.tone = TONE_BROKEN,
		.says = "=The restore of snapshot ? failed; nothing serves",
		.next = "=Round 2 of 3 for this snapshot"},
	{.label = "failed, and tried again and again",
		.entry = S1,
		.annotations = FAILED,
		.note = {.errors_in_row = 2, .trouble = "patch: 502", .next_try_ms = 1},
		.tone = TONE_BROKEN,
		.waits_for = "=the next try, after 2 that failed: patch: 502"},
	{.label = "failed, and held by the brake",
		.annotations = FAILED,
		.reason = REASON_BRAKE,
		.tone = TONE_BROKEN,
		.says = "the brake holds its teardown"},
	{.label = "wanted again after its Namespace has gone",
		.entry = S1,
		.is_going = true,
		.reason = REASON_GONE,
		.tone = TONE_WAITING,
		.says = "=Is in the worklist and has no Namespace yet"},
	{.label = "to be torn down, and it goes already",
		.annotations = ACTIVE REPORTED,
		.is_deleting = true,
		.is_going = true,
		.tone = TONE_WAITING,
		.says = "=Is being deleted"},
	{.label = "to be torn down, nothing is owed",
		.annotations = ACTIVE REPORTED,
		.postgres = KEY,
		.is_available = true,
		.is_going = true,
		.tone = TONE_GOOD,
		.next = "=Its Namespace goes"},
};

// What a row puts into the scene.
struct stage {
	struct job_view job;
	struct deployment_view deployments[2];
	struct pod_view pods[2];
	struct pvc_view volumes[2];
	char message[256];
	struct scene scene;
};

static void set_stage(const struct row *row, struct stage *s)
{
	*s = (struct stage){0};
	s->scene = (struct scene){
		.jobs = &s->job, .deployments = s->deployments, .pods = s->pods, .pvcs = s->volumes, .pvc_count = row->volumes};
	if (row->job != NULL) {
		memcpy(s->job.of.round, row->job, sizeof(s->job.of.round));
		s->job.outcome = row->job_outcome;
		s->scene.job_count = 1;
	}
	if (row->postgres != NULL) {
		struct deployment_view *deployment = &s->deployments[s->scene.deployment_count++];
		memcpy(deployment->of.round, row->postgres, sizeof(deployment->of.round));
		deployment->is_available = row->is_available;
		deployment->of.created_at_ms = scene_now_ms() - MINUTES(5);
	}
	if (row->is_beside_old)
		s->deployments[s->scene.deployment_count++] = (struct deployment_view){.of.round = OLD, .is_available = true};
	for (size_t i = 0; i < row->volumes; i++)
		memcpy(s->volumes[i].of.round, OLD, sizeof(s->volumes[i].of.round));
	if (row->pod_waits != NULL) {
		memcpy(s->pods[0].of.round, KEY, sizeof(s->pods[0].of.round));
		s->pods[0].is_restore = strstr(row->annotations, "\"restoring\"") != NULL;
		memcpy(s->pods[0].waiting_reason, row->pod_waits, strlen(row->pod_waits) + 1);
		if (row->pod_message != NULL)
			memcpy(s->pods[0].waiting_message, row->pod_message, strlen(row->pod_message) + 1);
		if (row->pod_ended != NULL) {
			memcpy(s->pods[0].ended_reason, row->pod_ended, strlen(row->pod_ended) + 1);
			memcpy(s->pods[0].ended_container, "restore", sizeof("restore"));
			s->pods[0].exit_code = row->has_ended_well ? 0 : 137;
		}
		s->scene.pod_count = 1;
	}
	if (row->prepares != NULL) {
		(void)snprintf(s->message, sizeof(s->message), "%s", row->prepares);
		s->pods[0] = (struct pod_view){.of.round = KEY, .is_restore = true, .message = s->message};
		s->pods[1] = (struct pod_view){
			.of.round = KEY, .prepare = PREPARE_RUNNING, .prepare_started_at_ms = scene_now_ms() - MINUTES(10)};
		s->scene.pods = row->prepares[0] == '\0' ? s->pods + 1 : s->pods;
		s->scene.pod_count = row->prepares[0] == '\0' ? 1 : 2;
	}
}

// "" must be empty, "=..." is all of it, else a part.
static void compare(const struct row *row, const char *what, const char *is, const char *expected)
{
	if (is == NULL)
		is = "";
	if (expected == NULL)
		return;
	bool is_whole = expected[0] == '\0' || expected[0] == '=';
	if (is_whole ? strcmp(is, expected + (expected[0] == '=')) != 0 : strstr(is, expected) == NULL)
		fail_msg("%s: %s is \"%s\", expected \"%s\"", row->label, what, is, expected);
}

static void check(const struct row *row, const struct settings *settings)
{
	struct stage stage;
	struct entry entry = {0};
	struct replica replica = {0};
	struct description d;
	const char *intent = row->intent == NULL ? "analytics" : row->intent;
	const char *going = row->is_deleting ? ",\"deletionTimestamp\":\"2026-11-20T11:59:00Z\"" : "";
	if (row->entry != NULL)
		entry = scene_entry(SCENE_SERVER_ID, intent, row->entry);
	if (row->annotations != NULL)
		replica = scene_replica_with(SCENE_NAMESPACE, SCENE_SERVER_ID, intent, row->annotations, going);
	set_stage(row, &stage);
	const struct describe_facts facts = {.replica = row->annotations == NULL ? NULL : &replica,
		.scene = &stage.scene,
		.entry = row->entry == NULL ? NULL : &entry,
		.knows_worklist = !row->does_not_know_worklist,
		.reason = row->reason,
		.is_going = row->is_going,
		.waits_for_slot = row->waits_for_slot,
		.check = row->check,
		.note = row->note,
		.settings = settings,
		.now_ms = scene_now_ms()};
	describe(&facts, &d);
	compare(row, "tone", describe_tone_text[d.tone], describe_tone_text[row->tone]);
	compare(row, "stage", d.stage, row->stage);
	compare(row, "says", d.says, row->says);
	compare(row, "waits_for", d.waits_for, row->waits_for);
	compare(row, "next", d.next, row->next);
	compare(row, "verdict", d.verdict_says, row->verdict);
	compare(row, "blame", d.blame, row->blame);
	compare(row, "report", d.report, row->report);
	compare(row, "report_says", d.report_says, row->report_says);
	compare(row, "progress", d.progress, row->progress);
	int64_t expected_ms = row->next_in_ms == NEVER ? REPLICA_NEVER : scene_now_ms() + row->next_in_ms;
	if (row->next_in_ms != 0 && d.next_at_ms != expected_ms)
		fail_msg("%s: next in %lld ms", row->label, (long long)(d.next_at_ms - scene_now_ms()));
	if (row->entry != NULL)
		entry_fini(&entry);
	replica_fini(&replica);
}

static void rows_of_the_table(void **state)
{
	(void)state;
	AUTO(settings) struct settings *settings = scene_settings();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check(&rows[i], settings);
}

static void snapshots_and_their_age(void **state)
{
	(void)state;
	AUTO(settings) struct settings *settings = scene_settings();
	struct description d;
	struct stage stage;
	const struct row row = {.postgres = KEY, .is_available = true};
	struct entry entry = scene_entry(SCENE_SERVER_ID, "analytics", S2);
	struct replica replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "analytics",
		ACTIVE ",\"desired-snapshot-id\":\"s1\",\"desired-snapshot-at\":\"2026-11-20T09:00:00Z\"");
	set_stage(&row, &stage);
	struct describe_facts facts = {
		.replica = &replica, .scene = &stage.scene, .settings = settings, .now_ms = scene_now_ms()};

	describe(&facts, &d);
	assert_string_equal(d.snapshot_id, "s1");
	assert_int_equal(d.snapshot_at_ms, scene_now_ms() - MINUTES(180));
	assert_null(d.wanted_id);

	// How old the one that serves is was said by the worklist alone, and that speaks of another one now.
	facts.entry = &entry;
	facts.knows_worklist = true;
	describe(&facts, &d);
	assert_string_equal(d.snapshot_id, "s1");
	assert_int_equal(d.snapshot_at_ms, REPLICA_NEVER);
	assert_string_equal(d.wanted_id, "s2");
	entry_fini(&entry);
	replica_fini(&replica);
}

static void a_time_that_a_person_typed_is_none(void **state)
{
	(void)state;
	AUTO(settings) struct settings *settings = scene_settings();
	struct description d;
	const struct scene scene = {0};
	struct replica replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "analytics",
		ACTIVE ",\"desired-snapshot-id\":\"s1\",\"desired-snapshot-at\":\"yesterday\"");
	const struct describe_facts facts = {
		.replica = &replica, .scene = &scene, .settings = settings, .now_ms = scene_now_ms()};
	describe(&facts, &d);
	assert_string_equal(d.snapshot_id, "s1");
	assert_int_equal(d.snapshot_at_ms, REPLICA_NEVER);
	replica_fini(&replica);
}

static void what_should_serve_and_does_not_is_down(void **state)
{
	(void)state;
	static const struct {
		struct row row;
		bool is_down;
	} cases[] = {
		{{.label = "it serves", .annotations = ACTIVE, .postgres = KEY, .is_available = true}, false},
		{{.label = "it does not answer", .annotations = ACTIVE, .postgres = KEY}, true},
		{{.label = "its Deployment is gone", .annotations = ACTIVE}, true},
		{{.label = "the round before answers, this one does not", .annotations = ACTIVE, .is_beside_old = true}, true},
		{{.label = "nothing serves yet", .annotations = RESTORING}, false},
		{{.label = "it goes", .annotations = ACTIVE, .is_deleting = true}, false},
		{{.label = "it is proven", .intent = "verify", .annotations = ACTIVE REPORTED}, false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct row *row = &cases[i].row;
		struct stage stage;
		struct replica replica =
			scene_replica_with(SCENE_NAMESPACE, SCENE_SERVER_ID, row->intent == NULL ? "analytics" : row->intent,
				row->annotations, row->is_deleting ? ",\"deletionTimestamp\":\"2026-11-20T11:59:00Z\"" : "");
		set_stage(row, &stage);
		if (describe_is_down(&replica, &stage.scene) != cases[i].is_down)
			fail_msg("%s", row->label);
		replica_fini(&replica);
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(rows_of_the_table),
		cmocka_unit_test(snapshots_and_their_age),
		cmocka_unit_test(a_time_that_a_person_typed_is_none),
		cmocka_unit_test(what_should_serve_and_does_not_is_down),
	};
	return cmocka_run_group_tests_name("reconciler/describe", cases, NULL, NULL);
}
