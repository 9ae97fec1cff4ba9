#include "reconciler/tick.h"

#include "base/clock.h"
#include "base/log.h"
#include "canopy/intents.h"
#include "reconciler/gate.h"
#include "reconciler/pass.h"
#include "reconciler/steps.h"
#include <stdio.h>
#include <string.h>

// The longest chain of steps that may follow one another at once: claim, make; or activate, report, discard. More is a fault of
// ours.
#define STEPS_AT_ONCE 8

struct crew {
	struct manager *op;
	struct pass *pass;
};

static int take_steps(struct manager *op, struct pass *pass, struct work *work, struct error *err)
{
	bool again = true;
	for (int i = 0; i < STEPS_AT_ONCE && again && !atomic_load(&op->stopping) && manager_leads(op); i++) {
		struct check_result result = {0};
		struct round_view view;
		struct step step;
		again = false;
		if (pass_view(op, pass, work, clock_wall_ms(), &result, &view, err) < 0)
			return -1;
		next_step(&view, &step);
		int rc = step_do(op, &view, &step, work->memo, &again, err);
		json_decref(result.details);
		if (rc < 0)
			return -1;
		work->has_changed = work->has_changed || step.kind != STEP_WAIT;
		// A round that was claimed has used the slot; the next one needs a slot of its own.
		work->has_slot = work->has_slot && step.kind != STEP_CLAIM;
		atomic_store(&op->beat_mono_ms, clock_mono_ms());
	}
	return 0;
}

static int provision(struct manager *op, struct pass *pass, struct work *work, struct error *err)
{
	AUTO(replica) struct replica made = {0};
	int rc = step_provision(op, work->entry, &made, err);
	work->memo->is_foreign = rc < 0 && err->kind == ERROR_EXISTS;
	if (rc < 0)
		return error_wrap(err, "provision");
	work->has_changed = true;
	work->replica = &made;
	rc = take_steps(op, pass, work, err);
	work->replica = NULL; // it lives in this frame; the next pass sees it in the cluster
	return rc;
}

static int teardown(struct manager *op, struct work *work, struct error *err)
{
	int64_t now_mono_ms = clock_mono_ms();
	if (work->memo->teardown_since_mono_ms == 0)
		work->memo->teardown_since_mono_ms = now_mono_ms;
	if (gate_release(op, work->replica, work->memo, clock_wall_ms(), now_mono_ms, err) < 0 ||
		step_teardown(op, work->replica, err) < 0)
		return -1;
	work->has_changed = true;
	return 0;
}

static int do_work(struct manager *op, struct pass *pass, struct work *work, struct error *err)
{
	if (work->action.kind == ACTION_TEARDOWN)
		return teardown(op, work, err);
	work->memo->teardown_since_mono_ms = 0;
	if (work->action.kind == ACTION_PROVISION)
		return provision(op, pass, work, err);
	if (take_steps(op, pass, work, err) < 0)
		return -1;
	return work->entry == NULL || !pass->is_current ? 0 : step_note_desired(op, work->entry, work->replica, err);
}

static void work_piece(void *arg, size_t i)
{
	const struct crew *crew = arg;
	struct manager *op = crew->op;
	struct work *work = &crew->pass->works[i];
	struct error err = {0};

	if (atomic_load(&op->stopping) || !manager_leads(op) || work->memo->next_try_mono_ms > clock_mono_ms())
		return;
	if (do_work(op, crew->pass, work, &err) == 0) {
		memo_succeeded(work->memo);
		return;
	}
	if (err.kind == ERROR_CONFLICT && err.http_status == 409 && work->memo->errors_in_row == 0) {
		// Somebody wrote in between: read again and decide again, without waiting.
		work->has_changed = true;
		work->memo->errors_in_row++;
		return;
	}
	memo_failed(work->memo, &err, clock_mono_ms());
	log_warn("replica not brought forward", LOG_STR("namespace", work->memo->namespace),
		LOG_STR("kind", error_kind_text(err.kind)), LOG_INT("errors_in_row", work->memo->errors_in_row), LOG_ERR(&err));
}

static void log_held(struct manager *op, const struct pass *pass)
{
	static const struct event_regarding namespace = {0};
	metrics_set(op->metrics, METRIC_TEARDOWNS_HELD, NULL, NULL, NULL, (double)pass->held);
	if (pass->held == 0)
		return;
	log_warn("teardowns held", LOG_INT("held", pass->held), LOG_INT("managed", pass->cluster->replica_count),
		LOG_INT("worklist_entries", op->worklist->count));
	for (size_t i = 0; i < pass->diff.count; i++) {
		if (pass->diff.actions[i].reason == REASON_BRAKE)
			events_send(op->events, pass->diff.actions[i].replica->namespace, &namespace, true, "TeardownHeld",
				"Teardown",
				"this replica left the worklist together with many others: its teardown is held until the same "
				"answer has "
				"come on 3 passes and for 2 minutes");
	}
}

