// Requests to the broker (canopy/broker.h) without its listener (linked with --wrap): who asks for what may be asked gets it, all
// others a problem body that says why and holds no secret. Input: "METHOD PATH", a line end, the Authorization header, a line
// end, the body.
#include "base/https_listener.h"
#include "base/log.h"
#include "canopy/broker.h"
#include "tests/fuzz/fuzz.h"
#include <stdio.h>
#include <string.h>

#define TOKEN "token-of-replica-a"
#define TOKEN_OF_NOBODY "token-of-nobody"
#define NAMESPACE "replica-a"
#define GROUP "11111111-2222-4333-8444-555555555555"
#define TYPE "postgres"
#define SECRET_KEY "secret-access-key"
#define NOW_MS INT64_C(1795000000000)

int __wrap_https_listener_start(const struct https_listener_options *options, struct https_listener **out, struct error *err);
void __wrap_https_listener_stop(struct https_listener *listener);

static struct https_listener_options listener; // as the broker asked for it
static struct broker *broker;
static int taken; // calls of stats and progress during a request

int __wrap_https_listener_start(const struct https_listener_options *options, struct https_listener **out, struct error *err)
{
	(void)err;
	listener = *options;
	*out = NULL;
	return 0;
}

void __wrap_https_listener_stop(struct https_listener *stopped)
{
	(void)stopped;
}

static int review(void *arg, const char *token, struct broker_caller *out, struct error *err)
{
	(void)arg;
	FUZZ_CHECK(*token != '\0' && strpbrk(token, " \r\n\t\"") == NULL, "token \"%s\"", token);
	bool is_ours = strcmp(token, TOKEN) == 0;
	if (!is_ours && strcmp(token, TOKEN_OF_NOBODY) != 0)
		return error_set(err, ERROR_INVALID, "the token is not valid here");
	*out = (struct broker_caller){.service_account = "restore"};
	(void)snprintf(out->namespace, sizeof(out->namespace), "%s", is_ours ? NAMESPACE : "nobody");
	return 0;
}

static int lookup(void *arg, const char *namespace, struct broker_replica *out, struct error *err)
{
	(void)arg;
	if (strcmp(namespace, NAMESPACE) != 0)
		return error_set(err, ERROR_NOT_FOUND, "namespace %s is not managed", namespace);
	*out = (struct broker_replica){.group = GROUP, .type = TYPE, .run_id = "0e4ad5c3-6b0c-4f0e-8f5c-1f2a3b4c5d6e"};
	return 0;
}

static int fetch(
	void *arg, const char *group, const char *type, const char *run_id, struct canopy_credentials *out, struct error *err)
{
	(void)arg;
	(void)run_id;
	FUZZ_CHECK(strcmp(group, GROUP) == 0 && strcmp(type, TYPE) == 0, "keys of %s, %s", group, type);
	*out = (struct canopy_credentials){.expires_at_ms = NOW_MS + 3600000};
	if (secret_set(&out->access_key_id, "ASIAEXAMPLE", err) < 0 || secret_set(&out->secret_access_key, SECRET_KEY, err) < 0 ||
		secret_set(&out->session_token, "session", err) < 0)
		return -1;
	return 0;
}

