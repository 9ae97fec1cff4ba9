// kubeconfig files (k8s/config_internal.h). Files that they name are not there, but for those that end in ".pem" (linked with
// --wrap=file_read): nothing on this machine is read.
#include "base/file.h"
#include "k8s/config_internal.h"
#include "tests/fuzz/fuzz.h"
#include <string.h>

#define PATH "/kube/config"
#define PEM "-----BEGIN CERTIFICATE-----\n"

int __wrap_file_read(const char *path, size_t max_bytes, char **out, size_t *out_bytes, struct error *err);

static const uint8_t *input;
static size_t input_size;

static bool is_pem(const char *path)
{
	size_t len = strlen(path);
	return len > 4 && strcmp(path + len - 4, ".pem") == 0;
}

int __wrap_file_read(const char *path, size_t max_bytes, char **out, size_t *out_bytes, struct error *err)
{
	bool is_config = strcmp(path, PATH) == 0;
	if (!is_config && !is_pem(path))
		return error_set(err, ERROR_NOT_FOUND, "open %s: no such file", path);
	const void *bytes = is_config ? (const void *)input : PEM;
	*out_bytes = is_config ? input_size : strlen(PEM);
	if (*out_bytes > max_bytes)
		return error_set(err, ERROR_INVALID, "%s is longer than %zu bytes", path, max_bytes);
	char *copy = malloc(*out_bytes + 1);
	FUZZ_CHECK(copy != NULL, "no memory");
	memcpy(copy, bytes, *out_bytes);
	copy[*out_bytes] = '\0';
	*out = copy;
	return 0;
}

static bool is_url(const char *text)
{
	return strncmp(text, "https://", 8) == 0 || strncmp(text, "http://", 7) == 0;
}

// What a plugin is run with.
static void check_exec(const struct exec_plugin_spec *exec)
{
	AUTO(json) json_t *info = fuzz_json(exec->info, strlen(exec->info));
	const char *version = json_find_str(info, "apiVersion");
	FUZZ_CHECK(exec->command != NULL && exec->command[0] != '\0', "a plugin without a command");
	FUZZ_CHECK(version != NULL && strcmp(version, exec->api_version) == 0, "another version than %s", exec->api_version);
	for (char **variable = exec->env; *variable != NULL; variable++)
		FUZZ_CHECK(strchr(*variable, '=') != NULL && **variable != '=', "variable %s", *variable);
}

static void check_config(const struct k8s_config *config)
{
	FUZZ_CHECK(config->server != NULL, "no server");
	size_t len = strlen(config->server);
	// Of a server that is a scheme alone the slashes go too; a request fails on it later.
	FUZZ_CHECK(len > 0 && config->server[len - 1] != '/' && (is_url(config->server) || strchr(config->server, '/') == NULL),
		"server %s", config->server);
	FUZZ_CHECK((config->client_cert_pem == NULL) == (config->client_key_pem.bytes == NULL), "half a client certificate");
	FUZZ_CHECK(config->proxy_url == NULL || strncmp(config->proxy_url, "socks5://", 9) != 0, "proxy %s", config->proxy_url);
	FUZZ_CHECK(config->namespace == NULL || config->namespace[0] != '\0', "an empty namespace");
	if (config->exec != NULL)
		check_exec(config->exec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	AUTO(k8s_config) struct k8s_config *config = calloc(1, sizeof(*config));
	input = size == 0 ? (const uint8_t *)"" : data;
	input_size = size;
	FUZZ_CHECK(config != NULL, "no memory");
	if (kubeconfig_load(PATH, NULL, config, &err) == 0) {
		check_config(config);
	} else {
		fuzz_check_error(&err);
		FUZZ_CHECK(err.kind == ERROR_INVALID, "%s: %s", error_kind_text(err.kind), err.text);
	}
	return 0;
}
