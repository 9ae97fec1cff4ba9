#include "reconciler/pass.h"

#include "base/log.h"
#include "reconciler/brake_store.h"
#include "reconciler/decide.h"
#include "reconciler/reconcile.h"
#include "reconciler/server_tls.h"
#include <stdlib.h>
#include <string.h>

static void note_unreadable(const struct worklist *worklist)
{
	for (size_t i = 0; i < worklist->complaint_count; i++)
		log_warn("worklist entry skipped", LOG_STR("complaint", worklist->complaints[i]));
}

int pass_fetch(struct manager *op, struct error *err)
{
	AUTO(worklist) struct worklist *fresh = NULL;
	bool is_unchanged = false;
	if (op->canopy == NULL) {
		if (worklist_from_file(op->settings->worklist_file, &fresh, err) < 0)
			return -1;
	} else if (canopy_worklist(op->canopy, &fresh, &is_unchanged, err) < 0) {
		return error_wrap(err, "worklist");
	}
	if (is_unchanged)
		return 0;
	note_unreadable(fresh);
	worklist_free(op->fetched);
	op->fetched = TAKE_PTR(fresh);
	return 0;
}

static void name(struct pass_names *names, const char *namespace)
{
	names->count++;
	if (names->named < PASS_NAMES_MAX)
		memcpy(names->names[names->named++], namespace, strnlen(namespace, ENTRY_NAMESPACE_SIZE - 1) + 1);
}

// --- both sides of the diff

struct sides {
	const struct worklist *worklist;
	struct record **replicas; // the records whose Namespace is there
};

static int open_entry(const void *arg, size_t i, struct entry *out, struct error *err)
{
	const struct sides *sides = arg;
	return entry_open(sides->worklist->entries[i], out, err);
}

static void open_replica(const void *arg, size_t i, struct replica *out)
{
	const struct sides *sides = arg;
	(void)record_open_replica(sides->replicas[i], out);
}

static size_t with_namespace(struct record **records, size_t count, struct record **out)
{
	size_t n = 0;
	for (size_t i = 0; i < count; i++) {
		if (record_has_replica(records[i]))
			out[n++] = records[i];
	}
	return n;
}

// --- the brake

// One that the pass before let go stays let go, until it is gone or its entry is back: else those that are left of a released
// answer would be a new one.
static bool is_brakeable(const struct sides *sides, const struct diff_row *row, struct replica *out)
{
	if (row->action.kind != ACTION_TEARDOWN || record_wanted(sides->replicas[row->replica])->action.kind == ACTION_TEARDOWN)
		return false;
	open_replica(sides, row->replica, out);
	return !replica_is_proven_once(out);
}

static void apply_brake(struct manager *op, const struct sides *sides, struct diff *diff, int64_t now_mono_ms, struct pass *pass)
{
	struct replica replica;
	struct brake_question question = {
		.managed = pass->managed, .worklist_is_empty = sides->worklist->count == 0, .now_mono_ms = now_mono_ms};
	for (size_t i = 0; i < diff->count; i++) {
		if (!is_brakeable(sides, &diff->rows[i], &replica))
			continue;
		question.teardowns++;
		question.answer = brake_answer(question.answer, replica.namespace);
	}
	if (!op->settings->teardown_guard || !brake_holds(&op->brake, &question))
		return;
	for (size_t i = 0; i < diff->count; i++) {
		if (!is_brakeable(sides, &diff->rows[i], &replica))
			continue;
		diff->rows[i].action = (struct action){.kind = ACTION_NONE, .reason = REASON_BRAKE};
		name(&pass->held, replica.namespace);
	}
}

// --- what is wanted of each replica from now on

// The record of a row: its replica's, else the one of the entry's name.
static struct record *record_of(struct cache *cache, const struct sides *sides, const struct diff_row *row, struct error *err)
{
	struct entry entry;
	char namespace[ENTRY_NAMESPACE_SIZE];
	if (row->replica != DIFF_NONE)
		return sides->replicas[row->replica];
	if (open_entry(sides, row->entry, &entry, err) < 0)
		return NULL;
	int rc = entry_namespace(entry.name, entry.replica_id, entry.server_id, namespace, err);
	entry_close(&entry);
	struct record *record = rc < 0 ? NULL : cache_record(cache, namespace);
	if (rc == 0 && record == NULL)
		(void)error_no_memory(err, "record");
	return record;
}

