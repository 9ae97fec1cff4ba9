#include "base/clock.h"
#include "base/http.h"
#include "canopy/broker.h"
#include "canopy/ca.h"
#include "canopy/callers.h"
#include "tests/support/cmocka.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define GROUP "0d5be8b8-6a3c-4c0e-8a55-1f6b7d2c9e10"
#define OTHER_GROUP "1d5be8b8-6a3c-4c0e-8a55-1f6b7d2c9e11"
#define RUN "11111111-2222-4333-8444-555555555555"
#define WISH "{\"group\":\"" GROUP "\",\"type\":\"postgres\"}"
#define CREDS BROKER_PATH_CREDENTIALS
#define STATS BROKER_PATH_STATS "ns-1/restore-0a1b2c3d"
#define PROGRESS BROKER_PATH_PROGRESS "ns-1/restore-0a1b2c3d"

#define ASKERS 50
#define LOADERS 6
#define SWAPS 25
#define SHORT_LIMIT_MS 300
#define ANSWER_LIMIT_MS 20000
#define MORE_THAN_ALL 140 // connections: CONNECTIONS_MAX of broker.c is 128

// What stands for the cluster and for canopy; each test sets it.
static struct {
	atomic_int reviews, lookups, fetches, stats, progresses;
	_Atomic int64_t skipped_ms; // added to both clocks
	int64_t life_ms;
	int fetch_waits_for_lookups;
	struct error failure; // of fetch, stats and progress; kind ERROR_NONE: they succeed
	struct error review_failure;
	char seen[512]; // by fetch, stats and progress
} world;

static struct ca_state ca;
static struct ca_names names;
static struct broker *broker;
static struct http_client *client;
static char url_base[64];
static int saved_stderr, log_fd;

static int64_t skewed_wall_ms(void)
{
	return clock_wall_ms() + atomic_load(&world.skipped_ms);
}

static int64_t skewed_mono_ms(void)
{
	return clock_mono_ms() + atomic_load(&world.skipped_ms);
}

// A token "TOKENSECRET-NAMESPACE" is of that Namespace; "TOKENSECRET-else:NAMESPACE" is for another audience.
static int review(void *arg, const char *token, struct broker_caller *out, struct error *err)
{
	char username[256];
	AUTO(json) json_t *answer = NULL;
	(void)arg;
	(void)atomic_fetch_add(&world.reviews, 1);
	if (world.review_failure.kind != ERROR_NONE) {
		*err = world.review_failure;
		return -1;
	}
	const char *namespace = strchr(token, '-') == NULL ? "" : strchr(token, '-') + 1;
	bool is_ours = strncmp(token, "TOKENSECRET-", strlen("TOKENSECRET-")) == 0;
	bool is_for_us = strncmp(namespace, "else.", strlen("else.")) != 0;
	(void)snprintf(username, sizeof(username), "system:serviceaccount:%s:restore", namespace);
	if (json_made(json_pack("{s:{s:b, s:[s], s:{s:s, s:{s:[s]}}}}", "status", "authenticated", is_ours, "audiences",
			      is_for_us ? TOKEN_REVIEW_AUDIENCE : "https://kubernetes.default.svc", "user", "username", username,
			      "extra", "authentication.kubernetes.io/pod-name", "restore-pod"),
		    "answer", &answer, err) < 0)
		return -1;
	return token_review_read(answer, out, err);
}

static int lookup(void *arg, const char *namespace, struct broker_replica *out, struct error *err)
{
	(void)arg;
	(void)atomic_fetch_add(&world.lookups, 1);
	if (strcmp(namespace, "unmanaged") == 0)
		return error_set(err, ERROR_NOT_FOUND, "namespace %s is not managed", namespace);
	if (strcmp(namespace, "waiting") == 0)
		return error_set(err, ERROR_CONFLICT, "namespace %s has no round in hand", namespace);
	if (strcmp(namespace, "starting") == 0)
		return error_set(err, ERROR_TRANSIENT, "the Namespaces have not been listed yet");
	(void)snprintf(out->group, sizeof(out->group), "%s", strcmp(namespace, "other") == 0 ? OTHER_GROUP : GROUP);
	(void)snprintf(out->type, sizeof(out->type), "postgres");
	(void)snprintf(out->run_id, sizeof(out->run_id), RUN);
	return 0;
}

