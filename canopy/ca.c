#include "canopy/ca.h"

#include "base/encode.h"
#include <stdio.h>
#include <string.h>

#define COMMON_NAME "understory CA"

void ca_state_fini(struct ca_state *state)
{
	free(state->bundle_pem);
	secret_fini(&state->key);
	secret_fini(&state->old_key);
	cert_pair_fini(&state->leaf);
	*state = (struct ca_state){0};
}

static int add_name(struct ca_names *names, size_t *count, int len, struct error *err)
{
	if (len >= CA_NAME_SIZE)
		return error_set(err, ERROR_INVALID, "name of the broker \"%s...\" is too long", names->texts[*count]);
	names->list[*count] = names->texts[*count];
	names->list[++*count] = NULL;
	return 0;
}

int ca_service_names(
	struct ca_names *out, const char *service, const char *namespace, const char *const *extra, struct error *err)
{
	size_t n = 0;
	if (add_name(out, &n, snprintf(out->texts[n], CA_NAME_SIZE, "%s", service), err) < 0 ||
		add_name(out, &n, snprintf(out->texts[n], CA_NAME_SIZE, "%s.%s.svc", service, namespace), err) < 0 ||
		add_name(out, &n, snprintf(out->texts[n], CA_NAME_SIZE, "%s.%s.svc.cluster.local", service, namespace), err) < 0)
		return -1;
	for (size_t i = 0; extra != NULL && extra[i] != NULL; i++) {
		if (i == CA_EXTRA_MAX)
			return error_set(err, ERROR_INVALID, "more than %d extra names of the broker", CA_EXTRA_MAX);
		if (add_name(out, &n, snprintf(out->texts[n], CA_NAME_SIZE, "%s", extra[i]), err) < 0)
			return -1;
	}
	return 0;
}

// *out is NULL when the key is absent.
static int read_value(const json_t *data, const char *key, struct secret *out, struct error *err)
{
	const char *text = json_find_str(data, key);
	char *value = NULL;
	size_t len = 0;
	if (text == NULL)
		return 0;
	if (encode_unbase64(text, &value, &len, err) < 0)
		return err->kind == ERROR_INVALID ? error_set(err, ERROR_INVALID, "\"%s\" is no base64", key) : -1;
	*out = (struct secret){.bytes = value, .len = len};
	return 0;
}

static int read_leaf(const json_t *data, struct ca_state *state, struct error *err)
{
	AUTO(secret) struct secret cert = {0};
	AUTO(secret) struct secret key = {0};
	struct error why = {0};
	bool matches = false;
	if (read_value(data, "tls.crt", &cert, &why) < 0 || read_value(data, "tls.key", &key, &why) < 0 ||
		cert_matches_key(secret_reveal(&cert), &key, &matches, &why) < 0) {
		if (why.kind != ERROR_INVALID) {
			*err = why;
			return -1;
		}
		return 0;
	}
	if (!matches)
		return 0;
	state->leaf.cert_pem = strdup(secret_reveal(&cert));
	if (state->leaf.cert_pem == NULL)
		return error_no_memory(err, "serving certificate");
	state->leaf.key_pem = key;
	key = (struct secret){0};
	return 0;
}

// The CA before the one that is in force; NULL when there is none.
static const char *second_of(const char *bundle_pem)
{
	return bundle_pem == NULL || bundle_pem[0] == '\0' ? NULL : strstr(bundle_pem + 1, "-----BEGIN CERTIFICATE-----");
}

// One that does not fit is left out: then the CA in force signs earlier than it would have.
static int read_old_key(const json_t *data, struct ca_state *state, struct error *err)
{
	const char *old_pem = second_of(state->bundle_pem);
	bool matches = false;
	if (read_value(data, "previous.key", &state->old_key, err) < 0)
		return -1;
	if (old_pem != NULL && state->old_key.bytes != NULL && cert_matches_key(old_pem, &state->old_key, &matches, err) < 0)
		return -1;
	if (!matches)
		secret_fini(&state->old_key);
	return 0;
}

