#include "canopy/proxy/config.h"

#include "base/cleanup.h"
#include <ctype.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

// What a value may be.
enum config_type { TYPE_TEXT, TYPE_FILE, TYPE_HTTPS_URL, TYPE_CHOICE, TYPE_NAME, TYPE_HOST_PORT };

struct config_row {
	const char *name;
	size_t offset; // of the char * in struct config
	enum config_type type;
	bool is_needed;
	const char *otherwise;
	const char *const *choices;
	const char *help;
};

static const char *const style_texts[] = {"path", "virtual", NULL};
static const char *const level_texts[] = {"debug", "info", "warn", "error", NULL};
static const char *const format_texts[] = {"logfmt", "json", NULL};

#define AT(field) offsetof(struct config, field)
static const struct config_row rows[] = {
	{"PGRO_BROKER_URL", AT(broker_url), TYPE_HTTPS_URL, true, .help = "the operator's broker, https://host:port"},
	{"PGRO_BROKER_CA_FILE", AT(broker_ca_file), TYPE_FILE, true, .help = "CA certificates of broker and callbacks"},
	{"PGRO_TOKEN_FILE", AT(token_file), TYPE_FILE, true, .help = "projected ServiceAccount token for the broker"},
	{"PGRO_GROUP", AT(group), TYPE_TEXT, true, .help = "group whose credentials are asked for"},
	{"PGRO_TYPE", AT(type), TYPE_TEXT, true, .help = "backup type whose credentials are asked for"},
	{"PGRO_REGION", AT(region), TYPE_NAME, true, .help = "region of the bucket"},
	{"PGRO_BUCKET", AT(bucket), TYPE_NAME, true, .help = "the one bucket that may be read"},
	{"PGRO_PREFIX", AT(prefix), TYPE_TEXT, false,
		.help = "beginning of the keys that may be read; not set: the whole bucket"},
	{"S3_ENDPOINT", AT(endpoint), TYPE_TEXT, false,
		.help = "http:// or https:// and the host that is signed; default https://s3.<region>.amazonaws.com"},
	{"S3_CONNECT_TO", AT(connect_to), TYPE_HOST_PORT, false, .help = "host:port to connect to instead of the endpoint's"},
	{"S3_TLS_NAME", AT(tls_name), TYPE_NAME, false, .help = "name that S3's certificate must have; default the signed host"},
	{"S3_CA_FILE", AT(ca_file), TYPE_FILE, false, .help = "CA certificates of S3; default the system's"},
	{"S3_STYLE", AT(style), TYPE_CHOICE, false, .otherwise = "path", .choices = style_texts,
		.help = "bucket in the path, or in the host name"},
	{"PGRO_PORT_FILE", AT(port_file), TYPE_FILE, true, .help = "gets HOST:PORT of the listener, in one step"},
	{"PGRO_DONE_FILE", AT(done_file), TYPE_FILE, false, .help = "when it appears, the proxy ends"},
	{"PGRO_ENGINE_PIPE", AT(engine_pipe), TYPE_FILE, false,
		.help = "named pipe that is made here and held open by the engine; when the engine is gone, the proxy ends"},
	{"PGRO_STATS_CALLBACK_URL", AT(stats_url), TYPE_HTTPS_URL, false, .help = "gets the byte counts at the end"},
	{"PGRO_PROGRESS_CALLBACK_URL", AT(progress_url), TYPE_HTTPS_URL, false, .help = "gets the byte counts every 30 s"},
	{"PGRO_RUN_ID", AT(run_id), TYPE_TEXT, false, .help = "named in the progress"},
	{"LOG_LEVEL", AT(log_level_text), TYPE_CHOICE, false, .otherwise = "info", .choices = level_texts,
		.help = "debug, info, warn or error"},
	{"LOG_FORMAT", AT(log_format_text), TYPE_CHOICE, false, .otherwise = "logfmt", .choices = format_texts,
		.help = "logfmt or json"},
};
#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

static char **field_of(struct config *config, const struct config_row *row)
{
	return (char **)(void *)((char *)config + row->offset);
}

// Letters, digits, dots, hyphens, underscores: regions, buckets and host names. Both end up in host names and in what is signed.
static bool is_name(const char *text)
{
	return text[0] != '\0' &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == strlen(text);
}

static bool has_control(const char *text)
{
	for (; *text != '\0'; text++) {
		if (iscntrl((unsigned char)*text))
			return true;
	}
	return false;
}

static bool is_https(const char *text)
{
	return strncmp(text, "https://", 8) == 0 && text[8] != '\0' && strpbrk(text, " \"@#") == NULL;
}

// host:port, [IPv6]:port
static bool is_host_port(const char *text)
{
	const char *colon = strrchr(text, ':');
	if (colon == NULL || colon == text || strpbrk(text, "/ @") != NULL)
		return false;
	char *end = NULL;
	long port = strtol(colon + 1, &end, 10);
	return isdigit((unsigned char)colon[1]) && *end == '\0' && port > 0 && port < 65536 &&
	       (text[0] == '[') == (colon[-1] == ']') && (text[0] == '[' || memchr(text, ':', (size_t)(colon - text)) == NULL);
}

static int choice_index(const char *const *choices, const char *value)
{
	for (int i = 0; choices[i] != NULL; i++) {
		if (strcmp(choices[i], value) == 0)
			return i;
	}
	return -1;
}

