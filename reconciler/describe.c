#include "reconciler/describe.h"

#include "base/clock.h"
#include "builders/names.h"
#include "canopy/intents.h"
#include "canopy/report.h"
#include "reconciler/round.h"
#include <stdio.h>
#include <string.h>

#define SNAPSHOT_SHOWN 12 // characters of an id in a sentence: enough to tell two apart
#define SAY(out, ...) (void)snprintf((out), DESCRIBE_TEXT_SIZE, __VA_ARGS__)

const char *const describe_tone_text[] = {
#define X(name, text) [name] = (text),
	DESCRIBE_TONES(X)
#undef X
};

static int64_t time_of(const char *text)
{
	int64_t ms = REPLICA_NEVER;
	struct error ignored;
	return text == NULL || clock_parse(text, &ms, &ignored) < 0 ? REPLICA_NEVER : ms;
}

static bool same(const char *a, const char *b)
{
	return a != NULL && b != NULL && strcmp(a, b) == 0;
}

static const char *short_id(const char *id, char out[SNAPSHOT_SHOWN + 1])
{
	(void)snprintf(out, SNAPSHOT_SHOWN + 1, "%s", id == NULL ? "?" : id);
	return out;
}

static const struct deployment_view *serving_deployment(const struct describe_facts *f)
{
	return f->replica->active_round[0] == '\0' ? NULL : scene_deployment(f->scene, f->replica->active_round);
}

bool describe_is_down(const struct replica *r, const struct scene *scene)
{
	if (r->active_round[0] == '\0' || r->is_deleting || replica_is_proven_once(r))
		return false;
	const struct deployment_view *serving = scene_deployment(scene, r->active_round);
	return serving == NULL || !serving->is_available;
}

// Something serves beside the round in hand, or in spite of the one that failed.
static bool still_serves(const struct describe_facts *f)
{
	const struct deployment_view *d = serving_deployment(f);
	return d != NULL && d->is_available && strcmp(f->replica->active_round, f->replica->round) != 0;
}

// --- snapshots

static void describe_snapshot(const struct describe_facts *f, struct description *out)
{
	const struct replica *r = f->replica;
	const char *wanted = f->entry != NULL ? f->entry->snapshot_id : r->desired_snapshot_id;
	const char *wanted_at = f->entry != NULL ? f->entry->snapshot_at : r->desired_snapshot_at;
	const char *in_hand = r == NULL                      ? NULL
			      : replica_has_round_in_hand(r) ? r->round_snapshot_id
							     : r->last_restored_snapshot_id;

	out->snapshot_id = in_hand != NULL ? in_hand : wanted;
	out->snapshot_at_ms = same(out->snapshot_id, wanted) ? time_of(wanted_at) : REPLICA_NEVER;
	out->wanted_id = same(out->snapshot_id, wanted) ? NULL : wanted;
}

// --- the verdict of the last round that ended

static const char *const verdict_words[] = {
	[GRADE_CLEAN] = "The backup came up and passed every check",
	[GRADE_REPAIRED] = "The backup came up and passed its checks after indexes were rebuilt",
	[GRADE_SALVAGED] = "The backup came up only after its write-ahead log was reset: reported as a failure",
	[GRADE_FAILED] = "The backup cannot be used",
	[GRADE_INCONCLUSIVE] = "The backup was not judged",
};

#define GRADES (sizeof(verdict_words) / sizeof(verdict_words[0]))

static const char *const blame_words[] = {
	[OWNER_NONE] = NULL,
	[OWNER_BACKUP] = "the backup",
	[OWNER_CLUSTER] = "the cluster or its network, not the backup",
	[OWNER_IMAGE] = "the image, not the backup",
	[OWNER_CREDENTIALS] = "the credentials, not the backup",
	[OWNER_CANOPY] = "what canopy declares, not the backup",
	[OWNER_SETTINGS] = "the settings, not the backup",
};
#define OWNERS (sizeof(blame_words) / sizeof(blame_words[0]))

struct verdict {
	int grade; // -1: none, or a person typed something else
	int stage_len;
	const char *stage;
	enum report_owner owner;
};

static enum report_owner owner_of(const char *text)
{
	for (size_t i = OWNER_NONE + 1; i < OWNERS; i++) {
		if (strcmp(report_owner_text[i], text) == 0)
			return (enum report_owner)i;
	}
	return OWNER_NONE;
}

