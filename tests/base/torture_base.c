// Torture (tests/support/torture.h) of base/: each allocation, file, socket and library call fails once.
#include "base/cert.h"
#include "base/encode.h"
#include "base/file.h"
#include "base/http_setup.h"
#include "base/json_items.h"
#include "base/listen.h"
#include "base/pack.h"
#include "base/settings.h"
#include "base/uuid.h"
#include "base/yamltree.h"
#include "tests/support/cmocka.h"
#include "tests/support/http_server.h"
#include "tests/support/scratch.h"
#include "tests/support/torture.h"
#include <string.h>

#define NOW_MS ((int64_t)1795000000000) // in November 2026
#define DAY_MS ((int64_t)86400000)

static void say_json(struct buf *made, const json_t *value)
{
	struct error err;
	AUTO_FREE char *text = NULL;
	if (value == NULL)
		return;
	if (json_print(value, &text, &err) < 0)
		torture_say(made, "%s", err.text);
	else
		torture_say(made, "%s", text);
}

static int grow_a_buffer(struct buf *made, struct error *err)
{
	AUTO(buf) struct buf b;
	char kept[64] = "";
	buf_init(&b, 1 << 16);
	torture_begin();
	int rc = buf_add_str(&b, "begin", err);
	for (int i = 0; rc == 0 && i < 400; i++) {
		(void)snprintf(kept, sizeof(kept), "%zu", b.len);
		rc = buf_addf(&b, err, " and %d", i);
	}
	torture_end();
	if (rc < 0 && kept[0] != '\0' && strlen(buf_str(&b)) != strtoul(kept, NULL, 10))
		torture_say(made, "a failed append left %zu bytes", b.len);
	if (rc == 0)
		torture_say(made, "%zu", b.len);
	return rc;
}

static const char document[] = "{\"kind\":\"Namespace\",\"metadata\":{\"name\":\"a\",\"labels\":{\"x\":\"\\u00e9\",\"y\":null}},"
			       "\"items\":[1,2.5,true,{\"deep\":[[]]}]}";

static int parse_json(struct buf *made, struct error *err)
{
	AUTO(json) json_t *value = NULL;
	torture_begin();
	int rc = json_parse(document, sizeof(document) - 1, &value, err);
	torture_end();
	say_json(made, value);
	return rc;
}

static int print_json(struct buf *made, struct error *err)
{
	struct error ignored;
	AUTO(json) json_t *value = NULL;
	AUTO_FREE char *sorted = NULL;
	AUTO_FREE char *as_put = NULL;
	if (json_parse(document, sizeof(document) - 1, &value, &ignored) < 0)
		return -1;
	torture_begin();
	int rc = json_print(value, &sorted, err);
	if (rc == 0)
		rc = json_print_as_put(value, &as_put, err);
	torture_end();
	if (rc == 0)
		torture_say(made, "%s %s", sorted, as_put);
	return rc;
}

static int on_item(void *arg, json_t *item, struct error *err)
{
	(void)err;
	(void)item;
	++*(int *)arg;
	return 0;
}

static int split_items(struct buf *made, struct error *err)
{
	static const char list[] =
		"{\"kind\":\"List\",\"items\":[{\"a\":1},{\"b\":[2,3]},\"four\"],\"metadata\":{\"resourceVersion\":\"5\"}}";
	struct json_items items;
	int seen = 0;
	AUTO(json) json_t *envelope = NULL;
	json_items_init(&items, "items", 4096, on_item, &seen);
	torture_begin();
	int rc = 0;
	for (size_t at = 0; rc == 0 && at < sizeof(list) - 1; at += 7)
		rc = json_items_feed(&items, list + at, sizeof(list) - 1 - at < 7 ? sizeof(list) - 1 - at : 7, err);
	if (rc == 0)
		rc = json_items_finish(&items, &envelope, err);
	torture_end();
	json_items_fini(&items);
	say_json(made, envelope);
	if (rc == 0)
		torture_say(made, " %d", seen);
	return rc;
}

static int set_a_secret(struct buf *made, struct error *err)
{
	struct error ignored;
	AUTO(secret) struct secret old = {0};
	AUTO(secret) struct secret fresh = {0};
	if (secret_set(&old, "before", &ignored) < 0)
		return -1;
	torture_begin();
	int rc = secret_set(&old, "after", err);
	if (rc < 0 && strcmp(secret_reveal(&old), "before") != 0)
		torture_say(made, "the old value is gone");
	if (rc == 0)
		rc = secret_make(&fresh, err);
	torture_end();
	if (rc == 0)
		torture_say(made, "%s %zu", secret_reveal(&old), fresh.len);
	else if (fresh.bytes != NULL)
		torture_say(made, "half a secret");
	return rc;
}

