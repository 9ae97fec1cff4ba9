#include "reconciler/check_database.h"

#include "base/buf.h"
#include "base/clock.h"
#include "reconciler/check_connection.h"
#include <stdio.h>
#include <string.h>

#define RECOVERY_LOOK_AGAIN_MS 500

const char *const check_stage_text[CHECK_STAGE_COUNT] = {
#define X(name, text) [name] = (text),
	CHECK_STAGES(X)
#undef X
};

const struct check_limits check_limits_default = {
	.ms =
		{
			[CHECK_STAGE_CONNECT] = 60000,
			[CHECK_STAGE_VERSION] = 10000,
			[CHECK_STAGE_RECOVERY] = 600000,
			[CHECK_STAGE_DATABASES] = 600000,
			[CHECK_STAGE_APPLICATION] = 10000,
			[CHECK_STAGE_RELATIONS] = 900000,
			[CHECK_STAGE_CATALOGS] = 900000,
		},
};

// One check in hand. The list of databases is the one thing that a stage leaves for a later one.
struct run {
	const struct check_request *request;
	const struct check_limits *limits;
	const atomic_bool *cancel;
	struct check_result *result;
	int64_t stage_ends_mono_ms;
	struct check_connection *main;
	const char *main_database;
	PGresult *databases; // name, size, whether it can be connected to
	int64_t relations, catalog_rows;
};

// Columns of run.databases.
enum { DATABASE_NAME, DATABASE_SIZE, DATABASE_ALLOWS, DATABASE_IS_APPLICATION };

static int64_t number_at(const PGresult *result, int row, int column)
{
	return strtoll(PQgetvalue(result, row, column), NULL, 10);
}

static bool truth_at(const PGresult *result, int row, int column)
{
	return PQgetvalue(result, row, column)[0] == 't';
}

static int open_database(struct run *run, const char *database, struct check_connection **out, struct error *err)
{
	int64_t connect_by_mono_ms = clock_mono_ms() + run->limits->ms[CHECK_STAGE_CONNECT];
	if (connect_by_mono_ms > run->stage_ends_mono_ms)
		connect_by_mono_ms = run->stage_ends_mono_ms;
	const struct check_connection_options options = {.request = run->request,
		.database = database,
		.connect_by_mono_ms = connect_by_mono_ms,
		.finish_by_mono_ms = run->stage_ends_mono_ms,
		.cancel = run->cancel};
	return check_connection_open(&options, out, err);
}

// A statement on a database; a failure names it. Every result has one row at least.
static int query(struct check_connection *connection, const char *database, const char *sql, PGresult **out, struct error *err)
{
	AUTO(pgresult) PGresult *result = NULL;
	if (check_connection_query(connection, sql, &result, err) < 0)
		return error_wrap(err, "database \"%s\"", database);
	if (PQntuples(result) == 0)
		return error_set(err, ERROR_INVALID, "database \"%s\": no row from: %s", database, sql);
	*out = TAKE_PTR(result);
	return 0;
}

// Database postgres may have been dropped; template1 can hardly have been. This session goes with the stages up to `databases`,
// each of which has a limit of its own, so it has the sum of them.
static int stage_connect(struct run *run, struct error *err)
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
	(void)snprintf(
		run->result->server_version, sizeof(run->result->server_version), "%s", check_connection_version_text(run->main));
	return 0;
}

static int stage_version(struct run *run, struct error *err)
{
	int major = check_connection_version(run->main) / 10000;
	if (major != run->request->expected_major)
		return error_set(err, ERROR_INVALID, "the server is PostgreSQL %d, the backup is of %d", major,
			run->request->expected_major);
	return 0;
}

static int stage_recovery(struct run *run, struct error *err)
{
	for (;;) {
		AUTO(pgresult) PGresult *result = NULL;
		if (query(run->main, run->main_database, "SELECT pg_is_in_recovery()", &result, err) < 0)
			return -1;
		if (!truth_at(result, 0, 0))
			return 0;
		int64_t again_mono_ms = clock_mono_ms() + RECOVERY_LOOK_AGAIN_MS;
		if (again_mono_ms >= run->stage_ends_mono_ms)
			return error_set(err, ERROR_TRANSIENT, "recovery is not over in time");
		if (check_connection_sleep(run->cancel, again_mono_ms, err) < 0)
			return -1;
	}
}

