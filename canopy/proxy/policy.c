#include "canopy/proxy/policy.h"

#include "canopy/proxy/query.h"
#include "canopy/proxy/uri.h"
#include <string.h>

static const char *const location_names[] = {"location", NULL};
static const char *const list_names[] = {"list-type", "prefix", "delimiter", "max-keys", "encoding-type", "continuation-token",
	"start-after", "fetch-owner", "marker", NULL};
static const char *const object_names[] = {"x-id", NULL}; // AWS's newer clients name the operation

static int denied(struct error *err, const char *why)
{
	return error_set(err, ERROR_INVALID, "%s", why);
}

// Does this beginning of keys, or this key, lie under the prefix?
static bool is_under(const struct policy *policy, const char *key, size_t len)
{
	const char *prefix = policy->prefix == NULL ? "" : policy->prefix;
	prefix += strspn(prefix, "/");
	size_t prefix_len = strlen(prefix);
	if (prefix_len == 0)
		return true;
	if (len < prefix_len || memcmp(key, prefix, prefix_len) != 0)
		return false;
	return prefix[prefix_len - 1] == '/' || (len > prefix_len && key[prefix_len] == '/');
}

// Segments that a server might resolve or fold, and bytes that no repository's key holds.
static const char *odd_path(const char *path, size_t len)
{
	for (size_t at = 0; at < len;) {
		const char *slash = memchr(path + at, '/', len - at);
		size_t end = slash == NULL ? len : (size_t)(slash - path);
		size_t segment = end - at;
		if (segment == 0)
			return "the path has an empty segment";
		if ((segment == 1 && path[at] == '.') || (segment == 2 && memcmp(path + at, "..", 2) == 0))
			return "the path has a dot segment";
		at = end + 1;
	}
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)path[i] < ' ' || path[i] == 0x7f || path[i] == '\\')
			return "the path holds a character that is not allowed";
	}
	return NULL;
}

static int check_bucket_query(const struct policy *policy, const struct query *query, struct error *err)
{
	const char *stranger = NULL;
	if (query_find(query, "location", NULL) != NULL)
		return query_is_within(query, location_names, &stranger)
			       ? 0
			       : denied(err, "of the bucket only its location and listings may be read");
	size_t len = 0;
	const char *list_type = query_find(query, "list-type", NULL);
	const char *prefix = query_find(query, "prefix", &len);
	if (query->count == 0 || !query_is_within(query, list_names, &stranger))
		return denied(err, "of the bucket only its location and listings may be read");
	if (list_type != NULL && strcmp(list_type, "2") != 0)
		return denied(err, "the listing is of an unknown type");
	if (!is_under(policy, prefix == NULL ? "" : prefix, prefix == NULL ? 0 : len))
		return denied(err, "the listing is not of the restore's prefix");
	return 0;
}

static int check_object(const struct policy *policy, const char *key, size_t len, const struct query *query, struct error *err)
{
	const char *stranger = NULL;
	const char *odd = odd_path(key, len);
	if (odd != NULL)
		return denied(err, odd);
	if (!is_under(policy, key, len))
		return denied(err, "the object is not under the restore's prefix");
	if (!query_is_within(query, object_names, &stranger))
		return denied(err, "of an object only its content may be read");
	return 0;
}

// path is decoded and begins with "/".
static int check_path(const struct policy *policy, const char *path, size_t len, const struct query *query,
	struct policy_request *out, struct error *err)
{
	size_t bucket_len = strlen(policy->bucket);
	if (len <= bucket_len || memcmp(path + 1, policy->bucket, bucket_len) != 0 ||
		(len > bucket_len + 1 && path[bucket_len + 1] != '/'))
		return denied(err, "the bucket is not the restore's");
	const char *key = len > bucket_len + 2 ? path + bucket_len + 2 : "";
	size_t key_len = len > bucket_len + 2 ? len - bucket_len - 2 : 0;
	if (key_len > 0)
		return check_object(policy, key, key_len, query, err) < 0 ? -1 : uri_encode(key, key_len, true, &out->key, err);
	if (out->is_head)
		return denied(err, "of the bucket only its location and listings may be read");
	return check_bucket_query(policy, query, err);
}

static int check_target(const struct policy *policy, struct head_text target, struct policy_request *out, struct error *err)
{
	AUTO(query) struct query query = {0};
	AUTO(buf) struct buf path;
	buf_init(&path, HEAD_BYTES_MAX);
	const char *mark = memchr(target.at, '?', target.len);
	size_t path_len = mark == NULL ? target.len : (size_t)(mark - target.at);
	size_t query_len = mark == NULL ? 0 : target.len - path_len - 1;
	if (path_len == 0 || target.at[0] != '/')
		return denied(err, "the target is no path");
	if (memchr(target.at, '#', target.len) != NULL)
		return denied(err, "the target holds a fragment");
	if (uri_decode(target.at, path_len, false, &path, err) < 0)
		return err->kind == ERROR_INVALID ? denied(err, "the path's percent-encoding is broken") : -1;
	if (query_read(mark == NULL ? "" : mark + 1, query_len, &query, err) < 0)
		return -1;
	if (check_path(policy, path.data, path.len, &query, out, err) < 0)
		return -1;
	return query_canonical(&query, &out->query, err);
}

int policy_check(const struct policy *policy, const struct head_request *request, struct policy_request *out, struct error *err)
{
	buf_init(&out->key, 3 * HEAD_BYTES_MAX);
	buf_init(&out->query, 3 * QUERY_BYTES_MAX);
	out->is_head = request->method.len == 4 && memcmp(request->method.at, "HEAD", 4) == 0;
	bool is_get = request->method.len == 3 && memcmp(request->method.at, "GET", 3) == 0;
	if (!out->is_head && !is_get)
		return denied(err, "a restore only reads: GET and HEAD");
	return check_target(policy, request->target, out, err);
}

void policy_request_fini(struct policy_request *request)
{
	buf_fini(&request->key);
	buf_fini(&request->query);
}
