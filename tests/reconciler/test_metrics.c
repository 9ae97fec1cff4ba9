#include "reconciler/metrics.h"
#include "tests/support/cmocka.h"
#include <ctype.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define THREADS 4
#define ADDS_PER_THREAD 2000

struct page {
	struct metrics *metrics;
	struct buf text;
};

static int setup(void **state)
{
	struct error err = {0};
	static struct page page;
	buf_init(&page.text, (size_t)4 << 20);
	if (metrics_new(&page.metrics, &err) < 0)
		return -1;
	*state = &page;
	return 0;
}

static int teardown(void **state)
{
	struct page *page = *state;
	metrics_free(page->metrics);
	buf_fini(&page->text);
	return 0;
}

static const char *render(struct page *page)
{
	struct error err = {0};
	buf_reset(&page->text);
	assert_ok(metrics_render(page->metrics, &page->text, &err), err);
	return buf_str(&page->text);
}

// The page must hold these whole lines, in this order and adjacent.
static void assert_lines(struct page *page, const char *lines)
{
	const char *text = render(page);
	const char *at = strstr(text, lines);
	if (at == NULL || (at != text && at[-1] != '\n'))
		fail_msg("expected:\n%s\nin:\n%s", lines, text);
}

static void everything_exists_at_zero_from_the_start(void **state)
{
	static const char *const lines[] = {
		"# HELP understory_worklist_entries Entries of the last worklist that could be read.\n"
		"# TYPE understory_worklist_entries gauge\n"
		"understory_worklist_entries 0\n",
		"# TYPE understory_replicas gauge\n"
		"understory_replicas{state=\"pending\",intent=\"verify\"} 0\n"
		"understory_replicas{state=\"pending\",intent=\"analytics\"} 0\n"
		"understory_replicas{state=\"pending\",intent=\"disaster-recovery\"} 0\n"
		"understory_replicas{state=\"pending\",intent=\"other\"} 0\n"
		"understory_replicas{state=\"restoring\",intent=\"verify\"} 0\n",
		"understory_replicas{state=\"terminating\",intent=\"other\"} 0\n# HELP ",
		"# TYPE understory_actions_total counter\nunderstory_actions_total{action=\"provision\",reason=\"new\"} 0\n",
		"understory_actions_total{action=\"teardown\",reason=\"gone\"} 0\n# HELP ",
		"understory_rounds_total{outcome=\"clean\"} 0\n"
		"understory_rounds_total{outcome=\"repaired\"} 0\n"
		"understory_rounds_total{outcome=\"salvaged\"} 0\n"
		"understory_rounds_total{outcome=\"failed\"} 0\n"
		"understory_rounds_total{outcome=\"inconclusive\"} 0\n"
		"understory_rounds_total{outcome=\"refused\"} 0\n",
		"understory_reports_total{result=\"landed\"} 0\n"
		"understory_reports_total{result=\"refused\"} 0\n"
		"understory_reports_total{result=\"failed\"} 0\n"
		"understory_reports_total{result=\"given_up\"} 0\n",
		"understory_reports_owed 0\n",
		"understory_teardowns_held 0\n",
		"understory_canopy_requests_total{endpoint=\"/restore-worklist\",code=\"200\"} 0\n",
		"understory_kube_requests_total{verb=\"list\",resource=\"namespaces\",code=\"200\"} 0\n",
		"# TYPE understory_last_tick_timestamp_seconds gauge\nunderstory_last_tick_timestamp_seconds 0\n",
		"understory_replicas_unavailable 0\n",
		"understory_leader 0\n",
		"understory_build_info{version=\"" UNDERSTORY_VERSION "\"} 1\n",
		"understory_foreign_namespaces 0\n",
		"understory_worklist_unreadable_entries 0\n",
		"# TYPE understory_tick_duration_seconds histogram\nunderstory_tick_duration_seconds_bucket{le=\"0.001\"} 0\n",
		"understory_tick_duration_seconds_bucket{le=\"+Inf\"} 0\n"
		"understory_tick_duration_seconds_sum 0\n"
		"understory_tick_duration_seconds_count 0\n",
		"# TYPE workqueue_depth gauge\nworkqueue_depth{name=\"replica\",controller=\"replica\"} 0\n# HELP ",
		"controller_runtime_reconcile_total{controller=\"replica\",result=\"success\"} 0\n"
		"controller_runtime_reconcile_total{controller=\"replica\",result=\"error\"} 0\n",
		"controller_runtime_reconcile_time_seconds_bucket{controller=\"replica\",le=\"0.005\"} 0\n",
		"controller_runtime_reconcile_time_seconds_bucket{controller=\"replica\",le=\"+Inf\"} 0\n"
		"controller_runtime_reconcile_time_seconds_sum{controller=\"replica\"} 0\n"
		"controller_runtime_reconcile_time_seconds_count{controller=\"replica\"} 0\n",
		"# TYPE understory_restore_duration_seconds histogram\nunderstory_restore_duration_seconds_bucket{le=\"10\"} 0\n",
	};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_lines(*state, lines[i]);
}

