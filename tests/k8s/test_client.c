// How the client repeats, gives up, shows its token and counts. What it asks and understands is in test_recordings.c.
#include "base/clock.h"
#include "k8s/call.h"
#include "k8s/url.h"
#include "tests/support/cmocka.h"
#include "tests/support/http_server.h"
#include <stdio.h>
#include <string.h>

#define URL_MAX 128
#define STEPS_MAX 6
#define THREADS 4
#define CALLS_A_THREAD 50

#define STATUS(message) "{\"kind\":\"Status\",\"message\":\"" message "\",\"reason\":\"x\"}"

// What the server answers, one step for each request; the last one again and again.
struct step {
	int status; // 0: the end
	const char *body;
	const char *header; // may be NULL
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
	answer->headers[0] = step->header;
}

struct bench {
	struct http_server *server;
	struct k8s_client *client;
	struct k8s_config config;
	char url[URL_MAX];
	char observed[256]; // "verb resource status;" each
};

static void observe(void *arg, const char *verb, const char *resource, int status)
{
	struct bench *bench = arg;
	size_t len = strlen(bench->observed);
	(void)snprintf(bench->observed + len, sizeof(bench->observed) - len, "%s %s %d;", verb, resource, status);
}

static void begin(struct bench *bench, http_server_on_request on_request, void *arg, const atomic_bool *cancel)
{
	struct error err = {0};
	bench->server = http_server_start(on_request, arg);
	(void)snprintf(bench->url, sizeof(bench->url), "%s", http_server_url(bench->server));
	bench->config.server = bench->url;
	assert_ok(k8s_client_new(&bench->config, cancel, &bench->client, &err), err);
	k8s_observe(bench->client, observe, bench);
}

static void finish(struct bench *bench)
{
	k8s_client_free(bench->client);
	http_server_stop(bench->server);
}

// --- repeats ---

enum verb { GET, CREATE, APPLY, PATCH, DELETE, DELETE_UID };

static int make(enum verb verb, struct k8s_client *client, struct error *err)
{
	AUTO(json) json_t *object = json_pack("{s:{s:s}}", "metadata", "name", "j");
	switch (verb) {
	case GET: {
		AUTO(json) json_t *answer = NULL;
		return k8s_get(client, &K8S_JOB, "n", "j", &answer, err);
	}
	case CREATE:
		return k8s_create(client, &K8S_JOB, "n", object, NULL, err);
	case APPLY:
		return k8s_apply(client, &K8S_JOB, "n", object, NULL, err);
	case PATCH:
		return k8s_patch(client, &K8S_JOB, "n", "j", object, NULL, err);
	case DELETE:
		return k8s_delete(client, &K8S_JOB, "n", "j", NULL, NULL, err);
	case DELETE_UID:
		return k8s_delete(client, &K8S_JOB, "n", "j", "u", NULL, err);
	}
	return -1;
}

struct repeat_row {
	const char *label;
	enum verb verb;
	struct step steps[STEPS_MAX];
	int requests;
	enum error_kind kind;
	int status;
	const char *text;
};

#define OK                      \
	{                       \
		200, "{}", NULL \
	}
#define BUSY                              \
	{                                 \
		503, STATUS("busy"), NULL \
	}
#define SLOW_DOWN                                          \
	{                                                  \
		429, STATUS("slow down"), "Retry-After: 0" \
	}
#define SERVER_ERROR                                               \
	{                                                          \
		500, STATUS("etcdserver: request timed out"), NULL \
	}

