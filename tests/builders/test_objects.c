#include "builders/objects.h"
#include "tests/builders/expect.h"
#include "tests/builders/sample.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <string.h>

static void every_object_says_whose_it_is(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	sample_init(&s, INTENT_ANALYTICS, "restic");
	AUTO(json) json_t *objects = NULL;
	assert_ok(sample_objects(&s, &objects, &err), err);
	assert_int_equal(json_array_size(objects), 18);
	for (size_t i = 0; i < json_array_size(objects); i++) {
		const json_t *object = json_array_get(objects, i);
		const json_t *labels = json_find(object, "metadata", "labels");
		assert_str(LABEL_MANAGED_BY_VALUE, labels, LABEL_MANAGED_BY);
		if (strcmp(json_find_str(object, "kind"), "Event") == 0)
			continue;
		assert_str("6f1c1f6e-0c0e-4b7a-9a55-0d6a4a1f2b01", labels, LABEL_DECLARATION_ID);
		assert_str("11111111-2222-4333-8444-555555555555", labels, LABEL_GROUP);
		assert_str("b0a7c0de-1111-4222-8333-444455556666", labels, LABEL_SERVER);
		assert_str("postgresql-physical", labels, LABEL_TYPE);
		assert_str("analytics", labels, LABEL_INTENT);
		assert_str("nauru-prod-21779af8", labels, LABEL_INSTANCE);
		assert_str("understory", labels, "app.kubernetes.io/managed-by");
		assert_non_null(json_find_str(labels, "app.kubernetes.io/name"));
		assert_non_null(json_find_str(labels, LABEL_COMPONENT));
		bool of_a_round = strstr(json_find_str(object, "metadata", "name"), s.round.key) != NULL;
		assert_int_equal(of_a_round, json_find(labels, LABEL_ROUND) != NULL);
	}
}

static void the_same_input_gives_the_same_objects(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	sample_init(&s, INTENT_VERIFY, "kopia");
	AUTO(json) json_t *once = NULL;
	AUTO(json) json_t *again = NULL;
	assert_ok(sample_objects(&s, &once, &err), err);
	assert_ok(sample_objects(&s, &again, &err), err);
	assert_true(json_equal(once, again));
}

static void the_namespace_holds_the_desired_state(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	sample_init(&s, INTENT_VERIFY, "restic");
	AUTO(json) json_t *object = NULL;
	assert_ok(build_namespace(&s.build, &object, &err), err);
	assert_str("nauru-prod-21779af8", object, "metadata", "name");
	assert_str("restricted", object, "metadata", "labels", "pod-security.kubernetes.io/enforce");
	assert_str("restricted", object, "metadata", "labels", "pod-security.kubernetes.io/warn");
	assert_str("restricted", object, "metadata", "labels", "pod-security.kubernetes.io/audit");
	assert_json("annotations: the type was no label value", json_find(object, "metadata", "annotations"),
		"{'pgro.bes.au/restore-state':'pending', 'pgro.bes.au/desired-snapshot-id':'" SAMPLE_SNAPSHOT "',"
		"'pgro.bes.au/desired-snapshot-at':'2026-11-19T22:00:00Z', 'pgro.bes.au/type':'postgresql physical'}");
}

static void a_namespace_without_a_snapshot_desires_none(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	sample_init(&s, INTENT_VERIFY, "restic");
	s.entry.snapshot_id = s.entry.snapshot_at = NULL;
	AUTO(json) json_t *object = NULL;
	assert_ok(build_namespace(&s.build, &object, &err), err);
	assert_json("annotations", json_find(object, "metadata", "annotations"),
		"{'pgro.bes.au/restore-state':'pending', 'pgro.bes.au/type':'postgresql physical'}");
}

