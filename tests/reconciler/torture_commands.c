// Torture (tests/support/torture.h) of the programs that look once, of the status page, of a pass, of what the broker
// asks, and of the operator's beginning and end:
// against the stub's API server with a replica that serves, and one that is being restored.
#include "reconciler/access.h"
#include "reconciler/page_view.h"
#include "reconciler/plan.h"
#include "reconciler/run.h"
#include "reconciler/status.h"
#include "reconciler/tick.h"
#include "reconciler/why.h"
#include "reconciler/wiring.h"
#include "base/clock.h"
#include "base/log.h"
#include "tests/reconciler/cluster.h"
#include "tests/reconciler/scenes.h"
#include "tests/support/cmocka.h"
#include "tests/support/redirect.h"
#include "tests/support/torture.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SNAPSHOT ",\"snapshot_id\":\"s1\",\"snapshot_at\":\"2026-11-20T10:00:00Z\""

#pragma GCC diagnostic ignored "-Wredundant-decls"
#if defined(__clang__)
#pragma GCC diagnostic ignored "-Wreserved-identifier"
#endif

static struct cluster c;

// Once for all cases: they change nothing.
static const struct settings *open_cluster(void)
{
	static bool is_open;
	if (!is_open) {
		cluster_open(&c, "analytics", NULL);
		cluster_settle(&c);
		// Nobody else reads the environment yet.
		assert_int_equal(setenv("KUBECONFIG", cluster_kubeconfig(&c), 1), 0); // NOLINT(concurrency-mt-unsafe)
		is_open = true;
	}
	return c.op.settings;
}

// It is the operator's, not that of any thread of the test.
static void ending_signal(sigset_t *out)
{
	(void)sigemptyset(out);
	(void)sigaddset(out, SIGTERM);
}

enum command { PLAN, STATUS, WHY };

static int look(enum command command, const struct output *output, struct buf *made, struct error *err)
{
	const struct settings *settings = open_cluster();
	bool something = false;
	int before = redirect_begin(STDOUT_FILENO, "/dev/null"); // stdout has the test's own words
	torture_begin();
	int rc = command == PLAN ? plan(settings, output, &something, err)
				 : (command == STATUS ? status : why)(settings, output, err);
	torture_end();
	redirect_end(STDOUT_FILENO, before);
	if (rc == 0)
		torture_say(made, "%d", something);
	return rc;
}

static int plan_as_table(struct buf *made, struct error *err)
{
	return look(PLAN, &(struct output){.format = OUTPUT_TABLE}, made, err);
}

static int plan_as_json(struct buf *made, struct error *err)
{
	c.entry = NULL; // something to say
	int rc = look(PLAN, &(struct output){.format = OUTPUT_JSON}, made, err);
	c.entry = SNAPSHOT;
	return rc;
}

static int status_as_table(struct buf *made, struct error *err)
{
	return look(STATUS, &(struct output){.format = OUTPUT_TABLE, .has_colours = true}, made, err);
}

static int status_as_json(struct buf *made, struct error *err)
{
	return look(STATUS, &(struct output){.format = OUTPUT_JSON}, made, err);
}

// The database serves, and its Deployment says how large it is.
static int status_of_what_serves(struct buf *made, struct error *err)
{
	static bool serves;
	(void)open_cluster();
	if (!serves) {
		cluster_job_ends(&c, true, "{\"postgres_version\":\"15\",\"bytes\":1000,\"files\":10,\"layout\":\"debian\"}");
		cluster_settle(&c);
		cluster_database_comes_up(&c);
		c.check = CHECK_DONE;
		c.checked = (struct check_result){.grade = GRADE_CLEAN, .stage = "catalogs", .server_version = "15.20"};
		cluster_settle(&c);
		c.check = CHECK_NONE;
		serves = true;
	}
	return look(STATUS, &(struct output){.format = OUTPUT_JSON}, made, err);
}

static int why_it_is_so(struct buf *made, struct error *err)
{
	return look(WHY, &(struct output){.format = OUTPUT_TABLE, .namespace = SCENE_NAMESPACE}, made, err);
}

