// health_details: what a report carries is what its manual says, and nothing that is not known.
#include "reconciler/details.h"
#include "base/clock.h"
#include "tests/reconciler/manual.h"
#include "tests/reconciler/scenes.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <string.h>

#define KEY "aaaaaaaa"
#define STARTING                                                                  \
	"\"restore-state\":\"starting\",\"round\":\"" KEY                         \
	"\",\"round-snapshot-id\":\"s1\",\"attempt\":\"2\",\"round-started-at\":" \
	"\"2026-11-20T11:00:00Z\""
#define SNAPSHOT ",\"snapshot_id\":\"s1\",\"snapshot_at\":\"2026-11-20T08:10:00Z\""

// All that a deep check may tell (tests/reconciler/test_check_deep.c: a real one tells nothing that the manual does not).
#define CHECKED                                                                                                                 \
	"{\"depth\":\"deep\",\"stages\":[{\"name\":\"connect\",\"seconds\":0.5},{\"name\":\"rows\",\"seconds\":1.25}],"         \
	"\"databases\":1,"                                                                                                      \
	"\"sizes\":{},\"relations_checked\":1,\"catalog_rows_read\":1,\"tables_checked\":1,\"rows_read\":1,\"relations_read\":" \
	"1,"                                                                                                                    \
	"\"bytes_read\":1,\"indexes_checked\":1,\"indexes_skipped\":[],\"checksums\":\"on\",\"checksum_failures\":0,"           \
	"\"url\":\"postgresql://h/\",\"node_port\":30001,"                                                                      \
	"\"notes\":[\"of the checks\"]}"
#define SAID                                                                                                               \
	"{\"capture\":\"base_backup\",\"load_warnings\":1,\"disarmed\":[\"a\"],\"disarmed_more\":1,\"repaired\":[\"b\"],"  \
	"\"repaired_more\":2,"                                                                                             \
	"\"checkpoint_at\":\"2026-11-20T08:00:00Z\",\"last_commit_at\":\"2026-11-20T08:04:00Z\",\"recovered_to\":\"0/3\"," \
	"\"notes\":[\"of prepare\"]}"

// A round that is about to end, of which everything is known.
struct fixture {
	struct settings *settings;
	struct entry entry;
	struct replica replica;
	struct deployment_view deployment;
	struct pod_view pods[2];
	char message[256];
	struct check_result checked;
	struct pod_words words;
	struct round_view view;
};

static json_t *parse(const char *text)
{
	struct error err = {0};
	json_t *value = NULL;
	assert_ok(json_parse(text, strlen(text), &value, &err), err);
	return value;
}

static int64_t at_ms(const char *text)
{
	struct error err = {0};
	int64_t ms = 0;
	assert_ok(clock_parse(text, &ms, &err), err);
	return ms;
}

static void set_up(struct fixture *f, const char *entry_extra)
{
	*f = (struct fixture){.settings = scene_settings(),
		.entry = scene_entry(SCENE_SERVER_ID, "verify", entry_extra),
		.replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "verify", STARTING),
		.deployment = {.postgres_major = 15, .restored_bytes = 1000, .restored_files = 10, .flavour = "stock"},
		.message = "{\"postgres_version\":\"15\",\"bytes\":1000,\"files\":10,\"seconds\":61,\"engine\":\"restic 0.18.1\","
			   "\"layout\":\"debian\",\"backup\":\"2026-11-20\"}",
		.checked = {.grade = GRADE_CLEAN,
			.stage = "checksums",
			.server_version = "15.20 (Debian)",
			.details = parse(CHECKED)},
		.words = {.has_prepared = true,
			.recovery_s = 7,
			.load_s = 5,
			.checkpoint_at_ms = at_ms("2026-11-20T08:00:00Z"),
			.last_commit_at_ms = at_ms("2026-11-20T08:04:00Z"),
			.prepare_ended_at_ms = at_ms("2026-11-20T11:20:00Z"),
			.ready_at_ms = at_ms("2026-11-20T11:20:03Z"),
			.image = "postgres:15",
			.image_id = "postgres@sha256:f4",
			.details = parse(SAID)}};
	(void)snprintf(f->deployment.of.round, sizeof(f->deployment.of.round), KEY);
	f->pods[0] = (struct pod_view){.is_restore = true, .message = f->message};
	(void)snprintf(f->pods[0].of.round, sizeof(f->pods[0].of.round), KEY);
	f->view = (struct round_view){.entry = &f->entry,
		.replica = &f->replica,
		.scene = {.deployments = &f->deployment, .deployment_count = 1, .pods = f->pods, .pod_count = 1},
		.settings = f->settings,
		.check = CHECK_DONE,
		.check_result = &f->checked,
		.words = &f->words,
		.now_ms = scene_now_ms()};
}

