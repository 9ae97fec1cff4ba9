#include "canopy/intents.h"
#include "tests/canopy/contract.h"
#include "tests/support/cmocka.h"
#include <string.h>

static const char *no_environment(const char *name)
{
	(void)name;
	return NULL;
}

static struct settings *defaults(void)
{
	struct error err = {0};
	struct settings *settings = NULL;
	assert_ok(settings_load(no_environment, &settings, &err), err);
	return settings;
}

static void set(char **at, const char *text)
{
	free(*at);
	*at = strdup(text);
}

static const json_t *find_intent(const json_t *capabilities, const char *name)
{
	size_t i;
	json_t *intent;
	json_array_foreach (json_object_get(capabilities, "intents"), i, intent) {
		if (strcmp(json_find_str(intent, "intent"), name) == 0)
			return intent;
	}
	fail_msg("%s is not advertised", name);
	return NULL;
}

static void semantics_are_those_of_the_design(void **state)
{
	(void)state;
	const struct {
		const char *intent, *semantics;
		bool is_once;
	} rows[] = {
		{"verify", "[\"check\",\"once\"]", true},
		{"analytics", "[\"check\",\"url\"]", false},
		{"disaster-recovery", "[\"check\"]", false},
	};
	struct error err = {0};
	char why[128];
	AUTO(settings) struct settings *settings = defaults();
	AUTO(json) json_t *capabilities = NULL;
	assert_ok(intents_capabilities(settings, &capabilities, &err), err);
	if (!contract_holds("RestoreCapabilitiesArgs", capabilities, why, sizeof(why)))
		fail_msg("%s", why);
	assert_int_equal(json_array_size(json_object_get(capabilities, "intents")), 3);
	for (size_t i = 0; i < 3; i++) {
		AUTO_FREE char *semantics = NULL;
		const json_t *intent = find_intent(capabilities, rows[i].intent);
		if (!contract_holds("IntentDescriptor", intent, why, sizeof(why)))
			fail_msg("%s", why);
		assert_ok(json_print(json_object_get(intent, "semantics"), &semantics, &err), err);
		assert_string_equal(semantics, rows[i].semantics);
		int known = intents_find(rows[i].intent);
		assert_true(known >= 0);
		assert_true(intents_is_once((enum settings_intent)known) == rows[i].is_once);
	}
	assert_int_equal(intents_find("Verify"), -1);
	assert_int_equal(intents_find(""), -1);
	assert_int_equal(intents_find(NULL), -1);
}

static void parameters_are_advertised_with_type_and_default(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(settings) struct settings *settings = defaults();
	AUTO(json) json_t *capabilities = NULL;
	AUTO_FREE char *params = NULL;
	set(&settings->intents[INTENT_ANALYTICS].memory_request, "1.5Gi");
	set(&settings->intents[INTENT_ANALYTICS].cpu_limit, "500m");
	assert_ok(intents_capabilities(settings, &capabilities, &err), err);
	assert_ok(json_print(json_object_get(find_intent(capabilities, "analytics"), "params"), &params, &err), err);
	assert_string_equal(params, "{\"allow_reset_wal\":{\"default\":false,\"type\":\"boolean\"},"
				    "\"cpu_limit\":{\"default\":\"500m\",\"type\":\"text\"},"
				    "\"cpu_request\":{\"type\":\"text\"},"
				    "\"deployment_ready_timeout\":{\"default\":1800,\"type\":\"duration\"},"
				    "\"depth\":{\"default\":\"quick\",\"type\":\"text\"},"
				    "\"flavour\":{\"type\":\"text\"},"
				    "\"memory_limit\":{\"type\":\"bytes\"},"
				    "\"memory_request\":{\"default\":1610612736,\"type\":\"bytes\"},"
				    "\"minimum_ttl\":{\"default\":0,\"type\":\"duration\"},"
				    "\"storage_size_maximum\":{\"default\":2199023255552,\"type\":\"bytes\"},"
				    "\"switchover_grace\":{\"default\":120,\"type\":\"duration\"}}");
	assert_null(json_find(find_intent(capabilities, "verify"), "params", "allow_reset_wal"));
	assert_non_null(json_find(find_intent(capabilities, "disaster-recovery"), "params", "allow_reset_wal"));
}

