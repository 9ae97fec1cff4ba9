// A restore with CREDENTIALS=proxy: what engine and proxy are given, and that neither has what is the other's.
#include "builders/objects.h"
#include "tests/builders/expect.h"
#include "tests/builders/sample.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <string.h>

// A restore Job that is sent through the proxy. s is the caller's.
static json_t *job_of(struct sample *s, enum sample_way way, const char *engine)
{
	struct error err = {0};
	json_t *job = NULL;
	sample_init(s, INTENT_VERIFY, engine);
	sample_take_way(s, way);
	assert_ok(build_restore_job(&s->build, &s->round, &job, &err), err);
	return job;
}

static const json_t *pod_of(const json_t *job)
{
	return json_find(job, "spec", "template", "spec");
}

static const json_t *proxy_of(const json_t *job)
{
	const json_t *proxy = named(json_find(pod_of(job), "initContainers"), "proxy");
	return proxy != NULL ? proxy : named(json_find(pod_of(job), "containers"), "proxy");
}

static const json_t *engine_of(const json_t *job)
{
	return named(json_find(pod_of(job), "containers"), "restore");
}

static const char *variable(const json_t *container, const char *name)
{
	return json_find_str(named(json_find(container, "env"), name), "value");
}

static void where_it_can_be_the_proxy_is_a_native_sidecar(void **state)
{
	(void)state;
	struct sample s;
	AUTO(json) json_t *job = job_of(&s, WAY_NATIVE_SIDECAR, "restic");
	assert_int_equal(json_array_size(json_find(pod_of(job), "containers")), 1);
	assert_int_equal(json_array_size(json_find(pod_of(job), "initContainers")), 1);
	const json_t *proxy = named(json_find(pod_of(job), "initContainers"), "proxy");
	assert_str("Always", proxy, "restartPolicy");
	assert_json("startupProbe", json_find(proxy, "startupProbe"),
		"{'exec':{'command':['understory-proxy','--ready']},'periodSeconds':1,'timeoutSeconds':5,'failureThreshold':60}");
	assert_null(variable(proxy, "PGRO_DONE_FILE"));
	assert_null(variable(engine_of(job), "PGRO_DONE_FILE"));
	assert_null(variable(proxy, "PGRO_ENGINE_PIPE"));
	assert_null(variable(engine_of(job), "PGRO_ENGINE_PIPE"));
	assert_str("true", job, "spec", "template", "metadata", "labels", LABEL_PROXY_SIDECAR);
	assert_str("Never", pod_of(job), "restartPolicy");
}

static void elsewhere_it_is_a_second_container_that_learns_of_the_end(void **state)
{
	(void)state;
	struct sample s;
	AUTO(json) json_t *job = job_of(&s, WAY_SECOND_CONTAINER, "restic");
	assert_null(json_find(pod_of(job), "initContainers"));
	assert_int_equal(json_array_size(json_find(pod_of(job), "containers")), 2);
	const json_t *proxy = named(json_find(pod_of(job), "containers"), "proxy");
	assert_null(json_find(proxy, "restartPolicy"));
	assert_null(json_find(proxy, "startupProbe"));
	expect_str("of the proxy", variable(proxy, "PGRO_DONE_FILE"), "/run/understory-proxy/done");
	expect_str("of the engine", variable(engine_of(job), "PGRO_DONE_FILE"), "/run/understory-proxy/done");
	expect_str("of the proxy", variable(proxy, "PGRO_ENGINE_PIPE"), "/run/understory-proxy/engine");
	expect_str("of the engine", variable(engine_of(job), "PGRO_ENGINE_PIPE"), "/run/understory-proxy/engine");
	assert_null(json_find(named(json_find(engine_of(job), "volumeMounts"), "proxy"), "readOnly"));
	assert_str("true", job, "spec", "template", "metadata", "labels", LABEL_PROXY_SIDECAR);
}

static void the_engine_has_dummy_keys_and_no_other_way_to_the_store(void **state)
{
	(void)state;
	static const char *const engines[] = {"restic", "kopia"};
	for (size_t i = 0; i < 2 * (sizeof engines / sizeof *engines); i++) {
		struct sample s;
		AUTO(json) json_t *job = job_of(&s, i < 2 ? WAY_NATIVE_SIDECAR : WAY_SECOND_CONTAINER, engines[i % 2]);
		const json_t *engine = engine_of(job);
		expect_str(engines[i % 2], variable(engine, "AWS_ACCESS_KEY_ID"), "DUMMY-ACCESS-KEY-ID");
		expect_str(engines[i % 2], variable(engine, "AWS_SECRET_ACCESS_KEY"), "DUMMY-SECRET-ACCESS-KEY");
		expect_str(engines[i % 2], variable(engine, "PGRO_PORT_FILE"), "/run/understory-proxy/address");
		expect_str(engines[i % 2], variable(engine, "S3_BUCKET"), "backups");
		assert_null(named(json_find(engine, "env"), "AWS_SESSION_TOKEN"));
		assert_null(named(json_find(engine, "env"), "S3_ENDPOINT"));
		assert_null(named(json_find(engine, "env"), "S3_CA_FILE"));
		const json_t *mounts = json_find(engine, "volumeMounts");
		assert_int_equal(json_array_size(mounts), 4);
		assert_non_null(named(mounts, "pgdata"));
		assert_non_null(named(mounts, "tmp"));
		assert_non_null(named(mounts, "proxy"));
		assert_json("limits", json_find(engine, "resources", "limits"), "{'cpu':'2','memory':'1Gi'}");
	}
}

