// The gate against a canopy and an API server that are told what to answer: what is sent, how often, and what is written.
#include "reconciler/gate.h"
#include "base/clock.h"
#include "tests/reconciler/scenes.h"
#include "tests/support/cmocka.h"
#include "tests/support/http_server.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUN_ID "0f0e0d0c-0b0a-4908-8706-050403020100"
#define BODY "{\"replica_healthy\":true,\"run_id\":\"" RUN_ID "\",\"observed_at\":\"2026-11-20T11:59:00Z\"}"
#define BODY_IN_JSON \
	"{\\\"replica_healthy\\\":true,\\\"run_id\\\":\\\"" RUN_ID "\\\",\\\"observed_at\\\":\\\"2026-11-20T11:59:00Z\\\"}"
#define OWED "\"restore-state\":\"active\",\"round\":\"aaaaaaaa\",\"active-round\":\"aaaaaaaa\",\"report\":\"" BODY_IN_JSON "\""

// Both servers in one: canopy's path is /restore-verification, all else is the API server's one Namespace.
struct world {
	struct http_server *server;
	struct manager op;
	struct k8s_config config;
	int canopy_status[8]; // answers in order; 0: 204
	int patch_status[8];  // 0: 200
	int get_status;       // 0: 200
	atomic_int reports, patches;
	char annotations[4096]; // of the Namespace as a GET or PATCH shows it
	char last_patch[8192];
};

static char *namespace_text(const struct world *w)
{
	char *text = NULL;
	if (asprintf(&text,
		    "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"" SCENE_NAMESPACE
		    "\",\"uid\":\"u-1\",\"resourceVersion\":\"8\",\"labels\":{\"pgro.bes.au/managed-by\":\"pgro-canopy\","
		    "\"pgro.bes.au/intent\":\"analytics\"},\"annotations\":{%s}}}",
		    w->annotations) < 0)
		abort();
	return text;
}

static char *failure_text(int status)
{
	char *text = NULL;
	if (asprintf(&text,
		    "{\"kind\":\"Status\",\"status\":\"Failure\",\"reason\":\"%s\",\"code\":%d,\"message\":\"told "
		    "to\",\"title\":\"told to\","
		    "\"type\":\"about:blank\"}",
		    status == 409 ? "Conflict" : "Other", status) < 0)
		abort();
	return text;
}

static void answer(void *arg, const struct http_server_request *request, struct http_server_answer *out)
{
	struct world *w = arg;
	if (strcmp(request->target, "/restore-verification") == 0) {
		int status = w->canopy_status[atomic_fetch_add(&w->reports, 1) % 8];
		out->status = status == 0 ? 204 : status;
		out->body = status == 0 ? NULL : failure_text(status);
		return;
	}
	if (strcmp(request->method, "PATCH") == 0) {
		int status = w->patch_status[atomic_fetch_add(&w->patches, 1) % 8];
		(void)snprintf(w->last_patch, sizeof(w->last_patch), "%s", buf_str(&request->body));
		if (status != 0) {
			out->status = status;
			out->body = failure_text(status);
			return;
		}
		if (strstr(w->last_patch, "\"pgro.bes.au/report\":null") != NULL)
			w->annotations[0] = '\0';
	}
	if (strcmp(request->method, "GET") == 0 && w->get_status != 0) {
		out->status = w->get_status;
		out->body = failure_text(w->get_status);
		return;
	}
	if (strcmp(request->method, "POST") == 0)
		out->status = 201; // an Event
	out->body = namespace_text(w);
}

static int set_up(void **state)
{
	struct error err = {0};
	struct http_client *http = NULL;
	struct world *w = calloc(1, sizeof(*w));
	assert_non_null(w);
	w->server = http_server_start(answer, w);
	w->config.server = strdup(http_server_url(w->server));
	w->op.settings = scene_settings();
	assert_ok(metrics_new(&w->op.metrics, &err), err);
	assert_ok(k8s_client_new(&w->config, NULL, &w->op.k8s, &err), err);
	assert_ok(events_new(w->op.k8s, "test", &w->op.events, &err), err);
	assert_ok(http_client_new(&(struct http_options){.user_agent = "test"}, &http, &err), err);
	assert_ok(canopy_client_new(http_server_url(w->server), http, &w->op.canopy, &err), err);
	(void)snprintf(w->annotations, sizeof(w->annotations), "\"pgro.bes.au/report\":\"" BODY_IN_JSON "\"");
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	canopy_client_free(w->op.canopy);
	events_free(w->op.events);
	k8s_client_free(w->op.k8s);
	metrics_free(w->op.metrics);
	http_server_stop(w->server);
	free(w->config.server);
	settings_free((struct settings *)(uintptr_t)w->op.settings);
	free(w);
	return 0;
}

