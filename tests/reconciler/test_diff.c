// diff: every row of the table in design.md "diff: what to do", and the pairs that went wrong elsewhere.
#include "reconciler/diff.h"
#include "tests/reconciler/scenes.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVER_2 "b0a7c0de-1111-4222-8333-444455556667"
#define NAMESPACE_2 "nauru-prod-analytics-382a1ce3"

#define ACTIVE_S1                                                                                             \
	"\"restore-state\":\"active\",\"round\":\"aaaaaaaa\",\"round-snapshot-id\":\"s1\",\"attempt\":\"1\"," \
	"\"active-round\":\"aaaaaaaa\",\"last-restored-snapshot-id\":\"s1\",\"last-restored-at\":\"2026-11-20T11:00:00Z\""
#define FAILED(snapshot, failures, at)                                                          \
	"\"restore-state\":\"failed\",\"round\":\"bbbbbbbb\",\"round-snapshot-id\":\"" snapshot \
	"\",\"attempt\":\"1\",\"failures\":\"" failures "\",\"failed-at\":\"" at "\""

struct row {
	const char *label;
	const char *intent;
	const char *entry;       // extra members; NULL: no entry
	const char *annotations; // NULL: no Namespace
	const char *metadata;    // further members of metadata
	enum action_kind kind;
	enum action_reason reason;
};

#define S1 ",\"snapshot_id\":\"s1\""
#define S2 ",\"snapshot_id\":\"s2\""

