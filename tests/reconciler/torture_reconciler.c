// Torture (tests/support/torture.h) of reconciler/: what decodes, keeps, compares and decides, a pass, and what goes over the
// wire.
#include "base/buf.h"
#include "base/clock.h"
#include "reconciler/access.h"
#include "reconciler/brake_store.h"
#include "reconciler/ca_secret.h"
#include "reconciler/authority.h"
#include "reconciler/memo.h"
#include "reconciler/note.h"
#include "reconciler/pass.h"
#include "reconciler/patch.h"
#include "reconciler/web.h"
#include "reconciler/workload.h"
#include "tests/reconciler/scenes.h"
#include "tests/support/cmocka.h"
#include "tests/support/http_server.h"
#include "tests/support/torture.h"
#include <stdio.h>
#include <string.h>

#define NOW_MS INT64_C(1795000000000)

#define LABELS                                                                                                      \
	"\"labels\":{\"pgro.bes.au/managed-by\":\"pgro-canopy\",\"pgro.bes.au/declaration-id\":\"" SCENE_REPLICA_ID \
	"\",\"pgro.bes.au/group\":\"" SCENE_GROUP_ID "\",\"pgro.bes.au/server\":\"" SCENE_SERVER_ID                 \
	"\",\"pgro.bes.au/intent\":\"analytics\",\"pgro.bes.au/type\":\"tamanu-postgres\",\"pgro.bes.au/round\":\"aaaaaaaa\"}"
#define NAMESPACE                                                                                                          \
	"{\"metadata\":{\"name\":\"" SCENE_NAMESPACE "\",\"uid\":\"u-1\",\"resourceVersion\":\"7\",\"creationTimestamp\":" \
	"\"2026-11-20T10:00:00Z\"," LABELS ",\"annotations\":{\"pgro.bes.au/restore-state\":\"restoring\","                \
	"\"pgro.bes.au/desired-snapshot-id\":\"s1\",\"pgro.bes.au/round\":\"aaaaaaaa\",\"pgro.bes.au/last-error\":\"why\"}}}"
#define OBJECT(name)                                                                                         \
	"{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"" SCENE_NAMESPACE "\",\"uid\":\"u-" name "\"," \
	"\"resourceVersion\":\"8\",\"creationTimestamp\":\"2026-11-20T10:00:00Z\"," LABELS "}"
#define JOB OBJECT("restore-aaaaaaaa") ",\"status\":{\"conditions\":[{\"type\":\"Complete\",\"status\":\"True\"}]}}"
#define POD                                                                                                                 \
	OBJECT("restore-aaaaaaaa-x")                                                                                        \
	",\"spec\":{\"containers\":[{\"name\":\"restore\"}]},\"status\":{\"podIP\":\"10.0.0.1\",\"containerStatuses\":[{"   \
	"\"name\":\"restore\",\"state\":{\"terminated\":{\"exitCode\":1,\"reason\":\"Error\",\"message\":\"{\\\"error\\\":" \
	"\\\"x\\\"}\"}}}]}}"

static json_t *parse(const char *text)
{
	struct error err = {0};
	json_t *value = NULL;
	assert_ok(json_parse(text, strlen(text), &value, &err), err);
	return value;
}

// The cache. What could not be taken is taken the next time.

static int take_all(struct cache *cache, const json_t *namespace, const json_t *job, const json_t *pod, struct error *err)
{
	return cache_take(cache, CACHE_NAMESPACE, namespace, err) < 0 || cache_take(cache, CACHE_JOB, job, err) < 0 ||
			       cache_take(cache, CACHE_POD, pod, err) < 0
		       ? -1
		       : 0;
}

static void say_look(struct buf *made, struct cache *cache)
{
	struct error err = {0};
	struct look look;
	if (cache_look(cache, SCENE_NAMESPACE, &look, &err) < 0) {
		torture_say(made, "%s", err.text);
		return;
	}
	torture_say(made, "%d %s %s", look.has_replica, look.replica.round, look.replica.last_error);
	look_fini(&look);
}

static int fill_the_cache(struct buf *made, struct error *err)
{
	AUTO(json) json_t *namespace = parse(NAMESPACE);
	AUTO(json) json_t *job = parse(JOB);
	AUTO(json) json_t *pod = parse(POD);
	AUTO(cache) struct cache *cache = NULL;
	struct error why = {0};
	torture_begin();
	int rc = cache_new(&cache, err);
	if (rc == 0)
		rc = take_all(cache, namespace, job, pod, err);
	torture_end();
	if (rc == 0)
		say_look(made, cache);
	else if (cache != NULL && take_all(cache, namespace, job, pod, &why) < 0)
		torture_say(made, "not again: %s", why.text);
	return rc;
}

