// Torture (tests/support/torture.h) of the proxy: its parts, and all of it from settings to a listening port.
#include "base/cert.h"
#include "base/clock.h"
#include "base/log.h"
#include "canopy/proxy/broker_client.h"
#include "canopy/proxy/buffers.h"
#include "canopy/proxy/listener.h"
#include "canopy/proxy/pipes.h"
#include "canopy/proxy/policy.h"
#include "canopy/proxy/presence.h"
#include "canopy/proxy/proxy.h"
#include "canopy/proxy/request.h"
#include "canopy/proxy/s3error.h"
#include "canopy/proxy/stats.h"
#include "canopy/proxy/tls.h"
#include "tests/support/cmocka.h"
#include "tests/support/scratch.h"
#include "tests/support/torture.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW_MS ((int64_t)1795000000000) // in November 2026

static struct cert_pair ca;
static const char *ca_path, *token_path;
static char port_path[512], pipe_path[512];

static int prepare(struct error *err)
{
	if (ca.cert_pem != NULL)
		return 0;
	if (cert_make_ca("torture", clock_wall_ms(), 86400000, &ca, err) < 0)
		return -1;
	ca_path = scratch_write("ca.pem", ca.cert_pem, strlen(ca.cert_pem));
	token_path = scratch_write("token", "token", 5);
	// Made here once, so that the program removes them at its end.
	(void)snprintf(port_path, sizeof(port_path), "%s", scratch_write("port", "", 0));
	(void)snprintf(pipe_path, sizeof(pipe_path), "%s", scratch_write("pipe", "", 0));
	return 0;
}

static const char *env(const char *name)
{
	const struct {
		const char *name, *value;
	} rows[] = {
		{"PGRO_BROKER_URL", "https://127.0.0.1:1/"},
		{"PGRO_BROKER_CA_FILE", ca_path},
		{"PGRO_TOKEN_FILE", token_path},
		{"PGRO_GROUP", "g"},
		{"PGRO_TYPE", "t"},
		{"PGRO_REGION", "eu-west-1"},
		{"PGRO_BUCKET", "bucket"},
		{"PGRO_PREFIX", "p/"},
		{"PGRO_PORT_FILE", port_path},
		{"PGRO_ENGINE_PIPE", pipe_path},
		{"S3_CA_FILE", ca_path},
		{"PGRO_RUN_ID", "a-run"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(rows[i].name, name) == 0)
			return rows[i].value;
	}
	return NULL;
}

static int read_config(struct buf *made, struct error *err)
{
	AUTO(config) struct config config = {0};
	if (prepare(err) < 0)
		return -1;
	torture_begin();
	int rc = config_read(env, &config, err);
	torture_end();
	if (config.host != NULL)
		torture_say(made, "%s %s %s", config.host, config.endpoint, config.bucket);
	return rc;
}

static const char head[] = "GET /bucket/p/a%20b HTTP/1.1\r\nHost: h\r\nRange: bytes=0-9\r\n\r\n";

// What the engine asks for, signed anew.
static int sign_a_request(struct buf *made, struct error *err)
{
	AUTO(config) struct config config = {0};
	AUTO(buf) struct buf out;
	struct credentials_set set = {.generation = 1};
	struct policy_request what = {0};
	struct sigv4_key key = {0};
	struct head_request parsed = {0};
	struct route route;
	int status = 0;
	buf_init(&out, 1 << 16);
	if (prepare(err) < 0 || config_read(env, &config, err) < 0 || route_init(&config, &route, err) < 0 ||
		head_read_request(head, sizeof(head) - 1, &parsed, &status) != NULL ||
		secret_set(&set.keys.access_key_id, "ASIA", err) < 0 ||
		secret_set(&set.keys.secret_access_key, "secret", err) < 0 ||
		secret_set(&set.keys.session_token, "session", err) < 0)
		return -1;
	const struct policy policy = {.bucket = "bucket", .prefix = "p/"};
	const struct request request = {.config = &config,
		.route = &route,
		.what = &what,
		.fields = &parsed.fields,
		.set = &set,
		.key = &key,
		.wall_ms = NOW_MS};
	torture_begin();
	int rc = policy_check(&policy, &parsed, &what, err);
	if (rc == 0)
		rc = request_write(&request, &out, err);
	torture_end();
	if (rc == 0)
		torture_say(made, "%s", buf_str(&out));
	policy_request_fini(&what);
	sigv4_key_fini(&key);
	credentials_set_fini(&set);
	return rc;
}

static int write_an_error(struct buf *made, struct error *err)
{
	AUTO(buf) struct buf out;
	buf_init(&out, 1 << 16);
	const struct s3error_answer answer = {.status = 403, .code = "AccessDenied", .message = "only <reads> & no writes"};
	torture_begin();
	int rc = s3error_write(&answer, &out, err);
	torture_end();
	if (rc == 0)
		torture_say(made, "%s", buf_str(&out));
	return rc;
}

