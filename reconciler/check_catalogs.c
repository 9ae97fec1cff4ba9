// The stages that look into each database without reading the users' data.
#include "reconciler/check_run.h"

#include <stdio.h>

// Temporary relations of sessions that are gone keep their rows in pg_class, but crash recovery removes their files.
static int visit_relations(const struct check_session *session, struct error *err)
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
	if (check_run_query(session, sql, &result, err) < 0)
		return -1;
	session->run->relations_checked += check_run_number(result, 0, 0);
	if (check_run_number(result, 0, 1) == 0)
		return 0;
	return error_set(err, ERROR_INVALID, "database \"%s\": %s of %s relations have no file, the first is %s",
		session->database, PQgetvalue(result, 0, 1), PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 2));
}

int check_stage_relations(struct check_run *run, struct error *err)
{
	int rc = check_run_each_database(run, visit_relations, err);
	check_run_detail(run->result->details, "relations_checked", json_integer(run->relations_checked));
	return rc;
}

// The size of a row as a value makes the server take it apart and fetch what is stored beside it, without calling the output
// function of any type: those of an extension that this image lacks would fail for a reason that is not the backup's. The server
// has quoted the name.
static int read_catalog(const struct check_session *session, const char *catalog, struct error *err)
{
	char sql[512];
	AUTO(pgresult) PGresult *result = NULL;
	(void)snprintf(sql, sizeof(sql), "SELECT count(*), sum(pg_catalog.pg_column_size(t.*)) FROM pg_catalog.%s t", catalog);
	if (check_run_query(session, sql, &result, err) < 0)
		return error_wrap(err, "catalog %s", catalog);
	session->run->catalog_rows += check_run_number(result, 0, 0);
	return 0;
}

// pg_largeobject holds the users' data, which only a deep check reads.
static int visit_catalogs(const struct check_session *session, struct error *err)
{
	static const char sql[] = "SELECT pg_catalog.quote_ident(relname) FROM pg_catalog.pg_class"
				  " WHERE relnamespace = 'pg_catalog'::regnamespace"
				  " AND relkind = 'r' AND relname <> 'pg_largeobject' ORDER BY relname";

	AUTO(pgresult) PGresult *catalogs = NULL;
	if (check_run_query(session, sql, &catalogs, err) < 0)
		return -1;
	for (int row = 0; row < PQntuples(catalogs); row++)
		if (read_catalog(session, PQgetvalue(catalogs, row, 0), err) < 0)
			return -1;
	return 0;
}

int check_stage_catalogs(struct check_run *run, struct error *err)
{
	int rc = check_run_each_database(run, visit_catalogs, err);
	check_run_detail(run->result->details, "catalog_rows_read", json_integer(run->catalog_rows));
	return rc;
}