static void sends_the_bytes_that_were_written_and_records_them(void **state)
{
	struct world *w = *state;
	struct error err = {0};
	struct memo memo = {0};
	struct replica replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "verify", OWED);
	assert_ok(gate_send(&w->op, &replica, &memo, scene_now_ms(), 1, &err), err);
	assert_int_equal(w->reports, 1);
	assert_string_equal(buf_str(&http_server_request(w->server, 0)->body), BODY);
	assert_null(replica.report);
	assert_non_null(strstr(w->last_patch, "\"resourceVersion\":\"7\""));
	assert_non_null(strstr(w->last_patch, "\"pgro.bes.au/last-verification-reported-round\":\"aaaaaaaa\""));
	assert_non_null(strstr(w->last_patch, "\"pgro.bes.au/last-verification-reported-at\":\"2026-11-20T12:00:00Z\""));
	// Nothing is owed any more.
	assert_ok(gate_send(&w->op, &replica, &memo, scene_now_ms(), 1, &err), err);
	assert_int_equal(w->reports, 1);
	replica_fini(&replica);
}

static void a_conflict_of_the_record_does_not_send_again(void **state)
{
	struct world *w = *state;
	struct error err = {0};
	struct memo memo = {0};
	struct replica replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "verify", OWED);
	w->patch_status[0] = 409;
	assert_ok(gate_send(&w->op, &replica, &memo, scene_now_ms(), 1, &err), err);
	assert_int_equal(w->reports, 1);
	assert_int_equal(w->patches, 2);
	assert_non_null(strstr(w->last_patch, "\"resourceVersion\":\"8\""));
	assert_null(replica.report);
	replica_fini(&replica);
}

// Another operator was there in between: what it left is not written over.
static void what_another_operator_settled_is_left_alone(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *label, *annotations;
		bool owes;
	} rows[] = {
		{"it has recorded that the report landed", "", false},
		{"and a newer one is owed",
			"\"pgro.bes.au/report\":\"{\\\"run_id\\\":\\\"1f0e0d0c-0b0a-4908-8706-050403020100\\\"}\"", true},
		{"and what is owed names no run", "\"pgro.bes.au/report\":\"{\\\"run_id\\\":\\\"mine\\\"}\"", true},
		{"and what is owed is no JSON", "\"pgro.bes.au/report\":\"soon\"", true},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		struct memo memo = {0};
		struct replica replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "verify", OWED);
		w->patches = 0;
		w->patch_status[0] = 409;
		(void)snprintf(w->annotations, sizeof(w->annotations), "%s", rows[i].annotations);
		assert_ok(gate_send(&w->op, &replica, &memo, scene_now_ms(), 1, &err), err);
		if (w->patches != 1 || (replica.report != NULL) != rows[i].owes)
			fail_msg("%s: %d patches, owes %s", rows[i].label, w->patches, replica.report);
		assert_string_equal(memo.landed_run_id, "");
		replica_fini(&replica);
	}
}

static void a_conflict_that_cannot_be_read_again_stays_landed(void **state)
{
	struct world *w = *state;
	struct error err = {0};
	struct memo memo = {0};
	struct replica replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "verify", OWED);
	w->patch_status[0] = 409;
	w->get_status = 403;
	assert_error(gate_send(&w->op, &replica, &memo, scene_now_ms(), 1, &err), err, ERROR_INVALID, "record the landed report");
	assert_string_equal(memo.landed_run_id, RUN_ID);
	assert_non_null(replica.report);
	replica_fini(&replica);
}

// What landed before was another run's: this one has not been sent.
static void that_another_run_landed_does_not_keep_this_one(void **state)
{
	struct world *w = *state;
	struct error err = {0};
	struct memo memo = {.landed_run_id = "1f0e0d0c-0b0a-4908-8706-050403020100"};
	struct replica replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "verify", OWED);
	assert_ok(gate_send(&w->op, &replica, &memo, scene_now_ms(), 1, &err), err);
	assert_int_equal(w->reports, 1);
	assert_null(replica.report);
	replica_fini(&replica);
}

static void an_operator_that_does_not_lead_sends_nothing(void **state)
{
	struct world *w = *state;
	struct error err = {0};
	struct memo memo = {0};
	struct replica replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "verify", OWED);
	const struct lease_options options = {.namespace = "pgro-system", .name = "understory", .identity = "test"};
	assert_ok(lease_new(w->op.k8s, &options, &w->op.lease, &err), err);
	assert_error(gate_send(&w->op, &replica, &memo, scene_now_ms(), 1, &err), err, ERROR_CANCELLED, "does not lead");
	assert_int_equal(w->reports, 0);
	assert_int_equal(w->patches, 0);
	lease_free(w->op.lease);
	replica_fini(&replica);
}

