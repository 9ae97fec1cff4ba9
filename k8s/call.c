#include "k8s/call.h"

#include "base/clock.h"
#include "base/random.h"
#include "k8s/url.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

#define JITTER_PERCENT 50
#define CANCEL_POLL_MS 100 // how long a wait may overlook that it is cancelled

// What is known of the tries of one call.
struct progress {
	struct k8s_client *client;
	const struct k8s_call *call;
	int64_t deadline_ms; // monotonic
	int tries;
	bool observed;      // the request in hand is counted
	bool body_taken;    // by call->on_body
	bool is_refused;    // the next try is with other credentials
	uint64_t issue;     // of the credentials of the last try
	struct error first; // that was transient
};

int k8s_call_wrap(const struct k8s_call *call, struct error *err)
{
	const char *namespace = call->namespace == NULL ? "" : call->namespace;
	const char *name = call->name == NULL ? "" : call->name;
	const char *space = *namespace != '\0' || *name != '\0' ? " " : "";
	const char *slash = *namespace != '\0' && *name != '\0' ? "/" : "";
	return error_wrap(err, "%s %s%s%s%s%s", call->verb, call->resource, space, namespace, slash, name);
}

static enum error_kind kind_of(int status, const char *reason)
{
	if (status == 409 && reason != NULL && strcmp(reason, "AlreadyExists") == 0)
		return ERROR_EXISTS;
	if (status == 410) // of a list or watch: it is to be begun again
		return ERROR_CONFLICT;
	return http_status_kind(status);
}

// The Status that the API server answers, or a bare number when something before it did:
// https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
static int refusal(const struct http_response *response, struct error *err)
{
	struct error ignored;
	AUTO(json) json_t *body = NULL;
	const char *kind = NULL;
	if (json_parse(buf_str(&response->body), response->body.len, &body, &ignored) == 0)
		kind = json_find_str(body, "kind");
	bool is_status = kind != NULL && strcmp(kind, "Status") == 0;
	const char *message = is_status ? json_find_str(body, "message") : NULL;
	enum error_kind error_kind = kind_of(response->status, is_status ? json_find_str(body, "reason") : NULL);
	if (message != NULL && message[0] != '\0')
		(void)error_set(err, error_kind, "%s", message);
	else
		(void)error_set(err, error_kind, "HTTP status %d without a reason", response->status);
	err->http_status = response->status;
	err->retry_after_ms = response->retry_after_ms;
	return -1;
}

static void observe(struct progress *p, int status)
{
	if (p->client->on_request != NULL && !p->observed)
		p->client->on_request(p->client->on_request_arg, p->call->verb, p->call->resource, status);
	p->observed = true;
}

static void pass_head(void *arg, int status)
{
	struct progress *p = arg;
	observe(p, status);
	p->call->on_head(p->call->arg, status);
}

static int pass_body(void *arg, const char *data, size_t len, struct error *err)
{
	struct progress *p = arg;
	p->body_taken = true;
	return p->call->on_body(p->call->arg, data, len, err);
}

static const atomic_bool *cancel_of(const struct progress *p)
{
	return p->call->cancel != NULL ? p->call->cancel : p->client->cancel;
}

static int request_once(struct k8s_client *client, struct progress *p, struct http_response *response, struct error *err)
{
	const struct k8s_call *call = p->call;
	char accept[160];
	char content_type[80];
	AUTO(k8s_pass) struct k8s_pass pass = {0};
	AUTO(buf) struct buf url;
	buf_init(&url, 2 * K8S_URL_MAX);

	const struct k8s_pass_ask ask = {
		.is_refused = p->is_refused, .refused = p->issue, .deadline_ms = p->deadline_ms, .cancel = cancel_of(p)};
	if (k8s_credentials_get(&client->credentials, &ask, &pass, err) < 0 ||
		buf_add_str(&url, client->config->server, err) < 0 || buf_add_str(&url, call->target, err) < 0)
		return -1;
	p->issue = pass.issue;
	// Last: a plugin may have taken longer than a Lease lasts.
	if (client->may_write != NULL && strcmp(call->method, "GET") != 0 && !client->may_write(client->may_write_arg))
		return error_set(err, ERROR_CANCELLED, "this operator does not lead: nothing is written");
	(void)snprintf(accept, sizeof(accept), "Accept: %s", call->accept == NULL ? "application/json" : call->accept);
	(void)snprintf(
		content_type, sizeof(content_type), "Content-Type: %s", call->content_type == NULL ? "" : call->content_type);
	int64_t left_ms = p->deadline_ms - clock_mono_ms();
	const char *const headers[] = {accept, call->content_type == NULL ? NULL : content_type, NULL};
	const struct http_request request = {
		.method = call->method,
		.url = buf_str(&url),
		.headers = headers,
		.bearer = &pass.token,
		.body = call->body,
		.body_len = call->body == NULL ? 0 : strlen(call->body),
		.timeout_ms = left_ms > 0 ? left_ms : 1, // 0 would stand for the default
		.silence_timeout_ms = call->silence_timeout_ms,
		.max_body_bytes = call->max_body_bytes,
		.on_head = call->on_head == NULL ? NULL : pass_head,
		.on_body = call->on_body == NULL ? NULL : pass_body,
		.arg = p,
		.cancel = cancel_of(p),
	};
	p->observed = false;
	int rc = http_do(pass.link->http, &request, response, err);
	observe(p, rc < 0 ? 0 : response->status);
	return rc;
}

