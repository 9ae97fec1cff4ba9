// What an engine sends to the proxy: the head is found however it is cut, nothing but the reading of objects under the prefix
// passes (checked here by rules of their own, on the decoded path), and what goes on to S3 is one request without a second one in
// it (canopy/proxy/head.h, policy.h, request.h).
#include "canopy/proxy/request.h"
#include "tests/fuzz/fuzz.h"
#include <string.h>
#include <strings.h>

#define BUCKET "backups"
#define PREFIX "nauru/"
#define TEXT_BYTES_MAX ((size_t)256 << 10)

// Not NULL for settings that are needed; the files are not opened.
static const char *env(const char *name)
{
	static const char *const values[][2] = {{"PGRO_BROKER_URL", "https://broker.example:9091"},
		{"PGRO_BROKER_CA_FILE", "/ca"}, {"PGRO_TOKEN_FILE", "/token"}, {"PGRO_GROUP", "group"}, {"PGRO_TYPE", "postgres"},
		{"PGRO_REGION", "eu-west-1"}, {"PGRO_BUCKET", BUCKET}, {"PGRO_PREFIX", PREFIX}, {"PGRO_PORT_FILE", "/port"}};
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		if (strcmp(values[i][0], name) == 0)
			return values[i][1];
	}
	return NULL;
}

static enum head_progress find_end(const uint8_t *data, size_t size, size_t *bytes)
{
	size_t scanned = 0;
	AUTO_FREE char *copy = fuzz_copy(data, size);
	return head_find_end(copy, size, &scanned, bytes);
}

// As a connection does: more and more bytes, what was looked at is not looked at again.
static enum head_progress find_end_growing(const uint8_t *data, size_t size, size_t *bytes)
{
	struct fuzz_cuts cuts;
	size_t piece = 0;
	size_t len = 0;
	size_t scanned = 0;
	enum head_progress progress = HEAD_PARTIAL;
	fuzz_cuts_begin(&cuts, data, size);
	while (progress == HEAD_PARTIAL && fuzz_cuts_next(&cuts, &piece)) {
		len += piece;
		progress = head_find_end((const char *)data, len, &scanned, bytes);
	}
	fuzz_cuts_end(&cuts);
	return progress;
}

static int hex(char c)
{
	const char *digits = "0123456789abcdef0123456789ABCDEF";
	const char *at = c == '\0' ? NULL : strchr(digits, c);
	return at == NULL ? -1 : (int)(at - digits) % 16;
}

// Decoded once, as a server would; NULL where it is broken. The caller frees.
static char *decoded(const char *text, size_t len)
{
	char *out = malloc(len + 1);
	size_t used = 0;
	FUZZ_CHECK(out != NULL, "no memory");
	for (size_t i = 0; i < len; i++) {
		out[used] = text[i];
		if (text[i] == '%') {
			int high = len - i > 2 ? hex(text[i + 1]) : -1;
			int low = high < 0 ? -1 : hex(text[i + 2]);
			if (low < 0 || high + low == 0) {
				free(out);
				return NULL;
			}
			out[used] = (char)(high * 16 + low);
			i += 2;
		}
		used++;
	}
	out[used] = '\0';
	return out;
}

// Nowhere but here: no segment that a server might resolve, nothing beside the prefix.
static void check_key(const char *key)
{
	FUZZ_CHECK(strncmp(key, PREFIX, strlen(PREFIX)) == 0, "key %s is not under the prefix", key);
	AUTO_FREE char *whole = NULL;
	FUZZ_CHECK(asprintf(&whole, "/%s/", key) > 0, "no memory");
	FUZZ_CHECK(strstr(whole, "/../") == NULL && strstr(whole, "/./") == NULL, "key %s has a dot segment", key);
	FUZZ_CHECK(strpbrk(key, "\r\n\t\\") == NULL, "key %s has a character that is not allowed", key);
}

