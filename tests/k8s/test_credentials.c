// What a client shows to the API server, and whom it trusts, over the life of its credentials: against servers that ask for
// client certificates, and against stub-apiserver over TLS.
#include "base/clock.h"
#include "base/encode.h"
#include "k8s/call.h"
#include "k8s/config_internal.h"
#include "tests/fixtures/apiserver.h"
#include "tests/support/cmocka.h"
#include "tests/support/http_server.h"
#include "tests/support/pki.h"
#include "tests/support/raw_server.h"
#include "tests/support/scratch.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define THREADS 8
#define TEXT_MAX 8192
#define V1 "client.authentication.k8s.io/v1"
#define UNAUTHORIZED "{\"kind\":\"Status\",\"message\":\"Unauthorized\",\"reason\":\"Unauthorized\"}"

static struct pki_cert ca;
static struct pki_cert next_ca;
static struct pki_cert leaf; // for api.test alone
static struct pki_cert next_leaf;
static struct pki_cert one; // clients
static struct pki_cert two;

static int make_pki(void **state)
{
	(void)state;
	ca = pki_make_ca("CA");
	next_ca = pki_make_ca("next CA");
	leaf = pki_make_leaf(&ca, "api", "DNS:api.test");
	next_leaf = pki_make_leaf(&next_ca, "api", "DNS:api.test");
	one = pki_make_leaf(&ca, "one", NULL);
	two = pki_make_leaf(&ca, "two", NULL);
	return 0;
}

static int free_pki(void **state)
{
	struct pki_cert *all[] = {&ca, &next_ca, &leaf, &next_leaf, &one, &two};
	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		pki_cert_fini(all[i]);
	return 0;
}

static const char *put(const char *name, const char *text)
{
	return scratch_write(name, text, strlen(text));
}

// --- a world with a kubeconfig ---

static const char *kubeconfig_path;

static const char *env(const char *name)
{
	return strcmp(name, "KUBECONFIG") == 0 ? kubeconfig_path : NULL;
}

struct world {
	struct k8s_config *config;
	struct k8s_client *client;
};

// cluster and user are the members of those mappings.
static void begin(struct world *w, const char *cluster, const char *user)
{
	char text[TEXT_MAX];
	struct error err = {0};
	(void)snprintf(text, sizeof(text),
		"current-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n"
		"clusters: [{name: c, cluster: {%s}}]\nusers: [{name: u, user: {%s}}]\n",
		cluster, user);
	kubeconfig_path = put("kubeconfig", text);
	assert_ok(k8s_config_load_at(env, "/nowhere", &w->config, &err), err);
	assert_ok(k8s_client_new(w->config, NULL, &w->client, &err), err);
}

static void finish(struct world *w)
{
	k8s_client_free(w->client);
	k8s_config_free(w->config);
}

static void point_at(struct world *w, int port)
{
	free(w->config->server);
	assert_true(asprintf(&w->config->server, "https://127.0.0.1:%d", port) > 0);
}

static void a_minute_passes(struct world *w)
{
	w->client->credentials.read_at_ms -= K8S_CREDENTIALS_AGE_MS + 1;
}

static int ask(struct world *w, struct error *err)
{
	AUTO(json) json_t *answer = NULL;
	return k8s_get(w->client, &K8S_JOB, "n", "j", &answer, err);
}

// --- a server that asks for client certificates ---

struct door {
	char subject[64]; // of the last client
	char refused[64]; // whom it answers 401
	int requests;
};

static void answer_known(void *arg, struct raw_connection *connection, int number)
{
	char request[4096];
	char text[512];
	struct door *door = arg;
	(void)number;
	if (!raw_read_request(connection, request, sizeof(request)))
		return;
	door->requests++;
	raw_client_subject(connection, door->subject, sizeof(door->subject));
	bool good = strcmp(door->subject, door->refused) != 0;
	(void)snprintf(text, sizeof(text), "HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
		good ? "200 OK" : "401 Unauthorized", strlen(good ? "{}" : UNAUTHORIZED), good ? "{}" : UNAUTHORIZED);
	raw_write(connection, text);
}

