// Create or adopt, against an API server with one object in it: what is taken as ours, and what is not.
#include "reconciler/adopt.h"
#include "tests/reconciler/scenes.h"
#include "tests/support/cmocka.h"
#include "tests/support/http_server.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OURS "\"labels\":{\"pgro.bes.au/managed-by\":\"pgro-canopy\",\"pgro.bes.au/round\":\"aaaaaaaa\"}"
#define OWNED_BY(uid)                                                                                                     \
	",\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"PersistentVolumeClaim\",\"name\":\"pgdata-aaaaaaaa\",\"uid\":\"" uid \
	"\"}]"
#define META "\"metadata\":{\"name\":\"x-aaaaaaaa\",\"namespace\":\"" SCENE_NAMESPACE "\",\"uid\":\"u-1\",\"resourceVersion\":\"8\","

struct world {
	struct http_server *server;
	struct manager op;
	struct k8s_config config;
	const char *there; // the rest of its metadata; NULL: nothing is there
	int create_status, get_status; // 0: as things are
};

static void refuse(int status, struct http_server_answer *out)
{
	out->status = status;
	if (asprintf(&out->body, "{\"kind\":\"Status\",\"status\":\"Failure\",\"reason\":\"Other\",\"message\":\"told to\",\"code\":%d}",
		    status) < 0)
		abort();
}

static void answer(void *arg, const struct http_server_request *request, struct http_server_answer *out)
{
	const struct world *w = arg;
	bool is_create = strcmp(request->method, "POST") == 0;
	int refused = is_create ? w->create_status : w->get_status;
	if (refused != 0) {
		refuse(refused, out);
		return;
	}
	out->status = is_create ? (w->there == NULL ? 201 : 409) : 200;
	const char *metadata = w->there == NULL ? OURS : w->there;
	if (out->status == 409)
		out->body = strdup("{\"kind\":\"Status\",\"status\":\"Failure\",\"reason\":\"AlreadyExists\",\"message\":\"told "
				   "to\",\"code\":409}");
	else if (asprintf(&out->body, "{" META "%s}}", metadata) < 0)
		abort();
}

static void open_world(struct world *w, const char *there)
{
	struct error err = {0};
	*w = (struct world){.there = there};
	w->server = http_server_start(answer, w);
	w->config.server = strdup(http_server_url(w->server));
	assert_ok(k8s_client_new(&w->config, NULL, &w->op.k8s, &err), err);
	assert_ok(cache_new(&w->op.cache, &err), err);
}

static void close_world(struct world *w)
{
	k8s_client_free(w->op.k8s);
	cache_free(w->op.cache);
	http_server_stop(w->server);
	free(w->config.server);
}

static int adopt(struct world *w, const struct k8s_resource *resource, struct adopted *out, struct error *err)
{
	static const char wanted[] = "{" META OURS OWNED_BY("now") "}}";
	AUTO(json) json_t *object = NULL;
	struct replica replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "verify", "");
	assert_ok(json_parse(wanted, strlen(wanted), &object, err), *err);
	int rc = adopt_create(&w->op, resource, &replica, object, scene_now_ms(), out, err);
	replica_fini(&replica);
	return rc;
}

