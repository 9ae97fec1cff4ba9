#include "canopy/client.h"

#include "base/clock.h"
#include "base/json.h"
#include "canopy/call.h"
#include "canopy/intents.h"
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX ((size_t)1 << 20)
#define CREDENTIAL_VERSION 1 // https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html

int canopy_client_new(const char *base_url, struct http_client *http, struct canopy_client **out, struct error *err)
{
	struct canopy_client *client = calloc(1, sizeof(*client));
	char *url = strdup(base_url);
	if (client == NULL || url == NULL) {
		free(client);
		free(url);
		return error_no_memory(err, "canopy client");
	}
	for (size_t len = strlen(url); len > 0 && url[len - 1] == '/'; len--)
		url[len - 1] = '\0';
	client->base_url = url;
	client->http = http;
	(void)pthread_mutex_init(&client->lock, NULL);
	*out = client;
	return 0;
}

void canopy_client_free(struct canopy_client *client)
{
	if (client == NULL)
		return;
	(void)pthread_mutex_destroy(&client->lock);
	http_client_free(client->http);
	free(client->base_url);
	free(client);
}

void canopy_observe(struct canopy_client *client, canopy_on_request on_request, void *arg)
{
	client->on_request = on_request;
	client->on_request_arg = arg;
}

// For calls whose answer has no content that we want.
static int post(struct canopy_client *client, const char *endpoint, const char *body, struct error *err)
{
	struct http_response response;
	const struct call call = {.method = "POST", .endpoint = endpoint, .body = body, .max_body_bytes = ANSWER_MAX};
	if (call_do(client, &call, &response, err) < 0)
		return -1;
	http_response_fini(&response);
	return 0;
}

int canopy_register(struct canopy_client *client, const struct settings *settings, struct error *err)
{
	AUTO(json) json_t *capabilities = NULL;
	AUTO_FREE char *body = NULL;
	if (intents_capabilities(settings, &capabilities, err) < 0 || json_print(capabilities, &body, err) < 0)
		return -1;
	return post(client, "/restore-capabilities", body, err);
}

int canopy_report(struct canopy_client *client, const char *body, struct error *err)
{
	return post(client, "/restore-verification", body, err);
}

int canopy_progress(struct canopy_client *client, const char *body, struct error *err)
{
	return post(client, "/backup-progress", body, err);
}

// A text of the answer. The error names the field and never its value.
static int take(const json_t *object, const char *key, struct secret *out, struct error *err)
{
	const char *text = NULL;
	if (json_need_str(object, key, &text, err) < 0)
		return -1;
	if (*text == '\0')
		return error_set(err, ERROR_INVALID, "field \"%s\" is empty", key);
	for (const unsigned char *s = (const unsigned char *)text; *s != '\0'; s++) {
		// They become header values and lines of a Secret.
		if (*s < 0x20 || *s == 0x7f)
			return error_set(err, ERROR_INVALID, "field \"%s\" has control characters", key);
	}
	return secret_set(out, text, err);
}

static int read_keys(const json_t *keys, struct canopy_credentials *out, struct error *err)
{
	const char *expiration = NULL;
	struct error ignored;
	if (!json_is_object(keys))
		return error_set(err, ERROR_INVALID, "field \"credentials\" is missing or no object");
	if (json_find_int(-1, keys, "Version") != CREDENTIAL_VERSION)
		return error_set(err, ERROR_INVALID, "field \"Version\" is not %d", CREDENTIAL_VERSION);
	if (take(keys, "AccessKeyId", &out->access_key_id, err) < 0 ||
		take(keys, "SecretAccessKey", &out->secret_access_key, err) < 0 ||
		take(keys, "SessionToken", &out->session_token, err) < 0 ||
		json_need_str(keys, "Expiration", &expiration, err) < 0)
		return -1;
	if (clock_parse(expiration, &out->expires_at_ms, &ignored) < 0)
		return error_set(err, ERROR_INVALID, "field \"Expiration\" is not an RFC 3339 time");
	return 0;
}

// jansson frees its strings as they are. Nobody else holds this document, so its texts may be overwritten in place.
// NOLINTBEGIN(misc-no-recursion): jansson reads no deeper than JSON_PARSER_MAX_DEPTH
static void wipe_json(json_t *value)
{
	const char *key = NULL;
	json_t *member = NULL;
	json_object_foreach (value, key, member) {
		const char *text = json_string_value(member);
		if (json_typeof(member) == JSON_OBJECT)
			wipe_json(member);
		else if (text != NULL)
			secret_wipe((void *)(uintptr_t)text, json_string_length(member));
	}
}
// NOLINTEND(misc-no-recursion)

static int read_credentials(const struct buf *body, struct canopy_credentials *out, struct error *err)
{
	AUTO(json) json_t *answer = NULL;
	if (json_parse(buf_str(body), body->len, &answer, err) < 0)
		return -1;
	int rc = read_keys(json_object_get(answer, "credentials"), out, err);
	if (rc == 0)
		rc = take(answer, "repo_password", &out->repo_password, err);
	wipe_json(answer);
	return rc;
}

static int credentials_body(const char *group_id, const char *type, const char *run_id, char **out, struct error *err)
{
	AUTO(json) json_t *body = NULL;
	if (json_made(json_pack("{s:s, s:s, s:s*}", "group", group_id, "type", type, "run_id", run_id), "credentials request",
		    &body, err) < 0)
		return -1;
	return json_print(body, out, err);
}

int canopy_get_credentials(struct canopy_client *client, const char *group_id, const char *type, const char *run_id,
	struct canopy_credentials *out, struct error *err)
{
	static const char endpoint[] = "/restore-credentials";
	AUTO_FREE char *body = NULL;
	AUTO(canopy_credentials) struct canopy_credentials read = {0};
	struct http_response response;
	if (credentials_body(group_id, type, run_id, &body, err) < 0)
		return -1;
	const struct call call = {.method = "POST", .endpoint = endpoint, .body = body, .max_body_bytes = ANSWER_MAX};
	if (call_do(client, &call, &response, err) < 0)
		return -1;
	int rc = read_credentials(&response.body, &read, err);
	if (response.body.data != NULL)
		secret_wipe(response.body.data, response.body.len);
	http_response_fini(&response);
	if (rc < 0) {
		err->kind = err->kind == ERROR_INVALID ? ERROR_INTERNAL
						       : err->kind; // breaks the contract: nobody was refused anything
		return error_wrap(err, "POST %s: answer", endpoint);
	}
	if (read.expires_at_ms <= clock_wall_ms())
		return error_set(err, ERROR_TRANSIENT, "POST %s: the credentials have expired already", endpoint);
	*out = read;
	read = (struct canopy_credentials){0};
	return 0;
}

void canopy_credentials_fini(struct canopy_credentials *credentials)
{
	secret_fini(&credentials->access_key_id);
	secret_fini(&credentials->secret_access_key);
	secret_fini(&credentials->session_token);
	secret_fini(&credentials->repo_password);
	secret_fini(&credentials->sas_token);
	for (size_t i = 0; i < CANOPY_ENGINE_KEYS; i++)
		secret_fini(&credentials->engine_keys[i]);
	credentials->expires_at_ms = 0;
}
