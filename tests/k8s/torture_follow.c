// Torture (tests/support/torture.h) of what lasts: the Lease, a watch, credentials that are renewed while the client lives.
#include "base/cert.h"
#include "base/clock.h"
#include "base/log.h"
#include "k8s/client.h"
#include "k8s/config.h"
#include "k8s/exec_plugin.h"
#include "k8s/lease.h"
#include "k8s/watch.h"
#include "tests/support/cmocka.h"
#include "tests/support/http_server.h"
#include "tests/support/scratch.h"
#include "tests/support/torture.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define OBJECT "{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"5\"}}"
#define LIST "{\"kind\":\"NamespaceList\",\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[" OBJECT "]}"
#define EVENTS "{\"type\":\"MODIFIED\",\"object\":" OBJECT "}\n{\"type\":\"BOOKMARK\",\"object\":" OBJECT "}\n"
#define WAIT_MS 10000

// An API server with one Lease, one Namespace, and tokens that it has had enough of.
static struct http_server *server;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // guards what follows
static char lease_text[4096];                            // "": there is none
static bool is_strict;                                   // the old token is refused

static void serve_lease(const struct http_server_request *request, struct http_server_answer *answer)
{
	if (strcmp(request->method, "GET") != 0)
		(void)snprintf(lease_text, sizeof(lease_text), "%s", buf_str((struct buf *)(uintptr_t)&request->body));
	answer->status = lease_text[0] == '\0' ? 404 : 200;
	answer->body = strdup(lease_text[0] == '\0' ? "{\"kind\":\"Status\",\"code\":404,\"reason\":\"NotFound\"}" : lease_text);
}

static void serve(void *arg, const struct http_server_request *request, struct http_server_answer *answer)
{
	char token[128];
	(void)arg;
	(void)pthread_mutex_lock(&lock);
	(void)http_server_header(request, "Authorization", token, sizeof(token));
	if (is_strict && strcmp(token, "Bearer old") == 0) {
		answer->status = 401;
		answer->body = strdup("{\"kind\":\"Status\",\"code\":401,\"reason\":\"Unauthorized\"}");
	} else if (strstr(request->target, "/leases") != NULL) {
		serve_lease(request, answer);
	} else {
		answer->body = strdup(strstr(request->target, "watch=1") != NULL       ? EVENTS
				      : strstr(request->target, "namespaces?") != NULL ? LIST
										       : OBJECT);
	}
	(void)pthread_mutex_unlock(&lock);
}

static void reset(bool strict)
{
	(void)pthread_mutex_lock(&lock);
	lease_text[0] = '\0';
	is_strict = strict;
	(void)pthread_mutex_unlock(&lock);
	http_server_forget(server);
}

static struct k8s_config make_config(void)
{
	static char token[] = "token";
	static char url[128];
	if (server == NULL)
		server = http_server_start(serve, NULL);
	(void)snprintf(url, sizeof(url), "%s", http_server_url(server));
	reset(false);
	return (struct k8s_config){.server = url, .token = {.bytes = token, .len = 5}};
}

// The Lease: who cannot say that it holds does not hold; and what it may hold it gives up, or says that it could not.

static int hold_a_lease(struct buf *made, struct error *err)
{
	const struct k8s_config config = make_config();
	const struct lease_options options = {.namespace = "n", .name = "l", .identity = "me"};
	AUTO(k8s_client) struct k8s_client *client = NULL;
	AUTO(lease) struct lease *lease = NULL;
	struct lease_status status;
	if (k8s_client_new(&config, NULL, &client, err) < 0)
		return -1;
	torture_begin();
	int rc = lease_new(client, &options, &lease, err);
	if (rc == 0)
		rc = lease_try(lease, err); // creates it
	bool first = rc == 0 && lease_is_held(lease);
	if (rc == 0)
		rc = lease_try(lease, err); // renews it
	torture_end();
	if (rc == 0) {
		lease_read_status(lease, &status);
		torture_say(made, "%d %d %s", first, status.is_held, status.holder);
	}
	return rc;
}

