// Watches against stub-apiserver, which changes, fails and forgets meanwhile: in the end the mirror is what a list says.
#include "base/clock.h"
#include "base/log.h"
#include "k8s/watch.h"
#include "tests/fixtures/apiserver.h"
#include "tests/k8s/mirror.h"
#include "tests/support/cmocka.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEADLINE_MS 20000
#define WATCHES_MAX 4
#define SELECTOR "pgro.bes.au/managed-by=pgro-canopy"

static const struct k8s_watch_timings quick = {
	.timeout_min_s = 1, .timeout_max_s = 1, .silence_ms = 2000, .pause_first_ms = 20, .pause_max_ms = 200};

struct world {
	struct apiserver server;
	char url[64];
	struct k8s_config config;
	struct k8s_client *client;
	atomic_int asked; // streams, by the observer
	// Stopped at the end of a test that fails, too.
	struct k8s_watch *watches[WATCHES_MAX];
	struct mirror mirrors[WATCHES_MAX];
	size_t count;
};

static void on_request(void *arg, const char *verb, const char *resource, int status)
{
	struct world *world = arg;
	(void)resource;
	(void)status;
	if (strcmp(verb, "watch") == 0)
		(void)atomic_fetch_add(&world->asked, 1);
}

static int open_world(void **state)
{
	struct error err = {0};
	struct world *world = calloc(1, sizeof(*world));
	assert_non_null(world);
	apiserver_start(&world->server, (const char *const[]){NULL});
	(void)snprintf(world->url, sizeof(world->url), "http://127.0.0.1:%u", world->server.port);
	world->config.server = world->url;
	assert_ok(k8s_client_new(&world->config, NULL, &world->client, &err), err);
	k8s_observe(world->client, on_request, world);
	*state = world;
	return 0;
}

static int close_world(void **state)
{
	struct world *world = *state;
	for (size_t i = 0; i < world->count; i++)
		k8s_watch_cancel(world->watches[i]);
	for (size_t i = 0; i < world->count; i++) {
		k8s_watch_stop(world->watches[i]);
		mirror_fini(&world->mirrors[i]);
	}
	k8s_client_free(world->client);
	apiserver_stop(&world->server);
	free(world);
	return 0;
}

// Into the next mirror.
static size_t start(struct world *world, const struct k8s_resource *resource, const struct k8s_watch_timings *timings)
{
	struct error err = {0};
	size_t at = world->count;
	mirror_init(&world->mirrors[at]);
	const struct k8s_watch_options options = {.resource = resource,
		.label_selector = SELECTOR,
		.metadata_only = resource == &K8S_NAMESPACE,
		.callbacks = mirror_callbacks(&world->mirrors[at]),
		.timings = timings};
	assert_ok(k8s_watch_start(world->client, &options, &world->watches[at], &err), err);
	world->count++;
	return at;
}

static int on_listed(void *arg, json_t *item, struct error *err)
{
	const struct k8s_watch_callbacks *callbacks = arg;
	return callbacks->on_object(callbacks->arg, item, err);
}

static char *list_text(struct world *world, const struct k8s_resource *resource)
{
	struct error err = {0};
	struct mirror listed;
	mirror_init(&listed);
	struct k8s_watch_callbacks callbacks = mirror_callbacks(&listed);
	const struct k8s_list_options options = {.label_selector = SELECTOR, .on_item = on_listed, .arg = &callbacks};
	callbacks.on_list_begin(&listed);
	assert_ok(k8s_list(world->client, resource, NULL, &options, &err), err);
	char *text = mirror_text(&listed);
	mirror_fini(&listed);
	return text;
}

// Wait until the mirror is what a fresh list says, which moves on while Namespaces are being deleted.
static void await_list(struct world *world, size_t at, const struct k8s_resource *resource)
{
	int64_t end_ms = clock_mono_ms() + DEADLINE_MS;
	for (;;) {
		AUTO_FREE char *expected = list_text(world, resource);
		AUTO_FREE char *text = mirror_text(&world->mirrors[at]);
		if (strcmp(text, expected) == 0)
			return;
		if (clock_mono_ms() > end_ms)
			fail_msg("the mirror of %s is \"%.2000s\", a list says \"%.2000s\"", resource->plural, text, expected);
		(void)nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	}
}

static void create_namespace(struct world *world, int number)
{
	char body[256];
	(void)snprintf(body, sizeof(body),
		"{\"metadata\":{\"name\":\"n%d\",\"labels\":{\"pgro.bes.au/managed-by\":\"pgro-canopy\"}}}", number);
	json_decref(apiserver_do(&world->server, "POST", "/api/v1/namespaces", 201, body));
}

static void patch_namespace(struct world *world, int number, const char *body)
{
	char path[64];
	(void)snprintf(path, sizeof(path), "/api/v1/namespaces/n%d", number);
	json_decref(apiserver_patch(&world->server, path, body));
}

static void delete_namespace(struct world *world, int number)
{
	char path[64];
	(void)snprintf(path, sizeof(path), "/api/v1/namespaces/n%d", number);
	json_decref(apiserver_do(&world->server, "DELETE", path, 200, NULL));
}

