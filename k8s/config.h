// Where the API server is and how we show who we are: in-cluster files, else KUBECONFIG, else ~/.kube/config.
//
// Read once at the start; the client reads the files of token, CA and client certificate again (k8s/credentials.h). A kubeconfig
// that names a missing context, cluster or user, or that cannot be followed, is an ERROR_INVALID that says file, line, what and
// why.
#ifndef K8S_CONFIG_H
#define K8S_CONFIG_H

#include "base/cleanup.h"
#include "base/error.h"
#include "base/secret.h"
#include "k8s/exec_plugin.h"

struct k8s_config {
	char *server; // https://host:port, no trailing slash
	char *ca_pem; // NULL: the system's store
	char *client_cert_pem;
	struct secret client_key_pem;
	struct secret token;
	char *token_file; // read again; what it held last wins over token
	char *ca_file;    // where ca_pem is from; NULL when it is inline, and so for the next two
	char *client_cert_file;
	char *client_key_file;
	char *tls_server_name;
	char *proxy_url;
	char *namespace;               // the context's, or the ServiceAccount's; NULL when neither says
	struct exec_plugin_spec *exec; // gives token or client certificate in place of the above; NULL: none
};

// The variable that names a context to take in place of a kubeconfig's current-context.
#define K8S_CONTEXT_VARIABLE "UNDERSTORY_CONTEXT"

typedef const char *(*k8s_getenv)(const char *name);

MUST_CHECK int k8s_config_load(k8s_getenv env, struct k8s_config **out, struct error *err);
void k8s_config_free(struct k8s_config *config);
DEFINE_AUTO(struct k8s_config, k8s_config, k8s_config_free)

#endif
