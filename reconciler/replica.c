#include "reconciler/replica.h"

#include "base/clock.h"
#include "base/quantity.h"
#include "canopy/intents.h"
#include <stdlib.h>
#include <string.h>

const char *const replica_state_text[STATE_COUNT] = {
#define X(name, text) [name] = (text),
	REPLICA_STATES(X)
#undef X
};

// What is read from one object: its labels, its annotations, and whether memory ran out on the way.
struct reading {
	const json_t *labels, *annotations;
	bool no_memory;
};

static const char *annotation(const struct reading *r, const char *key)
{
	return json_string_value(json_object_get(r->annotations, key));
}

static const char *label(const struct reading *r, const char *key)
{
	return json_string_value(json_object_get(r->labels, key));
}

static char *copy(struct reading *r, const char *text)
{
	char *made = text == NULL ? NULL : strdup(text);
	r->no_memory = r->no_memory || (text != NULL && made == NULL);
	return made;
}

// Text that does not fit is no value of ours and counts as missing.
static void copy_fixed(const char *text, char *out, size_t size)
{
	if (text != NULL && strlen(text) < size)
		memcpy(out, text, strlen(text) + 1);
}

static void copy_uuid(const char *text, char out[UUID_TEXT_SIZE])
{
	struct error ignored;
	if (text == NULL || uuid_parse(text, out, &ignored) < 0)
		out[0] = '\0';
}

static int64_t time_of(const char *text)
{
	int64_t ms = REPLICA_NEVER;
	struct error ignored;
	return text == NULL || clock_parse(text, &ms, &ignored) < 0 ? REPLICA_NEVER : ms;
}

static int count_of(const char *text)
{
	char *end = NULL;
	long value = text == NULL ? 0 : strtol(text, &end, 10);
	return text == NULL || *end != '\0' || value < 0 || value > 1000000 ? 0 : (int)value;
}

static int64_t bytes_of(const char *text)
{
	int64_t bytes = 0;
	struct error ignored;
	return text == NULL || quantity_bytes(text, &bytes, &ignored) < 0 ? 0 : bytes;
}

// A state that we did not write, or "terminating" on a Namespace that lives: what the other annotations say.
static enum replica_state state_of(const struct reading *r)
{
	const char *text = annotation(r, ANN_RESTORE_STATE);
	for (int i = 0; text != NULL && i < STATE_TERMINATING; i++) {
		if (strcmp(text, replica_state_text[i]) == 0)
			return (enum replica_state)i;
	}
	return annotation(r, ANN_ACTIVE_ROUND) != NULL ? STATE_ACTIVE : STATE_PENDING;
}

static void read_identity(struct reading *r, struct replica *out)
{
	const char *managed_by = label(r, LABEL_MANAGED_BY);
	const char *type = annotation(r, LABEL_TYPE);
	const char *intent = annotation(r, LABEL_INTENT);

	out->is_managed = managed_by != NULL && strcmp(managed_by, LABEL_MANAGED_BY_VALUE) == 0;
	copy_uuid(label(r, LABEL_DECLARATION_ID), out->replica_id);
	copy_uuid(label(r, LABEL_GROUP), out->group_id);
	copy_uuid(label(r, LABEL_SERVER), out->server_id);
	out->type = copy(r, type != NULL ? type : label(r, LABEL_TYPE));
	out->intent = copy(r, intent != NULL ? intent : label(r, LABEL_INTENT));
}

static void read_round(struct reading *r, struct replica *out)
{
	out->state = state_of(r);
	out->desired_snapshot_id = copy(r, annotation(r, ANN_DESIRED_SNAPSHOT_ID));
	out->desired_snapshot_at = copy(r, annotation(r, ANN_DESIRED_SNAPSHOT_AT));
	copy_fixed(annotation(r, ANN_ROUND), out->round, sizeof(out->round));
	out->backup = copy(r, annotation(r, ANN_BACKUP));
	out->round_snapshot_id = copy(r, annotation(r, ANN_ROUND_SNAPSHOT_ID));
	out->attempt = count_of(annotation(r, ANN_ATTEMPT));
	copy_uuid(annotation(r, ANN_RUN_ID), out->run_id);
	out->round_started_at_ms = time_of(annotation(r, ANN_ROUND_STARTED_AT));
	copy_fixed(annotation(r, ANN_ACTIVE_ROUND), out->active_round, sizeof(out->active_round));
	out->last_restored_snapshot_id = copy(r, annotation(r, ANN_LAST_RESTORED_SNAPSHOT_ID));
	out->last_restored_at_ms = time_of(annotation(r, ANN_LAST_RESTORED_AT));
	out->postgres_version = copy(r, annotation(r, ANN_POSTGRES_VERSION));
	out->failures = count_of(annotation(r, ANN_FAILURES));
	out->failed_at_ms = time_of(annotation(r, ANN_FAILED_AT));
	out->last_error = copy(r, annotation(r, ANN_LAST_ERROR));
	out->volume_bytes = bytes_of(annotation(r, ANN_VOLUME_BYTES));
	out->tls_renew_at_ms = time_of(annotation(r, ANN_TLS_RENEW_AT));
	copy_fixed(annotation(r, ANN_FLAVOUR), out->flavour, sizeof(out->flavour));
	copy_fixed(annotation(r, ANN_TLS_CA), out->tls_ca, sizeof(out->tls_ca));
	out->expected_bytes = bytes_of(annotation(r, ANN_EXPECTED_BYTES));
	copy_fixed(annotation(r, ANN_CREDENTIALS_REFUSED), out->credentials_refused, sizeof(out->credentials_refused));
}

