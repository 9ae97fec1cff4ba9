// Torture (tests/support/torture.h) of canopy/: decoders, the client, reports, the CA, credentials.
#include "canopy/ca.h"
#include "canopy/client.h"
#include "canopy/credential_cache.h"
#include "canopy/intents.h"
#include "canopy/report.h"
#include "canopy/token_review.h"
#include "tests/support/cmocka.h"
#include "tests/support/http_server.h"
#include "tests/support/scratch.h"
#include "tests/support/torture.h"
#include <stdio.h>
#include <string.h>

#define NOW_MS ((int64_t)1795000000000) // in November 2026

#define ENTRY                                                                                                                 \
	"{\"replica_id\": \"6F1C1F6E-0c0e-4b7a-9a55-0d6a4a1f2b01\", \"group_id\": \"0d5be8b8-6a3c-4c0e-8a55-1f6b7d2c9e10\", " \
	"\"server_id\": \"b0a7c0de-1111-4222-8333-444455556666\", \"type\": \"postgres\", \"intent\": \"analytics\", "        \
	"\"name\": \"Nauru prod analytics\", \"params\": {\"minimum_ttl\": 60, \"memory_limit\": 1048576, \"cpu_limit\": "    \
	"\"2\"}, "                                                                                                            \
	"\"storage\": \"s3\", \"bucket\": \"backups\", \"prefix\": \"a/b\", \"region\": \"ap-southeast-2\", "                 \
	"\"snapshot_id\": \"k1\", \"snapshot_at\": \"2026-11-20T01:02:03Z\", \"overdue_after_seconds\": 86400}"
static const char worklist_text[] = "[" ENTRY ",{\"replica_id\":\"no\"}," ENTRY "]";

static struct settings *settings;

static const char *no_environment(const char *name)
{
	(void)name;
	return NULL;
}

static int need_settings(struct error *err)
{
	return settings != NULL ? 0 : settings_load(no_environment, &settings, err);
}

static void say_json(struct buf *made, const json_t *value)
{
	struct error err = {0};
	AUTO_FREE char *text = NULL;
	if (value != NULL)
		torture_say(made, "%s", json_print(value, &text, &err) < 0 ? err.text : text);
}

static void say_entry(struct buf *made, const struct entry *e)
{
	torture_say(made, "%s %s %s %s %s %s %s %s %s ", e->replica_id, e->group_id, e->server_id, e->type, e->intent, e->name,
		e->namespace, e->snapshot_id, e->memory_limit);
	say_json(made, e->params);
}

static int parse_entry(json_t **out, struct error *err)
{
	return json_parse(ENTRY, strlen(ENTRY), out, err);
}

static int read_an_entry(struct buf *made, struct error *err)
{
	AUTO(json) json_t *object = NULL;
	struct entry entry = {0}, opened = {0};
	struct pack *pack = NULL;
	char fingerprint[9] = "";
	if (parse_entry(&object, err) < 0)
		return -1;
	torture_begin();
	int rc = entry_from_json(object, &entry, err);
	if (rc == 0)
		rc = entry_fingerprint(&entry, fingerprint, err);
	if (rc == 0)
		rc = entry_pack(&entry, &pack, err);
	if (rc == 0)
		rc = entry_open(pack, &opened, err);
	torture_end();
	if (rc == 0) {
		say_entry(made, &opened);
		torture_say(made, " %s", fingerprint);
	} else if (opened.type != NULL) {
		torture_say(made, "half an entry");
	}
	entry_close(&opened);
	free(pack);
	entry_fini(&entry);
	return rc;
}

static void say_worklist(struct buf *made, const struct worklist *list)
{
	torture_say(made, "%zu entries, %zu unreadable", list->count, list->unreadable);
	for (size_t i = 0; i < list->count; i++) {
		struct entry entry;
		struct error err;
		if (entry_open(list->entries[i], &entry, &err) < 0)
			continue;
		say_entry(made, &entry);
		entry_close(&entry);
	}
}

