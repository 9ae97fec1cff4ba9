#include "canopy/proxy/broker_client.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include <stdlib.h>
#include <string.h>

#define ASK_TIMEOUT_MS 30000

struct broker_client {
	const struct config *config;
	const atomic_bool *cancel;
	char *ca_pem; // that http trusts
	struct http_client *http;
};

int broker_client_new(const struct config *config, const atomic_bool *cancel, struct broker_client **out, struct error *err)
{
	struct broker_client *broker = calloc(1, sizeof(*broker));
	if (broker == NULL)
		return error_no_memory(err, "broker");
	broker->config = config;
	broker->cancel = cancel;
	*out = broker;
	return 0;
}

void broker_client_free(struct broker_client *broker)
{
	if (broker == NULL)
		return;
	http_client_free(broker->http);
	free(broker->ca_pem);
	free(broker);
}

// A client that trusts what is in the CA file now.
static int renew_client(struct broker_client *broker, struct error *err)
{
	AUTO_FREE char *pem = NULL;
	size_t len = 0;
	if (file_read(broker->config->broker_ca_file, BROKER_CLIENT_CA_MAX, &pem, &len, err) < 0)
		return -1;
	if (broker->http != NULL && strcmp(pem, broker->ca_pem) == 0)
		return 0;
	struct http_client *http = NULL;
	const struct http_options options = {
		.user_agent = "understory-proxy/" UNDERSTORY_VERSION, .ca_pem = pem, .cancel = broker->cancel};
	if (http_client_new(&options, &http, err) < 0)
		return -1;
	http_client_free(broker->http);
	broker->http = http;
	free(broker->ca_pem);
	broker->ca_pem = TAKE_PTR(pem);
	return 0;
}

static int read_token(const char *path, struct secret *out, struct error *err)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	if (file_read(path, BROKER_CLIENT_TOKEN_MAX, &text, &len, err) < 0)
		return -1;
	text[strcspn(text, " \r\n")] = '\0';
	int rc = text[0] == '\0' ? error_set(err, ERROR_TRANSIENT, "token file %s is empty", path) : secret_set(out, text, err);
	secret_wipe(text, len);
	return rc;
}

// The words of a problem body (RFC 7807); nothing else of an answer is ever repeated.
static int refused(const struct http_response *response, struct error *err)
{
	struct error ignored = {0};
	AUTO(json) json_t *problem = NULL;
	enum error_kind kind = http_status_kind(response->status);
	const char *title = NULL;
	const char *detail = NULL;
	if (json_parse(buf_str(&response->body), response->body.len, &problem, &ignored) == 0) {
		title = json_find_str(problem, "title");
		detail = json_find_str(problem, "detail");
	}
	(void)error_set(err, kind == ERROR_CONFLICT ? ERROR_TRANSIENT : kind, "the broker answered %d%s%s%s%s", response->status,
		title == NULL ? "" : ": ", title == NULL ? "" : title, detail == NULL ? "" : ": ", detail == NULL ? "" : detail);
	err->http_status = response->status;
	err->retry_after_ms = response->retry_after_ms;
	return -1;
}

int broker_client_post(struct broker_client *broker, const char *url, const char *body, int64_t timeout_ms,
	struct http_response *response, struct error *err)
{
	AUTO(secret) struct secret token = {0};
	if (renew_client(broker, err) < 0 || read_token(broker->config->token_file, &token, err) < 0) {
		err->kind = ERROR_TRANSIENT; // the kubelet may be replacing it
		return -1;
	}
	const char *const headers[] = {"Content-Type: application/json", "Accept: application/json", NULL};
	const struct http_request request = {.method = "POST",
		.url = url,
		.headers = headers,
		.bearer = &token,
		.body = body,
		.body_len = strlen(body),
		.timeout_ms = timeout_ms,
		.max_body_bytes = BROKER_CLIENT_BODY_MAX};
	if (http_do(broker->http, &request, response, err) < 0)
		return -1;
	if (response->status / 100 == 2)
		return 0;
	int rc = refused(response, err);
	http_response_fini(response);
	return rc;
}