static int look_at_the_cache(struct buf *made, struct error *err)
{
	AUTO(json) json_t *namespace = parse(NAMESPACE);
	AUTO(json) json_t *job = parse(JOB);
	AUTO(json) json_t *pod = parse(POD);
	AUTO(cache) struct cache *cache = NULL;
	struct look look;
	AUTO_FREE char(*names)[ENTRY_NAMESPACE_SIZE] = NULL;
	size_t count = 0;
	if (cache_new(&cache, err) < 0 || take_all(cache, namespace, job, pod, err) < 0)
		return -1;
	torture_begin();
	int rc = cache_look(cache, SCENE_NAMESPACE, &look, err);
	bool has_look = rc == 0;
	if (rc == 0)
		rc = cache_names(cache, &names, &count, err);
	torture_end();
	if (rc == 0)
		torture_say(made, "%s %s %zu", look.replica.round, look.replica.last_error, count);
	if (has_look)
		look_fini(&look);
	return rc;
}

static int decode_objects(struct buf *made, struct error *err)
{
	AUTO(json) json_t *namespace = parse(NAMESPACE);
	AUTO(json) json_t *job = parse(JOB);
	AUTO(json) json_t *pod = parse(POD);
	struct replica replica = {0};
	struct job_view job_view = {0};
	struct pod_view pod_view = {0};
	torture_begin();
	int rc = replica_from_json(namespace, &replica, err);
	if (rc == 0)
		rc = job_view_from_json(job, &job_view, err);
	if (rc == 0)
		rc = pod_view_from_json(pod, &pod_view, err);
	torture_end();
	if (rc == 0)
		torture_say(
			made, "%s %s %d %s", replica.type, replica.desired_snapshot_id, (int)job_view.outcome, pod_view.message);
	pod_view_fini(&pod_view);
	replica_fini(&replica);
	return rc;
}

// A pass over doubles: an operator without any connection.

struct world {
	struct manager op;
	struct settings *settings;
};

static int open_world(struct world *w, struct error *err)
{
	AUTO(json) json_t *namespace = parse(NAMESPACE);
	AUTO(json) json_t *job = parse(JOB);
	AUTO(json) json_t *pod = parse(POD);
	*w = (struct world){.settings = scene_settings()};
	w->op.settings = w->settings;
	w->op.is_brake_loaded = true;
	if (cache_new(&w->op.cache, err) < 0 || queue_new(&w->op.queue, err) < 0 || slots_new(2, &w->op.slots, err) < 0 ||
		metrics_new(&w->op.metrics, err) < 0)
		return -1;
	return take_all(w->op.cache, namespace, job, pod, err);
}

static void close_world(struct world *w)
{
	metrics_free(w->op.metrics);
	slots_free(w->op.slots);
	queue_free(w->op.queue);
	cache_free(w->op.cache);
	worklist_free(w->op.worklist);
	worklist_free(w->op.fetched);
	settings_free(w->settings);
}

// The replica that is there, and one that is not.
static int offer(struct world *w, struct error *err)
{
	static const char text[] =
		"[{\"replica_id\":\"" SCENE_REPLICA_ID "\",\"group_id\":\"" SCENE_GROUP_ID "\",\"server_id\":\"" SCENE_SERVER_ID
		"\",\"type\":\"tamanu-postgres\",\"intent\":\"analytics\",\"name\":\"Nauru prod analytics\",\"params\":{},"
		"\"storage\":\"s3\",\"bucket\":\"b\",\"prefix\":\"p\",\"region\":\"r\",\"snapshot_id\":\"s1\"},"
		"{\"replica_id\":\"" SCENE_GROUP_ID "\",\"group_id\":\"" SCENE_GROUP_ID "\",\"server_id\":\"" SCENE_SERVER_ID
		"\",\"type\":\"tamanu-postgres\",\"intent\":\"verify\",\"name\":\"other\",\"params\":{\"depth\":\"deep\"},"
		"\"storage\":\"s3\",\"bucket\":\"b\",\"prefix\":\"p\",\"region\":\"r\",\"snapshot_id\":\"s1\"}]";
	AUTO(worklist_decoder) struct worklist_decoder *decoder = NULL;
	if (worklist_decoder_new(&decoder, err) < 0 || worklist_decoder_feed(decoder, text, sizeof(text) - 1, err) < 0)
		return -1;
	return worklist_decoder_finish(decoder, &w->op.fetched, err);
}

