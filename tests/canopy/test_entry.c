#include "canopy/entry.h"
#include "tests/canopy/contract.h"
#include "tests/support/cmocka.h"
#include <string.h>

static const char good[] =
	"{\"replica_id\": \"6F1C1F6E-0c0e-4b7a-9a55-0d6a4a1f2b01\", \"group_id\": "
	"\"0d5be8b8-6a3c-4c0e-8a55-1f6b7d2c9e10\", \"server_id\": \"b0a7c0de-1111-4222-8333-444455556666\", "
	"\"type\": \"postgres\", \"intent\": \"verify\", \"name\": \"Nauru prod analytics\", \"params\": {}, "
	"\"storage\": \"s3\", \"bucket\": \"backups\", \"prefix\": \"a/b\", \"region\": \"ap-southeast-2\", "
	"\"snapshot_id\": \"k1\", \"snapshot_at\": \"2026-11-20T01:02:03Z\", \"overdue_after_seconds\": 86400}";

static json_t *parse(const char *text)
{
	struct error err = {0};
	json_t *value = NULL;
	assert_ok(json_parse(text, strlen(text), &value, &err), err);
	return value;
}

// The good entry with the members of patch laid over it; what is "-" in it is taken out.
static json_t *patched(const char *patch)
{
	json_t *entry = parse(good);
	AUTO(json) json_t *changes = parse(patch);
	const char *key;
	json_t *value;
	json_object_foreach (changes, key, value) {
		if (json_is_string(value) && strcmp(json_string_value(value), "-") == 0)
			json_object_del(entry, key);
		else
			json_object_set(entry, key, value);
	}
	return entry;
}

static void reads_what_the_contract_says(void **state)
{
	(void)state;
	struct error err = {0};
	struct entry e;
	AUTO(json) json_t *object = parse(good);
	assert_ok(entry_from_json(object, &e, &err), err);
	assert_string_equal(e.replica_id, "6f1c1f6e-0c0e-4b7a-9a55-0d6a4a1f2b01"); // canonical, whatever was written
	assert_string_equal(e.group_id, "0d5be8b8-6a3c-4c0e-8a55-1f6b7d2c9e10");
	assert_string_equal(e.server_id, "b0a7c0de-1111-4222-8333-444455556666");
	assert_true(e.has_server_id);
	assert_string_equal(e.type, "postgres");
	assert_string_equal(e.intent, "verify");
	assert_int_equal(e.known_intent, INTENT_VERIFY);
	assert_string_equal(e.name, "Nauru prod analytics");
	assert_string_equal(e.storage, "s3");
	assert_string_equal(e.bucket, "backups");
	assert_string_equal(e.prefix, "a/b");
	assert_string_equal(e.region, "ap-southeast-2");
	assert_string_equal(e.snapshot_id, "k1");
	assert_string_equal(e.snapshot_at, "2026-11-20T01:02:03Z");
	assert_int_equal(e.overdue_after_s, 86400);
	assert_int_equal(json_object_size(e.params), 0);
	assert_string_equal(e.namespace, "nauru-prod-analytics-21779af8");
	assert_null(e.engine);
	assert_null(e.secret);
	entry_fini(&e);
}

static void every_required_member_is_missed_by_name(void **state)
{
	(void)state;
	const struct contract_member *members = contract_schemas[0].members;
	assert_string_equal(contract_schemas[0].name, "WorklistEntry");
	for (const struct contract_member *m = members; m->name != NULL; m++) {
		struct error err = {0};
		struct entry e;
		char wanted[64];
		AUTO(json) json_t *object = parse(good);
		json_object_del(object, m->name);
		int rc = entry_from_json(object, &e, &err);
		(void)snprintf(wanted, sizeof(wanted), "field \"%s\" is missing", m->name);
		if (m->required && (rc == 0 || err.kind != ERROR_INVALID || strcmp(err.text, wanted) != 0))
			fail_msg("%s: %s", m->name, rc == 0 ? "not missed" : err.text);
		if (!m->required && rc != 0)
			fail_msg("%s: %s", m->name, err.text);
		if (rc == 0)
			entry_fini(&e);
	}
}

