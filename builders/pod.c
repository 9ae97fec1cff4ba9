#include "builders/pod.h"

#include "base/buf.h"
#include "base/quantity.h"
#include "builders/metadata.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LITERAL_MAX ((size_t)1 << 20)
#define SCRIPTS_VOLUME "scripts"
#define SCRIPTS_MOUNT "/scripts"

// Kubernetes expands $(NAME) and $$ in env values; a text that is to arrive as it stands doubles every '$'.
// https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
static json_t *literal(const char *text)
{
	struct error err;
	AUTO(buf) struct buf doubled;
	buf_init(&doubled, LITERAL_MAX);
	while (*text != '\0') {
		size_t plain = strcspn(text, "$");
		if (buf_add(&doubled, text, plain, &err) < 0 || (text[plain] == '$' && buf_add_str(&doubled, "$$", &err) < 0))
			return NULL;
		text += plain + (text[plain] == '$');
	}
	return json_string(buf_str(&doubled));
}

json_t *pod_env(const char *name, const char *value)
{
	return json_pack("{s:s, s:o}", "name", name, "value", literal(value));
}

json_t *pod_env_secret(const char *name, const char *secret, const char *key)
{
	return json_pack("{s:s, s:{s:{s:s, s:s}}}", "name", name, "valueFrom", "secretKeyRef", "name", secret, "key", key);
}

json_t *pod_env_field(const char *name, const char *field_path)
{
	return json_pack("{s:s, s:{s:{s:s}}}", "name", name, "valueFrom", "fieldRef", "fieldPath", field_path);
}

json_t *pod_mount(const char *volume, const char *path, bool read_only)
{
	return read_only ? json_pack("{s:s, s:s, s:b}", "name", volume, "mountPath", path, "readOnly", 1)
			 : json_pack("{s:s, s:s}", "name", volume, "mountPath", path);
}

json_t *pod_volume_claim(const char *name, const char *claim)
{
	return json_pack("{s:s, s:{s:s}}", "name", name, "persistentVolumeClaim", "claimName", claim);
}

json_t *pod_volume_empty(const char *name, bool in_memory)
{
	return json_pack("{s:s, s:{s:s*}}", "name", name, "emptyDir", "medium", in_memory ? "Memory" : NULL);
}

json_t *pod_volume_secret_file(const char *name, const char *secret, const char *key, const char *file)
{
	return json_pack("{s:s, s:{s:s, s:[{s:s, s:s}]}}", "name", name, "secret", "secretName", secret, "items", "key", key,
		"path", file);
}

// PostgreSQL takes a key of root's that the group may read (0640) and nobody else (be-secure-common.c,
// check_ssl_key_file_permissions); fsGroup gives files of a Secret to the group and adds 0440 to their mode (kubelet,
// pkg/volume/volume_linux.go).
#define TLS_MODE 0440

json_t *pod_volume_tls(const char *name, const char *secret)
{
	return json_pack("{s:s, s:{s:s, s:i, s:[{s:s, s:s}, {s:s, s:s}]}}", "name", name, "secret", "secretName", secret,
		"defaultMode", TLS_MODE, "items", "key", "tls.crt", "path", "tls.crt", "key", "tls.key", "path", "tls.key");
}

json_t *pod_resources(const struct settings_for_intent *sizing)
{
	return json_pack("{s:{s:s*, s:s*}, s:{s:s*, s:s*}}", "requests", "cpu", sizing->cpu_request, "memory",
		sizing->memory_request, "limits", "cpu", sizing->cpu_limit, "memory", sizing->memory_limit);
}

// One key a line.
// clang-format off
json_t *pod_program(const struct pod_program *program)
{
	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:s, s:s, s:{s:b, s:b, s:{s:[s]}}}",
		"name", program->name,
		"image", program->image,
		"command", program->command,
		"env", program->environment,
		"volumeMounts", program->mounts,
		"resources", program->resources,
		"terminationMessagePath", POD_TERMINATION_LOG,
		"terminationMessagePolicy", "File",
		"securityContext",
			"allowPrivilegeEscalation", 0,
			"readOnlyRootFilesystem", 1,
			"capabilities", "drop", "ALL");
}
// clang-format on