static int fetch(
	void *arg, const char *group, const char *type, const char *run_id, struct canopy_credentials *out, struct error *err)
{
	(void)arg;
	(void)atomic_fetch_add(&world.fetches, 1);
	int64_t deadline_mono_ms = clock_mono_ms() + ANSWER_LIMIT_MS;
	while (atomic_load(&world.lookups) < world.fetch_waits_for_lookups && clock_mono_ms() < deadline_mono_ms)
		(void)usleep(1000);
	if (world.failure.kind != ERROR_NONE) {
		*err = world.failure;
		return -1;
	}
	(void)snprintf(world.seen, sizeof(world.seen), "%s %s %s", group, type, run_id);
	out->expires_at_ms = skewed_wall_ms() + world.life_ms;
	if (secret_set(&out->access_key_id, "AKIDSECRET", err) < 0 ||
		secret_set(&out->secret_access_key, "SAK\"SECRET/+", err) < 0 ||
		secret_set(&out->session_token, "SESSIONSECRET", err) < 0 || secret_set(&out->repo_password, "PWSECRET", err) < 0)
		return -1;
	return 0;
}

static int take(const char *what, const char *namespace, const char *job, const struct broker_replica *replica,
	const json_t *counts, struct error *err)
{
	AUTO_FREE char *text = NULL;
	if (world.failure.kind != ERROR_NONE) {
		*err = world.failure;
		return -1;
	}
	if (json_print(counts, &text, err) < 0)
		return -1;
	(void)snprintf(world.seen, sizeof(world.seen), "%s %s %s %s %s", what, namespace, job, replica->run_id, text);
	return 0;
}

static int stats(void *arg, const char *namespace, const char *job, const struct broker_replica *replica, const json_t *counts,
	struct error *err)
{
	(void)arg;
	return take("stats", namespace, job, replica, counts, err);
}

static int progress(void *arg, const char *namespace, const char *job, const struct broker_replica *replica, const json_t *counts,
	struct error *err)
{
	(void)arg;
	return take("progress", namespace, job, replica, counts, err);
}

static struct http_client *client_with(const char *bundle_pem)
{
	struct error err = {0};
	struct http_client *made = NULL;
	if (http_client_new(&(struct http_options){.ca_pem = bundle_pem}, &made, &err) < 0)
		print_error("%s\n", err.text);
	return made;
}

static struct broker *start(int64_t request_limit_ms)
{
	static const struct broker_callbacks callbacks = {
		.review = review, .lookup = lookup, .fetch = fetch, .stats = stats, .progress = progress};
	struct error err = {0};
	struct broker *made = NULL;
	const struct broker_options options = {.address = "127.0.0.1:0",
		.cert_pem = ca.leaf.cert_pem,
		.key_pem = &ca.leaf.key_pem,
		.callbacks = &callbacks,
		.request_limit_ms = request_limit_ms,
		.wall_ms = skewed_wall_ms,
		.mono_ms = skewed_mono_ms};
	assert_ok(broker_start(&options, &made, &err), err);
	(void)snprintf(url_base, sizeof(url_base), "https://127.0.0.1:%d", broker_port(made));
	return made;
}

// A CA that is due and whose certificate was made some days ago: the next look at it renews.
static void make_due_ca(int64_t now_ms)
{
	struct error err = {0};
	bool changed = false;
	const char *const extra[] = {"127.0.0.1", NULL};
	assert_ok(ca_service_names(&names, "understory", "pgro-system", extra, &err), err);
	assert_ok(ca_renew_if_due(&ca, names.list, now_ms - CA_LIFE_MS / 3 * 2 - CA_DAY_MS, &changed, &err), err);
	assert_ok(ca_renew_if_due(&ca, names.list, now_ms - 10 * CA_DAY_MS, &changed, &err), err);
}

static int setup_with(int64_t request_limit_ms)
{
	memset(&world, 0, sizeof(world));
	world.life_ms = 3600000;
	make_due_ca(clock_wall_ms());
	broker = start(request_limit_ms);
	client = client_with(ca.bundle_pem);
	(void)fflush(stderr);
	saved_stderr = dup(STDERR_FILENO);
	log_fd = memfd_create("log", MFD_CLOEXEC);
	return dup2(log_fd, STDERR_FILENO) < 0 ? -1 : 0;
}

static int setup(void **state)
{
	(void)state;
	return setup_with(0);
}

static int setup_impatient(void **state)
{
	(void)state;
	return setup_with(SHORT_LIMIT_MS);
}

