// Signatures against what AWS has published.
//
// "suite": the Signature Version 4 test suite of AWS (aws-sig-v4-test-suite; service "service", 2015-08-30). "S3": the examples
// in https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html (bucket examplebucket, 2013-05-24).
#include "canopy/proxy/query.h"
#include "canopy/proxy/sigv4.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <string.h>

#define SUITE_KEY "AKIDEXAMPLE"
#define SUITE_SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define S3_KEY "AKIAIOSFODNN7EXAMPLE"
#define S3_SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define SUITE_DATE "20150830T123600Z"
#define S3_DATE "20130524T000000Z"
#define SUITE_HOST                              \
	{                                       \
		"host", "example.amazonaws.com" \
	}
#define S3_HOST                                          \
	{                                                \
		"host", "examplebucket.s3.amazonaws.com" \
	}
#define S3_HASH                                          \
	{                                                \
		"x-amz-content-sha256", SIGV4_EMPTY_HASH \
	}

struct pair {
	const char *name, *value;
};

static const struct {
	const char *label;
	bool is_s3;
	const char *path, *query; // the query raw
	struct pair headers[6];
	const char *signature;
} vectors[] = {
	{"suite get-vanilla", false, "/", "", {SUITE_HOST, {"x-amz-date", SUITE_DATE}},
		"5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
	{"suite get-vanilla-query-order-key-case", false, "/", "Param2=value2&Param1=value1",
		{SUITE_HOST, {"x-amz-date", SUITE_DATE}}, "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
	{"suite get-vanilla-empty-query-key", false, "/", "Param1=value1", {SUITE_HOST, {"x-amz-date", SUITE_DATE}},
		"a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
	{"suite get-vanilla-query-unreserved", false, "/",
		"-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz="
		"-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
		{SUITE_HOST, {"x-amz-date", SUITE_DATE}}, "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
	{"suite get-header-value-trim", false, "/", "",
		{SUITE_HOST, {"my-header1", "value1"}, {"my-header2", "\"a   b   c\""}, {"x-amz-date", SUITE_DATE}},
		"acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
	{"S3 get object with range", true, "/test.txt", "", {S3_HOST, {"range", "bytes=0-9"}, S3_HASH, {"x-amz-date", S3_DATE}},
		"f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
	{"S3 get bucket lifecycle", true, "/", "lifecycle", {S3_HOST, S3_HASH, {"x-amz-date", S3_DATE}},
		"fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
	{"S3 list objects", true, "/", "max-keys=2&prefix=J", {S3_HOST, S3_HASH, {"x-amz-date", S3_DATE}},
		"34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
	{"S3 list objects, unsorted", true, "/", "prefix=J&max-keys=2", {S3_HOST, S3_HASH, {"x-amz-date", S3_DATE}},
		"34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
};

static void signs_as_aws_does(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		struct error err = {0};
		AUTO(secret) struct secret secret = {0};
		AUTO(query) struct query query = {0};
		struct sigv4_key key = {0};
		AUTO(buf) struct buf canonical;
		AUTO(buf) struct buf out;
		buf_init(&canonical, 4096);
		buf_init(&out, 4096);
		assert_ok(secret_set(&secret, vectors[i].is_s3 ? S3_SECRET : SUITE_SECRET, &err), err);
		assert_ok(query_read(vectors[i].query, strlen(vectors[i].query), &query, &err), err);
		assert_ok(query_canonical(&query, &canonical, &err), err);
		struct sigv4_request request = {.method = "GET",
			.path = vectors[i].path,
			.query = buf_str(&canonical),
			.payload_hash = SIGV4_EMPTY_HASH,
			.region = "us-east-1",
			.service = vectors[i].is_s3 ? "s3" : "service",
			.date = vectors[i].is_s3 ? S3_DATE : SUITE_DATE};
		for (size_t k = 0; vectors[i].headers[k].name != NULL; k++) {
			const struct pair *pair = &vectors[i].headers[k];
			request.headers[request.header_count++] =
				(struct sigv4_header){pair->name, {pair->value, strlen(pair->value)}};
		}
		assert_ok(sigv4_key_for(&key, &request, &secret, 1, &err), err);
		assert_ok(sigv4_authorization(&request, &key, vectors[i].is_s3 ? S3_KEY : SUITE_KEY, &out, &err), err);
		const char *signature = strstr(buf_str(&out), "Signature=");
		if (signature == NULL || strcmp(signature + strlen("Signature="), vectors[i].signature) != 0)
			fail_msg("%s: %s", vectors[i].label, buf_str(&out));
		sigv4_key_fini(&key);
	}
}

static void the_canonical_request_is_as_aws_writes_it(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(buf) struct buf out;
	buf_init(&out, 4096);
	const struct sigv4_request request = {.method = "GET",
		.path = "/test.txt",
		.query = "",
		.headers = {{"host", {"examplebucket.s3.amazonaws.com", 30}}, {"range", {"bytes=0-9", 9}},
			{"x-amz-content-sha256", {SIGV4_EMPTY_HASH, 64}}, {"x-amz-date", {S3_DATE, 16}}},
		.header_count = 4,
		.payload_hash = SIGV4_EMPTY_HASH};
	assert_ok(sigv4_canonical_request(&request, &out, &err), err);
	assert_string_equal(buf_str(&out),
		"GET\n/test.txt\n\nhost:examplebucket.s3.amazonaws.com\nrange:bytes=0-9\nx-amz-content-sha256:" SIGV4_EMPTY_HASH
		"\nx-amz-date:20130524T000000Z\n\nhost;range;x-amz-content-sha256;x-amz-date\n" SIGV4_EMPTY_HASH);
}

// Blanks and tabs in a row are one blank to S3, whatever the engine sent. With room for less than all of it there is an error,
// never a shorter text.
static void what_does_not_fit_is_an_error_at_every_length(void **state)
{
	(void)state;
	static const char value[] = "bytes=0-9 \t \t,20-";
	struct error err = {0};
	struct sigv4_key key = {.day = "20130524", .region = "us-east-1"};
	AUTO(buf) struct buf canonical;
	AUTO(buf) struct buf authorization;
	buf_init(&canonical, 4096);
	buf_init(&authorization, 4096);
	const struct sigv4_request request = {.method = "GET",
		.path = "/test.txt",
		.query = "a=b",
		.headers = {{"host", {"h", 1}}, {"range", {value, sizeof(value) - 1}}, {"x-amz-date", {S3_DATE, 16}}},
		.header_count = 3,
		.payload_hash = SIGV4_EMPTY_HASH,
		.service = "s3",
		.date = S3_DATE};
	assert_ok(sigv4_canonical_request(&request, &canonical, &err), err);
	assert_non_null(strstr(buf_str(&canonical), "\nrange:bytes=0-9 ,20-\n"));
	assert_ok(sigv4_authorization(&request, &key, "AKID", &authorization, &err), err);
	for (size_t max = 0; max < canonical.len; max++) {
		AUTO(buf) struct buf small;
		buf_init(&small, max);
		assert_int_equal(sigv4_canonical_request(&request, &small, &err), -1);
	}
	for (size_t max = 0; max < authorization.len; max++) {
		AUTO(buf) struct buf small;
		buf_init(&small, max);
		assert_int_equal(sigv4_authorization(&request, &key, "AKID", &small, &err), -1);
	}
}

// https://docs.aws.amazon.com/general/latest/gr/signature-v4-examples.html: the signing key for iam, 2012-02-15.
static void the_signing_key_is_as_aws_derives_it(void **state)
{
	(void)state;
	static const unsigned char expected[SIGV4_KEY_BYTES] = {0xf4, 0x78, 0x0e, 0x2d, 0x9f, 0x65, 0xfa, 0x89, 0x5f, 0x9c, 0x67,
		0xb3, 0x2c, 0xe1, 0xba, 0xf0, 0xb0, 0xd8, 0xa4, 0x35, 0x05, 0xa0, 0x00, 0xa1, 0xa9, 0xe0, 0x90, 0xd4, 0x14, 0xdb,
		0x40, 0x4d};
	struct error err = {0};
	AUTO(secret) struct secret secret = {0};
	struct sigv4_key key = {0};
	assert_ok(secret_set(&secret, "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", &err), err);
	struct sigv4_request request = {.region = "us-east-1", .service = "iam", .date = "20120215T000000Z"};
	assert_ok(sigv4_key_for(&key, &request, &secret, 1, &err), err);
	assert_memory_equal(key.bytes, expected, sizeof(expected));

	// Another day, region or secret is another key; the same is not derived again.
	struct sigv4_key before = key;
	assert_ok(secret_set(&secret, "other", &err), err);
	assert_ok(sigv4_key_for(&key, &request, &secret, 1, &err), err);
	assert_memory_equal(key.bytes, before.bytes, sizeof(before.bytes));
	assert_ok(sigv4_key_for(&key, &request, &secret, 2, &err), err);
	assert_memory_not_equal(key.bytes, before.bytes, sizeof(before.bytes));
	before = key;
	request.date = "20120216T000000Z";
	assert_ok(sigv4_key_for(&key, &request, &secret, 2, &err), err);
	assert_memory_not_equal(key.bytes, before.bytes, sizeof(before.bytes));
	before = key;
	request.region = "eu-west-1";
	assert_ok(sigv4_key_for(&key, &request, &secret, 2, &err), err);
	assert_memory_not_equal(key.bytes, before.bytes, sizeof(before.bytes));
	sigv4_key_fini(&key);
}

static void what_is_too_long_for_a_key_is_refused_and_changes_none(void **state)
{
	(void)state;
	struct error err = {0};
	char text[400] = "";
	struct sigv4_key key = {.generation = 7};
	AUTO(secret) struct secret secret = {0};
	struct sigv4_request request = {.region = "us-east-1", .service = "s3", .date = "20120215T000000Z"};
	memset(text, 'a', sizeof(text) - 1);
	assert_ok(secret_set(&secret, text, &err), err);
	assert_error(sigv4_key_for(&key, &request, &secret, 1, &err), err, ERROR_INVALID,
		"the secret access key is longer than 256 bytes");
	assert_null(strstr(err.text, "aaa"));
	request.region = text;
	assert_error(sigv4_key_for(&key, &request, &secret, 1, &err), err, ERROR_INVALID, "is longer than");
	assert_int_equal(key.generation, 7);
}

static void dates_are_written_in_utc(void **state)
{
	(void)state;
	char date[SIGV4_DATE_SIZE];
	sigv4_date(1440938160999, date);
	assert_string_equal(date, "20150830T123600Z");
}

static void queries_are_sorted_by_encoded_name_and_then_value(void **state)
{
	(void)state;
	static const struct {
		const char *raw, *canonical;
	} rows[] = {{"b=2&a=1", "a=1&b=2"}, {"a=b&a=a", "a=a&a=b"}, {"a-b=1&a=2", "a=2&a-b=1"}, {"k", "k="}, {"&&k=&", "k="},
		{"a=%7e%20%2f", "a=~%20%2F"}, {"\xc3\xa9=1&z=2", "%C3%A9=1&z=2"}, {"a=b=c", "a=b%3Dc"}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		AUTO(query) struct query query = {0};
		AUTO(buf) struct buf out;
		buf_init(&out, 4096);
		assert_ok(query_read(rows[i].raw, strlen(rows[i].raw), &query, &err), err);
		assert_ok(query_canonical(&query, &out, &err), err);
		assert_string_equal(buf_str(&out), rows[i].canonical);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signs_as_aws_does),
		cmocka_unit_test(the_canonical_request_is_as_aws_writes_it),
		cmocka_unit_test(the_signing_key_is_as_aws_derives_it),
		cmocka_unit_test(what_is_too_long_for_a_key_is_refused_and_changes_none),
		cmocka_unit_test(what_does_not_fit_is_an_error_at_every_length),
		cmocka_unit_test(dates_are_written_in_utc),
		cmocka_unit_test(queries_are_sorted_by_encoded_name_and_then_value),
	};
	return cmocka_run_group_tests_name("proxy/sigv4", tests, NULL, NULL);
}
