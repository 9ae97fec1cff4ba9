// Credentials from an exec plugin of the kubeconfig: run when they are needed, kept while they are good, one run at a time.
// https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
//
// Any thread may ask. A run has a thread of its own, so that nobody waits longer than his own deadline for a slow plugin, and so
// that credentials which are about to expire are renewed while everybody goes on with the old ones. Credentials without an end
// are kept until the API server refuses them. After a failure, and after a renewal that a refusal forced, the next run waits for
// EXEC_PLUGIN_PAUSE_MS: in between everybody gets the last error, or the credentials as they are.
// Credentials and stdout are never logged; the last line of stderr is part of error texts, since it is where plugins say what is
// wrong.
#ifndef K8S_EXEC_PLUGIN_H
#define K8S_EXEC_PLUGIN_H

#include "base/cleanup.h"
#include "base/error.h"
#include "k8s/exec_credential.h"
#include <stdatomic.h>
#include <stdint.h>

#define EXEC_PLUGIN_TIMEOUT_MS 60000
#define EXEC_PLUGIN_OUTPUT_MAX ((size_t)1 << 20)
#define EXEC_PLUGIN_PAUSE_MS 5000
#define EXEC_PLUGIN_AHEAD_MS 60000 // renewed so long before the end, but not before the last fifth of their life

// What a kubeconfig says of a plugin. Freed with exec_plugin_spec_free().
struct exec_plugin_spec {
	char *command;      // a path when it holds a slash, else looked up in PATH
	char **args;        // NULL at the end
	char **env;         // "NAME=value", NULL at the end; they win over ours
	char *api_version;  // client.authentication.k8s.io/v1 or v1beta1
	char *install_hint; // shown when the plugin cannot be run; may be NULL
	char *info;         // KUBERNETES_EXEC_INFO: the ExecCredential with its spec
	int64_t timeout_ms; // 0: EXEC_PLUGIN_TIMEOUT_MS
};

void exec_plugin_spec_free(struct exec_plugin_spec *spec);
DEFINE_AUTO(struct exec_plugin_spec, exec_plugin_spec, exec_plugin_spec_free)

struct exec_plugin;

// spec is borrowed for the plugin's life. Nothing is run yet.
MUST_CHECK int exec_plugin_new(const struct exec_plugin_spec *spec, struct exec_plugin **out, struct error *err);

// A run in hand is killed.
void exec_plugin_free(struct exec_plugin *plugin);
DEFINE_AUTO(struct exec_plugin, exec_plugin, exec_plugin_free)

struct exec_plugin_ask {
	uint64_t refused;          // the issue that the API server answered with 401, 0: none
	int64_t deadline_ms;       // monotonic
	const atomic_bool *cancel; // may be NULL
};

// A copy of credentials that are good now, and which issue of them it is: 1, 2, ... *out is zeroed by the caller.
// Fails as exec_command_run() and exec_credential_parse() do, with "exec plugin "<command>": " in front; with ERROR_TRANSIENT
// when the plugin is still at work at the deadline.
MUST_CHECK int exec_plugin_get(struct exec_plugin *plugin, const struct exec_plugin_ask *ask, struct exec_credential *out,
	uint64_t *issue, struct error *err);

#endif
