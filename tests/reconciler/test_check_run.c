// What the stages of a check share, against a real PostgreSQL: whose fault a statement's failure is, what is said of it, and how
// much of it is kept. The stages are called as check_database.c calls them.
#include "reconciler/check_run.h"

#include "base/clock.h"
#include "tests/reconciler/checked_server.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <string.h>

static atomic_bool never_cancelled;

// A check in hand on database postgres, in its first stage.
struct hand {
	struct check_request request;
	struct check_limits limits;
	struct check_result result;
	struct check_run run;
	struct check_connection *connection;
	struct check_session session;
};

static void open_hand(struct hand *h)
{
	struct error err = {0};
	*h = (struct hand){.request = checked_server_request(),
		.limits = checked_server_limits(CHECK_STAGE_CONNECT, CHECKED_SERVER_ENOUGH_MS)};
	h->result.details = json_object();
	h->run = (struct check_run){.request = &h->request,
		.limits = &h->limits,
		.cancel = &never_cancelled,
		.result = &h->result,
		.main_database = "postgres",
		.notes = json_array(),
		.stage_ends_mono_ms = clock_mono_ms() + CHECKED_SERVER_ENOUGH_MS};
	assert_ok(check_run_open(&h->run, "postgres", &h->connection, &err), err);
	h->session = (struct check_session){.run = &h->run, .connection = h->connection, .database = "postgres"};
}

static void close_hand(struct hand *h)
{
	check_connection_close(h->connection);
	json_decref(h->run.notes);
	json_decref(h->result.details);
}

static void what_a_statement_ends_with_decides(void **state)
{
	(void)state;
	static const struct {
		const char *sqlstate;
		enum error_kind kind;
	} rows[] = {{"08006", ERROR_TRANSIENT}, {"53200", ERROR_TRANSIENT}, {"57P03", ERROR_TRANSIENT},
		{"58030", ERROR_TRANSIENT}, {"28000", ERROR_INTERNAL}, {"42501", ERROR_INTERNAL}, {"3D000", ERROR_NOT_FOUND},
		{"58P01", ERROR_INVALID}, {"XX001", ERROR_INVALID}, {"22000", ERROR_INVALID}};
	struct hand h;
	checked_server_begin();
	open_hand(&h);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		char sql[128];
		(void)snprintf(
			sql, sizeof(sql), "DO $$BEGIN RAISE EXCEPTION 'told to' USING ERRCODE = '%s'; END$$", rows[i].sqlstate);
		int rc = check_connection_query(h.connection, sql, NULL, &err);
		if (rc == 0 || err.kind != rows[i].kind || strcmp(err.text, "told to") != 0)
			fail_msg("%s: %d %s: %s", rows[i].sqlstate, rc, error_kind_text(err.kind), err.text);
		assert_string_equal(check_connection_sqlstate(h.connection), rows[i].sqlstate);
	}
	close_hand(&h);
}

// Of a page with a wrong checksum only a warning says which it is; all other warnings say nothing about the failure.
static void a_warning_of_damage_is_said_with_the_error(void **state)
{
	(void)state;
	static const struct {
		const char *body, *text;
	} rows[] = {
		{"RAISE WARNING 'page 7' USING ERRCODE = 'XX001'; RAISE EXCEPTION 'invalid page';", "invalid page (page 7)"},
		{"RAISE WARNING 'page 7' USING ERRCODE = 'XX001'; RAISE EXCEPTION 'invalid page' USING DETAIL = 'of a table';",
			"invalid page (of a table)"},
		{"RAISE WARNING 'it is late' USING ERRCODE = '01000'; RAISE EXCEPTION 'invalid page';", "invalid page"},
		{"RAISE EXCEPTION 'invalid page';", "invalid page"}, // the warning was another statement's
	};
	struct hand h;
	checked_server_begin();
	open_hand(&h);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		char sql[256];
		(void)snprintf(sql, sizeof(sql), "DO $$BEGIN %s END$$", rows[i].body);
		assert_int_equal(check_connection_query(h.connection, sql, NULL, &err), -1);
		assert_string_equal(err.text, rows[i].text);
	}
	close_hand(&h);
}

