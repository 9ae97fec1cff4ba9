// Elections at stub-apiserver. Where time decides, the test gives it: no case but those with threads waits for a lease to expire.
#include "base/clock.h"
#include "base/log.h"
#include "k8s/lease.h"
#include "tests/fixtures/apiserver.h"
#include "tests/support/cmocka.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEADLINE_MS 20000
#define LEASES "/apis/coordination.k8s.io/v1/namespaces/default/leases"
#define LEASE_PATH LEASES "/understory"
#define START_MS 1000000
#define DAY_MS INT64_C(86400000)

struct world;

struct contender {
	struct world *world;
	int64_t wall_skew_ms;
	struct k8s_client *client;
	struct lease *lease;
	struct lease_clock clock;
	pthread_mutex_t lock;
	char told[256]; // "+" for held, "-" for lost
	atomic_int requests;
	atomic_int claims; // or releases
};

struct world {
	struct apiserver server;
	char url[64];
	struct k8s_config config;
	_Atomic int64_t now_ms; // on the monotonic clock of both
	struct contender a, b;
};

static int64_t given_mono_ms(void *arg)
{
	const struct contender *contender = arg;
	return atomic_load(&contender->world->now_ms);
}

// 2026-11-20T08:00:00Z at the start.
static int64_t given_wall_ms(void *arg)
{
	struct contender *contender = arg;
	(void)atomic_fetch_add(&contender->claims, 1);
	return INT64_C(1795161600000) + given_mono_ms(arg) - START_MS + contender->wall_skew_ms;
}

static void on_change(void *arg, bool is_held)
{
	struct contender *contender = arg;
	(void)pthread_mutex_lock(&contender->lock);
	size_t len = strlen(contender->told);
	if (len + 1 < sizeof(contender->told))
		contender->told[len] = is_held ? '+' : '-';
	(void)pthread_mutex_unlock(&contender->lock);
}

static void on_request(void *arg, const char *verb, const char *resource, int status)
{
	struct contender *contender = arg;
	(void)verb;
	(void)resource;
	(void)status;
	(void)atomic_fetch_add(&contender->requests, 1);
}

static void enter(struct world *world, struct contender *contender, const char *identity, const struct lease_timings *timings)
{
	struct error err = {0};
	contender->world = world;
	contender->clock = (struct lease_clock){.mono_ms = given_mono_ms, .wall_ms = given_wall_ms, .arg = contender};
	(void)pthread_mutex_init(&contender->lock, NULL);
	assert_ok(k8s_client_new(&world->config, NULL, &contender->client, &err), err);
	k8s_observe(contender->client, on_request, contender);
	struct lease_options options = {.namespace = "default",
		.name = "understory",
		.identity = identity,
		.clock = &contender->clock,
		.on_change = on_change,
		.arg = contender};
	if (timings != NULL) {
		options.timings = *timings;
		options.clock = NULL; // the true one
	}
	assert_ok(lease_new(contender->client, &options, &contender->lease, &err), err);
}

static int open_world(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	assert_non_null(world);
	apiserver_start(&world->server, (const char *const[]){NULL});
	(void)snprintf(world->url, sizeof(world->url), "http://127.0.0.1:%u", world->server.port);
	world->config.server = world->url;
	atomic_store(&world->now_ms, START_MS);
	*state = world;
	return 0;
}

static int open_with_two(void **state)
{
	(void)open_world(state);
	struct world *world = *state;
	enter(world, &world->a, "a", NULL);
	enter(world, &world->b, "b", NULL);
	return 0;
}

static void leave(struct contender *contender)
{
	lease_free(contender->lease);
	k8s_client_free(contender->client);
	(void)pthread_mutex_destroy(&contender->lock);
}

static int close_world(void **state)
{
	struct world *world = *state;
	leave(&world->a);
	leave(&world->b);
	apiserver_stop(&world->server);
	free(world);
	return 0;
}

static void set_faults(struct world *world, const char *rules)
{
	json_decref(apiserver_do(&world->server, "POST", "/_faults", 200, rules));
}

static void pass_ms(struct world *world, int64_t ms)
{
	(void)atomic_fetch_add(&world->now_ms, ms);
}

// A try, and whether the lease is held after it.
static bool takes(struct contender *contender)
{
	struct error err = {0};
	assert_ok(lease_try(contender->lease, &err), err);
	return lease_is_held(contender->lease);
}

