// Which flavour of the server a round comes up in: who says it, whose word counts, and what is an error.
#include "reconciler/flavour.h"

#include "tests/reconciler/scenes.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <string.h>

#define KEY "0a1b2c3d"
#define RESTORING "\"restore-state\":\"restoring\",\"round\":\"" KEY "\",\"round-snapshot-id\":\"s1\",\"attempt\":\"1\""

static char acme[] = "acme", image[] = "example.org/acme", durable[] = "pg_durable", stock[] = "stock", other[] = "other";
static struct settings_flavour flavours[] = {{.name = acme, .image = image}};

static const struct {
	const char *label;
	const char *said;   // by the restore Job
	char *wished;       // by the entry
	const char *before; // what an earlier round was
	const char *is, *error;
} rows[] = {
	{"nobody says anything", "", NULL, "", "stock", NULL},
	{"the backup says it", "acme", NULL, "", "acme", NULL},
	{"the entry says it", "", acme, "", "acme", NULL},
	{"both say the same", "acme", acme, "", "acme", NULL},
	{"an earlier round was one", "", NULL, "acme", "acme", NULL},
	{"the backup is stock again", "stock", NULL, "acme", "stock", NULL},
	{"the entry is stock again", "", stock, "acme", "stock", NULL},
	{"the entry calls a flavour stock", "acme", stock, "", NULL,
		"the backup is of flavour \"acme\", its entry says \"stock\""},
	{"the entry calls stock a flavour", "stock", acme, "", NULL,
		"the backup is of flavour \"stock\", its entry says \"acme\""},
	{"unknown, by the backup", "other", NULL, "", NULL,
		"flavour \"other\" of the backup is not known: the settings know stock, pg_durable, acme (hint: flavours.other)"},
	{"unknown, by the entry", "", other, "", NULL, "flavour \"other\" of the backup is not known"},
	{"unknown, since the settings know it no more", "", NULL, "other", NULL, "flavour \"other\" of the backup is not known"},
	{"known, without an image", "", durable, "", NULL, "flavour \"pg_durable\" has no image: set flavours.pg_durable.image"},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

// The view of a round that has its Job behind it.
struct world {
	struct settings *settings;
	struct entry entry;
	struct replica replica;
	struct job_view job;
	struct pod_view pod;
	char message[128];
	struct round_view view;
};

static void set_up(struct world *w, size_t i)
{
	*w = (struct world){.settings = scene_settings(),
		.entry = scene_entry(SCENE_SERVER_ID, "analytics", ",\"snapshot_id\":\"s1\""),
		.replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "analytics", RESTORING),
		.job = {.of = {.round = KEY}, .outcome = JOB_COMPLETE},
		.pod = {.of = {.round = KEY}, .is_restore = true}};
	w->settings->flavours = flavours;
	w->settings->flavour_count = 1;
	(void)snprintf(w->replica.flavour, sizeof(w->replica.flavour), "%s", rows[i].before);
	(void)snprintf(w->message, sizeof(w->message), "{\"postgres_version\":\"15\",\"flavour\":\"%s\"}", rows[i].said);
	w->pod.message = w->message;
	w->view = (struct round_view){.entry = &w->entry,
		.replica = &w->replica,
		.scene = {.jobs = &w->job, .job_count = 1, .pods = &w->pod, .pod_count = 1},
		.settings = w->settings,
		.sizing = {.flavour = rows[i].wished},
		.now_ms = scene_now_ms()};
}

static void tear_down(struct world *w)
{
	w->settings->flavours = NULL;
	w->settings->flavour_count = 0;
	entry_fini(&w->entry);
	replica_fini(&w->replica);
	settings_free(w->settings);
}

static void whose_word_counts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		struct world w;
		struct error err = {0};
		const struct settings_flavour *found = NULL;
		set_up(&w, i);
		int rc = flavour_choose(&w.view, rows[i].said, &found, &err);
		if ((rc == 0) != (rows[i].is != NULL) || (rc == 0 && strcmp(found->name, rows[i].is) != 0) ||
			(rc < 0 && (err.kind != ERROR_INVALID || strncmp(err.text, rows[i].error, strlen(rows[i].error)) != 0)))
			fail_msg("%s: %s", rows[i].label, rc == 0 ? found->name : err.text);
		tear_down(&w);
	}
}

static void what_has_no_server_is_never_started(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		struct world w;
		struct step step;
		set_up(&w, i);
		next_step(&w.view, &step);
		if (step.kind != (rows[i].is != NULL ? STEP_START : STEP_FAIL))
			fail_msg("%s: %s %s", rows[i].label, step_kind_text[step.kind], step.text);
		if (step.kind == STEP_FAIL &&
			(step.owner != OWNER_SETTINGS || step.grade != GRADE_INCONCLUSIVE || strcmp(step.stage, "flavour") != 0 ||
				strstr(step.text, rows[i].error) == NULL))
			fail_msg("%s: %s: %s", rows[i].label, step.stage, step.text);
		tear_down(&w);
	}
}

// What the entry and the replica say is known before anything is fetched.
static void what_is_known_before_is_said_before(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		struct world w;
		struct step step;
		set_up(&w, i);
		w.view.scene.job_count = w.view.scene.pod_count = 0;
		next_step(&w.view, &step);
		bool is_known = rows[i].said[0] == '\0' && rows[i].is == NULL;
		if (step.kind != (is_known ? STEP_FAIL : STEP_MAKE))
			fail_msg("%s: %s %s", rows[i].label, step_kind_text[step.kind], step.text);
		tear_down(&w);
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(whose_word_counts),
		cmocka_unit_test(what_has_no_server_is_never_started),
		cmocka_unit_test(what_is_known_before_is_said_before),
	};
	return cmocka_run_group_tests_name("reconciler/flavour", cases, NULL, NULL);
}
