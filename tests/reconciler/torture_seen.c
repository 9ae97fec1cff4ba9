// Torture (tests/support/torture.h) of what people and programs are shown: metrics, what the listener answers, the status page,
// what a pod said, and the details of a report.
#include "base/clock.h"
#include "reconciler/details.h"
#include "reconciler/metrics.h"
#include "reconciler/page_view.h"
#include "reconciler/pod_words.h"
#include "reconciler/process_stats.h"
#include "reconciler/web.h"
#include "tests/reconciler/scenes.h"
#include "tests/support/cmocka.h"
#include "tests/support/torture.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static json_t *parse(const char *text)
{
	struct error err = {0};
	json_t *value = NULL;
	assert_ok(json_parse(text, strlen(text), &value, &err), err);
	return value;
}

// --- metrics

static void count_all(struct metrics *metrics)
{
	metrics_add(metrics, METRIC_CANOPY_REQUESTS_TOTAL, "a \"word\" of\nits own", "200", NULL, 1);
	metrics_raise(metrics, METRIC_LAST_VERIFIED_TIMESTAMP_SECONDS, "other", NULL, NULL, 2);
	metrics_set(metrics, METRIC_REPLICAS, "state", "of its own", NULL, 3);
	metrics_observe(metrics, METRIC_TICK_DURATION_SECONDS, 0.1);
}

// A series that there is no memory for is left out, with what was counted.
static int render_metrics(struct buf *made, struct error *err)
{
	AUTO(metrics) struct metrics *metrics = NULL;
	AUTO(buf) struct buf page;
	buf_init(&page, 1 << 20);
	torture_begin();
	int rc = metrics_new(&metrics, err);
	if (rc == 0) {
		count_all(metrics);
		rc = metrics_render(metrics, &page, err);
	}
	torture_end();
	if (rc == 0)
		torture_say(made, "%d", strstr(buf_str(&page), "understory_tick_duration_seconds_count 1\n") != NULL);
	return rc;
}

static int look_at_the_process(struct buf *made, struct error *err)
{
	struct process_stats stats = {0};
	torture_begin();
	int rc = process_stats_read(&stats, err);
	torture_end();
	if (stats.threads > 0)
		torture_say(made, "%lld threads", (long long)stats.threads);
	return rc;
}

// --- the listener

// What it is asked for after a request that arms its thread; each on a connection of its own.
static const char *asked;

static bool is_live(void *arg, char *why, size_t why_size)
{
	(void)arg;
	(void)why;
	(void)why_size;
	torture_begin();
	return true;
}

static bool is_ready(void *arg, char *why, size_t why_size)
{
	(void)arg;
	(void)snprintf(why, why_size, "the worklist was never read");
	return false;
}

struct pieces {
	size_t left;
};

static ssize_t read_pieces(void *stream, char *out, size_t room)
{
	struct pieces *pieces = stream;
	size_t n = pieces->left < room ? pieces->left : room;
	memset(out, 'x', n);
	pieces->left -= n;
	return (ssize_t)n;
}

static int opened, closed;

static void close_pieces(void *stream)
{
	free(stream);
	closed++;
}

static bool answer(void *arg, const struct web_request *request, struct web_answer *out)
{
	(void)arg;
	*out = (struct web_answer){.status = 200, .type = "text/plain", .etag = "\"v1\""};
	if (strcmp(request->path, "/text") == 0) {
		out->text = "a text";
		return true;
	}
	struct pieces *pieces = calloc(1, sizeof(*pieces));
	if (pieces == NULL)
		return false;
	pieces->left = 100;
	opened++;
	out->read = read_pieces;
	out->close = close_pieces;
	out->stream = pieces;
	return true;
}

