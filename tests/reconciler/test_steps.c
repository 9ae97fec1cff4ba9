// What the steps of a round do where something is absent, refused, or another's, against the stub's API server: which round is
// claimed and what it takes along, what is made, and what a report says. torture_life.c has what they do when all is well.
#include "base/log.h"
#include "tests/reconciler/cluster.h"
#include "tests/reconciler/scenes.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <string.h>

#define RESTORED \
	"{\"postgres_version\":\"15\",\"bytes\":1000,\"files\":10,\"seconds\":3,\"layout\":\"debian\",\"engine\":\"kopia\"}"
#define SNAPSHOT ",\"snapshot_id\":\"s1\",\"snapshot_at\":\"2026-11-20T10:00:00Z\""
#define FIRST "fa04b867"
#define SECOND "6ff91b12"
#define LONG_AGO "2026-01-01T00:00:00Z"

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

// "": it has none.
static void assert_annotation(const char *key, const char *expected)
{
	struct error err = {0};
	char whole[64];
	AUTO(json) json_t *namespace = NULL;
	(void)snprintf(whole, sizeof(whole), PGRO "%s", key);
	assert_ok(k8s_get(c.op.k8s, &K8S_NAMESPACE, NULL, SCENE_NAMESPACE, &namespace, &err), err);
	const char *found = json_find_str(namespace, "metadata", "annotations", whole);
	if (strcmp(found == NULL ? "" : found, expected) != 0)
		fail_msg("%s is \"%s\", expected \"%s\"", key, found == NULL ? "" : found, expected);
}

static void end_checks(enum report_grade grade, const char *server_version)
{
	c.check = CHECK_DONE;
	c.checked = (struct check_result){.grade = grade};
	(void)snprintf(c.checked.stage, sizeof(c.checked.stage), "catalogs");
	(void)snprintf(c.checked.server_version, sizeof(c.checked.server_version), "%s", server_version);
	cluster_settle(&c);
	c.check = CHECK_NONE;
}

static void start(void)
{
	cluster_settle(&c);
	cluster_job_ends(&c, true, RESTORED);
	cluster_settle(&c);
	cluster_stands(&c, "restore-state=starting");
}

static void serve(void)
{
	start();
	cluster_database_comes_up(&c);
	end_checks(GRADE_CLEAN, "15.20");
	cluster_stands(&c, "restore-state=active");
}

static void fail_restore(const char *message)
{
	cluster_job_ends(&c, false, message);
	cluster_settle(&c);
	cluster_stands(&c, "restore-state=failed");
}

static void delete (const struct k8s_resource *resource, const char *name)
{
	struct error err = {0};
	assert_ok(k8s_delete(c.op.k8s, resource, SCENE_NAMESPACE, name, NULL, NULL, &err), err);
}

// Nothing keeps it when it is deleted.
static void let_go_of_volume(void)
{
	cluster_change(
		"persistentvolumeclaims", SCENE_NAMESPACE, "pgdata-" FIRST, json_pack("{s:{s:[]}}", "metadata", "finalizers"));
}

// --- what a claim takes along

// A restore never writes over data that is there: whichever object of an earlier life bears the key, it is passed over.
static void an_attempt_whose_objects_are_there_is_passed_over(void **state)
{
	static const struct {
		const struct k8s_resource *resource;
		const char *name;
	} objects[] = {{&K8S_JOB, "restore-" FIRST}, {&K8S_DEPLOYMENT, "postgres-" FIRST}, {&K8S_PVC, "pgdata-" FIRST}};
	enum { OBJECTS = sizeof(objects) / sizeof(objects[0]) };
	for (size_t left = 0; left < OBJECTS; left++) {
		start();
		let_go_of_volume();
		for (size_t i = 0; i < OBJECTS; i++)
			if (i != left)
				delete (objects[i].resource, objects[i].name);
		cluster_change("namespaces", "", SCENE_NAMESPACE,
			json_pack("{s:{s:{s:s, s:n, s:n, s:n}}}", "metadata", "annotations", PGRO "restore-state", "pending",
				PGRO "round", PGRO "round-snapshot-id", PGRO "attempt"));
		cluster_settle(&c);
		cluster_stands(&c, " round=" SECOND " attempt=2 ");
		assert_int_equal(tear_down(state), 0);
		assert_int_equal(set_up(state), 0);
	}
}

