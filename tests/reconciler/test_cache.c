// The cache: what is put in is seen, what is over is gone, and what the operator wrote itself is never undone by older news.
#include "reconciler/cache.h"
#include "base/pack.h"
#include "tests/reconciler/scenes.h"
#include "tests/support/cmocka.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define NS "nauru-prod-analytics-21779af8"

// What on_change was told, in order.
static struct {
	char text[1024];
} told;

static void note(void *arg, const char *namespace)
{
	(void)arg;
	size_t len = strlen(told.text);
	(void)snprintf(told.text + len, sizeof(told.text) - len, "%s ", namespace == NULL ? "(list)" : namespace);
}

static struct cache *made(void)
{
	struct error err = {0};
	struct cache *cache = NULL;
	assert_ok(cache_new(&cache, &err), err);
	cache_on_change(cache, note, NULL);
	told.text[0] = '\0';
	return cache;
}

static void is_told(const char *expected)
{
	assert_string_equal(told.text, expected);
	told.text[0] = '\0';
}

static json_t *parse(const char *text)
{
	struct error err = {0};
	json_t *value = NULL;
	assert_ok(json_parse(text, strlen(text), &value, &err), err);
	return value;
}

static json_t *namespace_object(const char *name, const char *uid, const char *version, const char *state)
{
	char text[1024];
	(void)snprintf(text, sizeof(text),
		"{\"metadata\":{\"name\":\"%s\",\"uid\":\"%s\",\"resourceVersion\":\"%s\",\"creationTimestamp\":"
		"\"2026-11-20T10:00:00Z\",\"labels\":{\"pgro.bes.au/managed-by\":\"pgro-canopy\"},"
		"\"annotations\":{\"pgro.bes.au/restore-state\":\"%s\"}}}",
		name, uid, version, state);
	return parse(text);
}

static json_t *job_at(const char *version, const char *uid, const char *status)
{
	char text[1024];
	(void)snprintf(text, sizeof(text),
		"{\"metadata\":{\"namespace\":\"" NS "\",\"name\":\"restore-aaaaaaaa\",\"uid\":\"%s\",\"resourceVersion\":\"%s\","
		"\"labels\":{\"pgro.bes.au/round\":\"aaaaaaaa\"}},\"status\":%s}",
		uid, version, status);
	return parse(text);
}

static json_t *job_object(const char *namespace, const char *name, const char *uid, const char *status)
{
	char text[1024];
	(void)snprintf(text, sizeof(text),
		"{\"metadata\":{\"namespace\":\"%s\",\"name\":\"%s\",\"uid\":\"%s\",\"creationTimestamp\":\"2026-11-20T10:00:"
		"00Z\","
		"\"labels\":{\"pgro.bes.au/round\":\"aaaaaaaa\"}},\"status\":%s}",
		namespace, name, uid, status);
	return parse(text);
}

static void put_namespace(struct cache *cache, const char *uid, const char *version, const char *state)
{
	struct error err = {0};
	AUTO(json) json_t *object = namespace_object(NS, uid, version, state);
	assert_ok(cache_take(cache, CACHE_NAMESPACE, object, &err), err);
}

static void put_job(struct cache *cache, const char *uid, const char *status)
{
	struct error err = {0};
	AUTO(json) json_t *object = job_object(NS, "restore-aaaaaaaa", uid, status);
	assert_ok(cache_take(cache, CACHE_JOB, object, &err), err);
}

static struct look look_at(struct cache *cache, const char *namespace)
{
	struct error err = {0};
	struct look look;
	assert_ok(cache_look(cache, namespace, &look, &err), err);
	return look;
}

static void has_state(struct cache *cache, const char *state)
{
	AUTO(look_value) struct look look = look_at(cache, NS);
	assert_int_equal(look.has_replica, state != NULL);
	if (state != NULL)
		assert_string_equal(replica_state_text[look.replica.state], state);
}

static void has_jobs(struct cache *cache, size_t count)
{
	AUTO(look_value) struct look look = look_at(cache, NS);
	assert_int_equal(look.scene.job_count, count);
}

