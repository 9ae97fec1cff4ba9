// Torture (tests/support/torture.h) of k8s/: credentials, decoders, the client's calls, the Lease, a command.
#include "base/cert.h"
#include "base/clock.h"
#include "base/encode.h"
#include "k8s/client.h"
#include "k8s/config_internal.h"
#include "k8s/exec_command.h"
#include "k8s/exec_credential.h"
#include "k8s/lease.h"
#include "k8s/lease_record.h"
#include "k8s/watch_event.h"
#include "k8s/watch_lines.h"
#include "tests/support/cmocka.h"
#include "tests/support/http_server.h"
#include "tests/support/scratch.h"
#include "tests/support/torture.h"
#include <stdio.h>
#include <string.h>

static void say_json(struct buf *made, const json_t *value)
{
	struct error err = {0};
	AUTO_FREE char *text = NULL;
	if (value != NULL)
		torture_say(made, "%s", json_print(value, &text, &err) < 0 ? err.text : text);
}

// Credentials.

static struct cert_pair pair;
static const char *kubeconfig_path;

static int need_pair(struct error *err)
{
	return pair.cert_pem != NULL ? 0 : cert_make_ca("torture", clock_wall_ms(), 86400000, &pair, err);
}

static const char *env(const char *name)
{
	return strcmp(name, "KUBECONFIG") == 0 ? kubeconfig_path : NULL;
}

static int load(const char *user, struct buf *made, struct error *err)
{
	char text[8192];
	(void)scratch_write("ca.pem", pair.cert_pem, strlen(pair.cert_pem)); // beside the kubeconfig
	int len = snprintf(text, sizeof(text),
		"current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u, namespace: n}}]\n"
		"clusters: [{name: k, cluster: {server: 'https://api.test:6443/', certificate-authority: ca.pem, "
		"tls-server-name: t, proxy-url: 'socks5://p:1', extensions: [{name: client.authentication.k8s.io/exec, "
		"extension: {a: [b, 7], c: {d: ~}}}]}}]\n"
		"users:\n- name: u\n  user: %s\n",
		user);
	kubeconfig_path = scratch_write("kubeconfig", text, (size_t)len);
	AUTO(k8s_config) struct k8s_config *config = NULL;
	torture_begin();
	int rc = k8s_config_load(env, &config, err);
	torture_end();
	if (config != NULL)
		torture_say(made, "%s %s %s %s %s %d", config->server, config->ca_pem, config->tls_server_name, config->namespace,
			secret_reveal(&config->token), config->exec != NULL);
	return rc;
}

static int load_a_token(struct buf *made, struct error *err)
{
	return need_pair(err) < 0 ? -1 : load("{token: secret}", made, err);
}

static int load_a_certificate(struct buf *made, struct error *err)
{
	char user[1024];
	if (need_pair(err) < 0)
		return -1;
	const char *key_path = scratch_write("key.pem", secret_reveal(&pair.key_pem), pair.key_pem.len);
	const char *cert_path = scratch_write("cert.pem", pair.cert_pem, strlen(pair.cert_pem));
	(void)snprintf(user, sizeof(user), "{client-certificate: %s, client-key: %s}", cert_path, key_path);
	return load(user, made, err);
}

static int load_a_plugin(struct buf *made, struct error *err)
{
	static const char user[] =
		"{exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/true, interactiveMode: Never, args: [a, b], "
		"env: [{name: X, value: y}], provideClusterInfo: true}}";
	return need_pair(err) < 0 ? -1 : load(user, made, err);
}

// All that may stand in the file itself.
static int load_data(struct buf *made, struct error *err)
{
	char user[4096], cert[1500], key[1500];
	if (need_pair(err) < 0)
		return -1;
	assert_true(strlen(pair.cert_pem) < 1100 && pair.key_pem.len < 1100);
	encode_base64(pair.cert_pem, strlen(pair.cert_pem), cert);
	encode_base64(secret_reveal(&pair.key_pem), pair.key_pem.len, key);
	(void)snprintf(user, sizeof(user), "{client-certificate-data: %s, client-key-data: %s}", cert, key);
	return load(user, made, err);
}

