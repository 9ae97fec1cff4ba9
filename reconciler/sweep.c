#include "reconciler/sweep.h"

#include "base/log.h"
#include <string.h>

typedef bool (*is_wanted_gone)(const struct round_view *view, const char *key);

static bool any_round(const struct round_view *view, const char *key)
{
	(void)view;
	return key[0] != '\0';
}

// What was seen is deleted by its uid: a namesake that came since is left alone.
static int delete_seen(struct manager *op, const struct k8s_resource *resource, const struct workload *of, struct error *err)
{
	if (of->is_deleting)
		return 0;
	if (k8s_delete(op->k8s, resource, of->namespace, of->name, of->uid, NULL, err) < 0)
		return -1;
	cache_deleted(op->cache, resource, of->namespace, of->name, of->uid);
	log_info("swept", LOG_STR("namespace", of->namespace), LOG_STR("kind", resource->kind), LOG_STR("name", of->name));
	return 0;
}

// Secrets are not watched across Namespaces (design.md "Rights"); the round's is known by its name and goes before the last
// object that shows the round is still there.
static int delete_secret(struct manager *op, const struct workload *of, struct error *err)
{
	char name[OBJECT_NAME_SIZE];
	name_restore(of->round, name);
	return k8s_delete(op->k8s, &K8S_SECRET, of->namespace, name, NULL, NULL, err);
}

static int sweep(struct manager *op, const struct round_view *v, is_wanted_gone is_gone, struct error *err)
{
	const struct scene *s = &v->scene;
	for (size_t i = 0; i < s->deployment_count; i++) {
		const struct workload *of = &s->deployments[i].of;
		if (is_gone(v, of->round) && delete_seen(op, &K8S_DEPLOYMENT, of, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < s->job_count; i++) {
		const struct workload *of = &s->jobs[i].of;
		if (is_gone(v, of->round) && (delete_secret(op, of, err) < 0 || delete_seen(op, &K8S_JOB, of, err) < 0))
			return -1;
	}
	for (size_t i = 0; i < s->pvc_count; i++) {
		const struct workload *of = &s->pvcs[i].of;
		if (is_gone(v, of->round) && (delete_secret(op, of, err) < 0 || delete_seen(op, &K8S_PVC, of, err) < 0))
			return -1;
	}
	return 0;
}

int sweep_over(struct manager *op, const struct round_view *view, struct error *err)
{
	return sweep(op, view, round_is_over, err);
}

int sweep_all(struct manager *op, const struct round_view *view, struct error *err)
{
	return sweep(op, view, any_round, err);
}