static void the_process_is_described(void **state)
{
	static const char *const names[] = {"process_cpu_seconds_total", "process_resident_memory_bytes",
		"process_virtual_memory_bytes", "process_open_fds", "process_max_fds", "process_start_time_seconds",
		"process_threads"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char key[64];
		(void)snprintf(key, sizeof(key), "\n%s ", names[i]);
		const char *line = strstr(render(*state), key);
		if (line == NULL)
			fail_msg("%s is missing", names[i]);
		else if (i > 0 && !(strtod(line + strlen(key), NULL) > 0))
			fail_msg("%s is not above zero", names[i]);
	}
}

static void counters_add_and_gauges_are_set(void **state)
{
	struct page *page = *state;
	metrics_add(page->metrics, METRIC_ROUNDS_TOTAL, "clean", NULL, NULL, 1);
	metrics_add(page->metrics, METRIC_ROUNDS_TOTAL, "clean", NULL, NULL, 2);
	metrics_set(page->metrics, METRIC_REPLICAS, "active", "analytics", NULL, 7);
	metrics_set(page->metrics, METRIC_LAST_TICK_TIMESTAMP_SECONDS, NULL, NULL, NULL, 1795163021.25);
	metrics_add(page->metrics, METRIC_KUBE_REQUESTS_TOTAL, "get", "pods", "404", 1);
	assert_lines(page, "understory_rounds_total{outcome=\"clean\"} 3\n");
	assert_lines(page, "understory_replicas{state=\"active\",intent=\"analytics\"} 7\n");
	assert_lines(page, "understory_last_tick_timestamp_seconds 1795163021.25\n");
	assert_lines(page, "understory_kube_requests_total{verb=\"get\",resource=\"pods\",code=\"404\"} 1\n");

	metrics_zero(page->metrics, METRIC_REPLICAS);
	assert_lines(page, "understory_replicas{state=\"active\",intent=\"analytics\"} 0\n");
}

static void a_counter_never_goes_down(void **state)
{
	struct page *page = *state;
	metrics_add(page->metrics, METRIC_ROUNDS_TOTAL, "failed", NULL, NULL, 5);
	metrics_add(page->metrics, METRIC_ROUNDS_TOTAL, "failed", NULL, NULL, -1);
	metrics_add(page->metrics, METRIC_ROUNDS_TOTAL, "failed", NULL, NULL, strtod("nan", NULL));
	metrics_set(page->metrics, METRIC_ROUNDS_TOTAL, "failed", NULL, NULL, 1);
	metrics_zero(page->metrics, METRIC_ROUNDS_TOTAL);
	assert_lines(page, "understory_rounds_total{outcome=\"failed\"} 5\n");
}

// What is of another kind is left alone.
static void each_kind_has_its_own_ways(void **state)
{
	struct page *page = *state;
	metrics_add(page->metrics, METRIC_TICK_DURATION_SECONDS, NULL, NULL, NULL, 1);
	metrics_raise(page->metrics, METRIC_TICK_DURATION_SECONDS, NULL, NULL, NULL, 1);
	metrics_set(page->metrics, METRIC_TICK_DURATION_SECONDS, NULL, NULL, NULL, 1);
	metrics_observe(page->metrics, METRIC_WORKLIST_ENTRIES, 1);
	metrics_add(page->metrics, METRIC_TEARDOWNS_HELD, NULL, NULL, NULL, -1);
	assert_lines(page, "understory_tick_duration_seconds_sum 0\nunderstory_tick_duration_seconds_count 0\n");
	assert_lines(page, "understory_worklist_entries 0\n");
	assert_lines(page, "understory_teardowns_held -1\n"); // a gauge goes both ways
	metrics_free(NULL);
}

static void a_number_that_is_none_is_said(void **state)
{
	struct page *page = *state;
	metrics_set(page->metrics, METRIC_WORKLIST_ENTRIES, NULL, NULL, NULL, nan("7"));
	assert_lines(page, "understory_worklist_entries nan\n");
}