// A name that is no UTF-8 (a database in SQL_ASCII may have one) is shown with '?' in place of what JSON cannot hold.
static void make_text(char *text)
{
	AUTO(json) json_t *probe = json_string(text);
	for (char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c < ' ')
			*c = ' ';
		else if (probe == NULL && (unsigned char)*c >= 0x80)
			*c = '?';
}

// Details are for people: what cannot be kept for want of memory is left out.
static void add_detail(json_t *details, const char *name, json_t *value)
{
	char key[256];
	(void)snprintf(key, sizeof(key), "%s", name);
	make_text(key);
	(void)json_object_set_new(details, key, value);
}

static void add_sizes(const struct run *run)
{
	json_t *sizes = json_object();
	for (int row = 0; row < PQntuples(run->databases); row++)
		add_detail(sizes, PQgetvalue(run->databases, row, DATABASE_NAME),
			json_integer(number_at(run->databases, row, DATABASE_SIZE)));
	add_detail(run->result->details, "sizes", sizes);
	add_detail(run->result->details, "databases", json_integer(PQntuples(run->databases)));
}

// Do a thing in each database that can be connected to.
static int each_database(struct run *run,
	int (*visit)(struct run *run, struct check_connection *connection, const char *database, struct error *err),
	struct error *err)
{
	for (int row = 0; row < PQntuples(run->databases); row++) {
		if (!truth_at(run->databases, row, DATABASE_ALLOWS))
			continue;
		const char *database = PQgetvalue(run->databases, row, DATABASE_NAME);
		AUTO(check_connection) struct check_connection *connection = NULL;
		if (open_database(run, database, &connection, err) < 0 || visit(run, connection, database, err) < 0)
			return -1;
	}
	return 0;
}

static int visit_pg_class(struct run *run, struct check_connection *connection, const char *database, struct error *err)
{
	(void)run;
	AUTO(pgresult) PGresult *result = NULL;
	return query(connection, database, "SELECT count(*) FROM pg_catalog.pg_class", &result, err);
}

static int stage_databases(struct run *run, struct error *err)
{
	static const char sql[] = "SELECT datname, pg_catalog.pg_database_size(oid), datallowconn,"
				  " datname NOT IN ('postgres', 'template0', 'template1')"
				  " FROM pg_catalog.pg_database ORDER BY datname";

	if (query(run->main, run->main_database, sql, &run->databases, err) < 0)
		return -1;
	check_connection_close(run->main);
	run->main = NULL;
	add_sizes(run);
	return each_database(run, visit_pg_class, err);
}

static int stage_application(struct run *run, struct error *err)
{
	for (int row = 0; row < PQntuples(run->databases); row++)
		if (truth_at(run->databases, row, DATABASE_IS_APPLICATION))
			return 0;
	return error_set(err, ERROR_INVALID, "no application database");
}

// Temporary relations of sessions that are gone keep their rows in pg_class, but crash recovery removes their files.
static int visit_relations(struct run *run, struct check_connection *connection, const char *database, struct error *err)
{
	static const char sql[] =
		"WITH files AS MATERIALIZED ("
		"SELECT n.nspname, c.relname, pg_catalog.pg_relation_filepath(c.oid) AS path"
		" FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
		" WHERE c.relkind IN ('r', 'i', 't', 'm', 'S') AND c.relpersistence <> 't'), "
		"looked AS MATERIALIZED ("
		"SELECT *, (pg_catalog.pg_stat_file(path, true)).size IS NULL AS is_missing FROM files WHERE path IS NOT NULL) "
		"SELECT count(*), count(*) FILTER (WHERE is_missing),"
		" min(pg_catalog.format('%I.%I (%s)', nspname, relname, path)) FILTER (WHERE is_missing) FROM looked";

	AUTO(pgresult) PGresult *result = NULL;
	if (query(connection, database, sql, &result, err) < 0)
		return -1;
	run->relations += number_at(result, 0, 0);
	if (number_at(result, 0, 1) == 0)
		return 0;
	return error_set(err, ERROR_INVALID, "database \"%s\": %s of %s relations have no file, the first is %s", database,
		PQgetvalue(result, 0, 1), PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 2));
}

static int stage_relations(struct run *run, struct error *err)
{
	int rc = each_database(run, visit_relations, err);
	add_detail(run->result->details, "relations_checked", json_integer(run->relations));
	return rc;
}

