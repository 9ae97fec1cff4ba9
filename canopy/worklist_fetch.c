// GET /restore-worklist: a body equal to the last one is not decoded again.
//
// Whether a body is equal is known at its end, when a stream has gone by, and a worklist may be too long to be held. So: the
// SHA-256 of the body is taken as it arrives. The first body is decoded as it arrives. Of later ones up to HOLD_MAX bytes are
// held, and when the digest is a new one they are decoded from there. A later body that is longer is only digested, and asked for
// once more when its digest is a new one: one more request for each change of a long worklist, none as long as nothing changes,
// and never more than HOLD_MAX bytes in memory.
#include "base/encode.h"
#include "canopy/call.h"
#include <openssl/evp.h>
#include <string.h>

#define HOLD_MAX ((size_t)1 << 20) // about 2,000 entries

struct fetch {
	EVP_MD_CTX *sha;
	struct worklist_decoder *decoder;
	struct buf held;
	bool decode;  // as it arrives
	bool dropped; // longer than HOLD_MAX: only digested
};

static int fetch_init(struct fetch *f, bool decode, struct error *err)
{
	*f = (struct fetch){.decode = decode, .sha = EVP_MD_CTX_new()};
	buf_init(&f->held, HOLD_MAX);
	if (f->sha == NULL || EVP_DigestInit_ex(f->sha, EVP_sha256(), NULL) != 1)
		return error_set(err, ERROR_INTERNAL, "SHA-256 is not available");
	return worklist_decoder_new(&f->decoder, err);
}

static void fetch_fini(struct fetch *f)
{
	EVP_MD_CTX_free(f->sha);
	worklist_decoder_free(f->decoder);
	buf_fini(&f->held);
}

static int on_body(void *arg, const char *data, size_t len, struct error *err)
{
	struct fetch *f = arg;
	if (EVP_DigestUpdate(f->sha, data, len) != 1)
		return error_set(err, ERROR_INTERNAL, "SHA-256 of the worklist");
	if (f->decode)
		return worklist_decoder_feed(f->decoder, data, len, err);
	if (f->dropped || len > HOLD_MAX - f->held.len) {
		f->dropped = true;
		buf_fini(&f->held);
		return 0;
	}
	return buf_add(&f->held, data, len, err);
}

static int request(struct canopy_client *client, struct fetch *f, unsigned char digest[ENCODE_SHA256_BYTES], struct error *err)
{
	struct http_response response;
	const struct call call = {.method = "GET",
		.endpoint = "/restore-worklist",
		.max_body_bytes = WORKLIST_BODY_MAX,
		.on_body = on_body,
		.arg = f};
	if (call_do(client, &call, &response, err) < 0)
		return -1;
	http_response_fini(&response);
	if (EVP_DigestFinal_ex(f->sha, digest, NULL) != 1)
		return error_set(err, ERROR_INTERNAL, "SHA-256 of the worklist");
	return 0;
}

static int decode(struct fetch *f, struct worklist **out, struct error *err)
{
	int rc = f->decode ? 0 : worklist_decoder_feed(f->decoder, buf_str(&f->held), f->held.len, err);
	if (rc == 0)
		rc = worklist_decoder_finish(f->decoder, out, err);
	if (rc == 0)
		return 0;
	err->kind = err->kind == ERROR_INVALID ? ERROR_INTERNAL : err->kind; // breaks the contract: nobody was refused anything
	return error_wrap(err, "GET /restore-worklist");
}

static bool is_last(struct canopy_client *client, const unsigned char digest[ENCODE_SHA256_BYTES])
{
	(void)pthread_mutex_lock(&client->lock);
	bool equal = client->has_digest && memcmp(client->digest, digest, ENCODE_SHA256_BYTES) == 0;
	(void)pthread_mutex_unlock(&client->lock);
	return equal;
}

static void remember(struct canopy_client *client, const unsigned char digest[ENCODE_SHA256_BYTES])
{
	(void)pthread_mutex_lock(&client->lock);
	memcpy(client->digest, digest, ENCODE_SHA256_BYTES);
	client->has_digest = true;
	(void)pthread_mutex_unlock(&client->lock);
}

// again: the body is too long to be held, has changed, and must be asked for once more.
static int fetch_once(
	struct canopy_client *client, bool decode_now, struct worklist **out, bool *unchanged, bool *again, struct error *err)
{
	struct fetch f;
	unsigned char digest[ENCODE_SHA256_BYTES];
	int rc = fetch_init(&f, decode_now, err);
	if (rc == 0)
		rc = request(client, &f, digest, err);
	*unchanged = rc == 0 && !decode_now && is_last(client, digest);
	*again = rc == 0 && !*unchanged && f.dropped;
	if (rc == 0 && !*unchanged && !*again) {
		rc = decode(&f, out, err);
		if (rc == 0)
			remember(client, digest);
	}
	fetch_fini(&f);
	return rc;
}

int canopy_worklist(struct canopy_client *client, struct worklist **out, bool *unchanged, struct error *err)
{
	bool same = false;
	bool again = false;
	(void)pthread_mutex_lock(&client->lock);
	bool is_first = !client->has_digest;
	(void)pthread_mutex_unlock(&client->lock);
	int rc = fetch_once(client, is_first, out, &same, &again, err);
	if (rc == 0 && again)
		rc = fetch_once(client, true, out, &same, &again, err);
	if (rc == 0)
		*unchanged = same;
	return rc;
}
