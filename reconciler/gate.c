#include "reconciler/gate.h"

#include "base/clock.h"
#include "canopy/intents.h"
#include "canopy/report.h"
#include "reconciler/patch.h"
#include <stdio.h>
#include <string.h>

#define LANDED_TRIES 4
#define REFUSED_SINCE "refused since "

// The run of the report that is owed; "" when the body names none. Without memory nobody knows, and nothing may be done: what was
// sent under another name could not be recorded, and would be sent again.
static int run_of(const char *report, char out[UUID_TEXT_SIZE], struct error *err)
{
	struct error failure = {0};
	AUTO(json) json_t *body = NULL;
	out[0] = '\0';
	if (json_parse(report, strlen(report), &body, &failure) < 0 && failure.kind == ERROR_INTERNAL) {
		*err = failure;
		return -1;
	}
	const char *run_id = json_find_str(body, "run_id");
	if (run_id == NULL || uuid_parse(run_id, out, &failure) < 0)
		out[0] = '\0';
	return 0;
}

static void say(struct manager *op, const struct replica *replica, bool is_warning, const char *reason, const char *note)
{
	const struct event_regarding namespace = {.uid = replica->uid};
	events_send(op->events, replica->namespace, &namespace, is_warning, reason, "Report", note);
}

static int reread(struct manager *op, struct replica *replica, struct error *err)
{
	AUTO(json) json_t *answer = NULL;
	struct replica fresh;
	if (k8s_get(op->k8s, &K8S_NAMESPACE, NULL, replica->namespace, &answer, err) < 0 ||
		replica_from_json(answer, &fresh, err) < 0)
		return -1;
	replica_fini(replica);
	*replica = fresh;
	return 0;
}

// Take the report of this run away. why_not NULL: it landed. A Conflict is answered by reading again: somebody else wrote
// another annotation, and the report is the same as long as its run is.
static int settle(struct manager *op, struct replica *replica, const char *run_id, int64_t landed_at_ms, const char *why_not,
	struct error *err)
{
	for (int i = 0; i < LANDED_TRIES; i++) {
		char owed[UUID_TEXT_SIZE];
		if (replica->report == NULL)
			return 0;
		if (run_of(replica->report, owed, err) < 0)
			return -1;
		if (strcmp(owed, run_id) != 0)
			return 0; // another operator settled it and a newer one is owed
		AUTO(patch) struct patch p;
		patch_init(&p, replica);
		patch_set(&p, ANN_REPORT, NULL);
		patch_set(&p, ANN_REPORT_ERROR, why_not);
		if (why_not == NULL) {
			patch_set_time(&p, ANN_REPORTED_AT, landed_at_ms);
			patch_set(&p, ANN_REPORTED_ROUND, replica->round);
		}
		if (op->canopy == NULL)
			patch_set(&p, ANN_LAST_REPORT, replica->report);
		if (patch_send(&p, op->k8s, replica, err) == 0)
			return 0;
		if (err->kind != ERROR_CONFLICT || reread(op, replica, err) < 0)
			return -1;
	}
	return error_set(err, ERROR_CONFLICT, "the landed report could not be recorded in %d tries", LANDED_TRIES);
}

static bool is_refusal(const struct error *err)
{
	return err->kind == ERROR_INVALID && (err->http_status == 403 || err->http_status == 404 || err->http_status == 422);
}

// When the refusals of the report that is owed began, for people; now_ms when this is the first.
static int64_t refused_since(const struct replica *replica, int64_t now_ms)
{
	char text[CLOCK_TEXT_SIZE];
	int64_t since = now_ms;
	struct error ignored;
	if (replica->report_error == NULL || strncmp(replica->report_error, REFUSED_SINCE, strlen(REFUSED_SINCE)) != 0)
		return now_ms;
	(void)snprintf(text, sizeof(text), "%.20s", replica->report_error + strlen(REFUSED_SINCE));
	return clock_parse(text, &since, &ignored) < 0 ? now_ms : since;
}

// Write why the last try failed, once per reason: a service that is away must not cost a write a try.
static void note_failure(struct manager *op, struct replica *replica, const char *text)
{
	struct error ignored;
	if (replica->report_error != NULL && strcmp(replica->report_error, text) == 0)
		return;
	AUTO(patch) struct patch p;
	patch_init(&p, replica);
	patch_set(&p, ANN_REPORT_ERROR, text);
	if (patch_send(&p, op->k8s, replica, &ignored) < 0)
		log_debug("reason of a failed report not recorded", LOG_STR("namespace", replica->namespace), LOG_ERR(&ignored));
}

