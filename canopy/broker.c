#include "canopy/broker.h"

#include "base/clock.h"
#include "base/https_listener.h"
#include "base/log.h"
#include "canopy/callers.h"
#include "canopy/credential_cache.h"
#include "canopy/problem.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

// A few restores at once, each with one proxy and one or two connections; pods may share an address where traffic is masqueraded.
#define CONNECTIONS_MAX 128
#define CONNECTIONS_PER_IP_MAX 64

#define TOKEN_MAX 8192
#define NAMESPACE_SIZE 64
#define JOB_SIZE 254

struct broker {
	struct broker_callbacks callbacks;
	int64_t (*wall_ms)(void);
	int64_t (*mono_ms)(void);
	struct callers *callers;
	struct credential_cache *cache;
	struct https_listener *listener;
};

enum endpoint { ENDPOINT_CREDENTIALS, ENDPOINT_STATS, ENDPOINT_PROGRESS };

struct route {
	enum endpoint endpoint;
	char namespace[NAMESPACE_SIZE]; // of stats and progress
	char job[JOB_SIZE];
};

// What is known of a request while it is answered.
struct ask {
	const struct https_listener_request *request;
	struct route route;
	struct broker_caller caller;
	struct broker_replica replica;
};

// A segment of a path that is a name of Kubernetes; *text moves behind it.
static bool read_name(const char **text, char end, char *out, size_t size)
{
	size_t len = strspn(*text, "abcdefghijklmnopqrstuvwxyz0123456789-.");
	if (len == 0 || len >= size || (*text)[len] != end)
		return false;
	memcpy(out, *text, len);
	out[len] = '\0';
	*text += len + 1;
	return true;
}

static bool find_route(const char *path, struct route *out)
{
	static const struct {
		const char *prefix;
		enum endpoint endpoint;
	} callbacks[] = {{BROKER_PATH_STATS, ENDPOINT_STATS}, {BROKER_PATH_PROGRESS, ENDPOINT_PROGRESS}};

	*out = (struct route){.endpoint = ENDPOINT_CREDENTIALS};
	if (strcmp(path, BROKER_PATH_CREDENTIALS) == 0)
		return true;
	for (size_t i = 0; i < sizeof(callbacks) / sizeof(callbacks[0]); i++) {
		const char *rest = path + strlen(callbacks[i].prefix);
		if (strncmp(path, callbacks[i].prefix, strlen(callbacks[i].prefix)) != 0)
			continue;
		out->endpoint = callbacks[i].endpoint;
		return read_name(&rest, '/', out->namespace, sizeof(out->namespace)) &&
		       read_name(&rest, '\0', out->job, sizeof(out->job));
	}
	return false;
}

// The token of "Authorization: Bearer TOKEN" (RFC 6750 section 2.1); NULL when there is none.
static const char *bearer_of(const char *authorization)
{
	static const char token_characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=";
	if (strncasecmp(authorization, "Bearer ", strlen("Bearer ")) != 0)
		return NULL;
	const char *token = authorization + strlen("Bearer ");
	size_t len = strlen(token);
	return len > 0 && len <= TOKEN_MAX && strspn(token, token_characters) == len ? token : NULL;
}

static int check_head(const struct https_listener_request *request, struct error *err)
{
	struct route route;
	if (!find_route(request->path, &route))
		return problem_set(err, 404, "there is no such path here");
	if (strcmp(request->method, "POST") != 0)
		return problem_set(err, 405, "only POST is allowed here");
	if (bearer_of(request->authorization) == NULL)
		return problem_set(err, 401, "a bearer token is needed");
	if (request->content_length < 0)
		return problem_set(err, 411, "a body with Content-Length is needed");
	if ((uint64_t)request->content_length > BROKER_BODY_MAX)
		return problem_set(err, 413, "the body is longer than %zu bytes", BROKER_BODY_MAX);
	return 0;
}

static void answer_problem(const struct error *err, struct https_listener_answer *answer)
{
	problem_answer(err, answer);
	if (answer->status == 401) {
		answer->headers[0][0] = "WWW-Authenticate";
		answer->headers[0][1] = "Bearer";
	} else if (answer->status == 405) {
		answer->headers[0][0] = "Allow";
		answer->headers[0][1] = "POST";
	}
}

