// What a watch does with whatever a server may send, against a scripted one; test_watch_stub.c has it work with stub-apiserver.
#include "base/clock.h"
#include "base/log.h"
#include "k8s/watch.h"
#include "tests/k8s/mirror.h"
#include "tests/support/cmocka.h"
#include "tests/support/raw_server.h"
#include "tests/support/scratch.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STEPS_MAX 16
#define REQUEST_MAX 4096
#define DEADLINE_MS 20000
#define HUGE_BYTES ((size_t)10 << 20)

enum step_kind {
	END,    // of the script
	LIST,   // 200 with its length; the connection stays
	STREAM, // 200; the body ends with the connection
	CUT,    // 200 in chunks, of which the last is missing
	OPEN,   // 200, the body, then silence
	MUTE,   // silence
	RESET,
	HUGE,   // 200, the body, then a line of 10 MiB
	STATUS, // body is the status line and the headers
	ROTATE, // as STATUS, after the token was replaced by "second"
};

struct step {
	enum step_kind kind;
	const char *body;
};

// One watch at a time works on one connection at a time, so the steps come in order.
struct script {
	const struct step *steps;
	atomic_int next;
	pthread_mutex_t lock; // guards trace
	char trace[1024];     // "L" for a list, "C" for a page of it, "W<resourceVersion>" for a stream, each with a blank
	char last[REQUEST_MAX];
	int64_t times_ms[STEPS_MAX];
};

static void add_to_trace(struct script *script, const char *request, int at)
{
	char entry[64] = "L ";
	const char *version = strstr(request, "resourceVersion=");
	if (strstr(request, "watch=1") != NULL && version != NULL)
		(void)snprintf(entry, sizeof(entry), "W%.*s ", (int)strcspn(version + strlen("resourceVersion="), "& "),
			version + strlen("resourceVersion="));
	else if (strstr(request, "continue=") != NULL)
		entry[0] = 'C';
	(void)pthread_mutex_lock(&script->lock);
	size_t len = strlen(script->trace);
	(void)snprintf(script->trace + len, sizeof(script->trace) - len, "%s", entry);
	(void)snprintf(script->last, sizeof(script->last), "%s", request);
	if (at < STEPS_MAX)
		script->times_ms[at] = clock_mono_ms();
	(void)pthread_mutex_unlock(&script->lock);
}