static const struct repeat_row repeats[] = {
	{"get after 503", GET, {BUSY, BUSY, OK}, 3, ERROR_NONE, 0, ""},
	{"get after 500 and 429", GET, {SERVER_ERROR, SLOW_DOWN, OK}, 3, ERROR_NONE, 0, ""},
	{"get gives up, with the first reason", GET, {SERVER_ERROR, BUSY}, 4, ERROR_TRANSIENT, 500,
		"get jobs n/j: 4 tries, the first: etcdserver: request timed out"},
	{"get ends at the first definite answer", GET, {BUSY, {404, STATUS("gone"), NULL}}, 2, ERROR_NOT_FOUND, 404,
		"get jobs n/j: gone"},
	{"get 404 of another kind", GET, {{404, "{\"kind\":\"List\",\"message\":\"hush\"}", NULL}}, 1, ERROR_NOT_FOUND, 404,
		"get jobs n/j: HTTP status 404 without a reason"},
	{"get 404 with an empty message", GET, {{404, STATUS(""), NULL}}, 1, ERROR_NOT_FOUND, 404,
		"get jobs n/j: HTTP status 404 without a reason"},
	{"create where 409 has no reason", CREATE, {{409, "{}", NULL}}, 1, ERROR_CONFLICT, 409,
		"create jobs n/j: HTTP status 409 without a reason"},
	{"get 403", GET, {{403, STATUS("no"), NULL}}, 1, ERROR_INVALID, 403, "get jobs n/j: no"},
	{"get 410", GET, {{410, STATUS("too old"), NULL}}, 1, ERROR_CONFLICT, 410, "get jobs n/j: too old"},
	{"get 301", GET, {{301, "", "Location: /x"}}, 1, ERROR_INTERNAL, 301, "get jobs n/j: HTTP status 301 without a reason"},
	{"get 404 of something else", GET, {{404, "<html>hush</html>", NULL}}, 1, ERROR_NOT_FOUND, 404,
		"get jobs n/j: HTTP status 404 without a reason"},
	{"get of something that is no JSON", GET, {{200, "<html>hush</html>", NULL}}, 1, ERROR_TRANSIENT, 0,
		"get jobs n/j: invalid JSON at line 1"},
	{"get with a wait that is too long", GET, {{503, STATUS("busy"), "Retry-After: 3600"}}, 1, ERROR_TRANSIENT, 503,
		"get jobs n/j: busy"},
	{"create after 429", CREATE, {SLOW_DOWN, {201, "{}", NULL}}, 2, ERROR_NONE, 0, ""},
	{"create after 503", CREATE, {BUSY, OK}, 1, ERROR_TRANSIENT, 503, "create jobs n/j: busy"},
	{"create after 500", CREATE, {SERVER_ERROR, OK}, 1, ERROR_TRANSIENT, 500, "create jobs n/j: etcdserver"},
	{"create where 409 is a conflict", CREATE, {{409, STATUS("being deleted"), NULL}}, 1, ERROR_CONFLICT, 409,
		"create jobs n/j: being deleted"},
	{"apply after 503", APPLY, {BUSY, OK}, 2, ERROR_NONE, 0, ""},
	{"patch after 503", PATCH, {BUSY, OK}, 2, ERROR_NONE, 0, ""},
	{"patch after a conflict", PATCH, {{409, STATUS("modified"), NULL}, OK}, 1, ERROR_CONFLICT, 409,
		"patch jobs n/j: modified"},
	{"delete after 503: the namesake could be another", DELETE, {BUSY, OK}, 1, ERROR_TRANSIENT, 503, "delete jobs n/j: busy"},
	{"delete with a uid after 503", DELETE_UID, {BUSY, OK}, 2, ERROR_NONE, 0, ""},
	{"delete whose first try did it", DELETE_UID, {BUSY, {404, STATUS("gone"), NULL}}, 2, ERROR_NONE, 0, ""},
};

static void a_call_is_repeated_where_that_is_safe(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(repeats) / sizeof(repeats[0]); i++) {
		const struct repeat_row *row = &repeats[i];
		struct script script = {.steps = row->steps};
		struct error err = {0};
		struct bench bench = {0};
		begin(&bench, play, &script, NULL);
		print_message("# %s\n", row->label);
		int rc = make(row->verb, bench.client, &err);
		if (row->kind == ERROR_NONE)
			assert_ok(rc, err);
		else
			assert_error(rc, err, row->kind, row->text);
		assert_int_equal(err.http_status, row->status);
		assert_null(strstr(err.text, "hush"));
		assert_int_equal(http_server_count(bench.server), row->requests);
		finish(&bench);
	}
}

