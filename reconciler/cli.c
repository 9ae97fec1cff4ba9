#include "reconciler/cli.h"

#include <stdio.h>
#include <string.h>

enum flag {
	TAKES_FORMAT = 1,
	TAKES_WATCH = 2,
	TAKES_NAMESPACE = 4,
	TAKES_CLUSTER = 8, // --kubeconfig, --context
	TAKES_OPERAND = 16,
};

static const struct {
	const char *name;
	enum cli_command command;
	unsigned int takes;
} commands[] = {
	{"run", CLI_RUN, 0},
	{"plan", CLI_PLAN, TAKES_FORMAT | TAKES_WATCH | TAKES_NAMESPACE | TAKES_CLUSTER},
	{"status", CLI_STATUS, TAKES_FORMAT | TAKES_WATCH | TAKES_NAMESPACE | TAKES_CLUSTER},
	{"why", CLI_WHY, TAKES_FORMAT | TAKES_NAMESPACE | TAKES_CLUSTER | TAKES_OPERAND},
	{"check-config", CLI_CHECK_CONFIG, 0},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

const char *cli_program(const char *argv0)
{
	const char *slash = strrchr(argv0, '/');
	return strcmp(slash == NULL ? argv0 : slash + 1, "kubectl-understory") == 0 ? "kubectl understory" : "understory";
}

// The arguments as they are gone through.
struct arguments {
	char **at, **end;
	const char *command;
	unsigned int takes;
};

static int set_format(const char *value, struct cli *out, struct error *err)
{
	if (strcmp(value, "json") != 0 && strcmp(value, "table") != 0)
		return error_set(err, ERROR_INVALID, "-o \"%s\" is not allowed; allowed: -o table, -o json", value);
	out->format = strcmp(value, "json") == 0 ? OUTPUT_JSON : OUTPUT_TABLE;
	return 0;
}

static const struct option {
	const char *brief, *whole;
	unsigned int flag;
} options[] = {{"-o", "--output", TAKES_FORMAT}, {"-n", "--namespace", TAKES_NAMESPACE}, {"", "--kubeconfig", TAKES_CLUSTER},
	{"", "--context", TAKES_CLUSTER}};
#define OPTIONS (sizeof(options) / sizeof(options[0]))

// The option with a value that an argument begins, and that value: in the same argument after "=", or the next one. NULL: none.
static int read_option(struct arguments *a, const struct option **found, const char **value, struct error *err)
{
	const char *argument = *a->at;
	size_t len = strcspn(argument, "=");
	*found = NULL;
	for (size_t i = 0; i < OPTIONS && *found == NULL; i++) {
		bool is_whole = strncmp(argument, options[i].whole, len) == 0 && options[i].whole[len] == '\0';
		if ((a->takes & options[i].flag) != 0 && (is_whole || strcmp(argument, options[i].brief) == 0))
			*found = &options[i];
	}
	if (*found == NULL)
		return 0;
	if (argument[len] == '=') {
		*value = argument + len + 1;
	} else {
		if (++a->at == a->end)
			return error_set(err, ERROR_INVALID, "%s: \"%s\" wants a value", a->command, argument);
		*value = *a->at;
	}
	if ((*value)[0] == '\0')
		return error_set(err, ERROR_INVALID, "%s: \"%s\" wants a value that is not empty", a->command, argument);
	return 0;
}

static int apply(const struct option *option, const char *value, struct cli *out, struct error *err)
{
	if (option->flag == TAKES_FORMAT)
		return set_format(value, out, err);
	if (option->flag == TAKES_NAMESPACE)
		out->namespace = value;
	else if (strcmp(option->whole, "--kubeconfig") == 0)
		out->kubeconfig = value;
	else
		out->context = value;
	return 0;
}

static int refuse(const struct arguments *a, const char *argument, struct error *err)
{
	if (a->takes == 0)
		return error_set(
			err, ERROR_INVALID, "%s: \"%s\" is not allowed here: it takes no arguments", a->command, argument);
	return error_set(err, ERROR_INVALID,
		"%s: \"%s\" is not allowed here; allowed: %s-o table, -o json%s, -n NAMESPACE, --kubeconfig FILE, --context NAME",
		a->command, argument, (a->takes & TAKES_OPERAND) != 0 ? "NAMESPACE, " : "",
		(a->takes & TAKES_WATCH) != 0 ? ", -w, --watch" : "");
}

static int read_arguments(struct arguments *a, struct cli *out, struct error *err)
{
	for (; a->at < a->end; a->at++) {
		const struct option *option = NULL;
		const char *argument = *a->at, *value = NULL;
		bool is_watch = strcmp(argument, "-w") == 0 || strcmp(argument, "--watch") == 0;
		if (read_option(a, &option, &value, err) < 0)
			return -1;
		if (option != NULL) {
			if (apply(option, value, out, err) < 0)
				return error_wrap(err, "%s", a->command);
		} else if (is_watch && (a->takes & TAKES_WATCH) != 0) {
			out->is_watching = true;
		} else if (argument[0] != '-' && (a->takes & TAKES_OPERAND) != 0 && out->namespace == NULL) {
			out->namespace = argument;
		} else {
			return refuse(a, argument, err);
		}
	}
	return 0;
}

int cli_parse(int argc, char **argv, struct cli *out, struct error *err)
{
	*out = (struct cli){0};
	if (argc < 2)
		return error_set(err, ERROR_INVALID, "%s", "");
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
		return 0; // CLI_HELP
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0) {
		out->command = CLI_VERSION;
		return 0;
	}
	for (size_t i = 0; i < COMMANDS; i++) {
		struct arguments a = {argv + 2, argv + argc, commands[i].name, commands[i].takes};
		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		out->command = commands[i].command;
		if (read_arguments(&a, out, err) < 0)
			return -1;
		if (out->command == CLI_WHY && out->namespace == NULL)
			return error_set(err, ERROR_INVALID, "why: which replica? Its NAMESPACE is missing");
		return 0;
	}
	return error_set(err, ERROR_INVALID,
		"\"%s\" is no command; allowed: run, plan, status, why, check-config, --help, --version", argv[1]);
}
