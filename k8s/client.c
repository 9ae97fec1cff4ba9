#include "k8s/call.h"

#include "k8s/url.h"
#include <stdlib.h>
#include <string.h>

int k8s_client_new(const struct k8s_config *config, const atomic_bool *cancel, struct k8s_client **out, struct error *err)
{
	struct k8s_client *made = calloc(1, sizeof(*made));
	if (made == NULL)
		return error_no_memory(err, "Kubernetes client");
	AUTO(k8s_client) struct k8s_client *client = made;
	client->config = config;
	client->cancel = cancel;
	if (k8s_credentials_init(&client->credentials, config, err) < 0)
		return -1;
	*out = TAKE_PTR(client);
	return 0;
}

void k8s_client_free(struct k8s_client *client)
{
	if (client == NULL)
		return;
	k8s_credentials_fini(&client->credentials);
	free(client);
}

void k8s_observe(struct k8s_client *client, k8s_on_request on_request, void *arg)
{
	client->on_request = on_request;
	client->on_request_arg = arg;
}

void k8s_guard_writes(struct k8s_client *client, k8s_may_write may_write, void *arg)
{
	client->may_write = may_write;
	client->may_write_arg = arg;
}

static int write_target(
	struct buf *target, const struct k8s_resource *resource, const char *namespace, const char *name, struct error *err)
{
	if (k8s_url_path(target, resource, namespace, name, err) < 0 ||
		k8s_url_query(target, "fieldManager", K8S_FIELD_MANAGER, err) < 0)
		return -1;
	return k8s_url_query(target, "fieldValidation", "Strict", err);
}

int k8s_get(struct k8s_client *client, const struct k8s_resource *resource, const char *namespace, const char *name, json_t **out,
	struct error *err)
{
	AUTO(buf) struct buf target;
	buf_init(&target, K8S_URL_MAX);
	if (k8s_url_path(&target, resource, namespace, name, err) < 0)
		return -1;
	struct k8s_call call = {
		.verb = "get",
		.resource = resource->plural,
		.namespace = namespace,
		.name = name,
		.method = "GET",
		.target = buf_str(&target),
		.repeatable = true,
	};
	return k8s_call_json(client, &call, NULL, out, err);
}

int k8s_get_path(struct k8s_client *client, const char *path, json_t **out, struct error *err)
{
	struct k8s_call call = {.verb = "get", .resource = path, .method = "GET", .target = path, .repeatable = true};
	return k8s_call_json(client, &call, NULL, out, err);
}

int k8s_create(struct k8s_client *client, const struct k8s_resource *resource, const char *namespace, const json_t *object,
	json_t **out, struct error *err)
{
	AUTO(buf) struct buf target;
	buf_init(&target, K8S_URL_MAX);
	if (write_target(&target, resource, namespace, NULL, err) < 0)
		return -1;
	struct k8s_call call = {
		.verb = "create",
		.resource = resource->plural,
		.namespace = namespace,
		.name = json_find_str(object, "metadata", "name"),
		.method = "POST",
		.target = buf_str(&target),
		.content_type = "application/json",
	};
	return k8s_call_json(client, &call, object, out, err);
}

int k8s_apply(struct k8s_client *client, const struct k8s_resource *resource, const char *namespace, const json_t *object,
	json_t **out, struct error *err)
{
	const char *name = json_find_str(object, "metadata", "name");
	AUTO(buf) struct buf target;
	buf_init(&target, K8S_URL_MAX);
	if (name == NULL)
		return error_set(err, ERROR_INTERNAL, "apply %s: metadata.name is not set", resource->plural);
	if (write_target(&target, resource, namespace, name, err) < 0 || k8s_url_query(&target, "force", "true", err) < 0)
		return -1;
	struct k8s_call call = {
		.verb = "apply",
		.resource = resource->plural,
		.namespace = namespace,
		.name = name,
		.method = "PATCH",
		.target = buf_str(&target),
		.content_type = "application/apply-patch+yaml", // of which JSON is a part
		.repeatable = true,
	};
	return k8s_call_json(client, &call, object, out, err);
}

// A merge patch has the same effect twice, and one with a resourceVersion has it once.
static int patch_as(const char *content_type, struct k8s_client *client, const struct k8s_resource *resource,
	const char *namespace, const char *name, const json_t *patch, json_t **out, struct error *err)
{
	AUTO(buf) struct buf target;
	buf_init(&target, K8S_URL_MAX);
	if (write_target(&target, resource, namespace, name, err) < 0)
		return -1;
	struct k8s_call call = {
		.verb = "patch",
		.resource = resource->plural,
		.namespace = namespace,
		.name = name,
		.method = "PATCH",
		.target = buf_str(&target),
		.content_type = content_type,
		.repeatable = true,
	};
	return k8s_call_json(client, &call, patch, out, err);
}

int k8s_patch(struct k8s_client *client, const struct k8s_resource *resource, const char *namespace, const char *name,
	const json_t *patch, json_t **out, struct error *err)
{
	return patch_as("application/merge-patch+json", client, resource, namespace, name, patch, out, err);
}

int k8s_patch_strategic(struct k8s_client *client, const struct k8s_resource *resource, const char *namespace, const char *name,
	const json_t *patch, json_t **out, struct error *err)
{
	return patch_as("application/strategic-merge-patch+json", client, resource, namespace, name, patch, out, err);
}

// A precondition that is NULL is left out.
static int delete_options(const char *uid, const char *resource_version, json_t **out, struct error *err)
{
	AUTO(json) json_t *options = NULL;
	json_t *preconditions = NULL;
	if (json_made(
		    json_pack("{s:s, s:s, s:s}", "apiVersion", "v1", "kind", "DeleteOptions", "propagationPolicy", "Background"),
		    "DeleteOptions", &options, err) < 0)
		return -1;
	if (uid != NULL || resource_version != NULL) {
		if (json_made(json_pack("{s:s*, s:s*}", "uid", uid, "resourceVersion", resource_version), "preconditions",
			    &preconditions, err) < 0)
			return -1;
		if (json_object_set_new(options, "preconditions", preconditions) < 0)
			return error_no_memory(err, "preconditions");
	}
	*out = TAKE_PTR(options);
	return 0;
}

int k8s_delete(struct k8s_client *client, const struct k8s_resource *resource, const char *namespace, const char *name,
	const char *uid, const char *resource_version, struct error *err)
{
	AUTO(json) json_t *options = NULL;
	AUTO(buf) struct buf target;
	buf_init(&target, K8S_URL_MAX);
	if (k8s_url_path(&target, resource, namespace, name, err) < 0 || delete_options(uid, resource_version, &options, err) < 0)
		return -1;
	struct k8s_call call = {
		.verb = "delete",
		.resource = resource->plural,
		.namespace = namespace,
		.name = name,
		.method = "DELETE",
		.target = buf_str(&target),
		.content_type = "application/json",
		.repeatable = uid != NULL, // without it a second try could meet a namesake that was made in between
	};
	struct error failure = {0};
	if (k8s_call_json(client, &call, options, NULL, &failure) == 0 || failure.kind == ERROR_NOT_FOUND)
		return 0;
	*err = failure;
	return -1;
}
