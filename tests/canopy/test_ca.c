#include "base/clock.h"
#include "base/http.h"
#include "canopy/ca.h"
#include "tests/support/cmocka.h"
#include "tests/support/raw_server.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#define START_MS ((int64_t)1795000000000) // in November 2026
#define HOST "understory.pgro-system.svc"
#define YEARS 7
#define STEP_DAYS 5      // between two looks at what is due
#define POD_LIFE_DAYS 45 // far more than the four hours of a Job

static struct ca_names names;

static int setup(void **state)
{
	(void)state;
	struct error err = {0};
	const char *const extra[] = {"127.0.0.1", "broker.example.net", NULL};
	assert_ok(ca_service_names(&names, "understory", "pgro-system", extra, &err), err);
	return 0;
}

static X509 *read_cert(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	assert_non_null(cert);
	(void)BIO_free(bio);
	return cert;
}

static size_t count_certs(const char *pem)
{
	size_t count = 0;
	for (const char *at = pem; (at = strstr(at, "-----BEGIN CERTIFICATE-----")) != NULL; at++)
		count++;
	return count;
}

static bool same_first_cert(const char *one_pem, const char *other_pem)
{
	X509 *one = read_cert(one_pem), *other = read_cert(other_pem);
	bool is_same = X509_cmp(one, other) == 0;
	X509_free(one);
	X509_free(other);
	return is_same;
}

static X509_STORE *trust(const char *bundle_pem)
{
	X509_STORE *store = X509_STORE_new();
	BIO *bio = BIO_new_mem_buf(bundle_pem, -1);
	for (X509 *ca; (ca = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL; X509_free(ca))
		assert_int_equal(X509_STORE_add_cert(store, ca), 1);
	ERR_clear_error();
	(void)BIO_free(bio);
	return store;
}

// As a TLS client would at that time: X509_V_OK or why not.
static int verdict(const char *cert_pem, const char *bundle_pem, const char *host, int64_t at_ms)
{
	X509 *cert = read_cert(cert_pem);
	X509_STORE *store = trust(bundle_pem);
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	assert_int_equal(X509_STORE_CTX_init(ctx, store, cert, NULL), 1);
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_time(param, (time_t)(at_ms / 1000));
	assert_int_equal(X509_VERIFY_PARAM_set1_host(param, host, 0), 1);
	assert_int_equal(X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER), 1);
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);
	int rc = X509_verify_cert(ctx) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(ctx);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	X509_free(cert);
	return rc;
}

static void assert_verdict(const char *label, int got, int expected)
{
	if (got != expected)
		fail_msg("%s: %s, expected: %s", label, X509_verify_cert_error_string(got),
			X509_verify_cert_error_string(expected));
}

static bool renew(struct ca_state *ca, int64_t now_ms)
{
	struct error err = {0};
	bool changed = false;
	assert_ok(ca_renew_if_due(ca, names.list, now_ms, &changed, &err), err);
	return changed;
}

