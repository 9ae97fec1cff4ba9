// The status page and status.json over what a cache holds, as the listener asks for them.
#include "reconciler/page.h"
#include "base/buf.h"
#include "base/json.h"
#include "canopy/intents.h"
#include "tests/reconciler/scenes.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define P "pgro.bes.au/"
#define MANY 3000

// An operator without any connection, which leads, and its page.
struct world {
	struct manager op;
	struct settings *settings;
	struct page *page;
	struct web_source source;
};

static int open_world(void **state)
{
	static struct world w;
	struct error err = {0};
	w = (struct world){.settings = scene_settings()};
	w.op.settings = w.settings;
	pulse_init(&w.op.pulse);
	assert_ok(cache_new(&w.op.cache, &err), err);
	assert_ok(slots_new(4, &w.op.slots, &err), err);
	assert_ok(notes_new(&w.op.notes, &err), err);
	assert_ok(page_new(&w.op, 1, &w.page, &err), err);
	w.source = page_source(w.page);
	*state = &w;
	return 0;
}

static int close_world(void **state)
{
	struct world *w = *state;
	page_free(w->page);
	notes_free(w->op.notes);
	slots_free(w->op.slots);
	cache_free(w->op.cache);
	settings_free(w->settings);
	return 0;
}

static void put_labelled(struct world *w, const char *name, const char *labels, const char *annotations)
{
	struct error err = {0};
	AUTO(buf) struct buf text;
	AUTO(json) json_t *object = NULL;
	buf_init(&text, 8192);
	assert_ok(buf_addf(&text, &err,
			  "{\"metadata\":{\"name\":\"%s\",\"uid\":\"u-%s\",\"resourceVersion\":\"7\",\"creationTimestamp\":"
			  "\"2026-11-20T11:00:00Z\",\"labels\":{\"" P "managed-by\":\"pgro-canopy\"%s},"
			  "\"annotations\":{%s}}}",
			  name, name, labels, annotations),
		err);
	assert_ok(json_parse(buf_str(&text), text.len, &object, &err), err);
	assert_ok(cache_take(w->op.cache, CACHE_NAMESPACE, object, &err), err);
}

static void put(struct world *w, const char *name, const char *annotations)
{
	put_labelled(w, name, ",\"" P "intent\":\"analytics\"", annotations);
}

// What a request carries.
struct asked {
	const char *path, *if_none_match, *q, *state, *attention;
};

static const char *argument(const void *of, const char *name)
{
	const struct asked *a = of;
	return strcmp(name, "q") == 0           ? a->q
	       : strcmp(name, "state") == 0     ? a->state
	       : strcmp(name, "attention") == 0 ? a->attention
						: NULL;
}

static struct web_answer ask(const struct world *w, const struct asked *asked)
{
	struct web_answer answer = {0};
	const struct web_request request = {
		.path = asked->path, .if_none_match = asked->if_none_match, .argument = argument, .of = asked};
	assert_true(w->source.answer(w->source.arg, &request, &answer));
	return answer;
}

// Reads it in pieces of an odd size, so that every seam is met.
static void read_all(struct web_answer *answer, struct buf *out)
{
	struct error err = {0};
	char piece[613];
	ssize_t n;
	assert_int_equal(answer->status, 200);
	while ((n = answer->read(answer->stream, piece, sizeof(piece))) > 0)
		assert_ok(buf_add(out, piece, (size_t)n, &err), err);
	assert_int_equal(n, 0);
	answer->close(answer->stream);
}

static void get(const struct world *w, const struct asked *asked, struct buf *out)
{
	struct web_answer answer = ask(w, asked);
	buf_init(out, (size_t)64 << 20);
	read_all(&answer, out);
}

static json_t *get_json(const struct world *w)
{
	struct error err = {0};
	json_t *status = NULL;
	AUTO(buf) struct buf text;
	const struct asked asked = {.path = "/status.json"};
	get(w, &asked, &text);
	assert_ok(json_parse(buf_str(&text), text.len, &status, &err), err);
	return status;
}

