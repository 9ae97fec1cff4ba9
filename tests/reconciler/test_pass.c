// A pass over what the cache holds: what is wanted of each replica afterwards, and what has been put into the queue.
#include "reconciler/pass.h"
#include "base/buf.h"
#include "base/clock.h"
#include "tests/reconciler/scenes.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <string.h>

#define MINUTE_MS INT64_C(60000)
#define ACTIVE                                                                                                     \
	"\"pgro.bes.au/restore-state\":\"active\",\"pgro.bes.au/last-restored-snapshot-id\":\"s1\",\"pgro.bes.au/" \
	"desired-snapshot-id\":\"s1\""
#define PENDING "\"pgro.bes.au/restore-state\":\"pending\",\"pgro.bes.au/desired-snapshot-id\":\"s1\""
#define FAILED "\"pgro.bes.au/restore-state\":\"failed\",\"pgro.bes.au/desired-snapshot-id\":\"s1\""
#define RESTORING                                                                                               \
	"\"pgro.bes.au/restore-state\":\"restoring\",\"pgro.bes.au/desired-snapshot-id\":\"s1\",\"pgro.bes.au/" \
	"round\":\"aaaaaaaa\""

// An operator without any connection.
struct world {
	struct manager op;
	struct settings *settings;
};

static void open_world(struct world *w, size_t slots)
{
	struct error err = {0};
	*w = (struct world){.settings = scene_settings()};
	w->op.settings = w->settings;
	w->op.is_brake_loaded = true;
	assert_ok(cache_new(&w->op.cache, &err), err);
	assert_ok(queue_new(&w->op.queue, &err), err);
	assert_ok(slots_new(slots, &w->op.slots, &err), err);
	assert_ok(metrics_new(&w->op.metrics, &err), err);
}

static void close_world(struct world *w)
{
	metrics_free(w->op.metrics);
	slots_free(w->op.slots);
	queue_free(w->op.queue);
	cache_free(w->op.cache);
	worklist_free(w->op.worklist);
	worklist_free(w->op.fetched);
	settings_free(w->settings);
}

// Replica i: declaration 00000000-0000-4000-8000-00000000000i, named "replica i".
static void name_of(int i, char out[ENTRY_NAMESPACE_SIZE])
{
	struct error err = {0};
	char name[32], id[UUID_TEXT_SIZE];
	(void)snprintf(name, sizeof(name), "replica %d", i);
	(void)snprintf(id, sizeof(id), "00000000-0000-4000-8000-%012d", i);
	assert_ok(entry_namespace(name, id, SCENE_SERVER_ID, out, &err), err);
}

static void put_replica_for(struct world *w, int i, const char *intent, const char *annotations, const char *created)
{
	struct error err = {0};
	char namespace[ENTRY_NAMESPACE_SIZE];
	AUTO(buf) struct buf text;
	AUTO(json) json_t *object = NULL;
	name_of(i, namespace);
	buf_init(&text, 4096);
	assert_ok(
		buf_addf(&text, &err,
			"{\"metadata\":{\"name\":\"%s\",\"uid\":\"u-%d\",\"resourceVersion\":\"%d\",\"creationTimestamp\":\"%s\","
			"\"labels\":{\"pgro.bes.au/managed-by\":\"pgro-canopy\",\"pgro.bes.au/declaration-id\":"
			"\"00000000-0000-4000-8000-%012d\",\"pgro.bes.au/group\":\"" SCENE_GROUP_ID
			"\",\"pgro.bes.au/server\":\"" SCENE_SERVER_ID "\",%s\"pgro.bes.au/"
			"type\":\"tamanu-postgres\"},\"annotations\":{%s}}}",
			namespace, i, 100 + i, created, i, intent, annotations),
		err);
	assert_ok(json_parse(buf_str(&text), text.len, &object, &err), err);
	assert_ok(cache_take(w->op.cache, CACHE_NAMESPACE, object, &err), err);
}

static void put_replica(struct world *w, int i, const char *annotations, const char *created)
{
	put_replica_for(w, i, "\"pgro.bes.au/intent\":\"analytics\",", annotations, created);
}

static void drop_replica(struct world *w, int i)
{
	char namespace[ENTRY_NAMESPACE_SIZE];
	name_of(i, namespace);
	cache_gone(w->op.cache, namespace);
}

