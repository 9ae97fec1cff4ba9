#include "base/encode.h"
#include "builders/objects.h"
#include "builders/scripts.h"
#include "builders/sizing.h"
#include "tests/builders/expect.h"
#include "tests/builders/sample.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <string.h>

static void assert_secret(const json_t *object, const char *key, const char *expected)
{
	struct error err = {0};
	AUTO_FREE char *value = NULL;
	size_t len = 0;
	const char *encoded = json_find_str(object, "data", key);
	if (encoded == NULL)
		fail_msg("Secret has no %s", key);
	assert_ok(encode_unbase64(encoded, &value, &len, &err), err);
	assert_int_equal(len, strlen(expected));
	expect_str(key, value, expected);
}

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

static void secrets_hold_what_pods_and_people_need(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	sample_init(&s, INTENT_ANALYTICS, "restic");
	AUTO(json) json_t *superuser = NULL;
	AUTO(json) json_t *analytics = NULL;
	assert_ok(build_superuser_secret(&s.build, &s.password, &superuser, &err), err);
	assert_str("postgres-superuser", superuser, "metadata", "name");
	assert_str("Opaque", superuser, "type");
	assert_secret(superuser, "username", "postgres");
	assert_secret(superuser, "password", "p w");
	assert_int_equal(json_object_size(json_find(superuser, "data")), 2);
	assert_ok(build_analytics_secret(&s.build, &s.password, &analytics, &err), err);
	assert_str("analytics-credentials", analytics, "metadata", "name");
	assert_secret(analytics, "username", "analytics");
	assert_secret(analytics, "password", "p w");
	assert_secret(analytics, "host", "postgres.nauru-prod-21779af8.svc");
	assert_secret(analytics, "port", "5432");
	assert_secret(analytics, "database", "postgres");
	assert_secret(analytics, "sslmode", "verify-full");
	assert_secret(analytics, "ca.crt", SAMPLE_BROKER_CA);
	assert_int_equal(json_object_size(json_find(analytics, "data")), 7);
}

static void people_are_told_how_to_come_in(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	sample_init(&s, INTENT_ANALYTICS, "restic");
	AUTO(json) json_t *with = NULL;
	AUTO(json) json_t *without = NULL;
	AUTO(json) json_t *plain = NULL;
	assert_ok(build_analytics_tls(SAMPLE_CA, &with, &err), err);
	assert_secret(with, "sslmode", "verify-full");
	assert_secret(with, "ca.crt", SAMPLE_CA);
	assert_int_equal(json_object_size(json_find(with, "data")), 2);
	assert_ok(build_analytics_tls(NULL, &without, &err), err);
	assert_json("a merge patch that takes it away", without, "{'data':{'ca.crt':null,'sslmode':null}}");
	sample_without_tls(&s);
	assert_ok(build_analytics_secret(&s.build, &s.password, &plain, &err), err);
	assert_int_equal(json_object_size(json_find(plain, "data")), 5);
}

static void the_certificate_of_postgres_is_a_secret_of_the_replica(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	sample_init(&s, INTENT_VERIFY, "restic");
	AUTO(json) json_t *object = NULL;
	assert_ok(build_tls_secret(&s.build, &s.certificate, &object, &err), err);
	assert_str("postgres-tls", object, "metadata", "name");
	assert_null(json_find(object, "metadata", "labels", LABEL_ROUND));
	assert_secret(object, "tls.crt", "certificate");
	assert_secret(object, "tls.key", "its key");
	assert_secret(object, "ca.crt", SAMPLE_BROKER_CA);
	assert_int_equal(json_object_size(json_find(object, "data")), 3);
	sample_without_tls(&s);
	json_t *none = NULL;
	assert_error(build_tls_secret(&s.build, &s.certificate, &none, &err), err, ERROR_INTERNAL, "no CA yet");
}