// "<grade> <stage> <owner>", as step_end.c writes it.
static struct verdict read_verdict(const char *text)
{
	for (size_t i = 0; text != NULL && i < GRADES; i++) {
		size_t len = strlen(report_grade_text[i]);
		if (strncmp(text, report_grade_text[i], len) != 0 || (text[len] != ' ' && text[len] != '\0'))
			continue;
		const char *stage = text + len + strspn(text + len, " ");
		size_t stage_len = strcspn(stage, " ");
		return (struct verdict){
			(int)i, (int)stage_len, stage, owner_of(stage + stage_len + strspn(stage + stage_len, " "))};
	}
	return (struct verdict){.grade = -1};
}

static void describe_verdict(const struct describe_facts *f, struct description *out)
{
	const struct replica *r = f->replica;
	const struct verdict v = read_verdict(r == NULL ? NULL : r->verdict);

	if (r != NULL && r->state == STATE_FAILED && r->credentials_refused[0] != '\0') {
		SAY(out->verdict_says, "No backup was read: canopy refused its credentials");
		out->blame = "the declaration at canopy, which refuses credentials for it";
		return;
	}
	if (v.grade < 0) {
		if (r != NULL && r->state == STATE_FAILED)
			out->blame = "not known here: the report says it";
		return;
	}
	out->verdict = report_grade_text[v.grade];
	const char *when = replica_has_round_in_hand(r) ? "The round before: " : "";
	if (v.owner == OWNER_NONE)
		SAY(out->verdict_says, "%s%s", when, verdict_words[v.grade]);
	else
		SAY(out->verdict_says, "%s%s (stage: %.*s)", when, verdict_words[v.grade], v.stage_len < 40 ? v.stage_len : 40,
			v.stage);
	if (r->last_error != NULL)
		out->blame = blame_words[v.owner];
}

// --- the report

static void describe_report(const struct describe_facts *f, struct description *out)
{
	static const char *const refused = "refused since ";
	const struct replica *r = f->replica;
	const char *why = r == NULL ? NULL : r->report_error;

	out->report = "none";
	if (r == NULL)
		return;
	if (r->report != NULL) {
		out->report = "owed";
		SAY(out->report_says,
			why == NULL ? "Owed: it is sent as soon as this operator gets to it%s"
				    : "Owed: the last try failed: %.500s",
			why == NULL ? "" : why);
	} else if (r->round[0] != '\0' && strcmp(r->round, r->reported_round) == 0) {
		out->report = "landed";
		out->reported_at_ms = r->reported_at_ms;
		SAY(out->report_says, "Landed");
	} else if (why != NULL && strncmp(why, refused, strlen(refused)) == 0 && !replica_has_round_in_hand(r)) {
		out->report = "refused";
		SAY(out->report_says, "Given up: %.500s", why);
	} else if (r->credentials_refused[0] != '\0' && r->state == STATE_FAILED) {
		SAY(out->report_says, "None is owed: no backup was read");
	} else {
		SAY(out->report_says, replica_has_round_in_hand(r) ? "Not due yet: this round has not ended" : "None yet");
	}
}

// --- progress of a restore

static void describe_amounts(struct description *out)
{
	char received[WORDS_SIZE], expected[WORDS_SIZE], rate[WORDS_SIZE + 4] = "", left[WORDS_SIZE + 16] = "";
	char number[WORDS_SIZE];

	words_bytes(out->received_bytes, received);
	if (out->bytes_per_s >= 0) {
		words_bytes(out->bytes_per_s, number);
		(void)snprintf(rate, sizeof(rate), ", %.24s/s", number);
	}
	if (out->remaining_ms >= 0) {
		words_duration(out->remaining_ms, number);
		(void)snprintf(left, sizeof(left), ", about %.24s left", number);
	}
	if (out->expected_bytes > 0) {
		words_bytes(out->expected_bytes, expected);
		(void)snprintf(out->progress, sizeof(out->progress), "%.24s of about %.24s (%d %%)%.30s%.60s", received, expected,
			out->progress_percent, rate, left);
	} else {
		(void)snprintf(
			out->progress, sizeof(out->progress), "%.24s read%.30s; how much is left is not known", received, rate);
	}
}