// canopy said no for good. The first time it is recorded and tried again for GATE_GIVE_UP_MS, then it is given up.
static int refused(struct manager *op, struct replica *replica, const char *run_id, struct memo *memo, int64_t now_ms,
	int64_t now_mono_ms, struct error *err)
{
	char since_text[CLOCK_TEXT_SIZE];
	char note[ERROR_TEXT_MAX + 64];
	int64_t since = refused_since(replica, now_ms);

	clock_format(since, since_text);
	(void)snprintf(note, sizeof(note), REFUSED_SINCE "%s: %s", since_text, err->text);
	metrics_add(op->metrics, METRIC_REPORTS_TOTAL, "refused", NULL, NULL, 1);
	say(op, replica, true, "ReportRefused", note);
	if (memo->refused_since_mono_ms == 0)
		memo->refused_since_mono_ms = now_mono_ms;
	if (now_mono_ms - memo->refused_since_mono_ms < GATE_GIVE_UP_MS) {
		note_failure(op, replica, note);
		return -1;
	}
	log_error("report given up", LOG_STR("namespace", replica->namespace), LOG_STR("run_id", run_id), LOG_ERR(err));
	metrics_add(op->metrics, METRIC_REPORTS_TOTAL, "given_up", NULL, NULL, 1);
	if (settle(op, replica, run_id, now_ms, note, err) < 0)
		return -1;
	memo->refused_since_mono_ms = 0;
	return 0;
}

int gate_send(
	struct manager *op, struct replica *replica, struct memo *memo, int64_t now_ms, int64_t now_mono_ms, struct error *err)
{
	char run_id[UUID_TEXT_SIZE];
	if (replica->report == NULL)
		return 0;
	bool is_healthy = false;
	if (run_of(replica->report, run_id, err) < 0 || report_is_healthy(replica->report, &is_healthy, err) < 0)
		return error_wrap(err, "report");

	// canopy has it already when an earlier write of ours failed after the POST: then only the write is missing.
	if (memo->landed_run_id[0] == '\0' || strcmp(memo->landed_run_id, run_id) != 0) {
		if (!manager_leads(op))
			return error_set(err, ERROR_CANCELLED, "this operator does not lead: no report is sent");
		if (op->canopy != NULL && canopy_report(op->canopy, replica->report, err) < 0) {
			if (is_refusal(err))
				return refused(op, replica, run_id, memo, now_ms, now_mono_ms, err);
			metrics_add(op->metrics, METRIC_REPORTS_TOTAL, "failed", NULL, NULL, 1);
			note_failure(op, replica, err->text);
			return error_wrap(err, "report");
		}
		memcpy(memo->landed_run_id, run_id, sizeof(run_id));
		metrics_add(op->metrics, METRIC_REPORTS_TOTAL, "landed", NULL, NULL, 1);
		log_info("report landed", LOG_STR("namespace", replica->namespace), LOG_STR("round", replica->round),
			LOG_STR("run_id", run_id), LOG_BOOL("healthy", is_healthy));
		if (op->canopy == NULL)
			say(op, replica, !is_healthy, "Reported", replica->report);
	}
	if (settle(op, replica, run_id, now_ms, NULL, err) < 0)
		return error_wrap(err, "record the landed report");
	memo->landed_run_id[0] = '\0';
	memo->refused_since_mono_ms = 0;
	return 0;
}

int gate_release(
	struct manager *op, struct replica *replica, struct memo *memo, int64_t now_ms, int64_t now_mono_ms, struct error *err)
{
	int intent = replica->intent == NULL ? -1 : intents_find(replica->intent);
	bool is_once = intent >= 0 && intents_is_once((enum settings_intent)intent);

	bool is_healthy = false;

	if (replica->report == NULL)
		return 0;
	if (is_once && report_is_healthy(replica->report, &is_healthy, err) < 0)
		return error_wrap(err, "report");
	if (is_healthy)
		return 0;
	if (gate_send(op, replica, memo, now_ms, now_mono_ms, err) == 0)
		return 0;
	if (now_mono_ms - memo->teardown_since_mono_ms < GATE_GIVE_UP_MS)
		return error_wrap(err, "teardown waits for its report");
	log_error("report given up with its replica", LOG_STR("namespace", replica->namespace), LOG_STR("body", replica->report),
		LOG_ERR(err));
	metrics_add(op->metrics, METRIC_REPORTS_TOTAL, "given_up", NULL, NULL, 1);
	say(op, replica, true, "ReportRefused", err->text);
	return 0;
}
