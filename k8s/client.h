// Client of the Kubernetes API: the verbs that the operator uses, with Status errors as error kinds.
//
// Any thread may call; a call (of a list: a page) blocks for at most 30 s with all its tries. GET, LIST, apply, PATCH, and DELETE
// with a uid are repeated when the server says 429/503 (Retry-After honoured), 5xx or nothing at all, with jittered back-off
// within that time; POST, and DELETE without a uid, only on 429 (the server did nothing). A page of which an item was handed over
// is not repeated: the list fails. 401 reads the credentials' files or runs the exec plugin again and tries once more. Whoever
// needs a plugin's credentials waits for it within the same time; afterwards the call fails, and the plugin goes on. Kinds: 404
// ERROR_NOT_FOUND, AlreadyExists ERROR_EXISTS, other 409 ERROR_CONFLICT, 410 ERROR_CONFLICT (list again), 429/5xx/none
// ERROR_TRANSIENT, other 4xx ERROR_INVALID with http_status; an answer that cannot be decoded ERROR_TRANSIENT. The text is
// "<verb> <resource> <namespace>/<name>: <the Status message>".
#ifndef K8S_CLIENT_H
#define K8S_CLIENT_H

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "k8s/config.h"
#include "k8s/resource.h"
#include <stdatomic.h>

#define K8S_FIELD_MANAGER "understory"
#define K8S_PAGE_LIMIT 500

struct k8s_client;

// config is borrowed for the client's life. cancel may be NULL; when it turns true, calls end with ERROR_CANCELLED.
MUST_CHECK int k8s_client_new(
	const struct k8s_config *config, const atomic_bool *cancel, struct k8s_client **out, struct error *err);
void k8s_client_free(struct k8s_client *client);
DEFINE_AUTO(struct k8s_client, k8s_client, k8s_client_free)

// namespace is NULL for cluster-scoped resources, and for lists across all namespaces. *out may be NULL where the answer is not
// wanted; otherwise the caller owns it.
MUST_CHECK int k8s_get(struct k8s_client *client, const struct k8s_resource *resource, const char *namespace, const char *name,
	json_t **out, struct error *err);
MUST_CHECK int k8s_create(struct k8s_client *client, const struct k8s_resource *resource, const char *namespace,
	const json_t *object, json_t **out, struct error *err);

// Server-side apply, force, as K8S_FIELD_MANAGER. object holds apiVersion, kind and metadata.name.
MUST_CHECK int k8s_apply(struct k8s_client *client, const struct k8s_resource *resource, const char *namespace,
	const json_t *object, json_t **out, struct error *err);

// Merge patch (RFC 7386). Put metadata.resourceVersion into it when it decides something.
MUST_CHECK int k8s_patch(struct k8s_client *client, const struct k8s_resource *resource, const char *namespace, const char *name,
	const json_t *patch, json_t **out, struct error *err);

// Strategic merge patch: members of lists are found by their name. Put metadata.uid into it where a namesake must not get it.
MUST_CHECK int k8s_patch_strategic(struct k8s_client *client, const struct k8s_resource *resource, const char *namespace,
	const char *name, const json_t *patch, json_t **out, struct error *err);

// propagationPolicy Background. uid and resource_version are preconditions; NULL leaves one out. Gone already is a success.
MUST_CHECK int k8s_delete(struct k8s_client *client, const struct k8s_resource *resource, const char *namespace, const char *name,
	const char *uid, const char *resource_version, struct error *err);

// Pages of K8S_PAGE_LIMIT, decoded as they arrive. item is borrowed until the callback returns; its failure ends the list.
// A continue token that expired (410) starts the list again after on_restart (may be NULL) said so.
struct k8s_list_options {
	const char *label_selector;
	bool metadata_only; // PartialObjectMetadata
	int (*on_item)(void *arg, json_t *item, struct error *err);
	void (*on_restart)(void *arg);
	void *arg;
	struct buf *resource_version; // receives the list's, from which a watch goes on; NULL: not wanted
	const atomic_bool *cancel;    // in place of the client's; NULL: the client's
};
MUST_CHECK int k8s_list(struct k8s_client *client, const struct k8s_resource *resource, const char *namespace,
	const struct k8s_list_options *options, struct error *err);

// GET of any path of the API server, for /version and the like.
MUST_CHECK int k8s_get_path(struct k8s_client *client, const char *path, json_t **out, struct error *err);

// Called after each request (of a watch: when its head came), from the thread that made it; status 0 stands for no answer. For
// metrics. To be set before another thread uses the client.
typedef void (*k8s_on_request)(void *arg, const char *verb, const char *resource, int status);
void k8s_observe(struct k8s_client *client, k8s_on_request on_request, void *arg);

// Asked before each request that changes something, repeats included; when it says no the call ends with ERROR_CANCELLED and
// nothing is sent. For a program that may write only while it leads. To be set before another thread uses the client.
typedef bool (*k8s_may_write)(void *arg);
void k8s_guard_writes(struct k8s_client *client, k8s_may_write may_write, void *arg);

#endif