// The worklist that is fetched next: replicas first to last, with this snapshot.
static void offer(struct world *w, int first, int last, const char *snapshot)
{
	struct error err = {0};
	AUTO(worklist_decoder) struct worklist_decoder *decoder = NULL;
	assert_ok(worklist_decoder_new(&decoder, &err), err);
	assert_ok(worklist_decoder_feed(decoder, "[", 1, &err), err);
	for (int i = first; i <= last; i++) {
		char text[1024];
		int len = snprintf(text, sizeof(text),
			"%s{\"replica_id\":\"00000000-0000-4000-8000-%012d\",\"group_id\":\"" SCENE_GROUP_ID
			"\",\"server_id\":\"" SCENE_SERVER_ID
			"\",\"type\":\"tamanu-postgres\",\"intent\":\"analytics\",\"name\":\"replica %d\",\"params\":{},"
			"\"storage\":\"s3\",\"bucket\":\"b\",\"prefix\":\"p\",\"region\":\"r\",\"snapshot_id\":\"%s\"}",
			i == first ? "" : ",", i, i, snapshot);
		assert_ok(worklist_decoder_feed(decoder, text, (size_t)len, &err), err);
	}
	assert_ok(worklist_decoder_feed(decoder, "]", 1, &err), err);
	worklist_free(w->op.fetched);
	w->op.fetched = NULL;
	assert_ok(worklist_decoder_finish(decoder, &w->op.fetched, &err), err);
}

static struct pass decide_at(struct world *w, bool is_current, int64_t mono_ms)
{
	struct error err = {0};
	struct pass pass;
	assert_ok(pass_decide(&w->op, is_current, scene_now_ms(), mono_ms, &pass, &err), err);
	return pass;
}

static void is_decided(struct world *w, int i, enum action_kind kind, enum action_reason reason, bool has_entry)
{
	struct error err = {0};
	char namespace[ENTRY_NAMESPACE_SIZE];
	AUTO(look_value) struct look look = {0};
	name_of(i, namespace);
	assert_ok(cache_look(w->op.cache, namespace, &look, &err), err);
	if (look.decided.kind != kind || look.decided.reason != reason || look.has_entry != has_entry)
		fail_msg("replica %d: %s %s, entry: %d; expected %s %s, %d", i, action_kind_text[look.decided.kind],
			action_reason_text[look.decided.reason], look.has_entry, action_kind_text[kind],
			action_reason_text[reason], has_entry);
}

// All that is due now, as a set of replica numbers in order.
static void is_due(struct world *w, const char *expected)
{
	struct error err = {0};
	char got[256] = "";
	assert_ok(pass_enqueue(&w->op, scene_now_ms(), &err), err);
	bool due[16] = {false};
	queue_add(w->op.queue, "end", clock_mono_ms());
	for (char key[ENTRY_NAMESPACE_SIZE] = ""; strcmp(key, "end") != 0;) {
		assert_true(queue_take(w->op.queue, key, NULL));
		queue_done(w->op.queue, key);
		for (int i = 0; i < 16; i++) {
			char namespace[ENTRY_NAMESPACE_SIZE];
			name_of(i, namespace);
			due[i] = due[i] || strcmp(key, namespace) == 0;
		}
	}
	for (int i = 0; i < 16; i++) {
		size_t len = strlen(got);
		if (due[i])
			(void)snprintf(got + len, sizeof(got) - len, "%d ", i);
	}
	assert_string_equal(got, expected);
}

#define OLD "2026-11-01T00:00:00Z"

static void each_side_gets_its_decision(void **state)
{
	(void)state;
	struct world w;
	open_world(&w, 4);
	put_replica(&w, 1, ACTIVE, OLD);
	put_replica(&w, 2, ACTIVE, OLD);
	offer(&w, 2, 3, "s1");
	struct pass pass = decide_at(&w, true, 0);
	assert_int_equal(pass.managed, 2);
	is_decided(&w, 1, ACTION_TEARDOWN, REASON_GONE, false);
	is_decided(&w, 2, ACTION_NONE, REASON_IN_SYNC, true);
	is_decided(&w, 3, ACTION_PROVISION, REASON_NEW, true);
	is_due(&w, "1 3 ");
	close_world(&w);
}

