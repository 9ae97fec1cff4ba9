// Watches against stub-apiserver, which changes, fails and forgets meanwhile: in the end the mirror is what a list says.
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

#define NAMESPACES 60
#define ROUNDS 6
#define SELECTOR "pgro.bes.au/managed-by=pgro-canopy"

static const struct k8s_watch_timings quick = {
	.timeout_min_s = 3, .timeout_max_s = 3, .silence_ms = 2000, .pause_first_ms = 20, .pause_max_ms = 200};

struct world {
	struct apiserver server;
	char url[64];
	struct k8s_config config;
	struct k8s_client *client;
	atomic_int lists, watches;
};

static void on_request(void *arg, const char *verb, const char *resource, int status)
{
	struct world *world = arg;
	(void)resource;
	(void)status;
	if (strcmp(verb, "list") == 0)
		(void)atomic_fetch_add(&world->lists, 1);
	if (strcmp(verb, "watch") == 0)
		(void)atomic_fetch_add(&world->watches, 1);
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
	k8s_client_free(world->client);
	apiserver_stop(&world->server);
	free(world);
	return 0;
}

static struct k8s_watch *start(
	struct world *world, struct mirror *mirror, const struct k8s_resource *resource, const struct k8s_watch_timings *timings)
{
	struct error err = {0};
	struct k8s_watch *watch = NULL;
	const struct k8s_watch_options options = {.resource = resource,
		.label_selector = SELECTOR,
		.metadata_only = resource == &K8S_NAMESPACE,
		.callbacks = mirror_callbacks(mirror),
		.timings = timings};
	assert_ok(k8s_watch_start(world->client, &options, &watch, &err), err);
	return watch;
}

static int on_listed(void *arg, json_t *item, struct error *err)
{
	const struct k8s_watch_callbacks *callbacks = arg;
	return callbacks->on_object(callbacks->arg, item, err);
}

// Wait until the mirror is what a fresh list says.
static void await_list(struct world *world, struct mirror *mirror, const struct k8s_resource *resource)
{
	struct error err = {0};
	struct mirror listed;
	mirror_init(&listed);
	struct k8s_watch_callbacks callbacks = mirror_callbacks(&listed);
	const struct k8s_list_options options = {.label_selector = SELECTOR, .on_item = on_listed, .arg = &callbacks};
	callbacks.on_list_begin(&listed);
	assert_ok(k8s_list(world->client, resource, NULL, &options, &err), err);
	AUTO_FREE char *expected = mirror_text(&listed);
	mirror_await(mirror, expected);
	mirror_fini(&listed);
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
	struct mirror mirror;
	struct k8s_watch_status status;
	mirror_init(&mirror);
	create_namespace(world, 0);
	AUTO(k8s_watch) struct k8s_watch *watch = start(world, &mirror, &K8S_NAMESPACE, NULL);
	await_list(world, &mirror, &K8S_NAMESPACE);
	create_namespace(world, 1);
	create_namespace(world, 2);
	patch_namespace(world, 1, "{\"metadata\":{\"annotations\":{\"a\":\"b\"}}}");
	patch_namespace(world, 0, "{\"metadata\":{\"labels\":{\"pgro.bes.au/managed-by\":null}}}"); // leaves the selector
	delete_namespace(world, 2);
	await_list(world, &mirror, &K8S_NAMESPACE);
	k8s_watch_read_status(watch, &status);
	assert_true(status.is_synced);
	assert_int_equal(status.lists, 1);
	assert_int_equal(atomic_load(&world->watches), 1);
	assert_string_equal(status.error, "");
	k8s_watch_stop(TAKE_PTR(watch));
	mirror_fini(&mirror);
}

