#include "base/settings_table.h"

#include <stddef.h>
#include <string.h>

#define MIB (INT64_C(1) << 20)
#define PIB (INT64_C(1) << 50)
#define SECOND INT64_C(1000)
#define DAY (86400 * SECOND)

const char *const settings_intent_text[INTENT_COUNT] = {"verify", "analytics", "disaster-recovery"};
const char *const settings_storage_text[STORAGE_COUNT] = {"s3", "azure", "file"};
const char *const settings_engine_text[] = {
#define X(NAME, name) #name,
	SETTINGS_ENGINES(X)
#undef X
		NULL};
const char *const settings_depth_text[] = {"quick", "deep", NULL};
const char *const settings_passwords_text[] = {"generated", "source", NULL};
const char *const settings_service_text[] = {"ClusterIP", "NodePort", "LoadBalancer", NULL};

static const char *const http_schemes[] = {"http", "https", NULL};
static const char *const socks_schemes[] = {"socks5", "socks5h", NULL};
static const char *const credentials_texts[] = {"proxy", "direct", NULL};
static const char *const level_texts[] = {"debug", "info", "warn", "error", NULL};
static const char *const format_texts[] = {"logfmt", "json", NULL};

// clang-format off
#define AT(member) .offset = offsetof(struct settings, member)
#define LIST(member, count) AT(member), .offset2 = offsetof(struct settings, count)
static const struct setting table[] = {
	{"CANOPY_BASE_URL", "canopyBaseUrl", SETTING_URL, AT(canopy_base_url), .choices = http_schemes,
		.help = "The central service that says which replicas should exist; absent: see WORKLIST_FILE."},
	{"CANOPY_SOCKS5_PROXY", "canopySocks5Proxy", SETTING_URL, AT(canopy_socks5_proxy), .choices = socks_schemes,
		.may_hold_password = true,
		.help = "SOCKS5 proxy on the way to the central service, such as socks5h://[::1]:1055 (socks5h: the proxy resolves names)."},
	{"CANOPY_DEVICE_CERT_SECRET", "canopyDeviceCertSecret", SETTING_NAME, AT(canopy_device_cert_secret),
		.help = "Secret in OPERATOR_NAMESPACE with tls.crt and tls.key, shown to the central service (mTLS)."},
	{"CANOPY_DEVICE_CERT_FILE", "canopyDeviceCertFile", SETTING_PATH, AT(canopy_device_cert_file),
		.help = "The same certificate from a PEM file; goes with CANOPY_DEVICE_KEY_FILE."},
	{"CANOPY_DEVICE_KEY_FILE", "canopyDeviceKeyFile", SETTING_PATH, AT(canopy_device_key_file),
		.help = "The key of CANOPY_DEVICE_CERT_FILE, a PEM file."},
	{"CANOPY_CA_FILE", "canopyCaFile", SETTING_PATH, AT(canopy_ca_file),
		.help = "PEM file of the only CAs that are trusted for the central service; absent: those of the system."},
	{"CANOPY_RECONCILE_INTERVAL_SECS", "reconcileInterval", SETTING_DURATION, AT(reconcile_interval_ms), .otherwise = "30",
		.minimum = SECOND, .maximum = DAY,
		.help = "Time between two passes in whole seconds, jittered by +-20 %."},
	{"WORKLIST_FILE", "worklistFile", SETTING_PATH, AT(worklist_file),
		.help = "Desired state from a YAML file instead of the central service; reports are then kept as annotations and Events."},
	{"PGRO_BROKER_LISTEN_ADDR", "brokerListenAddr", SETTING_ADDRESS, AT(broker_listen_addr), .otherwise = "[::]:9091",
		.help = "Where the broker listens (TLS): credentials and callbacks."},
	{"METRICS_ADDR", "metricsAddr", SETTING_ADDRESS, AT(metrics_addr), .otherwise = "[::]:8080",
		.help = "Where /metrics, /livez, /readyz and the status page (/) are served; plain, read-only."},
	{"OPERATOR_NAMESPACE", "operatorNamespace", SETTING_NAME, AT(operator_namespace), .otherwise = "pgro-system",
		.help = "The namespace of the operator: its Lease, its ConfigMap and the Secrets that settings name."},
	{"OPERATOR_SERVICE_NAME", "operatorServiceName", SETTING_NAME, AT(operator_service_name), .otherwise = "understory",
		.help = "The Service under which pods reach the operator."},
	{"PGRO_BROKER_URL", "brokerUrl", SETTING_URL, AT(broker_url), .choices = http_schemes + 1,
		.help = "Where restore pods reach the broker; absent: https://<service>.<namespace>.svc:9091."},
	{"CANOPY_PROXY_IMAGE", "proxyImage", SETTING_IMAGE, AT(proxy_image),
		.help = "Image with understory-proxy; `run` needs it with CREDENTIALS=proxy, nothing else does."},
	{"KOPIA_IMAGE", "kopiaImage", SETTING_IMAGE, AT(kopia_image), .otherwise = "docker.io/kopia/kopia:0.23.1",
		.help = "Image of the kopia engine."},
	{"RESTIC_IMAGE", "resticImage", SETTING_IMAGE, AT(restic_image), .otherwise = "docker.io/restic/restic:0.18.1",
		.help = "Image of the restic engine."},
	{"RCLONE_IMAGE", "rcloneImage", SETTING_IMAGE, AT(rclone_image), .otherwise = "docker.io/rclone/rclone:1.71.0",
		.help = "Image with rclone, in which engines run that read files as they are: basebackup."},
	{"WALG_IMAGE", "walgImage", SETTING_IMAGE, AT(walg_image),
		.help = "Image of the walg engine: wal-g and a shell; there is no default, since the makers of WAL-G offer none."},
	{"PGBACKREST_IMAGE", "pgbackrestImage", SETTING_IMAGE, AT(pgbackrest_image),
		.help = "Image of the pgbackrest engine: pgBackRest of a release that knows the majors that it backed up, and a shell."},
	{"AZCOPY_IMAGE", "azcopyImage", SETTING_IMAGE, AT(azcopy_image),
		.help = "Image with azcopy, a shell, tar, gzip and sha256sum: reads Azure Blob by workload identity."},
	{"POSTGRES_IMAGE", "postgresImage", SETTING_REPOSITORY, AT(postgres_image), .otherwise = "docker.io/library/postgres",
		.help = "Image of PostgreSQL without a tag: it gets :<major> of the restored cluster."},
	{"POSTGRES_NEWEST_MAJOR", "postgresNewestMajor", SETTING_COUNT, AT(postgres_newest_major), .otherwise = "18",
		.minimum = 10, .maximum = 99,
		.help = "The newest major that POSTGRES_IMAGE has: dumps of a newer server or pg_dump are refused."},
	{"S3_ENDPOINT", "s3Endpoint", SETTING_URL, AT(s3_endpoint), .choices = http_schemes,
		.help = "S3 store of the backups; absent: https://s3.<region>.amazonaws.com."},
	{"S3_CA_FILE", "s3CaFile", SETTING_PATH, AT(s3_ca_file),
		.help = "PEM file of the only CAs that restore pods trust for S3_ENDPOINT; absent: those of their image."},
	{"CREDENTIALS", "credentials", SETTING_CHOICE, AT(credentials), .otherwise = "proxy", .choices = credentials_texts,
		.help = "How S3 keys reach a restore: proxy (a sidecar signs with keys from the broker) or direct (in the round's Secret)."},
	{"POSTGRES_TLS", "postgresTls", SETTING_SWITCH, AT(postgres_tls), .otherwise = "on",
		.help = "Restored databases speak TLS only, with a certificate of the operator's CA; off: passwords over plain TCP."},
	{"MAX_CONCURRENT_RESTORES", "maxConcurrentRestores", SETTING_COUNT, AT(max_concurrent_restores), .otherwise = "4",
		.minimum = 1, .maximum = 1000, .help = "Rounds that restore at once; further ones wait, oldest first."},
	{"MAX_CONCURRENT_CHECKS", "maxConcurrentChecks", SETTING_COUNT, AT(max_concurrent_checks), .otherwise = "4",
		.minimum = 1, .maximum = 100, .help = "Restored databases that are checked at once."},
	{"TEARDOWN_GUARD", "teardownGuard", SETTING_SWITCH, AT(teardown_guard), .otherwise = "on",
		.help = "The brake: hold Teardowns of many replicas at once until the same worklist has come several times."},
	{"LEADER_ELECTION", "leaderElection", SETTING_SWITCH, AT(leader_election), .otherwise = "on",
		.help = "Lead by a Lease, so that several operators may run."},
	{"LOG_LEVEL", "logLevel", SETTING_CHOICE, AT(log_level), .otherwise = "info", .choices = level_texts,
		.help = "Log lines below this level are dropped."},
	{"LOG_FORMAT", "logFormat", SETTING_CHOICE, AT(log_format), .otherwise = "logfmt", .choices = format_texts,
		.help = "The form of log lines."},
	{NULL, "engines", SETTING_ENGINES, LIST(engines, engine_count),
		.help = "Backup type to the engine that reads it, such as {postgres: restic}; kopia where none is named."},
	{NULL, "directCredentials", SETTING_TEXTS, LIST(direct_types, direct_type_count),
		.help = "Backup types whose S3 keys may lie in the round's Secret because their engine cannot use the proxy (pgbackrest); no other engine is given them."},
	{NULL, "storageClass", SETTING_TEXT, AT(storage_class),
		.help = "StorageClass of the volumes; absent: the cluster's default."},
	{NULL, "flavours", SETTING_FLAVOURS, LIST(flavours, flavour_count),
		.help = "Servers that backups may want instead of stock PostgreSQL, by name; pg_durable is a name that is known, and has no image before one is set here."},
	{NULL, "nodeSelector", SETTING_PAIRS, LIST(node_selector, node_selector_count),
		.help = "Labels of the nodes on which restores and databases may run."},
	{NULL, "tolerations", SETTING_TOLERATIONS, LIST(tolerations, toleration_count),
		.help = "Taints that restores and databases tolerate: a list of key, operator, value, effect."},
	{NULL, "podAnnotations", SETTING_PAIRS, LIST(pod_annotations, pod_annotation_count),
		.help = "Annotations for the pods of restores and databases."},
	{NULL, "retry.backoff", SETTING_BACKOFF, AT(retry_backoff_ms), .otherwise = "5m, 30m, 2h", .maximum = 30 * DAY,
		.help = "Wait after the first, the second and any later failed round of a snapshot."},
	{NULL, "retry.limit", SETTING_COUNT, AT(retry_limit), .otherwise = "3", .minimum = 1, .maximum = 100,
		.help = "Failed rounds in a row after which a snapshot is left alone."},
};
#undef AT
#undef LIST

