// How a round ends in the cluster where it is neither a clean one nor a failure: a write-ahead log that was reset, a volume that
// may not grow, an image that has to be pulled with a Secret. Against the stub's API server.
#include "base/log.h"
#include "builders/exit_codes.h"
#include "k8s/client.h"
#include "tests/reconciler/cluster.h"
#include "tests/reconciler/scenes.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESTORED                                                                                                            \
	"{\"postgres_version\":\"15\",\"bytes\":1000,\"files\":10,\"seconds\":3,\"layout\":\"debian\",\"engine\":\"walg\"," \
	"\"backup\":\"base_0000000100000000000000A2\"}"
#define ROUND "fa04b867"

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

static void assert_annotation(const char *key, const char *expected)
{
	struct error err = {0};
	char whole[64];
	AUTO(json) json_t *namespace = NULL;
	(void)snprintf(whole, sizeof(whole), "pgro.bes.au/%s", key);
	assert_ok(k8s_get(c.op.k8s, &K8S_NAMESPACE, NULL, SCENE_NAMESPACE, &namespace, &err), err);
	const char *found = json_find_str(namespace, "metadata", "annotations", whole);
	assert_string_equal(found == NULL ? "" : found, expected);
}

// The database is up and its checks are clean; prepare: what its init container said, NULL when that is lost.
static void comes_up_and_says(const char *prepare)
{
	cluster_settle(&c);
	cluster_job_ends(&c, true, RESTORED);
	cluster_settle(&c);
	cluster_database_comes_up(&c);
	cluster_change("pods", SCENE_NAMESPACE, "postgres-" ROUND,
		json_pack("{s:{s:[{s:s, s:{s:{s:i, s:s, s:s, s:s*}}}]}}", "status", "initContainerStatuses", "name", "prepare",
			"state", "terminated", "exitCode", 0, "startedAt", "2026-11-20T10:00:00Z", "finishedAt",
			"2026-11-20T10:00:05Z", "message", prepare));
	c.check = CHECK_DONE;
	c.checked = (struct check_result){.grade = GRADE_CLEAN, .server_version = "15.20"};
	(void)snprintf(c.checked.stage, sizeof(c.checked.stage), "catalogs");
	cluster_settle(&c);
	c.check = CHECK_NONE;
}

// --- a write-ahead log that was reset

#define SALVAGED "{\"salvaged\":\"the last 3 WAL files are lost\"}"

static void where_it_is_allowed_it_serves_and_is_reported_as_a_failure(void **state)
{
	(void)state;
	cluster_settings(&c)->intents[INTENT_ANALYTICS].allow_reset_wal = true;
	comes_up_and_says(SALVAGED);
	cluster_stands(&c, "restore-state=active active-round=" ROUND);
	cluster_stands(&c, "last-error=the last 3 WAL files are lost");
	cluster_stands(&c, "last-verdict=salvaged recovery backup");
	cluster_stands(&c, "reports: 1 unhealthy");
	cluster_await_event(&c, "Salvaged");
	assert_annotation("backup", "base_0000000100000000000000A2");
}

static void elsewhere_it_is_a_failure(void **state)
{
	(void)state;
	comes_up_and_says(SALVAGED);
	cluster_stands(&c, "restore-state=failed round=" ROUND);
	cluster_stands(&c, "last-verdict=salvaged recovery backup");
	cluster_stands(&c, "reports: 1 unhealthy");
}

static void where_it_may_have_been_and_nobody_can_tell_it_is_no_verdict(void **state)
{
	(void)state;
	cluster_settings(&c)->intents[INTENT_ANALYTICS].allow_reset_wal = true;
	comes_up_and_says(NULL);
	cluster_stands(&c, "restore-state=failed round=" ROUND);
	cluster_stands(&c, "last-verdict=inconclusive recovery cluster");
}

// --- a volume that may not grow