static void streams_that_the_server_ends_cost_no_list(void **state)
{
	struct world *world = *state;
	static const struct k8s_watch_timings short_streams = {
		.timeout_min_s = 1, .timeout_max_s = 1, .silence_ms = 60000, .pause_first_ms = 20, .pause_max_ms = 200};
	struct mirror mirror;
	struct k8s_watch_status status;
	mirror_init(&mirror);
	AUTO(k8s_watch) struct k8s_watch *watch = start(world, &mirror, &K8S_NAMESPACE, &short_streams);
	for (int i = 0; i < 4; i++) {
		create_namespace(world, i);
		await_list(world, &mirror, &K8S_NAMESPACE);
		do {
			(void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
			k8s_watch_read_status(watch, &status);
		} while (status.streams <= (uint64_t)i + 1);
	}
	assert_int_equal(status.lists, 1);
	k8s_watch_stop(TAKE_PTR(watch));
	mirror_fini(&mirror);
}

// Every kind of fault hits watches and lists while Namespaces come, change and go.
static void the_mirror_is_right_after_every_fault(void **state)
{
	struct world *world = *state;
	static const char *const faults[ROUNDS] = {
		"[{\"verb\":\"watch\",\"half\":true,\"times\":3}]",
		"[{\"verb\":\"watch\",\"reset\":true,\"times\":3}]",
		"[{\"verb\":\"watch\",\"status\":410,\"reason\":\"Expired\",\"times\":2},{\"verb\":\"list\",\"half\":true,"
		"\"times\":1}]",
		"[{\"verb\":\"watch\",\"status\":429,\"reason\":\"TooManyRequests\",\"retry_after\":1,\"times\":1},"
		"{\"verb\":\"watch\",\"status\":500,\"times\":2}]",
		"[{\"verb\":\"watch\",\"never\":true,\"times\":1}]",
		"[{\"verb\":\"watch\",\"status\":410,\"times\":1},{\"verb\":\"list\",\"status\":503,\"times\":2},"
		"{\"verb\":\"list\",\"reset\":true,\"times\":1}]",
	};
	struct mirror mirror;
	mirror_init(&mirror);
	AUTO(k8s_watch) struct k8s_watch *watch = start(world, &mirror, &K8S_NAMESPACE, &quick);
	for (int round = 0; round < ROUNDS; round++) {
		print_message("# %s\n", faults[round]);
		set_faults(world, faults[round]);
		for (int i = 0; i < NAMESPACES / ROUNDS; i++)
			create_namespace(world, round * NAMESPACES / ROUNDS + i);
		for (int i = 0; i < NAMESPACES / ROUNDS; i += 3) {
			patch_namespace(world, round * NAMESPACES / ROUNDS + i, "{\"metadata\":{\"annotations\":{\"a\":\"b\"}}}");
			delete_namespace(world, round * NAMESPACES / ROUNDS + i + 1 < NAMESPACES
							? round * NAMESPACES / ROUNDS + (i + 1) % (NAMESPACES / ROUNDS)
							: 0);
		}
		await_list(world, &mirror, &K8S_NAMESPACE);
	}
	set_faults(world, "[]");
	k8s_watch_stop(TAKE_PTR(watch));
	mirror_fini(&mirror);
}

static void several_watches_share_a_client(void **state)
{
	struct world *world = *state;
	static const struct k8s_resource *const resources[] = {&K8S_NAMESPACE, &K8S_JOB, &K8S_DEPLOYMENT, &K8S_POD};
	struct mirror mirrors[4];
	struct k8s_watch *watches[4];
	for (size_t i = 0; i < 4; i++) {
		mirror_init(&mirrors[i]);
		watches[i] = start(world, &mirrors[i], resources[i], &quick);
	}
	for (int i = 0; i < 20; i++)
		create_namespace(world, i);
	for (size_t i = 0; i < 4; i++)
		await_list(world, &mirrors[i], resources[i]);
	for (size_t i = 0; i < 4; i++)
		k8s_watch_cancel(watches[i]);
	for (size_t i = 0; i < 4; i++) {
		k8s_watch_stop(watches[i]);
		mirror_fini(&mirrors[i]);
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
		cmocka_unit_test_setup_teardown(the_mirror_follows_what_changes, open_world, close_world),
		cmocka_unit_test_setup_teardown(streams_that_the_server_ends_cost_no_list, open_world, close_world),
		cmocka_unit_test_setup_teardown(the_mirror_is_right_after_every_fault, open_world, close_world),
		cmocka_unit_test_setup_teardown(several_watches_share_a_client, open_world, close_world),
	};
	return cmocka_run_group_tests_name("k8s/watch_stub", cases, quieten, NULL);
}