static void a_new_worklist_takes_the_place_of_the_old_one(void **state)
{
	(void)state;
	struct world w;
	open_world(&w, 4);
	put_replica(&w, 1, ACTIVE, OLD);
	offer(&w, 1, 3, "s1");
	(void)decide_at(&w, true, 0);
	is_due(&w, "2 3 ");
	offer(&w, 1, 2, "s2");
	(void)decide_at(&w, true, 1000);
	is_decided(&w, 1, ACTION_REFRESH, REASON_NEWER_SNAPSHOT, true);
	is_decided(&w, 3, ACTION_NONE, REASON_IN_SYNC, false); // wanted no more, and never made: forgotten
	is_due(&w, "1 2 ");
	close_world(&w);
}

static void without_a_worklist_of_this_pass_all_stays_as_it_was_decided(void **state)
{
	(void)state;
	struct world w;
	open_world(&w, 4);
	put_replica(&w, 1, ACTIVE, OLD);
	offer(&w, 1, 1, "s1");
	(void)decide_at(&w, true, 0);
	assert_true(atomic_load(&w.op.is_current));
	put_replica(&w, 2, ACTIVE, OLD); // came since: nobody has said that it is not wanted
	(void)decide_at(&w, false, 1000);
	is_decided(&w, 2, ACTION_NONE, REASON_IN_SYNC, false);
	assert_false(atomic_load(&w.op.is_current));
	is_decided(&w, 1, ACTION_NONE, REASON_IN_SYNC, true);
	is_due(&w, "");
	close_world(&w);
}

static void held_until_the_same_answer_has_come_often_enough_then_all_go(void **state)
{
	(void)state;
	struct world w;
	open_world(&w, 4);
	for (int i = 0; i < 10; i++)
		put_replica(&w, i, ACTIVE, OLD);
	offer(&w, 1, 0, "s1");
	for (int pass = 0; pass < 3; pass++) {
		const struct pass held = decide_at(&w, true, pass * MINUTE_MS / 2);
		assert_int_equal(held.held.count, 10);
		is_decided(&w, 5, ACTION_NONE, REASON_BRAKE, false);
		is_due(&w, "");
	}
	assert_int_equal(decide_at(&w, true, 2 * MINUTE_MS).held.count, 0);
	is_decided(&w, 5, ACTION_TEARDOWN, REASON_GONE, false);
	is_due(&w, "0 1 2 3 4 5 6 7 8 9 ");
	// Some take longer than a pass: what is left of the answer is no new one.
	for (int i = 0; i < 4; i++)
		drop_replica(&w, i);
	assert_int_equal(decide_at(&w, true, 2 * MINUTE_MS + 1000).held.count, 0);
	is_due(&w, "4 5 6 7 8 9 ");
	// Their entries come back and leave again: that is one.
	offer(&w, 0, 9, "s1");
	(void)decide_at(&w, true, 3 * MINUTE_MS);
	is_decided(&w, 5, ACTION_NONE, REASON_IN_SYNC, true);
	offer(&w, 1, 0, "s1");
	assert_int_equal(decide_at(&w, true, 4 * MINUTE_MS).held.count, 6);
	close_world(&w);
}

// Those that stay are not held, however many go.
static void only_what_would_go_is_held(void **state)
{
	(void)state;
	struct world w;
	open_world(&w, 4);
	for (int i = 0; i < 10; i++)
		put_replica(&w, i, ACTIVE, OLD);
	offer(&w, 1, 1, "s1");
	assert_int_equal(decide_at(&w, true, 0).held.count, 9);
	is_decided(&w, 1, ACTION_NONE, REASON_IN_SYNC, true);
	is_decided(&w, 2, ACTION_NONE, REASON_BRAKE, false);
	is_due(&w, "");
	close_world(&w);
}

static void many_are_counted_and_some_of_them_named(void **state)
{
	(void)state;
	struct world w;
	open_world(&w, 4);
	for (int i = 0; i < PASS_NAMES_MAX + 5; i++)
		put_replica(&w, i, ACTIVE, OLD);
	offer(&w, 1, 0, "s1");
	const struct pass pass = decide_at(&w, true, 0);
	assert_int_equal(pass.held.count, PASS_NAMES_MAX + 5);
	assert_int_equal(pass.held.named, PASS_NAMES_MAX);
	close_world(&w);
}