static int read_a_file(struct buf *made, struct error *err)
{
	const char *path = scratch_write("file", "twelve bytes", 12);
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	torture_begin();
	int rc = file_read(path, 4096, &text, &len, err);
	torture_end();
	if (text != NULL || len > 0)
		torture_say(made, "%zu %s", len, text == NULL ? "" : text);
	return rc;
}

static int encode(struct buf *made, struct error *err)
{
	unsigned char digest[ENCODE_SHA256_BYTES];
	char hex[ENCODE_SHA256_HEX_SIZE];
	char uuid[UUID_TEXT_SIZE] = "";
	AUTO_FREE char *bytes = NULL;
	size_t len = 0;
	torture_begin();
	int rc = encode_unbase64("dW5kZXJzdG9yeQ==", &bytes, &len, err);
	if (rc == 0)
		rc = encode_sha256(bytes, len, digest, err);
	if (rc == 0)
		rc = uuid_make(uuid, err);
	torture_end();
	if (rc == 0) {
		encode_hex(digest, sizeof(digest), hex);
		torture_say(made, "%s %zu", hex, strlen(uuid));
	} else if (uuid[0] != '\0') {
		torture_say(made, "half a UUID");
	}
	return rc;
}

struct packable {
	char id[40];
	char *name;
	int64_t number;
};

static int pack(struct buf *made, struct error *err)
{
	static const struct pack_field fields[] = {PACK_FIELD(PACK_TEXT, struct packable, id),
		PACK_FIELD(PACK_STRING, struct packable, name), PACK_FIELD(PACK_INT64, struct packable, number)};
	static const struct pack_shape shape = PACK_SHAPE(struct packable, fields);
	char name[] = "a name";
	const struct packable from = {.id = "6f1c1f6e-0c0e-4b7a-9a55-0d6a4a1f2b01", .name = name, .number = -7};
	struct pack *packed = NULL;
	torture_begin();
	int rc = pack_make(&shape, &from, &packed, err);
	torture_end();
	if (packed != NULL) {
		struct packable back;
		pack_open(&shape, packed, &back);
		torture_say(made, "%s %s %lld", back.id, back.name, (long long)back.number);
	}
	free(packed);
	return rc;
}

static const char yaml[] = "a: 1\nb: [x, 'y', {c: ~, d: 2.5}]\ne: |\n  two\n  lines\nf: true\n";

static int read_yaml(struct buf *made, struct error *err)
{
	const char *path = scratch_write("tree.yaml", yaml, sizeof(yaml) - 1);
	AUTO(yamltree) struct yamltree *tree = NULL;
	AUTO(json) json_t *json = NULL;
	torture_begin();
	int rc = yamltree_read(path, 1 << 16, &tree, err);
	if (rc == 0)
		rc = yamltree_to_json(tree, &json, err);
	torture_end();
	say_json(made, json);
	return rc;
}

static int on_yaml_item(void *arg, const struct yamltree *item, struct error *err)
{
	json_t *json = NULL;
	if (yamltree_to_json(item, &json, err) < 0)
		return -1;
	json_decref(json);
	++*(int *)arg;
	return 0;
}

static int read_yaml_items(struct buf *made, struct error *err)
{
	const char *items_path = scratch_write("items.yaml", "- a: 1\n- [2]\n- x\n", 17);
	const char *documents_path = scratch_write("documents.yaml", "a: 1\n---\nb: 2\n", 14);
	int seen = 0;
	const struct yamltree_items items = {.max_bytes = 4096, .max_item_bytes = 1024, .on_item = on_yaml_item, .arg = &seen};
	torture_begin();
	int rc = yamltree_read_items(items_path, &items, err);
	if (rc == 0)
		rc = yamltree_read_documents(documents_path, &items, err);
	torture_end();
	if (rc == 0)
		torture_say(made, "%d", seen);
	return rc;
}

static const char config[] = "metricsAddr: 127.0.0.1:1\nlogLevel: debug\nengines: {postgres: restic, mysql: kopia}\n"
			     "nodeSelector: {disk: fast}\npodAnnotations: {a: b}\nretry: {backoff: [1m, 2m, 3m], limit: 5}\n"
			     "tolerations: [{key: k, operator: Equal, value: v, effect: NoSchedule}]\n"
			     "intents: {verify: {storageSize: 1Gi, cpuRequest: 500m, cpuLimit: 1}}\n";
static const char *config_path;

static const char *from_environment(const char *name)
{
	if (strcmp(name, "UNDERSTORY_CONFIG") == 0)
		return config_path;
	return strcmp(name, "CANOPY_BASE_URL") == 0 ? "http://127.0.0.1:1" : NULL;
}

