// A worker with a replica in hand, against the stub's API server and a canopy that is told what to answer: what it does when
// somebody else was there first, wrote in between, or does not answer, and when it has to wait. torture_life.c has what it does
// when all is well.
#include "base/log.h"
#include "builders/exit_codes.h"
#include "reconciler/reconcile.h"
#include "tests/reconciler/cluster.h"
#include "tests/reconciler/scenes.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <string.h>

#define RESTORED \
	"{\"postgres_version\":\"15\",\"bytes\":1000,\"files\":10,\"seconds\":3,\"layout\":\"debian\",\"engine\":\"kopia\"}"
#define NAMESPACE_PATH "/api/v1/namespaces/" SCENE_NAMESPACE

static struct cluster c;

static int set_up(void **state)
{
	(void)state;
	cluster_open(&c, "analytics", NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	cluster_close(&c);
	return 0;
}

static void troubled(const char *expected)
{
	if (expected[0] == '\0' ? cluster_trouble(&c)[0] != '\0' : strstr(cluster_trouble(&c), expected) == NULL)
		fail_msg("expected \"%s\", it is \"%s\"", expected, cluster_trouble(&c));
}

static void look_and_work(void)
{
	cluster_look(&c);
	cluster_work(&c);
}

static void checks_end(enum report_grade grade, const char *cause)
{
	c.check = CHECK_DONE;
	c.checked = (struct check_result){.grade = grade, .server_version = "15.20"};
	(void)snprintf(c.checked.stage, sizeof(c.checked.stage), "catalogs");
	(void)snprintf(c.checked.cause, sizeof(c.checked.cause), "%s", cause);
}

static void serve(void)
{
	cluster_settle(&c);
	cluster_job_ends(&c, true, RESTORED);
	cluster_settle(&c);
	cluster_database_comes_up(&c);
	checks_end(GRADE_CLEAN, "");
	cluster_settle(&c);
	c.check = CHECK_NONE;
	cluster_stands(&c, "restore-state=active");
}

// Once more, as the back-off is over, by a cache that has heard of nothing since.
static void work_again(void)
{
	struct memo *memo = memos_take(c.op.memos, SCENE_NAMESPACE);
	assert_non_null(memo);
	memo->next_try_mono_ms = 0;
	memos_put(c.op.memos, memo);
	cluster_work(&c);
}

#define REPORT "{\"replica_healthy\":true,\"run_id\":\"" SCENE_SERVER_ID "\"}"

// --- the Namespace

static void a_namesake_of_somebody_else_is_left_alone(void **state)
{
	(void)state;
	look_and_work();
	cluster_label(&c, "managed-by", "somebody");
	struct error err = {0};
	cache_free(c.op.cache); // what it knew of the Namespace
	c.op.cache = NULL;
	assert_ok(cache_new(&c.op.cache, &err), err);
	look_and_work();
	troubled("is foreign: it lacks our label or has another identity");
	assert_int_equal(memos_foreign(c.op.memos), 1);
}

// The answer to the create is lost: the Namespace is ours all the same, and so is its round.
static void a_namespace_whose_making_was_not_heard_of_is_taken(void **state)
{
	(void)state;
	cluster_fault(&c, "[{\"verb\":\"create\",\"path\":\"/api/v1/namespaces\",\"status\":500,\"applied\":true,\"times\":1}]");
	look_and_work();
	troubled("provision");
	cluster_settle(&c);
	troubled("");
	cluster_stands(&c, "attempt=1 ");
	cluster_stands(&c, "jobs/restore-fa04b867");
}

#define LOSE_ITS_ANSWER "[{\"verb\":\"create\",\"path\":\"/api/v1/namespaces\",\"status\":500,\"applied\":true,\"times\":1}]"

static void a_namespace_that_the_cache_does_not_know_is_taken_too(void **state)
{
	(void)state;
	cluster_fault(&c, LOSE_ITS_ANSWER);
	look_and_work();
	troubled("provision");
	work_again();
	troubled("");
	cluster_stands(&c, "attempt=1 ");
	cluster_stands(&c, "jobs/restore-fa04b867");
}

static void one_that_goes_is_waited_for(void **state)
{
	(void)state;
	struct error err = {0};
	cluster_fault(&c, LOSE_ITS_ANSWER);
	look_and_work();
	assert_ok(k8s_delete(c.op.k8s, &K8S_NAMESPACE, NULL, SCENE_NAMESPACE, NULL, NULL, &err), err);
	work_again();
	troubled("provision: namespace " SCENE_NAMESPACE " is being deleted");
	assert_int_equal(memos_foreign(c.op.memos), 0);
}

static void one_that_is_there_and_then_is_not_is_tried_again(void **state)
{
	(void)state;
	cluster_fault(&c, "[{\"verb\":\"create\",\"path\":\"/api/v1/"
			  "namespaces\",\"status\":409,\"reason\":\"AlreadyExists\",\"times\":1}]");
	look_and_work();
	troubled("provision: get namespaces");
	cluster_stands(&c, "no Namespace");
	cluster_settle(&c);
	cluster_stands(&c, "jobs/restore-fa04b867");
}

static void a_size_that_is_none_makes_nothing_and_ends_nothing(void **state)
{
#define WITH_LIMIT(text) ",\"snapshot_id\":\"s1\",\"params\":{\"memory_limit\":\"" text "\"}"
	(void)state;
	c.entry = WITH_LIMIT("much");
	cluster_settle(&c);
	troubled("memory_limit");
	cluster_stands(&c, "no Namespace");
	c.entry = WITH_LIMIT("2Gi");
	cluster_settle(&c);
	cluster_stands(&c, "restore-state=restoring");
	cluster_job_ends(&c, false, "{\"error\":\"no\"}");
	c.entry = WITH_LIMIT("much");
	cluster_settle(&c);
	troubled("memory_limit");
	cluster_stands(&c, "restore-state=restoring");
}

static void a_namespace_that_is_gone_is_made_again(void **state)
{
	(void)state;
	cluster_settle(&c);
	cluster_fault(
		&c, "[{\"verb\":\"get\",\"path\":\"" NAMESPACE_PATH "\",\"status\":404,\"reason\":\"NotFound\",\"times\":1}]");
	cluster_job_ends(&c, false, "{\"error\":\"no\"}");
	look_and_work();
	troubled("told to fail"); // and it is forgotten, until its watch shows it again
	cluster_settle(&c);
	cluster_stands(&c, "restore-state=failed");
}

static void one_without_a_snapshot_waits_for_it(void **state)
{
	(void)state;
	c.entry = "";
	cluster_settle(&c);
	cluster_stands(&c, "restore-state=pending");
	cluster_stands(&c, "!jobs/");
	c.entry = ",\"snapshot_id\":\"s1\",\"snapshot_at\":\"2026-11-20T10:00:00Z\"";
	cluster_settle(&c);
	cluster_stands(&c, "jobs/restore-fa04b867");
}

// --- when to act

static void nothing_begins_and_nothing_ends_without_a_worklist(void **state)
{
	(void)state;
	cluster_look(&c);
	atomic_store(&c.op.is_current, false);
	cluster_work(&c);
	cluster_stands(&c, "no Namespace");
	atomic_store(&c.op.is_current, true);
	serve();
	c.entry = NULL;
	cluster_look(&c);
	atomic_store(&c.op.is_current, false);
	cluster_work(&c);
	cluster_stands(&c, "!terminating");
}

static void an_operator_that_stops_begins_nothing(void **state)
{
	(void)state;
	cluster_look(&c);
	atomic_store(&c.op.stopping, true);
	cluster_work(&c);
	cluster_stands(&c, "no Namespace");
}

static void an_operator_that_does_not_lead_begins_nothing(void **state)
{
	(void)state;
	struct error err = {0};
	const struct lease_options options = {.namespace = "pgro-system", .name = "understory", .identity = "test"};
	cluster_look(&c);
	assert_ok(lease_new(c.op.k8s, &options, &c.op.lease, &err), err);
	cluster_work(&c);
	cluster_stands(&c, "no Namespace");
	lease_free(c.op.lease);
	c.op.lease = NULL;
}

static void no_round_begins_without_a_worklist(void **state)
{
	(void)state;
	c.entry = "";
	cluster_settle(&c);
	c.entry = ",\"snapshot_id\":\"s1\"";
	cluster_look(&c);
	atomic_store(&c.op.is_current, false);
	cluster_work(&c);
	cluster_stands(&c, "restore-state=pending");
	cluster_stands(&c, "!desired-snapshot-id"); // nor is it noted what there would be
	cluster_settle(&c);
	cluster_stands(&c, "restore-state=restoring");
}

// A person keeps what has left the worklist: what it owes is sent, and that is all.
static void what_is_held_sends_its_report(void **state)
{
	(void)state;
	serve();
	cluster_annotate(&c, "report", REPORT);
	cluster_annotate(&c, "tls-renew-at", "2026-01-01T00:00:00Z");
	cluster_annotate(&c, "teardown-hold", "true");
	const int before = cluster_count_asked(&c, "/restore-verification");
	c.entry = NULL;
	cluster_settle(&c);
	troubled("");
	cluster_stands(&c, "!report=...");
	cluster_stands(&c, "!terminating");
	assert_int_equal(cluster_count_asked(&c, "/restore-verification"), before + 1);
	struct error err = {0};
	AUTO(json) json_t *namespace = NULL;
	assert_ok(k8s_get(c.op.k8s, &K8S_NAMESPACE, NULL, SCENE_NAMESPACE, &namespace, &err), err);
	assert_string_equal(json_find_str(namespace, "metadata", "annotations", PGRO "tls-renew-at"), "2026-01-01T00:00:00Z");
}

static void a_teardown_that_cannot_read_what_is_owed_waits(void **state)
{
	(void)state;
	serve();
	cluster_annotate(&c, "report", REPORT);
	const int before = cluster_count_asked(&c, "/restore-verification");
	c.entry = NULL;
	cluster_fault(&c, "[{\"verb\":\"get\",\"path\":\"" NAMESPACE_PATH "\",\"status\":403,\"reason\":\"Forbidden\"}]");
	cluster_settle(&c);
	troubled("get namespaces");
	cluster_stands(&c, "!terminating");
	assert_int_equal(cluster_count_asked(&c, "/restore-verification"), before);
	cluster_fault(&c, "[]");
	cluster_settle(&c);
	cluster_stands(&c, "terminating");
	assert_int_equal(cluster_count_asked(&c, "/restore-verification"), before + 1);
}

static void what_waits_after_an_error_keeps_no_slot(void **state)
{
	(void)state;
	serve();
	cluster_annotate(&c, "report", REPORT);
	c.canopy_status = 502;
	look_and_work();
	troubled("report");
	const int tried = cluster_count_asked(&c, "/restore-verification");
	look_and_work();
	assert_int_equal(cluster_count_asked(&c, "/restore-verification"), tried);
	assert_false(slots_has(c.op.slots, SCENE_NAMESPACE));
}

// Recovery takes as long as it takes: what is out of time is what comes before it and after it.
static void a_database_that_recovers_is_waited_for(void **state)
{
	(void)state;
	cluster_settle(&c);
	cluster_job_ends(&c, true, RESTORED);
	cluster_settle(&c);
	cluster_database_comes_up(&c);
	cluster_change("deployments.apps", SCENE_NAMESPACE, "postgres-fa04b867",
		json_pack("{s:{s:s}, s:{s:i}}", "metadata", "creationTimestamp", "2026-01-01T00:00:00Z", "status",
			"availableReplicas", 0));
	cluster_change("pods", SCENE_NAMESPACE, "postgres-fa04b867",
		json_pack("{s:{s:[{s:s, s:{s:{s:s}}}]}}", "status", "initContainerStatuses", "name", "prepare", "state",
			"running", "startedAt", "2026-01-01T00:00:00Z"));
	cluster_settle(&c);
	troubled("");
	cluster_stands(&c, "restore-state=starting");
}

static void a_round_waits_for_its_slot(void **state)
{
	(void)state;
	for (int i = 0; i < c.op.settings->max_concurrent_restores; i++) {
		char other[24];
		(void)snprintf(other, sizeof(other), "other-%d", i);
		slots_hold(c.op.slots, other);
	}
	cluster_settle(&c);
	cluster_stands(&c, "restore-state=pending");
	cluster_stands(&c, "!round=");
	slots_leave(c.op.slots, "other-0");
	cluster_settle(&c);
	cluster_stands(&c, "restore-state=restoring");
}

static void after_an_error_it_is_left_alone_for_a_while(void **state)
{
	(void)state;
	c.credentials_status = 502;
	look_and_work();
	troubled("credentials");
	c.credentials_status = 0;
	look_and_work();
	cluster_stands(&c, "!jobs/");
	cluster_settle(&c);
	cluster_stands(&c, "jobs/");
}

// --- somebody else writes

static void a_conflict_is_decided_again_at_once(void **state)
{
	(void)state;
	cluster_settle(&c);
	cluster_job_ends(&c, false, "{\"error\":\"no\"}");
	cluster_fault(
		&c, "[{\"verb\":\"patch\",\"path\":\"" NAMESPACE_PATH "\",\"status\":409,\"reason\":\"Conflict\",\"times\":1}]");
	look_and_work();
	troubled("");
	cluster_settle(&c);
	cluster_stands(&c, "failures=1 ");
	cluster_stands(&c, "reports: 1 unhealthy");
}

static void a_second_conflict_waits_as_any_error_does(void **state)
{
	(void)state;
	cluster_settle(&c);
	cluster_job_ends(&c, false, "{\"error\":\"no\"}");
	cluster_fault(
		&c, "[{\"verb\":\"patch\",\"path\":\"" NAMESPACE_PATH "\",\"status\":409,\"reason\":\"Conflict\",\"times\":2}]");
	look_and_work();
	troubled("");
	look_and_work();
	troubled("fail: ");
	cluster_settle(&c);
	cluster_stands(&c, "failures=1 ");
}

static void a_conflict_that_cannot_be_read_again_waits_too(void **state)
{
	(void)state;
	cluster_settle(&c);
	cluster_job_ends(&c, false, "{\"error\":\"no\"}");
	// The first read is the one before the round ends.
	cluster_fault(&c,
		"[{\"verb\":\"patch\",\"path\":\"" NAMESPACE_PATH "\",\"status\":409,\"reason\":\"Conflict\",\"times\":1},"
		"{\"verb\":\"get\",\"path\":\"" NAMESPACE_PATH
		"\",\"status\":403,\"reason\":\"Forbidden\",\"after\":1,\"times\":1}]");
	look_and_work();
	troubled("fail: ");
	cluster_settle(&c);
	cluster_stands(&c, "failures=1 ");
}

// Nothing leaves before the replica was read as it is now.
static void a_report_is_not_sent_over_a_conflict(void **state)
{
	(void)state;
	serve();
	cluster_annotate(&c, "report", REPORT);
	cluster_annotate(&c, "tls-renew-at", "2026-01-01T00:00:00Z");
	cluster_fault(
		&c, "[{\"verb\":\"patch\",\"path\":\"" NAMESPACE_PATH "\",\"status\":409,\"reason\":\"Conflict\",\"times\":1}]");
	const int before = cluster_count_asked(&c, "/restore-verification");
	look_and_work();
	assert_int_equal(cluster_count_asked(&c, "/restore-verification"), before);
	cluster_settle(&c);
	cluster_stands(&c, "!report=...");
	assert_int_equal(cluster_count_asked(&c, "/restore-verification"), before + 1);
}

// What ends a round is read first, all of it; what may not be read is taken as it is known.
static void a_round_does_not_end_by_what_could_not_be_read(void **state)
{
	static const struct {
		const char *path, *verb, *status;
		bool ends;
	} rows[] = {
		{"*/jobs/*", "get", "422", false},
		{"*/deployments/*", "get", "422", false},
		{"*/pods", "list", "422", false},
		{"*/jobs/*", "get", "403", true},
		{"*/deployments/*", "get", "404", true},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char rules[256];
		cluster_settle(&c);
		cluster_job_ends(&c, false, "{\"error\":\"no\"}");
		cluster_look(&c);
		(void)snprintf(rules, sizeof(rules), "[{\"verb\":\"%s\",\"path\":\"%s\",\"status\":%s,\"reason\":\"%s\"}]",
			rows[i].verb, rows[i].path, rows[i].status, rows[i].status[2] == '4' ? "NotFound" : "Other");
		cluster_fault(&c, rules);
		cluster_work(&c);
		cluster_stands(&c, rows[i].ends ? "restore-state=failed" : "restore-state=restoring");
		cluster_fault(&c, "[]");
		cluster_settle(&c);
		cluster_stands(&c, "failures=1 ");
		assert_int_equal(tear_down(state), 0);
		assert_int_equal(set_up(state), 0);
	}
}

// Keys are counted: none are asked for while nobody can say whether the Job is there.
static void no_job_is_made_while_it_cannot_be_read(void **state)
{
	(void)state;
	cluster_fault(
		&c, "[{\"verb\":\"create\",\"path\":\"*/rolebindings\",\"status\":422,\"reason\":\"Invalid\",\"times\":1}]");
	look_and_work();
	cluster_fault(&c, "[{\"verb\":\"get\",\"path\":\"*/jobs/*\",\"status\":422,\"reason\":\"Other\"}]");
	cluster_settle(&c);
	troubled("get jobs");
	assert_int_equal(cluster_count_asked(&c, "/restore-credentials"), 0);
	cluster_fault(&c, "[]");
	cluster_settle(&c);
	cluster_stands(&c, "jobs/restore-fa04b867");
}

static void a_report_that_landed_is_recorded_over_conflicts(void **state)
{
	(void)state;
	cluster_settle(&c);
	cluster_job_ends(&c, false, "{\"error\":\"no\"}");
	// The first patch ends the round; then each try to record meets another's write, and reading again fails too.
	cluster_fault(&c, "[{\"verb\":\"patch\",\"path\":\"" NAMESPACE_PATH
			  "\",\"status\":409,\"reason\":\"Conflict\",\"after\":1,\"times\":4}]");
	look_and_work();
	cluster_settle(&c);
	cluster_stands(&c, "reports: 1 unhealthy");
	cluster_stands(&c, "!report=...");
}

static void a_certificate_that_cannot_be_kept_does_not_keep_the_report(void **state)
{
	(void)state;
	serve();
	cluster_annotate(&c, "report", "{\"replica_healthy\":true,\"run_id\":\"" SCENE_SERVER_ID "\"}");
	cluster_annotate(&c, "tls-renew-at", "2026-01-01T00:00:00Z");
	cluster_fault(&c, "[{\"path\":\"*/secrets*\",\"status\":403,\"reason\":\"Forbidden\"}]");
	look_and_work();
	cluster_stands(&c, "!report=...");
}

static void a_report_nobody_can_read_is_sent_as_it_stands(void **state)
{
	(void)state;
	serve();
	cluster_annotate(&c, "report", "{\"run_id\":7}");
	cluster_settle(&c);
	cluster_stands(&c, "!report=...");
}

// --- how a round ends

static void a_full_volume_is_followed_by_a_larger_one(void **state)
{
	(void)state;
	cluster_settle(&c);
	c.exit_code = EXIT_VOLUME_FULL;
	cluster_job_ends(&c, false, "{\"error\":\"no space left\",\"stage\":\"restore\"}");
	cluster_settle(&c);
	AUTO(json) json_t *bytes = cluster_annotation(&c, "volume-bytes");
	assert_true(json_integer_value(bytes) > 0);
	cluster_stands(&c, "failures=1 ");
}

static void the_next_round_expects_as_many_bytes_as_the_last_one_read(void **state)
{
	(void)state;
	serve();
	cluster_annotate(&c, "traffic", "{\"s3_received_payload_bytes\":4711}");
	cluster_annotate(&c, "force-refresh", "true");
	cluster_settle(&c);
	AUTO(json) json_t *bytes = cluster_annotation(&c, "expected-bytes");
	assert_int_equal(json_integer_value(bytes), 4711);
}

// Forced twice for one snapshot: the volumes of two rounds are there, and a third is not made.
static void a_third_volume_is_not_made(void **state)
{
	(void)state;
	serve();
	cluster_annotate(&c, "force-refresh", "true");
	cluster_settle(&c);
	cluster_job_ends(&c, false, "{\"error\":\"no\"}");
	cluster_settle(&c);
	cluster_annotate(&c, "force-refresh", "true");
	cluster_settle(&c);
	cluster_stands(&c, "restore-state=failed");
	cluster_stands(&c, "force-refresh=true");
	cluster_stands(&c, "attempt=2 ");
}

// With WORKLIST_FILE there is nobody to ask and nobody to tell.
static void without_canopy_keys_come_from_a_secret_and_reports_stay(void **state)
{
	(void)state;
	struct canopy_client *canopy = c.op.canopy;
	c.op.canopy = NULL;
	look_and_work();
	troubled("the entry names no secret");
	c.entry = ",\"snapshot_id\":\"s1\",\"secret\":\"keys\"";
	cluster_make_secret(&c, "keys",
		json_pack("{s:s, s:s, s:s}", "repositoryPassword", "cGFzcw==", "accessKeyId", "a2V5", "secretAccessKey",
			"c2VjcmV0"));
	cluster_settle(&c);
	troubled("");
	cluster_stands(&c, "jobs/restore-fa04b867");
	cluster_job_ends(&c, false, "{\"error\":\"no\"}");
	cluster_settle(&c);
	AUTO(json) json_t *report = cluster_annotation(&c, "last-report");
	assert_false(json_is_true(json_object_get(report, "replica_healthy")));
	cluster_stands(&c, "!report=...");
	c.op.canopy = canopy;
}

// A volume wants no keys, but its backup may be encrypted.
static void what_decrypts_a_backup_on_a_volume_comes_from_a_secret(void **state)
{
	(void)state;
	struct error err = {0};
	struct canopy_client *canopy = c.op.canopy;
	char image[] = "wal-g:3";
	const struct settings *whole = c.op.settings;
	struct settings with_walg = *whole;
	AUTO(json) json_t *secret = NULL;
	c.op.canopy = NULL;
	with_walg.walg_image = image;
	c.op.settings = &with_walg;
	c.entry = ",\"snapshot_id\":\"s1\",\"engine\":\"walg\",\"storage\":\"file\",\"secret\":\"keys\"";
	cluster_make_secret(&c, "keys", json_pack("{s:s}", "libsodiumKey", "c29kaXVt"));
	cluster_settle(&c);
	troubled("");
	assert_ok(k8s_get(c.op.k8s, &K8S_SECRET, SCENE_NAMESPACE, "restore-fa04b867", &secret, &err), err);
	assert_string_equal(json_find_str(secret, "data", "libsodiumKey"), "c29kaXVt");
	c.op.canopy = canopy;
	c.op.settings = whole;
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest cases[] = {
		CASE(a_namesake_of_somebody_else_is_left_alone),
		CASE(a_namespace_whose_making_was_not_heard_of_is_taken),
		CASE(a_namespace_that_the_cache_does_not_know_is_taken_too),
		CASE(one_that_goes_is_waited_for),
		CASE(one_that_is_there_and_then_is_not_is_tried_again),
		CASE(a_size_that_is_none_makes_nothing_and_ends_nothing),
		CASE(a_namespace_that_is_gone_is_made_again),
		CASE(one_without_a_snapshot_waits_for_it),
		CASE(nothing_begins_and_nothing_ends_without_a_worklist),
		CASE(an_operator_that_stops_begins_nothing),
		CASE(an_operator_that_does_not_lead_begins_nothing),
		CASE(no_round_begins_without_a_worklist),
		CASE(what_is_held_sends_its_report),
		CASE(a_teardown_that_cannot_read_what_is_owed_waits),
		CASE(what_waits_after_an_error_keeps_no_slot),
		CASE(a_database_that_recovers_is_waited_for),
		CASE(a_round_waits_for_its_slot),
		CASE(after_an_error_it_is_left_alone_for_a_while),
		CASE(a_conflict_is_decided_again_at_once),
		CASE(a_second_conflict_waits_as_any_error_does),
		CASE(a_conflict_that_cannot_be_read_again_waits_too),
		CASE(a_report_is_not_sent_over_a_conflict),
		CASE(a_round_does_not_end_by_what_could_not_be_read),
		CASE(no_job_is_made_while_it_cannot_be_read),
		CASE(a_report_that_landed_is_recorded_over_conflicts),
		CASE(a_certificate_that_cannot_be_kept_does_not_keep_the_report),
		CASE(a_report_nobody_can_read_is_sent_as_it_stands),
		CASE(a_full_volume_is_followed_by_a_larger_one),
		CASE(the_next_round_expects_as_many_bytes_as_the_last_one_read),
		CASE(a_third_volume_is_not_made),
		CASE(without_canopy_keys_come_from_a_secret_and_reports_stay),
		CASE(what_decrypts_a_backup_on_a_volume_comes_from_a_secret),
	};
	log_setup(LOG_ERROR, LOG_LOGFMT);
	return cmocka_run_group_tests_name("reconciler/worker", cases, NULL, NULL);
}