static int decode_a_worklist(struct buf *made, struct error *err)
{
	AUTO(worklist_decoder) struct worklist_decoder *decoder = NULL;
	AUTO(worklist) struct worklist *list = NULL;
	torture_begin();
	int rc = worklist_decoder_new(&decoder, err);
	for (size_t at = 0; rc == 0 && at < strlen(worklist_text); at += 100)
		rc = worklist_decoder_feed(decoder, worklist_text + at, strnlen(worklist_text + at, 100), err);
	if (rc == 0)
		rc = worklist_decoder_finish(decoder, &list, err);
	torture_end();
	if (list != NULL)
		say_worklist(made, list);
	return rc;
}

static int read_a_worklist_file(struct buf *made, struct error *err)
{
	// YAML takes JSON as it is.
	const char *path = scratch_write("worklist.yaml", "[" ENTRY "]", strlen(ENTRY) + 2);
	AUTO(worklist) struct worklist *list = NULL;
	torture_begin();
	int rc = worklist_from_file(path, &list, err);
	torture_end();
	if (list != NULL)
		say_worklist(made, list);
	return rc;
}

static int advertise(struct buf *made, struct error *err)
{
	AUTO(json) json_t *capabilities = NULL;
	if (need_settings(err) < 0)
		return -1;
	torture_begin();
	int rc = intents_capabilities(settings, &capabilities, err);
	torture_end();
	say_json(made, capabilities);
	return rc;
}

static int resolve_params(struct buf *made, struct error *err)
{
	AUTO(json) json_t *object = NULL;
	struct entry entry;
	struct settings_for_intent resolved = {0}, refused = {0};
	struct error why = {0};
	if (need_settings(err) < 0 || parse_entry(&object, err) < 0 || entry_from_json(object, &entry, err) < 0)
		return -1;
	torture_begin();
	int rc = intents_resolve(settings, &entry, &resolved, err);
	int bad = json_object_set_new(entry.params, "depth", json_string("abysmal"));
	int refusal = intents_resolve(settings, &entry, &refused, &why);
	torture_end();
	if (rc == 0)
		torture_say(made, "%lld %s %s", (long long)resolved.minimum_ttl_ms, resolved.memory_limit, resolved.cpu_limit);
	if (rc == 0 && bad == 0 && (refusal == 0 || why.kind != ERROR_INVALID || why.text[0] == '\0'))
		torture_say(made, " and what is wrong is taken");
	entry_fini(&entry);
	return rc;
}

static int build_a_report(struct buf *made, struct error *err)
{
	AUTO(json) json_t *details = json_pack("{s:i, s:s}", "files", 7, "disarmed", "archive_mode");
	AUTO(json) json_t *traffic = json_pack("{s:i, s:i}", "s3_sent_raw_bytes", 1, "s3_received_raw_bytes", 2);
	AUTO_FREE char *body = NULL;
	const struct report report = {.group_id = "0d5be8b8-6a3c-4c0e-8a55-1f6b7d2c9e10",
		.server_id = "b0a7c0de-1111-4222-8333-444455556666",
		.replica_id = "6f1c1f6e-0c0e-4b7a-9a55-0d6a4a1f2b01",
		.has_server_id = true,
		.type = "postgres",
		.intent = "verify",
		.snapshot_id = "k1",
		.run_id = "0e4ad5c3-6b0c-4f0e-8f5c-1f2a3b4c5d6e",
		.grade = GRADE_FAILED,
		.stage = "start",
		.cause = "la base de donn\303\251es ne d\303\251marre pas",
		.postgres_version = "15",
		.observed_at_ms = NOW_MS,
		.details = details,
		.traffic = traffic};
	torture_begin();
	int rc = report_build(&report, &body, err);
	torture_end();
	if (body != NULL)
		torture_say(made, "%s", body);
	return rc;
}

// The central service.