static void a_value_is_raised_and_never_lowered(void **state)
{
	struct page *page = *state;
	metrics_raise(page->metrics, METRIC_WORKQUEUE_ADDS_TOTAL, NULL, NULL, NULL, 5);
	metrics_raise(page->metrics, METRIC_WORKQUEUE_ADDS_TOTAL, NULL, NULL, NULL, 4);
	metrics_raise(page->metrics, METRIC_LAST_VERIFIED_TIMESTAMP_SECONDS, "verify", NULL, NULL, 1795163021.5);
	metrics_raise(page->metrics, METRIC_LAST_VERIFIED_TIMESTAMP_SECONDS, "verify", NULL, NULL, 0);
	assert_lines(page, "workqueue_adds_total{name=\"replica\",controller=\"replica\"} 5\n");
	assert_lines(page, "understory_last_verified_timestamp_seconds{intent=\"verify\"} 1795163021.5\n");
}

static void look_up(void *arg)
{
	metrics_set(arg, METRIC_WORKQUEUE_DEPTH, NULL, NULL, NULL, 3);
}

static void what_is_looked_up_is_fresh_on_the_page(void **state)
{
	struct page *page = *state;
	metrics_on_render(page->metrics, look_up, page->metrics);
	assert_lines(page, "workqueue_depth{name=\"replica\",controller=\"replica\"} 3\n");
}

static void buckets_are_cumulative_and_closed_above(void **state)
{
	struct page *page = *state;
	const double seconds[] = {10, 10.5, 31, 100000};
	for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++)
		metrics_observe(page->metrics, METRIC_RESTORE_DURATION_SECONDS, seconds[i]);
	assert_lines(page, "understory_restore_duration_seconds_bucket{le=\"10\"} 1\n"
			   "understory_restore_duration_seconds_bucket{le=\"30\"} 2\n"
			   "understory_restore_duration_seconds_bucket{le=\"60\"} 3\n"
			   "understory_restore_duration_seconds_bucket{le=\"120\"} 3\n");
	assert_lines(page, "understory_restore_duration_seconds_bucket{le=\"28800\"} 3\n"
			   "understory_restore_duration_seconds_bucket{le=\"+Inf\"} 4\n"
			   "understory_restore_duration_seconds_sum 100051.5\n"
			   "understory_restore_duration_seconds_count 4\n");
}

static void label_values_are_escaped(void **state)
{
	struct page *page = *state;
	metrics_set(page->metrics, METRIC_REPLICAS, "a\"b\\c\nd", "", NULL, 1);
	metrics_set(page->metrics, METRIC_REPLICAS, "state", NULL, NULL, 0.1);
	assert_lines(page, "understory_replicas{state=\"a\\\"b\\\\c\\nd\",intent=\"\"} 1\n");
	assert_lines(page, "understory_replicas{state=\"state\",intent=\"\"} 0.1\n");
}

static void series_of_a_family_are_bounded(void **state)
{
	struct page *page = *state;
	for (int i = 0; i < 5000; i++) {
		char code[16];
		(void)snprintf(code, sizeof(code), "%d", i);
		metrics_add(page->metrics, METRIC_CANOPY_REQUESTS_TOTAL, "x", code, NULL, 1);
	}
	size_t lines = 0;
	for (const char *at = render(page); (at = strstr(at, "\nunderstory_canopy_requests_total{")) != NULL; at++)
		lines++;
	assert_int_equal(lines, 1000);
}

static void *add_many(void *arg)
{
	for (int i = 0; i < ADDS_PER_THREAD; i++) {
		metrics_add(arg, METRIC_REPORTS_TOTAL, "landed", NULL, NULL, 1);
		metrics_observe(arg, METRIC_TICK_DURATION_SECONDS, 0.5);
		metrics_zero(arg, METRIC_REPLICAS);
	}
	return NULL;
}

static void threads_lose_nothing(void **state)
{
	struct page *page = *state;
	pthread_t threads[THREADS];
	char expected[128];
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_many, page->metrics), 0);
	for (int i = 0; i < 20; i++)
		(void)render(page);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	(void)snprintf(expected, sizeof(expected), "understory_reports_total{result=\"landed\"} %d\n", THREADS * ADDS_PER_THREAD);
	assert_lines(page, expected);
	(void)snprintf(expected, sizeof(expected), "understory_tick_duration_seconds_count %d\n", THREADS * ADDS_PER_THREAD);
	assert_lines(page, expected);
}

