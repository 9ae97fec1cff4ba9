// CA and certificate are renewed while clients ask.
#include "base/clock.h"
#include "tests/canopy/broker_world.h"
#include "tests/support/cmocka.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define LOADERS 6
#define SWAPS 25

// What the clients of a renewal share: pods that trust what was in force when they were made.
struct load {
	pthread_mutex_t lock;
	const char *bundle_pem; // of pods that are made from now on
	int generation;
	atomic_bool is_over;
	atomic_int asked, failed;
	atomic_int seen_generation[LOADERS];
	struct error first_failure;
};

struct loader {
	struct load *load;
	int number;
};

// Each pod asks a few times on one connection, then another pod comes with a connection of its own.
static void *load_broker(void *arg)
{
	const struct loader *loader = arg;
	struct load *load = loader->load;
	while (!atomic_load(&load->is_over)) {
		(void)pthread_mutex_lock(&load->lock);
		AUTO(http_client) struct http_client *pod = client_with(load->bundle_pem);
		int generation = load->generation;
		(void)pthread_mutex_unlock(&load->lock);
		for (int i = 0; i < 3; i++) {
			char token[64];
			struct error err = {0};
			struct answer answer = {0};
			int number = atomic_fetch_add(&load->asked, 1);
			(void)snprintf(token, sizeof(token), "TOKENSECRET-ns-%d", number % 200);
			if (post_with(pod, CREDS, token, WISH, &answer, &err) < 0 || answer.status != 200) {
				(void)pthread_mutex_lock(&load->lock);
				if (atomic_fetch_add(&load->failed, 1) == 0)
					(void)error_set(&load->first_failure, ERROR_TRANSIENT, "%d %.200s %.200s", answer.status,
						answer.body, err.text);
				(void)pthread_mutex_unlock(&load->lock);
			}
			(void)atomic_fetch_add(&world.skipped_ms, 50); // so that no caller asks too often
		}
		atomic_store(&load->seen_generation[loader->number], generation);
	}
	return NULL;
}

static void await_requests(struct load *load, int more)
{
	int target = atomic_load(&load->asked) + more;
	int64_t deadline_mono_ms = clock_mono_ms() + ANSWER_LIMIT_MS;
	while (atomic_load(&load->asked) < target && clock_mono_ms() < deadline_mono_ms)
		(void)usleep(2000);
	assert_true(atomic_load(&load->asked) >= target);
}

// Until no pod of an older generation is left.
static void roll_out(struct load *load, const char *bundle_pem)
{
	int64_t deadline_mono_ms = clock_mono_ms() + ANSWER_LIMIT_MS;
	(void)pthread_mutex_lock(&load->lock);
	load->bundle_pem = bundle_pem;
	int generation = ++load->generation;
	(void)pthread_mutex_unlock(&load->lock);
	for (int i = 0; i < LOADERS; i++) {
		while (atomic_load(&load->seen_generation[i]) < generation && clock_mono_ms() < deadline_mono_ms)
			(void)usleep(2000);
		assert_true(atomic_load(&load->seen_generation[i]) >= generation);
	}
}

static void use_leaf(const struct cert_pair *leaf)
{
	struct error err = {0};
	assert_ok(broker_set_certificate(world.broker, leaf->cert_pem, &leaf->key_pem, &err), err);
}

static void a_renewal_of_ca_and_certificate_under_load_loses_no_request(void **state)
{
	(void)state;
	struct error err = {0};
	struct answer answer = {0};
	struct load load = {.lock = PTHREAD_MUTEX_INITIALIZER, .bundle_pem = world.ca.bundle_pem};
	struct loader loaders[LOADERS];
	pthread_t threads[LOADERS];
	AUTO_FREE char *old_bundle = strdup(world.ca.bundle_pem);
	bool changed = false;
	load.bundle_pem = old_bundle;
	for (int i = 0; i < LOADERS; i++) {
		loaders[i] = (struct loader){&load, i};
		assert_int_equal(pthread_create(&threads[i], NULL, load_broker, &loaders[i]), 0);
	}
	await_requests(&load, 30);

	// The CA is renewed; its last certificate is served, to pods of before and after.
	assert_ok(ca_renew_if_due(&world.ca, world.names.list, clock_wall_ms(), &changed, &err), err);
	assert_true(changed);
	assert_string_not_equal(world.ca.bundle_pem, old_bundle);
	use_leaf(&world.ca.leaf);
	await_requests(&load, 30);
	roll_out(&load, world.ca.bundle_pem);

	// Two months on the old key signs no more: the new CA's.
	secret_fini(&world.ca.old_key);
	for (int i = 0; i < SWAPS; i++) {
		AUTO(cert_pair) struct cert_pair leaf = {0};
		assert_ok(ca_issue(&world.ca, world.names.list, clock_wall_ms(), &leaf, &err), err);
		use_leaf(&leaf);
		await_requests(&load, 10);
	}
	atomic_store(&load.is_over, true);
	for (int i = 0; i < LOADERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	if (atomic_load(&load.failed) > 0)
		fail_msg("%d of %d failed, first: %s", atomic_load(&load.failed), atomic_load(&load.asked),
			load.first_failure.text);

	AUTO(http_client) struct http_client *late = client_with(old_bundle);
	assert_error(post_with(late, CREDS, "TOKENSECRET-ns-1", WISH, &answer, &err), err, ERROR_TRANSIENT, "certificate");
}

static void a_bad_certificate_does_not_replace_a_good_one(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(cert_pair) struct cert_pair other = {0};
	assert_ok(ca_issue(&world.ca, world.names.list, clock_wall_ms(), &other, &err), err);
	assert_error(broker_set_certificate(world.broker, "no PEM", &other.key_pem, &err), err, ERROR_INVALID, "certificate");
	assert_error(broker_set_certificate(world.broker, world.ca.leaf.cert_pem, &other.key_pem, &err), err, ERROR_INVALID,
		"certificate");
	assert_int_equal(post(CREDS, "TOKENSECRET-ns-1", WISH).status, 200);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, broker_world_setup, broker_world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_renewal_of_ca_and_certificate_under_load_loses_no_request),
		CASE(a_bad_certificate_does_not_replace_a_good_one),
	};
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	return cmocka_run_group_tests_name("canopy/broker_renewal", tests, NULL, NULL);
}