static char home[256];

static const char *env_with_home(const char *name)
{
	return strcmp(name, "HOME") == 0 ? home : NULL;
}

// Nothing is there, which is another error than none that could be looked for.
static int load_from_home(struct buf *made, struct error *err)
{
	AUTO(k8s_config) struct k8s_config *config = NULL;
	struct error why = {0};
	(void)snprintf(home, sizeof(home), "%s", scratch_absent());
	torture_begin();
	int rc = k8s_config_load(env_with_home, &config, &why);
	torture_end();
	if (rc < 0 && why.kind == ERROR_INVALID) {
		torture_say(made, "no configuration");
		return 0;
	}
	*err = why;
	return rc;
}

static const char *env_in_cluster(const char *name)
{
	return strcmp(name, "KUBERNETES_SERVICE_HOST") == 0   ? "fd00::1"
	       : strcmp(name, "KUBERNETES_SERVICE_PORT") == 0 ? "443"
							      : NULL;
}

static int load_in_cluster(struct buf *made, struct error *err)
{
	char dir[512];
	AUTO(k8s_config) struct k8s_config *config = NULL;
	if (need_pair(err) < 0)
		return -1;
	(void)scratch_write("ca.crt", pair.cert_pem, strlen(pair.cert_pem));
	(void)scratch_write("namespace", "here", 4);
	(void)snprintf(dir, sizeof(dir), "%s", scratch_write("token", "secret", 6));
	*strrchr(dir, '/') = '\0';
	torture_begin();
	int rc = k8s_config_load_at(env_in_cluster, dir, &config, err);
	torture_end();
	if (config != NULL)
		torture_say(made, "%s %s", config->server, config->namespace);
	return rc;
}

static int parse_a_credential(struct buf *made, struct error *err)
{
	AUTO(json) json_t *object = NULL;
	AUTO_FREE char *text = NULL;
	AUTO(exec_credential) struct exec_credential credential = {0};
	AUTO(exec_credential) struct exec_credential copy = {0};
	if (need_pair(err) < 0 ||
		json_made(json_pack("{s:s, s:s, s:{s:s, s:s, s:s, s:s}}", "apiVersion", "client.authentication.k8s.io/v1", "kind",
				  "ExecCredential", "status", "token", "secret", "expirationTimestamp", "2099-01-01T00:00:00Z",
				  "clientCertificateData", pair.cert_pem, "clientKeyData", secret_reveal(&pair.key_pem)),
			"credential", &object, err) < 0 ||
		json_print(object, &text, err) < 0)
		return -1;
	torture_begin();
	int rc = exec_credential_parse(text, strlen(text), "client.authentication.k8s.io/v1", clock_wall_ms(), &credential, err);
	if (rc == 0)
		rc = exec_credential_copy(&credential, &copy, err);
	torture_end();
	if (rc == 0)
		torture_say(made, "%s %s", secret_reveal(&copy.token), copy.client_cert_pem);
	return rc;
}

static int run_a_command(struct buf *made, struct error *err)
{
	char name[] = "sh", flag[] = "-c", script[] = "echo out; echo err >&2";
	char *const argv[] = {name, flag, script, NULL};
	char *const no_env[] = {NULL};
	AUTO_FREE char *out = NULL;
	size_t len = 0;
	const struct exec_command command = {
		.file = "/bin/sh", .argv = argv, .envp = no_env, .output_max = 4096, .timeout_ms = 10000};
	torture_begin();
	int rc = exec_command_run(&command, &out, &len, err);
	torture_end();
	if (out != NULL)
		torture_say(made, "%zu %s", len, out);
	return rc;
}

// Decoders.

#define OBJECT "{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"5\",\"labels\":{\"x\":\"y\"}}}"

static int on_line(void *arg, const char *line, size_t len, struct error *err)
{
	AUTO(watch_event) struct watch_event event = {0};
	struct buf *seen = arg;
	if (watch_event_decode(line, len, &event, err) < 0)
		return -1;
	return buf_addf(seen, err, "%s %s;", event.type_text, event.version == NULL ? "-" : event.version);
}