// A strict reading of the text format: each family has HELP, then TYPE, then its samples and nothing else; each line is
// well-formed.
struct reader {
	char family[128];
	char type[32];
};

static void read_comment(struct reader *reader, const char *line)
{
	char kind[8], name[128], type[32] = "";
	assert_int_equal(sscanf(line, "# %7s %127s %31s", kind, name, type), 3);
	if (strcmp(kind, "HELP") == 0) {
		(void)snprintf(reader->family, sizeof(reader->family), "%s", name);
		reader->type[0] = '\0';
		return;
	}
	assert_string_equal(kind, "TYPE");
	assert_string_equal(name, reader->family);
	(void)snprintf(reader->type, sizeof(reader->type), "%s", type);
}

static const char *skip_labels(const char *at)
{
	assert_true(*at == '{');
	do {
		at++;
		at += strspn(at, "abcdefghijklmnopqrstuvwxyz_");
		assert_memory_equal(at, "=\"", 2);
		for (at += 2; *at != '"'; at++) {
			assert_true(*at != '\0');
			if (*at == '\\')
				at++;
		}
		at++;
	} while (*at == ',');
	assert_true(*at == '}');
	return at + 1;
}

static void read_sample(const struct reader *reader, const char *line)
{
	size_t name = strspn(line, "abcdefghijklmnopqrstuvwxyz_");
	size_t family = strlen(reader->family);
	assert_true(reader->type[0] != '\0');
	assert_true(name >= family && strncmp(line, reader->family, family) == 0);
	assert_true(name == family || strcmp(reader->type, "histogram") == 0);
	if (strcmp(reader->type, "counter") == 0)
		assert_memory_equal(line + name - strlen("_total"), "_total", strlen("_total"));

	const char *value = line[name] == '{' ? skip_labels(line + name) : line + name;
	char *end;
	assert_true(*value == ' ');
	(void)strtod(value + 1, &end);
	assert_true(end != value + 1 && *end == '\0');
}

static void the_page_is_well_formed(void **state)
{
	struct page *page = *state;
	struct reader reader = {"", ""};
	metrics_set(page->metrics, METRIC_REPLICAS, "a\"b\\c\nd", "", NULL, 1);
	(void)render(page);
	char *rest = page->text.data;
	while (*rest != '\0') {
		char *line = strsep(&rest, "\n");
		assert_non_null(rest);
		if (line[0] == '#')
			read_comment(&reader, line);
		else
			read_sample(&reader, line);
	}
}

// PROMTOOL is set where the build found the program (Debian's package prometheus).
static void promtool_accepts_the_page(void **state)
{
	struct page *page = *state;
	const char *promtool = getenv("PROMTOOL");
	if (promtool == NULL || promtool[0] == '\0') {
		print_message("# promtool is not installed\n");
		skip();
	}
	char command[512];
	metrics_set(page->metrics, METRIC_REPLICAS, "a\"b\\c\nd", "", NULL, 1);
	const char *text = render(page);
	(void)snprintf(command, sizeof(command), "%s check metrics >&2", promtool);
	FILE *pipe = popen(command, "we");
	assert_non_null(pipe);
	assert_int_equal(fwrite(text, 1, strlen(text), pipe), strlen(text));
	assert_int_equal(pclose(pipe), 0);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test_setup_teardown(everything_exists_at_zero_from_the_start, setup, teardown),
		cmocka_unit_test_setup_teardown(the_process_is_described, setup, teardown),
		cmocka_unit_test_setup_teardown(counters_add_and_gauges_are_set, setup, teardown),
		cmocka_unit_test_setup_teardown(a_counter_never_goes_down, setup, teardown),
		cmocka_unit_test_setup_teardown(each_kind_has_its_own_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(a_number_that_is_none_is_said, setup, teardown),
		cmocka_unit_test_setup_teardown(a_value_is_raised_and_never_lowered, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_looked_up_is_fresh_on_the_page, setup, teardown),
		cmocka_unit_test_setup_teardown(buckets_are_cumulative_and_closed_above, setup, teardown),
		cmocka_unit_test_setup_teardown(label_values_are_escaped, setup, teardown),
		cmocka_unit_test_setup_teardown(series_of_a_family_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(threads_lose_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(the_page_is_well_formed, setup, teardown),
		cmocka_unit_test_setup_teardown(promtool_accepts_the_page, setup, teardown),
	};
	return cmocka_run_group_tests_name("reconciler/metrics", cases, NULL, NULL);
}