static void another_snapshot_begins_with_its_first_attempt(void **state)
{
	(void)state;
	cluster_settle(&c);
	fail_restore("{\"error\":\"no\"}");
	cluster_stands(&c, "failures=1 ");
	c.entry = ",\"snapshot_id\":\"s2\",\"snapshot_at\":\"2026-11-20T11:00:00Z\"";
	cluster_settle(&c);
	cluster_stands(&c, "restore-state=restoring");
	cluster_stands(&c, "!restoring round=" FIRST);
	cluster_stands(&c, " attempt=1 ");
	cluster_stands(&c, "!failures=");
}

// The failure's name of the backup is what the next attempt goes on with, unless a person wants all of it anew.
static void the_backup_that_was_found_is_kept_for_the_retry(void **state)
{
	for (int is_forced = 0; is_forced < 2; is_forced++) {
		cluster_settle(&c);
		fail_restore("{\"error\":\"no\",\"backup\":\"base_1\"}");
		assert_annotation("backup", "base_1");
		cluster_annotate(&c, is_forced ? "force-refresh" : "failed-at", LONG_AGO);
		cluster_settle(&c);
		cluster_stands(&c, "restore-state=restoring round=" SECOND " attempt=2 failures=1 ");
		assert_annotation("backup", is_forced ? "" : "base_1");
		assert_int_equal(tear_down(state), 0);
		assert_int_equal(set_up(state), 0);
	}
}

static void only_what_was_read_whole_says_what_to_expect(void **state)
{
	static const struct {
		const char *label, *traffic, *expected;
	} rows[] = {
		{"counted", "{\"s3_received_payload_bytes\":4711}", "4711"},
		{"not counted", "{}", ""},
		{"none", "{\"s3_received_payload_bytes\":0}", ""},
		{"no JSON", "many", ""},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		serve();
		cluster_annotate(&c, "traffic", rows[i].traffic);
		cluster_annotate(&c, "force-refresh", "true");
		cluster_settle(&c);
		cluster_stands(&c, "restore-state=restoring");
		assert_annotation("expected-bytes", rows[i].expected);
		assert_annotation("traffic", "");
		assert_int_equal(tear_down(state), 0);
		assert_int_equal(set_up(state), 0);
	}
	cluster_settle(&c);
	fail_restore("{\"error\":\"no\"}");
	cluster_annotate(&c, "traffic", "{\"s3_received_payload_bytes\":4711}");
	cluster_annotate(&c, "failed-at", LONG_AGO);
	cluster_settle(&c);
	cluster_stands(&c, "attempt=2 ");
	assert_annotation("expected-bytes", "");
}

// --- what is made

static void what_cannot_be_made_is_made_in_the_next_try(void **state)
{
	static const char *const paths[] = {"*/rolebindings*", "*/serviceaccounts*", "*/networkpolicies*",
		"*/persistentvolumeclaims*", "*/secrets*", "*/jobs*"};
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		char rules[256];
		(void)snprintf(rules, sizeof(rules),
			"[{\"verb\":\"create\",\"path\":\"%s\",\"status\":422,\"reason\":\"Invalid\",\"message\":\"not this\"}]",
			paths[i]);
		cluster_fault(&c, rules);
		cluster_settle(&c);
		troubled("make: ");
		troubled("not this");
		cluster_stands(&c, "restore-state=restoring");
		cluster_stands(&c, "!jobs/");
		cluster_fault(&c, "[]");
		cluster_settle(&c);
		troubled("");
		cluster_stands(&c, "jobs/restore-" FIRST);
		assert_int_equal(tear_down(state), 0);
		assert_int_equal(set_up(state), 0);
	}
}