// Per intent, in the order of enum settings_intent.
#define AT(member) .offset = offsetof(struct settings_for_intent, member)
#define LIST(member, count) AT(member), .offset2 = offsetof(struct settings_for_intent, count)
static const struct {
	struct setting row;
	const char *otherwise[INTENT_COUNT];
} intent_table[] = {
	{{NULL, "storageSize", SETTING_BYTES, AT(storage_size_bytes), .minimum = MIB, .maximum = PIB,
		.help = "First size of a round's volume."}, {"20Gi", "50Gi", "50Gi"}},
	{{NULL, "storageSizeMaximum", SETTING_BYTES, AT(storage_size_maximum_bytes), .minimum = MIB, .maximum = PIB,
		.help = "A volume that was too small is doubled for the next attempt up to this size."}, {"2Ti", "2Ti", "2Ti"}},
	{{NULL, "cpuRequest", SETTING_CPU, AT(cpu_request), .help = "CPU request of restores and databases."}, {NULL}},
	{{NULL, "cpuLimit", SETTING_CPU, AT(cpu_limit), .help = "CPU limit of restores and databases."}, {NULL}},
	{{NULL, "memoryRequest", SETTING_MEMORY, AT(memory_request), .help = "Memory request of restores and databases."}, {NULL}},
	{{NULL, "memoryLimit", SETTING_MEMORY, AT(memory_limit), .help = "Memory limit of restores and databases."}, {NULL}},
	{{NULL, "readyTimeout", SETTING_DURATION, AT(ready_timeout_ms), .minimum = SECOND, .maximum = 30 * DAY,
		.help = "How long a database may take to be scheduled, to get its image and, recovery not counted, to accept connections."}, {"30m", "30m", "30m"}},
	{{NULL, "switchoverGrace", SETTING_DURATION, AT(switchover_grace_ms), .maximum = 30 * DAY,
		.help = "How long the old round stays after a switch to a new one."}, {"2m", "2m", "2m"}},
	{{NULL, "minimumTtl", SETTING_DURATION, AT(minimum_ttl_ms), .maximum = 365 * DAY,
		.help = "Shortest time between two restores of one replica; 0: every newer snapshot is restored."}, {"0", "0", "0"}},
	{{NULL, "depth", SETTING_CHOICE, AT(depth), .choices = settings_depth_text,
		.help = "How far a restored database is checked: quick (it comes up whole) or deep (every row and index is read too)."},
		{"deep", "quick", "quick"}},
	{{NULL, "allowResetWal", SETTING_SWITCH, AT(allow_reset_wal),
		.help = "Where recovery fails, reset the write-ahead log and serve what is left, reported as a failure; never for verify."},
		{"off", "off", "off"}},
	{{NULL, "passwords", SETTING_CHOICE, AT(passwords), .choices = settings_passwords_text,
		.help = "Whether restored roles lose their passwords (generated: people come in as analytics) or keep them (source); an entry may say otherwise."},
		{"generated", "generated", "generated"}},
	{{NULL, "serviceType", SETTING_CHOICE, AT(service_type), .choices = settings_service_text,
		.help = "How Service postgres is reached: within the cluster, by a port of each node, or by a load balancer; verify: ClusterIP."},
		{"ClusterIP", "ClusterIP", "ClusterIP"}},
	{{NULL, "serviceAnnotations", SETTING_PAIRS, LIST(service_annotations, service_annotation_count),
		.help = "Annotations of Service postgres, such as a cloud's for its load balancers or tailscale.com/hostname."}, {NULL}},
	{{NULL, "serviceTimeout", SETTING_DURATION, AT(service_timeout_ms), .minimum = SECOND, .maximum = DAY,
		.help = "How long the connection test through the Service may take, the wait for a load balancer's address included."},
		{"2m", "2m", "2m"}},
};
#undef AT
#undef LIST
// clang-format on