static const char *logged(void)
{
	static char text[1 << 18];
	ssize_t len = pread(log_fd, text, sizeof(text) - 1, 0);
	text[len > 0 ? len : 0] = '\0';
	return text;
}

// What cmocka had to say about a failure, and what came after it.
static void show_what_is_no_log(const char *text)
{
	while (*text != '\0') {
		size_t len = strcspn(text, "\n");
		if (strncmp(text, "ts=", 3) != 0) {
			print_error("%s\n", text);
			return;
		}
		text += len + (text[len] == '\n' ? 1 : 0);
	}
}

// Whatever a test did: no key, no token and no password in the log.
static int teardown(void **state)
{
	(void)state;
	http_client_free(client);
	broker_stop(broker);
	(void)dup2(saved_stderr, STDERR_FILENO);
	(void)close(saved_stderr);
	bool is_clean = strstr(logged(), "SECRET") == NULL && strstr(logged(), "PRIVATE") == NULL;
	if (!is_clean)
		print_error("in the log: %s\n", logged());
	show_what_is_no_log(logged());
	(void)close(log_fd);
	ca_state_fini(&ca);
	return is_clean ? 0 : -1;
}

struct answer {
	int status;
	int64_t retry_after_ms;
	char body[2048];
};

static int post_with(
	struct http_client *by, const char *path, const char *token, const char *body, struct answer *out, struct error *err)
{
	char url[512];
	AUTO(secret) struct secret bearer = {0};
	struct http_response response;
	(void)snprintf(url, sizeof(url), "%s%s", url_base, path);
	if (secret_set(&bearer, token, err) < 0)
		return -1;
	const struct http_request request = {.method = "POST",
		.url = url,
		.bearer = token == NULL ? NULL : &bearer,
		.body = body,
		.body_len = strlen(body),
		.timeout_ms = ANSWER_LIMIT_MS};
	if (http_do(by, &request, &response, err) < 0)
		return -1;
	out->status = response.status;
	out->retry_after_ms = response.retry_after_ms;
	(void)snprintf(out->body, sizeof(out->body), "%s", buf_str(&response.body));
	http_response_fini(&response);
	return 0;
}

static struct answer post(const char *path, const char *token, const char *body)
{
	struct error err = {0};
	struct answer answer = {0};
	assert_ok(post_with(client, path, token, body, &answer, &err), err);
	return answer;
}

static void assert_problem(const char *label, const struct answer *answer, int status, const char *detail)
{
	struct error err = {0};
	AUTO(json) json_t *problem = NULL;
	if (answer->status != status)
		fail_msg("%s: %d, expected %d; %s", label, answer->status, status, answer->body);
	assert_ok(json_parse(answer->body, strlen(answer->body), &problem, &err), err);
	assert_int_equal(json_find_int(0, problem, "status"), status);
	assert_string_equal(json_find_str(problem, "type"), "about:blank");
	assert_non_null(json_find_str(problem, "title"));
	if (strstr(json_find_str(problem, "detail"), detail) == NULL)
		fail_msg("%s: \"%s\", expected: %s", label, json_find_str(problem, "detail"), detail);
}

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