static void assert_told(struct contender *contender, const char *expected)
{
	(void)pthread_mutex_lock(&contender->lock);
	char told[sizeof(contender->told)];
	memcpy(told, contender->told, sizeof(told));
	(void)pthread_mutex_unlock(&contender->lock);
	assert_string_equal(told, expected);
}

// "<holder> <duration> <transitions> <acquireTime> <renewTime>", the times without their date.
static void assert_record(struct world *world, const char *expected)
{
	char text[256];
	AUTO(json) json_t *object = apiserver_do(&world->server, "GET", LEASE_PATH, 200, NULL);
	const json_t *spec = json_object_get(object, "spec");
	(void)snprintf(text, sizeof(text), "%s %d %d %s %s", json_find_str(spec, "holderIdentity"),
		(int)json_find_int(-1, spec, "leaseDurationSeconds"), (int)json_find_int(-1, spec, "leaseTransitions"),
		strchr(json_find_str(spec, "acquireTime"), 'T') + 1, strchr(json_find_str(spec, "renewTime"), 'T') + 1);
	assert_string_equal(text, expected);
}

// --- with a given clock ---

static void the_first_has_it_and_the_second_waits(void **state)
{
	struct world *world = *state;
	struct lease_status status;
	assert_true(takes(&world->a));
	assert_record(world, "a 15 0 08:00:00.000000Z 08:00:00.000000Z");
	assert_false(takes(&world->b));
	lease_read_status(world->b.lease, &status);
	assert_string_equal(status.holder, "a");
	assert_string_equal(status.error, "");
	assert_false(status.is_held);
	assert_told(&world->a, "+");
	assert_told(&world->b, "");
}

static void a_renewal_is_one_request_and_moves_the_deadline(void **state)
{
	struct world *world = *state;
	assert_true(takes(&world->a));
	for (int i = 0; i < 5; i++) {
		int before = atomic_load(&world->a.requests);
		pass_ms(world, 2000);
		assert_true(takes(&world->a));
		assert_int_equal(atomic_load(&world->a.requests) - before, 1);
	}
	assert_record(world, "a 15 0 08:00:00.000000Z 08:00:10.000000Z");
	pass_ms(world, LEASE_RENEW_DEADLINE_MS - 1);
	assert_true(lease_is_held(world->a.lease));
	pass_ms(world, 1);
	assert_false(lease_is_held(world->a.lease));
}

// What the record's times say does not count, nor what the other's wall clock thinks of them.
static void it_is_taken_over_when_it_has_not_changed_for_its_duration(void **state)
{
	struct world *world = *state;
	world->b.wall_skew_ms = DAY_MS;
	assert_true(takes(&world->a));
	pass_ms(world, 9000); // b sees the record late and counts from there
	assert_false(takes(&world->b));
	pass_ms(world, LEASE_DURATION_MS - 1);
	assert_false(takes(&world->b));
	assert_false(lease_is_held(world->a.lease));
	pass_ms(world, 1);
	assert_true(takes(&world->b));
	assert_record(world, "b 15 1 08:00:24.000000Z 08:00:24.000000Z");

	struct lease_status status;
	assert_false(takes(&world->a)); // its write is refused, and then it sees why
	lease_read_status(world->a.lease, &status);
	assert_string_equal(status.holder, "b");
	assert_int_equal(status.transitions, 1);
	assert_int_equal(status.slow_paths, 1);
	assert_told(&world->a, "+-");
	assert_told(&world->b, "+");
}

static void a_record_that_changes_is_alive(void **state)
{
	struct world *world = *state;
	assert_true(takes(&world->a));
	for (int i = 0; i < 10; i++) {
		pass_ms(world, 8000);
		assert_true(takes(&world->a));
		assert_false(takes(&world->b));
	}
}

static void what_is_released_is_taken_at_once(void **state)
{
	struct world *world = *state;
	assert_true(takes(&world->a));
	assert_false(takes(&world->b));
	pass_ms(world, 1000);
	lease_stop(world->a.lease);
	assert_false(lease_is_held(world->a.lease));
	assert_record(world, " 1 0 08:00:01.000000Z 08:00:01.000000Z");
	assert_true(takes(&world->b));
	assert_record(world, "b 15 1 08:00:01.000000Z 08:00:01.000000Z");
	assert_told(&world->a, "+-");
}

