#include "base/settings_flavour.h"
#include "tests/support/cmocka.h"
#include "tests/support/scratch.h"
#include <string.h>

// The environment of a test: name and value in turn, NULL at the end.
static const char *const *environment;

static const char *from_environment(const char *name)
{
	for (const char *const *at = environment; at != NULL && *at != NULL; at += 2) {
		if (strcmp(at[0], name) == 0)
			return at[1];
	}
	return NULL;
}

static int load(const char *const *variables, struct settings **out, struct error *err)
{
	environment = variables;
	return settings_load(from_environment, out, err);
}

static int load_file(const char *text, struct settings **out, struct error *err)
{
	const char *path = scratch_write("config.yaml", text, strlen(text));
	return load((const char *const[]){"UNDERSTORY_CONFIG", path, NULL}, out, err);
}

static void the_defaults_are_those_of_the_design(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(settings) struct settings *s = NULL;
	assert_ok(load(NULL, &s, &err), err);
	assert_null(s->canopy_base_url);
	assert_null(s->worklist_file);
	assert_int_equal(s->reconcile_interval_ms, 30000);
	assert_string_equal(s->broker_listen_addr, "[::]:9091");
	assert_string_equal(s->metrics_addr, "[::]:8080");
	assert_string_equal(s->operator_namespace, "pgro-system");
	assert_string_equal(s->operator_service_name, "understory");
	assert_null(s->broker_url);
	assert_string_equal(s->postgres_image, "docker.io/library/postgres");
	assert_null(s->s3_endpoint);
	assert_int_equal(s->credentials, CREDENTIALS_PROXY);
	assert_int_equal(s->max_concurrent_restores, 4);
	assert_int_equal(s->max_concurrent_checks, 4);
	assert_true(s->teardown_guard);
	assert_true(s->postgres_tls);
	assert_true(s->leader_election);
	assert_int_equal(s->log_level, LOG_INFO);
	assert_int_equal(s->log_format, LOG_LOGFMT);
	const struct settings_for_intent *verify = &s->intents[INTENT_VERIFY];
	assert_int_equal(verify->storage_size_bytes, INT64_C(20) << 30);
	assert_int_equal(verify->storage_size_maximum_bytes, INT64_C(2) << 40);
	assert_int_equal(verify->ready_timeout_ms, 1800000);
	assert_int_equal(verify->switchover_grace_ms, 120000);
	assert_int_equal(verify->minimum_ttl_ms, 0);
	assert_int_equal(verify->depth, DEPTH_DEEP);
	assert_int_equal(s->intents[INTENT_ANALYTICS].depth, DEPTH_QUICK);
	assert_int_equal(s->intents[INTENT_DISASTER_RECOVERY].depth, DEPTH_QUICK);
	assert_null(verify->cpu_request);
	assert_int_equal(s->intents[INTENT_ANALYTICS].storage_size_bytes, INT64_C(50) << 30);
	assert_int_equal(s->intents[INTENT_ANALYTICS].service_type, SERVICE_CLUSTER_IP);
	assert_int_equal(s->intents[INTENT_ANALYTICS].service_annotation_count, 0);
	assert_int_equal(s->intents[INTENT_ANALYTICS].service_timeout_ms, 120000);
	assert_int_equal(s->intents[INTENT_ANALYTICS].minimum_ttl_ms, 0);
	assert_int_equal(s->intents[INTENT_DISASTER_RECOVERY].storage_size_bytes, INT64_C(50) << 30);
	assert_int_equal(s->retry_backoff_ms[0], 300000);
	assert_int_equal(s->retry_backoff_ms[1], 1800000);
	assert_int_equal(s->retry_backoff_ms[2], 7200000);
	assert_int_equal(s->retry_limit, 3);
	assert_int_equal(settings_engine_for(s, "postgres"), ENGINE_KOPIA);
	assert_false(settings_allow_direct(s, "postgres"));
}

static void the_environment_beats_the_file_and_the_file_the_default(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(settings) struct settings *s = NULL;
	static const char text[] = "metricsAddr: 127.0.0.1:1\nlogLevel: debug\n";
	const char *path = scratch_write("config.yaml", text, sizeof(text) - 1);
	assert_ok(load((const char *const[]){"UNDERSTORY_CONFIG", path, "METRICS_ADDR", ":2", "LOG_LEVEL", "", NULL}, &s, &err),
		err);
	assert_string_equal(s->metrics_addr, ":2");
	assert_int_equal(s->log_level, LOG_DEBUG); // set to nothing is not set
	assert_string_equal(s->broker_listen_addr, "[::]:9091");
}

