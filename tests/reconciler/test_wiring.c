// The operator put together from its settings, against the stub's API server: where the certificate for canopy comes from, who
// leads, what the broker is called and whether there is one.
#include "reconciler/wiring.h"

#include "base/cert.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/log.h"
#include "k8s/client.h"
#include "reconciler/ca_secret.h"
#include "reconciler/secret_data.h"
#include "tests/reconciler/cluster.h"
#include "tests/support/cmocka.h"
#include "tests/support/pki.h"
#include "tests/support/scratch.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SETTINGS_MAX 8

static struct cluster c;
static struct pki_cert ca, leaf;

// What a case sets beside where canopy is.
static const char *set[SETTINGS_MAX][2];

static const char *environment(const char *name)
{
	for (size_t i = 0; i < SETTINGS_MAX && set[i][0] != NULL; i++) {
		if (strcmp(set[i][0], name) == 0)
			return set[i][1];
	}
	if (strcmp(name, "PGRO_BROKER_LISTEN_ADDR") == 0)
		return "127.0.0.1:0";
	if (strcmp(name, "CANOPY_PROXY_IMAGE") == 0)
		return "proxy:1";
	return strcmp(name, "CANOPY_BASE_URL") == 0 ? c.op.settings->canopy_base_url : NULL;
}

static void set_one(size_t i, const char *name, const char *value)
{
	set[i][0] = name;
	set[i][1] = value;
}

static int set_up(void **state)
{
	(void)state;
	memset(set, 0, sizeof(set));
	cluster_open(&c, "verify", NULL);
	// No other thread reads it.
	return setenv("KUBECONFIG", cluster_kubeconfig(&c), 1); // NOLINT(concurrency-mt-unsafe)
}

static int tear_down(void **state)
{
	(void)state;
	cluster_close(&c);
	return 0;
}

static int open_with(struct settings **settings, enum wiring_need need, struct wiring **out, struct error *err)
{
	struct error wrong = {0};
	assert_ok(settings_load(environment, settings, &wrong), wrong);
	return wiring_open(*settings, need, out, err);
}

static void opens(void)
{
	struct error err = {0};
	AUTO(settings) struct settings *settings = NULL;
	AUTO(wiring) struct wiring *wiring = NULL;
	assert_ok(open_with(&settings, WIRING_ALL, &wiring, &err), err);
	assert_non_null(wiring_manager(wiring)->canopy);
}

static void fails(const char *part)
{
	struct error err = {0};
	AUTO(settings) struct settings *settings = NULL;
	AUTO(wiring) struct wiring *wiring = NULL;
	assert_int_equal(open_with(&settings, WIRING_ALL, &wiring, &err), -1);
	if (strstr(err.text, part) == NULL)
		fail_msg("\"%s\" is not in: %s", part, err.text);
}

// --- the certificate for canopy

static void it_comes_from_files(void **state)
{
	(void)state;
	AUTO_FREE char *missing = strdup(scratch_absent());
	set_one(0, "CANOPY_DEVICE_CERT_FILE", scratch_write("device.crt", leaf.cert_pem, strlen(leaf.cert_pem)));
	set_one(1, "CANOPY_DEVICE_KEY_FILE", scratch_write("device.key", leaf.key_pem, strlen(leaf.key_pem)));
	set_one(2, "CANOPY_CA_FILE", scratch_write("ca.crt", ca.cert_pem, strlen(ca.cert_pem)));
	opens();
	set_one(2, "CANOPY_CA_FILE", missing);
	fails("canopy: ");
	fails(missing);
	set_one(1, "CANOPY_DEVICE_KEY_FILE", missing);
	fails(missing);
	set_one(1, "CANOPY_DEVICE_KEY_FILE", scratch_write("device.key", "no key", 6));
	fails("canopy: ");
}

static char *base64(const char *text)
{
	char *encoded = malloc(ENCODE_BASE64_SIZE(strlen(text)));
	assert_non_null(encoded);
	encode_base64(text, strlen(text), encoded);
	return encoded;
}

