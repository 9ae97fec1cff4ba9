// What lies in one replica's Namespace, and finding the object of a round in it. Pure; borrows its arrays.
#ifndef RECONCILER_SCENE_H
#define RECONCILER_SCENE_H

#include "reconciler/workload.h"
#include <stddef.h>

struct scene {
	struct job_view *jobs;
	struct deployment_view *deployments;
	struct pod_view *pods;
	struct pvc_view *pvcs;
	size_t job_count, deployment_count, pod_count, pvc_count;
};

// The object of a round; NULL when there is none. The pod is the newest of its kind.
const struct job_view *scene_job(const struct scene *scene, const char *round);
const struct deployment_view *scene_deployment(const struct scene *scene, const char *round);
const struct pvc_view *scene_pvc(const struct scene *scene, const char *round);
const struct pod_view *scene_pod(const struct scene *scene, const char *round, bool is_restore);

#endif