static int plan_of_duplicates(struct buf *made, struct error *err)
{
	c.entry = SNAPSHOT
		",\"params\":{},\"storage\":\"s3\"},{\"replica_id\":\"" SCENE_REPLICA_ID "\",\"group_id\":\"" SCENE_GROUP_ID
		"\",\"server_id\":\"" SCENE_SERVER_ID
		"\",\"type\":\"tamanu-postgres\",\"intent\":\"analytics\",\"name\":\"Nauru prod analytics\",\"params\":{},"
		"\"storage\":\"s3\",\"bucket\":\"b\",\"prefix\":\"p\",\"region\":\"r\"";
	int rc = look(PLAN, &(struct output){.format = OUTPUT_JSON}, made, err);
	c.entry = SNAPSHOT;
	return rc;
}

static int why_as_json(struct buf *made, struct error *err)
{
	return look(WHY, &(struct output){.format = OUTPUT_JSON, .namespace = SCENE_NAMESPACE}, made, err);
}

static int put_together(struct buf *made, struct error *err)
{
	const struct settings *settings = open_cluster();
	AUTO(wiring) struct wiring *wiring = NULL;
	torture_begin();
	int rc = wiring_open(settings, WIRING_ALL, &wiring, err);
	if (rc == 0)
		rc = wiring_keep_certificates(wiring, clock_wall_ms(), err);
	torture_end();
	if (rc == 0)
		torture_say(made, "%d", authority_trust(wiring_manager(wiring)->authority) != NULL);
	return rc;
}

// A signal is there already: the operator starts, and ends. How far it comes before it hears of the signal is a matter of luck:
// what it does once the Lease is sought does not count. Linked in by the program (-Wl,--wrap).
int __real_lease_start(struct lease *lease, struct error *err);
int __wrap_lease_start(struct lease *lease, struct error *err);
int __wrap_lease_start(struct lease *lease, struct error *err)
{
	int rc = __real_lease_start(lease, err);
	torture_end();
	return rc;
}

static int run_and_end(struct buf *made, struct error *err)
{
	const struct settings *settings = open_cluster();
	const struct timespec no_time = {0};
	sigset_t set;
	ending_signal(&set);
	(void)kill(getpid(), SIGTERM);
	torture_begin();
	int rc = run(settings, err);
	torture_end();
	(void)sigtimedwait(&set, NULL, &no_time); // where it did not come so far
	if (rc == 0)
		torture_say(made, "it ended");
	return rc;
}

// --- the status page: the replica, and one that is wanted

#define OTHER                                                                                                      \
	",\"params\":{},\"storage\":\"s3\"},{\"replica_id\":\"" SCENE_GROUP_ID "\",\"group_id\":\"" SCENE_GROUP_ID \
	"\",\"server_id\":\"" SCENE_SERVER_ID                                                                      \
	"\",\"type\":\"tamanu-postgres\",\"intent\":\"verify\",\"name\":\"other\",\"params\":{},"                  \
	"\"storage\":\"s3\",\"bucket\":\"b\",\"prefix\":\"p\",\"region\":\"r\",\"snapshot_id\":\"s1\""

static struct manager *open_page(void)
{
	static bool is_open;
	(void)open_cluster();
	if (!is_open) {
		c.entry = SNAPSHOT OTHER;
		cluster_look(&c);
		c.entry = SNAPSHOT;
		pulse_set(&c.op.pulse,
			&(struct pulse_facts){.has_worklist = true, .is_current = true, .passed_at_ms = clock_wall_ms()});
		is_open = true;
	}
	return &c.op;
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
	torture_say(made, "%d %d %d", strstr(text, SCENE_NAMESPACE) != NULL, strstr(text, "other-") != NULL,
		strstr(text, "</html>") != NULL || strstr(text, "\n]}\n") != NULL);
	return 0;
}