static void status_of_replicas(void **state)
{
	struct world *w = *state;
	put(w, "b",
		"\"" P "restore-state\":\"failed\",\"" P "failures\":\"1\",\"" P "failed-at\":\"2026-11-20T11:58:00Z\",\"" P
		"last-error\":\"it broke\",\"" P "last-verdict\":\"failed recovery backup\",\"" P "report\":\"{}\"");
	put(w, "a", "\"" P "restore-state\":\"restoring\",\"" P "round\":\"aaaaaaaa\",\"" P "expected-bytes\":\"4096\"");
	notes_progress(w->op.notes, "a", "aaaaaaaa", 1024, 1000);
	notes_progress(w->op.notes, "a", "aaaaaaaa", 2048, 2000);
	AUTO(json) json_t *status = get_json(w);
	assert_true(json_is_true(json_find(status, "leads")));
	assert_int_equal(json_find_int(-1, status, "failed"), 1);
	assert_int_equal(json_find_int(-1, status, "restoring"), 1);
	assert_int_equal(json_find_int(-1, status, "active"), 0);
	assert_int_equal(json_find_int(-1, status, "reports_owed"), 1);
	assert_string_equal(json_find_str(status, "title"), "1 failed of 2");
	const json_t *replicas = json_find(status, "replicas");
	assert_int_equal(json_array_size(replicas), 2);
	// What needs a look comes first.
	const json_t *failed = json_array_get(replicas, 0), *restoring = json_array_get(replicas, 1);
	assert_string_equal(json_find_str(failed, "namespace"), "b");
	assert_string_equal(json_find_str(failed, "blame"), "the backup");
	assert_string_equal(json_find_str(failed, "report"), "owed");
	assert_string_equal(json_find_str(restoring, "namespace"), "a");
	assert_int_equal(json_find_int(-1, restoring, "progress_percent"), 50);
	assert_int_equal(json_find_int(-1, restoring, "bytes_per_second"), 1024);
	assert_int_equal(json_find_int(-1, restoring, "remaining_seconds"), 2);
}

static void a_version_changes_with_what_is_said(void **state)
{
	struct world *w = *state;
	const struct asked plain = {.path = "/status.json"};
	struct web_answer first = ask(w, &plain);
	first.close(first.stream);
	const struct asked again = {.path = "/status.json", .if_none_match = first.etag};
	struct web_answer same = ask(w, &again);
	assert_int_equal(same.status, 304);

	const char *const what[] = {"a Namespace", "a note", "a pass", "its end"};
	for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); i++) {
		const struct asked known = {.path = "/status.json", .if_none_match = first.etag};
		if (i == 0)
			put(w, "a", "");
		else if (i == 1)
			notes_trouble(w->op.notes, "a", 1, 2, "x", 3);
		else if (i == 2)
			pulse_set(&w->op.pulse, &(struct pulse_facts){0});
		else
			cache_gone(w->op.cache, "a");
		struct web_answer other = ask(w, &known);
		if (other.status != 200)
			fail_msg("%s is not seen", what[i]);
		other.close(other.stream);
		first = other;
	}
}

static void names_of_strangers_are_text(void **state)
{
	struct world *w = *state;
	put(w, "a",
		"\"" P "restore-state\":\"failed\",\"" P "last-error\":\"<script>x</script>\",\"" P
		"intent\":\"\\\"><img src=x>\",\"" P "round-snapshot-id\":\"</td>\"");
	AUTO(buf) struct buf page;
	const struct asked asked = {.path = "/", .q = "\"><script>y</script>"};
	get(w, &asked, &page);
	assert_null(strstr(buf_str(&page), "<script>"));
	assert_null(strstr(buf_str(&page), "<img"));
	assert_non_null(strstr(buf_str(&page), "value=\"&quot;&gt;&lt;script&gt;y&lt;/script&gt;\""));
	AUTO(buf) struct buf all;
	const struct asked plain = {.path = "/"};
	get(w, &plain, &all);
	assert_non_null(strstr(buf_str(&all), "&lt;script&gt;x&lt;/script&gt;"));
	assert_null(strstr(buf_str(&all), "<img"));
}

static size_t count_of(const struct buf *page, const char *what)
{
	size_t count = 0;
	for (const char *at = buf_str(page); (at = strstr(at, what)) != NULL; at++)
		count++;
	return count;
}