// These cost the sender as much as us, and a line for each would let anybody fill the log.
static bool refuse(void *arg, const struct https_listener_request *request, struct https_listener_answer *answer)
{
	struct error err = {0};
	(void)arg;
	if (check_head(request, &err) == 0)
		return false;
	answer_problem(&err, answer);
	return true;
}

static int read_object(const struct https_listener_request *request, json_t **out, struct error *err)
{
	AUTO(json) json_t *body = NULL;
	if (json_parse(request->body, request->body_len, &body, err) < 0 && err->kind != ERROR_INVALID)
		return problem_of_failure(err);
	if (!json_is_object(body))
		return problem_set(err, 400, "the body is no JSON object");
	*out = TAKE_PTR(body);
	return 0;
}

// The one who asks names what it wants, so that a pod with another's settings is refused instead of served with the wrong keys.
static int check_wish(const struct ask *ask, const json_t *wish, struct error *err)
{
	char group[UUID_TEXT_SIZE];
	const char *group_text = NULL, *type = NULL;
	if (json_need_str(wish, "group", &group_text, err) < 0 || json_need_str(wish, "type", &type, err) < 0 ||
		uuid_parse(group_text, group, err) < 0)
		return problem_set(err, 400, "the body needs \"group\", a UUID, and \"type\", a string");
	if (strcmp(group, ask->replica.group) != 0 || strcmp(type, ask->replica.type) != 0)
		return problem_set(err, 403, "namespace %s is of another group or type", ask->caller.namespace);
	return 0;
}

static void audit(const struct ask *ask, const struct canopy_credentials *keys, bool is_new)
{
	char expires[CLOCK_TEXT_SIZE];
	clock_format(keys->expires_at_ms, expires);
	log_info("credentials issued", LOG_STR("namespace", ask->caller.namespace),
		LOG_STR("service_account", ask->caller.service_account), LOG_STR("pod", ask->caller.pod),
		LOG_STR("peer", ask->request->peer), LOG_STR("group", ask->replica.group), LOG_STR("type", ask->replica.type),
		LOG_STR("run_id", ask->replica.run_id), LOG_STR("expires", expires), LOG_BOOL("from_cache", !is_new));
}

// The `credentials` object of canopy: https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
static int write_keys(const struct canopy_credentials *keys, struct buf *out, struct error *err)
{
	char expires[CLOCK_TEXT_SIZE];
	char *text = NULL;
	AUTO(json) json_t *object = NULL;
	clock_format(keys->expires_at_ms, expires);
	if (json_made(json_pack("{s:i, s:s, s:s, s:s, s:s}", "Version", 1, "AccessKeyId", secret_reveal(&keys->access_key_id),
			      "SecretAccessKey", secret_reveal(&keys->secret_access_key), "SessionToken",
			      secret_reveal(&keys->session_token), "Expiration", expires),
		    "credentials", &object, err) < 0 ||
		json_print(object, &text, err) < 0)
		return -1;
	int rc = buf_add_str(out, text, err);
	secret_wipe(text, strlen(text));
	free(text);
	return rc;
}

static int give_credentials(struct broker *broker, struct ask *ask, struct https_listener_answer *answer, struct error *err)
{
	AUTO(json) json_t *wish = NULL;
	AUTO(canopy_credentials) struct canopy_credentials keys = {0};
	const struct broker_replica *replica = &ask->replica;
	bool is_new = false;
	if (read_object(ask->request, &wish, err) < 0 || check_wish(ask, wish, err) < 0)
		return -1;
	if (credential_cache_get(broker->cache, replica->group, replica->type, replica->run_id, &keys, &is_new, err) < 0)
		return problem_of_canopy(err);
	if (write_keys(&keys, &answer->body, err) < 0)
		return problem_of_failure(err);
	answer->status = 200;
	answer->content_type = "application/json";
	audit(ask, &keys, is_new);
	return 0;
}

static int take_counts(struct broker *broker, struct ask *ask, struct https_listener_answer *answer, struct error *err)
{
	AUTO(json) json_t *counts = NULL;
	broker_take take = ask->route.endpoint == ENDPOINT_STATS ? broker->callbacks.stats : broker->callbacks.progress;
	if (read_object(ask->request, &counts, err) < 0)
		return -1;
	if (take(broker->callbacks.arg, ask->route.namespace, ask->route.job, &ask->replica, counts, err) < 0) {
		if (err->kind == ERROR_INVALID && err->http_status == 0)
			return problem_set(err, 422, "%s", err->text);
		return problem_of_canopy(err);
	}
	answer->status = 204;
	return 0;
}