static int resolve(const struct settings *settings, const char *intent, const char *params, struct entry *entry,
	struct settings_for_intent *out, struct error *err)
{
	AUTO(json) json_t *parsed = NULL;
	assert_ok(json_parse(params, strlen(params), &parsed, err), *err);
	AUTO(json)
	json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:O}", "replica_id",
		"6f1c1f6e-0c0e-4b7a-9a55-0d6a4a1f2b01", "group_id", "0d5be8b8-6a3c-4c0e-8a55-1f6b7d2c9e10", "server_id",
		"b0a7c0de-1111-4222-8333-444455556666", "type", "postgres", "intent", intent, "name", "n", "storage", "s3",
		"bucket", "b", "prefix", "p", "region", "r", "params", parsed);
	assert_ok(entry_from_json(object, entry, err), *err);
	return intents_resolve(settings, entry, out, err);
}

static void params_lie_over_the_settings(void **state)
{
	(void)state;
	struct error err = {0};
	struct entry entry;
	struct settings_for_intent got;
	AUTO(settings) struct settings *settings = defaults();
	set(&settings->intents[INTENT_VERIFY].cpu_request, "250m");

	assert_ok(resolve(settings, "verify", "{\"unknown\": [], \"cpu_limit\": null}", &entry, &got, &err), err);
	assert_memory_equal(&got, &settings->intents[INTENT_VERIFY], sizeof(got));
	entry_fini(&entry);

	assert_ok(resolve(settings, "verify",
			  "{\"minimum_ttl\": 60, \"switchover_grace\": \"5m\", \"storage_size_maximum\": 10737418240, "
			  "\"memory_request\": 1048576, \"memory_limit\": \"2Gi\", \"cpu_limit\": \"1.5\", "
			  "\"deployment_ready_timeout\": 90, \"depth\": \"quick\"}",
			  &entry, &got, &err),
		err);
	assert_int_equal(got.minimum_ttl_ms, 60000);
	assert_int_equal(got.switchover_grace_ms, 300000);
	assert_int_equal(got.storage_size_maximum_bytes, INT64_C(10) << 30);
	assert_int_equal(got.storage_size_bytes, INT64_C(10) << 30); // never begins above its maximum
	assert_string_equal(got.memory_request, "1048576");
	assert_string_equal(got.memory_limit, "2Gi");
	assert_string_equal(got.cpu_request, "250m");
	assert_string_equal(got.cpu_limit, "1.5");
	assert_int_equal(got.ready_timeout_ms, 90000);
	assert_int_equal(settings->intents[INTENT_VERIFY].depth, DEPTH_DEEP);
	assert_int_equal(got.depth, DEPTH_QUICK);
	entry_fini(&entry);

	assert_ok(resolve(settings, "analytics", "{\"depth\": \"deep\"}", &entry, &got, &err), err);
	assert_int_equal(settings->intents[INTENT_ANALYTICS].depth, DEPTH_QUICK);
	assert_int_equal(got.depth, DEPTH_DEEP);
	assert_false(got.allow_reset_wal);
	entry_fini(&entry);

	assert_ok(resolve(settings, "analytics", "{\"allow_reset_wal\": true}", &entry, &got, &err), err);
	assert_true(got.allow_reset_wal);
	entry_fini(&entry);
}