static void the_page_filters_without_script(void **state)
{
	struct world *w = *state;
	const struct {
		const char *label;
		struct asked asked;
		size_t rows;
		const char *part;
	} rows[] = {
		{"all", {.path = "/"}, 4, "<b>2</b></th>"},
		{"a word", {.path = "/", .q = "disk"}, 1, "value=\"disk\""},
		{"two words", {.path = "/", .q = "disk nauru-b"}, 0, "value=\"disk nauru-b\""},
		{"a state", {.path = "/", .state = "failed"}, 2, "<option value=\"failed\" selected>"},
		{"no such state", {.path = "/", .state = "\"><b>"}, 0, "<option value=\"\">any"},
		{"what needs a look", {.path = "/", .attention = "1"}, 3, "name=\"attention\" value=\"1\" checked>"},
	};
	put(w, "nauru-a", "\"" P "restore-state\":\"failed\",\"" P "last-error\":\"disk\"");
	put(w, "nauru-b", "\"" P "restore-state\":\"failed\",\"" P "last-error\":\"tape\"");
	put(w, "nauru-c", "\"" P "restore-state\":\"pending\"");
	put(w, "nauru-d", "\"" P "restore-state\":\"restoring\"");
	notes_trouble(w->op.notes, "nauru-d", 1, 2, "canopy: 502", 3);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		AUTO(buf) struct buf page;
		get(w, &rows[i].asked, &page);
		// The template of a row is one more.
		if (count_of(&page, "<tr role=\"row\" data-ns=") != rows[i].rows + 1)
			fail_msg("%s: %zu rows", rows[i].label, count_of(&page, "<tr role=\"row\" data-ns=") - 1);
		if (strstr(buf_str(&page), rows[i].part) == NULL)
			fail_msg("%s: no %s", rows[i].label, rows[i].part);
		assert_null(strstr(buf_str(&page), "{{"));
		assert_int_equal(count_of(&page, "<tbody"), count_of(&page, "</tbody>"));
		assert_non_null(strstr(buf_str(&page), "</html>"));
	}
}

static void what_goes_while_it_is_sent_has_no_row(void **state)
{
	struct world *w = *state;
	struct error err = {0};
	char piece[64];
	put(w, "a", "");
	put(w, "b", "");
	pulse_set(&w->op.pulse, &(struct pulse_facts){.has_worklist = true, .is_current = true, .passed_at_ms = scene_now_ms()});
	const struct asked asked = {.path = "/status.json"};
	struct web_answer answer = ask(w, &asked);
	AUTO(buf) struct buf text;
	AUTO(json) json_t *status = NULL;
	buf_init(&text, (size_t)1 << 20);
	ssize_t n = answer.read(answer.stream, piece, sizeof(piece));
	assert_ok(buf_add(&text, piece, (size_t)n, &err), err);
	cache_gone(w->op.cache, "a");
	read_all(&answer, &text);
	assert_ok(json_parse(buf_str(&text), text.len, &status, &err), err);
	assert_int_equal(json_array_size(json_find(status, "replicas")), 1);
	assert_string_equal(json_find_str(json_array_get(json_find(status, "replicas"), 0), "namespace"), "b");
}

static void at_most_so_many_at_once(void **state)
{
	struct world *w = *state;
	struct web_answer open[PAGE_VIEWS_MAX];
	const struct asked asked = {.path = "/"};
	for (size_t i = 0; i < PAGE_VIEWS_MAX; i++) {
		open[i] = ask(w, &asked);
		assert_int_equal(open[i].status, 200);
	}
	assert_int_equal(ask(w, &asked).status, 503);
	open[0].close(open[0].stream);
	open[0] = ask(w, &asked);
	assert_int_equal(open[0].status, 200);
	for (size_t i = 0; i < PAGE_VIEWS_MAX; i++)
		open[i].close(open[i].stream);
}

static void many_replicas(void **state)
{
	struct world *w = *state;
	char name[32];
	for (int i = 0; i < MANY; i++) {
		(void)snprintf(name, sizeof(name), "replica-%04d", i);
		put(w, name, i % 3 == 0 ? "\"" P "restore-state\":\"failed\"" : "");
	}
	AUTO(json) json_t *status = get_json(w);
	assert_int_equal(json_find_int(-1, status, "failed"), MANY / 3);
	assert_int_equal(json_array_size(json_find(status, "replicas")), MANY);
	assert_string_equal(json_find_str(json_array_get(json_find(status, "replicas"), MANY / 3), "namespace"), "replica-0001");
}