// A foreign Namespace may bear the name of one entry and be that of another: the other one's row counts.
static bool is_row_for_record(const struct diff_row *row)
{
	return row->action.reason != REASON_DUPLICATE && !(row->action.reason == REASON_FOREIGN && row->entry != DIFF_NONE);
}

// The record of each row that has one; made where it is not there yet.
static int find_records(
	struct cache *cache, const struct sides *sides, const struct diff *diff, struct record **out, struct error *err)
{
	for (size_t i = 0; i < diff->count; i++) {
		if (!is_row_for_record(&diff->rows[i]))
			continue;
		out[i] = record_of(cache, sides, &diff->rows[i], err);
		if (out[i] == NULL)
			return -1;
	}
	return 0;
}

static void want(const struct sides *sides, const struct diff *diff, struct record **records)
{
	for (size_t i = 0; i < diff->count; i++) {
		const struct wanted foreign = {.action = {.kind = ACTION_NONE, .reason = REASON_FOREIGN}};
		if (diff->rows[i].replica != DIFF_NONE)
			record_want(sides->replicas[diff->rows[i].replica], &foreign);
	}
	for (size_t i = 0; i < diff->count; i++) {
		const struct diff_row *row = &diff->rows[i];
		const struct wanted wanted = {
			.entry = row->entry == DIFF_NONE ? NULL : sides->worklist->entries[row->entry], .action = row->action};
		if (records[i] != NULL)
			record_want(records[i], &wanted);
	}
}

static void name_rows(const struct sides *sides, const struct diff *diff, struct pass *pass)
{
	struct replica replica;
	for (size_t i = 0; i < diff->count; i++) {
		const struct diff_row *row = &diff->rows[i];
		struct entry entry;
		struct error ignored;
		if (row->action.reason == REASON_FOREIGN) {
			open_replica(sides, row->replica, &replica);
			name(&pass->foreign, replica.namespace);
		} else if (row->action.reason == REASON_DUPLICATE && open_entry(sides, row->entry, &entry, &ignored) == 0) {
			name(&pass->duplicates, entry.name);
			entry_close(&entry);
		}
	}
}

// Entries that left: their records must not point into the old worklist.
static void unwant(struct record **records, size_t count)
{
	static const struct wanted nothing = {0};
	for (size_t i = 0; i < count; i++)
		record_want(records[i], &nothing);
}

static int decide_all(struct manager *op, const struct worklist *worklist, struct record **records, size_t count, int64_t now_ms,
	int64_t now_mono_ms, struct pass *out, struct error *err)
{
	AUTO(diff) struct diff diff = {0};
	AUTO_FREE struct record **replicas = calloc(count + 1, sizeof(struct record *));
	if (replicas == NULL)
		return error_no_memory(err, "pass");
	const struct sides sides = {.worklist = worklist, .replicas = replicas};
	out->managed = with_namespace(records, count, replicas);
	const struct diff_sides both = {.entry_count = worklist->count,
		.replica_count = out->managed,
		.unreadable = worklist->unreadable,
		.open_entry = open_entry,
		.open_replica = open_replica,
		.arg = &sides};
	if (diff_compute(&both, op->settings, now_ms, &diff, err) < 0)
		return -1;
	AUTO_FREE struct record **rows = calloc(diff.count + 1, sizeof(struct record *));
	if (rows == NULL)
		return error_no_memory(err, "pass");
	apply_brake(op, &sides, &diff, now_mono_ms, out);
	name_rows(&sides, &diff, out);
	if (find_records(op->cache, &sides, &diff, rows, err) < 0)
		return -1;
	// From here on nothing fails: all are decided anew, or none.
	unwant(records, count);
	want(&sides, &diff, rows);
	return 0;
}

// The brake as another operator, or this one before its restart, left it.
static int load_brake(struct manager *op, int64_t now_mono_ms, struct error *err)
{
	if (op->is_brake_loaded)
		return 0;
	if (brake_load(op->k8s, op->settings->operator_namespace, now_mono_ms, &op->brake, err) < 0)
		return -1;
	op->saved_brake = op->brake;
	op->is_brake_loaded = true;
	return 0;
}

