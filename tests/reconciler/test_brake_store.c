// The brake's memory in the cluster: what is saved is loaded, by a process whose monotonic clock is another one.
#include "reconciler/brake_store.h"
#include "base/json.h"
#include "tests/support/cmocka.h"
#include "tests/support/http_server.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH "/api/v1/namespaces/pgro-system/configmaps/understory-brake"

// An API server with at most one object in it.
struct world {
	struct http_server *server;
	struct k8s_config config;
	struct k8s_client *k8s;
	char object[4096]; // "": none
	int status;        // 0: as it should be
};

static void answer(void *arg, const struct http_server_request *request, struct http_server_answer *out)
{
	struct world *w = arg;
	bool is_ours = strncmp(request->target, PATH, strlen(PATH)) == 0;
	if (is_ours && strcmp(request->method, "PATCH") == 0)
		(void)snprintf(w->object, sizeof(w->object), "%s", buf_str(&request->body));
	out->status = w->status != 0 ? w->status : is_ours && w->object[0] != '\0' ? 200 : 404;
	out->body = strdup(out->status == 200 ? w->object
					      : "{\"kind\":\"Status\",\"status\":\"Failure\",\"reason\":\"NotFound\",\"message\":"
						"\"told to\",\"code\":404}");
}

static void open_world(struct world *w)
{
	struct error err = {0};
	*w = (struct world){0};
	w->server = http_server_start(answer, w);
	w->config.server = strdup(http_server_url(w->server));
	assert_ok(k8s_client_new(&w->config, NULL, &w->k8s, &err), err);
}

static void close_world(struct world *w)
{
	k8s_client_free(w->k8s);
	http_server_stop(w->server);
	free(w->config.server);
}

static void a_hold_survives_the_operator(void **state)
{
	(void)state;
	struct error err = {0};
	struct world w;
	struct brake loaded;
	const struct brake brake = {.answer = UINT64_C(0xfedcba9876543210), .passes = 2, .since_mono_ms = 5000};
	open_world(&w);
	assert_ok(brake_save(w.k8s, "pgro-system", &brake, 65000, &err), err); // it began a minute ago
	assert_ok(brake_load(w.k8s, "pgro-system", 1000, &loaded, &err), err);
	assert_true(loaded.answer == brake.answer);
	assert_int_equal(loaded.passes, 2);
	assert_int_equal(loaded.since_mono_ms, 1000 - 60000); // a minute, by another clock
	close_world(&w);
}

static void an_end_is_saved_too(void **state)
{
	(void)state;
	struct error err = {0};
	struct world w;
	const struct brake over = {0};
	struct brake loaded = {.passes = 3};
	open_world(&w);
	assert_ok(brake_save(w.k8s, "pgro-system", &over, 65000, &err), err);
	assert_ok(brake_load(w.k8s, "pgro-system", 65000, &loaded, &err), err);
	assert_int_equal(loaded.passes, 0);
	close_world(&w);
}

static void nothing_saved_is_nothing_held(void **state)
{
	(void)state;
	struct error err = {0};
	struct world w;
	struct brake loaded = {.passes = 3};
	open_world(&w);
	assert_ok(brake_load(w.k8s, "pgro-system", 0, &loaded, &err), err);
	assert_int_equal(loaded.passes, 0);
	// Not to know is no answer: the pass must not go on as if nothing were held.
	w.status = 403;
	assert_int_equal(brake_load(w.k8s, "pgro-system", 0, &loaded, &err), -1);
	close_world(&w);
}

static void what_cannot_be_read_begins_anew(void **state)
{
	(void)state;
	static const char *const data[] = {"{}", "{\"passes\":\"4\",\"answer\":\"1\",\"heldMs\":\"1000\"}",
		"{\"passes\":\"-1\",\"answer\":\"1\",\"heldMs\":\"1000\"}",
		"{\"passes\":\"2\",\"answer\":\"xyz\",\"heldMs\":\"1000\"}",
		"{\"passes\":\"2\",\"answer\":\"\",\"heldMs\":\"1000\"}",
		"{\"passes\":\"\",\"answer\":\"1\",\"heldMs\":\"1000\"}",
		"{\"passes\":\"2x\",\"answer\":\"1\",\"heldMs\":\"1000\"}", "{\"passes\":\"2\",\"heldMs\":\"1000\"}",
		"{\"passes\":\"2\",\"answer\":\"1\",\"heldMs\":\"\"}",
		"{\"passes\":\"2\",\"answer\":\"1\",\"heldMs\":\"120001\"}", "{\"passes\":\"2\",\"answer\":\"1\"}"};
	struct world w;
	open_world(&w);
	for (size_t i = 0; i < sizeof(data) / sizeof(data[0]); i++) {
		struct error err = {0};
		struct brake loaded = {.passes = 3};
		(void)snprintf(w.object, sizeof(w.object), "{\"metadata\":{\"name\":\"understory-brake\"},\"data\":%s}", data[i]);
		assert_ok(brake_load(w.k8s, "pgro-system", 0, &loaded, &err), err);
		if (loaded.passes != 0)
			fail_msg("%s: %d passes", data[i], loaded.passes);
	}
	close_world(&w);
}

static void no_more_than_the_whole_hold_is_saved(void **state)
{
	(void)state;
	struct error err = {0};
	struct world w;
	struct brake loaded;
	const struct brake brake = {.answer = 1, .passes = 3, .since_mono_ms = 0};
	open_world(&w);
	assert_ok(brake_save(w.k8s, "pgro-system", &brake, 10 * BRAKE_MS, &err), err);
	assert_ok(brake_load(w.k8s, "pgro-system", 7000, &loaded, &err), err);
	assert_int_equal(loaded.since_mono_ms, 7000 - BRAKE_MS);
	close_world(&w);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(a_hold_survives_the_operator),
		cmocka_unit_test(an_end_is_saved_too),
		cmocka_unit_test(nothing_saved_is_nothing_held),
		cmocka_unit_test(what_cannot_be_read_begins_anew),
		cmocka_unit_test(no_more_than_the_whole_hold_is_saved),
	};
	return cmocka_run_group_tests_name("reconciler/brake_store", cases, NULL, NULL);
}