static void what_the_server_asks_for_is_passed_on(void **state)
{
	(void)state;
	static const struct step steps[STEPS_MAX] = {{429, STATUS("slow down"), "Retry-After: 3600"}};
	struct script script = {.steps = steps};
	struct error err = {0};
	struct bench bench = {0};
	begin(&bench, play, &script, NULL);
	assert_int_equal(make(CREATE, bench.client, &err), -1);
	assert_int_equal(err.retry_after_ms, 3600000);
	finish(&bench);
}

static void retry_after_is_waited_for(void **state)
{
	(void)state;
	static const struct step steps[STEPS_MAX] = {{503, STATUS("busy"), "Retry-After: 1"}, OK};
	struct script script = {.steps = steps};
	struct error err = {0};
	struct bench bench = {0};
	begin(&bench, play, &script, NULL);
	int64_t before_ms = clock_mono_ms();
	assert_ok(make(GET, bench.client, &err), err);
	assert_true(clock_mono_ms() - before_ms >= 1000);
	finish(&bench);
}

static void no_answer_is_transient_and_counted_as_such(void **state)
{
	(void)state;
	static const struct step steps[STEPS_MAX] = {OK};
	struct script script = {.steps = steps};
	struct error err = {0};
	struct bench bench = {0};
	begin(&bench, play, &script, NULL);
	assert_ok(make(PATCH, bench.client, &err), err);
	http_server_stop(bench.server);
	assert_error(make(CREATE, bench.client, &err), err, ERROR_TRANSIENT, "create jobs n/j: POST http://127.0.0.1:");
	assert_error(
		make(GET, bench.client, &err), err, ERROR_TRANSIENT, "get jobs n/j: 4 tries, the first: GET http://127.0.0.1:");
	assert_int_equal(err.http_status, 0);
	assert_string_equal(bench.observed, "patch jobs 200;create jobs 0;get jobs 0;get jobs 0;get jobs 0;get jobs 0;");
	k8s_client_free(bench.client);
}

static void a_patch_says_of_which_kind_it_is(void **state)
{
	(void)state;
	static const struct step steps[STEPS_MAX] = {BUSY, OK};
	static const char *const types[] = {"application/merge-patch+json", "application/strategic-merge-patch+json"};
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		char value[64];
		struct script script = {.steps = steps};
		struct error err = {0};
		struct bench bench = {0};
		AUTO(json) json_t *patch = json_pack("{s:{s:s}}", "metadata", "uid", "u");
		AUTO(json) json_t *answer = NULL;
		begin(&bench, play, &script, NULL);
		assert_ok(
			(i == 0 ? k8s_patch : k8s_patch_strategic)(bench.client, &K8S_JOB, "n", "j", patch, &answer, &err), err);
		assert_int_equal(http_server_count(bench.server), 2); // the same patch has the same effect twice
		const struct http_server_request *sent = http_server_request(bench.server, 1);
		assert_string_equal(sent->method, "PATCH");
		assert_string_equal(http_server_header(sent, "Content-Type", value, sizeof(value)), types[i]);
		assert_string_equal(buf_str(&sent->body), "{\"metadata\":{\"uid\":\"u\"}}");
		finish(&bench);
	}
}

static void cancel_and_ask_to_wait(void *arg, const struct http_server_request *request, struct http_server_answer *answer)
{
	(void)request;
	atomic_store((atomic_bool *)arg, true);
	answer->status = 503;
	answer->headers[0] = "Retry-After: 20";
}

static void a_wait_is_cancelled(void **state)
{
	(void)state;
	atomic_bool cancel = false;
	struct error err = {0};
	struct bench bench = {0};
	begin(&bench, cancel_and_ask_to_wait, &cancel, &cancel);
	assert_error(make(GET, bench.client, &err), err, ERROR_CANCELLED, "get jobs n/j");
	assert_int_equal(http_server_count(bench.server), 1);
	finish(&bench);
}

// --- what every request carries ---

