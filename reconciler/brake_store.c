#include "reconciler/brake_store.h"

#include "base/json.h"
#include "base/log.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_hex(const char *text, uint64_t *out)
{
	char *end = NULL;
	if (text == NULL || text[0] == '\0' || strspn(text, "0123456789abcdef") != strlen(text))
		return false;
	*out = strtoull(text, &end, 16);
	return *end == '\0';
}

static bool read_number(const char *text, int64_t max, int64_t *out)
{
	char *end = NULL;
	long long value = text == NULL || text[0] == '\0' ? -1 : strtoll(text, &end, 10);
	if (value < 0 || value > max || *end != '\0')
		return false;
	*out = value;
	return true;
}

static bool decode(const json_t *data, int64_t now_mono_ms, struct brake *out)
{
	struct brake read = {0};
	int64_t passes = 0, held_ms = 0;
	if (!read_number(json_find_str(data, "passes"), BRAKE_PASSES, &passes))
		return false;
	if (passes > 0 && (!read_hex(json_find_str(data, "answer"), &read.answer) ||
				  !read_number(json_find_str(data, "heldMs"), BRAKE_MS, &held_ms)))
		return false;
	read.passes = (int)passes;
	if (passes > 0)
		read.since_mono_ms = now_mono_ms - held_ms;
	*out = read;
	return true;
}

int brake_load(struct k8s_client *k8s, const char *namespace, int64_t now_mono_ms, struct brake *out, struct error *err)
{
	AUTO(json) json_t *found = NULL;
	struct error failure = {0};
	*out = (struct brake){0};
	if (k8s_get(k8s, &K8S_CONFIG_MAP, namespace, BRAKE_CONFIG_MAP, &found, &failure) < 0) {
		if (failure.kind == ERROR_NOT_FOUND)
			return 0;
		*err = failure;
		return error_wrap(err, "brake");
	}
	if (!decode(json_object_get(found, "data"), now_mono_ms, out)) {
		log_warn("the brake's ConfigMap cannot be read: a hold begins anew", LOG_STR("namespace", namespace),
			LOG_STR("name", BRAKE_CONFIG_MAP));
		*out = (struct brake){0};
	}
	return 0;
}

int brake_save(struct k8s_client *k8s, const char *namespace, const struct brake *brake, int64_t now_mono_ms, struct error *err)
{
	char answer[24], passes[12], held[24];
	AUTO(json) json_t *object = NULL;
	const int64_t held_ms = brake->passes == 0 ? 0 : now_mono_ms - brake->since_mono_ms;
	(void)snprintf(answer, sizeof(answer), "%" PRIx64, brake->answer);
	(void)snprintf(passes, sizeof(passes), "%d", brake->passes);
	(void)snprintf(held, sizeof(held), "%" PRId64, held_ms < BRAKE_MS ? held_ms : BRAKE_MS);
	json_t *made = json_pack("{s:s,s:s,s:{s:s,s:{s:s}},s:{s:s,s:s,s:s}}", "apiVersion", "v1", "kind", "ConfigMap", "metadata",
		"name", BRAKE_CONFIG_MAP, "labels", "app.kubernetes.io/name", "understory", "data", "answer", answer, "passes",
		passes, "heldMs", held);
	if (json_made(made, "brake", &object, err) < 0 || k8s_apply(k8s, &K8S_CONFIG_MAP, namespace, object, NULL, err) < 0)
		return error_wrap(err, "brake");
	return 0;
}
