#include "base/file.h"
#include "canopy/token_review.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <string.h>

#define LONG "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg" // 64 bytes
#define ANSWER(status) "{\"kind\":\"TokenReview\",\"status\":" status "}"
#define USER(name) "\"user\":{\"username\":\"" name "\"}"
#define OURS "\"audiences\":[\"understory-broker\"]"

// What an API server of 1.26 answered (tests/recordings).
static json_t *recorded(const char *name)
{
	struct error err = {0};
	char path[512];
	char *text = NULL;
	size_t len = 0;
	json_t *recording = NULL;
	(void)snprintf(path, sizeof(path), "%s/kubernetes-1.26/%s", getenv("RECORDINGS"), name);
	assert_ok(file_read(path, 1 << 20, &text, &len, &err), err);
	assert_ok(json_parse(text, len, &recording, &err), err);
	free(text);
	json_t *body = json_incref(json_find(recording, "response", "body"));
	json_decref(recording);
	return body;
}

static void the_request_is_what_an_api_server_takes(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(json) json_t *made = NULL;
	AUTO_FREE char *text = NULL;
	assert_ok(token_review_request("TOKEN", &made, &err), err);
	assert_ok(json_print(made, &text, &err), err);
	assert_string_equal(text, "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenReview\",\"spec\":{"
				  "\"audiences\":[\"understory-broker\"],\"token\":\"TOKEN\"}}");
}

static void recorded_answers_are_understood(void **state)
{
	(void)state;
	struct error err = {0};
	struct broker_caller caller;
	AUTO(json) json_t *good = recorded("50-token-review.json");
	AUTO(json) json_t *bad = recorded("51-token-review-wrong-audience.json");
	assert_ok(token_review_read(good, &caller, &err), err);
	assert_string_equal(caller.namespace, "rec-a");
	assert_string_equal(caller.service_account, "restore");
	assert_string_equal(caller.pod, "");
	assert_error(token_review_read(bad, &caller, &err), err, ERROR_INVALID, "not valid");
}

static void only_a_service_account_with_our_audience_passes(void **state)
{
	(void)state;
	static const struct {
		const char *answer;
		enum error_kind kind; // ERROR_NONE: passes
		const char *text;
	} rows[] = {
		{ANSWER("{\"authenticated\":true," OURS "," USER("system:serviceaccount:ns:sa") "}"), ERROR_NONE, ""},
		{ANSWER("{\"authenticated\":true,\"audiences\":[\"x\",\"understory-broker\"]," USER(
			 "system:serviceaccount:ns:sa") "}"),
			ERROR_NONE, ""},
		{ANSWER("{\"authenticated\":false," OURS "," USER("system:serviceaccount:ns:sa") "}"), ERROR_INVALID,
			"not valid"},
		{ANSWER("{\"authenticated\":\"true\"," OURS "," USER("system:serviceaccount:ns:sa") "}"), ERROR_INVALID,
			"not valid"},
		{ANSWER("{\"authenticated\":true,\"audiences\":[\"https://kubernetes.default.svc\"]," USER(
			 "system:serviceaccount:ns:sa") "}"),
			ERROR_INVALID, "not for audience understory-broker"},
		{ANSWER("{\"authenticated\":true,\"audiences\":[]," USER("system:serviceaccount:ns:sa") "}"), ERROR_INVALID,
			"audience"},
		{ANSWER("{\"authenticated\":true," USER("system:serviceaccount:ns:sa") "}"), ERROR_INVALID, "audience"},
		{ANSWER("{\"authenticated\":true," OURS "," USER("kubernetes-admin") "}"), ERROR_INVALID, "ServiceAccount"},
		{ANSWER("{\"authenticated\":true," OURS "," USER("system:serviceaccount:ns") "}"), ERROR_INVALID,
			"cannot be read"},
		{ANSWER("{\"authenticated\":true," OURS "," USER("system:serviceaccount::sa") "}"), ERROR_INVALID,
			"cannot be read"},
		{ANSWER("{\"authenticated\":true," OURS "," USER("system:serviceaccount:ns:") "}"), ERROR_INVALID,
			"cannot be read"},
		{ANSWER("{\"authenticated\":true," OURS "," USER("system:serviceaccount:" LONG LONG LONG LONG LONG ":sa") "}"),
			ERROR_INVALID, "cannot be read"},
		{ANSWER("{\"authenticated\":true," OURS "," USER("system:serviceaccount:ns:" LONG LONG LONG LONG LONG) "}"),
			ERROR_INVALID, "cannot be read"},
		{ANSWER("{\"authenticated\":true,\"audiences\":[7,\"understory-broker\"]," USER(
			 "system:serviceaccount:ns:sa") "}"),
			ERROR_NONE, ""},
		{ANSWER("7"), ERROR_INTERNAL, "no status"},
		{ANSWER("{\"authenticated\":true," OURS "}"), ERROR_INTERNAL, "names no user"},
		{"{}", ERROR_INTERNAL, "no status"},
		{"[]", ERROR_INTERNAL, "no status"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		struct broker_caller caller;
		AUTO(json) json_t *answer = NULL;
		assert_ok(json_parse(rows[i].answer, strlen(rows[i].answer), &answer, &err), err);
		if (rows[i].kind == ERROR_NONE)
			assert_ok(token_review_read(answer, &caller, &err), err);
		else
			assert_error(token_review_read(answer, &caller, &err), err, rows[i].kind, rows[i].text);
	}
}

static void a_bound_token_names_its_pod(void **state)
{
	(void)state;
	struct error err = {0};
	struct broker_caller caller;
	AUTO(json)
	json_t *answer = json_pack("{s:{s:b, s:[s], s:{s:s, s:{s:[s]}}}}", "status", "authenticated", 1, "audiences",
		TOKEN_REVIEW_AUDIENCE, "user", "username", "system:serviceaccount:ns:restore", "extra",
		"authentication.kubernetes.io/pod-name", "restore-0a1b2c3d-x7x7x");
	assert_ok(token_review_read(answer, &caller, &err), err);
	assert_string_equal(caller.pod, "restore-0a1b2c3d-x7x7x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_request_is_what_an_api_server_takes),
		cmocka_unit_test(recorded_answers_are_understood),
		cmocka_unit_test(only_a_service_account_with_our_audience_passes),
		cmocka_unit_test(a_bound_token_names_its_pod),
	};
	return cmocka_run_group_tests_name("canopy/token_review", tests, NULL, NULL);
}
