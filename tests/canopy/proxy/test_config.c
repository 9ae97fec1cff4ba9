// The settings: defaults, and what a bad one is answered with.
#include "canopy/proxy/config.h"
#include "tests/support/cmocka.h"
#include <stdlib.h>
#include <string.h>

static const char *const needed[][2] = {
	{"PGRO_BROKER_URL", "https://broker:9091/"},
	{"PGRO_BROKER_CA_FILE", "/ca"},
	{"PGRO_TOKEN_FILE", "/token"},
	{"PGRO_GROUP", "g"},
	{"PGRO_TYPE", "t"},
	{"PGRO_REGION", "eu-west-1"},
	{"PGRO_BUCKET", "bucket"},
	{"PGRO_PORT_FILE", "/port"},
};
#define NEEDED (sizeof(needed) / sizeof(needed[0]))

// One variable differs from what is needed.
static const char *other_name;
static const char *other_value;

static const char *env(const char *name)
{
	if (other_name != NULL && strcmp(name, other_name) == 0)
		return other_value;
	for (size_t i = 0; i < NEEDED; i++) {
		if (strcmp(needed[i][0], name) == 0)
			return needed[i][1];
	}
	return NULL;
}

static void what_is_not_set_has_its_default(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(config) struct config config = {0};
	other_name = NULL;
	assert_ok(config_read(env, &config, &err), err);
	assert_string_equal(config.endpoint, "https://s3.eu-west-1.amazonaws.com");
	assert_string_equal(config.host, "s3.eu-west-1.amazonaws.com");
	assert_string_equal(config.broker_url, "https://broker:9091");
	assert_true(config.is_tls);
	assert_false(config.is_virtual);
	assert_null(config.prefix);
	assert_null(config.done_file);
	assert_null(config.engine_pipe);
	assert_int_equal(config.log_level, LOG_INFO);
	assert_int_equal(config.log_format, LOG_LOGFMT);
	assert_int_equal(config.hold_ms, 300000);
}

static void every_needed_one_is_missed_by_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < NEEDED; i++) {
		struct error err = {0};
		struct config config = {0};
		other_name = needed[i][0];
		other_value = "";
		assert_error(config_read(env, &config, &err), err, ERROR_INVALID, needed[i][0]);
		assert_non_null(strstr(err.text, "is not set"));
	}
}

static const struct {
	const char *name, *value, *part;
} bad[] = {
	{"PGRO_BROKER_URL", "http://broker:9091", "https://"},
	{"PGRO_BROKER_URL", "https://user@broker", "https://"},
	{"PGRO_BROKER_URL", "https://", "https://"},
	{"S3_CONNECT_TO", ":80", "host:port"},
	{"S3_CONNECT_TO", "a/b:80", "host:port"},
	{"S3_CONNECT_TO", "host:80x", "host:port"},
	{"S3_CONNECT_TO", "host:x", "host:port"},
	{"S3_CONNECT_TO", "[::1:80", "host:port"},
	{"S3_CONNECT_TO", "a]:80", "host:port"},
	{"PGRO_BUCKET", "a/b", "letters"},
	{"PGRO_BUCKET", "a\nb", "control"},
	{"PGRO_REGION", "eu west", "letters"},
	{"S3_ENDPOINT", "s3.example", "http:// or https://"},
	{"S3_ENDPOINT", "ftp://s3.example", "http:// or https://"},
	{"S3_ENDPOINT", "https://s3.example/path", "a scheme, a host"},
	{"S3_ENDPOINT", "https://u@s3.example", "a scheme, a host"},
	{"S3_ENDPOINT", "https://", "a scheme, a host"},
	{"S3_CONNECT_TO", "host", "host:port"},
	{"S3_CONNECT_TO", "host:0", "host:port"},
	{"S3_CONNECT_TO", "host:65536", "host:port"},
	{"S3_CONNECT_TO", "::1:80", "host:port"},
	{"S3_STYLE", "host", "bucket in the path"},
	{"LOG_LEVEL", "loud", "debug, info"},
	{"LOG_FORMAT", "xml", "logfmt or json"},
	{"PGRO_STATS_CALLBACK_URL", "http://x", "https://"},
	{"PGRO_PROGRESS_CALLBACK_URL", "x", "https://"},
};