static void keys_that_canopy_does_not_give_now_are_asked_for_again(void **state)
{
	(void)state;
	c.credentials_status = 422; // a refusal is 403 alone
	cluster_settle(&c);
	troubled("credentials");
	cluster_stands(&c, "restore-state=restoring");
	c.credentials_status = 0;
	cluster_settle(&c);
	cluster_stands(&c, "jobs/restore-" FIRST);
}

static void a_volume_wants_no_keys(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct canopy_client *canopy = c.op.canopy;
		cluster_settings(&c)->walg_image = strdup("wal-g:3");
		c.entry = SNAPSHOT ",\"engine\":\"walg\",\"storage\":\"file\"";
		c.op.canopy = i == 0 ? canopy : NULL;
		cluster_settle(&c);
		troubled("");
		cluster_stands(&c, "jobs/restore-" FIRST);
		assert_int_equal(cluster_count_asked(&c, "/restore-credentials"), 0);
		c.op.canopy = canopy;
		assert_int_equal(tear_down(state), 0);
		assert_int_equal(set_up(state), 0);
	}
}

// With WORKLIST_FILE: an identity of the workload is enough for Azure, and for nothing else.
static void without_canopy_a_workload_identity_needs_no_secret(void **state)
{
	(void)state;
#define AZURE SNAPSHOT ",\"engine\":\"basebackup\",\"storage\":\"azure\",\"account\":\"store\",\"bucket\":\"backups\""
#define IDENTITY ",\"client_id\":\"00000000-0000-4000-8000-000000000001\""
	static const char *const need_a_secret[] = {SNAPSHOT, SNAPSHOT IDENTITY, AZURE};
	struct canopy_client *canopy = c.op.canopy;
	c.op.canopy = NULL;
	cluster_settings(&c)->azcopy_image = strdup("azcopy:1");
	for (size_t i = 0; i < sizeof(need_a_secret) / sizeof(need_a_secret[0]); i++) {
		c.entry = need_a_secret[i];
		cluster_settle(&c);
		troubled("the entry names no secret (a Secret in pgro-system)");
		cluster_stands(&c, "!jobs/");
	}
	c.entry = AZURE IDENTITY;
	cluster_settle(&c);
	troubled("");
	cluster_stands(&c, "jobs/restore-" FIRST);
	c.op.canopy = canopy;
}

static void before_native_sidecars_the_proxy_is_a_container(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(json) json_t *job = NULL;
	c.op.has_native_sidecars = false;
	cluster_settle(&c);
	assert_ok(k8s_get(c.op.k8s, &K8S_JOB, SCENE_NAMESPACE, "restore-" FIRST, &job, &err), err);
	assert_int_equal(json_array_size(json_find(job, "spec", "template", "spec", "containers")), 2);
}

// --- what is started

static void a_deployment_that_somebody_took_away_is_made_again(void **state)
{
	(void)state;
	start();
	delete (&K8S_DEPLOYMENT, "postgres-" FIRST);
	cluster_stands(&c, "!deploy/");
	cluster_settle(&c);
	troubled("");
	cluster_stands(&c, "restore-state=starting");
	cluster_stands(&c, "deploy/postgres-" FIRST);
}

static void a_volume_that_is_gone_starts_nothing(void **state)
{
	(void)state;
	cluster_settle(&c);
	cluster_job_ends(&c, true, RESTORED);
	let_go_of_volume();
	delete (&K8S_PVC, "pgdata-" FIRST);
	cluster_settle(&c);
	troubled("start: the volume of round " FIRST " has not been seen yet");
	cluster_stands(&c, "restore-state=restoring");
	cluster_stands(&c, "!deploy/");
}

