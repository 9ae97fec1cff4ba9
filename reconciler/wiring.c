#include "reconciler/wiring.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "reconciler/access.h"
#include "reconciler/ca_secret.h"
#include "reconciler/secret_data.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEASE_NAME "understory" // in OPERATOR_NAMESPACE
#define COALESCE_MS 100         // a report has to leave within a second of its event
#define KUBE_HOST_SIZE 264      // a DNS name of 253, a colon, a port
#define PEM_MAX ((size_t)1 << 20)

struct wiring {
	struct manager op;
	struct k8s_config *config;
	struct k8s_client *free_k8s; // for what is done without leading: the Lease, the CA, the broker
	struct access access;
	struct ca_names ca_names;
	struct ca_state ca;
	struct broker *broker; // NULL with CREDENTIALS=direct
	bool is_version_known;
	char kube_host[KUBE_HOST_SIZE];     // of the API server, with its port; for metrics
	char identity[LEASE_IDENTITY_SIZE]; // by which the Lease knows this operator
	char *s3_ca_pem;
	void (*on_wake)(void *arg);
	void *on_wake_arg;
};

static const char *read_env(const char *name)
{
	return getenv(name); // NOLINT(concurrency-mt-unsafe): nobody changes the environment
}

// verb is one of struct k8s_call's.
static const char *method_of(const char *verb)
{
	static const char *const others[][2] = {
		{"create", "POST"}, {"update", "PUT"}, {"patch", "PATCH"}, {"apply", "PATCH"}, {"delete", "DELETE"}};
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (strcmp(verb, others[i][0]) == 0)
			return others[i][1];
	}
	return "GET";
}

// Twice, under our name and under client-go's, who writes a request without an answer as "<error>".
static void count_kube_request(void *arg, const char *verb, const char *resource, int status)
{
	struct wiring *w = arg;
	char code[16];
	(void)snprintf(code, sizeof(code), "%d", status);
	metrics_add(w->op.metrics, METRIC_KUBE_REQUESTS_TOTAL, verb, resource, code, 1);
	metrics_add(w->op.metrics, METRIC_REST_CLIENT_REQUESTS_TOTAL, status == 0 ? "<error>" : code, method_of(verb),
		w->kube_host, 1);
}

// The host is known only now: the series begin at zero all the same.
static void preset_kube_requests(struct wiring *w)
{
	static const char *const expected[][2] = {
		{"200", "GET"}, {"201", "POST"}, {"200", "PUT"}, {"200", "PATCH"}, {"200", "DELETE"}, {"<error>", "GET"}};
	const char *host = strstr(w->config->server, "://");
	host = host == NULL ? w->config->server : host + strlen("://");
	(void)snprintf(w->kube_host, sizeof(w->kube_host), "%.*s", (int)strcspn(host, "/"), host);
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		metrics_add(w->op.metrics, METRIC_REST_CLIENT_REQUESTS_TOTAL, expected[i][0], expected[i][1], w->kube_host, 0);
}

static void count_canopy_request(void *arg, const char *endpoint, int status)
{
	char code[16];
	(void)snprintf(code, sizeof(code), "%d", status);
	metrics_add(arg, METRIC_CANOPY_REQUESTS_TOTAL, endpoint, code, NULL, 1);
}

static int read_pem(const char *path, char **out, struct error *err)
{
	size_t len = 0;
	return path == NULL ? 0 : file_read(path, PEM_MAX, out, &len, err);
}

// The device certificate: two files, or the Secret of type kubernetes.io/tls that the settings name.
struct device_cert {
	struct secret cert_pem; // no secret, but it comes the same way
	struct secret key_pem;
};

static int device_cert_from_secret(struct manager *op, struct device_cert *out, struct error *err)
{
	AUTO(json) json_t *secret = NULL;
	const char *name = op->settings->canopy_device_cert_secret;
	if (k8s_get(op->k8s, &K8S_SECRET, op->settings->operator_namespace, name, &secret, err) < 0)
		return -1;
	const json_t *data = json_object_get(secret, "data");
	if (secret_data_get(data, "tls.crt", &out->cert_pem, err) < 0 || secret_data_get(data, "tls.key", &out->key_pem, err) < 0)
		return error_wrap(err, "secret %s/%s", op->settings->operator_namespace, name);
	return 0;
}

static int secret_from_file(const char *path, struct secret *out, struct error *err)
{
	AUTO_FREE char *text = NULL;
	if (path == NULL)
		return 0;
	if (read_pem(path, &text, err) < 0)
		return -1;
	int rc = secret_set(out, text, err);
	secret_wipe(text, strlen(text));
	return rc;
}