#define CREDENTIALS                                                                                                             \
	"{\"credentials\":{\"Version\":1,\"AccessKeyId\":\"ASIA\",\"SecretAccessKey\":\"secret\",\"SessionToken\":\"session\"," \
	"\"Expiration\":\"2099-01-01T00:00:00Z\"},\"repo_password\":\"password\"}"

static void serve(void *arg, const struct http_server_request *request, struct http_server_answer *answer)
{
	(void)arg;
	if (strcmp(request->target, "/restore-worklist") == 0) {
		answer->body = strdup(worklist_text);
	} else if (strcmp(request->target, "/restore-credentials") == 0) {
		answer->body = strdup(CREDENTIALS);
	} else if (strcmp(request->target, "/backup-progress") == 0) {
		answer->status = 409;
		answer->body = strdup("{\"title\":\"Not ready\",\"detail\":\"come again\"}");
	}
}

static struct http_server *server;

static int new_client(struct canopy_client **out, struct error *err)
{
	struct http_client *http = NULL;
	if (server == NULL)
		server = http_server_start(serve, NULL);
	if (http_client_new(&(struct http_options){.user_agent = "torture/1"}, &http, err) < 0)
		return -1;
	if (canopy_client_new(http_server_url(server), http, out, err) == 0)
		return 0;
	http_client_free(http);
	return -1;
}

static int make_a_client(struct buf *made, struct error *err)
{
	AUTO(canopy_client) struct canopy_client *client = NULL;
	torture_begin();
	int rc = new_client(&client, err);
	torture_end();
	if (client != NULL)
		torture_say(made, "a client");
	return rc;
}

// The second time the same body comes, which is then not decoded: after a failure it must be.
static int fetch_the_worklist(struct buf *made, struct error *err)
{
	AUTO(canopy_client) struct canopy_client *client = NULL;
	AUTO(worklist) struct worklist *first = NULL;
	AUTO(worklist) struct worklist *second = NULL;
	struct error why = {0};
	bool unchanged = false;
	if (new_client(&client, err) < 0)
		return -1;
	torture_begin();
	int rc = canopy_worklist(client, &first, &unchanged, err);
	torture_end();
	if (first != NULL)
		say_worklist(made, first);
	if (rc < 0 && (canopy_worklist(client, &second, &unchanged, &why) < 0 || unchanged || second->count != 2))
		torture_say(made, "not again: %s", why.text);
	return rc;
}

static int fetch_the_same_worklist(struct buf *made, struct error *err)
{
	AUTO(canopy_client) struct canopy_client *client = NULL;
	AUTO(worklist) struct worklist *first = NULL;
	AUTO(worklist) struct worklist *second = NULL;
	bool unchanged = false, again = false;
	if (new_client(&client, err) < 0 || canopy_worklist(client, &first, &unchanged, err) < 0)
		return -1;
	torture_begin();
	int rc = canopy_worklist(client, &second, &again, err);
	torture_end();
	if (second != NULL || again)
		torture_say(made, "%s", second != NULL ? "decoded" : "unchanged");
	return rc;
}

static int get_credentials(struct buf *made, struct error *err)
{
	AUTO(canopy_client) struct canopy_client *client = NULL;
	AUTO(canopy_credentials) struct canopy_credentials keys = {0};
	if (new_client(&client, err) < 0)
		return -1;
	size_t before = http_server_count(server);
	torture_begin();
	int rc = canopy_get_credentials(client, "0d5be8b8-6a3c-4c0e-8a55-1f6b7d2c9e10", "postgres", "a-run", &keys, err);
	torture_end();
	if (keys.access_key_id.bytes != NULL)
		torture_say(made, "%s %s %s %s", secret_reveal(&keys.access_key_id), secret_reveal(&keys.secret_access_key),
			secret_reveal(&keys.session_token), secret_reveal(&keys.repo_password));
	const struct http_server_request *asked = http_server_request(server, before);
	if (rc == 0 && asked != NULL)
		torture_say(made, " for %s", buf_str(&asked->body));
	return rc;
}

