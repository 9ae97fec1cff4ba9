// The kubeconfig format: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/. How files are merged:
// https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/#merging-kubeconfig-files
#include "k8s/config_internal.h"

#include "base/buf.h"
#include "base/encode.h"
#include "base/file.h"
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define FILES_MAX 64

struct source {
	char *path;
	yaml_document_t document;
};

struct kubeconfig {
	struct source files[FILES_MAX];
	size_t count;
};

// A mapping of one file and what it is called in error texts: user "x", cluster "y".
struct section {
	struct source *file;
	yaml_node_t *node;
	const char *kind;
	const char *name;
};

static void wipe_scalars(yaml_document_t *document)
{
	for (yaml_node_t *node = document->nodes.start; node < document->nodes.top; node++) {
		if (node->type == YAML_SCALAR_NODE)
			secret_wipe(node->data.scalar.value, node->data.scalar.length);
	}
}

static void kubeconfig_free(struct kubeconfig *k)
{
	for (size_t i = 0; i < k->count; i++) {
		wipe_scalars(&k->files[i].document);
		yaml_document_delete(&k->files[i].document);
		free(k->files[i].path);
	}
	free(k);
}
DEFINE_AUTO(struct kubeconfig, kubeconfig, kubeconfig_free)

static int parse(const char *text, size_t len, yaml_document_t *out, struct error *err)
{
	yaml_parser_t parser;
	if (yaml_parser_initialize(&parser) == 0)
		return error_no_memory(err, "YAML parser");
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	int rc = 0;
	if (yaml_parser_load(&parser, out) == 0)
		rc = error_set(err, ERROR_INVALID, "line %zu, column %zu: %s", parser.problem_mark.line + 1,
			parser.problem_mark.column + 1, parser.problem == NULL ? "no YAML" : parser.problem);
	yaml_parser_delete(&parser);
	return rc;
}

static int add_file(struct kubeconfig *k, const char *path, struct error *err)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	if (k->count == FILES_MAX)
		return error_set(err, ERROR_INVALID, "KUBECONFIG names more than %d files", FILES_MAX);
	if (file_read(path, K8S_CONFIG_FILE_MAX, &text, &len, err) < 0)
		return err->kind == ERROR_NOT_FOUND ? 0 : error_wrap(err, "kubeconfig");
	struct source *file = &k->files[k->count];
	int rc = parse(text, len, &file->document, err);
	secret_wipe(text, len);
	if (rc < 0)
		return error_wrap(err, "kubeconfig %s", path);
	file->path = strdup(path);
	k->count++;
	return file->path == NULL ? error_no_memory(err, "kubeconfig") : 0;
}

static int read_files(struct kubeconfig *k, const char *list, struct error *err)
{
	AUTO_FREE char *paths = strdup(list);
	if (paths == NULL)
		return error_no_memory(err, "kubeconfig");
	for (char *rest = paths, *path = strsep(&rest, ":"); path != NULL; path = strsep(&rest, ":")) {
		if (path[0] != '\0' && add_file(k, path, err) < 0)
			return -1;
	}
	return k->count > 0 ? 0 : error_set(err, ERROR_NOT_FOUND, "no kubeconfig at %s", list);
}

static bool is_scalar(const yaml_node_t *node, const char *text)
{
	return node != NULL && node->type == YAML_SCALAR_NODE && node->data.scalar.length == strlen(text) &&
	       memcmp(node->data.scalar.value, text, strlen(text)) == 0;
}

static bool is_null(const yaml_node_t *node)
{
	return node == NULL || (node->type == YAML_SCALAR_NODE && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
				       (is_scalar(node, "") || is_scalar(node, "~") || is_scalar(node, "null")));
}

// NULL when it is missing, null, or node is no mapping.
static yaml_node_t *member(struct source *file, const yaml_node_t *node, const char *key)
{
	if (node == NULL || node->type != YAML_MAPPING_NODE)
		return NULL;
	for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
		if (!is_scalar(yaml_document_get_node(&file->document, pair->key), key))
			continue;
		yaml_node_t *value = yaml_document_get_node(&file->document, pair->value);
		return is_null(value) ? NULL : value;
	}
	return NULL;
}

static int complain(const struct section *in, const char *key, const char *what, struct error *err)
{
	return error_set(err, ERROR_INVALID, "kubeconfig %s: %s \"%s\": %s %s", in->file->path, in->kind, in->name, key, what);
}

// *out is borrowed from the document; NULL when the key is not set.
static int get_text(const struct section *in, const char *key, const char **out, struct error *err)
{
	*out = NULL;
	const yaml_node_t *node = member(in->file, in->node, key);
	if (node == NULL)
		return 0;
	if (node->type != YAML_SCALAR_NODE)
		return complain(in, key, "is no text", err);
	const char *text = (const char *)node->data.scalar.value;
	if (strlen(text) != node->data.scalar.length)
		return complain(in, key, "holds a NUL", err);
	*out = text[0] == '\0' ? NULL : text;
	return 0;
}

static int copy_out(const char *text, char **out, struct error *err)
{
	if (text == NULL)
		return 0;
	*out = strdup(text);
	return *out == NULL ? error_no_memory(err, "kubeconfig") : 0;
}

