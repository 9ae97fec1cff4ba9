#include "canopy/report.h"
#include "tests/canopy/contract.h"
#include "tests/support/cmocka.h"
#include <string.h>

static const struct report full = {.group_id = "0d5be8b8-6a3c-4c0e-8a55-1f6b7d2c9e10",
	.server_id = "b0a7c0de-1111-4222-8333-444455556666",
	.replica_id = "6f1c1f6e-0c0e-4b7a-9a55-0d6a4a1f2b01",
	.has_server_id = true,
	.type = "postgres",
	.intent = "verify",
	.snapshot_id = "k1",
	.run_id = "11111111-2222-4333-8444-555555555555",
	.stage = "catalogs",
	.postgres_version = "15",
	.observed_at_ms = INT64_C(1795161723456)};

static json_t *build(const struct report *report)
{
	struct error err = {0};
	AUTO_FREE char *body = NULL;
	json_t *parsed = NULL;
	assert_ok(report_build(report, &body, &err), err);
	assert_ok(json_parse(body, strlen(body), &parsed, &err), err);
	return parsed;
}

static void a_healthy_report_is_exactly_this(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO_FREE char *body = NULL;
	AUTO(json) json_t *details = json_pack("{s:{s:i}, s:s}", "sizes", "app", 7, "stage", "ours wins");
	struct report report = full;
	report.details = details;
	assert_ok(report_build(&report, &body, &err), err);
	assert_string_equal(body,
		"{\"group\":\"0d5be8b8-6a3c-4c0e-8a55-1f6b7d2c9e10\","
		"\"health_details\":{\"grade\":\"clean\",\"sizes\":{\"app\":7},\"stage\":\"catalogs\"},"
		"\"intent\":\"verify\",\"observed_at\":\"2026-11-20T08:02:03Z\",\"outcome\":\"success\","
		"\"postgres_version\":\"15\",\"replica_healthy\":true,"
		"\"replica_id\":\"6f1c1f6e-0c0e-4b7a-9a55-0d6a4a1f2b01\","
		"\"run_id\":\"11111111-2222-4333-8444-555555555555\","
		"\"server_id\":\"b0a7c0de-1111-4222-8333-444455556666\",\"snapshot_id\":\"k1\",\"type\":\"postgres\"}");
	assert_string_equal(json_find_str(details, "stage"), "ours wins"); // the caller's object is as it was
	bool is_healthy = false;
	assert_ok(report_is_healthy(body, &is_healthy, &err), err);
	assert_true(is_healthy);
	assert_int_equal(report_observed_at_ms(body), INT64_C(1795161723000));
}