static struct raw_server *open_door(struct door *door, const struct pki_cert *own)
{
	const struct raw_server_tls tls = {.cert_pem = own->cert_pem, .key_pem = own->key_pem, .client_ca_pem = ca.cert_pem};
	return raw_server_start(answer_known, door, &tls);
}

static void put_client(const struct pki_cert *cert, const struct pki_cert *key)
{
	(void)put("client.crt", cert->cert_pem);
	(void)put("client.key", key->key_pem);
}

#define CLUSTER "server: 'https://placeholder', tls-server-name: api.test, certificate-authority: ca.crt"
#define CERTIFICATE_FILES "client-certificate: client.crt, client-key: client.key"

static void client_certificates_are_read_again(void **state)
{
	(void)state;
	struct world w = {0};
	struct door door = {0};
	struct error err = {0};
	struct raw_server *server = open_door(&door, &leaf);
	(void)put("ca.crt", ca.cert_pem);
	put_client(&one, &one);
	begin(&w, CLUSTER, CERTIFICATE_FILES);
	point_at(&w, raw_server_port(server));
	assert_ok(ask(&w, &err), err);
	assert_string_equal(door.subject, "one");

	put_client(&two, &one); // half-way through a rotation
	a_minute_passes(&w);
	assert_ok(ask(&w, &err), err);
	assert_string_equal(door.subject, "one");

	put_client(&two, &two);
	assert_ok(ask(&w, &err), err);
	assert_string_equal(door.subject, "one"); // a minute has not passed
	a_minute_passes(&w);
	assert_ok(ask(&w, &err), err);
	assert_string_equal(door.subject, "two");

	(void)put("client.key", "");
	a_minute_passes(&w);
	assert_ok(ask(&w, &err), err);
	assert_string_equal(door.subject, "two");
	finish(&w);
	raw_server_stop(server);
}

static void a_401_reads_the_client_certificate_again(void **state)
{
	(void)state;
	struct world w = {0};
	struct door door = {.refused = "one"};
	struct error err = {0};
	struct raw_server *server = open_door(&door, &leaf);
	(void)put("ca.crt", ca.cert_pem);
	put_client(&one, &one);
	begin(&w, CLUSTER, CERTIFICATE_FILES);
	point_at(&w, raw_server_port(server));
	put_client(&two, &two);
	assert_ok(ask(&w, &err), err);
	assert_string_equal(door.subject, "two");
	assert_int_equal(door.requests, 2);
	finish(&w);
	raw_server_stop(server);
}

static void a_changed_ca_is_taken(void **state)
{
	(void)state;
	struct world w = {0};
	struct door door = {0};
	struct error err = {0};
	struct raw_server *old = open_door(&door, &leaf);
	struct raw_server *new = open_door(&door, &next_leaf);
	(void)put("ca.crt", ca.cert_pem);
	put_client(&one, &one);
	begin(&w, CLUSTER, CERTIFICATE_FILES);
	point_at(&w, raw_server_port(old));
	assert_ok(ask(&w, &err), err);

	(void)put("ca.crt", "-----BEGIN CERT"); // makes no sense: the old one stays
	a_minute_passes(&w);
	assert_ok(ask(&w, &err), err);

	point_at(&w, raw_server_port(new));
	assert_error(ask(&w, &err), err, ERROR_TRANSIENT, "certificate");
	(void)put("ca.crt", next_ca.cert_pem);
	a_minute_passes(&w);
	assert_ok(ask(&w, &err), err);
	point_at(&w, raw_server_port(old));
	assert_error(ask(&w, &err), err, ERROR_TRANSIENT, "certificate");
	finish(&w);
	raw_server_stop(old);
	raw_server_stop(new);
}

static char *inline_pem(const char *pem)
{
	char *text = malloc(ENCODE_BASE64_SIZE(strlen(pem)));
	assert_non_null(text);
	encode_base64(pem, strlen(pem), text);
	return text;
}

