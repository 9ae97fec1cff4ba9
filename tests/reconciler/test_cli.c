// The command line as people type it: what is understood, and what is said of the rest.
#include "reconciler/cli.h"

#include "tests/support/cmocka.h"
#include <string.h>

#define WORDS_MAX 8

static const struct {
	const char *words[WORDS_MAX]; // after the program's name
	struct cli wanted;
	const char *complaint; // NULL: none
} rows[] = {
	{{"--help"}, {.command = CLI_HELP}, NULL},
	{{"-h"}, {.command = CLI_HELP}, NULL},
	{{"help"}, {.command = CLI_HELP}, NULL},
	{{"--version"}, {.command = CLI_VERSION}, NULL},
	{{"version"}, {.command = CLI_VERSION}, NULL},
	{{"run"}, {.command = CLI_RUN}, NULL},
	{{"check-config"}, {.command = CLI_CHECK_CONFIG}, NULL},
	{{"plan"}, {.command = CLI_PLAN}, NULL},
	{{"plan", "-o", "json", "-w"}, {.command = CLI_PLAN, .format = OUTPUT_JSON, .is_watching = true}, NULL},
	{{"status", "--output=table", "--watch", "-n", "a-0"}, {.command = CLI_STATUS, .is_watching = true, .namespace = "a-0"},
		NULL},
	{{"status", "--namespace=a-0", "--kubeconfig", "file", "--context=c"},
		{.command = CLI_STATUS, .namespace = "a-0", .kubeconfig = "file", .context = "c"}, NULL},
	{{"why", "a-0", "-o", "json"}, {.command = CLI_WHY, .namespace = "a-0", .format = OUTPUT_JSON}, NULL},
	{{"why", "-n", "a-0"}, {.command = CLI_WHY, .namespace = "a-0"}, NULL},

	{{NULL}, {0}, ""},
	{{"restore"}, {0}, "\"restore\" is no command; allowed: run, plan, status, why, check-config, --help, --version"},
	{{"run", "-w"}, {0}, "run: \"-w\" is not allowed here: it takes no arguments"},
	{{"check-config", "--kubeconfig", "file"}, {0},
		"check-config: \"--kubeconfig\" is not allowed here: it takes no arguments"},
	{{"plan", "-o", "yaml"}, {0}, "plan: -o \"yaml\" is not allowed; allowed: -o table, -o json"},
	{{"plan", "-o"}, {0}, "plan: \"-o\" wants a value"},
	{{"plan", "--output="}, {0}, "plan: \"--output=\" wants a value that is not empty"},
	{{"status", "-n", ""}, {0}, "status: \"-n\" wants a value that is not empty"},
	{{"status", "a-0"}, {0},
		"status: \"a-0\" is not allowed here; allowed: -o table, -o json, -w, --watch, -n NAMESPACE, --kubeconfig FILE, "
		"--context NAME"},
	{{"status", "--out", "json"}, {0},
		"status: \"--out\" is not allowed here; allowed: -o table, -o json, -w, --watch, -n NAMESPACE, --kubeconfig "
		"FILE, --context NAME"},
	{{"why"}, {0}, "why: which replica? Its NAMESPACE is missing"},
	{{"why", "a-0", "b-0"}, {0},
		"why: \"b-0\" is not allowed here; allowed: NAMESPACE, -o table, -o json, -n NAMESPACE, --kubeconfig FILE, "
		"--context NAME"},
	{{"why", "a-0", "--watch"}, {0},
		"why: \"--watch\" is not allowed here; allowed: NAMESPACE, -o table, -o json, -n NAMESPACE, --kubeconfig FILE, "
		"--context NAME"},
};

static bool is_same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool is_same(const struct cli *a, const struct cli *b)
{
	return a->command == b->command && a->format == b->format && a->is_watching == b->is_watching &&
	       is_same_text(a->namespace, b->namespace) && is_same_text(a->kubeconfig, b->kubeconfig) &&
	       is_same_text(a->context, b->context);
}

static void what_is_typed_is_understood_or_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *argv[WORDS_MAX + 1] = {(char *)(uintptr_t) "understory"};
		int argc = 1;
		struct cli cli;
		struct error err = {0};
		for (; rows[i].words[argc - 1] != NULL; argc++)
			argv[argc] = (char *)(uintptr_t)rows[i].words[argc - 1];
		int rc = cli_parse(argc, argv, &cli, &err);
		if (rc == 0 && (rows[i].complaint != NULL || !is_same(&cli, &rows[i].wanted)))
			fail_msg("row %zu (%s %s) is understood in another way", i, argv[1], argc > 2 ? argv[2] : "");
		if (rc < 0 && (rows[i].complaint == NULL || strcmp(err.text, rows[i].complaint) != 0))
			fail_msg("row %zu: %s", i, err.text);
		if (rc < 0)
			assert_int_equal(err.kind, ERROR_INVALID);
	}
}

static void the_program_is_called_as_it_was_found(void **state)
{
	(void)state;
	assert_string_equal(cli_program("understory"), "understory");
	assert_string_equal(cli_program("/usr/bin/understory"), "understory");
	assert_string_equal(cli_program("kubectl-understory"), "kubectl understory");
	assert_string_equal(cli_program("/usr/local/bin/kubectl-understory"), "kubectl understory");
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(what_is_typed_is_understood_or_named),
		cmocka_unit_test(the_program_is_called_as_it_was_found),
	};
	return cmocka_run_group_tests_name("reconciler/cli", cases, NULL, NULL);
}
