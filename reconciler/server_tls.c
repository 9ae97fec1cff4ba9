#include "reconciler/server_tls.h"

#include "base/log.h"
#include "canopy/intents.h"
#include "reconciler/adopt.h"
#include "reconciler/secret_data.h"
#include <stdio.h>
#include <string.h>

void server_tls_name(const char *namespace, char out[CHECK_TLS_NAME_SIZE])
{
	(void)snprintf(out, CHECK_TLS_NAME_SIZE, "%s.%s.svc", NAME_SERVICE, namespace);
}

// The ways to write the Service's name inside a cluster.
struct server_names {
	char texts[3][CA_NAME_SIZE];
	const char *list[5]; // NULL at the end
};

static void server_names(const char *namespace, struct server_names *out)
{
	static const char *const ends[] = {"", ".svc", ".svc.cluster.local"};
	*out = (struct server_names){.list = {NAME_SERVICE}};
	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(out->texts[i], CA_NAME_SIZE, "%s.%s%s", NAME_SERVICE, namespace, ends[i]);
		out->list[i + 1] = out->texts[i];
	}
}

// --- what is due

static bool certificate_is_due(const struct replica *replica, const struct scene *scene, int64_t now_ms)
{
	bool is_shown = false;
	for (size_t i = 0; i < scene->deployment_count; i++)
		is_shown = is_shown || (scene->deployments[i].has_tls && !scene->deployments[i].of.is_deleting);
	return is_shown && (replica->tls_renew_at_ms == REPLICA_NEVER || now_ms >= replica->tls_renew_at_ms);
}

// What people should have been told of the round that serves: the id of the CAs, "" that it speaks plainly, NULL when nobody
// comes.
static const char *wanted_word(const struct trust *trust, const struct replica *replica, const struct scene *scene)
{
	int intent = replica->intent == NULL ? -1 : intents_find(replica->intent);
	const struct deployment_view *serving = scene_deployment(scene, replica->active_round);
	if (intent < 0 || intents_is_once((enum settings_intent)intent) || serving == NULL)
		return NULL;
	return serving->has_tls ? trust->id : "";
}

static bool word_is_due(const struct trust *trust, const struct replica *replica, const struct scene *scene)
{
	const char *wanted = wanted_word(trust, replica, scene);
	return wanted != NULL && strcmp(wanted, replica->tls_ca) != 0;
}

bool server_tls_is_due(const struct trust *trust, const struct replica *replica, const struct scene *scene, int64_t now_ms)
{
	return trust != NULL && !replica->is_deleting &&
	       (certificate_is_due(replica, scene, now_ms) || word_is_due(trust, replica, scene));
}

// --- the certificate

static int issue(struct manager *op, const struct round_view *v, struct cert_pair *out, int64_t *renew_at_ms, struct error *err)
{
	struct server_names names;
	server_names(v->replica->namespace, &names);
	if (authority_issue(op->authority, names.list, v->now_ms, out, err) < 0 ||
		ca_renew_at(out->cert_pem, renew_at_ms, err) < 0)
		return error_wrap(err, "certificate of the database");
	log_info("certificate issued", LOG_STR("namespace", v->replica->namespace));
	return 0;
}

static int make(struct manager *op, const struct round_view *v, const struct build *b, struct adopted *found,
	int64_t *renew_at_ms, struct error *err)
{
	AUTO(cert_pair) struct cert_pair pair = {0};
	AUTO(json) json_t *object = NULL;
	if (issue(op, v, &pair, renew_at_ms, err) < 0 || build_tls_secret(b, &pair, &object, err) < 0)
		return -1;
	return adopt_create(op, &K8S_SECRET, v->replica, object, v->now_ms, found, err);
}

// What cannot be read stays empty and is issued anew.
static void read_pair(const json_t *secret, struct cert_pair *out)
{
	struct error ignored;
	AUTO(secret) struct secret cert = {0};
	const json_t *data = json_object_get(secret, "data");
	if (secret_data_get(data, "tls.crt", &cert, &ignored) < 0 ||
		secret_data_get(data, "tls.key", &out->key_pem, &ignored) < 0)
		return;
	out->cert_pem = TAKE_PTR(cert.bytes);
}