// One parameter of the query that goes on: NAME=VALUE.
static void check_parameter(const char *parameter, bool is_object, bool *has_location, bool *has_prefix)
{
	static const char *const listing[] = {"list-type=2",
		"delimiter=", "max-keys=", "encoding-type=", "continuation-token=", "start-after=", "fetch-owner=", "marker="};
	if (is_object) {
		FUZZ_CHECK(strncmp(parameter, "x-id=", 5) == 0, "of an object: %s", parameter);
		return;
	}
	if (strncmp(parameter, "location=", 9) == 0) {
		*has_location = true;
		return;
	}
	if (strncmp(parameter, "prefix=", 7) == 0) {
		AUTO_FREE char *value = decoded(parameter + 7, strlen(parameter + 7));
		FUZZ_CHECK(!*has_prefix && value != NULL && strncmp(value, PREFIX, strlen(PREFIX)) == 0, "a listing of %s",
			parameter);
		*has_prefix = true;
		return;
	}
	bool known = false;
	for (size_t i = 0; i < sizeof(listing) / sizeof(listing[0]); i++)
		known = known || strncmp(parameter, listing[i], strlen(listing[i])) == 0;
	FUZZ_CHECK(known, "of the bucket: %s", parameter);
}

static void check_query(const char *query, bool is_object)
{
	bool has_location = false;
	bool has_prefix = false;
	size_t parameters = 0;
	AUTO_FREE char *copy = fuzz_text(query, strlen(query));
	for (char *rest = copy, *parameter = strsep(&rest, "&"); parameter != NULL; parameter = strsep(&rest, "&")) {
		if (*parameter == '\0')
			continue;
		check_parameter(parameter, is_object, &has_location, &has_prefix);
		parameters++;
	}
	FUZZ_CHECK(
		is_object || (has_location && parameters == 1) || (has_prefix && !has_location), "the bucket with \"%s\"", query);
}

static bool is_method(const struct head_request *request, const char *method)
{
	return request->method.len == strlen(method) && memcmp(request->method.at, method, request->method.len) == 0;
}

static void check_allowed(const struct head_request *request, const struct policy_request *what)
{
	const char *mark = memchr(request->target.at, '?', request->target.len);
	size_t path_len = mark == NULL ? request->target.len : (size_t)(mark - request->target.at);
	AUTO_FREE char *path = decoded(request->target.at, path_len);
	AUTO_FREE char *key = decoded(buf_str(&what->key), what->key.len);
	size_t bucket_len = strlen("/" BUCKET);
	FUZZ_CHECK(is_method(request, what->is_head ? "HEAD" : "GET"), "a method that is neither GET nor HEAD");
	FUZZ_CHECK(path != NULL && key != NULL && strncmp(path, "/" BUCKET, bucket_len) == 0, "another bucket");
	FUZZ_CHECK(path[bucket_len] == '\0' || path[bucket_len] == '/', "a bucket that only begins like ours: %s", path);
	FUZZ_CHECK(strcmp(path[bucket_len] == '\0' ? "" : path + bucket_len + 1, key) == 0, "%s goes on as %s", path, key);
	FUZZ_CHECK(*key != '\0' || !what->is_head, "HEAD of the bucket");
	if (*key != '\0')
		check_key(key);
	check_query(buf_str(&what->query), *key != '\0');
}

static bool is_known_field(struct head_text name)
{
	static const char *const names[] = {"host", "x-amz-checksum-mode", "x-amz-content-sha256", "x-amz-date",
		"x-amz-expected-bucket-owner", "x-amz-request-payer", "x-amz-security-token", "Authorization", "Range",
		"If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "Accept", "User-Agent"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (head_text_is(name, names[i]))
			return true;
	}
	return false;
}

static void check_field(const struct head_fields *fields, const char *name, const char *value)
{
	size_t found = 0;
	for (size_t i = 0; i < fields->count; i++) {
		if (!head_text_is(fields->list[i].name, name))
			continue;
		struct head_text text = fields->list[i].value;
		FUZZ_CHECK(text.len >= strlen(value) && memcmp(text.at, value, strlen(value)) == 0, "%s is %.*s", name,
			(int)text.len, text.at);
		found++;
	}
	FUZZ_CHECK(found == 1, "%s comes %zu times", name, found);
}