static int device_cert_read(struct manager *op, struct device_cert *out, struct error *err)
{
	if (op->settings->canopy_device_cert_secret != NULL)
		return device_cert_from_secret(op, out, err);
	if (secret_from_file(op->settings->canopy_device_cert_file, &out->cert_pem, err) < 0)
		return -1;
	return secret_from_file(op->settings->canopy_device_key_file, &out->key_pem, err);
}

static int connect_canopy(struct manager *op, struct error *err)
{
	AUTO_FREE char *ca_pem = NULL;
	AUTO(http_client) struct http_client *http = NULL;
	struct device_cert cert = {0};
	int rc = -1;

	if (op->settings->canopy_base_url == NULL)
		return 0; // WORKLIST_FILE
	if (device_cert_read(op, &cert, err) == 0 && read_pem(op->settings->canopy_ca_file, &ca_pem, err) == 0) {
		const struct http_options options = {.user_agent = "understory/" UNDERSTORY_VERSION,
			.ca_pem = ca_pem,
			.client_cert_pem = cert.cert_pem.bytes,
			.client_key_pem = cert.key_pem.bytes == NULL ? NULL : &cert.key_pem,
			.proxy = op->settings->canopy_socks5_proxy,
			.cancel = &op->cancelling};
		rc = http_client_new(&options, &http, err);
	}
	secret_fini(&cert.cert_pem);
	secret_fini(&cert.key_pem);
	if (rc < 0 || canopy_client_new(op->settings->canopy_base_url, http, &op->canopy, err) < 0)
		return error_wrap(err, "canopy");
	http = NULL; // the canopy client's now
	canopy_observe(op->canopy, count_canopy_request, op->metrics);
	return 0;
}

static bool may_write(void *arg)
{
	return manager_leads(arg);
}

static int connect_cluster(struct wiring *w, struct error *err)
{
	if (k8s_config_load(read_env, &w->config, err) < 0 || k8s_client_new(w->config, &w->op.cancelling, &w->op.k8s, err) < 0 ||
		k8s_client_new(w->config, NULL, &w->free_k8s, err) < 0)
		return error_wrap(err, "kubernetes");
	preset_kube_requests(w);
	k8s_observe(w->op.k8s, count_kube_request, w);
	k8s_observe(w->free_k8s, count_kube_request, w);
	k8s_guard_writes(w->op.k8s, may_write, &w->op);
	return 0;
}

static void wake(struct wiring *w)
{
	if (w->on_wake != NULL)
		w->on_wake(w->on_wake_arg);
}

// Called from the watches' threads. Events come in bursts: what they are about is looked at once.
static void cluster_changed(void *arg, const char *namespace)
{
	struct wiring *w = arg;
	if (namespace == NULL)
		wake(w); // a list is through
	else if (atomic_load(&w->op.hears_events))
		queue_add(w->op.queue, namespace, clock_mono_ms() + COALESCE_MS);
}

static void show_leading(struct metrics *metrics, bool is_leading)
{
	metrics_set(metrics, METRIC_LEADER, NULL, NULL, NULL, is_leading);
	metrics_set(metrics, METRIC_LEADER_ELECTION_MASTER_STATUS, NULL, NULL, NULL, is_leading);
}

// Called from the lease's thread. What is in flight when the Lease is lost must not outlive the time in which nobody else may
// act.
static void lead_changed(void *arg, bool is_held)
{
	struct wiring *w = arg;
	struct manager *op = &w->op;
	show_leading(op->metrics, is_held);
	// What was decided before another may have led is no base for what is done after.
	if (!is_held)
		atomic_store(&op->is_current, false);
	if (atomic_load(&op->stopping))
		return;
	atomic_store(&op->cancelling, !is_held);
	if (is_held)
		log_info("this operator leads", LOG_STR("lease", LEASE_NAME));
	else
		log_error("the lease is lost: this operator stops acting", LOG_STR("lease", LEASE_NAME));
	wake(w);
}

static int open_lease(struct wiring *w, struct error *err)
{
	if (!w->op.settings->leader_election) {
		show_leading(w->op.metrics, true);
		return 0;
	}
	if (lease_make_identity(w->identity, err) < 0)
		return -1;
	const struct lease_options options = {.namespace = w->op.settings->operator_namespace,
		.name = LEASE_NAME,
		.identity = w->identity,
		.on_change = lead_changed,
		.arg = w};
	return lease_new(w->free_k8s, &options, &w->op.lease, err);
}

