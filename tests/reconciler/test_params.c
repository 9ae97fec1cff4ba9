// Each parameter that is offered to canopy (canopy/intents.c) is obeyed: the same replica, with it and without, is treated
// otherwise.
#include "builders/objects.h"
#include "canopy/intents.h"
#include "reconciler/round.h"
#include "reconciler/step_parts.h"
#include "tests/reconciler/scenes.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <string.h>

#define KEY "aaaaaaaa"
#define OLD "bbbbbbbb"
#define STARTED \
	"\"round\":\"" KEY "\",\"round-snapshot-id\":\"s1\",\"attempt\":\"1\",\"round-started-at\":\"2026-11-20T11:00:00Z\""
#define STARTING "\"restore-state\":\"starting\"," STARTED
#define ACTIVE                                                                                                                \
	"\"restore-state\":\"active\"," STARTED ",\"active-round\":\"" KEY                                                    \
	"\",\"last-restored-snapshot-id\":\"s1\",\"last-restored-at\":\"2026-11-20T11:50:00Z\",\"last-verification-reported-" \
	"round\":\"" KEY "\""
#define MINUTES(n) ((n)*INT64_C(60000))

// An entry with its params, and what the operator makes of it, as a text.
struct world {
	struct settings *settings;
	struct entry entry;
	struct replica replica;
	struct deployment_view deployment;
	struct pod_view pod;
	struct pvc_view pvc;
	struct round_view view;
};

static void put_round(struct workload *of, const char *round)
{
	(void)snprintf(of->round, sizeof(of->round), "%s", round);
}

static void set_up(struct world *w, const char *snapshot, const char *params, const char *annotations)
{
	struct error err = {0};
	char extra[512];
	(void)snprintf(extra, sizeof(extra), ",\"snapshot_id\":\"%s\",\"params\":{%s}", snapshot, params);
	*w = (struct world){.settings = scene_settings(),
		.entry = scene_entry(SCENE_SERVER_ID, "analytics", extra),
		.replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "analytics", annotations)};
	w->view = (struct round_view){.entry = &w->entry,
		.replica = &w->replica,
		.scene = {.deployments = &w->deployment, .pods = &w->pod, .pvcs = &w->pvc},
		.settings = w->settings,
		.has_slot = true,
		.now_ms = scene_now_ms()};
	assert_ok(intents_resolve(w->settings, &w->entry, &w->view.sizing, &err), err);
}

static void tear_down(struct world *w)
{
	entry_fini(&w->entry);
	replica_fini(&w->replica);
	settings_free(w->settings);
}

static const char *next(const struct world *w)
{
	struct step step;
	next_step(&w->view, &step);
	return step_kind_text[step.kind];
}

// A newer snapshot, ten minutes after the last restore.
static void newer_snapshot(struct world *w, const char *params, char *out, size_t size)
{
	set_up(w, "s2", params, ACTIVE);
	(void)snprintf(out, size, "%s", next(w));
}

// An older round's volume, ten minutes after the switch.
static void older_round(struct world *w, const char *params, char *out, size_t size)
{
	set_up(w, "s1", params, ACTIVE);
	put_round(&w->pvc.of, OLD);
	w->view.scene.pvc_count = 1;
	(void)snprintf(out, size, "%s", next(w));
}

// A Deployment whose pod has not begun after ten minutes.
static void slow_start(struct world *w, const char *params, char *out, size_t size)
{
	set_up(w, "s1", params, STARTING);
	put_round(&w->deployment.of, KEY);
	w->deployment.of.created_at_ms = w->view.now_ms - MINUTES(10);
	w->view.scene.deployment_count = 1;
	(void)snprintf(out, size, "%s", next(w));
}

static void volume(struct world *w, const char *params, char *out, size_t size)
{
	set_up(w, "s1", params, STARTING ",\"volume-bytes\":\"1Ti\"");
	(void)snprintf(out, size, "%lld", (long long)round_volume_bytes(&w->view));
}

static void check(struct world *w, const char *params, char *out, size_t size)
{
	struct check_request request = {0};
	set_up(w, "s1", params, STARTING);
	put_round(&w->deployment.of, KEY);
	put_round(&w->pod.of, KEY);
	w->view.scene.deployment_count = w->view.scene.pod_count = 1;
	assert_true(step_check_request(&w->view, &request));
	(void)snprintf(out, size, "%s", settings_depth_text[request.depth]);
}

static json_t *deployment(struct world *w, const char *params)
{
	struct error err = {0};
	json_t *object = NULL;
	set_up(w, "s1", params, STARTING);
	const struct build b = {.settings = w->settings, .entry = &w->entry, .sizing = w->view.sizing};
	const struct build_round round = {.key = KEY, .snapshot_id = "s1", .attempt = 1};
	const struct build_restored restored = {.postgres_major = 15, .bytes = -1, .files = -1};
	assert_ok(build_deployment(&b, &round, &restored, &object, &err), err);
	return object;
}

