// What the broker asks of the cluster and of canopy, against the stub's API server: who is let in, whose keys he gets, and where
// his counts go.
#include "reconciler/access.h"
#include "base/clock.h"
#include "tests/reconciler/cluster.h"
#include "tests/reconciler/scenes.h"
#include "tests/support/cmocka.h"
#include "tests/support/scratch.h"
#include <stdio.h>
#include <string.h>

#define JOB "restore-fa04b867"
#define COUNTS "{\"sent_raw_bytes\":1,\"sent_payload_bytes\":2,\"received_raw_bytes\":3,\"received_payload_bytes\":4}"

struct world {
	struct cluster cluster;
	struct access access;
	struct broker_callbacks callbacks;
	struct settings settings; // a copy, for tests that set WORKLIST_FILE
};

static struct world world;

// A replica whose restore runs.
static int set_up(void **state)
{
	(void)state;
	cluster_open(&world.cluster, "analytics", NULL);
	cluster_settle(&world.cluster);
	struct manager *op = &world.cluster.op;
	world.settings = *op->settings;
	world.access = (struct access){.settings = &world.settings, .k8s = op->k8s, .canopy = op->canopy, .notes = op->notes};
	world.callbacks = access_callbacks(&world.access);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	cluster_close(&world.cluster);
	return 0;
}

static json_t *parse(const char *text)
{
	struct error err = {0};
	json_t *value = NULL;
	assert_ok(json_parse(text, strlen(text), &value, &err), err);
	return value;
}

static void the_token_of_the_restore_pod_is_good(void **state)
{
	(void)state;
	struct error err = {0};
	struct broker_caller caller;
	AUTO_FREE char *token = cluster_token(&world.cluster);
	assert_ok(world.callbacks.review(world.callbacks.arg, token, &caller, &err), err);
	assert_string_equal(caller.namespace, SCENE_NAMESPACE);
	assert_error(world.callbacks.review(world.callbacks.arg, "nobody.knows.it", &caller, &err), err, ERROR_INVALID, "");
	assert_int_equal(err.http_status, 0);
}

// Nobody has judged the token then: the proxy may come again.
static void a_token_that_nobody_could_look_at_is_not_bad(void **state)
{
	(void)state;
	struct error err = {0};
	struct broker_caller caller;
	char url[] = "http://127.0.0.1:1";
	struct k8s_config nowhere = {.server = url};
	AUTO(k8s_client) struct k8s_client *client = NULL;
	assert_ok(k8s_client_new(&nowhere, NULL, &client, &err), err);
	world.access.k8s = client;
	assert_error(world.callbacks.review(world.callbacks.arg, "any", &caller, &err), err, ERROR_TRANSIENT, "token review");
}

static void a_replica_is_looked_up(void **state)
{
	(void)state;
	struct error err = {0};
	struct broker_replica replica;
	assert_ok(world.callbacks.lookup(world.callbacks.arg, SCENE_NAMESPACE, &replica, &err), err);
	assert_string_equal(replica.group, SCENE_GROUP_ID);
	assert_string_equal(replica.type, "tamanu-postgres");
	assert_int_equal(strlen(replica.run_id), UUID_TEXT_SIZE - 1);
	assert_error(world.callbacks.lookup(world.callbacks.arg, "elsewhere", &replica, &err), err, ERROR_NOT_FOUND, "elsewhere");
}

static void no_round_in_hand_is_a_conflict(void **state)
{
	(void)state;
	struct error err = {0};
	struct broker_replica replica;
	cluster_annotate(&world.cluster, "restore-state", "failed");
	assert_error(world.callbacks.lookup(world.callbacks.arg, SCENE_NAMESPACE, &replica, &err), err, ERROR_CONFLICT,
		"has no round in hand");
}

static void a_namespace_of_somebody_else_is_refused(void **state)
{
	(void)state;
	struct error err = {0};
	struct broker_replica replica;
	cluster_label(&world.cluster, "managed-by", "somebody");
	assert_error(world.callbacks.lookup(world.callbacks.arg, SCENE_NAMESPACE, &replica, &err), err, ERROR_INVALID,
		"is not managed by understory");
}

