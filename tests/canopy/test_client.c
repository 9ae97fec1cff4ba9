#include "base/clock.h"
#include "canopy/client.h"
#include "tests/canopy/contract.h"
#include "tests/support/cmocka.h"
#include "tests/support/http_server.h"
#include "tests/support/raw_server.h"
#include <string.h>

#define GROUP "0d5be8b8-6a3c-4c0e-8a55-1f6b7d2c9e10"
#define RUN "11111111-2222-4333-8444-555555555555"
#define ENTRY                                                                                                                   \
	"{\"replica_id\":\"6f1c1f6e-0c0e-4b7a-9a55-0d6a4a1f2b01\",\"group_id\":\"" GROUP                                        \
	"\",\"server_id\":\"b0a7c0de-1111-4222-8333-444455556666\",\"type\":\"postgres\",\"intent\":\"verify\",\"name\":\"n\"," \
	"\"params\":{},\"storage\":\"s3\",\"bucket\":\"b\",\"prefix\":\"p\",\"region\":\"r\"}"
#define KEYS(expiration)                                                                                    \
	"{\"credentials\":{\"Version\":1,\"AccessKeyId\":\"AKIDSECRET\",\"SecretAccessKey\":\"SAKSECRET\"," \
	"\"SessionToken\":\"TOKENSECRET\",\"Expiration\":\"" expiration "\"},\"repo_password\":\"PWSECRET\"}"

// What the server answers; each test fills it.
static struct {
	int status;
	const char *body;
	const char *header;
} says;

static struct http_server *server;
static struct canopy_client *client;
static char observed[64];

static void answer(void *arg, const struct http_server_request *request, struct http_server_answer *out)
{
	(void)arg;
	(void)request;
	out->status = says.status;
	out->body = says.body == NULL ? NULL : strdup(says.body);
	out->headers[0] = says.header;
}

static void observe(void *arg, const char *endpoint, int status)
{
	(void)arg;
	(void)snprintf(observed, sizeof(observed), "%s %d", endpoint, status);
}

static struct canopy_client *client_of(const char *url)
{
	struct error err = {0};
	struct http_client *http = NULL;
	struct canopy_client *made = NULL;
	assert_ok(http_client_new(&(struct http_options){.user_agent = "understory/test"}, &http, &err), err);
	assert_ok(canopy_client_new(url, http, &made, &err), err);
	return made;
}

