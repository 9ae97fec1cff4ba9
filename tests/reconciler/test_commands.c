// The commands that look once, against the stub's API server and a canopy that is told what to answer: what people and programs
// read of them, and what is said when there is nothing to read.
#include "base/log.h"
#include "k8s/client.h"
#include "reconciler/plan.h"
#include "reconciler/status.h"
#include "reconciler/why.h"
#include "tests/reconciler/cluster.h"
#include "tests/reconciler/scenes.h"
#include "tests/support/cmocka.h"
#include "tests/support/redirect.h"
#include "tests/support/scratch.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RESTORED                                                                                                         \
	"{\"postgres_version\":\"15\",\"bytes\":3221225472,\"files\":10,\"seconds\":3,\"layout\":\"debian\",\"engine\":" \
	"\"kopia\"}"
#define SNAPSHOT ",\"snapshot_id\":\"s1\",\"snapshot_at\":\"2026-11-20T10:00:00Z\""
#define NEWER ",\"snapshot_id\":\"s2\",\"snapshot_at\":\"2026-11-21T10:00:00Z\""

static struct cluster c;

static int set_up(void **state)
{
	(void)state;
	cluster_open(&c, "analytics", NULL);
	// One thread reads it, which is this one.
	return setenv("KUBECONFIG", cluster_kubeconfig(&c), 1); // NOLINT(concurrency-mt-unsafe)
}

static int tear_down(void **state)
{
	(void)state;
	cluster_close(&c);
	return 0;
}

static void serve(void)
{
	cluster_settle(&c);
	cluster_job_ends(&c, true, RESTORED);
	cluster_settle(&c);
	cluster_database_comes_up(&c);
	c.check = CHECK_DONE;
	c.checked = (struct check_result){.grade = GRADE_CLEAN, .server_version = "15.20 (Debian 15.20-0+deb12u1)"};
	(void)snprintf(c.checked.stage, sizeof(c.checked.stage), "catalogs");
	cluster_settle(&c);
	c.check = CHECK_NONE;
}

// Somebody else's controller keeps it.
static void is_going(void)
{
	struct error err = {0};
	assert_ok(k8s_delete(c.op.k8s, &K8S_NAMESPACE, NULL, SCENE_NAMESPACE, NULL, NULL, &err), err);
	cluster_change("namespaces", "", SCENE_NAMESPACE,
		json_pack("{s:{s:[{s:s, s:s, s:s}, {s:s, s:s, s:s}, {s:s, s:s, s:s}]}}", "status", "conditions", "type",
			"NamespaceContentRemaining", "status", "True", "message", "a Pod remains", "type",
			"NamespaceDeletionContentFailure", "status", "False", "message", "All content successfully deleted",
			"type", "NamespaceFinalizersRemaining", "status", "True", "message", "example.invalid/hold remains"));
}

// --- what a command writes

enum command { PLAN, STATUS, WHY };

static int run(enum command command, const struct output *output, bool *something, char **out, struct error *err)
{
	const char *path = scratch_write("out", "", 0);
	int before = redirect_begin(STDOUT_FILENO, path);
	int rc = command == PLAN ? plan(c.op.settings, output, something, err)
				 : (command == STATUS ? status : why)(c.op.settings, output, err);
	redirect_end(STDOUT_FILENO, before);
	*out = redirect_read(path);
	return rc;
}

static char *say(enum command command, const struct output *output, bool *something)
{
	struct error err = {0};
	char *text = NULL;
	assert_ok(run(command, output, something, &text, &err), err);
	return text;
}

static json_t *say_json(enum command command, const char *namespace, bool *something)
{
	struct error err = {0};
	json_t *value = NULL;
	const struct output output = {.format = OUTPUT_JSON, .namespace = namespace};
	AUTO_FREE char *text = say(command, &output, something);
	assert_ok(json_parse(text, strlen(text), &value, &err), err);
	return value;
}

static void assert_says(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("\"%s\" is not in:\n%s", part, text);
}

static void assert_fails(enum command command, const char *namespace, enum error_kind kind, const char *part)
{
	struct error err = {0};
	AUTO_FREE char *text = NULL;
	bool something = false;
	const struct output output = {.format = OUTPUT_TABLE, .namespace = namespace};
	assert_error(run(command, &output, &something, &text, &err), err, kind, part);
	assert_string_equal(text, "");
}

static void assert_member(const json_t *object, const char *key, const char *expected)
{
	const char *found = json_find_str(object, key);
	if (expected == NULL ? found != NULL : found == NULL || strcmp(found, expected) != 0)
		fail_msg("%s is %s", key, found == NULL ? "null" : found);
}

