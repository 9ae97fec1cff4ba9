#include "reconciler/step_parts.h"

#include "base/log.h"
#include "reconciler/details.h"
#include "reconciler/patch.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int make_report(const struct round_view *v, const struct step *step, const char *stage, const char *postgres_version,
	char **out, struct error *err)
{
	AUTO(json) json_t *details = NULL;
	AUTO(json) json_t *traffic = NULL;
	struct error ignored;
	const struct replica *r = v->replica;

	if (details_make(v, &details, err) < 0)
		return -1;
	if (r->traffic != NULL && json_parse(r->traffic, strlen(r->traffic), &traffic, &ignored) < 0)
		traffic = NULL; // a person's typing must not keep a report from leaving
	const struct report report = {.group_id = v->entry->group_id,
		.server_id = v->entry->server_id,
		.replica_id = v->entry->replica_id,
		.has_server_id = v->entry->has_server_id,
		.type = v->entry->type,
		.intent = v->entry->intent,
		.snapshot_id = r->round_snapshot_id,
		.run_id = r->run_id[0] == '\0' ? NULL : r->run_id,
		.grade = step->grade,
		.owner = step->owner,
		.stage = stage,
		.cause = step->text[0] == '\0' ? NULL : step->text,
		.postgres_version = postgres_version,
		.observed_at_ms = v->now_ms,
		.details = details,
		.traffic = traffic};
	return report_build(&report, out, err);
}

// "<grade> <stage> <owner>", the last one when somebody has to do something.
static void set_verdict(struct patch *p, enum report_grade grade, enum report_owner owner, const char *stage)
{
	char verdict[96];
	(void)snprintf(verdict, sizeof(verdict), "%s %.31s%s%s", report_grade_text[grade], stage, owner == OWNER_NONE ? "" : " ",
		owner == OWNER_NONE ? "" : report_owner_text[owner]);
	patch_set(p, ANN_VERDICT, verdict);
}

static void count_round(struct manager *op, const struct round_view *v, enum report_grade grade)
{
	metrics_add(op->metrics, METRIC_ROUNDS_TOTAL, report_grade_text[grade], NULL, NULL, 1);
	if (v->replica->round_started_at_ms != REPLICA_NEVER)
		metrics_observe(op->metrics, METRIC_RESTORE_DURATION_SECONDS,
			(double)(v->now_ms - v->replica->round_started_at_ms) / 1000.0);
}

// What is active says so; what is salvaged serves too, but as a warning.
static void say_active(struct manager *op, const struct round_view *v, const struct step *step, bool is_first)
{
	char name[OBJECT_NAME_SIZE];
	name_deployment(v->replica->round, name);
	log_info("active", LOG_STR("namespace", v->replica->namespace), LOG_STR("round", v->replica->round),
		LOG_STR("grade", report_grade_text[step->grade]), LOG_STR("postgres", v->replica->postgres_version),
		LOG_STR("run_id", v->replica->run_id));
	if (step->grade == GRADE_SALVAGED)
		step_say(op, v->replica, "apps/v1", "Deployment", name, true, "Salvaged", step->text);
	else
		step_say(op, v->replica, "apps/v1", "Deployment", name, false, is_first ? "Active" : "Refreshed",
			"the database came up and passed its checks");
}

