#include "reconciler/plan.h"

#include "base/clock.h"
#include "reconciler/decide.h"
#include "reconciler/pass.h"
#include "reconciler/wiring.h"

static int add_row(const char *namespace, const struct action *action, const struct step *step, const char *state, json_t *rows,
	struct error *err)
{
	json_t *row = json_object();
	if (row == NULL || json_array_append_new(rows, row) < 0)
		return error_no_memory(err, "plan");
	bool waits = step->kind == STEP_WAIT;
	if (output_set(row, "namespace", namespace, err) < 0 ||
		output_set(row, "action", action_kind_text[action->kind], err) < 0 ||
		output_set(row, "reason", action_reason_text[action->reason], err) < 0 ||
		output_set(row, "state", state, err) < 0 || output_set(row, "step", step_kind_text[step->kind], err) < 0 ||
		output_set(row, "waits_for", waits && step->text[0] != '\0' ? step->text : NULL, err) < 0)
		return -1;
	return 0;
}

static int plan_one(struct manager *op, const char *namespace, json_t *rows, bool *something, struct error *err)
{
	AUTO(look_value) struct look look = {0};
	struct decision d;
	if (cache_look(op->cache, namespace, &look, err) < 0)
		return -1;
	const struct subject subject = decide_subject(&look);
	int rc = decide(op, &subject, slots_has(op->slots, namespace), clock_wall_ms(), &d, err);
	if (rc == 0 && d.step.wants_slot && slots_take(op->slots, namespace))
		decide_with_slot(&d);
	if (rc == 0) {
		*something = *something || d.action.kind != ACTION_NONE || d.step.kind != STEP_WAIT;
		rc = add_row(namespace, &d.action, &d.step, look.has_replica ? replica_state_text[look.replica.state] : NULL,
			rows, err);
	}
	decision_fini(&d);
	return rc;
}

int plan(const struct settings *settings, enum output_format format, bool *something, struct error *err)
{
	static const struct output_column columns[] = {{"NAMESPACE", "namespace", 0}, {"ACTION", "action", 0},
		{"REASON", "reason", 0}, {"STATE", "state", 0}, {"NEXT STEP", "step", 0}, {"WAITS FOR", "waits_for", 80}};
	AUTO(wiring) struct wiring *wiring = NULL;
	AUTO(json) json_t *rows = json_array();
	AUTO_FREE char(*names)[ENTRY_NAMESPACE_SIZE] = NULL;
	size_t count = 0;
	struct pass pass;

	*something = false;
	if (wiring_open(settings, WIRING_WORKLIST, &wiring, err) < 0)
		return -1;
	struct manager *op = wiring_manager(wiring);
	if (pass_fetch(op, err) < 0)
		return -1;
	if (cache_list(op->cache, op->k8s, err) < 0)
		return error_wrap(err, "cluster");
	if (pass_decide(op, true, clock_wall_ms(), clock_mono_ms(), &pass, err) < 0 ||
		pass_enqueue(op, clock_wall_ms(), err) < 0 || cache_names(op->cache, &names, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (plan_one(op, names[i], rows, something, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < pass.duplicates.named; i++) {
		const struct action none = {.kind = ACTION_NONE, .reason = REASON_DUPLICATE};
		const struct step wait = {.kind = STEP_WAIT};
		if (add_row(pass.duplicates.names[i], &none, &wait, NULL, rows, err) < 0)
			return -1;
	}
	return output_rows(rows, columns, sizeof(columns) / sizeof(columns[0]), format, err);
}