json_t *pod_volume_scripts(const char *secret, const char *script, const char *other)
{
	return json_pack("{s:s, s:{s:s, s:[{s:s, s:s}, o*]}}", "name", SCRIPTS_VOLUME, "secret", "secretName", secret, "items",
		"key", script, "path", script, other == NULL ? NULL : json_pack("{s:s, s:s}", "key", other, "path", other));
}

// mounts is stolen.
static json_t *with_scripts(json_t *mounts)
{
	AUTO(json) json_t *list = mounts;
	return json_array_append_new(list, pod_mount(SCRIPTS_VOLUME, SCRIPTS_MOUNT, true)) == 0 ? TAKE_PTR(list) : NULL;
}

int pod_add_cpu_limit(const struct build *b, json_t *list)
{
	int64_t milli = 0;
	char text[QUANTITY_TEXT_SIZE];
	struct error ignored;
	if (b->sizing.cpu_limit == NULL || quantity_milli(b->sizing.cpu_limit, &milli, &ignored) != 0)
		return 0;
	(void)snprintf(text, sizeof text, "%" PRId64, milli / 1000 + (milli % 1000 != 0));
	return json_array_append_new(list, pod_env("CPU_LIMIT", text));
}

json_t *pod_container(
	const struct build *b, const char *name, const char *image, const char *script, json_t *environment, json_t *mounts)
{
	return pod_program(&(struct pod_program){.name = name,
		.image = image,
		.command = json_pack("[s, o]", "/bin/sh", json_sprintf(SCRIPTS_MOUNT "/%s", script)),
		.environment = environment,
		.mounts = with_scripts(mounts),
		.resources = pod_resources(&b->sizing)});
}

static json_t *pairs(const struct settings_pair *pair, size_t count)
{
	AUTO(json) json_t *object = json_object();
	for (size_t i = 0; i < count; i++) {
		if (json_object_set_new(object, pair[i].key, json_string(pair[i].value)) != 0)
			return NULL;
	}
	return TAKE_PTR(object);
}

static json_t *tolerations(const struct settings *settings)
{
	AUTO(json) json_t *list = json_array();
	for (size_t i = 0; i < settings->toleration_count; i++) {
		const struct settings_toleration *t = &settings->tolerations[i];
		if (json_array_append_new(list, json_pack("{s:s*, s:s*, s:s*, s:s*}", "key", t->key, "operator", t->operator_,
							"value", t->value, "effect", t->effect)) != 0)
			return NULL;
	}
	return TAKE_PTR(list);
}

// OnRootMismatch: with the default, the second mount of the volume makes PGDATA group-accessible and PostgreSQL refuses it
// (seen on a real node).
// One key a line.
// clang-format off
static json_t *security_context(void)
{
	return json_pack("{s:b, s:i, s:i, s:i, s:s, s:{s:s}}",
		"runAsNonRoot", 1,
		"runAsUser", POD_UID,
		"runAsGroup", POD_UID,
		"fsGroup", POD_UID,
		"fsGroupChangePolicy", "OnRootMismatch",
		"seccompProfile", "type", "RuntimeDefault");
}

json_t *pod_template(const struct build *b, const char *component, const char *round_key, json_t *volumes)
{
	const struct settings *settings = b->settings;
	return json_pack("{s:{s:o, s:o}, s:{s:b, s:b, s:o, s:o, s:o, s:o}}",
		"metadata",
			"labels", metadata_labels(b, component, round_key),
			"annotations", pairs(settings->pod_annotations, settings->pod_annotation_count),
		"spec",
			"automountServiceAccountToken", 0,
			"enableServiceLinks", 0,
			"securityContext", security_context(),
			"nodeSelector", pairs(settings->node_selector, settings->node_selector_count),
			"tolerations", tolerations(settings),
			"volumes", volumes);
}
// clang-format on