void pass_save_brake(struct manager *op, int64_t now_mono_ms)
{
	struct error err = {0};
	const struct brake *now = &op->brake, *saved = &op->saved_brake;
	// While it lasts, how long it has lasted is another each time.
	if (now->passes == 0 && saved->passes == 0)
		return;
	if (brake_save(op->k8s, op->settings->operator_namespace, now, now_mono_ms, &err) < 0)
		log_warn("the brake's state is not saved: a restart would begin the hold anew", LOG_ERR(&err));
	else
		op->saved_brake = *now;
}

void pass_forget(struct manager *op)
{
	struct record **records = NULL;
	size_t count = 0;
	struct error err = {0};
	op->brake = (struct brake){0};
	op->is_brake_loaded = false;
	pulse_set(&op->pulse, &(struct pulse_facts){0});
	if (cache_begin(op->cache, &records, &count, &err) < 0) {
		log_warn("what was decided is not forgotten", LOG_ERR(&err));
		return;
	}
	unwant(records, count);
	cache_end(op->cache);
	pass_uncount(op);
}

int pass_decide(struct manager *op, bool is_current, int64_t now_ms, int64_t now_mono_ms, struct pass *out, struct error *err)
{
	struct record **records = NULL;
	size_t count = 0;
	const struct worklist *worklist = op->fetched != NULL ? op->fetched : op->worklist;

	*out = (struct pass){.is_current = is_current};
	if (!is_current) {
		atomic_store(&op->is_current, false);
		return 0;
	}
	if (load_brake(op, now_mono_ms, err) < 0 || cache_begin(op->cache, &records, &count, err) < 0)
		return -1;
	int rc = decide_all(op, worklist, records, count, now_ms, now_mono_ms, out, err);
	cache_end(op->cache);
	if (rc < 0)
		return error_wrap(err, "pass");
	// Only now: what was decided before the service was away must not be done on its return.
	atomic_store(&op->is_current, true);
	if (op->fetched != NULL) {
		worklist_free(op->worklist);
		op->worklist = TAKE_PTR(op->fetched);
	}
	return 0;
}

// --- what is due

static void consider(struct manager *op, const struct record *record, const struct subject *subject, int64_t now_ms)
{
	struct decision d;
	struct error ignored = {0};
	const char *namespace = record_namespace(record);
	bool is_restoring = subject->replica != NULL && subject->replica->state == STATE_RESTORING;
	// What cannot be decided is a worker's to complain of.
	bool is_due = decide(op, subject, slots_has(op->slots, namespace), now_ms, &d, &ignored) < 0 || decision_is_due(&d);
	if (is_restoring)
		slots_hold(op->slots, namespace);
	else if (!is_due && d.step.wants_slot && atomic_load(&op->is_current))
		slots_wait(op->slots, namespace, decide_waits_since(subject->replica));
	is_due = is_due ||
		 (d.is_worked_on && subject->entry != NULL && subject->replica != NULL &&
			 (decide_is_note_due(subject->entry, subject->replica) ||
				 server_tls_is_due(authority_trust(op->authority), subject->replica, subject->scene, now_ms)));
	if (is_due)
		queue_add(op->queue, namespace, 0);
	decision_fini(&d);
}

static int consider_record(struct manager *op, const struct record *record, int64_t now_ms, struct error *err)
{
	struct replica replica;
	struct entry entry;
	struct scene scene;
	const struct wanted *wanted = record_wanted(record);
	const bool has_replica = record_open_replica(record, &replica);
	if (wanted->entry == NULL && !has_replica)
		return 0;
	if (record_open_scene(op->cache, record, &scene, err) < 0)
		return -1;
	if (wanted->entry != NULL && entry_open(wanted->entry, &entry, err) < 0)
		return -1;
	const struct subject subject = {.entry = wanted->entry == NULL ? NULL : &entry,
		.replica = has_replica ? &replica : NULL,
		.scene = &scene,
		.decided = wanted->action,
		// Only a worker's memo knows; it shall look.
		.starting_ms = has_replica && replica.state == STATE_STARTING ? INT64_MAX : 0};
	consider(op, record, &subject, now_ms);
	if (wanted->entry != NULL)
		entry_close(&entry);
	return 0;
}

int pass_enqueue(struct manager *op, int64_t now_ms, struct error *err)
{
	struct record **records = NULL;
	size_t count = 0;
	int rc = 0;
	if (cache_begin(op->cache, &records, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = consider_record(op, records[i], now_ms, err);
	cache_end(op->cache);
	reconcile_offer_slots(op);
	return rc;
}