static const struct row rows[] = {
	{"entry, no namespace", "verify", S1, NULL, "", ACTION_PROVISION, REASON_NEW},
	{"entry without a snapshot, no namespace", "verify", ",\"snapshot_id\":null", NULL, "", ACTION_PROVISION, REASON_NEW},
	{"entry, namespace being deleted", "verify", S2, ACTIVE_S1, ",\"deletionTimestamp\":\"2026-11-20T11:59:00Z\"",
		ACTION_NONE, REASON_BEING_DELETED},
	{"forced", "analytics", S1, ACTIVE_S1 ",\"force-refresh\":\"true\"", "", ACTION_REFRESH, REASON_FORCED},
	{"forced while a round is in hand", "analytics", S1,
		"\"restore-state\":\"restoring\",\"force-refresh\":\"1\",\"round-snapshot-id\":\"s1\"", "", ACTION_NONE,
		REASON_IN_SYNC},
	{"newer snapshot", "analytics", S2, ACTIVE_S1, "", ACTION_REFRESH, REASON_NEWER_SNAPSHOT},
	{"newer snapshot while restoring", "analytics", S2, "\"restore-state\":\"restoring\",\"round-snapshot-id\":\"s1\"", "",
		ACTION_NONE, REASON_IN_SYNC},
	{"newer snapshot while starting", "analytics", S2, "\"restore-state\":\"starting\",\"round-snapshot-id\":\"s1\"", "",
		ACTION_NONE, REASON_IN_SYNC},
	{"newer snapshot while a report is owed", "analytics", S2, ACTIVE_S1 ",\"report\":\"{}\"", "", ACTION_NONE,
		REASON_IN_SYNC},
	{"newer snapshot within its minimum_ttl", "analytics", S2 ",\"params\":{\"minimum_ttl\":7200}", ACTIVE_S1, "",
		ACTION_NONE, REASON_IN_SYNC},
	{"newer snapshot past its minimum_ttl", "analytics", S2 ",\"params\":{\"minimum_ttl\":3599}", ACTIVE_S1, "",
		ACTION_REFRESH, REASON_NEWER_SNAPSHOT},
	{"failed once, within five minutes", "verify", S1, FAILED("s1", "1", "2026-11-20T11:56:00Z"), "", ACTION_NONE,
		REASON_IN_SYNC},
	{"failed once, after five minutes", "verify", S1, FAILED("s1", "1", "2026-11-20T11:54:00Z"), "", ACTION_REFRESH,
		REASON_RETRY},
	{"failed once, by a clock that is a little ahead", "verify", S1, FAILED("s1", "1", "2026-11-20T12:04:00Z"), "",
		ACTION_NONE, REASON_IN_SYNC},
	{"failed once, tomorrow: the clock was set back", "verify", S1, FAILED("s1", "1", "2026-11-21T12:00:00Z"), "",
		ACTION_REFRESH, REASON_RETRY},
	{"failed three times, tomorrow", "verify", S1, FAILED("s1", "3", "2026-11-21T12:00:00Z"), "", ACTION_NONE,
		REASON_IN_SYNC},
	{"restored tomorrow: newer snapshot within its minimum_ttl", "analytics", S2 ",\"params\":{\"minimum_ttl\":7200}",
		"\"restore-state\":\"active\",\"last-restored-snapshot-id\":\"s1\",\"last-restored-at\":\"2026-11-21T12:00:00Z\"",
		"", ACTION_REFRESH, REASON_NEWER_SNAPSHOT},
	{"restored tomorrow: not stale", "analytics", S1 ",\"overdue_after_seconds\":3599",
		"\"restore-state\":\"active\",\"last-restored-snapshot-id\":\"s1\",\"last-restored-at\":\"2026-11-21T12:00:00Z\"",
		"", ACTION_NONE, REASON_IN_SYNC},
	{"failed twice, within thirty minutes", "verify", S1, FAILED("s1", "2", "2026-11-20T11:31:00Z"), "", ACTION_NONE,
		REASON_IN_SYNC},
	{"failed twice, after thirty minutes", "verify", S1, FAILED("s1", "2", "2026-11-20T11:29:00Z"), "", ACTION_REFRESH,
		REASON_RETRY},
	{"failed three times: left alone", "verify", S1, FAILED("s1", "3", "2026-11-10T00:00:00Z"), "", ACTION_NONE,
		REASON_IN_SYNC},
	{"failed three times, but a newer snapshot", "verify", S2, FAILED("s1", "3", "2026-11-20T11:59:00Z"), "", ACTION_REFRESH,
		REASON_NEWER_SNAPSHOT},
	{"failed three times, but forced", "verify", S1, FAILED("s1", "3", "2026-11-20T11:59:00Z") ",\"force-refresh\":\"\"", "",
		ACTION_REFRESH, REASON_FORCED},
	{"failed, its failures taken away by hand, within five minutes", "verify", S1, FAILED("s1", "0", "2026-11-20T11:56:00Z"),
		"", ACTION_NONE, REASON_IN_SYNC},
	{"failed at no time that is known", "verify", S1,
		"\"restore-state\":\"failed\",\"round-snapshot-id\":\"s1\",\"failures\":\"1\"", "", ACTION_REFRESH, REASON_RETRY},
	{"a forced round of what still serves failed, within five minutes", "analytics", S1,
		FAILED("s1", "1", "2026-11-20T11:56:00Z") ",\"last-restored-snapshot-id\":\"s1\"", "", ACTION_NONE,
		REASON_IN_SYNC},
	{"a forced round of what still serves failed, after five minutes", "analytics", S1,
		FAILED("s1", "1", "2026-11-20T11:54:00Z") ",\"last-restored-snapshot-id\":\"s1\"", "", ACTION_REFRESH,
		REASON_RETRY},
	{"newer snapshot, and a minimum_ttl that is none", "analytics", S2 ",\"params\":{\"minimum_ttl\":\"soon\"}", ACTIVE_S1,
		"", ACTION_REFRESH, REASON_NEWER_SNAPSHOT},
	{"restored at no time that is known: not stale", "analytics", S1 ",\"overdue_after_seconds\":1",
		"\"restore-state\":\"active\",\"last-restored-snapshot-id\":\"s1\"", "", ACTION_NONE, REASON_IN_SYNC},
	{"freshness expired", "analytics", S1 ",\"overdue_after_seconds\":3599", ACTIVE_S1, "", ACTION_REFRESH,
		REASON_FRESHNESS_EXPIRED},
	{"freshness by its older name", "analytics", S1 ",\"freshness_seconds\":3599", ACTIVE_S1, "", ACTION_REFRESH,
		REASON_FRESHNESS_EXPIRED},
	{"freshness not expired", "analytics", S1 ",\"overdue_after_seconds\":3600", ACTIVE_S1, "", ACTION_NONE, REASON_IN_SYNC},
	{"freshness expired, but once", "verify", S1 ",\"overdue_after_seconds\":1", ACTIVE_S1, "", ACTION_NONE, REASON_IN_SYNC},
	{"in sync", "analytics", S1, ACTIVE_S1, "", ACTION_NONE, REASON_IN_SYNC},
	{"snapshot gone from the entry", "analytics", ",\"snapshot_id\":null", ACTIVE_S1, "", ACTION_NONE, REASON_IN_SYNC},
	{"pending, first round due", "verify", S1, "\"restore-state\":\"pending\"", "", ACTION_NONE, REASON_NEW},
	{"no entry", "analytics", NULL, ACTIVE_S1, "", ACTION_TEARDOWN, REASON_GONE},
	{"no entry, held by a person", "analytics", NULL, ACTIVE_S1 ",\"teardown-hold\":\"legal\"", "", ACTION_NONE,
		REASON_TEARDOWN_HOLD},
	{"no entry, being deleted", "analytics", NULL, ACTIVE_S1, ",\"deletionTimestamp\":\"2026-11-20T11:59:00Z\"", ACTION_NONE,
		REASON_BEING_DELETED},
	{"an intent that is not ours", "dbt", S2, ACTIVE_S1, "", ACTION_NONE, REASON_UNKNOWN_INTENT},
	{"an intent that is not ours, no namespace", "dbt", S2, NULL, "", ACTION_NONE, REASON_UNKNOWN_INTENT},
};

