// The settings of understory-proxy, read once from the environment.
//
// One table in config.c drives reading, --help and the line that is logged at the start. The durations are no settings: tests
// shorten them. Plain data, only read after the start; any thread.
#ifndef CANOPY_PROXY_CONFIG_H
#define CANOPY_PROXY_CONFIG_H

#include "base/cleanup.h"
#include "base/error.h"
#include "base/log.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

// How long a request is held while no credentials can be had, before it gets 503: kopia gives up about 20 s after the first error
// it sees, and a broker may be away for as long as an operator needs to be placed on another node.
#define CONFIG_HOLD_MS ((int64_t)5 * 60 * 1000)
// How long after the start the engine may take to appear, before the proxy ends: its image may have to be pulled. One that never
// starts must not keep the pod until the Job's deadline.
#define CONFIG_ENGINE_WAIT_MS ((int64_t)30 * 60 * 1000)
#define CONFIG_PROGRESS_MS 30000
#define CONFIG_CLIENT_HEAD_MS 30000                      // from the first byte of a request's head to its last
#define CONFIG_CLIENT_STALL_MS ((int64_t)10 * 60 * 1000) // an engine may write to a slow disk for long before it reads on
#define CONFIG_UPSTREAM_STALL_MS 60000
#define CONFIG_CONNECT_MS 10000
#define CONFIG_DRAIN_MS 4000  // requests in flight after SIGTERM
#define CONFIG_TOTALS_MS 5000 // posting the totals; with the drain below the 10 s that a stop may take

struct config {
	char *broker_url;     // https://host:port, without a path
	char *broker_ca_file; // PEM; trusted alone
	char *token_file;     // of the projected ServiceAccount token
	char *group;
	char *type;
	char *region;
	char *bucket;
	char *prefix; // NULL: the whole bucket
	char *endpoint;
	char *connect_to; // host:port; NULL: the endpoint's own
	char *tls_name;   // SNI and name to verify; NULL: the signed host
	char *ca_file;    // PEM for S3, trusted alone; NULL: the system's
	char *style;      // path or virtual
	char *port_file;
	char *done_file;
	char *engine_pipe; // see presence.h; NULL: none
	char *stats_url;
	char *progress_url;
	char *run_id;
	char *log_level_text;
	char *log_format_text;

	// Derived from the above.
	bool is_tls;
	bool is_virtual;
	char *host; // of the endpoint, with ":port" unless it is the scheme's own: what is signed
	enum log_level log_level;
	enum log_format log_format;

	int64_t hold_ms;
	int64_t engine_wait_ms;
	int64_t progress_ms;
	int64_t client_head_ms;
	int64_t client_stall_ms;
	int64_t upstream_stall_ms;
	int64_t connect_ms;
	int64_t drain_ms;
	int64_t totals_ms;
};

typedef const char *(*config_getenv)(const char *name);

// A variable that is missing or does not fit: ERROR_INVALID with its name, its value and what is allowed. On success the caller
// releases with config_fini().
MUST_CHECK int config_read(config_getenv env, struct config *out, struct error *err);
void config_fini(struct config *config);

// Every variable with its default and its sentence.
void config_help(FILE *to);

static inline void auto_config(struct config *config)
{
	config_fini(config);
}

#endif