static int setup(void **state)
{
	(void)state;
	char url[128];
	says.status = 200;
	says.body = NULL;
	says.header = NULL;
	server = http_server_start(answer, NULL);
	(void)snprintf(url, sizeof(url), "%s/", http_server_url(server)); // a slash too many does no harm
	client = client_of(url);
	canopy_observe(client, observe, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	canopy_client_free(client);
	http_server_stop(server);
	return 0;
}

static const char *no_environment(const char *name)
{
	(void)name;
	return NULL;
}

// The last request: method and target, and that its body is what the contract says.
static const struct http_server_request *last_request(const char *method, const char *target, const char *schema)
{
	struct error err = {0};
	char why[128];
	char type[64];
	const struct http_server_request *request = http_server_request(server, http_server_count(server) - 1);
	assert_non_null(request);
	assert_string_equal(request->method, method);
	assert_string_equal(request->target, target);
	if (schema == NULL)
		return request;
	AUTO(json) json_t *body = NULL;
	assert_ok(json_parse(buf_str(&request->body), request->body.len, &body, &err), err);
	if (!contract_holds(schema, body, why, sizeof(why)))
		fail_msg("%s", why);
	assert_string_equal(http_server_header(request, "Content-Type", type, sizeof(type)), "application/json");
	return request;
}

static void capabilities_are_posted_as_the_contract_says(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(settings) struct settings *settings = NULL;
	assert_ok(settings_load(no_environment, &settings, &err), err);
	says.status = 204;
	assert_ok(canopy_register(client, settings, &err), err);
	(void)last_request("POST", "/restore-capabilities", "RestoreCapabilitiesArgs");
	assert_string_equal(observed, "/restore-capabilities 204");
}

static void a_report_is_posted_byte_by_byte(void **state)
{
	(void)state;
	struct error err = {0};
	static const char body[] = "{ \"any\":  \"bytes \xc3\xa4\" }";
	says.status = 204;
	assert_ok(canopy_report(client, body, &err), err);
	assert_string_equal(buf_str(&last_request("POST", "/restore-verification", NULL)->body), body);
}

static void a_refusal_is_told_in_the_services_words(void **state)
{
	(void)state;
	static const char problem[] =
		"{\"type\":\"/errors/forbidden\",\"title\":\"Forbidden\",\"status\":403,\"detail\":\"declaration is paused\"}";
	const struct {
		int status;
		const char *body;
		enum error_kind kind;
		const char *text;
	} rows[] = {
		{403, problem, ERROR_INVALID, "POST /restore-verification: HTTP 403: Forbidden: declaration is paused"},
		{404, problem, ERROR_INVALID, "POST /restore-verification: HTTP 404: Forbidden: declaration is paused"},
		{410, NULL, ERROR_INVALID, "POST /restore-verification: HTTP 410"},
		{409, problem, ERROR_CONFLICT, "POST /restore-verification: HTTP 409: Forbidden: declaration is paused"},
		{422, "{\"title\":\"Bad body\",\"detail\":null}", ERROR_INVALID,
			"POST /restore-verification: HTTP 422: Bad body"},
		{400, "{\"detail\":\"no\"}", ERROR_INVALID, "POST /restore-verification: HTTP 400: no"},
		{502, "<html>bad gateway</html>", ERROR_TRANSIENT, "POST /restore-verification: HTTP 502"},
		{500, "{\"title\":7}", ERROR_TRANSIENT, "POST /restore-verification: HTTP 500"},
		{503, "[]", ERROR_TRANSIENT, "POST /restore-verification: HTTP 503"},
		{429, "", ERROR_TRANSIENT, "POST /restore-verification: HTTP 429"},
		{302, "", ERROR_INTERNAL, "POST /restore-verification: HTTP 302"},
	};
	// Longer than what anybody says in a title or a detail.
	char endless[9000] = "{\"title\":\"";
	memset(endless + strlen(endless), 'a', sizeof(endless) - strlen(endless) - 3);
	(void)snprintf(endless + sizeof(endless) - 3, 3, "\"}");
	struct error failure = {0};
	says.status = 400;
	says.body = endless;
	assert_int_equal(canopy_report(client, "{}", &failure), -1);
	assert_string_equal(failure.text, "POST /restore-verification: HTTP 400");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		says.status = rows[i].status;
		says.body = rows[i].body;
		says.header = "Retry-After: 7";
		assert_int_equal(canopy_report(client, "{}", &err), -1);
		if (err.kind != rows[i].kind || strcmp(err.text, rows[i].text) != 0)
			fail_msg("%d: %s: %s", rows[i].status, error_kind_text(err.kind), err.text);
		assert_int_equal(err.http_status, rows[i].status);
		assert_int_equal(err.retry_after_ms, 7000);
	}
	assert_string_equal(observed, "/restore-verification 302");
}

static void the_worklist_is_decoded_once_for_each_body(void **state)
{
	(void)state;
	const struct {
		const char *label, *body;
		bool unchanged;
		size_t count;
	} rows[] = {
		{"first", "[" ENTRY "]", false, 1},
		{"the same", "[" ENTRY "]", true, 0},
		{"another", "[" ENTRY "," ENTRY "]", false, 2},
		{"the first again", "[" ENTRY "]", false, 1},
		{"the same again", "[" ENTRY "]", true, 0},
		{"empty", "[]", false, 0},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		AUTO(worklist) struct worklist *list = NULL;
		bool unchanged = !rows[i].unchanged;
		says.body = rows[i].body;
		assert_ok(canopy_worklist(client, &list, &unchanged, &err), err);
		if (unchanged != rows[i].unchanged || (list == NULL) != unchanged ||
			(list != NULL && list->count != rows[i].count))
			fail_msg("%s: unchanged %d", rows[i].label, unchanged);
	}
	(void)last_request("GET", "/restore-worklist", NULL);
	assert_int_equal(http_server_count(server), 6);
}