static int count_teardowns(struct world *w)
{
	struct error err = {0};
	struct record **records = NULL;
	size_t count = 0;
	int teardowns = 0;
	assert_ok(cache_begin(w->op.cache, &records, &count, &err), err);
	for (size_t i = 0; i < count; i++)
		teardowns += record_wanted(records[i])->action.kind == ACTION_TEARDOWN;
	cache_end(w->op.cache);
	return teardowns;
}

// Whatever fails, nothing that the worklist names is torn down, and the next pass goes through.
static int pass(struct buf *made, struct error *err)
{
	struct world w;
	struct pass result = {0}, again = {0};
	struct error why = {0};
	if (open_world(&w, err) < 0 || offer(&w, err) < 0)
		return -1;
	torture_begin();
	int rc = pass_decide(&w.op, true, NOW_MS, 1000, &result, err);
	if (rc == 0)
		rc = pass_enqueue(&w.op, NOW_MS, err);
	if (rc == 0)
		rc = pass_count(&w.op, err);
	torture_end();
	if (rc == 0)
		torture_say(made, "%zu managed, %d teardowns", result.managed, count_teardowns(&w));
	else if (count_teardowns(&w) > 0)
		torture_say(made, "a teardown");
	else if (pass_decide(&w.op, true, NOW_MS, 2000, &again, &why) < 0 || pass_enqueue(&w.op, NOW_MS, &why) < 0)
		torture_say(made, "not again: %s", why.text);
	close_world(&w);
	return rc;
}

// Small things that are kept. A key that is lost comes again with the next pass.

static int keep_small_things(struct buf *made, struct error *err)
{
	AUTO(queue) struct queue *queue = NULL;
	AUTO(slots) struct slots *slots = NULL;
	AUTO(memos) struct memos *memos = NULL;
	AUTO(notes) struct notes *notes = NULL;
	AUTO(authority) struct authority *authority = NULL;
	char taken[ENTRY_NAMESPACE_SIZE] = "";
	torture_begin();
	int rc = queue_new(&queue, err);
	if (rc == 0)
		rc = slots_new(1, &slots, err);
	if (rc == 0)
		rc = memos_new(&memos, err);
	if (rc == 0)
		rc = notes_new(&notes, err);
	if (rc == 0)
		rc = authority_new(&authority, err);
	if (rc == 0) {
		queue_add(queue, "a", 0);
		slots_hold(slots, "a");
		struct memo *memo = memos_take(memos, "a");
		if (memo != NULL) {
			memo->errors_in_row = 1;
			memos_put(memos, memo);
		}
	}
	torture_end();
	if (rc == 0) {
		queue_add(queue, "b", 0);
		(void)queue_take(queue, taken, NULL);
		queue_done(queue, taken);
		torture_say(made, "%s", taken[0] == 'a' || taken[0] == 'b' ? "a key" : "no key");
	}
	return rc;
}

static int render_metrics(struct buf *made, struct error *err)
{
	AUTO(metrics) struct metrics *metrics = NULL;
	AUTO(buf) struct buf page;
	buf_init(&page, 1 << 20);
	torture_begin();
	int rc = metrics_new(&metrics, err);
	if (rc == 0) {
		metrics_add(metrics, METRIC_ACTIONS_TOTAL, "provision", "new", NULL, 1);
		metrics_observe(metrics, METRIC_TICK_DURATION_SECONDS, 0.1);
		rc = metrics_render(metrics, &page, err);
	}
	torture_end();
	if (rc == 0)
		torture_say(made, "%d", strstr(buf_str(&page), "understory_tick_duration_seconds_count 1\n") != NULL);
	return rc;
}

static bool is_well(void *arg, char *why, size_t why_size)
{
	(void)arg;
	(void)why;
	(void)why_size;
	return true;
}

