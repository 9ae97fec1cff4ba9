// Answers of the API server: a Status as an error (k8s/client.h), and a TokenReview (canopy/token_review.h). Input: the HTTP
// status, a line end, the body.
#include "canopy/token_review.h"
#include "k8s/call.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/http_double.h"
#include <string.h>

#define WHERE "get namespaces pgro/a: "

static struct k8s_client *client;
static char server[] = "https://kubernetes.example";
static const struct k8s_config config = {.server = server};

static int ask(json_t **out, struct error *err)
{
	struct error failure = {0};
	FUZZ_CHECK(client != NULL || k8s_client_new(&config, NULL, &client, &failure) == 0, "%s", failure.text);
	struct k8s_call call = {.verb = "get",
		.resource = "namespaces",
		.namespace = "pgro",
		.name = "a",
		.method = "GET",
		.target = "/api/v1/namespaces/a",
		.tries = 1};
	return k8s_call_json(client, &call, NULL, out, err);
}

static void check_kind(const json_t *body, const struct error *err)
{
	const char *kind = json_find_str(body, "kind");
	const char *reason = json_find_str(body, "reason");
	bool is_status = kind != NULL && strcmp(kind, "Status") == 0;
	bool exists = is_status && reason != NULL && strcmp(reason, "AlreadyExists") == 0;
	switch (err->http_status) {
	case 404:
		FUZZ_CHECK(err->kind == ERROR_NOT_FOUND, "404 is %s", error_kind_text(err->kind));
		break;
	case 409:
		FUZZ_CHECK(err->kind == (exists ? ERROR_EXISTS : ERROR_CONFLICT), "409 is %s", error_kind_text(err->kind));
		break;
	case 410:
		FUZZ_CHECK(err->kind == ERROR_CONFLICT, "410 is %s", error_kind_text(err->kind));
		break;
	case 429:
	case 503:
		FUZZ_CHECK(err->kind == ERROR_TRANSIENT, "%d is %s", err->http_status, error_kind_text(err->kind));
		break;
	default:
		break;
	}
}

static void check_failure(const json_t *body, const struct error *err)
{
	fuzz_check_error(err);
	FUZZ_CHECK(strncmp(err->text, WHERE, strlen(WHERE)) == 0, "a text that does not say where: %s", err->text);
	if (http_double.status / 100 == 2) {
		FUZZ_CHECK(body == NULL && err->kind == ERROR_TRANSIENT, "%s: %s", error_kind_text(err->kind), err->text);
		return;
	}
	FUZZ_CHECK(err->http_status == http_double.status, "%d is told as %d", http_double.status, err->http_status);
	check_kind(body, err);
}

static bool has_audience(const json_t *answer)
{
	size_t i = 0;
	const json_t *audience = NULL;
	json_array_foreach (json_find(answer, "status", "audiences"), i, audience) {
		const char *text = json_string_value(audience);
		if (text != NULL && strcmp(text, TOKEN_REVIEW_AUDIENCE) == 0)
			return true;
	}
	return false;
}

static void check_review(const json_t *answer)
{
	struct error err = {0};
	struct broker_caller caller = {0};
	if (token_review_read(answer, &caller, &err) < 0) {
		fuzz_check_error(&err);
		FUZZ_CHECK(caller.namespace[0] == '\0', "a caller who was refused");
		return;
	}
	const char *user = json_find_str(answer, "status", "user", "username");
	AUTO_FREE char *expected = NULL;
	FUZZ_CHECK(
		json_is_true(json_find(answer, "status", "authenticated")) && has_audience(answer), "a token that is not good");
	FUZZ_CHECK(asprintf(&expected, "system:serviceaccount:%s:%s", caller.namespace, caller.service_account) > 0, "no memory");
	FUZZ_CHECK(user != NULL && strcmp(user, expected) == 0, "%s is taken for %s", user, expected);
	FUZZ_CHECK(caller.namespace[0] != '\0' && strchr(caller.namespace, ':') == NULL, "namespace %s", caller.namespace);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	AUTO(json) json_t *answer = NULL;
	http_double_read(data, size);
	AUTO(json) json_t *body = fuzz_json(http_double.body, http_double.len);
	if (ask(&answer, &err) == 0)
		FUZZ_CHECK(http_double.status / 100 == 2 && json_equal(body, answer), "an answer that was none");
	else
		check_failure(body, &err);
	if (answer != NULL)
		check_review(answer);
	return 0;
}
