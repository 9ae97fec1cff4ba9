// Which engine an entry gets, what it is refused for, and what the restore container has of it.
#include "builders/engines/engine.h"
#include "tests/builders/expect.h"
#include "tests/builders/sample.h"
#include "tests/support/cmocka.h"
#include <string.h>

static void the_entry_chooses_then_the_settings_then_kopia(void **state)
{
	(void)state;
	char type[] = "postgresql physical";
	struct settings_engine_rule rule = {type, ENGINE_RESTIC};
	const struct {
		const char *label, *of_entry, *expected;
		bool has_rule;
	} rows[] = {
		{"nothing is said", NULL, "kopia", false},
		{"the settings say it", NULL, "restic", true},
		{"the entry says it", "restic", "restic", false},
		{"the entry comes first", "kopia", "kopia", true},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct error err = {0};
		struct sample s;
		const struct engine *engine = NULL;
		sample_init(&s, INTENT_VERIFY, rows[i].of_entry);
		s.settings.engines = &rule;
		s.settings.engine_count = rows[i].has_rule ? 1 : 0;
		assert_ok(engine_of(&s.build, &engine, &err), err);
		expect_str(rows[i].label, engine_name(engine), rows[i].expected);
	}
}

static void what_does_not_go_together_is_refused(void **state)
{
	(void)state;
	const struct {
		const char *engine, *storage, *bucket, *prefix, *text;
	} rows[] = {
		{"tar", "s3", "b", "", "engine \"tar\" is not known, allowed is kopia, restic or basebackup"},
		{"kopia", "azure", "b", "", "engine kopia cannot read storage \"azure\", allowed is s3"},
		{"restic", "ftp", "b", "", "engine restic cannot read storage \"ftp\", allowed is s3"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct error err = {0};
		struct sample s;
		const struct engine *engine = NULL;
		sample_init(&s, INTENT_VERIFY, rows[i].engine);
		AUTO_FREE char *storage = strdup(rows[i].storage);
		AUTO_FREE char *bucket = strdup(rows[i].bucket);
		AUTO_FREE char *prefix = strdup(rows[i].prefix);
		s.entry.storage = storage;
		s.entry.bucket = bucket;
		s.entry.prefix = prefix;
		assert_error(engine_of(&s.build, &engine, &err), err, ERROR_INVALID, rows[i].text);
		assert_null(engine);
	}
}

static void the_message_of_a_restore_names_its_engine(void **state)
{
	(void)state;
	expect_str("with a version", engine_name(engine_said("restic 0.18.1")), "restic");
	expect_str("without", engine_name(engine_said("kopia")), "kopia");
	assert_null(engine_said("kopiax 1"));
	assert_null(engine_said(""));
	assert_null(engine_said(NULL));
}

static void an_engine_is_told_how_many_hands_it_has(void **state)
{
	(void)state;
	const struct {
		const char *limit, *hands;
	} rows[] = {{"2", "2"}, {"100m", "1"}, {"1500m", "2"}, {"2.0001", "3"}, {NULL, NULL}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct error err = {0};
		struct sample s;
		sample_init(&s, INTENT_VERIFY, "kopia");
		AUTO_FREE char *limit = rows[i].limit == NULL ? NULL : strdup(rows[i].limit);
		s.build.sizing.cpu_limit = limit;
		AUTO(json) json_t *job = NULL;
		assert_ok(build_restore_job(&s.build, &s.round, &job, &err), err);
		const json_t *container = json_array_get(json_find(job, "spec", "template", "spec", "containers"), 0);
		const json_t *said = named(json_find(container, "env"), "CPU_LIMIT");
		if (rows[i].hands == NULL)
			assert_null(said);
		else
			assert_str(rows[i].hands, said, "value");
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(the_entry_chooses_then_the_settings_then_kopia),
		cmocka_unit_test(what_does_not_go_together_is_refused),
		cmocka_unit_test(the_message_of_a_restore_names_its_engine),
		cmocka_unit_test(an_engine_is_told_how_many_hands_it_has),
	};
	return cmocka_run_group_tests_name("builders/engines", cases, NULL, NULL);
}
