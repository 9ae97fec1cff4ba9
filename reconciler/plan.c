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
	const char *tone = action->kind == ACTION_TEARDOWN ? "attention" : action->kind == ACTION_NONE ? NULL : "working";
	bool waits = step->kind == STEP_WAIT;
	if (output_set(row, "namespace", namespace, err) < 0 ||
		output_set(row, "action", action_kind_text[action->kind], err) < 0 ||
		output_set(row, "reason", action_reason_text[action->reason], err) < 0 ||
		output_set(row, "tone", tone, err) < 0 || output_set(row, "state", state, err) < 0 ||
		output_set(row, "step", step_kind_text[step->kind], err) < 0 ||
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

struct asked {
	struct manager *op;
	const struct output *output;
	bool *something;
};

static int add_duplicates(const struct asked *asked, const struct pass *pass, json_t *rows, struct error *err)
{
	for (size_t i = 0; i < pass->duplicates.named && asked->output->namespace == NULL; i++) {
		const struct action none = {.kind = ACTION_NONE, .reason = REASON_DUPLICATE};
		const struct step wait = {.kind = STEP_WAIT};
		if (add_row(pass->duplicates.names[i], &none, &wait, NULL, rows, err) < 0)
			return -1;
	}
	return 0;
}

// What the look before left behind is no base for this one: neither who got a slot nor how long the brake holds, which the
// cluster knows.
static int look_anew(struct manager *op, struct pass *pass, struct error *err)
{
	slots_clear(op->slots);
	queue_clear(op->queue);
	op->is_brake_loaded = false;
	if (pass_fetch(op, err) < 0)
		return -1;
	if (cache_list(op->cache, op->k8s, err) < 0)
		return error_wrap(err, "cluster");
	if (pass_decide(op, true, clock_wall_ms(), clock_mono_ms(), pass, err) < 0)
		return -1;
	return pass_enqueue(op, clock_wall_ms(), err);
}

static int show(void *arg, FILE *to, struct error *err)
{
	static const struct output_column columns[] = {{"NAMESPACE", "namespace", 0, NULL}, {"ACTION", "action", 0, "tone"},
		{"REASON", "reason", 0, NULL}, {"STATE", "state", 0, NULL}, {"NEXT STEP", "step", 0, NULL},
		{"WAITS FOR", "waits_for", 80, NULL}};
	const struct asked *asked = arg;
	struct manager *op = asked->op;
	AUTO(json) json_t *rows = json_array();
	AUTO_FREE char(*names)[ENTRY_NAMESPACE_SIZE] = NULL;
	size_t count = 0;
	struct pass pass;

	*asked->something = false;
	if (look_anew(op, &pass, err) < 0 || cache_names(op->cache, &names, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (output_is_asked(asked->output, names[i]) && plan_one(op, names[i], rows, asked->something, err) < 0)
			return -1;
	}
	if (add_duplicates(asked, &pass, rows, err) < 0)
		return -1;
	return output_rows(asked->output, rows, columns, sizeof(columns) / sizeof(columns[0]), to, err);
}

int plan(const struct settings *settings, const struct output *output, bool *something, struct error *err)
{
	AUTO(wiring) struct wiring *wiring = NULL;
	if (wiring_open(settings, WIRING_WORKLIST, &wiring, err) < 0)
		return -1;
	struct asked asked = {.op = wiring_manager(wiring), .output = output, .something = something};
	return output_run(output, show, &asked, err);
}
