#include "tests/reconciler/checked_server.h"

#include "tests/support/cmocka.h"
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static atomic_bool never_cancelled;

struct postgres checked_server;

int checked_server_setup(void **state)
{
	struct error err = {0};
	(void)state;
	if (postgres_new(&checked_server, &err) == 0 || err.kind == ERROR_NOT_FOUND)
		return 0;
	print_error("%s\n", err.text);
	return -1;
}

int checked_server_teardown(void **state)
{
	(void)state;
	postgres_free(&checked_server);
	return 0;
}

void checked_server_exec(const char *database, const char *sql)
{
	struct error err = {0};
	assert_ok(postgres_exec(&checked_server, database, sql, NULL, 0, &err), err);
}

void checked_server_fetch(const char *database, const char *sql, char *out, size_t size)
{
	struct error err = {0};
	assert_ok(postgres_exec(&checked_server, database, sql, out, size, &err), err);
}

void checked_server_begin(void)
{
	char others[16];
	if (checked_server.pid == 0) {
		print_message("# no PostgreSQL is installed\n");
		skip();
	}
	checked_server_exec("postgres", "DROP DATABASE IF EXISTS app WITH (FORCE)");
	checked_server_fetch("postgres", "SELECT count(*) FROM pg_database", others, sizeof(others));
	assert_string_equal(others, "3");
	// file_copy: nothing of it is in the server's buffers yet, so that a damaged file is read. Before 15 there is no other
	// way.
	checked_server_exec(
		"postgres", checked_server.major < 15 ? "CREATE DATABASE app" : "CREATE DATABASE app STRATEGY file_copy");
}

struct check_request checked_server_request(void)
{
	struct check_request request = {.namespace = "replica-00000000",
		.round_key = "0a1b2c3d",
		.host = POSTGRES_HOST,
		.port = checked_server.port,
		.user = POSTGRES_USER,
		.password = &checked_server.password,
		.expected_major = checked_server.major};
	return request;
}

struct check_limits checked_server_limits(enum check_stage stage, int64_t ms)
{
	struct check_limits limits = {.object_ms = CHECKED_SERVER_ENOUGH_MS};
	for (int i = 0; i < CHECK_STAGE_COUNT; i++)
		limits.ms[i] = CHECKED_SERVER_ENOUGH_MS;
	limits.ms[stage] = ms;
	return limits;
}

void checked_server_check(const struct check_request *request, const struct check_limits *limits, struct check_result *result)
{
	check_database(request, limits, &never_cancelled, result);
}

void checked_server_assert(const struct check_result *result, enum report_grade grade, const char *stage, const char *cause_part)
{
	if (result->grade != grade || strcmp(result->stage, stage) != 0 || strstr(result->cause, cause_part) == NULL)
		fail_msg("grade %d, stage %s: %s; expected grade %d, stage %s: %s", (int)result->grade, result->stage,
			result->cause, (int)grade, stage, cause_part);
}

void checked_server_assert_is(enum report_grade grade, const char *stage, const char *cause_part)
{
	struct check_request request = checked_server_request();
	struct check_limits limits = checked_server_limits(CHECK_STAGE_CONNECT, CHECKED_SERVER_ENOUGH_MS);
	struct check_result result;
	checked_server_check(&request, &limits, &result);
	json_decref(result.details);
	checked_server_assert(&result, grade, stage, cause_part);
}

void checked_server_path(const char *relation, char out[256])
{
	char sql[128], path[128];
	(void)snprintf(sql, sizeof(sql), "SELECT pg_relation_filepath('%s')", relation);
	checked_server_fetch("app", sql, path, sizeof(path));
	(void)snprintf(out, 256, "%s/%s", checked_server.data, path);
}

void checked_server_write(const char *name, const char *text)
{
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/%s", checked_server.data, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	const struct passwd *user = geteuid() == 0 ? getpwnam(POSTGRES_USER) : NULL;
	if (user != NULL)
		assert_int_equal(fchown(fd, user->pw_uid, user->pw_gid), 0);
	(void)close(fd);
}

static bool reloads_to(const char *ssl)
{
	char now[8] = "";
	for (int i = 0; i < 200; i++) {
		checked_server_fetch("postgres", "SHOW ssl", now, sizeof(now));
		if (strcmp(now, ssl) == 0)
			return true;
		(void)poll(NULL, 0, 50);
	}
	return false;
}

void checked_server_speak_tls(bool on)
{
	checked_server_exec("postgres", on ? "ALTER SYSTEM SET ssl = on" : "ALTER SYSTEM SET ssl = off");
	checked_server_exec("postgres", "SELECT pg_reload_conf()");
	assert_true(reloads_to(on ? "on" : "off"));
}
