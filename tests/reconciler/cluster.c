#include "tests/reconciler/cluster.h"

#include "base/clock.h"
#include "fixtures/apiserver/datafile.h"
#include "fixtures/apiserver/server.h"
#include "fixtures/apiserver/tokens.h"
#include "reconciler/pass.h"
#include "reconciler/reconcile.h"
#include "tests/reconciler/scenes.h"
#include "tests/support/cmocka.h"
#include "tests/support/http_server.h"
#include "tests/support/scratch.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SETTLE_TURNS 2
#define EVENT_WAIT_MS 10000 // they are sent by a thread of their own
#define VALUE_SAID_MAX 35   // without canopy's own words, which an error does without when memory is short
#define SAID_SIZE 2048      // of cluster_stands()

#if defined(__clang__)
#pragma GCC diagnostic ignored "-Wreserved-identifier"
#endif

// The API server lives as long as its store, what else is here until the program ends.
static struct api api;
static struct server *kube;
static struct http_server *canopy;
static struct cluster *current;
static struct k8s_config config;
static char kube_url[64];

// --- the doubles of the checks

int __wrap_checks_start(struct checks *checks, const struct check_request *request, struct error *err);
enum check_state __wrap_checks_look(
	struct checks *checks, const char *namespace, const char *round_key, struct check_result *result);
void __wrap_checks_forget(struct checks *checks, const char *namespace, const char *round_key);

int __wrap_checks_start(struct checks *checks, const struct check_request *request, struct error *err)
{
	(void)checks;
	(void)err;
	assert_string_equal(request->namespace, SCENE_NAMESPACE);
	current->checks_started++;
	(void)snprintf(current->checked_as, sizeof(current->checked_as), "%s%s%s",
		request->source_user == NULL ? "" : request->source_user, request->source_database == NULL ? "" : "@",
		request->source_database == NULL ? "" : request->source_database);
	return 0;
}

enum check_state __wrap_checks_look(
	struct checks *checks, const char *namespace, const char *round_key, struct check_result *result)
{
	(void)checks;
	(void)namespace;
	(void)round_key;
	if (result != NULL && current->check == CHECK_DONE)
		*result = current->checked;
	return current->check;
}

void __wrap_checks_forget(struct checks *checks, const char *namespace, const char *round_key)
{
	(void)checks;
	(void)namespace;
	(void)round_key;
}

// --- canopy

#define CREDENTIALS                                                                                                \
	"{\"credentials\":{\"Version\":1,\"AccessKeyId\":\"key\",\"SecretAccessKey\":\"secret\",\"SessionToken\":" \
	"\"token\",\"Expiration\":\"2099-01-01T00:00:00Z\"},\"repo_password\":\"password\"}"
#define PROBLEM "{\"type\":\"about:blank\",\"title\":\"told to\"}"

// Of the first entry; others may follow it.
static bool has_member(const char *entry, const char *member)
{
	const char *found = entry == NULL ? NULL : strstr(entry, member);
	const char *next = entry == NULL ? NULL : strstr(entry, "},{");
	return found != NULL && (next == NULL || found < next);
}

// The caller frees.
static char *worklist_text(const struct cluster *cluster)
{
	char *text = NULL;
	const char *entry = cluster->entry;
	bool has_params = has_member(entry, "\"params\"");
	bool has_storage = has_member(entry, "\"storage\"");
	bool has_bucket = has_member(entry, "\"bucket\"");
	int len = entry == NULL ? asprintf(&text, "[]")
				: asprintf(&text,
					  "[{\"replica_id\":\"" SCENE_REPLICA_ID "\",\"group_id\":\"" SCENE_GROUP_ID
					  "\",\"server_id\":\"" SCENE_SERVER_ID
					  "\",\"type\":\"tamanu-postgres\",\"intent\":\"%s\",\"name\":\"Nauru prod "
					  "analytics\",%s%s%s\"prefix\":\"p\",\"region\":\"r\"%s}]",
					  cluster->intent, has_params ? "" : "\"params\":{},",
					  has_storage ? "" : "\"storage\":\"s3\",", has_bucket ? "" : "\"bucket\":\"b\",", entry);
	if (len < 0)
		abort();
	return text;
}