// Exactly one request, ours, without a field that we do not mean to send.
static void check_written(const struct buf *out)
{
	int status = 0;
	size_t bytes = 0;
	static struct head_request sent;
	FUZZ_CHECK(find_end((const uint8_t *)out->data, out->len, &bytes) == HEAD_WHOLE && bytes == out->len,
		"%zu bytes of a head of %zu", out->len, bytes);
	const char *wrong = head_read_request(out->data, bytes, &sent, &status);
	FUZZ_CHECK(wrong == NULL, "a request that is refused: %s", wrong);
	FUZZ_CHECK(is_method(&sent, "GET") || is_method(&sent, "HEAD"), "method %.*s", (int)sent.method.len, sent.method.at);
	FUZZ_CHECK(strncmp(sent.target.at, "/" BUCKET "/", strlen("/" BUCKET "/")) == 0 && !sent.has_body, "target, or a body");
	for (size_t i = 0; i < sent.fields.count; i++)
		FUZZ_CHECK(is_known_field(sent.fields.list[i].name), "field %.*s", (int)sent.fields.list[i].name.len,
			sent.fields.list[i].name.at);
	check_field(&sent.fields, "host", "s3.eu-west-1.amazonaws.com");
	check_field(&sent.fields, "x-amz-security-token", "session");
	check_field(&sent.fields, "authorization", "AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE/");
}

static void write_request(const struct head_request *request, const struct policy_request *what)
{
	static struct config config;
	static struct route route;
	static struct credentials_set set;
	struct sigv4_key key = {0};
	struct error err = {0};
	AUTO(buf) struct buf out;
	buf_init(&out, TEXT_BYTES_MAX);
	if (set.generation == 0) {
		FUZZ_CHECK(config_read(env, &config, &err) == 0 && route_init(&config, &route, &err) == 0, "%s", err.text);
		FUZZ_CHECK(secret_set(&set.keys.access_key_id, "ASIAEXAMPLE", &err) == 0 &&
				   secret_set(&set.keys.secret_access_key, "secret", &err) == 0 &&
				   secret_set(&set.keys.session_token, "session", &err) == 0,
			"%s", err.text);
		set.generation = 1;
	}
	const struct request to_send = {.config = &config,
		.route = &route,
		.what = what,
		.fields = &request->fields,
		.set = &set,
		.key = &key,
		.wall_ms = 1795000000123,
		.is_probe = what->is_head && what->key.len % 2 == 1};
	FUZZ_CHECK(request_write(&to_send, &out, &err) == 0, "an allowed request is not written: %s", err.text);
	check_written(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct head_request request;
	static const struct policy policy = {.bucket = BUCKET, .prefix = PREFIX};
	size_t bytes = 0;
	size_t bytes_growing = 0;
	int status = 0;
	enum head_progress progress = find_end(data, size, &bytes);
	FUZZ_CHECK(find_end_growing(data, size, &bytes_growing) == progress && bytes == bytes_growing, "%zu bytes, growing %zu",
		bytes, bytes_growing);
	if (progress != HEAD_WHOLE)
		return 0;
	AUTO_FREE char *head = fuzz_copy(data, bytes);
	const char *wrong = head_read_request(head, bytes, &request, &status);
	if (wrong != NULL) {
		FUZZ_CHECK(*wrong != '\0' && (status == 400 || status == 505), "refused with %d: %s", status, wrong);
		return 0;
	}
	struct error err = {0};
	struct policy_request what = {0};
	if (policy_check(&policy, &request, &what, &err) == 0) {
		check_allowed(&request, &what);
		write_request(&request, &what);
	} else {
		fuzz_check_error(&err);
		FUZZ_CHECK(err.kind == ERROR_INVALID, "%s: %s", error_kind_text(err.kind), err.text);
	}
	policy_request_fini(&what);
	return 0;
}
