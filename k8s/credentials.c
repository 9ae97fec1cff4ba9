#include "k8s/credentials.h"

#include "base/cert.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "k8s/config_internal.h"
#include "k8s/exec_plugin.h"
#include <string.h>

#define TOKEN_MAX ((size_t)64 << 10)

// --- connections ---

static void identity_fini(struct k8s_identity *identity)
{
	secret_fini(&identity->client_key_pem);
	free(identity->ca_pem);
	free(identity->client_cert_pem);
	*identity = (struct k8s_identity){0};
}

static int identity_copy(const struct k8s_identity *from, struct k8s_identity *out, struct error *err)
{
	struct k8s_identity made = {0};
	int rc = secret_set(&made.client_key_pem, from->client_key_pem.bytes, err);
	if (rc == 0 && from->ca_pem != NULL && (made.ca_pem = strdup(from->ca_pem)) == NULL)
		rc = error_no_memory(err, "CA");
	if (rc == 0 && from->client_cert_pem != NULL && (made.client_cert_pem = strdup(from->client_cert_pem)) == NULL)
		rc = error_no_memory(err, "client certificate");
	if (rc < 0) {
		identity_fini(&made);
		return -1;
	}
	*out = made;
	return 0;
}

static bool is_same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool is_same_identity(const struct k8s_identity *a, const struct k8s_identity *b)
{
	return is_same_text(a->ca_pem, b->ca_pem) && is_same_text(a->client_cert_pem, b->client_cert_pem) &&
	       is_same_text(a->client_key_pem.bytes, b->client_key_pem.bytes);
}

static int make_link(
	const struct k8s_config *config, const struct k8s_identity *identity, struct k8s_link **out, struct error *err)
{
	const struct http_options options = {
		.user_agent = "understory/" UNDERSTORY_VERSION,
		.ca_pem = identity->ca_pem,
		.client_cert_pem = identity->client_cert_pem,
		.client_key_pem = &identity->client_key_pem,
		.proxy = config->proxy_url,
		.tls_server_name = config->tls_server_name,
		.http2 = true,
	};
	struct k8s_link *link = calloc(1, sizeof(*link));
	if (link == NULL)
		return error_no_memory(err, "Kubernetes client");
	if (http_client_new(&options, &link->http, err) < 0) {
		free(link);
		return -1;
	}
	link->holders = 1;
	*out = link;
	return 0;
}

static void let_go(struct k8s_link *link)
{
	if (link == NULL || --link->holders > 0)
		return;
	http_client_free(link->http);
	free(link);
}

// New connections when this is another identity; a failure leaves the old ones.
static int become(struct k8s_credentials *c, const struct k8s_identity *identity, struct error *err)
{
	struct k8s_identity copy = {0};
	struct k8s_link *link = NULL;
	if (c->link != NULL && is_same_identity(identity, &c->identity))
		return 0;
	if (identity_copy(identity, &copy, err) < 0)
		return -1;
	if (make_link(c->config, identity, &link, err) < 0) {
		identity_fini(&copy);
		return -1;
	}
	let_go(c->link);
	c->link = link;
	identity_fini(&c->identity);
	c->identity = copy;
	return 0;
}

// --- life ---

int k8s_credentials_init(struct k8s_credentials *c, const struct k8s_config *config, struct error *err)
{
	// Borrowed from config: become() copies.
	const struct k8s_identity identity = {
		.ca_pem = config->ca_pem, .client_cert_pem = config->client_cert_pem, .client_key_pem = config->client_key_pem};
	c->config = config;
	c->read_at_ms = clock_mono_ms();
	(void)pthread_mutex_init(&c->lock, NULL);
	if (become(c, &identity, err) < 0)
		return -1;
	return config->exec == NULL ? 0 : exec_plugin_new(config->exec, &c->plugin, err);
}

void k8s_credentials_fini(struct k8s_credentials *c)
{
	exec_plugin_free(c->plugin);
	let_go(c->link);
	identity_fini(&c->identity);
	secret_fini(&c->token);
	(void)pthread_mutex_destroy(&c->lock);
}

// --- files ---

static int read_token(const char *path, struct secret *out, struct error *err)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	if (file_read(path, TOKEN_MAX, &text, &len, err) < 0)
		return error_wrap(err, "token");
	text[strcspn(text, " \t\r\n")] = '\0';
	int rc = text[0] == '\0' ? error_set(err, ERROR_TRANSIENT, "token: %s is empty", path) : secret_set(out, text, err);
	secret_wipe(text, len);
	return rc;
}

// A mounted token is missing for moments only, and the old one is good for a while yet, unless it has been refused: shown again,
// the answer to it would be taken for the API server's last word. In a kubeconfig a token beside a tokenFile is the one to begin
// with.
static int renew_token(struct k8s_credentials *c, struct error *err)
{
	struct error failure = {0};
	if (c->config->token_file == NULL || read_token(c->config->token_file, &c->token, &failure) == 0) {
		c->is_refused = false;
		return 0;
	}
	if (!c->is_refused && (c->token.bytes != NULL || c->config->token.bytes != NULL))
		return 0;
	*err = failure;
	return -1;
}

// *text is replaced when path (may be NULL) can be read.
static int read_pem(const char *path, char **text, struct error *err)
{
	size_t len = 0;
	char *made = NULL;
	if (path == NULL)
		return 0;
	if (file_read(path, K8S_CONFIG_FILE_MAX, &made, &len, err) < 0)
		return -1;
	free(*text);
	*text = made;
	return 0;
}