static void the_flavour_of_an_entry_is_said_once(void **state)
{
	(void)state;
	struct error err = {0};
	struct entry entry;
	struct settings_for_intent got;
	char of_the_file[] = "pg_durable", acme[] = "acme";
	AUTO(settings) struct settings *settings = defaults();
	assert_ok(resolve(settings, "verify", "{}", &entry, &got, &err), err);
	assert_null(got.flavour);
	entry_fini(&entry);
	assert_ok(resolve(settings, "verify", "{\"flavour\": \"acme\"}", &entry, &got, &err), err);
	assert_string_equal(got.flavour, "acme");
	entry.flavour = of_the_file;
	assert_error(intents_resolve(settings, &entry, &got, &err), err, ERROR_INVALID,
		"params.flavour is \"acme\" and field \"flavour\" is \"pg_durable\": they have to agree");
	entry.flavour = acme;
	assert_ok(intents_resolve(settings, &entry, &got, &err), err);
	assert_string_equal(got.flavour, "acme");
	entry.flavour = NULL;
	entry_fini(&entry);
	assert_ok(resolve(settings, "verify", "{}", &entry, &got, &err), err);
	entry.flavour = of_the_file;
	assert_ok(intents_resolve(settings, &entry, &got, &err), err);
	assert_string_equal(got.flavour, "pg_durable");
	entry.flavour = NULL;
	entry_fini(&entry);
}

static void passwords_of_the_source_need_a_login_of_it(void **state)
{
	(void)state;
	struct error err = {0};
	struct entry entry;
	struct settings_for_intent got;
	char source[] = "source", generated[] = "generated", secret[] = "login";
	AUTO(settings) struct settings *settings = defaults();
	assert_ok(resolve(settings, "analytics", "{}", &entry, &got, &err), err);
	assert_int_equal(got.passwords, PASSWORDS_GENERATED);
	entry.passwords = source;
	assert_error(intents_resolve(settings, &entry, &got, &err), err, ERROR_INVALID,
		"passwords is source and the entry names no sourceSecret: the connection test has no login of the source");
	entry.source_secret = secret;
	assert_ok(intents_resolve(settings, &entry, &got, &err), err);
	assert_int_equal(got.passwords, PASSWORDS_SOURCE);
	settings->intents[INTENT_ANALYTICS].passwords = PASSWORDS_SOURCE;
	entry.passwords = NULL;
	assert_ok(intents_resolve(settings, &entry, &got, &err), err);
	assert_int_equal(got.passwords, PASSWORDS_SOURCE);
	entry.passwords = generated;
	assert_ok(intents_resolve(settings, &entry, &got, &err), err);
	assert_int_equal(got.passwords, PASSWORDS_GENERATED);
	entry.passwords = entry.source_secret = NULL;
	entry_fini(&entry);
}

static void a_verdict_is_never_one_on_a_reset_log(void **state)
{
	(void)state;
	struct error err = {0};
	struct entry entry;
	struct settings_for_intent got;
	AUTO(settings) struct settings *settings = defaults();
	assert_error(resolve(settings, "verify", "{\"allow_reset_wal\": true}", &entry, &got, &err), err, ERROR_INVALID,
		"params.allow_reset_wal is true, allowed is false for intent verify");
	entry_fini(&entry);
	assert_ok(resolve(settings, "verify", "{\"allow_reset_wal\": false}", &entry, &got, &err), err);
	entry_fini(&entry);
}

