// From an entry of the worklist to Kubernetes objects (builders/objects.h): whatever the entry holds, each object is one that the
// API server takes, is the same after encoding and decoding, and is the same when it is built again.
#include "canopy/intents.h"
#include "tests/builders/sample.h"
#include "tests/fuzz/entries.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/schema.h"
#include <regex.h>
#include <string.h>

#define ANNOTATIONS_MAX ((size_t)256 << 10) // Kubernetes: TotalAnnotationSizeLimitB

static bool matches(regex_t *compiled, const char *pattern, const char *text)
{
	if (compiled->re_nsub == SIZE_MAX) {
		FUZZ_CHECK(regcomp(compiled, pattern, REG_EXTENDED | REG_NOSUB) == 0, "pattern %s", pattern);
		compiled->re_nsub = 0;
	}
	return regexec(compiled, text, 0, NULL, 0) == 0;
}

static bool is_label_value(const char *text)
{
	static regex_t compiled = {.re_nsub = SIZE_MAX};
	return strlen(text) < 64 && matches(&compiled, "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", text);
}

static bool is_name(const char *text)
{
	static regex_t compiled = {.re_nsub = SIZE_MAX};
	return strlen(text) < 254 && matches(&compiled, "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", text);
}

// https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
static bool is_quantity(const char *text)
{
	static regex_t compiled = {.re_nsub = SIZE_MAX};
	return matches(&compiled, "^[-+]?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(([KMGTPE]i)|[numkMGTPE]|[eE][-+]?[0-9]+)?$", text);
}

static void check_labels(const json_t *labels)
{
	const char *key = NULL;
	const json_t *value = NULL;
	json_object_foreach ((json_t *)(uintptr_t)labels, key, value)
		FUZZ_CHECK(json_is_string(value) && is_label_value(json_string_value(value)), "label %s", key);
}

static void check_metadata(const json_t *metadata)
{
	size_t bytes = 0;
	const char *key = NULL;
	const json_t *value = NULL;
	const char *name = json_find_str(metadata, "name");
	const char *namespace = json_find_str(metadata, "namespace");
	FUZZ_CHECK(name != NULL && is_name(name), "name %s", name == NULL ? "(none)" : name);
	FUZZ_CHECK(namespace == NULL || is_name(namespace), "namespace %s", namespace);
	check_labels(json_object_get(metadata, "labels"));
	json_object_foreach (json_object_get(metadata, "annotations"), key, value)
		bytes += strlen(key) + json_string_length(value);
	FUZZ_CHECK(bytes <= ANNOTATIONS_MAX, "%zu bytes of annotations", bytes);
}

static void check_resources(const json_t *resources)
{
	static const char *const sides[] = {"requests", "limits"};
	const char *key = NULL;
	const json_t *value = NULL;
	for (size_t i = 0; i < 2; i++) {
		json_object_foreach (json_object_get(resources, sides[i]), key, value)
			FUZZ_CHECK(is_quantity(json_string_value(value)), "%s %s is %s", sides[i], key, json_string_value(value));
	}
}

// "$(NAME)" in a value would be expanded, and "$$" made one.
static void check_environment(const json_t *environment)
{
	size_t i = 0;
	const json_t *variable = NULL;
	json_array_foreach (environment, i, variable) {
		const char *value = json_find_str(variable, "value");
		for (; value != NULL && (value = strchr(value, '$')) != NULL; value += 2)
			FUZZ_CHECK(value[1] == '$', "a single $ in %s", json_find_str(variable, "name"));
	}
}

static void check_containers(const json_t *containers)
{
	size_t i = 0;
	const json_t *container = NULL;
	json_array_foreach (containers, i, container) {
		check_resources(json_object_get(container, "resources"));
		check_environment(json_object_get(container, "env"));
	}
}

static void check_object(const json_t *object)
{
	static struct schema *schema;
	static bool is_opened; // without the schemas the other rules hold
	struct error err = {0};
	const char *where = NULL;
	AUTO(json) json_t *again = NULL;
	AUTO_FREE char *text = NULL;
	if (!is_opened)
		schema = schema_open(KUBERNETES_SCHEMA);
	is_opened = true;
	FUZZ_CHECK(json_print(object, &text, &err) == 0 && json_parse(text, strlen(text), &again, &err) == 0, "%s", err.text);
	FUZZ_CHECK(json_equal((json_t *)(uintptr_t)object, again), "an object changes on its way through JSON");
	FUZZ_CHECK(schema == NULL || schema_holds(schema, object, &where), "%s: %s", json_find_str(object, "kind"), where);
	check_metadata(json_object_get(object, "metadata"));
	check_labels(json_find(object, "spec", "template", "metadata", "labels"));
	check_containers(json_find(object, "spec", "template", "spec", "containers"));
	check_containers(json_find(object, "spec", "template", "spec", "initContainers"));
	check_resources(json_find(object, "spec", "resources"));
	FUZZ_CHECK(build_kept_sidecar(object), "the proxy is no sidecar");
}

static void check_all(const struct sample *sample)
{
	struct error err = {0};
	size_t i = 0;
	const json_t *object = NULL;
	AUTO(json) json_t *objects = NULL;
	AUTO(json) json_t *again = NULL;
	if (sample_objects(sample, &objects, &err) != 0) {
		fuzz_check_error(&err);
		FUZZ_CHECK(err.kind == ERROR_INVALID, "%s: %s", error_kind_text(err.kind), err.text);
		return;
	}
	FUZZ_CHECK(sample_objects(sample, &again, &err) == 0 && json_equal(objects, again), "built again it is another");
	json_array_foreach (objects, i, object)
		check_object(object);
}

static void build(const struct entry *entry, uint64_t chance)
{
	struct error err = {0};
	struct sample sample;
	if (entry->known_intent < 0)
		return;
	sample_init(&sample, (enum settings_intent)entry->known_intent, "kopia");
	sample_take_way(&sample, (enum sample_way)(chance % WAY_COUNT));
	if ((chance & 8) != 0)
		sample.settings.s3_endpoint = NULL;
	for (int i = 0; i < INTENT_COUNT; i++)
		sample.settings.intents[i] = (struct settings_for_intent){.storage_size_bytes = INT64_C(20) << 30,
			.storage_size_maximum_bytes = INT64_C(2) << 40,
			.ready_timeout_ms = 60000};
	if (intents_resolve(&sample.settings, entry, &sample.build.sizing, &err) < 0) {
		fuzz_check_error(&err);
		FUZZ_CHECK(err.kind == ERROR_INVALID, "%s: %s", error_kind_text(err.kind), err.text);
		return;
	}
	sample.entry = *entry; // borrowed
	sample.round.pvc_bytes = sample.build.sizing.storage_size_bytes;
	if (entry->snapshot_id != NULL)
		sample.round.snapshot_id = entry->snapshot_id;
	FUZZ_CHECK(round_key(sample.round.snapshot_id, 1, sample.round.key, &err) == 0, "%s", err.text);
	check_all(&sample);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	struct entry entry;
	AUTO(json) json_t *object = NULL;
	if (json_parse((const char *)data, size, &object, &err) < 0 || entry_from_json(object, &entry, &err) < 0) {
		fuzz_check_error(&err);
		return 0;
	}
	entries_check(&entry);
	build(&entry, fuzz_hash(data, size));
	entry_fini(&entry);
	return 0;
}