static void everything_may_be_inline(void **state)
{
	(void)state;
	char cluster[TEXT_MAX / 2];
	char user[TEXT_MAX / 2];
	struct world w = {0};
	struct door door = {0};
	struct error err = {0};
	AUTO_FREE char *ca_data = inline_pem(ca.cert_pem);
	AUTO_FREE char *cert_data = inline_pem(two.cert_pem);
	AUTO_FREE char *key_data = inline_pem(two.key_pem);
	struct raw_server *server = open_door(&door, &leaf);
	(void)snprintf(cluster, sizeof(cluster),
		"server: 'https://127.0.0.1:%d', tls-server-name: api.test, certificate-authority-data: %s",
		raw_server_port(server), ca_data);
	(void)snprintf(user, sizeof(user), "client-certificate-data: %s, client-key-data: %s", cert_data, key_data);
	begin(&w, cluster, user);
	assert_ok(ask(&w, &err), err);
	assert_string_equal(door.subject, "two");
	finish(&w);
	raw_server_stop(server);
}

// --- exec plugins ---

// Prints answer-1 at its first run, answer-2 from then on.
static const char plugin[] =
	"#!/bin/sh\ncd \"$(dirname \"$0\")\" || exit 9\nif [ -e ran ]; then cat answer-2; else : >ran; cat answer-1; fi\n";

#define EXEC "exec: {apiVersion: " V1 ", interactiveMode: Never, command: ./plugin}"

static void put_plugin(char *first, char *second)
{
	const char *path = put("plugin", plugin);
	assert_int_equal(chmod(path, 0700), 0);
	(void)unlink(put("ran", ""));
	(void)put("answer-1", first);
	(void)put("answer-2", second);
	free(first);
	free(second);
}

static char *credential(const char *token, const struct pki_cert *cert)
{
	AUTO(json)
	json_t *whole = json_pack("{s:s, s:s, s:{s:s*, s:s*, s:s*}}", "apiVersion", V1, "kind", "ExecCredential", "status",
		"token", token, "clientCertificateData", cert == NULL ? NULL : cert->cert_pem, "clientKeyData",
		cert == NULL ? NULL : cert->key_pem);
	assert_non_null(whole);
	return json_dumps(whole, 0);
}

static void a_plugins_new_certificate_reaches_the_connections(void **state)
{
	(void)state;
	struct world w = {0};
	struct door door = {.refused = "one"};
	struct error err = {0};
	struct raw_server *server = open_door(&door, &leaf);
	put_plugin(credential(NULL, &one), credential(NULL, &two));
	(void)put("ca.crt", ca.cert_pem);
	begin(&w, CLUSTER, EXEC);
	point_at(&w, raw_server_port(server));
	assert_ok(ask(&w, &err), err);
	assert_string_equal(door.subject, "two");
	assert_int_equal(door.requests, 2);
	// The CA that is read again does not bring back what was before.
	a_minute_passes(&w);
	assert_ok(ask(&w, &err), err);
	assert_string_equal(door.subject, "two");
	assert_int_equal(door.requests, 3);
	finish(&w);
	raw_server_stop(server);
}

// Takes the token "new" alone.
static void take_new_token(void *arg, const struct http_server_request *request, struct http_server_answer *answer)
{
	char value[64];
	(void)arg;
	bool good = strcmp(http_server_header(request, "Authorization", value, sizeof(value)), "Bearer new") == 0;
	answer->status = good ? 200 : 401;
	answer->body = strdup(good ? "{}" : UNAUTHORIZED);
}

static void *ask_in_thread(void *arg)
{
	struct error err = {0};
	return ask(arg, &err) == 0 ? arg : NULL;
}

static void a_401_runs_the_plugin_once_for_all_threads(void **state)
{
	(void)state;
	char cluster[128];
	pthread_t threads[THREADS];
	struct world w = {0};
	struct http_server *server = http_server_start(take_new_token, NULL);
	put_plugin(credential("old", NULL), credential("new", NULL));
	(void)snprintf(cluster, sizeof(cluster), "server: '%s'", http_server_url(server));
	begin(&w, cluster, EXEC);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_in_thread, &w), 0);
	for (size_t i = 0; i < THREADS; i++) {
		void *good = NULL;
		assert_int_equal(pthread_join(threads[i], &good), 0);
		assert_non_null(good);
	}
	assert_in_range(http_server_count(server), THREADS + 1, 2 * THREADS);
	finish(&w);
	http_server_stop(server);
}