int ca_decode(const json_t *data, struct ca_state *out, struct error *err)
{
	AUTO(ca_state) struct ca_state state = {0};
	AUTO(secret) struct secret bundle = {0};
	if (read_value(data, "ca.crt", &bundle, err) < 0 || read_value(data, "ca.key", &state.key, err) < 0)
		return error_wrap(err, "CA of the operator");
	if (bundle.bytes != NULL || state.key.bytes != NULL) {
		bool matches = false;
		if (cert_matches_key(secret_reveal(&bundle), &state.key, &matches, err) < 0)
			return error_wrap(err, "CA of the operator");
		if (!matches)
			return error_set(err, ERROR_INVALID,
				"CA of the operator: ca.crt and ca.key cannot be read or do not belong together; hint: delete "
				"the Secret to have a new CA made, which restores in flight will not trust");
		state.bundle_pem = strdup(secret_reveal(&bundle));
		if (state.bundle_pem == NULL)
			return error_no_memory(err, "CA of the operator");
		if (read_old_key(data, &state, err) < 0)
			return error_wrap(err, "CA of the operator");
		if (read_leaf(data, &state, err) < 0)
			return -1;
	}
	ca_state_fini(out);
	*out = state;
	state = (struct ca_state){0};
	return 0;
}

static int add_value(json_t *data, const char *key, const char *text, struct error *err)
{
	size_t len = strlen(text);
	size_t room = ENCODE_BASE64_SIZE(len);
	char *encoded = malloc(room);
	if (encoded == NULL)
		return error_no_memory(err, key);
	encode_base64(text, len, encoded);
	int rc = json_object_set_new(data, key, json_string(encoded));
	secret_wipe(encoded, room);
	free(encoded);
	return rc < 0 ? error_no_memory(err, key) : 0;
}

int ca_encode(const struct ca_state *state, json_t **out, struct error *err)
{
	AUTO(json) json_t *data = json_object();
	if (data == NULL)
		return error_no_memory(err, "CA of the operator");
	if (add_value(data, "ca.crt", state->bundle_pem == NULL ? "" : state->bundle_pem, err) < 0 ||
		add_value(data, "ca.key", secret_reveal(&state->key), err) < 0 ||
		add_value(data, "previous.key", secret_reveal(&state->old_key), err) < 0 ||
		add_value(data, "tls.crt", state->leaf.cert_pem == NULL ? "" : state->leaf.cert_pem, err) < 0 ||
		add_value(data, "tls.key", secret_reveal(&state->leaf.key_pem), err) < 0)
		return -1;
	*out = TAKE_PTR(data);
	return 0;
}

static int64_t due_ms(const struct cert_validity *validity)
{
	return validity->from_ms + (validity->until_ms - validity->from_ms) / 3 * 2;
}

int ca_renew_at(const char *cert_pem, int64_t *out_ms, struct error *err)
{
	struct cert_validity validity;
	if (cert_validity(cert_pem, &validity, err) < 0)
		return -1;
	*out_ms = due_ms(&validity);
	return 0;
}

bool ca_is_due(const char *bundle_pem, const struct cert_pair *leaf, const char *const *names, int64_t now_ms)
{
	struct error ignored;
	int64_t renew_at_ms = 0;
	bool matches = false;
	return leaf->cert_pem == NULL || ca_renew_at(leaf->cert_pem, &renew_at_ms, &ignored) < 0 || now_ms >= renew_at_ms ||
	       cert_matches_key(leaf->cert_pem, &leaf->key_pem, &matches, &ignored) < 0 || !matches ||
	       !cert_has_names(leaf->cert_pem, names) || !cert_is_signed_by(leaf->cert_pem, bundle_pem);
}

// Whether the CA in force is still being made known, while the one before it can sign for a whole life.
static int check_publishing(const struct ca_state *state, int64_t now_ms, bool *out, struct error *err)
{
	struct cert_validity first, second;
	const char *old_pem = second_of(state->bundle_pem);
	*out = false;
	if (old_pem == NULL || state->old_key.bytes == NULL)
		return 0;
	if (cert_validity(state->bundle_pem, &first, err) < 0 || cert_validity(old_pem, &second, err) < 0)
		return -1;
	*out = now_ms < first.from_ms + CERT_BACKDATE_MS + CA_PUBLISH_MS && now_ms + CA_LEAF_LIFE_MS <= second.until_ms;
	return 0;
}

