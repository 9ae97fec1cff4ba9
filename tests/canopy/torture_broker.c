// Torture (tests/support/torture.h) of the broker: requests without its listener (linked with --wrap), and the listener itself.
#include "base/https_listener.h"
#include "base/log.h"
#include "canopy/broker.h"
#include "canopy/ca.h"
#include "tests/support/cmocka.h"
#include "tests/support/torture.h"
#include <stdio.h>
#include <string.h>

#define GROUP "11111111-2222-4333-8444-555555555555"
#define KEY "wJalrXUtnFEMI"
#define NOW_MS INT64_C(1795000000000)

int __real_https_listener_start(const struct https_listener_options *options, struct https_listener **out, struct error *err);
void __real_https_listener_stop(struct https_listener *listener);
int __wrap_https_listener_start(const struct https_listener_options *options, struct https_listener **out, struct error *err);
void __wrap_https_listener_stop(struct https_listener *listener);

static struct https_listener_options listener; // as the broker asked for it

int __wrap_https_listener_start(const struct https_listener_options *options, struct https_listener **out, struct error *err)
{
	listener = *options;
	*out = NULL;
	return torture_fails("https_listener_start", 0) ? error_set(err, ERROR_INTERNAL, "it does not start") : 0;
}

void __wrap_https_listener_stop(struct https_listener *stopped)
{
	(void)stopped;
}

static int review(void *arg, const char *token, struct broker_caller *out, struct error *err)
{
	(void)arg;
	if (strcmp(token, "good") != 0)
		return error_set(err, ERROR_INVALID, "the token is not valid here");
	*out = (struct broker_caller){.namespace = "replica-a", .service_account = "restore"};
	return 0;
}

static int lookup(void *arg, const char *namespace, struct broker_replica *out, struct error *err)
{
	(void)arg;
	(void)namespace;
	(void)err;
	*out = (struct broker_replica){.group = GROUP, .type = "postgres", .run_id = "0e4ad5c3-6b0c-4f0e-8f5c-1f2a3b4c5d6e"};
	return 0;
}

static int fetch(
	void *arg, const char *group, const char *type, const char *run_id, struct canopy_credentials *out, struct error *err)
{
	AUTO(canopy_credentials) struct canopy_credentials keys = {.expires_at_ms = NOW_MS + 3600000};
	(void)arg;
	(void)group;
	(void)type;
	(void)run_id;
	if (secret_set(&keys.access_key_id, "ASIA", err) < 0 || secret_set(&keys.secret_access_key, KEY, err) < 0 ||
		secret_set(&keys.session_token, "session", err) < 0)
		return -1;
	*out = keys;
	keys = (struct canopy_credentials){0};
	return 0;
}

static int take(void *arg, const char *namespace, const char *job, const struct broker_replica *replica, const json_t *counts,
	struct error *err)
{
	(void)arg;
	(void)namespace;
	(void)job;
	(void)replica;
	return json_find_int(-1, counts, "sent") == 7 ? 0 : error_set(err, ERROR_INVALID, "no counts");
}

static int64_t wall_ms(void)
{
	return NOW_MS;
}

static int start(struct broker **out, struct error *err)
{
	static const struct broker_callbacks callbacks = {
		.review = review, .lookup = lookup, .fetch = fetch, .stats = take, .progress = take};
	return broker_start(&(struct broker_options){.callbacks = &callbacks, .wall_ms = wall_ms}, out, err);
}

static int start_the_broker(struct buf *made, struct error *err)
{
	AUTO(broker) struct broker *broker = NULL;
	torture_begin();
	int rc = start(&broker, err);
	torture_end();
	if (broker != NULL)
		torture_say(made, "a broker");
	return rc;
}

