#include "base/clock.h"
#include "canopy/callers.h"
#include "tests/canopy/broker_world.h"
#include "tests/support/cmocka.h"
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define ASKERS 50
#define LONG "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg" // 64 bytes

static void keys_are_given_as_canopys_credentials_object_alone(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(json) json_t *keys = NULL;
	int64_t expires_ms = 0;
	struct answer answer = post(CREDS, "TOKENSECRET-ns-1", WISH);
	assert_int_equal(answer.status, 200);
	assert_ok(json_parse(answer.body, strlen(answer.body), &keys, &err), err);
	assert_int_equal(json_object_size(keys), 5);
	assert_int_equal(json_find_int(0, keys, "Version"), 1);
	assert_string_equal(json_find_str(keys, "AccessKeyId"), "AKIDSECRET");
	assert_string_equal(json_find_str(keys, "SecretAccessKey"), "SAK\"SECRET/+");
	assert_string_equal(json_find_str(keys, "SessionToken"), "SESSIONSECRET");
	assert_ok(clock_parse(json_find_str(keys, "Expiration"), &expires_ms, &err), err);
	assert_true(expires_ms > clock_wall_ms());
	assert_string_equal(world.seen, GROUP " postgres " RUN);
}

static void each_issue_leaves_one_line_of_audit(void **state)
{
	(void)state;
	(void)post(CREDS, "TOKENSECRET-ns-1", WISH);
	(void)post(CREDS, "TOKENSECRET-ns-2", WISH);
	const char *first = strstr(logged(), "credentials issued");
	assert_non_null(first);
	const char *second = strstr(first + 1, "credentials issued");
	assert_non_null(second);
	assert_null(strstr(second + 1, "credentials issued"));
	static const char *const parts[] = {"namespace=ns-1", "service_account=restore", "pod=restore-pod", "peer=127.0.0.1",
		"group=" GROUP, "type=postgres", "run_id=" RUN, "expires=", "from_cache=false"};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		const char *at = strstr(first, parts[i]);
		if (at == NULL || at > second)
			fail_msg("%s is not in: %s", parts[i], logged());
	}
	assert_non_null(strstr(second, "from_cache=true"));
}

