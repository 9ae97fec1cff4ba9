#include "builders/proxy.h"

#include "builders/endpoint.h"
#include "builders/engines/engine.h"
#include "builders/pod.h"
#include "canopy/broker.h"
#include "canopy/token_review.h"
#include <stdio.h>
#include <string.h>

#define PROGRAM "understory-proxy"
#define READY_OPTION "--ready"

// For the files by which engine and proxy know of each other.
#define SHARED_VOLUME "proxy"
#define SHARED_MOUNT "/run/understory-proxy"
#define PORT_FILE SHARED_MOUNT "/address"
#define DONE_FILE SHARED_MOUNT "/done"
#define ENGINE_PIPE SHARED_MOUNT "/engine"

#define BROKER_VOLUME "broker"
#define BROKER_MOUNT "/run/understory-broker"
#define BROKER_TOKEN "token"
#define BROKER_CA "ca.crt"
// The kubelet writes a new token at four fifths of this; the proxy reads it each time.
#define BROKER_TOKEN_SECONDS 3600

// What the engine signs with, and the proxy throws away. Anybody may know them.
#define DUMMY_ACCESS_KEY_ID "DUMMY-ACCESS-KEY-ID"
#define DUMMY_SECRET_ACCESS_KEY "DUMMY-SECRET-ACCESS-KEY"

// The proxy needs below 16 MiB whatever it carries; the rest is for the sockets' buffers, which count too.
#define CPU_REQUEST "50m"
#define MEMORY_REQUEST "32Mi"
#define MEMORY_LIMIT "64Mi"

#define READY_PERIOD_SECONDS 1
#define READY_TIMEOUT_SECONDS 5
#define READY_FAILURES 60

