// A pass as the main loop makes it, against the stub's API server and a canopy that is told what to answer: what is counted, what
// is told by Events and in the log, and what the status page learns of it.
#include "reconciler/tick.h"

#include "base/log.h"
#include "k8s/client.h"
#include "tests/reconciler/cluster.h"
#include "tests/reconciler/scenes.h"
#include "tests/support/cmocka.h"
#include "tests/support/redirect.h"
#include "tests/support/scratch.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SNAPSHOT ",\"snapshot_id\":\"s1\",\"snapshot_at\":\"2026-11-20T10:00:00Z\""
#define TWIN                                                                                                         \
	",\"params\":{},\"storage\":\"s3\"},{\"replica_id\":\"" SCENE_REPLICA_ID "\",\"group_id\":\"" SCENE_GROUP_ID \
	"\",\"server_id\":\"" SCENE_SERVER_ID                                                                        \
	"\",\"type\":\"tamanu-postgres\",\"intent\":\"analytics\",\"name\":\"Nauru prod analytics\","                \
	"\"params\":{},\"storage\":\"s3\",\"bucket\":\"b\",\"prefix\":\"p\",\"region\":\"r\""

static struct cluster c;

static int set_up(void **state)
{
	(void)state;
	cluster_open(&c, "analytics", NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	cluster_close(&c);
	return 0;
}

// A pass, with what it logs; the caller frees.
static char *pass(int expected, struct error *err)
{
	const char *path = scratch_write("log", "", 0);
	struct error why = {0};
	assert_ok(cache_list(c.op.cache, c.op.k8s, &why), why);
	int before = redirect_begin(STDERR_FILENO, path);
	int rc = tick(&c.op, err);
	redirect_end(STDERR_FILENO, before);
	assert_int_equal(rc, expected);
	return redirect_read(path);
}

static char *pass_well(void)
{
	struct error err = {0};
	char *log = pass(0, &err);
	assert_int_equal(err.kind, ERROR_NONE);
	return log;
}

static void counts(const char *line)
{
	struct error err = {0};
	AUTO(buf) struct buf page;
	buf_init(&page, (size_t)1 << 20);
	assert_ok(metrics_render(c.op.metrics, &page, &err), err);
	if (strstr(buf_str(&page), line) == NULL)
		fail_msg("%s is not among the metrics", line);
}

static void logs(const char *log, const char *part)
{
	bool is_there = strstr(log, part[0] == '!' ? part + 1 : part) != NULL;
	if (is_there == (part[0] == '!'))
		fail_msg("expected %s, it logs:\n%s", part, log);
}

// --- what a pass is counted as

static void a_pass_counts_its_worklist(void **state)
{
	(void)state;
	struct pulse_facts facts;
	AUTO_FREE char *log = pass_well();
	logs(log, "!level=warn");
	counts("\nunderstory_worklist_entries 1\n");
	counts("\nunderstory_teardowns_held 0\n");
	counts("\nunderstory_foreign_namespaces 0\n");
	counts("\nunderstory_tick_duration_seconds_count 1\n");
	assert_true(pulse_get(&c.op.pulse, &facts));
	assert_true(facts.has_worklist && facts.is_current);
	assert_int_equal(facts.entries, 1);
	assert_string_equal(facts.error, "");
}

static void an_entry_that_is_there_twice_is_named(void **state)
{
	(void)state;
	c.entry = SNAPSHOT TWIN;
	AUTO_FREE char *log = pass_well();
	logs(log, "msg=\"worklist entry ignored: the replica is there twice\" name=\"Nauru prod analytics\"");
	counts("\nunderstory_worklist_entries 2\n");
}

static void an_entry_nobody_can_read_is_counted(void **state)
{
	(void)state;
	c.entry = SNAPSHOT ",\"params\":{}},{\"name\":7";
	AUTO_FREE char *log = pass_well();
	logs(log, "msg=\"worklist entry skipped\"");
	counts("\nunderstory_worklist_unreadable_entries 1\n");
}

// --- what people are told of

static void a_namespace_of_somebody_else_is_told_of(void **state)
{
	(void)state;
	cluster_settle(&c);
	cluster_label(&c, "declaration-id", "00000000-0000-4000-8000-000000000000");
	AUTO_FREE char *log = pass_well();
	logs(log, "msg=\"foreign namespace\" namespace=" SCENE_NAMESPACE);
	counts("\nunderstory_foreign_namespaces 1\n");
	cluster_await_event(&c, "ForeignNamespace");
}

static void a_teardown_that_is_held_is_told_of(void **state)
{
	(void)state;
	struct pulse_facts facts;
	struct settings *settings = cluster_settings(&c);
	cluster_settle(&c);
	settings->teardown_guard = true;
	c.entry = NULL;
	AUTO_FREE char *log = pass_well();
	logs(log, "msg=\"teardowns held\" held=1 managed=1 worklist_entries=0");
	counts("\nunderstory_teardowns_held 1\n");
	cluster_await_event(&c, "TeardownHeld");
	assert_true(pulse_get(&c.op.pulse, &facts));
	assert_int_equal(facts.held, 1);
	assert_int_equal(facts.held_passes, 1);
}

static void a_hold_that_cannot_be_kept_is_said(void **state)
{
	(void)state;
	struct settings *settings = cluster_settings(&c);
	cluster_settle(&c);
	settings->teardown_guard = true;
	c.entry = NULL;
	cluster_fault(&c, "[{\"path\":\"*/configmaps*\",\"status\":403,\"reason\":\"Forbidden\",\"message\":\"not for you\"}]");
	AUTO_FREE char *log = pass_well();
	logs(log, "msg=\"the brake's state is not saved: a restart would begin the hold anew\"");
	logs(log, "not for you");
	counts("\nunderstory_teardowns_held 1\n");
	cluster_fault(&c, "[]");
}

// --- without a worklist

static void without_any_worklist_nothing_is_decided(void **state)
{
	(void)state;
	struct error err = {0};
	struct pulse_facts facts;
	c.entry = "\"";
	AUTO_FREE char *log = pass(-1, &err);
	assert_non_null(strstr(err.text, "worklist: "));
	logs(log, "!level=warn");
	assert_true(pulse_get(&c.op.pulse, &facts));
	assert_false(facts.has_worklist);
	assert_string_equal(facts.error, err.text);
	counts("\nunderstory_tick_duration_seconds_count 0\n");
}

static void the_last_worklist_is_looked_at_and_no_more(void **state)
{
	(void)state;
	struct error err = {0};
	struct pulse_facts facts;
	free(pass_well());
	c.entry = "\"";
	AUTO_FREE char *log = pass(-1, &err);
	assert_non_null(strstr(err.text, "worklist: "));
	logs(log, "msg=\"worklist not fetched: nothing is provisioned, refreshed or torn down until it is\"");
	counts("\nunderstory_worklist_entries 1\n");
	counts("\nunderstory_tick_duration_seconds_count 2\n");
	assert_true(pulse_get(&c.op.pulse, &facts));
	assert_true(facts.has_worklist && !facts.is_current);
}

static void a_file_does_as_well(void **state)
{
	static const char worklist[] =
		"- replica_id: " SCENE_REPLICA_ID "\n  group_id: " SCENE_GROUP_ID "\n  server_id: " SCENE_SERVER_ID
		"\n  type: tamanu-postgres\n  intent: analytics\n  name: Nauru prod analytics\n  params: {}\n"
		"  storage: s3\n  bucket: b\n  prefix: p\n  region: r\n  snapshot_id: s1\n";
	(void)state;
	struct error err = {0};
	struct settings *settings = cluster_settings(&c);
	struct canopy_client *canopy = c.op.canopy;
	c.op.canopy = NULL;
	settings->worklist_file = strdup(scratch_write("worklist.yaml", worklist, strlen(worklist)));
	AUTO_FREE char *log = pass_well();
	logs(log, "!level=warn");
	counts("\nunderstory_worklist_entries 1\n");
	(void)scratch_write("worklist.yaml", "- 7: [", 6);
	AUTO_FREE char *broken = pass(-1, &err);
	logs(broken, "msg=\"worklist not fetched: ");
	counts("\nunderstory_worklist_entries 1\n");
	c.op.canopy = canopy;
}

static void a_worklist_that_is_the_same_is_not_read_again(void **state)
{
	(void)state;
	c.entry = SNAPSHOT ",\"params\":{}},{\"name\":7";
	AUTO_FREE char *log = pass_well();
	logs(log, "msg=\"worklist entry skipped\"");
	AUTO_FREE char *again = pass_well();
	logs(again, "!msg=\"worklist entry skipped\"");
	counts("\nunderstory_worklist_unreadable_entries 1\n");
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest cases[] = {
		CASE(a_pass_counts_its_worklist),
		CASE(an_entry_that_is_there_twice_is_named),
		CASE(an_entry_nobody_can_read_is_counted),
		CASE(a_namespace_of_somebody_else_is_told_of),
		CASE(a_teardown_that_is_held_is_told_of),
		CASE(a_hold_that_cannot_be_kept_is_said),
		CASE(without_any_worklist_nothing_is_decided),
		CASE(a_file_does_as_well),
		CASE(a_worklist_that_is_the_same_is_not_read_again),
		CASE(the_last_worklist_is_looked_at_and_no_more),
	};
	log_setup(LOG_INFO, LOG_LOGFMT);
	return cmocka_run_group_tests_name("reconciler/tick", cases, NULL, NULL);
}
