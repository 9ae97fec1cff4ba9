// understory: the operator and its read-only companions.
#include "base/log.h"
#include "base/settings.h"
#include "reconciler/plan.h"
#include "reconciler/run.h"
#include "reconciler/status.h"
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum exit_status { EXIT_STATUS_OK = 0, EXIT_STATUS_ERROR = 1, EXIT_STATUS_SOMETHING = 2 };

static const char *read_env(const char *name)
{
	return getenv(name); // NOLINT(concurrency-mt-unsafe): nobody changes the environment
}

static void usage(FILE *to)
{
	fprintf(to, "usage: understory run                     keep the cluster in line with the worklist\n"
		    "       understory plan [-o table|json]    what a pass would do now; exit 0 nothing, 2 something, 1 error\n"
		    "       understory status [-o table|json]  the replicas as the cluster shows them\n"
		    "       understory check-config            read the settings, print them\n"
		    "       understory --version | --help\n\n"
		    "Settings (environment, then the YAML file that UNDERSTORY_CONFIG names, then the default):\n\n");
	settings_help(to);
}

// Returns false after it has said what is wrong.
static bool read_format(int argc, char **argv, enum output_format *out)
{
	*out = OUTPUT_TABLE;
	if (argc == 2)
		return true;
	if (argc == 4 && strcmp(argv[2], "-o") == 0 && strcmp(argv[3], "json") == 0) {
		*out = OUTPUT_JSON;
		return true;
	}
	if (argc == 4 && strcmp(argv[2], "-o") == 0 && strcmp(argv[3], "table") == 0)
		return true;
	fprintf(stderr, "understory %s: \"%s\" is not allowed here; allowed: -o table, -o json\n", argv[1], argv[argc - 1]);
	return false;
}

static int complain(const struct error *err)
{
	fprintf(stderr, "understory: %s\n", err->text);
	return EXIT_STATUS_ERROR;
}

static int command_run(const struct settings *settings)
{
	struct error err = {0};
	if (settings_need_worklist(settings, &err) < 0 || settings_need_proxy_image(settings, &err) < 0 ||
		run(settings, &err) < 0)
		return complain(&err);
	return EXIT_STATUS_OK;
}

static int command_plan(const struct settings *settings, enum output_format format)
{
	struct error err = {0};
	bool something = false;
	if (settings_need_worklist(settings, &err) < 0 || plan(settings, format, &something, &err) < 0)
		return complain(&err);
	return something ? EXIT_STATUS_SOMETHING : EXIT_STATUS_OK;
}

static int command_status(const struct settings *settings, enum output_format format)
{
	struct error err = {0};
	return status(settings, format, &err) < 0 ? complain(&err) : EXIT_STATUS_OK;
}

static int command_check_config(const struct settings *settings)
{
	struct error err = {0};
	settings_dump(settings, read_env, stdout);
	if (settings_need_worklist(settings, &err) < 0)
		return complain(&err);
	// Good enough for plan and status: said, but no failure.
	if (settings_need_proxy_image(settings, &err) < 0)
		(void)complain(&err);
	return EXIT_STATUS_OK;
}

static int command(int argc, char **argv)
{
	struct error err = {0};
	enum output_format format;
	AUTO(settings) struct settings *settings = NULL;

	if (!read_format(argc, argv, &format))
		return EXIT_STATUS_ERROR;
	if (settings_load(read_env, &settings, &err) < 0)
		return complain(&err);
	log_setup(settings->log_level, settings->log_format);
	if (strcmp(argv[1], "run") == 0)
		return command_run(settings);
	if (strcmp(argv[1], "plan") == 0)
		return command_plan(settings, format);
	if (strcmp(argv[1], "status") == 0)
		return command_status(settings, format);
	if (strcmp(argv[1], "check-config") == 0)
		return command_check_config(settings);
	fprintf(stderr, "understory: \"%s\" is no command; allowed: run, plan, status, check-config, --help, --version\n",
		argv[1]);
	return EXIT_STATUS_ERROR;
}

int main(int argc, char **argv)
{
	// Keys and passwords pass through this process: its memory must not land in a core file.
	const struct rlimit no_core = {0};
	(void)setrlimit(RLIMIT_CORE, &no_core);
	// Not thread-safe in itself: once, before any thread.
	(void)curl_global_init(CURL_GLOBAL_DEFAULT);

	int rc = EXIT_STATUS_OK;
	if (argc < 2) {
		usage(stderr);
		rc = EXIT_STATUS_ERROR;
	} else if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		usage(stdout);
	} else if (strcmp(argv[1], "--version") == 0) {
		printf("understory %s\n", UNDERSTORY_VERSION);
	} else {
		rc = command(argc, argv);
	}
	curl_global_cleanup();
	return rc;
}
