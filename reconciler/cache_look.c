#include "reconciler/cache_record.h"

#include "reconciler/shapes.h"
#include <stdlib.h>
#include <string.h>

static const struct pack_shape *const shapes[CACHE_KINDS] = {
	[CACHE_JOB] = &shape_job,
	[CACHE_DEPLOYMENT] = &shape_deployment,
	[CACHE_POD] = &shape_pod,
	[CACHE_PVC] = &shape_pvc,
};

// Every view begins with its struct workload.
union view {
	struct job_view job;
	struct deployment_view deployment;
	struct pod_view pod;
	struct pvc_view pvc;
};

void item_open_workload(const struct item *item, struct workload *out)
{
	union view view;
	pack_open(shapes[item->kind], item->view, &view);
	memcpy(out, &view, sizeof(*out));
}

void views_fini(struct views *views)
{
	free(views->jobs);
	free(views->deployments);
	free(views->pods);
	free(views->pvcs);
	*views = (struct views){0};
}

static bool grow(void **array, size_t room, size_t size)
{
	void *bigger = reallocarray(*array, room, size);
	if (bigger != NULL)
		*array = bigger;
	return bigger != NULL;
}

static int make_room(struct views *views, const struct item *items, struct error *err)
{
	size_t count = 1;
	for (const struct item *item = items; item != NULL; item = item->next)
		count++;
	if (count <= views->room)
		return 0;
	void *jobs = views->jobs, *deployments = views->deployments, *pods = views->pods, *pvcs = views->pvcs;
	bool has_grown = grow(&jobs, count, sizeof(*views->jobs)) && grow(&deployments, count, sizeof(*views->deployments)) &&
			 grow(&pods, count, sizeof(*views->pods)) && grow(&pvcs, count, sizeof(*views->pvcs));
	*views = (struct views){.jobs = jobs, .deployments = deployments, .pods = pods, .pvcs = pvcs, .room = views->room};
	if (!has_grown)
		return error_no_memory(err, "scene");
	views->room = count;
	return 0;
}

static void *place(const struct views *views, struct scene *s, enum cache_kind kind)
{
	switch (kind) {
	case CACHE_JOB:
		return &views->jobs[s->job_count++];
	case CACHE_DEPLOYMENT:
		return &views->deployments[s->deployment_count++];
	case CACHE_POD:
		return &views->pods[s->pod_count++];
	case CACHE_PVC:
		return &views->pvcs[s->pvc_count++];
	case CACHE_NAMESPACE:
		break;
	}
	return NULL;
}

int views_open(struct views *views, const char *namespace, const struct item *items, struct scene *out, struct error *err)
{
	if (make_room(views, items, err) < 0)
		return -1;
	*out = (struct scene){.jobs = views->jobs, .deployments = views->deployments, .pods = views->pods, .pvcs = views->pvcs};
	for (const struct item *item = items; item != NULL; item = item->next) {
		void *view = place(views, out, item->kind);
		if (view == NULL)
			continue; // a Namespace is no item
		pack_open(shapes[item->kind], item->view, view);
		memcpy(((struct workload *)view)->namespace, namespace, strlen(namespace) + 1);
	}
	return 0;
}

// --- a copy

// All that a look needs in one block: the items and their packs, the replica's pack and the entry's.
struct block {
	struct item *items;
	struct pack *replica, *entry;
	struct views views;
};

#define ALIGNED(size) (((size) + 7) & ~(size_t)7)

static size_t bytes_of(const struct record *r)
{
	size_t bytes = ALIGNED(sizeof(struct block));
	for (const struct item *item = r->items; item != NULL; item = item->next)
		bytes += ALIGNED(sizeof(*item)) + ALIGNED(pack_size(item->view));
	if (r->replica != NULL)
		bytes += ALIGNED(pack_size(r->replica));
	if (r->wanted.entry != NULL)
		bytes += ALIGNED(pack_size(r->wanted.entry));
	return bytes;
}

static void *append(char **at, const void *data, size_t size)
{
	void *copy = *at;
	memcpy(copy, data, size);
	*at += ALIGNED(size);
	return copy;
}

static struct block *copy_record(const struct record *r)
{
	char *at = calloc(1, bytes_of(r));
	struct block *block = (struct block *)(void *)at;
	if (block == NULL)
		return NULL;
	at += ALIGNED(sizeof(*block));
	struct item **end = &block->items;
	for (const struct item *item = r->items; item != NULL; item = item->next) {
		struct item *copy = append(&at, item, sizeof(*item));
		copy->view = append(&at, item->view, pack_size(item->view));
		copy->next = NULL;
		*end = copy;
		end = &copy->next;
	}
	if (r->replica != NULL)
		block->replica = append(&at, r->replica, pack_size(r->replica));
	if (r->wanted.entry != NULL)
		block->entry = append(&at, r->wanted.entry, pack_size(r->wanted.entry));
	return block;
}

static int open_block(struct block *block, const char *namespace, struct look *out, struct error *err)
{
	if (block->replica != NULL) {
		struct replica borrowed;
		pack_open(&shape_replica, block->replica, &borrowed);
		if (shape_copy_replica(&borrowed, &out->replica, err) < 0)
			return -1;
		out->has_replica = true;
	}
	if (block->entry != NULL) {
		if (entry_open(block->entry, &out->entry, err) < 0)
			return -1;
		out->has_entry = true;
		memcpy(out->entry.namespace, namespace, strlen(namespace) + 1);
	}
	return views_open(&block->views, namespace, block->items, &out->scene, err);
}

int cache_look(struct cache *cache, const char *namespace, struct look *out, struct error *err)
{
	AUTO(look_value) struct look made = {0};
	static const struct record nothing = {0};
	(void)pthread_mutex_lock(&cache->lock);
	const struct record *r = cache_find(cache, namespace);
	if (r == NULL)
		r = &nothing;
	made.block = copy_record(r);
	made.decided = r->wanted.action;
	(void)pthread_mutex_unlock(&cache->lock);
	if (made.block == NULL)
		return error_no_memory(err, "look");
	if (open_block(made.block, namespace, &made, err) < 0)
		return -1;
	*out = made;
	made = (struct look){0};
	return 0;
}

void look_fini(struct look *look)
{
	struct block *block = look->block;
	if (look->has_replica)
		replica_fini(&look->replica);
	if (look->has_entry)
		entry_close(&look->entry);
	if (block != NULL)
		views_fini(&block->views);
	free(block);
	*look = (struct look){0};
}