static void a_bad_param_is_refused_with_name_value_and_what_is_allowed(void **state)
{
	(void)state;
	const struct {
		const char *params, *error;
	} rows[] = {
		{"{\"minimum_ttl\": -1}", "params.minimum_ttl is -1, allowed is a number of whole seconds"},
		{"{\"minimum_ttl\": 1.5}", "params.minimum_ttl is 1.5, allowed is"},
		{"{\"minimum_ttl\": 9223372036854775807}", "params.minimum_ttl is 9223372036854775807, allowed is"},
		{"{\"minimum_ttl\": \"366d\"}", "params.minimum_ttl is \"366d\", allowed is"},
		{"{\"storage_size_maximum\": \"2Pi\"}", "params.storage_size_maximum is \"2Pi\", allowed is from 1Mi to 1Pi"},
		{"{\"cpu_limit\": \"much\"}", "params.cpu_limit is \"much\", allowed is"},
		{"{\"switchover_grace\": \"soon\"}", "params.switchover_grace is \"soon\", allowed is"},
		{"{\"switchover_grace\": true}", "params.switchover_grace is true, allowed is"},
		{"{\"deployment_ready_timeout\": 0}", "params.deployment_ready_timeout is 0, allowed is at least 1 second"},
		{"{\"storage_size_maximum\": 1024}", "params.storage_size_maximum is 1024, allowed is from 1Mi to 1Pi"},
		{"{\"storage_size_maximum\": \"much\"}", "params.storage_size_maximum is \"much\", allowed is"},
		{"{\"memory_limit\": 0}", "params.memory_limit is 0, allowed is a number of bytes"},
		{"{\"memory_limit\": {}}", "params.memory_limit is {}, allowed is"},
		{"{\"depth\": \"Deep\"}", "params.depth is \"Deep\", allowed is quick or deep"},
		{"{\"flavour\": \"a b\"}", "params.flavour is \"a b\", allowed is a name of letters, digits"},
		{"{\"flavour\": 1}", "params.flavour is 1, allowed is a name"},
		{"{\"depth\": 1}", "params.depth is 1, allowed is quick or deep"},
		{"{\"allow_reset_wal\": \"true\"}", "params.allow_reset_wal is \"true\", allowed is true or false"},
		{"{\"allow_reset_wal\": 1}", "params.allow_reset_wal is 1, allowed is true or false"},
		{"{\"cpu_limit\": 2}", "params.cpu_limit is 2, allowed is a text with a number of CPUs"},
		{"{\"cpu_limit\": \"0\"}", "params.cpu_limit is \"0\", allowed is"},
		{"{\"cpu_request\": \"2\", \"cpu_limit\": \"1500m\"}", "the CPU request 2 is more than the CPU limit 1500m"},
		{"{\"memory_request\": 2048, \"memory_limit\": 1024}",
			"the memory request 2048 is more than the memory limit 1024"},
	};
	AUTO(settings) struct settings *settings = defaults();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		struct entry entry;
		struct settings_for_intent got = {.minimum_ttl_ms = 42};
		int rc = resolve(settings, "analytics", rows[i].params, &entry, &got, &err);
		entry_fini(&entry);
		if (rc == 0 || err.kind != ERROR_INVALID || strncmp(err.text, rows[i].error, strlen(rows[i].error)) != 0)
			fail_msg("%s: %s", rows[i].params, rc == 0 ? "taken" : err.text);
		assert_int_equal(got.minimum_ttl_ms, 42);
	}
}

static void an_intent_that_is_not_ours_has_no_settings(void **state)
{
	(void)state;
	struct error err = {0};
	struct entry entry;
	struct settings_for_intent got;
	AUTO(settings) struct settings *settings = defaults();
	assert_error(resolve(settings, "archive", "{}", &entry, &got, &err), err, ERROR_INVALID,
		"intent \"archive\" is not advertised");
	entry_fini(&entry);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(semantics_are_those_of_the_design),
		cmocka_unit_test(parameters_are_advertised_with_type_and_default),
		cmocka_unit_test(params_lie_over_the_settings),
		cmocka_unit_test(the_flavour_of_an_entry_is_said_once),
		cmocka_unit_test(passwords_of_the_source_need_a_login_of_it),
		cmocka_unit_test(a_verdict_is_never_one_on_a_reset_log),
		cmocka_unit_test(a_bad_param_is_refused_with_name_value_and_what_is_allowed),
		cmocka_unit_test(an_intent_that_is_not_ours_has_no_settings),
	};
	return cmocka_run_group_tests_name("canopy/intents", cases, NULL, NULL);
}