static void answer_as_canopy(void *arg, const struct http_server_request *request, struct http_server_answer *out)
{
	(void)arg;
	if (strncmp(request->target, "/restore-worklist", strlen("/restore-worklist")) == 0) {
		out->body = worklist_text(current);
		return;
	}
	bool is_about_keys = strcmp(request->target, "/restore-credentials") == 0;
	int status = is_about_keys && current->credentials_status != 0 ? current->credentials_status : current->canopy_status;
	out->status = status != 0 ? status : is_about_keys ? 200 : 204;
	out->body = status != 0 ? strdup(PROBLEM) : is_about_keys ? strdup(CREDENTIALS) : NULL;
}

// --- life

static void start_servers(void)
{
	struct error err = {0};
	const struct server_options options = {.host = "127.0.0.1"};
	if (canopy == NULL) {
		api.minor = 29;
		assert_ok(faults_new(NULL, &api.faults, &err), err);
		assert_ok(tally_new(NULL, &api.tally, &err), err);
		canopy = http_server_start(answer_as_canopy, NULL);
	}
	assert_ok(server_start(&options, &api, &kube, &err), err);
	(void)snprintf(kube_url, sizeof(kube_url), "http://127.0.0.1:%d", server_port(kube));
	config.server = kube_url;
}

static const char *environment(const char *name)
{
	if (strcmp(name, "CANOPY_PROXY_IMAGE") == 0)
		return "proxy:1";
	if (strcmp(name, "TEARDOWN_GUARD") == 0)
		return "off"; // it would hold the only replica for two minutes
	if (strcmp(name, "PGRO_BROKER_LISTEN_ADDR") == 0 || strcmp(name, "METRICS_ADDR") == 0)
		return "127.0.0.1:0";
	return strcmp(name, "CANOPY_BASE_URL") == 0 ? http_server_url(canopy) : NULL;
}

static void open_store(const char *kept)
{
	struct error err = {0};
	assert_ok(store_new(&api.store, &err), err);
	api.rbac.store = api.store;
	if (kept != NULL) {
		assert_ok(datafile_read(api.store, kept, &err), err);
		return;
	}
	AUTO(json) json_t *of_operator = json_pack("{s:{s:s}}", "metadata", "name", "pgro-system");
	AUTO(json) json_t *of_events = json_pack("{s:{s:s}}", "metadata", "name", "default");
	assert_ok(store_create(api.store, "namespaces", of_operator, NULL, &err), err);
	assert_ok(store_create(api.store, "namespaces", of_events, NULL, &err), err);
}

static void open_operator(struct manager *op, struct error *err)
{
	static const char *const names[] = {"understory", NULL};
	static struct ca_state ca; // making keys takes long
	struct settings *settings = NULL;
	struct http_client *http = NULL;
	bool is_changed = false;
	assert_ok(settings_load(environment, &settings, err), *err);
	op->settings = settings;
	op->is_brake_loaded = true;
	op->has_native_sidecars = true;
	op->checks = (struct checks *)(uintptr_t)op; // the doubles do not look at it
	pulse_init(&op->pulse);
	assert_ok(metrics_new(&op->metrics, err), *err);
	assert_ok(memos_new(&op->memos, err), *err);
	assert_ok(notes_new(&op->notes, err), *err);
	assert_ok(cache_new(&op->cache, err), *err);
	assert_ok(queue_new(&op->queue, err), *err);
	assert_ok(slots_new((size_t)settings->max_concurrent_restores, &op->slots, err), *err);
	assert_ok(authority_new(&op->authority, err), *err);
	assert_ok(ca_renew_if_due(&ca, names, clock_wall_ms(), &is_changed, err), *err);
	assert_ok(authority_set(op->authority, &ca, err), *err);
	assert_ok(k8s_client_new(&config, NULL, &op->k8s, err), *err);
	assert_ok(events_new(op->k8s, "test", &op->events, err), *err);
	assert_ok(http_client_new(&(struct http_options){.user_agent = "test"}, &http, err), *err);
	assert_ok(canopy_client_new(settings->canopy_base_url, http, &op->canopy, err), *err);
}

