#include "reconciler/status.h"

#include "base/buf.h"
#include "reconciler/cache.h"
#include "reconciler/round.h"
#include "reconciler/wiring.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONDITIONS_MAX 4096

// Owed while the annotation is there; landed when the last round's report has.
static const char *report_text(const struct replica *r)
{
	if (r->report != NULL)
		return "owed";
	if (r->round[0] != '\0' && strcmp(r->round, r->reported_round) == 0)
		return "landed";
	return "none";
}

static const char *or_null(const char *text)
{
	return text[0] == '\0' ? NULL : text;
}

static void size_text(int64_t bytes, char out[32])
{
	(void)snprintf(out, 32, bytes >= INT64_C(10) << 30 ? "%lld GiB" : "%lld MiB",
		(long long)(bytes >= INT64_C(10) << 30 ? bytes >> 30 : bytes >> 20));
}

// Why a Namespace stays Terminating, in the words of its conditions (remaining objects, finalizers, a broken API group). The
// caller frees *out; NULL when it says nothing.
static int why_terminating(struct k8s_client *k8s, const struct replica *r, char **out, struct error *err)
{
	AUTO(json) json_t *namespace = NULL;
	AUTO(buf) struct buf text;
	size_t i;
	const json_t *condition;

	buf_init(&text, CONDITIONS_MAX);
	if (k8s_get(k8s, &K8S_NAMESPACE, NULL, r->namespace, &namespace, err) < 0)
		return err->kind == ERROR_NOT_FOUND ? 0 : -1;
	json_array_foreach (json_find(namespace, "status", "conditions"), i, condition) {
		const char *status = json_find_str(condition, "status");
		const char *message = json_find_str(condition, "message");
		if (status == NULL || strcmp(status, "True") != 0 || message == NULL)
			continue;
		if (buf_addf(&text, err, "%s%.512s", text.len == 0 ? "" : "; ", message) < 0)
			break; // long enough to see what holds it
	}
	*out = text.len == 0 ? NULL : strdup(buf_str(&text));
	return 0;
}

static int add_row(json_t *rows, const struct look *look, const char *why, const char *waits, struct error *err)
{
	const struct replica *r = &look->replica;
	json_t *row = json_object();
	char size[32] = "";
	if (row == NULL || json_array_append_new(rows, row) < 0)
		return error_no_memory(err, "status");
	const struct deployment_view *serving = scene_deployment(&look->scene, r->active_round);
	if (serving != NULL && serving->restored_bytes >= 0) {
		size_text(serving->restored_bytes, size);
		if (json_object_set_new(row, "bytes", json_integer(serving->restored_bytes)) < 0)
			return error_no_memory(err, "status");
	}
	const struct {
		const char *key, *value;
	} members[] = {{"namespace", r->namespace}, {"intent", r->intent}, {"type", r->type},
		{"state", replica_state_text[r->state]}, {"snapshot_id", r->last_restored_snapshot_id},
		{"desired_snapshot_id", r->desired_snapshot_id}, {"round", or_null(r->round)},
		{"active_round", or_null(r->active_round)}, {"run_id", or_null(r->run_id)},
		{"postgres_version", r->postgres_version}, {"size", or_null(size)}, {"report", report_text(r)},
		{"report_error", r->report_error}, {"last_error", why != NULL ? why : r->last_error}, {"waits_for", waits},
		{"replica_id", or_null(r->replica_id)}, {"server_id", or_null(r->server_id)}, {"group_id", or_null(r->group_id)}};
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		if (output_set(row, members[i].key, members[i].value, err) < 0)
			return -1;
	}
	if (json_object_set_new(row, "failures", json_integer(r->failures)) < 0 ||
		json_object_set_new(row, "attempt", json_integer(r->attempt)) < 0)
		return error_no_memory(err, "status");
	return 0;
}

// The next round is wanted and waits for an older one's volume to go.
static bool waits_for_a_volume(const struct look *look)
{
	const struct replica *r = &look->replica;
	bool is_newer =
		r->desired_snapshot_id != NULL &&
		(r->last_restored_snapshot_id == NULL || strcmp(r->desired_snapshot_id, r->last_restored_snapshot_id) != 0);
	return (r->state == STATE_ACTIVE || r->state == STATE_FAILED) && (is_newer || r->force_refresh) &&
	       round_volumes_in_use(&look->scene);
}

static int show(struct manager *op, const char *namespace, json_t *rows, struct error *err)
{
	AUTO(look_value) struct look look = {0};
	AUTO_FREE char *why = NULL;
	if (cache_look(op->cache, namespace, &look, err) < 0)
		return -1;
	if (!look.has_replica)
		return 0;
	if (look.replica.is_deleting && why_terminating(op->k8s, &look.replica, &why, err) < 0)
		return -1;
	const char *waits = waits_for_a_volume(&look) ? "the next round waits for " ROUND_VOLUMES_TEXT : NULL;
	return add_row(rows, &look, why, waits, err);
}

int status(const struct settings *settings, enum output_format format, struct error *err)
{
	static const struct output_column columns[] = {{"NAMESPACE", "namespace", 0}, {"INTENT", "intent", 0},
		{"STATE", "state", 0}, {"SNAPSHOT", "snapshot_id", 12}, {"POSTGRES", "postgres_version", 12}, {"SIZE", "size", 0},
		{"REPORT", "report", 0}, {"LAST ERROR", "last_error", 100}, {"WAITS FOR", "waits_for", 100}};
	AUTO(wiring) struct wiring *wiring = NULL;
	AUTO(json) json_t *rows = json_array();
	AUTO_FREE char(*names)[ENTRY_NAMESPACE_SIZE] = NULL;
	size_t count = 0;

	if (wiring_open(settings, WIRING_CLUSTER, &wiring, err) < 0)
		return -1;
	struct manager *op = wiring_manager(wiring);
	if (cache_list(op->cache, op->k8s, err) < 0)
		return error_wrap(err, "cluster");
	if (cache_names(op->cache, &names, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (show(op, names[i], rows, err) < 0)
			return -1;
	}
	return output_rows(rows, columns, sizeof(columns) / sizeof(columns[0]), format, err);
}