static void without_tls_the_database_speaks_plainly(void **state)
{
	(void)state;
	cluster_settings(&c)->postgres_tls = false;
	start();
	cluster_database_comes_up(&c);
	cluster_settle(&c);
	troubled("");
	cluster_stands(&c, "!secrets/postgres-tls");
	cluster_stands(&c, "secrets/analytics-credentials");
	assert_annotation("tls-ca", "");
	assert_true(c.checks_started > 0);
	end_checks(GRADE_CLEAN, "15.20");
	cluster_stands(&c, "restore-state=active");
}

// The operator's CA is read before anything else; until then nothing that needs it goes on.
static void without_a_ca_nothing_is_checked(void **state)
{
	(void)state;
	struct error err = {0};
	struct authority *authority = c.op.authority;
	start();
	cluster_database_comes_up(&c);
	assert_ok(authority_new(&c.op.authority, &err), err);
	cluster_settle(&c);
	troubled("check: the operator has no CA yet");
	assert_int_equal(c.checks_started, 0);
	authority_free(c.op.authority);
	c.op.authority = authority;
	cluster_settle(&c);
	troubled("");
	assert_true(c.checks_started > 0);
}

// A round that failed for the last time: what is left of it goes, whatever was refused before.
static void what_cannot_be_swept_is_swept_in_the_next_try(void **state)
{
	static const char *const paths[] = {"*/secrets/*", "*/jobs/*", "*/persistentvolumeclaims/*"};
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		char rules[256];
		cluster_settle(&c);
		fail_restore("{\"error\":\"no\"}");
		let_go_of_volume();
		cluster_annotate(&c, "failures", "9");
		cluster_annotate(&c, "failed-at", LONG_AGO);
		(void)snprintf(rules, sizeof(rules),
			"[{\"verb\":\"delete\",\"path\":\"%s\",\"status\":403,\"reason\":\"Forbidden\",\"message\":\"not "
			"this\"}]",
			paths[i]);
		cluster_fault(&c, rules);
		cluster_settle(&c);
		troubled("sweep: ");
		troubled("not this");
		cluster_stands(&c, "pvc/pgdata-" FIRST);
		cluster_fault(&c, "[]");
		cluster_settle(&c);
		troubled("");
		cluster_stands(&c, "!jobs/");
		cluster_stands(&c, "!pvc/");
		cluster_stands(&c, "!secrets/restore-");
		assert_int_equal(tear_down(state), 0);
		assert_int_equal(set_up(state), 0);
	}
}

// --- how it ends

static json_t *last_report(void)
{
	json_t *report = cluster_annotation(&c, "last-report");
	assert_non_null(report);
	return report;
}

// Without canopy the report stays with the Namespace, where a test can read it.
static void a_report_says_what_is_known_and_no_more(void **state)
{
	static const struct {
		const char *label, *key, *value;
		int64_t bytes; // -1: not said
		bool has_run;
	} rows[] = {
		{"counted", "traffic", "{\"s3_received_payload_bytes\":7}", 7, true},
		{"no counts", "traffic", "many", -1, true},
		{"a run that is none", "run-id", "the first", -1, false},
		{"begun nobody knows when", "round-started-at", "early", -1, true},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct canopy_client *canopy = c.op.canopy;
		cluster_settle(&c);
		cluster_annotate(&c, rows[i].key, rows[i].value);
		c.op.canopy = NULL;
		fail_restore("{\"error\":\"no\"}");
		AUTO(json) json_t *report = last_report();
		if (json_find_int(-1, report, "s3_received_payload_bytes") != rows[i].bytes ||
			(json_find_str(report, "run_id") != NULL) != rows[i].has_run)
			fail_msg("%s: %lld bytes, run %s", rows[i].label,
				(long long)json_find_int(-1, report, "s3_received_payload_bytes"),
				json_find_str(report, "run_id"));
		c.op.canopy = canopy;
		assert_int_equal(tear_down(state), 0);
		assert_int_equal(set_up(state), 0);
	}
}

