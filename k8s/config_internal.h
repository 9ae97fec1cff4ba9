// What k8s/config.c and k8s/kubeconfig.c share, and what tests reach for.
#ifndef K8S_CONFIG_INTERNAL_H
#define K8S_CONFIG_INTERNAL_H

#include "k8s/config.h"

#define K8S_SERVICE_ACCOUNT_DIR "/var/run/secrets/kubernetes.io/serviceaccount"
#define K8S_CONFIG_FILE_MAX ((size_t)4 << 20) // kubeconfig, CA bundle, certificate, key

// k8s_config_load() with another place for the ServiceAccount's files.
MUST_CHECK int k8s_config_load_at(k8s_getenv env, const char *service_account_dir, struct k8s_config **out, struct error *err);

// Fill config, which is zeroed, from the kubeconfig files of a list with ':' between. Files that do not exist are left out; when
// none is left it is ERROR_NOT_FOUND. The first file that sets a thing wins, and relative paths start at the file that names
// them. context_name is taken in place of current-context; NULL or empty: not. On failure config may be half filled; k8s_config_free() takes it.
MUST_CHECK int kubeconfig_load(const char *list, const char *context_name, struct k8s_config *config, struct error *err);

#endif
