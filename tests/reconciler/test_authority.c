// The CA that the main loop changes while workers issue and trust: each sees a whole one, and what was handed out stays.
#include "reconciler/authority.h"
#include "tests/support/cmocka.h"
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define START_MS INT64_C(1795176000000) // 2026-11-20T12:00:00Z
#define TURNS 200

static const char *const names[] = {"postgres.nauru.svc", NULL};

static void make(struct ca_state *state, int64_t now_ms)
{
	struct error err = {0};
	bool changed = false;
	assert_ok(ca_renew_if_due(state, names, now_ms, &changed, &err), err);
}

static void before_there_is_a_ca_nothing_is_trusted_or_issued(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(authority) struct authority *authority = NULL;
	AUTO(cert_pair) struct cert_pair pair = {0};
	assert_ok(authority_new(&authority, &err), err);
	assert_null(authority_trust(NULL));
	assert_null(authority_trust(authority));
	assert_error(authority_issue(authority, names, START_MS, &pair, &err), err, ERROR_INTERNAL, "no CA yet");
}

static void a_bundle_has_one_id_until_it_changes(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(authority) struct authority *authority = NULL;
	AUTO(ca_state) struct ca_state ca = {0};
	assert_ok(authority_new(&authority, &err), err);
	make(&ca, START_MS);
	assert_ok(authority_set(authority, &ca, &err), err);
	const struct trust *first = authority_trust(authority);
	assert_string_equal(first->bundle_pem, ca.bundle_pem);
	assert_int_equal(strlen(first->id), AUTHORITY_ID_SIZE - 1);
	assert_ok(authority_set(authority, &ca, &err), err);
	assert_ptr_equal(authority_trust(authority), first);

	make(&ca, START_MS + CA_LIFE_MS / 3 * 2);
	assert_ok(authority_set(authority, &ca, &err), err);
	const struct trust *second = authority_trust(authority);
	assert_string_not_equal(second->id, first->id);
	assert_non_null(strstr(second->bundle_pem, first->bundle_pem)); // what was handed out is still there to be read

	// Whoever has only that is still served.
	AUTO(cert_pair) struct cert_pair pair = {0};
	assert_ok(authority_issue(authority, names, START_MS + CA_LIFE_MS / 3 * 2, &pair, &err), err);
	assert_true(cert_is_signed_by(pair.cert_pem, first->bundle_pem));
}

struct worker {
	struct authority *authority;
	atomic_bool *is_over;
	int64_t now_ms;
	bool went_wrong;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	while (!atomic_load(w->is_over) && !w->went_wrong) {
		struct error err = {0};
		bool matches = false;
		AUTO(cert_pair) struct cert_pair pair = {0};
		const struct trust *trust = authority_trust(w->authority);
		// What was issued since may be of a newer CA, so the bundle is asked for again.
		w->went_wrong = strncmp(trust->bundle_pem, "-----BEGIN", 10) != 0 ||
				authority_issue(w->authority, names, w->now_ms, &pair, &err) < 0 ||
				cert_matches_key(pair.cert_pem, &pair.key_pem, &matches, &err) < 0 || !matches;
	}
	return NULL;
}

static void workers_go_on_while_it_changes(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(authority) struct authority *authority = NULL;
	struct ca_state states[2] = {{0}, {0}};
	atomic_bool is_over = false;
	pthread_t threads[2];
	struct worker workers[2];
	assert_ok(authority_new(&authority, &err), err);
	make(&states[0], START_MS);
	make(&states[1], START_MS);
	assert_ok(authority_set(authority, &states[0], &err), err);
	for (int i = 0; i < 2; i++) {
		workers[i] = (struct worker){.authority = authority, .is_over = &is_over, .now_ms = START_MS};
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	for (int i = 0; i < TURNS; i++)
		assert_ok(authority_set(authority, &states[i % 2], &err), err);
	atomic_store(&is_over, true);
	for (int i = 0; i < 2; i++) {
		(void)pthread_join(threads[i], NULL);
		assert_false(workers[i].went_wrong);
	}
	ca_state_fini(&states[0]);
	ca_state_fini(&states[1]);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(before_there_is_a_ca_nothing_is_trusted_or_issued),
		cmocka_unit_test(a_bundle_has_one_id_until_it_changes),
		cmocka_unit_test(workers_go_on_while_it_changes),
	};
	return cmocka_run_group_tests_name("reconciler/authority", cases, NULL, NULL);
}
