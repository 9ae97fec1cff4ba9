#include "reconciler/decide.h"

#include "canopy/intents.h"
#include <string.h>

struct subject decide_subject(struct look *look)
{
	return (struct subject){.entry = look->has_entry ? &look->entry : NULL,
		.replica = look->has_replica ? &look->replica : NULL,
		.scene = &look->scene,
		.decided = look->decided};
}

static struct action action_of(const struct manager *op, const struct subject *s, int64_t now_ms)
{
	struct action nothing = {.kind = ACTION_NONE, .reason = s->decided.reason};
	if (s->entry != NULL)
		return diff_entry(s->entry, s->replica, op->settings, now_ms);
	if (s->replica == NULL || !diff_is_worked_on(&s->decided))
		return nothing;
	struct action act = diff_replica(s->replica, false);
	return act.kind == ACTION_TEARDOWN && s->decided.kind != ACTION_TEARDOWN ? nothing : act;
}

static int make_view(
	const struct manager *op, const struct subject *s, bool has_slot, int64_t now_ms, struct decision *out, struct error *err)
{
	out->view = (struct round_view){.entry = s->entry,
		.replica = s->replica,
		.scene = *s->scene,
		.settings = op->settings,
		.has_slot = has_slot,
		.check_result = &out->checked,
		.words = s->words,
		.now_ms = now_ms,
		.starting_ms = s->starting_ms};
	if (s->entry != NULL && intents_resolve(op->settings, s->entry, &out->view.sizing, err) < 0)
		return -1;
	if (s->entry == NULL) {
		// It has left the worklist: what is left to do needs the grace alone.
		int intent = s->replica->intent == NULL ? -1 : intents_find(s->replica->intent);
		out->view.sizing = op->settings->intents[intent < 0 ? INTENT_VERIFY : intent];
	}
	if (op->checks != NULL && replica_has_round_in_hand(s->replica))
		out->view.check = checks_look(op->checks, s->replica->namespace, s->replica->round, &out->checked);
	return 0;
}

int decide(const struct manager *op, const struct subject *subject, bool has_slot, int64_t now_ms, struct decision *out,
	struct error *err)
{
	*out = (struct decision){.action = action_of(op, subject, now_ms), .step = {.kind = STEP_WAIT}};
	out->is_worked_on = diff_is_worked_on(&out->action) && (subject->entry != NULL || subject->replica != NULL);
	if (!out->is_worked_on || subject->replica == NULL || out->action.kind == ACTION_TEARDOWN)
		return 0;
	if (make_view(op, subject, has_slot, now_ms, out, err) < 0)
		return -1;
	next_step(&out->view, &out->step);
	return 0;
}

void decision_fini(struct decision *decision)
{
	json_decref(decision->checked.details);
	decision->checked.details = NULL;
}

void decide_with_slot(struct decision *decision)
{
	decision->view.has_slot = true;
	next_step(&decision->view, &decision->step);
}

int64_t decide_waits_since(const struct replica *r)
{
	int64_t since_ms = r->failed_at_ms > r->last_restored_at_ms ? r->failed_at_ms : r->last_restored_at_ms;
	return since_ms == REPLICA_NEVER ? r->created_at_ms : since_ms;
}

static bool differs(const char *wanted, const char *is)
{
	return wanted == NULL ? is != NULL : is == NULL || strcmp(wanted, is) != 0;
}

bool decide_is_note_due(const struct entry *entry, const struct replica *replica)
{
	return differs(entry->snapshot_id, replica->desired_snapshot_id) ||
	       differs(entry->snapshot_at, replica->desired_snapshot_at);
}

bool decision_is_due(const struct decision *d)
{
	return d->is_worked_on && (d->action.kind == ACTION_PROVISION || d->action.kind == ACTION_TEARDOWN ||
					  d->step.kind != STEP_WAIT || d->step.is_volume_bound);
}