static void describe_progress(const struct describe_facts *f, struct description *out)
{
	const struct replica *r = f->replica;
	if (r == NULL || r->state != STATE_RESTORING || strcmp(f->note.round, r->round) != 0 || r->round[0] == '\0')
		return;
	out->received_bytes = f->note.received_bytes;
	out->bytes_per_s = f->note.bytes_per_s;
	if (r->expected_bytes > 0) {
		// The backup may have grown: it is not over before it says so.
		out->expected_bytes = r->expected_bytes > out->received_bytes ? r->expected_bytes : out->received_bytes;
		int percent = (int)((double)out->received_bytes * 100.0 / (double)out->expected_bytes);
		out->progress_percent = percent > 99 ? 99 : percent;
		int64_t left = out->expected_bytes - out->received_bytes;
		if (out->bytes_per_s > 0 && left > 0)
			out->remaining_ms = (int64_t)((double)left * 1000.0 / (double)out->bytes_per_s);
	}
	describe_amounts(out);
}

// --- one function for each state: what it is at, since when, what it waits for, what comes next

static void absent(const struct describe_facts *f, struct description *out)
{
	out->state = "absent";
	out->stage = "queued";
	out->tone = TONE_WAITING;
	SAY(out->says, "Is in the worklist and has no Namespace yet");
	if (f->reason == REASON_FOREIGN || f->reason == REASON_UNKNOWN_INTENT)
		return;
	SAY(out->waits_for, "a worker to make its Namespace");
	SAY(out->next, "Its Namespace is made, then its first restore waits for a slot");
}

static void wait_for_slot(const struct describe_facts *f, struct description *out)
{
	out->stage = "queued";
	out->tone = TONE_WAITING;
	SAY(out->waits_for, "a free slot: %d restores at once are allowed (MAX_CONCURRENT_RESTORES), oldest first",
		f->settings->max_concurrent_restores);
}

static void pending(const struct describe_facts *f, struct description *out)
{
	bool has_snapshot = f->entry != NULL ? f->entry->snapshot_id != NULL : f->replica->desired_snapshot_id != NULL;
	out->stage = "queued";
	out->tone = TONE_WAITING;
	out->since_ms = f->replica->created_at_ms;
	SAY(out->says, "Has not been restored yet");
	if (!has_snapshot) {
		SAY(out->waits_for, "a first backup: canopy names no snapshot");
		SAY(out->next, "Its first restore, when there is a snapshot");
		return;
	}
	if (f->waits_for_slot)
		wait_for_slot(f, out);
	else
		SAY(out->waits_for, "its turn");
	SAY(out->next, "Its first restore begins");
}

static void pod_words(const struct pod_view *pod, const char *what, char out[DESCRIBE_TEXT_SIZE])
{
	if (pod->waiting_reason[0] != '\0')
		SAY(out, "%s, whose pod cannot run: %s%s%.400s", what, pod->waiting_reason,
			pod->waiting_message[0] == '\0' ? "" : ": ", pod->waiting_message);
	else if (pod->ended_reason[0] != '\0' && pod->exit_code != 0)
		SAY(out, "%s, whose container %s ended with exit code %d (%s) and is tried again", what, pod->ended_container,
			pod->exit_code, pod->ended_reason);
	else
		SAY(out, "%s", what);
}

static void restoring(const struct describe_facts *f, struct description *out)
{
	const struct replica *r = f->replica;
	const struct job_view *job = scene_job(f->scene, r->round);
	const struct pod_view *pod = scene_pod(f->scene, r->round, true);
	char id[SNAPSHOT_SHOWN + 1];

	out->stage = job == NULL ? "preparing" : "restore";
	out->tone = pod != NULL && job != NULL && job->outcome == JOB_RUNNING && pod->waiting_reason[0] != '\0' ? TONE_ATTENTION
														: TONE_WORKING;
	out->since_ms = r->round_started_at_ms;
	SAY(out->says, "Restores snapshot %s, attempt %d%s", short_id(r->round_snapshot_id, id), r->attempt,
		still_serves(f) ? "; the round before it serves meanwhile" : "");
	if (f->knows_worklist && f->entry == NULL) {
		out->tone = TONE_ATTENTION;
		SAY(out->waits_for, "its entry in the worklist: without it the round stands still");
		return;
	}
	if (job == NULL)
		SAY(out->waits_for, "its volume, its credentials and its Job to be made");
	else if (pod == NULL)
		SAY(out->waits_for, "the restore Job%s", job->outcome == JOB_RUNNING ? ", which has no pod yet" : "");
	else
		pod_words(pod, "the restore Job", out->waits_for);
	SAY(out->next, "PostgreSQL is started on what was restored");
}

