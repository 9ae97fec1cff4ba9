// The resources of a running Deployment: how they are told apart, and the patch that changes them.
#include "builders/sizing.h"

#include "base/hash.h"
#include "base/quantity.h"
#include "builders/objects.h"
#include "builders/pod.h"
#include <inttypes.h>
#include <stdio.h>

#define NONE INT64_C(-1)

static int64_t amount(int (*read)(const char *text, int64_t *out, struct error *err), const char *text)
{
	int64_t value = NONE;
	struct error ignored;
	return text == NULL || read(text, &value, &ignored) < 0 ? NONE : value;
}

void build_sizing(const struct settings_for_intent *s, char out[BUILD_SIZING_SIZE])
{
	char text[128];
	(void)snprintf(text, sizeof text, "%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64, amount(quantity_milli, s->cpu_request),
		amount(quantity_milli, s->cpu_limit), amount(quantity_bytes, s->memory_request),
		amount(quantity_bytes, s->memory_limit));
	uint64_t hash = hash_text(text);
	(void)snprintf(out, BUILD_SIZING_SIZE, "%08" PRIx32, (uint32_t)(hash ^ (hash >> 32)));
}

// As a whole in the place of what is there: an amount that is no longer said must go.
static json_t *resources(const struct settings_for_intent *sizing)
{
	AUTO(json) json_t *made = pod_resources(sizing);
	return json_object_set_new(made, "$patch", json_string("replace")) == 0 ? TAKE_PTR(made) : NULL;
}

// One key a line.
// clang-format off
int build_resize(const struct build *b, const char *uid, json_t **out, struct error *err)
{
	char sizing[BUILD_SIZING_SIZE];
	build_sizing(&b->sizing, sizing);
	json_begin();
	json_t *made = json_pack("{s:{s:s, s:{s:s}}, s:{s:{s:{s:[{s:s, s:o}], s:[{s:s, s:o}]}}}}",
		"metadata",
			"uid", uid,
			"annotations", ANN_SIZING, sizing,
		"spec", "template", "spec",
			"initContainers", "name", CONTAINER_PREPARE, "resources", resources(&b->sizing),
			"containers", "name", CONTAINER_POSTGRES, "resources", resources(&b->sizing));
	return json_made_whole(made, "resize", out, err);
}
// clang-format on