static const char *const level_texts[] = {[LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};
static const char *const format_texts[] = {[LOG_LOGFMT] = "logfmt", [LOG_JSON] = "json"};

bool proxy_is_used(const struct build *b)
{
	return b->settings->credentials == CREDENTIALS_PROXY && entry_storage(b->entry) == STORAGE_S3 && !engine_is_tls_only(b);
}

int proxy_check(const struct build *b, struct error *err)
{
	if (b->settings->proxy_image == NULL)
		return error_set(err, ERROR_INVALID,
			"setting CANOPY_PROXY_IMAGE is not set, CREDENTIALS=proxy needs it; hint: set it to the image "
			"with " PROGRAM ", or CREDENTIALS=direct");
	if (b->broker_ca_pem == NULL)
		return error_set(err, ERROR_INTERNAL, "CREDENTIALS=proxy without the CA of the broker");
	return 0;
}

// A second container is not ended by Kubernetes: how it learns of the engine's end. The done-file says it in order; the pipe says
// it when nobody is left to leave a file. A container runtime may not carry pipes from container to container: hence both.
static int add_ends(const struct build *b, json_t *environment)
{
	if (b->has_native_sidecars)
		return 0;
	return json_array_append_new(environment, pod_env("PGRO_DONE_FILE", DONE_FILE)) == 0
		       ? json_array_append_new(environment, pod_env("PGRO_ENGINE_PIPE", ENGINE_PIPE))
		       : -1;
}

json_t *proxy_engine_environment(const struct build *b)
{
	AUTO(json)
	json_t *list = json_pack("[o, o, o]", pod_env("PGRO_PORT_FILE", PORT_FILE),
		pod_env("AWS_ACCESS_KEY_ID", DUMMY_ACCESS_KEY_ID), pod_env("AWS_SECRET_ACCESS_KEY", DUMMY_SECRET_ACCESS_KEY));
	return add_ends(b, list) == 0 ? TAKE_PTR(list) : NULL;
}

json_t *proxy_engine_mount(const struct build *b)
{
	return pod_mount(SHARED_VOLUME, SHARED_MOUNT, b->has_native_sidecars);
}

struct addresses {
	char s3[ENDPOINT_SIZE];
	char broker[ENDPOINT_SIZE];
	char job[ENTRY_NAMESPACE_SIZE + OBJECT_NAME_SIZE]; // {namespace}/{job} of the callbacks
};

static int find_addresses(const struct build *b, const char *job, struct addresses *out, struct error *err)
{
	(void)snprintf(out->job, sizeof out->job, "%s/%s", b->entry->namespace, job);
	return endpoint_s3(b, out->s3, err) != 0 ? -1 : endpoint_broker(b->settings, out->broker, err);
}

static json_t *callback(const char *name, const struct addresses *at, const char *path)
{
	char url[sizeof at->broker + sizeof BROKER_PATH_PROGRESS + sizeof at->job];
	(void)snprintf(url, sizeof url, "%s%s%s", at->broker, path, at->job);
	return pod_env(name, url);
}

// One key a line.
// clang-format off
static json_t *environment(const struct build *b, const struct build_round *round, const struct addresses *at)
{
	const struct entry *entry = b->entry;
	AUTO(json)
	json_t *list = json_pack("[o, o, o, o, o, o, o, o, o, o, o, o, o, o]",
		pod_env("PGRO_BROKER_URL", at->broker),
		pod_env("PGRO_BROKER_CA_FILE", BROKER_MOUNT "/" BROKER_CA),
		pod_env("PGRO_TOKEN_FILE", BROKER_MOUNT "/" BROKER_TOKEN),
		callback("PGRO_STATS_CALLBACK_URL", at, BROKER_PATH_STATS),
		callback("PGRO_PROGRESS_CALLBACK_URL", at, BROKER_PATH_PROGRESS),
		pod_env("PGRO_GROUP", entry->group_id),
		pod_env("PGRO_TYPE", entry->type),
		pod_env("PGRO_REGION", entry->region),
		pod_env("PGRO_BUCKET", entry->bucket),
		pod_env("PGRO_PREFIX", entry->prefix),
		pod_env("S3_ENDPOINT", at->s3),
		pod_env("PGRO_PORT_FILE", PORT_FILE),
		pod_env("LOG_LEVEL", level_texts[b->settings->log_level]),
		pod_env("LOG_FORMAT", format_texts[b->settings->log_format]));
	if (round->run_id != NULL && json_array_append_new(list, pod_env("PGRO_RUN_ID", round->run_id)) != 0)
		return NULL;
	if (b->s3_ca_pem != NULL &&
		json_array_append_new(list, pod_env("S3_CA_FILE", ENDPOINT_CA_MOUNT "/" ENDPOINT_CA_FILE)) != 0)
		return NULL;
	return add_ends(b, list) == 0 ? TAKE_PTR(list) : NULL;
}
// clang-format on

static json_t *mounts(const struct build *b)
{
	AUTO(json)
	json_t *list =
		json_pack("[o, o]", pod_mount(SHARED_VOLUME, SHARED_MOUNT, false), pod_mount(BROKER_VOLUME, BROKER_MOUNT, true));
	if (b->s3_ca_pem != NULL && json_array_append_new(list, pod_mount(ENDPOINT_CA_VOLUME, ENDPOINT_CA_MOUNT, true)) != 0)
		return NULL;
	return TAKE_PTR(list);
}

// The token and the CA are one volume, so that no other container can have the one or the other by mistake.
// One key a line.
// clang-format off
static json_t *volumes(const char *secret)
{
	return json_pack("[o, {s:s, s:{s:[{s:{s:s, s:i, s:s}}, {s:{s:s, s:[{s:s, s:s}]}}]}}]",
		pod_volume_empty(SHARED_VOLUME, true),
		"name", BROKER_VOLUME,
		"projected", "sources",
			"serviceAccountToken",
				"audience", TOKEN_REVIEW_AUDIENCE,
				"expirationSeconds", BROKER_TOKEN_SECONDS,
				"path", BROKER_TOKEN,
			"secret",
				"name", secret,
				"items", "key", PROXY_KEY_BROKER_CA, "path", BROKER_CA);
}

// The probe holds the engine back until the proxy listens.
static json_t *of_sidecar(void)
{
	return json_pack("{s:s, s:{s:{s:[s, s]}, s:i, s:i, s:i}}",
		"restartPolicy", "Always",
		"startupProbe",
			"exec", "command", PROGRAM, READY_OPTION,
			"periodSeconds", READY_PERIOD_SECONDS,
			"timeoutSeconds", READY_TIMEOUT_SECONDS,
			"failureThreshold", READY_FAILURES);
}
// clang-format on

// A proxy that gives up says why in its log; it writes no termination message.
static json_t *container(const struct build *b, const struct build_round *round, const struct addresses *at)
{
	AUTO(json)
	json_t *made = pod_program(&(struct pod_program){.name = CONTAINER_PROXY,
		.image = b->settings->proxy_image,
		.command = json_pack("[s]", PROGRAM),
		.environment = environment(b, round, at),
		.mounts = mounts(b),
		.resources = json_pack("{s:{s:s, s:s}, s:{s:s}}", "requests", "cpu", CPU_REQUEST, "memory", MEMORY_REQUEST,
			"limits", "memory", MEMORY_LIMIT)});
	AUTO(json) json_t *more = b->has_native_sidecars ? of_sidecar() : json_object();
	if (json_object_set_new(more, "terminationMessagePolicy", json_string("FallbackToLogsOnError")) != 0 ||
		json_object_update(made, more) != 0)
		return NULL;
	return TAKE_PTR(made);
}

int proxy_add(const struct build *b, const struct build_round *round, json_t *template, struct error *err)
{
	char name[OBJECT_NAME_SIZE]; // of the Job and of its Secret
	struct addresses at = {0};
	name_restore(round->key, name);
	if (find_addresses(b, name, &at, err) != 0)
		return -1;

	json_begin();
	json_t *spec = json_object_get(template, "spec");
	AUTO(json) json_t *added = volumes(name);
	const char *list = b->has_native_sidecars ? "initContainers" : "containers";
	json_t *containers = json_object_get(spec, list);
	if (containers == NULL && json_object_set_new(spec, list, json_array()) == 0)
		containers = json_object_get(spec, list);
	if (json_array_extend(json_object_get(spec, "volumes"), added) != 0 ||
		json_array_append_new(containers, container(b, round, &at)) != 0 ||
		json_object_set_new(json_find(template, "metadata", "labels"), LABEL_PROXY_SIDECAR,
			json_string(LABEL_PROXY_SIDECAR_VALUE)) != 0 ||
		json_lacked_memory())
		return error_set(err, ERROR_INTERNAL, "the proxy could not be built");
	return 0;
}

static const json_t *find_proxy(const json_t *containers)
{
	size_t i;
	const json_t *container;
	json_array_foreach (containers, i, container) {
		const char *name = json_find_str(container, "name");
		if (name != NULL && strcmp(name, CONTAINER_PROXY) == 0)
			return container;
	}
	return NULL;
}

bool build_kept_sidecar(const json_t *job_or_pod)
{
	const json_t *template = json_find(job_or_pod, "spec", "template");
	const json_t *pod = template != NULL ? template : job_or_pod;
	if (json_find(pod, "metadata", "labels", LABEL_PROXY_SIDECAR) == NULL)
		return true;
	if (find_proxy(json_find(pod, "spec", "containers")) != NULL)
		return true;
	const char *policy = json_find_str(find_proxy(json_find(pod, "spec", "initContainers")), "restartPolicy");
	return policy != NULL && strcmp(policy, "Always") == 0;
}