static void *ask_once(void *arg)
{
	char token[64];
	struct error err = {0};
	struct answer answer = {0};
	int *number = arg;
	(void)snprintf(token, sizeof(token), "TOKENSECRET-ns-%d", *number);
	*number = post_with(client, CREDS, token, WISH, &answer, &err) == 0 ? answer.status : -1;
	return NULL;
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

// A bare TLS connection, for requests that no well-behaved client sends.
struct raw_client {
	int fd;
	SSL_CTX *ctx;
	SSL *ssl;
};

static int dial(const char *source)
{
	struct sockaddr_in from = {.sin_family = AF_INET};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((in_port_t)broker_port(broker))};
	const struct timeval limit = {.tv_sec = ANSWER_LIMIT_MS / 1000};
	assert_int_equal(inet_pton(AF_INET, source, &from.sin_addr), 1);
	assert_int_equal(inet_pton(AF_INET, "127.0.0.1", &to.sin_addr), 1);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static struct raw_client raw_open(void)
{
	struct raw_client raw = {.fd = dial("127.0.0.1"), .ctx = SSL_CTX_new(TLS_client_method())};
	raw.ssl = SSL_new(raw.ctx);
	assert_int_equal(SSL_set_fd(raw.ssl, raw.fd), 1);
	assert_int_equal(SSL_connect(raw.ssl), 1);
	return raw;
}

static void raw_close(struct raw_client *raw)
{
	SSL_free(raw->ssl);
	SSL_CTX_free(raw->ctx);
	(void)close(raw->fd);
}

// All that comes until the server closes.
static const char *raw_ask(const char *request)
{
	static char text[16384];
	size_t len = 0;
	struct raw_client raw = raw_open();
	(void)SSL_write(raw.ssl, request, (int)strlen(request));
	for (int n = 1; n > 0 && len + 1 < sizeof(text);) {
		n = SSL_read(raw.ssl, text + len, (int)(sizeof(text) - 1 - len));
		len += n > 0 ? (size_t)n : 0;
	}
	text[len] = '\0';
	raw_close(&raw);
	return text;
}

static void odd_requests_get_their_status_before_their_body_is_read(void **state)
{
	(void)state;
	static const struct {
		const char *request, *status, *also;
	} rows[] = {
		{"GET " CREDS " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 405", "\r\nAllow: POST\r\n"},
		{"PUT " STATS " HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 405", "Method Not Allowed"},
		{"POST " CREDS " HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n", "HTTP/1.1 401",
			"\r\nWWW-Authenticate: Bearer\r\n"},
		{"POST " CREDS " HTTP/1.1\r\nHost: x\r\nAuthorization: Basic eDp5\r\nContent-Length: 2\r\n\r\n{}", "HTTP/1.1 401",
			"application/problem+json"},
		{"POST " CREDS " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer TOKENSECRET-ns-1\r\nContent-Length: "
		 "65537\r\n\r\n",
			"HTTP/1.1 413", "longer than 65536 bytes"},
		{"POST " CREDS " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer TOKENSECRET-ns-1\r\nContent-Length: "
		 "10000000000\r\n\r\n",
			"HTTP/1.1 413", "application/problem+json"},
		{"POST " CREDS
		 " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer TOKENSECRET-ns-1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}",
			"HTTP/1.1 411", "Content-Length is needed"},
		{"POST " CREDS " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer TOKENSECRET-ns-1\r\nContent-Length: x\r\n\r\n",
			"HTTP/1.1 400", ""},
		{"nonsense\r\n\r\n", "", ""}, // closed without a word
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *answer = raw_ask(rows[i].request);
		if (strncmp(answer, rows[i].status, strlen(rows[i].status)) != 0 || strstr(answer, rows[i].also) == NULL)
			fail_msg("row %zu: expected %s, %s; got: %s", i, rows[i].status, rows[i].also, answer);
	}
	assert_int_equal(atomic_load(&world.reviews), 0);
}

static void a_head_without_end_is_refused(void **state)
{
	(void)state;
	char request[60000];
	int len = snprintf(request, sizeof(request), "POST " CREDS " HTTP/1.1\r\nHost: x\r\nX-Long: ");
	memset(request + len, 'a', sizeof(request) - (size_t)len - 1);
	request[sizeof(request) - 1] = '\0';
	const char *answer = raw_ask(request);
	// The server may close while the rest is on its way, and then its answer is lost.
	assert_true(*answer == '\0' || strncmp(answer, "HTTP/1.1 431", 12) == 0);
	assert_int_equal(post(CREDS, "TOKENSECRET-ns-1", WISH).status, 200);
}

// Bytes one by one until the server has had enough: true when it closed.
static bool is_cut_off(struct raw_client *raw, const char *text)
{
	int64_t deadline_mono_ms = clock_mono_ms() + ANSWER_LIMIT_MS;
	char c;
	for (size_t i = 0; clock_mono_ms() < deadline_mono_ms; i++) {
		struct pollfd came = {.fd = raw->fd, .events = POLLIN};
		const char *byte = &text[i < strlen(text) ? i : strlen(text) - 1];
		if (poll(&came, 1, 20) > 0) {
			if (raw->ssl == NULL ? read(raw->fd, &c, 1) <= 0 : SSL_read(raw->ssl, &c, 1) <= 0)
				return true;
			continue;
		}
		if (raw->ssl == NULL)
			(void)!send(raw->fd, byte, 1, MSG_NOSIGNAL);
		else if (SSL_write(raw->ssl, byte, 1) <= 0)
			return true;
	}
	return false;
}

static void slow_clients_are_cut_off(void **state)
{
	(void)state;
	struct raw_client in_handshake = {.fd = dial("127.0.0.1")};
	assert_true(is_cut_off(&in_handshake, "\x16\x03\x01\x02"));
	(void)close(in_handshake.fd);
	static const char *const texts[] = {"POST " CREDS " HTTP/1.1\r\nHost: x\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		"POST " CREDS " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer TOKENSECRET-ns-1\r\nContent-Length: 60000\r\n\r\n{"};
	for (size_t i = 0; i < 2; i++) {
		struct raw_client raw = raw_open();
		size_t at_once = i == 0 ? 0 : strlen(texts[i]) - 1;
		if (at_once > 0)
			assert_int_equal(SSL_write(raw.ssl, texts[i], (int)at_once), at_once);
		assert_true(is_cut_off(&raw, texts[i] + at_once));
		raw_close(&raw);
	}
	assert_int_equal(post(CREDS, "TOKENSECRET-ns-1", WISH).status, 200);
}

static void an_answer_may_take_longer_than_a_client_may(void **state)
{
	(void)state;
	world.fetch_waits_for_lookups = 2; // comes after the limit of the client
	pthread_t first, second;
	int numbers[] = {1, 2};
	assert_int_equal(pthread_create(&first, NULL, ask_once, &numbers[0]), 0);
	(void)usleep(3 * SHORT_LIMIT_MS * 1000);
	assert_int_equal(pthread_create(&second, NULL, ask_once, &numbers[1]), 0);
	assert_int_equal(pthread_join(first, NULL), 0);
	assert_int_equal(pthread_join(second, NULL), 0);
	assert_int_equal(numbers[0], 200);
	assert_int_equal(numbers[1], 200);
}

static void idle_connections_of_one_address_leave_room_for_others(void **state)
{
	(void)state;
	int fds[MORE_THAN_ALL];
	for (int i = 0; i < MORE_THAN_ALL; i++)
		fds[i] = dial("127.0.0.9");
	assert_int_equal(post(CREDS, "TOKENSECRET-ns-1", WISH).status, 200);
	for (int i = 0; i < MORE_THAN_ALL; i++)
		(void)close(fds[i]);
}

static void old_tls_and_plain_text_are_refused(void **state)
{
	(void)state;
	struct raw_client raw = {.fd = dial("127.0.0.1"), .ctx = SSL_CTX_new(TLS_client_method())};
	assert_int_equal(SSL_CTX_set_cipher_list(raw.ctx, "DEFAULT@SECLEVEL=0"), 1);
	assert_int_equal(SSL_CTX_set_min_proto_version(raw.ctx, 0), 1);
	assert_int_equal(SSL_CTX_set_max_proto_version(raw.ctx, TLS1_1_VERSION), 1);
	raw.ssl = SSL_new(raw.ctx);
	assert_int_equal(SSL_set_fd(raw.ssl, raw.fd), 1);
	assert_int_not_equal(SSL_connect(raw.ssl), 1);
	raw_close(&raw);

	char answer[256];
	static const char request[] = "POST " CREDS " HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
	int fd = dial("127.0.0.1");
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	ssize_t len = read(fd, answer, sizeof(answer));
	assert_true(len <= 0 || memcmp(answer, "HTTP", 4) != 0);
	(void)close(fd);
}

static void a_client_of_another_ca_does_not_talk_to_us(void **state)
{
	(void)state;
	struct error err = {0};
	struct answer answer = {0};
	bool changed = false;
	AUTO(ca_state) struct ca_state stranger = {0};
	assert_ok(ca_renew_if_due(&stranger, names.list, clock_wall_ms(), &changed, &err), err);
	AUTO(http_client) struct http_client *other = client_with(stranger.bundle_pem);
	assert_error(post_with(other, CREDS, "TOKENSECRET-ns-1", WISH, &answer, &err), err, ERROR_TRANSIENT, "certificate");
}

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
	assert_ok(broker_set_certificate(broker, leaf->cert_pem, &leaf->key_pem, &err), err);
}

static void a_renewal_of_ca_and_certificate_under_load_loses_no_request(void **state)
{
	(void)state;
	struct error err = {0};
	struct answer answer = {0};
	struct load load = {.lock = PTHREAD_MUTEX_INITIALIZER, .bundle_pem = ca.bundle_pem};
	struct loader loaders[LOADERS];
	pthread_t threads[LOADERS];
	AUTO_FREE char *old_bundle = strdup(ca.bundle_pem);
	bool changed = false;
	load.bundle_pem = old_bundle;
	for (int i = 0; i < LOADERS; i++) {
		loaders[i] = (struct loader){&load, i};
		assert_int_equal(pthread_create(&threads[i], NULL, load_broker, &loaders[i]), 0);
	}
	await_requests(&load, 30);

	// The CA is renewed; its last certificate is served, to pods of before and after.
	assert_ok(ca_renew_if_due(&ca, names.list, clock_wall_ms(), &changed, &err), err);
	assert_true(changed);
	assert_string_not_equal(ca.bundle_pem, old_bundle);
	use_leaf(&ca.leaf);
	await_requests(&load, 30);
	roll_out(&load, ca.bundle_pem);

	// Two months on the old key signs no more: the new CA's.
	secret_fini(&ca.old_key);
	for (int i = 0; i < SWAPS; i++) {
		AUTO(cert_pair) struct cert_pair leaf = {0};
		assert_ok(ca_issue(&ca, names.list, clock_wall_ms(), &leaf, &err), err);
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
	assert_ok(ca_issue(&ca, names.list, clock_wall_ms(), &other, &err), err);
	assert_error(broker_set_certificate(broker, "no PEM", &other.key_pem, &err), err, ERROR_INVALID, "certificate");
	assert_error(broker_set_certificate(broker, ca.leaf.cert_pem, &other.key_pem, &err), err, ERROR_INVALID, "certificate");
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
	struct broker *kept = broker;
	int before = open_descriptors();
	broker = start(0);
	world.fetch_waits_for_lookups = 2;
	pthread_t asker;
	int number = 1;
	AUTO(http_client) struct http_client *own = client_with(ca.bundle_pem);
	struct http_client *kept_client = client;
	client = own;
	assert_int_equal(pthread_create(&asker, NULL, ask_once, &number), 0);
	while (atomic_load(&world.fetches) == 0)
		(void)usleep(1000);
	world.failure.kind = ERROR_NONE;
	(void)atomic_fetch_add(&world.lookups, 1); // lets the fetch go on while the broker stops
	broker_stop(broker);
	assert_int_equal(pthread_join(asker, NULL), 0);
	assert_true(number == 200 || number == -1);
	client = kept_client;
	broker = kept;
	http_client_free(TAKE_PTR(own));
	assert_int_equal(open_descriptors(), before);
}

static void a_bad_start_says_why(void **state)
{
	(void)state;
	static const struct broker_callbacks callbacks = {.review = review, .lookup = lookup, .fetch = fetch};
	struct error err = {0};
	struct broker *made = NULL;
	char taken[64];
	AUTO(secret) struct secret no_key = {0};
	struct broker_options options = {
		.address = "nowhere", .cert_pem = ca.leaf.cert_pem, .key_pem = &ca.leaf.key_pem, .callbacks = &callbacks};
	assert_error(broker_start(&options, &made, &err), err, ERROR_INVALID, "nowhere");
	(void)snprintf(taken, sizeof(taken), "127.0.0.1:%d", broker_port(broker));
	options.address = taken;
	assert_error(broker_start(&options, &made, &err), err, ERROR_TRANSIENT, taken);
	options.address = "127.0.0.1:0";
	options.key_pem = &no_key;
	assert_error(broker_start(&options, &made, &err), err, ERROR_INVALID, "certificate");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
		CASE(odd_requests_get_their_status_before_their_body_is_read),
		CASE(a_head_without_end_is_refused),
		cmocka_unit_test_setup_teardown(slow_clients_are_cut_off, setup_impatient, teardown),
		cmocka_unit_test_setup_teardown(an_answer_may_take_longer_than_a_client_may, setup_impatient, teardown),
		CASE(idle_connections_of_one_address_leave_room_for_others),
		CASE(old_tls_and_plain_text_are_refused),
		CASE(a_client_of_another_ca_does_not_talk_to_us),
		CASE(a_renewal_of_ca_and_certificate_under_load_loses_no_request),
		CASE(a_bad_certificate_does_not_replace_a_good_one),
		CASE(a_broker_that_stops_waits_for_its_callbacks_and_leaves_nothing),
		CASE(a_bad_start_says_why),
	};
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	return cmocka_run_group_tests_name("canopy/broker", tests, NULL, NULL);
}
