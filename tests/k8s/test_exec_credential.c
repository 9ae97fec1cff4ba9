#include "k8s/exec_credential.h"
#include "tests/support/cmocka.h"
#include "tests/support/pki.h"
#include "base/json.h"
#include <stdio.h>
#include <string.h>

#define V1 "client.authentication.k8s.io/v1"
#define NOW_MS INT64_C(1700000000000) // 2023-11-14T22:13:20Z
#define HEAD "{\"apiVersion\":\"" V1 "\",\"kind\":\"ExecCredential\","

static int parse(const char *text, int64_t now_ms, struct exec_credential *out, struct error *err)
{
	return exec_credential_parse(text, strlen(text), V1, now_ms, out, err);
}

static void a_token_is_taken(void **state)
{
	(void)state;
	AUTO(exec_credential) struct exec_credential made = {0};
	struct error err = {0};
	assert_ok(parse("\n" HEAD "\"spec\":{\"interactive\":false},\"more\":[],\"status\":{\"token\":\"k8s-aws-v1.aHR-_0.x/+=\","
			"\"clientKeyData\":null,\"expirationTimestamp\":\"2023-11-14T23:13:20+00:30\"}}\n",
			  NOW_MS, &made, &err),
		err);
	assert_string_equal(secret_reveal(&made.token), "k8s-aws-v1.aHR-_0.x/+=");
	assert_null(made.client_cert_pem);
	assert_null(made.client_key_pem.bytes);
	assert_int_equal(made.expires_at_ms, NOW_MS + 30 * 60 * 1000);

	AUTO(exec_credential) struct exec_credential copy = {0};
	assert_ok(exec_credential_copy(&made, &copy, &err), err);
	assert_string_equal(secret_reveal(&copy.token), "k8s-aws-v1.aHR-_0.x/+=");
	assert_int_equal(copy.expires_at_ms, made.expires_at_ms);
}

static void without_an_end_it_is_good_for_ever(void **state)
{
	(void)state;
	AUTO(exec_credential) struct exec_credential made = {0};
	struct error err = {0};
	assert_ok(parse(HEAD "\"status\":{\"token\":\"t\",\"expirationTimestamp\":null}}", NOW_MS, &made, &err), err);
	assert_true(made.expires_at_ms == INT64_MAX);
}

struct bad_row {
	const char *label;
	const char *text;
	enum error_kind kind;
	const char *expect; // the whole of it, but for what comes from the JSON reader
};

static const struct bad_row bad[] = {
	{"nothing", "", ERROR_INVALID, "printed nothing"},
	{"blanks", " \n", ERROR_INVALID, "printed nothing"},
	{"garbage", "hush, a token", ERROR_INVALID, "printed no ExecCredential: invalid JSON at line 1"},
	{"a token alone", "\"hush\"", ERROR_INVALID, "printed no ExecCredential"},
	{"a certificate that is a number", HEAD "\"status\":{\"clientCertificateData\":7}}", ERROR_INVALID,
		"status.clientCertificateData is no string"},
	{"a key that is a number", HEAD "\"status\":{\"clientCertificateData\":\"hush\",\"clientKeyData\":7}}", ERROR_INVALID,
		"status.clientKeyData is no string"},
	{"a token with a delete character", HEAD "\"status\":{\"token\":\"hush\x7f\"}}", ERROR_INVALID,
		"status.token holds a character that no token has"},
	{"two of them", HEAD "\"status\":{\"token\":\"hush\"}}{}", ERROR_INVALID, "printed no ExecCredential: invalid JSON"},
	{"another kind", "{\"apiVersion\":\"" V1 "\",\"kind\":\"TokenReview\",\"status\":{\"token\":\"hush\"}}", ERROR_INVALID,
		"printed no ExecCredential"},
	{"another version", "{\"apiVersion\":\"" V1 "beta1\",\"kind\":\"ExecCredential\",\"status\":{\"token\":\"hush\"}}",
		ERROR_INVALID, "answered in apiVersion \"" V1 "beta1\", the kubeconfig asks for \"" V1 "\""},
	{"no version", "{\"kind\":\"ExecCredential\",\"status\":{\"token\":\"hush\"}}", ERROR_INVALID,
		"answered in apiVersion \"\", the kubeconfig asks for \"" V1 "\""},
	{"no status", HEAD "\"token\":\"hush\"}", ERROR_INVALID, "the ExecCredential has no status"},
	{"a status that is a text", HEAD "\"status\":\"hush\"}", ERROR_INVALID, "the ExecCredential has no status"},
	{"an empty status", HEAD "\"status\":{}}", ERROR_INVALID,
		"status has neither token nor clientCertificateData with clientKeyData"},
	{"an empty token", HEAD "\"status\":{\"token\":\"\"}}", ERROR_INVALID,
		"status has neither token nor clientCertificateData with clientKeyData"},
	{"a token that is a number", HEAD "\"status\":{\"token\":7}}", ERROR_INVALID, "status.token is no string"},
	{"a token of two lines", HEAD "\"status\":{\"token\":\"hush\\nX: y\"}}", ERROR_INVALID,
		"status.token holds a character that no token has"},
	{"a token with a NUL", HEAD "\"status\":{\"token\":\"hush\\u0000\"}}", ERROR_INVALID, "printed no ExecCredential"},
	{"a certificate alone", HEAD "\"status\":{\"token\":\"hush\",\"clientCertificateData\":\"x\"}}", ERROR_INVALID,
		"status has clientCertificateData or clientKeyData alone; it takes both"},
	{"a key alone", HEAD "\"status\":{\"clientKeyData\":\"hush\"}}", ERROR_INVALID,
		"status has clientCertificateData or clientKeyData alone; it takes both"},
	{"a certificate that is none", HEAD "\"status\":{\"clientCertificateData\":\"x\",\"clientKeyData\":\"hush\"}}",
		ERROR_INVALID, "status.clientCertificateData: "},
	{"a time that is none", HEAD "\"status\":{\"token\":\"hush\",\"expirationTimestamp\":\"tomorrow\"}}", ERROR_INVALID,
		"status.expirationTimestamp: "},
	{"a time that is a number", HEAD "\"status\":{\"token\":\"hush\",\"expirationTimestamp\":1700000000}}", ERROR_INVALID,
		"status.expirationTimestamp is no string"},
	{"the past", HEAD "\"status\":{\"token\":\"hush\",\"expirationTimestamp\":\"2023-11-14T22:13:20Z\"}}", ERROR_TRANSIENT,
		"gave credentials that expired at 2023-11-14T22:13:20Z"},
};

