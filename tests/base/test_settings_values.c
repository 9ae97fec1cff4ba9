// The limits of single values: of each kind of setting the first that is taken and the last that is not.
#include "base/settings.h"
#include "base/settings_table.h"
#include "tests/support/cmocka.h"
#include "tests/support/scratch.h"
#include <stdio.h>
#include <string.h>

#define SIXTY_THREE "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggg"

static const char *environment[2]; // name and value
static const char *config_path;

static const char *from_environment(const char *name)
{
	if (strcmp(name, "UNDERSTORY_CONFIG") == 0)
		return config_path;
	return environment[0] != NULL && strcmp(name, environment[0]) == 0 ? environment[1] : NULL;
}

// A value is a whole file when it has no variable.
static int load(const char *variable, const char *value, struct error *err)
{
	AUTO(settings) struct settings *settings = NULL;
	environment[0] = variable;
	environment[1] = value;
	config_path = variable != NULL ? "" : scratch_write("config.yaml", value, strlen(value)); // an empty variable is none
	*err = (struct error){0};
	return settings_load(from_environment, &settings, err);
}

struct row {
	const char *variable, *value;
	const char *part; // of the error; NULL: it is taken
};

static void check_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct error err;
		int rc = load(rows[i].variable, rows[i].value, &err);
		bool good = rows[i].part == NULL ? rc == 0
						 : rc < 0 && err.kind == ERROR_INVALID && strstr(err.text, rows[i].part) != NULL;
		if (!good)
			fail_msg("%s: %s", rows[i].value, rc == 0 ? "taken" : err.text);
	}
}
#define CHECK(rows) check_rows(rows, sizeof(rows) / sizeof((rows)[0]))

static void variables_have_their_limits(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"CANOPY_BASE_URL", "https://a\x7f", "http:// or https://"},
		{"CANOPY_BASE_URL", "ldap://a", "http:// or https://"},
		{"CANOPY_BASE_URL", "https://:80", "http:// or https://"},
		{"CANOPY_BASE_URL", "http://a", NULL},
		{"CANOPY_SOCKS5_PROXY", "me:hunter2@proxy", "\"***@proxy\": allowed is"},
		{"CANOPY_SOCKS5_PROXY", "me@proxy/socks5://", "\"***@proxy/socks5://\": allowed is"},
		{"METRICS_ADDR", "a:123456", "HOST:PORT"},
		{"METRICS_ADDR", "a:80b", "HOST:PORT"},
		{"METRICS_ADDR", "[::1:80", "HOST:PORT"},
		{"METRICS_ADDR", "a b:80", "HOST:PORT"},
		{"METRICS_ADDR", "[::1]:65535", NULL},
		{"OPERATOR_NAMESPACE", SIXTY_THREE, NULL},
		{"OPERATOR_NAMESPACE", SIXTY_THREE "a", "a name of lower-case letters"},
		{"OPERATOR_NAMESPACE", "a-", "a name of lower-case letters"},
		{"POSTGRES_IMAGE", "a b", "an image without tag and digest"},
		{"MAX_CONCURRENT_RESTORES", "1000", NULL},
		{"MAX_CONCURRENT_RESTORES", "1001", "a whole number from 1 to 1000"},
		{"CANOPY_RECONCILE_INTERVAL_SECS", "1d", NULL},
		{"CANOPY_RECONCILE_INTERVAL_SECS", "86401", "from 1s to 1d"},
		{"TEARDOWN_GUARD", "o\x01n", "on or off"},
	};
	CHECK(rows);
}

static void values_of_the_file_have_their_limits(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{NULL, "intents: {verify: {storageSize: 1Pi, storageSizeMaximum: 1Pi}}", NULL},
		{NULL, "intents: {verify: {storageSize: 2Pi}}", "from 1Mi to 1Pi"},
		{NULL, "intents: {verify: {cpuLimit: much}}", "a number of CPUs"},
		{NULL, "intents: {verify: {memoryLimit: 0}}", "a size (512Mi, 2G)"},
		{NULL, "intents: {verify: {memoryLimit: much}}", "a size (512Mi, 2G)"},
		{NULL, "retry: {backoff: [00000000000000000000000000000001m, 2m, 3m]}", "three durations"},
		{NULL, "retry: {backoff: [30d, 1d, 1s]}", NULL},
		{NULL, "intents: {analytics: {passwords: source}}", NULL}, // without canopy
		{NULL, "canopyDeviceCertSecret: s\ncanopyDeviceKeyFile: /k", "exclude each other"},
		{NULL, "logLevel: \"\"", "logLevel: \"\": allowed is debug"},
	};
	CHECK(rows);
}