static void what_the_brake_holds_is_said(void **state)
{
	struct world *w = *state;
	struct error err = {0};
	struct record **records = NULL;
	size_t count = 0;
	const struct wanted held = {.action = {.kind = ACTION_NONE, .reason = REASON_BRAKE}};
	put(w, "a", "\"" P "restore-state\":\"active\"");
	assert_ok(cache_begin(w->op.cache, &records, &count, &err), err);
	record_want(records[0], &held);
	cache_end(w->op.cache);
	pulse_set(&w->op.pulse, &(struct pulse_facts){.passed_at_ms = scene_now_ms(),
					.has_worklist = true,
					.is_current = true,
					.held_passes = 2,
					.held_since_ms = scene_now_ms()});
	AUTO(json) json_t *status = get_json(w);
	assert_int_equal(json_find_int(-1, status, "teardowns_held"), 1);
	assert_non_null(strstr(json_find_str(status, "brake"), "3 passes (so far: 2) and not before 2026-11-20T12:02:00Z"));
	assert_non_null(strstr(json_find_str(status, "brake_release"), "teardown-hold=true"));
	const json_t *row = json_array_get(json_find(status, "replicas"), 0);
	assert_string_equal(json_find_str(row, "tone"), "broken");     // it should serve, and does not
	assert_int_equal(json_find_int(-1, status, "unavailable"), 0); // but no round of its ever did
	assert_non_null(strstr(json_find_str(row, "says"), "the brake holds its teardown"));
}

static void a_worklist_that_is_away_is_said(void **state)
{
	struct world *w = *state;
	pulse_set(&w->op.pulse, &(struct pulse_facts){.passed_at_ms = scene_now_ms(), .error = "worklist: canopy: 502"});
	AUTO(json) json_t *status = get_json(w);
	assert_non_null(strstr(json_find_str(status, "worklist_problem"), "canopy: 502"));
	pulse_set(&w->op.pulse, &(struct pulse_facts){.passed_at_ms = scene_now_ms(), .has_worklist = true});
	AUTO(json) json_t *old = get_json(w);
	assert_non_null(
		strstr(json_find_str(old, "worklist_problem"), "nothing is provisioned, refreshed or torn down until it is"));
	pulse_set(&w->op.pulse,
		&(struct pulse_facts){.passed_at_ms = scene_now_ms(), .has_worklist = true, .is_current = true, .unreadable = 2});
	AUTO(json) json_t *odd = get_json(w);
	assert_non_null(strstr(json_find_str(odd, "worklist_problem"), "2 entries of the worklist cannot be read"));
}

static void what_should_serve_and_does_not_comes_first(void **state)
{
	struct world *w = *state;
	struct error err = {0};
	static const char deployment[] =
		"{\"metadata\":{\"name\":\"postgres-aaaaaaaa\",\"namespace\":\"%s\",\"uid\":\"u-d\",\"resourceVersion\":\"8\","
		"\"creationTimestamp\":\"2026-11-20T11:00:00Z\",\"labels\":{\"" P "managed-by\":\"pgro-canopy\",\"" P
		"round\":\"aaaaaaaa\"}},\"status\":{\"observedGeneration\":1,\"availableReplicas\":1,\"conditions\":[{\"type\":"
		"\"Available\",\"status\":\"True\"}]}}";
	static const char *const names[] = {"a", "b", "c", "d"};
	for (size_t i = 0; i < 4; i++) {
		char text[1024];
		put(w, names[i], "\"" P "restore-state\":\"active\",\"" P "active-round\":\"aaaaaaaa\"");
		(void)snprintf(text, sizeof(text), deployment, names[i]);
		AUTO(json) json_t *object = NULL;
		assert_ok(json_parse(text, strlen(text), &object, &err), err);
		if (i % 2 == 0)
			assert_ok(cache_take(w->op.cache, CACHE_DEPLOYMENT, object, &err), err);
	}
	AUTO(json) json_t *status = get_json(w);
	assert_int_equal(json_find_int(-1, status, "unavailable"), 2);
	static const char *const in_order[] = {"b", "d", "a", "c"};
	for (size_t i = 0; i < 4; i++) {
		const char *name = json_find_str(json_array_get(json_find(status, "replicas"), i), "namespace");
		assert_string_equal(name, in_order[i]);
	}
}

