// A Namespace as it may come from the API server, or from somebody who edited it: what of it counts, and what counts as missing.
#include "reconciler/replica.h"

#include "base/json.h"
#include "tests/reconciler/scenes.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <string.h>

#define LONG "0123456789012345678901234567890123456789012345678901234567890123" // 64

static json_t *parse(const char *text)
{
	struct error err = {0};
	json_t *value = NULL;
	assert_ok(json_parse(text, strlen(text), &value, &err), err);
	return value;
}

static struct replica scene(const char *annotations)
{
	return scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "verify", annotations);
}

static void what_it_cannot_be_without_is_named(void **state)
{
	static const struct {
		const char *text, *part;
	} rows[] = {
		{"{}", "namespace: "},
		{"{\"metadata\":{}}", "name"},
		{"{\"metadata\":{\"name\":\"a\"}}", "uid"},
		{"{\"metadata\":{\"name\":\"a\",\"uid\":\"u\"}}", "resourceVersion"},
		{"{\"metadata\":{\"name\":\"a\",\"uid\":7,\"resourceVersion\":\"1\"}}", "uid"},
		{"{\"metadata\":{\"name\":\"" LONG "\",\"uid\":\"u\",\"resourceVersion\":\"1\"}}", "is too long"},
		{"{\"metadata\":{\"name\":\"a\",\"uid\":\"" LONG "\",\"resourceVersion\":\"1\"}}", "is too long"},
		{"{\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"resourceVersion\":\"" LONG "\"}}", "is too long"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		struct replica replica = {.attempt = 7};
		AUTO(json) json_t *object = parse(rows[i].text);
		assert_error(replica_from_json(object, &replica, &err), err, ERROR_INVALID, rows[i].part);
		assert_int_equal(replica.attempt, 7);
	}
}

static void a_namespace_of_nobody_has_nothing(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(replica) struct replica r = {0};
	AUTO(json) json_t *object = parse("{\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"resourceVersion\":\"1\"}}");
	assert_ok(replica_from_json(object, &r, &err), err);
	assert_false(r.is_managed || r.is_deleting || r.force_refresh || r.teardown_hold);
	assert_string_equal(r.replica_id, "");
	assert_null(r.type);
	assert_null(r.intent);
	assert_int_equal(r.state, STATE_PENDING);
	assert_int_equal(r.created_at_ms, REPLICA_NEVER);
	assert_false(replica_is_proven_once(&r));
}

static void a_label_of_another_manager_is_not_ours(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(replica) struct replica r = {0};
	AUTO(json)
	json_t *object = parse("{\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"resourceVersion\":\"1\",\"labels\":"
			       "{\"pgro.bes.au/managed-by\":\"another\",\"pgro.bes.au/declaration-id\":\"no uuid\"}}}");
	assert_ok(replica_from_json(object, &r, &err), err);
	assert_false(r.is_managed);
	assert_string_equal(r.replica_id, "");
}

// A label holds what may stand in one; the annotation of the same key holds it whole.
static void the_whole_text_counts_before_the_label(void **state)
{
	(void)state;
	AUTO(replica) struct replica by_label = scene("");
	AUTO(replica) struct replica whole = scene("\"type\":\"tamanu postgres, of two\",\"intent\":\"analytics\"");
	assert_string_equal(by_label.type, "tamanu-postgres");
	assert_string_equal(by_label.intent, "verify");
	assert_string_equal(whole.type, "tamanu postgres, of two");
	assert_string_equal(whole.intent, "analytics");
}

static void values_that_are_none_count_as_missing(void **state)
{
	(void)state;
	AUTO(replica)
	struct replica r = scene("\"attempt\":\"two\",\"failures\":\"-1\",\"round\":\"" LONG "\",\"run-id\":\"no uuid\","
				 "\"failed-at\":\"yesterday\",\"volume-bytes\":\"a lot\",\"expected-bytes\":\"\"");
	AUTO(replica) struct replica large = scene("\"attempt\":\"1000001\",\"failures\":\"3x\",\"volume-bytes\":\"1Gi\"");
	assert_int_equal(r.attempt, 0);
	assert_int_equal(r.failures, 0);
	assert_string_equal(r.round, "");
	assert_string_equal(r.run_id, "");
	assert_int_equal(r.failed_at_ms, REPLICA_NEVER);
	assert_int_equal(r.volume_bytes, 0);
	assert_int_equal(r.expected_bytes, 0);
	assert_int_equal(large.attempt, 0);
	assert_int_equal(large.failures, 0);
	assert_int_equal(large.volume_bytes, 1 << 30);
}

static void a_state_of_somebody_else_is_what_the_rest_says(void **state)
{
	static const struct {
		const char *annotations;
		enum replica_state state;
	} rows[] = {
		{"", STATE_PENDING},
		{"\"restore-state\":\"failed\"", STATE_FAILED},
		{"\"restore-state\":\"resting\"", STATE_PENDING},
		{"\"restore-state\":\"resting\",\"active-round\":\"aaaaaaaa\"", STATE_ACTIVE},
		// It lives.
		{"\"restore-state\":\"terminating\"", STATE_PENDING},
		{"\"restore-state\":\"terminating\",\"active-round\":\"aaaaaaaa\"", STATE_ACTIVE},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		AUTO(replica) struct replica r = scene(rows[i].annotations);
		if (r.state != rows[i].state)
			fail_msg("%s: %s", rows[i].annotations, replica_state_text[r.state]);
	}
	AUTO(replica)
	struct replica going = scene_replica_with(SCENE_NAMESPACE, SCENE_SERVER_ID, "verify", "\"restore-state\":\"active\"",
		",\"deletionTimestamp\":\"2026-11-20T11:59:00Z\"");
	assert_int_equal(going.state, STATE_TERMINATING);
}

#define ACTIVE "\"restore-state\":\"active\",\"active-round\":\"aaaaaaaa\",\"last-verification-reported-round\":\""

static void proven_is_what_serves_and_was_reported(void **state)
{
	static const struct {
		const char *intent, *annotations;
		bool is_proven;
	} rows[] = {
		{"verify", ACTIVE "aaaaaaaa\"", true},
		{"verify", ACTIVE "bbbbbbbb\"", false},
		{"verify", ACTIVE "aaaaaaaa\",\"report\":\"{}\"", false},
		{"verify", "\"restore-state\":\"active\"", false},
		{"verify", "\"restore-state\":\"failed\",\"active-round\":\"aaaaaaaa\"", false},
		{"analytics", ACTIVE "aaaaaaaa\"", false},
		{"nobody-knows-it", ACTIVE "aaaaaaaa\"", false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		AUTO(replica)
		struct replica r = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, rows[i].intent, rows[i].annotations);
		if (replica_is_proven_once(&r) != rows[i].is_proven)
			fail_msg("row %zu", i);
	}
}

static void identity_is_both_ids(void **state)
{
	(void)state;
	AUTO(replica) struct replica r = scene("");
	AUTO(replica) struct replica other = scene_replica(SCENE_NAMESPACE, SCENE_GROUP_ID, "verify", "");
	struct entry entry = scene_entry(SCENE_SERVER_ID, "verify", "");
	assert_true(replica_is_of(&r, &entry));
	assert_false(replica_is_of(&other, &entry));
	r.is_managed = false;
	assert_false(replica_is_of(&r, &entry));
	entry_fini(&entry);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(what_it_cannot_be_without_is_named),
		cmocka_unit_test(a_namespace_of_nobody_has_nothing),
		cmocka_unit_test(a_label_of_another_manager_is_not_ours),
		cmocka_unit_test(the_whole_text_counts_before_the_label),
		cmocka_unit_test(values_that_are_none_count_as_missing),
		cmocka_unit_test(a_state_of_somebody_else_is_what_the_rest_says),
		cmocka_unit_test(proven_is_what_serves_and_was_reported),
		cmocka_unit_test(identity_is_both_ids),
	};
	return cmocka_run_group_tests_name("reconciler/replica", cases, NULL, NULL);
}
