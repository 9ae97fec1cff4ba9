#include "reconciler/scene.h"

#include <string.h>

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

const struct pvc_view *scene_pvc(const struct scene *scene, const char *round)
{
	for (size_t i = 0; i < scene->pvc_count; i++) {
		if (round[0] != '\0' && strcmp(scene->pvcs[i].of.round, round) == 0)
			return &scene->pvcs[i];
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