void cluster_open(struct cluster *cluster, const char *intent, const char *kept)
{
	struct error err = {0};
	*cluster =
		(struct cluster){.intent = intent, .entry = ",\"snapshot_id\":\"s1\",\"snapshot_at\":\"2026-11-20T10:00:00Z\""};
	current = cluster;
	open_store(kept);
	start_servers();
	http_server_forget(canopy);
	cluster_fault(cluster, "[]");
	open_operator(&cluster->op, &err);
}

void cluster_close(struct cluster *cluster)
{
	struct manager *op = &cluster->op;
	canopy_client_free(op->canopy);
	events_free(op->events);
	k8s_client_free(op->k8s);
	authority_free(op->authority);
	slots_free(op->slots);
	queue_free(op->queue);
	cache_free(op->cache);
	notes_free(op->notes);
	memos_free(op->memos);
	metrics_free(op->metrics);
	worklist_free(op->worklist);
	worklist_free(op->fetched);
	settings_free((struct settings *)(uintptr_t)op->settings);
	json_decref(cluster->checked.details);
	server_stop(kube); // a watch may look at the store for a moment after its client has gone
	kube = NULL;
	store_free(api.store);
	api.store = NULL;
}

const char *cluster_kubeconfig(struct cluster *cluster)
{
	char text[512];
	(void)cluster;
	int len = snprintf(text, sizeof(text),
		"{\"current-context\":\"c\",\"contexts\":[{\"name\":\"c\",\"context\":{\"cluster\":\"c\",\"user\":\"u\"}}],"
		"\"clusters\":[{\"name\":\"c\",\"cluster\":{\"server\":\"%s\"}}],\"users\":[{\"name\":\"u\",\"user\":{}}]}",
		kube_url);
	return scratch_write("kubeconfig", text, (size_t)len);
}

const char *cluster_keep(struct cluster *cluster, const char *name)
{
	struct error err = {0};
	(void)cluster;
	const char *path = scratch_write(name, "", 0);
	assert_ok(datafile_write(api.store, path, &err), err);
	return path;
}

// --- the operator

static void fetch(struct cluster *cluster)
{
	struct error err = {0};
	AUTO_FREE char *text = worklist_text(cluster);
	AUTO(worklist_decoder) struct worklist_decoder *decoder = NULL;
	assert_ok(worklist_decoder_new(&decoder, &err), err);
	assert_ok(worklist_decoder_feed(decoder, text, strlen(text), &err), err);
	worklist_free(cluster->op.fetched);
	cluster->op.fetched = NULL;
	assert_ok(worklist_decoder_finish(decoder, &cluster->op.fetched, &err), err);
}

void cluster_look(struct cluster *cluster)
{
	struct error err = {0};
	struct pass pass;
	fetch(cluster);
	assert_ok(cache_list(cluster->op.cache, cluster->op.k8s, &err), err);
	assert_ok(pass_decide(&cluster->op, true, clock_wall_ms(), clock_mono_ms(), &pass, &err), err);
	assert_ok(pass_enqueue(&cluster->op, clock_wall_ms(), &err), err);
}

void cluster_work(struct cluster *cluster)
{
	reconcile(&cluster->op, SCENE_NAMESPACE);
}

void cluster_settle(struct cluster *cluster)
{
	for (int i = 0; i < SETTLE_TURNS; i++) {
		struct memo *memo = memos_take(cluster->op.memos, SCENE_NAMESPACE);
		assert_non_null(memo);
		memo->next_try_mono_ms = 0;
		memos_put(cluster->op.memos, memo);
		cluster_look(cluster);
		cluster_work(cluster);
	}
}

const char *cluster_trouble(struct cluster *cluster)
{
	static struct note note;
	return notes_look(cluster->op.notes, SCENE_NAMESPACE, &note) && note.errors_in_row > 0 ? note.trouble : "";
}

void cluster_fault(struct cluster *cluster, const char *rules)
{
	struct error err = {0};
	AUTO(json) json_t *parsed = NULL;
	(void)cluster;
	assert_ok(json_parse(rules, strlen(rules), &parsed, &err), err);
	assert_ok(faults_set(api.faults, parsed, &err), err);
}

