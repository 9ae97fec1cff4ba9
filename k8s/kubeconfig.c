// The kubeconfig format: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/. How files are merged:
// https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/#merging-kubeconfig-files
#include "k8s/config_internal.h"

#include "base/buf.h"
#include "k8s/kubeconfig_exec.h"
#include "k8s/kubeconfig_file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int find_named_context(struct kubeconfig *k, const char *name, struct kubeconfig_section *out, struct error *err)
{
	bool found = false;
	if (kubeconfig_find(k, "contexts", "context", name, &found, out, err) < 0)
		return -1;
	return found ? 0 : error_set(err, ERROR_INVALID, "kubeconfig %s: there is no context \"%s\"", k->files[0].path, name);
}

static int find_context(struct kubeconfig *k, struct kubeconfig_section *out, struct error *err)
{
	for (size_t i = 0; i < k->count; i++) {
		const struct kubeconfig_section top = kubeconfig_top(&k->files[i]);
		const char *name = NULL;
		bool found = false;
		if (kubeconfig_text(&top, "current-context", &name, err) < 0)
			return -1;
		if (name == NULL)
			continue;
		if (kubeconfig_find(k, "contexts", "context", name, &found, out, err) < 0)
			return -1;
		return found ? 0 : kubeconfig_complain(&top, "current-context", err, "\"%s\" is not defined", name);
	}
	return error_set(err, ERROR_INVALID, "kubeconfig %s: current-context is not set", k->files[0].path);
}

// --- cluster ---

static bool begins_with(const char *text, const char *head)
{
	return strncmp(text, head, strlen(head)) == 0;
}

static int read_server(const struct kubeconfig_section *cluster, struct k8s_config *config, struct error *err)
{
	if (kubeconfig_copy_text(cluster, "server", &config->server, err) < 0)
		return -1;
	char *server = config->server;
	if (server == NULL)
		return kubeconfig_complain(cluster, "server", err, "is not set");
	if (!begins_with(server, "https://") && !begins_with(server, "http://"))
		return kubeconfig_complain(cluster, "server", err, "is no http or https URL");
	for (size_t len = strlen(server); len > 0 && server[len - 1] == '/'; len--)
		server[len - 1] = '\0';
	return 0;
}

// Go's socks5 lets the proxy resolve names; libcurl calls that socks5h. The URL is not shown: it may hold a password.
static int read_proxy(const struct kubeconfig_section *cluster, struct k8s_config *config, struct error *err)
{
	const char *url = NULL;
	if (kubeconfig_text(cluster, "proxy-url", &url, err) < 0)
		return -1;
	if (url == NULL || begins_with(url, "http://") || begins_with(url, "https://") || begins_with(url, "socks5h://"))
		return kubeconfig_copy_text(cluster, "proxy-url", &config->proxy_url, err);
	if (!begins_with(url, "socks5://"))
		return kubeconfig_complain(
			cluster, "proxy-url", err, "is no URL of a proxy; allowed: http, https, socks5, socks5h");
	if (asprintf(&config->proxy_url, "socks5h://%s", url + strlen("socks5://")) < 0) {
		config->proxy_url = NULL;
		return error_no_memory(err, "kubeconfig");
	}
	return 0;
}

// Whoever answers in the API server's place gets our token, and reads and writes every Secret of every replica.
static int refuse_no_verify(const struct kubeconfig_section *cluster, struct error *err)
{
	bool skip = false;
	if (kubeconfig_bool(cluster, "insecure-skip-tls-verify", &skip, err) < 0)
		return -1;
	return skip ? kubeconfig_complain(cluster, "insecure-skip-tls-verify", err,
			      "is not supported: the API server's certificate is always verified; use certificate-authority, and "
			      "tls-server-name for a certificate of another name")
		    : 0;
}

static int read_cluster(const struct kubeconfig_section *cluster, struct k8s_config *config, struct error *err)
{
	const struct kubeconfig_pem ca = {.data_key = "certificate-authority-data",
		.file_key = "certificate-authority",
		.text = &config->ca_pem,
		.path = &config->ca_file};
	if (read_server(cluster, config, err) < 0 || read_proxy(cluster, config, err) < 0 || refuse_no_verify(cluster, err) < 0 ||
		kubeconfig_read_pem(cluster, &ca, err) < 0)
		return -1;
	return kubeconfig_copy_text(cluster, "tls-server-name", &config->tls_server_name, err);
}

// --- user ---