static void read_report(struct reading *r, struct replica *out)
{
	out->traffic = copy(r, annotation(r, ANN_TRAFFIC));
	out->report = copy(r, annotation(r, ANN_REPORT));
	out->reported_at_ms = time_of(annotation(r, ANN_REPORTED_AT));
	copy_fixed(annotation(r, ANN_REPORTED_ROUND), out->reported_round, sizeof(out->reported_round));
	out->report_error = copy(r, annotation(r, ANN_REPORT_ERROR));
	out->verdict = copy(r, annotation(r, ANN_VERDICT));
	out->force_refresh = annotation(r, ANN_FORCE_REFRESH) != NULL;
	out->teardown_hold = annotation(r, ANN_TEARDOWN_HOLD) != NULL;
}

int replica_from_json(const json_t *namespace, struct replica *out, struct error *err)
{
	const json_t *metadata = json_object_get(namespace, "metadata");
	const char *name = NULL, *uid = NULL, *version = NULL;
	if (json_need_str(metadata, "name", &name, err) < 0 || json_need_str(metadata, "uid", &uid, err) < 0 ||
		json_need_str(metadata, "resourceVersion", &version, err) < 0)
		return error_wrap(err, "namespace");
	if (strlen(name) >= ENTRY_NAMESPACE_SIZE || strlen(uid) >= REPLICA_UID_SIZE || strlen(version) >= REPLICA_VERSION_SIZE)
		return error_set(err, ERROR_INVALID, "namespace %.64s: its name, uid or resourceVersion is too long", name);

	struct reading r = {
		.labels = json_object_get(metadata, "labels"), .annotations = json_object_get(metadata, "annotations")};
	struct replica made = {.is_deleting = json_object_get(metadata, "deletionTimestamp") != NULL};
	copy_fixed(name, made.namespace, sizeof(made.namespace));
	copy_fixed(uid, made.uid, sizeof(made.uid));
	copy_fixed(version, made.resource_version, sizeof(made.resource_version));
	made.created_at_ms = time_of(json_find_str(metadata, "creationTimestamp"));
	read_identity(&r, &made);
	read_round(&r, &made);
	read_report(&r, &made);
	if (made.is_deleting)
		made.state = STATE_TERMINATING;
	if (r.no_memory) {
		replica_fini(&made);
		return error_no_memory(err, "namespace");
	}
	*out = made;
	return 0;
}

void replica_fini(struct replica *replica)
{
	char *const owned[] = {replica->type, replica->intent, replica->desired_snapshot_id, replica->desired_snapshot_at,
		replica->round_snapshot_id, replica->last_restored_snapshot_id, replica->postgres_version, replica->last_error,
		replica->traffic, replica->report, replica->report_error, replica->verdict, replica->backup};
	for (size_t i = 0; i < sizeof(owned) / sizeof(owned[0]); i++)
		free(owned[i]);
	*replica = (struct replica){0};
}

bool replica_is_of(const struct replica *replica, const struct entry *entry)
{
	return replica->is_managed && strcmp(replica->replica_id, entry->replica_id) == 0 &&
	       strcmp(replica->server_id, entry->server_id) == 0;
}

bool replica_has_round_in_hand(const struct replica *replica)
{
	return replica->state == STATE_RESTORING || replica->state == STATE_STARTING;
}

bool replica_is_proven_once(const struct replica *replica)
{
	int intent = replica->intent == NULL ? -1 : intents_find(replica->intent);
	return intent >= 0 && intents_is_once((enum settings_intent)intent) && replica->state == STATE_ACTIVE &&
	       replica->report == NULL && replica->active_round[0] != '\0' &&
	       strcmp(replica->reported_round, replica->active_round) == 0;
}