static int64_t ready_timeout_ms(const struct describe_facts *f)
{
	struct settings_for_intent sizing;
	struct error ignored;
	int intent = intents_find(f->replica->intent);
	if (f->entry != NULL && intents_resolve(f->settings, f->entry, &sizing, &ignored) == 0)
		return sizing.ready_timeout_ms;
	return intent < 0 ? -1 : f->settings->intents[intent].ready_timeout_ms;
}

// The init step. How far it is only its log says: nothing that the operator sees counts what was replayed or loaded.
static void preparing(const struct describe_facts *f, const struct pod_view *pod, struct description *out)
{
	const struct replica *r = f->replica;
	const struct pod_view *restored = scene_pod(f->scene, r->round, true);
	struct restore_message said = {0};
	char id[SNAPSHOT_SHOWN + 1], bytes[WORDS_SIZE], since[WORDS_SIZE];
	bool is_load = restored != NULL && restore_message_parse(restored->message, &said) && round_is_load(&said);
	const char *meanwhile = still_serves(f) ? "; the round before it serves meanwhile" : "";

	out->stage = is_load ? "load" : "recovery";
	out->since_ms = pod->prepare_started_at_ms;
	SAY(out->says,
		is_load ? "Loads the dumps of snapshot %s, attempt %d%s" : "Recovers the database of snapshot %s, attempt %d%s",
		short_id(r->round_snapshot_id, id), r->attempt, meanwhile);
	SAY(out->waits_for, is_load ? "its dumps to be loaded" : "recovery to end");
	SAY(out->next, "PostgreSQL is started for its checks; the round fails when nothing moves for 15 min");
	if (!is_load || said.bytes < 0)
		return;
	words_bytes(said.bytes, bytes);
	words_duration(f->now_ms - pod->prepare_started_at_ms, since);
	(void)snprintf(
		out->progress, sizeof(out->progress), "%.24s of dumps, for %.24s; how much is left is not known", bytes, since);
}

static void starting(const struct describe_facts *f, struct description *out)
{
	const struct replica *r = f->replica;
	const struct deployment_view *d = scene_deployment(f->scene, r->round);
	const struct pod_view *pod = scene_pod(f->scene, r->round, false);
	bool is_checked = f->check != CHECK_NONE || (d != NULL && d->is_available);
	char id[SNAPSHOT_SHOWN + 1];

	out->stage = is_checked ? "checks" : "start";
	out->tone = TONE_WORKING;
	out->since_ms = d != NULL ? d->of.created_at_ms : r->round_started_at_ms;
	SAY(out->says,
		is_checked ? "Checks the database of snapshot %s, attempt %d%s"
			   : "Starts PostgreSQL on snapshot %s, attempt %d%s",
		short_id(r->round_snapshot_id, id), r->attempt, still_serves(f) ? "; the round before it serves meanwhile" : "");
	if (f->knows_worklist && f->entry == NULL) {
		out->tone = TONE_ATTENTION;
		SAY(out->waits_for, "its entry in the worklist: without it the round stands still");
	} else if (d == NULL) {
		SAY(out->waits_for, "its Deployment to be made");
	} else if (is_checked) {
		SAY(out->waits_for, "the checks of the database");
		SAY(out->next, "It serves, or its round has failed; either is reported");
	} else if (round_is_recovering(pod)) {
		preparing(f, pod, out);
	} else {
		if (pod == NULL)
			SAY(out->waits_for, "PostgreSQL to come up; it has no pod yet");
		else
			pod_words(pod, "PostgreSQL to come up", out->waits_for);
		int64_t timeout_ms = ready_timeout_ms(f);
		SAY(out->next, "Its checks begin when it is up; the round fails when that takes longer than its ready time-out");
		if (timeout_ms >= 0)
			out->next_at_ms = d->of.created_at_ms + timeout_ms;
	}
}

static bool is_once(const struct replica *r)
{
	int intent = intents_find(r->intent);
	return intent >= 0 && intents_is_once((enum settings_intent)intent);
}

// A round is wanted, and the volumes of two older ones are still there.
static bool waits_for_volume(const struct describe_facts *f, const struct description *out)
{
	return (f->replica->force_refresh || out->wanted_id != NULL) && round_volumes_in_use(f->scene);
}

