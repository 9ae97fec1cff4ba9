#include "base/encode.h"
#include "builders/objects.h"
#include "builders/scripts.h"
#include "tests/builders/expect.h"
#include "tests/builders/sample.h"
#include "tests/support/cmocka.h"
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

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(secrets_hold_what_pods_and_people_need),
		cmocka_unit_test(keys_of_the_store_enter_the_cluster_with_direct_credentials_only),
		cmocka_unit_test(the_rounds_secrets_belong_to_its_volume),
		cmocka_unit_test(what_pods_run_is_in_secrets_of_the_round),
		cmocka_unit_test(credentials_without_a_token_have_an_empty_one),
		cmocka_unit_test(people_are_told_how_to_come_in),
		cmocka_unit_test(the_certificate_of_postgres_is_a_secret_of_the_replica),
	};
	return cmocka_run_group_tests_name("builders/secrets", cases, NULL, NULL);
}