static void tear_down(struct fixture *f)
{
	json_decref(f->checked.details);
	pod_words_fini(&f->words);
	entry_fini(&f->entry);
	replica_fini(&f->replica);
	settings_free(f->settings);
}

// As it stands in the body of a report.
static json_t *details_of(const struct round_view *view, enum report_grade grade, enum report_owner owner)
{
	struct error err = {0};
	AUTO_FREE char *body = NULL;
	AUTO(json) json_t *details = NULL;
	assert_ok(details_make(view, &details, &err), err);
	const struct report report = {.group_id = SCENE_GROUP_ID,
		.server_id = SCENE_SERVER_ID,
		.type = "t",
		.intent = "verify",
		.grade = grade,
		.owner = owner,
		.stage = "checksums",
		.cause = owner == OWNER_NONE ? NULL : "the cause",
		.details = details};
	assert_ok(report_build(&report, &body, &err), err);
	AUTO(json) json_t *parsed = parse(body);
	return json_incref(json_object_get(parsed, "health_details"));
}

static void the_manual_and_a_full_report_have_the_same_keys(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, SNAPSHOT);
	AUTO(json) json_t *details = details_of(&f.view, GRADE_FAILED, OWNER_BACKUP);
	AUTO(json) json_t *carried = manual_keys_of(details);
	AUTO(json) json_t *manual = manual_keys();
	manual_assert_within(carried, manual, "is in reports and not in docs/health-details.md");
	manual_assert_within(manual, carried, "is in docs/health-details.md and not in reports");
	tear_down(&f);
}

static void what_a_full_report_says(void **state)
{
	(void)state;
	static const struct {
		const char *key, *value; // as compact JSON
	} rows[] = {
		{"attempt", "2"},
		{"restore_duration_sec", "3600"},
		{"restored_bytes", "1000"},
		{"layout", "\"debian\""},
		{"capture", "\"base_backup\""},
		{"engine", "\"restic\""},
		{"backup", "\"2026-11-20\""},
		{"versions", "{\"engine\":\"restic 0.18.1\",\"image\":\"postgres:15\",\"image_id\":\"postgres@sha256:f4\","
			     "\"operator\":\"" UNDERSTORY_VERSION "\",\"server\":\"15.20 (Debian)\"}"},
		{"durations", "{\"checks\":1.75,\"load\":5,\"recovery\":7,\"restore\":61,\"start\":3}"},
		{"recovery_point_lag_sec", "360"},
		{"notes", "[\"of prepare\",\"of the checks\"]"},
		{"repaired_more", "2"},
		{"owner", "\"backup\""},
	};
	struct fixture f;
	set_up(&f, SNAPSHOT);
	AUTO(json) json_t *details = details_of(&f.view, GRADE_FAILED, OWNER_BACKUP);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		AUTO_FREE char *printed =
			json_dumps(json_object_get(details, rows[i].key), JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
		if (printed == NULL || strcmp(printed, rows[i].value) != 0)
			fail_msg("%s is %s, expected %s", rows[i].key, printed == NULL ? "not there" : printed, rows[i].value);
	}
	tear_down(&f);
}

