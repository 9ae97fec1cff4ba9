// The certificate of a replica and what people are told of it: when something is due, and what is written then, against an API
// server that is told what it holds.
#include "reconciler/server_tls.h"
#include "base/encode.h"
#include "tests/reconciler/scenes.h"
#include "tests/support/cmocka.h"
#include "tests/support/http_server.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACTIVE "\"restore-state\":\"active\",\"round\":\"aaaaaaaa\",\"active-round\":\"aaaaaaaa\""
#define GOOD "\"tls-renew-at\":\"2026-12-20T12:00:00Z\""
#define PAST "\"tls-renew-at\":\"2026-11-20T11:59:59Z\""
#define TLS_PATH "/api/v1/namespaces/" SCENE_NAMESPACE "/secrets/postgres-tls"
#define ANALYTICS_PATH "/api/v1/namespaces/" SCENE_NAMESPACE "/secrets/analytics-credentials"

// The API server: Secret postgres-tls (NULL: there is none), analytics-credentials as a path that takes patches, the Namespace.
struct world {
	struct http_server *server;
	struct manager op;
	struct k8s_config config;
	struct ca_state ca;
	json_t *tls;
	bool has_analytics;
	bool refuses_analytics;
	char annotations[1024]; // of the Namespace after a patch
};

static char *object_text(const struct world *w)
{
	char *text = NULL;
	if (asprintf(&text,
		    "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"" SCENE_NAMESPACE
		    "\",\"uid\":\"u-1\",\"resourceVersion\":\"8\",\"labels\":{\"pgro.bes.au/managed-by\":\"pgro-canopy\","
		    "\"pgro.bes.au/intent\":\"analytics\"},\"annotations\":{%s}}}",
		    w->annotations) < 0)
		abort();
	return text;
}

static char *status_text(int code, const char *reason)
{
	char *text = NULL;
	if (asprintf(&text, "{\"kind\":\"Status\",\"status\":\"Failure\",\"reason\":\"%s\",\"code\":%d,\"message\":\"told to\"}",
		    reason, code) < 0)
		abort();
	return text;
}

static void answer_about_secret(struct world *w, const struct http_server_request *request, struct http_server_answer *out)
{
	struct error err = {0};
	if (strcmp(request->method, "GET") == 0 && w->tls == NULL) {
		out->status = 404;
		out->body = status_text(404, "NotFound");
		return;
	}
	if (strcmp(request->method, "POST") == 0 && w->tls != NULL) {
		out->status = 409;
		out->body = status_text(409, "AlreadyExists");
		return;
	}
	if (strcmp(request->method, "POST") == 0) {
		assert_ok(json_parse(buf_str(&request->body), request->body.len, &w->tls, &err), err);
		(void)json_object_set_new(json_find(w->tls, "metadata"), "resourceVersion", json_string("5"));
		out->status = 201;
	}
	out->body = json_dumps(w->tls, JSON_COMPACT);
}

static void answer(void *arg, const struct http_server_request *request, struct http_server_answer *out)
{
	struct world *w = arg;
	bool is_for_people = strncmp(request->target, ANALYTICS_PATH, strlen(ANALYTICS_PATH)) == 0;
	if (is_for_people && !w->has_analytics) {
		out->status = 404;
		out->body = status_text(404, "NotFound");
	} else if (is_for_people && w->refuses_analytics) {
		out->status = 403;
		out->body = status_text(403, "Forbidden");
	} else if (strstr(request->target, "/secrets") != NULL && !is_for_people) {
		answer_about_secret(w, request, out);
	} else {
		out->body = object_text(w);
	}
}

