// The broker's answer, as the proxy reads it (canopy/proxy/broker_client.h): keys that may go into a header, or an error without
// them; and what was read is read again.
#include "base/clock.h"
#include "base/json.h"
#include "canopy/proxy/broker_client.h"
#include "tests/fuzz/fuzz.h"
#include <string.h>

#define SECRET_MIN 16 // shorter ones may be words of our texts: the names of fields

static void check_header_value(const struct secret *secret)
{
	const char *text = secret_reveal(secret);
	FUZZ_CHECK(secret->len > 0 && strlen(text) == secret->len, "a secret of %zu bytes", secret->len);
	for (; *text != '\0'; text++)
		FUZZ_CHECK(*text > ' ' && *text <= '~', "a secret that no header may hold");
}

static void check_again(const struct s3_keys *keys)
{
	struct error err = {0};
	char expiration[CLOCK_TEXT_SIZE];
	AUTO_FREE char *text = NULL;
	AUTO(s3_keys) struct s3_keys again = {0};
	clock_format_micro(keys->expires_at_ms, expiration);
	AUTO(json)
	json_t *body = json_pack("{s:i, s:s, s:s, s:s, s:s}", "Version", 1, "AccessKeyId", secret_reveal(&keys->access_key_id),
		"SecretAccessKey", secret_reveal(&keys->secret_access_key), "SessionToken", secret_reveal(&keys->session_token),
		"Expiration", expiration);
	FUZZ_CHECK(body != NULL && json_print(body, &text, &err) == 0, "keys that are no JSON");
	FUZZ_CHECK(broker_client_read_keys(text, strlen(text), &again, &err) == 0, "not read again: %s", err.text);
	FUZZ_CHECK(strcmp(secret_reveal(&keys->secret_access_key), secret_reveal(&again.secret_access_key)) == 0 &&
			   strcmp(secret_reveal(&keys->access_key_id), secret_reveal(&again.access_key_id)) == 0 &&
			   strcmp(secret_reveal(&keys->session_token), secret_reveal(&again.session_token)) == 0 &&
			   keys->expires_at_ms == again.expires_at_ms,
		"other keys");
}

static void check_failure(const json_t *body, const struct error *err)
{
	static const char *const secrets[] = {"AccessKeyId", "SecretAccessKey", "SessionToken"};
	const char *expiration = json_find_str(body, "Expiration");
	fuzz_check_error(err);
	FUZZ_CHECK(err->kind == ERROR_INTERNAL, "%s: %s", error_kind_text(err->kind), err->text);
	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
		const char *secret = json_find_str(body, secrets[i]);
		bool is_elsewhere =
			expiration != NULL && secret != NULL && strstr(expiration, secret) != NULL; // which may be told
		FUZZ_CHECK(secret == NULL || strlen(secret) < SECRET_MIN || is_elsewhere || strstr(err->text, secret) == NULL,
			"the text shows %s: %s", secrets[i], err->text);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	AUTO(s3_keys) struct s3_keys keys = {0};
	AUTO_FREE char *copy = fuzz_copy(data, size);
	AUTO(json) json_t *body = fuzz_json(copy, size);
	if (broker_client_read_keys(copy, size, &keys, &err) < 0) {
		check_failure(body, &err);
		return 0;
	}
	check_header_value(&keys.access_key_id);
	check_header_value(&keys.secret_access_key);
	if (keys.session_token.len > 0) // empty: keys of no session
		check_header_value(&keys.session_token);
	check_again(&keys);
	return 0;
}
