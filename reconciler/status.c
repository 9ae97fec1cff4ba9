#include "reconciler/status.h"

#include "base/buf.h"
#include "base/clock.h"
#include "reconciler/describe.h"
#include "reconciler/wiring.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONDITIONS_MAX 4096

static const char *or_null(const char *text)
{
	return text[0] == '\0' ? NULL : text;
}

// "15.20" of "15.20 (Debian 15.20-0+deb12u1)".
static void short_version(const char *version, char out[32])
{
	(void)snprintf(out, 32, "%.*s", version == NULL ? 0 : (int)strcspn(version, " "), version == NULL ? "" : version);
}

// How long a time is past: "3 h 12 min". Empty when it never was.
static void age(int64_t at_ms, int64_t now_ms, char out[WORDS_SIZE])
{
	out[0] = '\0';
	if (at_ms != REPLICA_NEVER)
		words_duration(now_ms - at_ms, out);
}

static void describe_look(const struct manager *op, const struct look *look, int64_t now_ms, struct description *out)
{
	const struct describe_facts facts = {
		.replica = &look->replica, .scene = &look->scene, .settings = op->settings, .now_ms = now_ms};
	describe(&facts, out);
}

int status_why_terminating(struct k8s_client *k8s, const struct replica *r, char **out, struct error *err)
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

static int add_row(const struct manager *op, json_t *rows, const struct look *look, const char *why, struct error *err)
{
	struct description d;
	char postgres[32], since[WORDS_SIZE];
	const int64_t now_ms = clock_wall_ms();
	const struct replica *r = &look->replica;
	json_t *row = json_object();
	char size[WORDS_SIZE] = "";
	if (row == NULL || json_array_append_new(rows, row) < 0)
		return error_no_memory(err, "status");
	const struct deployment_view *serving = scene_deployment(&look->scene, r->active_round);
	if (serving != NULL && serving->restored_bytes >= 0) {
		words_bytes(serving->restored_bytes, size);
		if (json_object_set_new(row, "bytes", json_integer(serving->restored_bytes)) < 0)
			return error_no_memory(err, "status");
	}
	describe_look(op, look, now_ms, &d);
	short_version(r->postgres_version, postgres);
	age(d.since_ms, now_ms, since);
	const struct {
		const char *key, *value;
	} members[] = {{"namespace", r->namespace}, {"intent", r->intent}, {"type", r->type},
		{"state", replica_state_text[r->state]}, {"snapshot_id", r->last_restored_snapshot_id},
		{"desired_snapshot_id", r->desired_snapshot_id}, {"round", or_null(r->round)},
		{"active_round", or_null(r->active_round)}, {"run_id", or_null(r->run_id)},
		{"postgres_version", r->postgres_version}, {"size", or_null(size)}, {"postgres", or_null(postgres)},
		{"since", or_null(since)}, {"stage", d.stage}, {"tone", describe_tone_text[d.tone]}, {"says", d.says},
		{"waits_for", or_null(d.waits_for)}, {"next", or_null(d.next)}, {"verdict", d.verdict}, {"blame", d.blame},
		{"report", d.report}, {"report_error", r->report_error}, {"last_error", why != NULL ? why : r->last_error},
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

static int show_one(struct manager *op, const char *namespace, json_t *rows, struct error *err)
{
	AUTO(look_value) struct look look = {0};
	AUTO_FREE char *why = NULL;
	if (cache_look(op->cache, namespace, &look, err) < 0)
		return -1;
	if (!look.has_replica)
		return 0;
	if (look.replica.is_deleting && status_why_terminating(op->k8s, &look.replica, &why, err) < 0)
		return -1;
	return add_row(op, rows, &look, why, err);
}

struct asked {
	struct manager *op;
	const struct output *output;
};

static int show(void *arg, FILE *to, struct error *err)
{
	static const struct output_column columns[] = {{"NAMESPACE", "namespace", 0, NULL}, {"INTENT", "intent", 0, NULL},
		{"STATE", "state", 0, "tone"}, {"SINCE", "since", 0, NULL}, {"SNAPSHOT", "snapshot_id", 15, NULL},
		{"POSTGRES", "postgres", 0, NULL}, {"SIZE", "size", 0, NULL}, {"REPORT", "report", 0, NULL},
		{"WAITS FOR", "waits_for", 60, NULL}, {"LAST ERROR", "last_error", 100, NULL}};
	const struct asked *asked = arg;
	struct manager *op = asked->op;
	AUTO(json) json_t *rows = json_array();
	AUTO_FREE char(*names)[ENTRY_NAMESPACE_SIZE] = NULL;
	size_t count = 0;
	if (cache_list(op->cache, op->k8s, err) < 0)
		return error_wrap(err, "cluster");
	if (cache_names(op->cache, &names, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (output_is_asked(asked->output, names[i]) && show_one(op, names[i], rows, err) < 0)
			return -1;
	}
	return output_rows(asked->output, rows, columns, sizeof(columns) / sizeof(columns[0]), to, err);
}

int status(const struct settings *settings, const struct output *output, struct error *err)
{
	AUTO(wiring) struct wiring *wiring = NULL;
	if (wiring_open(settings, WIRING_CLUSTER, &wiring, err) < 0)
		return -1;
	struct asked asked = {.op = wiring_manager(wiring), .output = output};
	return output_run(output, show, &asked, err);
}
