// The operator as a whole, inside the test: run() from its first line to the signal that ends it, against the stub's API server
// and a canopy that is told what to answer. What happens meanwhile, and the signal, come from a thread of the test. Asserted is
// what somebody outside sees: the cluster, the reports, the probes, the metrics, the log.
#include "reconciler/run.h"

#include "base/clock.h"
#include "base/http.h"
#include "base/log.h"
#include "k8s/client.h"
#include "tests/reconciler/cluster.h"
#include "tests/reconciler/scenes.h"
#include "tests/support/cmocka.h"
#include "tests/support/redirect.h"
#include "tests/support/scratch.h"
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RESTORED \
	"{\"postgres_version\":\"15\",\"bytes\":1000,\"files\":10,\"seconds\":3,\"layout\":\"debian\",\"engine\":\"kopia\"}"
#define ROUND "fa04b867" // the first one of snapshot s1
#define WAIT_MS 30000

static struct cluster c;
static char metrics_addr[32], metrics_url[64];
static struct http_client *http;
static const char *interval_s, *leader_election;
static const char *worklist_path; // NULL: the worklist is canopy's
static atomic_bool has_drained;

#pragma GCC diagnostic ignored "-Wredundant-decls"
#if defined(__clang__)
#pragma GCC diagnostic ignored "-Wreserved-identifier"
#endif

// What is left of the ten seconds after SIGTERM is over when the test says so.
int __real_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	bool drains = count == 2 && timeout_ms > 9000 && timeout_ms <= 10000;
	return __real_poll(fds, count, drains && atomic_load(&has_drained) ? 0 : timeout_ms);
}

static const char *environment(const char *name)
{
	static const char *const set[][2] = {
		{"CANOPY_PROXY_IMAGE", "proxy:1"}, {"TEARDOWN_GUARD", "off"}, {"PGRO_BROKER_LISTEN_ADDR", "127.0.0.1:0"}};
	for (size_t i = 0; i < sizeof(set) / sizeof(set[0]); i++) {
		if (strcmp(set[i][0], name) == 0)
			return set[i][1];
	}
	if (strcmp(name, "METRICS_ADDR") == 0)
		return metrics_addr;
	if (strcmp(name, "CANOPY_RECONCILE_INTERVAL_SECS") == 0)
		return interval_s;
	if (strcmp(name, "WORKLIST_FILE") == 0)
		return worklist_path;
	if (strcmp(name, "LEADER_ELECTION") == 0)
		return leader_election;
	return strcmp(name, "CANOPY_BASE_URL") == 0 && worklist_path == NULL ? c.op.settings->canopy_base_url : NULL;
}

// A port that was free a moment ago.
static void choose_port(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	(void)snprintf(metrics_addr, sizeof(metrics_addr), "127.0.0.1:%d", ntohs(address.sin_port));
	(void)snprintf(metrics_url, sizeof(metrics_url), "http://%s", metrics_addr);
}

static int set_up(void **state)
{
	struct error err = {0};
	(void)state;
	cluster_open(&c, "verify", NULL);
	c.check = CHECK_DONE;
	c.checked = (struct check_result){.grade = GRADE_CLEAN, .server_version = "15.20"};
	(void)snprintf(c.checked.stage, sizeof(c.checked.stage), "catalogs");
	choose_port();
	interval_s = "1";
	leader_election = "on";
	worklist_path = NULL;
	atomic_store(&has_drained, false);
	assert_ok(http_client_new(&(struct http_options){.user_agent = "test"}, &http, &err), err);
	// No other thread reads it yet.
	return setenv("KUBECONFIG", cluster_kubeconfig(&c), 1); // NOLINT(concurrency-mt-unsafe)
}

static int tear_down(void **state)
{
	(void)state;
	http_client_free(http);
	cluster_close(&c);
	return 0;
}

// --- what is seen from outside

// The status of an answer; 0: none. text gets what it begins with.
static int ask(const char *path, char *text, size_t size)
{
	char url[128];
	struct error err = {0};
	struct http_response response;
	(void)snprintf(url, sizeof(url), "%s%s", metrics_url, path);
	if (http_do(http, &(struct http_request){.method = "GET", .url = url}, &response, &err) < 0)
		return 0;
	(void)snprintf(text, size, "%s", buf_str(&response.body));
	int status = response.status;
	http_response_fini(&response);
	return status;
}

static bool answers(const char *path, int status, const char *part)
{
	static char text[1 << 17];
	return ask(path, text, sizeof(text)) == status && strstr(text, part) != NULL;
}

static bool is_ready(void)
{
	return answers("/readyz", 200, "");
}