// A member of another type is an error that names it, never something else.
static void every_member_of_a_wrong_type_is_named(void **state)
{
	(void)state;
	for (const struct contract_member *m = contract_schemas[0].members; m->name != NULL; m++) {
		json_t *const wrong[] = {
			json_integer(-7), json_real(1.5), json_true(), json_array(), json_string("x\ny"), json_null()};
		for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
			struct error err = {0};
			struct entry e;
			bool may_be = (m->nullable && json_is_null(wrong[i])) ||
				      (json_is_string(wrong[i]) && strcmp(m->name, "name") == 0);
			AUTO(json) json_t *object = parse(good);
			json_object_set_new(object, m->name, wrong[i]);
			int rc = entry_from_json(object, &e, &err);
			if (rc == 0)
				entry_fini(&e);
			if ((rc == 0) != may_be || (rc != 0 && strstr(err.text, m->name) == NULL))
				fail_msg("%s, wrong value %zu: %s", m->name, i, rc == 0 ? "taken" : err.text);
		}
	}
}

static void other_shapes(void **state)
{
	(void)state;
	const struct {
		const char *label, *patch, *error; // error NULL: it is read
		bool has_server_id;
		int64_t overdue_s;
	} rows[] = {
		{"unknown members are ignored", "{\"later\": {\"a\": [1]}}", NULL, true, 86400},
		{"machine_id alone", "{\"server_id\": \"-\", \"machine_id\": \"b0a7c0de-1111-4222-8333-444455556666\"}", NULL,
			false, 86400},
		{"machine_id beside a null", "{\"server_id\": null, \"machine_id\": \"b0a7c0de-1111-4222-8333-444455556666\"}",
			NULL, false, 86400},
		{"both, equal in another case", "{\"machine_id\": \"B0A7C0DE-1111-4222-8333-444455556666\"}", NULL, true, 86400},
		{"both, different", "{\"machine_id\": \"b0a7c0de-1111-4222-8333-444455556667\"}",
			"fields \"server_id\" b0a7c0de-1111-4222-8333-444455556666 and \"machine_id\" "
			"b0a7c0de-1111-4222-8333-444455556667 differ",
			false, 0},
		{"neither", "{\"server_id\": \"-\"}", "field \"server_id\" is missing", false, 0},
		{"bad machine_id", "{\"machine_id\": \"x\"}", "field \"machine_id\": \"x\" is not a UUID", false, 0},
		{"the older name", "{\"overdue_after_seconds\": \"-\", \"freshness_seconds\": 3600}", NULL, true, 3600},
		{"both names, equal", "{\"freshness_seconds\": 86400}", NULL, true, 86400},
		{"both names, one null", "{\"overdue_after_seconds\": null, \"freshness_seconds\": 3600}", NULL, true, 3600},
		{"both names, different", "{\"freshness_seconds\": 3600}",
			"fields \"overdue_after_seconds\" 86400 and \"freshness_seconds\" 3600 differ", false, 0},
		{"no bound", "{\"overdue_after_seconds\": null}", NULL, true, -1},
		{"a bound that would refresh in every pass", "{\"overdue_after_seconds\": 0}",
			"field \"overdue_after_seconds\" is not a whole number of seconds of at least 1, or null", false, 0},
		{"bad UUID", "{\"replica_id\": \"6f1c1f6e\"}", "field \"replica_id\": \"6f1c1f6e\" is not a UUID", false, 0},
		{"braces around a UUID", "{\"group_id\": \"{0d5be8b8-6a3c-4c0e-8a55-1f6b7d2c9e1}\"}", "field \"group_id\"", false,
			0},
		{"empty snapshot", "{\"snapshot_id\": \"\"}", "field \"snapshot_id\" is empty", false, 0},
		{"a line break that would end a variable", "{\"prefix\": \"a\\nB=c\"}", "field \"prefix\" has control characters",
			false, 0},
		{"a delete character", "{\"bucket\": \"a\\u007f\"}", "field \"bucket\" has control characters", false, 0},
		{"empty bucket", "{\"bucket\": \"\"}", "field \"bucket\" is empty", false, 0},
		{"empty prefix and region", "{\"prefix\": \"\", \"region\": \"\"}", NULL, true, 86400},
		{"a name of anything", "{\"name\": \"a\\u0001\\n\\\"\"}", NULL, true, 86400},
		{"bad time", "{\"snapshot_at\": \"yesterday\"}", "field \"snapshot_at\": \"yesterday\" is not an RFC 3339 time",
			false, 0},
		{"null params", "{\"params\": null}", "field \"params\" is not an object", false, 0},
		{"engine and secret", "{\"engine\": \"restic\", \"secret\": \"s3-keys\"}", NULL, true, 86400},
		{"a flavour", "{\"flavour\": \"acme\"}", NULL, true, 86400},
		{"a flavour that is no name", "{\"flavour\": \"a b\"}",
			"field \"flavour\" is \"a b\", allowed is a name of letters", false, 0},
		{"passwords of the source", "{\"passwords\": \"source\"}", NULL, true, 86400},
		{"passwords of nobody", "{\"passwords\": \"kept\"}",
			"field \"passwords\" is \"kept\", allowed is generated or source", false, 0},
		{"a machine_id that is a number", "{\"machine_id\": 7}", "field \"machine_id\" is not a string", false, 0},
		{"an older bound that would refresh in every pass", "{\"overdue_after_seconds\": null, \"freshness_seconds\": 0}",
			"field \"freshness_seconds\" is not a whole number", false, 0},
		{"unknown engine", "{\"engine\": \"tar\"}", "field \"engine\" is \"tar\", allowed is kopia, restic", false, 0},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		struct entry e;
		AUTO(json) json_t *object = patched(rows[i].patch);
		int rc = entry_from_json(object, &e, &err);
		if (rows[i].error != NULL) {
			if (rc == 0 || err.kind != ERROR_INVALID || strncmp(err.text, rows[i].error, strlen(rows[i].error)) != 0)
				fail_msg("%s: %s", rows[i].label, rc == 0 ? "taken" : err.text);
			continue;
		}
		if (rc != 0)
			fail_msg("%s: %s", rows[i].label, err.text);
		if (e.has_server_id != rows[i].has_server_id || e.overdue_after_s != rows[i].overdue_s ||
			strcmp(e.server_id, "b0a7c0de-1111-4222-8333-444455556666") != 0)
			fail_msg("%s: read differently", rows[i].label);
		entry_fini(&e);
	}
}