static size_t records(struct cache *cache)
{
	struct error err = {0};
	AUTO_FREE char(*names)[ENTRY_NAMESPACE_SIZE] = NULL;
	size_t count = 0;
	assert_ok(cache_names(cache, &names, &count, &err), err);
	return count;
}

// Every member of a replica that the API server can show comes out as it went in.
static void a_look_shows_the_whole_replica(void **state)
{
	(void)state;
	static const char whole[] =
		"\"restore-state\":\"failed\",\"desired-snapshot-id\":\"s2\",\"desired-snapshot-at\":\"2026-11-20T09:00:00Z\","
		"\"round\":\"bbbbbbbb\",\"round-snapshot-id\":\"s2\",\"attempt\":\"3\",\"run-id\":\"0f0e0d0c-0b0a-4908-8706-"
		"050403020100\","
		"\"round-started-at\":\"2026-11-20T09:01:00Z\",\"active-round\":\"aaaaaaaa\",\"last-restored-snapshot-id\":"
		"\"s1\","
		"\"last-restored-at\":\"2026-11-19T09:00:00Z\",\"postgres-version\":\"15.20\",\"failures\":\"2\","
		"\"failed-at\":\"2026-11-20T09:02:00Z\",\"last-error\":\"no such "
		"snapshot\",\"traffic\":\"{}\",\"report\":\"{\\\"a\\\":1}\","
		"\"last-verification-reported-at\":\"2026-11-19T09:03:00Z\",\"last-verification-reported-round\":\"aaaaaaaa\","
		"\"last-verification-error\":\"refused\",\"force-refresh\":\"1\",\"teardown-hold\":\"1\","
		"\"credentials-refused\":\"cccccccc\",\"backup\":\"b-1\",\"volume-bytes\":\"2147483648\"";
	struct replica in = scene_replica_with(NS, SCENE_SERVER_ID, "analytics", whole, "");
	AUTO(cache) struct cache *cache = made();
	put_namespace(cache, "u-1", "1", "pending"); // an answer of ours alone makes no record
	cache_saw_replica(cache, &in);
	AUTO(look_value) struct look look = look_at(cache, NS);
	const struct replica *out = &look.replica;
	const char *const texts[][2] = {{in.namespace, out->namespace}, {in.uid, out->uid},
		{in.resource_version, out->resource_version}, {in.replica_id, out->replica_id}, {in.group_id, out->group_id},
		{in.server_id, out->server_id}, {in.type, out->type}, {in.intent, out->intent},
		{in.desired_snapshot_id, out->desired_snapshot_id}, {in.desired_snapshot_at, out->desired_snapshot_at},
		{in.round, out->round}, {in.round_snapshot_id, out->round_snapshot_id}, {in.run_id, out->run_id},
		{in.active_round, out->active_round}, {in.last_restored_snapshot_id, out->last_restored_snapshot_id},
		{in.postgres_version, out->postgres_version}, {in.last_error, out->last_error}, {in.traffic, out->traffic},
		{in.report, out->report}, {in.reported_round, out->reported_round}, {in.report_error, out->report_error},
		{in.credentials_refused, out->credentials_refused}, {in.backup, out->backup}};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_non_null(texts[i][0]);
		assert_string_not_equal(texts[i][0], "");
		assert_string_equal(texts[i][0], texts[i][1]);
	}
	const int64_t numbers[][2] = {{in.created_at_ms, out->created_at_ms}, {(int64_t)in.state, (int64_t)out->state},
		{in.attempt, out->attempt}, {in.round_started_at_ms, out->round_started_at_ms},
		{in.last_restored_at_ms, out->last_restored_at_ms}, {in.failures, out->failures},
		{in.failed_at_ms, out->failed_at_ms}, {in.reported_at_ms, out->reported_at_ms},
		{in.volume_bytes, out->volume_bytes}, {in.is_managed, out->is_managed}, {in.force_refresh, out->force_refresh},
		{in.teardown_hold, out->teardown_hold}};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		assert_true(numbers[i][0] > 0);
		assert_int_equal(numbers[i][0], numbers[i][1]);
	}
	replica_fini(&in);
}

