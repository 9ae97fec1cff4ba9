// Torture (tests/support/torture.h) of the checks of a restored database, against a real PostgreSQL that is sound: whatever call
// of ours fails, the backup is never blamed, and it is called clean only when all was looked at.
//
// After each run no session of ours is on the server and no thread is left.
#include "reconciler/checks.h"

#include "base/clock.h"
#include "base/log.h"
#include "reconciler/check_connection.h"
#include "tests/reconciler/checked_server.h"
#include "tests/support/cmocka.h"
#include "tests/support/pki.h"
#include "tests/support/torture.h"
#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define TLS_NAME "postgres.replica-00000000.svc"
#define SHORT_MS 50

static atomic_bool never_cancelled;
static struct pki_cert ca;
static PGconn *observer;

// --- what is left

static bool is_someone_there(void)
{
	AUTO(pgresult)
	PGresult *found = PQexec(observer, "SELECT 1 FROM pg_stat_activity WHERE application_name = 'understory' LIMIT 1");
	assert_int_equal(PQresultStatus(found), PGRES_TUPLES_OK);
	return PQntuples(found) > 0;
}

static int threads(void)
{
	int count = 0;
	DIR *dir = opendir("/proc/self/task");
	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	(void)closedir(dir);
	return count;
}

// A server ends its session when it comes to it.
static void say_what_is_left(struct buf *made, int threads_before)
{
	int64_t give_up_mono_ms = clock_mono_ms() + CHECKED_SERVER_ENOUGH_MS / 4;
	while ((is_someone_there() || threads() > threads_before) && clock_mono_ms() < give_up_mono_ms)
		(void)poll(NULL, 0, 1);
	if (is_someone_there())
		torture_say(made, "a session is left; ");
	if (threads() > threads_before)
		torture_say(made, "a thread is left; ");
}

// --- the verdict

// How large the files are is not the same each time.
static bool is_the_same(const char *key, const json_t *found, const json_t *wanted)
{
	return !json_is_integer(wanted) || strcmp(key, "bytes_read") == 0 || json_equal(found, wanted);
}

// What could be kept is right: at most one detail is missing, or all of them.
static void say_details(struct buf *made, const json_t *wanted, json_t *details)
{
	const char *key;
	json_t *value;
	int missing = 0;
	json_object_foreach ((json_t *)(uintptr_t)wanted, key, value) {
		const json_t *found = json_object_get(details, key);
		if (found == NULL)
			missing++;
		else if (!is_the_same(key, found, value))
			torture_say(made, "%s differs; ", key);
	}
	if (details != NULL && missing > 1)
		torture_say(made, "%d details are missing; ", missing);
}

// The verdict as the result of a case.
static int say_verdict(struct buf *made, json_t **wanted, struct check_result *result, struct error *err)
{
	AUTO(json) json_t *details = result->details;
	if (result->grade == GRADE_INCONCLUSIVE)
		return error_set(err, ERROR_INTERNAL, "%s", result->cause);
	if (*wanted == NULL)
		*wanted = json_incref(details);
	torture_say(made, "grade %d at %s of %s: %s", (int)result->grade, result->stage, result->server_version, result->cause);
	say_details(made, *wanted, details);
	return result->grade == GRADE_CLEAN ? 0 : error_set(err, ERROR_INVALID, "the backup is blamed");
}

static int check(const struct check_request *request, json_t **wanted, struct buf *made, struct error *err)
{
	struct check_limits limits = checked_server_limits(CHECK_STAGE_CONNECT, CHECKED_SERVER_ENOUGH_MS);
	struct check_result result;
	int before = threads();
	limits.service_tries = 2;
	limits.service_pause_ms = limits.service_pause_max_ms = SHORT_MS;
	if (request->find_service == NULL)
		torture_begin();
	check_database(request, &limits, &never_cancelled, &result);
	torture_end();
	int rc = say_verdict(made, wanted, &result, err);
	say_what_is_left(made, before);
	return rc;
}

static int check_quickly(struct buf *made, struct error *err)
{
	static json_t *wanted;
	const struct check_request request = checked_server_request();
	return check(&request, &wanted, made, err);
}

static int check_deeply(struct buf *made, struct error *err)
{
	static json_t *wanted;
	struct check_request request = checked_server_request();
	request.depth = DEPTH_DEEP;
	return check(&request, &wanted, made, err);
}

// --- the last stage, and only that

static int find_service(void *arg, const struct check_request *request, struct check_service *out, struct error *err)
{
	(void)arg;
	(void)err;
	torture_begin();
	*out = (struct check_service){
		.address = POSTGRES_HOST, .port = request->port, .url = "postgresql://db", .node_port = 30123};
	return 0;
}

static int come_in_as_people_do(struct buf *made, struct error *err)
{
	static json_t *wanted;
	struct check_request request = checked_server_request();
	request.find_service = find_service;
	request.service_timeout_ms = CHECKED_SERVER_ENOUGH_MS;
	request.source_user = POSTGRES_USER;
	request.source_password = &checked_server.password;
	return check(&request, &wanted, made, err);
}

// --- one connection

static int open_connection(
	const struct check_request *request, const atomic_bool *cancel, struct check_connection **out, struct error *err)
{
	const struct check_connection_options options = {.request = request,
		.database = "postgres",
		.connect_by_mono_ms = clock_mono_ms() + CHECKED_SERVER_ENOUGH_MS,
		.finish_by_mono_ms = clock_mono_ms() + CHECKED_SERVER_ENOUGH_MS,
		.is_single = true,
		.cancel = cancel};
	return check_connection_open(&options, out, err);
}