// The size of a row as a value makes the server take it apart and fetch what is stored beside it, without calling the output
// function of any type: those of an extension that this image lacks would fail for a reason that is not the backup's.
static int read_catalog(
	struct run *run, struct check_connection *connection, const char *database, const char *catalog, struct error *err)
{
	char *quoted = check_connection_quote(connection, catalog);
	if (quoted == NULL)
		return error_set(err, ERROR_INVALID, "database \"%s\": the name of a catalog is no text", database);
	char sql[512];
	(void)snprintf(sql, sizeof(sql), "SELECT count(*), sum(pg_catalog.pg_column_size(t.*)) FROM pg_catalog.%s t", quoted);
	PQfreemem(quoted);

	AUTO(pgresult) PGresult *result = NULL;
	if (query(connection, database, sql, &result, err) < 0)
		return error_wrap(err, "catalog %s", catalog);
	run->catalog_rows += number_at(result, 0, 0);
	return 0;
}

// pg_largeobject holds the users' data, which only a deep check reads.
static int visit_catalogs(struct run *run, struct check_connection *connection, const char *database, struct error *err)
{
	static const char sql[] = "SELECT relname FROM pg_catalog.pg_class WHERE relnamespace = 'pg_catalog'::regnamespace"
				  " AND relkind = 'r' AND relname <> 'pg_largeobject' ORDER BY relname";

	AUTO(pgresult) PGresult *catalogs = NULL;
	if (query(connection, database, sql, &catalogs, err) < 0)
		return -1;
	for (int row = 0; row < PQntuples(catalogs); row++)
		if (read_catalog(run, connection, database, PQgetvalue(catalogs, row, 0), err) < 0)
			return -1;
	return 0;
}

static int stage_catalogs(struct run *run, struct error *err)
{
	int rc = each_database(run, visit_catalogs, err);
	add_detail(run->result->details, "catalog_rows_read", json_integer(run->catalog_rows));
	return rc;
}

static int (*const stages[CHECK_STAGE_COUNT])(struct run *run, struct error *err) = {
	[CHECK_STAGE_CONNECT] = stage_connect,
	[CHECK_STAGE_VERSION] = stage_version,
	[CHECK_STAGE_RECOVERY] = stage_recovery,
	[CHECK_STAGE_DATABASES] = stage_databases,
	[CHECK_STAGE_APPLICATION] = stage_application,
	[CHECK_STAGE_RELATIONS] = stage_relations,
	[CHECK_STAGE_CATALOGS] = stage_catalogs,
};

static int run_stage(struct run *run, enum check_stage stage, json_t *times, struct error *err)
{
	int64_t began_mono_ms = clock_mono_ms();
	run->stage_ends_mono_ms = began_mono_ms + run->limits->ms[stage];
	(void)snprintf(run->result->stage, sizeof(run->result->stage), "%s", check_stage_text[stage]);

	int rc = stages[stage](run, err);
	double seconds = (double)(clock_mono_ms() - began_mono_ms) / 1000;
	(void)json_array_append_new(times, json_pack("{s:s, s:f}", "name", check_stage_text[stage], "seconds", seconds));
	return rc;
}

void check_database(const struct check_request *request, const struct check_limits *limits, const atomic_bool *cancel,
	struct check_result *result)
{
	struct error err = {0};
	struct run run = {.request = request, .limits = limits, .cancel = cancel, .result = result};
	*result = (struct check_result){.grade = GRADE_CLEAN, .details = json_object()};
	AUTO(json) json_t *times = json_array();

	for (int stage = 0; stage < CHECK_STAGE_COUNT; stage++) {
		if (run_stage(&run, (enum check_stage)stage, times, &err) == 0)
			continue;
		// Only what the database itself said is the backup's fault (reconciler/check_connection.h).
		bool is_its_fault = err.kind == ERROR_INVALID || err.kind == ERROR_NOT_FOUND;
		result->grade = is_its_fault ? GRADE_FAILED : GRADE_INCONCLUSIVE;
		(void)snprintf(result->cause, sizeof(result->cause), "%s", err.text);
		make_text(result->cause);
		break;
	}
	add_detail(result->details, "stages", json_incref(times));
	check_connection_close(run.main);
	PQclear(run.databases);
}
