#include "reconciler/check_run.h"

#include "base/utf8.h"
#include "base/clock.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define GIB (INT64_C(1) << 30)

static bool is_deep_stage(const struct check_run *run)
{
	return run->stage >= CHECK_STAGE_QUICK_COUNT && run->stage != CHECK_STAGE_SERVICE;
}

int check_run_open(struct check_run *run, const char *database, struct check_connection **out, struct error *err)
{
	int64_t connect_by_mono_ms = clock_mono_ms() + run->limits->ms[CHECK_STAGE_CONNECT];
	if (connect_by_mono_ms > run->stage_ends_mono_ms)
		connect_by_mono_ms = run->stage_ends_mono_ms;
	const struct check_connection_options options = {.request = run->request,
		.database = database,
		.connect_by_mono_ms = connect_by_mono_ms,
		.finish_by_mono_ms = run->stage_ends_mono_ms,
		.is_long = is_deep_stage(run),
		.cancel = run->cancel};
	return check_connection_open(&options, out, err);
}

int check_run_each_database(
	struct check_run *run, int (*visit)(const struct check_session *session, struct error *err), struct error *err)
{
	for (int row = 0; row < PQntuples(run->databases); row++) {
		if (!check_run_truth(run->databases, row, DATABASE_ALLOWS))
			continue;
		struct check_session session = {
			.run = run, .row = row, .database = PQgetvalue(run->databases, row, DATABASE_NAME)};
		AUTO(check_connection) struct check_connection *connection = NULL;
		if (check_run_open(run, session.database, &connection, err) < 0)
			return -1;
		session.connection = connection;
		if (visit(&session, err) < 0)
			return -1;
	}
	return 0;
}

bool check_run_is_application(const struct check_session *session)
{
	return check_run_truth(session->run->databases, session->row, DATABASE_IS_APPLICATION);
}

int check_run_query(const struct check_session *session, const char *sql, PGresult **out, struct error *err)
{
	AUTO(pgresult) PGresult *result = NULL;
	if (check_connection_query(session->connection, sql, &result, err) < 0)
		return error_wrap(err, "database \"%s\"", session->database);
	if (PQntuples(result) == 0)
		return error_set(err, ERROR_INVALID, "database \"%s\": no row from: %s", session->database, sql);
	*out = TAKE_PTR(result);
	return 0;
}

static int64_t ms_for(const struct check_run *run, int64_t bytes)
{
	return (int64_t)((double)bytes / (double)GIB * (double)run->limits->ms_per_gib);
}

void check_run_extend(struct check_run *run, int64_t bytes)
{
	run->stage_ends_mono_ms += ms_for(run, bytes);
}

int check_run_query_object(const struct check_session *session, const char *object, int64_t bytes, const char *sql,
	PGresult **out, struct error *err)
{
	struct check_run *run = session->run;
	int64_t limit_ms = run->limits->object_ms + ms_for(run, bytes);
	int64_t now_mono_ms = clock_mono_ms();
	if (now_mono_ms >= run->stage_ends_mono_ms)
		return error_set(err, ERROR_TRANSIENT, "the stage is over its time before %s", object);
	if (limit_ms > run->stage_ends_mono_ms - now_mono_ms)
		limit_ms = run->stage_ends_mono_ms - now_mono_ms;
	check_connection_set_limit(session->connection, now_mono_ms + limit_ms);

	AUTO(pgresult) PGresult *result = NULL;
	int rc = check_connection_query(session->connection, sql, &result, err);
	if (rc < 0 && err->kind == ERROR_TRANSIENT && clock_mono_ms() - now_mono_ms >= limit_ms)
		(void)error_set(err, ERROR_TRANSIENT, "not done within %" PRId64 " s", limit_ms / 1000);
	check_connection_set_limit(session->connection, run->stage_ends_mono_ms);
	if (rc < 0)
		return error_wrap(err, "database \"%s\": %s", session->database, object);
	*out = TAKE_PTR(result);
	return 0;
}

int64_t check_run_number(const PGresult *result, int row, int column)
{
	return strtoll(PQgetvalue(result, row, column), NULL, 10);
}

bool check_run_truth(const PGresult *result, int row, int column)
{
	return PQgetvalue(result, row, column)[0] == 't';
}

// A name that is no UTF-8 (a database in SQL_ASCII may have one) is shown with '?' in place of what JSON cannot hold.
void check_run_make_text(char *text)
{
	bool is_good = utf8_is_good(text);
	for (char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c < ' ')
			*c = ' ';
		else if (!is_good && (unsigned char)*c >= 0x80)
			*c = '?';
}

void check_run_detail(json_t *details, const char *name, json_t *value)
{
	char key[256];
	(void)snprintf(key, sizeof(key), "%s", name);
	check_run_make_text(key);
	(void)json_object_set_new(details, key, value);
}

void check_run_note(struct check_run *run, const char *fmt, ...)
{
	char text[ERROR_TEXT_MAX];
	size_t i;
	json_t *known;
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	check_run_make_text(text);
	json_array_foreach (run->notes, i, known) {
		if (strcmp(json_string_value(known), text) == 0)
			return;
	}
	if (json_array_size(run->notes) < CHECK_NOTES_MAX)
		(void)json_array_append_new(run->notes, json_string(text));
}