static int connect_by_tls(struct buf *made, struct error *err)
{
	struct check_connection *connection = NULL;
	AUTO(pgresult) PGresult *result = NULL;
	static bool is_ready;
	struct check_request request = checked_server_request();
	if (!is_ready)
		checked_server_speak_tls(true);
	is_ready = true;
	int before = threads();
	(void)snprintf(request.tls_name, sizeof(request.tls_name), TLS_NAME);
	request.ca_pem = ca.cert_pem;
	torture_begin();
	int rc = open_connection(&request, &never_cancelled, &connection, err);
	if (rc == 0)
		rc = check_connection_query(connection, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", &result, err);
	check_connection_close(connection);
	torture_end();
	if (rc == 0)
		torture_say(made, "encrypted: %s", PQgetvalue(result, 0, 0));
	say_what_is_left(made, before);
	return rc;
}

// The statement ends on its own before a server that was not asked to cancel it is given up.
static int cancel_a_statement(struct buf *made, struct error *err)
{
	struct check_connection *connection = NULL;
	const struct check_request request = checked_server_request();
	struct error why = {0};
	int before = threads();
	atomic_bool cancel;
	atomic_init(&cancel, false);
	if (open_connection(&request, &cancel, &connection, err) < 0)
		return -1;
	atomic_store(&cancel, true);
	torture_begin();
	int rc = check_connection_query(connection, "SELECT pg_sleep(1)", NULL, &why);
	check_connection_close(connection);
	torture_end();
	if (rc == 0)
		torture_say(made, "it was not cancelled");
	say_what_is_left(made, before);
	return 0;
}

// --- the pool

static int check_in_the_pool(struct buf *made, struct error *err)
{
	struct checks *checks = NULL;
	struct check_result result = {.grade = GRADE_INCONCLUSIVE};
	struct check_request request = checked_server_request();
	int before = threads();
	request.port = 1; // nobody is there
	request.source_user = request.source_database = POSTGRES_USER;
	request.source_password = &checked_server.password;
	torture_begin();
	int rc = checks_new(2, NULL, NULL, &checks, err);
	if (rc == 0)
		rc = checks_start(checks, &request, err);
	torture_end();
	if (checks != NULL) {
		enum check_state state = checks_look(checks, request.namespace, request.round_key, &result);
		if ((state == CHECK_NONE) != (rc < 0))
			torture_say(made, "half started");
		json_decref(result.details);
		checks_forget(checks, request.namespace, request.round_key);
	}
	checks_free(checks);
	say_what_is_left(made, before);
	return rc;
}

// --- the server: one database that is looked into, another one that makes it a backup

static int open_server(struct error *err)
{
	char port[16];
	if (postgres_new(&checked_server, err) < 0)
		return -1;
	ca = pki_make_ca("this one");
	struct pki_cert leaf = pki_make_leaf(&ca, "server", "DNS:" TLS_NAME);
	checked_server_write("server.crt", leaf.cert_pem);
	checked_server_write("server.key", leaf.key_pem);
	pki_cert_fini(&leaf);
	checked_server_exec("postgres", "ALTER SYSTEM SET autovacuum = off");
	checked_server_exec("postgres", "CREATE DATABASE app ALLOW_CONNECTIONS false");
	checked_server_exec("postgres", "ALTER DATABASE template1 ALLOW_CONNECTIONS false");
	(void)snprintf(port, sizeof(port), "%d", checked_server.port);
	observer = PQconnectdbParams((const char *const[]){"host", "port", "dbname", "user", "password", NULL},
		(const char *const[]){
			POSTGRES_HOST, port, "postgres", POSTGRES_USER, secret_reveal(&checked_server.password), NULL},
		0);
	return PQstatus(observer) == CONNECTION_OK ? 0 : error_set(err, ERROR_INTERNAL, "%s", PQerrorMessage(observer));
}

static void close_server(void)
{
	PQfinish(observer);
	pki_cert_fini(&ca);
	postgres_free(&checked_server);
}

// With an argument the deep check, which takes its time.
int main(int argc, char **argv)
{
	static const struct torture_case deep[] = {{.name = "a deep check", .run = check_deeply, .is_once_a_place = true}};
	static const struct torture_case cases[] = {
		{.name = "a quick check", .run = check_quickly, .is_once_a_place = true},
		{.name = "a check through the Service", .run = come_in_as_people_do},
		{.name = "a connection with TLS", .run = connect_by_tls},
		{.name = "a statement that is cancelled", .run = cancel_a_statement},
		{.name = "a check in the pool", .run = check_in_the_pool},
	};
	struct error err = {0};
	(void)argv;
	log_setup(LOG_ERROR, LOG_LOGFMT);
	if (open_server(&err) < 0) {
		(void)fprintf(stderr, "no server to look at: %s\n", err.text);
		close_server();
		return 1;
	}
	int failures = argc > 1 ? torture_main("reconciler/torture_deep", deep, sizeof(deep) / sizeof(deep[0]))
				: torture_main("reconciler/torture_checks", cases, sizeof(cases) / sizeof(cases[0]));
	close_server();
	return failures;
}