static void requests_carry_who_asks_and_are_strict(void **state)
{
	(void)state;
	static const struct step steps[STEPS_MAX] = {OK};
	struct script script = {.steps = steps};
	struct error err = {0};
	struct bench bench = {0};
	char value[128];
	static const char *const targets[] = {
		"/apis/batch/v1/namespaces/n/jobs/j",
		"/apis/batch/v1/namespaces/n/jobs?fieldManager=understory&fieldValidation=Strict",
		"/apis/batch/v1/namespaces/n/jobs/j?fieldManager=understory&fieldValidation=Strict&force=true",
		"/apis/batch/v1/namespaces/n/jobs/j?fieldManager=understory&fieldValidation=Strict",
		"/apis/batch/v1/namespaces/n/jobs/j",
	};
	assert_ok(secret_set(&bench.config.token, "t0ken", &err), err);
	begin(&bench, play, &script, NULL);
	for (int verb = GET; verb <= DELETE; verb++)
		assert_ok(make((enum verb)verb, bench.client, &err), err);
	for (size_t i = 0; i < 5; i++) {
		const struct http_server_request *sent = http_server_request(bench.server, i);
		assert_string_equal(sent->target, targets[i]);
		assert_string_equal(http_server_header(sent, "Authorization", value, sizeof(value)), "Bearer t0ken");
		assert_string_equal(
			http_server_header(sent, "User-Agent", value, sizeof(value)), "understory/" UNDERSTORY_VERSION);
		assert_string_equal(http_server_header(sent, "Accept", value, sizeof(value)), "application/json");
	}
	secret_fini(&bench.config.token);
	finish(&bench);
}

static void an_object_needs_a_name_and_a_namespace(void **state)
{
	(void)state;
	static const struct step steps[STEPS_MAX] = {OK};
	struct script script = {.steps = steps};
	struct error err = {0};
	struct bench bench = {0};
	AUTO(json) json_t *empty = json_object();
	begin(&bench, play, &script, NULL);
	assert_error(k8s_apply(bench.client, &K8S_JOB, "n", empty, NULL, &err), err, ERROR_INTERNAL, "metadata.name is not set");
	assert_error(
		k8s_get(bench.client, &K8S_JOB, NULL, "j", NULL, &err), err, ERROR_INTERNAL, "jobs \"j\" without a namespace");
	assert_error(k8s_delete(bench.client, &K8S_JOB, "n", "", NULL, NULL, &err), err, ERROR_INVALID, "cannot be the name");
	assert_int_equal(http_server_count(bench.server), 0);
	finish(&bench);
}

// --- tokens ---

static char token_path[] = "/tmp/test_k8s_token_XXXXXX";

