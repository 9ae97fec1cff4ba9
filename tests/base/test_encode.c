#include "base/cleanup.h"
#include "base/encode.h"
#include "tests/support/cmocka.h"
#include <string.h>

// RFC 4648 section 10, and bytes that tell the two alphabets apart.
static void base64_is_that_of_the_rfc(void **state)
{
	(void)state;
	const struct {
		const char *bytes, *base64, *base64url;
	} rows[] = {
		{"", "", ""},
		{"f", "Zg==", "Zg"},
		{"fo", "Zm8=", "Zm8"},
		{"foo", "Zm9v", "Zm9v"},
		{"foob", "Zm9vYg==", "Zm9vYg"},
		{"fooba", "Zm9vYmE=", "Zm9vYmE"},
		{"foobar", "Zm9vYmFy", "Zm9vYmFy"},
		{"\xfb\xff\xbf", "+/+/", "-_-_"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		AUTO_FREE char *back = NULL;
		size_t back_len = 99;
		char text[ENCODE_BASE64_SIZE(16)];
		encode_base64(rows[i].bytes, strlen(rows[i].bytes), text);
		assert_string_equal(text, rows[i].base64);
		assert_ok(encode_unbase64(text, &back, &back_len, &err), err);
		assert_int_equal(back_len, strlen(rows[i].bytes));
		assert_string_equal(back, rows[i].bytes);
		encode_base64url(rows[i].bytes, strlen(rows[i].bytes), text);
		assert_string_equal(text, rows[i].base64url);
	}
}

static void any_bytes_come_back(void **state)
{
	(void)state;
	unsigned char bytes[256];
	char text[ENCODE_BASE64_SIZE(sizeof(bytes))];
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 167 + 13);
	for (size_t len = 0; len <= sizeof(bytes); len++) {
		struct error err = {0};
		AUTO_FREE char *back = NULL;
		size_t back_len = 0;
		encode_base64(bytes, len, text);
		assert_ok(encode_unbase64(text, &back, &back_len, &err), err);
		assert_int_equal(back_len, len);
		assert_memory_equal(back, bytes, len);
	}
}

static void what_is_no_base64_is_refused(void **state)
{
	(void)state;
	const char *const texts[] = {
		"Z", "Zg", "Zg=", "Zg==Zg==", "=", "====", "Z===", "Zg-_", "Zg= ", "Zm9v\n", "Z\xc3\xa9==", "Zg=a"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct error err = {0};
		char *out = NULL;
		size_t len = 0;
		if (encode_unbase64(texts[i], &out, &len, &err) == 0) {
			free(out);
			fail_msg("\"%s\": taken", texts[i]);
		}
		assert_int_equal(err.kind, ERROR_INVALID);
		assert_null(out);
	}
}

static void hex_and_sha256(void **state)
{
	(void)state;
	struct error err = {0};
	unsigned char digest[ENCODE_SHA256_BYTES];
	char hex[ENCODE_SHA256_HEX_SIZE];
	encode_hex("\x00\x7f\xff", 3, hex);
	assert_string_equal(hex, "007fff");
	encode_hex("", 0, hex);
	assert_string_equal(hex, "");
	assert_ok(encode_sha256("abc", 3, digest, &err), err); // FIPS 180-2, appendix B.1
	encode_hex(digest, sizeof(digest), hex);
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(base64_is_that_of_the_rfc),
		cmocka_unit_test(any_bytes_come_back),
		cmocka_unit_test(what_is_no_base64_is_refused),
		cmocka_unit_test(hex_and_sha256),
	};
	return cmocka_run_group_tests_name("base/encode", cases, NULL, NULL);
}
