// One table of exit codes for the scripts and for the Job that judges them.
#include "builders/exit_codes.h"
#include "builders/scripts.h"
#include "tests/builders/sample.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	enum exit_code code;
} names[] = {
#define X(name, code, fails_job) {#name, name},
	EXIT_CODES(X)
#undef X
};

static const struct {
	const char *name, *text;
} scripts[] = {
	{"restore-restic", script_restore_restic},
	{"restore-kopia", script_restore_kopia},
	{"restore-basebackup", script_restore_basebackup},
	{"restore-basebackup-azure", script_restore_basebackup_azure},
	{"restore-basebackup-azure-identity", script_restore_basebackup_azure_identity},
	{"restore-basebackup-file", script_restore_basebackup_file},
	{"restore-dump", script_restore_dump},
	{"restore-dump-azure", script_restore_dump_azure},
	{"restore-dump-azure-identity", script_restore_dump_azure_identity},
	{"restore-dump-file", script_restore_dump_file},
	{"restore-walg", script_restore_walg},
	{"prepare-dump", script_prepare_dump},
	{"restore-pgbackrest", script_restore_pgbackrest},
	{"prepare", script_prepare},
	{"postgres", script_postgres},
};

// The script's own value of a variable, -1 when it has none.
static int assigned(const char *script, const char *name)
{
	char assignment[64];
	int len = snprintf(assignment, sizeof assignment, "%s=", name);
	for (const char *at = strstr(script, assignment); at != NULL; at = strstr(at + 1, assignment)) {
		if (at == script || at[-1] == '\n')
			return (int)strtol(at + len, NULL, 10);
	}
	return -1;
}

static void scripts_have_the_codes_that_they_name(void **state)
{
	(void)state;
	int seen = 0;
	for (size_t s = 0; s < sizeof scripts / sizeof *scripts; s++) {
		for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
			char use[64];
			(void)snprintf(use, sizeof use, "$%s", names[n].name);
			int expected = strstr(scripts[s].text, use) != NULL ? (int)names[n].code : -1;
			int value = assigned(scripts[s].text, names[n].name);
			if (value != expected)
				fail_msg("%s: %s is %d, expected %d", scripts[s].name, names[n].name, value, expected);
			seen += value != -1;
		}
	}
	assert_true(seen > (int)(sizeof names / sizeof *names)); // every code is somewhere, some in several scripts
}

static void every_code_is_used_by_a_script(void **state)
{
	(void)state;
	for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
		bool used = false;
		for (size_t s = 0; s < sizeof scripts / sizeof *scripts; s++)
			used = used || assigned(scripts[s].text, names[n].name) != -1;
		if (!used)
			fail_msg("%s is used by no script", names[n].name);
	}
}

// The API server wants the values ascending and without 0; 1 must not be there: it is what may pass.
static void the_job_fails_at_once_for_the_marked_codes(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	sample_init(&s, INTENT_VERIFY, "restic");
	AUTO(json) json_t *job = NULL;
	assert_ok(build_restore_job(&s.build, &s.round, &job, &err), err);
	const json_t *rule = json_array_get(json_find(job, "spec", "podFailurePolicy", "rules"), 1);
	assert_string_equal(json_find_str(rule, "action"), "FailJob");
	const json_t *values = json_find(rule, "onExitCodes", "values");

	size_t at = 0;
	json_int_t last = 1;
	for (size_t i = 0; i < exit_code_row_count; i++) {
		if (!exit_code_rows[i].fails_job)
			continue;
		json_int_t value = json_integer_value(json_array_get(values, at++));
		assert_int_equal(value, exit_code_rows[i].code);
		assert_true(value > last);
		last = value;
	}
	assert_int_equal(json_array_size(values), at);

	// Said again, since a mark that goes lost means four hours of pods that cannot succeed.
	AUTO_FREE char *text = NULL;
	assert_ok(json_print(values, &text, &err), err);
	assert_string_equal(text, "[10,11,12,13,14,15,16,17,18,20,27]");
}

// Each is in a Secret of every round.
#define SCRIPT_MOST 48000

static void shipped_scripts_are_shell_without_comments(void **state)
{
	(void)state;
	for (size_t s = 0; s < sizeof scripts / sizeof *scripts; s++) {
		size_t len = strlen(scripts[s].text);
		assert_true(len > 500 && len < SCRIPT_MOST);
		assert_null(strstr(scripts[s].text, "\n#"));
		assert_non_null(strstr(scripts[s].text, "set -eu\n"));
		assert_int_equal(scripts[s].text[len - 1], '\n');
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(scripts_have_the_codes_that_they_name),
		cmocka_unit_test(every_code_is_used_by_a_script),
		cmocka_unit_test(the_job_fails_at_once_for_the_marked_codes),
		cmocka_unit_test(shipped_scripts_are_shell_without_comments),
	};
	return cmocka_run_group_tests_name("builders/exit_codes", cases, NULL, NULL);
}