static void a_snapshot_that_is_null_or_absent_is_none(void **state)
{
	(void)state;
	const char *const patches[] = {
		"{\"snapshot_id\": null, \"snapshot_at\": null}", "{\"snapshot_id\": \"-\", \"snapshot_at\": \"-\"}"};
	for (size_t i = 0; i < 2; i++) {
		struct error err = {0};
		struct entry e;
		AUTO(json) json_t *object = patched(patches[i]);
		assert_ok(entry_from_json(object, &e, &err), err);
		assert_null(e.snapshot_id);
		assert_null(e.snapshot_at);
		entry_fini(&e);
	}
}

static void an_unknown_intent_is_read_and_marked(void **state)
{
	(void)state;
	struct error err = {0};
	struct entry e;
	AUTO(json) json_t *object = patched("{\"intent\": \"Verify\"}");
	assert_ok(entry_from_json(object, &e, &err), err);
	assert_int_equal(e.known_intent, -1);
	assert_string_equal(e.intent, "Verify");
	entry_fini(&e);
}

static void what_is_no_object_is_refused_and_leaves_out_untouched(void **state)
{
	(void)state;
	const char *const texts[] = {"null", "7", "\"x\"", "[]", "true", "{}"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct error err = {0};
		struct entry e = {.overdue_after_s = 42};
		AUTO(json) json_t *value = parse(texts[i]);
		assert_int_equal(entry_from_json(value, &e, &err), -1);
		assert_int_equal(err.kind, ERROR_INVALID);
		assert_int_equal(e.overdue_after_s, 42);
	}
}

static void namespaces_are_named_by_the_vectors(void **state)
{
	(void)state;
	for (const struct contract_namespace *n = contract_namespaces; n->name != NULL; n++) {
		struct error err = {0};
		char got[ENTRY_NAMESPACE_SIZE];
		assert_ok(entry_namespace(n->name, n->replica_id, n->server_id, got, &err), err);
		assert_string_equal(got, n->namespace);
	}
}