static int give_up_a_lease(struct buf *made, struct error *err)
{
	const struct k8s_config config = make_config();
	const struct lease_options options = {.namespace = "n", .name = "l", .identity = "me"};
	AUTO(k8s_client) struct k8s_client *client = NULL;
	AUTO(lease) struct lease *lease = NULL;
	if (k8s_client_new(&config, NULL, &client, err) < 0 || lease_new(client, &options, &lease, err) < 0 ||
		lease_try(lease, err) < 0)
		return -1;
	torture_begin();
	lease_stop(lease);
	torture_end();
	(void)pthread_mutex_lock(&lock);
	bool is_free = strstr(lease_text, "\"holderIdentity\":\"\"") != NULL;
	(void)pthread_mutex_unlock(&lock);
	if (lease_is_held(lease))
		torture_say(made, "still held");
	return is_free ? 0 : error_set(err, ERROR_TRANSIENT, "the next holder has to wait for its end");
}

static int start_a_lease(struct buf *made, struct error *err)
{
	const struct k8s_config config = make_config();
	const struct lease_options options = {.namespace = "n", .name = "l"};
	char identity[LEASE_IDENTITY_SIZE] = "";
	struct lease_options with_identity = options;
	AUTO(k8s_client) struct k8s_client *client = NULL;
	AUTO(lease) struct lease *lease = NULL;
	if (k8s_client_new(&config, NULL, &client, err) < 0)
		return -1;
	with_identity.identity = identity;
	torture_begin();
	int rc = lease_make_identity(identity, err);
	if (rc == 0)
		rc = lease_new(client, &with_identity, &lease, err);
	if (rc == 0)
		rc = lease_start(lease, err);
	torture_end();
	if (rc == 0)
		torture_say(made, "%d", strchr(identity, '_') != NULL);
	return rc;
}

// A watch: it works on a thread of its own, where its callbacks begin the torture; whatever fails there, it lists or follows
// again.

static void on_list_begin(void *arg)
{
	(void)arg;
	torture_begin();
}

static int on_object(void *arg, json_t *object, struct error *err)
{
	(void)arg;
	(void)object;
	(void)err;
	return 0;
}

static int on_list_end(void *arg, struct error *err)
{
	(void)arg;
	(void)err;
	return 0;
}

static int on_change(void *arg, enum k8s_watch_change change, json_t *object, struct error *err)
{
	(void)arg;
	(void)change;
	(void)object;
	(void)err;
	return 0;
}

static int follow(struct buf *made, struct error *err)
{
	static const struct k8s_watch_timings timings = {
		.timeout_min_s = 5, .timeout_max_s = 10, .silence_ms = 5000, .pause_first_ms = 1, .pause_max_ms = 1};
	const struct k8s_config config = make_config();
	const struct k8s_watch_options options = {.resource = &K8S_NAMESPACE,
		.label_selector = "a=b",
		.callbacks = {.on_list_begin = on_list_begin,
			.on_object = on_object,
			.on_list_end = on_list_end,
			.on_change = on_change},
		.timings = &timings};
	const struct timespec nap = {.tv_nsec = 500000};
	struct k8s_watch_status status = {0};
	AUTO(k8s_client) struct k8s_client *client = NULL;
	struct k8s_watch *watch = NULL;
	if (k8s_client_new(&config, NULL, &client, err) < 0)
		return -1;
	torture_begin();
	int rc = k8s_watch_start(client, &options, &watch, err);
	torture_end();
	if (rc < 0)
		return -1;
	int64_t until_ms = clock_mono_ms() + WAIT_MS;
	while ((!status.is_synced || status.events < 2) && clock_mono_ms() < until_ms) {
		(void)nanosleep(&nap, NULL);
		k8s_watch_read_status(watch, &status);
	}
	k8s_watch_stop(watch);
	torture_say(made, "%s", status.is_synced && status.events >= 2 ? "it has followed" : "it has not followed");
	return 0;
}