static void next_of_active(const struct describe_facts *f, struct description *out)
{
	const struct replica *r = f->replica;
	char id[SNAPSHOT_SHOWN + 1];
	if (r->force_refresh) {
		SAY(out->next, "A refresh that a person asked for (annotation force-refresh)");
	} else if (is_once(r)) {
		SAY(out->next, "Leaves the worklist, then its Namespace goes");
	} else if (out->wanted_id != NULL) {
		SAY(out->next, "A refresh to snapshot %s", short_id(out->wanted_id, id));
	} else if (f->entry != NULL && f->entry->overdue_after_s >= 0 && r->last_restored_at_ms != REPLICA_NEVER) {
		SAY(out->next, "A refresh when a newer snapshot comes, or for its age");
		out->next_at_ms = r->last_restored_at_ms + f->entry->overdue_after_s * 1000;
	} else {
		SAY(out->next, "A refresh when a newer snapshot comes");
	}
}

static void wait_of_active(const struct describe_facts *f, struct description *out)
{
	if (f->replica->report != NULL)
		SAY(out->waits_for, "canopy to take its report");
	else if (waits_for_volume(f, out))
		SAY(out->waits_for, ROUND_VOLUMES_TEXT);
	else if (f->waits_for_slot)
		SAY(out->waits_for, "a free slot for its refresh (MAX_CONCURRENT_RESTORES is %d)",
			f->settings->max_concurrent_restores);
}

static void active(const struct describe_facts *f, struct description *out)
{
	const struct replica *r = f->replica;
	const struct deployment_view *d = serving_deployment(f);
	bool is_proven = replica_is_proven_once(r);
	char id[SNAPSHOT_SHOWN + 1];

	(void)short_id(r->last_restored_snapshot_id, id);
	out->stage = r->report != NULL ? "report" : "settled";
	out->tone = TONE_GOOD;
	out->since_ms = r->last_restored_at_ms;
	if (is_proven) {
		SAY(out->says, "Snapshot %s is proven and reported", id);
	} else if (d == NULL || !d->is_available) {
		const struct pod_view *pod = scene_pod(f->scene, r->active_round, false);
		out->tone = TONE_BROKEN;
		out->since_ms = REPLICA_NEVER; // since it was last restored, at the earliest
		SAY(out->says, "Should serve snapshot %s, but its PostgreSQL is not available", id);
		if (d == NULL)
			SAY(out->waits_for, "its Deployment, which is gone");
		else if (pod == NULL)
			SAY(out->waits_for, "PostgreSQL to come back; it has no pod");
		else
			pod_words(pod, "PostgreSQL to come back", out->waits_for);
	} else {
		SAY(out->says, "Serves snapshot %s", id);
	}
	if (out->waits_for[0] == '\0')
		wait_of_active(f, out);
	next_of_active(f, out);
}

static void next_of_failed(const struct describe_facts *f, struct description *out)
{
	const struct replica *r = f->replica;
	const char *wanted = f->entry != NULL ? f->entry->snapshot_id : r->desired_snapshot_id;
	char id[SNAPSHOT_SHOWN + 1];

	if (r->report != NULL) {
		SAY(out->next, "No new round begins while its report is owed");
	} else if (r->force_refresh) {
		SAY(out->next, "A round that a person asked for (annotation force-refresh)");
	} else if (r->credentials_refused[0] != '\0') {
		SAY(out->next, "Tried again when its declaration changes, or then");
		out->next_at_ms = r->failed_at_ms + DIFF_REFUSED_RETRY_MS;
	} else if (wanted != NULL && r->round_snapshot_id != NULL && !same(wanted, r->round_snapshot_id)) {
		SAY(out->next, "A round of the newer snapshot %s", short_id(wanted, id));
	} else if (diff_retry_at_ms(r, f->settings) == INT64_MAX) {
		SAY(out->next,
			"Nothing by itself: %d rounds failed in a row. A newer snapshot will be tried; to try this one again: "
			"kubectl annotate namespace %s " PGRO "force-refresh=true",
			r->failures, r->namespace);
	} else {
		SAY(out->next, "Round %d of %d for this snapshot", r->failures + 1, f->settings->retry_limit);
		out->next_at_ms = diff_retry_at_ms(r, f->settings);
	}
}