static int set_up(void **state)
{
	struct error err = {0};
	bool changed = false;
	struct world *w = calloc(1, sizeof(*w));
	assert_non_null(w);
	w->has_analytics = true;
	w->server = http_server_start(answer, w);
	w->config.server = strdup(http_server_url(w->server));
	w->op.settings = scene_settings();
	assert_ok(metrics_new(&w->op.metrics, &err), err);
	assert_ok(cache_new(&w->op.cache, &err), err);
	assert_ok(k8s_client_new(&w->config, NULL, &w->op.k8s, &err), err);
	assert_ok(authority_new(&w->op.authority, &err), err);
	const char *const names[] = {"understory", NULL};
	assert_ok(ca_renew_if_due(&w->ca, names, scene_now_ms(), &changed, &err), err);
	assert_ok(authority_set(w->op.authority, &w->ca, &err), err);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	k8s_client_free(w->op.k8s);
	http_server_stop(w->server);
	authority_free(w->op.authority);
	ca_state_fini(&w->ca);
	cache_free(w->op.cache);
	metrics_free(w->op.metrics);
	settings_free((struct settings *)(uintptr_t)w->op.settings);
	json_decref(w->tls);
	free(w->config.server);
	free(w);
	return 0;
}

// --- one replica

struct subject_of_test {
	struct entry entry;
	struct replica replica;
	struct deployment_view deployments[2];
	struct round_view view;
	struct build build;
};

static void begin(struct subject_of_test *s, const struct world *w, const char *intent, const char *annotations)
{
	const struct trust *trust = authority_trust(w->op.authority);
	*s = (struct subject_of_test){.entry = scene_entry(SCENE_SERVER_ID, intent, ""),
		.replica = scene_replica(SCENE_NAMESPACE, SCENE_SERVER_ID, intent, annotations)};
	(void)snprintf(s->deployments[0].of.round, sizeof(s->deployments[0].of.round), "aaaaaaaa");
	s->deployments[0].has_tls = true;
	s->view = (struct round_view){.entry = &s->entry,
		.replica = &s->replica,
		.scene = {.deployments = s->deployments, .deployment_count = 1},
		.settings = w->op.settings,
		.now_ms = scene_now_ms()};
	s->build = (struct build){.settings = w->op.settings, .entry = &s->entry, .postgres_ca_pem = trust->bundle_pem};
}

static void end(struct subject_of_test *s)
{
	entry_fini(&s->entry);
	replica_fini(&s->replica);
}

static json_t *body_of(const struct http_server_request *request)
{
	struct error err = {0};
	json_t *body = NULL;
	assert_ok(json_parse(buf_str(&request->body), request->body.len, &body, &err), err);
	return body;
}

static void assert_request(struct world *w, size_t index, const char *method, const char *target)
{
	const struct http_server_request *request = http_server_request(w->server, index);
	assert_non_null(request);
	assert_string_equal(request->method, method);
	assert_true(strncmp(request->target, target, strlen(target)) == 0);
}

// A value of data, out of base64; the caller frees.
static char *value_of(const json_t *object, const char *key)
{
	struct error err = {0};
	char *text = NULL;
	size_t len = 0;
	const char *encoded = json_find_str(object, "data", key);
	assert_non_null(encoded);
	assert_ok(encode_unbase64(encoded, &text, &len, &err), err);
	return text;
}

// --- cases

static void something_is_due_when_the_cluster_says_so(void **state)
{
	struct world *w = *state;
	const struct trust *trust = authority_trust(w->op.authority);
	char told[64];
	(void)snprintf(told, sizeof(told), "\"tls-ca\":\"%s\"", trust->id);
	const struct {
		const char *label, *intent, *annotations;
		bool is_told; // of the CA that is in force
		bool has_tls; // the round that serves
		bool is_due;
	} rows[] = {
		{"in order", "analytics", ACTIVE "," GOOD, true, true, false},
		{"its certificate's time has come", "analytics", ACTIVE "," PAST, true, true, true},
		{"no word of a certificate", "analytics", ACTIVE, true, true, true},
		{"a time that cannot be read", "analytics", ACTIVE ",\"tls-renew-at\":\"soon\"", true, true, true},
		{"people know nothing yet", "analytics", ACTIVE "," GOOD, false, true, true},
		{"people know another CA", "disaster-recovery", ACTIVE "," GOOD ",\"tls-ca\":\"0123456789abcdef\"", false, true,
			true},
		{"verify: nobody is told", "verify", ACTIVE "," GOOD, false, true, false},
		{"verify: its certificate is renewed", "verify", ACTIVE "," PAST, false, true, true},
		{"made by an operator before TLS", "analytics", ACTIVE, false, false, false},
		{"it serves without TLS, and people think otherwise", "analytics", ACTIVE, true, false, true},
		{"nothing serves yet", "analytics", "\"restore-state\":\"starting\",\"round\":\"aaaaaaaa\"," GOOD, true, true,
			false},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char annotations[256];
		struct subject_of_test s;
		(void)snprintf(annotations, sizeof(annotations), "%s%s%s", rows[i].annotations, rows[i].is_told ? "," : "",
			rows[i].is_told ? told : "");
		begin(&s, w, rows[i].intent, annotations);
		s.deployments[0].has_tls = rows[i].has_tls;
		if (server_tls_is_due(trust, &s.replica, &s.view.scene, s.view.now_ms) != rows[i].is_due)
			fail_msg("%s: due is not %d", rows[i].label, rows[i].is_due);
		assert_false(server_tls_is_due(NULL, &s.replica, &s.view.scene, s.view.now_ms));
		end(&s);
	}
	assert_int_equal(http_server_count(w->server), 0);
}