// A fault of ours is a 5xx, which the proxy tries again; never a 4xx, which would end a restore.
static int ask(const char *path, const char *token, const char *body, struct buf *made, struct error *err)
{
	AUTO(broker) struct broker *broker = NULL;
	char authorization[32];
	if (start(&broker, err) < 0)
		return -1;
	(void)snprintf(authorization, sizeof(authorization), "Bearer %s", token);
	struct https_listener_request request = {.method = "POST",
		.path = path,
		.authorization = authorization,
		.content_length = (int64_t)strlen(body),
		.body = "",
		.peer = "127.0.0.1"};
	struct https_listener_answer answer = {.status = 500};
	buf_init(&answer.body, BROKER_BODY_MAX);
	torture_begin();
	if (!listener.refuse(listener.arg, &request, &answer)) {
		request.body = body;
		request.body_len = strlen(body);
		listener.serve(listener.arg, &request, &answer);
	}
	torture_end();
	int rc = answer.status < 500 ? 0 : error_set(err, ERROR_TRANSIENT, "status %d", answer.status);
	if (rc == 0)
		torture_say(made, "%d %s", answer.status, answer.status < 400 ? buf_str(&answer.body) : "");
	else if (strstr(buf_str(&answer.body), KEY) != NULL)
		torture_say(made, "a secret: %s", buf_str(&answer.body));
	buf_fini(&answer.body);
	return rc;
}

static int ask_for_keys(struct buf *made, struct error *err)
{
	return ask(BROKER_PATH_CREDENTIALS, "good", "{\"group\":\"" GROUP "\",\"type\":\"postgres\"}", made, err);
}

static int send_counts(struct buf *made, struct error *err)
{
	return ask(BROKER_PATH_STATS "replica-a/restore-1", "good", "{\"sent\":7}", made, err);
}

static int ask_without_right(struct buf *made, struct error *err)
{
	return ask(BROKER_PATH_CREDENTIALS, "bad", "{\"group\":\"" GROUP "\",\"type\":\"postgres\"}", made, err);
}

static int ask_nonsense(struct buf *made, struct error *err)
{
	return ask(BROKER_PATH_CREDENTIALS, "good", "nonsense", made, err);
}

// The listener.

static struct ca_state ca;

static int need_ca(struct error *err)
{
	static const char *const names[] = {"127.0.0.1", NULL};
	bool changed = false;
	return ca.bundle_pem != NULL ? 0 : ca_renew_if_due(&ca, names, NOW_MS, &changed, err);
}

static bool refuse(void *arg, const struct https_listener_request *request, struct https_listener_answer *answer)
{
	(void)arg;
	(void)request;
	answer->status = 404;
	return true;
}

static int start_the_listener(struct buf *made, struct error *err)
{
	struct https_listener *started = NULL;
	if (need_ca(err) < 0)
		return -1;
	const struct https_listener_options options = {.address = "127.0.0.1:0",
		.cert_pem = ca.leaf.cert_pem,
		.key_pem = &ca.leaf.key_pem,
		.connections_max = 4,
		.connections_per_ip_max = 4,
		.body_max_bytes = 1024,
		.request_limit_ms = 1000,
		.refuse = refuse};
	torture_begin();
	int rc = __real_https_listener_start(&options, &started, err);
	if (rc == 0)
		rc = https_listener_set_certificate(started, ca.leaf.cert_pem, &ca.leaf.key_pem, err);
	torture_end();
	if (rc == 0)
		torture_say(made, "%d", https_listener_port(started) > 0);
	__real_https_listener_stop(started);
	return rc;
}

int main(void)
{
	static const struct torture_case cases[] = {
		{.name = "the broker starts", .run = start_the_broker},
		{.name = "keys are asked for", .run = ask_for_keys},
		{.name = "counts are sent", .run = send_counts},
		{.name = "who may not is refused", .run = ask_without_right},
		{.name = "nonsense is refused", .run = ask_nonsense},
		{.name = "the listener starts", .run = start_the_listener},
	};
	log_setup(LOG_ERROR, LOG_LOGFMT); // refusals are warnings
	int failures = torture_main("torture/broker", cases, sizeof(cases) / sizeof(cases[0]));
	ca_state_fini(&ca);
	return failures;
}