static void say_settings(struct buf *made, const struct settings *settings)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);
	settings_dump(settings, from_environment, to);
	(void)fclose(to);
	struct error ignored;
	if (buf_add(made, text, len, &ignored) < 0)
		torture_say(made, "too long");
}

static int load_settings(struct buf *made, struct error *err)
{
	config_path = scratch_write("config.yaml", config, sizeof(config) - 1);
	AUTO(settings) struct settings *settings = NULL;
	torture_begin();
	int rc = settings_load(from_environment, &settings, err);
	torture_end();
	if (settings != NULL)
		say_settings(made, settings);
	return rc;
}

// What cannot be shown says so in its line.
static int show_settings(struct buf *made, struct error *err)
{
	AUTO(settings) struct settings *settings = NULL;
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	config_path = scratch_write("config.yaml", config, sizeof(config) - 1);
	if (settings_load(from_environment, &settings, err) < 0)
		return -1;
	FILE *to = open_memstream(&text, &len);
	torture_begin();
	settings_dump(settings, from_environment, to);
	settings_help(to);
	torture_end();
	(void)fclose(to);
	size_t lines = 0;
	for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
		lines++;
	torture_say(made, "%s", lines > 100 ? "all" : "not all");
	return 0;
}

static int make_certificates(struct buf *made, struct error *err)
{
	static const char *const names[] = {"broker.svc", "127.0.0.1", NULL};
	AUTO(cert_pair) struct cert_pair ca = {0};
	AUTO(cert_pair) struct cert_pair leaf = {0};
	torture_begin();
	int rc = cert_make_ca("torture", NOW_MS, DAY_MS, &ca, err);
	if (rc == 0)
		rc = cert_issue(&ca, names, NOW_MS, DAY_MS, &leaf, err);
	torture_end();
	if (rc == 0)
		torture_say(made, "%d %d", cert_has_names(leaf.cert_pem, names), cert_is_signed_by(leaf.cert_pem, ca.cert_pem));
	else if (leaf.cert_pem != NULL || leaf.key_pem.bytes != NULL)
		torture_say(made, "half a certificate");
	return rc;
}

static struct cert_pair old_ca, new_ca;

static int make_cas(struct error *err)
{
	if (old_ca.cert_pem != NULL)
		return 0;
	return cert_make_ca("old", NOW_MS, DAY_MS, &old_ca, err) < 0 ? -1 : cert_make_ca("new", NOW_MS, DAY_MS, &new_ca, err);
}

static int match_certificates(struct buf *made, struct error *err)
{
	bool same = false, other = true;
	if (make_cas(err) < 0)
		return -1;
	torture_begin();
	int rc = cert_matches_key(new_ca.cert_pem, &new_ca.key_pem, &same, err);
	if (rc == 0)
		rc = cert_matches_key(new_ca.cert_pem, &old_ca.key_pem, &other, err);
	torture_end();
	if (rc == 0)
		torture_say(made, "%d %d", same, other);
	return rc;
}

static int bundle_certificates(struct buf *made, struct error *err)
{
	AUTO_FREE char *bundle = NULL;
	struct cert_validity validity = {0};
	if (make_cas(err) < 0)
		return -1;
	torture_begin();
	int rc = cert_bundle(new_ca.cert_pem, old_ca.cert_pem, NOW_MS, &bundle, err);
	if (rc == 0)
		rc = cert_validity(bundle, &validity, err);
	torture_end();
	if (rc == 0)
		torture_say(made, "%s %lld", bundle, (long long)validity.until_ms);
	else if (validity.until_ms != 0)
		torture_say(made, "a time");
	return rc;
}

static void serve(void *arg, const struct http_server_request *request, struct http_server_answer *answer)
{
	(void)arg;
	(void)request;
	answer->body = strdup("an answer");
}

static struct http_server *server;

static int ask(const struct http_options *options, struct buf *made, struct error *err)
{
	static const char *const headers[] = {"Accept: application/json", NULL};
	AUTO(secret) struct secret token = {0};
	AUTO(http_client) struct http_client *client = NULL;
	struct http_response response = {0};
	char url[128];
	if (server == NULL)
		server = http_server_start(serve, NULL);
	(void)snprintf(url, sizeof(url), "%s/path?query", http_server_url(server));
	if (secret_set(&token, "token", err) < 0)
		return -1;
	const struct http_request request = {
		.method = "POST", .url = url, .headers = headers, .bearer = &token, .body = "{}", .body_len = 2};
	torture_begin();
	int rc = http_client_new(options, &client, err);
	if (rc == 0)
		rc = http_do(client, &request, &response, err);
	torture_end();
	if (rc == 0)
		torture_say(made, "%d %s", response.status, buf_str(&response.body));
	else if (response.body.data != NULL)
		torture_say(made, "half an answer");
	http_response_fini(&response);
	return rc;
}