// NULL when it fits, else what is allowed.
static const char *complaint(const struct config_row *row, const char *value)
{
	if (has_control(value))
		return "text without control characters";
	switch (row->type) {
	case TYPE_HTTPS_URL:
		return is_https(value) ? NULL : "an https:// URL without a user";
	case TYPE_CHOICE:
		return choice_index(row->choices, value) >= 0 ? NULL : row->help;
	case TYPE_NAME:
		return is_name(value) ? NULL : "letters, digits, dots, hyphens, underscores";
	case TYPE_HOST_PORT:
		return is_host_port(value) ? NULL : "host:port";
	case TYPE_FILE:
	case TYPE_TEXT:
	default:
		return NULL;
	}
}

static int read_row(const struct config_row *row, config_getenv env, struct config *config, struct error *err)
{
	const char *value = env(row->name);
	if (value == NULL || value[0] == '\0')
		value = row->otherwise;
	if (value == NULL && row->is_needed)
		return error_set(err, ERROR_INVALID, "%s is not set: %s", row->name, row->help);
	if (value == NULL)
		return 0;
	const char *allowed = complaint(row, value);
	if (allowed != NULL)
		return error_set(err, ERROR_INVALID, "%s is \"%s\", allowed: %s", row->name, value, allowed);
	*field_of(config, row) = strdup(value);
	return *field_of(config, row) == NULL ? error_no_memory(err, row->name) : 0;
}

static int set_default_endpoint(struct config *config, struct error *err)
{
	if (config->endpoint == NULL && asprintf(&config->endpoint, "https://s3.%s.amazonaws.com", config->region) < 0) {
		config->endpoint = NULL;
		return error_no_memory(err, "S3_ENDPOINT");
	}
	return 0;
}

// The signed host as clients of S3 write it: without the port that the scheme stands for.
static int read_endpoint(struct config *config, struct error *err)
{
	if (set_default_endpoint(config, err) < 0)
		return -1;
	config->is_tls = strncmp(config->endpoint, "https://", 8) == 0;
	const char *host = strstr(config->endpoint, "://");
	if (host == NULL || (!config->is_tls && strncmp(config->endpoint, "http://", 7) != 0))
		return error_set(
			err, ERROR_INVALID, "S3_ENDPOINT is \"%s\", allowed: http:// or https:// and a host", config->endpoint);
	host += 3;
	size_t len = strlen(host);
	if (len > 0 && host[len - 1] == '/')
		len--;
	config->host = strndup(host, len);
	if (config->host == NULL)
		return error_no_memory(err, "S3_ENDPOINT");
	if (!is_name(config->host) && !is_host_port(config->host))
		return error_set(
			err, ERROR_INVALID, "S3_ENDPOINT is \"%s\", allowed: a scheme, a host and a port", config->endpoint);
	const char *usual = config->is_tls ? ":443" : ":80";
	len = strlen(config->host);
	if (len > strlen(usual) && strcmp(config->host + len - strlen(usual), usual) == 0)
		config->host[len - strlen(usual)] = '\0';
	return 0;
}

static int derive(struct config *config, struct error *err)
{
	config->is_virtual = strcmp(config->style, "virtual") == 0;
	// The texts stand in the order of the enums.
	int level = choice_index(level_texts, config->log_level_text);
	int format = choice_index(format_texts, config->log_format_text);
	config->log_level = (enum log_level)level;
	config->log_format = (enum log_format)format;
	size_t url_len = strlen(config->broker_url);
	if (config->broker_url[url_len - 1] == '/')
		config->broker_url[url_len - 1] = '\0';
	if (read_endpoint(config, err) < 0)
		return -1;
	// A wildcard certificate covers one label: the name of such a bucket has several.
	if (config->is_virtual && config->is_tls && config->tls_name == NULL && strchr(config->bucket, '.') != NULL)
		return error_set(err, ERROR_INVALID,
			"S3_STYLE is \"virtual\" and bucket \"%s\" has a dot, which no wildcard certificate covers; allowed: "
			"path",
			config->bucket);
	return 0;
}

int config_read(config_getenv env, struct config *out, struct error *err)
{
	AUTO(config)
	struct config config = {.hold_ms = CONFIG_HOLD_MS,
		.engine_wait_ms = CONFIG_ENGINE_WAIT_MS,
		.progress_ms = CONFIG_PROGRESS_MS,
		.client_head_ms = CONFIG_CLIENT_HEAD_MS,
		.client_stall_ms = CONFIG_CLIENT_STALL_MS,
		.upstream_stall_ms = CONFIG_UPSTREAM_STALL_MS,
		.connect_ms = CONFIG_CONNECT_MS,
		.drain_ms = CONFIG_DRAIN_MS,
		.totals_ms = CONFIG_TOTALS_MS};
	for (size_t i = 0; i < ROW_COUNT; i++) {
		if (read_row(&rows[i], env, &config, err) < 0)
			return -1;
	}
	if (derive(&config, err) < 0)
		return -1;
	*out = config;
	config = (struct config){0};
	return 0;
}

void config_fini(struct config *config)
{
	for (size_t i = 0; i < ROW_COUNT; i++)
		free(*field_of(config, &rows[i]));
	free(config->host);
	*config = (struct config){0};
}

void config_help(FILE *to)
{
	for (size_t i = 0; i < ROW_COUNT; i++) {
		const struct config_row *row = &rows[i];
		fprintf(to, "  %-26s %s", row->name, row->help);
		if (row->otherwise != NULL)
			fprintf(to, " (default %s)", row->otherwise);
		else if (row->is_needed)
			fprintf(to, " (needed)");
		fprintf(to, "\n");
	}
}
