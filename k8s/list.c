#include "k8s/call.h"

#include "base/json_items.h"
#include "k8s/url.h"
#include <stdio.h>
#include <string.h>

#define ITEM_MAX ((size_t)8 << 20) // etcd keeps 1.5 MiB an object by default; as JSON it may be a few times that
#define PAGE_MAX ((size_t)256 << 20)
#define CONTINUE_MAX ((size_t)16 << 10)

// https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables and "metadata-only fetches"
#define ACCEPT_METADATA "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"

struct page {
	struct json_items items;
	const struct k8s_list_options *options;
	bool caller_failed; // the error is on_item's, not the decoder's
};

static int on_item(void *arg, json_t *item, struct error *err)
{
	struct page *page = arg;
	int rc = page->options->on_item(page->options->arg, item, err);
	page->caller_failed = rc < 0;
	return rc;
}

static int on_body(void *arg, const char *data, size_t len, struct error *err)
{
	struct page *page = arg;
	return json_items_feed(&page->items, data, len, err);
}

static int page_target(struct buf *target, const struct k8s_resource *resource, const char *namespace, const char *selector,
	const char *next, struct error *err)
{
	char limit[16];
	(void)snprintf(limit, sizeof(limit), "%d", K8S_PAGE_LIMIT);
	if (k8s_url_path(target, resource, namespace, NULL, err) < 0 || k8s_url_query(target, "limit", limit, err) < 0)
		return -1;
	if (selector != NULL && k8s_url_query(target, "labelSelector", selector, err) < 0)
		return -1;
	return next[0] == '\0' ? 0 : k8s_url_query(target, "continue", next, err);
}

static int read_version(const json_t *envelope, struct buf *version, struct error *err)
{
	const char *text = json_find_str(envelope, "metadata", "resourceVersion");
	if (text == NULL || text[0] == '\0')
		return error_set(err, ERROR_INVALID, "\"metadata.resourceVersion\" is missing");
	buf_reset(version);
	return buf_add_str(version, text, err);
}

// The token of the page after this one into *next. A list without metadata is refused: taken for the last page it would hide
// objects.
static int read_next(const json_t *envelope, struct buf *next, struct error *err)
{
	const json_t *metadata = json_object_get(envelope, "metadata");
	const json_t *token = json_object_get(metadata, "continue");
	if (!json_is_object(metadata))
		return error_set(err, ERROR_INVALID, "\"metadata\" is missing");
	if (token != NULL && json_typeof(token) != JSON_STRING)
		return error_set(err, ERROR_INVALID, "\"metadata.continue\" is no string");
	const char *text = token == NULL ? "" : json_string_value(token);
	if (text[0] != '\0' && strcmp(text, buf_str(next)) == 0)
		return error_set(err, ERROR_INVALID, "\"metadata.continue\" leads to the same page again");
	buf_reset(next);
	return buf_add_str(next, text, err);
}

static int decode_page(
	struct k8s_client *client, const struct k8s_call *call, struct page *page, struct buf *next, struct error *err)
{
	AUTO(http_response) struct http_response response = {0};
	AUTO(json) json_t *envelope = NULL;
	if (k8s_call_do(client, call, &response, err) < 0)
		return -1;
	struct buf *version = page->options->resource_version;
	if (json_items_finish(&page->items, &envelope, err) < 0 || read_next(envelope, next, err) < 0 ||
		(version != NULL && read_version(envelope, version, err) < 0))
		return k8s_call_wrap(call, err);
	return 0;
}

// One page: *next is its token and becomes that of the next, "" at the end.
static int list_page(struct k8s_client *client, const struct k8s_resource *resource, const char *namespace,
	const struct k8s_list_options *options, struct buf *next, struct error *err)
{
	struct page page = {.options = options};
	AUTO(buf) struct buf target;
	buf_init(&target, K8S_URL_MAX);
	if (page_target(&target, resource, namespace, options->label_selector, buf_str(next), err) < 0)
		return -1;
	const struct k8s_call call = {
		.verb = "list",
		.resource = resource->plural,
		.namespace = namespace,
		.method = "GET",
		.target = buf_str(&target),
		.accept = options->metadata_only ? ACCEPT_METADATA : NULL,
		.repeatable = true,
		.on_body = on_body,
		.arg = &page,
		.max_body_bytes = PAGE_MAX,
		.cancel = options->cancel,
	};
	json_items_init(&page.items, "items", ITEM_MAX, on_item, &page);
	int rc = decode_page(client, &call, &page, next, err);
	json_items_fini(&page.items);
	// As in k8s/client.c: what cannot be read comes from something in between, and passes.
	if (rc < 0 && err->kind == ERROR_INVALID && err->http_status == 0 && !page.caller_failed)
		err->kind = ERROR_TRANSIENT;
	return rc;
}

int k8s_list(struct k8s_client *client, const struct k8s_resource *resource, const char *namespace,
	const struct k8s_list_options *options, struct error *err)
{
	bool restarted = false;
	AUTO(buf) struct buf next;
	buf_init(&next, CONTINUE_MAX);
	for (;;) {
		struct error failure = {0};
		bool has_token = next.len > 0;
		if (list_page(client, resource, namespace, options, &next, &failure) == 0) {
			if (next.len == 0)
				return 0;
			continue;
		}
		if (failure.http_status != 410 || !has_token || restarted) {
			*err = failure;
			return -1;
		}
		restarted = true;
		buf_reset(&next);
		if (options->on_restart != NULL)
			options->on_restart(options->arg);
	}
}