static void it_comes_from_a_secret(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO_FREE char *cert = base64(leaf.cert_pem);
	AUTO_FREE char *key = base64(leaf.key_pem);
	set_one(0, "CANOPY_DEVICE_CERT_SECRET", "device");
	fails("canopy: ");
	cluster_make_secret(&c, "device", json_pack("{s:s}", "tls.crt", cert));
	fails("secret pgro-system/device: key tls.key: ");
	assert_ok(k8s_delete(c.op.k8s, &K8S_SECRET, "pgro-system", "device", NULL, NULL, &err), err);
	cluster_make_secret(&c, "device", json_pack("{s:s}", "tls.key", key));
	fails("secret pgro-system/device: key tls.crt: ");
	assert_ok(k8s_delete(c.op.k8s, &K8S_SECRET, "pgro-system", "device", NULL, NULL, &err), err);
	cluster_make_secret(&c, "device", json_pack("{s:s, s:s}", "tls.crt", cert, "tls.key", key));
	opens();
}

static void the_ca_of_the_store_is_read(void **state)
{
	(void)state;
	AUTO_FREE char *missing = strdup(scratch_absent());
	set_one(0, "S3_CA_FILE", missing);
	fails("S3_CA_FILE: ");
	struct error err = {0};
	AUTO(settings) struct settings *settings = NULL;
	AUTO(wiring) struct wiring *wiring = NULL;
	set_one(0, "S3_CA_FILE", scratch_write("s3.crt", ca.cert_pem, strlen(ca.cert_pem)));
	assert_ok(open_with(&settings, WIRING_CLUSTER, &wiring, &err), err);
	assert_string_equal(wiring_manager(wiring)->s3_ca_pem, ca.cert_pem);
}

// --- without canopy, without a Lease, without a broker

static void a_worklist_file_needs_no_canopy(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(settings) struct settings *settings = NULL;
	AUTO(wiring) struct wiring *wiring = NULL;
	set_one(0, "CANOPY_BASE_URL", NULL);
	set_one(1, "WORKLIST_FILE", scratch_write("worklist.yaml", "[]", 2));
	assert_ok(open_with(&settings, WIRING_WORKLIST, &wiring, &err), err);
	assert_null(wiring_manager(wiring)->canopy);
}

static void without_an_election_it_leads(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(settings) struct settings *settings = NULL;
	AUTO(wiring) struct wiring *wiring = NULL;
	AUTO(buf) struct buf page;
	buf_init(&page, (size_t)1 << 20);
	set_one(0, "LEADER_ELECTION", "off");
	assert_ok(open_with(&settings, WIRING_ALL, &wiring, &err), err);
	struct manager *op = wiring_manager(wiring);
	assert_null(op->lease);
	assert_true(manager_leads(op));
	wiring_announce(wiring); // nobody was elected
	assert_ok(wiring_watch(wiring, &err), err);
	assert_ok(metrics_render(op->metrics, &page, &err), err);
	assert_non_null(strstr(buf_str(&page), "\nunderstory_leader 1\n"));
	assert_non_null(strstr(buf_str(&page), "\nworkqueue_depth{"));
}

static void keys_given_directly_need_no_broker(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(settings) struct settings *settings = NULL;
	AUTO(wiring) struct wiring *wiring = NULL;
	set_one(0, "CREDENTIALS", "direct");
	// The broker would ask for it.
	cluster_fault(&c, "[{\"path\":\"/version\",\"status\":403,\"reason\":\"Forbidden\",\"message\":\"not for you\"}]");
	assert_ok(open_with(&settings, WIRING_ALL, &wiring, &err), err);
	assert_ok(wiring_keep_certificates(wiring, clock_wall_ms(), &err), err);
	assert_non_null(authority_trust(wiring_manager(wiring)->authority));
	cluster_fault(&c, "[]");
}

// --- the broker

static void assert_named(const char *url, const char *expected)
{
	const char *const names[] = {expected, "understory.pgro-system.svc", NULL};
	struct error err = {0};
	AUTO(settings) struct settings *settings = NULL;
	AUTO(wiring) struct wiring *wiring = NULL;
	AUTO(json) json_t *object = NULL;
	AUTO(secret) struct secret cert = {0};
	set_one(0, "PGRO_BROKER_URL", url);
	assert_ok(open_with(&settings, WIRING_ALL, &wiring, &err), err);
	assert_ok(wiring_keep_certificates(wiring, clock_wall_ms(), &err), err);
	assert_ok(wiring_keep_certificates(wiring, clock_wall_ms(), &err), err); // and again, when there is nothing to do
	assert_ok(k8s_get(c.op.k8s, &K8S_SECRET, "pgro-system", CA_SECRET_NAME, &object, &err), err);
	assert_ok(secret_data_get(json_object_get(object, "data"), "tls.crt", &cert, &err), err);
	if (!cert_has_names(secret_reveal(&cert), names))
		fail_msg("%s: the certificate does not bear %s", url, expected);
}

