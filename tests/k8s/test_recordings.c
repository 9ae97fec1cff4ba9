// The client against what a real API server answered (tests/recordings): each call is made, answered by the recorded response,
// and compared with the recorded request.
#include "base/file.h"
#include "k8s/client.h"
#include "tests/support/cmocka.h"
#include "tests/support/http_server.h"
#include <stdio.h>
#include <string.h>

#define RECORDING_MAX ((size_t)1 << 20)
#define URL_MAX 128

enum verb { GET, GET_PATH, CREATE, APPLY, PATCH, DELETE };

struct row {
	const char *file;
	enum verb verb;
	const struct k8s_resource *resource;
	const char *namespace;
	const char *name;
	enum error_kind kind; // ERROR_NONE: a success
	int status;
	const char *text; // the whole error
};

static const struct row rows[] = {
	{"01-version", GET_PATH, NULL, NULL, "/version", ERROR_NONE, 0, ""},
	{"03-create-namespace", CREATE, &K8S_NAMESPACE, NULL, NULL, ERROR_NONE, 0, ""},
	{"04-create-namespace-exists", CREATE, &K8S_NAMESPACE, NULL, NULL, ERROR_EXISTS, 409,
		"create namespaces rec-a: namespaces \"rec-a\" already exists"},
	{"05-create-namespace-invalid-name", CREATE, &K8S_NAMESPACE, NULL, NULL, ERROR_INVALID, 422,
		"create namespaces Rec_A: Namespace \"Rec_A\" is invalid: metadata.name: Invalid value: \"Rec_A\": a lowercase "
		"RFC 1123 "
		"label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric "
		"character "
		"(e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"},
	{"10-unknown-field-strict", CREATE, &K8S_NAMESPACE, NULL, NULL, ERROR_INVALID, 400,
		"create namespaces rec-x: Namespace in version \"v1\" cannot be handled as a Namespace: strict decoding error: "
		"unknown "
		"field \"spek\""},
	{"18-merge-patch-annotations", PATCH, &K8S_NAMESPACE, NULL, "rec-a", ERROR_NONE, 0, ""},
	{"19-merge-patch-stale-resource-version", PATCH, &K8S_NAMESPACE, NULL, "rec-a", ERROR_CONFLICT, 409,
		"patch namespaces rec-a: Operation cannot be fulfilled on namespaces \"rec-a\": the object has been modified; "
		"please "
		"apply your changes to the latest version and try again"},
	{"20-merge-patch-current-resource-version", PATCH, &K8S_NAMESPACE, NULL, "rec-a", ERROR_NONE, 0, ""},
	{"21-merge-patch-missing", PATCH, &K8S_NAMESPACE, NULL, "rec-none", ERROR_NOT_FOUND, 404,
		"patch namespaces rec-none: namespaces \"rec-none\" not found"},
	{"22-apply-create", APPLY, &K8S_SERVICE_ACCOUNT, "rec-a", NULL, ERROR_NONE, 0, ""},
	{"23-apply-again", APPLY, &K8S_SERVICE_ACCOUNT, "rec-a", NULL, ERROR_NONE, 0, ""},
	{"24-apply-conflict", APPLY, &K8S_SERVICE_ACCOUNT, "rec-a", NULL, ERROR_CONFLICT, 409,
		"apply serviceaccounts rec-a/restore: Apply failed with 1 conflict: conflict with \"understory\": "
		".metadata.labels.a"},
	{"25-create-job", CREATE, &K8S_JOB, "rec-a", NULL, ERROR_NONE, 0, ""},
	{"35-delete-job-background", DELETE, &K8S_JOB, "rec-a", "restore-1", ERROR_NONE, 0, ""},
	{"36-create-pvc", CREATE, &K8S_PVC, "rec-a", NULL, ERROR_NONE, 0, ""},
	{"38-create-secret", CREATE, &K8S_SECRET, "rec-a", NULL, ERROR_NONE, 0, ""},
	{"39-create-deployment", CREATE, &K8S_DEPLOYMENT, "rec-a", NULL, ERROR_NONE, 0, ""},
	{"42-create-service", CREATE, &K8S_SERVICE, "rec-a", NULL, ERROR_NONE, 0, ""},
	{"44-create-lease", CREATE, &K8S_LEASE, "rec-a", NULL, ERROR_NONE, 0, ""},
	{"47-create-event", CREATE, &K8S_EVENT, "rec-a", NULL, ERROR_NONE, 0, ""},
	{"50-token-review", CREATE, &K8S_TOKEN_REVIEW, NULL, NULL, ERROR_NONE, 0, ""},
	{"58-delete-wrong-uid", DELETE, &K8S_NAMESPACE, NULL, "rec-l1", ERROR_CONFLICT, 409,
		"delete namespaces rec-l1: Operation cannot be fulfilled on namespaces \"rec-l1\": Precondition failed: UID in "
		"precondition: 00000000-0000-0000-0000-000000000000, UID in object meta: 9b09fc6d-7b32-49e0-9449-9f69a3dad90b"},
	{"59-delete-right-uid", DELETE, &K8S_NAMESPACE, NULL, "rec-l1", ERROR_NONE, 0, ""},
	{"61-get-terminating", GET, &K8S_NAMESPACE, NULL, "rec-a", ERROR_NONE, 0, ""},
	{"62-create-in-terminating", CREATE, &K8S_CONFIG_MAP, "rec-a", NULL, ERROR_INVALID, 403,
		"create configmaps rec-a/c2: configmaps \"c2\" is forbidden: unable to create new content in namespace rec-a "
		"because it "
		"is being terminated"},
	{"63-create-while-terminating", CREATE, &K8S_NAMESPACE, NULL, NULL, ERROR_EXISTS, 409,
		"create namespaces rec-a: object is being deleted: namespaces \"rec-a\" already exists"},
	{"64-get-after-teardown", GET, &K8S_NAMESPACE, NULL, "rec-a", ERROR_NOT_FOUND, 404,
		"get namespaces rec-a: namespaces \"rec-a\" not found"},
	{"65-delete-missing", DELETE, &K8S_NAMESPACE, NULL, "rec-none", ERROR_NONE, 0, ""},
};

