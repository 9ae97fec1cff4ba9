#include "reconciler/check_database.h"

#include "base/clock.h"
#include "tests/reconciler/checked_server.h"
#include "tests/support/cmocka.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static void a_healthy_server_passes_every_stage(void **state)
{
	(void)state;
	checked_server_begin();
	checked_server_exec(
		"app", "CREATE TABLE accounts (id serial PRIMARY KEY, note text); INSERT INTO accounts (note) VALUES ('x')");
	struct check_request request = checked_server_request();
	struct check_result result;
	checked_server_check(&request, &check_limits_default, &result);
	AUTO(json) json_t *details = result.details;

	checked_server_assert(&result, GRADE_CLEAN, "catalogs", "");
	assert_string_equal(result.cause, "");
	assert_int_equal(strtol(result.server_version, NULL, 10), checked_server.major);
	assert_int_equal(json_find_int(0, details, "databases"), 4);
	assert_int_equal(json_object_size(json_object_get(details, "sizes")), 4);
	assert_true(json_find_int(0, details, "sizes", "app") > 1000000);
	// template0 takes no sessions, so three databases are looked into, each with some 200 relations and 10,000 catalog rows.
	assert_in_range(json_find_int(0, details, "relations_checked"), 3 * 150 + 3, 3 * 400);
	assert_true(json_find_int(0, details, "catalog_rows_read") > 3 * 5000);
	assert_string_equal(json_find_str(details, "depth"), "quick");
	assert_null(json_find(details, "rows_read"));

	const json_t *stages = json_object_get(details, "stages");
	assert_int_equal(json_array_size(stages), CHECK_STAGE_QUICK_COUNT);
	for (int i = 0; i < CHECK_STAGE_QUICK_COUNT; i++) {
		assert_string_equal(json_find_str(json_array_get(stages, (size_t)i), "name"), check_stage_text[i]);
		assert_true(json_is_real(json_find(json_array_get(stages, (size_t)i), "seconds")));
	}
}

static void a_server_without_an_application_database_fails(void **state)
{
	(void)state;
	checked_server_begin();
	checked_server_exec("postgres", "DROP DATABASE app");
	checked_server_assert_is(GRADE_FAILED, "application", "no application database");
}

static void a_dropped_database_postgres_is_no_fault(void **state)
{
	(void)state;
	checked_server_begin();
	checked_server_exec("template1", "ALTER DATABASE postgres RENAME TO moved");
	checked_server_assert_is(GRADE_CLEAN, "catalogs", "");
	checked_server_exec("template1", "ALTER DATABASE moved RENAME TO postgres");
}

static void a_wrong_major_fails(void **state)
{
	(void)state;
	checked_server_begin();
	char expected[128];
	(void)snprintf(expected, sizeof(expected), "the server is PostgreSQL %d, the backup is of 9", checked_server.major);
	struct check_request request = checked_server_request();
	struct check_limits limits = checked_server_limits(CHECK_STAGE_CONNECT, CHECKED_SERVER_ENOUGH_MS);
	struct check_result result;
	request.expected_major = 9;
	checked_server_check(&request, &limits, &result);
	json_decref(result.details);
	checked_server_assert(&result, GRADE_FAILED, "version", expected);
}

static void a_wrong_password_is_no_verdict_on_the_backup(void **state)
{
	(void)state;
	checked_server_begin();
	struct error err = {0};
	AUTO(secret) struct secret wrong = {0};
	assert_ok(secret_set(&wrong, "not-the-password", &err), err);
	struct check_request request = checked_server_request();
	struct check_limits limits = checked_server_limits(CHECK_STAGE_CONNECT, CHECKED_SERVER_ENOUGH_MS);
	struct check_result result;
	request.password = &wrong;
	checked_server_check(&request, &limits, &result);
	json_decref(result.details);
	checked_server_assert(&result, GRADE_INCONCLUSIVE, "connect",
		"database \"postgres\": password authentication failed for user \"postgres\"");
	assert_null(strstr(result.cause, "not-the-password"));
	assert_string_equal(result.server_version, "");
}