static void its_certificate_bears_the_name_it_is_reached_by(void **state)
{
	(void)state;
	assert_named("https://broker.example.invalid:9443/", "broker.example.invalid");
	assert_named("https://other.example.invalid", "other.example.invalid");
	assert_named("https://[2001:db8::7]:9443", "2001:db8::7");
}

static void the_version_of_the_api_server_is_asked_for(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(settings) struct settings *settings = NULL;
	AUTO(wiring) struct wiring *wiring = NULL;
	cluster_fault(&c, "[{\"path\":\"/version\",\"status\":403,\"reason\":\"Forbidden\",\"message\":\"not for you\"}]");
	assert_ok(open_with(&settings, WIRING_ALL, &wiring, &err), err);
	assert_int_equal(wiring_keep_certificates(wiring, clock_wall_ms(), &err), -1);
	assert_non_null(strstr(err.text, "version of the API server: "));
	cluster_fault(&c, "[]");
	assert_ok(wiring_keep_certificates(wiring, clock_wall_ms(), &err), err);
	assert_true(wiring_manager(wiring)->has_native_sidecars);
}

// Several operators share the Secret: what another one made or renewed meanwhile is read in the next try.
static void a_ca_that_another_operator_was_first_with_is_tried_again(void **state)
{
	(void)state;
	static const char *const names[] = {"understory", NULL};
	static const struct {
		const char *rule;
		int64_t after_ms;
		enum error_kind kind;
	} rows[] = {
		{"\"verb\":\"create\",\"status\":409,\"reason\":\"AlreadyExists\"", 0, ERROR_TRANSIENT},
		{"\"verb\":\"create\",\"status\":422,\"reason\":\"Invalid\"", 0, ERROR_INVALID},
		{"\"verb\":\"patch\",\"status\":409,\"reason\":\"Conflict\"", CA_LIFE_MS / 3 * 2, ERROR_TRANSIENT},
		{"\"verb\":\"patch\",\"status\":422,\"reason\":\"Invalid\"", CA_LIFE_MS / 3 * 2, ERROR_INVALID},
	};
	AUTO(ca_state) struct ca_state kept = {0};
	const int64_t now_ms = clock_wall_ms();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		bool is_changed = false;
		char rules[256];
		(void)snprintf(rules, sizeof(rules), "[{%s,\"path\":\"*/secrets*\"}]", rows[i].rule);
		cluster_fault(&c, rules);
		assert_error(ca_secret_sync(c.op.k8s, "pgro-system", names, now_ms + rows[i].after_ms, &kept, &is_changed, &err),
			err, rows[i].kind, "secret pgro-system/" CA_SECRET_NAME);
		assert_false(is_changed);
		cluster_fault(&c, "[]");
		err = (struct error){0};
		assert_ok(ca_secret_sync(c.op.k8s, "pgro-system", names, now_ms, &kept, &is_changed, &err), err);
		assert_int_equal(is_changed, i < 2);
		if (i == 0) { // the next row finds none
			assert_ok(k8s_delete(c.op.k8s, &K8S_SECRET, "pgro-system", CA_SECRET_NAME, NULL, NULL, &err), err);
			ca_state_fini(&kept);
			kept = (struct ca_state){0};
		}
	}
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest cases[] = {
		CASE(it_comes_from_files),
		CASE(it_comes_from_a_secret),
		CASE(the_ca_of_the_store_is_read),
		CASE(a_worklist_file_needs_no_canopy),
		CASE(without_an_election_it_leads),
		CASE(keys_given_directly_need_no_broker),
		CASE(its_certificate_bears_the_name_it_is_reached_by),
		CASE(the_version_of_the_api_server_is_asked_for),
		CASE(a_ca_that_another_operator_was_first_with_is_tried_again),
	};
	log_setup(LOG_ERROR, LOG_LOGFMT);
	ca = pki_make_ca("this one");
	leaf = pki_make_leaf(&ca, "operator", NULL);
	int failures = cmocka_run_group_tests_name("reconciler/wiring", cases, NULL, NULL);
	pki_cert_fini(&leaf);
	pki_cert_fini(&ca);
	return failures;
}