static void the_first_certificate_is_good_for_the_services_names(void **state)
{
	(void)state;
	AUTO(ca_state) struct ca_state ca = {0};
	assert_true(renew(&ca, START_MS));
	static const struct {
		const char *host;
		int verdict;
	} rows[] = {
		{"understory", X509_V_OK},
		{HOST, X509_V_OK},
		{HOST ".cluster.local", X509_V_OK},
		{"broker.example.net", X509_V_OK},
		{"127.0.0.1",
			X509_V_ERR_HOSTNAME_MISMATCH}, // an address is no host name; the handshake below shows that it counts
		{"other.pgro-system.svc", X509_V_ERR_HOSTNAME_MISMATCH},
		{"understory.other.svc", X509_V_ERR_HOSTNAME_MISMATCH},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_verdict(rows[i].host, verdict(ca.leaf.cert_pem, ca.bundle_pem, rows[i].host, START_MS), rows[i].verdict);
	assert_verdict("clock behind", verdict(ca.leaf.cert_pem, ca.bundle_pem, HOST, START_MS - 240000), X509_V_OK);
	assert_int_equal(count_certs(ca.bundle_pem), 1);
}

static void keys_are_p256_and_serve_their_purpose_alone(void **state)
{
	(void)state;
	AUTO(ca_state) struct ca_state ca = {0};
	assert_true(renew(&ca, START_MS));
	X509 *root = read_cert(ca.bundle_pem), *leaf = read_cert(ca.leaf.cert_pem);
	assert_int_equal(EVP_PKEY_get_bits(X509_get0_pubkey(root)), 256);
	assert_int_equal(EVP_PKEY_get_base_id(X509_get0_pubkey(leaf)), EVP_PKEY_EC);
	assert_int_equal(X509_get_key_usage(root), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
	assert_int_equal(X509_get_key_usage(leaf), KU_DIGITAL_SIGNATURE);
	assert_int_equal(X509_get_extended_key_usage(leaf), XKU_SSL_SERVER);
	assert_int_equal(X509_check_ca(leaf), 0);
	assert_int_equal(X509_get_pathlen(root), 0);
	assert_int_equal(ASN1_STRING_length(X509_get0_serialNumber(leaf)), 16);
	X509_free(root);
	X509_free(leaf);
}

static void nothing_changes_until_it_is_due(void **state)
{
	(void)state;
	AUTO(ca_state) struct ca_state ca = {0};
	int64_t leaf_due_ms = START_MS + CA_LEAF_LIFE_MS / 3 * 2;
	assert_true(renew(&ca, START_MS));
	AUTO_FREE char *cert = strdup(ca.leaf.cert_pem);
	AUTO_FREE char *bundle = strdup(ca.bundle_pem);
	assert_false(renew(&ca, START_MS));
	assert_false(renew(&ca, leaf_due_ms - CA_DAY_MS));
	assert_string_equal(ca.leaf.cert_pem, cert);
	assert_true(renew(&ca, leaf_due_ms));
	assert_string_not_equal(ca.leaf.cert_pem, cert);
	assert_string_equal(ca.bundle_pem, bundle);
	assert_false(renew(&ca, leaf_due_ms));
}

// Every pod holds the bundle of the day it was made and meets whatever is served while it lives.
static void pods_of_any_day_trust_what_is_served_through_years_of_renewals(void **state)
{
	(void)state;
	AUTO(ca_state) struct ca_state ca = {0};
	char *bundle_of[YEARS * 365] = {0};
	int cas = 0, leaves = 0;
	for (int day = 0; day < YEARS * 365; day += STEP_DAYS) {
		int64_t now_ms = START_MS + day * CA_DAY_MS;
		AUTO_FREE char *bundle = ca.bundle_pem == NULL ? NULL : strdup(ca.bundle_pem);
		char label[64];
		if (renew(&ca, now_ms)) {
			leaves++;
			cas += bundle == NULL || !same_first_cert(bundle, ca.bundle_pem) ? 1 : 0;
		}
		bundle_of[day] = strdup(ca.bundle_pem);
		assert_true(count_certs(ca.bundle_pem) <= 2);
		for (int age = 0; age <= POD_LIFE_DAYS && age <= day; age += 15) {
			(void)snprintf(label, sizeof(label), "day %d, pod of day %d", day, day - age);
			assert_verdict(label, verdict(ca.leaf.cert_pem, bundle_of[day - age], HOST, now_ms), X509_V_OK);
		}
	}
	for (int day = 0; day < YEARS * 365; day++)
		free(bundle_of[day]);
	assert_int_equal(cas, 1 + (YEARS - 1) / 2); // one every two years
	assert_true(leaves >= YEARS * 6);
}

static void the_new_ca_signs_only_after_clients_had_time_to_take_it(void **state)
{
	(void)state;
	AUTO(ca_state) struct ca_state ca = {0};
	assert_true(renew(&ca, START_MS));
	AUTO_FREE char *first_bundle = strdup(ca.bundle_pem);
	int64_t renewed_ms = START_MS + CA_LIFE_MS / 3 * 2;
	assert_true(renew(&ca, renewed_ms));
	assert_int_equal(count_certs(ca.bundle_pem), 2);
	assert_non_null(strstr(ca.bundle_pem, first_bundle));
	assert_verdict("old bundle", verdict(ca.leaf.cert_pem, first_bundle, HOST, renewed_ms), X509_V_OK);

	AUTO(cert_pair) struct cert_pair other = {0};
	struct error err = {0};
	assert_ok(ca_issue(&ca, names.list, renewed_ms, &other, &err), err);
	assert_verdict("new bundle, other server", verdict(other.cert_pem, ca.bundle_pem, HOST, renewed_ms), X509_V_OK);
	assert_verdict("old bundle, other server", verdict(other.cert_pem, first_bundle, HOST, renewed_ms), X509_V_OK);
	int64_t last_ms = renewed_ms + CA_PUBLISH_MS - 1000;
	assert_ok(ca_issue(&ca, names.list, last_ms, &other, &err), err);
	assert_verdict("old bundle, last day", verdict(other.cert_pem, first_bundle, HOST, last_ms), X509_V_OK);

	int64_t later_ms = renewed_ms + CA_PUBLISH_MS;
	assert_non_null(ca.old_key.bytes);
	assert_ok(ca_issue(&ca, names.list, later_ms, &other, &err), err);
	assert_verdict("old bundle, new CA", verdict(other.cert_pem, first_bundle, HOST, later_ms),
		X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
	assert_true(renew(&ca, later_ms));
	assert_null(ca.old_key.bytes);
	assert_verdict("old bundle, later", verdict(ca.leaf.cert_pem, first_bundle, HOST, later_ms),
		X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
	assert_true(renew(&ca, START_MS + CA_LIFE_MS));
	assert_int_equal(count_certs(ca.bundle_pem), 1);
}

// The old CA is used up to its last quarter only: what it signs has a whole life.
static void a_late_renewal_shows_the_new_ca_for_less_long(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(ca_state) struct ca_state ca = {0};
	AUTO(cert_pair) struct cert_pair made = {0};
	struct cert_validity life;
	assert_true(renew(&ca, START_MS));
	AUTO_FREE char *first_bundle = strdup(ca.bundle_pem);
	int64_t now_ms = START_MS + CA_LIFE_MS - CA_LEAF_LIFE_MS;
	assert_true(renew(&ca, now_ms));
	assert_ok(ca_issue(&ca, names.list, now_ms, &made, &err), err);
	assert_verdict("just in time", verdict(made.cert_pem, first_bundle, HOST, now_ms), X509_V_OK);
	assert_ok(ca_issue(&ca, names.list, now_ms + 1000, &made, &err), err);
	assert_true(cert_is_signed_by(made.cert_pem, ca.bundle_pem));
	assert_false(cert_is_signed_by(made.cert_pem, first_bundle));
	assert_ok(cert_validity(made.cert_pem, &life, &err), err);
	assert_int_equal(life.until_ms, now_ms + 1000 + CA_LEAF_LIFE_MS);
}

static void a_certificate_is_due_for_its_age_its_names_its_key_and_its_ca(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(ca_state) struct ca_state ca = {0};
	AUTO(ca_state) struct ca_state stranger = {0};
	AUTO(cert_pair) struct cert_pair leaf = {0};
	const char *const others[] = {"postgres.other.svc", NULL};
	int64_t renew_at_ms = 0;
	assert_true(renew(&ca, START_MS));
	assert_true(renew(&stranger, START_MS));
	assert_true(ca_is_due(ca.bundle_pem, &leaf, names.list, START_MS));
	assert_ok(ca_issue(&ca, names.list, START_MS, &leaf, &err), err);
	assert_ok(ca_renew_at(leaf.cert_pem, &renew_at_ms, &err), err);
	assert_false(ca_is_due(ca.bundle_pem, &leaf, names.list, START_MS));
	assert_false(ca_is_due(ca.bundle_pem, &leaf, names.list, renew_at_ms - 1));
	assert_true(ca_is_due(ca.bundle_pem, &leaf, names.list, renew_at_ms));
	assert_true(ca_is_due(ca.bundle_pem, &leaf, others, START_MS));
	assert_true(ca_is_due(stranger.bundle_pem, &leaf, names.list, START_MS));
	assert_ok(secret_set(&leaf.key_pem, secret_reveal(&ca.leaf.key_pem), &err), err);
	assert_true(ca_is_due(ca.bundle_pem, &leaf, names.list, START_MS));
}

static void an_operator_that_was_away_for_years_starts_anew(void **state)
{
	(void)state;
	AUTO(ca_state) struct ca_state ca = {0};
	int64_t now_ms = START_MS + CA_LIFE_MS + CA_DAY_MS;
	assert_true(renew(&ca, START_MS));
	assert_true(renew(&ca, now_ms));
	assert_int_equal(count_certs(ca.bundle_pem), 1);
	assert_verdict("after years", verdict(ca.leaf.cert_pem, ca.bundle_pem, HOST, now_ms), X509_V_OK);
}

static void a_certificate_never_outlives_its_ca(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(ca_state) struct ca_state ca = {0};
	AUTO(cert_pair) struct cert_pair late = {0};
	struct cert_validity ca_life, leaf_life;
	assert_true(renew(&ca, START_MS));
	assert_ok(ca_issue(&ca, names.list, START_MS + CA_LIFE_MS - CA_DAY_MS, &late, &err), err);
	assert_ok(cert_validity(ca.bundle_pem, &ca_life, &err), err);
	assert_ok(cert_validity(late.cert_pem, &leaf_life, &err), err);
	assert_int_equal(leaf_life.until_ms, ca_life.until_ms);
}

static void another_name_brings_another_certificate_of_the_same_ca(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(ca_state) struct ca_state ca = {0};
	struct ca_names moved;
	bool changed = false;
	assert_true(renew(&ca, START_MS));
	AUTO_FREE char *bundle = strdup(ca.bundle_pem);
	assert_ok(ca_service_names(&moved, "understory", "elsewhere", NULL, &err), err);
	assert_ok(ca_renew_if_due(&ca, moved.list, START_MS, &changed, &err), err);
	assert_true(changed);
	assert_string_equal(ca.bundle_pem, bundle);
	assert_verdict("moved", verdict(ca.leaf.cert_pem, bundle, "understory.elsewhere.svc", START_MS), X509_V_OK);
}

static void names_that_are_none_are_refused(void **state)
{
	(void)state;
	AUTO(ca_state) struct ca_state ca = {0};
	static const char *const rows[] = {
		"", "a b", "a,DNS:evil", "*.example.net", ".a", "a..b", "-a", "a\nb", "1.2.3.4/8", "::g", "a_b"};
	assert_true(renew(&ca, START_MS));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		AUTO(cert_pair) struct cert_pair made = {0};
		const char *const list[] = {"good", rows[i], NULL};
		assert_error(ca_issue(&ca, list, START_MS, &made, &err), err, ERROR_INVALID, "is no DNS name and no IP address");
	}
	struct error err = {0};
	AUTO(cert_pair) struct cert_pair made = {0};
	const char *const none[] = {NULL};
	assert_error(ca_issue(&ca, none, START_MS, &made, &err), err, ERROR_INVALID, "needs a name");
	const char *const many[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", NULL};
	struct ca_names out;
	assert_error(ca_service_names(&out, "s", "n", many, &err), err, ERROR_INVALID, "more than 8");
	char long_name[300] = {0};
	memset(long_name, 'a', sizeof(long_name) - 1);
	assert_error(ca_service_names(&out, long_name, "n", NULL, &err), err, ERROR_INVALID, "is too long");
	long_name[CA_NAME_SIZE - strlen(".svc.cluster.local") - 2] = '\0'; // fits alone, and then with less and less behind it
	assert_error(ca_service_names(&out, long_name, "n", NULL, &err), err, ERROR_INVALID, "is too long");
	const char *const extra[] = {long_name, NULL};
	assert_ok(ca_service_names(&out, "s", "n", extra, &err), err);
	assert_error(ca_service_names(&out, "s", long_name, NULL, &err), err, ERROR_INVALID, "is too long");
	memset(long_name, 'a', sizeof(long_name) - 1);
	assert_error(ca_service_names(&out, "s", "n", extra, &err), err, ERROR_INVALID, "is too long");
	assert_error(ca_service_names(&out, "s", long_name, NULL, &err), err, ERROR_INVALID, "is too long");
}

static void a_secret_keeps_the_whole_state(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(ca_state) struct ca_state ca = {0};
	AUTO(ca_state) struct ca_state back = {0};
	AUTO(json) json_t *data = NULL;
	assert_true(renew(&ca, START_MS));
	assert_true(renew(&ca, START_MS + CA_LIFE_MS / 3 * 2));
	assert_ok(ca_encode(&ca, &data, &err), err);
	assert_int_equal(json_object_size(data), 5);
	assert_ok(ca_decode(data, &back, &err), err);
	assert_string_equal(back.bundle_pem, ca.bundle_pem);
	assert_string_equal(back.leaf.cert_pem, ca.leaf.cert_pem);
	assert_string_equal(secret_reveal(&back.key), secret_reveal(&ca.key));
	assert_string_equal(secret_reveal(&back.old_key), secret_reveal(&ca.old_key));
	assert_string_not_equal(secret_reveal(&back.old_key), "");
	assert_string_equal(secret_reveal(&back.leaf.key_pem), secret_reveal(&ca.leaf.key_pem));
	assert_false(renew(&back, START_MS + CA_LIFE_MS / 3 * 2));
}

static void states_are_the_same_when_all_of_them_is(void **state)
{
	(void)state;
	const char *const list[] = {"good", NULL};
	struct error err = {0};
	struct ca_state none = {0};
	AUTO(ca_state) struct ca_state ca = {0};
	AUTO(ca_state) struct ca_state other = {0};
	AUTO(cert_pair) struct cert_pair made = {0};
	assert_true(renew(&ca, START_MS));
	assert_true(renew(&other, START_MS));
	assert_true(ca_is_same(&none, &none));
	assert_true(ca_is_same(&ca, &ca));
	assert_false(ca_is_same(&ca, &none));
	assert_false(ca_is_same(&none, &ca));
	assert_false(ca_is_same(&ca, &other));
	assert_error(ca_issue(&none, list, START_MS, &made, &err), err, ERROR_INTERNAL, "the operator has no CA yet");
}

static void no_secret_yet_is_an_empty_state(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(ca_state) struct ca_state ca = {0};
	AUTO(json) json_t *other = json_pack("{s:s}", "other", "eA==");
	assert_ok(ca_decode(NULL, &ca, &err), err);
	assert_null(ca.bundle_pem);
	assert_ok(ca_decode(other, &ca, &err), err);
	assert_null(ca.bundle_pem);
}

static void a_damaged_ca_is_an_error_and_a_damaged_leaf_is_made_again(void **state)
{
	(void)state;
	AUTO(ca_state) struct ca_state ca = {0};
	static const struct {
		const char *key, *value; // NULL: absent
		bool is_refused;
	} rows[] = {
		{"ca.crt", NULL, true},
		{"ca.crt", "bm8gUEVN", true},
		{"ca.crt", "%%%", true},
		{"ca.key", NULL, true},
		{"ca.key", "", true},
		{"tls.crt", NULL, false},
		{"tls.crt", "%%%", false},
		{"tls.key", "bm8gUEVN", false},
		{"tls.key", NULL, false},
	};
	assert_true(renew(&ca, START_MS));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		AUTO(json) json_t *data = NULL;
		AUTO(ca_state) struct ca_state back = {0};
		assert_ok(ca_encode(&ca, &data, &err), err);
		if (rows[i].value == NULL)
			assert_int_equal(json_object_del(data, rows[i].key), 0);
		else
			assert_int_equal(json_object_set_new(data, rows[i].key, json_string(rows[i].value)), 0);
		if (rows[i].is_refused) {
			assert_error(ca_decode(data, &back, &err), err, ERROR_INVALID, "CA of the operator");
			continue;
		}
		assert_ok(ca_decode(data, &back, &err), err);
		assert_true(renew(&back, START_MS));
		assert_string_equal(back.bundle_pem, ca.bundle_pem);
		assert_verdict(rows[i].key, verdict(back.leaf.cert_pem, ca.bundle_pem, HOST, START_MS), X509_V_OK);
	}
}

static void another_cas_key_is_refused(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(ca_state) struct ca_state ca = {0};
	AUTO(ca_state) struct ca_state other = {0};
	AUTO(ca_state) struct ca_state back = {0};
	AUTO(json) json_t *data = NULL;
	assert_true(renew(&ca, START_MS));
	assert_true(renew(&other, START_MS));
	assert_ok(secret_set(&ca.key, secret_reveal(&other.key), &err), err);
	assert_ok(ca_encode(&ca, &data, &err), err);
	assert_error(ca_decode(data, &back, &err), err, ERROR_INVALID, "do not belong together");
}

static void hello(void *arg, struct raw_connection *connection, int number)
{
	char request[4096];
	(void)arg;
	(void)number;
	if (raw_read_request(connection, request, sizeof(request)))
		raw_write(connection, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

// 0, or -1 when the client does not accept the server.
static int shake_hands(const struct cert_pair *leaf, const char *bundle_pem, const char *host)
{
	struct error err = {0};
	AUTO(http_client) struct http_client *client = NULL;
	char url[64];
	const struct raw_server_tls tls = {.cert_pem = leaf->cert_pem, .key_pem = secret_reveal(&leaf->key_pem)};
	struct raw_server *server = raw_server_start(hello, NULL, &tls);
	const struct http_options options = {.ca_pem = bundle_pem, .tls_server_name = host};
	assert_ok(http_client_new(&options, &client, &err), err);
	(void)snprintf(url, sizeof(url), "https://127.0.0.1:%d/", raw_server_port(server));
	const struct http_request request = {.method = "GET", .url = url};
	struct http_response response;
	int rc = http_do(client, &request, &response, &err);
	if (rc == 0)
		http_response_fini(&response);
	raw_server_stop(server);
	return rc;
}

static void handshakes_go_on_through_a_renewal(void **state)
{
	(void)state;
	AUTO(ca_state) struct ca_state ca = {0};
	AUTO(ca_state) struct ca_state stranger = {0};
	int64_t now_ms = clock_wall_ms();
	int64_t leaf_turn_ms = CA_LEAF_LIFE_MS / 3 * 2;
	int64_t ca_renewed_ms = now_ms - leaf_turn_ms;
	int64_t made_ms = ca_renewed_ms - CA_LIFE_MS / 3 * 2;

	assert_true(renew(&stranger, now_ms));
	assert_true(renew(&ca, made_ms));
	AUTO_FREE char *first_bundle = strdup(ca.bundle_pem);
	assert_true(renew(&ca, ca_renewed_ms));
	assert_int_equal(shake_hands(&ca.leaf, first_bundle, HOST), 0);
	assert_int_equal(shake_hands(&ca.leaf, ca.bundle_pem, HOST), 0);
	assert_int_equal(shake_hands(&ca.leaf, ca.bundle_pem, NULL), 0); // the address of the URL
	assert_int_equal(shake_hands(&ca.leaf, ca.bundle_pem, "other.svc"), -1);
	assert_int_equal(shake_hands(&ca.leaf, stranger.bundle_pem, HOST), -1);
	assert_true(renew(&ca, now_ms));
	assert_int_equal(shake_hands(&ca.leaf, ca.bundle_pem, HOST), 0);
	assert_int_equal(shake_hands(&ca.leaf, first_bundle, HOST), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_certificate_is_good_for_the_services_names),
		cmocka_unit_test(keys_are_p256_and_serve_their_purpose_alone),
		cmocka_unit_test(nothing_changes_until_it_is_due),
		cmocka_unit_test(pods_of_any_day_trust_what_is_served_through_years_of_renewals),
		cmocka_unit_test(the_new_ca_signs_only_after_clients_had_time_to_take_it),
		cmocka_unit_test(a_late_renewal_shows_the_new_ca_for_less_long),
		cmocka_unit_test(a_certificate_is_due_for_its_age_its_names_its_key_and_its_ca),
		cmocka_unit_test(an_operator_that_was_away_for_years_starts_anew),
		cmocka_unit_test(a_certificate_never_outlives_its_ca),
		cmocka_unit_test(another_name_brings_another_certificate_of_the_same_ca),
		cmocka_unit_test(names_that_are_none_are_refused),
		cmocka_unit_test(a_secret_keeps_the_whole_state),
		cmocka_unit_test(states_are_the_same_when_all_of_them_is),
		cmocka_unit_test(no_secret_yet_is_an_empty_state),
		cmocka_unit_test(a_damaged_ca_is_an_error_and_a_damaged_leaf_is_made_again),
		cmocka_unit_test(another_cas_key_is_refused),
		cmocka_unit_test(handshakes_go_on_through_a_renewal),
	};
	return cmocka_run_group_tests_name("canopy/ca", tests, setup, NULL);
}