static void what_is_there_is_ours_or_not(void **state)
{
	(void)state;
	const struct {
		const char *label, *there;
		enum error_kind kind; // ERROR_NONE: it is adopted
		const char *text;
	} rows[] = {
		{"ours", OURS OWNED_BY("now"), ERROR_NONE, ""},
		{"of an operator that gave it no owner", OURS, ERROR_NONE, ""},
		{"of a volume that is gone", OURS OWNED_BY("before"), ERROR_TRANSIENT, "belongs to a volume that is gone"},
		{"being deleted", OURS OWNED_BY("now") ",\"deletionTimestamp\":\"2026-11-20T11:59:00Z\"", ERROR_TRANSIENT,
			"is being deleted"},
		{"of another round", "\"labels\":{\"pgro.bes.au/managed-by\":\"pgro-canopy\",\"pgro.bes.au/round\":\"bbbbbbbb\"}",
			ERROR_INVALID, "exists and is not ours"},
		{"of somebody else", "\"labels\":{}", ERROR_INVALID, "exists and is not ours"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		struct world w;
		struct adopted found = {0};
		open_world(&w, rows[i].there);
		int rc = adopt(&w, &K8S_SECRET, &found, &err);
		if ((rc == 0) != (rows[i].kind == ERROR_NONE) || err.kind != (rc == 0 ? ERROR_EXISTS : rows[i].kind) ||
			(rc != 0 && strstr(err.text, rows[i].text) == NULL))
			fail_msg("%s: %d %s: %s", rows[i].label, rc, error_kind_text(err.kind), err.text);
		if (rc == 0) {
			assert_int_equal(found.result, ADOPT_FOUND);
			assert_string_equal(found.uid, "u-1");
			assert_string_equal(found.resource_version, "8");
		}
		close_world(&w);
	}
}

static void what_is_made_says_its_uid(void **state)
{
	(void)state;
	struct error err = {0};
	struct world w;
	struct adopted made = {.result = ADOPT_FOUND};
	open_world(&w, NULL);
	assert_ok(adopt(&w, &K8S_PVC, &made, &err), err);
	assert_int_equal(made.result, ADOPT_MADE);
	assert_string_equal(made.uid, "u-1"); // it owns the round's Secret
	close_world(&w);
}

// The rights in a Namespace that was just made come with its binding, and that takes a moment.
static void what_is_forbidden_is_forbidden_for_good_after_a_while(void **state)
{
	(void)state;
	static const struct {
		const char *label;
		int create_status, get_status;
		int64_t age_ms;
		enum error_kind kind;
	} rows[] = {
		{"forbidden at first", 403, 0, 0, ERROR_TRANSIENT},
		{"forbidden, and almost no longer young", 403, 0, ADOPT_YOUNG_MS - 1, ERROR_TRANSIENT},
		{"forbidden, and old enough", 403, 0, ADOPT_YOUNG_MS, ERROR_INVALID},
		{"refused", 422, 0, 0, ERROR_INVALID},
		{"there, and gone when it is read", 0, 404, ADOPT_YOUNG_MS, ERROR_TRANSIENT},
		{"there, and nobody may read it", 0, 403, ADOPT_YOUNG_MS, ERROR_INVALID},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		struct world w;
		AUTO(json) json_t *object = json_pack("{s:{s:s}}", "metadata", "name", "x-aaaaaaaa");
		struct replica replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "verify", "");
		open_world(&w, OURS);
		w.create_status = rows[i].create_status;
		w.get_status = rows[i].get_status;
		int rc = adopt_create(
			&w.op, &K8S_SECRET, &replica, object, replica.created_at_ms + rows[i].age_ms, NULL, &err);
		if (rc == 0 || err.kind != rows[i].kind)
			fail_msg("%s: %d %s: %s", rows[i].label, rc, error_kind_text(err.kind), err.text);
		replica_fini(&replica);
		close_world(&w);
	}
}

// Those of the replica have no owner; one that has is older than the operator that made it so.
static void what_wants_no_owner_takes_one_that_has(void **state)
{
	(void)state;
	struct error err = {0};
	struct world w;
	struct adopted found = {0};
	AUTO(json) json_t *object = json_pack("{s:{s:s,s:{s:s,s:s}}}", "metadata", "name", "x-aaaaaaaa", "labels",
		"pgro.bes.au/managed-by", "pgro-canopy", "pgro.bes.au/round", "aaaaaaaa");
	struct replica replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, "verify", "");
	open_world(&w, OURS OWNED_BY("before"));
	assert_ok(adopt_create(&w.op, &K8S_SECRET, &replica, object, scene_now_ms(), &found, &err), err);
	assert_int_equal(found.result, ADOPT_FOUND);
	replica_fini(&replica);
	close_world(&w);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(what_is_there_is_ours_or_not),
		cmocka_unit_test(what_is_made_says_its_uid),
		cmocka_unit_test(what_is_forbidden_is_forbidden_for_good_after_a_while),
		cmocka_unit_test(what_wants_no_owner_takes_one_that_has),
	};
	return cmocka_run_group_tests_name("reconciler/adopt", cases, NULL, NULL);
}
