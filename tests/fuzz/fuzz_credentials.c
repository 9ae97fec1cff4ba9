// canopy's answer to POST /restore-credentials (canopy/client.h): keys, or an error that says what may be done and never what the
// answer held. Input: the status, a line end, the body.
#include "base/json.h"
#include "canopy/client.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/http_double.h"
#include <string.h>

#define SECRET_MIN 16 // shorter ones may be words of our texts: the names of fields

static struct canopy_client *client;

static int ask(struct canopy_credentials *out, struct error *err)
{
	struct error failure = {0};
	FUZZ_CHECK(
		client != NULL || canopy_client_new("http://canopy.example/", NULL, &client, &failure) == 0, "%s", failure.text);
	return canopy_get_credentials(client, "11111111-2222-4333-8444-555555555555", "postgres", NULL, out, err);
}

static bool is_shown(const json_t *answer, const char *key, const struct error *err)
{
	const char *secret =
		strcmp(key, "repo_password") == 0 ? json_find_str(answer, key) : json_find_str(answer, "credentials", key);
	return secret != NULL && strlen(secret) >= SECRET_MIN && strstr(err->text, secret) != NULL;
}

static void check_failure(const json_t *answer, const struct error *err)
{
	static const char *const secrets[] = {"AccessKeyId", "SecretAccessKey", "SessionToken", "repo_password"};
	int status = http_double.status;
	bool is_success = status / 100 == 2;
	fuzz_check_error(err);
	if (status == 403 || status == 404 || status == 422)
		FUZZ_CHECK(err->kind == ERROR_INVALID, "%d is %s", status, error_kind_text(err->kind));
	if (status == 409)
		FUZZ_CHECK(err->kind == ERROR_CONFLICT, "%d is %s", status, error_kind_text(err->kind));
	if (status / 100 == 5)
		FUZZ_CHECK(err->kind == ERROR_TRANSIENT, "%d is %s", status, error_kind_text(err->kind));
	FUZZ_CHECK(err->http_status == (is_success ? 0 : status), "%d is told as %d", status, err->http_status);
	for (size_t i = 0; is_success && i < sizeof(secrets) / sizeof(secrets[0]); i++)
		FUZZ_CHECK(!is_shown(answer, secrets[i], err), "the text shows %s: %s", secrets[i], err->text);
}

static void check_secret(const struct secret *secret, const char *expected)
{
	FUZZ_CHECK(expected != NULL && secret->len > 0 && strcmp(secret_reveal(secret), expected) == 0, "another secret");
	FUZZ_CHECK(strpbrk(expected, "\r\n") == NULL, "a secret with a line end");
}

static void check_keys(const json_t *answer, const struct canopy_credentials *keys)
{
	const json_t *credentials = json_object_get(answer, "credentials");
	FUZZ_CHECK(http_double.status / 100 == 2 && json_find_int(0, credentials, "Version") == 1, "keys from no keys");
	check_secret(&keys->access_key_id, json_find_str(credentials, "AccessKeyId"));
	check_secret(&keys->secret_access_key, json_find_str(credentials, "SecretAccessKey"));
	check_secret(&keys->session_token, json_find_str(credentials, "SessionToken"));
	check_secret(&keys->repo_password, json_find_str(answer, "repo_password"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	AUTO(canopy_credentials) struct canopy_credentials keys = {0};
	http_double_read(data, size);
	AUTO(json) json_t *answer = fuzz_json(http_double.body, http_double.len);
	if (ask(&keys, &err) == 0)
		check_keys(answer, &keys);
	else
		check_failure(answer, &err);
	return 0;
}