static int read_key(const char *path, struct secret *key, struct error *err)
{
	size_t len = 0;
	AUTO_FREE char *text = NULL;
	if (path == NULL)
		return 0;
	if (file_read(path, K8S_CONFIG_FILE_MAX, &text, &len, err) < 0)
		return -1;
	int rc = secret_set(key, text, err);
	secret_wipe(text, len);
	return rc;
}

// Files of one identity are replaced one after the other: a moment later they fit.
static int check_identity(const struct k8s_config *config, const struct k8s_identity *identity, struct error *err)
{
	struct cert_validity validity;
	bool matches = false;
	if (config->ca_file != NULL && cert_validity(identity->ca_pem, &validity, err) < 0)
		return error_wrap(err, "%s", config->ca_file);
	if (config->client_cert_file == NULL && config->client_key_file == NULL)
		return 0;
	if (cert_matches_key(identity->client_cert_pem, &identity->client_key_pem, &matches, err) < 0)
		return -1;
	return matches ? 0 : error_set(err, ERROR_INVALID, "the client's key does not belong to its certificate");
}

static int read_identity(const struct k8s_config *config, struct k8s_identity *identity, struct error *err)
{
	if (read_pem(config->ca_file, &identity->ca_pem, err) < 0 ||
		read_pem(config->client_cert_file, &identity->client_cert_pem, err) < 0 ||
		read_key(config->client_key_file, &identity->client_key_pem, err) < 0)
		return -1;
	return check_identity(config, identity, err);
}

static void renew_identity(struct k8s_credentials *c)
{
	const struct k8s_config *config = c->config;
	struct error err = {0};
	struct k8s_identity identity = {0};
	if (config->ca_file == NULL && config->client_cert_file == NULL && config->client_key_file == NULL)
		return;
	int rc = identity_copy(&c->identity, &identity, &err);
	if (rc == 0)
		rc = read_identity(config, &identity, &err);
	bool is_other = rc == 0 && !is_same_identity(&identity, &c->identity);
	if (rc == 0)
		rc = become(c, &identity, &err);
	if (rc < 0)
		log_warn("CA and client certificate stay as they are", LOG_STR("server", config->server), LOG_ERR(&err));
	else if (is_other)
		log_info("CA or client certificate has changed: new connections from now on", LOG_STR("server", config->server));
	identity_fini(&identity);
}

static int renew_files(struct k8s_credentials *c, bool is_refused, struct error *err)
{
	bool never = c->config->token_file != NULL && c->token.bytes == NULL;
	bool old = clock_mono_ms() - c->read_at_ms > K8S_CREDENTIALS_AGE_MS;
	c->is_refused = c->is_refused || is_refused;
	if (is_refused || old)
		renew_identity(c);
	if ((never || c->is_refused || old) && renew_token(c, err) < 0)
		return -1;
	if (is_refused || old)
		c->read_at_ms = clock_mono_ms();
	return 0;
}

// --- a pass ---

// The certificate of a plugin's newest issue; a thread that comes late with an older one changes nothing.
static int take_issue(struct k8s_credentials *c, const struct exec_credential *credential, uint64_t issue, struct error *err)
{
	if (issue <= c->issue)
		return 0;
	// Borrowed: become() copies.
	const struct k8s_identity identity = {.ca_pem = c->identity.ca_pem,
		.client_cert_pem = credential->client_cert_pem,
		.client_key_pem = credential->client_key_pem};
	if (become(c, &identity, err) < 0)
		return -1;
	c->issue = issue;
	return 0;
}

static int fill_pass(struct k8s_credentials *c, const struct exec_credential *credential, struct k8s_pass *out, struct error *err)
{
	const struct secret *token = c->plugin != NULL        ? &credential->token
				     : c->token.bytes != NULL ? &c->token
							      : &c->config->token;
	if (take_issue(c, credential, out->issue, err) < 0 || secret_set(&out->token, token->bytes, err) < 0)
		return -1;
	out->from = c;
	out->link = c->link;
	out->link->holders++;
	return 0;
}

static int get(struct k8s_credentials *c, const struct k8s_pass_ask *ask, struct k8s_pass *out, struct error *err)
{
	AUTO(exec_credential) struct exec_credential credential = {0};
	const struct exec_plugin_ask plugin_ask = {
		.refused = ask->is_refused ? ask->refused : 0, .deadline_ms = ask->deadline_ms, .cancel = ask->cancel};
	// Without the lock: it may take a while.
	if (c->plugin != NULL && exec_plugin_get(c->plugin, &plugin_ask, &credential, &out->issue, err) < 0)
		return -1;
	(void)pthread_mutex_lock(&c->lock);
	int rc = renew_files(c, ask->is_refused, err);
	if (rc == 0)
		rc = fill_pass(c, &credential, out, err);
	(void)pthread_mutex_unlock(&c->lock);
	return rc;
}

int k8s_credentials_get(struct k8s_credentials *c, const struct k8s_pass_ask *ask, struct k8s_pass *out, struct error *err)
{
	if (get(c, ask, out, err) == 0)
		return 0;
	if (err->kind != ERROR_CANCELLED)
		err->kind = ERROR_TRANSIENT;
	return -1;
}

void k8s_pass_fini(struct k8s_pass *pass)
{
	if (pass->from != NULL) {
		(void)pthread_mutex_lock(&pass->from->lock);
		let_go(pass->link);
		(void)pthread_mutex_unlock(&pass->from->lock);
	}
	secret_fini(&pass->token);
}

bool k8s_credentials_can_renew(const struct k8s_credentials *c)
{
	const struct k8s_config *config = c->config;
	return c->plugin != NULL || config->token_file != NULL || config->client_cert_file != NULL;
}
