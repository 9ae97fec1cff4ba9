// Tables and indexes as structures, by amcheck. Tables come first, before anyone reads rows of them: verify_heapam() bears
// damage that may bring down a server which takes a row apart.
#include "reconciler/check_amcheck.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define REASONS_MAX 16

// Columns of both lists.
enum { OBJECT_OID, OBJECT_NAME, OBJECT_BYTES, OBJECT_METHOD, OBJECT_IS_VALID };

static int64_t sum_bytes(const PGresult *objects)
{
	int64_t bytes = 0;
	for (int row = 0; row < PQntuples(objects); row++)
		bytes += check_run_number(objects, row, OBJECT_BYTES);
	return bytes;
}

// What amcheck finds in a table comes as rows; one page with findings is enough to tell.
static int check_heap(const struct check_session *session, const struct check_amcheck *amcheck, const PGresult *heaps, int row,
	struct error *err)
{
	char sql[1024], why[ERROR_TEXT_MAX];
	const char *name = PQgetvalue(heaps, row, OBJECT_NAME);
	AUTO(pgresult) PGresult *result = NULL;
	(void)snprintf(sql, sizeof(sql),
		"SELECT count(*), min(blkno), (array_agg(pg_catalog.format('offset %%s: %%s', offnum, msg)"
		" ORDER BY blkno, offnum, msg))[1] FROM %s.verify_heapam(%s::oid::regclass, on_error_stop => true)",
		amcheck->schema, PQgetvalue(heaps, row, OBJECT_OID));
	if (check_amcheck_query(session, name, check_run_number(heaps, row, OBJECT_BYTES), sql, &result, why, err) < 0)
		return -1;
	if (result == NULL) {
		check_run_note(session->run, "%s", why);
		return 0;
	}
	session->run->heaps_checked++;
	if (check_run_number(result, 0, 0) == 0)
		return 0;
	return error_set(err, ERROR_INVALID, "database \"%s\": %s: block %s, %s", session->database, name,
		PQgetvalue(result, 0, 1), PQgetvalue(result, 0, 2));
}

static int visit_heaps(const struct check_session *session, struct error *err)
{
	// relam 2 is heap, the access method that every server has.
	static const char sql[] =
		"SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname), pg_catalog.pg_relation_size(c.oid)"
		" FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
		" WHERE c.relkind IN ('r', 'm', 't') AND c.relam = 2 AND c.relpersistence <> 't' ORDER BY 2";
	struct check_amcheck amcheck;
	AUTO(pgresult) PGresult *heaps = NULL;

	if (check_amcheck_begin(session, &amcheck, err) < 0)
		return -1;
	if (!amcheck.has_heap) {
		if (amcheck.schema[0] != '\0')
			check_run_note(session->run,
				"this amcheck has no verify_heapam (from PostgreSQL 14): tables are read, not verified");
		return 0;
	}
	if (check_run_query(session, sql, &heaps, err) < 0)
		return -1;
	check_run_extend(session->run, sum_bytes(heaps));
	for (int row = 0; row < PQntuples(heaps); row++)
		if (check_heap(session, &amcheck, heaps, row, err) < 0)
			return -1;
	return 0;
}

int check_stage_heaps(struct check_run *run, struct error *err)
{
	int rc = check_run_each_database(run, visit_heaps, err);
	check_run_detail(run->result->details, "tables_checked", json_integer(run->heaps_checked));
	return rc;
}

static json_t *find_reason(const json_t *skipped, const char *why)
{
	size_t i;
	json_t *known;
	json_array_foreach (skipped, i, known) {
		if (strcmp(json_find_str(known, "why"), why) == 0)
			return known;
	}
	return NULL;
}

