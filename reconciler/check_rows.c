// Every row read, on the server: nothing but counts comes back.
//
// What forces a value that is stored beside its row to be fetched and unpacked: count(*) does not look at values, and
// pg_column_size(value) only at the pointer to it. ROW(value) does, since a row that is a value must hold no such pointers. It
// calls no function of the value's type, so a type whose extension this image lacks can be read. One value at a time never passes
// the 1 GB that a row as a whole may: with a sound row of 1.2 GB, pg_column_size(t.*) and COPY fail. Measured with 640 MB of
// small rows and 260 MB stored beside: pg_column_size(ROW()) per column 1.2 and 0.6 s, pg_column_size(t.*) 1.3 and 0.7 s (does
// not unpack), COPY TO '/dev/null' 2.4 and 1.3 s (calls output functions and converts encodings, which fail for reasons of their
// own), octet_length(t::text) 2.1 and 3.5 s.
#include "reconciler/check_run.h"

#include "base/buf.h"
#include <stdio.h>
#include <string.h>

#define STATEMENT_MAX ((size_t)1 << 20) // a table has at most 1600 columns, whose names have at most 63 bytes

enum { RELATION_NAME, RELATION_KIND, RELATION_BYTES, RELATION_IS_APPLICATION, RELATION_FOREIGN_METHOD, RELATION_SIZES };

// The catalogs were read by an earlier stage. Partitioned tables hold nothing themselves; foreign ones would connect elsewhere. A
// relation of an access method that an extension brings can be read only by its library, which is none of the
// backup's. A materialized view WITH NO DATA refuses to be read.
static const char relations_sql[] =
	"WITH stored AS (SELECT attrelid, pg_catalog.string_agg("
	"pg_catalog.format('pg_catalog.pg_column_size(ROW(t.%I))::bigint', attname), ' + ' ORDER BY attnum) AS sizes"
	" FROM pg_catalog.pg_attribute WHERE attnum > 0 AND NOT attisdropped AND attlen = -1 GROUP BY attrelid) "
	"SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), c.relkind, pg_catalog.pg_relation_size(c.oid),"
	" c.relkind IN ('r', 'm') AND CASE WHEN n.nspname = 'pg_catalog' THEN pg_catalog.pg_relation_size(c.oid) > 0"
	" ELSE n.nspname <> 'information_schema' END, CASE WHEN c.relam >= 16384 THEN"
	" (SELECT amname FROM pg_catalog.pg_am WHERE oid = c.relam) ELSE '' END, coalesce(stored.sizes, '0')"
	" FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
	" LEFT JOIN stored ON stored.attrelid = c.oid"
	" WHERE c.relkind IN ('r', 'm', 't', 'S') AND c.relpersistence <> 't' AND c.relispopulated"
	" AND (n.nspname <> 'pg_catalog' OR c.relkind <> 'r' OR c.relname = 'pg_largeobject')"
	" ORDER BY 1";

static int read_relation(const struct check_session *session, const PGresult *relations, int row, struct error *err)
{
	struct check_run *run = session->run;
	const char *name = PQgetvalue(relations, row, RELATION_NAME);
	int64_t bytes = check_run_number(relations, row, RELATION_BYTES);
	AUTO(pgresult) PGresult *result = NULL;
	AUTO(buf) struct buf sql;

	buf_init(&sql, STATEMENT_MAX);
	if (buf_addf(&sql, err, "SELECT count(*), sum(%s) FROM ONLY %s t", PQgetvalue(relations, row, RELATION_SIZES), name) <
			0 ||
		check_run_query_object(session, name, bytes, buf_str(&sql), &result, err) < 0)
		return -1;
	run->relations_read++;
	run->bytes_read += bytes;
	if (check_run_truth(relations, row, RELATION_IS_APPLICATION))
		run->rows_read += check_run_number(result, 0, 0);
	return 0;
}

static int visit_rows(const struct check_session *session, struct error *err)
{
	int64_t bytes = 0, tables = 0;
	AUTO(pgresult) PGresult *relations = NULL;
	if (check_run_query(session, relations_sql, &relations, err) < 0)
		return -1;
	for (int row = 0; row < PQntuples(relations); row++) {
		bytes += check_run_number(relations, row, RELATION_BYTES);
		tables += check_run_truth(relations, row, RELATION_IS_APPLICATION);
	}
	check_run_extend(session->run, bytes);
	if (tables == 0 && check_run_is_application(session))
		check_run_note(
			session->run, "database \"%s\" holds no application table: there was nothing to read", session->database);

	for (int row = 0; row < PQntuples(relations); row++) {
		const char *method = PQgetvalue(relations, row, RELATION_FOREIGN_METHOD);
		if (*method != '\0')
			check_run_note(session->run, "database \"%s\": %s is not read: its access method %s is an extension's",
				session->database, PQgetvalue(relations, row, RELATION_NAME), method);
		else if (read_relation(session, relations, row, err) < 0)
			return -1;
	}
	return 0;
}

int check_stage_rows(struct check_run *run, struct error *err)
{
	int rc = check_run_each_database(run, visit_rows, err);
	json_t *details = run->result->details;
	check_run_detail(details, "rows_read", json_integer(run->rows_read));
	check_run_detail(details, "relations_read", json_integer(run->relations_read));
	check_run_detail(details, "bytes_read", json_integer(run->bytes_read));
	return rc;
}