static void a_user_with_too_few_rights_is_no_verdict_on_the_backup(void **state)
{
	(void)state;
	checked_server_begin();
	char sql[256];
	(void)snprintf(sql, sizeof(sql), "CREATE ROLE weak LOGIN PASSWORD '%s'", secret_reveal(&checked_server.password));
	checked_server_exec("postgres", sql);
	struct check_request request = checked_server_request();
	struct check_limits limits = checked_server_limits(CHECK_STAGE_CONNECT, CHECKED_SERVER_ENOUGH_MS);
	struct check_result result;
	request.user = "weak";
	checked_server_check(&request, &limits, &result);
	json_decref(result.details);
	checked_server_exec("postgres", "DROP ROLE weak");
	checked_server_assert(&result, GRADE_INCONCLUSIVE, "connect", "permission denied to set parameter");
}

static void a_locale_that_the_system_lacks_is_named(void **state)
{
	(void)state;
	checked_server_begin();
	checked_server_exec("postgres", "UPDATE pg_database SET datcollate = 'xx_YY.UTF-8' WHERE datname = 'app'");
	checked_server_assert_is(GRADE_FAILED, "databases",
		"database \"app\": database locale is incompatible with operating system (The database was initialized with "
		"LC_COLLATE"
		" \"xx_YY.UTF-8\"");
	checked_server_exec("postgres", "UPDATE pg_database SET datcollate = 'C.UTF-8' WHERE datname = 'app'");
}

static void a_relation_without_its_file_is_named(void **state)
{
	(void)state;
	checked_server_begin();
	char path[256], expected[256];
	checked_server_exec("app", "CREATE TABLE accounts (id int PRIMARY KEY); CHECKPOINT");
	checked_server_path("accounts", path);
	assert_int_equal(unlink(path), 0);
	(void)snprintf(expected, sizeof(expected), "relations have no file, the first is public.accounts (%s)",
		path + strlen(checked_server.data) + 1);
	checked_server_assert_is(GRADE_FAILED, "relations", expected);
	checked_server_assert_is(GRADE_FAILED, "relations", "database \"app\": 1 of ");
}

static void damage_first_page(const char *relation)
{
	char path[256], garbage[8192];
	checked_server_path(relation, path);
	memset(garbage, 0xa5, sizeof(garbage));
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, garbage, sizeof(garbage), 0), sizeof(garbage));
	(void)close(fd);
}

