#include "reconciler/plan.h"

#include "base/clock.h"
#include "reconciler/pass.h"
#include "reconciler/wiring.h"
#include <stdio.h>

static const char *namespace_of(const struct action *act)
{
	return act->entry != NULL ? act->entry->namespace : act->replica->namespace;
}

// work is NULL when the pair is left alone.
static int add_row(const struct manager *op, const struct pass *pass, const struct action *act, const struct work *work,
	json_t *rows, bool *something, struct error *err)
{
	struct step step = {.kind = STEP_WAIT};
	json_t *row = json_object();
	if (row == NULL || json_array_append_new(rows, row) < 0)
		return error_no_memory(err, "plan");
	if (work != NULL && work->replica != NULL && act->kind != ACTION_TEARDOWN) {
		struct round_view view;
		if (pass_view(op, pass, work, clock_wall_ms(), NULL, &view, err) < 0)
			return -1;
		next_step(&view, &step);
	}
	*something = *something || act->kind != ACTION_NONE || step.kind != STEP_WAIT;
	bool waits = step.kind == STEP_WAIT;
	if (output_set(row, "namespace", namespace_of(act), err) < 0 ||
		output_set(row, "action", action_kind_text[act->kind], err) < 0 ||
		output_set(row, "reason", action_reason_text[act->reason], err) < 0 ||
		output_set(row, "state", act->replica == NULL ? NULL : replica_state_text[act->replica->state], err) < 0 ||
		output_set(row, "step", step_kind_text[step.kind], err) < 0 ||
		output_set(row, "waits_for", waits && step.text[0] != '\0' ? step.text : NULL, err) < 0)
		return -1;
	return 0;
}

int plan(const struct settings *settings, enum output_format format, bool *something, struct error *err)
{
	static const struct output_column columns[] = {{"NAMESPACE", "namespace", 0}, {"ACTION", "action", 0},
		{"REASON", "reason", 0}, {"STATE", "state", 0}, {"NEXT STEP", "step", 0}, {"WAITS FOR", "waits_for", 80}};
	AUTO(wiring) struct wiring *wiring = NULL;
	AUTO(pass) struct pass pass = {0};
	AUTO(json) json_t *rows = json_array();

	*something = false;
	if (wiring_open(settings, WIRING_WORKLIST, &wiring, err) < 0)
		return -1;
	struct manager *op = wiring_manager(wiring);
	if (pass_fetch(op, err) < 0 || pass_prepare(op, true, clock_wall_ms(), clock_mono_ms(), &pass, err) < 0)
		return -1;
	// Works come in the order of the actions they belong to.
	const struct work *next = pass.works, *end = pass.works + pass.work_count;
	for (size_t i = 0; i < pass.diff.count; i++) {
		const struct action *act = &pass.diff.actions[i];
		bool has_work = next < end && next->action.entry == act->entry && next->action.replica == act->replica;
		if (add_row(op, &pass, act, has_work ? next++ : NULL, rows, something, err) < 0)
			return -1;
	}
	return output_rows(rows, columns, sizeof(columns) / sizeof(columns[0]), format, err);
}