static void refuses(const char *label, enum error_kind kind, const char *text)
{
	struct error err = {0};
	struct broker_replica replica;
	int rc = world.callbacks.lookup(world.callbacks.arg, SCENE_NAMESPACE, &replica, &err);
	if (rc == 0 || err.kind != kind || strstr(err.text, text) == NULL)
		fail_msg("%s: %d %s", label, rc, err.text);
}

// Keys are given for a group and a type, in the name of a run: without one of them there are none.
static void a_namespace_that_lacks_a_name_is_refused(void **state)
{
	(void)state;
	char long_type[512];
	memset(long_type, 'x', sizeof(long_type) - 1);
	long_type[sizeof(long_type) - 1] = '\0';
	cluster_annotate(&world.cluster, "run-id", "the first");
	refuses("a run that is none", ERROR_CONFLICT, "has no round in hand");
	cluster_annotate(&world.cluster, "type", long_type);
	refuses("a type that is too long", ERROR_INVALID, "is not managed by understory");
	cluster_change("namespaces", "", SCENE_NAMESPACE,
		json_pack("{s:{s:{s:n}, s:{s:n}}}", "metadata", "annotations", PGRO "type", "labels", PGRO "type"));
	refuses("no type", ERROR_INVALID, "is not managed by understory");
	cluster_label(&world.cluster, "group", "the-first");
	refuses("a group that is none", ERROR_INVALID, "is not managed by understory");
}

static void keys_come_from_canopy(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(canopy_credentials) struct canopy_credentials keys = {0};
	assert_ok(
		world.callbacks.fetch(world.callbacks.arg, SCENE_GROUP_ID, "tamanu-postgres", SCENE_SERVER_ID, &keys, &err), err);
	assert_string_equal(secret_reveal(&keys.access_key_id), "key");
}

#define FILE_ENTRY(secret) FILE_ENTRY_OF("tamanu-postgres", "s3", secret)
#define FILE_ENTRY_OF(type, storage, secret)                                                                             \
	"- {replica_id: " SCENE_REPLICA_ID ", group_id: " SCENE_GROUP_ID ", server_id: " SCENE_SERVER_ID ", type: " type \
	", intent: analytics, name: a, params: {}, storage: " storage ", bucket: b, prefix: p, region: r" secret "}\n"

// In the place of canopy.
static void write_worklist(const char *text)
{
	const char *path = scratch_write("worklist.yaml", text, strlen(text));
	world.access.canopy = NULL;
	world.settings.worklist_file = (char *)(uintptr_t)path;
}

static void keys_come_from_the_secret_that_the_file_names(void **state)
{
	(void)state;
	static const char good[] = FILE_ENTRY(", secret: keys");
	struct error err = {0};
	AUTO(canopy_credentials) struct canopy_credentials keys = {0};
	write_worklist(good);
	assert_error(world.callbacks.fetch(world.callbacks.arg, SCENE_GROUP_ID, "tamanu-postgres", NULL, &keys, &err), err,
		ERROR_NOT_FOUND, "keys");
	cluster_make_secret(&world.cluster, "keys",
		json_pack("{s:s, s:s, s:s, s:s}", "repositoryPassword", "cGFzcw==", "accessKeyId", "a2V5", "secretAccessKey",
			"c2VjcmV0", "sessionToken", "dG9rZW4="));
	assert_ok(world.callbacks.fetch(world.callbacks.arg, SCENE_GROUP_ID, "tamanu-postgres", NULL, &keys, &err), err);
	assert_string_equal(secret_reveal(&keys.session_token), "token");
	// They are looked at again: a key that a person has replaced is soon used by nobody.
	assert_true(keys.expires_at_ms <= clock_wall_ms() + 15 * 60 * 1000);
}

