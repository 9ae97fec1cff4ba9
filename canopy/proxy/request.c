#include "canopy/proxy/request.h"

#include <string.h>

// Taken over as they are, unsigned.
static const char *const plain_names[] = {"Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since",
	"If-Unmodified-Since", "Accept", "User-Agent", NULL};

// The engine's own field of that name, unless it is meant for this hop.
static const struct head_text *own_field(const struct request *request, const char *name)
{
	for (size_t i = 0; i < request->fields->count; i++) {
		const struct head_field *field = &request->fields->list[i];
		if (head_text_is(field->name, name))
			return head_is_hop_by_hop(request->fields, field) ? NULL : &field->value;
	}
	return NULL;
}

static struct head_text text_of(const char *text)
{
	return (struct head_text){text, strlen(text)};
}

static void add_header(struct sigv4_request *to_sign, const char *name, const struct head_text *value)
{
	if (value != NULL && value->len > 0)
		to_sign->headers[to_sign->header_count++] = (struct sigv4_header){name, *value};
}

// In the order of their names.
static void add_headers(const struct request *request, struct sigv4_request *to_sign)
{
	const struct s3_keys *keys = &request->set->keys;
	const struct head_text host = text_of(request->route->host);
	const struct head_text hash = text_of(to_sign->payload_hash);
	const struct head_text date = text_of(to_sign->date);
	const struct head_text token = text_of(secret_reveal(&keys->session_token));
	add_header(to_sign, "host", &host);
	add_header(to_sign, "x-amz-checksum-mode", own_field(request, "x-amz-checksum-mode"));
	add_header(to_sign, "x-amz-content-sha256", &hash);
	add_header(to_sign, "x-amz-date", &date);
	add_header(to_sign, "x-amz-expected-bucket-owner", own_field(request, "x-amz-expected-bucket-owner"));
	add_header(to_sign, "x-amz-request-payer", own_field(request, "x-amz-request-payer"));
	add_header(to_sign, "x-amz-security-token", &token);
}

static int write_path(const struct request *request, struct buf *out, struct error *err)
{
	const char *key = buf_str(&request->what->key);
	return request->config->is_virtual ? buf_addf(out, err, "/%s", key)
					   : buf_addf(out, err, "/%s/%s", request->config->bucket, key);
}

static int write_plain_fields(const struct request *request, struct buf *out, struct error *err)
{
	for (size_t i = 0; plain_names[i] != NULL; i++) {
		const struct head_text *value = own_field(request, plain_names[i]);
		if (request->is_probe && i == 0)
			continue;
		if (value != NULL && buf_addf(out, err, "%s: %.*s\r\n", plain_names[i], (int)value->len, value->at) < 0)
			return -1;
	}
	return request->is_probe ? buf_add_str(out, "Range: bytes=0-0\r\n", err) : 0;
}

static int write_head(const struct request *request, const struct sigv4_request *to_sign, struct buf *out, struct error *err)
{
	if (buf_addf(out, err, "%s %s%s%s HTTP/1.1\r\n", to_sign->method, to_sign->path, to_sign->query[0] == '\0' ? "" : "?",
		    to_sign->query) < 0)
		return -1;
	for (size_t i = 0; i < to_sign->header_count; i++) {
		const struct sigv4_header *header = &to_sign->headers[i];
		if (buf_addf(out, err, "%s: %.*s\r\n", header->name, (int)header->value.len, header->value.at) < 0)
			return -1;
	}
	if (buf_add_str(out, "Authorization: ", err) < 0 ||
		sigv4_authorization(to_sign, request->key, secret_reveal(&request->set->keys.access_key_id), out, err) < 0 ||
		buf_add_str(out, "\r\n", err) < 0)
		return -1;
	return write_plain_fields(request, out, err) < 0 ? -1 : buf_add_str(out, "\r\n", err);
}

int request_write(const struct request *request, struct buf *out, struct error *err)
{
	char date[SIGV4_DATE_SIZE];
	AUTO(buf) struct buf path;
	buf_init(&path, 4 * HEAD_BYTES_MAX);
	if (write_path(request, &path, err) < 0)
		return -1;
	sigv4_date(request->wall_ms, date);
	struct sigv4_request to_sign = {.method = request->what->is_head && !request->is_probe ? "HEAD" : "GET",
		.path = buf_str(&path),
		.query = buf_str(&request->what->query),
		.payload_hash = request->config->is_tls ? SIGV4_UNSIGNED : SIGV4_EMPTY_HASH,
		.region = request->route->region,
		.service = "s3",
		.date = date};
	add_headers(request, &to_sign);
	if (sigv4_key_for(request->key, &to_sign, &request->set->keys.secret_access_key, request->set->generation, err) < 0)
		return -1;
	return write_head(request, &to_sign, out, err);
}