int cluster_count_faults(struct cluster *cluster)
{
	struct error err = {0};
	AUTO(json) json_t *shown = NULL;
	(void)cluster;
	assert_ok(faults_show(api.faults, &shown, &err), err);
	return (int)json_find_int(0, json_array_get(shown, 0), "hits");
}

// --- what happens in the cluster

static json_t *get(const char *kind, const char *namespace, const char *name)
{
	struct error err = {0};
	json_t *object = NULL;
	assert_ok(store_get(api.store, kind, namespace, name, &object, &err), err);
	return object;
}

static int merge(void *arg, json_t *object, struct error *err)
{
	(void)err;
	return json_object_update_recursive(object, arg);
}

void cluster_change(const char *kind, const char *namespace, const char *name, json_t *by)
{
	struct error err = {0};
	AUTO(json) json_t *owned = by;
	assert_non_null(owned);
	assert_ok(store_update(api.store, kind, namespace, name, merge, owned, NULL, &err), err);
}

static void round_in_hand(char out[ROUND_KEY_SIZE])
{
	AUTO(json) json_t *namespace = get("namespaces", "", SCENE_NAMESPACE);
	const char *round = json_find_str(namespace, "metadata", "annotations", ANN_ROUND);
	assert_non_null(round);
	(void)snprintf(out, ROUND_KEY_SIZE, "%s", round);
}

// Takes the status.
static void make_pod(const char *name, const char *round, const char *job, json_t *spec, json_t *status)
{
	struct error err = {0};
	AUTO(json)
	json_t *pod = json_pack("{s:{s:s, s:s, s:{s:s, s:s, s:s*}}, s:o, s:o}", "metadata", "name", name, "namespace",
		SCENE_NAMESPACE, "labels", LABEL_MANAGED_BY, LABEL_MANAGED_BY_VALUE, LABEL_ROUND, round, "job-name", job, "spec",
		spec, "status", status);
	assert_non_null(pod);
	assert_ok(store_create(api.store, "pods", pod, NULL, &err), err);
}

void cluster_job_ends(struct cluster *cluster, bool is_well, const char *message)
{
	char round[ROUND_KEY_SIZE], job[OBJECT_NAME_SIZE], pod[OBJECT_NAME_SIZE + 2];
	int exit_code = cluster->exit_code == 0 ? 11 : cluster->exit_code;
	round_in_hand(round);
	name_restore(round, job);
	(void)snprintf(pod, sizeof(pod), "%s-x", job);
	cluster_change("jobs.batch", SCENE_NAMESPACE, job,
		json_pack("{s:{s:[{s:s, s:s, s:s, s:s}]}}", "status", "conditions", "type", is_well ? "Complete" : "Failed",
			"status", "True", "reason", is_well ? "" : "PodFailurePolicy", "message", "told to"));
	AUTO(json) json_t *made = get("jobs.batch", SCENE_NAMESPACE, job);
	make_pod(pod, round, job, json_incref(json_find(made, "spec", "template", "spec")),
		json_pack("{s:[{s:s, s:{s:{s:i, s:s, s:s}}}]}", "containerStatuses", "name", "restore", "state", "terminated",
			"exitCode", is_well ? 0 : exit_code, "reason", is_well ? "Completed" : "Error", "message", message));
}

void cluster_database_comes_up(struct cluster *cluster)
{
	char round[ROUND_KEY_SIZE], name[OBJECT_NAME_SIZE];
	(void)cluster;
	round_in_hand(round);
	name_deployment(round, name);
	cluster_change("deployments.apps", SCENE_NAMESPACE, name,
		json_pack("{s:{s:i, s:i, s:[{s:s, s:s}]}}", "status", "observedGeneration", 1000, "availableReplicas", 1,
			"conditions", "type", "Available", "status", "True"));
	make_pod(name, round, NULL, json_pack("{s:[{s:s}]}", "containers", "name", "postgres"),
		json_pack("{s:s, s:[{s:s, s:{s:{s:i, s:s, s:s, s:s}}}], s:[{s:s, s:s, s:s}]}", "podIP", "127.0.0.1",
			"initContainerStatuses", "name", "prepare", "state", "terminated", "exitCode", 0, "startedAt",
			"2026-11-20T10:00:00Z", "finishedAt", "2026-11-20T10:00:05Z", "message",
			"{\"capture\":\"stopped\",\"recovery_seconds\":5}", "containerStatuses", "name", "postgres", "image", "i",
			"imageID", "i@sha256:0"));
}