static void set_faults(struct world *world, const char *rules)
{
	json_decref(apiserver_do(&world->server, "POST", "/_faults", 200, rules));
}

static void the_mirror_follows_what_changes(void **state)
{
	struct world *world = *state;
	struct k8s_watch_status status;
	create_namespace(world, 0);
	size_t at = start(world, &K8S_NAMESPACE, NULL);
	await_list(world, at, &K8S_NAMESPACE);
	create_namespace(world, 1);
	create_namespace(world, 2);
	patch_namespace(world, 1, "{\"metadata\":{\"annotations\":{\"a\":\"b\"}}}");
	patch_namespace(world, 0, "{\"metadata\":{\"labels\":{\"pgro.bes.au/managed-by\":null}}}"); // leaves the selector
	delete_namespace(world, 2);
	await_list(world, at, &K8S_NAMESPACE);
	k8s_watch_read_status(world->watches[at], &status);
	assert_true(status.is_synced);
	assert_int_equal(status.lists, 1);
	assert_int_equal(atomic_load(&world->asked), 1);
	assert_string_equal(status.error, "");
}

static void streams_that_the_server_ends_cost_no_list(void **state)
{
	struct world *world = *state;
	static const struct k8s_watch_timings short_streams = {
		.timeout_min_s = 1, .timeout_max_s = 1, .silence_ms = 60000, .pause_first_ms = 20, .pause_max_ms = 200};
	struct k8s_watch_status status;
	size_t at = start(world, &K8S_NAMESPACE, &short_streams);
	for (int i = 0; i < 4; i++) {
		create_namespace(world, i);
		await_list(world, at, &K8S_NAMESPACE);
		do {
			(void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
			k8s_watch_read_status(world->watches[at], &status);
		} while (status.streams <= (uint64_t)i + 1);
	}
	assert_int_equal(status.lists, 1);
}

// Namespaces come, change and go until the watch has asked so many times more.
static void change_until_asked(struct world *world, int *number, int requests)
{
	int64_t end_ms = clock_mono_ms() + DEADLINE_MS;
	int enough = atomic_load(&world->asked) + requests;
	while (atomic_load(&world->asked) < enough) {
		if (clock_mono_ms() > end_ms)
			fail_msg("the watch does not ask again");
		create_namespace(world, *number);
		if (*number % 3 == 1)
			patch_namespace(world, *number, "{\"metadata\":{\"annotations\":{\"a\":\"b\"}}}");
		if (*number % 3 == 2)
			delete_namespace(world, *number - 2);
		(*number)++;
		(void)nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	}
}

// Every kind of fault hits watches and lists meanwhile.
static void the_mirror_is_right_after_every_fault(void **state)
{
	struct world *world = *state;
	static const char *const faults[] = {
		"[{\"verb\":\"watch\",\"half\":true,\"times\":3}]",
		"[{\"verb\":\"watch\",\"reset\":true,\"times\":3}]",
		"[{\"verb\":\"watch\",\"status\":410,\"reason\":\"Expired\",\"times\":2},"
		"{\"verb\":\"list\",\"half\":true,\"times\":1}]",
		"[{\"verb\":\"watch\",\"status\":429,\"reason\":\"TooManyRequests\",\"retry_after\":1,\"times\":1},"
		"{\"verb\":\"watch\",\"status\":500,\"times\":2}]",
		"[{\"verb\":\"watch\",\"never\":true,\"times\":1}]",
		"[{\"verb\":\"watch\",\"status\":410,\"times\":1},{\"verb\":\"list\",\"status\":503,\"times\":2},"
		"{\"verb\":\"list\",\"reset\":true,\"times\":1}]",
	};
	int number = 0;
	size_t at = start(world, &K8S_NAMESPACE, &quick);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		print_message("# %s\n", faults[i]);
		set_faults(world, faults[i]);
		change_until_asked(world, &number, 4);
		set_faults(world, "[]");
		await_list(world, at, &K8S_NAMESPACE);
	}
}

static void several_watches_share_a_client(void **state)
{
	struct world *world = *state;
	static const struct k8s_resource *const resources[WATCHES_MAX] = {&K8S_NAMESPACE, &K8S_JOB, &K8S_DEPLOYMENT, &K8S_POD};
	for (size_t i = 0; i < WATCHES_MAX; i++)
		(void)start(world, resources[i], &quick);
	for (int i = 0; i < 20; i++)
		create_namespace(world, i);
	for (size_t i = 0; i < WATCHES_MAX; i++)
		await_list(world, i, resources[i]);
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
		cmocka_unit_test_setup_teardown(the_mirror_follows_what_changes, open_world, close_world),
		cmocka_unit_test_setup_teardown(streams_that_the_server_ends_cost_no_list, open_world, close_world),
		cmocka_unit_test_setup_teardown(the_mirror_is_right_after_every_fault, open_world, close_world),
		cmocka_unit_test_setup_teardown(several_watches_share_a_client, open_world, close_world),
	};
	return cmocka_run_group_tests_name("k8s/watch_stub", cases, quieten, NULL);
}