static void whoever_may_not_is_refused(void **state)
{
	(void)state;
	static const struct {
		const char *path, *token, *body;
		int status;
		const char *detail;
	} rows[] = {
		{CREDS, NULL, WISH, 401, "a bearer token is needed"},
		{CREDS, "with space", WISH, 401, "a bearer token is needed"},
		{CREDS, "FORGEDSECRET-ns-1", WISH, 401, "not valid"},
		{CREDS, "TOKENSECRET-else.ns-1", WISH, 401, "not for audience understory-broker"},
		{STATS, "TOKENSECRET-else.ns-1", "{}", 401, "not for audience understory-broker"},
		{CREDS, "TOKENSECRET-unmanaged", WISH, 403, "namespace unmanaged is not managed"},
		{CREDS, "TOKENSECRET-other", WISH, 403, "another group or type"},
		{CREDS, "TOKENSECRET-ns-1", "{\"group\":\"" GROUP "\",\"type\":\"mysql\"}", 403, "another group or type"},
		{CREDS, "TOKENSECRET-waiting", WISH, 409, "no round in hand"},
		{CREDS, "TOKENSECRET-starting", WISH, 503, "have not been listed yet"},
		{STATS, "TOKENSECRET-ns-2", "{}", 403, "the token is of namespace ns-2"},
		{PROGRESS, "TOKENSECRET-ns-2", "{}", 403, "the token is of namespace ns-2"},
		{BROKER_PATH_STATS "/restore-0a1b2c3d", "TOKENSECRET-ns-1", "{}", 404, ""},
		{BROKER_PATH_STATS "ns-1/", "TOKENSECRET-ns-1", "{}", 404, ""},
		{BROKER_PATH_STATS "ns-1", "TOKENSECRET-ns-1", "{}", 404, ""},
		{BROKER_PATH_STATS LONG LONG LONG LONG LONG "/restore-0a1b2c3d", "TOKENSECRET-ns-1", "{}", 404, ""},
		{CREDS, "", WISH, 401, "a bearer token is needed"},
		{CREDS, "TOKENSECRET-ns-1", "", 400, "no JSON object"},
		{CREDS, "TOKENSECRET-ns-1", "[]", 400, "no JSON object"},
		{CREDS, "TOKENSECRET-ns-1", "{\"group\":\"" GROUP "\"", 400, "no JSON object"},
		{CREDS, "TOKENSECRET-ns-1", "{\"group\":\"" GROUP "\"}", 400, "needs"},
		{CREDS, "TOKENSECRET-ns-1", "{\"group\":\"x\",\"type\":\"postgres\"}", 400, "needs"},
		{STATS, "TOKENSECRET-ns-1", "7", 400, "no JSON object"},
		{"/", "TOKENSECRET-ns-1", WISH, 404, "no such path"},
		{CREDS "/", "TOKENSECRET-ns-1", WISH, 404, "no such path"},
		{"/internal%2Frestore-creds", "TOKENSECRET-ns-1", WISH, 404, "no such path"},
		{CREDS "%00", "TOKENSECRET-ns-1", WISH, 404, "no such path"},
		{BROKER_PATH_STATS "ns-1", "TOKENSECRET-ns-1", "{}", 404, "no such path"},
		{BROKER_PATH_STATS "ns-1/", "TOKENSECRET-ns-1", "{}", 404, "no such path"},
		{BROKER_PATH_STATS "/job", "TOKENSECRET-ns-1", "{}", 404, "no such path"},
		{STATS "/more", "TOKENSECRET-ns-1", "{}", 404, "no such path"},
		{BROKER_PATH_STATS "NS/job", "TOKENSECRET-ns-1", "{}", 404, "no such path"},
		{"/metrics", "TOKENSECRET-ns-1", "", 404, "no such path"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char label[64];
		(void)snprintf(label, sizeof(label), "row %zu", i);
		struct answer answer = post(rows[i].path, rows[i].token, rows[i].body);
		assert_problem(label, &answer, rows[i].status, rows[i].detail);
	}
	assert_int_equal(atomic_load(&world.fetches), 0);
	assert_string_equal(world.seen, "");
}

static void a_failing_review_is_ours_and_not_the_callers(void **state)
{
	(void)state;
	(void)error_set(&world.review_failure, ERROR_TRANSIENT, "the API server is away");
	struct answer answer = post(CREDS, "TOKENSECRET-ns-1", WISH);
	assert_problem("transient", &answer, 503, "the API server is away");
	assert_int_equal(answer.retry_after_ms, 5000);
	(void)error_set(&world.review_failure, ERROR_INVALID, "tokenreviews is forbidden");
	world.review_failure.http_status = 403; // of the API server, to the operator
	answer = post(CREDS, "TOKENSECRET-ns-1", WISH);
	assert_problem("no right to ask", &answer, 503, "tokenreviews is forbidden");
}

static void counts_reach_the_operator(void **state)
{
	(void)state;
	assert_int_equal(post(STATS, "TOKENSECRET-ns-1", "{\"received\":5}").status, 204);
	assert_string_equal(world.seen, "stats ns-1 restore-0a1b2c3d " RUN " {\"received\":5}");
	assert_int_equal(post(PROGRESS, "TOKENSECRET-ns-1", "{}").status, 204);
	assert_string_equal(world.seen, "progress ns-1 restore-0a1b2c3d " RUN " {}");
}

static void what_canopy_says_is_passed_on(void **state)
{
	(void)state;
	static const struct {
		enum error_kind kind;
		int http_status;
		int64_t retry_after_ms;
		int status;
		int64_t answered_retry_after_ms;
	} rows[] = {
		{ERROR_INVALID, 403, 0, 403, 0},
		{ERROR_INVALID, 404, 0, 404, 0},
		{ERROR_INVALID, 422, 0, 422, 0},
		{ERROR_CONFLICT, 409, 0, 409, 0},
		{ERROR_INVALID, 401, 0, 503, 5000}, // the operator's certificate, not the caller's token
		{ERROR_TRANSIENT, 502, 0, 503, 5000},
		{ERROR_TRANSIENT, 429, 7001, 503, 8000},
		{ERROR_TRANSIENT, 503, 86400000, 503, 300000},
		{ERROR_TRANSIENT, 0, 0, 503, 5000},
		{ERROR_CANCELLED, 0, 0, 503, 5000},
		{ERROR_INTERNAL, 200, 0, 500, 0},
	};
	static const char *const paths[] = {CREDS, PROGRESS};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		(void)error_set(&world.failure, rows[i].kind, "POST /x: HTTP: Forbidden: declaration is paused");
		world.failure.http_status = rows[i].http_status;
		world.failure.retry_after_ms = rows[i].retry_after_ms;
		for (size_t p = 0; p < 2; p++) {
			char label[64];
			(void)snprintf(label, sizeof(label), "row %zu, %s", i, paths[p]);
			struct answer answer = post(paths[p], "TOKENSECRET-ns-1", WISH);
			assert_problem(label, &answer, rows[i].status, "Forbidden: declaration is paused");
			assert_int_equal(answer.retry_after_ms, rows[i].answered_retry_after_ms);
		}
	}
	(void)error_set(&world.failure, ERROR_INVALID, "\"received\" is negative");
	struct answer answer = post(STATS, "TOKENSECRET-ns-1", "{\"received\":-1}");
	assert_problem("bad counts", &answer, 422, "is negative");
}