static int register_intents(struct buf *made, struct error *err)
{
	AUTO(canopy_client) struct canopy_client *client = NULL;
	if (need_settings(err) < 0 || new_client(&client, err) < 0)
		return -1;
	size_t before = http_server_count(server);
	torture_begin();
	int rc = canopy_register(client, settings, err);
	torture_end();
	const struct http_server_request *sent = http_server_request(server, before);
	if (rc == 0 && sent != NULL)
		torture_say(made, "%s", buf_str(&sent->body));
	return rc;
}

static int send_a_report(struct buf *made, struct error *err)
{
	AUTO(canopy_client) struct canopy_client *client = NULL;
	struct error refusal = {0};
	if (new_client(&client, err) < 0)
		return -1;
	torture_begin();
	int rc = canopy_report(client, "{\"outcome\":\"success\"}", err);
	int refused = rc == 0 ? canopy_progress(client, "{}", &refusal) : 0;
	torture_end();
	// Without memory for canopy's words the status is still there.
	if (refused < 0 && refusal.http_status == 409 ? refusal.kind != ERROR_CONFLICT : rc == 0 && refusal.kind == ERROR_NONE)
		torture_say(made, "the refusal is taken for %s", error_kind_text(refusal.kind));
	return rc;
}

// The CA.

static const char *const names[] = {"understory.pgro-system.svc", NULL};
static struct ca_state ca;

static int need_ca(struct error *err)
{
	bool changed = false;
	return ca.bundle_pem != NULL ? 0 : ca_renew_if_due(&ca, names, NOW_MS, &changed, err);
}

static int make_the_ca(struct buf *made, struct error *err)
{
	AUTO(ca_state) struct ca_state state = {0};
	bool changed = false;
	torture_begin();
	int rc = ca_renew_if_due(&state, names, NOW_MS, &changed, err);
	torture_end();
	if (rc == 0)
		torture_say(made, "%d %d", changed, cert_is_signed_by(state.leaf.cert_pem, state.bundle_pem));
	else if (changed || state.bundle_pem != NULL || state.leaf.cert_pem != NULL)
		torture_say(made, "half a CA");
	return rc;
}

static size_t count_certificates(const char *pem)
{
	size_t count = 0;
	for (const char *at = pem; (at = strstr(at, "-----BEGIN CERTIFICATE-----")) != NULL; at++)
		count++;
	return count;
}

// After two thirds of its life: the bundle keeps the old CA, whatever fails.
static int renew_the_ca(struct buf *made, struct error *err)
{
	AUTO(json) json_t *data = NULL;
	AUTO(ca_state) struct ca_state state = {0};
	bool changed = false;
	if (need_ca(err) < 0 || ca_encode(&ca, &data, err) < 0 || ca_decode(data, &state, err) < 0)
		return -1;
	torture_begin();
	int rc = ca_renew_if_due(&state, names, NOW_MS + CA_LIFE_MS / 4 * 3, &changed, err);
	torture_end();
	if (rc == 0)
		torture_say(made, "%d %zu %d", changed, count_certificates(state.bundle_pem),
			cert_is_signed_by(state.leaf.cert_pem, ca.bundle_pem));
	else if (changed || strcmp(state.bundle_pem, ca.bundle_pem) != 0)
		torture_say(made, "another CA");
	return rc;
}

static int keep_the_ca(struct buf *made, struct error *err)
{
	AUTO(json) json_t *data = NULL;
	AUTO(ca_state) struct ca_state state = {0};
	if (need_ca(err) < 0)
		return -1;
	torture_begin();
	int rc = ca_encode(&ca, &data, err);
	if (rc == 0)
		rc = ca_decode(data, &state, err);
	torture_end();
	if (rc == 0)
		torture_say(made, "%s%s%s%s", state.bundle_pem, secret_reveal(&state.key), state.leaf.cert_pem,
			secret_reveal(&state.leaf.key_pem));
	else if (state.bundle_pem != NULL || state.key.bytes != NULL)
		torture_say(made, "half a CA");
	return rc;
}

