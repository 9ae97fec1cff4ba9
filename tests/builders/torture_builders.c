// Torture (tests/support/torture.h) of builders/: an object is whole or there is none.
#include "builders/names.h"
#include "tests/builders/sample.h"
#include "tests/support/cmocka.h"
#include "tests/support/torture.h"

static struct sample sample;

static void take(enum settings_intent intent, const char *engine, enum sample_way way)
{
	sample_init(&sample, intent, engine);
	sample_take_way(&sample, way);
}

typedef int (*build_one)(json_t **out, struct error *err);

static int build(build_one one, struct buf *made, struct error *err)
{
	struct error ignored;
	AUTO(json) json_t *object = NULL;
	AUTO_FREE char *text = NULL;
	torture_begin();
	int rc = one(&object, err);
	torture_end();
	if (object != NULL && json_print(object, &text, &ignored) == 0 && buf_add_str(made, text, &ignored) < 0)
		torture_say(made, "too long");
	return rc;
}

static int namespace(json_t **out, struct error *err)
{
	return build_namespace(&sample.build, out, err);
}

static int role_binding(json_t **out, struct error *err)
{
	return build_role_binding(&sample.build, out, err);
}

static int service_account(json_t **out, struct error *err)
{
	return build_service_account(&sample.build, out, err);
}

static int network_policies(json_t **out, struct error *err)
{
	return build_network_policies(&sample.build, out, err);
}

static int superuser(json_t **out, struct error *err)
{
	return build_superuser_secret(&sample.build, &sample.password, out, err);
}

static int analytics(json_t **out, struct error *err)
{
	return build_analytics_secret(&sample.build, &sample.password, out, err);
}

static int service(json_t **out, struct error *err)
{
	return build_service(&sample.build, sample.round.key, out, err);
}

static int round_service(json_t **out, struct error *err)
{
	return build_round_service(&sample.build, &sample.round, SAMPLE_DEPLOYMENT_UID, out, err);
}

static int restore_secret(json_t **out, struct error *err)
{
	return build_restore_secret(&sample.build, &sample.round, &sample.credentials, out, err);
}

static int pvc(json_t **out, struct error *err)
{
	return build_pvc(&sample.build, &sample.round, out, err);
}

static int job(json_t **out, struct error *err)
{
	return build_restore_job(&sample.build, &sample.round, out, err);
}

static int database_secret(json_t **out, struct error *err)
{
	return build_database_secret(&sample.build, &sample.round, &sample.restored, out, err);
}

static int deployment(json_t **out, struct error *err)
{
	return build_deployment(&sample.build, &sample.round, &sample.restored, out, err);
}

static int tls_secret(json_t **out, struct error *err)
{
	return build_tls_secret(&sample.build, &sample.certificate, out, err);
}

static int analytics_tls(json_t **out, struct error *err)
{
	return build_analytics_tls(sample.build.postgres_ca_pem, out, err);
}

static json_t *source_secret; // of the operator's namespace

static int pull_secret(json_t **out, struct error *err)
{
	return build_pull_secret(&sample.build, source_secret, out, err);
}

static int resize(json_t **out, struct error *err)
{
	return build_resize(&sample.build, SAMPLE_DEPLOYMENT_UID, out, err);
}