// --- status

static void status_of_nothing_is_a_heading(void **state)
{
	(void)state;
	AUTO_FREE char *text = say(STATUS, &(struct output){.format = OUTPUT_TABLE}, NULL);
	assert_string_equal(text, "NAMESPACE  INTENT  STATE  SINCE  SNAPSHOT  POSTGRES  SIZE  REPORT  WAITS FOR  LAST ERROR\n");
	AUTO(json) json_t *rows = say_json(STATUS, NULL, NULL);
	assert_int_equal(json_array_size(rows), 0);
}

static void status_shows_what_serves(void **state)
{
	(void)state;
	serve();
	AUTO(json) json_t *rows = say_json(STATUS, NULL, NULL);
	const json_t *row = json_array_get(rows, 0);
	assert_int_equal(json_array_size(rows), 1);
	assert_member(row, "namespace", SCENE_NAMESPACE);
	assert_member(row, "state", "active");
	assert_member(row, "tone", "good");
	assert_member(row, "snapshot_id", "s1");
	assert_member(row, "postgres", "15.20");
	assert_member(row, "postgres_version", "15.20 (Debian 15.20-0+deb12u1)");
	assert_member(row, "size", "3.0 GiB");
	assert_member(row, "verdict", "clean");
	assert_member(row, "last_error", NULL);
	assert_member(row, "server_id", SCENE_SERVER_ID);
	assert_int_equal(json_find_int(0, row, "bytes"), 3221225472);
	assert_int_equal(json_find_int(0, row, "attempt"), 1);

	AUTO_FREE char *text = say(STATUS, &(struct output){.format = OUTPUT_TABLE, .namespace = SCENE_NAMESPACE}, NULL);
	assert_says(text, "\n" SCENE_NAMESPACE "  analytics  active  ");
	assert_says(text, "  s1        15.20     3.0 GiB  ");
	AUTO(json) json_t *others = say_json(STATUS, "another-00000000", NULL);
	assert_int_equal(json_array_size(others), 0);
}

static void status_says_what_holds_one_that_goes(void **state)
{
	(void)state;
	cluster_settle(&c);
	is_going();
	AUTO(json) json_t *rows = say_json(STATUS, NULL, NULL);
	assert_member(json_array_get(rows, 0), "last_error", "a Pod remains; example.invalid/hold remains");
	AUTO_FREE char *text = say(WHY, &(struct output){.format = OUTPUT_TABLE, .namespace = SCENE_NAMESPACE}, NULL);
	assert_says(text, "\nHeld by       a Pod remains; example.invalid/hold remains\n");

	// It went meanwhile: nothing holds it. And who cannot be asked has not said so.
	cluster_fault(&c, "[{\"verb\":\"get\",\"path\":\"/api/v1/namespaces/" SCENE_NAMESPACE
			  "\",\"times\":1,\"status\":404,\"reason\":\"NotFound\",\"message\":\"it has gone\"}]");
	AUTO(json) json_t *gone = say_json(STATUS, NULL, NULL);
	assert_member(json_array_get(gone, 0), "last_error", NULL);
	cluster_fault(&c, "[{\"verb\":\"get\",\"path\":\"/api/v1/namespaces/" SCENE_NAMESPACE
			  "\",\"status\":403,\"reason\":\"Forbidden\",\"message\":\"not for you\"}]");
	assert_fails(STATUS, NULL, ERROR_INVALID, "not for you");
	cluster_fault(&c, "[]");
}

// What it says without a text, or does not say to be so, holds nothing; so much is told as people read.
static void status_says_what_holds_it_and_no_more(void **state)
{
	(void)state;
	struct error err = {0};
	char message[600];
	cluster_settle(&c);
	assert_ok(k8s_delete(c.op.k8s, &K8S_NAMESPACE, NULL, SCENE_NAMESPACE, NULL, NULL, &err), err);
	cluster_change("namespaces", "", SCENE_NAMESPACE,
		json_pack("{s:{s:[{s:s, s:s}, {s:s, s:s}, {s:s, s:s, s:s}]}}", "status", "conditions", "type", "A", "status",
			"True", "type", "B", "message", "of no status", "type", "C", "status", "False", "message", "it is well"));
	AUTO(json) json_t *nothing = say_json(STATUS, NULL, NULL);
	assert_member(json_array_get(nothing, 0), "last_error", NULL);

	json_t *conditions = json_array();
	memset(message, 'x', sizeof(message) - 1);
	message[sizeof(message) - 1] = '\0';
	for (int i = 0; i < 10; i++)
		assert_int_equal(
			json_array_append_new(conditions, json_pack("{s:s, s:s}", "status", "True", "message", message)), 0);
	cluster_change("namespaces", "", SCENE_NAMESPACE, json_pack("{s:{s:o}}", "status", "conditions", conditions));
	AUTO(json) json_t *much = say_json(STATUS, NULL, NULL);
	// Seven of 512 characters, and what stands between them.
	assert_int_equal(strlen(json_find_str(json_array_get(much, 0), "last_error")), 7 * 512 + 6 * strlen("; "));
}

