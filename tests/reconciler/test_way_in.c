// How people come to a database: where its Services lead, the login that a check comes in with, and what the pod's image is
// pulled with. Against the stub's API server, with a replica whose database has come up.
#include "base/log.h"
#include "reconciler/step_parts.h"
#include "tests/reconciler/cluster.h"
#include "tests/reconciler/scenes.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <string.h>

#define RESTORED \
	"{\"postgres_version\":\"15\",\"bytes\":1000,\"files\":10,\"seconds\":3,\"layout\":\"debian\",\"engine\":\"kopia\"}"
#define ROUND "fa04b867"
#define SNAPSHOT ",\"snapshot_id\":\"s1\",\"snapshot_at\":\"2026-11-20T10:00:00Z\""
#define SOURCE SNAPSHOT ",\"passwords\":\"source\",\"sourceSecret\":\"login\""
#define TLS_NAME "postgres." SCENE_NAMESPACE ".svc"

static struct cluster c;

static int set_up(void **state)
{
	(void)state;
	cluster_open(&c, "analytics", NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	cluster_close(&c);
	return 0;
}

static void come_up(void)
{
	cluster_settle(&c);
	cluster_job_ends(&c, true, RESTORED);
	cluster_settle(&c);
	cluster_database_comes_up(&c);
}

static struct settings_for_intent *sizing(void)
{
	struct settings *settings = cluster_settings(&c);
	return &settings->intents[INTENT_ANALYTICS];
}

static void troubled(const char *expected)
{
	if (expected[0] == '\0' ? cluster_trouble(&c)[0] != '\0' : strstr(cluster_trouble(&c), expected) == NULL)
		fail_msg("expected \"%s\", it is \"%s\"", expected, cluster_trouble(&c));
}

static json_t *get_service(const char *name)
{
	struct error err = {0};
	json_t *service = NULL;
	assert_ok(k8s_get(c.op.k8s, &K8S_SERVICE, SCENE_NAMESPACE, name, &service, &err), err);
	return service;
}

// --- where a Service leads

static struct check_request request_for(enum settings_service type, bool is_standing, const char *tls_name)
{
	struct check_request request = {
		.namespace = SCENE_NAMESPACE, .round_key = ROUND, .service_type = type, .is_standing = is_standing};
	(void)snprintf(request.tls_name, sizeof(request.tls_name), "%s", tls_name);
	return request;
}

static void assert_found(const struct check_request *request, const char *url)
{
	struct error err = {0};
	struct check_service found;
	AUTO(json) json_t *service = get_service("postgres-" ROUND);
	assert_ok(step_find_service(&c.op, request, &found, &err), err);
	assert_string_equal(found.address, json_find_str(service, "spec", "clusterIP"));
	assert_int_equal(found.port, 5432);
	assert_string_equal(found.url, url);
}

static void assert_missing(const struct check_request *request, enum error_kind kind, const char *part)
{
	struct error err = {0};
	struct check_service found = {.port = 7};
	assert_error(step_find_service(&c.op, request, &found, &err), err, kind, part);
	assert_int_equal(found.port, 7);
}

// Takes the ingress.
static void balancer_says(json_t *ingress)
{
	cluster_change("services", SCENE_NAMESPACE, "postgres",
		json_pack("{s:{s:{s:[o]}}}", "status", "loadBalancer", "ingress", ingress));
}

static void a_service_within_the_cluster_is_known_by_its_name(void **state)
{
	(void)state;
	come_up();
	cluster_settle(&c);
	troubled("");
	struct check_request request = request_for(SERVICE_CLUSTER_IP, true, TLS_NAME);
	assert_found(&request, "postgresql://analytics@" TLS_NAME ":5432/postgres?sslmode=verify-full");
	request = request_for(SERVICE_CLUSTER_IP, true, "");
	assert_found(&request, "postgresql://analytics@" TLS_NAME ":5432/postgres?sslmode=disable");
	// Nobody comes to what is to be proven.
	request = request_for(SERVICE_CLUSTER_IP, false, TLS_NAME);
	assert_found(&request, "");
}

static void a_load_balancer_is_known_by_what_it_says(void **state)
{
	(void)state;
	sizing()->service_type = SERVICE_LOAD_BALANCER;
	come_up();
	cluster_settle(&c);
	troubled("");
	AUTO(json) json_t *service = get_service("postgres");
	assert_string_equal(json_find_str(service, "spec", "type"), "LoadBalancer");
	struct check_request request = request_for(SERVICE_LOAD_BALANCER, true, TLS_NAME);
	assert_missing(
		&request, ERROR_TRANSIENT, "Service postgres has no address of a load balancer yet (hint: serviceTimeout)");
	balancer_says(json_pack("{s:s, s:s}", "hostname", "", "ip", ""));
	assert_missing(&request, ERROR_TRANSIENT, "no address of a load balancer");
	balancer_says(json_pack("{s:s}", "ip", "192.0.2.7"));
	assert_found(&request, "postgresql://analytics@192.0.2.7:5432/postgres?sslmode=verify-ca");
	balancer_says(json_pack("{s:s}", "ip", "2001:db8::7"));
	request.tls_name[0] = '\0';
	assert_found(&request, "postgresql://analytics@[2001:db8::7]:5432/postgres?sslmode=disable");
	balancer_says(json_pack("{s:s, s:s}", "hostname", "lb.example.invalid", "ip", "192.0.2.7"));
	assert_found(&request, "postgresql://analytics@lb.example.invalid:5432/postgres?sslmode=disable");
}

static void a_node_port_is_told(void **state)
{
	(void)state;
	struct error err = {0};
	struct check_service found;
	sizing()->service_type = SERVICE_NODE_PORT;
	come_up();
	cluster_settle(&c);
	troubled("");
	AUTO(json) json_t *service = get_service("postgres");
	const struct check_request request = request_for(SERVICE_NODE_PORT, true, TLS_NAME);
	assert_ok(step_find_service(&c.op, &request, &found, &err), err);
	assert_true(found.node_port > 0);
	assert_int_equal(found.node_port, json_find_int(0, json_array_get(json_find(service, "spec", "ports"), 0), "nodePort"));
}

static void what_is_not_there_is_named(void **state)
{
	(void)state;
	sizing()->service_type = SERVICE_NODE_PORT;
	come_up();
	const struct check_request request = request_for(SERVICE_NODE_PORT, true, TLS_NAME);
	assert_missing(&request, ERROR_NOT_FOUND, "Service postgres-" ROUND ": ");
	cluster_settle(&c);
	struct error err = {0};
	assert_ok(k8s_delete(c.op.k8s, &K8S_SERVICE, SCENE_NAMESPACE, "postgres", NULL, NULL, &err), err);
	assert_missing(&request, ERROR_NOT_FOUND, "Service postgres: ");
	cluster_change("services", SCENE_NAMESPACE, "postgres-" ROUND, json_pack("{s:{s:s}}", "spec", "clusterIP", "None"));
	assert_missing(&request, ERROR_TRANSIENT, "Service postgres-" ROUND " has no address");
}

// --- the login of the source

// base64 of owner, of a password, of app.
#define USER "b3duZXI="
#define PASSWORD "cGFzcw=="
#define DATABASE "YXBw"

static void the_source_names_who_comes_in(void **state)
{
	(void)state;
	c.entry = SOURCE;
	cluster_make_secret(
		&c, "login", json_pack("{s:s, s:s, s:s}", "username", USER, "password", PASSWORD, "database", DATABASE));
	come_up();
	cluster_settle(&c);
	troubled("");
	assert_true(c.checks_started > 0);
	assert_string_equal(c.checked_as, "owner@app");
}

static void a_database_of_its_own_need_not_be_named(void **state)
{
	(void)state;
	c.entry = SOURCE;
	cluster_make_secret(&c, "login", json_pack("{s:s, s:s}", "username", USER, "password", PASSWORD));
	come_up();
	cluster_settle(&c);
	troubled("");
	assert_string_equal(c.checked_as, "owner");
}

static void without_a_source_the_operator_comes_in(void **state)
{
	(void)state;
	come_up();
	cluster_settle(&c);
	assert_true(c.checks_started > 0);
	assert_string_equal(c.checked_as, "");
}

static void a_login_that_cannot_be_had_is_named(void **state)
{
	// Each is what the Secret holds, and what is said of it.
	static const struct {
		const char *user, *password, *database, *trouble;
	} rows[] = {
		{NULL, PASSWORD, NULL, "key username: "},
		{USER, NULL, NULL, "key password: "},
		{USER, "not base64!", NULL, "key password: "},
		{USER, PASSWORD, "not base64!", "key database: "},
		{"cG9zdGdyZXM=", PASSWORD, NULL, "username is postgres, whose password is the operator's in a replica"},
		{"YW5hbHl0aWNz", PASSWORD, NULL, "username is analytics, whose password is the operator's in a replica"},
	};
	struct error err = {0};
	(void)state;
	c.entry = SOURCE;
	cluster_settle(&c);
	troubled("sourceSecret pgro-system/login: "); // before anything is restored
	cluster_make_secret(&c, "login", json_pack("{s:s, s:s}", "username", USER, "password", PASSWORD));
	come_up();
	assert_ok(k8s_delete(c.op.k8s, &K8S_SECRET, "pgro-system", "login", NULL, NULL, &err), err);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cluster_make_secret(&c, "login",
			json_pack("{s:s*, s:s*, s:s*}", "username", rows[i].user, "password", rows[i].password, "database",
				rows[i].database));
		cluster_settle(&c);
		troubled("sourceSecret pgro-system/login: ");
		troubled(rows[i].trouble);
		assert_ok(k8s_delete(c.op.k8s, &K8S_SECRET, "pgro-system", "login", NULL, NULL, &err), err);
	}
	assert_int_equal(c.checks_started, 0);
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest cases[] = {
		CASE(a_service_within_the_cluster_is_known_by_its_name),
		CASE(a_load_balancer_is_known_by_what_it_says),
		CASE(a_node_port_is_told),
		CASE(what_is_not_there_is_named),
		CASE(the_source_names_who_comes_in),
		CASE(a_database_of_its_own_need_not_be_named),
		CASE(without_a_source_the_operator_comes_in),
		CASE(a_login_that_cannot_be_had_is_named),
	};
	log_setup(LOG_ERROR, LOG_LOGFMT);
	return cmocka_run_group_tests_name("reconciler/way_in", cases, NULL, NULL);
}