// Which answers are a refusal, told of as one and given up in the end; all else is tried for ever.
static void only_some_answers_are_a_refusal(void **state)
{
	struct world *w = *state;
	static const struct {
		int status;
		bool is_refusal;
	} rows[] = {{403, true}, {404, true}, {422, true}, {400, false}, {409, false}, {502, false}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		struct memo memo = {0};
		struct replica replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "verify", OWED);
		w->reports = 0;
		w->canopy_status[0] = rows[i].status;
		assert_int_equal(gate_send(&w->op, &replica, &memo, scene_now_ms(), 1, &err), -1);
		bool is_refusal = strstr(w->last_patch, "refused since 2026-11-20T12:00:00Z: ") != NULL;
		if (is_refusal != rows[i].is_refusal || (memo.refused_since_mono_ms != 0) != rows[i].is_refusal)
			fail_msg("HTTP %d: %s", rows[i].status, w->last_patch);
		replica_fini(&replica);
	}
}

static void since_when_it_is_refused_is_kept_where_it_can_be_read(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *before, *since;
	} rows[] = {
		{"refused since 2026-11-20T11:00:00Z: no", "refused since 2026-11-20T11:00:00Z: "},
		{"refused since yesterday, it seems: no", "refused since 2026-11-20T12:00:00Z: "},
		{"connection refused", "refused since 2026-11-20T12:00:00Z: "},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		struct memo memo = {0};
		char annotations[4096];
		(void)snprintf(annotations, sizeof(annotations), OWED ",\"last-verification-error\":\"%s\"", rows[i].before);
		struct replica replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "verify", annotations);
		w->reports = 0;
		w->canopy_status[0] = 404;
		assert_int_equal(gate_send(&w->op, &replica, &memo, scene_now_ms(), 1, &err), -1);
		if (strstr(w->last_patch, rows[i].since) == NULL)
			fail_msg("after \"%s\": %s", rows[i].before, w->last_patch);
		replica_fini(&replica);
	}
}

static void what_is_given_up_and_not_recorded_is_given_up_again(void **state)
{
	struct world *w = *state;
	struct error err = {0};
	struct memo memo = {.refused_since_mono_ms = 1};
	struct replica replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "verify", OWED);
	w->canopy_status[0] = w->canopy_status[1] = 404;
	w->patch_status[0] = 403;
	assert_error(
		gate_send(&w->op, &replica, &memo, scene_now_ms(), 1 + GATE_GIVE_UP_MS, &err), err, ERROR_INVALID, "told to");
	assert_non_null(replica.report);
	assert_int_equal(memo.refused_since_mono_ms, 1);
	assert_ok(gate_send(&w->op, &replica, &memo, scene_now_ms(), 1 + GATE_GIVE_UP_MS, &err), err);
	assert_null(replica.report);
	assert_int_equal(memo.refused_since_mono_ms, 0);
	replica_fini(&replica);
}

static void a_record_that_fails_is_made_good_without_sending_again(void **state)
{
	struct world *w = *state;
	struct error err = {0};
	struct memo memo = {0};
	struct replica replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "verify", OWED);
	w->patch_status[0] = 403; // not repeated by the client
	assert_error(gate_send(&w->op, &replica, &memo, scene_now_ms(), 1, &err), err, ERROR_INVALID, "record the landed report");
	assert_string_equal(memo.landed_run_id, RUN_ID);
	assert_non_null(replica.report);
	assert_ok(gate_send(&w->op, &replica, &memo, scene_now_ms(), 1, &err), err);
	assert_int_equal(w->reports, 1);
	assert_string_equal(memo.landed_run_id, "");
	replica_fini(&replica);
}

static void a_transient_failure_stays_owed_and_says_why(void **state)
{
	struct world *w = *state;
	struct error err = {0};
	struct memo memo = {0};
	struct replica replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "verify", OWED);
	w->canopy_status[0] = 502;
	assert_error(gate_send(&w->op, &replica, &memo, scene_now_ms(), 1, &err), err, ERROR_TRANSIENT, "told to");
	assert_non_null(strstr(w->last_patch, "last-verification-error"));
	assert_null(strstr(w->last_patch, "pgro.bes.au/report\""));
	assert_string_equal(memo.landed_run_id, "");
	replica_fini(&replica);
}

