#include "builders/objects.h"
#include "builders/sizing.h"
#include "tests/builders/expect.h"
#include "tests/builders/sample.h"
#include "tests/support/cmocka.h"
#include <string.h>

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

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(the_deployment_prepares_and_serves),
		cmocka_unit_test(the_log_is_reset_only_where_that_is_allowed),
		cmocka_unit_test(prepare_knows_how_many_files_were_restored),
		cmocka_unit_test(sizings_are_told_apart_by_their_amounts),
		cmocka_unit_test(a_resize_changes_resources_and_nothing_else),
		cmocka_unit_test(the_server_alone_has_the_key),
		cmocka_unit_test(only_standing_replicas_have_an_analytics_user),
		cmocka_unit_test(a_deployment_without_image_or_intent_is_refused),
		cmocka_unit_test(a_flavour_has_its_image_and_what_it_needs),
		cmocka_unit_test(both_containers_know_whose_passwords_hold),
		cmocka_unit_test(stock_has_nothing_of_any_flavour),
		cmocka_unit_test(a_pull_secret_is_copied_whole_and_nothing_else_is),
		cmocka_unit_test(service_and_deployment_select_the_databases_pods),
		cmocka_unit_test(service_is_of_the_type_and_has_the_annotations_of_its_intent),
	};
	return cmocka_run_group_tests_name("builders/postgres", cases, NULL, NULL);
}