static void a_bad_value_is_shown_with_what_is_allowed(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct error err = {0};
		struct config config = {0};
		other_name = bad[i].name;
		other_value = bad[i].value;
		assert_error(config_read(env, &config, &err), err, ERROR_INVALID, bad[i].part);
		assert_non_null(strstr(err.text, bad[i].name));
		assert_non_null(strstr(err.text, bad[i].value));
	}
}

static const struct {
	const char *endpoint, *host;
	bool is_tls;
} endpoints[] = {
	{"https://s3.example/", "s3.example", true},
	{"https://s3.example:443", "s3.example", true},
	{"http://s3.example:80", "s3.example", false},
	{"http://s3.example:443", "s3.example:443", false},
	{"http://127.0.0.1:9000", "127.0.0.1:9000", false},
	{"https://[::1]:9000", "[::1]:9000", true},
};

static void the_signed_host_leaves_out_the_usual_port(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
		struct error err = {0};
		AUTO(config) struct config config = {0};
		other_name = "S3_ENDPOINT";
		other_value = endpoints[i].endpoint;
		assert_ok(config_read(env, &config, &err), err);
		assert_string_equal(config.host, endpoints[i].host);
		assert_int_equal(config.is_tls, endpoints[i].is_tls);
	}
}

static const char *virtual_env(const char *name)
{
	if (strcmp(name, "S3_STYLE") == 0)
		return "virtual";
	return env(name);
}

static void a_dotted_bucket_is_refused_where_no_certificate_covers_it(void **state)
{
	(void)state;
	struct error err = {0};
	struct config config = {0};
	other_name = "PGRO_BUCKET";
	other_value = "my.bucket";
	assert_error(config_read(virtual_env, &config, &err), err, ERROR_INVALID, "wildcard");
}

static const char *virtual_env_of_a_store(const char *name)
{
	static const char *const rows[][2] = {{"S3_TLS_NAME", "store.example"}, {"S3_CONNECT_TO", "[::1]:65535"}};
	for (size_t i = 0; i < 2; i++) {
		if (strcmp(rows[i][0], name) == 0)
			return rows[i][1];
	}
	return virtual_env(name);
}

// With a name of its own to verify, and where nothing is verified.
static void a_dotted_bucket_is_taken_where_no_wildcard_is_needed(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(config) struct config named = {0};
	AUTO(config) struct config plain = {0};
	other_name = "PGRO_BUCKET";
	other_value = "my.bucket";
	assert_ok(config_read(virtual_env_of_a_store, &named, &err), err);
	assert_string_equal(named.connect_to, "[::1]:65535");
	other_name = "S3_ENDPOINT";
	other_value = "http://s";
	assert_ok(config_read(virtual_env, &plain, &err), err);
	assert_string_equal(plain.host, "s");
}

static void help_names_every_variable(void **state)
{
	(void)state;
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);
	config_help(to);
	(void)fclose(to);
	for (size_t i = 0; i < NEEDED; i++)
		assert_non_null(strstr(text, needed[i][0]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_non_null(strstr(text, bad[i].name));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_set_has_its_default),
		cmocka_unit_test(every_needed_one_is_missed_by_name),
		cmocka_unit_test(a_bad_value_is_shown_with_what_is_allowed),
		cmocka_unit_test(the_signed_host_leaves_out_the_usual_port),
		cmocka_unit_test(a_dotted_bucket_is_refused_where_no_certificate_covers_it),
		cmocka_unit_test(a_dotted_bucket_is_taken_where_no_wildcard_is_needed),
		cmocka_unit_test(help_names_every_variable),
	};
	return cmocka_run_group_tests_name("proxy/config", tests, NULL, NULL);
}