static int copy_text(const struct section *in, const char *key, char **out, struct error *err)
{
	const char *text = NULL;
	return get_text(in, key, &text, err) < 0 ? -1 : copy_out(text, out, err);
}

// The path as the process can open it; *out stays NULL when the key is not set.
static int copy_path(const struct section *in, const char *key, char **out, struct error *err)
{
	const char *path = NULL;
	if (get_text(in, key, &path, err) < 0)
		return -1;
	const char *slash = strrchr(in->file->path, '/');
	if (path == NULL || path[0] == '/' || slash == NULL)
		return copy_out(path, out, err);
	AUTO(buf) struct buf whole;
	buf_init(&whole, K8S_CONFIG_FILE_MAX);
	if (buf_add(&whole, in->file->path, (size_t)(slash - in->file->path) + 1, err) < 0 || buf_add_str(&whole, path, err) < 0)
		return -1;
	return copy_out(buf_str(&whole), out, err);
}

static int decode(const struct section *in, const char *key, const char *base64, char **out, struct error *err)
{
	AUTO(buf) struct buf packed;
	buf_init(&packed, K8S_CONFIG_FILE_MAX);
	// Written by hand it may be folded into lines.
	for (const char *at = base64; *at != '\0';) {
		size_t run = strcspn(at, " \t\r\n");
		if (buf_add(&packed, at, run, err) < 0)
			return -1;
		at += run;
		at += strspn(at, " \t\r\n");
	}
	AUTO_FREE char *bytes = NULL;
	size_t len = 0;
	int rc = encode_unbase64(buf_str(&packed), &bytes, &len, err);
	if (packed.len > 0)
		secret_wipe(packed.data, packed.len);
	if (rc < 0)
		return complain(in, key, "is no base64", err);
	if (strlen(bytes) != len)
		return complain(in, key, "holds a NUL, not PEM", err);
	*out = TAKE_PTR(bytes);
	return 0;
}

// A PEM that is inline or in a file; inline wins, as it does for kubectl.
static int get_pem(const struct section *in, const char *data_key, const char *file_key, char **out, struct error *err)
{
	const char *inline_data = NULL;
	AUTO_FREE char *path = NULL;
	size_t len = 0;
	if (get_text(in, data_key, &inline_data, err) < 0)
		return -1;
	if (inline_data != NULL)
		return decode(in, data_key, inline_data, out, err);
	if (copy_path(in, file_key, &path, err) < 0)
		return -1;
	if (path != NULL && file_read(path, K8S_CONFIG_FILE_MAX, out, &len, err) < 0) {
		(void)error_wrap(err, "kubeconfig %s: %s \"%s\": %s", in->file->path, in->kind, in->name, file_key);
		err->kind = ERROR_INVALID;
		return -1;
	}
	return 0;
}

// Find the entry `name` in the list `list_key` of any file: [{name: x, <kind>: {...}}].
static bool find_section(struct kubeconfig *k, const char *list_key, const char *kind, const char *name, struct section *out)
{
	for (size_t i = 0; i < k->count; i++) {
		struct source *file = &k->files[i];
		const yaml_node_t *list = member(file, yaml_document_get_root_node(&file->document), list_key);
		if (list == NULL || list->type != YAML_SEQUENCE_NODE)
			continue;
		for (const yaml_node_item_t *item = list->data.sequence.items.start; item < list->data.sequence.items.top;
			item++) {
			const yaml_node_t *entry = yaml_document_get_node(&file->document, *item);
			if (!is_scalar(member(file, entry, "name"), name))
				continue;
			*out = (struct section){.file = file, .node = member(file, entry, kind), .kind = kind, .name = name};
			return true;
		}
	}
	return false;
}

static int find_context(struct kubeconfig *k, struct section *out, struct error *err)
{
	for (size_t i = 0; i < k->count; i++) {
		struct source *file = &k->files[i];
		const struct section top = {
			.file = file, .node = yaml_document_get_root_node(&file->document), .kind = "file", .name = ""};
		const char *name = NULL;
		if (get_text(&top, "current-context", &name, err) < 0)
			return -1;
		if (name == NULL)
			continue;
		if (!find_section(k, "contexts", "context", name, out))
			return error_set(
				err, ERROR_INVALID, "kubeconfig %s: current-context \"%s\" is not defined", file->path, name);
		return 0;
	}
	return error_set(err, ERROR_INVALID, "kubeconfig %s: current-context is not set", k->files[0].path);
}

static int read_server(const struct section *cluster, struct k8s_config *config, struct error *err)
{
	if (copy_text(cluster, "server", &config->server, err) < 0)
		return -1;
	char *server = config->server;
	if (server == NULL)
		return complain(cluster, "server", "is not set", err);
	if (strncmp(server, "https://", strlen("https://")) != 0 && strncmp(server, "http://", strlen("http://")) != 0)
		return complain(cluster, "server", "is no http or https URL", err);
	for (size_t len = strlen(server); len > 0 && server[len - 1] == '/'; len--)
		server[len - 1] = '\0';
	return 0;
}