static void keys_of_the_store_enter_the_cluster_with_direct_credentials_only(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	sample_init(&s, INTENT_VERIFY, "restic");
	AUTO(json) json_t *direct = NULL;
	AUTO(json) json_t *proxied = NULL;
	assert_ok(build_restore_secret(&s.build, &s.round, &s.credentials, &direct, &err), err);
	assert_str("restore-0a1b2c3d", direct, "metadata", "name");
	assert_secret(direct, "repositoryPassword", "repository");
	assert_secret(direct, "accessKeyId", "AKIA");
	assert_secret(direct, "secretAccessKey", "very/secret");
	assert_secret(direct, "sessionToken", "token==");
	assert_secret(direct, "caCertificate", SAMPLE_CA);

	assert_secret(direct, "restore.sh", script_restore_restic);
	assert_int_equal(json_object_size(json_find(direct, "data")), 6);

	sample_take_way(&s, WAY_NATIVE_SIDECAR);
	assert_ok(build_restore_secret(&s.build, &s.round, &s.credentials, &proxied, &err), err);
	assert_secret(proxied, "repositoryPassword", "repository");
	assert_secret(proxied, "caCertificate", SAMPLE_CA);
	assert_secret(proxied, "brokerCaCertificate", SAMPLE_BROKER_CA);
	assert_int_equal(json_object_size(json_find(proxied, "data")), 4);
}

// One that is made late has no volume any more: the garbage collector takes it.
static void assert_owned_by(const json_t *volume, const json_t *secret)
{
	const json_t *owners = json_find(secret, "metadata", "ownerReferences");
	assert_int_equal(json_array_size(owners), 1);
	const json_t *owner = json_array_get(owners, 0);
	assert_int_equal(json_object_size(owner), 4);
	assert_str(json_find_str(volume, "apiVersion"), owner, "apiVersion");
	assert_str(json_find_str(volume, "kind"), owner, "kind");
	assert_str(json_find_str(volume, "metadata", "name"), owner, "name");
	assert_str(SAMPLE_VOLUME_UID, owner, "uid");
}

static void the_rounds_secrets_belong_to_its_volume(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	sample_init(&s, INTENT_VERIFY, "restic");
	AUTO(json) json_t *restore = NULL;
	AUTO(json) json_t *database = NULL;
	AUTO(json) json_t *volume = NULL;
	json_t *nothing = NULL;
	assert_ok(build_restore_secret(&s.build, &s.round, &s.credentials, &restore, &err), err);
	assert_ok(build_database_secret(&s.build, &s.round, &s.restored, &database, &err), err);
	assert_ok(build_pvc(&s.build, &s.round, &volume, &err), err);
	assert_owned_by(volume, restore);
	assert_owned_by(volume, database);
	s.round.volume_uid = "";
	assert_error(build_restore_secret(&s.build, &s.round, &s.credentials, &nothing, &err), err, ERROR_INTERNAL,
		"Secret restore-0a1b2c3d: the uid of pgdata-0a1b2c3d is not known");
	assert_error(build_database_secret(&s.build, &s.round, &s.restored, &nothing, &err), err, ERROR_INTERNAL,
		"Secret postgres-0a1b2c3d: the uid of pgdata-0a1b2c3d is not known");
}

// What is watched and listed, and lies in a cluster three times for each database.
#define POD_BYTES_MOST 8192

static void assert_runs(const json_t *workload, const char *container, const char *secret, const char *script)
{
	struct error err = {0};
	char command[64];
	AUTO_FREE char *text = NULL;
	const json_t *pod = json_find(workload, "spec", "template", "spec");
	const json_t *its = named(json_find(pod, "containers"), container);
	its = its == NULL ? named(json_find(pod, "initContainers"), container) : its;
	(void)snprintf(command, sizeof(command), "['/bin/sh','/scripts/%s']", script);
	assert_json(container, json_find(its, "command"), command);
	assert_str("/scripts", named(json_find(its, "volumeMounts"), "scripts"), "mountPath");
	const json_t *volume = json_find(named(json_find(pod, "volumes"), "scripts"), "secret");
	assert_str(secret, volume, "secretName");
	size_t found = 0, i;
	const json_t *item;
	json_array_foreach (json_object_get(volume, "items"), i, item)
		found += strcmp(json_find_str(item, "key"), script) == 0 && strcmp(json_find_str(item, "path"), script) == 0;
	assert_int_equal(found, 1);
	assert_ok(json_print(workload, &text, &err), err);
	assert_true(strlen(text) < POD_BYTES_MOST);
}