int step_activate(struct manager *op, struct round_view *v, const struct step *step, struct error *err)
{
	AUTO(patch) struct patch p = {0};
	AUTO_FREE char *report = NULL;
	const struct check_result *result = v->check_result;
	const struct deployment_view *deployment = scene_deployment(&v->scene, v->replica->round);
	const char *stage = step->stage[0] == '\0' ? result->stage : step->stage;

	if (make_report(v, step, stage, result->server_version, &report, err) < 0)
		return -1;
	patch_init(&p, v->replica);
	patch_set(&p, ANN_RESTORE_STATE, replica_state_text[STATE_ACTIVE]);
	patch_set(&p, ANN_ACTIVE_ROUND, v->replica->round);
	patch_set(&p, ANN_LAST_RESTORED_SNAPSHOT_ID, v->replica->round_snapshot_id);
	patch_set_time(&p, ANN_LAST_RESTORED_AT, v->now_ms);
	patch_set(&p, ANN_POSTGRES_VERSION, result->server_version);
	patch_set(&p, ANN_FAILURES, NULL);
	patch_set(&p, ANN_FAILED_AT, NULL);
	patch_set(&p, ANN_LAST_ERROR, step->text[0] == '\0' ? NULL : step->text);
	set_verdict(&p, step->grade, step->owner, stage);
	patch_set(&p, ANN_REPORT, report);
	patch_set(&p, ANN_REPORT_ERROR, NULL);
	bool is_first = v->replica->active_round[0] == '\0';
	if (patch_send(&p, op->k8s, v->replica, err) < 0)
		return -1;
	count_round(op, v, step->grade);
	if (step->grade != GRADE_SALVAGED)
		metrics_raise(op->metrics, METRIC_LAST_VERIFIED_TIMESTAMP_SECONDS, v->entry->intent, NULL, NULL,
			(double)v->now_ms / 1000.0);
	if (deployment != NULL && deployment->restored_bytes > 0)
		metrics_add(op->metrics, METRIC_RESTORED_BYTES_TOTAL, NULL, NULL, NULL, (double)deployment->restored_bytes);
	checks_forget(op->checks, v->replica->namespace, v->replica->round);
	say_active(op, v, step, is_first);
	return 0;
}

static void enlarge_volume(struct manager *op, const struct round_view *v, struct patch *p)
{
	bool is_capped = false;
	int64_t next = round_next_volume_bytes(v, &is_capped);
	patch_set_int(p, ANN_VOLUME_BYTES, next);
	if (is_capped)
		step_say(op, v->replica, NULL, NULL, NULL, true, "VolumeSizeCapped",
			next == round_volume_bytes(v) ? "the restore does not fit into storageSizeMaximum: raise it, or the next "
							"rounds fail in the same way"
						      : "the restore did not fit, and storageSizeMaximum allows the next volume "
							"less than twice the size");
}

int step_fail(struct manager *op, struct round_view *v, const struct step *step, struct error *err)
{
	AUTO(patch) struct patch p = {0};
	AUTO_FREE char *report = NULL;
	char job[OBJECT_NAME_SIZE];
	const struct restore_message said = round_said(v);
	const char *version =
		v->check == CHECK_DONE && v->check_result->server_version[0] != '\0' ? v->check_result->server_version : NULL;

	if (make_report(v, step, step->stage, version, &report, err) < 0)
		return -1;
	patch_init(&p, v->replica);
	patch_set(&p, ANN_RESTORE_STATE, replica_state_text[STATE_FAILED]);
	patch_set_int(&p, ANN_FAILURES, v->replica->failures + 1);
	patch_set_time(&p, ANN_FAILED_AT, v->now_ms);
	patch_set(&p, ANN_LAST_ERROR, step->text);
	if (said.backup[0] != '\0')
		patch_set(&p, ANN_BACKUP, said.backup);
	if (step->is_volume_full)
		enlarge_volume(op, v, &p);
	set_verdict(&p, step->grade, step->owner, step->stage);
	patch_set(&p, ANN_REPORT, report);
	patch_set(&p, ANN_REPORT_ERROR, NULL);
	if (patch_send(&p, op->k8s, v->replica, err) < 0)
		return -1;
	count_round(op, v, step->grade);
	checks_forget(op->checks, v->replica->namespace, v->replica->round);
	name_restore(v->replica->round, job);
	log_warn("round failed", LOG_STR("namespace", v->replica->namespace), LOG_STR("round", v->replica->round),
		LOG_STR("grade", report_grade_text[step->grade]), LOG_STR("owner", report_owner_text[step->owner]),
		LOG_STR("stage", step->stage), LOG_STR("cause", step->text), LOG_STR("run_id", v->replica->run_id));
	step_say(op, v->replica, "batch/v1", "Job", job, true, "RestoreFailed", step->text);
	return 0;
}