static void a_look_shows_what_runs_there(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(cache) struct cache *cache = made();
	static const struct {
		enum cache_kind kind;
		const char *text;
	} objects[] = {
		{CACHE_JOB,
			"{\"metadata\":{\"namespace\":\"" NS
			"\",\"name\":\"restore-aaaaaaaa\",\"uid\":\"j\",\"labels\":{\"pgro.bes.au/round\":\"aaaaaaaa\"}},"
			"\"status\":{\"conditions\":[{\"type\":\"Failed\",\"status\":\"True\",\"reason\":\"DeadlineExceeded\","
			"\"message\":\"too late\"}]}}"},
		{CACHE_DEPLOYMENT,
			"{\"metadata\":{\"namespace\":\"" NS
			"\",\"name\":\"postgres-aaaaaaaa\",\"uid\":\"d\",\"labels\":{\"pgro.bes.au/round\":\"aaaaaaaa\","
			"\"app.kubernetes.io/version\":\"15\"}},\"status\":{}}"},
		{CACHE_POD,
			"{\"metadata\":{\"namespace\":\"" NS
			"\",\"name\":\"restore-aaaaaaaa-x\",\"uid\":\"p\",\"labels\":{\"pgro.bes.au/round\":\"aaaaaaaa\","
			"\"job-name\":\"restore-aaaaaaaa\"}},\"status\":{\"podIP\":\"10.0.0.1\",\"containerStatuses\":[{\"name\":"
			"\"restore\",\"state\":{\"terminated\":{\"exitCode\":3,\"reason\":\"Error\",\"message\":\"said\"}}}]}}"},
		{CACHE_PVC, "{\"metadata\":{\"namespace\":\"" NS
			    "\",\"name\":\"pgdata-aaaaaaaa\",\"uid\":\"v\",\"labels\":{\"pgro.bes.au/round\":\"aaaaaaaa\"}},"
			    "\"spec\":{\"resources\":{\"requests\":{\"storage\":\"1Gi\"}}}}"},
	};
	for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
		AUTO(json) json_t *object = parse(objects[i].text);
		assert_ok(cache_take(cache, objects[i].kind, object, &err), err);
	}
	AUTO(look_value) struct look look = look_at(cache, NS);
	const struct job_view *job = scene_job(&look.scene, "aaaaaaaa");
	const struct deployment_view *deployment = scene_deployment(&look.scene, "aaaaaaaa");
	const struct pod_view *pod = scene_pod(&look.scene, "aaaaaaaa", true);
	assert_int_equal(look.scene.pvc_count, 1);
	assert_string_equal(look.scene.pvcs[0].of.name, "pgdata-aaaaaaaa");
	assert_int_equal(job->outcome, JOB_FAILED);
	assert_string_equal(job->reason, "DeadlineExceeded");
	assert_string_equal(job->message, "too late");
	assert_string_equal(job->of.namespace, NS);
	assert_int_equal(deployment->postgres_major, 15);
	assert_int_equal(deployment->restored_bytes, -1);
	assert_string_equal(pod->message, "said");
	assert_string_equal(pod->ip, "10.0.0.1");
	assert_int_equal(pod->exit_code, 3);
	assert_false(look.has_replica);
}

static void nothing_is_known_of_another_namespace(void **state)
{
	(void)state;
	AUTO(cache) struct cache *cache = made();
	AUTO(look_value) struct look look = look_at(cache, "other");
	assert_false(look.has_replica);
	assert_false(look.has_entry);
	assert_int_equal(look.scene.job_count, 0);
}

static void only_changes_are_told(void **state)
{
	(void)state;
	AUTO(cache) struct cache *cache = made();
	put_namespace(cache, "u-1", "1", "restoring");
	put_job(cache, "j-1", "{}");
	is_told(NS " " NS " ");
	put_job(cache, "j-1", "{\"active\":1}"); // nothing that decisions read
	is_told("");
	put_job(cache, "j-1", "{\"conditions\":[{\"type\":\"Complete\",\"status\":\"True\"}]}");
	is_told(NS " ");
}