static bool is_not_ready(void)
{
	return answers("/readyz", 503, "no pass has gone through yet: see the log");
}

static bool is_there(const struct k8s_resource *kind, const char *namespace, const char *name)
{
	struct error err = {0};
	AUTO(json) json_t *object = NULL;
	return k8s_get(c.op.k8s, kind, namespace, name, &object, &err) == 0;
}

static bool has_job(void)
{
	return is_there(&K8S_JOB, SCENE_NAMESPACE, "restore-" ROUND);
}

static bool has_database(void)
{
	return is_there(&K8S_DEPLOYMENT, SCENE_NAMESPACE, "postgres-" ROUND);
}

static bool is_reported(void)
{
	return cluster_count_asked(&c, "/restore-verification") > 0;
}

static bool is_worked_off(void)
{
	struct error err = {0};
	AUTO(json) json_t *object = NULL;
	return k8s_get(c.op.k8s, &K8S_NAMESPACE, NULL, SCENE_NAMESPACE, &object, &err) < 0 ||
	       json_find(object, "metadata", "deletionTimestamp") != NULL;
}

static bool is_refused_once(void)
{
	return cluster_count_asked(&c, "/restore-capabilities") > 0;
}

static bool is_held_by(const char *holder)
{
	struct error err = {0};
	AUTO(json) json_t *lease = NULL;
	if (k8s_get(c.op.k8s, &K8S_LEASE, "pgro-system", "understory", &lease, &err) < 0)
		return false;
	const char *found = json_find_str(lease, "spec", "holderIdentity");
	return strcmp(found == NULL ? "" : found, holder) == 0;
}

// --- a story, beside the operator

// NULL: it went as it should; else what did not come in time.
typedef const char *(*story)(void);

#define EXPECT(condition)                                          \
	do {                                                       \
		int64_t until_mono_ms = clock_mono_ms() + WAIT_MS; \
		while (!(condition)) {                             \
			if (clock_mono_ms() > until_mono_ms)       \
				return #condition;                 \
			(void)poll(NULL, 0, 10);                   \
		}                                                  \
	} while (0)

static void *tell(void *arg)
{
	const story *told = arg;
	const char *missing = (*told)();
	(void)kill(getpid(), SIGTERM);
	return (void *)(uintptr_t)missing;
}

// Run the operator while the story goes on. The caller frees the log.
static char *run_with(story told)
{
	struct error err = {0};
	AUTO(settings) struct settings *settings = NULL;
	const char *path = scratch_write("log", "", 0);
	pthread_t thread;
	void *missing = NULL;
	assert_ok(settings_load(environment, &settings, &err), err);
	assert_int_equal(pthread_create(&thread, NULL, tell, &told), 0);
	int before = redirect_begin(STDERR_FILENO, path);
	int rc = run(settings, &err);
	redirect_end(STDERR_FILENO, before);
	assert_int_equal(pthread_join(thread, &missing), 0);
	char *text = redirect_read(path);
	if (missing != NULL || rc < 0)
		(void)fprintf(stderr, "%s", text);
	if (missing != NULL)
		fail_msg("%s did not come", (const char *)missing);
	assert_ok(rc, err);
	return text;
}

static void assert_logged(const char *text, const char *part)
{
	if (strstr(text, part) == NULL) {
		(void)fprintf(stderr, "%s", text);
		fail_msg("\"%s\" is not in the log", part);
	}
}

// --- from the worklist to the report, and away again

static const char *a_day(void)
{
	EXPECT(is_refused_once());
	c.canopy_status = 0;
	EXPECT(has_job());
	EXPECT(is_ready());
	EXPECT(answers("/livez", 200, ""));
	EXPECT(answers("/metrics", 200, "\nunderstory_leader 1\n"));
	EXPECT(answers("/metrics", 200, "\nunderstory_worklist_entries 1\n"));
	EXPECT(answers("/metrics", 200, "understory_watch_following{resource=\"jobs\"} 1\n"));
	EXPECT(answers("/", 200, SCENE_NAMESPACE));
	cluster_job_ends(&c, true, RESTORED);
	EXPECT(has_database());
	cluster_database_comes_up(&c);
	EXPECT(is_reported());
	c.entry = NULL;
	EXPECT(is_worked_off());
	EXPECT(answers("/metrics", 200, "\nunderstory_worklist_entries 0\n"));
	return NULL;
}

