// Torture (tests/support/torture.h) of the programs that look once, and of the operator's beginning and end: against the stub's
// API server with a replica that serves, and one that is being restored.
#include "reconciler/plan.h"
#include "reconciler/run.h"
#include "reconciler/status.h"
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
#include <unistd.h>

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
	c.entry = ",\"snapshot_id\":\"s1\",\"snapshot_at\":\"2026-11-20T10:00:00Z\"";
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

static int why_it_is_so(struct buf *made, struct error *err)
{
	return look(WHY, &(struct output){.format = OUTPUT_TABLE, .namespace = SCENE_NAMESPACE}, made, err);
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

// A signal is there already: the operator starts, and ends.
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

int main(void)
{
	static const struct torture_case cases[] = {
		{.name = "plan", .run = plan_as_table, .is_once_a_place = true},
		{.name = "plan -o json", .run = plan_as_json, .is_once_a_place = true},
		{.name = "status", .run = status_as_table, .is_once_a_place = true},
		{.name = "status -o json", .run = status_as_json, .is_once_a_place = true},
		{.name = "why", .run = why_it_is_so, .is_once_a_place = true},
		{.name = "the operator starts and ends", .run = run_and_end, .is_once_a_place = true},
		{.name = "the operator is put together", .run = put_together, .is_once_a_place = true},
	};
	sigset_t set;
	ending_signal(&set);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	log_setup(LOG_ERROR, LOG_LOGFMT);
	int failures = torture_main("reconciler/torture_commands", cases, sizeof(cases) / sizeof(cases[0]));
	cluster_close(&c);
	return failures;
}