// The reference to the repository's password is the only one to a Secret in an environment.
static void nothing_but_the_password_comes_from_a_secret_into_an_environment(void **state)
{
	(void)state;
	for (int way = WAY_NATIVE_SIDECAR; way <= WAY_SECOND_CONTAINER; way++) {
		struct error err = {0};
		struct sample s;
		AUTO(json) json_t *job = job_of(&s, (enum sample_way)way, "restic");
		AUTO_FREE char *text = NULL;
		assert_ok(json_print(job, &text, &err), err);
		const char *first = strstr(text, "secretKeyRef");
		assert_non_null(first);
		assert_null(strstr(first + 1, "secretKeyRef"));
		assert_json("password", json_find(named(json_find(engine_of(job), "env"), "RESTIC_PASSWORD"), "valueFrom"),
			"{'secretKeyRef':{'name':'restore-0a1b2c3d','key':'repositoryPassword'}}");
		assert_null(strstr(text, "AKIA"));
		assert_null(strstr(text, "very/secret"));
		assert_null(strstr(text, "accessKeyId"));
	}
}

static void the_proxy_knows_broker_and_store(void **state)
{
	(void)state;
	static const char *const expected[][2] = {
		{"PGRO_BROKER_URL", "https://understory.pgro-system.svc:9091"},
		{"PGRO_BROKER_CA_FILE", "/run/understory-broker/ca.crt"},
		{"PGRO_TOKEN_FILE", "/run/understory-broker/token"},
		{"PGRO_STATS_CALLBACK_URL",
			"https://understory.pgro-system.svc:9091/api/v1/canopy-stats/nauru-prod-21779af8/restore-0a1b2c3d"},
		{"PGRO_PROGRESS_CALLBACK_URL",
			"https://understory.pgro-system.svc:9091/api/v1/canopy-progress/nauru-prod-21779af8/restore-0a1b2c3d"},
		{"PGRO_GROUP", "11111111-2222-4333-8444-555555555555"},
		{"PGRO_TYPE", "postgresql physical"}, // whole, not as the label has it
		{"PGRO_REGION", "ap-southeast-2"},
		{"PGRO_BUCKET", "backups"},
		{"PGRO_PREFIX", "nauru/"},
		{"PGRO_RUN_ID", SAMPLE_RUN_ID},
		{"PGRO_PORT_FILE", "/run/understory-proxy/address"},
		{"S3_ENDPOINT", "http://s3.example.org:7480"},
		{"S3_CA_FILE", "/run/understory-s3-ca/ca.crt"},
		{"LOG_LEVEL", "warn"},
		{"LOG_FORMAT", "json"},
	};
	struct error err = {0};
	struct sample s;
	sample_init(&s, INTENT_VERIFY, "restic");
	sample_take_way(&s, WAY_NATIVE_SIDECAR);
	s.settings.log_level = LOG_WARN;
	s.settings.log_format = LOG_JSON;
	AUTO(json) json_t *job = NULL;
	assert_ok(build_restore_job(&s.build, &s.round, &job, &err), err);
	const json_t *proxy = proxy_of(job);
	for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
		expect_str(expected[i][0], variable(proxy, expected[i][0]), expected[i][1]);
	assert_int_equal(json_array_size(json_find(proxy, "env")), sizeof expected / sizeof *expected);
	assert_str("example.org/understory:1", proxy, "image");
	assert_json("command", json_find(proxy, "command"), "['understory-proxy']");
	assert_json("resources", json_find(proxy, "resources"),
		"{'requests':{'cpu':'50m','memory':'32Mi'},'limits':{'memory':'64Mi'}}");
	assert_str("FallbackToLogsOnError", proxy, "terminationMessagePolicy");
}

