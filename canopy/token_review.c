#include "canopy/token_review.h"

#include <stdio.h>
#include <string.h>

#define SERVICE_ACCOUNT_PREFIX "system:serviceaccount:" // k8s.io/apiserver/pkg/authentication/serviceaccount
#define POD_NAME_KEY "authentication.kubernetes.io/pod-name"

int token_review_request(const char *token, json_t **out, struct error *err)
{
	return json_made(json_pack("{s:s, s:s, s:{s:s, s:[s]}}", "apiVersion", "authentication.k8s.io/v1", "kind", "TokenReview",
				 "spec", "token", token, "audiences", TOKEN_REVIEW_AUDIENCE),
		"TokenReview", out, err);
}

static bool has_audience(const json_t *audiences)
{
	for (size_t i = 0; i < json_array_size(audiences); i++) {
		const char *audience = json_string_value(json_array_get(audiences, i));
		if (audience != NULL && strcmp(audience, TOKEN_REVIEW_AUDIENCE) == 0)
			return true;
	}
	return false;
}

static int read_username(const char *username, struct broker_caller *out, struct error *err)
{
	size_t prefix = strlen(SERVICE_ACCOUNT_PREFIX);
	const char *namespace = username + prefix;
	if (strncmp(username, SERVICE_ACCOUNT_PREFIX, prefix) != 0)
		return error_set(err, ERROR_INVALID, "the token is not of a ServiceAccount");
	size_t namespace_len = strcspn(namespace, ":");
	const char *account = namespace + namespace_len + 1;
	if (namespace_len == 0 || namespace_len >= sizeof(out->namespace) || namespace[namespace_len] == '\0' ||
		*account == '\0' || strlen(account) >= sizeof(out->service_account))
		return error_set(err, ERROR_INVALID, "the token's user \"%.200s\" cannot be read", username);
	(void)snprintf(out->namespace, sizeof(out->namespace), "%.*s", (int)namespace_len, namespace);
	(void)snprintf(out->service_account, sizeof(out->service_account), "%s", account);
	return 0;
}

int token_review_read(const json_t *answer, struct broker_caller *out, struct error *err)
{
	struct broker_caller caller = {0};
	const json_t *status = json_find(answer, "status");
	const char *username = json_find_str(status, "user", "username");
	const char *pod = json_string_value(json_array_get(json_find(status, "user", "extra", POD_NAME_KEY), 0));
	if (!json_is_object(status))
		return error_set(err, ERROR_INTERNAL, "TokenReview: the answer has no status");
	if (!json_is_true(json_object_get(status, "authenticated")))
		return error_set(err, ERROR_INVALID, "the token is not valid here");
	if (!has_audience(json_object_get(status, "audiences")))
		return error_set(err, ERROR_INVALID, "the token is not for audience %s", TOKEN_REVIEW_AUDIENCE);
	if (username == NULL)
		return error_set(err, ERROR_INTERNAL, "TokenReview: the answer names no user");
	if (read_username(username, &caller, err) < 0)
		return -1;
	(void)snprintf(caller.pod, sizeof(caller.pod), "%s", pod == NULL ? "" : pod);
	*out = caller;
	return 0;
}