static void one_without_an_identity_is_foreign(void **state)
{
	(void)state;
	struct world w;
	struct error err = {0};
	AUTO(json)
	json_t *object = json_pack("{s:{s:s, s:s, s:s, s:{s:s}}}", "metadata", "name", "by-hand", "uid", "u", "resourceVersion",
		"1", "labels", "pgro.bes.au/managed-by", "pgro-canopy");
	open_world(&w, 4);
	assert_ok(cache_take(w.op.cache, CACHE_NAMESPACE, object, &err), err);
	offer(&w, 1, 0, "s1");
	const struct pass pass = decide_at(&w, true, 0);
	assert_int_equal(pass.foreign.count, 1);
	assert_string_equal(pass.foreign.names[0], "by-hand");
	AUTO(look_value) struct look look = {0};
	assert_ok(cache_look(w.op.cache, "by-hand", &look, &err), err);
	assert_int_equal(look.decided.reason, REASON_FOREIGN);
	close_world(&w);
}

#define ENTRY_7(snapshot, params)                                                                             \
	"{\"replica_id\":\"00000000-0000-4000-8000-000000000007\",\"group_id\":\"" SCENE_GROUP_ID             \
	"\",\"server_id\":\"" SCENE_SERVER_ID                                                                 \
	"\",\"type\":\"tamanu-postgres\",\"intent\":\"analytics\",\"name\":\"replica 7\",\"params\":{" params \
	"},\"storage\":\"s3\",\"bucket\":\"b\",\"prefix\":\"p\",\"region\":\"r\",\"snapshot_id\":\"" snapshot "\"}"

static void offer_text(struct world *w, const char *text)
{
	struct error err = {0};
	AUTO(worklist_decoder) struct worklist_decoder *decoder = NULL;
	assert_ok(worklist_decoder_new(&decoder, &err), err);
	assert_ok(worklist_decoder_feed(decoder, text, strlen(text), &err), err);
	worklist_free(w->op.fetched);
	w->op.fetched = NULL;
	assert_ok(worklist_decoder_finish(decoder, &w->op.fetched, &err), err);
}

static void of_two_entries_for_one_replica_the_second_is_named(void **state)
{
	(void)state;
	struct world w;
	open_world(&w, 4);
	put_replica(&w, 7, ACTIVE, OLD);
	offer_text(&w, "[" ENTRY_7("s1", "") "," ENTRY_7("s2", "") "]");
	const struct pass pass = decide_at(&w, true, 0);
	assert_int_equal(pass.duplicates.count, 1);
	assert_string_equal(pass.duplicates.names[0], "replica 7");
	is_decided(&w, 7, ACTION_NONE, REASON_IN_SYNC, true);
	close_world(&w);
}

// A worker says what is wrong with it.
static void what_cannot_be_decided_is_due(void **state)
{
	(void)state;
	struct world w;
	open_world(&w, 4);
	put_replica(&w, 7, ACTIVE, OLD);
	offer_text(&w, "[" ENTRY_7("s1", "\"memory_limit\":\"much\"") "]");
	(void)decide_at(&w, true, 0);
	is_due(&w, "7 ");
	close_world(&w);
}

// Its Job was seen before its Namespace, or is left of it.
static void a_namespace_of_which_only_a_job_is_known_is_not_due(void **state)
{
	(void)state;
	struct world w;
	struct error err = {0};
	char namespace[ENTRY_NAMESPACE_SIZE];
	name_of(3, namespace);
	AUTO(json)
	json_t *job =
		json_pack("{s:{s:s, s:s, s:s}}", "metadata", "namespace", namespace, "name", "restore-aaaaaaaa", "uid", "j");
	open_world(&w, 4);
	assert_ok(cache_take(w.op.cache, CACHE_JOB, job, &err), err);
	offer(&w, 1, 0, "s1");
	assert_int_equal(decide_at(&w, true, 0).managed, 0);
	is_due(&w, "");
	close_world(&w);
}

static void nobody_waits_for_a_slot_without_a_worklist(void **state)
{
	(void)state;
	struct world w;
	open_world(&w, 1);
	put_replica(&w, 1, PENDING, OLD);
	offer(&w, 1, 1, "s1");
	(void)decide_at(&w, true, 0);
	(void)decide_at(&w, false, 1000);
	is_due(&w, "");
	(void)decide_at(&w, true, 2000);
	is_due(&w, "1 ");
	close_world(&w);
}