static void rights_come_by_a_binding_in_the_namespace(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	sample_init(&s, INTENT_VERIFY, "restic");
	AUTO(json) json_t *binding = NULL;
	AUTO(json) json_t *account = NULL;
	assert_ok(build_role_binding(&s.build, &binding, &err), err);
	assert_str("understory", binding, "metadata", "name");
	assert_json("roleRef", json_find(binding, "roleRef"),
		"{'apiGroup':'rbac.authorization.k8s.io','kind':'ClusterRole','name':'understory-replica'}");
	assert_json("subjects", json_find(binding, "subjects"),
		"[{'kind':'ServiceAccount','name':'understory','namespace':'pgro-system'}]");
	assert_ok(build_service_account(&s.build, &account, &err), err);
	assert_str("restore", account, "metadata", "name");
	assert_true(json_is_false(json_find(account, "automountServiceAccountToken")));
}

static char *copied(char *room, size_t size, const char *text)
{
	(void)snprintf(room, size, "%s", text);
	return room;
}

#define OPERATOR "[{'namespaceSelector':{'matchLabels':{'kubernetes.io/metadata.name':'pgro-system'}}}]"

static void traffic_is_closed_but_for_what_is_named(void **state)
{
	(void)state;
	static const struct {
		const char *label;
		enum settings_intent intent;
		const char *endpoint, *broker, *egress, *ingress;
	} rows[] = {
		{"verify", INTENT_VERIFY, "http://s3.example.org:7480/", NULL, "[{'protocol':'TCP','port':7480}]",
			"[{'from':" OPERATOR ",'ports':[{'protocol':'TCP','port':5432}]}]"},
		{"analytics", INTENT_ANALYTICS, NULL, NULL, "[{'protocol':'TCP','port':443}]",
			"[{'ports':[{'protocol':'TCP','port':5432}]}]"},
		{"disaster-recovery", INTENT_DISASTER_RECOVERY, "http://[2001:db8::1]", NULL, "[{'protocol':'TCP','port':80}]",
			"[{'ports':[{'protocol':'TCP','port':5432}]}]"},
		{"verify, other ports", INTENT_VERIFY, "https://s3:9000", "https://b.example.org:8443",
			"[{'protocol':'TCP','port':9000}]", "[{'from':" OPERATOR ",'ports':[{'protocol':'TCP','port':5432}]}]"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct error err = {0};
		struct sample s;
		char endpoint[64];
		char broker[64];
		sample_init(&s, rows[i].intent, "restic");
		s.settings.s3_endpoint = rows[i].endpoint == NULL ? NULL : copied(endpoint, sizeof endpoint, rows[i].endpoint);
		s.settings.broker_url = rows[i].broker == NULL ? NULL : copied(broker, sizeof broker, rows[i].broker);
		AUTO(json) json_t *policies = NULL;
		assert_ok(build_network_policies(&s.build, &policies, &err), err);
		assert_int_equal(json_array_size(policies), 3);
		assert_json(rows[i].label, json_find(json_array_get(policies, 0), "spec"),
			"{'podSelector':{},'policyTypes':['Ingress','Egress']}");

		const json_t *egress = json_find(json_array_get(policies, 1), "spec", "egress");
		assert_json(rows[i].label, json_array_get(egress, 0),
			"{'ports':[{'protocol':'UDP','port':53},{'protocol':'TCP','port':53}]}");
		assert_json(rows[i].label, json_find(json_array_get(egress, 1), "ports"), rows[i].egress);
		assert_json(rows[i].label, json_find(json_array_get(egress, 2), "to"), OPERATOR);
		assert_json(rows[i].label, json_find(json_array_get(json_find(json_array_get(egress, 2), "ports"), 0), "port"),
			rows[i].broker == NULL ? "9091" : "8443");
		assert_int_equal(json_array_size(egress), 3);

		const json_t *database = json_find(json_array_get(policies, 2), "spec");
		assert_json(rows[i].label, json_find(database, "ingress"), rows[i].ingress);
		assert_json(rows[i].label, json_find(database, "podSelector", "matchLabels"),
			"{'app.kubernetes.io/instance':'nauru-prod-21779af8','app.kubernetes.io/component':'database'}");
	}
}

static void an_endpoint_that_is_no_url_is_refused(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	char endpoint[] = "not a url";
	sample_init(&s, INTENT_VERIFY, "restic");
	s.settings.s3_endpoint = endpoint;
	json_t *policies = NULL;
	assert_error(
		build_network_policies(&s.build, &policies, &err), err, ERROR_INVALID, "\"not a url\" is no http or https URL");
	assert_null(policies);
}

static void the_volume_has_the_rounds_size(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	sample_init(&s, INTENT_VERIFY, "restic");
	AUTO(json) json_t *object = NULL;
	assert_ok(build_pvc(&s.build, &s.round, &object, &err), err);
	assert_str("pgdata-0a1b2c3d", object, "metadata", "name");
	assert_json("spec", json_find(object, "spec"),
		"{'accessModes':['ReadWriteOnce'],'resources':{'requests':{'storage':'20Gi'}},'storageClassName':'fast'}");
	s.settings.storage_class = NULL;
	AUTO(json) json_t *by_default = NULL;
	assert_ok(build_pvc(&s.build, &s.round, &by_default, &err), err);
	assert_null(json_find(by_default, "spec", "storageClassName"));
}

static void the_restore_job_tries_again_only_what_may_pass(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	sample_init(&s, INTENT_VERIFY, "restic");
	AUTO(json) json_t *job = NULL;
	assert_ok(build_restore_job(&s.build, &s.round, &job, &err), err);
	const json_t *spec = json_find(job, "spec");
	assert_str("restore-0a1b2c3d", job, "metadata", "name");
	assert_str("canopy-restore", job, "metadata", "labels", LABEL_JOB_KIND);
	assert_str("canopy-restore", spec, "template", "metadata", "labels", LABEL_JOB_KIND);
	assert_int_equal(json_find_int(-1, spec, "backoffLimit"), 3);
	assert_int_equal(json_find_int(-1, spec, "activeDeadlineSeconds"), 14400);
	assert_str("Failed", spec, "podReplacementPolicy");
	assert_null(json_find(spec, "ttlSecondsAfterFinished"));
	const json_t *rules = json_find(spec, "podFailurePolicy", "rules");
	assert_json("first rule", json_array_get(rules, 0),
		"{'action':'Ignore','onPodConditions':[{'type':'DisruptionTarget','status':'True'}]}");
	assert_str("restore", json_array_get(rules, 1), "onExitCodes", "containerName");
	assert_str("In", json_array_get(rules, 1), "onExitCodes", "operator");
	assert_int_equal(json_array_size(rules), 2);
	const json_t *pod = json_find(spec, "template", "spec");
	assert_str("Never", pod, "restartPolicy");
	assert_str("restore", pod, "serviceAccountName");
	assert_json("nodeSelector", json_find(pod, "nodeSelector"), "{'pool':'replicas'}");
	assert_json("tolerations", json_find(pod, "tolerations"),
		"[{'key':'replicas','operator':'Equal','value':'yes','effect':'NoSchedule'},{'key':'spot','operator':'Exists'}]");
	assert_str("false", spec, "template", "metadata", "annotations", "cluster-autoscaler.kubernetes.io/safe-to-evict");
}

static void the_restore_container_has_keys_from_its_secret_alone(void **state)
{
	(void)state;
	static const struct {
		const char *engine, *image, *password;
	} rows[] = {
		{"restic", "example.org/restic:0.14", "RESTIC_PASSWORD"},
		{"kopia", "example.org/kopia:0.17", "KOPIA_PASSWORD"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct error err = {0};
		struct sample s;
		sample_init(&s, INTENT_VERIFY, rows[i].engine);
		AUTO(json) json_t *job = NULL;
		assert_ok(build_restore_job(&s.build, &s.round, &job, &err), err);
		const json_t *container = json_array_get(json_find(job, "spec", "template", "spec", "containers"), 0);
		const json_t *env = json_find(container, "env");
		assert_str("restore", container, "name");
		assert_str(rows[i].image, container, "image");
		assert_str(SAMPLE_SNAPSHOT, named(env, "SNAPSHOT_ID"), "value");
		assert_str("http://s3.example.org:7480", named(env, "S3_ENDPOINT"), "value");
		assert_str("backups", named(env, "S3_BUCKET"), "value");
		assert_str("nauru/", named(env, "S3_PREFIX"), "value");
		assert_str("ap-southeast-2", named(env, "S3_REGION"), "value");
		assert_str("/run/understory-s3-ca/ca.crt", named(env, "S3_CA_FILE"), "value");
		assert_json(rows[i].engine, json_find(named(env, rows[i].password), "valueFrom"),
			"{'secretKeyRef':{'name':'restore-0a1b2c3d','key':'repositoryPassword'}}");
		assert_json(rows[i].engine, json_find(named(env, "AWS_SECRET_ACCESS_KEY"), "valueFrom"),
			"{'secretKeyRef':{'name':'restore-0a1b2c3d','key':'secretAccessKey'}}");
		assert_json(rows[i].engine, json_find(named(env, "AWS_SESSION_TOKEN"), "valueFrom"),
			"{'secretKeyRef':{'name':'restore-0a1b2c3d','key':'sessionToken'}}");
		assert_json(rows[i].engine, json_find(container, "resources"),
			"{'requests':{'cpu':'250m','memory':'256Mi'},'limits':{'cpu':'2','memory':'1Gi'}}");
		AUTO_FREE char *text = NULL;
		assert_ok(json_print(job, &text, &err), err);
		assert_null(strstr(text, "very/secret"));
	}
}

static void without_an_endpoint_the_store_is_the_regions(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	sample_init(&s, INTENT_VERIFY, "restic");
	s.settings.s3_endpoint = NULL;
	s.build.s3_ca_pem = NULL;
	AUTO(json) json_t *job = NULL;
	assert_ok(build_restore_job(&s.build, &s.round, &job, &err), err);
	const json_t *pod = json_find(job, "spec", "template", "spec");
	const json_t *container = json_array_get(json_find(pod, "containers"), 0);
	assert_str("https://s3.ap-southeast-2.amazonaws.com", named(json_find(container, "env"), "S3_ENDPOINT"), "value");
	assert_null(named(json_find(container, "env"), "S3_CA_FILE"));
	assert_null(named(json_find(pod, "volumes"), "s3-ca"));
}

static void a_job_without_its_image_or_engine_is_refused(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	json_t *job = NULL;
	sample_init(&s, INTENT_VERIFY, "tar");
	assert_error(build_restore_job(&s.build, &s.round, &job, &err), err, ERROR_INVALID,
		"Job restore-0a1b2c3d: engine \"tar\" is not known, allowed is kopia, restic");
	s.entry.engine = NULL; // no rule for its type: kopia
	s.settings.kopia_image = NULL;
	assert_error(build_restore_job(&s.build, &s.round, &job, &err), err, ERROR_INVALID,
		"Job restore-0a1b2c3d: setting KOPIA_IMAGE is not set, backup type \"postgresql physical\" needs it");
	assert_null(job);
}

static struct build_event event_about_a_job(void)
{
	return (struct build_event){.namespace = "nauru-prod-21779af8",
		.regarding_kind = "Job",
		.regarding_api_version = "batch/v1",
		.regarding_name = "restore-0a1b2c3d",
		.regarding_uid = "57b51ab9-630d-4725-b81b-de35cd0fee96",
		.reason = "RestoreStarted",
		.action = "Restore",
		.note = "restoring",
		.now_ms = 1795000000123,
		.instance = "understory-0",
		.unique = "19f3c6b1a2d"};
}

static void an_event_is_where_what_it_regards_is(void **state)
{
	(void)state;
	struct error err = {0};
	struct build_event event = event_about_a_job();
	AUTO(json) json_t *job = NULL;
	AUTO(json) json_t *namespace = NULL;
	assert_ok(build_event(&event, &job, &err), err);
	assert_json("about a Job", job,
		"{'apiVersion':'events.k8s.io/v1','kind':'Event','metadata':{'name':'nauru-prod-21779af8.19f3c6b1a2d',"
		"'namespace':'nauru-prod-21779af8','labels':{'pgro.bes.au/managed-by':'pgro-canopy'}},"
		"'eventTime':'2026-11-18T11:06:40.123000Z','reportingController':'pgro.bes.au/understory',"
		"'reportingInstance':'understory-0','action':'Restore','reason':'RestoreStarted','type':'Normal','note':'"
		"restoring',"
		"'regarding':{'apiVersion':'batch/v1','kind':'Job','namespace':'nauru-prod-21779af8','name':'restore-0a1b2c3d',"
		"'uid':'57b51ab9-630d-4725-b81b-de35cd0fee96'}}");
	event.regarding_kind = NULL;
	event.is_warning = true;
	assert_ok(build_event(&event, &namespace, &err), err);
	assert_str("default", namespace, "metadata", "namespace");
	assert_str("Warning", namespace, "type");
	assert_json("about the Namespace", json_find(namespace, "regarding"),
		"{'apiVersion':'v1','kind':'Namespace','name':'nauru-prod-21779af8','uid':'57b51ab9-630d-4725-b81b-de35cd0fee96'"
		"}");
}

static void a_note_is_cut_between_characters(void **state)
{
	(void)state;
	static const struct {
		const char *label;
		size_t before; // bytes of 'x' before one é (two bytes)
		size_t expected;
	} rows[] = {{"fits", 1022, 1024}, {"would be halved", 1023, 1023}, {"too long by all of it", 1024, 1024}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct error err = {0};
		struct build_event event = event_about_a_job();
		char note[1100];
		memset(note, 'x', rows[i].before);
		memcpy(note + rows[i].before, "é", sizeof "é");
		event.note = note;
		AUTO(json) json_t *object = NULL;
		assert_ok(build_event(&event, &object, &err), err);
		if (json_string_length(json_find(object, "note")) != rows[i].expected)
			fail_msg("%s: %zu bytes", rows[i].label, json_string_length(json_find(object, "note")));
	}
}

static void text_that_is_no_utf8_is_an_error_and_no_object(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	char bucket[] = "b\xff";
	sample_init(&s, INTENT_VERIFY, "restic");
	s.entry.bucket = bucket;
	json_t *job = NULL;
	assert_error(build_restore_job(&s.build, &s.round, &job, &err), err, ERROR_INTERNAL,
		"Job restore-0a1b2c3d: pod: could not be built");
	assert_null(job);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(every_object_says_whose_it_is),
		cmocka_unit_test(the_same_input_gives_the_same_objects),
		cmocka_unit_test(the_namespace_holds_the_desired_state),
		cmocka_unit_test(a_namespace_without_a_snapshot_desires_none),
		cmocka_unit_test(rights_come_by_a_binding_in_the_namespace),
		cmocka_unit_test(traffic_is_closed_but_for_what_is_named),
		cmocka_unit_test(an_endpoint_that_is_no_url_is_refused),
		cmocka_unit_test(the_volume_has_the_rounds_size),
		cmocka_unit_test(the_restore_job_tries_again_only_what_may_pass),
		cmocka_unit_test(the_restore_container_has_keys_from_its_secret_alone),
		cmocka_unit_test(without_an_endpoint_the_store_is_the_regions),
		cmocka_unit_test(a_job_without_its_image_or_engine_is_refused),
		cmocka_unit_test(an_event_is_where_what_it_regards_is),
		cmocka_unit_test(a_note_is_cut_between_characters),
		cmocka_unit_test(text_that_is_no_utf8_is_an_error_and_no_object),
	};
	return cmocka_run_group_tests_name("builders/objects", cases, NULL, NULL);
}