static void each_grade_says_what_it_should(void **state)
{
	(void)state;
	const struct {
		enum report_grade grade;
		const char *text, *outcome, *error;
	} rows[] = {
		{GRADE_CLEAN, "clean", "success", NULL},
		{GRADE_REPAIRED, "repaired", "success", NULL},
		{GRADE_SALVAGED, "salvaged", "failure", "salvaged: the write-ahead log was reset: it broke"},
		{GRADE_FAILED, "failed", "failure", "it broke"},
		{GRADE_INCONCLUSIVE, "inconclusive", "failure",
			"inconclusive: the image is to blame, the backup was not judged: it broke"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char why[128];
		struct report report = full;
		report.grade = rows[i].grade;
		report.owner = rows[i].error == NULL ? OWNER_NONE : OWNER_IMAGE;
		report.cause = rows[i].error == NULL ? NULL : "it broke";
		AUTO(json) json_t *body = build(&report);
		if (!contract_holds("VerificationArgs", body, why, sizeof(why)))
			fail_msg("%s: %s", rows[i].text, why);
		assert_string_equal(report_grade_text[rows[i].grade], rows[i].text);
		assert_string_equal(json_find_str(body, "health_details", "grade"), rows[i].text);
		assert_string_equal(json_find_str(body, "outcome"), rows[i].outcome);
		assert_true(json_is_true(json_find(body, "replica_healthy")) == (rows[i].error == NULL));
		if (rows[i].error == NULL) {
			assert_null(json_find(body, "error"));
			assert_null(json_find(body, "health_details", "owner"));
		} else {
			assert_string_equal(json_find_str(body, "error"), rows[i].error);
			assert_string_equal(json_find_str(body, "health_details", "cause"), "it broke");
			assert_string_equal(json_find_str(body, "health_details", "owner"), "image");
		}
	}
}

static void a_failure_without_a_cause_still_has_an_error(void **state)
{
	(void)state;
	struct report report = full;
	report.grade = GRADE_FAILED;
	AUTO(json) json_t *body = build(&report);
	assert_string_equal(json_find_str(body, "error"), "no cause is known");
}

static void the_machine_is_named_once_as_the_entry_named_it(void **state)
{
	(void)state;
	struct report report = full;
	AUTO(json) json_t *server = build(&report);
	assert_string_equal(json_find_str(server, "server_id"), full.server_id);
	assert_null(json_find(server, "machine_id"));
	report.has_server_id = false;
	AUTO(json) json_t *machine = build(&report);
	assert_string_equal(json_find_str(machine, "machine_id"), full.server_id);
	assert_null(json_find(machine, "server_id"));
}

static void what_is_not_known_is_left_out(void **state)
{
	(void)state;
	char why[128];
	const struct report least = {
		.group_id = full.group_id, .server_id = full.server_id, .has_server_id = true, .type = "t", .intent = "verify"};
	AUTO(json) json_t *body = build(&least);
	if (!contract_holds("VerificationArgs", body, why, sizeof(why)))
		fail_msg("%s", why);
	const char *key;
	json_t *value;
	json_object_foreach (body, key, value) {
		if (json_is_null(value))
			fail_msg("%s is null", key);
	}
	assert_null(json_find(body, "snapshot_id"));
	assert_null(json_find(body, "run_id"));
	struct report odd = least;
	AUTO(json) json_t *no_details = json_integer(7);
	odd.details = no_details; // that are none
	AUTO(json) json_t *same = build(&odd);
	assert_true(json_equal(body, same));
}

static void traffic_is_copied_as_far_as_it_is_counts(void **state)
{
	(void)state;
	struct report report = full;
	AUTO(json)
	json_t *traffic = json_pack("{s:I, s:s, s:i, s:i}", "s3_received_raw_bytes", (json_int_t)5000000000, "s3_sent_raw_bytes",
		"many", "s3_sent_payload_bytes", 0, "requests", 3);
	report.traffic = traffic;
	AUTO(json) json_t *body = build(&report);
	assert_int_equal(json_find_int(-1, body, "s3_received_raw_bytes"), 5000000000);
	assert_int_equal(json_find_int(-1, body, "s3_sent_payload_bytes"), 0);
	assert_null(json_find(body, "s3_sent_raw_bytes"));
	assert_null(json_find(body, "requests"));
}

// Error texts are cut by the byte, and file names come as they are.
static void a_cause_that_is_no_utf8_does_not_stop_the_report(void **state)
{
	(void)state;
	struct report report = full;
	report.grade = GRADE_FAILED;
	report.cause = "bad \xc3\x28 name \xc3";
	AUTO(json) json_t *body = build(&report);
	assert_string_equal(json_find_str(body, "error"), "bad ?( name ?");
	report.cause = "schlecht: \xc3\xa4";
	AUTO(json) json_t *valid = build(&report);
	assert_string_equal(json_find_str(valid, "error"), "schlecht: \xc3\xa4");
}

static void what_is_no_report_is_neither_healthy_nor_timed(void **state)
{
	(void)state;
	const char *const bodies[] = {"", "{", "[]", "null", "{\"replica_healthy\":\"true\",\"observed_at\":7}",
		"{\"replica_healthy\":false,\"observed_at\":\"noon\"}"};
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		bool is_healthy = true;
		struct error err = {0};
		assert_ok(report_is_healthy(bodies[i], &is_healthy, &err), err);
		assert_false(is_healthy);
		assert_int_equal(report_observed_at_ms(bodies[i]), -1);
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(a_healthy_report_is_exactly_this),
		cmocka_unit_test(each_grade_says_what_it_should),
		cmocka_unit_test(a_failure_without_a_cause_still_has_an_error),
		cmocka_unit_test(the_machine_is_named_once_as_the_entry_named_it),
		cmocka_unit_test(what_is_not_known_is_left_out),
		cmocka_unit_test(traffic_is_copied_as_far_as_it_is_counts),
		cmocka_unit_test(a_cause_that_is_no_utf8_does_not_stop_the_report),
		cmocka_unit_test(what_is_no_report_is_neither_healthy_nor_timed),
	};
	return cmocka_run_group_tests_name("canopy/report", cases, NULL, NULL);
}