static int split_a_watch(struct buf *made, struct error *err)
{
	static const char stream[] =
		"{\"type\":\"ADDED\",\"object\":" OBJECT "}\n{\"type\":\"BOOKMARK\",\"object\":" OBJECT
		"}\n{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}}\n";
	AUTO(watch_lines) struct watch_lines lines;
	AUTO(buf) struct buf seen;
	buf_init(&seen, 4096);
	watch_lines_init(&lines, 4096, on_line, &seen);
	torture_begin();
	int rc = 0;
	for (size_t at = 0; rc == 0 && at < sizeof(stream) - 1; at += 50)
		rc = watch_lines_feed(&lines, stream + at, strnlen(stream + at, 50), err);
	torture_end();
	if (rc == 0)
		torture_say(made, "%s", buf_str(&seen));
	return rc;
}

static int claim_a_lease(struct buf *made, struct error *err)
{
	const struct lease_claim claim = {
		.namespace = "n", .name = "l", .identity = "me", .duration_ms = 15000, .wall_ms = INT64_C(1795000000000)};
	AUTO(json) json_t *first = NULL;
	AUTO(json) json_t *next = NULL;
	AUTO(json) json_t *released = NULL;
	torture_begin();
	int rc = lease_record_claim(NULL, &claim, &first, err);
	if (rc == 0)
		rc = lease_record_claim(first, &claim, &next, err);
	if (rc == 0)
		rc = lease_record_release(next, claim.wall_ms, &released, err);
	torture_end();
	if (rc == 0) {
		say_json(made, next);
		say_json(made, released);
	}
	return rc;
}

// Calls.

static void serve(void *arg, const struct http_server_request *request, struct http_server_answer *answer)
{
	(void)arg;
	bool is_list = strcmp(request->method, "GET") == 0 && strstr(request->target, "namespaces?") != NULL;
	answer->body = strdup(is_list ? "{\"kind\":\"NamespaceList\",\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[" OBJECT
					"," OBJECT "]}"
				      : OBJECT);
}

static struct http_server *server;

static int new_client(const struct k8s_config *config, struct k8s_client **out, struct error *err)
{
	return k8s_client_new(config, NULL, out, err);
}

static struct k8s_config make_config(void)
{
	static char token[] = "token";
	static char url[128];
	if (server == NULL)
		server = http_server_start(serve, NULL);
	(void)snprintf(url, sizeof(url), "%s", http_server_url(server));
	return (struct k8s_config){.server = url, .token = {.bytes = token, .len = 5}};
}

static int make_a_client(struct buf *made, struct error *err)
{
	const struct k8s_config config = make_config();
	AUTO(k8s_client) struct k8s_client *client = NULL;
	torture_begin();
	int rc = new_client(&config, &client, err);
	torture_end();
	if (client != NULL)
		torture_say(made, "a client");
	return rc;
}

static int call(struct buf *made, struct error *err)
{
	const struct k8s_config config = make_config();
	AUTO(k8s_client) struct k8s_client *client = NULL;
	AUTO(json) json_t *got = NULL;
	AUTO(json) json_t *patched = NULL;
	AUTO(json) json_t *patch = json_pack("{s:{s:{s:s}}}", "metadata", "labels", "x", "y");
	if (new_client(&config, &client, err) < 0)
		return -1;
	torture_begin();
	int rc = k8s_get(client, &K8S_NAMESPACE, NULL, "a", &got, err);
	if (rc == 0)
		rc = k8s_patch(client, &K8S_NAMESPACE, NULL, "a", patch, &patched, err);
	torture_end();
	if (patched != NULL)
		say_json(made, patched);
	return rc;
}