static void a_replica_is_proven_reported_and_taken_away(void **state)
{
	(void)state;
	c.canopy_status = 503; // at first
	AUTO_FREE char *log = run_with(a_day);
	assert_logged(log, "msg=\"understory started\"");
	assert_logged(log, "msg=\"broker listens\"");
	assert_logged(log, "msg=\"this operator leads\" lease=understory");
	assert_logged(log, "msg=\"intents not registered\"");
	assert_logged(log, "msg=\"intents registered\"");
	assert_logged(log, "msg=stopping");
	assert_logged(log, "msg=stopped");
	assert_int_equal(cluster_count_asked(&c, "/restore-verification"), 1);
	// The next one need not wait.
	assert_true(is_held_by(""));
}

// --- another one leads

static void let_another_lead(void)
{
	struct error err = {0};
	char now[40];
	const time_t wall_s = (time_t)(clock_wall_ms() / 1000);
	struct tm tm;
	assert_non_null(gmtime_r(&wall_s, &tm));
	assert_true(strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%S.000000Z", &tm) > 0);
	AUTO(json)
	json_t *lease = json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:s, s:i, s:s, s:s}}", "apiVersion", "coordination.k8s.io/v1",
		"kind", "Lease", "metadata", "name", "understory", "namespace", "pgro-system", "spec", "holderIdentity",
		"another", "leaseDurationSeconds", 3600, "acquireTime", now, "renewTime", now);
	assert_non_null(lease);
	assert_ok(k8s_create(c.op.k8s, &K8S_LEASE, "pgro-system", lease, NULL, &err), err);
}

static const char *a_standby(void)
{
	EXPECT(is_ready());
	EXPECT(answers("/metrics", 200, "\nunderstory_leader 0\n"));
	EXPECT(answers("/", 200, "This operator does not lead: another. It shows the cluster as it sees it"));
	return NULL;
}

static void one_that_waits_for_its_turn_is_ready_and_does_nothing(void **state)
{
	(void)state;
	let_another_lead();
	interval_s = "30"; // which no signal waits for
	AUTO_FREE char *log = run_with(a_standby);
	assert_logged(log, "msg=stopped");
	assert_int_equal(cluster_count_asked(&c, "/"), 0);
	assert_true(is_worked_off());
	assert_true(is_held_by("another"));
}

static const char *a_lease_that_is_taken_away(void)
{
	EXPECT(has_job());
	EXPECT(answers("/metrics", 200, "\nunderstory_leader 1\n"));
	cluster_change("leases.coordination.k8s.io", "pgro-system", "understory",
		json_pack("{s:{s:s, s:i}}", "spec", "holderIdentity", "another", "leaseDurationSeconds", 3600));
	EXPECT(answers("/metrics", 200, "\nunderstory_leader 0\n"));
	EXPECT(answers("/", 200, "This operator does not lead: another. It shows the cluster as it sees it"));
	EXPECT(is_ready());
	return NULL;
}

static void one_that_loses_the_lease_stops_and_waits_again(void **state)
{
	(void)state;
	AUTO_FREE char *log = run_with(a_lease_that_is_taken_away);
	assert_logged(log, "msg=\"the lease is lost: this operator stops acting\"");
	assert_logged(log, "msg=stopped");
	assert_false(is_worked_off());
	assert_true(is_held_by("another"));
}

static const char *alone(void)
{
	EXPECT(has_job());
	EXPECT(answers("/metrics", 200, "\nunderstory_leader 1\n"));
	return NULL;
}

static void without_leader_election_it_leads_and_leaves_no_lease(void **state)
{
	(void)state;
	leader_election = "off";
	AUTO_FREE char *log = run_with(alone);
	assert_logged(log, "msg=stopped");
	assert_false(is_there(&K8S_LEASE, "pgro-system", "understory"));
}

// --- what is away

static const char *a_cluster_that_is_not_seen(void)
{
	EXPECT(is_not_ready());
	EXPECT(answers("/metrics", 200, "understory_kube_requests_total{verb=\"list\",resource=\"jobs\",code=\"500\"} 3\n"));
	if (cluster_count_asked(&c, "/") > 0)
		return "to wait for the Jobs";
	cluster_fault(&c, "[]");
	EXPECT(is_ready());
	return NULL;
}

static void nothing_is_decided_on_half_a_picture(void **state)
{
	(void)state;
	cluster_fault(
		&c, "[{\"verb\":\"list\",\"path\":\"*/jobs\",\"status\":500,\"reason\":\"InternalError\",\"message\":\"no\"}]");
	AUTO_FREE char *log = run_with(a_cluster_that_is_not_seen);
	assert_logged(log, "msg=\"intents registered\"");
}

static const char *a_secret_that_cannot_be_kept(void)
{
	EXPECT(has_job());
	return NULL;
}

