#include "reconciler/patch.h"

#include "base/clock.h"
#include "base/utf8.h"
#include <stdio.h>

void patch_init(struct patch *patch, const struct replica *replica)
{
	*patch = (struct patch){
		.body = json_pack("{s:{s:s,s:{}}}", "metadata", "resourceVersion", replica->resource_version, "annotations")};
	patch->annotations = json_find(patch->body, "metadata", "annotations");
	patch->no_memory = patch->annotations == NULL;
}

void patch_set(struct patch *patch, const char *key, const char *value)
{
	// Text from outside may not be UTF-8; a person is better served by a mark than by no write at all.
	const char *good = value == NULL || utf8_is_good(value) ? value : "(text that is not UTF-8)";
	json_t *text = good == NULL ? json_null() : json_string(good);
	if (json_object_set_new(patch->annotations, key, text) < 0)
		patch->no_memory = true;
}

void patch_set_int(struct patch *patch, const char *key, int64_t value)
{
	char text[32];
	(void)snprintf(text, sizeof(text), "%lld", (long long)value);
	patch_set(patch, key, text);
}

void patch_set_time(struct patch *patch, const char *key, int64_t wall_ms)
{
	char text[CLOCK_TEXT_SIZE];
	clock_format(wall_ms, text);
	patch_set(patch, key, text);
}

int patch_send(struct patch *patch, struct k8s_client *k8s, struct replica *replica, struct error *err)
{
	AUTO(json) json_t *answer = NULL;
	struct replica fresh;

	if (patch->no_memory)
		return error_no_memory(err, "annotations");
	if (k8s_patch(k8s, &K8S_NAMESPACE, NULL, replica->namespace, patch->body, &answer, err) < 0 ||
		replica_from_json(answer, &fresh, err) < 0)
		return -1;
	replica_fini(replica);
	*replica = fresh;
	return 0;
}

int patch_into(const struct patch *patch, json_t *object, struct error *err)
{
	json_t *annotations = json_find(object, "metadata", "annotations");
	const char *key;
	json_t *value;
	bool no_memory = patch->no_memory || annotations == NULL;
	json_object_foreach (patch->annotations, key, value) {
		if (!json_is_null(value) && json_object_set(annotations, key, value) < 0)
			no_memory = true;
	}
	return no_memory ? error_no_memory(err, "annotations") : 0;
}

void patch_fini(struct patch *patch)
{
	json_decref(patch->body);
	*patch = (struct patch){0};
}
