// The exec entry of a kubeconfig's user. A part of kubeconfig.c; nobody else includes it.
#ifndef K8S_KUBECONFIG_EXEC_H
#define K8S_KUBECONFIG_EXEC_H

#include "k8s/config.h"
#include "k8s/kubeconfig_file.h"

// user has an exec entry. config already says what the cluster is: the plugin is told where it asks to be.
MUST_CHECK int kubeconfig_read_exec(const struct kubeconfig_section *user, const struct kubeconfig_section *cluster,
	const struct k8s_config *config, struct exec_plugin_spec **out, struct error *err);

#endif
