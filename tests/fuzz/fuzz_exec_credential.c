// What an exec plugin prints (k8s/exec_credential.h): credentials that may be shown to a server and are not over, or an error
// that shows none of them.
#include "k8s/exec_credential.h"
#include "tests/fuzz/fuzz.h"
#include <string.h>

#define VERSION "client.authentication.k8s.io/v1"
#define NOW_MS INT64_C(1795000000000)
#define SECRET_MIN 24 // shorter ones may be words of our texts: the names of fields

static void check_credential(const json_t *printed, const struct exec_credential *credential)
{
	const char *token = json_find_str(printed, "status", "token");
	const char *version = json_find_str(printed, "apiVersion");
	bool has_token = credential->token.len > 0;
	FUZZ_CHECK(version != NULL && strcmp(version, VERSION) == 0, "credentials of another version");
	FUZZ_CHECK(has_token || credential->client_cert_pem != NULL, "credentials without any");
	FUZZ_CHECK(
		(credential->client_cert_pem == NULL) == (credential->client_key_pem.bytes == NULL), "half a client certificate");
	FUZZ_CHECK(credential->expires_at_ms > NOW_MS, "credentials that are over");
	if (!has_token)
		return;
	FUZZ_CHECK(token != NULL && strcmp(secret_reveal(&credential->token), token) == 0, "another token");
	for (const char *at = token; *at != '\0'; at++)
		FUZZ_CHECK(*at > ' ' && *at <= '~', "a token that no header may hold");
}

// Not where it also stands in what may be told, or is a part of our own words.
static bool is_shown(const char *secret, const json_t *printed, const struct error *err)
{
	const char *const told[] = {
		json_find_str(printed, "apiVersion"), json_find_str(printed, "status", "expirationTimestamp")};
	if (secret == NULL || strlen(secret) < SECRET_MIN || strstr(VERSION, secret) != NULL)
		return false;
	for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
		if (told[i] != NULL && strstr(told[i], secret) != NULL)
			return false;
	}
	return strstr(err->text, secret) != NULL;
}

static void check_failure(const json_t *printed, const struct error *err)
{
	static const char *const secrets[] = {"token", "clientKeyData"};
	fuzz_check_error(err);
	FUZZ_CHECK(err->kind == ERROR_INVALID || err->kind == ERROR_TRANSIENT, "%s: %s", error_kind_text(err->kind), err->text);
	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
		FUZZ_CHECK(!is_shown(json_find_str(printed, "status", secrets[i]), printed, err), "the text shows %s: %s",
			secrets[i], err->text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	AUTO(exec_credential) struct exec_credential credential = {0};
	AUTO_FREE char *text = fuzz_bytes(data, size);
	AUTO(json) json_t *printed = fuzz_json(text, size);
	if (exec_credential_parse(text, size, VERSION, NOW_MS, &credential, &err) == 0)
		check_credential(printed, &credential);
	else
		check_failure(printed, &err);
	return 0;
}
