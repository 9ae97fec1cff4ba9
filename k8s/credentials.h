// What a request to the API server goes out with: a token, and connections that trust one CA and show one client certificate.
//
// Files (token, CA, client certificate and key) are read again when what is known of them is K8S_CREDENTIALS_AGE_MS old, and when
// the API server refused it: the kubelet replaces a token well before it expires, and its ca.crt when the cluster's CA changes. A
// file that cannot be read or makes no sense leaves what was there. Exec plugins are run as k8s/exec_plugin.h tells. When a CA or
// a client certificate is another than before, new requests get new connections; those in flight end on the old ones, and so does
// a watch.
// Any thread. Shared by the modules of k8s/; nobody else includes it.
#ifndef K8S_CREDENTIALS_H
#define K8S_CREDENTIALS_H

#include "base/http.h"
#include "base/secret.h"
#include "k8s/config.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#define K8S_CREDENTIALS_AGE_MS 60000 // as client-go does

// What makes a set of connections another one.
struct k8s_identity {
	char *ca_pem;
	char *client_cert_pem;
	struct secret client_key_pem;
};

// Connections, and how many requests use them.
struct k8s_link {
	struct http_client *http;
	int holders;
};

struct k8s_credentials {
	const struct k8s_config *config;
	struct exec_plugin *plugin; // NULL: none

	pthread_mutex_t lock; // guards what follows
	struct secret token;  // of the file
	bool is_refused;      // the token, by a 401 since it was read
	int64_t read_at_ms;   // monotonic
	struct k8s_identity identity;
	uint64_t issue; // of the plugin's credentials, that identity is from
	struct k8s_link *link;
};

// config is borrowed.
MUST_CHECK int k8s_credentials_init(struct k8s_credentials *credentials, const struct k8s_config *config, struct error *err);
void k8s_credentials_fini(struct k8s_credentials *credentials);

// For one request.
struct k8s_pass {
	struct k8s_credentials *from;
	struct secret token; // unset: none is shown
	struct k8s_link *link;
	uint64_t issue; // 0 without a plugin
};

struct k8s_pass_ask {
	bool is_refused;           // the API server answered 401: read or run again
	uint64_t refused;          // the issue of the pass that it refused
	int64_t deadline_ms;       // monotonic
	const atomic_bool *cancel; // may be NULL
};

// Blocks for a plugin, at most until the deadline. *out is zeroed by the caller, who finishes it. Whatever is wrong is
// ERROR_TRANSIENT, or ERROR_CANCELLED: ERROR_NOT_FOUND or ERROR_INVALID would read as the API server's word on the object.
MUST_CHECK int k8s_credentials_get(
	struct k8s_credentials *credentials, const struct k8s_pass_ask *ask, struct k8s_pass *out, struct error *err);
void k8s_pass_fini(struct k8s_pass *pass);

static inline void auto_k8s_pass(struct k8s_pass *pass)
{
	k8s_pass_fini(pass);
}

// May a refusal be answered with other credentials?
bool k8s_credentials_can_renew(const struct k8s_credentials *credentials);

#endif