static int print_counts(struct buf *made, struct error *err)
{
	AUTO(config) struct config config = {0};
	AUTO_FREE char *text = NULL;
	static struct stats stats;
	if (prepare(err) < 0 || config_read(env, &config, err) < 0)
		return -1;
	torture_begin();
	int rc = stats_print(&stats, &config, true, &text, err);
	AUTO_FREE char *of_no_run = NULL;
	free(config.run_id);
	config.run_id = NULL;
	if (rc == 0)
		rc = stats_print(&stats, &config, true, &of_no_run, err);
	torture_end();
	if (rc == 0)
		torture_say(made, "%s", text);
	return rc;
}

static int read_keys(struct buf *made, struct error *err)
{
	static const char body[] = "{\"Version\":1,\"AccessKeyId\":\"ASIA\",\"SecretAccessKey\":\"secret\",\"SessionToken\":"
				   "\"session\",\"Expiration\":\"2099-01-01T00:00:00Z\"}";
	AUTO(s3_keys) struct s3_keys keys = {0};
	torture_begin();
	int rc = broker_client_read_keys(body, sizeof(body) - 1, &keys, err);
	torture_end();
	if (keys.access_key_id.bytes != NULL)
		torture_say(made, "%s %s", secret_reveal(&keys.access_key_id), secret_reveal(&keys.session_token));
	return rc;
}

static ssize_t no_bytes(void *arg, void *data, size_t len)
{
	(void)arg;
	(void)data;
	(void)len;
	return TLS_AGAIN;
}

static ssize_t takes_none(void *arg, const void *data, size_t len)
{
	(void)arg;
	(void)data;
	(void)len;
	return TLS_AGAIN;
}

static int begin_tls(struct buf *made, struct error *err)
{
	static const struct tls_transport transport = {.read = no_bytes, .write = takes_none};
	AUTO(tls_context) struct tls_context *context = NULL;
	struct tls *by_name = NULL, *by_address = NULL;
	if (prepare(err) < 0)
		return -1;
	AUTO(tls_context) struct tls_context *of_the_system = NULL;
	torture_begin();
	int rc = tls_context_new(NULL, &transport, &of_the_system, err);
	if (rc == 0)
		rc = tls_context_new(ca_path, &transport, &context, err);
	if (rc == 0)
		rc = tls_new(context, "s3.test", NULL, &by_name, err);
	if (rc == 0)
		rc = tls_new(context, "::1", NULL, &by_address, err);
	torture_end();
	if (rc == 0)
		torture_say(made, "%d", tls_handshake(by_name, err));
	tls_context_free(TAKE_PTR(context)); // the connections outlive their pool
	tls_free(by_name);
	tls_free(by_address);
	return rc;
}

// A transfer that gets none copies, or waits.
static int take_pipes_and_buffers(struct buf *made, struct error *err)
{
	struct pipes pipes = {0};
	struct buffers buffers = {0};
	torture_begin();
	struct pipe *pipe = pipes_take(&pipes);
	struct buffer *buffer = buffers_take(&buffers);
	torture_end();
	int rc = pipe != NULL && buffer != NULL ? 0 : error_set(err, ERROR_INTERNAL, "none");
	if (pipe == NULL && pipes.count != 0)
		torture_say(made, "a pipe is counted that is not there");
	pipes_give_back(&pipes, pipe);
	buffers_give_back(&buffers, buffer);
	pipes_fini(&pipes);
	buffers_fini(&buffers);
	return rc;
}

static int listen_and_tell(struct buf *made, struct error *err)
{
	AUTO_CLOSE int fd = -1;
	char address[LISTENER_ADDRESS_SIZE] = "";
	if (prepare(err) < 0)
		return -1;
	torture_begin();
	int rc = listener_open(&fd, address, err);
	if (rc == 0)
		rc = listener_tell(port_path, address, err);
	if (rc == 0)
		rc = listener_check(port_path, err);
	torture_end();
	if (strchr(address, '-') != NULL)
		torture_say(made, "%s is no address", address);
	return rc;
}

static int start_the_proxy(struct buf *made, struct error *err)
{
	AUTO(config) struct config config = {0};
	AUTO(proxy) struct proxy *proxy = NULL;
	if (prepare(err) < 0 || config_read(env, &config, err) < 0)
		return -1;
	(void)unlink(pipe_path);
	torture_begin();
	int rc = proxy_new(&config, &proxy, err);
	torture_end();
	if (proxy != NULL)
		torture_say(made, "%d", proxy_address(proxy)[0] == '[' || proxy_address(proxy)[0] == '1');
	return rc;
}

int main(void)
{
	static const struct torture_case cases[] = {
		{.name = "the settings are read", .run = read_config},
		{.name = "a request is signed", .run = sign_a_request},
		{.name = "an error is written", .run = write_an_error},
		{.name = "counts are printed", .run = print_counts},
		{.name = "keys are read", .run = read_keys},
		{.name = "TLS begins", .run = begin_tls},
		{.name = "pipes and buffers", .run = take_pipes_and_buffers},
		{.name = "the port is told", .run = listen_and_tell},
		{.name = "the proxy starts", .run = start_the_proxy},
	};
	log_setup(LOG_ERROR, LOG_LOGFMT); // no broker listens
	int failures = torture_main("torture/proxy", cases, sizeof(cases) / sizeof(cases[0]));
	cert_pair_fini(&ca);
	return failures;
}