// Its Deployment does not say how large it is; then its Namespace is somebody else's.
static void status_says_what_is_known(void **state)
{
	(void)state;
	serve();
	cluster_change("deployments.apps", SCENE_NAMESPACE, "postgres-fa04b867",
		json_pack("{s:{s:{s:n, s:n}}}", "metadata", "annotations", ANN_RESTORED_BYTES, ANN_RESTORED_FILES));
	AUTO(json) json_t *rows = say_json(STATUS, NULL, NULL);
	assert_int_equal(json_array_size(rows), 1);
	assert_member(json_array_get(rows, 0), "size", NULL);
	assert_null(json_object_get(json_array_get(rows, 0), "bytes"));
	cluster_label(&c, "managed-by", "somebody");
	AUTO(json) json_t *none = say_json(STATUS, NULL, NULL);
	assert_int_equal(json_array_size(none), 0);
}

static void who_does_not_answer_is_named(void **state)
{
	(void)state;
	cluster_fault(&c, "[{\"verb\":\"list\",\"status\":403,\"reason\":\"Forbidden\",\"message\":\"not for you\"}]");
	assert_fails(STATUS, NULL, ERROR_INVALID, "cluster: ");
	assert_fails(PLAN, NULL, ERROR_INVALID, "cluster: ");
	assert_fails(WHY, SCENE_NAMESPACE, ERROR_INVALID, "cluster: ");
	cluster_fault(&c, "[]");
}

// --- why

static void why_tells_of_one_replica(void **state)
{
	(void)state;
	serve();
	AUTO_FREE char *text = say(WHY, &(struct output){.format = OUTPUT_TABLE, .namespace = SCENE_NAMESPACE}, NULL);
	assert_says(text, SCENE_NAMESPACE "  ");
	assert_says(text, "\nState         ");
	assert_says(text, "\nSnapshot      s1 (");
	assert_says(text, "2026-11-20T10:00:00Z)\n");
	assert_says(text, "\nVerdict       ");
	AUTO(json) json_t *object = say_json(WHY, SCENE_NAMESPACE, NULL);
	assert_true(json_is_object(object) && json_object_size(object) > 5);
}

static void why_of_one_without_a_snapshot_names_none(void **state)
{
	(void)state;
	c.entry = "";
	cluster_settle(&c);
	AUTO_FREE char *text = say(WHY, &(struct output){.format = OUTPUT_TABLE, .namespace = SCENE_NAMESPACE}, NULL);
	assert_says(text, "\nWaits for     a first backup: canopy names no snapshot\n");
	assert_null(strstr(text, "\nSnapshot "));
}

static void why_knows_what_is_no_replica(void **state)
{
	(void)state;
	assert_fails(WHY, "nothing-00000000", ERROR_NOT_FOUND,
		"why: there is no Namespace \"nothing-00000000\"; understory status lists the replicas");
	assert_fails(WHY, "pgro-system", ERROR_NOT_FOUND, "why: Namespace \"pgro-system\" is no replica: it lacks the label ");
	cluster_fault(&c, "[{\"verb\":\"get\",\"status\":403,\"reason\":\"Forbidden\",\"message\":\"not for you\"}]");
	assert_fails(WHY, "pgro-system", ERROR_INVALID, "not for you");
	cluster_fault(&c, "[]");
}

// --- plan

static void assert_plan(const json_t *row, const char *action, const char *reason, const char *tone)
{
	assert_member(row, "namespace", SCENE_NAMESPACE);
	assert_member(row, "action", action);
	assert_member(row, "reason", reason);
	assert_member(row, "tone", tone);
}