static void every_name_gives_a_dns_label(void **state)
{
	(void)state;
	char name[200];
	for (unsigned int seed = 0; seed < 2000; seed++) {
		struct error err = {0};
		char got[ENTRY_NAMESPACE_SIZE];
		unsigned int x = seed * 2654435761u + 1;
		size_t len = x % 120;
		for (size_t i = 0; i < len; i++) {
			x = x * 1664525u + 1013904223u;
			name[i] = "aZ9-_. /\xc3\xa9"[x >> 24 & 7];
		}
		name[len] = '\0';
		assert_ok(entry_namespace(name, contract_namespaces[0].replica_id, contract_namespaces[0].server_id, got, &err),
			err);
		size_t got_len = strlen(got);
		assert_true(got_len >= 10 && got_len <= 59);
		assert_int_equal(strspn(got, "abcdefghijklmnopqrstuvwxyz0123456789-"), got_len);
		assert_true(got[0] != '-' && strstr(got, "--") == NULL);
		assert_string_equal(got + got_len - 8, "21779af8");
	}
}

static void databases_are_mapped_by_name(void **state)
{
	(void)state;
	static const char refused[] = "allowed are names of 1 to 63 bytes without control characters";
	const struct {
		const char *label, *patch, *expected, *error; // error NULL: it is read
	} rows[] = {
		{"none", "{}", NULL, NULL},
		{"null", "{\"databases\": null}", NULL, NULL},
		{"any legal name", "{\"databases\": {\"a-b\\\"c\": \"it's $(x)\", \"d\": \"a-b\\\"c\"}}",
			"a-b\"c\tit's $(x)\nd\ta-b\"c\n", NULL},
		{"a list", "{\"databases\": [\"a\"]}", NULL, "field \"databases\" is not an object"},
		{"a number", "{\"databases\": {\"a\": 1}}", NULL, refused},
		{"an empty name", "{\"databases\": {\"a\": \"\"}}", NULL, refused},
		{"a tab", "{\"databases\": {\"a\\tb\": \"c\"}}", NULL, refused},
		{"64 bytes", "{\"databases\": {\"a\": \"0123456789012345678901234567890123456789012345678901234567890123\"}}",
			NULL, refused},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		struct entry e;
		AUTO(json) json_t *object = patched(rows[i].patch);
		int rc = entry_from_json(object, &e, &err);
		if ((rc == 0) != (rows[i].error == NULL) || (rc != 0 && strstr(err.text, rows[i].error) == NULL))
			fail_msg("%s: %s", rows[i].label, rc == 0 ? "taken" : err.text);
		if (rc != 0)
			continue;
		if (rows[i].expected == NULL)
			assert_null(e.databases);
		else
			assert_string_equal(e.databases, rows[i].expected);
		entry_fini(&e);
	}
}

// The script that reads them has so much room; where the text ends in it makes no difference.
static void more_databases_than_have_room_are_an_error(void **state)
{
	(void)state;
	for (int width = 50; width < 60; width++) {
		struct error err = {0};
		struct entry e;
		AUTO(json) json_t *object = parse(good);
		json_t *names = json_object();
		for (int i = 0; i < 1000; i++) {
			char from[64], to[64];
			(void)snprintf(from, sizeof(from), "%0*d", width, i);
			(void)snprintf(to, sizeof(to), "%0*d", width - 20 + width % 7, i);
			json_object_set_new(names, from, json_string(to));
		}
		json_object_set_new(object, "databases", names);
		assert_int_equal(entry_from_json(object, &e, &err), -1);
		assert_string_not_equal(err.text, "");
	}
}

static void same_replica_is_both_ids(void **state)
{
	(void)state;
	struct entry a = {.replica_id = "r", .server_id = "s"};
	struct entry b = {.replica_id = "r", .server_id = "s"};
	assert_true(entry_same(&a, &b));
	b.server_id[0] = 't';
	assert_false(entry_same(&a, &b));
	b = a;
	b.replica_id[0] = 'q';
	assert_false(entry_same(&a, &b));
}