static void a_list_drops_what_it_does_not_name(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(cache) struct cache *cache = made();
	put_namespace(cache, "u-1", "1", "active");
	put_job(cache, "j-1", "{}");
	told.text[0] = '\0';
	// Of Jobs alone: the Namespace stays.
	cache_list_begin(cache, CACHE_JOB);
	has_jobs(cache, 1); // until the list is through
	cache_list_end(cache, CACHE_JOB);
	has_jobs(cache, 0);
	has_state(cache, "active");
	is_told(NS " (list) ");

	AUTO(json) json_t *same = namespace_object(NS, "u-1", "1", "active");
	cache_list_begin(cache, CACHE_NAMESPACE);
	assert_ok(cache_list_take(cache, CACHE_NAMESPACE, same, &err), err);
	cache_list_begin(cache, CACHE_NAMESPACE); // cut short, and begun again
	assert_ok(cache_list_take(cache, CACHE_NAMESPACE, same, &err), err);
	cache_list_end(cache, CACHE_NAMESPACE);
	has_state(cache, "active");
	is_told("(list) ");

	cache_list_begin(cache, CACHE_NAMESPACE);
	cache_list_end(cache, CACHE_NAMESPACE);
	has_state(cache, NULL);
	is_told(NS " (list) ");
	assert_int_equal(records(cache), 0);
}

static void write_ours(struct cache *cache, const char *uid, const char *version, const char *state)
{
	struct error err = {0};
	AUTO(json) json_t *object = namespace_object(NS, uid, version, state);
	AUTO(replica) struct replica replica = {0};
	assert_ok(replica_from_json(object, &replica, &err), err);
	cache_saw_replica(cache, &replica);
}

static void older_news_do_not_undo_a_write_of_ours(void **state)
{
	(void)state;
	AUTO(cache) struct cache *cache = made();
	put_namespace(cache, "u-1", "98", "pending");
	write_ours(cache, "u-1", "100", "restoring");
	has_state(cache, "restoring");
	put_namespace(cache, "u-1", "99", "pending");
	has_state(cache, "restoring");
	put_namespace(cache, "u-1", "101", "failed");
	has_state(cache, "failed");
	put_namespace(cache, "u-1", "not-a-number", "active"); // opaque by contract: the newcomer counts
	has_state(cache, "active");
}

static void a_list_that_began_before_a_write_does_not_undo_it(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(cache) struct cache *cache = made();
	AUTO(json) json_t *old = namespace_object(NS, "u-1", "99", "pending");
	put_namespace(cache, "u-1", "99", "pending");
	cache_list_begin(cache, CACHE_NAMESPACE);
	write_ours(cache, "u-1", "100", "restoring");
	assert_ok(cache_list_take(cache, CACHE_NAMESPACE, old, &err), err);
	cache_list_end(cache, CACHE_NAMESPACE);
	has_state(cache, "restoring");
	// One that began after it says how things are: an API server may have been restored from a backup.
	cache_list_begin(cache, CACHE_NAMESPACE);
	assert_ok(cache_list_take(cache, CACHE_NAMESPACE, old, &err), err);
	cache_list_end(cache, CACHE_NAMESPACE);
	has_state(cache, "pending");
}

static void an_answer_of_ours_does_not_bring_back_what_is_gone(void **state)
{
	(void)state;
	AUTO(cache) struct cache *cache = made();
	AUTO(json) json_t *object = namespace_object(NS, "u-1", "1", "active");
	AUTO(json) json_t *job = job_object(NS, "restore-aaaaaaaa", "j-1", "{}");
	put_namespace(cache, "u-1", "1", "active");
	put_job(cache, "j-1", "{}");
	cache_drop(cache, CACHE_JOB, job);
	cache_saw(cache, &K8S_JOB, job);
	has_jobs(cache, 0);
	cache_drop(cache, CACHE_NAMESPACE, object);
	write_ours(cache, "u-1", "2", "active");
	has_state(cache, NULL);
	assert_int_equal(records(cache), 0);
}

