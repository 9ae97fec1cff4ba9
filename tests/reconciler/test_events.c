// Events against an API server that is told what to answer: repeats are one series, and what goes on is told of once a minute.
#include "reconciler/events.h"
#include "base/json.h"
#include "tests/support/cmocka.h"
#include "tests/support/http_server.h"
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define BEGIN_MS INT64_C(1795176000000)
#define MINUTE_MS INT64_C(60000)

struct world {
	struct http_server *server;
	struct k8s_config config;
	struct k8s_client *k8s;
	struct events *events;
	atomic_bool has_forgotten; // the API server drops Events after an hour
	atomic_bool refuses;
};

static void answer(void *arg, const struct http_server_request *request, struct http_server_answer *out)
{
	const struct world *w = arg;
	const bool is_patch = strcmp(request->method, "PATCH") == 0;
	out->status = atomic_load(&w->refuses) ? 403 : !is_patch ? 201 : atomic_load(&w->has_forgotten) ? 404 : 200;
	out->body =
		strdup(out->status >= 403 ? "{\"kind\":\"Status\",\"status\":\"Failure\",\"reason\":\"NotFound\",\"code\":404}"
					  : "{\"kind\":\"Event\",\"metadata\":{\"name\":\"e\"}}");
}

static int set_up(void **state)
{
	struct error err = {0};
	struct world *w = calloc(1, sizeof(*w));
	assert_non_null(w);
	w->server = http_server_start(answer, w);
	w->config.server = strdup(http_server_url(w->server));
	assert_ok(k8s_client_new(&w->config, NULL, &w->k8s, &err), err);
	assert_ok(events_new(w->k8s, "test", &w->events, &err), err);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	events_free(w->events);
	k8s_client_free(w->k8s);
	http_server_stop(w->server);
	free(w->config.server);
	free(w);
	return 0;
}

static void say(struct world *w, const char *note, int64_t after_ms)
{
	const struct event_regarding job = {.api_version = "batch/v1", .kind = "Job", .name = "restore-1", .uid = "u-1"};
	events_send_at(w->events, "nauru", &job, true, "RestoreFailed", "RestoreFailed", note, BEGIN_MS + after_ms);
}

// What was sent: "POST", or "PATCH" with the count of the series, one after another.
static void was_sent(struct world *w, const char *expected)
{
	char got[512] = "";
	for (size_t i = 0; i < http_server_count(w->server); i++) {
		const struct http_server_request *request = http_server_request(w->server, i);
		struct error err = {0};
		AUTO(json) json_t *body = NULL;
		size_t len = strlen(got);
		assert_ok(json_parse(buf_str(&request->body), request->body.len, &body, &err), err);
		const json_int_t count = json_find_int(0, body, "series", "count");
		(void)snprintf(got + len, sizeof(got) - len, "%s%.0lld ", request->method, (long long)count);
	}
	assert_string_equal(got, expected);
}

static void repeats_are_one_series(void **state)
{
	struct world *w = *state;
	say(w, "no space", 0);
	say(w, "no space", 1000);
	was_sent(w, "POST PATCH2 ");
	say(w, "another cause", 2000);
	was_sent(w, "POST PATCH2 POST ");
}

static void what_goes_on_is_told_of_once_a_minute(void **state)
{
	struct world *w = *state;
	for (int64_t second = 0; second <= 150; second++)
		say(w, "no space", second * 1000);
	was_sent(w, "POST PATCH2 PATCH62 PATCH122 ");
}

static void after_a_silence_it_is_a_new_event(void **state)
{
	struct world *w = *state;
	say(w, "no space", 0);
	say(w, "no space", 5 * MINUTE_MS);
	say(w, "no space", 11 * MINUTE_MS);
	was_sent(w, "POST PATCH2 POST ");
}

static void a_series_that_the_server_has_forgotten_begins_anew(void **state)
{
	struct world *w = *state;
	say(w, "no space", 0);
	atomic_store(&w->has_forgotten, true);
	say(w, "no space", 1000);
	was_sent(w, "POST PATCH2 POST ");
}

// What was not sent is no series, and a series that could not be told of goes on.
static void what_is_refused_is_tried_as_it_was(void **state)
{
	struct world *w = *state;
	atomic_store(&w->refuses, true);
	say(w, "no space", 0);
	say(w, "no space", 1000);
	was_sent(w, "POST POST ");
	atomic_store(&w->refuses, false);
	say(w, "no space", 2000);
	atomic_store(&w->refuses, true);
	say(w, "no space", 3000);
	was_sent(w, "POST POST POST PATCH2 ");
	atomic_store(&w->refuses, false);
	say(w, "no space", 3000 + 2 * MINUTE_MS);
	was_sent(w, "POST POST POST PATCH2 PATCH3 ");
}

static void an_event_names_the_object_by_its_uid(void **state)
{
	struct world *w = *state;
	struct error err = {0};
	AUTO(json) json_t *event = NULL;
	say(w, "no space", 0);
	const struct buf *body = &http_server_request(w->server, 0)->body;
	assert_ok(json_parse(buf_str(body), body->len, &event, &err), err);
	assert_string_equal(json_find_str(event, "regarding", "uid"), "u-1");
	assert_string_equal(json_find_str(event, "metadata", "namespace"), "nauru");
	assert_string_equal(json_find_str(event, "eventTime"), "2026-11-20T12:00:00.000000Z");
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test_setup_teardown(repeats_are_one_series, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_goes_on_is_told_of_once_a_minute, set_up, tear_down),
		cmocka_unit_test_setup_teardown(after_a_silence_it_is_a_new_event, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_series_that_the_server_has_forgotten_begins_anew, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_refused_is_tried_as_it_was, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_event_names_the_object_by_its_uid, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("reconciler/events", cases, NULL, NULL);
}