static void write_token(const char *text)
{
	FILE *file = fopen(token_path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static int make_token_file(void **state)
{
	(void)state;
	(void)snprintf(token_path, sizeof(token_path), "/tmp/test_k8s_token_XXXXXX");
	int fd = mkstemp(token_path);
	return fd < 0 ? -1 : close(fd);
}

static int remove_token_file(void **state)
{
	(void)state;
	(void)unlink(token_path);
	return 0;
}

// Takes the token "new" alone; on any other it says 401 and, when arg is true, puts "new" into the file.
static void take_new_token(void *arg, const struct http_server_request *request, struct http_server_answer *answer)
{
	char value[64];
	const bool *rotate = arg;
	bool good = strcmp(http_server_header(request, "Authorization", value, sizeof(value)), "Bearer new") == 0;
	answer->status = good ? 200 : 401;
	answer->body = strdup(good ? "{}" : STATUS("Unauthorized"));
	if (!good && *rotate)
		write_token("new\n");
}

static void a_401_reads_the_token_again_and_tries_once_more(void **state)
{
	(void)state;
	for (int rotate = 0; rotate < 2; rotate++) {
		for (int verb = GET; verb <= DELETE; verb++) {
			bool rotates = rotate == 1;
			struct error err = {0};
			struct bench bench = {.config.token_file = token_path};
			write_token("old");
			begin(&bench, take_new_token, &rotates, NULL);
			int rc = make((enum verb)verb, bench.client, &err);
			if (rotates)
				assert_ok(rc, err);
			else
				assert_error(rc, err, ERROR_INVALID, "Unauthorized");
			assert_int_equal(err.http_status, rotates ? 0 : 401);
			assert_int_equal(http_server_count(bench.server), 2);
			finish(&bench);
		}
	}
}

static void a_401_for_a_token_without_a_file_is_final(void **state)
{
	(void)state;
	bool rotates = false;
	struct error err = {0};
	struct bench bench = {0};
	assert_ok(secret_set(&bench.config.token, "old", &err), err);
	begin(&bench, take_new_token, &rotates, NULL);
	assert_error(make(GET, bench.client, &err), err, ERROR_INVALID, "get jobs n/j: Unauthorized");
	assert_int_equal(http_server_count(bench.server), 1);
	secret_fini(&bench.config.token);
	finish(&bench);
}

static void a_token_is_read_again_when_it_is_a_minute_old(void **state)
{
	(void)state;
	static const struct step steps[STEPS_MAX] = {OK};
	static const char *const shown[] = {"Bearer first", "Bearer first", "Bearer second", "Bearer second"};
	struct script script = {.steps = steps};
	struct error err = {0};
	struct bench bench = {.config.token_file = token_path};
	char value[64];
	write_token("first");
	begin(&bench, play, &script, NULL);
	assert_ok(make(GET, bench.client, &err), err);
	write_token("second");
	assert_ok(make(GET, bench.client, &err), err);
	bench.client->credentials.read_at_ms -= K8S_CREDENTIALS_AGE_MS + 1;
	assert_ok(make(GET, bench.client, &err), err);
	// A file that is gone for a moment: the last token goes on.
	assert_int_equal(unlink(token_path), 0);
	bench.client->credentials.read_at_ms -= K8S_CREDENTIALS_AGE_MS + 1;
	assert_ok(make(GET, bench.client, &err), err);
	for (size_t i = 0; i < 4; i++)
		assert_string_equal(
			http_server_header(http_server_request(bench.server, i), "Authorization", value, sizeof(value)),
			shown[i]);
	finish(&bench);
}

static void a_missing_token_file_never_reads_as_a_missing_object(void **state)
{
	(void)state;
	static const struct step steps[STEPS_MAX] = {OK};
	struct script script = {.steps = steps};
	struct bench bench = {.config.token_file = token_path};
	begin(&bench, play, &script, NULL);
	struct error err = {0};
	assert_int_equal(unlink(token_path), 0);
	assert_error(make(CREATE, bench.client, &err), err, ERROR_TRANSIENT, "create jobs n/j: token: open /tmp/");
	assert_error(make(DELETE, bench.client, &err), err, ERROR_TRANSIENT, "delete jobs n/j: token: open /tmp/");
	write_token("\n");
	assert_error(make(CREATE, bench.client, &err), err, ERROR_TRANSIENT, "is empty");
	assert_int_equal(http_server_count(bench.server), 0);
	finish(&bench);
}

// --- threads ---

static void answer_with_name(void *arg, const struct http_server_request *request, struct http_server_answer *answer)
{
	char *text = NULL;
	(void)arg;
	if (asprintf(&text, "{\"name\":\"%s\"}", strrchr(request->target, '/') + 1) > 0)
		answer->body = text;
}

struct worker {
	struct k8s_client *client;
	int number;
	int good;
};

static void *work(void *arg)
{
	struct worker *worker = arg;
	for (int i = 0; i < CALLS_A_THREAD; i++) {
		char name[32];
		struct error err = {0};
		AUTO(json) json_t *answer = NULL;
		(void)snprintf(name, sizeof(name), "j-%d-%d", worker->number, i);
		if (k8s_get(worker->client, &K8S_JOB, "n", name, &answer, &err) == 0 &&
			strcmp(json_find_str(answer, "name"), name) == 0)
			worker->good++;
	}
	return NULL;
}

static void count(void *arg, const char *verb, const char *resource, int status)
{
	(void)verb;
	(void)resource;
	if (status == 200)
		(void)atomic_fetch_add((atomic_int *)arg, 1);
}

static void threads_share_a_client(void **state)
{
	(void)state;
	pthread_t threads[THREADS];
	struct worker workers[THREADS];
	atomic_int counted = 0;
	struct bench bench = {.config.token_file = token_path};
	write_token("token");
	begin(&bench, answer_with_name, NULL, NULL);
	k8s_observe(bench.client, count, &counted);
	for (int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){.client = bench.client, .number = i};
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(workers[i].good, CALLS_A_THREAD);
	}
	assert_int_equal(atomic_load(&counted), THREADS * CALLS_A_THREAD);
	finish(&bench);
}

static void answer_ok(void *arg, const struct http_server_request *request, struct http_server_answer *answer)
{
	(void)arg;
	(void)request;
	answer->body = strdup("{}");
}

static int ignore_item(void *arg, json_t *item, struct error *err)
{
	(void)arg;
	(void)item;
	(void)err;
	return 0;
}

// A selector or a name that would not fit into the URL is an error before anything is sent, whichever part it is that has no
// room.
static void what_makes_no_url_is_never_sent(void **state)
{
	(void)state;
	static char name[K8S_URL_MAX + 64];
	struct http_server *server = http_server_start(answer_ok, NULL);
	char url[128];
	(void)snprintf(url, sizeof(url), "%s", http_server_url(server));
	const struct k8s_config config = {.server = url};
	struct error err = {0};
	AUTO(k8s_client) struct k8s_client *client = NULL;
	AUTO(json) json_t *object = json_object();
	assert_ok(k8s_client_new(&config, NULL, &client, &err), err);
	for (size_t less = 0; less <= 40; less += 5) {
		memset(name, 'a', sizeof(name));
		name[K8S_URL_MAX - less] = '\0';
		const struct k8s_list_options selects = {.label_selector = name, .on_item = ignore_item};
		assert_int_equal(k8s_list(client, &K8S_NAMESPACE, NULL, &selects, &err), -1);
		AUTO(json) json_t *named = json_pack("{s:{s:s}}", "metadata", "name", name);
		assert_int_equal(k8s_apply(client, &K8S_NAMESPACE, NULL, named, NULL, &err), -1);
		assert_int_equal(k8s_create(client, &K8S_JOB, name, object, NULL, &err), -1);
		assert_int_equal(k8s_patch(client, &K8S_NAMESPACE, NULL, name, object, NULL, &err), -1);
	}
	assert_int_equal(http_server_count(server), 0);
	http_server_stop(server);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(a_call_is_repeated_where_that_is_safe),
		cmocka_unit_test(what_the_server_asks_for_is_passed_on),
		cmocka_unit_test(retry_after_is_waited_for),
		cmocka_unit_test(no_answer_is_transient_and_counted_as_such),
		cmocka_unit_test(a_patch_says_of_which_kind_it_is),
		cmocka_unit_test(a_wait_is_cancelled),
		cmocka_unit_test(requests_carry_who_asks_and_are_strict),
		cmocka_unit_test(an_object_needs_a_name_and_a_namespace),
		cmocka_unit_test_setup_teardown(
			a_401_reads_the_token_again_and_tries_once_more, make_token_file, remove_token_file),
		cmocka_unit_test(a_401_for_a_token_without_a_file_is_final),
		cmocka_unit_test(what_makes_no_url_is_never_sent),
		cmocka_unit_test_setup_teardown(
			a_token_is_read_again_when_it_is_a_minute_old, make_token_file, remove_token_file),
		cmocka_unit_test_setup_teardown(
			a_missing_token_file_never_reads_as_a_missing_object, make_token_file, remove_token_file),
		cmocka_unit_test_setup_teardown(threads_share_a_client, make_token_file, remove_token_file),
	};
	return cmocka_run_group_tests_name("k8s/client", cases, NULL, NULL);
}