static void the_fingerprint_follows_the_declaration_and_not_the_snapshot(void **state)
{
	(void)state;
	const struct {
		const char *patch;
		bool same;
	} rows[] = {
		{"{}", true},
		{"{\"snapshot_id\": \"k2\"}", true},
		{"{\"snapshot_at\": null}", true},
		{"{\"later\": 1}", true},
		{"{\"type\": \"other\"}", false},
		{"{\"group_id\": \"0d5be8b8-6a3c-4c0e-8a55-1f6b7d2c9e11\"}", false},
		{"{\"params\": {\"minimum_ttl\": 1}}", false},
		{"{\"bucket\": \"other\"}", false},
		{"{\"secret\": \"other\"}", false},
		{"{\"databases\": {\"a\": \"b\"}}", false},
		{"{\"flavour\": \"acme\"}", false},
		{"{\"passwords\": \"generated\"}", false},
		{"{\"sourceSecret\": \"login\"}", false},
		{"{\"overdue_after_seconds\": 1}", false},
	};
	char first[9] = "";
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		struct entry e;
		char got[9];
		AUTO(json) json_t *object = patched(rows[i].patch);
		assert_ok(entry_from_json(object, &e, &err), err);
		assert_ok(entry_fingerprint(&e, got, &err), err);
		entry_fini(&e);
		assert_int_equal(strspn(got, "0123456789abcdef"), 8);
		if (i == 0)
			memcpy(first, got, sizeof(first));
		if ((strcmp(first, got) == 0) != rows[i].same)
			fail_msg("%s: %s and %s", rows[i].patch, first, got);
	}
}

static void a_packed_entry_says_the_same(void **state)
{
	(void)state;
	static const char *const patches[] = {"{}", "{\"snapshot_id\": \"k2\", \"snapshot_at\": null}",
		"{\"params\": {\"minimum_ttl\": 1, \"memory_limit\": 1073741824, \"deep\": [1, {\"a\": null}]}}",
		"{\"overdue_after_seconds\": 1}",
		"{\"secret\": \"s\", \"engine\": \"restic\", \"flavour\": \"pg_durable\", \"intent\": \"dbt\"}",
		"{\"secret\": \"s\", \"passwords\": \"source\", \"sourceSecret\": \"l\"}",
		"{\"databases\": {\"a\": \"b\", \"c\": \"d\"}}",
		"{\"machine_id\": \"b0a7c0de-1111-4222-8333-444455556666\", \"server_id\": \"-\"}"};
	for (size_t i = 0; i < sizeof(patches) / sizeof(patches[0]); i++) {
		struct error err = {0};
		struct entry e, opened;
		struct pack *pack = NULL;
		char before[9], after[9];
		AUTO(json) json_t *object = patched(patches[i]);
		assert_ok(entry_from_json(object, &e, &err), err);
		assert_ok(entry_pack(&e, &pack, &err), err);
		assert_ok(entry_open(pack, &opened, &err), err);
		assert_ok(entry_fingerprint(&e, before, &err), err);
		assert_ok(entry_fingerprint(&opened, after, &err), err);
		if (strcmp(before, after) != 0)
			fail_msg("%s: %s became %s", patches[i], before, after);
		assert_int_equal(e.known_intent, opened.known_intent);
		assert_int_equal(e.has_server_id, opened.has_server_id);
		assert_string_equal(e.memory_limit, opened.memory_limit);
		assert_string_equal(e.memory_request, opened.memory_request);
		assert_int_equal(e.snapshot_id == NULL, opened.snapshot_id == NULL);
		if (e.snapshot_id != NULL)
			assert_string_equal(e.snapshot_id, opened.snapshot_id);
		assert_int_equal(e.snapshot_at == NULL, opened.snapshot_at == NULL);
		entry_close(&opened);
		entry_fini(&e);
		free(pack);
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(reads_what_the_contract_says),
		cmocka_unit_test(every_required_member_is_missed_by_name),
		cmocka_unit_test(every_member_of_a_wrong_type_is_named),
		cmocka_unit_test(other_shapes),
		cmocka_unit_test(a_snapshot_that_is_null_or_absent_is_none),
		cmocka_unit_test(an_unknown_intent_is_read_and_marked),
		cmocka_unit_test(what_is_no_object_is_refused_and_leaves_out_untouched),
		cmocka_unit_test(namespaces_are_named_by_the_vectors),
		cmocka_unit_test(every_name_gives_a_dns_label),
		cmocka_unit_test(databases_are_mapped_by_name),
		cmocka_unit_test(more_databases_than_have_room_are_an_error),
		cmocka_unit_test(same_replica_is_both_ids),
		cmocka_unit_test(a_packed_entry_says_the_same),
		cmocka_unit_test(the_fingerprint_follows_the_declaration_and_not_the_snapshot),
	};
	return cmocka_run_group_tests_name("canopy/entry", cases, NULL, NULL);
}
