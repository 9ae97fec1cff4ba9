// understory-proxy: S3 for an engine in the same pod, with keys that the engine never sees.
#include "base/log.h"
#include "canopy/proxy/config.h"
#include "canopy/proxy/listener.h"
#include "canopy/proxy/proxy.h"
#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

// An orderly end is 0 even when the broker refused keys: the engine has seen the refusal and ends with its own status, and one
// that came through on its older keys must not be done again.
enum exit_status { EXIT_STATUS_OK = 0, EXIT_STATUS_ERROR = 1, EXIT_STATUS_USAGE = 2 };

static struct proxy *running; // for the signal handler, which proxy_stop() allows

static void on_signal(int number)
{
	(void)number;
	if (running != NULL)
		proxy_stop(running);
}

static const char *read_env(const char *name)
{
	return getenv(name); // NOLINT(concurrency-mt-unsafe): nobody changes the environment
}

static void help(FILE *to)
{
	fprintf(to,
		"usage: understory-proxy [--ready | --help | --version]\n\n"
		"Serves GET and HEAD of objects under one bucket and prefix, and their listings, on a loopback port, and signs "
		"each\n"
		"request anew with short-lived credentials that the operator's broker gives. SIGTERM, the done-file or the end "
		"of the engine end it.\n\n"
		"--ready, for a probe: exit 0 when the address in PGRO_PORT_FILE takes connections, else 1.\n\n"
		"Settings, from the environment:\n\n");
	config_help(to);
	fprintf(to, "\nExit codes: 0 ended as asked; 1 an error; 2 bad arguments or settings.\n");
}

// Keys are in this process: no core file, and no other process may look into it.
static void harden(void)
{
	const struct rlimit none = {0};
	struct rlimit files;
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_DUMPABLE, 0);
	// Two descriptors for each of 256 connections, and some.
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max < 4096 ? files.rlim_max : 4096;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
}

static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	(void)sigemptyset(&action.sa_mask);
	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGINT, &action, NULL);
	action.sa_handler = SIG_IGN;
	(void)sigaction(SIGPIPE, &action, NULL);
}

static int serve(const struct config *config)
{
	struct error err = {0};
	AUTO(proxy) struct proxy *proxy = NULL;
	if (proxy_new(config, &proxy, &err) < 0) {
		log_error("cannot start", LOG_ERR(&err));
		return EXIT_STATUS_ERROR;
	}
	running = proxy;
	catch_signals();
	int rc = proxy_run(proxy, &err);
	running = NULL;
	if (rc < 0) {
		log_error("ended", LOG_ERR(&err));
		return EXIT_STATUS_ERROR;
	}
	if (proxy_was_refused(proxy))
		log_warn("the broker refused keys", LOG_NONE);
	return EXIT_STATUS_OK;
}

static int tell_ready(void)
{
	struct error err = {0};
	const char *path = read_env("PGRO_PORT_FILE");
	if (path == NULL)
		(void)error_set(&err, ERROR_INVALID, "PGRO_PORT_FILE is not set");
	else if (listener_check(path, &err) == 0)
		return EXIT_STATUS_OK;
	fprintf(stderr, "understory-proxy: %s\n", err.text);
	return EXIT_STATUS_ERROR;
}

int main(int argc, char **argv)
{
	struct error err = {0};
	AUTO(config) struct config config = {0};
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		help(stdout);
		return EXIT_STATUS_OK;
	}
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("understory-proxy %s\n", UNDERSTORY_VERSION);
		return EXIT_STATUS_OK;
	}
	if (argc == 2 && strcmp(argv[1], "--ready") == 0)
		return tell_ready();
	if (argc != 1) {
		help(stderr);
		return EXIT_STATUS_USAGE;
	}
	harden();
	if (config_read(read_env, &config, &err) < 0) {
		fprintf(stderr, "understory-proxy: %s\n", err.text);
		return EXIT_STATUS_USAGE;
	}
	log_setup(config.log_level, config.log_format);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0) // before there are threads
		return EXIT_STATUS_ERROR;
	int status = serve(&config);
	curl_global_cleanup();
	return status;
}
