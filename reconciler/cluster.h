// The cluster as one pass sees it: the managed Namespaces and what runs in them.
//
// Filled by lists with MANAGED_SELECTOR, page by page; sorted by Namespace, so that all of one replica lies side by side. Owned by the
// pass; its workers each touch only the replica they work on.
#ifndef RECONCILER_CLUSTER_H
#define RECONCILER_CLUSTER_H

#include "base/cleanup.h"
#include "k8s/client.h"
#include "reconciler/replica.h"
#include "reconciler/workload.h"
#include <stddef.h>

struct cluster {
	struct replica *replicas;
	struct job_view *jobs;
	struct deployment_view *deployments;
	struct pod_view *pods;
	struct pvc_view *pvcs;
	size_t replica_count, job_count, deployment_count, pod_count, pvc_count;
	size_t replica_room, job_room, deployment_room, pod_room, pvc_room;
};

// What lies in one Namespace: spans into the cluster's arrays.
struct scene {
	struct job_view *jobs;
	struct deployment_view *deployments;
	struct pod_view *pods;
	struct pvc_view *pvcs;
	size_t job_count, deployment_count, pod_count, pvc_count;
};

// List everything. An object that cannot be read fails the whole: a pass must not decide on half a picture.
MUST_CHECK int cluster_load(struct k8s_client *k8s, struct cluster **out, struct error *err);
void cluster_free(struct cluster *cluster);
DEFINE_AUTO(struct cluster, cluster, cluster_free)

struct scene cluster_scene(const struct cluster *cluster, const char *namespace);

// The object of a round in a scene; NULL when there is none. The pod is the newest of its kind.
const struct job_view *scene_job(const struct scene *scene, const char *round);
const struct deployment_view *scene_deployment(const struct scene *scene, const char *round);
const struct pod_view *scene_pod(const struct scene *scene, const char *round, bool is_restore);

#endif
