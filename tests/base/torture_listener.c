// Torture (tests/support/torture.h) of the HTTPS listener while it serves: its requests come on a thread of libmicrohttpd's,
// where the first of them begins the torture and the last ends it.
//
// Whatever fails, one client may suffer by it: its connection ends, or it gets a 503 without a body. The next is served, and
// nobody gets another body.
#include "base/cert.h"
#include "base/clock.h"
#include "base/http.h"
#include "base/https_listener.h"
#include "base/log.h"
#include "tests/support/cmocka.h"
#include "tests/support/torture.h"
#include <stdio.h>
#include <string.h>

#define ASKS 3
#define CERT_DAYS INT64_C(2)
#define DAY_MS (INT64_C(24) * 3600 * 1000)

static struct cert_pair ca, leaf;

static int need_pairs(struct error *err)
{
	static const char *const names[] = {"127.0.0.1", NULL};
	int64_t now_ms = clock_wall_ms();
	if (leaf.cert_pem != NULL)
		return 0;
	if (cert_make_ca("torture", now_ms, CERT_DAYS * DAY_MS, &ca, err) < 0)
		return -1;
	return cert_issue(&ca, names, now_ms, DAY_MS, &leaf, err);
}

// The thread that calls this is the one whose calls fail.
static bool refuse(void *arg, const struct https_listener_request *request, struct https_listener_answer *answer)
{
	struct error ignored;
	(void)arg;
	if (strcmp(request->path, "/begin") == 0)
		torture_begin();
	if (strcmp(request->path, "/end") == 0)
		torture_end();
	if (strcmp(request->path, "/serve") == 0)
		return false;
	answer->status = 403;
	answer->content_type = "text/plain";
	answer->headers[0][0] = "Allow";
	answer->headers[0][1] = "POST";
	answer->retry_after_s = 3;
	if (buf_add_str(&answer->body, "refused", &ignored) < 0)
		answer->status = 503;
	return true;
}

static void serve(void *arg, const struct https_listener_request *request, struct https_listener_answer *answer)
{
	struct error ignored;
	(void)arg;
	bool good = buf_addf(&answer->body, &ignored, "%s:%s", request->authorization, request->body) == 0;
	answer->status = good ? 200 : 503;
}

// By a client of its own: each has a connection, and a handshake. 0: no answer came.
static int ask(const struct https_listener *listener, const char *path, char *body, size_t size)
{
	char url[128];
	struct error err = {0};
	AUTO(secret) struct secret token = {0};
	AUTO(http_client) struct http_client *client = NULL;
	AUTO(http_response) struct http_response response = {0};
	(void)snprintf(url, sizeof(url), "https://127.0.0.1:%d%s", https_listener_port(listener), path);
	assert_ok(http_client_new(&(struct http_options){.ca_pem = ca.cert_pem}, &client, &err), err);
	assert_ok(secret_set(&token, "token", &err), err);
	const struct http_request request = {
		.method = "POST", .url = url, .bearer = &token, .body = "wish", .body_len = 4, .timeout_ms = 10000};
	if (http_do(client, &request, &response, &err) < 0)
		return 0;
	(void)snprintf(body, size, "%s", buf_str(&response.body));
	return response.status;
}

static bool is_right(const char *path, int status, const char *body)
{
	if (strcmp(path, "/serve") == 0)
		return status == 200 && strcmp(body, "Bearer token:wish") == 0;
	return status == 403 && strcmp(body, "refused") == 0;
}

static int serve_clients(struct buf *made, struct error *err)
{
	static const char *const paths[] = {"/begin", "/serve", "/serve", "/refused", "/end"};
	AUTO(https_listener) struct https_listener *listener = NULL;
	int suffered = 0;
	if (need_pairs(err) < 0)
		return -1;
	const struct https_listener_options options = {.address = "127.0.0.1:0",
		.cert_pem = leaf.cert_pem,
		.key_pem = &leaf.key_pem,
		.connections_max = 8,
		.connections_per_ip_max = 8,
		.body_max_bytes = 1024,
		.request_limit_ms = 5000,
		.refuse = refuse,
		.serve = serve};
	if (https_listener_start(&options, &listener, err) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		bool right = false;
		for (int n = 0; n < ASKS && !right; n++) {
			char body[256] = "";
			int status = ask(listener, paths[i], body, sizeof(body));
			right = is_right(paths[i], status, body);
			suffered += right ? 0 : 1;
			if (!right && (body[0] != '\0' || (status != 0 && status != 503)))
				torture_say(made, "%s: %d %s; ", paths[i], status, body);
		}
		if (!right)
			torture_say(made, "%s is never answered; ", paths[i]);
	}
	if (suffered > 1)
		torture_say(made, "%d suffered", suffered);
	return suffered == 0 ? 0 : error_set(err, ERROR_TRANSIENT, "a client has to ask again");
}

int main(void)
{
	static const struct torture_case cases[] = {
		{.name = "clients are served", .run = serve_clients, .is_once_a_place = true}};
	log_setup(LOG_ERROR, LOG_LOGFMT);
	int failures = torture_main("torture/listener", cases, sizeof(cases) / sizeof(cases[0]));
	cert_pair_fini(&ca);
	cert_pair_fini(&leaf);
	return failures;
}