// The names under which pods reach the broker: the Service's, and the host of PGRO_BROKER_URL where that is another one.
static int name_broker(struct wiring *w, struct error *err)
{
	const struct settings *s = w->op.settings;
	char host[CA_NAME_SIZE] = "";
	const char *const extra[] = {host, NULL};
	const char *url = s->broker_url == NULL ? NULL : strstr(s->broker_url, "://");
	if (url != NULL) {
		bool is_ipv6 = url[3] == '[';
		url += is_ipv6 ? 4 : 3;
		(void)snprintf(host, sizeof(host), "%.*s", (int)strcspn(url, is_ipv6 ? "]" : ":/"), url);
	}
	return ca_service_names(
		&w->ca_names, s->operator_service_name, s->operator_namespace, host[0] == '\0' ? NULL : extra, err);
}

static int start_broker(struct wiring *w, struct error *err)
{
	w->access = (struct access){.settings = w->op.settings, .k8s = w->free_k8s, .canopy = w->op.canopy, .notes = w->op.notes};
	const struct broker_callbacks callbacks = access_callbacks(&w->access);
	const struct broker_options options = {.address = w->op.settings->broker_listen_addr,
		.cert_pem = w->ca.leaf.cert_pem,
		.key_pem = &w->ca.leaf.key_pem,
		.callbacks = &callbacks};
	if (broker_start(&options, &w->broker, err) < 0)
		return error_wrap(err, "broker");
	log_info("broker listens", LOG_INT("port", broker_port(w->broker)));
	return 0;
}

// 1.29 runs init containers with restartPolicy Always without being asked to (KEP-753).
static int learn_version(struct wiring *w, struct error *err)
{
	AUTO(json) json_t *version = NULL;
	if (w->is_version_known)
		return 0;
	if (k8s_get_path(w->free_k8s, "/version", &version, err) < 0)
		return error_wrap(err, "version of the API server");
	const char *major = json_find_str(version, "major");
	const char *minor = json_find_str(version, "minor"); // "29", and "29+" where a vendor adds to it
	long minor_number = minor == NULL ? 0 : strtol(minor, NULL, 10);
	w->op.has_native_sidecars = major != NULL && (strtol(major, NULL, 10) > 1 || minor_number >= 29);
	w->is_version_known = true;
	return 0;
}

// What the page of metrics looks up.
static void collect(void *arg)
{
	struct wiring *w = arg;
	struct metrics *metrics = w->op.metrics;
	struct queue_stats queue;
	struct lease_status lease;

	queue_read_stats(w->op.queue, &queue);
	metrics_raise(metrics, METRIC_WORKQUEUE_ADDS_TOTAL, NULL, NULL, NULL, (double)queue.adds);
	metrics_set(metrics, METRIC_WORKQUEUE_DEPTH, NULL, NULL, NULL, (double)queue.depth);
	metrics_set(metrics, METRIC_ACTIVE_WORKERS, NULL, NULL, NULL, (double)queue.in_hand);
	metrics_set(metrics, METRIC_WORKQUEUE_UNFINISHED_WORK_SECONDS, NULL, NULL, NULL, (double)queue.in_hand_ms / 1000.0);
	metrics_set(
		metrics, METRIC_WORKQUEUE_LONGEST_RUNNING_PROCESSOR_SECONDS, NULL, NULL, NULL, (double)queue.longest_ms / 1000.0);
	for (int kind = 0; kind < CACHE_KINDS; kind++)
		metrics_set(metrics, METRIC_WATCH_FOLLOWING, cache_resource((enum cache_kind)kind), NULL, NULL,
			cache_follows(w->op.cache, (enum cache_kind)kind));
	if (w->op.lease == NULL)
		return;
	lease_read_status(w->op.lease, &lease);
	metrics_raise(metrics, METRIC_LEADER_ELECTION_SLOWPATH_TOTAL, NULL, NULL, NULL, (double)lease.slow_paths);
}

int wiring_watch(struct wiring *wiring, struct error *err)
{
	if (cache_watch(wiring->op.cache, wiring->free_k8s, err) < 0)
		return -1;
	metrics_on_render(wiring->op.metrics, collect, wiring);
	return 0;
}