static void what_is_in_order_costs_no_request(void **state)
{
	struct world *w = *state;
	struct error err = {0};
	struct subject_of_test s;
	char annotations[256];
	(void)snprintf(
		annotations, sizeof(annotations), ACTIVE "," GOOD ",\"tls-ca\":\"%s\"", authority_trust(w->op.authority)->id);
	begin(&s, w, "analytics", annotations);
	assert_ok(server_tls_keep(&w->op, &s.view, &s.build, &err), err);
	assert_int_equal(http_server_count(w->server), 0);
	end(&s);
}

static void a_first_round_makes_the_certificate(void **state)
{
	struct world *w = *state;
	struct error err = {0};
	struct subject_of_test s;
	AUTO(patch) struct patch p = {0};
	begin(&s, w, "analytics", "\"restore-state\":\"restoring\",\"round\":\"aaaaaaaa\"");
	patch_init(&p, &s.replica);
	assert_ok(server_tls_provide(&w->op, &s.view, &s.build, &p, &err), err);
	assert_int_equal(http_server_count(w->server), 1);
	AUTO_FREE char *cert = value_of(w->tls, "tls.crt");
	AUTO_FREE char *trusted = value_of(w->tls, "ca.crt");
	const char *const names[] = {"postgres", "postgres." SCENE_NAMESPACE, "postgres." SCENE_NAMESPACE ".svc",
		"postgres." SCENE_NAMESPACE ".svc.cluster.local", NULL};
	assert_true(cert_has_names(cert, names));
	assert_true(cert_is_signed_by(cert, trusted));
	// Two thirds of ninety days, and it is good from five minutes before.
	assert_string_equal(json_find_str(p.annotations, ANN_TLS_RENEW_AT), "2027-01-19T11:58:20Z");
	assert_null(json_find(p.annotations, ANN_TLS_CA));
	end(&s);
}

static void without_the_setting_there_is_none(void **state)
{
	struct world *w = *state;
	struct error err = {0};
	struct subject_of_test s;
	AUTO(patch) struct patch p = {0};
	begin(&s, w, "analytics", "\"restore-state\":\"restoring\",\"round\":\"aaaaaaaa\"");
	struct settings plain = *w->op.settings;
	plain.postgres_tls = false;
	s.build.settings = &plain;
	patch_init(&p, &s.replica);
	assert_ok(server_tls_provide(&w->op, &s.view, &s.build, &p, &err), err);
	assert_int_equal(http_server_count(w->server), 0);
	assert_int_equal(json_object_size(p.annotations), 0);
	end(&s);
}

// The Secret as an earlier round has left it.
static void have_secret(struct world *w, int64_t made_ms)
{
	struct error err = {0};
	struct subject_of_test s;
	AUTO(patch) struct patch p = {0};
	begin(&s, w, "analytics", "\"restore-state\":\"restoring\",\"round\":\"aaaaaaaa\"");
	s.view.now_ms = made_ms;
	patch_init(&p, &s.replica);
	assert_ok(server_tls_provide(&w->op, &s.view, &s.build, &p, &err), err);
	end(&s);
}