static void who_never_held_it_releases_nothing(void **state)
{
	struct world *world = *state;
	assert_true(takes(&world->a));
	assert_false(takes(&world->b));
	int before = atomic_load(&world->b.requests);
	lease_stop(world->b.lease);
	assert_int_equal(atomic_load(&world->b.requests), before);
	assert_record(world, "a 15 0 08:00:00.000000Z 08:00:00.000000Z");
}

static void somebody_elses_change_of_the_object_costs_a_second_look(void **state)
{
	struct world *world = *state;
	struct lease_status status;
	assert_true(takes(&world->a));
	json_decref(apiserver_patch(&world->server, LEASE_PATH, "{\"metadata\":{\"labels\":{\"x\":\"y\"}}}"));
	pass_ms(world, 2000);
	assert_true(takes(&world->a));
	lease_read_status(world->a.lease, &status);
	assert_int_equal(status.slow_paths, 1);
	assert_record(world, "a 15 0 08:00:00.000000Z 08:00:02.000000Z");
	AUTO(json) json_t *object = apiserver_do(&world->server, "GET", LEASE_PATH, 200, NULL);
	assert_string_equal(json_find_str(object, "metadata", "labels", "x"), "y");
	assert_told(&world->a, "+");
}

static void a_record_that_was_deleted_belongs_to_nobody(void **state)
{
	struct world *world = *state;
	assert_true(takes(&world->a));
	json_decref(apiserver_do(&world->server, "DELETE", LEASE_PATH, 200, NULL));
	pass_ms(world, 2000);
	assert_true(takes(&world->a));
	assert_told(&world->a, "+-+");
	json_decref(apiserver_do(&world->server, "DELETE", LEASE_PATH, 200, NULL));
	assert_true(takes(&world->b));
	assert_false(takes(&world->a));
	assert_told(&world->a, "+-+-");
}

static void the_holders_own_duration_counts(void **state)
{
	struct world *world = *state;
	json_decref(apiserver_do(&world->server, "POST", LEASES, 201,
		"{\"metadata\":{\"name\":\"understory\"},\"spec\":{\"holderIdentity\":\"other\",\"leaseDurationSeconds\":60,"
		"\"leaseTransitions\":7,\"acquireTime\":\"2026-11-20T08:00:00.000000Z\",\"renewTime\":\"2026-11-20T08:00:00."
		"000000Z\"}}"));
	assert_false(takes(&world->a));
	pass_ms(world, 59999);
	assert_false(takes(&world->a));
	pass_ms(world, 1);
	assert_true(takes(&world->a));
	assert_record(world, "a 15 8 08:01:00.000000Z 08:01:00.000000Z");
}

static void a_record_without_a_spec_is_free(void **state)
{
	struct world *world = *state;
	json_decref(apiserver_do(&world->server, "POST", LEASES, 201, "{\"metadata\":{\"name\":\"understory\"}}"));
	assert_true(takes(&world->a));
	assert_record(world, "a 15 1 08:00:00.000000Z 08:00:00.000000Z");
}

static void a_server_that_is_away_for_12_s_costs_the_lease(void **state)
{
	struct world *world = *state;
	struct lease_status status;
	struct error err = {0};
	assert_true(takes(&world->a));
	set_faults(world, "[{\"path\":\"*leases*\",\"reset\":true}]");
	for (int i = 0; i < 6; i++) {
		pass_ms(world, 2000);
		assert_error(lease_try(world->a.lease, &err), err, ERROR_TRANSIENT, "update leases default/understory");
		assert_int_equal(lease_is_held(world->a.lease), i < 4);
	}
	assert_told(&world->a, "+-");
	lease_read_status(world->a.lease, &status);
	assert_non_null(strstr(status.error, "update leases default/understory"));
	set_faults(world, "[]");
	assert_true(takes(&world->a));
	assert_told(&world->a, "+-+");
	assert_record(world, "a 15 0 08:00:00.000000Z 08:00:12.000000Z");
}

static void an_answer_that_was_lost_is_no_loss(void **state)
{
	struct world *world = *state;
	struct error err = {0};
	assert_true(takes(&world->a));
	set_faults(world, "[{\"verb\":\"update\",\"path\":\"*leases*\",\"reset\":true,\"applied\":true,\"times\":1}]");
	pass_ms(world, 2000);
	assert_error(lease_try(world->a.lease, &err), err, ERROR_TRANSIENT, "update leases");
	assert_true(takes(&world->a));
	assert_told(&world->a, "+");
}

struct attempt {
	struct contender *contender;
	int rc;
	struct error err;
};