// Keys and tokens.

static int fetch(
	void *arg, const char *group, const char *type, const char *run_id, struct canopy_credentials *out, struct error *err)
{
	AUTO(canopy_credentials) struct canopy_credentials keys = {.expires_at_ms = NOW_MS + 3600000};
	(void)arg;
	(void)group;
	(void)type;
	(void)run_id;
	if (secret_set(&keys.access_key_id, "ASIA", err) < 0 || secret_set(&keys.secret_access_key, "secret", err) < 0 ||
		secret_set(&keys.session_token, "session", err) < 0)
		return -1;
	*out = keys;
	keys = (struct canopy_credentials){0};
	return 0;
}

static int64_t now_ms(void)
{
	return NOW_MS;
}

// What failed once is there the next time.
static int cache_credentials(struct buf *made, struct error *err)
{
	AUTO(credential_cache) struct credential_cache *cache = NULL;
	AUTO(canopy_credentials) struct canopy_credentials keys = {0};
	struct error why = {0};
	bool is_new = false;
	torture_begin();
	int rc = credential_cache_new(fetch, NULL, now_ms, &cache, err);
	if (rc == 0)
		rc = credential_cache_get(cache, "group", "type", "run", &keys, &is_new, err);
	torture_end();
	if (keys.access_key_id.bytes != NULL)
		torture_say(made, "%s %s", secret_reveal(&keys.access_key_id), secret_reveal(&keys.session_token));
	if (rc < 0 && cache != NULL && credential_cache_get(cache, "group", "type", "run", &keys, &is_new, &why) < 0)
		torture_say(made, "not again: %s", why.text);
	return rc;
}

static int review_a_token(struct buf *made, struct error *err)
{
	static const char answer[] = "{\"status\":{\"authenticated\":true,\"audiences\":[\"understory-broker\"],\"user\":"
				     "{\"username\":\"system:serviceaccount:a:restore\"}}}";
	AUTO(json) json_t *request = NULL;
	AUTO(json) json_t *reviewed = NULL;
	struct broker_caller caller = {0};
	torture_begin();
	int rc = token_review_request("token", &request, err);
	if (rc == 0)
		rc = json_parse(answer, sizeof(answer) - 1, &reviewed, err);
	if (rc == 0)
		rc = token_review_read(reviewed, &caller, err);
	torture_end();
	if (rc == 0) {
		say_json(made, request);
		torture_say(made, " %s", caller.namespace);
	}
	return rc;
}

int main(void)
{
	static const struct torture_case cases[] = {
		{.name = "an entry is read", .run = read_an_entry},
		{.name = "a worklist is decoded", .run = decode_a_worklist},
		{.name = "a worklist file is read", .run = read_a_worklist_file},
		{.name = "the intents are described", .run = advertise},
		{.name = "an entry's params are laid over the settings", .run = resolve_params},
		{.name = "a report is built", .run = build_a_report},
		{.name = "a client is made", .run = make_a_client},
		{.name = "the worklist is fetched", .run = fetch_the_worklist},
		{.name = "the same worklist is fetched again", .run = fetch_the_same_worklist},
		{.name = "credentials are fetched", .run = get_credentials},
		{.name = "the intents are registered", .run = register_intents},
		{.name = "a report is sent", .run = send_a_report},
		{.name = "the CA is made", .run = make_the_ca},
		{.name = "the CA is renewed", .run = renew_the_ca},
		{.name = "the CA is kept", .run = keep_the_ca},
		{.name = "credentials are cached", .run = cache_credentials},
		{.name = "a token is reviewed", .run = review_a_token},
	};
	int failures = torture_main("torture/canopy", cases, sizeof(cases) / sizeof(cases[0]));
	if (server != NULL)
		http_server_stop(server);
	ca_state_fini(&ca);
	settings_free(settings);
	return failures;
}