static void a_check_that_never_came_in_names_no_version(void **state)
{
	(void)state;
	struct canopy_client *canopy = c.op.canopy;
	start();
	cluster_database_comes_up(&c);
	c.op.canopy = NULL;
	end_checks(GRADE_INCONCLUSIVE, "");
	cluster_stands(&c, "restore-state=failed");
	AUTO(json) json_t *report = last_report();
	assert_null(json_find_str(report, "postgres_version"));
	c.op.canopy = canopy;
}

// The Deployment has made another one: what that one's prepare did is what came up.
static void a_pod_that_was_made_anew_says_how_it_came_up(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(json) json_t *deployment = NULL;
	start();
	cluster_database_comes_up(&c);
	assert_ok(k8s_get(c.op.k8s, &K8S_DEPLOYMENT, SCENE_NAMESPACE, "postgres-" FIRST, &deployment, &err), err);
	AUTO(json)
	json_t *pod =
		json_pack("{s:{s:s, s:{s:s, s:s}}, s:O}", "metadata", "name", "postgres-" FIRST "-x", "labels", LABEL_MANAGED_BY,
			LABEL_MANAGED_BY_VALUE, LABEL_ROUND, FIRST, "spec", json_find(deployment, "spec", "template", "spec"));
	assert_ok(k8s_create(c.op.k8s, &K8S_POD, SCENE_NAMESPACE, pod, NULL, &err), err);
	cluster_change("pods", SCENE_NAMESPACE, "postgres-" FIRST "-x",
		json_pack("{s:{s:s, s:[{s:s, s:{s:{s:i, s:s}}}]}}", "status", "podIP", "127.0.0.1", "initContainerStatuses",
			"name", "prepare", "state", "terminated", "exitCode", 0, "message",
			"{\"salvaged\":\"the last WAL files are lost\"}"));
	end_checks(GRADE_CLEAN, "15.20");
	cluster_stands(&c, "last-verdict=salvaged recovery backup");
}

// The counter of bytes counts what is known.
static void a_restore_of_no_known_size_is_active_too(void **state)
{
	(void)state;
	start();
	cluster_change("deployments.apps", SCENE_NAMESPACE, "postgres-" FIRST,
		json_pack("{s:{s:{s:s}}}", "metadata", "annotations", ANN_RESTORED_BYTES, "many"));
	cluster_database_comes_up(&c);
	end_checks(GRADE_CLEAN, "15.20");
	cluster_stands(&c, "restore-state=active");
	cluster_stands(&c, "reports: 1 healthy");
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest cases[] = {
		CASE(an_attempt_whose_objects_are_there_is_passed_over),
		CASE(another_snapshot_begins_with_its_first_attempt),
		CASE(the_backup_that_was_found_is_kept_for_the_retry),
		CASE(only_what_was_read_whole_says_what_to_expect),
		CASE(what_cannot_be_made_is_made_in_the_next_try),
		CASE(keys_that_canopy_does_not_give_now_are_asked_for_again),
		CASE(a_volume_wants_no_keys),
		CASE(without_canopy_a_workload_identity_needs_no_secret),
		CASE(before_native_sidecars_the_proxy_is_a_container),
		CASE(a_deployment_that_somebody_took_away_is_made_again),
		CASE(a_volume_that_is_gone_starts_nothing),
		CASE(without_tls_the_database_speaks_plainly),
		CASE(without_a_ca_nothing_is_checked),
		CASE(what_cannot_be_swept_is_swept_in_the_next_try),
		CASE(a_report_says_what_is_known_and_no_more),
		CASE(a_check_that_never_came_in_names_no_version),
		CASE(a_pod_that_was_made_anew_says_how_it_came_up),
		CASE(a_restore_of_no_known_size_is_active_too),
	};
	log_setup(LOG_ERROR, LOG_LOGFMT);
	return cmocka_run_group_tests_name("reconciler/steps", cases, NULL, NULL);
}
