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
#define TEXT_SIZE 2048

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

// How it stands has this in it; or, with a '!' in front, has not.
static void stands(const char *expected)
{
	AUTO(buf) struct buf text;
	buf_init(&text, TEXT_SIZE);
	cluster_say(&c, &text);
	bool is_there = strstr(buf_str(&text), expected[0] == '!' ? expected + 1 : expected) != NULL;
	if (is_there == (expected[0] == '!'))
		fail_msg("expected %s, it stands: %s; %s", expected, buf_str(&text), cluster_trouble(&c));
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
	stands("restore-state=active");
}

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
	stands("attempt=1 ");
	stands("jobs/restore-fa04b867");
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
	stands("restore-state=failed");
}

static void one_without_a_snapshot_waits_for_it(void **state)
{
	(void)state;
	c.entry = "";
	cluster_settle(&c);
	stands("restore-state=pending");
	stands("!jobs/");
	c.entry = ",\"snapshot_id\":\"s1\",\"snapshot_at\":\"2026-11-20T10:00:00Z\"";
	cluster_settle(&c);
	stands("jobs/restore-fa04b867");
}

// --- when to act

static void nothing_begins_and_nothing_ends_without_a_worklist(void **state)
{
	(void)state;
	cluster_look(&c);
	atomic_store(&c.op.is_current, false);
	cluster_work(&c);
	stands("no Namespace");
	atomic_store(&c.op.is_current, true);
	serve();
	c.entry = NULL;
	cluster_look(&c);
	atomic_store(&c.op.is_current, false);
	cluster_work(&c);
	stands("!terminating");
}

static void an_operator_that_stops_begins_nothing(void **state)
{
	(void)state;
	cluster_look(&c);
	atomic_store(&c.op.stopping, true);
	cluster_work(&c);
	stands("no Namespace");
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
	stands("restore-state=pending");
	stands("!round=");
	slots_leave(c.op.slots, "other-0");
	cluster_settle(&c);
	stands("restore-state=restoring");
}

static void after_an_error_it_is_left_alone_for_a_while(void **state)
{
	(void)state;
	c.credentials_status = 502;
	look_and_work();
	troubled("credentials");
	c.credentials_status = 0;
	look_and_work();
	stands("!jobs/");
	cluster_settle(&c);
	stands("jobs/");
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
	stands("failures=1 ");
	stands("reports: 1 unhealthy");
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
	stands("reports: 1 unhealthy");
	stands("!report=...");
}

static void a_certificate_that_cannot_be_kept_does_not_keep_the_report(void **state)
{
	(void)state;
	serve();
	cluster_annotate(&c, "report", "{\"replica_healthy\":true,\"run_id\":\"" SCENE_SERVER_ID "\"}");
	cluster_annotate(&c, "tls-renew-at", "2026-01-01T00:00:00Z");
	cluster_fault(&c, "[{\"path\":\"*/secrets*\",\"status\":403,\"reason\":\"Forbidden\"}]");
	look_and_work();
	stands("!report=...");
}

static void a_report_nobody_can_read_is_sent_as_it_stands(void **state)
{
	(void)state;
	serve();
	cluster_annotate(&c, "report", "{\"run_id\":7}");
	cluster_settle(&c);
	stands("!report=...");
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
	stands("failures=1 ");
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
	stands("restore-state=failed");
	stands("force-refresh=true");
	stands("attempt=2 ");
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
	stands("jobs/restore-fa04b867");
	cluster_job_ends(&c, false, "{\"error\":\"no\"}");
	cluster_settle(&c);
	AUTO(json) json_t *report = cluster_annotation(&c, "last-report");
	assert_false(json_is_true(json_object_get(report, "replica_healthy")));
	stands("!report=...");
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
		CASE(a_namespace_that_is_gone_is_made_again),
		CASE(one_without_a_snapshot_waits_for_it),
		CASE(nothing_begins_and_nothing_ends_without_a_worklist),
		CASE(an_operator_that_stops_begins_nothing),
		CASE(a_round_waits_for_its_slot),
		CASE(after_an_error_it_is_left_alone_for_a_while),
		CASE(a_conflict_is_decided_again_at_once),
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
