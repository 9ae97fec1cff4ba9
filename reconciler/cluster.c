#include "reconciler/cluster.h"

#include <stdlib.h>
#include <string.h>

// Room for one more element at the end of an array; NULL when memory is out.
static void *grow(void **array, size_t *room, size_t count, size_t size)
{
	if (count == *room) {
		size_t wanted = *room == 0 ? 64 : *room * 2;
		void *bigger = reallocarray(*array, wanted, size);
		if (bigger == NULL)
			return NULL;
		*array = bigger;
		*room = wanted;
	}
	return (char *)*array + count * size;
}

// One list callback and one restart callback a kind: decode into a new last element.
#define DEFINE_COLLECTOR(kind, type, array, count, room, decode)           \
	static int add_##kind(void *arg, json_t *item, struct error *err)  \
	{                                                                  \
		struct cluster *c = arg;                                   \
		void *place = c->array;                                    \
		type *at = grow(&place, &c->room, c->count, sizeof(type)); \
		if (at == NULL)                                            \
			return error_no_memory(err, #kind);                \
		c->array = place;                                          \
		if (decode(item, at, err) < 0)                             \
			return -1;                                         \
		c->count++;                                                \
		return 0;                                                  \
	}

DEFINE_COLLECTOR(replica, struct replica, replicas, replica_count, replica_room, replica_from_json)
DEFINE_COLLECTOR(job, struct job_view, jobs, job_count, job_room, job_view_from_json)
DEFINE_COLLECTOR(deployment, struct deployment_view, deployments, deployment_count, deployment_room, deployment_view_from_json)
DEFINE_COLLECTOR(pod, struct pod_view, pods, pod_count, pod_room, pod_view_from_json)
DEFINE_COLLECTOR(pvc, struct pvc_view, pvcs, pvc_count, pvc_room, pvc_view_from_json)

static void drop_replicas(void *arg)
{
	struct cluster *c = arg;
	while (c->replica_count > 0)
		replica_fini(&c->replicas[--c->replica_count]);
}

static void drop_pods(void *arg)
{
	struct cluster *c = arg;
	while (c->pod_count > 0)
		pod_view_fini(&c->pods[--c->pod_count]);
}

static void drop_jobs(void *arg)
{
	((struct cluster *)arg)->job_count = 0;
}

static void drop_deployments(void *arg)
{
	((struct cluster *)arg)->deployment_count = 0;
}

static void drop_pvcs(void *arg)
{
	((struct cluster *)arg)->pvc_count = 0;
}

static int by_replica_namespace(const void *a, const void *b)
{
	return strcmp(((const struct replica *)a)->namespace, ((const struct replica *)b)->namespace);
}

// Every view begins with its struct workload.
static int by_namespace_and_name(const void *a, const void *b)
{
	const struct workload *x = a, *y = b;
	int order = strcmp(x->namespace, y->namespace);
	return order != 0 ? order : strcmp(x->name, y->name);
}

static int list_all(struct k8s_client *k8s, struct cluster *c, struct error *err)
{
	const struct {
		const struct k8s_resource *resource;
		int (*on_item)(void *arg, json_t *item, struct error *err);
		void (*on_restart)(void *arg);
		bool metadata_only;
	} lists[] = {
		// Workloads first: an object of a Namespace that was made since then is seen in the next pass, while one that is
		// missing beside its Namespace would be made again for nothing.
		{&K8S_JOB, add_job, drop_jobs, false},
		{&K8S_DEPLOYMENT, add_deployment, drop_deployments, false},
		{&K8S_POD, add_pod, drop_pods, false},
		{&K8S_PVC, add_pvc, drop_pvcs, false},
		{&K8S_NAMESPACE, add_replica, drop_replicas, true},
	};
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		const struct k8s_list_options options = {.label_selector = MANAGED_SELECTOR,
			.metadata_only = lists[i].metadata_only,
			.on_item = lists[i].on_item,
			.on_restart = lists[i].on_restart,
			.arg = c};
		if (k8s_list(k8s, lists[i].resource, NULL, &options, err) < 0)
			return -1;
	}
	return 0;
}

