#include "reconciler/access.h"

#include "base/clock.h"
#include "base/log.h"
#include "builders/engines/engine.h"
#include "builders/names.h"
#include "canopy/worklist.h"
#include "reconciler/patch.h"
#include "reconciler/secret_data.h"
#include <string.h>

#define TRAFFIC_TRIES 4
// Keys from a Secret have no end of their own. This one has the broker and the proxies look again, so that a key that a person
// has replaced is soon used by nobody.
#define FILE_KEYS_LIVE_MS (INT64_C(15) * 60 * 1000)

static int review(void *arg, const char *token, struct broker_caller *out, struct error *err)
{
	const struct access *a = arg;
	AUTO(json) json_t *request = NULL;
	AUTO(json) json_t *answer = NULL;
	if (token_review_request(token, &request, err) < 0)
		return -1;
	if (k8s_create(a->k8s, &K8S_TOKEN_REVIEW, NULL, request, &answer, err) < 0) {
		// Whatever it is, the token has not been judged: only token_review_read() may say that it is bad.
		err->kind = ERROR_TRANSIENT;
		return error_wrap(err, "token review");
	}
	return token_review_read(answer, out, err);
}

static int read_replica(const struct access *a, const char *namespace, struct replica *out, struct error *err)
{
	AUTO(json) json_t *object = NULL;
	if (k8s_get(a->k8s, &K8S_NAMESPACE, NULL, namespace, &object, err) < 0)
		return -1;
	return replica_from_json(object, out, err);
}

static int lookup(void *arg, const char *namespace, struct broker_replica *out, struct error *err)
{
	AUTO(replica) struct replica r = {0};
	if (read_replica(arg, namespace, &r, err) < 0)
		return -1;
	if (!r.is_managed || r.group_id[0] == '\0' || r.type == NULL || strlen(r.type) >= sizeof(out->type))
		return error_set(err, ERROR_INVALID, "namespace %s is not managed by understory", namespace);
	if (!replica_has_round_in_hand(&r) || r.run_id[0] == '\0')
		return error_set(err, ERROR_CONFLICT, "namespace %s has no round in hand", namespace);
	memcpy(out->group, r.group_id, sizeof(out->group));
	memcpy(out->run_id, r.run_id, sizeof(out->run_id));
	memcpy(out->type, r.type, strlen(r.type) + 1);
	return 0;
}

// With WORKLIST_FILE: the Secret of the first entry with this group and type. The file is read anew, since the worklist that the
// passes use is theirs alone.
static int fetch_by_file(
	const struct access *a, const char *group, const char *type, struct canopy_credentials *out, struct error *err)
{
	AUTO(worklist) struct worklist *worklist = NULL;
	if (worklist_from_file(a->settings->worklist_file, &worklist, err) < 0)
		return -1;
	for (size_t i = 0; i < worklist->count; i++) {
		struct entry entry;
		if (entry_open(worklist->entries[i], &entry, err) < 0)
			return -1;
		bool is_it = strcmp(entry.group_id, group) == 0 && strcmp(entry.type, type) == 0 && entry.secret != NULL &&
			     entry_storage(&entry) == STORAGE_S3;
		int rc = is_it ? access_keys_from_secret(a->k8s, a->settings, &entry, out, err) : 0;
		entry_close(&entry);
		if (is_it && rc == 0)
			out->expires_at_ms = clock_wall_ms() + FILE_KEYS_LIVE_MS;
		if (is_it)
			return rc;
	}
	return error_set(err, ERROR_INVALID, "no entry of %s with group %s and type %s names a secret",
		a->settings->worklist_file, group, type);
}

static int fetch(
	void *arg, const char *group, const char *type, const char *run_id, struct canopy_credentials *out, struct error *err)
{
	const struct access *a = arg;
	if (a->canopy == NULL)
		return fetch_by_file(a, group, type, out, err);
	return canopy_get_credentials(a->canopy, group, type, run_id, out, err);
}

// Totals belong to the round in hand; those of an older Job come too late to matter.
static bool is_jobs_round(const struct replica *r, const char *job)
{
	char name[OBJECT_NAME_SIZE];
	name_restore(r->round, name);
	return strcmp(name, job) == 0;
}

// The proxy's names for the four counts, and canopy's.
static const struct {
	const char *proxy, *canopy;
} count_names[] = {{"sent_raw_bytes", "s3_sent_raw_bytes"}, {"sent_payload_bytes", "s3_sent_payload_bytes"},
	{"received_raw_bytes", "s3_received_raw_bytes"}, {"received_payload_bytes", "s3_received_payload_bytes"}};

// A count that was not measured stays absent: a zero would be a measurement.
static int translate(const json_t *counts, json_t *into, struct error *err)
{
	for (size_t i = 0; i < sizeof(count_names) / sizeof(count_names[0]); i++) {
		const json_t *value = json_object_get(counts, count_names[i].proxy);
		if (value == NULL)
			continue;
		if (!json_is_integer(value) || json_integer_value(value) < 0)
			return error_set(err, ERROR_INVALID, "\"%s\" is no count", count_names[i].proxy);
		if (json_object_set_new(into, count_names[i].canopy, json_integer(json_integer_value(value))) < 0)
			return error_no_memory(err, "counts");
	}
	return 0;
}

