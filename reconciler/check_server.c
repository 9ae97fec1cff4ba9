// The stages that look at the server as a whole.
#include "reconciler/check_run.h"

#include "base/clock.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define RECOVERY_LOOK_AGAIN_MS 500

static struct check_session main_session(struct check_run *run)
{
	return (struct check_session){.run = run, .connection = run->main, .database = run->main_database};
}

// Database postgres may have been dropped; template1 can hardly have been. This session goes with the stages up to `databases`,
// each of which has a limit of its own, so it has the sum of them.
int check_stage_connect(struct check_run *run, struct error *err)
{
	int64_t stage_ends_mono_ms = run->stage_ends_mono_ms;
	struct check_connection_options options = {.request = run->request,
		.database = "postgres",
		.connect_by_mono_ms = stage_ends_mono_ms,
		.finish_by_mono_ms = stage_ends_mono_ms + run->limits->ms[CHECK_STAGE_VERSION] +
				     run->limits->ms[CHECK_STAGE_RECOVERY] + run->limits->ms[CHECK_STAGE_DATABASES],
		.cancel = run->cancel};
	int rc = check_connection_open(&options, &run->main, err);
	if (rc < 0 && err->kind == ERROR_NOT_FOUND) {
		options.database = "template1";
		rc = check_connection_open(&options, &run->main, err);
	}
	if (rc < 0)
		return -1;
	run->main_database = options.database;
	(void)snprintf(
		run->result->server_version, sizeof(run->result->server_version), "%s", check_connection_version_text(run->main));
	return 0;
}

int check_stage_version(struct check_run *run, struct error *err)
{
	int major = check_connection_version(run->main) / 10000;
	if (major != run->request->expected_major)
		return error_set(err, ERROR_INVALID, "the server is PostgreSQL %d, the backup is of %d", major,
			run->request->expected_major);
	return 0;
}

int check_stage_recovery(struct check_run *run, struct error *err)
{
	const struct check_session session = main_session(run);
	for (;;) {
		AUTO(pgresult) PGresult *result = NULL;
		if (check_run_query(&session, "SELECT pg_catalog.pg_is_in_recovery()", &result, err) < 0)
			return -1;
		if (!check_run_truth(result, 0, 0))
			return 0;
		int64_t again_mono_ms = clock_mono_ms() + RECOVERY_LOOK_AGAIN_MS;
		if (again_mono_ms >= run->stage_ends_mono_ms)
			return error_set(err, ERROR_TRANSIENT, "recovery is not over in time");
		if (check_connection_sleep(run->cancel, again_mono_ms, err) < 0)
			return -1;
	}
}

static void add_sizes(const struct check_run *run)
{
	json_t *sizes = json_object();
	for (int row = 0; row < PQntuples(run->databases); row++)
		check_run_detail(sizes, PQgetvalue(run->databases, row, DATABASE_NAME),
			json_integer(check_run_number(run->databases, row, DATABASE_SIZE)));
	check_run_detail(run->result->details, "sizes", sizes);
	check_run_detail(run->result->details, "databases", json_integer(PQntuples(run->databases)));
}

static int visit_pg_class(const struct check_session *session, struct error *err)
{
	AUTO(pgresult) PGresult *result = NULL;
	return check_run_query(session, "SELECT count(*) FROM pg_catalog.pg_class", &result, err);
}

enum { CHECKSUMS_ON, CHECKSUMS_DATABASE, CHECKSUMS_FAILURES };

// What the server has counted so far, which came with the backup when that was of a server shut down in order.
static int count_checksum_failures(const struct check_session *session, PGresult **out, struct error *err)
{
	static const char sql[] = "SELECT pg_catalog.current_setting('data_checksums') = 'on',"
				  " coalesce(datname, 'all of them'), coalesce(checksum_failures, 0)"
				  " FROM pg_catalog.pg_stat_database";
	return check_run_query(session, sql, out, err);
}

int check_stage_databases(struct check_run *run, struct error *err)
{
	// datconnlimit is -2 where a DROP DATABASE was broken off: nobody can use what is left of it.
	static const char sql[] = "SELECT datname, pg_catalog.pg_database_size(oid), datallowconn AND datconnlimit <> -2,"
				  " datname NOT IN ('postgres', 'template0', 'template1')"
				  " FROM pg_catalog.pg_database ORDER BY datname";
	const struct check_session session = main_session(run);

	if (check_run_query(&session, sql, &run->databases, err) < 0 ||
		count_checksum_failures(&session, &run->checksums, err) < 0)
		return -1;
	check_connection_close(run->main);
	run->main = NULL;
	add_sizes(run);
	for (int row = 0; row < PQntuples(run->databases); row++) {
		if (check_run_truth(run->databases, row, DATABASE_IS_APPLICATION) &&
			!check_run_truth(run->databases, row, DATABASE_ALLOWS))
			check_run_note(run, "database \"%s\" takes no connections: nothing in it was looked at",
				PQgetvalue(run->databases, row, DATABASE_NAME));
	}
	return check_run_each_database(run, visit_pg_class, err);
}

int check_stage_application(struct check_run *run, struct error *err)
{
	for (int row = 0; row < PQntuples(run->databases); row++)
		if (check_run_truth(run->databases, row, DATABASE_IS_APPLICATION))
			return 0;
	return error_set(err, ERROR_INVALID, "no application database");
}

static int64_t failures_before(const struct check_run *run, const char *database)
{
	for (int row = 0; row < PQntuples(run->checksums); row++)
		if (strcmp(PQgetvalue(run->checksums, row, CHECKSUMS_DATABASE), database) == 0)
			return check_run_number(run->checksums, row, CHECKSUMS_FAILURES);
	return 0;
}

static int judge_checksum_failures(struct check_run *run, const PGresult *now, struct error *err)
{
	int64_t found = 0, most = 0;
	const char *where = "";
	for (int row = 0; row < PQntuples(now); row++) {
		const char *database = PQgetvalue(now, row, CHECKSUMS_DATABASE);
		int64_t grown = check_run_number(now, row, CHECKSUMS_FAILURES) - failures_before(run, database);
		found += grown;
		if (grown > most) {
			most = grown;
			where = database;
		}
	}
	check_run_detail(run->result->details, "checksum_failures", json_integer(found));
	if (found <= 0)
		return 0;
	return error_set(
		err, ERROR_INVALID, "database \"%s\": %" PRId64 " pages had a wrong checksum when they were read", where, most);
}

// A page that is wrong stops the statement that reads it, with an error of its own. What is counted here beside are pages that
// the server mends on its own: maps of free space and of visibility.
int check_stage_checksums(struct check_run *run, struct error *err)
{
	AUTO(check_connection) struct check_connection *connection = NULL;
	AUTO(pgresult) PGresult *now = NULL;

	if (!check_run_truth(run->checksums, 0, CHECKSUMS_ON)) {
		check_run_detail(run->result->details, "checksums", json_string("off"));
		check_run_note(run, "data checksums are off: a bit that flipped in the data cannot be seen");
		return 0;
	}
	check_run_detail(run->result->details, "checksums", json_string("on"));
	if (check_run_open(run, run->main_database, &connection, err) < 0)
		return -1;
	const struct check_session session = {.run = run, .connection = connection, .database = run->main_database};
	if (count_checksum_failures(&session, &now, err) < 0)
		return -1;
	return judge_checksum_failures(run, now, err);
}