// Left behind by somebody, or not wanted any more and gone.
static void what_is_no_replica_has_no_row(void **state)
{
	struct world *w = *state;
	struct error err = {0};
	struct record **records = NULL;
	size_t count = 0;
	assert_ok(cache_begin(w->op.cache, &records, &count, &err), err);
	assert_non_null(cache_record(w->op.cache, "a"));
	cache_end(w->op.cache);
	pulse_set(&w->op.pulse, &(struct pulse_facts){.has_worklist = true, .is_current = true, .passed_at_ms = scene_now_ms()});
	AUTO(json) json_t *known = get_json(w);
	assert_int_equal(json_array_size(json_find(known, "replicas")), 0);
	pulse_set(&w->op.pulse, &(struct pulse_facts){0});
	AUTO(json) json_t *not_known = get_json(w);
	assert_int_equal(json_array_size(json_find(not_known, "replicas")), 0);
}

static void what_is_wanted_and_what_it_is_are_said(void **state)
{
	struct world *w = *state;
	put_labelled(w, "a", "",
		"\"" P "restore-state\":\"active\",\"" P "last-restored-snapshot-id\":\"s1\",\"" P
		"desired-snapshot-id\":\"s2-and-very-long\"");
	AUTO(json) json_t *status = get_json(w);
	const json_t *row = json_array_get(json_find(status, "replicas"), 0);
	assert_string_equal(json_find_str(row, "kind"), "no intent, no type");
	assert_string_equal(json_find_str(row, "snapshot"), "s1");
	assert_string_equal(json_find_str(row, "wanted"), "s2-and-very- is wanted");
	assert_string_equal(json_find_str(row, "wanted_snapshot_id"), "s2-and-very-long");
}

static void one_that_does_not_lead_says_so(void **state)
{
	struct world *w = *state;
	struct error err = {0};
	const struct lease_options options = {.namespace = "pgro-system", .name = "understory", .identity = "this one"};
	assert_ok(lease_new(NULL, &options, &w->op.lease, &err), err);
	put(w, "a", "\"" P "restore-state\":\"pending\"");
	AUTO(json) json_t *status = get_json(w);
	lease_free(w->op.lease);
	w->op.lease = NULL;
	assert_true(json_is_false(json_find(status, "leads")));
	assert_int_equal(strncmp(json_find_str(status, "role"), "This operator does not lead: nobody is known to. ", 48), 0);
	assert_true(json_is_null(json_find(status, "pass")));
	assert_int_equal(json_array_size(json_find(status, "replicas")), 1);
}

static void files_are_of_the_program(void **state)
{
	struct world *w = *state;
	const char *const paths[][2] = {{"/page.css", "text/css; charset=utf-8"}, {"/page.js", "text/javascript; charset=utf-8"}};
	for (size_t i = 0; i < 2; i++) {
		const struct asked asked = {.path = paths[i][0]};
		struct web_answer answer = ask(w, &asked);
		assert_int_equal(answer.status, 200);
		assert_string_equal(answer.type, paths[i][1]);
		const struct asked known = {.path = paths[i][0], .if_none_match = answer.etag};
		assert_int_equal(ask(w, &known).status, 304);
	}
	const struct asked page = {.path = "/"};
	struct web_answer answer = ask(w, &page);
	assert_non_null(strstr(answer.policy, "default-src 'none'"));
	assert_null(strstr(answer.policy, "unsafe"));
	answer.close(answer.stream);
	struct web_answer none = {0};
	const struct web_request request = {.path = "/page.html"};
	assert_false(w->source.answer(w->source.arg, &request, &none));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)

int main(void)
{
	const struct CMUnitTest cases[] = {
		CASE(status_of_replicas),
		CASE(a_version_changes_with_what_is_said),
		CASE(names_of_strangers_are_text),
		CASE(the_page_filters_without_script),
		CASE(what_goes_while_it_is_sent_has_no_row),
		CASE(at_most_so_many_at_once),
		CASE(many_replicas),
		CASE(what_the_brake_holds_is_said),
		CASE(a_worklist_that_is_away_is_said),
		CASE(what_should_serve_and_does_not_comes_first),
		CASE(what_is_no_replica_has_no_row),
		CASE(what_is_wanted_and_what_it_is_are_said),
		CASE(one_that_does_not_lead_says_so),
		CASE(files_are_of_the_program),
	};
	return cmocka_run_group_tests_name("reconciler/page", cases, NULL, NULL);
}
