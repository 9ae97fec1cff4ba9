#include "reconciler/cache_record.h"

#include "builders/names.h"
#include "k8s/client.h"

static const struct {
	const struct k8s_resource *resource;
	bool metadata_only;
} sources[CACHE_KINDS] = {
	[CACHE_NAMESPACE] = {&K8S_NAMESPACE, true},
	[CACHE_JOB] = {&K8S_JOB, false},
	[CACHE_DEPLOYMENT] = {&K8S_DEPLOYMENT, false},
	[CACHE_POD] = {&K8S_POD, false},
	[CACHE_PVC] = {&K8S_PVC, true},
};

static void on_list_begin(void *arg)
{
	const struct cache_feed *feed = arg;
	cache_list_begin(feed->cache, feed->kind);
}

static int on_object(void *arg, json_t *object, struct error *err)
{
	const struct cache_feed *feed = arg;
	return cache_list_take(feed->cache, feed->kind, object, err);
}

static int on_list_end(void *arg, struct error *err)
{
	const struct cache_feed *feed = arg;
	(void)err;
	cache_list_end(feed->cache, feed->kind);
	return 0;
}

static int on_change(void *arg, enum k8s_watch_change change, json_t *object, struct error *err)
{
	const struct cache_feed *feed = arg;
	if (change != K8S_WATCH_DELETED)
		return cache_take(feed->cache, feed->kind, object, err);
	cache_drop(feed->cache, feed->kind, object);
	return 0;
}

static struct cache_feed *feed_of(struct cache *cache, size_t kind)
{
	cache->feeds[kind] = (struct cache_feed){.cache = cache, .kind = (enum cache_kind)kind};
	return &cache->feeds[kind];
}

int cache_list(struct cache *cache, struct k8s_client *k8s, struct error *err)
{
	// Namespaces, the first kind, come last: see the header.
	for (size_t kind = CACHE_KINDS; kind-- > 0;) {
		const struct k8s_list_options options = {.label_selector = MANAGED_SELECTOR,
			.metadata_only = sources[kind].metadata_only,
			.on_item = on_object,
			.on_restart = on_list_begin,
			.arg = feed_of(cache, kind)};
		cache_list_begin(cache, (enum cache_kind)kind);
		if (k8s_list(k8s, sources[kind].resource, NULL, &options, err) < 0)
			return -1;
		cache_list_end(cache, (enum cache_kind)kind);
	}
	return 0;
}

int cache_watch(struct cache *cache, struct k8s_client *k8s, struct error *err)
{
	for (size_t kind = 0; kind < CACHE_KINDS; kind++) {
		const struct k8s_watch_options options = {.resource = sources[kind].resource,
			.label_selector = MANAGED_SELECTOR,
			.metadata_only = sources[kind].metadata_only,
			.callbacks = {.on_list_begin = on_list_begin,
				.on_object = on_object,
				.on_list_end = on_list_end,
				.on_change = on_change,
				.arg = feed_of(cache, kind)}};
		if (k8s_watch_start(k8s, &options, &cache->watches[kind], err) < 0)
			return -1;
	}
	return 0;
}

void cache_unwatch(struct cache *cache)
{
	for (size_t kind = 0; kind < CACHE_KINDS; kind++) {
		if (cache->watches[kind] != NULL)
			k8s_watch_cancel(cache->watches[kind]);
	}
	for (size_t kind = 0; kind < CACHE_KINDS; kind++) {
		k8s_watch_stop(cache->watches[kind]);
		cache->watches[kind] = NULL;
	}
}

bool cache_is_synced(const struct cache *cache)
{
	for (size_t kind = 0; kind < CACHE_KINDS; kind++) {
		if (cache->watches[kind] == NULL || !k8s_watch_is_synced(cache->watches[kind]))
			return false;
	}
	return true;
}

const char *cache_resource(enum cache_kind kind)
{
	return sources[kind].resource->plural;
}

bool cache_follows(const struct cache *cache, enum cache_kind kind)
{
	struct k8s_watch_status status;
	if (cache->watches[kind] == NULL)
		return false;
	k8s_watch_read_status(cache->watches[kind], &status);
	return status.is_synced && status.error[0] == '\0';
}
