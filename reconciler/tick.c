#include "reconciler/tick.h"

#include "base/clock.h"
#include "base/log.h"
#include "reconciler/pass.h"
#include <string.h>

static const struct event_regarding the_namespace = {0};

static void tell_held(struct manager *op, const struct pass *pass)
{
	metrics_set(op->metrics, METRIC_TEARDOWNS_HELD, NULL, NULL, NULL, (double)pass->held.count);
	if (pass->held.count == 0)
		return;
	log_warn("teardowns held", LOG_INT("held", pass->held.count), LOG_INT("managed", pass->managed),
		LOG_INT("worklist_entries", op->worklist->count));
	for (size_t i = 0; i < pass->held.named; i++)
		events_send(op->events, pass->held.names[i], &the_namespace, true, "TeardownHeld", "Teardown",
			"this replica left the worklist together with many others: its teardown is held until the same answer "
			"has come on 3 passes and for 2 minutes");
}

static void tell_foreign(struct manager *op, const struct pass *pass)
{
	const size_t foreign = pass->foreign.count + memos_foreign(op->memos);
	metrics_set(op->metrics, METRIC_FOREIGN_NAMESPACES, NULL, NULL, NULL, (double)foreign);
	for (size_t i = 0; i < pass->foreign.named; i++) {
		log_warn("foreign namespace", LOG_STR("namespace", pass->foreign.names[i]));
		events_send(op->events, pass->foreign.names[i], &the_namespace, true, "ForeignNamespace", "Reconcile",
			"this Namespace carries our label but not the identity of a replica: it is left alone");
	}
}

static void tell_duplicates(const struct pass *pass)
{
	for (size_t i = 0; i < pass->duplicates.named; i++)
		log_warn("worklist entry ignored: the replica is there twice", LOG_STR("name", pass->duplicates.names[i]));
}

static void count_worklist(struct manager *op)
{
	metrics_set(op->metrics, METRIC_WORKLIST_ENTRIES, NULL, NULL, NULL, (double)op->worklist->count);
	metrics_set(op->metrics, METRIC_WORKLIST_UNREADABLE_ENTRIES, NULL, NULL, NULL, (double)op->worklist->unreadable);
}

static void set_time(struct manager *op, enum metric id)
{
	const int64_t now_ms = clock_wall_ms();
	metrics_set(op->metrics, id, NULL, NULL, NULL, (double)now_ms / 1000.0);
}

void tick_note_end(struct manager *op)
{
	set_time(op, METRIC_LAST_TICK_TIMESTAMP_SECONDS);
}

// A hold is counted on the monotonic clock; people read the other one.
static void publish(struct manager *op, const struct pass *pass, const struct error *fetch_err, int64_t begin_mono_ms)
{
	const int64_t now_ms = clock_wall_ms();
	struct pulse_facts facts;
	(void)pulse_get(&op->pulse, &facts); // without a worklist nothing is held anew and nothing let go
	facts.passed_at_ms = now_ms;
	facts.has_worklist = true;
	facts.is_current = pass->is_current;
	facts.entries = op->worklist->count;
	facts.unreadable = op->worklist->unreadable;
	memcpy(facts.error, fetch_err->text, sizeof(facts.error));
	if (pass->is_current) {
		facts.held = pass->held.count;
		facts.held_passes = op->brake.passes;
		facts.held_since_ms = now_ms - (begin_mono_ms - op->brake.since_mono_ms);
	}
	pulse_set(&op->pulse, &facts);
}

void tick_count(struct manager *op)
{
	struct error err = {0};
	if (atomic_exchange(&op->has_changed, false) && pass_count(op, &err) < 0)
		log_warn("replicas not counted", LOG_ERR(&err));
	const size_t erring = memos_erring(op->memos);
	metrics_set(op->metrics, METRIC_REPLICAS_ERRING, NULL, NULL, NULL, (double)erring);
}

static int run_pass(struct manager *op, int64_t begin_mono_ms, struct error *err)
{
	struct pass pass;
	struct error fetch_err = {0};

	const bool is_current = pass_fetch(op, &fetch_err) == 0;
	if (is_current)
		set_time(op, METRIC_WORKLIST_LAST_SUCCESS_TIMESTAMP_SECONDS);
	if (!is_current && op->worklist == NULL) {
		struct pulse_facts facts = {.passed_at_ms = clock_wall_ms()};
		memcpy(facts.error, fetch_err.text, sizeof(facts.error));
		pulse_set(&op->pulse, &facts);
		*err = fetch_err;
		return -1;
	}
	if (!is_current)
		log_warn("worklist not fetched: nothing is provisioned, refreshed or torn down until it is", LOG_ERR(&fetch_err));
	if (pass_decide(op, is_current, clock_wall_ms(), begin_mono_ms, &pass, err) < 0)
		return -1;
	pass_save_brake(op, begin_mono_ms);
	if (pass_enqueue(op, clock_wall_ms(), err) < 0)
		return -1;
	if (is_current) {
		tell_held(op, &pass);
		tell_foreign(op, &pass);
		tell_duplicates(&pass);
	}
	count_worklist(op);
	publish(op, &pass, &fetch_err, begin_mono_ms);
	atomic_store(&op->has_changed, true);
	tick_count(op);
	const int64_t took_ms = clock_mono_ms() - begin_mono_ms;
	metrics_observe(op->metrics, METRIC_TICK_DURATION_SECONDS, (double)took_ms / 1000.0);
	log_debug("pass done", LOG_INT("worklist_entries", op->worklist->count), LOG_BOOL("is_current", is_current),
		LOG_INT("took_ms", took_ms));
	if (!is_current) {
		*err = fetch_err;
		return -1;
	}
	return 0;
}

int tick(struct manager *op, struct error *err)
{
	int rc = run_pass(op, clock_mono_ms(), err);
	tick_note_end(op);
	return rc;
}