#define ENDED "{\"conditions\":[{\"type\":\"Complete\",\"status\":\"True\"}]}"

static void has_outcome(struct cache *cache, const char *label, enum job_outcome outcome)
{
	AUTO(look_value) struct look look = look_at(cache, NS);
	if (look.scene.job_count != 1 || look.scene.jobs[0].outcome != outcome)
		fail_msg("%s: %zu jobs, outcome %d", label, look.scene.job_count,
			look.scene.job_count == 0 ? -1 : (int)look.scene.jobs[0].outcome);
}

// The watch may be quicker than the answer to the request that made the object, and slower than a read of ours.
static void whichever_is_newer_counts(void **state)
{
	(void)state;
	static const struct {
		const char *label;
		const char *known, *comes; // versions
		const char *uid;
		bool is_ours, is_taken;
	} rows[] = {
		{"an answer that is older", "12", "11", "j-1", true, false},
		{"an answer that is newer", "12", "103", "j-1", true, true},
		{"an event that is older", "12", "9", "j-1", false, false},
		{"an event that is newer", "12", "13", "j-1", false, true},
		{"an answer, versions that are no numbers", "b", "a", "j-1", true, false},
		{"an event, versions that are no numbers", "b", "a", "j-1", false, true},
		{"another object of that name", "b", "a", "j-2", true, true},
		{"an event, the first version that is a number", "b", "12", "j-1", false, true},
		{"an answer, the first version that is a number", "b", "12", "j-1", true, false},
		{"an event, after a version that is too large", "100000000000000000000", "12", "j-1", false, true},
		{"an event without a version", "12", "", "j-1", false, true},
		{"an event, a version that is too large", "12", "100000000000000000000", "j-1", false, true},
		{"an event, a version that nobody can keep", "12",
			"99999999999999999999999999999999999999999999999999999999999999999999999999999999", "j-1", false, true},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		AUTO(cache) struct cache *cache = made();
		AUTO(json) json_t *known = job_at(rows[i].known, "j-1", ENDED);
		AUTO(json) json_t *comes = job_at(rows[i].comes, rows[i].uid, "{}");
		assert_ok(cache_take(cache, CACHE_JOB, known, &err), err);
		if (rows[i].is_ours)
			cache_saw(cache, &K8S_JOB, comes);
		else
			assert_ok(cache_take(cache, CACHE_JOB, comes, &err), err);
		has_outcome(cache, rows[i].label, rows[i].is_taken ? JOB_RUNNING : JOB_COMPLETE);
	}
}

static void the_end_of_a_namesake_is_not_its_end(void **state)
{
	(void)state;
	AUTO(cache) struct cache *cache = made();
	AUTO(json) json_t *first = job_object(NS, "restore-aaaaaaaa", "j-1", "{}");
	put_job(cache, "j-2", "{}");
	told.text[0] = '\0';
	cache_drop(cache, CACHE_JOB, first);
	has_jobs(cache, 1);
	AUTO(json) json_t *namesake = namespace_object(NS, "u-1", "1", "active");
	put_namespace(cache, "u-2", "2", "active");
	told.text[0] = '\0';
	cache_drop(cache, CACHE_NAMESPACE, namesake);
	cache_deleted(cache, &K8S_NAMESPACE, NULL, NS, "u-1");
	has_state(cache, "active");
	is_told("");
	// One that does not say its uid is meant whichever it is.
	AUTO(json) json_t *any = parse("{\"metadata\":{\"namespace\":\"" NS "\",\"name\":\"restore-aaaaaaaa\"}}");
	cache_drop(cache, CACHE_JOB, any);
	has_jobs(cache, 0);
	is_told(NS " ");
}