// No session reads these on its own, so none stumbles over them before the check does.
static void a_damaged_catalog_is_named(void **state)
{
	(void)state;
	const struct {
		const char *relation, *cause;
	} rows[] = {
		{"pg_catalog.pg_description",
			"catalog pg_description: database \"app\": invalid page in block 0 of relation base/"},
		// What the rules of views have stored beside pg_rewrite: counting its rows would not find it.
		{"pg_toast.pg_toast_2618", "catalog pg_rewrite: database \"app\": invalid page in block 0 of relation base/"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		checked_server_begin();
		damage_first_page(rows[i].relation);
		checked_server_assert_is(GRADE_FAILED, "catalogs", rows[i].cause);
	}
}

static void a_name_that_is_no_utf8_is_shown_as_far_as_it_can_be(void **state)
{
	(void)state;
	checked_server_begin();
	checked_server_exec(
		"postgres", "CREATE DATABASE bytes ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
	checked_server_exec(
		"bytes", "CREATE DATABASE \"caf\xe9\" ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
	struct check_request request = checked_server_request();
	struct check_limits limits = checked_server_limits(CHECK_STAGE_CONNECT, CHECKED_SERVER_ENOUGH_MS);
	struct check_result result;
	checked_server_check(&request, &limits, &result);
	AUTO(json) json_t *details = result.details;
	checked_server_exec("bytes", "DROP DATABASE \"caf\xe9\"");
	checked_server_exec("postgres", "DROP DATABASE bytes");
	checked_server_assert(&result, GRADE_CLEAN, "catalogs", "");
	assert_true(json_find_int(0, details, "sizes", "caf?") > 0);
}

// A session that holds a catalog of database app, so that the check waits for it.
static PGconn *lock_a_catalog(void)
{
	char port[16];
	(void)snprintf(port, sizeof(port), "%d", checked_server.port);
	PGconn *holder = PQconnectdbParams((const char *const[]){"host", "port", "dbname", "user", "password", NULL},
		(const char *const[]){POSTGRES_HOST, port, "app", POSTGRES_USER, secret_reveal(&checked_server.password), NULL},
		0);
	PGresult *locked = PQexec(holder, "BEGIN; LOCK TABLE pg_catalog.pg_description IN ACCESS EXCLUSIVE MODE");
	ExecStatusType status = PQresultStatus(locked);
	PQclear(locked);
	if (status != PGRES_COMMAND_OK)
		PQfinish(holder);
	assert_int_equal(status, PGRES_COMMAND_OK);
	return holder;
}

static void a_stage_over_its_limit_is_no_verdict_on_the_backup(void **state)
{
	(void)state;
	checked_server_begin();
	PGconn *holder = lock_a_catalog();
	struct check_request request = checked_server_request();
	struct check_limits limits = checked_server_limits(CHECK_STAGE_CATALOGS, 1500);
	struct check_result result;
	checked_server_check(&request, &limits, &result);
	json_decref(result.details);
	PQfinish(holder);
	checked_server_assert(&result, GRADE_INCONCLUSIVE, "catalogs",
		"catalog pg_description: database \"app\": canceling statement due to statement timeout");
}

static void put_standby_signal(bool present)
{
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/standby.signal", checked_server.data);
	if (!present) {
		(void)unlink(path);
		return;
	}
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	(void)close(fd);
}

static void recovery_must_come_to_an_end(void **state)
{
	(void)state;
	checked_server_begin();
	struct error err = {0};
	postgres_halt(&checked_server);
	put_standby_signal(true);
	assert_ok(postgres_run(&checked_server, &err), err);

	struct check_request request = checked_server_request();
	struct check_limits limits = checked_server_limits(CHECK_STAGE_RECOVERY, 1200);
	struct check_result result;
	checked_server_check(&request, &limits, &result);
	json_decref(result.details);
	checked_server_exec("postgres", "SELECT pg_promote()");
	put_standby_signal(false);
	checked_server_assert(&result, GRADE_INCONCLUSIVE, "recovery", "recovery is not over in time");
	checked_server_assert_is(GRADE_CLEAN, "catalogs", "");
}

static int listen_on_loopback(int *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	*port = ntohs(address.sin_port);
	return fd;
}

static void check_port(int port, const char *host, int64_t connect_ms, struct check_result *result)
{
	struct error err = {0};
	AUTO(secret) struct secret password = {0};
	assert_ok(secret_set(&password, "any", &err), err);
	struct check_request request = {.port = port, .user = POSTGRES_USER, .password = &password, .expected_major = 15};
	(void)snprintf(request.host, sizeof(request.host), "%s", host);
	struct check_limits limits = checked_server_limits(CHECK_STAGE_CONNECT, connect_ms);
	checked_server_check(&request, &limits, result);
}

static void a_server_that_cannot_be_reached_is_no_verdict_on_the_backup(void **state)
{
	(void)state;
	int silent_port, closed_port;
	int silent = listen_on_loopback(&silent_port);
	(void)close(listen_on_loopback(&closed_port));
	const struct {
		const char *host;
		int port;
		const char *cause;
	} rows[] = {
		{POSTGRES_HOST, closed_port, "Connection refused"},
		{POSTGRES_HOST, silent_port, "no answer in time"},
		{"no-such-host.invalid", 5432, "could not translate host name \"no-such-host.invalid\""},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char expected[256];
		struct check_result result;
		check_port(rows[i].port, rows[i].host, 700, &result);
		json_decref(result.details);
		(void)snprintf(expected, sizeof(expected), "database \"postgres\" at %s port %d: %s", rows[i].host, rows[i].port,
			rows[i].cause);
		checked_server_assert(&result, GRADE_INCONCLUSIVE, "connect", expected);
	}
	(void)close(silent);
}

// A server that answers each session's start with one error, in the protocol's words:
// https://www.postgresql.org/docs/15/protocol-message-formats.html, ErrorResponse.
struct refuser {
	int fd, port;
	const char *sqlstate, *message;
	atomic_int refused;
	pthread_t thread;
};

static bool read_whole(int fd, unsigned char *out, size_t len)
{
	while (len > 0) {
		ssize_t n = recv(fd, out, len, 0);
		if (n <= 0)
			return false;
		out += n;
		len -= (size_t)n;
	}
	return true;
}

// The start message, after a no to the question for TLS.
static bool read_start(int fd)
{
	for (;;) {
		unsigned char head[8], rest[4096];
		if (!read_whole(fd, head, sizeof(head)))
			return false;
		size_t len = (size_t)head[2] << 8 | head[3];
		bool asks_for_tls = head[4] == 0x04 && head[5] == 0xd2 && head[6] == 0x16 && head[7] == 0x2f;
		if (!asks_for_tls)
			return len - sizeof(head) <= sizeof(rest) && read_whole(fd, rest, len - sizeof(head));
		if (send(fd, "N", 1, MSG_NOSIGNAL) != 1)
			return false;
	}
}

static void *refuse(void *arg)
{
	struct refuser *refuser = arg;
	for (;;) {
		int fd = accept(refuser->fd, NULL, NULL);
		if (fd < 0)
			return NULL;
		unsigned char message[512] = {'E'};
		int len = 5 + snprintf((char *)message + 5, sizeof(message) - 5, "SFATAL%cVFATAL%cC%s%cM%s%c%c", 0, 0,
				      refuser->sqlstate, 0, refuser->message, 0, 0);
		message[3] = (unsigned char)((len - 1) >> 8);
		message[4] = (unsigned char)(len - 1);
		if (read_start(fd) && send(fd, message, (size_t)len, MSG_NOSIGNAL) == len)
			atomic_fetch_add(&refuser->refused, 1);
		(void)close(fd);
	}
}

static void what_a_server_says_at_the_door_decides(void **state)
{
	(void)state;
	const struct {
		const char *sqlstate, *message;
		enum report_grade grade;
		bool is_repeated;
		const char *cause;
	} rows[] = {
		{"57P03", "the database system is starting up", GRADE_INCONCLUSIVE, true, "the database system is starting up"},
		{"57P03", "the database system is not yet accepting connections", GRADE_INCONCLUSIVE, true, "not yet accepting"},
		{"53300", "sorry, too many clients already", GRADE_INCONCLUSIVE, true, "too many clients"},
		{"28P01", "password authentication failed for user \"postgres\"", GRADE_INCONCLUSIVE, false,
			"authentication failed"},
		{"28000", "no pg_hba.conf entry for host \"10.0.0.1\"", GRADE_INCONCLUSIVE, false, "no pg_hba.conf entry"},
		// Asked twice too: for database postgres, then for template1.
		{"3D000", "database \"template1\" does not exist", GRADE_FAILED, true, "database \"template1\" does not exist"},
		{"XX000", "database locale is incompatible with operating system", GRADE_FAILED, false, "locale is incompatible"},
		{"XX001", "could not read block 0 in file \"global/1260\"", GRADE_FAILED, false, "could not read block 0"},
		{"XX000", "Datenbank-Locale passt nicht: \xe4", GRADE_FAILED, false, "passt nicht: ?"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct refuser refuser = {.sqlstate = rows[i].sqlstate, .message = rows[i].message};
		struct check_result result;
		refuser.fd = listen_on_loopback(&refuser.port);
		assert_int_equal(pthread_create(&refuser.thread, NULL, refuse, &refuser), 0);
		check_port(refuser.port, POSTGRES_HOST, 1500, &result);
		(void)shutdown(refuser.fd, SHUT_RDWR);
		assert_int_equal(pthread_join(refuser.thread, NULL), 0);
		(void)close(refuser.fd);

		json_decref(result.details);
		checked_server_assert(&result, rows[i].grade, "connect", rows[i].cause);
		if (rows[i].is_repeated != (atomic_load(&refuser.refused) > 1))
			fail_msg("%s %s: refused %d times", rows[i].sqlstate, rows[i].message, atomic_load(&refuser.refused));
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(a_healthy_server_passes_every_stage),
		cmocka_unit_test(a_server_without_an_application_database_fails),
		cmocka_unit_test(a_dropped_database_postgres_is_no_fault),
		cmocka_unit_test(a_wrong_major_fails),
		cmocka_unit_test(a_wrong_password_is_no_verdict_on_the_backup),
		cmocka_unit_test(a_user_with_too_few_rights_is_no_verdict_on_the_backup),
		cmocka_unit_test(a_locale_that_the_system_lacks_is_named),
		cmocka_unit_test(a_relation_without_its_file_is_named),
		cmocka_unit_test(a_damaged_catalog_is_named),
		cmocka_unit_test(a_name_that_is_no_utf8_is_shown_as_far_as_it_can_be),
		cmocka_unit_test(a_stage_over_its_limit_is_no_verdict_on_the_backup),
		cmocka_unit_test(recovery_must_come_to_an_end),
		cmocka_unit_test(a_server_that_cannot_be_reached_is_no_verdict_on_the_backup),
		cmocka_unit_test(what_a_server_says_at_the_door_decides),
	};
	return cmocka_run_group_tests_name("reconciler/check_database", cases, checked_server_setup, checked_server_teardown);
}