static void the_authority_is_tried_for_again(void **state)
{
	(void)state;
	cluster_fault(&c, "[{\"path\":\"*/secrets*\",\"times\":2,\"status\":403,\"reason\":\"Forbidden\",\"message\":\"no\"}]");
	AUTO_FREE char *log = run_with(a_secret_that_cannot_be_kept);
	assert_logged(log, "msg=\"CA and broker are not up to date\"");
	assert_logged(log, "msg=\"broker listens\"");
}

static const char *a_worklist_that_comes_late(void)
{
	EXPECT(cluster_count_asked(&c, "/restore-worklist") > 1);
	EXPECT(is_not_ready());
	c.entry = ",\"snapshot_id\":\"s1\"";
	EXPECT(is_ready());
	EXPECT(has_job());
	return NULL;
}

static void without_a_first_worklist_it_is_not_ready(void **state)
{
	(void)state;
	c.entry = "\"";
	AUTO_FREE char *log = run_with(a_worklist_that_comes_late);
	assert_logged(log, "msg=\"pass not completed\"");
}

static const char *a_file(void)
{
	EXPECT(is_ready());
	EXPECT(answers("/metrics", 200, "\nunderstory_worklist_entries 0\n"));
	return NULL;
}

static void a_worklist_from_a_file_needs_no_canopy(void **state)
{
	(void)state;
	static const char nothing[] = "[]\n";
	worklist_path = scratch_write("worklist.yaml", nothing, strlen(nothing));
	AUTO_FREE char *log = run_with(a_file);
	assert_logged(log, "msg=stopped");
	assert_int_equal(cluster_count_asked(&c, "/"), 0);
}

// SIGTERM comes while the API server does not answer.
static const char *a_request_that_does_not_end(void)
{
	EXPECT(cluster_count_faults(&c) > 0);
	atomic_store(&has_drained, true);
	return NULL;
}

static void what_is_in_flight_has_its_time_and_no_more(void **state)
{
	(void)state;
	cluster_fault(&c, "[{\"verb\":\"create\",\"path\":\"*/jobs\",\"never\":true}]");
	AUTO_FREE char *log = run_with(a_request_that_does_not_end);
	assert_logged(log, "msg=stopping");
	assert_logged(log, "cancelled");
	assert_logged(log, "msg=stopped");
	assert_false(has_job());
}

static const char *a_canopy_that_goes_away(void)
{
	EXPECT(has_job());
	c.canopy_status = 502; // of all but the worklist
	c.entry = "\"";        // which is none
	int asked = cluster_count_asked(&c, "/restore-worklist");
	EXPECT(cluster_count_asked(&c, "/restore-worklist") > asked + 1);
	EXPECT(is_ready()); // what it knew is what it goes on with
	return NULL;
}

static void a_worklist_that_is_none_tears_nothing_down(void **state)
{
	(void)state;
	AUTO_FREE char *log = run_with(a_canopy_that_goes_away);
	assert_logged(log, "msg=\"worklist not fetched: nothing is provisioned, refreshed or torn down until it is\"");
	assert_logged(log, "msg=\"pass not completed\"");
	assert_false(is_worked_off());
}

static void an_address_in_use_ends_it_at_once(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(settings) struct settings *settings = NULL;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	(void)snprintf(metrics_addr, sizeof(metrics_addr), "127.0.0.1:%d", ntohs(address.sin_port));
	assert_ok(settings_load(environment, &settings, &err), err);
	assert_int_equal(run(settings, &err), -1);
	if (strstr(err.text, metrics_addr) == NULL)
		fail_msg("%s", err.text);
}

// With an argument: what ends, is lost, or comes late.
int main(int argc, char **argv)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test_setup_teardown(a_replica_is_proven_reported_and_taken_away, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_that_waits_for_its_turn_is_ready_and_does_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nothing_is_decided_on_half_a_picture, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_authority_is_tried_for_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_worklist_that_is_none_tears_nothing_down, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_address_in_use_ends_it_at_once, set_up, tear_down),
	};
	const struct CMUnitTest ends[] = {
		cmocka_unit_test_setup_teardown(one_that_loses_the_lease_stops_and_waits_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_leader_election_it_leads_and_leaves_no_lease, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_a_first_worklist_it_is_not_ready, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_worklist_from_a_file_needs_no_canopy, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_in_flight_has_its_time_and_no_more, set_up, tear_down),
	};
	// Before any thread: the signal is the operator's.
	sigset_t set;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	log_setup(LOG_INFO, LOG_LOGFMT);
	(void)argv;
	return argc > 1 ? cmocka_run_group_tests_name("reconciler/run_ends", ends, NULL, NULL)
			: cmocka_run_group_tests_name("reconciler/run", cases, NULL, NULL);
}