static int show_page(enum page_form form, struct buf *made, struct error *err)
{
	const struct page_query query = {.words = ""};
	struct view *view = NULL;
	struct manager *op = open_page();
	torture_begin();
	int rc = view_new(op, form, &query, NULL, NULL, &view, err);
	if (rc == 0)
		rc = read_page(view, made, err);
	torture_end();
	if (view != NULL)
		view_close(view);
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

// --- a pass, and what the broker asks: each with connections of its own

static struct wiring *open_wiring(void)
{
	struct error err = {0};
	struct wiring *wiring = NULL;
	assert_ok(wiring_open(open_cluster(), WIRING_WORKLIST, &wiring, &err), err);
	return wiring;
}

static int make_a_pass(struct buf *made, struct error *err)
{
	AUTO(wiring) struct wiring *wiring = open_wiring();
	struct manager *op = wiring_manager(wiring);
	torture_begin();
	int rc = cache_list(op->cache, op->k8s, err);
	if (rc == 0)
		rc = tick(op, err);
	torture_end();
	if (rc == 0)
		torture_say(made, "%zu", op->worklist->count);
	return rc;
}

static struct broker_callbacks callbacks_of(struct wiring *wiring, struct access *access)
{
	struct manager *op = wiring_manager(wiring);
	*access = (struct access){.settings = op->settings, .k8s = op->k8s, .canopy = op->canopy, .notes = op->notes};
	return access_callbacks(access);
}

static int let_in(struct buf *made, struct error *err)
{
	struct broker_caller caller;
	struct broker_replica replica;
	struct access access;
	AUTO(wiring) struct wiring *wiring = open_wiring();
	const struct broker_callbacks broker = callbacks_of(wiring, &access);
	AUTO_FREE char *token = cluster_token(&c);
	torture_begin();
	int rc = broker.review(broker.arg, token, &caller, err);
	if (rc == 0)
		rc = broker.lookup(broker.arg, caller.namespace, &replica, err);
	torture_end();
	if (rc == 0)
		torture_say(made, "%s %s", caller.namespace, replica.type);
	return rc;
}

static int give_keys(struct buf *made, struct error *err)
{
	AUTO(canopy_credentials) struct canopy_credentials keys = {0};
	struct access access;
	AUTO(wiring) struct wiring *wiring = open_wiring();
	const struct broker_callbacks broker = callbacks_of(wiring, &access);
	torture_begin();
	int rc = broker.fetch(broker.arg, SCENE_GROUP_ID, "tamanu-postgres", SCENE_SERVER_ID, &keys, err);
	torture_end();
	if (rc == 0)
		torture_say(made, "%s", secret_reveal(&keys.access_key_id));
	return rc;
}

static int take_counts(struct buf *made, struct error *err)
{
	const struct broker_replica replica = {.run_id = SCENE_SERVER_ID, .type = "tamanu-postgres"};
	struct access access;
	AUTO(wiring) struct wiring *wiring = open_wiring();
	const struct broker_callbacks broker = callbacks_of(wiring, &access);
	AUTO(json) json_t *counts = json_pack("{s:i, s:i}", "received_raw_bytes", 3, "received_payload_bytes", 4);
	assert_non_null(counts);
	torture_begin();
	int rc = broker.stats(broker.arg, SCENE_NAMESPACE, "restore-fa04b867", &replica, counts, err);
	if (rc == 0)
		rc = broker.progress(broker.arg, SCENE_NAMESPACE, "restore-fa04b867", &replica, counts, err);
	torture_end();
	if (rc == 0)
		torture_say(made, "both");
	return rc;
}

int main(void)
{
	static const struct torture_case cases[] = {
		{.name = "plan", .run = plan_as_table, .is_once_a_place = true},
		{.name = "plan -o json", .run = plan_as_json, .is_once_a_place = true},
		{.name = "plan of an entry that is there twice", .run = plan_of_duplicates, .is_once_a_place = true},
		{.name = "status", .run = status_as_table, .is_once_a_place = true},
		{.name = "status -o json", .run = status_as_json, .is_once_a_place = true},
		{.name = "why", .run = why_it_is_so, .is_once_a_place = true},
		{.name = "why -o json", .run = why_as_json, .is_once_a_place = true},
		{.name = "the status page", .run = page_for_people, .is_once_a_place = true},
		{.name = "status.json", .run = page_for_programs, .is_once_a_place = true},
		{.name = "a pass", .run = make_a_pass, .is_once_a_place = true},
		{.name = "the broker lets somebody in", .run = let_in, .is_once_a_place = true},
		{.name = "the broker gives keys", .run = give_keys, .is_once_a_place = true},
		{.name = "the broker takes counts", .run = take_counts, .is_once_a_place = true},
		{.name = "the operator starts and ends", .run = run_and_end, .is_once_a_place = true},
		{.name = "the operator is put together", .run = put_together, .is_once_a_place = true},
		// What follows is another scene.
		{.name = "status of what serves", .run = status_of_what_serves, .is_once_a_place = true},
	};
	sigset_t set;
	ending_signal(&set);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	log_setup(LOG_ERROR, LOG_LOGFMT);
	int failures = torture_main("reconciler/torture_commands", cases, sizeof(cases) / sizeof(cases[0]));
	cluster_close(&c);
	return failures;
}