static void keys_are_kept_until_they_come_near_their_end(void **state)
{
	(void)state;
	world.life_ms = 20000; // as a test's stand-in for canopy gives them
	for (int i = 0; i < 5; i++)
		assert_int_equal(post(CREDS, "TOKENSECRET-ns-1", WISH).status, 200);
	assert_int_equal(atomic_load(&world.fetches), 1);
	(void)atomic_fetch_add(&world.skipped_ms, 16001);
	assert_int_equal(post(CREDS, "TOKENSECRET-ns-1", WISH).status, 200);
	assert_int_equal(atomic_load(&world.fetches), 2);
}

static void a_review_counts_for_half_a_minute(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		assert_int_equal(post(CREDS, "TOKENSECRET-ns-1", WISH).status, 200);
	assert_int_equal(atomic_load(&world.reviews), 1);
	assert_int_equal(post(CREDS, "TOKENSECRET-ns-2", WISH).status, 200);
	assert_int_equal(atomic_load(&world.reviews), 2);
	(void)atomic_fetch_add(&world.skipped_ms, CALLERS_REVIEW_LIFE_MS);
	assert_int_equal(post(CREDS, "TOKENSECRET-ns-1", WISH).status, 200);
	assert_int_equal(atomic_load(&world.reviews), 3);
	// A Namespace that is no longer managed is refused at once, whatever is remembered.
	assert_int_equal(atomic_load(&world.lookups), 7);
}

static void fifty_that_ask_at_once_make_one_call_to_canopy(void **state)
{
	(void)state;
	pthread_t threads[ASKERS];
	int numbers[ASKERS];
	world.fetch_waits_for_lookups = ASKERS;
	for (int i = 0; i < ASKERS; i++) {
		numbers[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, ask_once, &numbers[i]), 0);
	}
	for (int i = 0; i < ASKERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (int i = 0; i < ASKERS; i++)
		assert_int_equal(numbers[i], 200);
	assert_int_equal(atomic_load(&world.fetches), 1);
}

static void who_asks_too_often_has_to_wait_and_the_others_do_not(void **state)
{
	(void)state;
	struct answer answer = {0};
	int served = 0;
	for (int i = 0; i < 2 * CALLERS_BURST; i++) {
		answer = post(CREDS, "TOKENSECRET-ns-1", WISH);
		served += answer.status == 200 ? 1 : 0;
	}
	assert_in_range(served, CALLERS_BURST, CALLERS_BURST + 15); // the clock goes on
	assert_problem("too often", &answer, 429, "ns-1 asks too often");
	assert_int_equal(answer.retry_after_ms, 1000);
	assert_int_equal(post(CREDS, "TOKENSECRET-ns-2", WISH).status, 200);
	(void)atomic_fetch_add(&world.skipped_ms, 2 * CALLERS_INTERVAL_MS);
	assert_int_equal(post(CREDS, "TOKENSECRET-ns-1", WISH).status, 200);
}