static void log_foreign(struct manager *op, const struct pass *pass)
{
	static const struct event_regarding namespace = {0};
	for (size_t i = 0; i < pass->diff.count; i++) {
		const struct action *act = &pass->diff.actions[i];
		if (act->reason == REASON_DUPLICATE)
			log_warn("worklist entry ignored: the replica is there twice",
				LOG_STR("namespace", act->entry->namespace));
		if (act->reason != REASON_FOREIGN || act->replica == NULL)
			continue;
		log_warn("foreign namespace", LOG_STR("namespace", act->replica->namespace));
		events_send(op->events, act->replica->namespace, &namespace, true, "ForeignNamespace", "Reconcile",
			"this Namespace carries our label but not the identity of a replica: it is left alone");
	}
}

static const char *intent_of(const struct replica *replica)
{
	return replica->intent == NULL ? "" : replica->intent;
}

static void count_replicas(struct manager *op, const struct pass *pass)
{
	double owed = 0, unavailable = 0, foreign = (double)pass->foreign;
	metrics_zero(op->metrics, METRIC_REPLICAS);
	for (size_t i = 0; i < pass->cluster->replica_count; i++) {
		const struct replica *r = &pass->cluster->replicas[i];
		const struct scene scene = cluster_scene(pass->cluster, r->namespace);
		const struct deployment_view *serving = scene_deployment(&scene, r->active_round);
		metrics_add(op->metrics, METRIC_REPLICAS, replica_state_text[r->state], intent_of(r), NULL, 1);
		owed += r->report != NULL;
		unavailable += r->active_round[0] != '\0' && !replica_is_proven_once(r) && !r->is_deleting &&
			       (serving == NULL || !serving->is_available);
	}
	for (size_t i = 0; i < pass->work_count; i++)
		foreign += pass->works[i].memo->is_foreign;
	metrics_set(op->metrics, METRIC_FOREIGN_NAMESPACES, NULL, NULL, NULL, foreign);
	metrics_set(op->metrics, METRIC_REPORTS_OWED, NULL, NULL, NULL, owed);
	metrics_set(op->metrics, METRIC_REPLICAS_UNAVAILABLE, NULL, NULL, NULL, unavailable);
	metrics_set(op->metrics, METRIC_WORKLIST_ENTRIES, NULL, NULL, NULL, (double)op->worklist->count);
	metrics_set(op->metrics, METRIC_WORKLIST_UNREADABLE_ENTRIES, NULL, NULL, NULL, (double)op->worklist->unreadable);
}

// Anything done, or owed and not backed off, is worth another look soon.
static bool is_busy(const struct pass *pass)
{
	for (size_t i = 0; i < pass->work_count; i++) {
		if (pass->works[i].has_changed)
			return true;
	}
	return false;
}

int tick(struct manager *op, struct workers *workers, bool *soon, struct error *err)
{
	AUTO(pass) struct pass pass = {0};
	struct error fetch_err = {0};
	int64_t begin_ms = clock_mono_ms();

	*soon = false;
	bool is_current = pass_fetch(op, &fetch_err) == 0;
	if (!is_current) {
		log_warn(
			"worklist not fetched: nothing is provisioned, refreshed or torn down in this pass", LOG_ERR(&fetch_err));
		if (op->worklist == NULL) {
			*err = fetch_err;
			return -1;
		}
	}
	if (pass_prepare(op, is_current, clock_wall_ms(), begin_ms, &pass, err) < 0)
		return -1;
	log_held(op, &pass);
	log_foreign(op, &pass);

	struct crew crew = {.op = op, .pass = &pass};
	workers_run(workers, pass.work_count, work_piece, &crew);
	memos_sweep(op->memos);
	count_replicas(op, &pass);
	*soon = is_busy(&pass);

	int64_t took_ms = clock_mono_ms() - begin_ms;
	metrics_observe(op->metrics, METRIC_TICK_DURATION_SECONDS, (double)took_ms / 1000.0);
	if (!is_current) {
		*err = fetch_err;
		return -1;
	}
	int64_t now_ms = clock_wall_ms();
	metrics_set(op->metrics, METRIC_LAST_TICK_TIMESTAMP_SECONDS, NULL, NULL, NULL, (double)now_ms / 1000.0);
	return 0;
}