// Of restores, of prepare and of the database alike.
static void resources(struct world *w, const char *params, char *out, size_t size)
{
	struct error err = {0};
	AUTO(json) json_t *object = deployment(w, params);
	AUTO(json) json_t *job = NULL;
	AUTO_FREE char *printed = NULL;
	const struct build b = {.settings = w->settings, .entry = &w->entry, .sizing = w->view.sizing, .broker_ca_pem = "pem"};
	const struct build_round round = {.key = KEY, .snapshot_id = "s1", .attempt = 1};
	char image[] = "example.org/understory:1";
	w->settings->proxy_image = strdup(image);
	assert_ok(build_restore_job(&b, &round, &job, &err), err);
	const json_t *pod = json_find(object, "spec", "template", "spec");
	const json_t *of_postgres = json_find(json_array_get(json_object_get(pod, "containers"), 0), "resources");
	const json_t *of_prepare = json_find(json_array_get(json_object_get(pod, "initContainers"), 0), "resources");
	const json_t *of_restore =
		json_find(json_array_get(json_find(job, "spec", "template", "spec", "containers"), 0), "resources");
	assert_true(json_equal(of_postgres, of_prepare) && json_equal(of_postgres, of_restore));
	assert_ok(json_print(of_postgres, &printed, &err), err);
	(void)snprintf(out, size, "%s", printed);
}

// A round that was claimed and has nothing yet.
static void first_step(struct world *w, const char *params, char *out, size_t size)
{
	set_up(w, "s1", params, "\"restore-state\":\"restoring\",\"round\":\"" KEY "\",\"round-snapshot-id\":\"s1\",\"attempt\":\"1\"");
	(void)snprintf(out, size, "%s", next(w));
}

static void environment(struct world *w, const char *params, char *out, size_t size)
{
	AUTO(json) json_t *object = deployment(w, params);
	const json_t *prepare = json_array_get(json_find(object, "spec", "template", "spec", "initContainers"), 0);
	size_t i;
	const json_t *variable;
	(void)snprintf(out, size, "not set");
	json_array_foreach (json_object_get(prepare, "env"), i, variable) {
		if (strcmp(json_find_str(variable, "name"), "ALLOW_RESET_WAL") == 0)
			(void)snprintf(out, size, "%s", json_find_str(variable, "value"));
	}
}

static const struct {
	const char *name, *value;
	void (*treat)(struct world *w, const char *params, char *out, size_t size);
	const char *without, *with;
} rows[] = {
	{"minimum_ttl", "3600", newer_snapshot, "claim", "wait"},
	{"switchover_grace", "3600", older_round, "sweep", "wait"},
	{"deployment_ready_timeout", "300", slow_start, "wait", "fail"},
	{"storage_size_maximum", "107374182400", volume, "1099511627776", "107374182400"},
	{"memory_request", "1048576", resources, "{\"limits\":{},\"requests\":{}}",
		"{\"limits\":{},\"requests\":{\"memory\":\"1048576\"}}"},
	{"memory_limit", "\"2Gi\"", resources, "{\"limits\":{},\"requests\":{}}",
		"{\"limits\":{\"memory\":\"2Gi\"},\"requests\":{}}"},
	{"cpu_request", "\"250m\"", resources, "{\"limits\":{},\"requests\":{}}",
		"{\"limits\":{},\"requests\":{\"cpu\":\"250m\"}}"},
	{"cpu_limit", "\"2\"", resources, "{\"limits\":{},\"requests\":{}}", "{\"limits\":{\"cpu\":\"2\"},\"requests\":{}}"},
	{"depth", "\"deep\"", check, "quick", "deep"},
	{"flavour", "\"pg_durable\"", first_step, "make", "fail"}, // it has no image yet
	{"allow_reset_wal", "true", environment, "not set", "true"},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void each_parameter_is_obeyed(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		struct world w;
		char params[128], without[512], with[512];
		(void)snprintf(params, sizeof(params), "\"%s\":%s", rows[i].name, rows[i].value);
		rows[i].treat(&w, "", without, sizeof(without));
		tear_down(&w);
		rows[i].treat(&w, params, with, sizeof(with));
		tear_down(&w);
		if (strcmp(without, rows[i].without) != 0 || strcmp(with, rows[i].with) != 0)
			fail_msg("%s: %s without, %s with it", params, without, with);
	}
}

static void each_parameter_that_is_offered_has_its_row(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(settings) struct settings *settings = scene_settings();
	AUTO(json) json_t *capabilities = NULL;
	assert_ok(intents_capabilities(settings, &capabilities, &err), err);
	const json_t *offered =
		json_object_get(json_array_get(json_object_get(capabilities, "intents"), INTENT_ANALYTICS), "params");
	for (size_t i = 0; i < ROWS; i++) {
		if (json_object_get(offered, rows[i].name) == NULL)
			fail_msg("%s is not offered", rows[i].name);
	}
	assert_int_equal(json_object_size(offered), ROWS);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(each_parameter_is_obeyed),
		cmocka_unit_test(each_parameter_that_is_offered_has_its_row),
	};
	return cmocka_run_group_tests_name("reconciler/params", cases, NULL, NULL);
}