static void what_is_not_set_is_not_said(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	char broker[] = "https://127.0.0.1:9443/";
	sample_init(&s, INTENT_VERIFY, "restic");
	sample_take_way(&s, WAY_SECOND_CONTAINER);
	s.settings.broker_url = broker;
	s.settings.s3_endpoint = NULL;
	s.build.s3_ca_pem = NULL;
	s.round.run_id = NULL;
	AUTO(json) json_t *job = NULL;
	assert_ok(build_restore_job(&s.build, &s.round, &job, &err), err);
	const json_t *proxy = proxy_of(job);
	expect_str("broker", variable(proxy, "PGRO_BROKER_URL"), "https://127.0.0.1:9443");
	expect_str("store", variable(proxy, "S3_ENDPOINT"), "https://s3.ap-southeast-2.amazonaws.com");
	assert_null(named(json_find(proxy, "env"), "PGRO_RUN_ID"));
	assert_null(named(json_find(proxy, "env"), "S3_CA_FILE"));
	assert_null(named(json_find(proxy, "volumeMounts"), "s3-ca"));
	assert_null(named(json_find(pod_of(job), "volumes"), "s3-ca"));
}

static void token_and_ca_are_mounted_into_the_proxy_alone(void **state)
{
	(void)state;
	for (int way = WAY_NATIVE_SIDECAR; way <= WAY_SECOND_CONTAINER; way++) {
		struct sample s;
		AUTO(json) json_t *job = job_of(&s, (enum sample_way)way, "kopia");
		const json_t *volumes = json_find(pod_of(job), "volumes");
		assert_json("broker", named(volumes, "broker"),
			"{'name':'broker','projected':{'sources':["
			"{'serviceAccountToken':{'audience':'understory-broker','expirationSeconds':3600,'path':'token'}},"
			"{'secret':{'name':'restore-0a1b2c3d','items':[{'key':'brokerCaCertificate','path':'ca.crt'}]}}]}}");
		assert_json("proxy", named(volumes, "proxy"), "{'name':'proxy','emptyDir':{'medium':'Memory'}}");
		assert_json("s3-ca", json_find(named(volumes, "s3-ca"), "secret"),
			"{'secretName':'restore-0a1b2c3d','items':[{'key':'caCertificate','path':'ca.crt'}]}");
		assert_json("mounts", json_find(proxy_of(job), "volumeMounts"),
			"[{'name':'proxy','mountPath':'/run/understory-proxy'},"
			"{'name':'broker','mountPath':'/run/understory-broker','readOnly':true},"
			"{'name':'s3-ca','mountPath':'/run/understory-s3-ca','readOnly':true}]");
	}
}

static void only_the_engines_exit_code_fails_the_job(void **state)
{
	(void)state;
	for (int way = WAY_DIRECT; way < WAY_COUNT; way++) {
		struct sample s;
		AUTO(json) json_t *job = job_of(&s, (enum sample_way)way, "restic");
		const json_t *rules = json_find(job, "spec", "podFailurePolicy", "rules");
		assert_int_equal(json_array_size(rules), 2);
		assert_str("restore", json_array_get(rules, 1), "onExitCodes", "containerName");
	}
}

static void a_restore_with_direct_credentials_has_no_proxy(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	AUTO(json) json_t *job = NULL;
	sample_init(&s, INTENT_VERIFY, "restic");
	s.settings.proxy_image = NULL;
	s.build.broker_ca_pem = NULL;
	s.build.has_native_sidecars = true;
	assert_ok(build_restore_job(&s.build, &s.round, &job, &err), err);
	assert_null(proxy_of(job));
	assert_null(json_find(job, "spec", "template", "metadata", "labels", LABEL_PROXY_SIDECAR));
	assert_null(named(json_find(pod_of(job), "volumes"), "broker"));
	assert_null(variable(engine_of(job), "PGRO_PORT_FILE"));
}

// Of the backup types in directCredentials, an engine that cannot use the proxy has keys of the store; and no other engine has.
static void only_an_engine_that_cannot_use_the_proxy_goes_past_it(void **state)
{
	(void)state;
	char type[] = "postgresql physical", other[] = "other", endpoint[] = "https://s3.example.org";
	char *types[] = {other, type};
	const struct {
		const char *engine;
		size_t type_count;
		bool is_refused, is_direct;
	} rows[] = {
		{"pgbackrest", 2, false, true},
		{"pgbackrest", 1, true, false},
		{"restic", 2, false, false},
		{"kopia", 2, false, false},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct error err = {0};
		struct sample s;
		AUTO(json) json_t *job = NULL;
		AUTO(json) json_t *secret = NULL;
		sample_init(&s, INTENT_VERIFY, rows[i].engine);
		sample_take_way(&s, WAY_NATIVE_SIDECAR);
		s.settings.s3_endpoint = endpoint;
		s.settings.direct_types = types;
		s.settings.direct_type_count = rows[i].type_count;
		if (rows[i].is_refused) {
			assert_error(build_restore_secret(&s.build, &s.round, &s.credentials, &secret, &err), err, ERROR_INVALID,
				"Secret restore-0a1b2c3d: engine pgbackrest speaks to S3 by TLS alone");
			assert_error(build_restore_job(&s.build, &s.round, &job, &err), err, ERROR_INVALID,
				"Job restore-0a1b2c3d: engine pgbackrest speaks to S3 by TLS alone");
			continue;
		}
		assert_ok(build_restore_secret(&s.build, &s.round, &s.credentials, &secret, &err), err);
		assert_ok(build_restore_job(&s.build, &s.round, &job, &err), err);
		bool is_direct = rows[i].is_direct;
		assert_int_equal(json_find(secret, "data", "accessKeyId") != NULL, is_direct);
		assert_int_equal(json_find(secret, "data", "brokerCaCertificate") == NULL, is_direct);
		assert_int_equal(variable(engine_of(job), "AWS_ACCESS_KEY_ID") == NULL, is_direct); // it is in the Secret
		assert_int_equal(proxy_of(job) == NULL, is_direct);
		assert_int_equal(
			json_find(job, "spec", "template", "metadata", "labels", LABEL_PROXY_SIDECAR) == NULL, is_direct);
	}
}