static void a_token_that_stays_refused_is_final(void **state)
{
	(void)state;
	char cluster[128];
	struct world w = {0};
	struct error err = {0};
	struct http_server *server = http_server_start(take_new_token, NULL);
	put_plugin(credential("old", NULL), credential("older", NULL));
	(void)snprintf(cluster, sizeof(cluster), "server: '%s'", http_server_url(server));
	begin(&w, cluster, EXEC);
	assert_error(ask(&w, &err), err, ERROR_INVALID, "get jobs n/j: Unauthorized");
	assert_int_equal(err.http_status, 401);
	assert_int_equal(http_server_count(server), 2);
	finish(&w);
	http_server_stop(server);
}

static void a_plugin_in_trouble_never_reads_as_the_api_servers_word(void **state)
{
	(void)state;
	char cluster[128];
	struct world w = {0};
	struct error err = {0};
	struct http_server *server = http_server_start(take_new_token, NULL);
	(void)snprintf(cluster, sizeof(cluster), "server: '%s'", http_server_url(server));
	put_plugin(strdup("garbage"), strdup("garbage"));
	begin(&w, cluster, EXEC);
	assert_error(ask(&w, &err), err, ERROR_TRANSIENT, "get jobs n/j: 4 tries, the first: exec plugin \"");
	assert_non_null(strstr(err.text, "/./plugin\": printed no ExecCredential"));
	assert_error(k8s_delete(w.client, &K8S_JOB, "n", "j", NULL, NULL, &err), err, ERROR_TRANSIENT, "delete jobs n/j");
	finish(&w);

	begin(&w, cluster, "exec: {apiVersion: " V1 ", interactiveMode: Never, command: no-such-plugin-anywhere}");
	assert_error(k8s_delete(w.client, &K8S_JOB, "n", "j", NULL, NULL, &err), err, ERROR_TRANSIENT,
		"delete jobs n/j: exec plugin \"no-such-plugin-anywhere\": cannot be started: No such file");
	finish(&w);
	assert_int_equal(http_server_count(server), 0);
	http_server_stop(server);
}

static void a_token_file_in_trouble_never_reads_as_the_api_servers_word(void **state)
{
	(void)state;
	char cluster[128];
	struct world w = {0};
	struct error err = {0};
	struct http_server *server = http_server_start(take_new_token, NULL);
	(void)snprintf(cluster, sizeof(cluster), "server: '%s'", http_server_url(server));
	const char *path = put("token", "old");
	begin(&w, cluster, "tokenFile: token");
	assert_error(ask(&w, &err), err, ERROR_INVALID, "get jobs n/j: Unauthorized");
	assert_int_equal(http_server_count(server), 2);
	assert_int_equal(unlink(path), 0);
	assert_error(ask(&w, &err), err, ERROR_TRANSIENT, "get jobs n/j: 4 tries, the first: token: open ");
	assert_int_equal(http_server_count(server), 3); // the old token is shown once and then no more
	(void)put("token", "new");
	assert_ok(ask(&w, &err), err);
	finish(&w);
	http_server_stop(server);
}

static bool has_not_run(void *arg)
{
	char path[256];
	(void)arg;
	(void)snprintf(path, sizeof(path), "%.*s/ran", (int)(strrchr(kubeconfig_path, '/') - kubeconfig_path), kubeconfig_path);
	return access(path, F_OK) != 0;
}