static void failed(const struct describe_facts *f, struct description *out)
{
	const struct replica *r = f->replica;
	char id[SNAPSHOT_SHOWN + 1], in_row[48] = "";

	if (r->failures > 1)
		(void)snprintf(in_row, sizeof(in_row), ", %d times in a row", r->failures);
	out->stage = r->report != NULL ? "report" : "settled";
	out->tone = TONE_BROKEN;
	out->since_ms = r->failed_at_ms;
	SAY(out->says, "The restore of snapshot %s failed%s%s", short_id(r->round_snapshot_id, id), in_row,
		still_serves(f)              ? "; the round before it still serves"
		: r->active_round[0] == '\0' ? "; nothing serves"
					     : "");
	if (r->report != NULL)
		SAY(out->waits_for, "canopy to take its report");
	else if (waits_for_volume(f, out))
		SAY(out->waits_for, ROUND_VOLUMES_TEXT);
	else if (f->waits_for_slot)
		SAY(out->waits_for, "a free slot for its next round (MAX_CONCURRENT_RESTORES is %d)",
			f->settings->max_concurrent_restores);
	next_of_failed(f, out);
}

static void terminating(const struct describe_facts *f, struct description *out)
{
	(void)f;
	out->stage = "deletion";
	out->tone = TONE_WAITING;
	SAY(out->says, "Is being deleted");
	SAY(out->waits_for, "its Namespace to be gone; its conditions say what holds it");
}

// --- what is said over all that

static void describe_reason(const struct describe_facts *f, struct description *out)
{
	static const char *const words[REASON_COUNT] = {
		[REASON_FOREIGN] = "The Namespace of this name is not ours: it is never touched, and the replica is not made",
		[REASON_UNKNOWN_INTENT] = "Its intent is not one that this operator knows: it is left alone",
		[REASON_UNREADABLE_ENTRIES] =
			"Left the worklist, but that holds entries which cannot be read: nothing is torn down",
		[REASON_TEARDOWN_HOLD] = "Left the worklist and is kept: annotation teardown-hold",
		[REASON_BRAKE] = "Left the worklist together with many others: the brake holds its teardown",
	};
	if (f->knows_worklist && words[f->reason] != NULL) {
		SAY(out->says, "%s", words[f->reason]);
		out->next[0] = '\0';
		out->next_at_ms = REPLICA_NEVER;
		if (out->tone > TONE_ATTENTION)
			out->tone = TONE_ATTENTION;
	} else if (f->is_going && f->replica != NULL && f->replica->state != STATE_TERMINATING) {
		SAY(out->says, "Left the worklist: it is torn down");
		SAY(out->next,
			f->replica->report != NULL ? "Its report is sent first, then its Namespace goes" : "Its Namespace goes");
		out->next_at_ms = REPLICA_NEVER;
	}
}

static void describe_trouble(const struct describe_facts *f, struct description *out)
{
	if (f->note.errors_in_row == 0)
		return;
	if (out->tone > TONE_ATTENTION)
		out->tone = TONE_ATTENTION;
	SAY(out->waits_for, "the next try, after %d that failed: %s", f->note.errors_in_row, f->note.trouble);
	out->next_at_ms = f->note.next_try_ms;
	SAY(out->next, "It is tried again");
}

void describe(const struct describe_facts *f, struct description *out)
{
	static void (*const by_state[STATE_COUNT])(const struct describe_facts *, struct description *) = {
		[STATE_PENDING] = pending,
		[STATE_RESTORING] = restoring,
		[STATE_STARTING] = starting,
		[STATE_ACTIVE] = active,
		[STATE_FAILED] = failed,
		[STATE_TERMINATING] = terminating,
	};
	*out = (struct description){.since_ms = REPLICA_NEVER,
		.next_at_ms = REPLICA_NEVER,
		.reported_at_ms = REPLICA_NEVER,
		.progress_percent = -1,
		.received_bytes = -1,
		.expected_bytes = -1,
		.bytes_per_s = -1,
		.remaining_ms = -1};
	describe_snapshot(f, out);
	describe_verdict(f, out);
	describe_report(f, out);
	if (f->replica == NULL) {
		absent(f, out);
	} else {
		out->state = replica_state_text[f->replica->state];
		out->last_error = f->replica->last_error;
		by_state[f->replica->state](f, out);
	}
	if (strcmp(out->report, "refused") == 0 && out->tone > TONE_ATTENTION)
		out->tone = TONE_ATTENTION;
	describe_reason(f, out);
	describe_progress(f, out);
	describe_trouble(f, out);
}
