#include "base/file.h"
#include "k8s/client.h"
#include "tests/support/cmocka.h"
#include "tests/support/http_server.h"
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define URL_MAX 128
#define STEPS_MAX 8
#define SELECTOR "pgro.bes.au/managed-by=pgro-canopy"
#define FIRST_PAGE "/api/v1/namespaces?limit=500&labelSelector=pgro.bes.au%2Fmanaged-by%3Dpgro-canopy"

// What the server answers, one step for each request; the last one again and again.
struct step {
	int status; // 0: the end
	const char *body;
	bool cut;
};

struct script {
	const struct step *steps;
	atomic_int next;
};

static void play(void *arg, const struct http_server_request *request, struct http_server_answer *answer)
{
	struct script *script = arg;
	(void)request;
	int last = 0;
	while (last + 1 < STEPS_MAX && script->steps[last + 1].status != 0)
		last++;
	int at = atomic_fetch_add(&script->next, 1);
	const struct step *step = &script->steps[at < last ? at : last];
	answer->status = step->status;
	answer->body = strdup(step->body);
	answer->chunked = true;
	answer->cut = step->cut;
}

struct seen {
	struct buf names; // each followed by a blank; restarts as "|"
	int refuse_at;    // item that fails, from 1
	int items;
};

static int on_item(void *arg, json_t *item, struct error *err)
{
	struct seen *seen = arg;
	if (++seen->items == seen->refuse_at)
		return error_set(err, ERROR_INVALID, "that is enough");
	const char *name = json_find_str(item, "metadata", "name");
	return buf_addf(&seen->names, err, "%s ", name == NULL ? "?" : name);
}

static void on_restart(void *arg)
{
	struct error err;
	struct seen *seen = arg;
	assert_int_equal(buf_add_str(&seen->names, "| ", &err), 0);
}

#define PAGE(next, items) \
	"{\"kind\":\"NamespaceList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"5\"" next "},\"items\":" items "}"
#define NEXT(token) ",\"continue\":\"" token "\""
#define ITEM(name) "{\"metadata\":{\"name\":\"" name "\"}}"
#define STATUS(code, reason) "{\"kind\":\"Status\",\"message\":\"the message\",\"reason\":\"" reason "\",\"code\":" code "}"
#define EXPIRED                                      \
	{                                            \
		410, STATUS("410", "Expired"), false \
	}

struct row {
	const char *label;
	struct step steps[STEPS_MAX];
	int refuse_at;
	const char *names;
	const char *last_target; // of the last request
	int requests;
	enum error_kind kind;
	const char *text;
};