// The end of what is not known, or not kept, changes nothing.
static void the_end_of_what_is_not_known_changes_nothing(void **state)
{
	(void)state;
	AUTO(cache) struct cache *cache = made();
	put_job(cache, "j-1", "{}"); // and its Namespace has not been seen
	const uint64_t revision = cache_revision(cache);
	cache_deleted(cache, &K8S_NAMESPACE, NULL, NS, "u-1");
	cache_deleted(cache, &K8S_NAMESPACE, NULL, "elsewhere", "u-1");
	cache_deleted(cache, &K8S_SECRET, NS, "restore-aaaaaaaa", "j-1");
	has_jobs(cache, 1);
	has_state(cache, NULL);
	assert_int_equal(cache_revision(cache), revision);
	assert_int_equal(records(cache), 1);
}

// More than one of them comes to lie in one bucket.
static void many_namespaces_do_not_get_in_each_others_way(void **state)
{
	enum { MANY = 400 };
	(void)state;
	struct error err = {0};
	AUTO(cache) struct cache *cache = made();
	json_t *objects[MANY];
	for (size_t i = 0; i < MANY; i++) {
		char name[32];
		(void)snprintf(name, sizeof(name), "replica-%08x", (unsigned int)i * 2654435761u); // some fall together
		objects[i] = namespace_object(name, name, "1", "active");
		assert_ok(cache_take(cache, CACHE_NAMESPACE, objects[i], &err), err);
	}
	assert_int_equal(records(cache), MANY);
	for (size_t i = 0; i < MANY; i++) {
		cache_drop(cache, CACHE_NAMESPACE, objects[i]);
		assert_int_equal(records(cache), MANY - 1 - i);
		for (size_t k = i + 1; k < MANY; k += 7) {
			AUTO(look_value) struct look look = look_at(cache, json_find_str(objects[k], "metadata", "name"));
			assert_true(look.has_replica);
		}
	}
	for (size_t i = 0; i < MANY; i++) {
		assert_ok(cache_take(cache, CACHE_NAMESPACE, objects[i], &err), err);
		json_decref(objects[i]);
	}
	cache_list_begin(cache, CACHE_NAMESPACE);
	cache_list_end(cache, CACHE_NAMESPACE);
	assert_int_equal(records(cache), 0);
}

static void one_that_does_not_watch_follows_nothing(void **state)
{
	(void)state;
	AUTO(cache) struct cache *cache = made();
	assert_false(cache_is_synced(cache));
	for (size_t kind = 0; kind < CACHE_KINDS; kind++)
		assert_false(cache_follows(cache, (enum cache_kind)kind));
}

static void what_we_deleted_is_known_at_once(void **state)
{
	(void)state;
	AUTO(cache) struct cache *cache = made();
	put_namespace(cache, "u-1", "1", "active");
	put_job(cache, "j-1", "{}");
	cache_deleted(cache, &K8S_JOB, NS, "restore-aaaaaaaa", "j-1");
	has_jobs(cache, 0);
	cache_deleted(cache, &K8S_NAMESPACE, NULL, NS, "u-1"); // takes its time to go
	has_state(cache, "terminating");
	cache_gone(cache, NS);
	has_state(cache, NULL);
}

static void what_is_wanted_comes_with_the_look_and_keeps_the_record(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(cache) struct cache *cache = made();
	struct entry entry = scene_entry(SCENE_SERVER_ID, "analytics", ",\"params\":{\"minimum_ttl\":60}");
	struct pack *pack = NULL;
	struct record **all = NULL;
	size_t count = 0;
	assert_ok(entry_pack(&entry, &pack, &err), err);
	entry_fini(&entry);

	const struct wanted wanted = {.entry = pack, .action = {.kind = ACTION_PROVISION, .reason = REASON_NEW}};
	assert_ok(cache_begin(cache, &all, &count, &err), err);
	assert_int_equal(count, 0);
	record_want(cache_record(cache, NS), &wanted);
	cache_end(cache);
	struct look look = look_at(cache, NS);
	assert_true(look.has_entry);
	assert_string_equal(look.entry.namespace, NS);
	assert_int_equal(json_integer_value(json_object_get(look.entry.params, "minimum_ttl")), 60);
	assert_int_equal(look.decided.kind, ACTION_PROVISION);
	look_fini(&look);

	const struct wanted nothing = {0};
	assert_ok(cache_begin(cache, &all, &count, &err), err);
	assert_int_equal(count, 1);
	record_want(all[0], &nothing);
	cache_end(cache);
	assert_int_equal(records(cache), 0);
	free(pack);
}

