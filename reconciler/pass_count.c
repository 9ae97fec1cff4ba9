// The metrics of the replicas, as the cache shows them.
#include "canopy/intents.h"
#include "reconciler/describe.h"
#include "reconciler/pass.h"

// All of it is counted before any of it is shown, so that nobody reads half a count.
struct counts {
	double replicas[STATE_COUNT][INTENT_COUNT + 1];                           // the last: an intent that is not advertised
	int64_t oldest_verified_ms[INTENT_COUNT], last_verified_ms[INTENT_COUNT]; // 0: none
	double owed, unavailable, given_up, refused;
};

static void count_verified(struct counts *counts, const struct replica *r, int intent)
{
	if (intent < 0 || r->is_deleting)
		return;
	const bool is_verified = r->last_restored_at_ms != REPLICA_NEVER;
	const int64_t since_ms = is_verified ? r->last_restored_at_ms : r->created_at_ms;
	if (counts->oldest_verified_ms[intent] == 0 || since_ms < counts->oldest_verified_ms[intent])
		counts->oldest_verified_ms[intent] = since_ms;
	if (is_verified && since_ms > counts->last_verified_ms[intent])
		counts->last_verified_ms[intent] = since_ms;
}

static int count_record(struct manager *op, const struct record *record, struct counts *counts, struct error *err)
{
	struct replica r;
	struct scene scene;
	if (!record_open_replica(record, &r))
		return 0;
	if (record_open_scene(op->cache, record, &scene, err) < 0)
		return -1;
	const int intent = r.intent == NULL ? -1 : intents_find(r.intent);
	const bool is_failed = r.state == STATE_FAILED, is_refused = is_failed && r.credentials_refused[0] != '\0';
	counts->replicas[r.state][intent < 0 ? INTENT_COUNT : intent]++;
	counts->owed += r.report != NULL;
	counts->unavailable += describe_is_down(&r, &scene);
	counts->refused += is_refused;
	counts->given_up += is_failed && !is_refused && r.failures >= op->settings->retry_limit;
	count_verified(counts, &r, intent);
	return 0;
}

static void show_verified(struct manager *op, const struct counts *counts)
{
	for (int i = 0; i < INTENT_COUNT; i++) {
		const char *intent = settings_intent_text[i];
		metrics_set(op->metrics, METRIC_OLDEST_VERIFIED_TIMESTAMP_SECONDS, intent, NULL, NULL,
			(double)counts->oldest_verified_ms[i] / 1000.0);
		// A replica that goes when it is proven takes its time with it: the last one stays.
		metrics_raise(op->metrics, METRIC_LAST_VERIFIED_TIMESTAMP_SECONDS, intent, NULL, NULL,
			(double)counts->last_verified_ms[i] / 1000.0);
	}
}

static void show(struct manager *op, const struct counts *counts)
{
	for (int state = 0; state < STATE_COUNT; state++) {
		for (int i = 0; i <= INTENT_COUNT; i++)
			metrics_set(op->metrics, METRIC_REPLICAS, replica_state_text[state],
				i < INTENT_COUNT ? settings_intent_text[i] : "other", NULL, counts->replicas[state][i]);
	}
	metrics_set(op->metrics, METRIC_REPORTS_OWED, NULL, NULL, NULL, counts->owed);
	metrics_set(op->metrics, METRIC_REPLICAS_UNAVAILABLE, NULL, NULL, NULL, counts->unavailable);
	metrics_set(op->metrics, METRIC_REPLICAS_GIVEN_UP, NULL, NULL, NULL, counts->given_up);
	metrics_set(op->metrics, METRIC_REPLICAS_CREDENTIALS_REFUSED, NULL, NULL, NULL, counts->refused);
	show_verified(op, counts);
}

int pass_count(struct manager *op, struct error *err)
{
	struct record **records = NULL;
	size_t count = 0;
	struct counts counts = {0};
	int rc = 0;
	if (cache_begin(op->cache, &records, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = count_record(op, records[i], &counts, err);
	cache_end(op->cache);
	if (rc == 0)
		show(op, &counts);
	return rc;
}

void pass_uncount(struct manager *op)
{
	static const enum metric of_the_leader[] = {METRIC_WORKLIST_ENTRIES, METRIC_WORKLIST_UNREADABLE_ENTRIES,
		METRIC_TEARDOWNS_HELD, METRIC_REPLICAS_ERRING, METRIC_FOREIGN_NAMESPACES, METRIC_LAST_TICK_TIMESTAMP_SECONDS,
		METRIC_WORKLIST_LAST_SUCCESS_TIMESTAMP_SECONDS};
	const struct counts none = {0};
	for (size_t i = 0; i < sizeof(of_the_leader) / sizeof(of_the_leader[0]); i++)
		metrics_zero(op->metrics, of_the_leader[i]);
	show(op, &none);
}