static int take_text(const json_t *root, const char *key, struct secret *out, struct error *err)
{
	const char *text = NULL;
	if (json_need_str(root, key, &text, err) < 0)
		return -1;
	for (const char *at = text; *at != '\0'; at++) {
		if (*at <= ' ' || *at > '~')
			return error_set(err, ERROR_INTERNAL, "%s holds a character that no header may hold", key);
	}
	return secret_set(out, text, err);
}

static int take_key(const json_t *root, const char *key, struct secret *out, struct error *err)
{
	if (take_text(root, key, out, err) < 0)
		return -1;
	return out->len == 0 ? error_set(err, ERROR_INTERNAL, "%s is empty", key) : 0;
}

static int read_object(const json_t *root, struct s3_keys *out, struct error *err)
{
	const char *expiration = NULL;
	if (json_find_int(0, root, "Version") != 1)
		return error_set(err, ERROR_INTERNAL, "Version is not 1");
	// Keys that a person has put into a Secret are of no session: their token is empty, and requests go without one.
	if (take_key(root, "AccessKeyId", &out->access_key_id, err) < 0 ||
		take_key(root, "SecretAccessKey", &out->secret_access_key, err) < 0 ||
		take_text(root, "SessionToken", &out->session_token, err) < 0 ||
		json_need_str(root, "Expiration", &expiration, err) < 0)
		return -1;
	return clock_parse(expiration, &out->expires_at_ms, err);
}

// jansson's copies go back to the heap unwiped when the document is freed: the strings are overwritten in place first.
static void wipe_strings(json_t *root)
{
	static const char *const keys[] = {"AccessKeyId", "SecretAccessKey", "SessionToken", NULL};
	for (size_t i = 0; keys[i] != NULL; i++) {
		const char *text = json_string_value(json_object_get(root, keys[i]));
		if (text != NULL)
			secret_wipe((void *)(uintptr_t)text, strlen(text));
	}
}

int broker_client_read_keys(const char *body, size_t len, struct s3_keys *out, struct error *err)
{
	AUTO(json) json_t *root = NULL;
	AUTO(s3_keys) struct s3_keys keys = {0};
	int rc = json_parse(body, len, &root, err);
	if (rc == 0) {
		rc = read_object(root, &keys, err);
		wipe_strings(root);
	}
	if (rc < 0) {
		err->kind = ERROR_INTERNAL;
		return error_wrap(err, "credentials");
	}
	*out = keys;
	keys = (struct s3_keys){0};
	return 0;
}

static int make_body(const struct config *config, char **out, struct error *err)
{
	AUTO(json) json_t *body = NULL;
	if (json_made(json_pack("{s:s, s:s}", "group", config->group, "type", config->type), "request for credentials", &body,
		    err) < 0)
		return -1;
	return json_print(body, out, err);
}

int broker_client_get_keys(struct broker_client *broker, struct s3_keys *out, struct error *err)
{
	AUTO_FREE char *body = NULL;
	AUTO(buf) struct buf url;
	buf_init(&url, 4096);
	if (make_body(broker->config, &body, err) < 0 ||
		buf_addf(&url, err, "%s" BROKER_CLIENT_CREDENTIALS_PATH, broker->config->broker_url) < 0)
		return -1;
	struct http_response response = {0};
	if (broker_client_post(broker, buf_str(&url), body, ASK_TIMEOUT_MS, &response, err) < 0)
		return -1;
	int rc = broker_client_read_keys(buf_str(&response.body), response.body.len, out, err);
	http_response_fini(&response);
	return rc;
}

void s3_keys_fini(struct s3_keys *keys)
{
	secret_fini(&keys->access_key_id);
	secret_fini(&keys->secret_access_key);
	secret_fini(&keys->session_token);
	*keys = (struct s3_keys){0};
}