static json_t *read_recording(const char *name)
{
	char path[512];
	size_t len = 0;
	struct error err = {0};
	json_t *recording = NULL;
	AUTO_FREE char *text = NULL;
	(void)snprintf(path, sizeof(path), "%s/%s.json", RECORDINGS, name);
	assert_ok(file_read(path, RECORDING_MAX, &text, &len, &err), err);
	assert_ok(json_parse(text, len, &recording, &err), err);
	return recording;
}

// arg: the recording.
static void replay(void *arg, const struct http_server_request *request, struct http_server_answer *answer)
{
	(void)request;
	answer->status = (int)json_find_int(0, arg, "response", "status");
	answer->body = json_dumps(json_find(arg, "response", "body"), JSON_ENCODE_ANY);
}

static int make(const struct row *row, struct k8s_client *client, const json_t *body, json_t **out, struct error *err)
{
	switch (row->verb) {
	case GET:
		return k8s_get(client, row->resource, row->namespace, row->name, out, err);
	case GET_PATH:
		return k8s_get_path(client, row->name, out, err);
	case CREATE:
		return k8s_create(client, row->resource, row->namespace, body, out, err);
	case APPLY:
		return k8s_apply(client, row->resource, row->namespace, body, out, err);
	case PATCH:
		return k8s_patch(client, row->resource, row->namespace, row->name, body, out, err);
	case DELETE:
		return k8s_delete(client, row->resource, row->namespace, row->name, json_find_str(body, "preconditions", "uid"),
			json_find_str(body, "preconditions", "resourceVersion"), err);
	}
	return -1;
}

// The recorded requests carry fewer parameters, and not every delete names its propagation policy.
static void assert_same_request(const struct row *row, const json_t *recorded, const struct http_server_request *sent)
{
	char value[80];
	struct error err = {0};
	const char *path = json_find_str(recorded, "path");
	assert_string_equal(sent->method, json_find_str(recorded, "method"));
	assert_int_equal(strcspn(sent->target, "?"), strcspn(path, "?"));
	assert_memory_equal(sent->target, path, strcspn(path, "?"));
	assert_string_equal(http_server_header(sent, "Accept", value, sizeof(value)), json_find_str(recorded, "accept"));

	const json_t *body = json_find(recorded, "body");
	if (json_is_null(body) && row->verb != DELETE) {
		assert_int_equal(sent->body.len, 0);
		return;
	}
	AUTO(json) json_t *sent_body = NULL;
	AUTO(json)
	json_t *expected = json_is_object(body) ? json_deep_copy(body)
						: json_pack("{s:s, s:s}", "kind", "DeleteOptions", "apiVersion", "v1");
	if (row->verb == DELETE)
		assert_int_equal(json_object_set_new(expected, "propagationPolicy", json_string("Background")), 0);
	else
		assert_string_equal(
			http_server_header(sent, "Content-Type", value, sizeof(value)), json_find_str(recorded, "content_type"));
	assert_ok(json_parse(buf_str(&sent->body), sent->body.len, &sent_body, &err), err);
	assert_true(json_equal(sent_body, expected));
}

static void assert_row(const struct row *row)
{
	AUTO(json) json_t *recording = read_recording(row->file);
	struct http_server *server = http_server_start(replay, recording);
	char url[URL_MAX];
	(void)snprintf(url, sizeof(url), "%s", http_server_url(server));
	struct k8s_config config = {.server = url};
	struct error err = {0};
	AUTO(k8s_client) struct k8s_client *client = NULL;
	AUTO(json) json_t *answer = NULL;
	assert_ok(k8s_client_new(&config, NULL, &client, &err), err);

	int rc = make(row, client, json_find(recording, "request", "body"), &answer, &err);
	if (row->kind == ERROR_NONE) {
		assert_ok(rc, err);
		assert_true(row->verb == DELETE || json_equal(answer, json_find(recording, "response", "body")));
	} else {
		assert_int_equal(rc, -1);
		assert_string_equal(err.text, row->text);
		assert_int_equal(err.kind, row->kind);
		assert_int_equal(err.http_status, row->status);
		assert_null(answer);
	}
	assert_int_equal(http_server_count(server), 1);
	assert_same_request(row, json_find(recording, "request"), http_server_request(server, 0));
	http_server_stop(server);
}

static void calls_are_those_that_were_recorded_and_answers_are_understood(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("# %s\n", rows[i].file);
		assert_row(&rows[i]);
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(calls_are_those_that_were_recorded_and_answers_are_understood),
	};
	return cmocka_run_group_tests_name("k8s/recordings", cases, NULL, NULL);
}