static void what_gives_no_row_has_failed(void **state)
{
	(void)state;
	struct error err = {0};
	struct hand h;
	PGresult *result = NULL;
	checked_server_begin();
	open_hand(&h);
	assert_error(check_run_query(&h.session, "SELECT 1 WHERE false", &result, &err), err, ERROR_INVALID,
		"database \"postgres\": no row from: SELECT 1 WHERE false");
	err = (struct error){0};
	// The server says nothing of it, so it is no verdict.
	assert_error(check_run_query(&h.session, "", &result, &err), err, ERROR_TRANSIENT, "database \"postgres\": ");
	assert_null(result);
	close_hand(&h);
}

static void an_object_after_the_end_of_its_stage_is_not_begun(void **state)
{
	(void)state;
	struct error err = {0};
	struct hand h;
	PGresult *result = NULL;
	checked_server_begin();
	open_hand(&h);
	h.run.stage_ends_mono_ms = clock_mono_ms();
	assert_error(check_run_query_object(&h.session, "table t", 0, "SELECT 1", &result, &err), err, ERROR_TRANSIENT,
		"the stage is over its time before table t");
	assert_null(result);
	close_hand(&h);
}

static void text_that_no_line_can_hold_is_blank(void **state)
{
	(void)state;
	char text[] = "a\tb\nc", bad[] = "a\tb\xff";
	check_run_make_text(text);
	assert_string_equal(text, "a b c");
	check_run_make_text(bad);
	assert_string_equal(bad, "a b?");
}

static void notes_are_said_once_and_not_for_ever(void **state)
{
	(void)state;
	struct check_run run = {.notes = json_array()};
	for (int i = 0; i < 2 * CHECK_NOTES_MAX; i++) {
		check_run_note(&run, "note %d", i);
		check_run_note(&run, "note %d", i);
	}
	assert_int_equal(json_array_size(run.notes), CHECK_NOTES_MAX);
	assert_string_equal(json_string_value(json_array_get(run.notes, 1)), "note 1");
	json_decref(run.notes);
}

// --- through a Service

static int find_service(void *arg, const struct check_request *request, struct check_service *out, struct error *err)
{
	(void)err;
	(*(int *)arg)++;
	*out = (struct check_service){.address = POSTGRES_HOST, .port = request->port};
	return 0;
}

static void come_in(struct hand *h, int *asked)
{
	open_hand(h);
	h->request.find_service = find_service;
	h->request.find_service_arg = asked;
	h->limits.service_tries = 3;
	h->limits.service_pause_ms = h->limits.service_pause_max_ms = 1;
}

static void a_service_that_leads_to_another_server_is_no_way_in(void **state)
{
	(void)state;
	struct error err = {0};
	struct hand h;
	int asked = 0;
	checked_server_begin();
	come_in(&h, &asked);
	(void)snprintf(h.result.server_version, sizeof(h.result.server_version), "7.4.30");
	assert_error(check_stage_service(&h.run, &err), err, ERROR_TRANSIENT,
		"no way in through the Service in 3 tries: another server answers: PostgreSQL ");
	assert_int_equal(asked, 3);
	close_hand(&h);
}

// The operator's own password does not change meanwhile, but the server behind the Service may.
static void the_operators_password_is_tried_again(void **state)
{
	(void)state;
	struct error err = {0};
	struct hand h;
	AUTO(secret) struct secret wrong = {0};
	int asked = 0;
	checked_server_begin();
	come_in(&h, &asked);
	assert_ok(secret_set(&wrong, "wrong", &err), err);
	h.request.password = &wrong;
	assert_error(check_stage_service(&h.run, &err), err, ERROR_INTERNAL, "no way in through the Service in 3 tries: ");
	assert_int_equal(asked, 3);
	close_hand(&h);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(what_a_statement_ends_with_decides),
		cmocka_unit_test(a_warning_of_damage_is_said_with_the_error),
		cmocka_unit_test(what_gives_no_row_has_failed),
		cmocka_unit_test(an_object_after_the_end_of_its_stage_is_not_begun),
		cmocka_unit_test(text_that_no_line_can_hold_is_blank),
		cmocka_unit_test(notes_are_said_once_and_not_for_ever),
		cmocka_unit_test(a_service_that_leads_to_another_server_is_no_way_in),
		cmocka_unit_test(the_operators_password_is_tried_again),
	};
	return cmocka_run_group_tests_name("reconciler/check_run", cases, checked_server_setup, checked_server_teardown);
}
