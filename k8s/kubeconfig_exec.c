// ExecConfig: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/#ExecConfig. The ExecCredential that a plugin gets:
// https://kubernetes.io/docs/reference/config-api/client-authentication.v1/#client-authentication-k8s-io-v1-Cluster
#include "k8s/kubeconfig_exec.h"

#include "base/encode.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API_V1 "client.authentication.k8s.io/v1"
#define API_V1BETA1 "client.authentication.k8s.io/v1beta1"
#define EXTENSION "client.authentication.k8s.io/exec"
#define LIST_MAX 256 // arguments, variables, extensions

static int read_version(const struct kubeconfig_section *exec, struct exec_plugin_spec *spec, struct error *err)
{
	if (kubeconfig_copy_text(exec, "apiVersion", &spec->api_version, err) < 0)
		return -1;
	if (spec->api_version == NULL)
		return kubeconfig_complain(exec, "exec.apiVersion", err, "is not set; allowed: " API_V1 ", " API_V1BETA1);
	if (strcmp(spec->api_version, API_V1) != 0 && strcmp(spec->api_version, API_V1BETA1) != 0)
		return kubeconfig_complain(
			exec, "apiVersion", err, "of exec is \"%.80s\"; allowed: " API_V1 ", " API_V1BETA1, spec->api_version);
	return 0;
}

// There is never a terminal: a plugin that can do without is run without.
static int check_mode(const struct kubeconfig_section *exec, const char *api_version, struct error *err)
{
	const char *mode = NULL;
	if (kubeconfig_text(exec, "interactiveMode", &mode, err) < 0)
		return -1;
	if (mode == NULL)
		return strcmp(api_version, API_V1BETA1) == 0 ? 0
							     : kubeconfig_complain(exec, "exec.interactiveMode", err,
								       "is not set; allowed: Never, IfAvailable");
	if (strcmp(mode, "Always") == 0)
		return kubeconfig_complain(exec, "interactiveMode", err,
			"of exec is \"Always\", but there is no terminal here; allowed: Never, IfAvailable");
	if (strcmp(mode, "Never") != 0 && strcmp(mode, "IfAvailable") != 0)
		return kubeconfig_complain(
			exec, "interactiveMode", err, "of exec is \"%.40s\"; allowed: Never, IfAvailable", mode);
	return 0;
}

// A name without a slash is looked up in PATH, a path starts at the kubeconfig.
static int read_command(const struct kubeconfig_section *exec, struct exec_plugin_spec *spec, struct error *err)
{
	const char *command = NULL;
	if (kubeconfig_text(exec, "command", &command, err) < 0)
		return -1;
	if (command == NULL)
		return kubeconfig_complain(exec, "exec.command", err, "is not set");
	return strchr(command, '/') == NULL ? kubeconfig_copy_text(exec, "command", &spec->command, err)
					    : kubeconfig_copy_path(exec, "command", &spec->command, err);
}

static int make_list(char ***out, struct error *err)
{
	*out = calloc(LIST_MAX + 1, sizeof(**out));
	return *out == NULL ? error_no_memory(err, "exec plugin") : 0;
}

static int read_arguments(const struct kubeconfig_section *exec, struct exec_plugin_spec *spec, struct error *err)
{
	yaml_node_t *item = NULL;
	if (make_list(&spec->args, err) < 0)
		return -1;
	for (size_t i = 0;; i++) {
		if (kubeconfig_element(exec, "args", i, &item, err) < 0)
			return -1;
		if (item == NULL)
			return 0;
		if (i == LIST_MAX)
			return kubeconfig_complain(exec, "args", err, "of exec has more than %d elements", LIST_MAX);
		if (item->type != YAML_SCALAR_NODE || strlen((const char *)item->data.scalar.value) != item->data.scalar.length)
			return kubeconfig_complain(exec, "args", err, "of exec holds an element that is no text");
		spec->args[i] = strdup((const char *)item->data.scalar.value);
		if (spec->args[i] == NULL)
			return error_no_memory(err, "exec plugin");
	}
}

static int read_variable(const struct kubeconfig_section *exec, yaml_node_t *item, char **out, struct error *err)
{
	const char *name = NULL;
	const char *value = NULL;
	const struct kubeconfig_section entry = {.file = exec->file, .node = item, .kind = exec->kind, .name = exec->name};
	if (kubeconfig_text(&entry, "name", &name, err) < 0 || kubeconfig_text(&entry, "value", &value, err) < 0)
		return -1;
	if (name == NULL || strchr(name, '=') != NULL)
		return kubeconfig_complain(exec, "env", err, "of exec holds an element without a name, or with = in it");
	if (asprintf(out, "%s=%s", name, value == NULL ? "" : value) < 0) {
		*out = NULL;
		return error_no_memory(err, "exec plugin");
	}
	return 0;
}

