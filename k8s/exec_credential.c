#include "k8s/exec_credential.h"

#include "base/cert.h"
#include "base/clock.h"
#include "base/json.h"
#include <string.h>

// A member of status; *out is NULL when it is missing, null or empty.
static int status_text(const json_t *status, const char *key, const char **out, struct error *err)
{
	const json_t *value = json_object_get(status, key);
	*out = NULL;
	if (json_is_absent(value))
		return 0;
	if (json_typeof(value) != JSON_STRING)
		return error_set(err, ERROR_INVALID, "status.%s is no string", key);
	if (strlen(json_string_value(value)) != json_string_length(value))
		return error_set(err, ERROR_INVALID, "status.%s holds a NUL", key);
	*out = json_string_length(value) == 0 ? NULL : json_string_value(value);
	return 0;
}

static void wipe_strings(json_t *status)
{
	const char *key;
	json_t *value;
	json_object_foreach (status, key, value) {
		const char *text = json_string_value(value);
		if (text != NULL)
			secret_wipe((void *)(uintptr_t)text, json_string_length(value));
	}
}

static int take_token(const json_t *status, struct exec_credential *out, struct error *err)
{
	const char *token = NULL;
	if (status_text(status, "token", &token, err) < 0)
		return -1;
	// It goes into a header.
	for (const char *at = token; at != NULL && *at != '\0'; at++) {
		if (*at <= ' ' || *at > '~')
			return error_set(err, ERROR_INVALID, "status.token holds a character that no token has");
	}
	return secret_set(&out->token, token, err);
}

static int take_certificate(const json_t *status, struct exec_credential *out, struct error *err)
{
	const char *cert = NULL;
	const char *key = NULL;
	struct cert_validity validity;
	bool matches = false;
	if (status_text(status, "clientCertificateData", &cert, err) < 0 || status_text(status, "clientKeyData", &key, err) < 0)
		return -1;
	if ((cert == NULL) != (key == NULL))
		return error_set(err, ERROR_INVALID, "status has clientCertificateData or clientKeyData alone; it takes both");
	if (cert == NULL)
		return 0;
	if (secret_set(&out->client_key_pem, key, err) < 0)
		return -1;
	if (cert_validity(cert, &validity, err) < 0)
		return error_wrap(err, "status.clientCertificateData");
	if (cert_matches_key(cert, &out->client_key_pem, &matches, err) < 0)
		return -1;
	if (!matches)
		return error_set(err, ERROR_INVALID, "status.clientKeyData is not the key of clientCertificateData");
	out->expires_at_ms = validity.until_ms;
	out->client_cert_pem = strdup(cert);
	return out->client_cert_pem == NULL ? error_no_memory(err, "client certificate") : 0;
}

static int take_expiry(const json_t *status, int64_t now_ms, struct exec_credential *out, struct error *err)
{
	const char *text = NULL;
	int64_t stated_ms = 0;
	char shown[CLOCK_TEXT_SIZE];
	if (status_text(status, "expirationTimestamp", &text, err) < 0)
		return -1;
	if (text != NULL && clock_parse(text, &stated_ms, err) < 0) {
		err->kind = ERROR_INVALID;
		return error_wrap(err, "status.expirationTimestamp");
	}
	if (text != NULL && stated_ms < out->expires_at_ms)
		out->expires_at_ms = stated_ms;
	if (out->expires_at_ms > now_ms)
		return 0;
	clock_format(out->expires_at_ms, shown);
	return error_set(err, ERROR_TRANSIENT, "gave credentials that expired at %s", shown);
}

static int take_status(const json_t *status, int64_t now_ms, struct exec_credential *out, struct error *err)
{
	out->expires_at_ms = INT64_MAX;
	if (take_token(status, out, err) < 0 || take_certificate(status, out, err) < 0 ||
		take_expiry(status, now_ms, out, err) < 0)
		return -1;
	if (out->token.bytes == NULL && out->client_cert_pem == NULL)
		return error_set(err, ERROR_INVALID, "status has neither token nor clientCertificateData with clientKeyData");
	return 0;
}

static int check_type(const json_t *root, const char *api_version, struct error *err)
{
	const char *kind = json_find_str(root, "kind");
	const char *version = json_find_str(root, "apiVersion");
	if (kind == NULL || strcmp(kind, "ExecCredential") != 0)
		return error_set(err, ERROR_INVALID, "printed no ExecCredential");
	if (version == NULL || strcmp(version, api_version) != 0)
		return error_set(err, ERROR_INVALID, "answered in apiVersion \"%.80s\", the kubeconfig asks for \"%s\"",
			version == NULL ? "" : version, api_version);
	return json_is_object(json_object_get(root, "status"))
		       ? 0
		       : error_set(err, ERROR_INVALID, "the ExecCredential has no status");
}

int exec_credential_parse(
	const char *text, size_t len, const char *api_version, int64_t now_ms, struct exec_credential *out, struct error *err)
{
	AUTO(json) json_t *root = NULL;
	struct exec_credential made = {0};
	if (text[strspn(text, " \t\r\n")] == '\0')
		return error_set(err, ERROR_INVALID, "printed nothing");
	if (json_parse(text, len, &root, err) < 0)
		return error_wrap(err, "printed no ExecCredential");
	if (check_type(root, api_version, err) < 0)
		return -1;
	json_t *status = json_object_get(root, "status");
	int rc = take_status(status, now_ms, &made, err);
	wipe_strings(status);
	if (rc < 0) {
		exec_credential_fini(&made);
		return -1;
	}
	*out = made;
	return 0;
}

int exec_credential_copy(const struct exec_credential *from, struct exec_credential *out, struct error *err)
{
	struct exec_credential made = {.expires_at_ms = from->expires_at_ms};
	int rc = 0;
	if (from->client_cert_pem != NULL && (made.client_cert_pem = strdup(from->client_cert_pem)) == NULL)
		rc = error_no_memory(err, "client certificate");
	if (rc == 0)
		rc = secret_set(&made.token, from->token.bytes, err);
	if (rc == 0)
		rc = secret_set(&made.client_key_pem, from->client_key_pem.bytes, err);
	if (rc < 0) {
		exec_credential_fini(&made);
		return -1;
	}
	*out = made;
	return 0;
}

void exec_credential_fini(struct exec_credential *credential)
{
	secret_fini(&credential->token);
	secret_fini(&credential->client_key_pem);
	free(credential->client_cert_pem);
	*credential = (struct exec_credential){0};
}