static const struct row rows[] = {
	{"one page", {{200, PAGE("", "[" ITEM("a") "," ITEM("b") "]"), false}}, 0, "a b ", FIRST_PAGE, 1, ERROR_NONE, ""},
	{"an empty list", {{200, PAGE("", "[]"), false}}, 0, "", FIRST_PAGE, 1, ERROR_NONE, ""},
	{"an empty list that Go wrote as null", {{200, PAGE("", "null"), false}}, 0, "", FIRST_PAGE, 1, ERROR_NONE, ""},
	{"an empty token", {{200, PAGE(NEXT(""), "[]"), false}}, 0, "", FIRST_PAGE, 1, ERROR_NONE, ""},
	{"three pages",
		{{200, PAGE(NEXT("p/2="), "[" ITEM("a") "]"), false}, {200, PAGE(NEXT("p3"), "[" ITEM("b") "]"), false},
			{200, PAGE("", "[" ITEM("c") "]"), false}},
		0, "a b c ", FIRST_PAGE "&continue=p3", 3, ERROR_NONE, ""},
	{"a token is encoded", {{200, PAGE(NEXT("p/2="), "[" ITEM("a") "]"), false}, {200, PAGE("", "[]"), false}}, 0, "a ",
		FIRST_PAGE "&continue=p%2F2%3D", 2, ERROR_NONE, ""},
	{"the token expires",
		{{200, PAGE(NEXT("p2"), "[" ITEM("a") "]"), false}, EXPIRED,
			{200, PAGE("", "[" ITEM("a") "," ITEM("b") "]"), false}},
		0, "a | a b ", FIRST_PAGE, 3, ERROR_NONE, ""},
	{"the token expires twice",
		{{200, PAGE(NEXT("p2"), "[" ITEM("a") "]"), false}, EXPIRED, {200, PAGE(NEXT("p2"), "[" ITEM("a") "]"), false},
			EXPIRED},
		0, "a | a ", FIRST_PAGE "&continue=p2", 4, ERROR_CONFLICT, "list namespaces: the message"},
	{"410 without a token", {EXPIRED}, 0, "", FIRST_PAGE, 1, ERROR_CONFLICT, "list namespaces: the message"},
	{"a page that comes at the second try",
		{{503, STATUS("503", "ServiceUnavailable"), false}, {200, PAGE("", "[" ITEM("a") "]"), false}}, 0, "a ",
		FIRST_PAGE, 2, ERROR_NONE, ""},
	{"a page that is cut is not repeated: its items were handed over",
		{{200, "{\"metadata\":{},\"items\":[" ITEM("a") ",", true}}, 0, "a ", FIRST_PAGE, 1, ERROR_TRANSIENT,
		"list namespaces: GET http://127.0.0.1:"},
	{"a whole answer with half a list", {{200, "{\"metadata\":{},\"items\":[" ITEM("a") ",", false}}, 0, "a ", FIRST_PAGE, 1,
		ERROR_TRANSIENT, "list namespaces: JSON is cut short after element 1"},
	{"a list without items", {{200, "{\"metadata\":{}}", false}}, 0, "", FIRST_PAGE, 1, ERROR_TRANSIENT,
		"list namespaces: \"items\" is missing"},
	{"a list without metadata", {{200, "{\"items\":[" ITEM("a") "]}", false}}, 0, "a ", FIRST_PAGE, 1, ERROR_TRANSIENT,
		"list namespaces: \"metadata\" is missing"},
	{"metadata that is no object", {{200, "{\"metadata\":[],\"items\":[]}", false}}, 0, "", FIRST_PAGE, 1, ERROR_TRANSIENT,
		"list namespaces: \"metadata\" is missing"},
	{"a token that is no text", {{200, "{\"metadata\":{\"continue\":1},\"items\":[]}", false}}, 0, "", FIRST_PAGE, 1,
		ERROR_TRANSIENT, "list namespaces: \"metadata.continue\" is no string"},
	{"a token that leads nowhere", {{200, PAGE(NEXT("p2"), "[" ITEM("a") "]"), false}}, 0, "a a ", FIRST_PAGE "&continue=p2",
		2, ERROR_TRANSIENT, "list namespaces: \"metadata.continue\" leads to the same page again"},
	{"no list", {{200, "<html>hush</html>", false}}, 0, "", FIRST_PAGE, 1, ERROR_TRANSIENT, "no JSON object"},
	{"an item that the caller refuses", {{200, PAGE("", "[" ITEM("a") "," ITEM("b") "," ITEM("c") "]"), false}}, 2, "a ",
		FIRST_PAGE, 1, ERROR_INVALID, "that is enough"},
	{"forbidden", {{403, STATUS("403", "Forbidden"), false}}, 0, "", FIRST_PAGE, 1, ERROR_INVALID,
		"list namespaces: the message"},
};

static int list(struct http_server *server, const struct k8s_list_options *options, struct error *err)
{
	char url[URL_MAX];
	(void)snprintf(url, sizeof(url), "%s", http_server_url(server));
	struct k8s_config config = {.server = url};
	AUTO(k8s_client) struct k8s_client *client = NULL;
	if (k8s_client_new(&config, NULL, &client, err) < 0)
		return -1;
	return k8s_list(client, &K8S_NAMESPACE, NULL, options, err);
}

static void pages_are_read_to_the_end_or_the_list_fails(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct script script = {.steps = row->steps};
		struct error err = {0};
		struct seen seen = {.refuse_at = row->refuse_at};
		buf_init(&seen.names, 4096);
		struct http_server *server = http_server_start(play, &script);
		const struct k8s_list_options options = {
			.label_selector = SELECTOR, .on_item = on_item, .on_restart = on_restart, .arg = &seen};
		print_message("# %s\n", row->label);
		int rc = list(server, &options, &err);
		if (row->kind == ERROR_NONE)
			assert_ok(rc, err);
		else
			assert_error(rc, err, row->kind, row->text);
		assert_null(strstr(err.text, "hush"));
		assert_string_equal(buf_str(&seen.names), row->names);
		assert_int_equal(http_server_count(server), row->requests);
		assert_string_equal(http_server_request(server, (size_t)row->requests - 1)->target, row->last_target);
		buf_fini(&seen.names);
		http_server_stop(server);
	}
}

static void many_items_arrive_in_order(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(buf) struct buf page;
	buf_init(&page, (size_t)16 << 20);
	assert_ok(buf_add_str(&page, "{\"metadata\":{},\"items\":[", &err), err);
	for (int i = 0; i < 5000; i++)
		assert_ok(
			buf_addf(&page, &err, "%s{\"metadata\":{\"name\":\"n%d\"},\"pad\":\"%0500d\"}", i == 0 ? "" : ",", i, i),
			err);
	assert_ok(buf_add_str(&page, "]}", &err), err);

	const struct step steps[STEPS_MAX] = {{200, buf_str(&page), false}};
	struct script script = {.steps = steps};
	struct seen seen = {0};
	buf_init(&seen.names, (size_t)1 << 20);
	struct http_server *server = http_server_start(play, &script);
	const struct k8s_list_options options = {.on_item = on_item, .arg = &seen};
	assert_ok(list(server, &options, &err), err);
	assert_int_equal(seen.items, 5000);
	assert_non_null(strstr(buf_str(&seen.names), "n0 n1 n2 "));
	assert_non_null(strstr(buf_str(&seen.names), " n4998 n4999 "));
	buf_fini(&seen.names);
	http_server_stop(server);
}