static void what_pods_run_is_in_secrets_of_the_round(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	sample_init(&s, INTENT_ANALYTICS, "restic");
	sample_take_way(&s, WAY_NATIVE_SIDECAR);
	AUTO(json) json_t *job = NULL;
	AUTO(json) json_t *secret = NULL;
	AUTO(json) json_t *deployment = NULL;
	assert_ok(build_restore_job(&s.build, &s.round, &job, &err), err);
	assert_ok(build_database_secret(&s.build, &s.round, &s.restored, &secret, &err), err);
	assert_ok(build_deployment(&s.build, &s.round, &s.restored, &deployment, &err), err);
	assert_runs(job, CONTAINER_RESTORE, "restore-0a1b2c3d", "restore.sh");
	assert_runs(deployment, CONTAINER_PREPARE, "postgres-0a1b2c3d", "prepare.sh");
	assert_runs(deployment, CONTAINER_POSTGRES, "postgres-0a1b2c3d", "postgres.sh");
	assert_secret(secret, "prepare.sh", script_prepare);
	assert_secret(secret, "postgres.sh", script_postgres);
	assert_int_equal(json_object_size(json_find(secret, "data")), 2);
}

// A pod waits for ever for a key that its Secret lacks.
static void credentials_without_a_token_have_an_empty_one(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	sample_init(&s, INTENT_VERIFY, "restic");
	s.credentials.session_token = (struct secret){0};
	AUTO(json) json_t *object = NULL;
	assert_ok(build_restore_secret(&s.build, &s.round, &s.credentials, &object, &err), err);
	assert_secret(object, "sessionToken", "");
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

static void the_deployment_prepares_and_serves(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	sample_init(&s, INTENT_ANALYTICS, "restic");
	AUTO(json) json_t *object = NULL;
	assert_ok(build_deployment(&s.build, &s.round, &s.restored, &object, &err), err);
	assert_str("postgres-0a1b2c3d", object, "metadata", "name");
	assert_str("15", object, "metadata", "labels", LABEL_VERSION);
	assert_json("annotations", json_find(object, "metadata", "annotations"),
		"{'pgro.bes.au/flavour':'stock','pgro.bes.au/restored-bytes':'48779104','pgro.bes.au/restored-files':'1271',"
		"'pgro.bes.au/sizing':'" SAMPLE_SIZING "','pgro.bes.au/tls':'on'}");
	const json_t *spec = json_find(object, "spec");
	assert_int_equal(json_find_int(-1, spec, "replicas"), 1);
	assert_str("Recreate", spec, "strategy", "type");
	assert_int_equal(json_find_int(-1, spec, "progressDeadlineSeconds"), INT32_MAX);
	const json_t *pod = json_find(spec, "template", "spec");
	assert_int_equal(json_find_int(-1, pod, "terminationGracePeriodSeconds"), 60);
	assert_str("pgdata-0a1b2c3d", named(json_find(pod, "volumes"), "pgdata"), "persistentVolumeClaim", "claimName");
	assert_json("dshm", named(json_find(pod, "volumes"), "dshm"), "{'name':'dshm','emptyDir':{'medium':'Memory'}}");

	const json_t *prepare = named(json_find(pod, "initContainers"), CONTAINER_PREPARE);
	assert_str("example.org/postgres:15", prepare, "image");
	assert_str("analytics", named(json_find(prepare, "env"), "INTENT"), "value");
	assert_str(
		"postgres-superuser", named(json_find(prepare, "env"), "POSTGRES_PASSWORD"), "valueFrom", "secretKeyRef", "name");
	assert_str("analytics-credentials", named(json_find(prepare, "env"), "ANALYTICS_PASSWORD"), "valueFrom", "secretKeyRef",
		"name");

	const json_t *postgres = named(json_find(pod, "containers"), CONTAINER_POSTGRES);
	assert_str("example.org/postgres:15", postgres, "image");
	assert_str("status.podIP", named(json_find(postgres, "env"), "POD_IP"), "valueFrom", "fieldRef", "fieldPath");
	assert_str("FallbackToLogsOnError", postgres, "terminationMessagePolicy");
	assert_str("/run/understory", named(json_find(postgres, "volumeMounts"), "run"), "mountPath");
	assert_non_null(json_find(postgres, "readinessProbe", "exec", "command"));
}

static void the_server_alone_has_the_key(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	sample_init(&s, INTENT_VERIFY, "restic");
	AUTO(json) json_t *object = NULL;
	AUTO(json) json_t *plain = NULL;
	assert_ok(build_deployment(&s.build, &s.round, &s.restored, &object, &err), err);
	const json_t *pod = json_find(object, "spec", "template", "spec");
	const json_t *prepare = named(json_find(pod, "initContainers"), CONTAINER_PREPARE);
	const json_t *postgres = named(json_find(pod, "containers"), CONTAINER_POSTGRES);
	assert_str("on", object, "metadata", "annotations", ANN_TLS);
	assert_json("root's, and the group reads it (0440)", named(json_find(pod, "volumes"), "tls"),
		"{'name':'tls','secret':{'secretName':'postgres-tls','defaultMode':288,"
		"'items':[{'key':'tls.crt','path':'tls.crt'},{'key':'tls.key','path':'tls.key'}]}}");
	assert_json("mount", named(json_find(postgres, "volumeMounts"), "tls"),
		"{'name':'tls','mountPath':'/run/understory-tls','readOnly':true}");
	assert_str("/run/understory-tls", named(json_find(postgres, "env"), "TLS_DIR"), "value");
	assert_null(named(json_find(prepare, "volumeMounts"), "tls"));
	assert_null(named(json_find(prepare, "env"), "TLS_DIR"));

	sample_without_tls(&s);
	assert_ok(build_deployment(&s.build, &s.round, &s.restored, &plain, &err), err);
	pod = json_find(plain, "spec", "template", "spec");
	postgres = named(json_find(pod, "containers"), CONTAINER_POSTGRES);
	assert_null(json_find(plain, "metadata", "annotations", ANN_TLS));
	assert_null(named(json_find(pod, "volumes"), "tls"));
	assert_null(named(json_find(postgres, "env"), "TLS_DIR"));
}

static void the_log_is_reset_only_where_that_is_allowed(void **state)
{
	(void)state;
	for (int allowed = 0; allowed < 2; allowed++) {
		struct error err = {0};
		struct sample s;
		sample_init(&s, INTENT_ANALYTICS, "restic");
		s.build.sizing.allow_reset_wal = allowed != 0;
		AUTO(json) json_t *object = NULL;
		assert_ok(build_deployment(&s.build, &s.round, &s.restored, &object, &err), err);
		const json_t *prepare = named(json_find(object, "spec", "template", "spec", "initContainers"), CONTAINER_PREPARE);
		const json_t *variable = named(json_find(prepare, "env"), "ALLOW_RESET_WAL");
		assert_true((variable != NULL) == (allowed != 0));
		if (variable != NULL)
			assert_str("true", variable, "value");
	}
}

static void prepare_knows_how_many_files_were_restored(void **state)
{
	(void)state;
	static const struct {
		int64_t files;
		const char *text;
	} rows[] = {{1271, "1271"}, {0, "0"}, {-1, NULL}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		struct sample s;
		sample_init(&s, INTENT_VERIFY, "restic");
		s.restored.files = rows[i].files;
		AUTO(json) json_t *object = NULL;
		assert_ok(build_deployment(&s.build, &s.round, &s.restored, &object, &err), err);
		const json_t *prepare = named(json_find(object, "spec", "template", "spec", "initContainers"), CONTAINER_PREPARE);
		const json_t *variable = named(json_find(prepare, "env"), "RESTORED_FILES");
		assert_true((variable != NULL) == (rows[i].text != NULL));
		if (variable != NULL)
			assert_str(rows[i].text, variable, "value");
	}
}

static void sizings_are_told_apart_by_their_amounts(void **state)
{
	(void)state;
	static char one[] = "1", mega[] = "1024Mi", giga[] = "1Gi", milli[] = "1000m", two[] = "2";
	static const struct {
		const char *label;
		struct settings_for_intent a, b;
		bool is_same;
	} rows[] = {
		{"nothing is said", {0}, {0}, true},
		{"memory in other words", {.memory_limit = giga}, {.memory_limit = mega}, true},
		{"CPU in other words", {.cpu_request = one}, {.cpu_request = milli}, true},
		{"more CPU", {.cpu_request = one}, {.cpu_request = two}, false},
		{"a limit is no request", {.memory_limit = giga}, {.memory_request = giga}, false},
		{"a CPU is no memory", {.cpu_limit = two}, {.memory_request = two}, false},
		{"none is another than some", {.cpu_limit = one}, {0}, false},
		{"what needs no new pod", {.ready_timeout_ms = 1, .depth = DEPTH_DEEP, .allow_reset_wal = true}, {0}, true},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char a[BUILD_SIZING_SIZE], b[BUILD_SIZING_SIZE];
		build_sizing(&rows[i].a, a);
		build_sizing(&rows[i].b, b);
		if ((strcmp(a, b) == 0) != rows[i].is_same || strlen(a) != 8)
			fail_msg("%s: %s and %s", rows[i].label, a, b);
	}
}

static void a_resize_changes_resources_and_nothing_else(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	sample_init(&s, INTENT_ANALYTICS, "restic");
	s.build.sizing.cpu_limit = NULL;
	char sizing[BUILD_SIZING_SIZE], expected[1024];
	build_sizing(&s.build.sizing, sizing);
	AUTO(json) json_t *patch = NULL;
	assert_ok(build_resize(&s.build, "57b51ab9", &patch, &err), err);
	const char *resources = "{'$patch':'replace','requests':{'cpu':'250m','memory':'256Mi'},'limits':{'memory':'1Gi'}}";
	(void)snprintf(expected, sizeof expected,
		"{'metadata':{'uid':'57b51ab9','annotations':{'pgro.bes.au/sizing':'%s'}},'spec':{'template':{'spec':{"
		"'initContainers':[{'name':'prepare','resources':%s}],'containers':[{'name':'postgres','resources':%s}]}}}}",
		sizing, resources, resources);
	assert_json("patch", patch, expected);
}

static void only_standing_replicas_have_an_analytics_user(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	sample_init(&s, INTENT_VERIFY, "restic");
	s.restored = (struct build_restored){.postgres_major = 17, .bytes = -1, .files = -1};
	AUTO(json) json_t *object = NULL;
	assert_ok(build_deployment(&s.build, &s.round, &s.restored, &object, &err), err);
	const json_t *prepare = named(json_find(object, "spec", "template", "spec", "initContainers"), CONTAINER_PREPARE);
	assert_null(named(json_find(prepare, "env"), "ANALYTICS_PASSWORD"));
	assert_str("example.org/postgres:17", prepare, "image");
	assert_json("what was not said is not written", json_find(object, "metadata", "annotations"),
		"{'pgro.bes.au/flavour':'stock','pgro.bes.au/sizing':'" SAMPLE_SIZING "','pgro.bes.au/tls':'on'}");
}

static char text_of_flavour[][40] = {"acme", "example.org/acme", "pull", "ACME_MODE", "strict", "acme", "pg_stat_statements",
	"host all all 127.0.0.1/32 trust"};

static void a_flavour_has_its_image_and_what_it_needs(void **state)
{
	(void)state;
	struct settings_pair mode = {text_of_flavour[3], text_of_flavour[4]};
	char *libraries[] = {text_of_flavour[5], text_of_flavour[6]}, *lines[] = {text_of_flavour[7], text_of_flavour[7]};
	char tagged[] = "example.org:5000/acme:17-2", label[] = "acme-2";
	struct settings_flavour flavour = {.name = text_of_flavour[0],
		.image = text_of_flavour[1],
		.pull_secret = text_of_flavour[2],
		.environment = &mode,
		.environment_count = 1,
		.preload = libraries,
		.preload_count = 2,
		.hba = lines,
		.hba_count = 2};
	struct error err = {0};
	struct sample s;
	sample_init(&s, INTENT_ANALYTICS, "restic");
	s.restored.flavour = &flavour;
	AUTO(json) json_t *object = NULL;
	AUTO(json) json_t *other = NULL;
	assert_ok(build_deployment(&s.build, &s.round, &s.restored, &object, &err), err);
	const json_t *pod = json_find(object, "spec", "template", "spec");
	const json_t *prepare = named(json_find(pod, "initContainers"), CONTAINER_PREPARE);
	const json_t *postgres = named(json_find(pod, "containers"), CONTAINER_POSTGRES);
	assert_str("example.org/acme:15", prepare, "image");
	assert_str("example.org/acme:15", postgres, "image");
	assert_json("pull", json_find(pod, "imagePullSecrets"), "[{'name':'image-pull'}]");
	assert_str("strict", named(json_find(prepare, "env"), "ACME_MODE"), "value");
	assert_str("strict", named(json_find(postgres, "env"), "ACME_MODE"), "value");
	// Recovery needs the libraries too, and lets nobody in.
	assert_str("acme, pg_stat_statements", named(json_find(prepare, "env"), "PRELOAD"), "value");
	assert_null(named(json_find(prepare, "env"), "HBA_LOCAL"));
	assert_str("host all all 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 trust",
		named(json_find(postgres, "env"), "HBA_LOCAL"), "value");
	assert_str("acme", object, "metadata", "annotations", ANN_FLAVOUR);
	assert_str("acme", object, "metadata", "labels", LABEL_FLAVOUR);
	assert_str("acme", object, "spec", "template", "metadata", "labels", LABEL_FLAVOUR);
	assert_null(json_find(object, "spec", "selector", "matchLabels", LABEL_FLAVOUR));

	flavour.image = tagged;
	flavour.label = label;
	assert_ok(build_deployment(&s.build, &s.round, &s.restored, &other, &err), err);
	assert_str(tagged, named(json_find(other, "spec", "template", "spec", "containers"), CONTAINER_POSTGRES), "image");
	assert_str("acme-2", other, "metadata", "labels", LABEL_FLAVOUR);
	assert_str("acme", other, "metadata", "annotations", ANN_FLAVOUR);
}

static void both_containers_know_whose_passwords_hold(void **state)
{
	(void)state;
	for (int kept = 0; kept < 2; kept++) {
		struct error err = {0};
		struct sample s;
		sample_init(&s, INTENT_ANALYTICS, "restic");
		s.build.sizing.passwords = kept != 0 ? PASSWORDS_SOURCE : PASSWORDS_GENERATED;
		AUTO(json) json_t *object = NULL;
		assert_ok(build_deployment(&s.build, &s.round, &s.restored, &object, &err), err);
		const json_t *pod = json_find(object, "spec", "template", "spec");
		const json_t *prepare =
			named(json_find(named(json_find(pod, "initContainers"), CONTAINER_PREPARE), "env"), "PASSWORDS");
		const json_t *postgres =
			named(json_find(named(json_find(pod, "containers"), CONTAINER_POSTGRES), "env"), "PASSWORDS");
		assert_true((prepare != NULL) == (kept != 0) && (postgres != NULL) == (kept != 0));
		if (kept != 0) {
			assert_str("source", prepare, "value");
			assert_str("source", postgres, "value");
		}
	}
}

static void stock_has_nothing_of_any_flavour(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	sample_init(&s, INTENT_ANALYTICS, "restic");
	AUTO(json) json_t *object = NULL;
	assert_ok(build_deployment(&s.build, &s.round, &s.restored, &object, &err), err);
	const json_t *pod = json_find(object, "spec", "template", "spec");
	assert_null(json_find(pod, "imagePullSecrets"));
	assert_null(named(json_find(named(json_find(pod, "initContainers"), CONTAINER_PREPARE), "env"), "PRELOAD"));
	assert_null(named(json_find(named(json_find(pod, "containers"), CONTAINER_POSTGRES), "env"), "HBA_LOCAL"));
	assert_str("stock", object, "metadata", "labels", LABEL_FLAVOUR);
}

static void a_pull_secret_is_copied_whole_and_nothing_else_is(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	sample_init(&s, INTENT_ANALYTICS, "restic");
	AUTO(json)
	json_t *source = json_pack("{s:{s:s}, s:s, s:{s:s}}", "metadata", "name", "registry", "type",
		"kubernetes.io/dockerconfigjson", "data", ".dockerconfigjson", "e30=");
	AUTO(json) json_t *copy = NULL;
	assert_ok(build_pull_secret(&s.build, source, &copy, &err), err);
	assert_str("image-pull", copy, "metadata", "name");
	assert_str("kubernetes.io/dockerconfigjson", copy, "type");
	assert_json("data", json_find(copy, "data"), "{'.dockerconfigjson':'e30='}");
	(void)json_object_set_new(source, "type", json_string("Opaque"));
	json_t *none = NULL;
	assert_error(build_pull_secret(&s.build, source, &none, &err), err, ERROR_INVALID,
		"the Secret is of type \"Opaque\", allowed is kubernetes.io/dockerconfigjson");
}

static void a_deployment_without_image_or_intent_is_refused(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	json_t *object = NULL;
	sample_init(&s, INTENT_VERIFY, "restic");
	s.entry.known_intent = -1;
	assert_error(build_deployment(&s.build, &s.round, &s.restored, &object, &err), err, ERROR_INVALID,
		"intent \"verify\" is not ours");
	s.settings.postgres_image = NULL;
	assert_error(build_deployment(&s.build, &s.round, &s.restored, &object, &err), err, ERROR_INVALID, "POSTGRES_IMAGE");
	assert_null(object);
}

// The Job's pods carry the same instance and round: the component keeps them out of both.
static void service_and_deployment_select_the_databases_pods(void **state)
{
	(void)state;
	static const char selector[] =
		"{'app.kubernetes.io/instance':'nauru-prod-21779af8','app.kubernetes.io/component':'database',"
		"'pgro.bes.au/round':'0a1b2c3d'}";
	struct error err = {0};
	struct sample s;
	sample_init(&s, INTENT_ANALYTICS, "restic");
	AUTO(json) json_t *service = NULL;
	AUTO(json) json_t *deployment = NULL;
	assert_ok(build_service(&s.build, s.round.key, &service, &err), err);
	assert_ok(build_deployment(&s.build, &s.round, &s.restored, &deployment, &err), err);
	assert_str("postgres", service, "metadata", "name");
	assert_str("ClusterIP", service, "spec", "type");
	assert_json("ports", json_find(service, "spec", "ports"),
		"[{'name':'postgres','protocol':'TCP','port':5432,'targetPort':5432}]");
	assert_json("Service", json_find(service, "spec", "selector"), selector);
	assert_json("Deployment", json_find(deployment, "spec", "selector", "matchLabels"), selector);

	const json_t *labels = json_find(deployment, "spec", "template", "metadata", "labels");
	const char *key = NULL;
	json_t *value = NULL;
	json_object_foreach (json_find(service, "spec", "selector"), key, value)
		assert_true(json_equal(value, json_object_get(labels, key)));
}

static void service_is_of_the_type_and_has_the_annotations_of_its_intent(void **state)
{
	(void)state;
	static char cloud[] = "service.beta.kubernetes.io/aws-load-balancer-scheme", internal[] = "internal";
	struct settings_pair annotations[] = {{cloud, internal}};
	struct error err = {0};
	struct sample s;
	sample_init(&s, INTENT_ANALYTICS, "restic");
	s.build.sizing.service_type = SERVICE_LOAD_BALANCER;
	s.build.sizing.service_annotations = annotations;
	s.build.sizing.service_annotation_count = 1;
	AUTO(json) json_t *service = NULL;
	AUTO(json) json_t *of_round = NULL;
	assert_ok(build_service(&s.build, NULL, &service, &err), err);
	assert_str("LoadBalancer", service, "spec", "type");
	assert_json("annotations", json_find(service, "metadata", "annotations"),
		"{'service.beta.kubernetes.io/aws-load-balancer-scheme':'internal'}");
	// Until a round has been proven it leads to none.
	assert_str("none", service, "spec", "selector", "pgro.bes.au/round");

	// The way to test one is nobody else's, costs no load balancer, and goes with the round.
	assert_ok(build_round_service(&s.build, &s.round, SAMPLE_DEPLOYMENT_UID, &of_round, &err), err);
	assert_str("postgres-0a1b2c3d", of_round, "metadata", "name");
	assert_str("0a1b2c3d", of_round, "metadata", "labels", "pgro.bes.au/round");
	assert_str("0a1b2c3d", of_round, "spec", "selector", "pgro.bes.au/round");
	assert_str("ClusterIP", of_round, "spec", "type");
	assert_null(json_find(of_round, "metadata", "annotations"));
	assert_json("owner", json_find(of_round, "metadata", "ownerReferences"),
		"[{'apiVersion':'apps/v1','kind':'Deployment','name':'postgres-0a1b2c3d','uid':'" SAMPLE_DEPLOYMENT_UID "'}]");
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
		cmocka_unit_test(secrets_hold_what_pods_and_people_need),
		cmocka_unit_test(keys_of_the_store_enter_the_cluster_with_direct_credentials_only),
		cmocka_unit_test(the_rounds_secrets_belong_to_its_volume),
		cmocka_unit_test(what_pods_run_is_in_secrets_of_the_round),
		cmocka_unit_test(credentials_without_a_token_have_an_empty_one),
		cmocka_unit_test(the_volume_has_the_rounds_size),
		cmocka_unit_test(the_restore_job_tries_again_only_what_may_pass),
		cmocka_unit_test(the_restore_container_has_keys_from_its_secret_alone),
		cmocka_unit_test(without_an_endpoint_the_store_is_the_regions),
		cmocka_unit_test(a_job_without_its_image_or_engine_is_refused),
		cmocka_unit_test(the_deployment_prepares_and_serves),
		cmocka_unit_test(the_log_is_reset_only_where_that_is_allowed),
		cmocka_unit_test(prepare_knows_how_many_files_were_restored),
		cmocka_unit_test(sizings_are_told_apart_by_their_amounts),
		cmocka_unit_test(a_resize_changes_resources_and_nothing_else),
		cmocka_unit_test(people_are_told_how_to_come_in),
		cmocka_unit_test(the_certificate_of_postgres_is_a_secret_of_the_replica),
		cmocka_unit_test(the_server_alone_has_the_key),
		cmocka_unit_test(only_standing_replicas_have_an_analytics_user),
		cmocka_unit_test(a_deployment_without_image_or_intent_is_refused),
		cmocka_unit_test(a_flavour_has_its_image_and_what_it_needs),
		cmocka_unit_test(both_containers_know_whose_passwords_hold),
		cmocka_unit_test(stock_has_nothing_of_any_flavour),
		cmocka_unit_test(a_pull_secret_is_copied_whole_and_nothing_else_is),
		cmocka_unit_test(service_and_deployment_select_the_databases_pods),
		cmocka_unit_test(service_is_of_the_type_and_has_the_annotations_of_its_intent),
		cmocka_unit_test(an_event_is_where_what_it_regards_is),
		cmocka_unit_test(a_note_is_cut_between_characters),
		cmocka_unit_test(text_that_is_no_utf8_is_an_error_and_no_object),
	};
	return cmocka_run_group_tests_name("builders/objects", cases, NULL, NULL);
}
