#include "reconciler/checks.h"

#include "base/clock.h"
#include "tests/support/cmocka.h"
#include "tests/support/postgres.h"
#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define WAIT_LIMIT_MS 120000

static struct postgres server;
static atomic_int dones;

static int setup_group(void **state)
{
	struct error err = {0};
	(void)state;
	if (postgres_new(&server, &err) < 0) {
		if (err.kind == ERROR_NOT_FOUND)
			return 0;
		print_error("%s\n", err.text);
		return -1;
	}
	if (postgres_exec(&server, "postgres", "CREATE DATABASE app", NULL, 0, &err) == 0)
		return 0;
	print_error("%s\n", err.text);
	postgres_free(&server);
	return -1;
}

static int teardown_group(void **state)
{
	(void)state;
	postgres_free(&server);
	return 0;
}

static void count_done(void *arg, const char *namespace)
{
	assert_string_not_equal(namespace, "");
	atomic_fetch_add((atomic_int *)arg, 1);
}

static struct checks *new_pool(int threads)
{
	struct error err = {0};
	struct checks *checks = NULL;
	if (server.pid == 0) {
		print_message("# no PostgreSQL is installed\n");
		skip();
	}
	atomic_store(&dones, 0);
	assert_ok(checks_new(threads, count_done, &dones, &checks, &err), err);
	return checks;
}

static void start_at(struct checks *checks, const char *round_key, enum settings_depth depth)
{
	struct error err = {0};
	struct check_request request = {.namespace = "replica-00000000",
		.host = POSTGRES_HOST,
		.port = server.port,
		.user = POSTGRES_USER,
		.password = &server.password,
		.expected_major = server.major,
		.depth = depth};
	(void)snprintf(request.round_key, sizeof(request.round_key), "%s", round_key);
	assert_ok(checks_start(checks, &request, &err), err);
}

static void start(struct checks *checks, const char *round_key)
{
	start_at(checks, round_key, DEPTH_QUICK);
}

static enum check_state look(struct checks *checks, const char *round_key)
{
	return checks_look(checks, "replica-00000000", round_key, NULL);
}

static void wait_done(struct checks *checks, const char *round_key)
{
	int64_t until_mono_ms = clock_mono_ms() + WAIT_LIMIT_MS;
	while (look(checks, round_key) == CHECK_RUNNING && clock_mono_ms() < until_mono_ms)
		(void)poll(NULL, 0, 10);
	assert_int_equal(look(checks, round_key), CHECK_DONE);
}

static void wait_dones(int count)
{
	int64_t until_mono_ms = clock_mono_ms() + WAIT_LIMIT_MS;
	while (atomic_load(&dones) < count && clock_mono_ms() < until_mono_ms)
		(void)poll(NULL, 0, 10);
	assert_int_equal(atomic_load(&dones), count);
}

static void a_result_is_kept_until_it_is_forgotten(void **state)
{
	(void)state;
	AUTO(checks) struct checks *checks = new_pool(1);
	assert_int_equal(look(checks, "00000001"), CHECK_NONE);
	start(checks, "00000001");
	wait_done(checks, "00000001");
	for (int i = 0; i < 2; i++) {
		struct check_result result;
		assert_int_equal(checks_look(checks, "replica-00000000", "00000001", &result), CHECK_DONE);
		AUTO(json) json_t *details = result.details;
		assert_int_equal(result.grade, GRADE_CLEAN);
		assert_true(json_find_int(0, details, "sizes", "app") > 0);
		// The copy is the caller's: the next one does not see this.
		assert_int_equal(json_object_clear(details), 0);
	}
	start(checks, "00000001");
	assert_int_equal(look(checks, "00000001"), CHECK_DONE);
	assert_int_equal(checks_look(checks, "another-00000000", "00000001", NULL), CHECK_NONE);

	checks_forget(checks, "replica-00000000", "00000001");
	checks_forget(checks, "replica-00000000", "00000001");
	assert_int_equal(look(checks, "00000001"), CHECK_NONE);
	start(checks, "00000001");
	wait_done(checks, "00000001");
	wait_dones(2);
}

static void more_rounds_than_threads_wait_their_turn(void **state)
{
	(void)state;
	enum { ROUNDS = 9 };
	AUTO(checks) struct checks *checks = new_pool(2);
	for (int twice = 0; twice < 2; twice++) {
		for (int i = 0; i < ROUNDS; i++) {
			char key[ROUND_KEY_SIZE];
			(void)snprintf(key, sizeof(key), "%08d", i);
			start(checks, key);
		}
	}
	wait_dones(ROUNDS);
	for (int i = 0; i < ROUNDS; i++) {
		char key[ROUND_KEY_SIZE];
		struct check_result result;
		(void)snprintf(key, sizeof(key), "%08d", i);
		assert_int_equal(checks_look(checks, "replica-00000000", key, &result), CHECK_DONE);
		json_decref(result.details);
		assert_int_equal(result.grade, GRADE_CLEAN);
	}
	// Had the second start of a round been taken for another one, all of those would have been done before this one.
	start(checks, "99999999");
	wait_done(checks, "99999999");
	assert_in_range(atomic_load(&dones), ROUNDS, ROUNDS + 1);
}