static void every_variable_is_read(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(settings) struct settings *s = NULL;
	assert_ok(load((const char *const[]){"CANOPY_BASE_URL", "https://canopy.example/api", "CANOPY_SOCKS5_PROXY",
			       "socks5h://[::1]:1055", "CANOPY_DEVICE_CERT_FILE", "/c", "CANOPY_DEVICE_KEY_FILE", "/k",
			       "CANOPY_CA_FILE", "/ca", "CANOPY_RECONCILE_INTERVAL_SECS", "7", "PGRO_BROKER_LISTEN_ADDR",
			       "0.0.0.0:9", "METRICS_ADDR", "localhost:0", "OPERATOR_NAMESPACE", "ns", "OPERATOR_SERVICE_NAME",
			       "svc", "PGRO_BROKER_URL", "https://broker:9091", "CANOPY_PROXY_IMAGE", "reg:5000/proxy@sha256:aa",
			       "KOPIA_IMAGE", "kopia", "RESTIC_IMAGE", "r/restic:1", "POSTGRES_IMAGE", "reg:5000/postgres",
			       "S3_ENDPOINT", "http://127.0.0.1:9000", "S3_CA_FILE", "/s3ca", "CREDENTIALS", "direct",
			       "MAX_CONCURRENT_RESTORES", "9", "MAX_CONCURRENT_CHECKS", "8", "TEARDOWN_GUARD", "off",
			       "POSTGRES_TLS", "off", "LEADER_ELECTION", "off", "LOG_LEVEL", "error", "LOG_FORMAT", "json", NULL},
			  &s, &err),
		err);
	assert_string_equal(s->canopy_base_url, "https://canopy.example/api");
	assert_string_equal(s->canopy_socks5_proxy, "socks5h://[::1]:1055");
	assert_string_equal(s->canopy_device_cert_file, "/c");
	assert_string_equal(s->canopy_device_key_file, "/k");
	assert_string_equal(s->canopy_ca_file, "/ca");
	assert_int_equal(s->reconcile_interval_ms, 7000);
	assert_string_equal(s->broker_listen_addr, "0.0.0.0:9");
	assert_string_equal(s->metrics_addr, "localhost:0");
	assert_string_equal(s->operator_namespace, "ns");
	assert_string_equal(s->operator_service_name, "svc");
	assert_string_equal(s->broker_url, "https://broker:9091");
	assert_string_equal(s->proxy_image, "reg:5000/proxy@sha256:aa");
	assert_string_equal(s->kopia_image, "kopia");
	assert_string_equal(s->restic_image, "r/restic:1");
	assert_string_equal(s->postgres_image, "reg:5000/postgres");
	assert_string_equal(s->s3_endpoint, "http://127.0.0.1:9000");
	assert_string_equal(s->s3_ca_file, "/s3ca");
	assert_int_equal(s->max_concurrent_restores, 9);
	assert_int_equal(s->max_concurrent_checks, 8);
	assert_false(s->teardown_guard);
	assert_false(s->postgres_tls);
	assert_false(s->leader_election);
	assert_int_equal(s->log_level, LOG_ERROR);
	assert_int_equal(s->log_format, LOG_JSON);
	AUTO(settings) struct settings *other = NULL;
	assert_ok(load((const char *const[]){"WORKLIST_FILE", "/w", "CANOPY_DEVICE_CERT_SECRET", "device", NULL}, &other, &err),
		err);
	assert_string_equal(other->worklist_file, "/w");
	assert_string_equal(other->canopy_device_cert_secret, "device");
}

static const char whole_file[] = "# of the operator\n"
				 "canopyBaseUrl: https://canopy.example\n"
				 "reconcileInterval: 2m\n"
				 "intents:\n"
				 "  verify:\n"
				 "    storageSize: 1Gi\n"
				 "    storageSizeMaximum: 3Gi\n"
				 "    cpuRequest: 250m\n"
				 "    cpuLimit: 2\n"
				 "    memoryRequest: 512Mi\n"
				 "    memoryLimit: 1Gi\n"
				 "    readyTimeout: 90s\n"
				 "    switchoverGrace: 0\n"
				 "    minimumTtl: 1h\n"
				 "    depth: quick\n"
				 "  analytics:\n"
				 "  disaster-recovery:\n"
				 "    passwords: generated\n"
				 "    serviceType: LoadBalancer\n"
				 "    serviceAnnotations: {tailscale.com/hostname: nauru, simple: 'true'}\n"
				 "    serviceTimeout: 4m\n"
				 "engines: {postgres: restic, tar: kopia}\n"
				 "flavours:\n"
				 "  stock: {preload: [pg_stat_statements]}\n"
				 "  pg_durable:\n"
				 "    image: example.org/durable\n"
				 "    pullSecret: registry\n"
				 "    label: durable-1\n"
				 "    environment: {DURABLE_MODE: strict}\n"
				 "    preload: [pg_durable, $libdir/other]\n"
				 "    hba: ['host all durable 127.0.0.1/32 trust', 'host all durable ::1/128 scram-sha-256']\n"
				 "directCredentials: [postgres, 'tar two']\n"
				 "storageClass: fast\n"
				 "nodeSelector:\n"
				 "  disk: ssd\n"
				 "  spot: true\n"
				 "tolerations:\n"
				 "  - {key: dedicated, operator: Equal, value: restore, effect: NoSchedule}\n"
				 "  - operator: Exists\n"
				 "podAnnotations: {example.com/scrape: 'false'}\n"
				 "retry: {backoff: [1m, 2m, 3m], limit: 5}\n";