static void plan_says_what_a_pass_would_do(void **state)
{
	(void)state;
	bool something = false;
	AUTO(json) json_t *absent = say_json(PLAN, NULL, &something);
	assert_plan(json_array_get(absent, 0), "provision", "new", "working");
	assert_true(something);

	serve();
	AUTO(json) json_t *in_sync = say_json(PLAN, NULL, &something);
	assert_plan(json_array_get(in_sync, 0), "none", "in_sync", NULL);
	assert_member(json_array_get(in_sync, 0), "state", "active");
	assert_false(something);

	c.entry = NEWER;
	AUTO(json) json_t *newer = say_json(PLAN, SCENE_NAMESPACE, &something);
	assert_plan(json_array_get(newer, 0), "refresh", "newer_snapshot", "working");
	assert_true(something);
	AUTO(json) json_t *others = say_json(PLAN, "another-00000000", &something);
	assert_int_equal(json_array_size(others), 0);
	assert_false(something);

	c.entry = NULL;
	AUTO(json) json_t *left = say_json(PLAN, NULL, &something);
	assert_plan(json_array_get(left, 0), "teardown", "gone", "attention");
	AUTO_FREE char *text = say(PLAN, &(struct output){.format = OUTPUT_TABLE}, &something);
	assert_says(text, "\n" SCENE_NAMESPACE "  teardown  ");
}

static void plan_names_an_entry_that_is_there_twice(void **state)
{
	(void)state;
	bool something = false;
	c.entry = SNAPSHOT ",\"params\":{},\"storage\":\"s3\"},{\"replica_id\":\"" SCENE_REPLICA_ID
			   "\",\"group_id\":\"" SCENE_GROUP_ID "\",\"server_id\":\"" SCENE_SERVER_ID
			   "\",\"type\":\"tamanu-postgres\",\"intent\":\"analytics\",\"name\":\"Nauru prod analytics\","
			   "\"params\":{},\"storage\":\"s3\",\"bucket\":\"b\",\"prefix\":\"p\",\"region\":\"r\"";
	AUTO(json) json_t *rows = say_json(PLAN, NULL, &something);
	assert_int_equal(json_array_size(rows), 2);
	assert_member(json_array_get(rows, 0), "reason", "new");
	assert_member(json_array_get(rows, 1), "namespace", "Nauru prod analytics"); // it has none of its own
	assert_member(json_array_get(rows, 1), "action", "none");
	assert_member(json_array_get(rows, 1), "reason", "duplicate");
	AUTO(json) json_t *one = say_json(PLAN, SCENE_NAMESPACE, &something);
	assert_int_equal(json_array_size(one), 1);
}

static void plan_of_two_that_are_new_has_two_rows(void **state)
{
	(void)state;
	bool something = false;
	c.entry = SNAPSHOT ",\"params\":{},\"storage\":\"s3\"},{\"replica_id\":\"" SCENE_GROUP_ID
			   "\",\"group_id\":\"" SCENE_GROUP_ID "\",\"server_id\":\"" SCENE_SERVER_ID
			   "\",\"type\":\"tamanu-postgres\",\"intent\":\"verify\",\"name\":\"other\",\"params\":{},"
			   "\"storage\":\"s3\",\"bucket\":\"b\",\"prefix\":\"p\",\"region\":\"r\",\"snapshot_id\":\"s1\"";
	AUTO(json) json_t *rows = say_json(PLAN, NULL, &something);
	assert_int_equal(json_array_size(rows), 2);
	assert_true(something);
}

static void plan_without_a_worklist_is_no_plan(void **state)
{
	(void)state;
	c.entry = "\"";
	assert_fails(PLAN, NULL, ERROR_INTERNAL, "worklist");
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test_setup_teardown(status_of_nothing_is_a_heading, set_up, tear_down),
		cmocka_unit_test_setup_teardown(status_shows_what_serves, set_up, tear_down),
		cmocka_unit_test_setup_teardown(status_says_what_holds_one_that_goes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(status_says_what_holds_it_and_no_more, set_up, tear_down),
		cmocka_unit_test_setup_teardown(status_says_what_is_known, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_does_not_answer_is_named, set_up, tear_down),
		cmocka_unit_test_setup_teardown(why_tells_of_one_replica, set_up, tear_down),
		cmocka_unit_test_setup_teardown(why_of_one_without_a_snapshot_names_none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(why_knows_what_is_no_replica, set_up, tear_down),
		cmocka_unit_test_setup_teardown(plan_says_what_a_pass_would_do, set_up, tear_down),
		cmocka_unit_test_setup_teardown(plan_names_an_entry_that_is_there_twice, set_up, tear_down),
		cmocka_unit_test_setup_teardown(plan_of_two_that_are_new_has_two_rows, set_up, tear_down),
		cmocka_unit_test_setup_teardown(plan_without_a_worklist_is_no_plan, set_up, tear_down),
	};
	log_setup(LOG_ERROR, LOG_LOGFMT);
	return cmocka_run_group_tests_name("reconciler/commands", cases, NULL, NULL);
}
