// The settings of the operator: what a platform engineer may choose, in one struct filled from one table.
//
// Environment first, then the YAML file that UNDERSTORY_CONFIG names, then the default. The table in settings_table.c drives
// parsing, --help, the dump at the start and the manual; nothing else in the program reads the environment. A variable that is
// set to nothing counts as not set. Loaded once before threads start and only read afterwards. Plain data: it knows nothing of
// Kubernetes or canopy beyond the names people use.
#ifndef BASE_SETTINGS_H
#define BASE_SETTINGS_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/log.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum settings_intent { INTENT_VERIFY, INTENT_ANALYTICS, INTENT_DISASTER_RECOVERY, INTENT_COUNT };
enum settings_credentials { CREDENTIALS_PROXY, CREDENTIALS_DIRECT };

// X(NAME, name): the engines, each with its row in builders/engines. Whatever names an engine takes the name from here.
#define SETTINGS_ENGINES(X)       \
	X(KOPIA, kopia)           \
	X(RESTIC, restic)         \
	X(BASEBACKUP, basebackup) \
	X(DUMP, dump)             \
	X(WALG, walg)             \
	X(PGBACKREST, pgbackrest)

enum settings_engine {
#define X(NAME, name) ENGINE_##NAME,
	SETTINGS_ENGINES(X)
#undef X
		ENGINE_COUNT
};

// Where a backup is: an entry's `bucket` is a bucket of S3, a container of Azure Blob, or a PersistentVolumeClaim in the
// replica's Namespace.
enum settings_storage { STORAGE_S3, STORAGE_AZURE, STORAGE_FILE, STORAGE_COUNT };

enum settings_depth { DEPTH_QUICK, DEPTH_DEEP };
enum settings_passwords { PASSWORDS_GENERATED, PASSWORDS_SOURCE };
enum settings_service { SERVICE_CLUSTER_IP, SERVICE_NODE_PORT, SERVICE_LOAD_BALANCER };

// The texts that stand for the values above, in worklists and settings.
extern const char *const settings_intent_text[INTENT_COUNT];
extern const char *const settings_storage_text[STORAGE_COUNT];
extern const char *const settings_engine_text[]; // NULL at the end, as the next ones
extern const char *const settings_depth_text[];
extern const char *const settings_service_text[];
extern const char *const settings_passwords_text[];

// A key and a value, for nodeSelector and annotations.
struct settings_pair {
	char *key;
	char *value;
};

// Per intent; a worklist entry's params may override what canopy's operators can set (canopy/intents.h).
struct settings_for_intent {
	int64_t storage_size_bytes;         // first size of a round's PVC
	int64_t storage_size_maximum_bytes; // it never grows past this
	char *cpu_request;                  // Kubernetes quantities; NULL: none is set
	char *cpu_limit;
	char *memory_request;
	char *memory_limit;
	int64_t ready_timeout_ms;           // from the Deployment's creation to available, recovery not counted
	int64_t switchover_grace_ms;        // how long the old round's objects stay after the switch
	int64_t minimum_ttl_ms;             // shortest time between two restores of one replica
	enum settings_depth depth;          // quick: it comes up whole; deep: all that is stored is read too
	bool allow_reset_wal;               // serve what comes up only with its WAL reset; never for verify
	enum settings_service service_type; // of Service postgres; for verify always SERVICE_CLUSTER_IP
	struct settings_pair *service_annotations;
	size_t service_annotation_count;
	enum settings_passwords passwords; // of the restored roles, but for postgres and analytics
	char *flavour;              // of the entry alone (canopy/intents.h): what its backup is a backup of; NULL: not said
	int64_t service_timeout_ms; // of the connection test through the Service, the wait for an address included
};

struct settings_toleration {
	char *key, *operator_, *value, *effect; // NULL: not set
};

// Backup type -> engine.
struct settings_engine_rule {
	char *type;
	enum settings_engine engine;
};

struct settings_flavour; // base/settings_flavour.h