static void one_that_led_before_forgets_what_it_decided(void **state)
{
	(void)state;
	struct world w;
	open_world(&w, 4);
	put_replica(&w, 1, ACTIVE, OLD);
	put_replica(&w, 2, ACTIVE, OLD);
	offer(&w, 2, 2, "s1");
	(void)decide_at(&w, true, 0);
	is_decided(&w, 1, ACTION_TEARDOWN, REASON_GONE, false);
	pass_forget(&w.op);
	is_decided(&w, 1, ACTION_NONE, REASON_IN_SYNC, false);
	is_decided(&w, 2, ACTION_NONE, REASON_IN_SYNC, false);
	assert_false(w.op.is_brake_loaded);
	close_world(&w);
}

static void the_oldest_get_the_slots_that_are_free(void **state)
{
	(void)state;
	struct world w;
	open_world(&w, 3);
	put_replica(&w, 1, PENDING, "2026-11-03T00:00:00Z");
	put_replica(&w, 2, RESTORING, "2026-11-09T00:00:00Z"); // has its slot
	put_replica(&w, 3, PENDING, "2026-11-02T00:00:00Z");
	put_replica(&w, 4, PENDING, "2026-11-01T00:00:00Z");
	offer(&w, 1, 4, "s1");
	(void)decide_at(&w, true, 0);
	is_due(&w, "2 3 4 "); // the round in hand lacks its Job
	close_world(&w);
}

// Its Namespace bears the name of one entry and the identity of another: the pair of identity is the replica.
static void a_namesake_of_another_identity_is_left_alone(void **state)
{
	(void)state;
	struct world w;
	struct error err = {0};
	char namespace[ENTRY_NAMESPACE_SIZE];
	AUTO(buf) struct buf text;
	AUTO(json) json_t *object = NULL;
	open_world(&w, 4);
	name_of(1, namespace);
	buf_init(&text, 4096);
	assert_ok(buf_addf(&text, &err,
			  "{\"metadata\":{\"name\":\"%s\",\"uid\":\"u\",\"resourceVersion\":\"1\",\"labels\":{"
			  "\"pgro.bes.au/managed-by\":\"pgro-canopy\",\"pgro.bes.au/declaration-id\":"
			  "\"00000000-0000-4000-8000-000000000009\",\"pgro.bes.au/server\":\"" SCENE_SERVER_ID "\"}}}",
			  namespace),
		err);
	assert_ok(json_parse(buf_str(&text), text.len, &object, &err), err);
	assert_ok(cache_take(w.op.cache, CACHE_NAMESPACE, object, &err), err);
	offer(&w, 1, 1, "s1");
	assert_int_equal(decide_at(&w, true, 0).foreign.count, 1);
	is_decided(&w, 1, ACTION_NONE, REASON_FOREIGN, false);
	is_due(&w, "");
	close_world(&w);
}

static void shows(struct world *w, const char *lines)
{
	struct error err = {0};
	AUTO(buf) struct buf page;
	buf_init(&page, (size_t)1 << 20);
	assert_ok(metrics_render(w->op.metrics, &page, &err), err);
	const char *at = strstr(buf_str(&page), lines);
	if (at == NULL || at[-1] != '\n')
		fail_msg("no \"%s\" in:\n%s", lines, buf_str(&page));
}

static void what_is_of_no_known_intent_or_goes_is_no_proof(void **state)
{
	(void)state;
	struct world w;
	struct error err = {0};
	open_world(&w, 4);
	put_replica(&w, 1, ACTIVE ",\"pgro.bes.au/last-restored-at\":\"2026-11-19T00:00:00Z\"", OLD);
	put_replica(&w, 2, ACTIVE ",\"pgro.bes.au/last-restored-at\":\"2026-11-18T00:00:00Z\"", OLD);
	put_replica_for(&w, 3, "\"pgro.bes.au/intent\":\"dbt\",",
		ACTIVE ",\"pgro.bes.au/last-restored-at\":\"2026-11-20T00:00:00Z\"", OLD);
	put_replica_for(&w, 4, "", ACTIVE ",\"pgro.bes.au/last-restored-at\":\"2026-11-20T00:00:00Z\"", OLD);
	put_replica(&w, 5, ACTIVE ",\"pgro.bes.au/last-restored-at\":\"2026-11-20T00:00:00Z\"",
		OLD "\",\"deletionTimestamp\":\"" OLD);
	assert_ok(pass_count(&w.op, &err), err);
	shows(&w, "understory_replicas{state=\"active\",intent=\"other\"} 2\n");
	shows(&w, "understory_replicas{state=\"terminating\",intent=\"analytics\"} 1\n");
	shows(&w, "understory_last_verified_timestamp_seconds{intent=\"analytics\"} 1795046400\n");   // 2026-11-19
	shows(&w, "understory_oldest_verified_timestamp_seconds{intent=\"analytics\"} 1794960000\n"); // the day before
	close_world(&w);
}