static void bad_tokens_do_not_become_a_flood_of_reviews(void **state)
{
	(void)state;
	struct answer answer = {0};
	char token[64];
	assert_int_equal(post(CREDS, "TOKENSECRET-ns-1", WISH).status, 200);
	for (int i = 0; i < 3 * CALLERS_REFUSED_BURST; i++) {
		(void)snprintf(token, sizeof(token), "FORGEDSECRET-%d", i);
		answer = post(CREDS, token, WISH);
	}
	assert_problem("too many bad ones", &answer, 429, "asks too often");
	assert_in_range(atomic_load(&world.reviews), CALLERS_REFUSED_BURST, 2 * CALLERS_REFUSED_BURST);
	// Who was reviewed before is served from the same address.
	assert_int_equal(post(CREDS, "TOKENSECRET-ns-1", WISH).status, 200);
}

static int open_descriptors(void)
{
	int count = 0;
	DIR *dir = opendir("/proc/self/fd");
	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	(void)closedir(dir);
	return count;
}

static void a_broker_that_stops_waits_for_its_callbacks_and_leaves_nothing(void **state)
{
	(void)state;
	struct broker *kept = world.broker;
	int before = open_descriptors();
	world.broker = broker_world_start(0);
	world.fetch_waits_for_lookups = 2;
	pthread_t asker;
	int number = 1;
	AUTO(http_client) struct http_client *own = client_with(world.ca.bundle_pem);
	struct http_client *kept_client = world.client;
	world.client = own;
	assert_int_equal(pthread_create(&asker, NULL, ask_once, &number), 0);
	while (atomic_load(&world.fetches) == 0)
		(void)usleep(1000);
	world.failure.kind = ERROR_NONE;
	(void)atomic_fetch_add(&world.lookups, 1); // lets the fetch go on while the broker stops
	broker_stop(world.broker);
	assert_int_equal(pthread_join(asker, NULL), 0);
	assert_true(number == 200 || number == -1);
	world.client = kept_client;
	world.broker = kept;
	http_client_free(TAKE_PTR(own));
	assert_int_equal(open_descriptors(), before);
}

static void a_bad_start_says_why(void **state)
{
	(void)state;
	struct error err = {0};
	struct broker *made = NULL;
	char taken[64];
	AUTO(secret) struct secret no_key = {0};
	struct broker_options options = {.address = "nowhere",
		.cert_pem = world.ca.leaf.cert_pem,
		.key_pem = &world.ca.leaf.key_pem,
		.callbacks = &broker_world_callbacks};
	assert_error(broker_start(&options, &made, &err), err, ERROR_INVALID, "nowhere");
	(void)snprintf(taken, sizeof(taken), "127.0.0.1:%d", broker_port(world.broker));
	options.address = taken;
	assert_error(broker_start(&options, &made, &err), err, ERROR_TRANSIENT, taken);
	options.address = "127.0.0.1:0";
	options.key_pem = &no_key;
	assert_error(broker_start(&options, &made, &err), err, ERROR_INVALID, "certificate");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, broker_world_setup, broker_world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(keys_are_given_as_canopys_credentials_object_alone),
		CASE(each_issue_leaves_one_line_of_audit),
		CASE(whoever_may_not_is_refused),
		CASE(a_failing_review_is_ours_and_not_the_callers),
		CASE(counts_reach_the_operator),
		CASE(what_canopy_says_is_passed_on),
		CASE(keys_are_kept_until_they_come_near_their_end),
		CASE(a_review_counts_for_half_a_minute),
		CASE(fifty_that_ask_at_once_make_one_call_to_canopy),
		CASE(who_asks_too_often_has_to_wait_and_the_others_do_not),
		CASE(bad_tokens_do_not_become_a_flood_of_reviews),
		CASE(a_broker_that_stops_waits_for_its_callbacks_and_leaves_nothing),
		CASE(a_bad_start_says_why),
	};
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	return cmocka_run_group_tests_name("canopy/broker", tests, NULL, NULL);
}