// The Lease may be lost while a plugin is at work.
static void whether_to_write_is_asked_after_the_plugin(void **state)
{
	(void)state;
	char cluster[128];
	struct world w = {0};
	struct error err = {0};
	struct http_server *server = http_server_start(take_new_token, NULL);
	put_plugin(credential("new", NULL), credential("new", NULL));
	(void)snprintf(cluster, sizeof(cluster), "server: '%s'", http_server_url(server));
	begin(&w, cluster, EXEC);
	k8s_guard_writes(w.client, has_not_run, NULL);
	assert_error(k8s_delete(w.client, &K8S_JOB, "n", "j", NULL, NULL, &err), err, ERROR_CANCELLED, "does not lead");
	assert_int_equal(http_server_count(server), 0);
	finish(&w);
	http_server_stop(server);
}

static void a_token_beside_a_token_file_is_the_one_to_begin_with(void **state)
{
	(void)state;
	char cluster[128];
	struct world w = {0};
	struct error err = {0};
	struct http_server *server = http_server_start(take_new_token, NULL);
	(void)snprintf(cluster, sizeof(cluster), "server: '%s'", http_server_url(server));
	begin(&w, cluster, "token: new, tokenFile: absent");
	assert_ok(ask(&w, &err), err);
	finish(&w);
	(void)put("token", "new");
	begin(&w, cluster, "token: old, tokenFile: token");
	assert_ok(ask(&w, &err), err);
	finish(&w);
	http_server_stop(server);
}

// --- stub-apiserver, over TLS and with a token ---

struct login_row {
	const char *label;
	const char *user;
	bool works;
	const char *part; // of the error
};

static const struct login_row logins[] = {
	{"an exec plugin", EXEC, true, ""},
	{"a token", "token: new", true, ""},
	{"a token file", "tokenFile: token", true, ""},
	{"another token", "token: old", false, "list namespaces: "},
	{"nobody", "", false, "list namespaces: "},
};

static int count_item(void *arg, json_t *item, struct error *err)
{
	(void)item;
	(void)err;
	++*(int *)arg;
	return 0;
}

static void the_stub_lets_in_who_has_the_token(void **state)
{
	(void)state;
	struct apiserver stub = {0};
	put_plugin(credential("new", NULL), credential("new", NULL));
	(void)put("ca.crt", ca.cert_pem);
	const char *const arguments[] = {"--tls-cert", put("server.crt", leaf.cert_pem), "--tls-key",
		put("server.key", leaf.key_pem), "--token-file", put("token", "new"), NULL};
	apiserver_start(&stub, arguments);
	for (size_t i = 0; i < sizeof(logins) / sizeof(logins[0]); i++) {
		int items = 0;
		struct world w = {0};
		struct error err = {0};
		const struct k8s_list_options options = {.on_item = count_item, .arg = &items};
		print_message("# %s\n", logins[i].label);
		begin(&w, CLUSTER, logins[i].user);
		point_at(&w, (int)stub.port);
		int rc = k8s_list(w.client, &K8S_NAMESPACE, NULL, &options, &err);
		finish(&w);
		if (logins[i].works) {
			assert_ok(rc, err);
			assert_true(items > 0);
		} else {
			assert_error(rc, err, ERROR_INVALID, logins[i].part);
			assert_int_equal(err.http_status, 401);
		}
	}
	apiserver_stop(&stub);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(client_certificates_are_read_again),
		cmocka_unit_test(a_401_reads_the_client_certificate_again),
		cmocka_unit_test(a_changed_ca_is_taken),
		cmocka_unit_test(everything_may_be_inline),
		cmocka_unit_test(a_plugins_new_certificate_reaches_the_connections),
		cmocka_unit_test(a_401_runs_the_plugin_once_for_all_threads),
		cmocka_unit_test(a_token_that_stays_refused_is_final),
		cmocka_unit_test(a_plugin_in_trouble_never_reads_as_the_api_servers_word),
		cmocka_unit_test(a_token_file_in_trouble_never_reads_as_the_api_servers_word),
		cmocka_unit_test(whether_to_write_is_asked_after_the_plugin),
		cmocka_unit_test(a_token_beside_a_token_file_is_the_one_to_begin_with),
		cmocka_unit_test(the_stub_lets_in_who_has_the_token),
	};
	return cmocka_run_group_tests_name("k8s/credentials", cases, make_pki, free_pki);
}