static void fills_its_volume(void)
{
	cluster_settle(&c);
	c.exit_code = EXIT_VOLUME_FULL;
	cluster_job_ends(&c, false, "{\"error\":\"no space left\",\"stage\":\"restore\"}");
	cluster_settle(&c);
	cluster_stands(&c, "failures=1 ");
}

static void one_that_may_not_double_is_told_of_too(void **state)
{
	(void)state;
	struct settings_for_intent *sizing = &cluster_settings(&c)->intents[INTENT_ANALYTICS];
	char expected[32];
	sizing->storage_size_maximum_bytes = sizing->storage_size_bytes / 2 * 3;
	fills_its_volume();
	cluster_await_event(&c, "VolumeSizeCapped");
	(void)snprintf(expected, sizeof(expected), "%lld", (long long)sizing->storage_size_maximum_bytes);
	assert_annotation("volume-bytes", expected);
}

static void the_largest_volume_is_told_of(void **state)
{
	(void)state;
	struct settings_for_intent *sizing = &cluster_settings(&c)->intents[INTENT_ANALYTICS];
	char expected[32];
	sizing->storage_size_maximum_bytes = sizing->storage_size_bytes;
	fills_its_volume();
	cluster_await_event(&c, "VolumeSizeCapped");
	(void)snprintf(expected, sizeof(expected), "%lld", (long long)sizing->storage_size_maximum_bytes);
	assert_annotation("volume-bytes", expected);
}

// --- an image that has to be pulled with a Secret

static void the_pull_secret_of_the_flavour_comes_along(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(json) json_t *found = NULL;
	AUTO(json)
	json_t *secret = json_pack("{s:s, s:s, s:{s:s, s:s}, s:s, s:{s:s}}", "apiVersion", "v1", "kind", "Secret", "metadata",
		"name", "registry", "namespace", "pgro-system", "type", "kubernetes.io/dockerconfigjson", "data",
		".dockerconfigjson", "e30=");
	struct settings_flavour *stock = calloc(1, sizeof(*stock));
	assert_non_null(stock);
	*stock = (struct settings_flavour){.name = strdup("stock"), .pull_secret = strdup("registry")};
	assert_true(stock->name != NULL && stock->pull_secret != NULL);
	cluster_settings(&c)->flavours = stock;
	cluster_settings(&c)->flavour_count = 1;
	cluster_settle(&c);
	cluster_job_ends(&c, true, RESTORED);
	cluster_settle(&c);
	assert_non_null(strstr(cluster_trouble(&c), "flavour stock: pullSecret registry: "));
	cluster_stands(&c, "restore-state=restoring");
	cluster_make_secret(&c, "registry", json_pack("{s:s}", "password", "cGFzcw=="));
	cluster_settle(&c);
	assert_non_null(strstr(cluster_trouble(&c), "flavour stock: pullSecret registry: "));
	assert_ok(k8s_delete(c.op.k8s, &K8S_SECRET, "pgro-system", "registry", NULL, NULL, &err), err);
	assert_ok(k8s_create(c.op.k8s, &K8S_SECRET, "pgro-system", secret, NULL, &err), err);
	cluster_settle(&c);
	assert_string_equal(cluster_trouble(&c), "");
	cluster_stands(&c, "restore-state=starting");
	assert_ok(k8s_get(c.op.k8s, &K8S_DEPLOYMENT, SCENE_NAMESPACE, "postgres-" ROUND, &found, &err), err);
	assert_int_equal(json_array_size(json_find(found, "spec", "template", "spec", "imagePullSecrets")), 1);
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest cases[] = {
		CASE(where_it_is_allowed_it_serves_and_is_reported_as_a_failure),
		CASE(elsewhere_it_is_a_failure),
		CASE(where_it_may_have_been_and_nobody_can_tell_it_is_no_verdict),
		CASE(the_largest_volume_is_told_of),
		CASE(one_that_may_not_double_is_told_of_too),
		CASE(the_pull_secret_of_the_flavour_comes_along),
	};
	log_setup(LOG_ERROR, LOG_LOGFMT);
	return cmocka_run_group_tests_name("reconciler/outcome", cases, NULL, NULL);
}