static void what_the_proxy_needs_is_asked_for(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	json_t *object = NULL;
	sample_init(&s, INTENT_VERIFY, "restic");
	sample_take_way(&s, WAY_NATIVE_SIDECAR);
	s.build.broker_ca_pem = NULL;
	assert_error(build_restore_secret(&s.build, &s.round, &s.credentials, &object, &err), err, ERROR_INTERNAL,
		"Secret restore-0a1b2c3d: CREDENTIALS=proxy without the CA of the broker");
	s.settings.proxy_image = NULL;
	assert_error(build_restore_job(&s.build, &s.round, &object, &err), err, ERROR_INVALID,
		"Job restore-0a1b2c3d: setting CANOPY_PROXY_IMAGE is not set, CREDENTIALS=proxy needs it; hint: ");
	assert_null(object);
}

// An API server or a webhook lays its hand on the Job, or on its pod: the pod's own members under `spec` and `metadata`.
static void a_sidecar_that_was_not_kept_is_noticed(void **state)
{
	(void)state;
	static const struct {
		const char *label;
		enum sample_way way;
		const char *drop, *from; // a member of the proxy's container, or of the pod's spec
		bool is_kept;
	} rows[] = {
		{"no proxy", WAY_DIRECT, NULL, NULL, true},
		{"native sidecar", WAY_NATIVE_SIDECAR, NULL, NULL, true},
		{"second container", WAY_SECOND_CONTAINER, NULL, NULL, true},
		{"restartPolicy dropped", WAY_NATIVE_SIDECAR, "restartPolicy", "proxy", false},
		{"startupProbe dropped", WAY_NATIVE_SIDECAR, "startupProbe", "proxy", true},
		{"init containers dropped", WAY_NATIVE_SIDECAR, "initContainers", "spec", false},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct sample s;
		AUTO(json) json_t *shared = job_of(&s, rows[i].way, "restic");
		AUTO(json) json_t *job = json_deep_copy(shared);
		json_t *template = json_object_get(json_object_get(job, "spec"), "template");
		json_t *spec = json_object_get(template, "spec");
		json_t *proxy = json_array_get(json_object_get(spec, "initContainers"), 0);
		if (rows[i].drop != NULL)
			assert_int_equal(json_object_del(strcmp(rows[i].from, "spec") == 0 ? spec : proxy, rows[i].drop), 0);
		if (build_kept_sidecar(job) != rows[i].is_kept)
			fail_msg("%s: the Job", rows[i].label);
		if (build_kept_sidecar(template) != rows[i].is_kept) // as a pod has it
			fail_msg("%s: the pod", rows[i].label);
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(where_it_can_be_the_proxy_is_a_native_sidecar),
		cmocka_unit_test(elsewhere_it_is_a_second_container_that_learns_of_the_end),
		cmocka_unit_test(the_engine_has_dummy_keys_and_no_other_way_to_the_store),
		cmocka_unit_test(nothing_but_the_password_comes_from_a_secret_into_an_environment),
		cmocka_unit_test(the_proxy_knows_broker_and_store),
		cmocka_unit_test(what_is_not_set_is_not_said),
		cmocka_unit_test(token_and_ca_are_mounted_into_the_proxy_alone),
		cmocka_unit_test(only_the_engines_exit_code_fails_the_job),
		cmocka_unit_test(a_restore_with_direct_credentials_has_no_proxy),
		cmocka_unit_test(only_an_engine_that_cannot_use_the_proxy_goes_past_it),
		cmocka_unit_test(what_the_proxy_needs_is_asked_for),
		cmocka_unit_test(a_sidecar_that_was_not_kept_is_noticed),
	};
	return cmocka_run_group_tests_name("builders/proxy", cases, NULL, NULL);
}