static int read_environment(const struct kubeconfig_section *exec, struct exec_plugin_spec *spec, struct error *err)
{
	yaml_node_t *item = NULL;
	if (make_list(&spec->env, err) < 0)
		return -1;
	for (size_t i = 0;; i++) {
		if (kubeconfig_element(exec, "env", i, &item, err) < 0)
			return -1;
		if (item == NULL)
			return 0;
		if (i == LIST_MAX)
			return kubeconfig_complain(exec, "env", err, "of exec has more than %d elements", LIST_MAX);
		if (read_variable(exec, item, &spec->env[i], err) < 0)
			return -1;
	}
}

// What the cluster's extension for plugins holds, NULL without one.
static int read_extension(const struct kubeconfig_section *cluster, json_t **out, struct error *err)
{
	yaml_node_t *item = NULL;
	for (size_t i = 0; i < LIST_MAX; i++) {
		const char *name = NULL;
		if (kubeconfig_element(cluster, "extensions", i, &item, err) < 0)
			return -1;
		if (item == NULL)
			return 0;
		const struct kubeconfig_section entry = {
			.file = cluster->file, .node = item, .kind = cluster->kind, .name = cluster->name};
		if (kubeconfig_text(&entry, "name", &name, err) < 0)
			return -1;
		if (name != NULL && strcmp(name, EXTENSION) == 0)
			return kubeconfig_json(&entry, "extension", out, err);
	}
	return 0;
}

static int describe_cluster(
	const struct kubeconfig_section *cluster, const struct k8s_config *config, json_t **out, struct error *err)
{
	const char *proxy = NULL;
	AUTO_FREE char *ca = NULL;
	AUTO(json) json_t *extension = NULL;
	// As the kubeconfig has it: ours is changed for libcurl.
	if (kubeconfig_text(cluster, "proxy-url", &proxy, err) < 0 || read_extension(cluster, &extension, err) < 0)
		return -1;
	if (config->ca_pem != NULL) {
		size_t len = strlen(config->ca_pem);
		ca = malloc(ENCODE_BASE64_SIZE(len));
		if (ca == NULL)
			return error_no_memory(err, "exec plugin");
		encode_base64(config->ca_pem, len, ca);
	}
	return json_made(
		json_pack("{s:s, s:s*, s:s*, s:s*, s:O*}", "server", config->server, "tls-server-name", config->tls_server_name,
			"certificate-authority-data", ca, "proxy-url", proxy, "config", extension),
		"cluster of an ExecCredential", out, err);
}

static int make_info(const struct kubeconfig_section *exec, const struct kubeconfig_section *cluster,
	const struct k8s_config *config, struct exec_plugin_spec *spec, struct error *err)
{
	bool tells_cluster = false;
	AUTO(json) json_t *described = NULL;
	AUTO(json) json_t *info = NULL;
	if (kubeconfig_bool(exec, "provideClusterInfo", &tells_cluster, err) < 0 ||
		(tells_cluster && describe_cluster(cluster, config, &described, err) < 0) ||
		json_made(json_pack("{s:s, s:s, s:{s:b, s:O*}}", "apiVersion", spec->api_version, "kind", "ExecCredential",
				  "spec", "interactive", 0, "cluster", described),
			"ExecCredential", &info, err) < 0)
		return -1;
	return json_print(info, &spec->info, err);
}

int kubeconfig_read_exec(const struct kubeconfig_section *user, const struct kubeconfig_section *cluster,
	const struct k8s_config *config, struct exec_plugin_spec **out, struct error *err)
{
	struct kubeconfig_section exec;
	AUTO(exec_plugin_spec) struct exec_plugin_spec *spec = calloc(1, sizeof(*spec));
	if (spec == NULL)
		return error_no_memory(err, "exec plugin");
	if (kubeconfig_enter(user, "exec", &exec, err) < 0 || read_version(&exec, spec, err) < 0 ||
		check_mode(&exec, spec->api_version, err) < 0 || read_command(&exec, spec, err) < 0 ||
		read_arguments(&exec, spec, err) < 0 || read_environment(&exec, spec, err) < 0 ||
		kubeconfig_copy_text(&exec, "installHint", &spec->install_hint, err) < 0 ||
		make_info(&exec, cluster, config, spec, err) < 0)
		return -1;
	*out = TAKE_PTR(spec);
	return 0;
}
