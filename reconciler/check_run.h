// One check in hand, and what its stages share. Private to the check_*.c files; check_database.c runs the stages in their order.
//
// A stage is a function that returns 0 when the database passed it. Its failure's kind decides the grade
// (reconciler/check_connection.h), so a stage that fails for a reason which is not the backup's must not say ERROR_INVALID. What
// is to be said beside the verdict (nothing to read, amcheck absent) is a note.
#ifndef RECONCILER_CHECK_RUN_H
#define RECONCILER_CHECK_RUN_H

#include "base/json.h"
#include "reconciler/check_connection.h"
#include "reconciler/check_database.h"

#define CHECK_NOTES_MAX 32 // a report is read by people

struct check_run {
	const struct check_request *request;
	const struct check_limits *limits;
	const atomic_bool *cancel;
	struct check_result *result;
	enum check_stage stage;
	int64_t stage_ends_mono_ms;

	// Of the stages up to `databases`.
	struct check_connection *main;
	const char *main_database;
	PGresult *databases; // columns: enum check_database_column
	PGresult *checksums; // what the server had counted before anything was read; check_server.c knows its columns

	int64_t relations_checked, catalog_rows;       // quick
	int64_t rows_read, relations_read, bytes_read; // rows
	int64_t heaps_checked, indexes_checked;        // heaps, indexes
	json_t *skipped;                               // indexes: [{"why", "count", "first"}], one for each reason
	json_t *notes;                                 // sentences
};

enum check_database_column { DATABASE_NAME, DATABASE_SIZE, DATABASE_ALLOWS, DATABASE_IS_APPLICATION };

// A session on one database, for as long as a stage looks into it.
struct check_session {
	struct check_run *run;
	int row; // in run->databases
	struct check_connection *connection;
	const char *database;
};

// Open a database, for as long as the stage lasts.
MUST_CHECK int check_run_open(struct check_run *run, const char *database, struct check_connection **out, struct error *err);

// Do a thing in each database that can be connected to.
MUST_CHECK int check_run_each_database(
	struct check_run *run, int (*visit)(const struct check_session *session, struct error *err), struct error *err);

// The database is not one of those that initdb makes.
bool check_run_is_application(const struct check_session *session);

// A statement on a database; a failure names it. No row is a failure too.
MUST_CHECK int check_run_query(const struct check_session *session, const char *sql, PGresult **out, struct error *err);

// Deep stages: the limit of the stage grows with the bytes that it found to read.
void check_run_extend(struct check_run *run, int64_t bytes);

// A statement about one object (its name) that reads so many bytes, under a limit of its own.
MUST_CHECK int check_run_query_object(const struct check_session *session, const char *object, int64_t bytes, const char *sql,
	PGresult **out, struct error *err);

int64_t check_run_number(const PGresult *result, int row, int column);
bool check_run_truth(const PGresult *result, int row, int column);

// What JSON cannot hold, or a line of a log, becomes '?' or a blank.
void check_run_make_text(char *text);

// Takes the value. Details are for people: what cannot be kept for want of memory is left out.
void check_run_detail(json_t *details, const char *name, json_t *value);

// A sentence for people, once.
void check_run_note(struct check_run *run, const char *fmt, ...) PRINTF_LIKE(2, 3);

// The stages, by file.

// check_server.c
MUST_CHECK int check_stage_connect(struct check_run *run, struct error *err);
MUST_CHECK int check_stage_version(struct check_run *run, struct error *err);
MUST_CHECK int check_stage_recovery(struct check_run *run, struct error *err);
MUST_CHECK int check_stage_databases(struct check_run *run, struct error *err);
MUST_CHECK int check_stage_application(struct check_run *run, struct error *err);
MUST_CHECK int check_stage_checksums(struct check_run *run, struct error *err);

// check_catalogs.c
MUST_CHECK int check_stage_relations(struct check_run *run, struct error *err);
MUST_CHECK int check_stage_catalogs(struct check_run *run, struct error *err);

// check_rows.c
MUST_CHECK int check_stage_rows(struct check_run *run, struct error *err);

// check_indexes.c
MUST_CHECK int check_stage_heaps(struct check_run *run, struct error *err);
MUST_CHECK int check_stage_indexes(struct check_run *run, struct error *err);

// check_service.c
MUST_CHECK int check_stage_service(struct check_run *run, struct error *err);

#endif