// False: the connection was cut before an answer was whole.
static bool ask(int port, const char *path, char *text, size_t size)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons((in_port_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	char request[128];
	size_t len = 0;
	ssize_t n = 0;
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	(void)snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
	(void)send(fd, request, strlen(request), MSG_NOSIGNAL);
	while (len + 1 < size && (n = recv(fd, text + len, size - 1 - len, 0)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	const char *body = strstr(text, "\r\n\r\n");
	bool is_chunked = strstr(text, "chunked") != NULL;
	return body != NULL && body[4] != '\0' && (!is_chunked || strstr(body, "\r\n0\r\n\r\n") != NULL);
}

static int ask_twice(struct web *web, struct buf *made, struct error *err)
{
	static char text[1 << 18];
	if (!ask(web_port(web), "/livez", text, sizeof(text)) || !ask(web_port(web), asked, text, sizeof(text)))
		return error_set(err, ERROR_TRANSIENT, "the connection was cut");
	torture_say(made, "%.12s%s", text, strstr(text, "Cache-Control: no-") == NULL ? " that is kept" : "");
	return 0;
}

static int listen_and_answer(const char *path, struct buf *made, struct error *err)
{
	const struct web_probes probes = {.is_live = is_live, .is_ready = is_ready};
	const struct web_source source = {.answer = answer};
	AUTO(metrics) struct metrics *metrics = NULL;
	AUTO(web) struct web *web = NULL;
	asked = path;
	opened = closed = 0;
	if (metrics_new(&metrics, err) < 0 || web_start("127.0.0.1:0", metrics, &probes, &source, &web, err) < 0)
		return -1;
	int rc = ask_twice(web, made, err);
	web_stop(TAKE_PTR(web)); // its thread, and what that was armed for, end
	if (opened != closed)
		torture_say(made, "%d of %d closed", closed, opened);
	return rc;
}

static int answer_a_probe(struct buf *made, struct error *err)
{
	return listen_and_answer("/readyz", made, err);
}

static int answer_with_metrics(struct buf *made, struct error *err)
{
	return listen_and_answer("/metrics", made, err);
}

static int answer_with_a_text(struct buf *made, struct error *err)
{
	return listen_and_answer("/text", made, err);
}

static int answer_in_pieces(struct buf *made, struct error *err)
{
	return listen_and_answer("/pieces", made, err);
}

static int start_the_listener(struct buf *made, struct error *err)
{
	const struct web_probes probes = {.is_live = is_ready, .is_ready = is_ready};
	AUTO(metrics) struct metrics *metrics = NULL;
	AUTO(web) struct web *web = NULL;
	if (metrics_new(&metrics, err) < 0)
		return -1;
	torture_begin();
	int rc = web_start("127.0.0.1:0", metrics, &probes, NULL, &web, err);
	torture_end();
	if (web != NULL)
		torture_say(made, "%d", web_port(web) > 0);
	web_stop(TAKE_PTR(web));
	return rc;
}

// --- the status page, over what a cache holds

#define P "pgro.bes.au/"

// What does not end well, and what is not there yet; texts that are escaped.
static void fill_cache(struct cache *cache)
{
	static const char *const namespaces[][2] = {
		{"a", "\"" P "restore-state\":\"failed\",\"" P "last-error\":\"<disk>\",\"" P "report\":\"{}\""},
		{"b", "\"" P "restore-state\":\"restoring\",\"" P "round\":\"aaaaaaaa\""}};
	for (size_t i = 0; i < sizeof(namespaces) / sizeof(namespaces[0]); i++) {
		struct error err = {0};
		char text[1024];
		(void)snprintf(text, sizeof(text),
			"{\"metadata\":{\"name\":\"%s\",\"uid\":\"u\",\"resourceVersion\":\"7\",\"creationTimestamp\":"
			"\"2026-11-20T11:00:00Z\",\"labels\":{\"" P "managed-by\":\"pgro-canopy\",\"" P
			"intent\":\"analytics\"},\"annotations\":{%s}}}",
			namespaces[i][0], namespaces[i][1]);
		AUTO(json) json_t *object = parse(text);
		assert_ok(cache_take(cache, CACHE_NAMESPACE, object, &err), err);
	}
}

// What came is all there, or the connection is cut.
static int read_page(struct view *view, struct buf *made, struct error *err)
{
	static char text[1 << 17];
	ssize_t len = view_read(view, text, sizeof(text) - 1);
	torture_end();
	if (len < 0)
		return error_set(err, ERROR_INTERNAL, "the connection is cut");
	text[len] = '\0';
	torture_say(made, "%d %d", strstr(text, "last-error") == NULL && strstr(text, "disk") != NULL,
		strstr(text, "</html>") != NULL || strstr(text, "\n]}\n") != NULL);
	return 0;
}

static int show_page(enum page_form form, struct buf *made, struct error *err)
{
	const struct page_query query = {.words = ""};
	AUTO(settings) struct settings *settings = scene_settings();
	struct manager op = {.settings = settings};
	struct view *view = NULL;
	pulse_init(&op.pulse);
	if (cache_new(&op.cache, err) < 0 || slots_new(4, &op.slots, err) < 0 || notes_new(&op.notes, err) < 0)
		return -1;
	fill_cache(op.cache);
	torture_begin();
	int rc = view_new(&op, form, &query, NULL, NULL, &view, err);
	if (rc == 0)
		rc = read_page(view, made, err);
	torture_end();
	if (view != NULL)
		view_close(view);
	notes_free(op.notes);
	slots_free(op.slots);
	cache_free(op.cache);
	return rc;
}

static int page_for_people(struct buf *made, struct error *err)
{
	return show_page(PAGE_HTML, made, err);
}

static int page_for_programs(struct buf *made, struct error *err)
{
	return show_page(PAGE_JSON, made, err);
}

// --- what a pod said, and the report

// More notes than a list has room for at first.
#define NOTES "[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\"]"
#define SAID                                                                                                            \
	"{\"capture\":\"base_backup\",\"load_warnings\":1,\"disarmed\":[\"a\"],\"disarmed_more\":1,\"repaired\":" NOTES \
	",\"repaired_more\":2,\"checkpoint_at\":\"2026-11-20T08:00:00Z\",\"last_commit_at\":\"2026-11-20T08:04:00Z\","  \
	"\"recovered_to\":\"0/3\",\"notes\":" NOTES ",\"recovery_seconds\":7,\"load_seconds\":5}"
#define CHECKED "{\"depth\":\"deep\",\"stages\":[{\"name\":\"connect\",\"seconds\":0.5}],\"notes\":" NOTES "}"
#define STARTING                                                                                                \
	"\"restore-state\":\"starting\",\"round\":\"aaaaaaaa\",\"round-snapshot-id\":\"s1\",\"attempt\":\"2\"," \
	"\"round-started-at\":\"2026-11-20T11:00:00Z\""

static json_t *new_pod(void)
{
	json_t *pod = json_pack("{s:{s:[{s:s, s:{s:{s:i, s:s, s:s}}}], s:[{s:s, s:s, s:s}]}}", "status", "initContainerStatuses",
		"name", "prepare", "state", "terminated", "exitCode", 0, "finishedAt", "2026-11-20T09:10:00Z", "message", SAID,
		"containerStatuses", "name", "postgres", "image", "postgres:15", "imageID", "postgres@sha256:f4");
	assert_non_null(pod);
	return pod;
}

static void say_json(struct buf *made, const json_t *value)
{
	struct error err = {0};
	AUTO_FREE char *text = NULL;
	assert_ok(json_print(value, &text, &err), err);
	torture_say(made, "%s", text);
}

// A log that was reset is not missed for want of memory.
static int read_the_pod(struct buf *made, struct error *err)
{
	AUTO(json) json_t *pod = new_pod();
	AUTO(pod_words) struct pod_words words = {0};
	torture_begin();
	int rc = pod_words_read(pod, &words, err);
	torture_end();
	if (rc == 0)
		say_json(made, words.details);
	return rc;
}

static int make_details(bool is_lost, struct buf *made, struct error *err)
{
	static const char message[] = "{\"postgres_version\":\"15\",\"bytes\":1000,\"files\":10,\"seconds\":61,"
				      "\"engine\":\"restic 0.18.1\",\"layout\":\"debian\",\"backup\":\"2026-11-20\"}";
	AUTO(settings) struct settings *settings = scene_settings();
	AUTO(replica) struct replica replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "verify", STARTING);
	AUTO(json) json_t *pod = new_pod();
	AUTO(json) json_t *details = NULL;
	AUTO(json) json_t *checks = parse(CHECKED);
	AUTO(pod_words) struct pod_words words = {.recovery_s = -1, .load_s = -1};
	struct entry entry =
		scene_entry(SCENE_SERVER_ID, "verify", ",\"snapshot_id\":\"s1\",\"snapshot_at\":\"2026-11-20T08:10:00Z\"");
	struct deployment_view deployment = {
		.of.round = "aaaaaaaa", .restored_bytes = 1000, .restored_files = 10, .flavour = "stock"};
	struct pod_view restored = {.of.round = "aaaaaaaa", .is_restore = true, .message = (char *)(uintptr_t)message};
	const struct check_result checked = {.server_version = "15.20", .details = checks};
	if (!is_lost)
		assert_ok(pod_words_read(pod, &words, err), *err);
	words.prepare_ended_at_ms = clock_wall_ms();
	words.ready_at_ms = words.prepare_ended_at_ms + 3000;
	const struct round_view view = {.entry = &entry,
		.replica = &replica,
		.scene = {.deployments = &deployment, .deployment_count = 1, .pods = &restored, .pod_count = 1},
		.settings = settings,
		.check = CHECK_DONE,
		.check_result = &checked,
		.words = &words,
		.now_ms = scene_now_ms()};
	torture_begin();
	int rc = details_make(&view, &details, err);
	torture_end();
	if (rc == 0)
		say_json(made, details);
	entry_fini(&entry);
	return rc;
}

static int make_full_details(struct buf *made, struct error *err)
{
	return make_details(false, made, err);
}

static int make_details_of_lost_words(struct buf *made, struct error *err)
{
	return make_details(true, made, err);
}

int main(void)
{
	static const struct torture_case cases[] = {
		{.name = "metrics", .run = render_metrics, .may_go_without = true, .is_once_a_place = true},
		{.name = "the process", .run = look_at_the_process},
		{.name = "the listener starts", .run = start_the_listener},
		{.name = "a probe is answered", .run = answer_a_probe},
		{.name = "metrics are answered", .run = answer_with_metrics, .may_go_without = true, .is_once_a_place = true},
		{.name = "a text is answered", .run = answer_with_a_text},
		{.name = "an answer in pieces", .run = answer_in_pieces, .may_go_without = true},
		{.name = "the status page", .run = page_for_people, .is_once_a_place = true},
		{.name = "status.json", .run = page_for_programs, .is_once_a_place = true},
		{.name = "a pod's words", .run = read_the_pod},
		{.name = "details", .run = make_full_details, .may_go_without = true},
		{.name = "details of lost words", .run = make_details_of_lost_words, .may_go_without = true},
	};
	return torture_main("reconciler/torture_seen", cases, sizeof(cases) / sizeof(cases[0]));
}