static void a_file_that_names_no_secret_gives_no_keys(void **state)
{
	(void)state;
	struct error err = {0};
	struct canopy_credentials keys = {0};
	const struct {
		const char *label, *text, *group, *expected;
	} rows[] = {
		{"no secret", FILE_ENTRY(""), SCENE_GROUP_ID, "names a secret"},
		{"another group", FILE_ENTRY(", secret: keys"), SCENE_SERVER_ID, "names a secret"},
		{"another type", FILE_ENTRY_OF("other", "s3", ", secret: keys"), SCENE_GROUP_ID, "names a secret"},
		{"a volume, which wants none", FILE_ENTRY_OF("tamanu-postgres", "file", ", secret: keys"), SCENE_GROUP_ID,
			"names a secret"},
		{"no worklist", "- 7: [", SCENE_GROUP_ID, ""},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		write_worklist(rows[i].text);
		int rc = world.callbacks.fetch(world.callbacks.arg, rows[i].group, "tamanu-postgres", NULL, &keys, &err);
		if (rc == 0 || err.kind != ERROR_INVALID || strstr(err.text, rows[i].expected) == NULL)
			fail_msg("%s: %d %s", rows[i].label, rc, err.text);
		err = (struct error){0};
	}
}

static void what_the_engine_decrypts_with_comes_from_that_secret(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(canopy_credentials) struct canopy_credentials keys = {0};
	char name[] = "keys", type[] = "tamanu-postgres", storage[] = "file", engine[] = "walg";
	const struct entry entry = {.secret = name, .type = type, .storage = storage, .engine = engine};
	cluster_make_secret(
		&world.cluster, name, json_pack("{s:s, s:s}", "libsodiumKey", "c29kaXVt", "pgpKeyPassphrase", "cGhyYXNl"));
	assert_ok(access_keys_from_secret(world.cluster.op.k8s, &world.settings, &entry, &keys, &err), err);
	static const char *const expected[CANOPY_ENGINE_KEYS] = {"sodium", "", "", "phrase"};
	for (size_t i = 0; i < CANOPY_ENGINE_KEYS; i++)
		assert_string_equal(secret_reveal(&keys.engine_keys[i]), expected[i]);
}

static void a_secret_that_lacks_something_gives_no_keys(void **state)
{
	(void)state;
	struct error err = {0};
	struct canopy_credentials keys = {0};
	char name[] = "keys", type[] = "tamanu-postgres", storage[] = "s3";
	const struct entry entry = {.secret = name, .type = type, .storage = storage};
	cluster_make_secret(
		&world.cluster, name, json_pack("{s:s, s:s}", "repositoryPassword", "cGFzcw==", "accessKeyId", "a2V5"));
	assert_error(access_keys_from_secret(world.cluster.op.k8s, &world.settings, &entry, &keys, &err), err, ERROR_INVALID,
		"secretAccessKey");
	char keyless[] = "keyless", empty[] = "empty";
	const struct entry of_keyless = {.secret = keyless, .type = type, .storage = storage};
	cluster_make_secret(&world.cluster, keyless, json_pack("{s:s}", "repositoryPassword", "cGFzcw=="));
	err = (struct error){0};
	assert_error(access_keys_from_secret(world.cluster.op.k8s, &world.settings, &of_keyless, &keys, &err), err, ERROR_INVALID,
		"accessKeyId");
	const struct entry of_empty = {.secret = empty, .type = type, .storage = storage};
	cluster_make_secret(&world.cluster, empty, json_object());
	err = (struct error){0};
	assert_error(access_keys_from_secret(world.cluster.op.k8s, &world.settings, &of_empty, &keys, &err), err, ERROR_INVALID,
		"repositoryPassword");
}

static void a_key_that_is_no_base64_is_none(void **state)
{
	(void)state;
	struct error err = {0};
	struct canopy_credentials keys = {0};
	char name[] = "keys", type[] = "tamanu-postgres", storage[] = "file", engine[] = "walg";
	const struct entry entry = {.secret = name, .type = type, .storage = storage, .engine = engine};
	cluster_make_secret(&world.cluster, name, json_pack("{s:s}", "libsodiumKey", "*"));
	assert_error(access_keys_from_secret(world.cluster.op.k8s, &world.settings, &entry, &keys, &err), err, ERROR_INVALID,
		"libsodiumKey");
}

