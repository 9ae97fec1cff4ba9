#include "tests/builders/sample.h"

#include <stdio.h>
#include <string.h>

#define GIB ((int64_t)1 << 30)

// Literals for fields that own what they point to: the samples are never freed.
static char *text(const char *literal)
{
	union {
		const char *literal;
		char *field;
	} as = {.literal = literal};
	return as.field;
}

static struct secret secret(const char *literal)
{
	return (struct secret){.bytes = text(literal), .len = strlen(literal)};
}

static void sample_settings(struct settings *settings)
{
	static struct settings_pair node_selector[1];
	static struct settings_pair annotations[1];
	static struct settings_toleration tolerations[2];
	node_selector[0] = (struct settings_pair){text("pool"), text("replicas")};
	annotations[0] = (struct settings_pair){text("cluster-autoscaler.kubernetes.io/safe-to-evict"), text("false")};
	tolerations[0] = (struct settings_toleration){text("replicas"), text("Equal"), text("yes"), text("NoSchedule")};
	tolerations[1] = (struct settings_toleration){text("spot"), text("Exists"), NULL, NULL};

	*settings = (struct settings){
		.operator_namespace = text("pgro-system"),
		.operator_service_name = text("understory"),
		.proxy_image = text("example.org/understory:1"),
		.kopia_image = text("example.org/kopia:0.17"),
		.restic_image = text("example.org/restic:0.14"),
		.rclone_image = text("example.org/rclone:1.69"),
		.walg_image = text("example.org/wal-g:3.0"),
		.postgres_newest_major = 18,
		.pgbackrest_image = text("example.org/pgbackrest:2.55"),
		.azcopy_image = text("example.org/azcopy:10"),
		.postgres_image = text("example.org/postgres"),
		.s3_endpoint = text("http://s3.example.org:7480/"),
		.credentials = CREDENTIALS_DIRECT,
		.postgres_tls = true,
		.storage_class = text("fast"),
		.node_selector = node_selector,
		.node_selector_count = 1,
		.tolerations = tolerations,
		.toleration_count = 2,
		.pod_annotations = annotations,
		.pod_annotation_count = 1,
	};
}

void sample_init(struct sample *s, enum settings_intent intent, const char *engine)
{
	*s = (struct sample){0};
	sample_settings(&s->settings);
	s->entry = (struct entry){
		.replica_id = "6f1c1f6e-0c0e-4b7a-9a55-0d6a4a1f2b01",
		.group_id = "11111111-2222-4333-8444-555555555555",
		.server_id = "b0a7c0de-1111-4222-8333-444455556666",
		.type = text("postgresql physical"),
		.intent = text(settings_intent_text[intent]),
		.name = text("Nauru prod"),
		.storage = text("s3"),
		.bucket = text("backups"),
		.prefix = text("nauru/"),
		.region = text("ap-southeast-2"),
		.snapshot_id = text(SAMPLE_SNAPSHOT),
		.snapshot_at = text("2026-11-19T22:00:00Z"),
		.engine = text(engine),
		.stanza = text("main"),
		.namespace = "nauru-prod-21779af8",
		.known_intent = (int)intent,
	};
	s->build = (struct build){
		.settings = &s->settings,
		.entry = &s->entry,
		.sizing = {.cpu_request = text("250m"),
			.cpu_limit = text("2"),
			.memory_request = text("256Mi"),
			.memory_limit = text("1Gi"),
			.ready_timeout_ms = 1800000},
		.s3_ca_pem = SAMPLE_CA,
		.broker_ca_pem = SAMPLE_BROKER_CA,
		.postgres_ca_pem = SAMPLE_BROKER_CA,
	};
	s->round = (struct build_round){.key = "0a1b2c3d",
		.snapshot_id = SAMPLE_SNAPSHOT,
		.attempt = 1,
		.pvc_bytes = 20 * GIB,
		.run_id = SAMPLE_RUN_ID,
		.volume_uid = SAMPLE_VOLUME_UID};
	s->restored = (struct build_restored){.postgres_major = 15, .bytes = 48779104, .files = 1271};
	s->password = secret("p w");
	s->certificate = (struct cert_pair){.cert_pem = text("certificate"), .key_pem = secret("its key")};
	s->credentials = (struct canopy_credentials){.access_key_id = secret("AKIA"),
		.secret_access_key = secret("very/secret"),
		.session_token = secret("token=="),
		.repo_password = secret("repository"),
		.sas_token = secret("sp=rl&sig=secret")};
}