static void one_that_is_good_is_left_alone(void **state)
{
	struct world *w = *state;
	struct error err = {0};
	struct subject_of_test s;
	const char *const notes[] = {ACTIVE "," PAST, ACTIVE}; // known by its annotation, or found
	have_secret(w, scene_now_ms());
	for (size_t i = 0; i < 2; i++) {
		AUTO(patch) struct patch p = {0};
		AUTO_FREE char *before = value_of(w->tls, "tls.crt");
		begin(&s, w, "analytics", notes[i]);
		patch_init(&p, &s.replica);
		assert_ok(server_tls_provide(&w->op, &s.view, &s.build, &p, &err), err);
		assert_string_equal(json_find_str(p.annotations, ANN_TLS_RENEW_AT), "2027-01-19T11:58:20Z");
		AUTO_FREE char *after = value_of(w->tls, "tls.crt");
		assert_string_equal(after, before);
		end(&s);
	}
	for (size_t i = 0; i < http_server_count(w->server); i++)
		assert_string_not_equal(http_server_request(w->server, i)->method, "PATCH");
}

static void one_that_is_due_is_renewed_as_it_was_read(void **state)
{
	struct world *w = *state;
	struct error err = {0};
	struct subject_of_test s;
	char annotations[256];
	have_secret(w, scene_now_ms() - CA_LEAF_LIFE_MS / 3 * 2);
	size_t first = http_server_count(w->server);
	(void)snprintf(
		annotations, sizeof(annotations), ACTIVE "," PAST ",\"tls-ca\":\"%s\"", authority_trust(w->op.authority)->id);
	begin(&s, w, "analytics", annotations);
	assert_ok(server_tls_keep(&w->op, &s.view, &s.build, &err), err);
	assert_int_equal(http_server_count(w->server), first + 3);
	assert_request(w, first, "GET", TLS_PATH);
	assert_request(w, first + 1, "PATCH", TLS_PATH);
	AUTO(json) json_t *written = body_of(http_server_request(w->server, first + 1));
	assert_string_equal(json_find_str(written, "metadata", "resourceVersion"), "5");
	AUTO_FREE char *before = value_of(w->tls, "tls.crt");
	AUTO_FREE char *after = value_of(written, "tls.crt");
	AUTO_FREE char *trusted = value_of(written, "ca.crt");
	assert_string_not_equal(after, before);
	assert_true(cert_is_signed_by(after, trusted));
	AUTO(json) json_t *noted = body_of(http_server_request(w->server, first + 2));
	assert_string_equal(json_find_str(noted, "metadata", "annotations", ANN_TLS_RENEW_AT), "2027-01-19T11:58:20Z");
	assert_string_equal(json_find_str(noted, "metadata", "resourceVersion"), "7");
	end(&s);
}

static void one_that_somebody_took_away_is_made_again(void **state)
{
	struct world *w = *state;
	struct error err = {0};
	struct subject_of_test s;
	AUTO(patch) struct patch p = {0};
	begin(&s, w, "analytics", ACTIVE "," GOOD);
	patch_init(&p, &s.replica);
	assert_ok(server_tls_provide(&w->op, &s.view, &s.build, &p, &err), err);
	assert_non_null(w->tls);
	end(&s);
}

// The CA is renewed: people are given both, while the certificate of the old one is still good.
static void people_are_given_the_new_ca_beside_the_old(void **state)
{
	struct world *w = *state;
	struct error err = {0};
	struct subject_of_test s;
	char annotations[256];
	bool changed = false;
	const struct trust *old = authority_trust(w->op.authority);
	const char *const names[] = {"understory", NULL};
	(void)snprintf(annotations, sizeof(annotations), ACTIVE "," GOOD ",\"tls-ca\":\"%s\"", old->id);
	assert_ok(ca_renew_if_due(&w->ca, names, scene_now_ms() + CA_LIFE_MS / 3 * 2, &changed, &err), err);
	assert_true(changed);
	assert_ok(authority_set(w->op.authority, &w->ca, &err), err);

	begin(&s, w, "analytics", annotations);
	assert_ok(server_tls_keep(&w->op, &s.view, &s.build, &err), err);
	assert_int_equal(http_server_count(w->server), 2);
	assert_request(w, 0, "PATCH", ANALYTICS_PATH);
	AUTO(json) json_t *told = body_of(http_server_request(w->server, 0));
	AUTO_FREE char *trusted = value_of(told, "ca.crt");
	assert_string_equal(trusted, w->ca.bundle_pem);
	assert_non_null(strstr(trusted, old->bundle_pem));
	AUTO(json) json_t *noted = body_of(http_server_request(w->server, 1));
	assert_string_equal(json_find_str(noted, "metadata", "annotations", ANN_TLS_CA), authority_trust(w->op.authority)->id);
	assert_null(json_find(noted, "metadata", "annotations", ANN_TLS_RENEW_AT));
	end(&s);
}

