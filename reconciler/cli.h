// The command line: which command, how it shows what it has, and where the cluster is.
//
// Started as kubectl-understory (a symlink in PATH makes it a plugin: `kubectl understory status`) it is the same program.
#ifndef RECONCILER_CLI_H
#define RECONCILER_CLI_H

#include "base/error.h"
#include "reconciler/output.h"
#include <stdbool.h>

enum cli_command {
	CLI_HELP,
	CLI_VERSION,
	CLI_RUN,
	CLI_PLAN,
	CLI_STATUS,
	CLI_WHY,
	CLI_CHECK_CONFIG,
};

struct cli {
	enum cli_command command;
	enum output_format format;
	bool is_watching;
	const char *namespace;  // of `why`, or the one that plan and status are limited to; NULL: all
	const char *kubeconfig; // NULL: as usual (k8s/config.h), likewise the context
	const char *context;
};

// How it was called, as people have to type it: "understory", or "kubectl understory".
const char *cli_program(const char *argv0);

// Borrows from argv. ERROR_INVALID names the argument, and what is allowed. No argument at all is ERROR_INVALID with an empty
// text: the usage says it all.
MUST_CHECK int cli_parse(int argc, char **argv, struct cli *out, struct error *err);

#endif
