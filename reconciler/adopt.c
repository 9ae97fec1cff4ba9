#include "reconciler/adopt.h"

#include "builders/names.h"
#include <stdio.h>
#include <string.h>

int adopt_soften(const struct replica *replica, int64_t now_ms, struct error *err)
{
	if (err->http_status == 403 && now_ms - replica->created_at_ms < ADOPT_YOUNG_MS)
		err->kind = ERROR_TRANSIENT;
	return -1;
}

static const char *label(const json_t *object, const char *key)
{
	const char *value = json_find_str(object, "metadata", "labels", key);
	return value == NULL ? "" : value;
}

// Each of our objects has one owner at most.
static const char *owner_uid(const json_t *object)
{
	return json_find_str(json_array_get(json_find(object, "metadata", "ownerReferences"), 0), "uid");
}

static int check_ours(const json_t *found, const json_t *wanted, const char *what, struct error *err)
{
	const char *name = json_find_str(wanted, "metadata", "name");
	if (strcmp(label(found, LABEL_MANAGED_BY), LABEL_MANAGED_BY_VALUE) != 0 ||
		strcmp(label(found, LABEL_ROUND), label(wanted, LABEL_ROUND)) != 0)
		return error_set(err, ERROR_INVALID, "%s %s exists and is not ours", what, name);
	if (json_find(found, "metadata", "deletionTimestamp") != NULL)
		return error_set(err, ERROR_TRANSIENT, "%s %s is being deleted", what, name);
	const char *its = owner_uid(found), *wants = owner_uid(wanted);
	if (its != NULL && wants != NULL && strcmp(its, wants) != 0)
		return error_set(err, ERROR_TRANSIENT,
			"%s %s belongs to a volume that is gone: the garbage collector is about to take it", what, name);
	return 0;
}

static void fill(struct adopted *out, enum adopt_result result, const json_t *there)
{
	const char *uid = json_find_str(there, "metadata", "uid");
	const char *version = json_find_str(there, "metadata", "resourceVersion");
	if (out == NULL)
		return;
	*out = (struct adopted){.result = result};
	(void)snprintf(out->uid, sizeof(out->uid), "%s", uid == NULL ? "" : uid);
	(void)snprintf(out->resource_version, sizeof(out->resource_version), "%s", version == NULL ? "" : version);
}

int adopt_create(struct manager *op, const struct k8s_resource *resource, const struct replica *replica, const json_t *object,
	int64_t now_ms, struct adopted *out, struct error *err)
{
	AUTO(json) json_t *there = NULL;
	if (k8s_create(op->k8s, resource, replica->namespace, object, cache_wants_answer(resource) ? &there : NULL, err) == 0) {
		if (there != NULL)
			cache_saw(op->cache, resource, there);
		fill(out, ADOPT_MADE, there);
		return 0;
	}
	if (err->kind != ERROR_EXISTS)
		return adopt_soften(replica, now_ms, err);

	const char *name = json_find_str(object, "metadata", "name");
	if (name == NULL)
		return error_set(err, ERROR_INTERNAL, "%s without a name", resource->plural);
	if (k8s_get(op->k8s, resource, replica->namespace, name, &there, err) < 0) {
		// Gone between the two calls: make it in the next try.
		if (err->kind == ERROR_NOT_FOUND)
			err->kind = ERROR_TRANSIENT;
		return adopt_soften(replica, now_ms, err);
	}
	if (check_ours(there, object, resource->plural, err) < 0)
		return -1;
	cache_saw(op->cache, resource, there);
	fill(out, ADOPT_FOUND, there);
	return 0;
}
