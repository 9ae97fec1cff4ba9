#include "reconciler/check_amcheck.h"

#include <stdio.h>
#include <string.h>

#define OWN_SCHEMA "understory_check"

enum { AMCHECK_SCHEMA, AMCHECK_IS_AVAILABLE };
enum { AMCHECK_HEAP, AMCHECK_INDEX, AMCHECK_UNIQUE };

// Class XX is what a server says about its own data, 58 about its files. But a function of an index (its expression, its operator
// class) may fail for reasons of its own: a library that this image lacks, a table that it reads under another search_path.
static bool is_damage(const struct check_session *session, const struct error *err)
{
	const char *sqlstate = check_connection_sqlstate(session->connection);
	bool is_library =
		strstr(err->text, "could not access file \"") != NULL || strstr(err->text, "could not load library") != NULL;
	return err->kind == ERROR_INVALID && !is_library && (strncmp(sqlstate, "XX", 2) == 0 || strncmp(sqlstate, "58", 2) == 0);
}

// Neither damage nor a reason to give up: the thing is refused, and that is said.
static bool is_refused(const struct check_session *session, const struct error *err)
{
	return err->kind == ERROR_INVALID && !is_damage(session, err);
}

// A statement that fails ends a transaction, unless there is a savepoint to go back to, which works as often as it takes.
static int go_back(const struct check_session *session, struct error *err)
{
	return check_connection_query(session->connection, "ROLLBACK TO SAVEPOINT object", NULL, err);
}

static int create(const struct check_session *session, struct check_amcheck *amcheck, struct error *err)
{
	static const char sql[] =
		"CREATE SCHEMA " OWN_SCHEMA "; CREATE EXTENSION amcheck SCHEMA " OWN_SCHEMA "; SAVEPOINT object";
	if (check_connection_query(session->connection, sql, NULL, err) == 0) {
		(void)snprintf(amcheck->schema, sizeof(amcheck->schema), "%s", OWN_SCHEMA);
		return 0;
	}
	if (!is_refused(session, err))
		return error_wrap(err, "database \"%s\": extension amcheck", session->database);
	check_run_note(session->run, "database \"%s\": amcheck cannot be created: %s", session->database, err->text);
	return go_back(session, err);
}

static int find_functions(const struct check_session *session, struct check_amcheck *amcheck, struct error *err)
{
	char sql[1280];
	AUTO(pgresult) PGresult *result = NULL;
	(void)snprintf(sql, sizeof(sql),
		"SELECT EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE pronamespace = s.oid"
		" AND proname = 'verify_heapam'),"
		" EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE pronamespace = s.oid AND proname = 'bt_index_check'"
		" AND pronargs = 2),"
		" EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE pronamespace = s.oid AND proname = 'bt_index_check'"
		" AND pronargs = 3)"
		" FROM (SELECT '%s'::regnamespace AS oid) s",
		amcheck->schema);
	if (check_run_query(session, sql, &result, err) < 0)
		return -1;
	amcheck->has_heap = check_run_truth(result, 0, AMCHECK_HEAP);
	amcheck->has_index = check_run_truth(result, 0, AMCHECK_INDEX);
	amcheck->has_unique = check_run_truth(result, 0, AMCHECK_UNIQUE);
	return 0;
}

int check_amcheck_begin(const struct check_session *session, struct check_amcheck *out, struct error *err)
{
	static const char sql[] =
		"BEGIN; SAVEPOINT object; SELECT (SELECT pg_catalog.quote_ident(n.nspname) FROM pg_catalog.pg_extension e"
		" JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'amcheck'),"
		" EXISTS (SELECT FROM pg_catalog.pg_available_extensions WHERE name = 'amcheck')";
	AUTO(pgresult) PGresult *result = NULL;

	*out = (struct check_amcheck){.has_heap = false};
	if (check_run_query(session, sql, &result, err) < 0)
		return -1;
	if (!check_run_truth(result, 0, AMCHECK_IS_AVAILABLE)) {
		check_run_note(
			session->run, "amcheck is not installed beside the server: tables and indexes are not checked by it");
		return 0;
	}
	(void)snprintf(out->schema, sizeof(out->schema), "%s", PQgetvalue(result, 0, AMCHECK_SCHEMA));
	if (out->schema[0] == '\0' && create(session, out, err) < 0)
		return -1;
	return out->schema[0] == '\0' ? 0 : find_functions(session, out, err);
}

int check_amcheck_query(const struct check_session *session, const char *object, int64_t bytes, const char *sql, PGresult **out,
	char why[ERROR_TEXT_MAX], struct error *err)
{
	*out = NULL;
	if (check_run_query_object(session, object, bytes, sql, out, err) == 0)
		return 0;
	if (!is_refused(session, err))
		return -1;
	(void)snprintf(why, ERROR_TEXT_MAX, "%s", err->text);
	return go_back(session, err);
}
