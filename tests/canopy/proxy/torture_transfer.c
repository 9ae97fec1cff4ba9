// Torture (tests/support/torture.h) of requests on their way: the proxy's loop between an engine and S3.
//
// Whatever fails, one request may suffer by it and the next is served: the engine gets an error that it takes for passing, or its
// connection ends before the body is whole. Never a refusal, which ends a restore; never other bytes; never silence.
#include "base/clock.h"
#include "base/log.h"
#include "canopy/proxy/broker_client.h"
#include "canopy/proxy/stats.h"
#include "tests/canopy/proxy/world.h"
#include "tests/support/cmocka.h"
#include "tests/support/torture.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ASKS 3 // of one engine, each on a connection of its own
// The next request comes over another connection, and this server serves one after the other.
#define REFUSED "HTTP/1.1 403 Forbidden\r\nConnection: close\r\n"
#define BODY_BYTES ((size_t)300 << 10)

struct scene {
	const char *method, *path, *headers;
	const char *answer;      // of S3; NULL: BODY_BYTES
	bool is_tls, is_expired; // S3 refuses the broker's first keys
	int status;              // that the engine should see; 0: 200
};

struct engine {
	struct world *world;
	const struct scene *scene;
	int suffered;
	char wrong[256]; // what no engine should see; "" when all is well
};

static char body[BODY_BYTES + 1];