static int start_the_web(struct buf *made, struct error *err)
{
	const struct web_probes probes = {.is_live = is_well, .is_ready = is_well};
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

// Over the wire. The API server has what was written last, under any name.

static char stored[16384];

static void serve(void *arg, const struct http_server_request *request, struct http_server_answer *answer)
{
	(void)arg;
	if (strcmp(request->method, "GET") != 0 && strstr(request->target, "/namespaces/" SCENE_NAMESPACE) == NULL)
		(void)snprintf(stored, sizeof(stored), "%s", buf_str(&request->body));
	answer->status = stored[0] != '\0' ? 200 : 404;
	answer->body = strdup(stored[0] != '\0' ? stored : "{\"kind\":\"Status\",\"reason\":\"NotFound\",\"code\":404}");
}

static struct http_server *server;

static struct k8s_client *new_client(void)
{
	static char url[128];
	static struct k8s_config config = {.server = url};
	struct error err = {0};
	struct k8s_client *client = NULL;
	if (server == NULL)
		server = http_server_start(serve, NULL);
	(void)snprintf(url, sizeof(url), "%s", http_server_url(server));
	assert_ok(k8s_client_new(&config, NULL, &client, &err), err);
	return client;
}

static int keep_the_brake(struct buf *made, struct error *err)
{
	const struct brake brake = {.answer = 42, .passes = 2, .since_mono_ms = 5000};
	struct brake loaded = {0};
	AUTO(k8s_client) struct k8s_client *client = new_client();
	stored[0] = '\0';
	torture_begin();
	int rc = brake_save(client, "pgro-system", &brake, 65000, err);
	if (rc == 0)
		rc = brake_load(client, "pgro-system", 65000, &loaded, err);
	torture_end();
	if (loaded.passes != 0)
		torture_say(made, "%d %lld", loaded.passes, (long long)loaded.since_mono_ms);
	return rc;
}

// The CA that restores in flight trust is never made anew because something failed.
static int keep_the_ca(struct buf *made, struct error *err)
{
	static const char *const names[] = {"understory.pgro-system.svc", NULL};
	static char first[16384];
	AUTO(ca_state) struct ca_state state = {0};
	AUTO(k8s_client) struct k8s_client *client = new_client();
	bool changed = false;
	if (first[0] == '\0') {
		AUTO(ca_state) struct ca_state made_first = {0};
		stored[0] = '\0';
		if (ca_secret_sync(client, "pgro-system", names, NOW_MS, &made_first, &changed, err) < 0)
			return -1;
		memcpy(first, stored, sizeof(first));
	}
	memcpy(stored, first, sizeof(stored));
	torture_begin();
	int rc = ca_secret_sync(client, "pgro-system", names, NOW_MS, &state, &changed, err);
	torture_end();
	AUTO(json) json_t *before = parse(first);
	AUTO(json) json_t *after = parse(stored);
	if (!json_equal(json_find(before, "data", "ca.crt"), json_find(after, "data", "ca.crt")))
		torture_say(made, "another CA");
	else if (rc == 0)
		torture_say(made, "the CA");
	return rc;
}

// A guarded write goes out whole, with its resourceVersion, or not at all.
static int send_a_patch(struct buf *made, struct error *err)
{
	AUTO(k8s_client) struct k8s_client *client = new_client();
	AUTO(patch) struct patch patch = {0};
	AUTO(replica)
	struct replica replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "analytics", "\"restore-state\":\"restoring\"");
	size_t before = http_server_count(server);
	memcpy(stored, NAMESPACE, sizeof(NAMESPACE)); // the answer
	torture_begin();
	patch_init(&patch, &replica);
	patch_set(&patch, "pgro.bes.au/report", "{\"outcome\":\"success\"}");
	patch_set(&patch, "pgro.bes.au/last-error", NULL);
	patch_set_int(&patch, "pgro.bes.au/attempt", 3);
	patch_set_time(&patch, "pgro.bes.au/failed-at", NOW_MS);
	int rc = patch_send(&patch, client, &replica, err);
	torture_end();
	const struct http_server_request *sent = http_server_request(server, before);
	AUTO(json) json_t *body = sent == NULL ? NULL : parse(buf_str(&sent->body));
	if (sent != NULL && (json_object_size(json_find(body, "metadata", "annotations")) != 4 ||
				    json_find_str(body, "metadata", "resourceVersion") == NULL))
		torture_say(made, "sent %s", buf_str(&sent->body));
	if (rc == 0 && sent == NULL)
		torture_say(made, "nothing was sent");
	return rc;
}

int main(void)
{
	static const struct torture_case cases[] = {
		{.name = "the cache is filled", .run = fill_the_cache},
		{.name = "the cache is looked at", .run = look_at_the_cache},
		{.name = "objects are decoded", .run = decode_objects},
		{.name = "a pass", .run = pass},
		{.name = "queue, slots, memos, notes and the CA's place", .run = keep_small_things},
		{.name = "metrics", .run = render_metrics, .may_go_without = true},
		{.name = "the web listener starts", .run = start_the_web},
		{.name = "the brake is kept", .run = keep_the_brake},
		{.name = "the CA is kept", .run = keep_the_ca},
		{.name = "a patch is sent", .run = send_a_patch},
	};
	log_setup(LOG_ERROR, LOG_LOGFMT);
	int failures = torture_main("torture/reconciler", cases, sizeof(cases) / sizeof(cases[0]));
	if (server != NULL)
		http_server_stop(server);
	return failures;
}