static void sort(void *array, size_t count, size_t size, int (*order)(const void *, const void *))
{
	if (count > 1) // qsort must not be given NULL
		qsort(array, count, size, order);
}

int cluster_load(struct k8s_client *k8s, struct cluster **out, struct error *err)
{
	AUTO(cluster) struct cluster *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return error_no_memory(err, "cluster");
	if (list_all(k8s, c, err) < 0)
		return -1;
	sort(c->replicas, c->replica_count, sizeof(*c->replicas), by_replica_namespace);
	sort(c->jobs, c->job_count, sizeof(*c->jobs), by_namespace_and_name);
	sort(c->deployments, c->deployment_count, sizeof(*c->deployments), by_namespace_and_name);
	sort(c->pods, c->pod_count, sizeof(*c->pods), by_namespace_and_name);
	sort(c->pvcs, c->pvc_count, sizeof(*c->pvcs), by_namespace_and_name);
	*out = TAKE_PTR(c);
	return 0;
}

void cluster_free(struct cluster *cluster)
{
	if (cluster == NULL)
		return;
	drop_replicas(cluster);
	drop_pods(cluster);
	free(cluster->replicas);
	free(cluster->jobs);
	free(cluster->deployments);
	free(cluster->pods);
	free(cluster->pvcs);
	free(cluster);
}

// First element whose namespace is not less than the wanted one.
static size_t lower_bound(const void *array, size_t count, size_t size, const char *namespace)
{
	size_t low = 0, high = count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct workload *at = (const void *)((const char *)array + middle * size);
		if (strcmp(at->namespace, namespace) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static size_t span(const void *array, size_t count, size_t size, const char *namespace, size_t *first)
{
	*first = lower_bound(array, count, size, namespace);
	size_t end = *first;
	while (end < count &&
		strcmp(((const struct workload *)(const void *)((const char *)array + end * size))->namespace, namespace) == 0)
		end++;
	return end - *first;
}

struct scene cluster_scene(const struct cluster *cluster, const char *namespace)
{
	struct scene s = {0};
	size_t first = 0;
	s.job_count = span(cluster->jobs, cluster->job_count, sizeof(*cluster->jobs), namespace, &first);
	s.jobs = s.job_count == 0 ? NULL : cluster->jobs + first;
	s.deployment_count =
		span(cluster->deployments, cluster->deployment_count, sizeof(*cluster->deployments), namespace, &first);
	s.deployments = s.deployment_count == 0 ? NULL : cluster->deployments + first;
	s.pod_count = span(cluster->pods, cluster->pod_count, sizeof(*cluster->pods), namespace, &first);
	s.pods = s.pod_count == 0 ? NULL : cluster->pods + first;
	s.pvc_count = span(cluster->pvcs, cluster->pvc_count, sizeof(*cluster->pvcs), namespace, &first);
	s.pvcs = s.pvc_count == 0 ? NULL : cluster->pvcs + first;
	return s;
}

const struct job_view *scene_job(const struct scene *scene, const char *round)
{
	for (size_t i = 0; i < scene->job_count; i++) {
		if (round[0] != '\0' && strcmp(scene->jobs[i].of.round, round) == 0)
			return &scene->jobs[i];
	}
	return NULL;
}

const struct deployment_view *scene_deployment(const struct scene *scene, const char *round)
{
	for (size_t i = 0; i < scene->deployment_count; i++) {
		if (round[0] != '\0' && strcmp(scene->deployments[i].of.round, round) == 0)
			return &scene->deployments[i];
	}
	return NULL;
}

const struct pod_view *scene_pod(const struct scene *scene, const char *round, bool is_restore)
{
	const struct pod_view *newest = NULL;
	for (size_t i = 0; i < scene->pod_count; i++) {
		const struct pod_view *pod = &scene->pods[i];
		if (pod->is_restore != is_restore || strcmp(pod->of.round, round) != 0)
			continue;
		if (newest == NULL || pod->of.created_at_ms >= newest->of.created_at_ms)
			newest = pod;
	}
	return newest;
}