static void say_body(struct raw_connection *connection)
{
	char head[128];
	(void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", BODY_BYTES);
	raw_write(connection, head);
	raw_write_bytes(connection, body, BODY_BYTES);
}

static const char expired[] = REFUSED "Content-Length: 40\r\n\r\n<Error><Code>ExpiredToken</Code></Error>";

static void play(void *arg, struct raw_connection *connection, int number)
{
	const struct scene *scene = arg;
	char request[WORLD_TEXT_MAX];
	(void)number;
	while (raw_read_request(connection, request, sizeof(request))) {
		if (scene->is_expired && strstr(request, "Credential=AKID1/") != NULL)
			raw_write(connection, strncmp(request, "HEAD", 4) == 0 ? REFUSED "\r\n" : expired);
		else if (scene->answer != NULL)
			raw_write(connection, scene->answer);
		else
			say_body(connection);
	}
}

static bool is_good(const struct scene *scene, const struct world_reply *reply)
{
	if (reply->status != (scene->status == 0 ? 200 : scene->status) || reply->is_cut)
		return false;
	return scene->answer != NULL || scene->status != 0 ||
	       (reply->len == BODY_BYTES && memcmp(reply->body, body, BODY_BYTES) == 0);
}

// An end without a head, or before the body is whole; an error that passes, in S3's words.
static bool is_passing(const struct world_reply *reply)
{
	if (reply->status == 0 || reply->is_cut)
		return true;
	return reply->status / 100 == 5 && (reply->body == NULL || strstr(reply->body, "<Code>") != NULL);
}

static void *ask(void *arg)
{
	struct engine *engine = arg;
	const struct scene *scene = engine->scene;
	for (int i = 0; i < ASKS && engine->wrong[0] == '\0'; i++) {
		int64_t began_ms = clock_mono_ms();
		int fd = world_connect(engine->world);
		struct world_reply reply = world_ask(fd, scene->method, scene->path, scene->headers);
		bool good = is_good(scene, &reply);
		engine->suffered += good ? 0 : 1;
		if (clock_mono_ms() - began_ms > WORLD_TIMEOUT_MS / 2)
			(void)snprintf(engine->wrong, sizeof(engine->wrong), "ask %d: silence", i);
		else if (!good && !is_passing(&reply))
			(void)snprintf(engine->wrong, sizeof(engine->wrong), "ask %d: %d %.100s", i, reply.status,
				reply.body == NULL ? "" : reply.body);
		world_reply_fini(&reply);
		(void)close(fd);
	}
	proxy_stop(world_proxy(engine->world));
	return NULL;
}

static int carry(struct scene *scene, struct buf *made, struct error *err)
{
	static const char *const settings[] = {"PGRO_STATS_CALLBACK_URL", "", "PGRO_PROGRESS_CALLBACK_URL", "", NULL};
	struct engine engine = {.scene = scene};
	pthread_t thread;
	memset(body, 'b', BODY_BYTES);
	engine.world = world_new(&(struct world_options){.s3 = play,
		.arg = scene,
		.s3_tls = scene->is_tls ? world_tls("IP:127.0.0.1") : NULL,
		.settings = settings,
		.is_driven = true});
	assert_int_equal(pthread_create(&thread, NULL, ask, &engine), 0);
	torture_begin();
	int rc = world_run(engine.world, err);
	torture_end();
	assert_int_equal(pthread_join(thread, NULL), 0);
	world_free(engine.world);
	if (engine.wrong[0] != '\0' || engine.suffered > 1)
		torture_say(made, "%d suffered; %s", engine.suffered, engine.wrong);
	if (rc == 0 && engine.suffered > 0)
		return error_set(err, ERROR_TRANSIENT, "the engine has to ask again");
	return rc;
}

static int fetch_an_object(struct buf *made, struct error *err)
{
	static struct scene scene = {.method = "GET", .path = "/bucket/p/k", .headers = "Range: bytes=0-\r\n"};
	return carry(&scene, made, err);
}

static int fetch_over_tls(struct buf *made, struct error *err)
{
	static struct scene scene = {
		.method = "GET", .path = "/bucket/p/a%20b", .headers = "If-Match: \"e\"\r\n", .is_tls = true};
	return carry(&scene, made, err);
}

static int list_a_bucket(struct buf *made, struct error *err)
{
	static struct scene scene = {.method = "GET",
		.path = "/bucket/?list-type=2&prefix=p%2Fa%20b&delimiter=%2F",
		.headers = "",
		.answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n<List\r\n2;x=y\r\n/>\r\n0\r\n\r\n"};
	return carry(&scene, made, err);
}

// The head says nothing, the probe says what it is, then there are other keys.
static int ask_why_a_head_is_refused(struct buf *made, struct error *err)
{
	static struct scene scene = {.method = "HEAD",
		.path = "/bucket/p/k",
		.headers = "",
		.answer = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
		.is_expired = true};
	return carry(&scene, made, err);
}

static int pass_on_what_is_missing(struct buf *made, struct error *err)
{
	static struct scene scene = {.method = "GET",
		.path = "/bucket/p/k",
		.headers = "",
		.answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 37\r\n\r\n<Error><Code>NoSuchKey</Code></Error>",
		.status = 404};
	return carry(&scene, made, err);
}

static int refuse_another_bucket(struct buf *made, struct error *err)
{
	static struct scene scene = {.method = "GET", .path = "/other/p/k", .headers = "", .status = 403};
	return carry(&scene, made, err);
}

// What the threads beside the loop do: keys, and counts on the way and at the end.

static struct world *broker_alone(void)
{
	return world_new(&(struct world_options){.s3_port = 1, .is_driven = true});
}

static int ask_for_keys(struct buf *made, struct error *err)
{
	AUTO(broker_client) struct broker_client *broker = NULL;
	AUTO(s3_keys) struct s3_keys keys = {0};
	struct world *w = broker_alone();
	torture_begin();
	int rc = broker_client_new(world_config(w), NULL, &broker, err);
	if (rc == 0)
		rc = broker_client_get_keys(broker, &keys, err);
	torture_end();
	if (rc == 0)
		torture_say(made, "%d", strncmp(secret_reveal(&keys.session_token), "TOKENTOKEN", 10));
	else if (keys.access_key_id.bytes != NULL)
		torture_say(made, "half a set");
	broker_client_free(TAKE_PTR(broker));
	world_free(w);
	return rc;
}

static int report_the_totals(struct buf *made, struct error *err)
{
	static const struct stats stats;
	struct stats_reporter *reporter = NULL;
	struct world *w = broker_alone();
	torture_begin();
	int rc = stats_reporter_new(world_config(w), &stats, &reporter, err);
	stats_reporter_free(reporter);
	torture_end();
	// What fails is tried again as long as there is time: only who finds no memory to begin with loses the totals.
	bool is_posted = world_posted(w, "/stats") != NULL;
	world_free(w);
	if (rc == 0 && !is_posted)
		return error_set(err, ERROR_INTERNAL, "the totals are lost, which the log says");
	torture_say(made, "%s", rc == 0 ? "posted" : is_posted ? "posted by nobody" : "");
	return rc;
}

int main(void)
{
	static const struct torture_case cases[] = {
		{.name = "an object is fetched", .run = fetch_an_object, .is_once_a_place = true},
		{.name = "an object is fetched over TLS", .run = fetch_over_tls, .is_once_a_place = true},
		{.name = "a bucket is listed", .run = list_a_bucket, .is_once_a_place = true},
		{.name = "a head that is refused is asked why", .run = ask_why_a_head_is_refused, .is_once_a_place = true},
		{.name = "what S3 has not is passed on", .run = pass_on_what_is_missing, .is_once_a_place = true},
		{.name = "keys are asked for", .run = ask_for_keys, .is_once_a_place = true},
		{.name = "the totals are reported", .run = report_the_totals, .is_once_a_place = true},
		{.name = "another bucket is refused", .run = refuse_another_bucket, .is_once_a_place = true},
	};
	log_setup(LOG_ERROR, LOG_LOGFMT);
	return torture_main("torture/transfer", cases, sizeof(cases) / sizeof(cases[0]));
}
