#include "canopy/call.h"

#include "base/json.h"
#include <string.h>

#define PROBLEM_MAX 8192

// title and detail of an RFC 7807 body; "" when the body is none. Only ever called for a status that is no success: the body of a
// success may hold keys.
static void add_problem(const struct buf *body, struct error *err)
{
	struct error ignored;
	AUTO(json) json_t *problem = NULL;
	if (body->len == 0 || body->len > PROBLEM_MAX || json_parse(body->data, body->len, &problem, &ignored) < 0)
		return;
	const char *title = json_find_str(problem, "title");
	const char *detail = json_find_str(problem, "detail");
	char before[ERROR_TEXT_MAX];
	memcpy(before, err->text, sizeof(before));
	struct error copy = *err;
	if (title != NULL && detail != NULL)
		(void)error_set(&copy, err->kind, "%s: %s: %s", before, title, detail);
	else if (title != NULL || detail != NULL)
		(void)error_set(&copy, err->kind, "%s: %s", before, title != NULL ? title : detail);
	memcpy(err->text, copy.text, sizeof(err->text));
}

// 404 and 410 are refusals here: the declaration is gone, and asking again will not bring it back.
static enum error_kind status_kind(int status)
{
	enum error_kind kind = http_status_kind(status);
	return kind == ERROR_NOT_FOUND ? ERROR_INVALID : kind;
}

static int refused(const struct call *call, const struct http_response *response, struct error *err)
{
	(void)error_set(err, status_kind(response->status), "%s %s: HTTP %d", call->method, call->endpoint, response->status);
	err->http_status = response->status;
	err->retry_after_ms = response->retry_after_ms;
	add_problem(&response->body, err);
	return -1;
}

// A body that is too long breaks the contract; nobody was refused anything.
static enum error_kind failure_kind(enum error_kind kind)
{
	return kind == ERROR_INVALID ? ERROR_INTERNAL : kind;
}

int call_do(struct canopy_client *client, const struct call *call, struct http_response *response, struct error *err)
{
	static const char *const with_body[] = {"Accept: application/json", "Content-Type: application/json", NULL};
	static const char *const without[] = {"Accept: application/json", NULL};
	AUTO(buf) struct buf url;
	buf_init(&url, 4096);
	if (buf_addf(&url, err, "%s%s", client->base_url, call->endpoint) < 0)
		return -1;
	const struct http_request request = {
		.method = call->method,
		.url = buf_str(&url),
		.headers = call->body == NULL ? without : with_body,
		.body = call->body,
		.body_len = call->body == NULL ? 0 : strlen(call->body),
		.max_body_bytes = call->max_body_bytes,
		.on_body = call->on_body,
		.arg = call->arg,
	};
	int rc = http_do(client->http, &request, response, err);
	if (client->on_request != NULL)
		client->on_request(client->on_request_arg, call->endpoint, rc < 0 ? 0 : response->status);
	if (rc < 0) {
		err->kind = failure_kind(err->kind);
		return -1; // the text names method and URL already
	}
	if (response->status >= 200 && response->status < 300)
		return 0;
	rc = refused(call, response, err);
	http_response_fini(response);
	return rc;
}