// Another operator may have been faster: what is there and good stays, and of two writes one wins.
static int renew(struct manager *op, const struct round_view *v, const struct build *b, int64_t *renew_at_ms, struct error *err)
{
	AUTO(json) json_t *there = NULL;
	AUTO(json) json_t *object = NULL;
	AUTO(cert_pair) struct cert_pair pair = {0};
	struct server_names names;
	const char *namespace = v->replica->namespace;

	if (k8s_get(op->k8s, &K8S_SECRET, namespace, NAME_TLS_SECRET, &there, err) < 0)
		return -1;
	server_names(namespace, &names);
	read_pair(there, &pair);
	if (!ca_is_due(b->postgres_ca_pem, &pair, names.list, v->now_ms))
		return ca_renew_at(pair.cert_pem, renew_at_ms, err);
	if (issue(op, v, &pair, renew_at_ms, err) < 0 || build_tls_secret(b, &pair, &object, err) < 0)
		return -1;
	AUTO(json)
	json_t *body = json_pack("{s:{s:s?}, s:O}", "metadata", "resourceVersion",
		json_find_str(there, "metadata", "resourceVersion"), "data", json_object_get(object, "data"));
	if (body == NULL)
		return error_no_memory(err, "secret");
	return k8s_patch(op->k8s, &K8S_SECRET, namespace, NAME_TLS_SECRET, body, NULL, err);
}

static int have_certificate(
	struct manager *op, const struct round_view *v, const struct build *b, struct patch *p, struct error *err)
{
	int64_t renew_at_ms = 0;
	struct adopted found = {.result = ADOPT_FOUND};
	int rc = -1;
	// The annotation says that it should be there: then it is looked for before one is made.
	bool is_known = v->replica->tls_renew_at_ms != REPLICA_NEVER;
	if (is_known)
		rc = renew(op, v, b, &renew_at_ms, err);
	if (!is_known || (rc < 0 && err->kind == ERROR_NOT_FOUND)) {
		rc = make(op, v, b, &found, &renew_at_ms, err);
		if (rc == 0 && found.result == ADOPT_FOUND)
			rc = renew(op, v, b, &renew_at_ms, err);
	}
	if (rc < 0) {
		(void)adopt_soften(v->replica, v->now_ms, err);
		return error_wrap(err, "secret %s", NAME_TLS_SECRET);
	}
	if (renew_at_ms != v->replica->tls_renew_at_ms)
		patch_set_time(p, ANN_TLS_RENEW_AT, renew_at_ms);
	return 0;
}

int server_tls_provide(struct manager *op, const struct round_view *v, const struct build *b, struct patch *p, struct error *err)
{
	return b->settings->postgres_tls ? have_certificate(op, v, b, p, err) : 0;
}

// --- what people are told

void server_tls_note_told(const struct build *b, const struct trust *trust, struct patch *p)
{
	patch_set(p, ANN_TLS_CA, b->postgres_ca_pem == NULL || trust == NULL ? NULL : trust->id);
}

// Where somebody has taken the Secret away there is nothing to bring up to date: the next round makes it.
static int tell(struct manager *op, const struct round_view *v, const struct trust *trust, struct patch *p, struct error *err)
{
	AUTO(json) json_t *body = NULL;
	const char *wanted = wanted_word(trust, v->replica, &v->scene);
	bool has_tls = wanted != NULL && wanted[0] != '\0';
	if (build_analytics_tls(has_tls ? trust->bundle_pem : NULL, &body, err) < 0)
		return -1;
	if (k8s_patch(op->k8s, &K8S_SECRET, v->replica->namespace, NAME_ANALYTICS_SECRET, body, NULL, err) < 0 &&
		err->kind != ERROR_NOT_FOUND)
		return error_wrap(err, "secret %s", NAME_ANALYTICS_SECRET);
	patch_set(p, ANN_TLS_CA, has_tls ? trust->id : NULL);
	return 0;
}

int server_tls_keep(struct manager *op, struct round_view *v, const struct build *b, struct error *err)
{
	AUTO(patch) struct patch p = {0};
	const struct trust *trust = authority_trust(op->authority);
	if (!server_tls_is_due(trust, v->replica, &v->scene, v->now_ms))
		return 0;
	// A round that speaks TLS may have been made before POSTGRES_TLS was turned off.
	struct build with = *b;
	with.postgres_ca_pem = trust->bundle_pem;
	patch_init(&p, v->replica);
	if (certificate_is_due(v->replica, &v->scene, v->now_ms) && have_certificate(op, v, &with, &p, err) < 0)
		return -1;
	if (word_is_due(trust, v->replica, &v->scene) && tell(op, v, trust, &p, err) < 0)
		return -1;
	return patch_send(&p, op->k8s, v->replica, err);
}