static void a_refusal_is_given_up_after_ten_minutes(void **state)
{
	struct world *w = *state;
	// What the wall clock says and what people wrote does not count: it may jump.
	const struct {
		const char *label;
		const char *since;
		int64_t wall_ms, mono_ms;
		bool is_given_up;
	} rows[] = {
		{"the first", "", 0, 1000, false},
		{"ten minutes but one", ",\"last-verification-error\":\"refused since 2026-11-20T12:00:00Z: no\"",
			GATE_GIVE_UP_MS - 1, 999 + GATE_GIVE_UP_MS, false},
		{"the clock jumps forward", ",\"last-verification-error\":\"refused since 2026-11-20T12:00:00Z: no\"", 86400000,
			2000, false},
		{"the clock jumps back", ",\"last-verification-error\":\"refused since 2026-11-20T12:00:00Z: no\"", -86400000,
			1000 + GATE_GIVE_UP_MS, true},
		{"the next one is refused", "", 0, 1001 + GATE_GIVE_UP_MS, false},
	};
	struct memo memo = {0};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		char annotations[4096];
		(void)snprintf(annotations, sizeof(annotations), OWED "%s", rows[i].since);
		struct replica replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "verify", annotations);
		w->canopy_status[i] = 404;
		int rc = gate_send(&w->op, &replica, &memo, scene_now_ms() + rows[i].wall_ms, rows[i].mono_ms, &err);
		if ((rc == 0) != rows[i].is_given_up)
			fail_msg("%s: %d %s", rows[i].label, rc, err.text);
		if (rows[i].is_given_up) {
			assert_null(replica.report);
			assert_non_null(strstr(w->last_patch, "\"pgro.bes.au/report\":null"));
			assert_null(strstr(w->last_patch, "last-verification-reported-at"));
		}
		replica_fini(&replica);
	}
}

static void a_healthy_report_of_a_once_replica_lands_by_leaving(void **state)
{
	struct world *w = *state;
	struct error err = {0};
	struct memo memo = {.teardown_since_mono_ms = 1};
	struct replica replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "verify", OWED);
	assert_ok(gate_release(&w->op, &replica, &memo, scene_now_ms(), 1, &err), err);
	assert_int_equal(w->reports, 0);
	replica_fini(&replica);
}

// Nobody knows what such a replica was for: its report is sent, healthy or not.
static void a_replica_of_no_known_intent_sends_before_it_goes(void **state)
{
	struct world *w = *state;
	struct memo memo = {.teardown_since_mono_ms = 1};
	static const char *const intents[] = {"dbt", NULL};
	for (int i = 0; i < 2; i++) {
		struct error err = {0};
		struct replica replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "dbt", OWED);
		if (intents[i] == NULL) {
			free(replica.intent);
			replica.intent = NULL;
		}
		assert_ok(gate_release(&w->op, &replica, &memo, scene_now_ms(), 1, &err), err);
		assert_int_equal(w->reports, i + 1);
		replica_fini(&replica);
	}
}

static void a_teardown_sends_first_and_waits_ten_minutes(void **state)
{
	struct world *w = *state;
	struct error err = {0};
	struct memo memo = {.teardown_since_mono_ms = 1};
	struct replica replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "analytics", OWED);
	w->canopy_status[0] = 502;
	w->canopy_status[1] = 502;
	assert_error(
		gate_release(&w->op, &replica, &memo, scene_now_ms(), 1, &err), err, ERROR_TRANSIENT, "waits for its report");
	assert_ok(gate_release(&w->op, &replica, &memo, scene_now_ms(), 1 + GATE_GIVE_UP_MS, &err), err);
	assert_int_equal(w->reports, 2);
	assert_ok(gate_release(&w->op, &replica, &memo, scene_now_ms(), 1, &err), err);
	assert_int_equal(w->reports, 3);
	assert_null(replica.report);
	replica_fini(&replica);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test_setup_teardown(sends_the_bytes_that_were_written_and_records_them, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_conflict_of_the_record_does_not_send_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_another_operator_settled_is_left_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_conflict_that_cannot_be_read_again_stays_landed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(that_another_run_landed_does_not_keep_this_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_operator_that_does_not_lead_sends_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(only_some_answers_are_a_refusal, set_up, tear_down),
		cmocka_unit_test_setup_teardown(since_when_it_is_refused_is_kept_where_it_can_be_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_given_up_and_not_recorded_is_given_up_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_record_that_fails_is_made_good_without_sending_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_transient_failure_stays_owed_and_says_why, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_refusal_is_given_up_after_ten_minutes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_healthy_report_of_a_once_replica_lands_by_leaving, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_replica_of_no_known_intent_sends_before_it_goes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_teardown_sends_first_and_waits_ten_minutes, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("reconciler/gate", cases, NULL, NULL);
}
