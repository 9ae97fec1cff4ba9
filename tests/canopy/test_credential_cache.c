#include "base/clock.h"
#include "canopy/credential_cache.h"
#include "tests/support/cmocka.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define MINUTE_MS ((int64_t)60000)
#define ASKERS 50
#define WAIT_LIMIT_MS 20000

static _Atomic int64_t now_ms;
static int64_t life_ms;
static atomic_int fetches;
static atomic_int asking;
static int wait_for_askers; // the fetch goes on when so many have asked
static enum error_kind failure;
static struct credential_cache *cache;

static int64_t fake_now_ms(void)
{
	return atomic_load(&now_ms);
}

static int fetch(
	void *arg, const char *group, const char *type, const char *run_id, struct canopy_credentials *out, struct error *err)
{
	char key[64];
	int number = atomic_fetch_add(&fetches, 1) + 1;
	int64_t deadline_mono_ms = clock_mono_ms() + WAIT_LIMIT_MS;
	(void)arg;
	(void)type;
	(void)run_id;
	while (atomic_load(&asking) < wait_for_askers && clock_mono_ms() < deadline_mono_ms)
		(void)usleep(1000);
	if (failure != ERROR_NONE)
		return error_set(err, failure, "failure %d", number);
	(void)snprintf(key, sizeof(key), "key-%s-%d", group, number);
	out->expires_at_ms = atomic_load(&now_ms) + life_ms;
	if (secret_set(&out->access_key_id, key, err) < 0 || secret_set(&out->secret_access_key, "sak", err) < 0 ||
		secret_set(&out->session_token, "token", err) < 0 || secret_set(&out->repo_password, "password", err) < 0)
		return -1;
	return 0;
}

static int setup(void **state)
{
	(void)state;
	struct error err = {0};
	atomic_store(&now_ms, 1795000000000);
	life_ms = 60 * MINUTE_MS;
	atomic_store(&fetches, 0);
	atomic_store(&asking, 0);
	wait_for_askers = 0;
	failure = ERROR_NONE;
	assert_ok(credential_cache_new(fetch, NULL, fake_now_ms, &cache, &err), err);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	credential_cache_free(cache);
	return 0;
}

static bool get(const char *group, const char *type, char *key, size_t size)
{
	struct error err = {0};
	AUTO(canopy_credentials) struct canopy_credentials got = {0};
	bool is_new = false;
	assert_ok(credential_cache_get(cache, group, type, "run", &got, &is_new, &err), err);
	assert_null(got.repo_password.bytes);
	if (key != NULL)
		(void)snprintf(key, size, "%s", secret_reveal(&got.access_key_id));
	return is_new;
}

static void a_set_is_given_out_until_it_comes_near_its_end(void **state)
{
	(void)state;
	static const struct {
		int64_t life_ms, last_fresh_ms;
	} rows[] = {
		{60 * MINUTE_MS, 58 * MINUTE_MS - 1},
		{10 * MINUTE_MS, 8 * MINUTE_MS - 1},
		{9 * MINUTE_MS, 9 * MINUTE_MS / 5 * 4 - 1},
		{20000, 15999},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char group[16];
		(void)snprintf(group, sizeof(group), "g%zu", i);
		life_ms = rows[i].life_ms;
		assert_true(get(group, "t", NULL, 0));
		atomic_fetch_add(&now_ms, rows[i].last_fresh_ms);
		assert_false(get(group, "t", NULL, 0));
		atomic_fetch_add(&now_ms, 1);
		assert_true(get(group, "t", NULL, 0));
	}
}

static void groups_and_types_have_their_own(void **state)
{
	(void)state;
	assert_true(get("a", "t", NULL, 0));
	assert_true(get("b", "t", NULL, 0));
	assert_true(get("a", "u", NULL, 0));
	assert_false(get("a", "t", NULL, 0));
	assert_int_equal(atomic_load(&fetches), 3);
}

static void *ask(void *arg)
{
	struct error *err = arg;
	AUTO(canopy_credentials) struct canopy_credentials got = {0};
	bool is_new = false;
	(void)atomic_fetch_add(&asking, 1);
	if (credential_cache_get(cache, "a", "t", "run", &got, &is_new, err) == 0 &&
		strcmp(secret_reveal(&got.access_key_id), "key-a-1") != 0)
		(void)error_set(err, ERROR_INTERNAL, "another set");
	return NULL;
}

static void all_ask(struct error errors[ASKERS])
{
	pthread_t threads[ASKERS];
	wait_for_askers = ASKERS;
	memset(errors, 0, ASKERS * sizeof(errors[0]));
	for (int i = 0; i < ASKERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask, &errors[i]), 0);
	for (int i = 0; i < ASKERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void many_at_once_make_one_fetch(void **state)
{
	(void)state;
	struct error errors[ASKERS];
	all_ask(errors);
	for (int i = 0; i < ASKERS; i++)
		assert_int_equal(errors[i].kind, ERROR_NONE);
	assert_int_equal(atomic_load(&fetches), 1);
}

static void a_failure_is_everybodys_and_then_forgotten(void **state)
{
	(void)state;
	struct error err = {0};
	struct canopy_credentials got = {0};
	bool is_new = false;
	failure = ERROR_TRANSIENT;
	assert_error(credential_cache_get(cache, "a", "t", "run", &got, &is_new, &err), err, ERROR_TRANSIENT, "failure 1");
	assert_error(credential_cache_get(cache, "a", "t", "run", &got, &is_new, &err), err, ERROR_TRANSIENT, "failure 2");
	failure = ERROR_NONE;
	assert_true(get("a", "t", NULL, 0));
	// The set that is there serves on when its successor cannot be had only for its own time.
	failure = ERROR_TRANSIENT;
	assert_false(get("a", "t", NULL, 0));
	atomic_fetch_add(&now_ms, 59 * MINUTE_MS);
	assert_error(credential_cache_get(cache, "a", "t", "run", &got, &is_new, &err), err, ERROR_TRANSIENT, "failure 4");
}

static void any_number_of_groups_is_served_from_a_table_that_does_not_grow(void **state)
{
	(void)state;
	char group[16], key[64];
	for (int i = 0; i < 5 * CREDENTIAL_CACHE_MAX; i++) {
		(void)snprintf(group, sizeof(group), "g%d", i);
		assert_true(get(group, "t", key, sizeof(key)));
	}
	int cached = 0;
	for (int i = 5 * CREDENTIAL_CACHE_MAX - 1; i >= 0; i--) {
		int before = atomic_load(&fetches);
		(void)snprintf(group, sizeof(group), "g%d", i);
		if (cached == 5 * CREDENTIAL_CACHE_MAX - 1 - i && !get(group, "t", NULL, 0) && atomic_load(&fetches) == before)
			cached++;
	}
	assert_in_range(cached, 1, CREDENTIAL_CACHE_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_set_is_given_out_until_it_comes_near_its_end, setup, teardown),
		cmocka_unit_test_setup_teardown(groups_and_types_have_their_own, setup, teardown),
		cmocka_unit_test_setup_teardown(many_at_once_make_one_fetch, setup, teardown),
		cmocka_unit_test_setup_teardown(a_failure_is_everybodys_and_then_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(any_number_of_groups_is_served_from_a_table_that_does_not_grow, setup, teardown),
	};
	return cmocka_run_group_tests_name("canopy/credential_cache", tests, NULL, NULL);
}
