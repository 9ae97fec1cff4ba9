#include "reconciler/pass.h"

#include "base/log.h"
#include "canopy/intents.h"
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
	worklist_free(op->worklist);
	op->worklist = TAKE_PTR(fresh);
	return 0;
}

static bool is_brakeable(const struct action *act)
{
	return act->kind == ACTION_TEARDOWN && !replica_is_proven_once(act->replica);
}

static void apply_brake(struct manager *op, struct pass *pass, int64_t now_mono_ms)
{
	struct brake_question question = {.managed = pass->cluster->replica_count,
		.worklist_is_empty = op->worklist->count == 0,
		.now_mono_ms = now_mono_ms};
	for (size_t i = 0; i < pass->diff.count; i++) {
		if (!is_brakeable(&pass->diff.actions[i]))
			continue;
		question.teardowns++;
		question.answer = brake_answer(question.answer, pass->diff.actions[i].replica->namespace);
	}
	if (!op->settings->teardown_guard || !brake_holds(&op->brake, &question))
		return;
	for (size_t i = 0; i < pass->diff.count; i++) {
		struct action *act = &pass->diff.actions[i];
		if (!is_brakeable(act))
			continue;
		act->kind = ACTION_NONE;
		act->reason = REASON_BRAKE;
		pass->held++;
	}
}

// With an old worklist nothing begins and nothing ends; rounds in hand and reports go on.
static void freeze(struct pass *pass)
{
	for (size_t i = 0; i < pass->diff.count; i++)
		pass->diff.actions[i].kind = ACTION_NONE;
}

// A candidate for a slot, and since when it waits.
struct candidate {
	struct work *work;
	int64_t since_ms;
};

static int oldest_first(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	if (x->since_ms != y->since_ms)
		return x->since_ms < y->since_ms ? -1 : 1;
	return strcmp(x->work->entry->namespace, y->work->entry->namespace);
}

static bool wants_slot(const struct manager *op, const struct work *work, int64_t now_ms, int64_t *since_ms)
{
	if (work->entry == NULL || work->entry->known_intent < 0 || work->entry->snapshot_id == NULL)
		return false;
	if (work->replica == NULL) {
		*since_ms = now_ms;
		return work->action.kind == ACTION_PROVISION;
	}
	const struct replica *r = work->replica;
	*since_ms = r->failed_at_ms > r->last_restored_at_ms ? r->failed_at_ms : r->last_restored_at_ms;
	if (*since_ms == REPLICA_NEVER)
		*since_ms = r->created_at_ms;
	bool may_begin = work->action.kind == ACTION_REFRESH || work->action.reason == REASON_NEW;
	return may_begin && diff_next_round(work->entry, work->replica, op->settings, now_ms).kind == ACTION_REFRESH;
}

static int give_slots(const struct manager *op, struct pass *pass, int64_t now_ms, struct error *err)
{
	AUTO_FREE struct candidate *candidates = calloc(pass->work_count + 1, sizeof(*candidates));
	size_t waiting = 0;
	int restoring = 0;
	if (candidates == NULL)
		return error_no_memory(err, "slots");
	for (size_t i = 0; i < pass->cluster->replica_count; i++)
		restoring += pass->cluster->replicas[i].state == STATE_RESTORING;
	for (size_t i = 0; i < pass->work_count; i++) {
		if (wants_slot(op, &pass->works[i], now_ms, &candidates[waiting].since_ms))
			candidates[waiting++].work = &pass->works[i];
	}
	qsort(candidates, waiting, sizeof(*candidates), oldest_first);
	for (size_t i = 0; i < waiting && restoring < op->settings->max_concurrent_restores; i++, restoring++)
		candidates[i].work->has_slot = true;
	return 0;
}

// Whether a pair is looked at beyond its action: not what is foreign, unreadable to us, or a second of its kind.
static bool is_worked_on(const struct action *act)
{
	return act->reason != REASON_FOREIGN && act->reason != REASON_DUPLICATE && act->reason != REASON_UNKNOWN_INTENT &&
	       act->reason != REASON_BEING_DELETED;
}

static int make_works(struct manager *op, struct pass *pass, struct error *err)
{
	pass->works = calloc(pass->diff.count + 1, sizeof(*pass->works));
	if (pass->works == NULL)
		return error_no_memory(err, "pass");
	for (size_t i = 0; i < pass->diff.count; i++) {
		const struct action *act = &pass->diff.actions[i];
		pass->foreign += act->reason == REASON_FOREIGN;
		if (!is_worked_on(act) || (act->replica == NULL && act->kind == ACTION_NONE))
			continue;
		struct work *work = &pass->works[pass->work_count];
		*work = (struct work){.action = *act, .entry = act->entry, .replica = act->replica};
		work->memo = memos_get(op->memos, act->entry != NULL ? act->entry->namespace : act->replica->namespace);
		if (work->memo == NULL)
			return error_no_memory(err, "memo");
		pass->work_count++;
	}
	return 0;
}

int pass_prepare(struct manager *op, bool is_current, int64_t now_ms, int64_t now_mono_ms, struct pass *out, struct error *err)
{
	*out = (struct pass){.is_current = is_current};
	if (op->worklist == NULL)
		return error_set(err, ERROR_TRANSIENT, "the worklist is not known yet");
	if (cluster_load(op->k8s, &out->cluster, err) < 0)
		return error_wrap(err, "cluster");
	if (diff_compute(
		    op->worklist, out->cluster->replicas, out->cluster->replica_count, op->settings, now_ms, &out->diff, err) < 0)
		return -1;
	if (is_current)
		apply_brake(op, out, now_mono_ms);
	else
		freeze(out);
	if (make_works(op, out, err) < 0)
		return -1;
	return is_current ? give_slots(op, out, now_ms, err) : 0;
}

void pass_fini(struct pass *pass)
{
	diff_fini(&pass->diff);
	cluster_free(pass->cluster);
	free(pass->works);
	*pass = (struct pass){0};
}

int pass_view(const struct manager *op, const struct pass *pass, const struct work *work, int64_t now_ms,
	struct check_result *result, struct round_view *out, struct error *err)
{
	*out = (struct round_view){.entry = work->entry,
		.replica = work->replica,
		.scene = cluster_scene(pass->cluster, work->replica->namespace),
		.settings = op->settings,
		.has_slot = work->has_slot,
		.check_result = result,
		.now_ms = now_ms};
	if (work->entry != NULL && intents_resolve(op->settings, work->entry, &out->sizing, err) < 0)
		return -1;
	if (work->entry == NULL) {
		// It has left the worklist: what is left to do needs the grace alone.
		int intent = work->replica->intent == NULL ? -1 : intents_find(work->replica->intent);
		out->sizing = op->settings->intents[intent < 0 ? INTENT_VERIFY : intent];
	}
	if (op->checks != NULL && replica_has_round_in_hand(work->replica))
		out->check = checks_look(op->checks, work->replica->namespace, work->replica->round, result);
	return 0;
}