static void replicas_are_counted_by_what_people_ask(void **state)
{
	(void)state;
	struct world w;
	struct error err = {0};
	open_world(&w, 4);
	w.settings->retry_limit = 3;
	put_replica(&w, 1, ACTIVE ",\"pgro.bes.au/last-restored-at\":\"2026-11-19T00:00:00Z\"", "2026-11-01T00:00:00Z");
	put_replica(&w, 2, FAILED ",\"pgro.bes.au/failures\":\"3\",\"pgro.bes.au/report\":\"{}\"", "2026-11-02T00:00:00Z");
	put_replica(&w, 3, FAILED ",\"pgro.bes.au/failures\":\"2\"", "2026-11-03T00:00:00Z");
	put_replica(&w, 4, FAILED ",\"pgro.bes.au/credentials-refused\":\"aaaaaaaa\"", "2026-11-04T00:00:00Z");
	put_replica(&w, 5, ACTIVE ",\"pgro.bes.au/active-round\":\"aaaaaaaa\"", "2026-11-05T00:00:00Z");
	assert_ok(pass_count(&w.op, &err), err);
	shows(&w, "understory_replicas{state=\"active\",intent=\"analytics\"} 2\n");
	shows(&w, "understory_replicas{state=\"failed\",intent=\"analytics\"} 3\n");
	shows(&w, "understory_replicas_given_up 1\n");
	shows(&w, "understory_replicas_credentials_refused 1\n");
	shows(&w, "understory_replicas_unavailable 1\n"); // it serves a round that has no Deployment
	shows(&w, "understory_reports_owed 1\n");
	shows(&w, "understory_last_verified_timestamp_seconds{intent=\"analytics\"} 1795046400\n");   // 2026-11-19
	shows(&w, "understory_oldest_verified_timestamp_seconds{intent=\"analytics\"} 1793577600\n"); // replica 2, from its
												      // beginning

	drop_replica(&w, 1);
	assert_ok(pass_count(&w.op, &err), err);
	shows(&w, "understory_last_verified_timestamp_seconds{intent=\"analytics\"} 1795046400\n");
	pass_forget(&w.op);
	shows(&w, "understory_replicas{state=\"failed\",intent=\"analytics\"} 0\n");
	shows(&w, "understory_replicas_given_up 0\n");
	close_world(&w);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(each_side_gets_its_decision),
		cmocka_unit_test(a_new_worklist_takes_the_place_of_the_old_one),
		cmocka_unit_test(without_a_worklist_of_this_pass_all_stays_as_it_was_decided),
		cmocka_unit_test(held_until_the_same_answer_has_come_often_enough_then_all_go),
		cmocka_unit_test(only_what_would_go_is_held),
		cmocka_unit_test(many_are_counted_and_some_of_them_named),
		cmocka_unit_test(one_without_an_identity_is_foreign),
		cmocka_unit_test(of_two_entries_for_one_replica_the_second_is_named),
		cmocka_unit_test(what_cannot_be_decided_is_due),
		cmocka_unit_test(a_namespace_of_which_only_a_job_is_known_is_not_due),
		cmocka_unit_test(nobody_waits_for_a_slot_without_a_worklist),
		cmocka_unit_test(what_is_of_no_known_intent_or_goes_is_no_proof),
		cmocka_unit_test(one_that_led_before_forgets_what_it_decided),
		cmocka_unit_test(the_oldest_get_the_slots_that_are_free),
		cmocka_unit_test(a_namesake_of_another_identity_is_left_alone),
		cmocka_unit_test(replicas_are_counted_by_what_people_ask),
	};
	return cmocka_run_group_tests_name("reconciler/pass", cases, NULL, NULL);
}
