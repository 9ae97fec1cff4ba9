// The connection test through the Service of a round, on a real PostgreSQL: who is found, how often and how long it is tried.
#include "base/clock.h"
#include "tests/reconciler/checked_server.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <string.h>

#define PAUSE_MS 50
#define URL "postgresql://analytics@postgres.replica-00000000.svc:5432/postgres?sslmode=disable"

// What the cluster says of the Service, time after time.
struct cluster {
	int asked;
	int64_t first_mono_ms, last_mono_ms; // when
	int there_at;                        // it has an address from so many questions on
	int right_at;                        // and leads to the database from so many on; before, nobody listens there
	enum error_kind kind;                // of what is said before it is there; 0: transient
	atomic_bool *cancel;                 // set at the first question
};

static int nobody_listens_at(void)
{
	return 1; // no server of a test has a privileged port
}

static int find(void *arg, const struct check_request *request, struct check_service *out, struct error *err)
{
	struct cluster *cluster = arg;
	cluster->last_mono_ms = clock_mono_ms();
	if (cluster->asked++ == 0)
		cluster->first_mono_ms = cluster->last_mono_ms;
	if (cluster->cancel != NULL)
		atomic_store(cluster->cancel, true);
	if (cluster->asked < cluster->there_at)
		return error_set(err, cluster->kind == ERROR_NONE ? ERROR_TRANSIENT : cluster->kind,
			"Service postgres has no address of a load balancer yet");
	*out = (struct check_service){.address = POSTGRES_HOST, .url = URL, .node_port = 30123};
	out->port = cluster->asked < cluster->right_at ? nobody_listens_at() : checked_server.port;
	assert_string_equal(request->round_key, "0a1b2c3d");
	return 0;
}

static struct check_request request_for(struct cluster *cluster)
{
	struct check_request request = checked_server_request();
	request.find_service = find;
	request.find_service_arg = cluster;
	request.service_timeout_ms = CHECKED_SERVER_ENOUGH_MS;
	return request;
}

static struct check_limits limits(void)
{
	struct check_limits made = checked_server_limits(CHECK_STAGE_CONNECT, CHECKED_SERVER_ENOUGH_MS);
	made.service_tries = 5;
	made.service_pause_ms = PAUSE_MS;
	made.service_pause_max_ms = 4 * PAUSE_MS;
	return made;
}

static void check(struct cluster *cluster, struct check_result *result)
{
	const struct check_request request = request_for(cluster);
	const struct check_limits with = limits();
	checked_server_check(&request, &with, result);
}

static void a_service_that_leads_there_is_the_last_stage(void **state)
{
	(void)state;
	checked_server_begin();
	struct cluster cluster = {0};
	struct check_result result;
	check(&cluster, &result);
	checked_server_assert(&result, GRADE_CLEAN, "service", "");
	assert_int_equal(cluster.asked, 1);
	assert_string_equal(json_find_str(result.details, "url"), URL);
	assert_int_equal(json_find_int(0, result.details, "node_port"), 30123);
	json_decref(result.details);
}

static void an_address_that_comes_late_is_waited_for(void **state)
{
	(void)state;
	checked_server_begin();
	// More often than a connection is tried.
	struct cluster cluster = {.there_at = 8};
	struct check_result result;
	check(&cluster, &result);
	json_decref(result.details);
	checked_server_assert(&result, GRADE_CLEAN, "service", "");
	assert_int_equal(cluster.asked, 8);
}

static void a_way_that_opens_late_is_tried_again(void **state)
{
	(void)state;
	checked_server_begin();
	struct cluster cluster = {.right_at = 5};
	struct check_result result;
	check(&cluster, &result);
	json_decref(result.details);
	checked_server_assert(&result, GRADE_CLEAN, "service", "");
	assert_int_equal(cluster.asked, 5);
	// 1 + 2 + 4 and, since that is the most, 4 pauses; and one connection each, which is refused at once.
	assert_in_range(cluster.last_mono_ms - cluster.first_mono_ms, 11 * PAUSE_MS, 50 * PAUSE_MS);
}

static void a_service_that_leads_nowhere_is_the_clusters_fault(void **state)
{
	(void)state;
	checked_server_begin();
	struct cluster cluster = {.right_at = 100};
	struct check_result result;
	check(&cluster, &result);
	checked_server_assert(&result, GRADE_INCONCLUSIVE, "service", "no way in through the Service in 5 tries");
	checked_server_assert(&result, GRADE_INCONCLUSIVE, "service", "Connection refused");
	assert_int_equal(cluster.asked, 5);
	assert_null(json_object_get(result.details, "url"));
	json_decref(result.details);
}

static void an_address_that_never_comes_ends_with_the_limit(void **state)
{
	(void)state;
	checked_server_begin();
	struct cluster cluster = {.there_at = 1000000, .kind = ERROR_NOT_FOUND};
	struct check_request request = request_for(&cluster);
	const struct check_limits with = limits();
	struct check_result result;
	request.service_timeout_ms = 20 * PAUSE_MS;
	int64_t began_mono_ms = clock_mono_ms();
	checked_server_check(&request, &with, &result);
	json_decref(result.details);
	checked_server_assert(&result, GRADE_INCONCLUSIVE, "service", "has no address of a load balancer yet");
	assert_true(clock_mono_ms() - began_mono_ms < CHECKED_SERVER_ENOUGH_MS / 2);
}