static int delete (struct buf *made, struct error *err)
{
	const struct k8s_config config = make_config();
	AUTO(k8s_client) struct k8s_client *client = NULL;
	if (new_client(&config, &client, err) < 0)
		return -1;
	size_t before = http_server_count(server);
	torture_begin();
	int rc = k8s_delete(client, &K8S_NAMESPACE, NULL, "a", "a-uid", "7", err);
	torture_end();
	const struct http_server_request *sent = http_server_request(server, before);
	// Without its preconditions it would delete what nobody decided on.
	if (sent != NULL && strstr(buf_str(&sent->body), "\"resourceVersion\":\"7\"") == NULL)
		torture_say(made, "sent %s", buf_str(&sent->body));
	return rc;
}

static int count(void *arg, json_t *item, struct error *err)
{
	(void)item;
	(void)err;
	++*(int *)arg;
	return 0;
}

static int list(struct buf *made, struct error *err)
{
	const struct k8s_config config = make_config();
	AUTO(k8s_client) struct k8s_client *client = NULL;
	AUTO(buf) struct buf version;
	int seen = 0;
	buf_init(&version, 64);
	if (new_client(&config, &client, err) < 0)
		return -1;
	const struct k8s_list_options options = {
		.label_selector = "a=b", .on_item = count, .arg = &seen, .resource_version = &version};
	torture_begin();
	int rc = k8s_list(client, &K8S_NAMESPACE, NULL, &options, err);
	torture_end();
	if (rc == 0)
		torture_say(made, "%d %s", seen, buf_str(&version));
	return rc;
}

static int make_a_lease(struct buf *made, struct error *err)
{
	const struct k8s_config config = make_config();
	const struct lease_options options = {.namespace = "n", .name = "l", .identity = "me"};
	AUTO(k8s_client) struct k8s_client *client = NULL;
	AUTO(lease) struct lease *lease = NULL;
	if (new_client(&config, &client, err) < 0)
		return -1;
	torture_begin();
	int rc = lease_new(client, &options, &lease, err);
	torture_end();
	if (lease != NULL)
		torture_say(made, "%d", lease_is_held(lease));
	return rc;
}

// The token and the certificates of a client that reads them from files, again and again.
static int call_with_files(struct buf *made, struct error *err)
{
	struct k8s_config config = make_config();
	AUTO(k8s_client) struct k8s_client *client = NULL;
	AUTO(json) json_t *got = NULL;
	if (need_pair(err) < 0)
		return -1;
	config.token = (struct secret){0};
	const char *token_path = scratch_write("token", "secret", 6);
	const char *ca_path = scratch_write("ca.crt", pair.cert_pem, strlen(pair.cert_pem));
	config.token_file = (char *)(uintptr_t)token_path;
	config.ca_file = (char *)(uintptr_t)ca_path;
	torture_begin();
	int rc = new_client(&config, &client, err);
	if (rc == 0)
		rc = k8s_get(client, &K8S_NAMESPACE, NULL, "a", &got, err);
	torture_end();
	if (got != NULL)
		say_json(made, got);
	return rc;
}

int main(void)
{
	static const struct torture_case cases[] = {
		{.name = "a kubeconfig with a token", .run = load_a_token},
		{.name = "a kubeconfig with a certificate", .run = load_a_certificate},
		{.name = "a kubeconfig with a plugin", .run = load_a_plugin},
		{.name = "a kubeconfig with data", .run = load_data},
		{.name = "no kubeconfig at home", .run = load_from_home},
		{.name = "within the cluster", .run = load_in_cluster, .may_go_without = true}, // without its namespace file
		{.name = "a plugin's credential", .run = parse_a_credential},
		{.name = "a command", .run = run_a_command},
		{.name = "a watch is split and decoded", .run = split_a_watch},
		{.name = "a Lease is claimed and released", .run = claim_a_lease},
		{.name = "a client is made", .run = make_a_client},
		{.name = "get and patch", .run = call},
		{.name = "delete", .run = delete},
		{.name = "list", .run = list},
		{.name = "get with a token from a file", .run = call_with_files},
		{.name = "a Lease is made", .run = make_a_lease},
	};
	int failures = torture_main("torture/k8s", cases, sizeof(cases) / sizeof(cases[0]));
	if (server != NULL)
		http_server_stop(server);
	cert_pair_fini(&pair);
	return failures;
}