static void what_is_wrong_is_said_and_never_shown(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct exec_credential made = {0};
		struct error err = {0};
		print_message("# %s\n", bad[i].label);
		assert_error(parse(bad[i].text, NOW_MS, &made, &err), err, bad[i].kind, bad[i].expect);
		assert_null(strstr(err.text, "hush"));
		assert_null(made.token.bytes);
	}
}

static char *with_certificate(const char *cert_pem, const char *key_pem, const char *expires)
{
	AUTO(json)
	json_t *whole = json_pack("{s:s, s:s, s:{s:s, s:s, s:s*}}", "apiVersion", V1, "kind", "ExecCredential", "status",
		"clientCertificateData", cert_pem, "clientKeyData", key_pem, "expirationTimestamp", expires);
	assert_non_null(whole);
	return json_dumps(whole, 0);
}

static void a_certificate_is_taken_with_its_key_until_the_earlier_end(void **state)
{
	(void)state;
	struct pki_cert ca = pki_make_ca("CA");
	struct pki_cert one = pki_make_leaf(&ca, "one", NULL);
	struct pki_cert two = pki_make_leaf(&ca, "two", NULL);
	struct error err = {0};
	struct exec_credential none = {0};
	AUTO(exec_credential) struct exec_credential made = {0};
	AUTO_FREE char *good = with_certificate(one.cert_pem, one.key_pem, "2200-01-01T00:00:00Z");
	AUTO_FREE char *mixed = with_certificate(one.cert_pem, two.key_pem, NULL);
	assert_ok(parse(good, NOW_MS, &made, &err), err);
	assert_string_equal(made.client_cert_pem, one.cert_pem);
	assert_string_equal(secret_reveal(&made.client_key_pem), one.key_pem);
	assert_null(made.token.bytes);
	assert_true(made.expires_at_ms < INT64_C(7258118400000)); // the certificate's, an hour from now
	assert_error(parse(mixed, NOW_MS, &none, &err), err, ERROR_INVALID,
		"status.clientKeyData is not the key of clientCertificateData");
	assert_error(parse(good, made.expires_at_ms, &none, &err), err, ERROR_TRANSIENT, "gave credentials that expired at");
	pki_cert_fini(&ca);
	pki_cert_fini(&one);
	pki_cert_fini(&two);
}

static void a_text_that_is_cut_does_no_harm(void **state)
{
	(void)state;
	static const char text[] = HEAD "\"status\":{\"token\":\"hush\",\"expirationTimestamp\":\"2200-01-01T00:00:00Z\"}}";
	for (size_t len = 0; len < sizeof(text) - 1; len++) {
		char cut[sizeof(text)];
		struct error err = {0};
		struct exec_credential made = {0};
		(void)snprintf(cut, sizeof(cut), "%.*s", (int)len, text);
		assert_error(parse(cut, NOW_MS, &made, &err), err, ERROR_INVALID, "printed no");
		assert_null(strstr(err.text, "hush"));
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(a_token_is_taken),
		cmocka_unit_test(without_an_end_it_is_good_for_ever),
		cmocka_unit_test(what_is_wrong_is_said_and_never_shown),
		cmocka_unit_test(a_certificate_is_taken_with_its_key_until_the_earlier_end),
		cmocka_unit_test(a_text_that_is_cut_does_no_harm),
	};
	return cmocka_run_group_tests_name("k8s/exec_credential", cases, NULL, NULL);
}
