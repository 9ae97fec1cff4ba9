// Where the API server is and how we show who we are: in-cluster files, else KUBECONFIG, else ~/.kube/config.
//
// Read once at the start; token files are read again by the client. A kubeconfig that names a missing context, cluster or user is an
// ERROR_INVALID that says which.
#ifndef K8S_CONFIG_H
#define K8S_CONFIG_H

#include "base/cleanup.h"
#include "base/error.h"
#include "base/secret.h"
#include <stdbool.h>

struct k8s_config {
	char *server; // https://host:port, no trailing slash
	char *ca_pem; // NULL: the system's store
	char *client_cert_pem;
	struct secret client_key_pem;
	struct secret token;
	char *token_file; // read again each minute and on 401; wins over token
	char *tls_server_name;
	char *proxy_url;
	bool skip_tls_verify;
	char *namespace; // the context's, or the ServiceAccount's; NULL when neither says
};

typedef const char *(*k8s_getenv)(const char *name);

MUST_CHECK int k8s_config_load(k8s_getenv env, struct k8s_config **out, struct error *err);
void k8s_config_free(struct k8s_config *config);
DEFINE_AUTO(struct k8s_config, k8s_config, k8s_config_free)

#endif