static void send_list(struct raw_connection *connection, const char *body)
{
	char head[128];
	(void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", strlen(body));
	raw_write(connection, head);
	raw_write(connection, body);
}

static void send_cut(struct raw_connection *connection, const char *body)
{
	char head[128];
	(void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n", strlen(body));
	raw_write(connection, head);
	raw_write(connection, body);
	raw_write(connection, "\r\n");
}

static void send_huge(struct raw_connection *connection, const char *body)
{
	char *line = malloc(HUGE_BYTES);
	assert_non_null(line);
	memset(line, 'x', HUGE_BYTES);
	raw_write(connection, body);
	raw_write_bytes(connection, line, HUGE_BYTES);
	free(line);
}

// False when the connection is done with.
static bool play_step(struct raw_connection *connection, const struct step *step)
{
	switch (step->kind) {
	case LIST:
		send_list(connection, step->body);
		return true;
	case ROTATE:
		(void)scratch_write("token", "second", strlen("second"));
		raw_write(connection, step->body);
		return true;
	case STATUS:
		raw_write(connection, step->body);
		return true;
	case STREAM:
	case OPEN:
	case HUGE:
		raw_write(connection, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
		if (step->kind == HUGE)
			send_huge(connection, step->body);
		else
			raw_write(connection, step->body);
		break;
	case CUT:
		send_cut(connection, step->body);
		break;
	case RESET:
		raw_reset(connection);
		break;
	case MUTE:
	case END:
		break;
	}
	if (step->kind == OPEN || step->kind == MUTE || step->kind == END)
		raw_hold(connection);
	return false;
}

static void play(void *arg, struct raw_connection *connection, int number)
{
	struct script *script = arg;
	char request[REQUEST_MAX];
	(void)number;
	while (raw_read_request(connection, request, sizeof(request))) {
		int at = atomic_load(&script->next);
		const struct step *step = &script->steps[at];
		if (step->kind != END)
			atomic_store(&script->next, at + 1);
		add_to_trace(script, request, at);
		if (!play_step(connection, step))
			return;
	}
}

// --- a watch of such a server ---

static const struct k8s_watch_timings quick = {
	.timeout_min_s = 300, .timeout_max_s = 600, .silence_ms = 60000, .pause_first_ms = 10, .pause_max_ms = 40};

struct world {
	struct script script;
	struct raw_server *server;
	char url[64];
	struct k8s_config config;
	struct k8s_client *client;
	struct mirror mirror;
	struct k8s_watch *watch;
};

static void open_world(struct world *world, const struct step *steps)
{
	struct error err = {0};
	*world = (struct world){.script = {.steps = steps}};
	(void)pthread_mutex_init(&world->script.lock, NULL);
	world->server = raw_server_start(play, &world->script, NULL);
	(void)snprintf(world->url, sizeof(world->url), "http://127.0.0.1:%d", raw_server_port(world->server));
	world->config.server = world->url;
	mirror_init(&world->mirror);
	assert_ok(k8s_client_new(&world->config, NULL, &world->client, &err), err);
}

static void start_watch(struct world *world, const struct k8s_watch_timings *timings)
{
	struct error err = {0};
	const struct k8s_watch_options options = {.resource = &K8S_NAMESPACE,
		.label_selector = "a=b",
		.metadata_only = true,
		.callbacks = mirror_callbacks(&world->mirror),
		.timings = timings};
	assert_ok(k8s_watch_start(world->client, &options, &world->watch, &err), err);
}

// The server goes first: a watch whose stream has just ended need not wait until libcurl looks up.
static void close_world(struct world *world)
{
	raw_server_stop(world->server);
	k8s_watch_stop(world->watch);
	k8s_client_free(world->client);
	mirror_fini(&world->mirror);
	(void)pthread_mutex_destroy(&world->script.lock);
}

static void await_trace(struct world *world, const char *expected)
{
	char trace[sizeof(world->script.trace)];
	int64_t end_ms = clock_mono_ms() + DEADLINE_MS;
	for (;;) {
		(void)pthread_mutex_lock(&world->script.lock);
		memcpy(trace, world->script.trace, sizeof(trace));
		(void)pthread_mutex_unlock(&world->script.lock);
		if (strcmp(trace, expected) == 0)
			return;
		if (clock_mono_ms() > end_ms || strlen(trace) > strlen(expected))
			fail_msg("the requests are \"%s\", expected \"%s\"", trace, expected);
		(void)nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	}
}

// --- what a server may send ---

#define OBJECT(name, version) "{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"" version "\"}}"
#define ITEMS(version, items) \
	"{\"kind\":\"NamespaceList\",\"metadata\":{\"resourceVersion\":\"" version "\"},\"items\":[" items "]}"
#define PAGE(version, next, items) \
	"{\"metadata\":{\"resourceVersion\":\"" version "\",\"continue\":\"" next "\"},\"items\":[" items "]}"
#define EVENT(type, name, version) "{\"type\":\"" type "\",\"object\":" OBJECT(name, version) "}\n"
#define BOOKMARK(version) "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"" version "\"}}}\n"
#define ERROR_EVENT(code, message) \
	"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":" code ",\"message\":\"" message "\"}}\n"
#define ANSWER(status) "HTTP/1.1 " status "\r\nContent-Length: 0\r\n\r\n"
#define A_AND_B                                                         \
	{                                                               \
		LIST, ITEMS("5", OBJECT("a", "1") "," OBJECT("b", "2")) \
	}
#define ONLY_A                                     \
	{                                          \
		LIST, ITEMS("9", OBJECT("a", "8")) \
	}

struct row {
	const char *label;
	struct step steps[STEPS_MAX]; // after the last the server is mute
	int fail_objects, fail_list_ends, fail_changes;
	const char *trace;
	const char *objects; // in the end
	const char *error;   // "": none, or no more
	uint64_t lists, streams, events;
};

static const struct row rows[] = {
	{"changes are followed",
		{A_AND_B, {OPEN, EVENT("ADDED", "c", "6") EVENT("MODIFIED", "a", "7") EVENT("DELETED", "b", "8")}}, 0, 0, 0,
		"L W5 ", "a=7 c=6 ", "", 1, 1, 3},
	{"a stream that ends is taken up where it was",
		{A_AND_B, {STREAM, EVENT("MODIFIED", "a", "7")}, {OPEN, EVENT("MODIFIED", "b", "8")}}, 0, 0, 0, "L W5 W7 ",
		"a=7 b=8 ", "", 1, 2, 2},
	{"a bookmark moves that place", {A_AND_B, {STREAM, BOOKMARK("50")}, {OPEN, ""}}, 0, 0, 0, "L W5 W50 ", "a=1 b=2 ", "", 1,
		2, 0},
	{"an event twice, and a deletion of nothing",
		{A_AND_B, {OPEN, EVENT("ADDED", "a", "1") EVENT("DELETED", "z", "6") EVENT("MODIFIED", "b", "7")}}, 0, 0, 0,
		"L W5 ", "a=1 b=7 ", "", 1, 1, 3},
	{"410 as a status", {A_AND_B, {STATUS, ANSWER("410 Gone")}, ONLY_A}, 0, 0, 0, "L W5 L W9 ", "a=8 ",
		"watch namespaces: HTTP status 410", 2, 0, 0},
	{"410 inside the stream", {A_AND_B, {STREAM, EVENT("ADDED", "c", "6") ERROR_EVENT("410", "too old")}, ONLY_A}, 0, 0, 0,
		"L W5 L W9 ", "a=8 ", "the server ends the watch: too old", 2, 1, 1},
	{"410 inside the stream, then all is well", {A_AND_B, {STREAM, ERROR_EVENT("410", "too old")}, ONLY_A, {OPEN, ""}}, 0, 0,
		0, "L W5 L W9 ", "a=8 ", "", 2, 2, 0},
	{"another error inside the stream", {A_AND_B, {STREAM, EVENT("ADDED", "c", "6") ERROR_EVENT("500", "etcd")}}, 0, 0, 0,
		"L W5 W6 ", "a=1 b=2 c=6 ", "the server ends the watch: etcd", 1, 1, 1},
	{"503", {A_AND_B, {STATUS, ANSWER("503 Service Unavailable")}}, 0, 0, 0, "L W5 W5 ", "a=1 b=2 ", "HTTP status 503", 1, 0,
		0},
	{"429", {A_AND_B, {STATUS, ANSWER("429 Too Many Requests")}}, 0, 0, 0, "L W5 W5 ", "a=1 b=2 ", "HTTP status 429", 1, 0,
		0},
	{"403 takes nothing back", {A_AND_B, {STATUS, ANSWER("403 Forbidden")}}, 0, 0, 0, "L W5 W5 ", "a=1 b=2 ",
		"HTTP status 403", 1, 0, 0},
	{"400 may be about the place in the stream", {A_AND_B, {STATUS, ANSWER("400 Bad Request")}, ONLY_A}, 0, 0, 0,
		"L W5 L W9 ", "a=8 ", "HTTP status 400", 2, 0, 0},
	{"a stream that is cut", {A_AND_B, {CUT, EVENT("MODIFIED", "a", "7")}}, 0, 0, 0, "L W5 W7 ", "a=7 b=2 ",
		"transfer closed", 1, 1, 1},
	{"an event that is cut comes again",
		{A_AND_B, {STREAM, EVENT("MODIFIED", "a", "7") "{\"type\":\"ADDED\",\"object\":{\"meta"},
			{OPEN, EVENT("ADDED", "c", "8")}},
		0, 0, 0, "L W5 W7 ", "a=7 b=2 c=8 ", "", 1, 2, 2},
	{"resets: libcurl itself asks again after the first, which was on a connection that had served",
		{A_AND_B, {RESET, ""}, {RESET, ""}}, 0, 0, 0, "L W5 W5 W5 ", "a=1 b=2 ",
		"watch namespaces: GET http://127.0.0.1:", 1, 0, 0},
	{"a line of 10 MiB", {A_AND_B, {HUGE, EVENT("ADDED", "c", "6")}, ONLY_A}, 0, 0, 0, "L W5 L W9 ", "a=8 ",
		"a line is longer than 4194304 bytes", 2, 1, 1},
	{"a line that is no UTF-8", {A_AND_B, {STREAM, "{\"type\":\"ADDED\",\"object\":\"\xc3\x28\"}\n"}, ONLY_A}, 0, 0, 0,
		"L W5 L W9 ", "a=8 ", "invalid JSON at line 1", 2, 1, 0},
	{"a line that is no JSON", {A_AND_B, {STREAM, EVENT("ADDED", "c", "6") "<html>\n" EVENT("ADDED", "d", "7")}, ONLY_A}, 0,
		0, 0, "L W5 L W9 ", "a=8 ", "invalid JSON at line 1", 2, 1, 1},
	{"an object without metadata", {A_AND_B, {STREAM, "{\"type\":\"ADDED\",\"object\":{\"spec\":{}}}\n"}, ONLY_A}, 0, 0, 0,
		"L W5 L W9 ", "a=8 ", "ADDED: an object without metadata", 2, 1, 0},
	{"an unknown type is left out", {A_AND_B, {OPEN, EVENT("SPARKLE", "b", "6") EVENT("MODIFIED", "a", "7")}}, 0, 0, 0,
		"L W5 ", "a=7 b=2 ", "", 1, 1, 1},
	{"a change that the owner cannot take", {A_AND_B, {STREAM, EVENT("MODIFIED", "a", "7")}, ONLY_A}, 0, 0, 1, "L W5 L W9 ",
		"a=8 ", "the mirror is full", 2, 1, 0},
	{"a listed object that the owner cannot take", {A_AND_B, ONLY_A, {OPEN, ""}}, 1, 0, 0, "L L W9 ", "a=8 ", "", 1, 1, 0},
	{"a list's end that the owner cannot take", {A_AND_B, ONLY_A, {OPEN, ""}}, 0, 1, 0, "L L W9 ", "a=8 ", "", 1, 1, 0},
	{"a listed object without metadata", {{LIST, ITEMS("5", OBJECT("a", "1") ",{\"spec\":{}}")}, A_AND_B, {OPEN, ""}}, 0, 0,
		0, "L L W5 ", "a=1 b=2 ", "", 1, 1, 0},
	{"a list without a version", {{LIST, "{\"metadata\":{},\"items\":[]}"}, A_AND_B, {OPEN, ""}}, 0, 0, 0, "L L W5 ",
		"a=1 b=2 ", "", 1, 1, 0},
	{"a list that expires half-way",
		{A_AND_B, {STATUS, ANSWER("410 Gone")}, {LIST, PAGE("7", "p2", OBJECT("a", "1") "," OBJECT("c", "6"))},
			{STATUS, ANSWER("410 Gone")}, ONLY_A, {OPEN, ""}},
		0, 0, 0, "L W5 L C L W9 ", "a=8 ", "", 2, 1, 0},
	{"closed at once, again and again", {A_AND_B, {STREAM, ""}, {STREAM, ""}, {STREAM, ""}, {STREAM, ""}, ONLY_A, {OPEN, ""}},
		0, 0, 0, "L W5 W5 W5 W5 L W9 ", "a=8 ", "", 2, 5, 0},
};

static void await_status(struct world *world, const struct row *row)
{
	struct k8s_watch_status status;
	int64_t end_ms = clock_mono_ms() + DEADLINE_MS;
	for (;;) {
		k8s_watch_read_status(world->watch, &status);
		bool is_error = row->error[0] == '\0' ? status.error[0] == '\0' : strstr(status.error, row->error) != NULL;
		if (is_error && status.is_synced && status.lists == row->lists && status.streams == row->streams &&
			status.events == row->events)
			return;
		if (clock_mono_ms() > end_ms)
			fail_msg("%s: error \"%s\", %d lists, %d streams, %d events", row->label, status.error, (int)status.lists,
				(int)status.streams, (int)status.events);
		(void)nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	}
}

static void the_mirror_is_right_after_whatever_comes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct world world;
		print_message("# %s\n", row->label);
		open_world(&world, row->steps);
		world.mirror.fail_objects = row->fail_objects;
		world.mirror.fail_list_ends = row->fail_list_ends;
		world.mirror.fail_changes = row->fail_changes;
		start_watch(&world, &quick);
		await_trace(&world, row->trace);
		mirror_await(&world.mirror, row->objects);
		await_status(&world, row);
		await_trace(&world, row->trace);
		close_world(&world);
	}
}

// --- the request ---

static void a_stream_is_asked_for_with_all_that_it_needs(void **state)
{
	(void)state;
	static const struct step steps[STEPS_MAX] = {A_AND_B};
	struct world world;
	open_world(&world, steps);
	start_watch(&world, &quick);
	await_trace(&world, "L W5 ");
	const char *expected = "GET /api/v1/namespaces?watch=1&allowWatchBookmarks=true&timeoutSeconds=";
	assert_memory_equal(world.script.last, expected, strlen(expected));
	long timeout_s = strtol(world.script.last + strlen(expected), NULL, 10);
	assert_in_range(timeout_s, 300, 600);
	assert_non_null(strstr(world.script.last, "&resourceVersion=5&labelSelector=a%3Db HTTP/1.1"));
	assert_non_null(strstr(world.script.last, "as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json"));
	assert_true(k8s_watch_is_synced(world.watch));
	close_world(&world);
}

static void a_token_that_was_replaced_is_read_again(void **state)
{
	(void)state;
	static const struct step steps[STEPS_MAX] = {
		A_AND_B, {ROTATE, ANSWER("401 Unauthorized")}, {OPEN, EVENT("ADDED", "c", "6")}};
	struct world world;
	char path[512];
	open_world(&world, steps);
	(void)snprintf(path, sizeof(path), "%s", scratch_write("token", "first", strlen("first")));
	world.config.token_file = path;
	start_watch(&world, &quick);
	await_trace(&world, "L W5 W5 ");
	mirror_await(&world.mirror, "a=1 b=2 c=6 ");
	assert_non_null(strstr(world.script.last, "Authorization: Bearer second"));
	close_world(&world);
}

// --- times ---

static void retry_after_is_waited_for(void **state)
{
	(void)state;
	static const struct step steps[STEPS_MAX] = {
		A_AND_B, {STATUS, "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"}};
	struct world world;
	open_world(&world, steps);
	start_watch(&world, &quick);
	await_trace(&world, "L W5 W5 ");
	assert_true(world.script.times_ms[2] - world.script.times_ms[1] >= 990);
	close_world(&world);
}

static void a_silent_stream_is_left(void **state)
{
	(void)state;
	static const struct step steps[STEPS_MAX] = {A_AND_B, {OPEN, EVENT("ADDED", "c", "6")}};
	static const struct k8s_watch_timings timings = {
		.timeout_min_s = 300, .timeout_max_s = 600, .silence_ms = 300, .pause_first_ms = 10, .pause_max_ms = 40};
	struct world world;
	struct k8s_watch_status status;
	open_world(&world, steps);
	start_watch(&world, &timings);
	await_trace(&world, "L W5 W6 ");
	mirror_await(&world.mirror, "a=1 b=2 c=6 ");
	k8s_watch_read_status(world.watch, &status);
	assert_non_null(strstr(status.error, "the server was silent for"));
	close_world(&world);
}

static void pauses_grow(void **state)
{
	(void)state;
	static const struct step steps[STEPS_MAX] = {A_AND_B, {STATUS, ANSWER("500 Oh")}, {STATUS, ANSWER("500 Oh")},
		{STATUS, ANSWER("500 Oh")}, {STATUS, ANSWER("500 Oh")}};
	static const struct k8s_watch_timings timings = {
		.timeout_min_s = 300, .timeout_max_s = 600, .silence_ms = 60000, .pause_first_ms = 100, .pause_max_ms = 400};
	struct world world;
	open_world(&world, steps);
	start_watch(&world, &timings);
	await_trace(&world, "L W5 W5 W5 W5 W5 ");
	// At least half of 100, 200, 400 and 400.
	static const int64_t least_ms[] = {50, 100, 200, 200};
	for (int i = 0; i < 4; i++)
		assert_true(world.script.times_ms[i + 2] - world.script.times_ms[i + 1] >= least_ms[i]);
	close_world(&world);
}

// --- the end ---

static void a_watch_can_be_stopped_at_any_moment(void **state)
{
	(void)state;
	static const struct {
		const char *label;
		struct step steps[STEPS_MAX];
		const char *trace; // NULL: at once, whether its first request is on its way by then or not
	} moments[] = {
		{"before anything", {{MUTE, ""}}, NULL},
		{"while it lists", {{MUTE, ""}}, "L "},
		{"while it waits for the head", {A_AND_B, {MUTE, ""}}, "L W5 "},
		{"while it follows", {A_AND_B, {OPEN, ""}}, "L W5 "},
		{"while it pauses", {A_AND_B, {STATUS, "HTTP/1.1 503 No\r\nRetry-After: 250\r\nContent-Length: 0\r\n\r\n"}},
			"L W5 "},
	};
	for (size_t i = 0; i < sizeof(moments) / sizeof(moments[0]); i++) {
		struct world world;
		print_message("# %s\n", moments[i].label);
		open_world(&world, moments[i].steps);
		start_watch(&world, NULL);
		if (moments[i].trace != NULL)
			await_trace(&world, moments[i].trace);
		k8s_watch_cancel(world.watch);
		k8s_watch_stop(TAKE_PTR(world.watch));
		close_world(&world);
	}
}

static int quieten(void **state)
{
	(void)state;
	log_setup(LOG_ERROR, LOG_LOGFMT);
	return 0;
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(the_mirror_is_right_after_whatever_comes),
		cmocka_unit_test(a_stream_is_asked_for_with_all_that_it_needs),
		cmocka_unit_test(a_token_that_was_replaced_is_read_again),
		cmocka_unit_test(retry_after_is_waited_for),
		cmocka_unit_test(a_silent_stream_is_left),
		cmocka_unit_test(pauses_grow),
		cmocka_unit_test(a_watch_can_be_stopped_at_any_moment),
	};
	return cmocka_run_group_tests_name("k8s/watch", cases, quieten, NULL);
}