static char *long_body(size_t entries)
{
	struct error err = {0};
	struct buf text;
	buf_init(&text, (size_t)16 << 20);
	assert_ok(buf_add_str(&text, "[" ENTRY, &err), err);
	for (size_t i = 1; i < entries; i++)
		assert_ok(buf_add_str(&text, "," ENTRY, &err), err);
	assert_ok(buf_add_str(&text, "]", &err), err);
	return text.data;
}

static void a_long_worklist_that_changes_is_asked_for_once_more(void **state)
{
	(void)state;
	AUTO_FREE char *first = long_body(5000);
	AUTO_FREE char *second = long_body(5001);
	const struct {
		const char *label, *body;
		bool unchanged;
		size_t count, requests; // so far
	} rows[] = {
		{"first", first, false, 5000, 1},
		{"the same", first, true, 0, 2},
		{"changed", second, false, 5001, 4},
		{"the same as that", second, true, 0, 5},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		AUTO(worklist) struct worklist *list = NULL;
		bool unchanged = false;
		says.body = rows[i].body;
		assert_ok(canopy_worklist(client, &list, &unchanged, &err), err);
		if (unchanged != rows[i].unchanged || (list != NULL && list->count != rows[i].count) ||
			http_server_count(server) != rows[i].requests)
			fail_msg("%s: unchanged %d, %zu requests", rows[i].label, unchanged, http_server_count(server));
	}
}

static void a_worklist_that_breaks_the_contract_is_an_error_and_not_remembered(void **state)
{
	(void)state;
	const struct {
		int status;
		const char *body;
		enum error_kind kind;
		const char *text;
	} rows[] = {
		{200, "<html>", ERROR_INTERNAL, "/restore-worklist: worklist: "},
		{200, "{\"replicas\":[]}", ERROR_INTERNAL, "/restore-worklist: worklist: "},
		{200, "[" ENTRY, ERROR_INTERNAL, "/restore-worklist: worklist: "},
		{200, "null", ERROR_INTERNAL, "/restore-worklist: worklist: "},
		{200, "", ERROR_INTERNAL, "/restore-worklist: worklist: "},
		{204, NULL, ERROR_INTERNAL, "/restore-worklist: worklist: "},
		{502, "[]", ERROR_TRANSIENT, "/restore-worklist: HTTP 502"},
		{404, "[]", ERROR_INVALID, "/restore-worklist: HTTP 404"},
	};
	// Once as the first body, decoded as it arrives, and once after a good one.
	for (int round = 0; round < 2; round++) {
		struct error err = {0};
		bool unchanged = false;
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			for (int again = 0; again < 2; again++) {
				struct worklist *list = NULL;
				says.status = rows[i].status;
				says.body = rows[i].body;
				assert_int_equal(canopy_worklist(client, &list, &unchanged, &err), -1);
				assert_null(list);
				if (err.kind != rows[i].kind || strncmp(err.text, "GET ", 4) != 0 ||
					strstr(err.text, rows[i].text) == NULL)
					fail_msg("row %zu: %s: %s", i, error_kind_text(err.kind), err.text);
			}
		}
		AUTO(worklist) struct worklist *list = NULL;
		says.status = 200;
		says.body = "[" ENTRY "]";
		assert_ok(canopy_worklist(client, &list, &unchanged, &err), err);
		assert_true(unchanged == (round == 1)); // the last good body still counts
	}
}

static void credentials_are_read_whole(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(canopy_credentials) struct canopy_credentials got = {0};
	says.body = KEYS("2099-11-20T01:02:03Z");
	assert_ok(canopy_get_credentials(client, GROUP, "postgres", RUN, &got, &err), err);
	assert_string_equal(secret_reveal(&got.access_key_id), "AKIDSECRET");
	assert_string_equal(secret_reveal(&got.secret_access_key), "SAKSECRET");
	assert_string_equal(secret_reveal(&got.session_token), "TOKENSECRET");
	assert_string_equal(secret_reveal(&got.repo_password), "PWSECRET");
	assert_int_equal(got.expires_at_ms, INT64_C(4098819723000));
	const struct http_server_request *request = last_request("POST", "/restore-credentials", "RestoreCredentialsArgs");
	assert_string_equal(buf_str(&request->body), "{\"group\":\"" GROUP "\",\"run_id\":\"" RUN "\",\"type\":\"postgres\"}");

	canopy_credentials_fini(&got);
	assert_ok(canopy_get_credentials(client, GROUP, "postgres", NULL, &got, &err), err);
	request = last_request("POST", "/restore-credentials", "RestoreCredentialsArgs");
	assert_string_equal(buf_str(&request->body), "{\"group\":\"" GROUP "\",\"type\":\"postgres\"}");
}