// Clean may then be too much said, so it is said.
static void words_that_are_lost_are_noted(void **state)
{
	(void)state;
	static const char lost[] = "what the prepare container said is lost: what was disarmed or rebuilt is not known";
	struct fixture f;
	set_up(&f, SNAPSHOT);
	pod_words_fini(&f.words);
	f.words = (struct pod_words){.recovery_s = -1, .load_s = -1};
	AUTO(json) json_t *details = details_of(&f.view, GRADE_CLEAN, OWNER_NONE);
	assert_string_equal(json_string_value(json_array_get(json_object_get(details, "notes"), 0)), lost);
	assert_string_equal(json_string_value(json_array_get(json_object_get(details, "notes"), 1)), "of the checks");
	tear_down(&f);
}

static void what_is_not_known_is_left_out(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO_FREE char *printed = NULL;
	struct fixture f;
	set_up(&f, SNAPSHOT);
	f.view.scene.deployment_count = f.view.scene.pod_count = 0;
	f.view.words = NULL;
	f.view.check = CHECK_NONE;
	AUTO(json) json_t *details = details_of(&f.view, GRADE_CLEAN, OWNER_NONE);
	assert_ok(json_print(details, &printed, &err), err);
	assert_string_equal(printed, "{\"attempt\":2,\"grade\":\"clean\",\"restore_duration_sec\":3600,\"stage\":\"checksums\","
				     "\"versions\":{\"operator\":\"" UNDERSTORY_VERSION "\"}}");
	tear_down(&f);
}

static void how_far_the_database_lags_behind_its_snapshot(void **state)
{
	(void)state;
	static const struct {
		const char *label, *entry, *checkpoint_at, *last_commit_at;
		const char *lag; // NULL: not said
	} rows[] = {
		{"by its last commit", SNAPSHOT, "2026-11-20T08:00:00Z", "2026-11-20T08:04:00Z", "360"},
		{"by its checkpoint", SNAPSHOT, "2026-11-20T08:00:00Z", NULL, "600"},
		{"ahead of it", SNAPSHOT, NULL, "2026-11-20T08:11:00Z", "-60"},
		{"nothing is said", SNAPSHOT, NULL, NULL, NULL},
		{"when it was taken is not known", ",\"snapshot_id\":\"s1\"", "2026-11-20T08:00:00Z", NULL, NULL},
		{"the entry has gone on", ",\"snapshot_id\":\"s2\",\"snapshot_at\":\"2026-11-20T09:10:00Z\"",
			"2026-11-20T08:00:00Z", NULL, NULL},
		{"there is a time and no snapshot", ",\"snapshot_at\":\"2026-11-20T08:10:00Z\"", "2026-11-20T08:00:00Z", NULL,
			NULL},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fixture f;
		set_up(&f, rows[i].entry);
		f.words.checkpoint_at_ms = rows[i].checkpoint_at == NULL ? 0 : at_ms(rows[i].checkpoint_at);
		f.words.last_commit_at_ms = rows[i].last_commit_at == NULL ? 0 : at_ms(rows[i].last_commit_at);
		AUTO(json) json_t *details = details_of(&f.view, GRADE_CLEAN, OWNER_NONE);
		const json_t *lag = json_object_get(details, "recovery_point_lag_sec");
		AUTO_FREE char *printed = lag == NULL ? NULL : json_dumps(lag, JSON_ENCODE_ANY);
		bool is_same = rows[i].lag == NULL ? printed == NULL : printed != NULL && strcmp(printed, rows[i].lag) == 0;
		if (!is_same)
			fail_msg("%s: %s", rows[i].label, printed == NULL ? "not said" : printed);
		tear_down(&f);
	}
}