// What a test holds, as the diff asks for it.
struct held {
	const struct entry *entries;
	const struct replica *replicas;
};

static int open_entry(const void *arg, size_t i, struct entry *out, struct error *err)
{
	(void)err;
	*out = ((const struct held *)arg)->entries[i];
	json_incref(out->params); // which entry_close() gives back
	return 0;
}

static void open_replica(const void *arg, size_t i, struct replica *out)
{
	*out = ((const struct held *)arg)->replicas[i];
}

// One diff over what a test holds; the caller frees *out.
static void compute_with(const struct entry *entries, size_t entry_count, size_t unreadable, const struct replica *replicas,
	size_t replica_count, struct diff *out)
{
	struct error err = {0};
	AUTO(settings) struct settings *settings = scene_settings();
	const struct held held = {entries, replicas};
	const struct diff_sides sides = {.entry_count = entry_count,
		.replica_count = replica_count,
		.unreadable = unreadable,
		.open_entry = open_entry,
		.open_replica = open_replica,
		.arg = &held};
	assert_ok(diff_compute(&sides, settings, scene_now_ms(), out, &err), err);
}

static void compute(
	const struct entry *entries, size_t entry_count, const struct replica *replicas, size_t replica_count, struct diff *out)
{
	compute_with(entries, entry_count, 0, replicas, replica_count, out);
}

static void rows_of_the_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct entry entry = {0};
		struct replica replica = {0};
		AUTO(diff) struct diff diff = {0};
		if (row->entry != NULL)
			entry = scene_entry(SCENE_SERVER_ID, row->intent, row->entry);
		if (row->annotations != NULL)
			replica = scene_replica_with(
				SCENE_NAMESPACE, SCENE_SERVER_ID, row->intent, row->annotations, row->metadata);
		compute(&entry, row->entry != NULL, &replica, row->annotations != NULL, &diff);
		const struct action *first = &diff.rows[0].action;
		if (diff.count != 1 || first->kind != row->kind || first->reason != row->reason)
			fail_msg("%s: %zu rows, first %s %s, expected %s %s", row->label, diff.count,
				action_kind_text[first->kind], action_reason_text[first->reason], action_kind_text[row->kind],
				action_reason_text[row->reason]);
		if (row->entry != NULL)
			entry_fini(&entry);
		replica_fini(&replica);
	}
}

static void an_unreadable_entry_stops_every_teardown(void **state)
{
	(void)state;
	struct replica replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "analytics", ACTIVE_S1);
	AUTO(diff) struct diff diff = {0};
	compute_with(NULL, 0, 1, &replica, 1, &diff);
	assert_int_equal(diff.count, 1);
	assert_int_equal(diff.rows[0].action.kind, ACTION_NONE);
	assert_int_equal(diff.rows[0].action.reason, REASON_UNREADABLE_ENTRIES);
	replica_fini(&replica);
}