static void the_file_is_read_whole(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(settings) struct settings *s = NULL;
	assert_ok(load_file(whole_file, &s, &err), err);
	assert_string_equal(s->canopy_base_url, "https://canopy.example");
	assert_int_equal(s->reconcile_interval_ms, 120000);
	const struct settings_for_intent *verify = &s->intents[INTENT_VERIFY];
	assert_int_equal(verify->storage_size_bytes, INT64_C(1) << 30);
	assert_int_equal(verify->storage_size_maximum_bytes, INT64_C(3) << 30);
	assert_string_equal(verify->cpu_request, "250m");
	assert_string_equal(verify->cpu_limit, "2");
	assert_string_equal(verify->memory_request, "512Mi");
	assert_string_equal(verify->memory_limit, "1Gi");
	assert_int_equal(verify->ready_timeout_ms, 90000);
	assert_int_equal(verify->switchover_grace_ms, 0);
	assert_int_equal(verify->minimum_ttl_ms, 3600000);
	assert_int_equal(verify->depth, DEPTH_QUICK);
	assert_int_equal(s->intents[INTENT_ANALYTICS].storage_size_bytes, INT64_C(50) << 30);
	const struct settings_for_intent *recovery = &s->intents[INTENT_DISASTER_RECOVERY];
	assert_int_equal(recovery->service_type, SERVICE_LOAD_BALANCER);
	assert_int_equal(recovery->service_annotation_count, 2);
	assert_string_equal(recovery->service_annotations[0].key, "tailscale.com/hostname");
	assert_string_equal(recovery->service_annotations[0].value, "nauru");
	assert_int_equal(recovery->service_timeout_ms, 240000);
	assert_int_equal(settings_engine_for(s, "postgres"), ENGINE_RESTIC);
	assert_int_equal(settings_engine_for(s, "tar"), ENGINE_KOPIA);
	assert_int_equal(settings_engine_for(s, "other"), ENGINE_KOPIA);
	assert_true(settings_allow_direct(s, "postgres") && settings_allow_direct(s, "tar two"));
	assert_false(settings_allow_direct(s, "tar"));
	assert_int_equal(s->flavour_count, 2);
	const struct settings_flavour *durable = settings_find_flavour(s, "pg_durable");
	assert_ptr_equal(durable, &s->flavours[1]);
	assert_string_equal(durable->image, "example.org/durable");
	assert_string_equal(durable->pull_secret, "registry");
	assert_string_equal(settings_flavour_label(durable), "durable-1");
	assert_int_equal(durable->environment_count, 1);
	assert_string_equal(durable->environment[0].value, "strict");
	assert_int_equal(durable->preload_count, 2);
	assert_string_equal(durable->preload[1], "$libdir/other");
	assert_int_equal(durable->hba_count, 2);
	assert_null(settings_find_flavour(s, "stock")->image);
	assert_null(settings_find_flavour(s, "acme"));
	assert_string_equal(s->storage_class, "fast");
	assert_int_equal(s->node_selector_count, 2);
	assert_string_equal(s->node_selector[1].key, "spot");
	assert_string_equal(s->node_selector[1].value, "true");
	assert_int_equal(s->toleration_count, 2);
	assert_string_equal(s->tolerations[0].key, "dedicated");
	assert_string_equal(s->tolerations[0].operator_, "Equal");
	assert_string_equal(s->tolerations[0].value, "restore");
	assert_string_equal(s->tolerations[0].effect, "NoSchedule");
	assert_null(s->tolerations[1].key);
	assert_string_equal(s->tolerations[1].operator_, "Exists");
	assert_int_equal(s->pod_annotation_count, 1);
	assert_string_equal(s->pod_annotations[0].value, "false");
	assert_int_equal(s->retry_backoff_ms[0], 60000);
	assert_int_equal(s->retry_backoff_ms[2], 180000);
	assert_int_equal(s->retry_limit, 5);
}

static void every_prefix_of_the_file_is_read_or_refused_cleanly(void **state)
{
	(void)state;
	for (size_t len = 0; len < sizeof(whole_file); len++) {
		struct error err = {0};
		AUTO(settings) struct settings *s = NULL;
		const char *path = scratch_write("config.yaml", whole_file, len);
		if (load((const char *const[]){"UNDERSTORY_CONFIG", path, NULL}, &s, &err) < 0) {
			assert_int_equal(err.kind, ERROR_INVALID);
			// A size cut short may be more than its maximum.
			assert_true(
				strncmp(err.text, "UNDERSTORY_CONFIG: ", 19) == 0 || strncmp(err.text, "settings: ", 10) == 0);
		}
	}
}