static void a_secret_that_no_role_names_is_said_to_be_one(void **state)
{
	(void)state;
	struct error err = {0};
	struct canopy_credentials keys = {0};
	char name[] = "keys", type[] = "tamanu-postgres", storage[] = "s3";
	const struct entry entry = {.secret = name, .type = type, .storage = storage};
	cluster_fault(&world.cluster,
		"[{\"verb\": \"get\", \"path\": \"*/secrets/keys\", \"status\": 403, \"reason\": \"Forbidden\"}]");
	assert_error(access_keys_from_secret(world.cluster.op.k8s, &world.settings, &entry, &keys, &err), err, ERROR_INVALID,
		"no Role lets Secret keys be read (hint: component ops/components/secrets): ");
}

static void a_container_of_azure_takes_a_signature_or_nothing(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(canopy_credentials) struct canopy_credentials keys = {0};
	struct canopy_credentials none = {0};
	char name[] = "keys", type[] = "tamanu-postgres", storage[] = "azure", client[] = "00000000-0000-4000-8000-000000000001";
	struct entry entry = {.secret = name, .type = type, .storage = storage};
	cluster_make_secret(&world.cluster, name, json_pack("{s:s}", "repositoryPassword", "cGFzcw=="));
	assert_error(access_keys_from_secret(world.cluster.op.k8s, &world.settings, &entry, &none, &err), err, ERROR_INVALID,
		"sasToken");
	// A workload identity needs none.
	entry.client_id = client;
	err = (struct error){0};
	assert_ok(access_keys_from_secret(world.cluster.op.k8s, &world.settings, &entry, &keys, &err), err);
	assert_string_equal(secret_reveal(&keys.repo_password), "pass");
	assert_int_equal(keys.sas_token.len, 0);
}

static int give(broker_take take, const char *job, const char *text, struct error *err)
{
	const struct broker_replica replica = {.run_id = SCENE_SERVER_ID, .type = "tamanu-postgres"};
	AUTO(json) json_t *counts = parse(text);
	return take(world.callbacks.arg, SCENE_NAMESPACE, job, &replica, counts, err);
}

static void totals_are_kept_with_the_round_in_hand(void **state)
{
	(void)state;
	struct error err = {0};
	assert_ok(give(world.callbacks.stats, JOB, COUNTS, &err), err);
	AUTO(json) json_t *traffic = cluster_annotation(&world.cluster, "traffic");
	assert_int_equal(json_find_int(-1, traffic, "s3_received_payload_bytes"), 4);
	assert_int_equal(json_object_size(traffic), 4);
	assert_error(give(world.callbacks.stats, "restore-bbbbbbbb", COUNTS, &err), err, ERROR_INVALID, "not the round in hand");
	err = (struct error){0};
	assert_error(give(world.callbacks.stats, JOB, "{\"sent_raw_bytes\":-1}", &err), err, ERROR_INVALID, "is no count");
	err = (struct error){0};
	assert_error(give(world.callbacks.stats, JOB, "{\"sent_raw_bytes\":\"1\"}", &err), err, ERROR_INVALID, "is no count");
	// What was not measured stays absent.
	err = (struct error){0};
	assert_ok(give(world.callbacks.stats, JOB, "{\"sent_raw_bytes\":5}", &err), err);
	AUTO(json) json_t *less = cluster_annotation(&world.cluster, "traffic");
	assert_int_equal(json_object_size(less), 1);
}