// Hold a catalog of database app: a check gets as far as that and hangs.
static PGconn *lock_a_catalog(void)
{
	char port[16];
	(void)snprintf(port, sizeof(port), "%d", server.port);
	PGconn *holder = PQconnectdbParams((const char *const[]){"host", "port", "dbname", "user", "password", NULL},
		(const char *const[]){POSTGRES_HOST, port, "app", POSTGRES_USER, secret_reveal(&server.password), NULL}, 0);
	PQclear(PQexec(holder, "BEGIN; LOCK TABLE pg_catalog.pg_description IN ACCESS EXCLUSIVE MODE"));
	return holder;
}

static void wait_for_sessions(const char *which, const char *count)
{
	char sql[256], got[16] = "";
	struct error err = {0};
	int64_t until_mono_ms = clock_mono_ms() + WAIT_LIMIT_MS;
	(void)snprintf(
		sql, sizeof(sql), "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'understory' AND %s", which);
	while (strcmp(got, count) != 0 && clock_mono_ms() < until_mono_ms) {
		assert_ok(postgres_exec(&server, "postgres", sql, got, sizeof(got), &err), err);
		(void)poll(NULL, 0, 10);
	}
	assert_string_equal(got, count);
}

static void forgetting_cancels_what_runs_on_the_server(void **state)
{
	(void)state;
	AUTO(checks) struct checks *checks = new_pool(1);
	PGconn *holder = lock_a_catalog();
	start(checks, "00000001");
	start(checks, "00000002");
	wait_for_sessions("wait_event_type = 'Lock'", "1");
	assert_int_equal(look(checks, "00000001"), CHECK_RUNNING);
	assert_int_equal(look(checks, "00000002"), CHECK_RUNNING);

	checks_forget(checks, "replica-00000000", "00000002");
	checks_forget(checks, "replica-00000000", "00000001");
	assert_int_equal(look(checks, "00000001"), CHECK_NONE);
	assert_int_equal(look(checks, "00000002"), CHECK_NONE);
	// The lock is still held: only the cancel can end the session.
	wait_for_sessions("true", "0");
	PQfinish(holder);

	// The thread is free again, and of the forgotten ones nothing is heard.
	start(checks, "00000001");
	wait_done(checks, "00000001");
	wait_dones(1);
}

// One statement of a deep check may run for hours, and the server has no limit for it.
static void a_deep_check_is_cancelled_amid_a_statement(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(checks) struct checks *checks = new_pool(1);
	assert_ok(postgres_exec(&server, "app",
			  "CREATE TABLE slow (id int); INSERT INTO slow VALUES (1);"
			  "CREATE FUNCTION nap(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS"
			  " $$BEGIN PERFORM pg_sleep(0.2 + 600 * (SELECT count(*) FROM public.slow WHERE id > 1)); RETURN $1; "
			  "END$$;"
			  "CREATE INDEX ON slow (nap(id)); INSERT INTO slow VALUES (2)",
			  NULL, 0, &err),
		err);
	start_at(checks, "00000001", DEPTH_DEEP);
	wait_for_sessions("wait_event = 'PgSleep'", "1");
	checks_forget(checks, "replica-00000000", "00000001");
	wait_for_sessions("true", "0");
	assert_ok(postgres_exec(&server, "app", "DROP TABLE slow", NULL, 0, &err), err);
}

static void the_end_cancels_what_runs_on_the_server(void **state)
{
	(void)state;
	struct checks *checks = new_pool(2);
	PGconn *holder = lock_a_catalog();
	start(checks, "00000001");
	start(checks, "00000002");
	start(checks, "00000003");
	wait_for_sessions("wait_event_type = 'Lock'", "2");
	checks_free(checks);
	wait_for_sessions("true", "0");
	assert_int_equal(atomic_load(&dones), 0);
	PQfinish(holder);
}

// A server that is stopped mid-way answers neither the statement nor the request to cancel it.
static void the_end_does_not_wait_for_a_server_that_hangs(void **state)
{
	(void)state;
	struct checks *checks = new_pool(1);
	PGconn *holder = lock_a_catalog();
	start(checks, "00000001");
	wait_for_sessions("wait_event_type = 'Lock'", "1");
	assert_int_equal(kill(server.pid, SIGSTOP), 0);
	checks_free(checks);
	assert_int_equal(kill(server.pid, SIGCONT), 0);
	PQfinish(holder);
	wait_for_sessions("true", "0");
}

static void a_pool_that_did_nothing_ends(void **state)
{
	(void)state;
	struct error err = {0};
	struct checks *checks = NULL;
	assert_ok(checks_new(4, NULL, NULL, &checks, &err), err);
	checks_free(checks);
	checks_free(NULL);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(a_result_is_kept_until_it_is_forgotten),
		cmocka_unit_test(more_rounds_than_threads_wait_their_turn),
		cmocka_unit_test(forgetting_cancels_what_runs_on_the_server),
		cmocka_unit_test(a_deep_check_is_cancelled_amid_a_statement),
		cmocka_unit_test(the_end_cancels_what_runs_on_the_server),
		cmocka_unit_test(the_end_does_not_wait_for_a_server_that_hangs),
		cmocka_unit_test(a_pool_that_did_nothing_ends),
	};
	return cmocka_run_group_tests_name("reconciler/checks", cases, setup_group, teardown_group);
}