static void a_round_of_which_half_is_known(void **state)
{
	(void)state;
	static const char *const what[] = {"its entry", "its snapshot", "when the snapshot was taken", "when it began"};
	static const char *const lacks[] = {
		"recovery_point_lag_sec", "recovery_point_lag_sec", "recovery_point_lag_sec", "restore_duration_sec"};
	for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); i++) {
		struct fixture f;
		set_up(&f, SNAPSHOT);
		if (i == 0)
			f.view.entry = NULL;
		else if (i == 1)
			f.replica.round_snapshot_id[0] = '?';
		else if (i == 2)
			f.entry.snapshot_at[0] = '?';
		else
			f.replica.round_started_at_ms = REPLICA_NEVER;
		AUTO(json) json_t *details = details_of(&f.view, GRADE_CLEAN, OWNER_NONE);
		if (json_object_get(details, lacks[i]) != NULL || json_find_int(-1, details, "restored_bytes") != 1000)
			fail_msg("%s is not known", what[i]);
		tear_down(&f);
	}
}

static void what_the_deployment_does_not_say_its_restore_pod_said(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, SNAPSHOT);
	f.deployment.restored_bytes = f.deployment.restored_files = -1;
	(void)snprintf(f.message, sizeof(f.message), "{\"postgres_version\":\"15\",\"bytes\":77,\"files\":7}");
	free(f.replica.round_snapshot_id);
	f.replica.round_snapshot_id = NULL;
	AUTO(json) json_t *details = details_of(&f.view, GRADE_CLEAN, OWNER_NONE);
	assert_int_equal(json_find_int(-1, details, "restored_bytes"), 77);
	assert_int_equal(json_find_int(-1, details, "restored_files"), 7);
	assert_null(json_object_get(details, "recovery_point_lag_sec"));
	tear_down(&f);
}

// A restore pod says what it likes.
static void an_engine_that_is_none_of_ours(void **state)
{
	(void)state;
	static const struct {
		const char *said, *engine;
	} rows[] = {{"restic 0.18.1", "restic"}, {"kopia 0.23.1", "kopia"}, {"restic", "restic"}, {"resticked 1", NULL},
		{"tar 1.34", NULL}, {"", NULL}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fixture f;
		set_up(&f, SNAPSHOT);
		(void)snprintf(f.message, sizeof(f.message), "{\"postgres_version\":\"15\",\"engine\":\"%s\"}", rows[i].said);
		AUTO(json) json_t *details = details_of(&f.view, GRADE_CLEAN, OWNER_NONE);
		const char *engine = json_find_str(details, "engine");
		bool is_same = rows[i].engine == NULL ? engine == NULL : engine != NULL && strcmp(engine, rows[i].engine) == 0;
		if (!is_same)
			fail_msg("%s: %s", rows[i].said, engine == NULL ? "not said" : engine);
		tear_down(&f);
	}
}

// A later attempt whose pod left no word restores what the first one had found.
static void a_pinned_backup_is_named(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, SNAPSHOT);
	(void)snprintf(f.message, sizeof(f.message), "{\"postgres_version\":\"15\"}");
	f.replica.backup = strdup("2026-11-19");
	AUTO(json) json_t *details = details_of(&f.view, GRADE_CLEAN, OWNER_NONE);
	assert_string_equal(json_find_str(details, "backup"), "2026-11-19");
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(the_manual_and_a_full_report_have_the_same_keys),
		cmocka_unit_test(what_a_full_report_says),
		cmocka_unit_test(words_that_are_lost_are_noted),
		cmocka_unit_test(what_is_not_known_is_left_out),
		cmocka_unit_test(how_far_the_database_lags_behind_its_snapshot),
		cmocka_unit_test(a_round_of_which_half_is_known),
		cmocka_unit_test(what_the_deployment_does_not_say_its_restore_pod_said),
		cmocka_unit_test(an_engine_that_is_none_of_ours),
		cmocka_unit_test(a_pinned_backup_is_named),
	};
	return cmocka_run_group_tests_name("reconciler/details", cases, NULL, NULL);
}