static void no_error_about_credentials_holds_a_secret(void **state)
{
	(void)state;
	static const char good[] = KEYS("2099-11-20T01:02:03Z");
	const struct {
		const char *label, *body;
		enum error_kind kind;
		const char *text;
	} rows[] = {
		{"expired", KEYS("2020-01-01T00:00:00Z"), ERROR_TRANSIENT, "the credentials have expired already"},
		{"no time", KEYS("SECRET"), ERROR_INTERNAL, "field \"Expiration\" is not an RFC 3339 time"},
		{"an array", "[\"SECRET\"]", ERROR_INTERNAL, "field \"credentials\" is missing or no object"},
		{"a string", "\"SECRET\"", ERROR_INTERNAL, "field \"credentials\" is missing or no object"},
		{"keys without their object",
			"{\"AccessKeyId\":\"SECRET\",\"SecretAccessKey\":\"SECRET\",\"repo_password\":\"SECRET\"}",
			ERROR_INTERNAL, "field \"credentials\" is missing or no object"},
		{"another version",
			"{\"credentials\":{\"Version\":2,\"AccessKeyId\":\"SECRET\",\"SecretAccessKey\":\"SECRET\","
			"\"SessionToken\":"
			"\"SECRET\",\"Expiration\":\"2099-11-20T01:02:03Z\"},\"repo_password\":\"SECRET\"}",
			ERROR_INTERNAL, "field \"Version\" is not 1"},
		{"an empty key",
			"{\"credentials\":{\"Version\":1,\"AccessKeyId\":\"\",\"SecretAccessKey\":\"SECRET\",\"SessionToken\":"
			"\"SECRET\",\"Expiration\":\"2099-11-20T01:02:03Z\"},\"repo_password\":\"SECRET\"}",
			ERROR_INTERNAL, "field \"AccessKeyId\" is empty"},
		{"a line break",
			"{\"credentials\":{\"Version\":1,\"AccessKeyId\":\"SECRET\\r\\nX: y\",\"SecretAccessKey\":\"SECRET\","
			"\"SessionToken\":\"SECRET\",\"Expiration\":\"2099-11-20T01:02:03Z\"},\"repo_password\":\"SECRET\"}",
			ERROR_INTERNAL, "field \"AccessKeyId\" has control characters"},
		{"a delete character",
			"{\"credentials\":{\"Version\":1,\"AccessKeyId\":\"SECRET\x7f\",\"SecretAccessKey\":\"SECRET\","
			"\"SessionToken\":\"SECRET\",\"Expiration\":\"2099-11-20T01:02:03Z\"},\"repo_password\":\"SECRET\"}",
			ERROR_INTERNAL, "field \"AccessKeyId\" has control characters"},
		{"a token that is a number",
			"{\"credentials\":{\"Version\":1,\"AccessKeyId\":\"SECRET\",\"SecretAccessKey\":\"SECRET\","
			"\"SessionToken\":7,"
			"\"Expiration\":\"2099-11-20T01:02:03Z\"},\"repo_password\":\"SECRET\"}",
			ERROR_INTERNAL, "field \"SessionToken\" is not a string"},
		{"no password",
			"{\"credentials\":{\"Version\":1,\"AccessKeyId\":\"SECRET\",\"SecretAccessKey\":\"SECRET\","
			"\"SessionToken\":"
			"\"SECRET\",\"Expiration\":\"2099-11-20T01:02:03Z\"}}",
			ERROR_INTERNAL, "field \"repo_password\" is missing"},
		{"nothing", "", ERROR_INTERNAL, "invalid JSON"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		struct canopy_credentials got = {.expires_at_ms = 42};
		says.body = rows[i].body;
		assert_int_equal(canopy_get_credentials(client, GROUP, "t", NULL, &got, &err), -1);
		if (err.kind != rows[i].kind || strstr(err.text, rows[i].text) == NULL || strstr(err.text, "SECRET") != NULL)
			fail_msg("%s: %s: %s", rows[i].label, error_kind_text(err.kind), err.text);
		assert_int_equal(got.expires_at_ms, 42);
	}
	for (size_t len = 0; len + 1 < sizeof(good); len++) {
		struct error err = {0};
		struct canopy_credentials got = {0};
		char cut[sizeof(good)];
		memcpy(cut, good, len);
		cut[len] = '\0';
		says.body = cut;
		assert_int_equal(canopy_get_credentials(client, GROUP, "t", NULL, &got, &err), -1);
		assert_int_equal(err.kind, ERROR_INTERNAL);
		assert_null(strstr(err.text, "SECRET"));
	}
}

static void refused_credentials_are_told_by_kind(void **state)
{
	(void)state;
	const struct {
		int status;
		enum error_kind kind;
	} rows[] = {{403, ERROR_INVALID}, {409, ERROR_CONFLICT}, {502, ERROR_TRANSIENT}, {404, ERROR_INVALID}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		struct canopy_credentials got;
		says.status = rows[i].status;
		says.body = "{\"type\":\"about:blank\",\"title\":\"No\",\"status\":1,\"detail\":\"because\"}";
		assert_int_equal(canopy_get_credentials(client, GROUP, "t", NULL, &got, &err), -1);
		assert_int_equal(err.kind, rows[i].kind);
		assert_int_equal(err.http_status, rows[i].status);
		assert_non_null(strstr(err.text, "No: because"));
	}
}

static void half_an_answer(void *arg, struct raw_connection *connection, int number)
{
	char request[4096];
	(void)arg;
	(void)number;
	if (raw_read_request(connection, request, sizeof(request)))
		raw_write(
			connection, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n[" ENTRY);
}

static void no_answer(void *arg, struct raw_connection *connection, int number)
{
	char request[4096];
	(void)arg;
	(void)number;
	if (raw_read_request(connection, request, sizeof(request)))
		raw_reset(connection);
}

static void half_an_answer_and_none_are_transient(void **state)
{
	(void)state;
	const raw_script scripts[] = {half_an_answer, no_answer};
	for (size_t i = 0; i < 2; i++) {
		struct error err = {0};
		struct worklist *list = NULL;
		bool unchanged = false;
		char url[64];
		struct raw_server *raw = raw_server_start(scripts[i], NULL, NULL);
		(void)snprintf(url, sizeof(url), "http://127.0.0.1:%d", raw_server_port(raw));
		struct canopy_client *cut = client_of(url);
		canopy_observe(cut, observe, NULL);
		assert_error(canopy_worklist(cut, &list, &unchanged, &err), err, ERROR_TRANSIENT, "/restore-worklist: ");
		assert_int_equal(err.http_status, 0);
		assert_string_equal(observed, "/restore-worklist 0");
		assert_null(list);
		canopy_client_free(cut);
		raw_server_stop(raw);
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test_setup_teardown(capabilities_are_posted_as_the_contract_says, setup, teardown),
		cmocka_unit_test_setup_teardown(a_report_is_posted_byte_by_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(a_refusal_is_told_in_the_services_words, setup, teardown),
		cmocka_unit_test_setup_teardown(the_worklist_is_decoded_once_for_each_body, setup, teardown),
		cmocka_unit_test_setup_teardown(a_long_worklist_that_changes_is_asked_for_once_more, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_worklist_that_breaks_the_contract_is_an_error_and_not_remembered, setup, teardown),
		cmocka_unit_test_setup_teardown(credentials_are_read_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(no_error_about_credentials_holds_a_secret, setup, teardown),
		cmocka_unit_test_setup_teardown(refused_credentials_are_told_by_kind, setup, teardown),
		cmocka_unit_test(half_an_answer_and_none_are_transient),
	};
	return cmocka_run_group_tests_name("canopy/client", cases, NULL, NULL);
}