void wiring_announce(struct wiring *wiring)
{
	static const struct event_regarding lease = {
		.api_version = "coordination.k8s.io/v1", .kind = "Lease", .name = LEASE_NAME};
	char note[LEASE_IDENTITY_SIZE + 32];
	if (wiring->op.lease == NULL)
		return;
	(void)snprintf(note, sizeof(note), "%s became leader", wiring->identity);
	events_send(wiring->op.events, wiring->op.settings->operator_namespace, &lease, false, "LeaderElection", "LeaderElection",
		note);
}

static int keep_broker(struct wiring *w, bool is_changed, struct error *err)
{
	if (w->op.settings->credentials != CREDENTIALS_PROXY)
		return 0;
	if (learn_version(w, err) < 0)
		return -1;
	if (w->broker == NULL)
		return start_broker(w, err);
	return is_changed ? broker_set_certificate(w->broker, w->ca.leaf.cert_pem, &w->ca.leaf.key_pem, err) : 0;
}

int wiring_keep_certificates(struct wiring *wiring, int64_t now_ms, struct error *err)
{
	bool is_changed = false;
	if (ca_secret_sync(wiring->free_k8s, wiring->op.settings->operator_namespace, wiring->ca_names.list, now_ms, &wiring->ca,
		    &is_changed, err) < 0 ||
		authority_set(wiring->op.authority, &wiring->ca, err) < 0)
		return -1;
	return keep_broker(wiring, is_changed, err);
}

static void check_done(void *arg, const char *namespace)
{
	struct wiring *w = arg;
	queue_add(w->op.queue, namespace, 0);
}

static int open_pools(struct wiring *w, struct error *err)
{
	char instance[128] = "understory";
	(void)gethostname(instance, sizeof(instance) - 1); // a pod's host name is the pod's name
	if (authority_new(&w->op.authority, err) < 0 || events_new(w->op.k8s, instance, &w->op.events, err) < 0)
		return -1;
	return checks_new(w->op.settings->max_concurrent_checks, check_done, w, &w->op.checks, err);
}

int wiring_open(const struct settings *settings, enum wiring_need need, struct wiring **out, struct error *err)
{
	AUTO(wiring) struct wiring *w = calloc(1, sizeof(*w));
	if (w == NULL)
		return error_no_memory(err, "operator");
	w->op.settings = settings;
	pulse_init(&w->op.pulse);
	if (metrics_new(&w->op.metrics, err) < 0 || memos_new(&w->op.memos, err) < 0 || notes_new(&w->op.notes, err) < 0 || cache_new(&w->op.cache, err) < 0 ||
		queue_new(&w->op.queue, err) < 0 || slots_new((size_t)settings->max_concurrent_restores, &w->op.slots, err) < 0 ||
		connect_cluster(w, err) < 0)
		return -1;
	cache_on_change(w->op.cache, cluster_changed, w);
	if (need != WIRING_CLUSTER && connect_canopy(&w->op, err) < 0)
		return -1;
	if (read_pem(settings->s3_ca_file, &w->s3_ca_pem, err) < 0)
		return error_wrap(err, "S3_CA_FILE");
	w->op.s3_ca_pem = w->s3_ca_pem;
	if (need == WIRING_ALL && (open_pools(w, err) < 0 || open_lease(w, err) < 0 || name_broker(w, err) < 0))
		return -1;
	*out = TAKE_PTR(w);
	return 0;
}

struct manager *wiring_manager(struct wiring *wiring)
{
	return &wiring->op;
}

void wiring_on_wake(struct wiring *wiring, void (*on_wake)(void *arg), void *arg)
{
	wiring->on_wake_arg = arg;
	wiring->on_wake = on_wake;
}

void wiring_close(struct wiring *wiring)
{
	if (wiring == NULL)
		return;
	broker_stop(wiring->broker);
	cache_free(wiring->op.cache); // its watches use the client
	ca_state_fini(&wiring->ca);
	lease_free(wiring->op.lease);
	checks_free(wiring->op.checks);
	authority_free(wiring->op.authority); // the checks borrow from it
	events_free(wiring->op.events);
	canopy_client_free(wiring->op.canopy);
	k8s_client_free(wiring->op.k8s);
	k8s_client_free(wiring->free_k8s);
	k8s_config_free(wiring->config);
	worklist_free(wiring->op.worklist);
	worklist_free(wiring->op.fetched);
	queue_free(wiring->op.queue);
	slots_free(wiring->op.slots);
	memos_free(wiring->op.memos);
	notes_free(wiring->op.notes);
	metrics_free(wiring->op.metrics);
	free(wiring->s3_ca_pem);
	free(wiring);
}
