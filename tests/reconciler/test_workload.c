// What next_step reads, from every state that was recorded on a real node (tests/recordings/node-1.26).
#include "reconciler/workload.h"
#include "reconciler/replica.h"
#include "base/file.h"
#include "tests/support/cmocka.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORDING_MAX ((size_t)1 << 20)

static json_t *recorded(const char *file)
{
	struct error err = {0};
	char path[512];
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	AUTO(json) json_t *document = NULL;
	(void)snprintf(path, sizeof(path), "%s/node-1.26/%s.json", getenv("RECORDINGS"), file);
	assert_ok(file_read(path, RECORDING_MAX, &text, &len, &err), err);
	assert_ok(json_parse(text, len, &document, &err), err);
	json_t *object = json_object_get(document, "object");
	assert_non_null(object);
	return json_incref(object);
}

static void jobs(void **state)
{
	(void)state;
	const struct {
		const char *file;
		enum job_outcome outcome;
		const char *reason;
	} rows[] = {
		{"04-job-active", JOB_RUNNING, ""},
		{"05-job-complete", JOB_COMPLETE, ""},
		{"08-job-two-containers-complete", JOB_COMPLETE, ""},
		{"09-job-failed-backoff", JOB_FAILED, "BackoffLimitExceeded"},
		{"11-job-failed-by-policy", JOB_FAILED, "PodFailurePolicy"},
		{"12-job-failed-deadline", JOB_FAILED, "DeadlineExceeded"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		struct job_view job;
		AUTO(json) json_t *object = recorded(rows[i].file);
		assert_ok(job_view_from_json(object, &job, &err), err);
		if (job.outcome != rows[i].outcome || strcmp(job.reason, rows[i].reason) != 0)
			fail_msg("%s: outcome %d, reason %s", rows[i].file, (int)job.outcome, job.reason);
		assert_string_equal(job.of.namespace, "rec-n");
		assert_false(job.of.is_deleting);
	}
}

static void a_failure_that_is_not_terminal_decides_nothing(void **state)
{
	(void)state;
	struct error err = {0};
	struct job_view job;
	AUTO(json) json_t *object = recorded("04-job-active");
	assert_int_equal(json_object_set_new(json_object_get(object, "status"), "failed", json_integer(2)), 0);
	assert_ok(job_view_from_json(object, &job, &err), err);
	assert_int_equal(job.outcome, JOB_RUNNING);
}

static void deployments(void **state)
{
	(void)state;
	struct error err = {0};
	struct deployment_view view;
	AUTO(json) json_t *good = recorded("18-deployment-available");
	AUTO(json) json_t *bad = recorded("20-deployment-progress-deadline");
	assert_ok(deployment_view_from_json(good, &view, &err), err);
	assert_true(view.is_available);
	assert_int_equal(view.restored_bytes, -1);
	assert_false(view.has_tls); // as an operator before TLS has made it
	AUTO(json) json_t *with_tls = json_deep_copy(good);
	AUTO(json) json_t *more = json_pack("{s:{s:{s:s}}}", "metadata", "annotations", "pgro.bes.au/tls", "on");
	assert_int_equal(json_object_update_recursive(with_tls, more), 0);
	assert_ok(deployment_view_from_json(with_tls, &view, &err), err);
	assert_true(view.has_tls);
	assert_ok(deployment_view_from_json(bad, &view, &err), err);
	assert_false(view.is_available);
	// The status still speaks of the template before this one.
	assert_int_equal(json_object_set_new(json_object_get(good, "metadata"), "generation", json_integer(2)), 0);
	assert_ok(deployment_view_from_json(good, &view, &err), err);
	assert_false(view.is_available);
}

static void pods(void **state)
{
	(void)state;
	const struct {
		const char *file;
		bool is_restore;
		const char *waiting, *ended, *container;
		int exit_code;
		const char *message;
	} rows[] = {
		{"03-pod-running", true, "", "", "", 0, NULL},
		{"06-pod-succeeded", true, "", "Completed", "restore", 0, "{\"postgres_version\":\"15\"}\n"},
		{"10-pod-failed", true, "", "Error", "restore", 12, "{\"error\":\"wrong repository password\"}\n"},
		{"13-pod-oom-killed", true, "", "OOMKilled", "restore", 137, NULL},
		{"14-pod-image-pull", true, "ErrImagePull", "", "", 0, NULL},
		{"15-pod-init-failed", true, "", "Error", "prepare", 3, "no PG_VERSION found\n"},
		{"16-pod-unschedulable", true, "Unschedulable", "", "", 0, NULL},
		{"17-pod-config-error", true, "CreateContainerConfigError", "", "", 0, NULL},
		{"19-pod-ready", false, "", "", "", 0, NULL},
		{"21-pod-crash-loop", false, "CrashLoopBackOff", "Error", "postgres", 1,
			"FATAL: could not locate a valid checkpoint record\n"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		struct pod_view pod;
		AUTO(json) json_t *object = recorded(rows[i].file);
		assert_ok(pod_view_from_json(object, &pod, &err), err);
		bool same_message = rows[i].message == NULL ? pod.message == NULL
							    : pod.message != NULL && strcmp(pod.message, rows[i].message) == 0;
		if (pod.is_restore != rows[i].is_restore || strcmp(pod.waiting_reason, rows[i].waiting) != 0 ||
			strcmp(pod.ended_reason, rows[i].ended) != 0 || strcmp(pod.ended_container, rows[i].container) != 0 ||
			pod.exit_code != rows[i].exit_code || !same_message)
			fail_msg("%s: restore %d, waits \"%s\", ended \"%s\" in \"%s\" with %d: %s", rows[i].file, pod.is_restore,
				pod.waiting_reason, pod.ended_reason, pod.ended_container, pod.exit_code,
				pod.message == NULL ? "no message" : pod.message);
		pod_view_fini(&pod);
	}
}

// The init container of a PostgreSQL pod, in the states that were recorded of others.
static void where_prepare_stands(void **state)
{
	(void)state;
	static const char running[] = "{\"running\":{\"startedAt\":\"2026-11-20T09:40:54Z\"}}";
	static const char looping[] = "{\"waiting\":{\"reason\":\"CrashLoopBackOff\"}}";
	static const char initializing[] = "{\"waiting\":{\"reason\":\"PodInitializing\"}}";
	static const char well[] = "{\"terminated\":{\"exitCode\":0,\"startedAt\":\"2026-11-20T09:40:50Z\",\"finishedAt\":\"2026-"
				   "11-20T09:40:57Z\"}}";
	const struct {
		const char *label, *now, *last; // NULL: as recorded, ended badly
		int restarts;
		enum prepare_state prepare;
		int64_t ran_ms; // -1: runs; 0: never ran
		const char *ended;
	} rows[] = {
		{"not begun", initializing, "{}", 0, PREPARE_WAITING, 0, ""},
		{"runs", running, "{}", 0, PREPARE_RUNNING, -1, ""},
		{"ended well", well, "{}", 0, PREPARE_DONE, 7000, ""},
		{"ended badly", NULL, "{}", 0, PREPARE_WAITING, 0, "prepare"},
		{"is to be tried again", looping, NULL, 2, PREPARE_WAITING, 0, "prepare"},
		{"is tried again", running, NULL, 2, PREPARE_RUNNING, -1, "prepare"},
		{"ended well at last", well, NULL, 3, PREPARE_DONE, 7000, ""},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		struct pod_view pod;
		AUTO(json) json_t *object = recorded("15-pod-init-failed");
		json_t *status = json_array_get(json_find(object, "status", "initContainerStatuses"), 0);
		AUTO(json) json_t *badly = json_incref(json_object_get(status, "state"));
		AUTO(json) json_t *now = rows[i].now == NULL ? json_incref(badly) : json_loads(rows[i].now, 0, NULL);
		AUTO(json) json_t *last = rows[i].last == NULL ? json_incref(badly) : json_loads(rows[i].last, 0, NULL);
		assert_int_equal(json_object_set(status, "state", now) | json_object_set(status, "lastState", last) |
					 json_object_set_new(status, "restartCount", json_integer(rows[i].restarts)) |
					 json_object_del(json_object_get(object, "metadata"), "labels"),
			0);
		assert_ok(pod_view_from_json(object, &pod, &err), err);
		int64_t ran_ms = pod.prepare_ended_at_ms == 0 ? -1 : pod.prepare_ended_at_ms - pod.prepare_started_at_ms;
		bool has_run = pod.prepare_started_at_ms != 0;
		if (pod.prepare != rows[i].prepare || pod.prepare_restarts != rows[i].restarts ||
			strcmp(pod.ended_container, rows[i].ended) != 0 || (has_run && ran_ms != rows[i].ran_ms) ||
			has_run != (strcmp(rows[i].label, "not begun") != 0))
			fail_msg("%s: state %d, %d restarts, ran %lld ms, ended \"%s\"", rows[i].label, (int)pod.prepare,
				pod.prepare_restarts, (long long)ran_ms, pod.ended_container);
		pod_view_fini(&pod);
	}
}

// The sidecar comes first in the list, and its end says nothing: what the restore container said counts.
static void the_restore_container_speaks_for_its_pod(void **state)
{
	(void)state;
	struct error err = {0};
	struct pod_view pod;
	AUTO(json) json_t *object = recorded("07-pod-two-containers-one-done");
	AUTO(json) json_t *killed = json_pack("{s:{s:i,s:s}}", "terminated", "exitCode", 143, "reason", "Error");
	AUTO(json) json_t *done = json_pack("{s:{s:i,s:s}}", "terminated", "exitCode", 0, "reason", "Completed");
	json_t *statuses = json_find(object, "status", "containerStatuses");
	assert_ok(pod_view_from_json(object, &pod, &err), err);
	assert_string_equal(pod.ended_container, "");
	pod_view_fini(&pod);
	assert_int_equal(json_object_set(json_array_get(statuses, 0), "state", killed), 0);
	assert_int_equal(json_object_set(json_array_get(statuses, 1), "state", done), 0);
	assert_ok(pod_view_from_json(object, &pod, &err), err);
	assert_string_equal(pod.ended_container, "restore");
	assert_int_equal(pod.exit_code, 0);
	pod_view_fini(&pod);
}

static void volumes_and_namespaces(void **state)
{
	(void)state;
	struct error err = {0};
	struct pvc_view pvc;
	struct replica replica;
	AUTO(json) json_t *bound = recorded("02-pvc-bound");
	AUTO(json) json_t *terminating = recorded("23-namespace-terminating");
	assert_ok(pvc_view_from_json(bound, &pvc, &err), err);
	assert_string_equal(pvc.of.name, "pgdata");
	assert_false(pvc.of.is_deleting);
	assert_ok(replica_from_json(terminating, &replica, &err), err);
	assert_true(replica.is_deleting);
	assert_int_equal(replica.state, STATE_TERMINATING);
	replica_fini(&replica);
}

static void what_a_restore_says(void **state)
{
	(void)state;
	const struct {
		const char *text;
		bool is_read;
		int major;
		const char *error;
	} rows[] = {
		{"{\"postgres_version\":\"15\",\"bytes\":1,\"files\":2}\n", true, 15, ""},
		{"{\"error\":\"no\",\"stage\":\"restore\"}", true, 0, "no"},
		{"{\"postgres_version\":15}", true, 0, ""},
		{"{\"postgres_version\":\"fifteen\"}", true, 0, ""},
		{"{\"postgres_version\":\"99999999999999999999\"}", true, 0, ""},
		{"{\"postgres_version\":\"4294967311\"}", true, 0, ""},
		{"{\"postgres_version\":\"15\"", false, 0, ""},
		{"", false, 0, ""},
		{"[]", false, 0, ""},
		{"plain text of a shell", false, 0, ""},
	};
	struct restore_message said;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (restore_message_parse(rows[i].text, &said) != rows[i].is_read)
			fail_msg("%s", rows[i].text);
		if (rows[i].is_read && (said.postgres_major != rows[i].major || strcmp(said.error, rows[i].error) != 0))
			fail_msg("%s: major %d, error %s", rows[i].text, said.postgres_major, said.error);
	}
	assert_false(restore_message_parse(NULL, &said));
	assert_true(
		restore_message_parse("{\"layout\":\"debian\",\"engine\":\"restic 0.18.1\",\"seconds\":7,\"bytes\":-3}", &said));
	assert_string_equal(said.layout, "debian");
	assert_string_equal(said.engine, "restic 0.18.1");
	assert_string_equal(said.flavour, "");
	assert_int_equal(said.seconds, 7);
	assert_int_equal(said.bytes, -1);
	assert_int_equal(said.files, -1);
	assert_true(restore_message_parse("{\"flavour\":\"pg_durable\"}", &said));
	assert_string_equal(said.flavour, "pg_durable");
	assert_true(restore_message_parse("{\"layout\":7,\"engine\":[],\"seconds\":\"7\"}", &said));
	assert_string_equal(said.layout, "");
	assert_string_equal(said.engine, "");
	assert_int_equal(said.seconds, -1);
	assert_string_equal(said.backup, "");
}

// A name is known whole or not at all.
static void a_restore_names_its_backup(void **state)
{
	(void)state;
	struct restore_message said;
	char text[RESTORE_BACKUP_SIZE + 32];
	assert_true(restore_message_parse("{\"error\":\"no\",\"backup\":\"2026-11-20\"}", &said));
	assert_string_equal(said.backup, "2026-11-20");
	for (int len = RESTORE_BACKUP_SIZE - 1; len <= RESTORE_BACKUP_SIZE; len++) {
		(void)snprintf(text, sizeof(text), "{\"backup\":\"%0*d\"}", len, 7);
		assert_true(restore_message_parse(text, &said));
		assert_int_equal(strlen(said.backup), len < RESTORE_BACKUP_SIZE ? len : 0);
	}
}

#define METADATA(labels) \
	"\"metadata\":{\"namespace\":\"n\",\"name\":\"p\",\"uid\":\"u\",\"resourceVersion\":\"1\",\"labels\":{" labels "}}"

static struct pod_view read_pod(const char *labels, const char *status)
{
	struct error err = {0};
	struct pod_view pod;
	char text[2048];
	json_t *object = NULL;
	(void)snprintf(text, sizeof(text), "{" METADATA("%s") ",\"status\":{%s}}", labels, status);
	assert_ok(json_parse(text, strlen(text), &object, &err), err);
	assert_ok(pod_view_from_json(object, &pod, &err), err);
	json_decref(object);
	return pod;
}

static void a_pod_that_says_half_says_nothing(void **state)
{
	// What is said, and the reason to wait and the one it ended for that come of it.
	static const struct {
		const char *status, *waits, *ended;
	} rows[] = {
		{"\"conditions\":[{},{\"type\":\"PodScheduled\"},{\"type\":\"Ready\",\"reason\":\"ContainersNotReady\"}]", "",
			""},
		{"\"conditions\":[{\"type\":\"PodScheduled\",\"reason\":\"Unschedulable\"}]", "Unschedulable", ""},
		{"\"reason\":\"Evicted\"", "", "Evicted"},
		{"\"containerStatuses\":[{\"name\":\"a\",\"state\":{\"waiting\":{}}}]", "", ""},
		{"\"containerStatuses\":[{\"name\":\"a\",\"state\":{\"waiting\":{\"reason\":\"PodInitializing\"}}}]", "", ""},
		{"\"containerStatuses\":[{\"name\":\"a\",\"state\":{\"waiting\":{\"reason\":\"ContainerCreating\"}}}]", "", ""},
		{"\"containerStatuses\":[{\"name\":\"a\",\"state\":{\"waiting\":{\"reason\":\"First\"}}},"
		 "{\"name\":\"b\",\"state\":{\"waiting\":{\"reason\":\"Second\"}}}]",
			"First", ""},
		{"\"containerStatuses\":[{\"state\":{\"terminated\":{\"exitCode\":1,\"reason\":\"Error\"}}}]", "", ""},
		{"\"containerStatuses\":[{\"name\":\"a\",\"state\":{\"terminated\":{\"exitCode\":1,\"reason\":\"First\"}}},"
		 "{\"name\":\"b\",\"state\":{\"terminated\":{\"exitCode\":2,\"reason\":\"Second\"}}}]",
			"", "First"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pod_view pod = read_pod("", rows[i].status);
		if (strcmp(pod.waiting_reason, rows[i].waits) != 0 || strcmp(pod.ended_reason, rows[i].ended) != 0)
			fail_msg("%s: waits for \"%s\", ended by \"%s\"", rows[i].status, pod.waiting_reason, pod.ended_reason);
		pod_view_fini(&pod);
	}
}

static void a_pod_of_a_job_is_known_by_either_label(void **state)
{
	(void)state;
	struct pod_view old = read_pod("\"job-name\":\"restore-aaaaaaaa\"", "");
	struct pod_view new = read_pod("\"batch.kubernetes.io/job-name\":\"restore-aaaaaaaa\"", "");
	struct pod_view none = read_pod("\"app\":\"restore-aaaaaaaa\"", "");
	assert_true(old.is_restore && new.is_restore);
	assert_false(none.is_restore);
	pod_view_fini(&old);
	pod_view_fini(&new);
	pod_view_fini(&none);
}

static void counts_that_are_none_are_zero(void **state)
{
	static const struct {
		const char *restarts;
		int expected;
	} rows[] = {{"3", 3}, {"-1", 0}, {"99999999999", INT_MAX}, {"\"3\"", 0}};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char status[256];
		(void)snprintf(status, sizeof(status),
			"\"initContainerStatuses\":[{\"name\":\"prepare\",\"restartCount\":%s,\"state\":{\"running\":{"
			"\"startedAt\":\"yesterday\"}}}]",
			rows[i].restarts);
		struct pod_view pod = read_pod("", status);
		assert_int_equal(pod.prepare_restarts, rows[i].expected);
		assert_int_equal(pod.prepare, PREPARE_RUNNING);
		assert_int_equal(pod.prepare_started_at_ms, 0);
		pod_view_fini(&pod);
	}
}

static void conditions_and_counts_that_are_half_are_none(void **state)
{
	static const struct {
		const char *conditions;
		enum job_outcome outcome;
	} jobs_rows[] = {
		{"[]", JOB_RUNNING},
		{"[{}]", JOB_RUNNING},
		{"[{\"type\":\"Complete\"}]", JOB_RUNNING},
		{"[{\"status\":\"True\"}]", JOB_RUNNING},
		{"[{\"type\":\"Complete\",\"status\":\"False\"}]", JOB_RUNNING},
		{"[{},{\"type\":\"Complete\",\"status\":\"True\"}]", JOB_COMPLETE},
	};
	static const struct {
		const char *annotations, *replicas;
		bool is_available, has_tls;
		int64_t bytes;
	} deployments_rows[] = {
		{"\"pgro.bes.au/tls\":\"on\",\"pgro.bes.au/restored-bytes\":\"7\"", "1", true, true, 7},
		{"\"pgro.bes.au/tls\":\"off\",\"pgro.bes.au/restored-bytes\":\"\"", "0", false, false, -1},
		{"\"pgro.bes.au/restored-bytes\":\"-7\"", "\"1\"", false, false, -1},
		{"\"pgro.bes.au/restored-bytes\":\"7 bytes\"", "1", true, false, -1},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(jobs_rows) / sizeof(jobs_rows[0]); i++) {
		struct error err = {0};
		struct job_view job;
		char text[512];
		(void)snprintf(text, sizeof(text), "{" METADATA("") ",\"status\":{\"conditions\":%s}}", jobs_rows[i].conditions);
		AUTO(json) json_t *object = json_loads(text, 0, NULL);
		assert_ok(job_view_from_json(object, &job, &err), err);
		if (job.outcome != jobs_rows[i].outcome)
			fail_msg("%s: outcome %d", jobs_rows[i].conditions, (int)job.outcome);
	}
	for (size_t i = 0; i < sizeof(deployments_rows) / sizeof(deployments_rows[0]); i++) {
		struct error err = {0};
		struct deployment_view view;
		char text[512];
		(void)snprintf(text, sizeof(text),
			"{\"metadata\":{\"namespace\":\"n\",\"name\":\"p\",\"uid\":\"u\",\"annotations\":{%s}},\"status\":{"
			"\"availableReplicas\":%s,\"conditions\":[{\"type\":\"Available\",\"status\":\"True\"}]}}",
			deployments_rows[i].annotations, deployments_rows[i].replicas);
		AUTO(json) json_t *object = json_loads(text, 0, NULL);
		assert_ok(deployment_view_from_json(object, &view, &err), err);
		if (view.is_available != deployments_rows[i].is_available || view.has_tls != deployments_rows[i].has_tls ||
			view.restored_bytes != deployments_rows[i].bytes)
			fail_msg("%s, %s: available %d, TLS %d, %lld bytes", deployments_rows[i].annotations,
				deployments_rows[i].replicas, view.is_available, view.has_tls, (long long)view.restored_bytes);
	}
}

static void an_object_without_metadata_is_an_error(void **state)
{
	(void)state;
	struct error err = {0};
	struct job_view job;
	struct pod_view pod;
	struct replica replica;
	AUTO(json) json_t *nothing = json_object();
	assert_error(job_view_from_json(nothing, &job, &err), err, ERROR_INVALID, "\"namespace\" is missing");
	assert_error(pod_view_from_json(nothing, &pod, &err), err, ERROR_INVALID, "\"namespace\" is missing");
	AUTO(json) json_t *nameless = json_pack("{s:{s:s}}", "metadata", "namespace", "n");
	assert_error(job_view_from_json(nameless, &job, &err), err, ERROR_INVALID, "\"name\" is missing");
	AUTO(json) json_t *without_uid = json_pack("{s:{s:s,s:s}}", "metadata", "namespace", "n", "name", "p");
	assert_error(job_view_from_json(without_uid, &job, &err), err, ERROR_INVALID, "\"uid\" is missing");
	assert_error(replica_from_json(nothing, &replica, &err), err, ERROR_INVALID, "\"name\" is missing");
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(jobs),
		cmocka_unit_test(a_restore_names_its_backup),
		cmocka_unit_test(a_failure_that_is_not_terminal_decides_nothing),
		cmocka_unit_test(deployments),
		cmocka_unit_test(pods),
		cmocka_unit_test(where_prepare_stands),
		cmocka_unit_test(the_restore_container_speaks_for_its_pod),
		cmocka_unit_test(volumes_and_namespaces),
		cmocka_unit_test(what_a_restore_says),
		cmocka_unit_test(a_pod_that_says_half_says_nothing),
		cmocka_unit_test(a_pod_of_a_job_is_known_by_either_label),
		cmocka_unit_test(counts_that_are_none_are_zero),
		cmocka_unit_test(conditions_and_counts_that_are_half_are_none),
		cmocka_unit_test(an_object_without_metadata_is_an_error),
	};
	return cmocka_run_group_tests_name("reconciler/workload", cases, NULL, NULL);
}
