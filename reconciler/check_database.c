#include "reconciler/check_database.h"

#include "base/clock.h"
#include "reconciler/check_run.h"
#include <stdio.h>

const char *const check_stage_text[CHECK_STAGE_COUNT] = {
#define X(name, text) [name] = (text),
	CHECK_STAGES(X)
#undef X
};

const struct check_limits check_limits_default = {
	.ms =
		{
			[CHECK_STAGE_CONNECT] = 60000,
			[CHECK_STAGE_VERSION] = 10000,
			[CHECK_STAGE_RECOVERY] = 600000,
			[CHECK_STAGE_DATABASES] = 600000,
			[CHECK_STAGE_APPLICATION] = 10000,
			[CHECK_STAGE_RELATIONS] = 900000,
			[CHECK_STAGE_CATALOGS] = 900000,
			[CHECK_STAGE_TABLES] = 1800000,
			[CHECK_STAGE_ROWS] = 1800000,
			[CHECK_STAGE_INDEXES] = 1800000,
			[CHECK_STAGE_CHECKSUMS] = 60000,
		},
	.service_tries = 5,
	.service_pause_ms = 2000,
	.service_pause_max_ms = 30000,
	.object_ms = 600000,
	.ms_per_gib = 300000, // 3.5 MB/s: a volume that is slower is no place for a database
};

static int (*const stages[CHECK_STAGE_COUNT])(struct check_run *run, struct error *err) = {
	[CHECK_STAGE_CONNECT] = check_stage_connect,
	[CHECK_STAGE_VERSION] = check_stage_version,
	[CHECK_STAGE_RECOVERY] = check_stage_recovery,
	[CHECK_STAGE_DATABASES] = check_stage_databases,
	[CHECK_STAGE_APPLICATION] = check_stage_application,
	[CHECK_STAGE_RELATIONS] = check_stage_relations,
	[CHECK_STAGE_CATALOGS] = check_stage_catalogs,
	[CHECK_STAGE_TABLES] = check_stage_heaps,
	[CHECK_STAGE_ROWS] = check_stage_rows,
	[CHECK_STAGE_INDEXES] = check_stage_indexes,
	[CHECK_STAGE_CHECKSUMS] = check_stage_checksums,
	[CHECK_STAGE_SERVICE] = check_stage_service,
};

static bool is_asked_for(const struct check_request *request, int stage)
{
	if (stage == CHECK_STAGE_SERVICE)
		return request->find_service != NULL;
	return stage < CHECK_STAGE_QUICK_COUNT || request->depth == DEPTH_DEEP;
}

static int run_stage(struct check_run *run, enum check_stage stage, json_t *times, struct error *err)
{
	int64_t began_mono_ms = clock_mono_ms();
	run->stage = stage;
	run->stage_ends_mono_ms =
		began_mono_ms + (stage == CHECK_STAGE_SERVICE ? run->request->service_timeout_ms : run->limits->ms[stage]);
	(void)snprintf(run->result->stage, sizeof(run->result->stage), "%s", check_stage_text[stage]);

	int rc = stages[stage](run, err);
	double seconds = (double)(clock_mono_ms() - began_mono_ms) / 1000;
	(void)json_array_append_new(times, json_pack("{s:s, s:f}", "name", check_stage_text[stage], "seconds", seconds));
	return rc;
}

void check_database(const struct check_request *request, const struct check_limits *limits, const atomic_bool *cancel,
	struct check_result *result)
{
	struct error err = {0};
	AUTO(json) json_t *times = json_array();
	AUTO(json) json_t *skipped = json_array();
	AUTO(json) json_t *notes = json_array();
	struct check_run run = {
		.request = request, .limits = limits, .cancel = cancel, .result = result, .skipped = skipped, .notes = notes};
	*result = (struct check_result){.grade = GRADE_CLEAN, .details = json_object()};

	for (int stage = 0; stage < CHECK_STAGE_COUNT; stage++) {
		if (!is_asked_for(request, stage) || run_stage(&run, (enum check_stage)stage, times, &err) == 0)
			continue;
		// Only what the database itself said is the backup's fault (reconciler/check_connection.h), and not what was said
		// by whoever is at the end of a Service.
		bool is_its_fault = stage != CHECK_STAGE_SERVICE && (err.kind == ERROR_INVALID || err.kind == ERROR_NOT_FOUND);
		result->grade = is_its_fault ? GRADE_FAILED : GRADE_INCONCLUSIVE;
		(void)snprintf(result->cause, sizeof(result->cause), "%s", err.text);
		check_run_make_text(result->cause);
		break;
	}
	check_run_detail(result->details, "depth", json_string(settings_depth_text[request->depth]));
	check_run_detail(result->details, "stages", json_incref(times));
	check_run_detail(result->details, "notes", json_array_size(notes) == 0 ? NULL : json_incref(notes));
	check_connection_close(run.main);
	PQclear(run.databases);
	PQclear(run.checksums);
}