// A group-wide declaration gives many entries with one replica_id.
static void pairs_by_replica_and_server(void **state)
{
	(void)state;
	struct entry entries[] = {scene_entry(SERVER_2, "analytics", S2)};
	struct replica replicas[] = {scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "analytics", ACTIVE_S1),
		scene_replica(NAMESPACE_2, SERVER_2, "analytics", ACTIVE_S1)};
	AUTO(diff) struct diff diff = {0};
	compute(entries, 1, replicas, 2, &diff);
	assert_int_equal(diff.count, 2);
	assert_int_equal(diff.rows[0].action.kind, ACTION_REFRESH);
	assert_int_equal(diff.rows[0].entry, 0);
	assert_int_equal(diff.rows[0].replica, 1);
	assert_int_equal(diff.rows[1].action.kind, ACTION_TEARDOWN);
	assert_int_equal(diff.rows[1].entry, DIFF_NONE);
	assert_int_equal(diff.rows[1].replica, 0);
	entry_fini(&entries[0]);
	replica_fini(&replicas[0]);
	replica_fini(&replicas[1]);
}

static void a_renamed_declaration_keeps_its_namespace(void **state)
{
	(void)state;
	struct entry entry = scene_entry(SCENE_SERVER_ID, "analytics", S1);
	struct replica replica = scene_replica("old-name-21779af8", SCENE_SERVER_ID, "analytics", ACTIVE_S1);
	AUTO(diff) struct diff diff = {0};
	compute(&entry, 1, &replica, 1, &diff);
	assert_int_equal(diff.count, 1);
	assert_int_equal(diff.rows[0].action.kind, ACTION_NONE);
	assert_int_equal(diff.rows[0].replica, 0);
	diff_fini(&diff);
	// Once the old Namespace is gone, the new one is made under the name that the declaration has now.
	compute(&entry, 1, NULL, 0, &diff);
	assert_int_equal(diff.rows[0].action.kind, ACTION_PROVISION);
	assert_int_equal(diff.rows[0].replica, DIFF_NONE);
	entry_fini(&entry);
	replica_fini(&replica);
}

// Damage by hand, or two operators of old: the Namespace that bears the entry's name is the replica, the other one goes.
static void of_two_namespaces_with_one_identity_the_one_of_the_name_wins(void **state)
{
	(void)state;
	struct entry entry = scene_entry(SCENE_SERVER_ID, "analytics", S1);
	struct replica replicas[] = {scene_replica("a-copy-21779af8", SCENE_SERVER_ID, "analytics", ACTIVE_S1),
		scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "analytics", ACTIVE_S1),
		scene_replica("other-copy-21779af8", SCENE_SERVER_ID, "analytics", ACTIVE_S1)};
	AUTO(diff) struct diff diff = {0};
	compute(&entry, 1, replicas, 3, &diff);
	assert_int_equal(diff.count, 3);
	assert_int_equal(diff.rows[0].replica, 1);
	assert_int_equal(diff.rows[1].action.kind, ACTION_TEARDOWN);
	assert_int_equal(diff.rows[1].replica, 0);
	assert_int_equal(diff.rows[2].action.kind, ACTION_TEARDOWN);
	assert_int_equal(diff.rows[2].replica, 2);
	entry_fini(&entry);
	for (size_t i = 0; i < 3; i++)
		replica_fini(&replicas[i]);
}

static void the_first_of_two_entries_wins(void **state)
{
	(void)state;
	struct entry entries[] = {scene_entry(SCENE_SERVER_ID, "analytics", S1), scene_entry(SCENE_SERVER_ID, "analytics", S2)};
	AUTO(diff) struct diff diff = {0};
	size_t provisions = 0, duplicates = 0;
	compute(entries, 2, NULL, 0, &diff);
	assert_int_equal(diff.count, 2);
	for (size_t i = 0; i < diff.count; i++) {
		provisions += diff.rows[i].action.kind == ACTION_PROVISION && diff.rows[i].entry == 0;
		duplicates += diff.rows[i].action.reason == REASON_DUPLICATE && diff.rows[i].entry == 1;
	}
	assert_int_equal(provisions, 1);
	assert_int_equal(duplicates, 1);
	entry_fini(&entries[0]);
	entry_fini(&entries[1]);
}

// The right name, our label, another identity: neither adopted nor torn down.
static void a_foreign_namesake_is_left_alone(void **state)
{
	(void)state;
	struct entry entry = scene_entry(SCENE_SERVER_ID, "analytics", S1);
	struct replica replica = scene_replica(SCENE_NAMESPACE, SERVER_2, "analytics", ACTIVE_S1);
	AUTO(diff) struct diff diff = {0};
	compute(&entry, 1, &replica, 1, &diff);
	assert_int_equal(diff.count, 1);
	assert_int_equal(diff.rows[0].action.kind, ACTION_NONE);
	assert_int_equal(diff.rows[0].action.reason, REASON_FOREIGN);
	entry_fini(&entry);
	replica_fini(&replica);
}