#define ANNOTATED(key) "intents: {analytics: {serviceAnnotations: {" key ": a}}}"
#define NO_NAME "is no name of an annotation"

// https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/
static void annotations_are_named_as_the_api_server_wants_it(void **state)
{
	(void)state;
	static char long_owner[1024];
	char owner[255];
	memset(owner, 'o', sizeof(owner) - 1);
	owner[sizeof(owner) - 1] = '\0';
	(void)snprintf(long_owner, sizeof(long_owner), ANNOTATED("%s/a"), owner);
	const struct row rows[] = {
		{NULL, ANNOTATED("a"), NULL},
		{NULL, ANNOTATED("example.org/a_b.C-1"), NULL},
		{NULL, ANNOTATED(SIXTY_THREE), NULL},
		{NULL, ANNOTATED(SIXTY_THREE "h"), NO_NAME},
		{NULL, ANNOTATED("/a"), NO_NAME},
		{NULL, ANNOTATED("example.org/"), NO_NAME},
		{NULL, ANNOTATED("Example.org/a"), NO_NAME},
		{NULL, ANNOTATED("_a"), NO_NAME},
		{NULL, ANNOTATED("a_"), NO_NAME},
		{NULL, ANNOTATED("'a b'"), NO_NAME},
		{NULL, long_owner, NO_NAME},
	};
	CHECK(rows);
}

#define FLAVOUR(members) "flavours: {acme: {image: x, " members "}}"

static void flavours_have_their_limits(void **state)
{
	(void)state;
	static char long_secret[1024];
	char secret[255];
	memset(secret, 's', sizeof(secret) - 1);
	secret[sizeof(secret) - 1] = '\0';
	(void)snprintf(long_secret, sizeof(long_secret), FLAVOUR("pullSecret: %s"), secret);
	const struct row rows[] = {
		{NULL, "flavours: {" SIXTY_THREE ": {image: x}}", NULL},
		{NULL, "flavours: {" SIXTY_THREE "h: {image: x}}", "allowed is a name of letters"},
		{NULL, "flavours: {-a: {image: x}}", "allowed is a name of letters"},
		{NULL, "flavours: {a-: {image: x}}", "allowed is a name of letters"},
		{NULL, FLAVOUR("environment: {A_1: y}"), NULL},
		{NULL, FLAVOUR("environment: {1A: y}"), "environment: \"1A\": allowed is"},
		{NULL, FLAVOUR("environment: {'': y}"), "environment: \"\": allowed is"},
		{NULL, FLAVOUR("hba: ['hostssl all all  localhost trust clientcert=verify-ca']"), NULL},
		{NULL, FLAVOUR("hba: ['host all all ::1/128']"), "hba: \"host all all ::1/128\": allowed is"},
		{NULL, FLAVOUR("hba: ['host " SIXTY_THREE "a all ::1/128 trust']"), "hba: \"host aaa"},
		{NULL, FLAVOUR("hba: ['host a,b all ::1/128 trust " SIXTY_THREE "a']"), NULL}, // an option may be long
		{NULL, long_secret, "the name of a Secret"},
	};
	CHECK(rows);
}

// Neither the environment nor a file gives an empty value or a control character so far; whoever sets one is told.
static void nothing_and_control_characters_are_no_values(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "a\x01", "a\x7f", "1\n"};
	struct setting_place place;
	struct error err = {0};
	AUTO(settings) struct settings *settings = NULL;
	environment[0] = NULL;
	config_path = NULL;
	assert_ok(settings_load(from_environment, &settings, &err), err);
	for (size_t i = 0; setting_at(i, &place); i++) {
		for (size_t n = 0; n < sizeof(bad) / sizeof(bad[0]); n++) {
			char part[64];
			(void)snprintf(part, sizeof(part), "\"%s\": allowed is ", bad[n]);
			err = (struct error){0};
			if (setting_set(settings, &place, bad[n], &err) == 0 || err.kind != ERROR_INVALID ||
				strncmp(err.text, part, strlen(part)) != 0)
				fail_msg("%s: \"%s\": %s", place.row->key, bad[n], err.text);
		}
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(variables_have_their_limits),
		cmocka_unit_test(values_of_the_file_have_their_limits),
		cmocka_unit_test(annotations_are_named_as_the_api_server_wants_it),
		cmocka_unit_test(flavours_have_their_limits),
		cmocka_unit_test(nothing_and_control_characters_are_no_values),
	};
	return cmocka_run_group_tests_name("base/settings_values", cases, NULL, NULL);
}