static int write_traffic(const struct access *a, struct replica *r, const char *text, struct error *err)
{
	AUTO(patch) struct patch p;
	patch_init(&p, r);
	patch_set(&p, ANN_TRAFFIC, text);
	return patch_send(&p, a->k8s, r, err);
}

// Kept in the Namespace, so that the report has them whichever operator writes it.
static int take_stats(void *arg, const char *namespace, const char *job, const struct broker_replica *replica,
	const json_t *counts, struct error *err)
{
	AUTO(json) json_t *traffic = json_object();
	AUTO_FREE char *text = NULL;
	(void)replica;
	if (traffic == NULL)
		return error_no_memory(err, "traffic");
	if (translate(counts, traffic, err) < 0 || json_print(traffic, &text, err) < 0)
		return -1;
	for (int i = 0; i < TRAFFIC_TRIES; i++) {
		AUTO(replica) struct replica r = {0};
		if (read_replica(arg, namespace, &r, err) < 0)
			return -1;
		if (!is_jobs_round(&r, job))
			return error_set(err, ERROR_INVALID, "job %s is not the round in hand", job);
		if (write_traffic(arg, &r, text, err) == 0)
			return 0;
		if (err->kind != ERROR_CONFLICT)
			return -1;
	}
	return -1;
}

static void note_progress(const struct access *a, const char *namespace, const char *job, const json_t *counts)
{
	static const char prefix[] = "restore-"; // name_restore()
	const char *round = strncmp(job, prefix, strlen(prefix)) == 0 ? job + strlen(prefix) : "";
	int64_t bytes = json_find_int(-1, counts, "received_payload_bytes");
	if (bytes >= 0 && strlen(round) == ROUND_KEY_SIZE - 1)
		notes_progress(a->notes, namespace, round, bytes, clock_wall_ms());
}

static int take_progress(void *arg, const char *namespace, const char *job, const struct broker_replica *replica,
	const json_t *counts, struct error *err)
{
	const struct access *a = arg;
	AUTO(json) json_t *body = NULL;
	AUTO_FREE char *text = NULL;
	note_progress(a, namespace, job, counts);
	if (a->canopy == NULL)
		return 0;
	if (json_made(json_pack("{s:s,s:s,s:s}", "run_id", replica->run_id, "type", replica->type, "purpose", "restore"),
		    "progress", &body, err) < 0 ||
		translate(counts, body, err) < 0 || json_print(body, &text, err) < 0)
		return -1;
	return canopy_progress(a->canopy, text, err);
}

struct broker_callbacks access_callbacks(struct access *access)
{
	return (struct broker_callbacks){.review = review,
		.lookup = lookup,
		.fetch = fetch,
		.stats = take_stats,
		.progress = take_progress,
		.arg = access};
}

static int key_if_there(const json_t *data, const char *key, struct secret *out, struct error *err)
{
	return json_object_get(data, key) == NULL ? 0 : secret_data_get(data, key, out, err);
}

static int repository_password(
	const json_t *data, const struct settings *settings, const struct entry *entry, struct secret *out, struct error *err)
{
	return engine_needs_password(settings, entry) ? secret_data_get(data, "repositoryPassword", out, err)
						      : key_if_there(data, "repositoryPassword", out, err);
}

static int keys_of_the_engine(const json_t *data, const struct settings *settings, const struct entry *entry,
	struct canopy_credentials *out, struct error *err)
{
	const struct engine_key *keys = engine_keys(settings, entry);
	for (size_t i = 0; keys[i].key != NULL; i++) {
		if (key_if_there(data, keys[i].key, &out->engine_keys[i], err) < 0)
			return -1;
	}
	return 0;
}

static int keys_of_the_store(const json_t *data, const struct entry *entry, struct canopy_credentials *out, struct error *err)
{
	if (entry_storage(entry) == STORAGE_FILE)
		return 0; // a volume wants none
	if (entry_storage(entry) == STORAGE_AZURE)
		return entry->client_id != NULL ? 0 : secret_data_get(data, "sasToken", &out->sas_token, err);
	if (secret_data_get(data, "accessKeyId", &out->access_key_id, err) < 0 ||
		secret_data_get(data, "secretAccessKey", &out->secret_access_key, err) < 0)
		return -1;
	return key_if_there(data, "sessionToken", &out->session_token, err);
}

int access_keys_from_secret(struct k8s_client *k8s, const struct settings *settings, const struct entry *entry,
	struct canopy_credentials *out, struct error *err)
{
	AUTO(json) json_t *object = NULL;
	AUTO(canopy_credentials) struct canopy_credentials made = {.expires_at_ms = INT64_MAX};
	if (secret_data_named(k8s, settings->operator_namespace, entry->secret, &object, err) < 0)
		return -1;
	const json_t *data = json_object_get(object, "data");
	if (repository_password(data, settings, entry, &made.repo_password, err) < 0 ||
		keys_of_the_engine(data, settings, entry, &made, err) < 0 || keys_of_the_store(data, entry, &made, err) < 0)
		return error_wrap(err, "secret %s/%s", settings->operator_namespace, entry->secret);
	*out = made;
	made = (struct canopy_credentials){0};
	return 0;
}