static void metadata_alone_is_asked_for_by_its_own_type(void **state)
{
	(void)state;
	struct error err = {0};
	char accept[128];
	const struct step steps[STEPS_MAX] = {{200, PAGE("", "[]"), false}};
	struct script script = {.steps = steps};
	struct seen seen = {0};
	struct http_server *server = http_server_start(play, &script);
	const struct k8s_list_options options = {.metadata_only = true, .on_item = on_item, .arg = &seen};
	assert_ok(list(server, &options, &err), err);
	assert_string_equal(http_server_header(http_server_request(server, 0), "Accept", accept, sizeof(accept)),
		"application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json");
	http_server_stop(server);
}

// --- recorded lists ---

static json_t *recorded[4];

static void replay(void *arg, const struct http_server_request *request, struct http_server_answer *answer)
{
	(void)request;
	int at = atomic_fetch_add((atomic_int *)arg, 1);
	const json_t *response = json_find(recorded[at], "response");
	answer->status = (int)json_find_int(0, response, "status");
	answer->body = json_dumps(json_find(response, "body"), 0);
}

static json_t *read_recording(const char *name)
{
	char path[512];
	size_t len = 0;
	struct error err = {0};
	json_t *recording = NULL;
	AUTO_FREE char *text = NULL;
	(void)snprintf(path, sizeof(path), "%s/%s.json", RECORDINGS, name);
	assert_ok(file_read(path, (size_t)1 << 20, &text, &len, &err), err);
	assert_ok(json_parse(text, len, &recording, &err), err);
	return recording;
}

struct recorded_row {
	const char *files[4];
	const char *names;
	enum error_kind kind;
	int status;
	const char *text;
};

static const struct recorded_row recorded_rows[] = {
	{{"13-list-page-1", "14-list-page-2", "12-list-by-label"},
		"rec-a rec-l0 rec-l1 rec-l2 rec-a rec-l0 rec-l1 rec-l2 rec-l3 rec-l4 ", ERROR_NONE, 0, ""},
	{{"13-list-page-1", "70-list-continue-expired", "12-list-by-label"},
		"rec-a rec-l0 | rec-a rec-l0 rec-l1 rec-l2 rec-l3 rec-l4 ", ERROR_NONE, 0, ""},
	{{"15-list-metadata-only"}, "rec-a rec-l0 rec-l1 rec-l2 rec-l3 rec-l4 ", ERROR_NONE, 0, ""},
	{{"17-list-empty"}, "", ERROR_NONE, 0, ""},
	{{"16-list-bad-selector"}, "", ERROR_INVALID, 400,
		"list namespaces: found '==', expected: !, identifier, or 'end of string'"},
	{{"52-unauthorized"}, "", ERROR_INVALID, 401, "list namespaces: Unauthorized"},
	{{"53-forbidden"}, "", ERROR_INVALID, 403,
		"list namespaces: namespaces is forbidden: User \"system:serviceaccount:rec-a:restore\" cannot list resource "
		"\"namespaces\" "
		"in API group \"\" at the cluster scope"},
};

static void recorded_lists_are_understood(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(recorded_rows) / sizeof(recorded_rows[0]); i++) {
		const struct recorded_row *row = &recorded_rows[i];
		atomic_int at = 0;
		struct error err = {0};
		struct seen seen = {0};
		size_t files = 0;
		buf_init(&seen.names, 4096);
		for (; row->files[files] != NULL; files++)
			recorded[files] = read_recording(row->files[files]);
		struct http_server *server = http_server_start(replay, &at);
		const struct k8s_list_options options = {
			.label_selector = SELECTOR, .on_item = on_item, .on_restart = on_restart, .arg = &seen};
		print_message("# %s\n", row->files[0]);
		int rc = list(server, &options, &err);
		if (row->kind == ERROR_NONE) {
			assert_ok(rc, err);
		} else {
			assert_int_equal(rc, -1);
			assert_int_equal(err.kind, row->kind);
			assert_int_equal(err.http_status, row->status);
			assert_string_equal(err.text, row->text);
		}
		assert_string_equal(buf_str(&seen.names), row->names);
		assert_int_equal(http_server_count(server), files);
		buf_fini(&seen.names);
		http_server_stop(server);
		while (files > 0)
			json_decref(recorded[--files]);
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(pages_are_read_to_the_end_or_the_list_fails),
		cmocka_unit_test(many_items_arrive_in_order),
		cmocka_unit_test(metadata_alone_is_asked_for_by_its_own_type),
		cmocka_unit_test(recorded_lists_are_understood),
	};
	return cmocka_run_group_tests_name("k8s/list", cases, NULL, NULL);
}