static void a_bad_variable_is_refused_with_name_value_and_what_is_allowed(void **state)
{
	(void)state;
	const struct {
		const char *name, *value, *allowed;
	} rows[] = {
		{"CANOPY_RECONCILE_INTERVAL_SECS", "0", "from 1s to 1d"},
		{"CANOPY_RECONCILE_INTERVAL_SECS", "0.5", "from 1s to 1d"},
		{"CANOPY_RECONCILE_INTERVAL_SECS", "1500ms", "from 1s to 1d"},
		{"CANOPY_RECONCILE_INTERVAL_SECS", "soon", "a duration of whole seconds"},
		{"CANOPY_BASE_URL", "canopy.example", "a URL that begins with http:// or https://"},
		{"CANOPY_BASE_URL", "ftp://canopy.example", "http:// or https://"},
		{"CANOPY_BASE_URL", "https://", "http:// or https://"},
		{"CANOPY_BASE_URL", "https:///path", "http:// or https://"},
		{"CANOPY_BASE_URL", "https://a?b=c", "has no query"},
		{"CANOPY_BASE_URL", "https://a b", "http:// or https://"},
		{"CANOPY_BASE_URL", "https://user:pw@host", "names no user"},
		{"CANOPY_BASE_URL", "https://a\nb", "http:// or https://"},
		{"CANOPY_SOCKS5_PROXY", "http://[::1]:1055", "socks5:// or socks5h://"},
		{"PGRO_BROKER_URL", "http://broker", "a URL that begins with https://"},
		{"METRICS_ADDR", "8080", "HOST:PORT, [IPV6]:PORT or :PORT"},
		{"METRICS_ADDR", "::1:8080", "HOST:PORT"},
		{"METRICS_ADDR", "a:65536", "HOST:PORT"},
		{"METRICS_ADDR", "a:", "HOST:PORT"},
		{"METRICS_ADDR", "[]:1", "HOST:PORT"},
		{"METRICS_ADDR", "[x]:1", "HOST:PORT"},
		{"OPERATOR_NAMESPACE", "Pgro", "a name of lower-case letters"},
		{"OPERATOR_NAMESPACE", "-a", "a name of lower-case letters"},
		{"KOPIA_IMAGE", "a b", "the name of an image"},
		{"POSTGRES_IMAGE", "postgres:15", "an image without tag and digest"},
		{"POSTGRES_IMAGE", "r:5000/postgres@sha256:aa", "an image without tag and digest"},
		{"MAX_CONCURRENT_RESTORES", "0", "a whole number from 1 to 1000"},
		{"MAX_CONCURRENT_RESTORES", "4x", "a whole number from 1 to 1000"},
		{"MAX_CONCURRENT_RESTORES", "-4", "a whole number from 1 to 1000"},
		{"MAX_CONCURRENT_RESTORES", "99999999999999999999", "a whole number from 1 to 1000"},
		{"TEARDOWN_GUARD", "true", "on or off"},
		{"LOG_LEVEL", "trace", "debug, info, warn or error"},
		{"LOG_FORMAT", "JSON", "logfmt or json"},
		{"CREDENTIALS", "none", "proxy or direct"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		struct settings *s = NULL;
		char start[256];
		(void)snprintf(start, sizeof(start), "environment: %s: \"%s\": allowed is ", rows[i].name, rows[i].value);
		if (load((const char *const[]){rows[i].name, rows[i].value, NULL}, &s, &err) == 0) {
			settings_free(s);
			fail_msg("%s=%s: taken", rows[i].name, rows[i].value);
		}
		if (err.kind != ERROR_INVALID || strncmp(err.text, start, strlen(start)) != 0 ||
			strstr(err.text, rows[i].allowed) == NULL)
			fail_msg("%s=%s: %s", rows[i].name, rows[i].value, err.text);
	}
}

static void a_bad_file_is_refused_with_its_place(void **state)
{
	(void)state;
	const struct {
		const char *text, *error; // behind the path
	} rows[] = {
		{"metricsAddr: :1\nmetricAddr: :1\n", ":2:1: metricAddr: unknown key: allowed is canopyBaseUrl, "},
		{"METRICS_ADDR: :1\n", ":1:1: METRICS_ADDR: unknown key: "},
		{"retry.limit: 3\n", ":1:1: retry.limit: unknown key: "},
		{"retry: {limits: 3}\n", ":1:9: limits: unknown key: allowed is backoff, limit"},
		{"intents: {verify: {cpu: 3}}\n",
			":1:20: cpu: unknown key: allowed is storageSize, storageSizeMaximum, cpuRequest"},
		{"intents: {archive: {}}\n", ":1:11: archive: unknown intent: allowed is verify, analytics or disaster-recovery"},
		{"intents: [verify]\n", ":1:1: intents: allowed is a mapping of verify, analytics and disaster-recovery"},
		{"- a\n", ":1:1: element: allowed is a mapping of settings"},
		{"logLevel: debug\nlogLevel: info\n", ":2:1: key \"logLevel\" comes twice, first in line 1"},
		{"logLevel: [debug]\n", ":1:1: logLevel: allowed is debug, info, warn or error"},
		{"logLevel: loud\n", ":1:1: logLevel: \"loud\": allowed is debug, info, warn or error"},
		{"intents:\n  verify:\n    storageSize: 20G1\n",
			":3:5: storageSize: \"20G1\": allowed is a size (20Gi, 500M) from 1Mi to 1Pi"},
		{"intents: {verify: {storageSize: 1}}\n", ":1:20: storageSize: \"1\": allowed is a size"},
		{"intents: {verify: {cpuLimit: 0}}\n", ":1:20: cpuLimit: \"0\": allowed is a number of CPUs"},
		{"intents: {verify: {readyTimeout: 0}}\n", ":1:20: readyTimeout: \"0\": allowed is a duration of whole seconds"},
		{"intents: {verify: {depth: full}}\n", ":1:20: depth: \"full\": allowed is quick or deep"},
		{"intents: {analytics: {passwords: kept}}\n", ":1:23: passwords: \"kept\": allowed is generated or source"},
		{"intents: {analytics: {serviceType: ExternalName}}\n",
			":1:23: serviceType: \"ExternalName\": allowed is ClusterIP, NodePort or LoadBalancer"},
		{"intents: {analytics: {serviceAnnotations: [a]}}\n",
			":1:23: serviceAnnotations: allowed is a mapping of names to texts"},
		{"flavours: [acme]\n", ":1:1: flavours: allowed is a mapping of names to mappings of image"},
		{"flavours: {acme: {}}\n", ":1:12: acme: image: missing, only stock has one without (POSTGRES_IMAGE)"},
		{"flavours: {pg_durable: {preload: [a]}}\n", ":1:12: pg_durable: image: missing"},
		{"flavours: {a b: {image: x}}\n", ":1:12: a b: allowed is a name of letters, digits"},
		{"flavours: {acme: {image: x, tag: y}}\n", ":1:29: tag: unknown key: allowed is image, pullSecret, label"},
		{"flavours: {acme: {image: 'x y'}}\n", ":1:12: acme: image: \"x y\": allowed is the name of an image"},
		{"flavours: {acme: {image: x, label: 'a b'}}\n", ":1:12: acme: label: \"a b\": allowed is a value of a label"},
		{"flavours: {acme: {image: x, pullSecret: A}}\n",
			":1:12: acme: pullSecret: \"A\": allowed is the name of a Secret"},
		{"flavours: {acme: {image: x, environment: {PGHOST: y}}}\n", ":1:12: acme: environment: \"PGHOST\": allowed is"},
		{"flavours: {acme: {image: x, environment: {PRELOAD: y}}}\n",
			":1:12: acme: environment: \"PRELOAD\": allowed is"},
		{"flavours: {acme: {image: x, environment: {a-b: y}}}\n", ":1:12: acme: environment: \"a-b\": allowed is"},
		{"flavours: {acme: {image: x, preload: a}}\n", ":1:29: preload: allowed is a list of texts"},
		{"flavours: {acme: {image: x, preload: [\"a', b = '\"]}}\n", ":1:12: acme: preload: \"a', b = '\": allowed is"},
		{"flavours: {acme: {image: x, hba: ['host all all 0.0.0.0/0 trust']}}\n",
			":1:12: acme: hba: \"host all all 0.0.0.0/0"},
		{"flavours: {acme: {image: x, hba: ['host all all 127.0.0.0/8 trust']}}\n",
			":1:12: acme: hba: \"host all all 127"},
		{"flavours: {acme: {image: x, hba: ['host \"a b\" all 127.0.0.1/32 trust']}}\n", ":1:12: acme: hba: "},
		{"flavours: {acme: {image: x, hba: ['host @file all 127.0.0.1/32 trust']}}\n", ":1:12: acme: hba: "},
		{"flavours: {acme: {image: x, hba: ['local all all trust']}}\n",
			":1:12: acme: hba: \"local all all trust\": allowed is"},
		{"engines: {postgres: tar}\n", ":1:11: postgres: \"tar\": allowed is kopia, restic"},
		{"engines: restic\n", ":1:1: engines: allowed is a mapping of backup types to kopia, restic"},
		{"directCredentials: postgres\n", ":1:1: directCredentials: allowed is a list of texts"},
		{"directCredentials: [{a: b}]\n", ":1:21: element: allowed is a text"},
		{"nodeSelector: {a: [b]}\n", ":1:16: a: allowed is a text"},
		{"nodeSelector: {a: }\n", ":1:16: a: allowed is a text"},
		{"podAnnotations: {a: \"b\\nc\"}\n", ":1:18: a: allowed is a text without control characters"},
		{"tolerations: {key: a}\n", ":1:1: tolerations: allowed is a list of mappings"},
		{"tolerations: [a]\n", ":1:15: element: allowed is a mapping with key, operator, value and effect"},
		{"tolerations: [{seconds: 3}]\n", ":1:16: seconds: unknown key: allowed is key, operator, value or effect"},
		{"tolerations: [{key: a, operator: Like}]\n", ":1:15: element: operator: allowed is Equal or Exists"},
		{"tolerations: [{key: a, effect: No}]\n", ":1:15: element: effect: allowed is NoSchedule"},
		{"tolerations: [{value: a}]\n", ":1:15: element: key: missing"},
		{"tolerations: [{key: a, operator: Exists, value: b}]\n", ":1:15: element: value: not allowed"},
		{"retry: {backoff: [1m, 2m]}\n", ":1:9: backoff: \"1m, 2m\": allowed is three durations"},
		{"retry: {backoff: [1m, 2m, 3m, 4m]}\n", ":1:9: backoff: \"1m, 2m, 3m, 4m\": allowed is three durations"},
		{"retry: {backoff: [1m, x, 3m]}\n", ":1:9: backoff: \"1m, x, 3m\": allowed is three durations"},
		{"retry: {backoff: 5m}\n", ":1:9: backoff: allowed is three durations"},
		{"retry: 3\n", ":1:1: retry: allowed is a mapping of settings"},
		{"a: *b\n", ":1:4: aliases (*name) are not supported"},
		{"a: 'b\n", ":2:1: found unexpected end of stream"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		struct settings *s = NULL;
		char start[512];
		const char *path = scratch_write("config.yaml", rows[i].text, strlen(rows[i].text));
		(void)snprintf(start, sizeof(start), "UNDERSTORY_CONFIG: %s%s", path, rows[i].error);
		if (load((const char *const[]){"UNDERSTORY_CONFIG", path, NULL}, &s, &err) == 0) {
			settings_free(s);
			fail_msg("%s: taken", rows[i].text);
		}
		if (err.kind != ERROR_INVALID || strncmp(err.text, start, strlen(start)) != 0)
			fail_msg("%s: %s, expected %s", rows[i].text, err.text, start);
	}
}

static void a_missing_file_is_refused(void **state)
{
	(void)state;
	struct error err = {0};
	struct settings *s = NULL;
	assert_error(load((const char *const[]){"UNDERSTORY_CONFIG", scratch_absent(), NULL}, &s, &err), err, ERROR_INVALID,
		scratch_absent());
	assert_non_null(strstr(err.text, "No such file"));
}

static void contradictions_are_refused(void **state)
{
	(void)state;
	const struct {
		const char *const variables[9];
		const char *error;
	} rows[] = {
		{{"CANOPY_BASE_URL", "http://a", "WORKLIST_FILE", "/w"},
			"settings: CANOPY_BASE_URL and WORKLIST_FILE: exclude each other, set one"},
		{{"CANOPY_DEVICE_CERT_FILE", "/c"},
			"settings: CANOPY_DEVICE_CERT_FILE and CANOPY_DEVICE_KEY_FILE: go together, set both or neither"},
		{{"CANOPY_DEVICE_KEY_FILE", "/k"},
			"settings: CANOPY_DEVICE_CERT_FILE and CANOPY_DEVICE_KEY_FILE: go together, set both or neither"},
		{{"CANOPY_DEVICE_CERT_SECRET", "s", "CANOPY_DEVICE_CERT_FILE", "/c", "CANOPY_DEVICE_KEY_FILE", "/k"},
			"settings: CANOPY_DEVICE_CERT_SECRET and CANOPY_DEVICE_CERT_FILE, CANOPY_DEVICE_KEY_FILE: exclude each "
			"other, "
			"set one"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		struct settings *s = NULL;
		assert_int_equal(load(rows[i].variables, &s, &err), -1);
		assert_int_equal(err.kind, ERROR_INVALID);
		assert_string_equal(err.text, rows[i].error);
	}
	const struct {
		const char *text, *error;
	} files[] = {
		{"intents: {verify: {cpuRequest: 2, cpuLimit: 1500m}}",
			"settings: intents.verify: the CPU request 2 is more than the CPU limit 1500m"},
		{"intents: {analytics: {memoryRequest: 2Gi, memoryLimit: 2G}}",
			"settings: intents.analytics: the memory request 2Gi is more than the memory limit 2G"},
		{"intents: {verify: {storageSizeMaximum: 1Gi}}",
			"settings: intents.verify: the storage size is more than its maximum"},
		{"canopyBaseUrl: https://canopy.example\nintents: {analytics: {passwords: source}}",
			"settings: intents.analytics: passwords is source, allowed with CANOPY_BASE_URL is generated: only "
			"entries of "
			"WORKLIST_FILE name a sourceSecret"},
		{"intents: {verify: {serviceType: NodePort}}", "settings: intents.verify: serviceType is NodePort, allowed is "
							       "ClusterIP: nobody but the operator comes to what "
							       "is to be proven"},
		{"intents: {analytics: {serviceAnnotations: {Not/good/at all: a}}}",
			"settings: intents.analytics: serviceAnnotations: \"Not/good/at all\" is no name of an annotation, "
			"allowed is "
			"NAME or OWNER/NAME"},
		{"intents: {verify: {allowResetWal: on}}", "settings: intents.verify.allowResetWal is on, allowed is off: a "
							   "database without its log proves nothing about "
							   "the backup"},
	};
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct error err = {0};
		struct settings *s = NULL;
		assert_int_equal(load_file(files[i].text, &s, &err), -1);
		assert_int_equal(err.kind, ERROR_INVALID);
		assert_string_equal(err.text, files[i].error);
	}
}

static void a_worklist_is_needed_only_by_those_who_ask(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(settings) struct settings *none = NULL;
	AUTO(settings) struct settings *file = NULL;
	AUTO(settings) struct settings *url = NULL;
	assert_ok(load(NULL, &none, &err), err);
	assert_error(settings_need_worklist(none, &err), err, ERROR_INVALID, "neither CANOPY_BASE_URL nor WORKLIST_FILE is set");
	assert_ok(load((const char *const[]){"WORKLIST_FILE", "/w", NULL}, &file, &err), err);
	assert_ok(settings_need_worklist(file, &err), err);
	assert_ok(load((const char *const[]){"CANOPY_BASE_URL", "http://a", NULL}, &url, &err), err);
	assert_ok(settings_need_worklist(url, &err), err);
}

static void an_image_for_the_proxy_is_needed_only_by_those_who_ask(void **state)
{
	(void)state;
	static const struct {
		const char *const variables[5];
		bool is_enough;
	} rows[] = {
		{{NULL}, false},
		{{"CREDENTIALS", "proxy", NULL}, false},
		{{"CREDENTIALS", "direct", NULL}, true},
		{{"CANOPY_PROXY_IMAGE", "reg/understory:1", NULL}, true},
		{{"CREDENTIALS", "proxy", "CANOPY_PROXY_IMAGE", "reg/understory:1", NULL}, true},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		AUTO(settings) struct settings *s = NULL;
		assert_ok(load(rows[i].variables, &s, &err), err);
		int rc = settings_need_proxy_image(s, &err);
		if (rc != (rows[i].is_enough ? 0 : -1))
			fail_msg("row %zu: %s", i, err.text);
		if (rc < 0 && (err.kind != ERROR_INVALID || strstr(err.text, "CANOPY_PROXY_IMAGE is not set") == NULL ||
				      strstr(err.text, "CREDENTIALS=direct") == NULL))
			fail_msg("row %zu: %s", i, err.text);
	}
}

static char *printed(void (*print)(const struct settings *, FILE *), const struct settings *s)
{
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);
	assert_non_null(to);
	print(s, to);
	assert_int_equal(fclose(to), 0);
	return text;
}

static void dump(const struct settings *s, FILE *to)
{
	settings_dump(s, from_environment, to);
}

static void help(const struct settings *s, FILE *to)
{
	(void)s;
	settings_help(to);
}

// The line of the dump that begins with name, its columns parted by one blank.
static void dump_line(const char *text, const char *name, char *out, size_t size)
{
	size_t used = 0;
	const char *at = text;
	while (at != NULL && !(strncmp(at, name, strlen(name)) == 0 && at[strlen(name)] == ' ')) {
		at = strchr(at, '\n');
		at = at == NULL ? NULL : at + 1;
	}
	if (at == NULL)
		fail_msg("no line %s in\n%s", name, text);
	for (; at != NULL && *at != '\n' && used + 1 < size; at++) {
		if (*at != ' ' || (used > 0 && out[used - 1] != ' '))
			out[used++] = *at;
	}
	out[used] = '\0';
}

static void the_dump_says_value_and_origin(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(settings) struct settings *s = NULL;
	const char *path = scratch_write("config.yaml", whole_file, sizeof(whole_file) - 1);
	assert_ok(load((const char *const[]){"UNDERSTORY_CONFIG", path, "LOG_LEVEL", "warn", "CANOPY_SOCKS5_PROXY",
			       "socks5://me:hunter2@[::1]:1", NULL},
			  &s, &err),
		err);
	AUTO_FREE char *text = printed(dump, s);
	const struct {
		const char *name, *line;
	} rows[] = {
		{"LOG_LEVEL", "LOG_LEVEL warn environment"},
		{"LOG_FORMAT", "LOG_FORMAT logfmt default"},
		{"CANOPY_BASE_URL", "CANOPY_BASE_URL https://canopy.example file"},
		{"CANOPY_SOCKS5_PROXY", "CANOPY_SOCKS5_PROXY socks5://***@[::1]:1 environment"},
		{"CANOPY_RECONCILE_INTERVAL_SECS", "CANOPY_RECONCILE_INTERVAL_SECS 2m file"},
		{"WORKLIST_FILE", "WORKLIST_FILE - default"},
		{"TEARDOWN_GUARD", "TEARDOWN_GUARD on default"},
		{"MAX_CONCURRENT_CHECKS", "MAX_CONCURRENT_CHECKS 4 default"},
		{"engines", "engines postgres=restic, tar=kopia file"},
		{"directCredentials", "directCredentials postgres, tar two file"},
		{"nodeSelector", "nodeSelector disk=ssd, spot=true file"},
		{"tolerations", "tolerations dedicated Equal restore:NoSchedule, * Exists:* file"},
		{"retry.backoff", "retry.backoff 1m, 2m, 3m file"},
		{"intents.verify.storageSize", "intents.verify.storageSize 1Gi file"},
		{"intents.verify.switchoverGrace", "intents.verify.switchoverGrace 0s file"},
		{"intents.analytics.storageSize", "intents.analytics.storageSize 50Gi default"},
		{"intents.analytics.cpuLimit", "intents.analytics.cpuLimit - default"},
		{"intents.analytics.allowResetWal", "intents.analytics.allowResetWal off default"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char line[256];
		dump_line(text, rows[i].name, line, sizeof(line));
		assert_string_equal(line, rows[i].line);
	}
	assert_null(strstr(text, "hunter2"));

	// The same for one line of the log.
	AUTO(buf) struct buf summary;
	buf_init(&summary, 4096);
	assert_ok(settings_summary(s, &summary, &err), err);
	const char *const set[] = {
		"canopyBaseUrl=https://canopy.example, canopySocks5Proxy=socks5://***@[::1]:1, reconcileInterval=2m",
		", logLevel=warn, ", ", intents.verify.storageSize=1Gi, "};
	for (size_t i = 0; i < sizeof(set) / sizeof(set[0]); i++)
		assert_non_null(strstr(buf_str(&summary), set[i]));
	const char *const unset[] = {"hunter2", "logFormat", "intents.analytics.cpuLimit"};
	for (size_t i = 0; i < sizeof(unset) / sizeof(unset[0]); i++)
		assert_null(strstr(buf_str(&summary), unset[i]));
}

static void a_summary_of_nothing_says_so_and_one_too_long_fails(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(settings) struct settings *none = NULL;
	AUTO(settings) struct settings *some = NULL;
	AUTO(buf) struct buf summary;
	AUTO(buf) struct buf small;
	buf_init(&summary, 4096);
	buf_init(&small, 16);
	assert_ok(load(NULL, &none, &err), err);
	assert_ok(settings_summary(none, &summary, &err), err);
	assert_string_equal(buf_str(&summary), "all defaults");
	assert_ok(load((const char *const[]){"CANOPY_BASE_URL", "https://canopy.example", NULL}, &some, &err), err);
	assert_int_equal(settings_summary(some, &small, &err), -1);
}

static void no_error_shows_a_password(void **state)
{
	(void)state;
	struct error err = {0};
	struct settings *s = NULL;
	assert_error(load((const char *const[]){"CANOPY_SOCKS5_PROXY", "http://me:hunter2@proxy", NULL}, &s, &err), err,
		ERROR_INVALID, "http://***@proxy");
	assert_null(strstr(err.text, "hunter2"));
}

static void the_help_names_every_setting(void **state)
{
	(void)state;
	AUTO_FREE char *text = printed(help, NULL);
	const char *const names[] = {"UNDERSTORY_CONFIG", "CANOPY_BASE_URL, in the file canopyBaseUrl", "Default: 30.",
		"storageClass", "retry.backoff", "Default: 5m, 30m, 2h.", "intents.<intent>.storageSize",
		"verify 20Gi, analytics 50Gi, disaster-recovery 50Gi", "a sidecar signs with keys from the broker",
		"socks5:// or socks5h://"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strstr(text, names[i]) == NULL)
			fail_msg("no %s in\n%s", names[i], text);
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(the_defaults_are_those_of_the_design),
		cmocka_unit_test(the_environment_beats_the_file_and_the_file_the_default),
		cmocka_unit_test(every_variable_is_read),
		cmocka_unit_test(the_file_is_read_whole),
		cmocka_unit_test(every_prefix_of_the_file_is_read_or_refused_cleanly),
		cmocka_unit_test(a_bad_variable_is_refused_with_name_value_and_what_is_allowed),
		cmocka_unit_test(a_bad_file_is_refused_with_its_place),
		cmocka_unit_test(a_missing_file_is_refused),
		cmocka_unit_test(contradictions_are_refused),
		cmocka_unit_test(a_worklist_is_needed_only_by_those_who_ask),
		cmocka_unit_test(an_image_for_the_proxy_is_needed_only_by_those_who_ask),
		cmocka_unit_test(the_dump_says_value_and_origin),
		cmocka_unit_test(no_error_shows_a_password),
		cmocka_unit_test(a_summary_of_nothing_says_so_and_one_too_long_fails),
		cmocka_unit_test(the_help_names_every_setting),
	};
	return cmocka_run_group_tests_name("base/settings", cases, NULL, NULL);
}