// A count named "fail" is one that canopy refuses, with the words that the body holds.
static int take(void *arg, const char *namespace, const char *job, const struct broker_replica *replica, const json_t *counts,
	struct error *err)
{
	static const char name[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";
	(void)arg;
	taken++;
	FUZZ_CHECK(strcmp(namespace, NAMESPACE) == 0 && strcmp(replica->group, GROUP) == 0, "counts of another namespace");
	FUZZ_CHECK(*job != '\0' && strspn(job, name) == strlen(job) && json_is_object(counts), "job \"%s\", or counts", job);
	const char *words = json_find_str(counts, "fail");
	return words == NULL ? 0 : error_set(err, ERROR_INVALID, "refused: %s", words);
}

static int64_t wall_ms(void)
{
	return NOW_MS;
}

// A minute between two requests: reviews are forgotten and nobody asks too often.
static int64_t mono_ms(void)
{
	static int64_t now_ms = 1;
	return now_ms += 60000;
}

static void start(void)
{
	static const struct broker_callbacks callbacks = {
		.review = review, .lookup = lookup, .fetch = fetch, .stats = take, .progress = take};
	const struct broker_options options = {.callbacks = &callbacks, .wall_ms = wall_ms, .mono_ms = mono_ms};
	struct error err = {0};
	log_setup(LOG_ERROR, LOG_LOGFMT); // refusals are warnings
	FUZZ_CHECK(broker_start(&options, &broker, &err) == 0, "%s", err.text);
}

static void check_problem(const struct https_listener_answer *answer, bool before_body)
{
	AUTO(json) json_t *problem = fuzz_json(buf_str(&answer->body), answer->body.len);
	int status = answer->status;
	bool is_early = status == 404 || status == 405 || status == 401 || status == 411 || status == 413;
	bool is_late = status == 400 || status == 401 || status == 403 || status == 422;
	FUZZ_CHECK(before_body ? is_early : is_late, "status %d", status);
	FUZZ_CHECK(
		answer->content_type != NULL && strcmp(answer->content_type, "application/problem+json") == 0, "no problem body");
	const char *detail = json_find_str(problem, "detail");
	FUZZ_CHECK(
		detail != NULL && *detail != '\0' && json_find_int(0, problem, "status") == status, "%s", buf_str(&answer->body));
	FUZZ_CHECK(strstr(buf_str(&answer->body), SECRET_KEY) == NULL || taken > 0, "a secret is told");
	FUZZ_CHECK((status == 401) == (answer->headers[0][0] != NULL && strcmp(answer->headers[0][0], "WWW-Authenticate") == 0),
		"WWW-Authenticate");
}

static bool has_token(const struct https_listener_request *request)
{
	return strncasecmp(request->authorization, "bearer ", 7) == 0 && strcmp(request->authorization + 7, TOKEN) == 0;
}

static void check_keys(const struct https_listener_request *request, const struct https_listener_answer *answer)
{
	struct error err = {0};
	char group[UUID_TEXT_SIZE];
	AUTO(json) json_t *wish = fuzz_json(request->body, request->body_len);
	AUTO(json) json_t *keys = fuzz_json(buf_str(&answer->body), answer->body.len);
	FUZZ_CHECK(has_token(request) && strcmp(request->path, BROKER_PATH_CREDENTIALS) == 0, "keys for %s", request->path);
	const char *type = json_find_str(wish, "type");
	FUZZ_CHECK(type != NULL && strcmp(type, TYPE) == 0 && uuid_parse(json_find_str(wish, "group"), group, &err) == 0 &&
			   strcmp(group, GROUP) == 0,
		"keys of another group");
	FUZZ_CHECK(json_object_size(keys) == 5, "%s", buf_str(&answer->body));
	FUZZ_CHECK(strcmp(json_find_str(keys, "SecretAccessKey"), SECRET_KEY) == 0, "another key");
}

static void check_answer(const struct https_listener_request *request, const struct https_listener_answer *answer)
{
	FUZZ_CHECK(strcmp(request->method, "POST") == 0, "method %s is served", request->method);
	if (answer->status == 200) {
		check_keys(request, answer);
	} else if (answer->status == 204) {
		FUZZ_CHECK(has_token(request) && taken == 1 && answer->body.len == 0, "counts that nobody took");
		FUZZ_CHECK(strstr(request->path, "/" NAMESPACE "/") != NULL, "counts for %s", request->path);
	} else {
		check_problem(answer, false);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE char *line = fuzz_line(&data, &size);
	AUTO_FREE char *authorization = fuzz_line(&data, &size);
	AUTO_FREE char *body = fuzz_bytes(data, size); // as the listener gives it
	char *path = strchr(line, ' ');
	if (path == NULL)
		return 0;
	*path++ = '\0';
	if (broker == NULL)
		start();
	taken = 0;
	struct https_listener_request request = {.method = line,
		.path = path,
		.authorization = authorization,
		.content_length = size == 0 ? -1 : (int64_t)size,
		.body = "",
		.peer = "127.0.0.1"};
	struct https_listener_answer answer = {.status = 500};
	buf_init(&answer.body, BROKER_BODY_MAX);
	if (listener.refuse(listener.arg, &request, &answer)) {
		check_problem(&answer, true);
	} else {
		request.body = body;
		request.body_len = size;
		listener.serve(listener.arg, &request, &answer);
		check_answer(&request, &answer);
	}
	buf_fini(&answer.body);
	return 0;
}
