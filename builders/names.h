// Names, labels and annotations of what we make. design.md "Identity" is the rule; nothing else in the program spells them.
#ifndef BUILDERS_NAMES_H
#define BUILDERS_NAMES_H

#include "base/error.h"

#define PGRO "pgro.bes.au/"

#define LABEL_MANAGED_BY PGRO "managed-by"
#define LABEL_MANAGED_BY_VALUE "pgro-canopy"
#define MANAGED_SELECTOR LABEL_MANAGED_BY "=" LABEL_MANAGED_BY_VALUE
#define LABEL_DECLARATION_ID PGRO "declaration-id"
#define LABEL_GROUP PGRO "group"
#define LABEL_SERVER PGRO "server"
#define LABEL_TYPE PGRO "type"     // also an annotation with the whole text when it is no label value
#define LABEL_INTENT PGRO "intent" // likewise
#define LABEL_ROUND PGRO "round"   // on every object of a round: its key
// On a restore Job and its pods, as the operator that we stand in for has it.
#define LABEL_FLAVOUR PGRO "flavour" // of the server, on Deployment and pods
#define LABEL_JOB_KIND PGRO "job-kind"
#define LABEL_JOB_KIND_VALUE "canopy-restore"
// On a restore Job's pods that hold the credential proxy, likewise.
#define LABEL_PROXY_SIDECAR PGRO "proxy-sidecar"
#define LABEL_PROXY_SIDECAR_VALUE "true"

#define ANN_RESTORE_STATE PGRO "restore-state"
#define ANN_DESIRED_SNAPSHOT_ID PGRO "desired-snapshot-id"
#define ANN_DESIRED_SNAPSHOT_AT PGRO "desired-snapshot-at"
#define ANN_ROUND PGRO "round"
#define ANN_ROUND_SNAPSHOT_ID PGRO "round-snapshot-id"
#define ANN_ATTEMPT PGRO "attempt"
#define ANN_RUN_ID PGRO "run-id"
#define ANN_ROUND_STARTED_AT PGRO "round-started-at"
#define ANN_ACTIVE_ROUND PGRO "active-round"
#define ANN_LAST_RESTORED_SNAPSHOT_ID PGRO "last-restored-snapshot-id"
#define ANN_LAST_RESTORED_AT PGRO "last-restored-at"
#define ANN_POSTGRES_VERSION PGRO "postgres-version"
#define ANN_FAILURES PGRO "failures"
#define ANN_FAILED_AT PGRO "failed-at"
#define ANN_LAST_ERROR PGRO "last-error"
#define ANN_TRAFFIC PGRO "traffic"
#define ANN_FLAVOUR PGRO "flavour" // of a Deployment; of a Namespace: of the newest round that came to its database
#define ANN_REPORT PGRO "report"
#define ANN_LAST_REPORT PGRO "last-report" // with WORKLIST_FILE: nobody to report to, so it is kept here
#define ANN_REPORTED_AT PGRO "last-verification-reported-at"
#define ANN_REPORTED_ROUND PGRO "last-verification-reported-round"
#define ANN_REPORT_ERROR PGRO "last-verification-error"
#define ANN_FORCE_REFRESH PGRO "force-refresh"
#define ANN_TEARDOWN_HOLD PGRO "teardown-hold"
// Fingerprint of the entry for which canopy refused credentials: tried again when the entry's differs, or after 6 h.
#define ANN_CREDENTIALS_REFUSED PGRO "credentials-refused"

// The verdict of the last round that ended: "<grade> <stage>" (canopy/report.h). For people: the report is the truth.
#define ANN_VERDICT PGRO "last-verdict"

// What the restore that serves read from the store: what the round in hand will read, about.
#define ANN_EXPECTED_BYTES PGRO "expected-bytes"

// Which backup the round in hand, or the last one, restores, as its engine said: what "latest" came to. A retry restores the
// same.
#define ANN_BACKUP PGRO "backup"

// Size of the next round's volume in bytes, when one was too small. Never less than the settings say.
#define ANN_VOLUME_BYTES PGRO "volume-bytes"

// On the Deployment of a round: what its restore Job said, kept where it lives as long as the round does.
#define ANN_RESTORED_BYTES PGRO "restored-bytes"
#define ANN_RESTORED_FILES PGRO "restored-files"
// And what its containers were sized by: builders/sizing.h.
#define ANN_SIZING PGRO "sizing"

// Also on it: PostgreSQL speaks TLS. Absent where a round was made without.
#define ANN_TLS PGRO "tls"
#define ANN_TLS_VALUE "on"

// On the Namespace: when the certificate in Secret postgres-tls is to be renewed, and which CAs (authority_id()) people were
// given in analytics-credentials; absent while they are told to come without TLS.
#define ANN_TLS_RENEW_AT PGRO "tls-renew-at"
#define ANN_TLS_CA PGRO "tls-ca"

// What kind of pod it is; NetworkPolicies, the Service and the Deployment select by it.
#define LABEL_COMPONENT "app.kubernetes.io/component"
#define LABEL_INSTANCE "app.kubernetes.io/instance" // the Namespace
#define LABEL_VERSION "app.kubernetes.io/version"   // on the Deployment of a round: PostgreSQL's major
#define COMPONENT_REPLICA "replica"
#define COMPONENT_RESTORE "restore"
#define COMPONENT_DATABASE "database"

#define NAME_ROLE_BINDING "understory"
#define NAME_OPERATOR_SERVICE_ACCOUNT "understory" // in OPERATOR_NAMESPACE
#define NAME_REPLICA_CLUSTER_ROLE "understory-replica"
#define NAME_RESTORE_SERVICE_ACCOUNT "restore"
#define NAME_SUPERUSER_SECRET "postgres-superuser"
#define NAME_ANALYTICS_SECRET "analytics-credentials"
#define NAME_TLS_SECRET "postgres-tls"
#define NAME_PULL_SECRET "image-pull"
#define NAME_SERVICE "postgres"

#define CONTAINER_RESTORE "restore"
#define CONTAINER_PROXY "proxy"
#define CONTAINER_PREPARE "prepare"
#define CONTAINER_POSTGRES "postgres"

#define ROUND_KEY_SIZE 9
#define OBJECT_NAME_SIZE 32

// First 8 hex of SHA-256 of "<snapshot id>\n<attempt>".
MUST_CHECK int round_key(const char *snapshot_id, int attempt, char out[ROUND_KEY_SIZE], struct error *err);

// restore-<key> (Secret and Job), pgdata-<key>, postgres-<key> (Secret, Deployment and Service).
void name_restore(const char *key, char out[OBJECT_NAME_SIZE]);
void name_pvc(const char *key, char out[OBJECT_NAME_SIZE]);
void name_deployment(const char *key, char out[OBJECT_NAME_SIZE]);

#define LABEL_VALUE_SIZE 64
// text as a label value: what is not allowed becomes '-', ends are trimmed to a letter or digit, cut to 63. True when nothing
// changed.
bool label_value(const char *text, char out[LABEL_VALUE_SIZE]);

#endif