static void what_speaks_against_the_backup_is_said_first(void **state)
{
	(void)state;
	checked_server_begin();
	struct check_result result;
	checked_server_exec("app", "CREATE TABLE lost (a int)");
	char path[256];
	checked_server_path("lost", path);
	assert_int_equal(remove(path), 0);
	struct cluster cluster = {.right_at = 100};
	check(&cluster, &result);
	json_decref(result.details);
	assert_int_equal(result.grade, GRADE_FAILED);
	assert_int_equal(cluster.asked, 0);
	checked_server_exec("postgres", "DROP DATABASE app WITH (FORCE)");
}

static void a_check_that_is_forgotten_waits_for_nothing(void **state)
{
	(void)state;
	checked_server_begin();
	atomic_bool cancel;
	atomic_init(&cancel, false);
	struct cluster cluster = {.there_at = 100, .cancel = &cancel};
	struct check_request request = request_for(&cluster);
	struct check_limits with = limits();
	struct check_result result;
	with.service_pause_ms = CHECKED_SERVER_ENOUGH_MS / 2;
	int64_t began_mono_ms = clock_mono_ms();
	check_database(&request, &with, &cancel, &result);
	json_decref(result.details);
	checked_server_assert(&result, GRADE_INCONCLUSIVE, "service", "cancelled");
	assert_true(clock_mono_ms() - began_mono_ms < CHECKED_SERVER_ENOUGH_MS / 4);
}

// Forgotten while the way in is tried.
static void a_try_that_is_forgotten_is_the_last_one(void **state)
{
	(void)state;
	checked_server_begin();
	atomic_bool cancel;
	atomic_init(&cancel, false);
	struct cluster cluster = {.cancel = &cancel};
	const struct check_request request = request_for(&cluster);
	const struct check_limits with = limits();
	struct check_result result;
	check_database(&request, &with, &cancel, &result);
	checked_server_assert(&result, GRADE_INCONCLUSIVE, "service", "cancelled");
	assert_int_equal(cluster.asked, 1);
	assert_null(json_object_get(result.details, "url"));
	json_decref(result.details);
}

// Nobody comes to what is proven, and it has no port of a node.
static int find_for_nobody(void *arg, const struct check_request *request, struct check_service *out, struct error *err)
{
	int rc = find(arg, request, out, err);
	out->url[0] = '\0';
	out->node_port = 0;
	return rc;
}

static void what_nobody_comes_to_has_no_url(void **state)
{
	(void)state;
	checked_server_begin();
	struct cluster cluster = {0};
	struct check_request request = request_for(&cluster);
	const struct check_limits with = limits();
	struct check_result result;
	request.find_service = find_for_nobody;
	checked_server_check(&request, &with, &result);
	checked_server_assert(&result, GRADE_CLEAN, "service", "");
	assert_null(json_object_get(result.details, "url"));
	assert_null(json_object_get(result.details, "node_port"));
	json_decref(result.details);
}

// The role of the source comes in with its own password, in its database, and is asked for nothing that it may not do.
static void the_login_of_the_source_is_what_comes_in(void **state)
{
	(void)state;
	checked_server_begin();
	checked_server_exec("postgres", "DROP ROLE IF EXISTS owner");
	checked_server_exec("postgres", "CREATE ROLE owner LOGIN NOSUPERUSER PASSWORD 'of the source'");
	checked_server_exec("postgres", "REVOKE CONNECT ON DATABASE postgres FROM public");
	AUTO(secret) struct secret password = {0};
	struct error err = {0};
	struct cluster cluster = {0};
	struct check_request request = request_for(&cluster);
	const struct check_limits with = limits();
	struct check_result result;
	assert_ok(secret_set(&password, "of the source", &err), err);
	request.source_user = "owner";
	request.source_password = &password;
	request.source_database = "app";
	checked_server_check(&request, &with, &result);
	json_decref(result.details);
	checked_server_assert(&result, GRADE_CLEAN, "service", "");

	checked_server_exec("postgres", "ALTER ROLE owner PASSWORD 'another'");
	cluster = (struct cluster){0};
	checked_server_check(&request, &with, &result);
	json_decref(result.details);
	checked_server_exec("postgres", "GRANT CONNECT ON DATABASE postgres TO public; DROP ROLE owner");
	checked_server_assert(&result, GRADE_INCONCLUSIVE, "service", "the login of the source was refused");
	assert_null(strstr(result.cause, "of the source\""));
	// Once is enough.
	assert_int_equal(cluster.asked, 1);
}

static void without_a_service_there_is_nothing_to_test(void **state)
{
	(void)state;
	checked_server_begin();
	checked_server_assert_is(GRADE_CLEAN, "catalogs", "");
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(a_service_that_leads_there_is_the_last_stage),
		cmocka_unit_test(an_address_that_comes_late_is_waited_for),
		cmocka_unit_test(a_way_that_opens_late_is_tried_again),
		cmocka_unit_test(a_service_that_leads_nowhere_is_the_clusters_fault),
		cmocka_unit_test(an_address_that_never_comes_ends_with_the_limit),
		cmocka_unit_test(what_speaks_against_the_backup_is_said_first),
		cmocka_unit_test(a_check_that_is_forgotten_waits_for_nothing),
		cmocka_unit_test(a_try_that_is_forgotten_is_the_last_one),
		cmocka_unit_test(what_nobody_comes_to_has_no_url),
		cmocka_unit_test(the_login_of_the_source_is_what_comes_in),
		cmocka_unit_test(without_a_service_there_is_nothing_to_test),
	};
	return cmocka_run_group_tests_name("reconciler/check_service", cases, checked_server_setup, checked_server_teardown);
}