void sample_in_azure(struct sample *s)
{
	s->entry.engine = text("pgbackrest");
	s->entry.storage = text("azure");
	s->entry.account = text("hospital");
}

void sample_take_way(struct sample *s, enum sample_way way)
{
	s->settings.credentials = way == WAY_DIRECT ? CREDENTIALS_DIRECT : CREDENTIALS_PROXY;
	s->build.has_native_sidecars = way == WAY_NATIVE_SIDECAR;
}

void sample_without_tls(struct sample *s)
{
	s->settings.postgres_tls = false;
	s->build.postgres_ca_pem = NULL;
}

static int append(json_t *list, json_t *object, struct error *err)
{
	return json_array_append_new(list, object) == 0 ? 0 : error_no_memory(err, "sample");
}

static int of_the_replica(const struct build *b, const struct sample *s, json_t *list, struct error *err)
{
	AUTO(json) json_t *policies = NULL;
	json_t *object = NULL;
	if (build_namespace(b, &object, err) != 0 || append(list, object, err) != 0 || build_role_binding(b, &object, err) != 0 ||
		append(list, object, err) != 0 || build_service_account(b, &object, err) != 0 || append(list, object, err) != 0 ||
		build_superuser_secret(b, &s->password, &object, err) != 0 || append(list, object, err) != 0 ||
		build_analytics_secret(b, &s->password, &object, err) != 0 || append(list, object, err) != 0 ||
		build_service(b, s->round.key, &object, err) != 0 || append(list, object, err) != 0 ||
		build_round_service(b, &s->round, SAMPLE_DEPLOYMENT_UID, &object, err) != 0 || append(list, object, err) != 0 ||
		build_network_policies(b, &policies, err) != 0)
		return -1;
	return json_array_extend(list, policies) == 0 ? 0 : error_no_memory(err, "sample");
}

static int tls(const struct build *b, const struct sample *s, json_t *list, struct error *err)
{
	json_t *object = NULL;
	if (!b->settings->postgres_tls)
		return 0;
	return build_tls_secret(b, &s->certificate, &object, err) != 0 ? -1 : append(list, object, err);
}

static int of_the_round(const struct build *b, const struct sample *s, json_t *list, struct error *err)
{
	json_t *object = NULL;
	return build_restore_secret(b, &s->round, &s->credentials, &object, err) != 0 || append(list, object, err) != 0 ||
			       build_pvc(b, &s->round, &object, err) != 0 || append(list, object, err) != 0 ||
			       build_restore_job(b, &s->round, &object, err) != 0 || append(list, object, err) != 0 ||
			       build_database_secret(b, &s->round, &s->restored, &object, err) != 0 ||
			       append(list, object, err) != 0 ||
			       build_deployment(b, &s->round, &s->restored, &object, err) != 0 || append(list, object, err) != 0
		       ? -1
		       : 0;
}

static int events(const struct sample *s, json_t *list, struct error *err)
{
	struct build_event about_job = {.namespace = s->entry.namespace,
		.regarding_kind = "Job",
		.regarding_api_version = "batch/v1",
		.regarding_name = "restore-0a1b2c3d",
		.regarding_uid = "57b51ab9-630d-4725-b81b-de35cd0fee96",
		.reason = "RestoreStarted",
		.action = "Restore",
		.note = "restoring snapshot " SAMPLE_SNAPSHOT,
		.now_ms = 1795000000123,
		.instance = "understory-0",
		.unique = "19f3c6b1a2d"};
	struct build_event about_namespace = about_job;
	about_namespace.regarding_kind = NULL;
	about_namespace.is_warning = true;
	json_t *object = NULL;
	return build_event(&about_job, &object, err) != 0 || append(list, object, err) != 0 ||
			       build_event(&about_namespace, &object, err) != 0 || append(list, object, err) != 0
		       ? -1
		       : 0;
}

int sample_objects(const struct sample *s, json_t **out, struct error *err)
{
	AUTO(json) json_t *list = json_array();
	if (of_the_replica(&s->build, s, list, err) != 0 || tls(&s->build, s, list, err) != 0 ||
		of_the_round(&s->build, s, list, err) != 0 || events(s, list, err) != 0)
		return -1;
	*out = TAKE_PTR(list);
	return 0;
}