#define ROWS (sizeof(table) / sizeof(table[0]))
#define INTENT_ROWS (sizeof(intent_table) / sizeof(intent_table[0]))

size_t setting_count(void)
{
	return ROWS + INTENT_COUNT * INTENT_ROWS;
}

bool setting_at(size_t index, struct setting_place *out)
{
	if (index >= setting_count())
		return false;
	if (index < ROWS) {
		*out = (struct setting_place){&table[index], -1, index};
	} else {
		size_t at = index - ROWS;
		*out = (struct setting_place){&intent_table[at % INTENT_ROWS].row, (int)(at / INTENT_ROWS), index};
	}
	return true;
}

bool setting_find(int intent, const char *key, struct setting_place *out)
{
	struct setting_place place;
	for (size_t i = 0; setting_at(i, &place); i++) {
		if (place.intent == intent && strcmp(place.row->key, key) == 0) {
			*out = place;
			return true;
		}
	}
	return false;
}

const char *setting_default(const struct setting_place *place)
{
	if (place->intent < 0)
		return place->row->otherwise;
	return intent_table[(place->index - ROWS) % INTENT_ROWS].otherwise[place->intent];
}

int setting_name(const struct setting_place *place, struct buf *out, struct error *err)
{
	if (place->intent < 0)
		return buf_add_str(out, place->row->key, err);
	return buf_addf(out, err, "intents.%s.%s", settings_intent_text[place->intent], place->row->key);
}