// What kubectl knows and this client does not: said by name, so that nobody looks for a wrong token, and so that nobody acts with
// more rights than he asked for.
static int refuse_unsupported(const struct kubeconfig_section *user, struct error *err)
{
	static const char *const logins[] = {"auth-provider", "username", "password", NULL};
	static const char *const impersonation[] = {"as", "as-uid", "as-groups", "as-user-extra", NULL};
	for (size_t i = 0; logins[i] != NULL; i++) {
		if (kubeconfig_member(user, logins[i]) != NULL)
			return kubeconfig_complain(
				user, logins[i], err, "is not supported; use exec, token, tokenFile or a client certificate");
	}
	for (size_t i = 0; impersonation[i] != NULL; i++) {
		if (kubeconfig_member(user, impersonation[i]) != NULL)
			return kubeconfig_complain(
				user, impersonation[i], err, "is not supported; use credentials of the user to act as");
	}
	return 0;
}

// kubectl takes the token and never runs the plugin: a mistake that shows when the token ends.
static int refuse_beside_exec(const struct kubeconfig_section *user, struct error *err)
{
	static const char *const others[] = {
		"token", "tokenFile", "client-certificate", "client-certificate-data", "client-key", "client-key-data", NULL};
	for (size_t i = 0; others[i] != NULL; i++) {
		if (kubeconfig_member(user, others[i]) != NULL)
			return kubeconfig_complain(user, others[i], err, "is set beside exec; allowed is one of them");
	}
	return 0;
}

static int read_key(const struct kubeconfig_section *user, struct k8s_config *config, struct error *err)
{
	AUTO_FREE char *key = NULL;
	const struct kubeconfig_pem pem = {
		.data_key = "client-key-data", .file_key = "client-key", .text = &key, .path = &config->client_key_file};
	if (kubeconfig_read_pem(user, &pem, err) < 0)
		return -1;
	int rc = secret_set(&config->client_key_pem, key, err);
	if (key != NULL)
		secret_wipe(key, strlen(key));
	return rc;
}

static int read_certificate(const struct kubeconfig_section *user, struct k8s_config *config, struct error *err)
{
	const struct kubeconfig_pem pem = {.data_key = "client-certificate-data",
		.file_key = "client-certificate",
		.text = &config->client_cert_pem,
		.path = &config->client_cert_file};
	if (kubeconfig_read_pem(user, &pem, err) < 0 || read_key(user, config, err) < 0)
		return -1;
	if ((config->client_cert_pem == NULL) == (config->client_key_pem.bytes == NULL))
		return 0;
	return kubeconfig_complain(
		user, config->client_cert_pem == NULL ? "client-certificate" : "client-key", err, "is not set");
}

static int read_user(const struct kubeconfig_section *user, const struct kubeconfig_section *cluster, struct k8s_config *config,
	struct error *err)
{
	const char *token = NULL;
	if (refuse_unsupported(user, err) < 0)
		return -1;
	if (kubeconfig_member(user, "exec") != NULL)
		return refuse_beside_exec(user, err) < 0 ? -1 : kubeconfig_read_exec(user, cluster, config, &config->exec, err);
	if (kubeconfig_text(user, "token", &token, err) < 0 || secret_set(&config->token, token, err) < 0 ||
		kubeconfig_copy_path(user, "tokenFile", &config->token_file, err) < 0)
		return -1;
	return read_certificate(user, config, err);
}

// --- the whole ---

// The section that the context names under `kind`, which is also the key in it.
static int follow(struct kubeconfig *k, const struct kubeconfig_section *context, const char *list_key, const char *kind,
	struct kubeconfig_section *out, struct error *err)
{
	const char *name = NULL;
	bool found = false;
	if (kubeconfig_text(context, kind, &name, err) < 0)
		return -1;
	if (name == NULL)
		return kubeconfig_complain(context, kind, err, "is not set");
	if (kubeconfig_find(k, list_key, kind, name, &found, out, err) < 0)
		return -1;
	return found ? 0 : kubeconfig_complain(context, kind, err, "\"%s\" is not defined", name);
}

int kubeconfig_load(const char *list, const char *context_name, struct k8s_config *config, struct error *err)
{
	struct kubeconfig_section context = {0};
	struct kubeconfig_section cluster = {0};
	struct kubeconfig_section user = {0};
	AUTO(kubeconfig) struct kubeconfig *k = NULL;
	if (kubeconfig_read(list, &k, err) < 0)
		return -1;
	const bool is_named = context_name != NULL && context_name[0] != '\0';
	if ((is_named ? find_named_context(k, context_name, &context, err) : find_context(k, &context, err)) < 0 ||
		kubeconfig_copy_text(&context, "namespace", &config->namespace, err) < 0 ||
		follow(k, &context, "clusters", "cluster", &cluster, err) < 0 || read_cluster(&cluster, config, err) < 0)
		return -1;
	// Without a user requests are anonymous, which a development server may allow.
	const char *name = NULL;
	if (kubeconfig_text(&context, "user", &name, err) < 0)
		return -1;
	if (name == NULL)
		return 0;
	return follow(k, &context, "users", "user", &user, err) < 0 ? -1 : read_user(&user, &cluster, config, err);
}
