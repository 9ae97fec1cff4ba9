#include "tests/canopy/broker_world.h"

#include "base/clock.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

struct broker_world world;

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

struct http_client *client_with(const char *bundle_pem)
{
	struct error err = {0};
	struct http_client *made = NULL;
	if (http_client_new(&(struct http_options){.ca_pem = bundle_pem}, &made, &err) < 0)
		print_error("%s\n", err.text);
	return made;
}

const struct broker_callbacks broker_world_callbacks = {
	.review = review, .lookup = lookup, .fetch = fetch, .stats = stats, .progress = progress};

struct broker *broker_world_start(int64_t request_limit_ms)
{
	struct error err = {0};
	struct broker *made = NULL;
	const struct broker_options options = {.address = "127.0.0.1:0",
		.cert_pem = world.ca.leaf.cert_pem,
		.key_pem = &world.ca.leaf.key_pem,
		.callbacks = &broker_world_callbacks,
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
	assert_ok(ca_service_names(&world.names, "understory", "pgro-system", extra, &err), err);
	assert_ok(ca_renew_if_due(&world.ca, world.names.list, now_ms - CA_LIFE_MS / 3 * 2 - CA_DAY_MS, &changed, &err), err);
	assert_ok(ca_renew_if_due(&world.ca, world.names.list, now_ms - 10 * CA_DAY_MS, &changed, &err), err);
}

static int setup_with(int64_t request_limit_ms)
{
	memset(&world, 0, sizeof(world));
	world.life_ms = 3600000;
	make_due_ca(clock_wall_ms());
	world.broker = broker_world_start(request_limit_ms);
	world.client = client_with(world.ca.bundle_pem);
	(void)fflush(stderr);
	saved_stderr = dup(STDERR_FILENO);
	log_fd = memfd_create("log", MFD_CLOEXEC);
	return dup2(log_fd, STDERR_FILENO) < 0 ? -1 : 0;
}

int broker_world_setup(void **state)
{
	(void)state;
	return setup_with(0);
}

int broker_world_setup_impatient(void **state)
{
	(void)state;
	return setup_with(SHORT_LIMIT_MS);
}

const char *logged(void)
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
int broker_world_teardown(void **state)
{
	(void)state;
	http_client_free(world.client);
	broker_stop(world.broker);
	(void)dup2(saved_stderr, STDERR_FILENO);
	(void)close(saved_stderr);
	bool is_clean = strstr(logged(), "SECRET") == NULL && strstr(logged(), "PRIVATE") == NULL;
	if (!is_clean)
		print_error("in the log: %s\n", logged());
	show_what_is_no_log(logged());
	(void)close(log_fd);
	ca_state_fini(&world.ca);
	return is_clean ? 0 : -1;
}

int post_with(
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

struct answer post(const char *path, const char *token, const char *body)
{
	struct error err = {0};
	struct answer answer = {0};
	assert_ok(post_with(world.client, path, token, body, &answer, &err), err);
	return answer;
}

void assert_problem(const char *label, const struct answer *answer, int status, const char *detail)
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

void *ask_once(void *arg)
{
	char token[64];
	struct error err = {0};
	struct answer answer = {0};
	int *number = arg;
	(void)snprintf(token, sizeof(token), "TOKENSECRET-ns-%d", *number);
	*number = post_with(world.client, CREDS, token, WISH, &answer, &err) == 0 ? answer.status : -1;
	return NULL;
}