void cluster_annotate(struct cluster *cluster, const char *key, const char *value)
{
	char whole[128];
	(void)cluster;
	(void)snprintf(whole, sizeof(whole), PGRO "%s", key);
	cluster_change("namespaces", "", SCENE_NAMESPACE, json_pack("{s:{s:{s:s}}}", "metadata", "annotations", whole, value));
}

void cluster_label(struct cluster *cluster, const char *key, const char *value)
{
	char whole[128];
	(void)cluster;
	(void)snprintf(whole, sizeof(whole), PGRO "%s", key);
	cluster_change("namespaces", "", SCENE_NAMESPACE, json_pack("{s:{s:{s:s}}}", "metadata", "labels", whole, value));
}

json_t *cluster_annotation(struct cluster *cluster, const char *key)
{
	struct error err = {0};
	char whole[128];
	json_t *value = NULL;
	(void)cluster;
	(void)snprintf(whole, sizeof(whole), PGRO "%s", key);
	AUTO(json) json_t *namespace = get("namespaces", "", SCENE_NAMESPACE);
	const char *text = json_find_str(namespace, "metadata", "annotations", whole);
	assert_non_null(text);
	assert_ok(json_parse(text, strlen(text), &value, &err), err);
	return value;
}

char *cluster_token(struct cluster *cluster)
{
	struct error err = {0};
	char *token = NULL;
	(void)cluster;
	AUTO(json) json_t *audiences = json_pack("[s]", "understory-broker");
	assert_ok(tokens_issue(api.store, SCENE_NAMESPACE, "restore", audiences, 600, &token, &err), err);
	return token;
}

void cluster_make_secret(struct cluster *cluster, const char *name, json_t *data)
{
	struct error err = {0};
	AUTO(json)
	json_t *secret = json_pack("{s:{s:s, s:s}, s:o}", "metadata", "name", name, "namespace",
		cluster->op.settings->operator_namespace, "data", data);
	assert_non_null(secret);
	assert_ok(store_create(api.store, "secrets", secret, NULL, &err), err);
}

// --- what is told

static bool is_told(const char *reason)
{
	struct error err = {0};
	AUTO(json) json_t *all = NULL;
	size_t i;
	const json_t *event;
	assert_ok(store_list(api.store, "events.events.k8s.io", NULL, &all, NULL, &err), err);
	json_array_foreach (all, i, event) {
		const char *found = json_find_str(event, "reason");
		if (found != NULL && strcmp(found, reason) == 0)
			return true;
	}
	return false;
}

void cluster_await_event(struct cluster *cluster, const char *reason)
{
	int64_t give_up_mono_ms = clock_mono_ms() + EVENT_WAIT_MS;
	(void)cluster;
	while (!is_told(reason) && clock_mono_ms() < give_up_mono_ms)
		(void)poll(NULL, 0, 5);
	if (!is_told(reason))
		fail_msg("no Event %s", reason);
}

// --- how it stands

static const char *const said[] = {"restore-state", "active-round", "round", "attempt", "failures", "last-error", "last-verdict",
	"desired-snapshot-id", "last-restored-snapshot-id", "last-verification-reported-round", "last-verification-error",
	"report", "force-refresh"};

static bool has_a_time(const char *key)
{
	return strcmp(key, "report") == 0 || strcmp(key, "last-verification-error") == 0;
}

