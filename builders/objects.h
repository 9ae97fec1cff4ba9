// The Kubernetes objects of a replica and of a round, as JSON. Pure: the same input gives the same object; nothing is read or
// sent.
//
// Each function gives the caller a new json_t. The objects meet Pod Security `restricted` and the schemas of the Kubernetes
// kinds; every one carries MANAGED_SELECTOR's label, the identity labels and
// app.kubernetes.io/{name,instance,component,managed-by}; objects of a round also LABEL_ROUND.
#ifndef BUILDERS_OBJECTS_H
#define BUILDERS_OBJECTS_H

#include "base/cert.h"
#include "base/json.h"
#include "base/secret.h"
#include "base/settings_flavour.h"
#include "builders/names.h"
#include "canopy/client.h"
#include "canopy/entry.h"

// What all builders read. Borrowed for the call.
struct build {
	const struct settings *settings;
	const struct entry *entry;
	struct settings_for_intent sizing; // intents_resolve()
	const char *s3_ca_pem;             // what settings->s3_ca_file holds; NULL when it is not set

	// With CREDENTIALS=proxy only.
	const char *broker_ca_pem; // every CA certificate that the broker may show; may be NULL with CREDENTIALS=direct
	bool has_native_sidecars;  // the API server is 1.29 or newer: init containers with restartPolicy Always

	const char *postgres_ca_pem; // every CA certificate that PostgreSQL may show one of; NULL with POSTGRES_TLS=off
};

// One round of the replica.
struct build_round {
	char key[ROUND_KEY_SIZE];
	const char *snapshot_id;
	int attempt;
	const char *backup; // what an earlier attempt found "latest" to be; NULL: none has
	int64_t pvc_bytes;
	const char *run_id; // named in the progress that the proxy posts; NULL: not said
	// uid of the round's PVC, which owns the round's Secrets: one that is made when the volume is gone, by a request that
	// came late, is taken by the garbage collector. Nobody else would see it: Secrets are not watched. For the Secrets alone.
	const char *volume_uid;
};

// What the restore Job said in its termination message, and what the checks need to know later.
struct build_restored {
	int postgres_major;
	int64_t bytes; // -1: not said
	int64_t files;
	const char *engine; // name and version of the engine that wrote the volume; NULL: not said. See builders/engines/engine.h
	const struct settings_flavour *flavour; // NULL: stock
};

// Of the replica.
MUST_CHECK int build_namespace(const struct build *b, json_t **out, struct error *err);
MUST_CHECK int build_role_binding(const struct build *b, json_t **out, struct error *err);
MUST_CHECK int build_service_account(const struct build *b, json_t **out, struct error *err);
// An array of NetworkPolicies: nothing in or out by default; restore pods reach DNS, S3 and the broker; PostgreSQL is reached on
// 5432 by the operator, and for standing intents by everyone, and reaches nothing.
MUST_CHECK int build_network_policies(const struct build *b, json_t **out, struct error *err);
MUST_CHECK int build_superuser_secret(const struct build *b, const struct secret *password, json_t **out, struct error *err);
// What people need to come in, `postgres_ca_pem` (NULL: without TLS) included.
MUST_CHECK int build_analytics_secret(const struct build *b, const struct secret *password, json_t **out, struct error *err);
// {data}: what a standing analytics-credentials has to say about TLS from now on; a merge patch.
MUST_CHECK int build_analytics_tls(const char *postgres_ca_pem, json_t **out, struct error *err);
// The certificate that PostgreSQL shows, and the CAs to check it with. ERROR_INTERNAL without postgres_ca_pem.
MUST_CHECK int build_tls_secret(const struct build *b, const struct cert_pair *pair, json_t **out, struct error *err);
// Secret image-pull: a copy of what a flavour's pullSecret holds. ERROR_INVALID when that is of another type.
MUST_CHECK int build_pull_secret(const struct build *b, const json_t *source, json_t **out, struct error *err);
// Service postgres, of the type and with the annotations of the intent: it leads to this round; NULL: to none, until one has been
// proven.
MUST_CHECK int build_service(const struct build *b, const char *round_key, json_t **out, struct error *err);

// Of a round. Where proxy_is_used() (builders/proxy.h) the restore has dummy keys and the credential proxy beside it; elsewhere
// the Secret holds keys of the store and the restore uses them. ERROR_INVALID when an image is not set.
MUST_CHECK int build_restore_secret(const struct build *b, const struct build_round *round,
	const struct canopy_credentials *credentials, json_t **out, struct error *err);
MUST_CHECK int build_pvc(const struct build *b, const struct build_round *round, json_t **out, struct error *err);
MUST_CHECK int build_restore_job(const struct build *b, const struct build_round *round, json_t **out, struct error *err);

// Has the API server kept the proxy as build_restore_job() made it? For the Job, or better a pod of it, as it was read back.
// False when the proxy is an ordinary init container, for which the pod would wait for ever: a webhook or an API server that does
// not know the field has dropped `restartPolicy`; or when the proxy is gone. True for a restore without proxy.
bool build_kept_sidecar(const json_t *job_or_pod);

// Secret postgres-<key>: what the pod of the Deployment runs.
MUST_CHECK int build_database_secret(const struct build *b, const struct build_round *round,
	const struct build_restored *restored, json_t **out, struct error *err);
// Secret postgres-<key> has to be there; and postgres-tls when settings->postgres_tls says that its pod speaks TLS.
MUST_CHECK int build_deployment(const struct build *b, const struct build_round *round, const struct build_restored *restored,
	json_t **out, struct error *err);

// Service postgres-<key>, by which the round is tested before Service postgres leads to it: within the cluster, whatever the
// intent's type is. It belongs to the Deployment with this uid and goes with it.
MUST_CHECK int build_round_service(
	const struct build *b, const struct build_round *round, const char *deployment_uid, json_t **out, struct error *err);

// A strategic merge patch that sizes the containers of a round's Deployment as b->sizing says, and nothing else: what a newer
// operator would build otherwise comes with the next round. It is for the Deployment with this uid alone.
MUST_CHECK int build_resize(const struct build *b, const char *uid, json_t **out, struct error *err);

// An Event (events.k8s.io/v1) about an object of the replica's Namespace, or about the Namespace itself (regarding_kind NULL),
// which the API server accepts in `default` only.
struct build_event {
	const char *namespace;
	const char *regarding_kind, *regarding_api_version, *regarding_name, *regarding_uid;
	const char *reason; // UpperCamelCase, stable
	const char *action;
	const char *note; // cut to 1024 bytes
	bool is_warning;
	int64_t now_ms;
	const char *instance; // of the operator: its pod's name
	const char *unique;   // makes the name unique: hex of the time and a counter
};
MUST_CHECK int build_event(const struct build_event *event, json_t **out, struct error *err);

#endif
