// S3's error documents (canopy/proxy/s3error.h): what is read of them can do no harm, also where a redirect follows it
// (canopy/proxy/route.h); ours are XML whatever their message holds.
#include "canopy/proxy/head.h"
#include "canopy/proxy/route.h"
#include "canopy/proxy/s3error.h"
#include "tests/fuzz/fuzz.h"
#include <stdio.h>
#include <string.h>

#define ANSWER_MAX ((size_t)2 << 20)
#define OPEN "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code><Message>"
#define CLOSE "</Message></Error>"

static char region[] = "us-east-1";
static char bucket[] = "backups";
static char host[] = "s3.us-east-1.amazonaws.com";
static char endpoint[] = "https://s3.us-east-1.amazonaws.com";

// A field stands in the document as <Name>text.
static void check_field(const char *body, size_t len, const char *name, const char *text, size_t size)
{
	AUTO_FREE char *wanted = NULL;
	FUZZ_CHECK(strnlen(text, size) < size && strchr(text, '<') == NULL, "%s is not ended", name);
	FUZZ_CHECK(asprintf(&wanted, "<%s>%s", name, text) > 0, "no memory");
	FUZZ_CHECK(
		*text == '\0' || memmem(body, len, wanted, strlen(wanted)) != NULL, "%s is not in the document: %s", name, text);
}

// Wherever it leads, it is a host of AWS in a region, with the bucket and the port as before.
static void check_redirect(const struct s3error *error)
{
	static const char name[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
	struct error err = {0};
	struct route route;
	char location[sizeof(error->endpoint) + 32];
	const struct config config = {
		.region = region, .bucket = bucket, .host = host, .endpoint = endpoint, .is_tls = true, .is_virtual = true};
	FUZZ_CHECK(route_init(&config, &route, &err) == 0, "%s", err.text);
	(void)snprintf(location, sizeof(location), "https://%s/key", error->endpoint);
	const struct route_hint hint = {.region = error->region, .location = error->endpoint[0] == '\0' ? "" : location};
	const struct route before = route;
	if (!route_follow(&route, &config, &hint)) {
		FUZZ_CHECK(strcmp(route.host, before.host) == 0 && strcmp(route.region, before.region) == 0,
			"not followed and changed");
		return;
	}
	size_t len = strlen(route.host);
	bool is_aws = len > 14 && strcmp(route.host + len - 14, ".amazonaws.com") == 0;
	FUZZ_CHECK(is_aws && strncmp(route.host, "backups.", 8) == 0, "followed to %s", route.host);
	FUZZ_CHECK(strspn(route.host, "abcdefghijklmnopqrstuvwxyz0123456789-.") == len, "followed to %s", route.host);
	FUZZ_CHECK(route.region[0] != '\0' && strspn(route.region, name) == strlen(route.region), "region %s", route.region);
	FUZZ_CHECK(strcmp(route.target.tls_name, route.host) == 0 && strncmp(route.target.connect_to, route.host, len) == 0 &&
			   strcmp(route.target.connect_to + len, ":443") == 0,
		"connects to %s", route.target.connect_to);
}

// The text behind XML's escapes.
static char *unescaped(const char *xml, size_t len)
{
	static const char *const escapes[][2] = {{"&lt;", "<"}, {"&gt;", ">"}, {"&amp;", "&"}};
	char *out = malloc(len + 1);
	size_t used = 0;
	FUZZ_CHECK(out != NULL, "no memory");
	for (size_t i = 0; i < len;) {
		size_t e = 0;
		FUZZ_CHECK(xml[i] != '<' && xml[i] != '>' && (unsigned char)xml[i] >= ' ', "markup, or a control character");
		while (e < 3 && strncmp(xml + i, escapes[e][0], strlen(escapes[e][0])) != 0)
			e++;
		FUZZ_CHECK(xml[i] != '&' || e < 3, "an & that is no escape");
		out[used++] = e < 3 ? escapes[e][1][0] : xml[i];
		i += e < 3 ? strlen(escapes[e][0]) : 1;
	}
	out[used] = '\0';
	return out;
}

static void check_document(const char *xml, size_t len, const char *message)
{
	size_t open = strlen(OPEN);
	size_t close = strlen(CLOSE);
	FUZZ_CHECK(len >= open + close && memcmp(xml, OPEN, open) == 0 && memcmp(xml + len - close, CLOSE, close) == 0, "%.*s",
		(int)len, xml);
	AUTO_FREE char *got = unescaped(xml + open, len - open - close);
	AUTO_FREE char *wanted = fuzz_text(message, strlen(message));
	for (char *c = wanted; *c != '\0'; c++)
		*c = (unsigned char)*c < ' ' ? '?' : *c;
	FUZZ_CHECK(strcmp(got, wanted) == 0, "message \"%s\" becomes \"%s\"", wanted, got);
	FUZZ_CHECK(fuzz_is_utf8(xml, len), "a document that is not UTF-8");
}

static void check_answer(const char *message, bool is_head)
{
	static struct head_response response;
	struct error err = {0};
	size_t scanned = 0;
	size_t bytes = 0;
	AUTO(buf) struct buf out;
	buf_init(&out, ANSWER_MAX);
	const struct s3error_answer answer = {
		.status = 403, .code = "AccessDenied", .message = message, .is_head = is_head, .closes = !is_head};
	FUZZ_CHECK(s3error_write(&answer, &out, &err) == 0, "not written: %s", err.text);
	FUZZ_CHECK(head_find_end(out.data, out.len, &scanned, &bytes) == HEAD_WHOLE, "no head");
	FUZZ_CHECK(head_read_response(out.data, bytes, &response) == NULL && response.status == 403, "a head that is refused");
	FUZZ_CHECK(response.wants_close == !is_head && response.content_length > 0, "Connection, or the length");
	FUZZ_CHECK(out.len - bytes == (is_head ? 0 : (size_t)response.content_length), "%zu bytes of body", out.len - bytes);
	if (!is_head)
		check_document(out.data + bytes, out.len - bytes, message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct s3error error;
	AUTO_FREE char *body = fuzz_copy(data, size);
	s3error_read(body, size, &error);
	check_field(body, size, "Code", error.code, sizeof(error.code));
	check_field(body, size, "Region", error.region, sizeof(error.region));
	check_field(body, size, "ServerTime", error.server_time, sizeof(error.server_time));
	check_field(body, size, "Endpoint", error.endpoint, sizeof(error.endpoint));
	check_redirect(&error);
	// As messages come: through an error.
	struct error err = {0};
	AUTO_FREE char *text = fuzz_text(data, size);
	(void)error_set(&err, ERROR_INVALID, "%s", text);
	check_answer(err.text, false);
	check_answer(err.text, true);
	return 0;
}