static int try_once(struct k8s_client *client, struct progress *p, struct http_response *response, struct error *err)
{
	struct http_response answer;
	p->tries++;
	if (request_once(client, p, &answer, err) < 0)
		return -1;
	if (http_status_kind(answer.status) == ERROR_NONE) {
		*response = answer;
		return 0;
	}
	int rc = refusal(&answer, err);
	http_response_fini(&answer);
	return rc;
}

static bool is_cancelled(const struct progress *p)
{
	const atomic_bool *cancel = cancel_of(p);
	return cancel != NULL && atomic_load(cancel);
}

// 0 when the wait is over and the call is not cancelled.
static int wait_ms(const struct progress *p, int64_t ms, struct error *err)
{
	int64_t until = clock_mono_ms() + ms;
	for (int64_t left = ms; left > 0 && !is_cancelled(p); left = until - clock_mono_ms()) {
		int64_t slice = left < CANCEL_POLL_MS ? left : CANCEL_POLL_MS;
		(void)nanosleep(&(struct timespec){.tv_nsec = slice * 1000000}, NULL);
	}
	return is_cancelled(p) ? error_set(err, ERROR_CANCELLED, "cancelled") : 0;
}

static bool may_repeat(const struct progress *p, const struct error *failure)
{
	int tries = p->call->tries > 0 ? p->call->tries : K8S_CALL_TRIES;
	// 429: the server says that it did nothing.
	return failure->kind == ERROR_TRANSIENT && p->tries < tries && !p->body_taken &&
	       (p->call->repeatable || failure->http_status == 429);
}

// Wait before the next try, or say that there is none. What the server asks for is never cut short: when it does not fit into the
// call's time, the caller gets the error and with it the time.
static int pause_or_give_up(const struct progress *p, const struct error *failure, struct error *err)
{
	int64_t pause_ms = K8S_CALL_PAUSE_MS;
	for (int i = 1; i < p->tries && pause_ms < K8S_CALL_PAUSE_MAX_MS; i++)
		pause_ms *= 2;
	pause_ms = random_jitter(pause_ms < K8S_CALL_PAUSE_MAX_MS ? pause_ms : K8S_CALL_PAUSE_MAX_MS, JITTER_PERCENT);
	if (pause_ms < failure->retry_after_ms)
		pause_ms = failure->retry_after_ms;
	if (!may_repeat(p, failure) || clock_mono_ms() + pause_ms >= p->deadline_ms) {
		*err = *failure;
		return -1;
	}
	return wait_ms(p, pause_ms, err);
}

// The first failure and how often it was tried tell more than the last one, which is often only a time-out.
static int give_up(const struct progress *p, struct error *err)
{
	if (p->tries > 1 && err->kind == ERROR_TRANSIENT) {
		int64_t retry_after_ms = err->retry_after_ms;
		*err = p->first;
		err->retry_after_ms = retry_after_ms;
		(void)error_wrap(err, "%d tries, the first", p->tries);
	}
	return k8s_call_wrap(p->call, err);
}

int k8s_call_do(struct k8s_client *client, const struct k8s_call *call, struct http_response *response, struct error *err)
{
	int64_t timeout_ms = call->timeout_ms > 0 ? call->timeout_ms : K8S_CALL_TIMEOUT_MS;
	struct progress p = {.client = client, .call = call, .deadline_ms = clock_mono_ms() + timeout_ms};
	bool had_401 = false;
	for (;;) {
		struct error failure = {0};
		if (try_once(client, &p, response, &failure) == 0)
			return 0;
		if (p.first.kind == ERROR_NONE && failure.kind == ERROR_TRANSIENT)
			p.first = failure;
		p.is_refused = failure.http_status == 401 && !had_401 && !p.body_taken &&
			       k8s_credentials_can_renew(&client->credentials);
		had_401 = had_401 || failure.http_status == 401;
		if (!p.is_refused && pause_or_give_up(&p, &failure, err) < 0)
			return give_up(&p, err);
	}
}

static int decode_answer(struct k8s_client *client, const struct k8s_call *call, json_t **out, struct error *err)
{
	AUTO(http_response) struct http_response response = {0};
	if (k8s_call_do(client, call, &response, err) < 0)
		return -1;
	if (out == NULL || json_parse(buf_str(&response.body), response.body.len, out, err) == 0)
		return 0;
	err->kind = ERROR_TRANSIENT;
	return k8s_call_wrap(call, err);
}

int k8s_call_json(struct k8s_client *client, struct k8s_call *call, const json_t *object, json_t **out, struct error *err)
{
	AUTO_FREE char *text = NULL;
	if (object != NULL && json_print_as_put(object, &text, err) < 0)
		return -1;
	call->body = text;
	int rc = decode_answer(client, call, out, err);
	if (text != NULL)
		secret_wipe(text, strlen(text));
	call->body = NULL;
	return rc;
}
