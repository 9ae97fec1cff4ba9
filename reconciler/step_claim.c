#include "reconciler/step_parts.h"

#include "base/log.h"
#include "reconciler/patch.h"
#include <string.h>

static bool key_is_used(const struct round_view *v, const char *key)
{
	const struct scene *s = &v->scene;
	bool used = strcmp(key, v->replica->active_round) == 0;
	for (size_t i = 0; i < s->job_count; i++)
		used = used || strcmp(s->jobs[i].of.round, key) == 0;
	for (size_t i = 0; i < s->deployment_count; i++)
		used = used || strcmp(s->deployments[i].of.round, key) == 0;
	for (size_t i = 0; i < s->pvc_count; i++)
		used = used || strcmp(s->pvcs[i].of.round, key) == 0;
	return used;
}

// The next attempt of the snapshot. When canopy went to another snapshot and back, the count began anew: an attempt whose objects
// are still there is passed over, since a restore never writes over data that serves.
static int next_attempt(const struct round_view *v, int *attempt, char key[ROUND_KEY_SIZE], struct error *err)
{
	const struct replica *r = v->replica;
	bool is_same = r->round_snapshot_id != NULL && strcmp(r->round_snapshot_id, v->entry->snapshot_id) == 0;
	int next = is_same ? r->attempt : 0;
	do {
		next++;
		if (round_key(v->entry->snapshot_id, next, key, err) < 0)
			return -1;
	} while (key_is_used(v, key));
	*attempt = next;
	return 0;
}

// What a claim says in annotations, but for what it takes away.
static int fill(struct patch *p, const struct round_view *v, struct error *err)
{
	char run_id[UUID_TEXT_SIZE], key[ROUND_KEY_SIZE];
	int attempt = 0;
	if (uuid_make(run_id, err) < 0 || next_attempt(v, &attempt, key, err) < 0)
		return -1;
	patch_set(p, ANN_RESTORE_STATE, replica_state_text[STATE_RESTORING]);
	patch_set(p, ANN_DESIRED_SNAPSHOT_ID, v->entry->snapshot_id);
	patch_set(p, ANN_DESIRED_SNAPSHOT_AT, v->entry->snapshot_at);
	patch_set(p, ANN_ROUND, key);
	patch_set(p, ANN_ROUND_SNAPSHOT_ID, v->entry->snapshot_id);
	patch_set_int(p, ANN_ATTEMPT, attempt);
	patch_set(p, ANN_RUN_ID, run_id);
	patch_set_time(p, ANN_ROUND_STARTED_AT, v->now_ms);
	return 0;
}

// The next backup of a server is about as large as the one before: what that one's restore read says how far this one is. A round
// that failed has not read all of it, so what was expected then is expected still.
static void expect(struct patch *p, const struct replica *r)
{
	AUTO(json) json_t *traffic = NULL;
	struct error ignored;
	if (r->traffic == NULL || r->state != STATE_ACTIVE || json_parse(r->traffic, strlen(r->traffic), &traffic, &ignored) < 0)
		return;
	int64_t bytes = json_find_int(0, traffic, "s3_received_payload_bytes");
	if (bytes > 0)
		patch_set_int(p, ANN_EXPECTED_BYTES, bytes);
}

void step_say_claimed(const struct replica *replica, enum action_reason reason)
{
	log_info("round claimed", LOG_STR("namespace", replica->namespace), LOG_STR("snapshot", replica->round_snapshot_id),
		LOG_INT("attempt", replica->attempt), LOG_STR("round", replica->round), LOG_STR("run_id", replica->run_id),
		LOG_STR("reason", action_reason_text[reason]));
}

int step_claim_first(const struct entry *entry, int64_t now_ms, json_t *namespace, struct error *err)
{
	AUTO(patch) struct patch p = {0};
	struct replica nothing_yet = {.last_restored_at_ms = REPLICA_NEVER};
	const struct round_view v = {.entry = entry, .replica = &nothing_yet, .now_ms = now_ms};
	patch_init(&p, &nothing_yet);
	return fill(&p, &v, err) < 0 ? -1 : patch_into(&p, namespace, err);
}

int step_claim(struct manager *op, struct round_view *v, const struct step *step, struct error *err)
{
	AUTO(patch) struct patch p = {0};
	const struct replica *r = v->replica;

	bool is_other_snapshot = r->round_snapshot_id == NULL || strcmp(r->round_snapshot_id, v->entry->snapshot_id) != 0;
	patch_init(&p, r);
	if (fill(&p, v, err) < 0)
		return -1;
	patch_set(&p, ANN_FORCE_REFRESH, NULL);
	expect(&p, r);
	patch_set(&p, ANN_TRAFFIC, NULL);
	patch_set(&p, ANN_CREDENTIALS_REFUSED, NULL);
	if (!round_keeps_backup(v, step->reason))
		patch_set(&p, ANN_BACKUP, NULL);
	if (is_other_snapshot)
		patch_set(&p, ANN_FAILURES, NULL);
	if (patch_send(&p, op->k8s, v->replica, err) < 0)
		return -1;
	step_say_claimed(v->replica, step->reason);
	if (step->reason != REASON_NEW)
		metrics_add(op->metrics, METRIC_ACTIONS_TOTAL, "refresh", action_reason_text[step->reason], NULL, 1);
	return 0;
}
