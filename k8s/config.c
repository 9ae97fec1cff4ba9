#include "k8s/config_internal.h"

#include "base/buf.h"
#include "base/file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_TEXT_MAX ((size_t)4096)

static int copy_text(const char *from, char **to, struct error *err)
{
	*to = strdup(from);
	return *to == NULL ? error_no_memory(err, "Kubernetes configuration") : 0;
}

static int path_in_dir(const char *dir, const char *name, char **out, struct error *err)
{
	AUTO(buf) struct buf path;
	buf_init(&path, PATH_TEXT_MAX);
	if (buf_addf(&path, err, "%s/%s", dir, name) < 0)
		return -1;
	return copy_text(buf_str(&path), out, err);
}

// The namespace file is a help, not a need.
static int read_namespace(const char *dir, struct k8s_config *config, struct error *err)
{
	struct error ignored;
	size_t len = 0;
	AUTO_FREE char *path = NULL;
	AUTO_FREE char *text = NULL;
	if (path_in_dir(dir, "namespace", &path, err) < 0)
		return -1;
	if (file_read(path, K8S_CONFIG_FILE_MAX, &text, &len, &ignored) < 0)
		return 0;
	text[strcspn(text, " \t\r\n")] = '\0';
	return text[0] == '\0' ? 0 : copy_text(text, &config->namespace, err);
}

static int load_in_cluster(const char *host, const char *port, const char *dir, struct k8s_config *config, struct error *err)
{
	size_t len = 0;
	AUTO(buf) struct buf text;
	buf_init(&text, PATH_TEXT_MAX);
	bool is_ipv6 = strchr(host, ':') != NULL && host[0] != '[';
	if (buf_addf(&text, err, is_ipv6 ? "https://[%s]:%s" : "https://%s:%s", host, port) < 0 ||
		copy_text(buf_str(&text), &config->server, err) < 0)
		return -1;
	if (path_in_dir(dir, "token", &config->token_file, err) < 0 || path_in_dir(dir, "ca.crt", &config->ca_file, err) < 0)
		return -1;
	if (file_read(config->ca_file, K8S_CONFIG_FILE_MAX, &config->ca_pem, &len, err) < 0)
		return error_wrap(err, "ServiceAccount");
	return read_namespace(dir, config, err);
}

// Both the variables and the token must be there: a pod may run without a mounted token and with a KUBECONFIG.
static bool is_in_cluster(const char *host, const char *port, const char *dir)
{
	char path[PATH_TEXT_MAX]; // not from the heap: a lack of memory must not look like a lack of a token
	if (host == NULL || host[0] == '\0' || port == NULL || port[0] == '\0')
		return false;
	int len = snprintf(path, sizeof(path), "%s/token", dir);
	return len > 0 && (size_t)len < sizeof(path) && access(path, F_OK) == 0;
}

static int load_from_home(const char *home, const char *context, struct k8s_config *config, struct error *err)
{
	AUTO(buf) struct buf path;
	buf_init(&path, PATH_TEXT_MAX);
	if (home == NULL || home[0] == '\0')
		return error_set(err, ERROR_NOT_FOUND, "HOME is not set");
	if (buf_addf(&path, err, "%s/.kube/config", home) < 0)
		return -1;
	return kubeconfig_load(buf_str(&path), context, config, err);
}

static int load_first(k8s_getenv env, const char *dir, struct k8s_config *config, struct error *err)
{
	const char *host = env("KUBERNETES_SERVICE_HOST");
	const char *port = env("KUBERNETES_SERVICE_PORT");
	const char *context = env(K8S_CONTEXT_VARIABLE);
	if (is_in_cluster(host, port, dir))
		return load_in_cluster(host, port, dir, config, err);

	const char *list = env("KUBECONFIG");
	if (list != NULL && list[0] != '\0') {
		if (kubeconfig_load(list, context, config, err) == 0)
			return 0;
		if (err->kind == ERROR_NOT_FOUND)
			return error_set(err, ERROR_INVALID, "KUBECONFIG names no file that exists: %s", list);
		return -1;
	}

	if (load_from_home(env("HOME"), context, config, err) == 0)
		return 0;
	if (err->kind == ERROR_NOT_FOUND)
		return error_set(err, ERROR_INVALID,
			"no way to the Kubernetes API: no ServiceAccount in %s, KUBECONFIG is not set, ~/.kube/config does not "
			"exist",
			dir);
	return -1;
}

int k8s_config_load_at(k8s_getenv env, const char *service_account_dir, struct k8s_config **out, struct error *err)
{
	AUTO(k8s_config) struct k8s_config *config = calloc(1, sizeof(*config));
	if (config == NULL)
		return error_no_memory(err, "Kubernetes configuration");
	if (load_first(env, service_account_dir, config, err) < 0)
		return -1;
	*out = TAKE_PTR(config);
	return 0;
}

int k8s_config_load(k8s_getenv env, struct k8s_config **out, struct error *err)
{
	return k8s_config_load_at(env, K8S_SERVICE_ACCOUNT_DIR, out, err);
}

void k8s_config_free(struct k8s_config *config)
{
	if (config == NULL)
		return;
	secret_fini(&config->client_key_pem);
	secret_fini(&config->token);
	free(config->server);
	free(config->ca_pem);
	free(config->client_cert_pem);
	free(config->token_file);
	free(config->ca_file);
	free(config->client_cert_file);
	free(config->client_key_file);
	free(config->tls_server_name);
	free(config->proxy_url);
	free(config->namespace);
	exec_plugin_spec_free(config->exec);
	free(config);
}
