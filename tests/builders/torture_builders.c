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

static int run_job_with_sidecar(struct buf *made, struct error *err)
{
	take(INTENT_ANALYTICS, "restic", WAY_NATIVE_SIDECAR);
	int rc = build(job, made, err);
	take(INTENT_ANALYTICS, "kopia", WAY_DIRECT);
	return rc;
}

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
	};
	take(INTENT_ANALYTICS, "kopia", WAY_DIRECT);
	return torture_main("torture/builders", cases, sizeof(cases) / sizeof(cases[0]));
}