static int look_up(struct broker *broker, struct ask *ask, struct error *err)
{
	const char *namespace = ask->caller.namespace;
	if (ask->route.endpoint != ENDPOINT_CREDENTIALS && strcmp(ask->route.namespace, namespace) != 0)
		return problem_set(err, 403, "the token is of namespace %s", namespace);
	if (broker->callbacks.lookup(broker->callbacks.arg, namespace, &ask->replica, err) == 0)
		return 0;
	if (err->kind != ERROR_NOT_FOUND && err->kind != ERROR_INVALID)
		return problem_of_failure(err);
	err->http_status = 403;
	return -1;
}

static int answer_ask(struct broker *broker, struct ask *ask, struct https_listener_answer *answer, struct error *err)
{
	const char *token = bearer_of(ask->request->authorization);
	(void)find_route(ask->request->path, &ask->route); // check_head() has seen that there is one
	if (callers_admit(broker->callers, token, ask->request->peer, broker->mono_ms(), &ask->caller, err) < 0 ||
		look_up(broker, ask, err) < 0)
		return -1;
	return ask->route.endpoint == ENDPOINT_CREDENTIALS ? give_credentials(broker, ask, answer, err)
							   : take_counts(broker, ask, answer, err);
}

// What asks too often is not logged: the line would be one for each time.
static void log_refused(const struct ask *ask, const struct error *err)
{
	if (err->http_status != 429)
		log_warn("broker request refused", LOG_STR("path", ask->request->path), LOG_STR("peer", ask->request->peer),
			LOG_STR("namespace", ask->caller.namespace), LOG_INT("status", err->http_status), LOG_ERR(err));
}

static void serve(void *arg, const struct https_listener_request *request, struct https_listener_answer *answer)
{
	struct broker *broker = arg;
	struct ask ask = {.request = request};
	struct error err = {0};
	if (answer_ask(broker, &ask, answer, &err) == 0)
		return;
	buf_reset(&answer->body);
	log_refused(&ask, &err);
	answer_problem(&err, answer);
}

static void release(struct broker *broker)
{
	https_listener_stop(broker->listener);
	credential_cache_free(broker->cache);
	callers_free(broker->callers);
	free(broker);
}

DEFINE_AUTO(struct broker, release, release)

int broker_start(const struct broker_options *options, struct broker **out, struct error *err)
{
	AUTO(release) struct broker *broker = calloc(1, sizeof(*broker));
	if (broker == NULL)
		return error_no_memory(err, "broker");
	broker->callbacks = *options->callbacks;
	broker->wall_ms = options->wall_ms == NULL ? clock_wall_ms : options->wall_ms;
	broker->mono_ms = options->mono_ms == NULL ? clock_mono_ms : options->mono_ms;
	const struct https_listener_options listen = {.address = options->address,
		.cert_pem = options->cert_pem,
		.key_pem = options->key_pem,
		.connections_max = CONNECTIONS_MAX,
		.connections_per_ip_max = CONNECTIONS_PER_IP_MAX,
		.body_max_bytes = BROKER_BODY_MAX,
		.request_limit_ms = options->request_limit_ms > 0 ? options->request_limit_ms : BROKER_REQUEST_LIMIT_MS,
		.refuse = refuse,
		.serve = serve,
		.arg = broker};
	const struct broker_callbacks *calls = &broker->callbacks;
	if (callers_new(calls->review, calls->arg, &broker->callers, err) < 0 ||
		credential_cache_new(calls->fetch, calls->arg, broker->wall_ms, &broker->cache, err) < 0 ||
		https_listener_start(&listen, &broker->listener, err) < 0)
		return error_wrap(err, "broker");
	*out = TAKE_PTR(broker);
	return 0;
}

int broker_port(const struct broker *broker)
{
	return https_listener_port(broker->listener);
}

int broker_set_certificate(struct broker *broker, const char *cert_pem, const struct secret *key_pem, struct error *err)
{
	return https_listener_set_certificate(broker->listener, cert_pem, key_pem, err);
}

void broker_stop(struct broker *broker)
{
	if (broker != NULL)
		release(broker);
}