static int issue_leaf(
	const struct ca_state *by, const char *const *names, int64_t now_ms, struct cert_pair *out, struct error *err)
{
	bool is_publishing = false;
	if (check_publishing(by, now_ms, &is_publishing, err) < 0)
		return -1;
	// The CA as something to issue with: borrowed, so never released. cert_issue() reads the first certificate of its text.
	union {
		const char *borrowed;
		char *field;
	} pem = {.borrowed = is_publishing ? second_of(by->bundle_pem) : by->bundle_pem};
	const struct cert_pair issuer = {.cert_pem = pem.field, .key_pem = is_publishing ? by->old_key : by->key};
	return cert_issue(&issuer, names, now_ms, CA_LEAF_LIFE_MS, out, err);
}

static int make_ca(const char *old_bundle_pem, int64_t now_ms, struct ca_state *out, struct error *err)
{
	AUTO(cert_pair) struct cert_pair made = {0};
	if (cert_make_ca(COMMON_NAME, now_ms, CA_LIFE_MS, &made, err) < 0 ||
		cert_bundle(made.cert_pem, old_bundle_pem, now_ms, &out->bundle_pem, err) < 0)
		return -1;
	out->key = made.key_pem;
	made.key_pem = (struct secret){0};
	return 0;
}

static int copy_key(const struct secret *from, struct secret *to, struct error *err)
{
	return secret_set(to, from->bytes == NULL ? NULL : secret_reveal(from), err);
}

// The CA of the new state: the old one, or a new one in front of it.
static int next_ca(const struct ca_state *old, int64_t now_ms, struct ca_state *out, struct error *err)
{
	struct cert_validity validity = {0};
	if (old->bundle_pem == NULL)
		return make_ca(NULL, now_ms, out, err);
	if (cert_validity(old->bundle_pem, &validity, err) < 0)
		return -1;
	if (now_ms >= validity.until_ms)
		return make_ca(NULL, now_ms, out, err);
	if (now_ms >= due_ms(&validity))
		return copy_key(&old->key, &out->old_key, err) < 0 ? -1 : make_ca(old->bundle_pem, now_ms, out, err);
	bool is_publishing = false;
	if (copy_key(&old->key, &out->key, err) < 0 || check_publishing(old, now_ms, &is_publishing, err) < 0 ||
		(is_publishing && copy_key(&old->old_key, &out->old_key, err) < 0))
		return -1;
	return cert_bundle(old->bundle_pem, old->bundle_pem, now_ms, &out->bundle_pem, err);
}

// The serving certificate of the new state.
static int next_leaf(
	const struct ca_state *old, const char *const *names, int64_t now_ms, struct ca_state *out, struct error *err)
{
	if (old->leaf.cert_pem != NULL) {
		out->leaf.cert_pem = strdup(old->leaf.cert_pem);
		if (out->leaf.cert_pem == NULL)
			return error_no_memory(err, "serving certificate");
		if (copy_key(&old->leaf.key_pem, &out->leaf.key_pem, err) < 0)
			return -1;
	}
	return ca_is_due(out->bundle_pem, &out->leaf, names, now_ms) ? issue_leaf(out, names, now_ms, &out->leaf, err) : 0;
}

static bool same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool ca_is_same(const struct ca_state *a, const struct ca_state *b)
{
	return same_text(a->bundle_pem, b->bundle_pem) && same_text(a->leaf.cert_pem, b->leaf.cert_pem) &&
	       same_text(secret_reveal(&a->key), secret_reveal(&b->key)) &&
	       same_text(secret_reveal(&a->old_key), secret_reveal(&b->old_key));
}

int ca_renew_if_due(struct ca_state *state, const char *const *names, int64_t now_ms, bool *changed, struct error *err)
{
	AUTO(ca_state) struct ca_state next = {0};
	if (next_ca(state, now_ms, &next, err) < 0 || next_leaf(state, names, now_ms, &next, err) < 0)
		return error_wrap(err, "CA of the operator");
	*changed = !ca_is_same(state, &next);
	ca_state_fini(state);
	*state = next;
	next = (struct ca_state){0};
	return 0;
}

int ca_issue(const struct ca_state *state, const char *const *names, int64_t now_ms, struct cert_pair *out, struct error *err)
{
	if (state->bundle_pem == NULL)
		return error_set(err, ERROR_INTERNAL, "the operator has no CA yet");
	return issue_leaf(state, names, now_ms, out, err);
}