static void say_namespace(struct buf *out)
{
	struct error err = {0};
	AUTO(json) json_t *namespace = NULL;
	if (store_get(api.store, "namespaces", "", SCENE_NAMESPACE, &namespace, &err) < 0) {
		assert_ok(buf_add_str(out, "no Namespace", &err), err);
		return;
	}
	if (json_find(namespace, "metadata", "deletionTimestamp") != NULL)
		assert_ok(buf_add_str(out, "terminating ", &err), err);
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		char key[128];
		(void)snprintf(key, sizeof(key), PGRO "%s", said[i]);
		const char *value = json_find_str(namespace, "metadata", "annotations", key);
		if (value != NULL)
			assert_ok(buf_addf(out, &err, "%s%s=%.*s", i == 0 ? "" : " ", said[i], VALUE_SAID_MAX,
					  has_a_time(said[i]) ? "..." : value),
				err);
	}
}

// What a Deployment gives its database, where that is limited.
static void say_memory(const json_t *deployment, struct buf *out)
{
	struct error err = {0};
	const json_t *container = json_array_get(json_find(deployment, "spec", "template", "spec", "containers"), 0);
	const char *memory = json_find_str(container, "resources", "limits", "memory");
	if (memory != NULL)
		assert_ok(buf_addf(out, &err, " with %s", memory), err);
}

static void say_objects(struct buf *out)
{
	struct error err = {0};
	for (size_t k = 0; k < kinds_count(); k++) {
		const struct kind *kind = kinds_at(k);
		AUTO(json) json_t *all = NULL;
		size_t i;
		const json_t *object;
		if ((kind->flags & (KIND_HIDDEN | KIND_ALIAS)) != 0 || strcmp(kind->plural, "events") == 0 ||
			(kind->flags & KIND_NAMESPACED) == 0)
			continue;
		assert_ok(store_list(api.store, kind->key, SCENE_NAMESPACE, &all, NULL, &err), err);
		json_array_foreach (all, i, object) {
			assert_ok(buf_addf(out, &err, "%s%s/%s", out->len == 0 ? "" : " ",
					  kind->short_name == NULL ? kind->plural : kind->short_name,
					  json_find_str(object, "metadata", "name")),
				err);
			say_memory(object, out);
		}
	}
}

int cluster_count_asked(struct cluster *cluster, const char *path)
{
	int count = 0;
	const struct http_server_request *request;
	(void)cluster;
	for (size_t i = 0; (request = http_server_request(canopy, i)) != NULL; i++)
		count += strncmp(request->target, path, strlen(path)) == 0;
	return count;
}

// Where canopy takes none, how often it was tried does not matter.
static void say_reports(struct buf *out)
{
	struct error err = {0};
	int count = 0;
	const struct http_server_request *request, *last = NULL;
	for (size_t i = 0; (request = http_server_request(canopy, i)) != NULL; i++) {
		if (strcmp(request->target, "/restore-verification") != 0)
			continue;
		count++;
		if (last != NULL && strcmp(buf_str(&last->body), buf_str(&request->body)) != 0)
			assert_ok(buf_add_str(out, " other bytes", &err), err);
		last = request;
	}
	assert_ok(current->canopy_status == 0 ? buf_addf(out, &err, "; reports: %d", count)
					      : buf_add_str(out, "; reports: tried", &err),
		err);
	AUTO(json) json_t *body = NULL;
	if (last == NULL)
		return;
	assert_ok(json_parse(buf_str(&last->body), last->body.len, &body, &err), err);
	assert_ok(buf_addf(out, &err, " %s", json_is_true(json_object_get(body, "replica_healthy")) ? "healthy" : "unhealthy"),
		err);
}

void cluster_say(struct cluster *cluster, struct buf *out)
{
	(void)cluster;
	say_namespace(out);
	say_objects(out);
	say_reports(out);
}

void cluster_stands(struct cluster *cluster, const char *expected)
{
	AUTO(buf) struct buf text;
	buf_init(&text, SAID_SIZE);
	cluster_say(cluster, &text);
	bool is_there = strstr(buf_str(&text), expected[0] == '!' ? expected + 1 : expected) != NULL;
	if (is_there == (expected[0] == '!'))
		fail_msg("expected %s, it stands: %s; %s", expected, buf_str(&text), cluster_trouble(cluster));
}

struct settings *cluster_settings(struct cluster *cluster)
{
	return (struct settings *)(uintptr_t)cluster->op.settings;
}