static int ask_a_server(struct buf *made, struct error *err)
{
	if (make_cas(err) < 0)
		return -1;
	const struct http_options options = {.user_agent = "torture/1",
		.ca_pem = new_ca.cert_pem,
		.client_cert_pem = new_ca.cert_pem,
		.client_key_pem = &new_ca.key_pem,
		.tls_server_name = "other.test"};
	return ask(&options, made, err);
}

// All options of a request over TLS.
static int set_up_tls(struct buf *made, struct error *err)
{
	static const char *const headers[] = {"Accept: application/json", NULL};
	AUTO(secret) struct secret token = {0};
	const struct http_options options = {.user_agent = "torture/1",
		.ca_pem = new_ca.cert_pem,
		.client_cert_pem = new_ca.cert_pem,
		.client_key_pem = &new_ca.key_pem,
		.proxy = "socks5h://[::1]:1",
		.tls_server_name = "other.test"};
	const struct http_request request = {.method = "GET", .url = "https://host.test/", .headers = headers, .bearer = &token};
	struct http_common common = {0};
	struct http_setup setup = {0};
	if (make_cas(err) < 0 || secret_set(&token, "token", err) < 0)
		return -1;
	CURL *easy = curl_easy_init();
	CURLU *url = curl_url();
	if (url == NULL || curl_url_set(url, CURLUPART_URL, request.url, 0) != CURLUE_OK)
		return -1;
	torture_begin();
	int rc = http_common_init(&common, &options, err);
	if (rc == 0)
		rc = http_setup(easy, &common, &request, url, &setup, err);
	torture_end();
	if (rc == 0) {
		torture_say(made, "%s", setup.connect_to->data);
		for (const struct curl_slist *at = setup.headers; at != NULL; at = at->next)
			torture_say(made, " %s", at->data);
	}
	curl_easy_cleanup(easy);
	curl_url_cleanup(url);
	http_setup_fini(&setup);
	http_common_fini(&common);
	return rc;
}

// The client is one for all requests: what failed once works the next time.
static int ask_again(struct buf *made, struct error *err)
{
	AUTO(http_client) struct http_client *client = NULL;
	struct http_response response = {0};
	struct error ignored = {0};
	if (http_client_new(&(struct http_options){.user_agent = "torture/1"}, &client, err) < 0)
		return -1;
	const struct http_request request = {.method = "GET", .url = http_server_url(server)};
	torture_begin();
	int rc = http_do(client, &request, &response, err);
	torture_end();
	if (rc == 0)
		torture_say(made, "%d", response.status);
	else if (http_do(client, &request, &response, &ignored) < 0)
		torture_say(made, "not again: %s", ignored.text);
	http_response_fini(&response);
	return rc;
}

static int listen_somewhere(struct buf *made, struct error *err)
{
	AUTO_CLOSE int fd = -1;
	int port = 0;
	torture_begin();
	int rc = listen_open("127.0.0.1:0", &fd, &port, err);
	torture_end();
	if (fd >= 0 || port != 0)
		torture_say(made, "a socket");
	return rc;
}

int main(void)
{
	static const struct torture_case cases[] = {
		{.name = "a buffer that grows", .run = grow_a_buffer},
		{.name = "JSON is parsed", .run = parse_json},
		{.name = "JSON is printed", .run = print_json},
		{.name = "a list is split", .run = split_items},
		{.name = "secrets", .run = set_a_secret},
		{.name = "a file is read", .run = read_a_file},
		{.name = "encodings", .run = encode},
		{.name = "a pack", .run = pack},
		{.name = "YAML is read", .run = read_yaml},
		{.name = "YAML is read in parts", .run = read_yaml_items},
		{.name = "settings are loaded", .run = load_settings},
		{.name = "settings are shown", .run = show_settings},
		{.name = "certificates are made", .run = make_certificates},
		{.name = "certificates are compared", .run = match_certificates},
		{.name = "certificates are bundled", .run = bundle_certificates},
		{.name = "a request over TLS is set up", .run = set_up_tls},
		{.name = "a request", .run = ask_a_server},
		{.name = "a request on the same client", .run = ask_again},
		{.name = "a listening socket", .run = listen_somewhere},
	};
	int failures = torture_main("torture/base", cases, sizeof(cases) / sizeof(cases[0]));
	if (server != NULL)
		http_server_stop(server);
	cert_pair_fini(&old_ca);
	cert_pair_fini(&new_ca);
	return failures;
}
