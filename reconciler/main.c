// understory: the operator and its read-only companions.
#include "base/log.h"
#include "base/settings.h"
#include "k8s/config.h"
#include "reconciler/cli.h"
#include "reconciler/plan.h"
#include "reconciler/run.h"
#include "reconciler/status.h"
#include "reconciler/why.h"
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum exit_status { EXIT_STATUS_OK = 0, EXIT_STATUS_ERROR = 1, EXIT_STATUS_SOMETHING = 2 };

static const char *read_env(const char *name)
{
	return getenv(name); // NOLINT(concurrency-mt-unsafe): nobody changes the environment
}

static void usage(const char *program, FILE *to)
{
	static const struct {
		const char *how, *what;
	} lines[] = {
		{"run", "keep the cluster in line with the worklist"},
		{"plan [OPTION...]", "what a pass would do now; exit 0 nothing, 2 something, 1 error"},
		{"status [OPTION...]", "the replicas as the cluster shows them"},
		{"why NAMESPACE [OPTION...]", "one replica: what it waits for, whose problem it is, what comes next"},
		{"check-config", "read the settings, print them"},
		{"--version", "which version this is"},
		{"--help", "this, and all settings"},
	};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		(void)fprintf(to, "%s %s %-28s%s\n", i == 0 ? "usage:" : "      ", program, lines[i].how, lines[i].what);
	(void)fprintf(to, "\nOptions of plan, status and why:\n"
			  "  -o, --output table|json   for people, or for programs\n"
			  "  -w, --watch               plan and status: show again when something changes, until SIGINT\n"
			  "  -n, --namespace NAME      that replica alone\n"
			  "  --kubeconfig FILE         in place of KUBECONFIG, and of the cluster that this runs in\n"
			  "  --context NAME            in place of the kubeconfig's current-context\n\n"
			  "As kubectl-understory in PATH it is a plugin: kubectl understory status.\n\n"
			  "Exit codes:\n"
			  "  0   done; of run: ended as asked, by SIGTERM or SIGINT; of plan: a pass would do nothing\n"
			  "  1   an error, which is said on stderr\n"
			  "  2   of plan without --watch: a pass would do something\n\n"
			  "Where the cluster is, outside of one:\n"
			  "  KUBECONFIG   as kubectl reads it, several files too; else ~/.kube/config\n\n");
	settings_help(to);
}

static int complain(const struct error *err)
{
	(void)fprintf(stderr, "understory: %s\n", err->text);
	return EXIT_STATUS_ERROR;
}

static int command_run(const struct settings *settings, const struct output *output)
{
	struct error err = {0};
	(void)output;
	if (settings_need_worklist(settings, &err) < 0 || settings_need_proxy_image(settings, &err) < 0 ||
		run(settings, &err) < 0)
		return complain(&err);
	return EXIT_STATUS_OK;
}

static int command_plan(const struct settings *settings, const struct output *output)
{
	struct error err = {0};
	bool something = false;
	if (settings_need_worklist(settings, &err) < 0 || plan(settings, output, &something, &err) < 0)
		return complain(&err);
	return something && !output->is_watching ? EXIT_STATUS_SOMETHING : EXIT_STATUS_OK;
}

static int command_status(const struct settings *settings, const struct output *output)
{
	struct error err = {0};
	return status(settings, output, &err) < 0 ? complain(&err) : EXIT_STATUS_OK;
}

static int command_why(const struct settings *settings, const struct output *output)
{
	struct error err = {0};
	return why(settings, output, &err) < 0 ? complain(&err) : EXIT_STATUS_OK;
}

static int command_check_config(const struct settings *settings, const struct output *output)
{
	struct error err = {0};
	(void)output;
	settings_dump(settings, read_env, stdout);
	if (settings_need_worklist(settings, &err) < 0)
		return complain(&err);
	// Good enough for plan and status: said, but no failure.
	if (settings_need_proxy_image(settings, &err) < 0)
		(void)complain(&err);
	return EXIT_STATUS_OK;
}

// Before any thread: the environment is read by the parts that connect.
static int set_cluster(const struct cli *cli, struct error *err)
{
	if (cli->kubeconfig == NULL && cli->context == NULL)
		return 0;
	// What a person names counts, also in a pod.
	// NOLINTBEGIN(concurrency-mt-unsafe): there is one thread yet
	(void)unsetenv("KUBERNETES_SERVICE_HOST");
	if ((cli->kubeconfig != NULL && setenv("KUBECONFIG", cli->kubeconfig, 1) < 0) ||
		(cli->context != NULL && setenv(K8S_CONTEXT_VARIABLE, cli->context, 1) < 0))
		return error_set_errno(err, errno, "set the environment");
	// NOLINTEND(concurrency-mt-unsafe)
	return 0;
}

// Those that read the settings.
static int command(const struct cli *cli)
{
	static int (*const commands[])(const struct settings *, const struct output *) = {
		[CLI_RUN] = command_run,
		[CLI_PLAN] = command_plan,
		[CLI_STATUS] = command_status,
		[CLI_WHY] = command_why,
		[CLI_CHECK_CONFIG] = command_check_config,
	};
	struct error err = {0};
	AUTO(settings) struct settings *settings = NULL;
	struct output output = {.format = cli->format, .is_watching = cli->is_watching, .namespace = cli->namespace};

	output_init(&output);
	if (cli->is_watching)
		output_begin_watch();
	if (set_cluster(cli, &err) < 0 || settings_load(read_env, &settings, &err) < 0)
		return complain(&err);
	log_setup(settings->log_level, settings->log_format);
	return commands[cli->command](settings, &output);
}

int main(int argc, char **argv)
{
	// Keys and passwords pass through this process: its memory must not land in a core file.
	const struct rlimit no_core = {0};
	const char *program = cli_program(argc > 0 ? argv[0] : "understory");
	struct error err = {0};
	struct cli cli;
	int rc = EXIT_STATUS_OK;
	(void)setrlimit(RLIMIT_CORE, &no_core);
	if (cli_parse(argc, argv, &cli, &err) < 0) {
		if (err.text[0] != '\0')
			return complain(&err);
		usage(program, stderr);
		return EXIT_STATUS_ERROR;
	}
	// Not thread-safe in itself: once, before any thread.
	(void)curl_global_init(CURL_GLOBAL_DEFAULT);
	if (cli.command == CLI_HELP)
		usage(program, stdout);
	else if (cli.command == CLI_VERSION)
		printf("understory %s\n", UNDERSTORY_VERSION);
	else
		rc = command(&cli);
	curl_global_cleanup();
	return rc;
}