static void progress_goes_to_the_page_and_to_canopy(void **state)
{
	(void)state;
	struct error err = {0};
	struct note note;
	assert_ok(give(world.callbacks.progress, JOB, COUNTS, &err), err);
	assert_true(notes_look(world.cluster.op.notes, SCENE_NAMESPACE, &note));
	assert_int_equal(note.received_bytes, 4);
	world.cluster.canopy_status = 404;
	assert_error(give(world.callbacks.progress, JOB, COUNTS, &err), err, ERROR_INVALID, "404");
	err = (struct error){0};
	assert_error(give(world.callbacks.progress, JOB, "{\"sent_raw_bytes\":[]}", &err), err, ERROR_INVALID, "is no count");
	// With WORKLIST_FILE there is nobody to tell; and what is no restore Job's says nothing.
	world.access.canopy = NULL;
	err = (struct error){0};
	assert_ok(give(world.callbacks.progress, JOB, "{\"received_payload_bytes\":9}", &err), err);
	assert_ok(give(world.callbacks.progress, "other", "{\"received_payload_bytes\":99}", &err), err);
	assert_ok(give(world.callbacks.progress, JOB, "{\"received_payload_bytes\":-1}", &err), err);
	assert_true(notes_look(world.cluster.op.notes, SCENE_NAMESPACE, &note));
	assert_int_equal(note.received_bytes, 9);
}

// Somebody else writes the Namespace too.
static void totals_are_kept_over_a_conflict(void **state)
{
#define PATCHES(times, status, reason, message)                                                                \
	"[{\"verb\":\"patch\",\"path\":\"*/namespaces/*\"," times "\"status\":" status ",\"reason\":\"" reason \
	"\",\"message\":\"" message "\"}]"
	(void)state;
	struct error err = {0};
	cluster_fault(&world.cluster, PATCHES("\"times\":1,", "409", "Conflict", "it has changed"));
	assert_ok(give(world.callbacks.stats, JOB, COUNTS, &err), err);
	AUTO(json) json_t *traffic = cluster_annotation(&world.cluster, "traffic");
	assert_int_equal(json_object_size(traffic), 4);
	err = (struct error){0};
	cluster_fault(&world.cluster, PATCHES("", "409", "Conflict", "it has changed"));
	assert_error(give(world.callbacks.stats, JOB, COUNTS, &err), err, ERROR_CONFLICT, "it has changed");
	err = (struct error){0};
	cluster_fault(&world.cluster, PATCHES("", "403", "Forbidden", "not for you"));
	assert_error(give(world.callbacks.stats, JOB, COUNTS, &err), err, ERROR_INVALID, "not for you");
	err = (struct error){0};
	cluster_fault(&world.cluster, "[{\"verb\":\"get\",\"status\":403,\"reason\":\"Forbidden\",\"message\":\"not for you\"}]");
	assert_error(give(world.callbacks.stats, JOB, COUNTS, &err), err, ERROR_INVALID, "not for you");
	cluster_fault(&world.cluster, "[]");
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest cases[] = {
		CASE(the_token_of_the_restore_pod_is_good),
		CASE(a_token_that_nobody_could_look_at_is_not_bad),
		CASE(a_replica_is_looked_up),
		CASE(no_round_in_hand_is_a_conflict),
		CASE(a_namespace_of_somebody_else_is_refused),
		CASE(a_namespace_that_lacks_a_name_is_refused),
		CASE(keys_come_from_canopy),
		CASE(keys_come_from_the_secret_that_the_file_names),
		CASE(a_file_that_names_no_secret_gives_no_keys),
		CASE(what_the_engine_decrypts_with_comes_from_that_secret),
		CASE(a_secret_that_lacks_something_gives_no_keys),
		CASE(a_key_that_is_no_base64_is_none),
		CASE(a_secret_that_no_role_names_is_said_to_be_one),
		CASE(a_container_of_azure_takes_a_signature_or_nothing),
		CASE(totals_are_kept_with_the_round_in_hand),
		CASE(totals_are_kept_over_a_conflict),
		CASE(progress_goes_to_the_page_and_to_canopy),
	};
	log_setup(LOG_ERROR, LOG_LOGFMT);
	return cmocka_run_group_tests_name("reconciler/access", cases, NULL, NULL);
}