static void a_namespace_without_identity_is_never_torn_down(void **state)
{
	(void)state;
	static const char *const labels[] = {"server", "declaration-id", "managed-by"};
	for (size_t i = 0; i < 3; i++) {
		struct replica replica =
			scene_replica(SCENE_NAMESPACE, i == 0 ? "not a uuid" : SCENE_SERVER_ID, "analytics", ACTIVE_S1);
		AUTO(diff) struct diff diff = {0};
		if (i == 1)
			replica.replica_id[0] = '\0';
		replica.is_managed = i != 2;
		compute(NULL, 0, &replica, 1, &diff);
		if (diff.rows[0].action.kind != ACTION_NONE || diff.rows[0].action.reason != REASON_FOREIGN)
			fail_msg("without %s: %s", labels[i], action_kind_text[diff.rows[0].action.kind]);
		replica_fini(&replica);
	}
}

static void what_is_somebody_elses_is_not_worked_on(void **state)
{
	(void)state;
	static const enum action_reason nobodys[] = {
		REASON_FOREIGN, REASON_DUPLICATE, REASON_UNKNOWN_INTENT, REASON_BEING_DELETED};
	static const enum action_reason ours[] = {REASON_NEW, REASON_IN_SYNC, REASON_GONE, REASON_BRAKE, REASON_TEARDOWN_HOLD};
	for (size_t i = 0; i < sizeof(nobodys) / sizeof(nobodys[0]); i++)
		assert_false(diff_is_worked_on(&(const struct action){.reason = nobodys[i]}));
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		assert_true(diff_is_worked_on(&(const struct action){.reason = ours[i]}));
}

static void refused_credentials_wait_six_hours_or_for_another_declaration(void **state)
{
	(void)state;
	struct error err = {0};
	char fingerprint[ROUND_KEY_SIZE], annotations[512];
	AUTO(settings) struct settings *settings = scene_settings();
	struct entry entry = scene_entry(SCENE_SERVER_ID, "verify", S1);
	assert_ok(entry_fingerprint(&entry, fingerprint, &err), err);
	const struct {
		const char *label, *state, *fingerprint, *failed_at;
		enum action_kind kind;
	} cases[] = {
		{"same declaration, five hours", "failed", fingerprint, "2026-11-20T07:00:00Z", ACTION_NONE},
		{"same declaration, six hours", "failed", fingerprint, "2026-11-20T06:00:00Z", ACTION_REFRESH},
		{"same declaration, tomorrow: the clock was set back", "failed", fingerprint, "2026-11-21T12:00:00Z",
			ACTION_REFRESH},
		{"same declaration, but it serves", "active", fingerprint, "2026-11-20T07:00:00Z", ACTION_REFRESH},
		{"another declaration", "failed", "00000000", "2026-11-20T11:59:59Z", ACTION_REFRESH},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		(void)snprintf(annotations, sizeof(annotations),
			"\"restore-state\":\"%s\",\"credentials-refused\":\"%s\",\"failed-at\":\"%s\"", cases[i].state,
			cases[i].fingerprint, cases[i].failed_at);
		struct replica replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "verify", annotations);
		struct action act = diff_next_round(&entry, &replica, settings, scene_now_ms());
		if (act.kind != cases[i].kind)
			fail_msg("%s: %s", cases[i].label, action_kind_text[act.kind]);
		replica_fini(&replica);
	}
	entry_fini(&entry);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(rows_of_the_table),
		cmocka_unit_test(an_unreadable_entry_stops_every_teardown),
		cmocka_unit_test(pairs_by_replica_and_server),
		cmocka_unit_test(a_renamed_declaration_keeps_its_namespace),
		cmocka_unit_test(of_two_namespaces_with_one_identity_the_one_of_the_name_wins),
		cmocka_unit_test(the_first_of_two_entries_wins),
		cmocka_unit_test(a_foreign_namesake_is_left_alone),
		cmocka_unit_test(a_namespace_without_identity_is_never_torn_down),
		cmocka_unit_test(what_is_somebody_elses_is_not_worked_on),
		cmocka_unit_test(refused_credentials_wait_six_hours_or_for_another_declaration),
	};
	return cmocka_run_group_tests_name("reconciler/diff", cases, NULL, NULL);
}
