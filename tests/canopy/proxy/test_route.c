// Where requests go: from the settings, and from what S3 says about the bucket's region.
#include "canopy/proxy/route.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <string.h>

static const struct {
	const char *label;
	const char *host, *connect_to, *tls_name;
	bool is_tls, is_virtual;
	const char *signed_host, *target, *verified;
} rows[] = {
	{"AWS", "s3.r.amazonaws.com", NULL, NULL, true, false, "s3.r.amazonaws.com", "s3.r.amazonaws.com:443",
		"s3.r.amazonaws.com"},
	{"virtual", "s3.r.amazonaws.com", NULL, NULL, true, true, "b.s3.r.amazonaws.com", "b.s3.r.amazonaws.com:443",
		"b.s3.r.amazonaws.com"},
	{"plain", "store:9000", NULL, NULL, false, false, "store:9000", "store:9000", ""},
	{"plain, usual port", "store", NULL, NULL, false, false, "store", "store:80", ""},
	{"elsewhere", "s3.r.amazonaws.com", "[::1]:7", NULL, true, false, "s3.r.amazonaws.com", "[::1]:7", "s3.r.amazonaws.com"},
	{"elsewhere, other name", "s3.r.amazonaws.com", "vpce:443", "vpce.example", true, false, "s3.r.amazonaws.com", "vpce:443",
		"vpce.example"},
	{"port and TLS", "store:9000", NULL, NULL, true, false, "store:9000", "store:9000", "store"},
	{"IPv6", "[::1]:9000", NULL, NULL, true, false, "[::1]:9000", "[::1]:9000", "::1"},
};

static struct config config_of(size_t i)
{
	static char region[] = "r", bucket[] = "b", endpoint[] = "e";
	return (struct config){.host = (char *)(uintptr_t)rows[i].host,
		.connect_to = (char *)(uintptr_t)rows[i].connect_to,
		.tls_name = (char *)(uintptr_t)rows[i].tls_name,
		.is_tls = rows[i].is_tls,
		.is_virtual = rows[i].is_virtual,
		.region = region,
		.bucket = bucket,
		.endpoint = endpoint};
}

static void the_settings_make_the_route(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		struct route route;
		const struct config config = config_of(i);
		assert_ok(route_init(&config, &route, &err), err);
		if (strcmp(route.host, rows[i].signed_host) != 0 || strcmp(route.target.connect_to, rows[i].target) != 0 ||
			strcmp(route.target.tls_name, rows[i].verified) != 0)
			fail_msg("%s: %s %s %s", rows[i].label, route.host, route.target.connect_to, route.target.tls_name);
	}
}

static const struct {
	const char *label;
	size_t config; // row above
	const char *region, *location;
	bool follows;
	const char *signed_host, *signed_region;
} hints[] = {
	{"other region", 0, "eu-west-1", "", true, "s3.eu-west-1.amazonaws.com", "eu-west-1"},
	{"other region, virtual", 1, "eu-west-1", "", true, "b.s3.eu-west-1.amazonaws.com", "eu-west-1"},
	{"location of the service", 0, "eu-west-1", "https://b.s3-eu-west-1.amazonaws.com/k", true, "s3-eu-west-1.amazonaws.com",
		"eu-west-1"},
	{"location alone", 0, "", "https://s3.x.amazonaws.com/b/k", true, "s3.x.amazonaws.com", "r"},
	{"same region", 0, "r", "", false, "s3.r.amazonaws.com", "r"},
	{"nothing said", 0, "", "", false, "s3.r.amazonaws.com", "r"},
	{"location elsewhere", 0, "", "https://evil.example/b/k", false, "s3.r.amazonaws.com", "r"},
	{"location that ends alike", 0, "", "https://evilamazonaws.com/", false, "s3.r.amazonaws.com", "r"},
	{"location of another cloud's suffix", 0, "", "https://s3.x.amazonaws.com.cn/", false, "s3.r.amazonaws.com", "r"},
	{"location with a user", 0, "", "https://x@evil.example:1/.amazonaws.com", false, "s3.r.amazonaws.com", "r"},
	{"location in the clear", 0, "", "http://s3.x.amazonaws.com/", false, "s3.r.amazonaws.com", "r"},
	{"region that is none", 0, "x.evil.example/", "", false, "s3.r.amazonaws.com", "r"},
	{"other store, other region", 2, "x", "", true, "store:9000", "x"},
	{"other store, location", 2, "", "http://other:9000/", false, "store:9000", "r"},
};

static void a_region_is_followed_but_never_to_a_stranger(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
		struct error err = {0};
		struct route route;
		const struct config config = config_of(hints[i].config);
		const struct route_hint hint = {.region = hints[i].region, .location = hints[i].location};
		assert_ok(route_init(&config, &route, &err), err);
		bool follows = route_follow(&route, &config, &hint);
		if (follows != hints[i].follows || strcmp(route.host, hints[i].signed_host) != 0 ||
			strcmp(route.region, hints[i].signed_region) != 0)
			fail_msg("%s: %d %s %s", hints[i].label, follows, route.host, route.region);
		if (follows)
			assert_non_null(strstr(route.target.connect_to, config.is_tls ? ":443" : ":9000"));
	}
}

static void what_is_too_long_is_refused(void **state)
{
	(void)state;
	static const size_t lengths[][3] = {{300, 1, 1}, {1, 100, 1}, {200, 1, 100}}; // of host, region, bucket
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		char texts[3][512] = {"", "", ""};
		struct error err = {0};
		struct route route = {.host = "as it was"};
		for (int n = 0; n < 3; n++)
			memset(texts[n], 'a', lengths[i][n]);
		struct config config = config_of(0);
		config.host = texts[0];
		config.region = texts[1];
		config.bucket = texts[2];
		config.is_virtual = i == 2;
		assert_error(route_init(&config, &route, &err), err, ERROR_INVALID, "is too long");
		assert_string_equal(route.host, "as it was");
	}
}

// A hint that would not fit leaves the route as it is.
static void a_hint_that_is_too_long_is_not_followed(void **state)
{
	(void)state;
	char region[80] = "", location[600];
	struct error err = {0};
	struct route route;
	const struct config config = config_of(0);
	memset(region, 'r', sizeof(region) - 1);
	(void)snprintf(location, sizeof(location), "https://%0400d.amazonaws.com/", 0);
	assert_ok(route_init(&config, &route, &err), err);
	const struct route before = route;
	const struct route_hint too_long[] = {{.region = region, .location = ""}, {.region = "", .location = location},
		{.region = "UPPER", .location = "https://b/"}};
	for (size_t i = 0; i < sizeof(too_long) / sizeof(too_long[0]); i++) {
		assert_false(route_follow(&route, &config, &too_long[i]));
		assert_memory_equal(&route, &before, sizeof(route));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_settings_make_the_route),
		cmocka_unit_test(a_region_is_followed_but_never_to_a_stranger),
		cmocka_unit_test(what_is_too_long_is_refused),
		cmocka_unit_test(a_hint_that_is_too_long_is_not_followed),
	};
	return cmocka_run_group_tests_name("proxy/route", tests, NULL, NULL);
}