static void *attempt(void *arg)
{
	struct attempt *made = arg;
	made->rc = lease_try(made->contender->lease, &made->err);
	return NULL;
}

// Until a claim more than there were is on its way: the clock for its times is asked after the moment that it counts from.
static void await_claim(struct contender *contender, int before)
{
	int64_t end_ms = clock_mono_ms() + DEADLINE_MS;
	while (atomic_load(&contender->claims) == before) {
		if (clock_mono_ms() > end_ms)
			fail_msg("no claim");
		(void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
}

// As when the process is stopped, or the server hangs: the thread of the lease can say nothing.
static void a_holder_that_hangs_loses_by_the_clock_alone(void **state)
{
	struct world *world = *state;
	struct attempt hanging = {.contender = &world->a};
	pthread_t thread;
	assert_true(takes(&world->a));
	assert_false(takes(&world->b));
	set_faults(world, "[{\"verb\":\"update\",\"path\":\"*leases*\",\"never\":true,\"times\":1}]");
	pass_ms(world, 2000);
	int claims = atomic_load(&world->a.claims);
	int64_t began_ms = clock_mono_ms();
	assert_int_equal(pthread_create(&thread, NULL, attempt, &hanging), 0);
	await_claim(&world->a, claims);
	pass_ms(world, 7999);
	assert_true(lease_is_held(world->a.lease));
	pass_ms(world, 1);
	assert_false(lease_is_held(world->a.lease));
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_error(hanging.rc, hanging.err, ERROR_TRANSIENT, "update leases");
	// A try is bounded by 3.3 s, where another call would have 30 s.
	assert_true(clock_mono_ms() - began_ms < LEASE_DURATION_MS);
	assert_told(&world->a, "+-");
	pass_ms(world, 5000);
	assert_true(takes(&world->b));
	assert_false(takes(&world->a));
}

// The renewal counts from the moment it was sent: that is what others may have seen.
static void an_answer_that_comes_late_holds_no_longer(void **state)
{
	struct world *world = *state;
	struct attempt slow = {.contender = &world->a};
	pthread_t thread;
	assert_true(takes(&world->a));
	set_faults(world, "[{\"verb\":\"update\",\"path\":\"*leases*\",\"delay_ms\":1500,\"times\":1}]");
	int claims = atomic_load(&world->a.claims);
	assert_int_equal(pthread_create(&thread, NULL, attempt, &slow), 0);
	await_claim(&world->a, claims);
	pass_ms(world, 12000);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_ok(slow.rc, slow.err);
	assert_false(lease_is_held(world->a.lease));
	assert_told(&world->a, "+-");
	assert_true(takes(&world->a));
	assert_told(&world->a, "+-+");
}

// --- with threads and the true clock ---

static const struct lease_timings short_times = {.duration_ms = 3000, .renew_deadline_ms = 2000, .retry_period_ms = 200};

static int open_with_threads(void **state)
{
	struct error err = {0};
	(void)open_world(state);
	struct world *world = *state;
	enter(world, &world->a, "a", &short_times);
	enter(world, &world->b, "b", &short_times);
	assert_ok(lease_start(world->a.lease, &err), err);
	assert_ok(lease_start(world->b.lease, &err), err);
	return 0;
}

static void assert_not_two(struct world *world)
{
	if (lease_is_held(world->a.lease) && lease_is_held(world->b.lease) && lease_is_held(world->a.lease))
		fail_msg("two hold the lease");
}

// Until as many hold it, which is never two.
static void await_holders(struct world *world, int wanted)
{
	int64_t end_ms = clock_mono_ms() + DEADLINE_MS;
	for (;;) {
		assert_not_two(world);
		if ((lease_is_held(world->a.lease) ? 1 : 0) + (lease_is_held(world->b.lease) ? 1 : 0) == wanted)
			return;
		if (clock_mono_ms() > end_ms)
			fail_msg("never %d hold the lease", wanted);
		(void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
}

static void there_is_one_leader_through_outages(void **state)
{
	struct world *world = *state;
	static const char *const outages[] = {"[{\"path\":\"*leases*\",\"status\":500}]",
		"[{\"path\":\"*leases*\",\"reset\":true}]", "[{\"path\":\"*leases*\",\"never\":true}]",
		"[{\"verb\":\"update\",\"path\":\"*leases*\",\"reset\":true,\"applied\":true}]"};
	await_holders(world, 1);
	for (size_t i = 0; i < sizeof(outages) / sizeof(outages[0]); i++) {
		print_message("# %s\n", outages[i]);
		set_faults(world, outages[i]);
		if (i < 3)
			await_holders(world, 0);
		set_faults(world, "[]");
		await_holders(world, 1);
	}
}

static void a_stop_hands_over(void **state)
{
	struct world *world = *state;
	await_holders(world, 1);
	struct contender *first = lease_is_held(world->a.lease) ? &world->a : &world->b;
	struct contender *second = first == &world->a ? &world->b : &world->a;
	lease_stop(first->lease);
	assert_false(lease_is_held(first->lease));
	await_holders(world, 1);
	assert_true(lease_is_held(second->lease));
	lease_stop(second->lease);
	AUTO(json) json_t *object = apiserver_do(&world->server, "GET", LEASE_PATH, 200, NULL);
	assert_string_equal(json_find_str(object, "spec", "holderIdentity"), "");
}

// --- without a server ---

static void timings_that_contradict_each_other_are_refused(void **state)
{
	(void)state;
	static const struct lease_timings bad[] = {{10000, 10000, 2000}, {15000, 2400, 2000}, {15000, 10000, 0},
		{15500, 10000, 2000}, {0, 10000, 2000}, {15000, 0, 2000}};
	static char url[] = "http://127.0.0.1:1";
	struct k8s_config config = {.server = url};
	struct error err = {0};
	AUTO(k8s_client) struct k8s_client *client = NULL;
	assert_ok(k8s_client_new(&config, NULL, &client, &err), err);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct lease *lease = NULL;
		const struct lease_options options = {.namespace = "n", .name = "l", .identity = "i", .timings = bad[i]};
		print_message("# row %zu\n", i);
		assert_error(lease_new(client, &options, &lease, &err), err, ERROR_INVALID, "lease: the duration must be");
		assert_null(lease);
	}
}

static void an_identity_is_the_host_and_a_uuid(void **state)
{
	(void)state;
	struct error err = {0};
	char host[128] = "";
	char one[LEASE_IDENTITY_SIZE];
	char other[LEASE_IDENTITY_SIZE];
	assert_int_equal(gethostname(host, sizeof(host) - 1), 0);
	assert_ok(lease_make_identity(one, &err), err);
	assert_ok(lease_make_identity(other, &err), err);
	assert_memory_equal(one, host, strlen(host));
	assert_int_equal(one[strlen(host)], '_');
	assert_int_equal(strlen(one), strlen(host) + 1 + 36);
	assert_string_not_equal(one, other);
}

static int quieten(void **state)
{
	(void)state;
	log_setup(LOG_ERROR, LOG_LOGFMT);
	return 0;
}

#define WITH_TWO(name) cmocka_unit_test_setup_teardown(name, open_with_two, close_world)
#define WITH_THREADS(name) cmocka_unit_test_setup_teardown(name, open_with_threads, close_world)

int main(void)
{
	const struct CMUnitTest cases[] = {
		WITH_TWO(the_first_has_it_and_the_second_waits),
		WITH_TWO(a_renewal_is_one_request_and_moves_the_deadline),
		WITH_TWO(it_is_taken_over_when_it_has_not_changed_for_its_duration),
		WITH_TWO(a_record_that_changes_is_alive),
		WITH_TWO(what_is_released_is_taken_at_once),
		WITH_TWO(who_never_held_it_releases_nothing),
		WITH_TWO(somebody_elses_change_of_the_object_costs_a_second_look),
		WITH_TWO(a_record_that_was_deleted_belongs_to_nobody),
		WITH_TWO(the_holders_own_duration_counts),
		WITH_TWO(a_record_without_a_spec_is_free),
		WITH_TWO(a_server_that_is_away_for_12_s_costs_the_lease),
		WITH_TWO(an_answer_that_was_lost_is_no_loss),
		WITH_TWO(a_holder_that_hangs_loses_by_the_clock_alone),
		WITH_TWO(an_answer_that_comes_late_holds_no_longer),
		WITH_THREADS(there_is_one_leader_through_outages),
		WITH_THREADS(a_stop_hands_over),
		cmocka_unit_test(timings_that_contradict_each_other_are_refused),
		cmocka_unit_test(an_identity_is_the_host_and_a_uuid),
	};
	return cmocka_run_group_tests_name("k8s/lease", cases, quieten, NULL);
}