static void objects_that_lack_what_all_have_are_refused(void **state)
{
	(void)state;
	static const char *const objects[] = {"{}", "{\"metadata\":{}}", "{\"metadata\":{\"namespace\":\"b\"}}",
		"{\"metadata\":{\"name\":\"a\",\"namespace\":\"b\"}}", "[]"};
	AUTO(cache) struct cache *cache = made();
	for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
		AUTO(json) json_t *object = parse(objects[i]);
		for (size_t kind = 0; kind < CACHE_KINDS; kind++) {
			struct error err = {0};
			assert_int_equal(cache_take(cache, (enum cache_kind)kind, object, &err), -1);
			assert_int_equal(err.kind, ERROR_INVALID);
			cache_drop(cache, (enum cache_kind)kind, object);
		}
	}
	is_told("");
	assert_int_equal(records(cache), 0);
}

// --- threads

enum { TIMES = 300 };

static void *feed(void *arg)
{
	struct cache *cache = arg;
	struct error err = {0};
	AUTO(json) json_t *object = namespace_object(NS, "u-1", "1", "active");
	AUTO(json) json_t *job = job_object(NS, "restore-aaaaaaaa", "j-1", "{}");
	for (int i = 0; i < TIMES; i++) {
		cache_list_begin(cache, CACHE_JOB);
		if (cache_take(cache, CACHE_NAMESPACE, object, &err) < 0 || cache_list_take(cache, CACHE_JOB, job, &err) < 0)
			abort();
		cache_list_end(cache, CACHE_JOB);
		cache_drop(cache, CACHE_NAMESPACE, object);
	}
	return NULL;
}

static void *watch(void *arg)
{
	for (int i = 0; i < TIMES; i++) {
		struct look look;
		struct record **all = NULL;
		size_t count = 0;
		struct scene scene;
		struct error err = {0};
		if (cache_look(arg, NS, &look, &err) < 0 || cache_begin(arg, &all, &count, &err) < 0)
			abort();
		for (size_t r = 0; r < count; r++) {
			if (record_open_scene(arg, all[r], &scene, &err) < 0)
				abort();
		}
		cache_end(arg);
		look_fini(&look);
	}
	return NULL;
}

static void threads_do_not_disturb_each_other(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(cache) struct cache *cache = NULL;
	pthread_t threads[4];
	assert_ok(cache_new(&cache, &err), err);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, i < 2 ? feed : watch, cache), 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	has_jobs(cache, 1);
	has_state(cache, NULL);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(a_look_shows_the_whole_replica),
		cmocka_unit_test(a_look_shows_what_runs_there),
		cmocka_unit_test(nothing_is_known_of_another_namespace),
		cmocka_unit_test(only_changes_are_told),
		cmocka_unit_test(a_list_drops_what_it_does_not_name),
		cmocka_unit_test(older_news_do_not_undo_a_write_of_ours),
		cmocka_unit_test(a_list_that_began_before_a_write_does_not_undo_it),
		cmocka_unit_test(an_answer_of_ours_does_not_bring_back_what_is_gone),
		cmocka_unit_test(whichever_is_newer_counts),
		cmocka_unit_test(the_end_of_a_namesake_is_not_its_end),
		cmocka_unit_test(the_end_of_what_is_not_known_changes_nothing),
		cmocka_unit_test(many_namespaces_do_not_get_in_each_others_way),
		cmocka_unit_test(one_that_does_not_watch_follows_nothing),
		cmocka_unit_test(what_we_deleted_is_known_at_once),
		cmocka_unit_test(what_is_wanted_comes_with_the_look_and_keeps_the_record),
		cmocka_unit_test(objects_that_lack_what_all_have_are_refused),
		cmocka_unit_test(threads_do_not_disturb_each_other),
	};
	return cmocka_run_group_tests_name("reconciler/cache", cases, NULL, NULL);
}