static void people_are_told_when_tls_goes(void **state)
{
	struct world *w = *state;
	struct error err = {0};
	struct subject_of_test s;
	begin(&s, w, "analytics", ACTIVE ",\"tls-ca\":\"0123456789abcdef\"");
	s.deployments[0].has_tls = false;
	assert_ok(server_tls_keep(&w->op, &s.view, &s.build, &err), err);
	assert_string_equal(buf_str(&http_server_request(w->server, 0)->body), "{\"data\":{\"ca.crt\":null,\"sslmode\":null}}");
	AUTO(json) json_t *noted = body_of(http_server_request(w->server, 1));
	assert_true(json_is_null(json_find(noted, "metadata", "annotations", ANN_TLS_CA)));
	end(&s);
}

static void a_secret_of_people_that_is_gone_holds_nothing_up(void **state)
{
	struct world *w = *state;
	struct error err = {0};
	struct subject_of_test s;
	w->has_analytics = false;
	begin(&s, w, "analytics", ACTIVE "," GOOD);
	assert_ok(server_tls_keep(&w->op, &s.view, &s.build, &err), err);
	assert_int_equal(http_server_count(w->server), 2);
	end(&s);
}

static void what_goes_or_is_for_nobody_needs_no_certificate(void **state)
{
	struct world *w = *state;
	const struct trust *trust = authority_trust(w->op.authority);
	static const struct {
		const char *label, *intent;
		bool has_intent, is_going, is_deployment_going, is_due;
	} rows[] = {
		{"a replica that serves", "analytics", true, false, false, true},
		{"a replica that goes", "analytics", true, true, false, false},
		{"a Deployment that goes", "verify", true, false, true, false},
		{"a proof", "verify", true, false, false, true},
		{"an intent that nobody knows", "dbt", true, false, true, false},
		{"no intent", "dbt", false, false, true, false},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct subject_of_test s;
		begin(&s, w, rows[i].intent, ACTIVE "," PAST);
		s.replica.is_deleting = rows[i].is_going;
		s.deployments[0].of.is_deleting = rows[i].is_deployment_going;
		if (!rows[i].has_intent) {
			free(s.replica.intent);
			s.replica.intent = NULL;
		}
		if (server_tls_is_due(trust, &s.replica, &s.view.scene, s.view.now_ms) != rows[i].is_due)
			fail_msg("%s: due is not %d", rows[i].label, rows[i].is_due);
		end(&s);
	}
}

static void what_people_cannot_be_told_is_an_error(void **state)
{
	struct world *w = *state;
	struct error err = {0};
	struct subject_of_test s;
	w->refuses_analytics = true;
	begin(&s, w, "analytics", ACTIVE "," GOOD);
	assert_error(server_tls_keep(&w->op, &s.view, &s.build, &err), err, ERROR_INVALID, "secret analytics-credentials: ");
	assert_int_equal(http_server_count(w->server), 1); // and it is not noted as told
	end(&s);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest cases[] = {
		CASE(something_is_due_when_the_cluster_says_so),
		CASE(what_is_in_order_costs_no_request),
		CASE(a_first_round_makes_the_certificate),
		CASE(without_the_setting_there_is_none),
		CASE(one_that_is_good_is_left_alone),
		CASE(one_that_is_due_is_renewed_as_it_was_read),
		CASE(one_that_somebody_took_away_is_made_again),
		CASE(people_are_given_the_new_ca_beside_the_old),
		CASE(people_are_told_when_tls_goes),
		CASE(a_secret_of_people_that_is_gone_holds_nothing_up),
		CASE(what_goes_or_is_for_nobody_needs_no_certificate),
		CASE(what_people_cannot_be_told_is_an_error),
	};
	return cmocka_run_group_tests_name("reconciler/server_tls", cases, NULL, NULL);
}