// Go's socks5 lets the proxy resolve names; libcurl calls that socks5h.
static int read_proxy(const struct section *cluster, struct k8s_config *config, struct error *err)
{
	const char *url = NULL;
	if (get_text(cluster, "proxy-url", &url, err) < 0)
		return -1;
	if (url == NULL || strncmp(url, "socks5://", strlen("socks5://")) != 0)
		return copy_out(url, &config->proxy_url, err);
	AUTO(buf) struct buf text;
	buf_init(&text, K8S_CONFIG_FILE_MAX);
	if (buf_addf(&text, err, "socks5h://%s", url + strlen("socks5://")) < 0)
		return -1;
	return copy_out(buf_str(&text), &config->proxy_url, err);
}

static int read_cluster(const struct section *cluster, struct k8s_config *config, struct error *err)
{
	const char *skip = NULL;
	if (read_server(cluster, config, err) < 0 || read_proxy(cluster, config, err) < 0 ||
		get_pem(cluster, "certificate-authority-data", "certificate-authority", &config->ca_pem, err) < 0 ||
		copy_text(cluster, "tls-server-name", &config->tls_server_name, err) < 0 ||
		get_text(cluster, "insecure-skip-tls-verify", &skip, err) < 0)
		return -1;
	if (skip != NULL && strcmp(skip, "true") != 0 && strcmp(skip, "false") != 0)
		return complain(cluster, "insecure-skip-tls-verify", "is neither true nor false", err);
	config->skip_tls_verify = skip != NULL && strcmp(skip, "true") == 0;
	return 0;
}

// Ways to log in that kubectl knows and this client does not: said by name, so that nobody looks for a wrong token.
static int refuse_unsupported(const struct section *user, struct error *err)
{
	const char *plugin = NULL;
	const yaml_node_t *exec = member(user->file, user->node, "exec");
	if (exec != NULL) {
		const yaml_node_t *command = member(user->file, exec, "command");
		if (command != NULL && command->type == YAML_SCALAR_NODE)
			plugin = (const char *)command->data.scalar.value;
		return error_set(err, ERROR_INVALID,
			"kubeconfig %s: user \"%s\": exec plugin \"%s\" is not supported; use a token, tokenFile or client "
			"certificate",
			user->file->path, user->name, plugin == NULL ? "" : plugin);
	}
	if (member(user->file, user->node, "auth-provider") != NULL)
		return complain(user, "auth-provider", "is not supported; use a token, tokenFile or client certificate", err);
	if (member(user->file, user->node, "username") != NULL)
		return complain(user, "username", "is not supported; use a token, tokenFile or client certificate", err);
	return 0;
}

static int read_user(const struct section *user, struct k8s_config *config, struct error *err)
{
	const char *token = NULL;
	AUTO_FREE char *key = NULL;
	if (refuse_unsupported(user, err) < 0 || get_text(user, "token", &token, err) < 0 ||
		secret_set(&config->token, token, err) < 0 || copy_path(user, "tokenFile", &config->token_file, err) < 0 ||
		get_pem(user, "client-certificate-data", "client-certificate", &config->client_cert_pem, err) < 0 ||
		get_pem(user, "client-key-data", "client-key", &key, err) < 0)
		return -1;
	int rc = secret_set(&config->client_key_pem, key, err);
	if (key != NULL)
		secret_wipe(key, strlen(key));
	if (rc < 0)
		return -1;
	if ((config->client_cert_pem == NULL) != (key == NULL))
		return complain(user, config->client_cert_pem == NULL ? "client-certificate" : "client-key", "is not set", err);
	return 0;
}

// The section that the context names under `kind`, which is also the key in it.
static int follow(struct kubeconfig *k, const struct section *context, const char *list_key, const char *kind,
	struct section *out, struct error *err)
{
	const char *name = NULL;
	if (get_text(context, kind, &name, err) < 0)
		return -1;
	if (name == NULL)
		return complain(context, kind, "is not set", err);
	if (!find_section(k, list_key, kind, name, out))
		return error_set(err, ERROR_INVALID, "kubeconfig %s: context \"%s\": %s \"%s\" is not defined",
			context->file->path, context->name, kind, name);
	return 0;
}

int kubeconfig_load(const char *list, struct k8s_config *config, struct error *err)
{
	struct section context = {0};
	struct section cluster = {0};
	struct section user = {0};
	AUTO(kubeconfig) struct kubeconfig *k = calloc(1, sizeof(*k));
	if (k == NULL)
		return error_no_memory(err, "kubeconfig");
	if (read_files(k, list, err) < 0 || find_context(k, &context, err) < 0 ||
		copy_text(&context, "namespace", &config->namespace, err) < 0 ||
		follow(k, &context, "clusters", "cluster", &cluster, err) < 0 || read_cluster(&cluster, config, err) < 0)
		return -1;
	// Without a user requests are anonymous, which a development server may allow.
	const char *name = NULL;
	if (get_text(&context, "user", &name, err) < 0)
		return -1;
	if (name == NULL)
		return 0;
	return follow(k, &context, "users", "user", &user, err) < 0 ? -1 : read_user(&user, config, err);
}