static int event(json_t **out, struct error *err)
{
	const struct build_event about = {.namespace = sample.entry.namespace,
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
	return build_event(&about, out, err);
}

#define CASE(name)                                                 \
	static int run_##name(struct buf *made, struct error *err) \
	{                                                          \
		return build(name, made, err);                     \
	}
CASE(namespace)
CASE(role_binding)
CASE(service_account)
CASE(network_policies)
CASE(superuser)
CASE(analytics)
CASE(service)
CASE(round_service)
CASE(restore_secret)
CASE(pvc)
CASE(job)
CASE(database_secret)
CASE(deployment)
CASE(event)
CASE(tls_secret)
CASE(analytics_tls)
CASE(pull_secret)
CASE(resize)

static int run_job_with_sidecar(struct buf *made, struct error *err)
{
	take(INTENT_ANALYTICS, "restic", WAY_NATIVE_SIDECAR);
	int rc = build(job, made, err);
	take(INTENT_ANALYTICS, "kopia", WAY_DIRECT);
	return rc;
}

static char own[][24] = {
	"acme", "example.org/acme", "pull", "ACME_MODE", "strict", "pg_stat_statements", "cron", "dump", "basebackup"};
static struct settings_pair its_environment[] = {{own[3], own[4]}};
static char *its_lists[] = {own[5], own[6]};
static const struct settings_flavour flavour = {.name = own[0],
	.image = own[1],
	.pull_secret = own[2],
	.environment = its_environment,
	.environment_count = 1,
	.preload = its_lists,
	.preload_count = 2,
	.hba = its_lists,
	.hba_count = 2};

// Samples in other shapes.

static void of_a_flavour(void)
{
	sample.restored.flavour = &flavour;
	sample.build.sizing.passwords = PASSWORDS_SOURCE;
	sample.build.sizing.allow_reset_wal = true;
}

// A volume and a folder of their own, and a preparation of its own.
static void of_a_dump_on_a_volume(void)
{
	static char storage[] = "file", databases[] = "a\tb\n";
	sample.entry.engine = own[7];
	sample.restored.engine = "dump";
	sample.entry.storage = storage;
	sample.entry.databases = databases;
	sample.round.backup = "a-backup";
}

static void in_azure(void)
{
	sample_in_azure(&sample);
	sample.entry.known_intent = INTENT_VERIFY;
}

static void in_azure_by_identity(void)
{
	static char client[] = "11111111-2222-4333-8444-555555555555", endpoint[] = "https://hospital.blob.example.org:10000";
	sample_in_azure(&sample);
	sample.entry.client_id = client;
	sample.entry.endpoint = endpoint;
	sample.entry.engine = own[8];
}

static void with_annotations(void)
{
	sample.build.sizing.service_annotations = its_environment;
	sample.build.sizing.service_annotation_count = 1;
}

static void of_a_verdict(void)
{
	sample.entry.known_intent = INTENT_VERIFY;
	sample.build.sizing.cpu_limit = NULL;
}

static void beside_a_proxy(void)
{
	sample_take_way(&sample, WAY_SECOND_CONTAINER);
}

#define CASE_OF(name, one)                                                 \
	static int run_##one##_##name(struct buf *made, struct error *err) \
	{                                                                  \
		name();                                                    \
		int rc = build(one, made, err);                            \
		take(INTENT_ANALYTICS, "kopia", WAY_DIRECT);               \
		return rc;                                                 \
	}
CASE_OF(of_a_flavour, deployment)
CASE_OF(of_a_dump_on_a_volume, deployment)
CASE_OF(of_a_dump_on_a_volume, job)
CASE_OF(of_a_dump_on_a_volume, database_secret)
CASE_OF(in_azure, job)
CASE_OF(in_azure, restore_secret)
CASE_OF(in_azure, network_policies)
CASE_OF(in_azure_by_identity, job)
CASE_OF(in_azure_by_identity, service_account)
CASE_OF(in_azure_by_identity, network_policies)
CASE_OF(with_annotations, service)
CASE_OF(of_a_verdict, job)
CASE_OF(of_a_verdict, network_policies)
CASE_OF(beside_a_proxy, job)
CASE_OF(beside_a_proxy, restore_secret)

int main(void)
{
	static const struct torture_case cases[] = {
		{.name = "Namespace", .run = run_namespace},
		{.name = "RoleBinding", .run = run_role_binding},
		{.name = "ServiceAccount", .run = run_service_account},
		{.name = "NetworkPolicies", .run = run_network_policies},
		{.name = "Secret of the superuser", .run = run_superuser},
		{.name = "Secret of analytics", .run = run_analytics},
		{.name = "Service", .run = run_service},
		{.name = "Service of a round", .run = run_round_service},
		{.name = "Secret of a round", .run = run_restore_secret},
		{.name = "PVC", .run = run_pvc},
		{.name = "Job", .run = run_job},
		{.name = "Job with a sidecar", .run = run_job_with_sidecar},
		{.name = "Secret of the database", .run = run_database_secret},
		{.name = "Deployment", .run = run_deployment},
		{.name = "Event", .run = run_event},
		{.name = "Secret of the certificate", .run = run_tls_secret},
		{.name = "TLS of analytics", .run = run_analytics_tls},
		{.name = "Secret for pulling", .run = run_pull_secret},
		{.name = "Deployment in another size", .run = run_resize},
		{.name = "Deployment of a flavour", .run = run_deployment_of_a_flavour},
		{.name = "Deployment of a dump", .run = run_deployment_of_a_dump_on_a_volume},
		{.name = "Job of a dump", .run = run_job_of_a_dump_on_a_volume},
		{.name = "Secret of a dump", .run = run_database_secret_of_a_dump_on_a_volume},
		{.name = "Job in Azure", .run = run_job_in_azure},
		{.name = "Secret of a round in Azure", .run = run_restore_secret_in_azure},
		{.name = "NetworkPolicies in Azure", .run = run_network_policies_in_azure},
		{.name = "Job in Azure by identity", .run = run_job_in_azure_by_identity},
		{.name = "ServiceAccount in Azure by identity", .run = run_service_account_in_azure_by_identity},
		{.name = "NetworkPolicies in Azure by identity", .run = run_network_policies_in_azure_by_identity},
		{.name = "Service with annotations", .run = run_service_with_annotations},
		{.name = "Job of a verdict", .run = run_job_of_a_verdict},
		{.name = "NetworkPolicies of a verdict", .run = run_network_policies_of_a_verdict},
		{.name = "Job beside a proxy", .run = run_job_beside_a_proxy},
		{.name = "Secret beside a proxy", .run = run_restore_secret_beside_a_proxy},
	};
	take(INTENT_ANALYTICS, "kopia", WAY_DIRECT);
	source_secret =
		json_pack("{s:s, s:{s:s}}", "type", "kubernetes.io/dockerconfigjson", "data", ".dockerconfigjson", "e30=");
	int failures = torture_main("torture/builders", cases, sizeof(cases) / sizeof(cases[0]));
	json_decref(source_secret);
	return failures;
}