static void skip_index(const struct check_session *session, const char *name, const char *why)
{
	char reason[ERROR_TEXT_MAX], first[ERROR_TEXT_MAX];
	json_t *skipped = session->run->skipped;

	(void)snprintf(reason, sizeof(reason), "%s", why);
	(void)snprintf(first, sizeof(first), "%s in database \"%s\"", name, session->database);
	check_run_make_text(reason);
	check_run_make_text(first);
	if (find_reason(skipped, reason) == NULL && json_array_size(skipped) >= REASONS_MAX - 1)
		(void)snprintf(reason, sizeof(reason), "%s", "other reasons");
	json_t *known = find_reason(skipped, reason);
	if (known != NULL)
		(void)json_object_set_new(known, "count", json_integer(json_find_int(0, known, "count") + 1));
	else
		(void)json_array_append_new(skipped, json_pack("{s:s, s:i, s:s}", "why", reason, "count", 1, "first", first));
}

static int check_index(const struct check_session *session, const struct check_amcheck *amcheck, const PGresult *indexes, int row,
	struct error *err)
{
	char sql[512], object[256], why[ERROR_TEXT_MAX];
	const char *name = PQgetvalue(indexes, row, OBJECT_NAME);
	AUTO(pgresult) PGresult *result = NULL;
	(void)snprintf(object, sizeof(object), "index %s", name);
	(void)snprintf(sql, sizeof(sql), "SELECT %s.bt_index_check(%s::oid::regclass, true%s)", amcheck->schema,
		PQgetvalue(indexes, row, OBJECT_OID), amcheck->has_unique ? ", true" : "");
	if (check_amcheck_query(session, object, check_run_number(indexes, row, OBJECT_BYTES), sql, &result, why, err) < 0)
		return -1;
	if (result == NULL)
		skip_index(session, name, why);
	else
		session->run->indexes_checked++;
	return 0;
}

static int visit_index(const struct check_session *session, const struct check_amcheck *amcheck, const PGresult *indexes, int row,
	struct error *err)
{
	char why[128];
	const char *method = PQgetvalue(indexes, row, OBJECT_METHOD);
	(void)snprintf(why, sizeof(why), "access method %s: amcheck reads btree", method);
	if (!amcheck->has_index)
		skip_index(session, PQgetvalue(indexes, row, OBJECT_NAME), "no amcheck");
	else if (strcmp(method, "btree") != 0)
		skip_index(session, PQgetvalue(indexes, row, OBJECT_NAME), why);
	else if (!check_run_truth(indexes, row, OBJECT_IS_VALID))
		skip_index(
			session, PQgetvalue(indexes, row, OBJECT_NAME), "not valid: its building was broken off at the source");
	else
		return check_index(session, amcheck, indexes, row, err);
	return 0;
}

// An index is compared with its whole table, so both are read.
static int visit_indexes(const struct check_session *session, struct error *err)
{
	static const char sql[] =
		"SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname),"
		" pg_catalog.pg_relation_size(c.oid) + pg_catalog.pg_relation_size(i.indrelid), am.amname,"
		" i.indisvalid AND i.indisready FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid"
		" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_am am ON am.oid = c.relam"
		" WHERE c.relkind = 'i' AND c.relpersistence <> 't' ORDER BY 2";
	struct check_amcheck amcheck;
	AUTO(pgresult) PGresult *indexes = NULL;

	if (check_amcheck_begin(session, &amcheck, err) < 0 || check_run_query(session, sql, &indexes, err) < 0)
		return -1;
	if (amcheck.has_index)
		check_run_extend(session->run, sum_bytes(indexes));
	for (int row = 0; row < PQntuples(indexes); row++)
		if (visit_index(session, &amcheck, indexes, row, err) < 0)
			return -1;
	return 0;
}

int check_stage_indexes(struct check_run *run, struct error *err)
{
	int rc = check_run_each_database(run, visit_indexes, err);
	check_run_detail(run->result->details, "indexes_checked", json_integer(run->indexes_checked));
	check_run_detail(run->result->details, "indexes_skipped", json_incref(run->skipped));
	return rc;
}