// Credentials.

static char texts[][160] = {"/bin/sh", "-c",
	"echo '{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":{\"token\":\"new\"}}'",
	"X=y", "client.authentication.k8s.io/v1", "{}"};

static int call_with_a_plugin(struct buf *made, struct error *err)
{
	char *args[] = {texts[1], texts[2], NULL}, *env[] = {texts[3], NULL};
	struct exec_plugin_spec spec = {
		.command = texts[0], .args = args, .env = env, .api_version = texts[4], .info = texts[5], .timeout_ms = 5000};
	struct k8s_config config = make_config();
	AUTO(k8s_client) struct k8s_client *client = NULL;
	AUTO(json) json_t *got = NULL;
	config.token = (struct secret){0};
	config.exec = &spec;
	reset(true);
	torture_begin();
	int rc = k8s_client_new(&config, NULL, &client, err);
	if (rc == 0)
		rc = k8s_get(client, &K8S_NAMESPACE, NULL, "a", &got, err);
	torture_end();
	if (got != NULL)
		torture_say(made, "got");
	return rc;
}

static struct cert_pair ca, other_ca;

static int need_pairs(struct error *err)
{
	if (ca.cert_pem != NULL)
		return 0;
	return cert_make_ca("one", clock_wall_ms(), 86400000, &ca, err) < 0
		       ? -1
		       : cert_make_ca("two", clock_wall_ms(), 86400000, &other_ca, err);
}

static char *put(const char *name, const char *text)
{
	const char *path = scratch_write(name, text, strlen(text));
	return (char *)(uintptr_t)path; // which the client does not change
}

static void put_pair(const struct cert_pair *pair, const char *token, struct k8s_config *config)
{
	config->ca_file = put("ca.crt", pair->cert_pem);
	config->client_cert_file = put("tls.crt", pair->cert_pem);
	config->client_key_file = put("tls.key", secret_reveal(&pair->key_pem));
	config->token_file = put("token", token);
}

// The files have been replaced and the API server does not take the old ones any more: a 401, and then all is read again.
static int renew_after_a_refusal(struct buf *made, struct error *err)
{
	struct k8s_config config = make_config();
	AUTO(k8s_client) struct k8s_client *client = NULL;
	AUTO(json) json_t *first = NULL;
	AUTO(json) json_t *got = NULL;
	if (need_pairs(err) < 0)
		return -1;
	config.token = (struct secret){0};
	put_pair(&ca, "old", &config);
	if (k8s_client_new(&config, NULL, &client, err) < 0 || k8s_get(client, &K8S_NAMESPACE, NULL, "a", &first, err) < 0)
		return -1;
	put_pair(&other_ca, "new", &config);
	reset(true);
	torture_begin();
	int rc = k8s_get(client, &K8S_NAMESPACE, NULL, "a", &got, err);
	torture_end();
	if (got != NULL)
		torture_say(made, "got");
	return rc;
}

int main(void)
{
	static const struct torture_case cases[] = {
		{.name = "a Lease is held", .run = hold_a_lease},
		{.name = "a Lease is given up", .run = give_up_a_lease},
		{.name = "a Lease is started", .run = start_a_lease},
		{.name = "a watch follows", .run = follow, .is_once_a_place = true},
		{.name = "a plugin's token", .run = call_with_a_plugin, .is_once_a_place = true},
		{.name = "files are read again after a refusal", .run = renew_after_a_refusal, .is_once_a_place = true},
	};
	log_setup(LOG_ERROR, LOG_LOGFMT);
	int failures = torture_main("torture/k8s_follow", cases, sizeof(cases) / sizeof(cases[0]));
	if (server != NULL)
		http_server_stop(server);
	cert_pair_fini(&ca);
	cert_pair_fini(&other_ca);
	return failures;
}
