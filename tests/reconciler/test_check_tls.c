// The checks' connection to a real PostgreSQL that speaks TLS: who is let through, and what is said of all others.
#include "base/clock.h"
#include "reconciler/check_connection.h"
#include "tests/reconciler/checked_server.h"
#include "tests/support/cmocka.h"
#include "tests/support/pki.h"
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#define NAME "postgres.replica-00000000.svc"
#define CONNECT_MS 700 // of a connection that has to fail: it is tried again until then

static struct pki_cert ca, other_ca;
static atomic_bool never_cancelled;

static int set_up(void **state)
{
	if (checked_server_setup(state) < 0)
		return -1;
	ca = pki_make_ca("this one");
	other_ca = pki_make_ca("another");
	struct pki_cert leaf = pki_make_leaf(&ca, "server", "DNS:" NAME);
	if (checked_server.pid != 0) {
		checked_server_write("server.crt", leaf.cert_pem);
		checked_server_write("server.key", leaf.key_pem);
		checked_server_speak_tls(true);
	}
	pki_cert_fini(&leaf);
	return 0;
}

static int tear_down(void **state)
{
	pki_cert_fini(&ca);
	pki_cert_fini(&other_ca);
	return checked_server_teardown(state);
}

static struct check_request request_for(const char *name, const char *ca_pem)
{
	struct check_request request = checked_server_request();
	(void)snprintf(request.tls_name, sizeof(request.tls_name), "%s", name);
	request.ca_pem = ca_pem;
	return request;
}

static void a_session_is_verified_and_encrypted(void **state)
{
	(void)state;
	checked_server_begin();
	struct error err = {0};
	AUTO(check_connection) struct check_connection *connection = NULL;
	AUTO(pgresult) PGresult *result = NULL;
	const struct check_request request = request_for(NAME, ca.cert_pem);
	const struct check_connection_options options = {.request = &request,
		.database = "app",
		.connect_by_mono_ms = clock_mono_ms() + CHECKED_SERVER_ENOUGH_MS,
		.finish_by_mono_ms = clock_mono_ms() + CHECKED_SERVER_ENOUGH_MS,
		.cancel = &never_cancelled};
	assert_ok(check_connection_open(&options, &connection, &err), err);
	assert_ok(check_connection_query(connection, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", &result, &err),
		err);
	assert_string_equal(PQgetvalue(result, 0, 0), "t");
}

static void a_check_goes_through_it(void **state)
{
	(void)state;
	checked_server_begin();
	const struct check_request request = request_for(NAME, ca.cert_pem);
	struct check_result result;
	checked_server_check(&request, &check_limits_default, &result);
	json_decref(result.details);
	checked_server_assert(&result, GRADE_CLEAN, "catalogs", "");
}

static void who_is_not_the_replicas_server_is_no_verdict_on_the_backup(void **state)
{
	(void)state;
	checked_server_begin();
	const struct {
		const char *name, *ca_pem;
		bool has_tls;
		const char *cause;
	} rows[] = {
		{NAME, other_ca.cert_pem, true, "certificate verify failed"},
		{"postgres.replica-11111111.svc", ca.cert_pem, true,
			"does not match host name \"postgres.replica-11111111.svc\""},
		{NAME, "no certificate", true, "could not read root certificate file"},
		{NAME, ca.cert_pem, false, "server does not support SSL, but SSL was required"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct check_request request = request_for(rows[i].name, rows[i].ca_pem);
		struct check_limits limits = checked_server_limits(CHECK_STAGE_CONNECT, CONNECT_MS);
		struct check_result result;
		if (!rows[i].has_tls)
			checked_server_speak_tls(false);
		checked_server_check(&request, &limits, &result);
		json_decref(result.details);
		if (!rows[i].has_tls)
			checked_server_speak_tls(true);
		checked_server_assert(&result, GRADE_INCONCLUSIVE, "connect", rows[i].cause);
	}
}

// A CA that is about to be renewed and its successor, as the bundle has them.
static void any_ca_of_the_bundle_will_do(void **state)
{
	(void)state;
	checked_server_begin();
	AUTO_FREE char *bundle = NULL;
	assert_true(asprintf(&bundle, "%s%s", other_ca.cert_pem, ca.cert_pem) > 0);
	const struct check_request request = request_for(NAME, bundle);
	struct check_limits limits = checked_server_limits(CHECK_STAGE_CONNECT, CHECKED_SERVER_ENOUGH_MS);
	struct check_result result;
	checked_server_check(&request, &limits, &result);
	json_decref(result.details);
	checked_server_assert(&result, GRADE_CLEAN, "catalogs", "");
}

static int open_files(void)
{
	int count = 0;
	DIR *dir = opendir("/proc/self/fd");
	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	(void)closedir(dir);
	return count;
}

static void no_descriptor_is_left_behind(void **state)
{
	(void)state;
	checked_server_begin();
	const struct check_request good = request_for(NAME, ca.cert_pem);
	const struct check_request bad = request_for(NAME, other_ca.cert_pem);
	struct check_limits limits = checked_server_limits(CHECK_STAGE_CONNECT, CONNECT_MS);
	int before = open_files();
	struct check_result result;
	checked_server_check(&good, &check_limits_default, &result);
	json_decref(result.details);
	checked_server_check(&bad, &limits, &result);
	json_decref(result.details);
	assert_int_equal(open_files(), before);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(a_session_is_verified_and_encrypted),
		cmocka_unit_test(a_check_goes_through_it),
		cmocka_unit_test(who_is_not_the_replicas_server_is_no_verdict_on_the_backup),
		cmocka_unit_test(any_ca_of_the_bundle_will_do),
		cmocka_unit_test(no_descriptor_is_left_behind),
	};
	return cmocka_run_group_tests_name("reconciler/check_tls", cases, set_up, tear_down);
}
