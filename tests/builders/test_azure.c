// A backup in Azure Blob, and pgBackRest: what is refused, and what the objects have of it.
#include "builders/azure.h"
#include "builders/endpoint.h"
#include "builders/engines/engine.h"
#include "tests/builders/expect.h"
#include "tests/builders/sample.h"
#include "tests/support/cmocka.h"
#include <string.h>

#define CLIENT "7f0b4c1e-3d2a-4f6b-9c8d-0a1b2c3d4e5f"

static char *or_null(const char *text)
{
	return text == NULL ? NULL : strdup(text);
}

static void what_azure_cannot_have_is_refused(void **state)
{
	(void)state;
	const struct {
		const char *account, *endpoint, *bucket, *text;
	} rows[] = {
		{NULL, NULL, "backups",
			"storage \"azure\" needs `account`, the storage account: 3 to 24 lower-case letters and digits"},
		{"Hospital", NULL, "backups", "storage \"azure\" needs `account`"},
		{"x", NULL, "backups", "storage \"azure\" needs `account`"},
		{"xy", NULL, "backups", "storage \"azure\" needs `account`"},
		{"abcdefghijklmnopqrstuvwxy", NULL, "backups", "storage \"azure\" needs `account`"},
		{"hospital", NULL, "ab", "bucket \"ab\" is no name of a container"},
		{"hospital", NULL, "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg",
			"is no name of a container"},
		{"hospital", "https://hospitalblob.example.org", "backups", "is neither https://hospital.<host>"},
		{"hospital", NULL, "b", "bucket \"b\" is no name of a container of Azure Blob"},
		{"hospital", NULL, "a/b", "bucket \"a/b\" is no name of a container of Azure Blob"},
		{"hospital", "http://hospital.blob.example.org", "backups",
			"endpoint \"http://hospital.blob.example.org\" is neither"},
		{"hospital", "https://school.blob.example.org", "backups",
			"endpoint \"https://school.blob.example.org\" is neither https://hospital.<host> nor "
			"https://<host>/hospital"},
		{"hospital", "https://example.org/hospital/x", "backups",
			"endpoint \"https://example.org/hospital/x\" is neither"},
		{"hospital", "https://hospital.example.org?sig=x", "backups", "endpoint"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct error err = {0};
		struct sample s;
		const struct engine *engine = NULL;
		sample_init(&s, INTENT_VERIFY, "pgbackrest");
		sample_in_azure(&s);
		AUTO_FREE char *account = or_null(rows[i].account);
		AUTO_FREE char *endpoint = or_null(rows[i].endpoint);
		AUTO_FREE char *bucket = or_null(rows[i].bucket);
		s.entry.account = account;
		s.entry.endpoint = endpoint;
		s.entry.bucket = bucket;
		assert_error(engine_of(&s.build, &engine, &err), err, ERROR_INVALID, rows[i].text);
	}
}

static void pgbackrest_is_refused_what_it_cannot_do(void **state)
{
	(void)state;
	const struct {
		const char *stanza, *s3_endpoint;
		enum settings_credentials credentials;
		const char *text;
	} rows[] = {
		{NULL, NULL, CREDENTIALS_DIRECT, "engine pgbackrest needs `stanza` in the entry"},
		{"../main", NULL, CREDENTIALS_DIRECT, "engine pgbackrest needs `stanza` in the entry"},
		{"main", "http://s3:80", CREDENTIALS_DIRECT,
			"engine pgbackrest speaks TLS alone, S3_ENDPOINT is \"http://s3:80\""},
		{"main", NULL, CREDENTIALS_PROXY,
			"engine pgbackrest speaks to S3 by TLS alone and cannot use the credential proxy: its keys would lie in "
			"the "
			"round's Secret; hint: allow that by directCredentials: [\"postgresql physical\"] in the settings"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct error err = {0};
		struct sample s;
		const struct engine *engine = NULL;
		sample_init(&s, INTENT_VERIFY, "pgbackrest");
		AUTO_FREE char *stanza = or_null(rows[i].stanza);
		AUTO_FREE char *s3_endpoint = or_null(rows[i].s3_endpoint);
		s.entry.stanza = stanza;
		s.settings.s3_endpoint = s3_endpoint;
		s.settings.credentials = rows[i].credentials;
		assert_error(engine_of(&s.build, &engine, &err), err, ERROR_INVALID, rows[i].text);
	}
}

static void pgbackrest_has_no_identity(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	const struct engine *engine = NULL;
	char client[] = CLIENT;
	sample_init(&s, INTENT_VERIFY, "pgbackrest");
	sample_in_azure(&s);
	s.entry.client_id = client;
	assert_error(engine_of(&s.build, &engine, &err), err, ERROR_INVALID,
		"engine pgbackrest cannot use a workload identity (client_id); hint: name a Secret with sasToken");
}

// The keys of a restore's Secret, without its script.
static void assert_keys(json_t *secret, const char *expected)
{
	json_t *data = json_object_get(secret, "data");
	assert_int_equal(json_object_del(data, "restore.sh"), 0);
	assert_json("Secret", data, expected);
}

static const json_t *restore_container(const json_t *job)
{
	return json_array_get(json_find(job, "spec", "template", "spec", "containers"), 0);
}

static void the_restore_has_a_sas_from_its_secret(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	sample_init(&s, INTENT_VERIFY, "pgbackrest");
	sample_in_azure(&s);
	s.settings.credentials = CREDENTIALS_PROXY; // how S3 keys come, and nothing of Azure
	AUTO(json) json_t *job = NULL;
	AUTO(json) json_t *secret = NULL;
	assert_ok(build_restore_job(&s.build, &s.round, &job, &err), err);
	assert_json("environment", json_find(restore_container(job), "env"),
		"[{'name':'HOME','value':'/tmp'}, {'name':'SNAPSHOT_ID','value':'" SAMPLE_SNAPSHOT "'},"
		"{'name':'AZURE_ENDPOINT','value':'https://hospital.blob.core.windows.net'},"
		"{'name':'AZURE_ACCOUNT','value':'hospital'}, {'name':'AZURE_CONTAINER','value':'backups'},"
		"{'name':'S3_PREFIX','value':'nauru/'},"
		"{'name':'AZURE_SAS_TOKEN','valueFrom':{'secretKeyRef':{'name':'restore-0a1b2c3d','key':'sasToken'}}},"
		"{'name':'CPU_LIMIT','value':'2'},"
		"{'name':'REPOSITORY_PASSWORD','valueFrom':{'secretKeyRef':{'name':'restore-0a1b2c3d','key':'repositoryPassword'}"
		"}},"
		"{'name':'STANZA','value':'main'}]");
	assert_null(json_find(job, "spec", "template", "metadata", "labels", "azure.workload.identity/use"));
	assert_int_equal(json_array_size(json_find(job, "spec", "template", "spec", "containers")), 1);

	assert_ok(build_restore_secret(&s.build, &s.round, &s.credentials, &secret, &err), err);
	assert_keys(secret, "{'repositoryPassword':'cmVwb3NpdG9yeQ==', 'sasToken':'c3A9cmwmc2lnPXNlY3JldA=='}");
}

// Azure's public cloud has certificates of public CAs, whatever another store of this cluster has.
static void a_store_of_ones_own_has_its_ca(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	char endpoint[] = "https://blob.example.org:10000/hospital/";
	char read[ENDPOINT_SIZE];
	int port = 0;
	sample_init(&s, INTENT_VERIFY, "pgbackrest");
	sample_in_azure(&s);
	assert_false(endpoint_has_own_ca(&s.build));
	s.entry.endpoint = endpoint;
	AUTO(json) json_t *job = NULL;
	assert_ok(build_restore_job(&s.build, &s.round, &job, &err), err);
	assert_str("/run/understory-s3-ca/ca.crt", named(json_find(restore_container(job), "env"), "S3_CA_FILE"), "value");
	assert_non_null(named(json_find(job, "spec", "template", "spec", "volumes"), "s3-ca"));
	assert_ok(endpoint_azure(&s.build, read, &err), err);
	expect_str("endpoint", read, "https://blob.example.org:10000/hospital");
	assert_ok(endpoint_store_port(&s.build, &port, &err), err);
	assert_int_equal(port, 10000);
}

static const json_t *egress_of_restores(const json_t *policies)
{
	size_t i;
	const json_t *policy;
	json_array_foreach (policies, i, policy) {
		const char *name = json_find_str(policy, "metadata", "name");
		if (name != NULL && strcmp(name, "restore") == 0)
			return json_find(json_array_get(json_find(policy, "spec", "egress"), 1), "ports");
	}
	return NULL;
}

static void an_identity_needs_no_secret(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	char engine[] = "basebackup", client[] = CLIENT, endpoint[] = "https://hospital.blob.example.org:8443";
	sample_init(&s, INTENT_VERIFY, NULL);
	sample_in_azure(&s);
	s.entry.engine = engine;
	s.entry.client_id = client;
	AUTO(json) json_t *account = NULL;
	AUTO(json) json_t *job = NULL;
	AUTO(json) json_t *policies = NULL;
	AUTO(json) json_t *others = NULL;
	AUTO(json) json_t *secret = NULL;
	assert_ok(build_service_account(&s.build, &account, &err), err);
	assert_json("annotations", json_find(account, "metadata", "annotations"),
		"{'azure.workload.identity/client-id':'" CLIENT "'}");
	assert_ok(build_restore_job(&s.build, &s.round, &job, &err), err);
	assert_str("true", job, "spec", "template", "metadata", "labels", "azure.workload.identity/use");
	assert_str("example.org/azcopy:10", restore_container(job), "image");
	assert_null(named(json_find(restore_container(job), "env"), "AZURE_SAS_TOKEN"));
	assert_ok(build_restore_secret(&s.build, &s.round, &s.credentials, &secret, &err), err);
	assert_keys(secret, "{'repositoryPassword':'cmVwb3NpdG9yeQ=='}");

	assert_ok(build_network_policies(&s.build, &policies, &err), err);
	assert_json("egress", egress_of_restores(policies), "[{'protocol':'TCP','port':443}]");
	s.entry.endpoint = endpoint;
	assert_ok(build_network_policies(&s.build, &others, &err), err);
	assert_json("egress to the store and to Entra", egress_of_restores(others),
		"[{'protocol':'TCP','port':8443}, {'protocol':'TCP','port':443}]");
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(what_azure_cannot_have_is_refused),
		cmocka_unit_test(pgbackrest_is_refused_what_it_cannot_do),
		cmocka_unit_test(pgbackrest_has_no_identity),
		cmocka_unit_test(the_restore_has_a_sas_from_its_secret),
		cmocka_unit_test(a_store_of_ones_own_has_its_ca),
		cmocka_unit_test(an_identity_needs_no_secret),
	};
	return cmocka_run_group_tests_name("builders/azure", cases, NULL, NULL);
}