struct settings {
	char *canopy_base_url; // NULL: worklist_file
	char *canopy_socks5_proxy;
	char *canopy_device_cert_secret;
	char *canopy_device_cert_file;
	char *canopy_device_key_file;
	char *canopy_ca_file;
	int64_t reconcile_interval_ms;
	char *worklist_file;
	char *broker_listen_addr;
	char *metrics_addr;
	char *operator_namespace;
	char *operator_service_name;
	char *broker_url;  // NULL: https://<service>.<namespace>.svc:9091
	char *proxy_image; // NULL: see settings_need_proxy_image()
	char *kopia_image;
	char *restic_image;
	char *rclone_image;
	char *walg_image;
	char *pgbackrest_image; // NULL: none is set
	char *azcopy_image;     // likewise
	char *postgres_image;   // without tag: gets ":<major>"
	char *s3_endpoint;      // NULL: https://s3.<region>.amazonaws.com
	char *s3_ca_file;       // PEM for s3_endpoint, handed to the restore pods; NULL: the image's own store
	enum settings_credentials credentials;
	char **direct_types; // direct_type_count backup types, see settings_allow_direct()
	size_t direct_type_count;
	bool postgres_tls; // restored databases speak TLS only, but for their own pod
	int max_concurrent_restores;
	int max_concurrent_checks;
	int postgres_newest_major;
	bool teardown_guard;
	bool leader_election;
	enum log_level log_level;
	enum log_format log_format;

	struct settings_for_intent intents[INTENT_COUNT];
	struct settings_engine_rule *engines; // engine_count of them; no rule: kopia
	size_t engine_count;
	struct settings_flavour *flavours; // flavour_count of them
	size_t flavour_count;
	char *storage_class; // NULL: the cluster's default
	struct settings_pair *node_selector;
	size_t node_selector_count;
	struct settings_toleration *tolerations;
	size_t toleration_count;
	struct settings_pair *pod_annotations;
	size_t pod_annotation_count;
	int64_t retry_backoff_ms[3]; // after the first, second and any later failure of a snapshot
	int retry_limit;             // failed rounds in a row for one snapshot before it is left alone

	char *config_file; // UNDERSTORY_CONFIG; NULL: no file was read
	uint8_t *origins;  // where each setting came from, for settings_dump(); NULL in settings that a test made by hand
};

// Reads one variable of the environment; tests give their own.
typedef const char *(*settings_getenv)(const char *name);

// Fill *out. An unknown key, a bad value, a missing file or settings that contradict each other: ERROR_INVALID with file, line,
// key, value and what is allowed. The caller frees with settings_free().
MUST_CHECK int settings_load(settings_getenv env, struct settings **out, struct error *err);

// For the programs that need desired state (`run`, `plan`; not `status`): ERROR_INVALID when neither CANOPY_BASE_URL nor
// WORKLIST_FILE is set. settings_load() lets both be absent and refuses both at once.
MUST_CHECK int settings_need_worklist(const struct settings *settings, struct error *err);

// For `run`, which makes restores: ERROR_INVALID when CREDENTIALS=proxy has no CANOPY_PROXY_IMAGE. What only looks does without.
MUST_CHECK int settings_need_proxy_image(const struct settings *settings, struct error *err);

void settings_free(struct settings *settings);
DEFINE_AUTO(struct settings, settings, settings_free)

// The settings as a table, one line each: name, value, where it came from. Secrets as "***".
void settings_dump(const struct settings *settings, settings_getenv env, FILE *to);

// What is set, in one line for the log at the start: "canopyBaseUrl=https://..., maxConcurrentRestores=8"; secrets as "***".
// Appends to *out. What is not named has its default.
MUST_CHECK int settings_summary(const struct settings *settings, struct buf *out, struct error *err);

// Every setting with its default and its sentence, for --help and the manual.
void settings_help(FILE *to);

// What Kubernetes would refuse: a request above its limit, a first volume size above its maximum. ERROR_INVALID names both.
MUST_CHECK int settings_check_sizing(const struct settings_for_intent *sizing, struct error *err);

// The engine of that name; false when there is none. And the names in words, for an error: "kopia or restic".
#define SETTINGS_ENGINE_NAMES_SIZE 128
bool settings_engine_find(const char *name, enum settings_engine *out);
void settings_engine_names(char out[SETTINGS_ENGINE_NAMES_SIZE]);

// STORAGE_COUNT when there is none of that name.
enum settings_storage settings_storage_find(const char *name);

// The engine for a backup type.
enum settings_engine settings_engine_for(const struct settings *settings, const char *backup_type);

// May the S3 keys of a backup of this type lie in the round's Secret where its engine cannot use the credential proxy?
bool settings_allow_direct(const struct settings *settings, const char *backup_type);

#endif
