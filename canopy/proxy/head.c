#include "canopy/proxy/head.h"

#include <string.h>
#include <strings.h>

#define VERSION "HTTP/1.1"
#define VERSION_LEN 8
#define LENGTH_DIGITS_MAX 18

enum head_progress head_find_end(const char *data, size_t len, size_t *scanned, size_t *bytes)
{
	while (*scanned < len) {
		const char *newline = memchr(data + *scanned, '\n', len - *scanned);
		if (newline == NULL) {
			*scanned = len;
			return HEAD_PARTIAL;
		}
		size_t at = (size_t)(newline - data);
		if (at == 0 || data[at - 1] != '\r')
			return HEAD_BAD;
		*scanned = at + 1;
		if (at == 1 || (at >= 3 && data[at - 2] == '\n')) {
			*bytes = at + 1;
			return HEAD_WHOLE;
		}
	}
	return HEAD_PARTIAL;
}

// RFC 9110 section 5.6.2
static bool is_token(struct head_text text)
{
	static const char others[] = "!#$%&'*+-.^_`|~";
	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];
		bool is_alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		if (!is_alnum && (c == '\0' || strchr(others, c) == NULL))
			return false;
	}
	return text.len > 0;
}

static bool is_field_value(struct head_text text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.at[i];
		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct head_text trim(struct head_text text)
{
	while (text.len > 0 && is_blank(text.at[0])) {
		text.at++;
		text.len--;
	}
	while (text.len > 0 && is_blank(text.at[text.len - 1]))
		text.len--;
	return text;
}

bool head_text_is(struct head_text text, const char *word)
{
	return text.len == strlen(word) && strncasecmp(text.at, word, text.len) == 0;
}

const struct head_text *head_find(const struct head_fields *fields, const char *name)
{
	for (size_t i = 0; i < fields->count; i++) {
		if (head_text_is(fields->list[i].name, name))
			return &fields->list[i].value;
	}
	return NULL;
}

static size_t count_of(const struct head_fields *fields, const char *name)
{
	size_t found = 0;
	for (size_t i = 0; i < fields->count; i++)
		found += head_text_is(fields->list[i].name, name) ? 1 : 0;
	return found;
}

// Is `word` a member of the comma-separated list in any field of that name?
static bool lists(const struct head_fields *fields, const char *name, struct head_text word)
{
	for (size_t i = 0; i < fields->count; i++) {
		if (!head_text_is(fields->list[i].name, name))
			continue;
		struct head_text rest = fields->list[i].value;
		while (rest.len > 0) {
			const char *comma = memchr(rest.at, ',', rest.len);
			size_t len = comma == NULL ? rest.len : (size_t)(comma - rest.at);
			struct head_text member = trim((struct head_text){rest.at, len});
			if (member.len == word.len && strncasecmp(member.at, word.at, word.len) == 0)
				return true;
			size_t used = comma == NULL ? rest.len : len + 1;
			rest.at += used;
			rest.len -= used;
		}
	}
	return false;
}

// The next line up to its CRLF; *at moves behind it. The caller knows that there is one.
static struct head_text next_line(const char *data, size_t bytes, size_t *at)
{
	const char *newline = memchr(data + *at, '\n', bytes - *at);
	size_t end = newline == NULL ? bytes : (size_t)(newline - data) + 1;
	struct head_text line = {data + *at, end - *at};
	*at = end;
	return line;
}

static const char *read_fields(const char *data, size_t bytes, size_t at, struct head_fields *out)
{
	out->count = 0;
	while (at + 2 < bytes) {
		struct head_text line = next_line(data, bytes, &at);
		if (is_blank(line.at[0]))
			return "a header is folded";
		const char *colon = memchr(line.at, ':', line.len);
		if (colon == NULL)
			return "a header has no colon";
		if (out->count == HEAD_FIELDS_MAX)
			return "too many headers";
		size_t name_len = (size_t)(colon - line.at);
		struct head_field *field = &out->list[out->count];
		field->line = line;
		field->name = (struct head_text){line.at, name_len};
		field->value = trim((struct head_text){colon + 1, line.len - name_len - 1 - 2});
		if (!is_token(field->name))
			return "a header's name is not allowed";
		if (!is_field_value(field->value))
			return "a header's value holds a control character";
		out->count++;
	}
	return NULL;
}

// -1 when it is no number.
static int64_t read_number(struct head_text text)
{
	int64_t value = 0;
	if (text.len == 0 || text.len > LENGTH_DIGITS_MAX)
		return -1;
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] < '0' || text.at[i] > '9')
			return -1;
		value = value * 10 + (text.at[i] - '0');
	}
	return value;
}

// The first line of a request: exactly one blank between method, target and version.
static const char *read_request_line(struct head_text line, struct head_request *out, int *status)
{
	const char *first = memchr(line.at, ' ', line.len);
	if (first == NULL)
		return "the request line is not METHOD TARGET VERSION";
	const char *target = first + 1;
	size_t rest = line.len - (size_t)(target - line.at);
	const char *second = memchr(target, ' ', rest);
	if (second == NULL || second == target)
		return "the request line is not METHOD TARGET VERSION";
	struct head_text version = {second + 1, line.len - (size_t)(second + 1 - line.at) - 2};
	out->method = (struct head_text){line.at, (size_t)(first - line.at)};
	out->target = (struct head_text){target, (size_t)(second - target)};
	if (!is_token(out->method))
		return "the method is not allowed";
	for (size_t i = 0; i < out->target.len; i++) {
		if (out->target.at[i] <= ' ' || out->target.at[i] > '~')
			return "the target holds a character that is not allowed";
	}
	if (version.len != VERSION_LEN || memcmp(version.at, "HTTP/", 5) != 0)
		return "the version is not HTTP";
	if (memcmp(version.at, VERSION, VERSION_LEN) != 0) {
		*status = 505;
		return "the version is not HTTP/1.1";
	}
	return NULL;
}

const char *head_read_request(const char *data, size_t bytes, struct head_request *out, int *status)
{
	*status = 400;
	size_t at = 0;
	const char *wrong = read_request_line(next_line(data, bytes, &at), out, status);
	if (wrong == NULL)
		wrong = read_fields(data, bytes, at, &out->fields);
	if (wrong != NULL)
		return wrong;
	if (count_of(&out->fields, "host") != 1)
		return "there must be one Host header";
	if (count_of(&out->fields, "content-length") > 1)
		return "there is more than one Content-Length";
	const struct head_text *length = head_find(&out->fields, "content-length");
	if (length != NULL && read_number(*length) < 0)
		return "Content-Length is no number";
	out->has_body = head_find(&out->fields, "transfer-encoding") != NULL || (length != NULL && read_number(*length) != 0);
	out->wants_close = lists(&out->fields, "connection", (struct head_text){"close", 5});
	return NULL;
}

// The first line of a response; the reason may be empty or missing.
static const char *read_status_line(struct head_text line, struct head_response *out)
{
	out->line = line;
	if (line.len < VERSION_LEN + 4 + 2 || memcmp(line.at, "HTTP/1.", 7) != 0 || line.at[VERSION_LEN] != ' ')
		return "the first line is no HTTP/1 status line";
	int64_t status = read_number((struct head_text){line.at + VERSION_LEN + 1, 3});
	char after = line.at[VERSION_LEN + 4];
	if (status < 100 || status > 599 || (after != ' ' && after != '\r'))
		return "the status is no number from 100 to 599";
	out->status = (int)status;
	return NULL;
}

static const char *read_response_length(struct head_response *out)
{
	const struct head_text *coding = head_find(&out->fields, "transfer-encoding");
	const struct head_text *length = head_find(&out->fields, "content-length");
	if (count_of(&out->fields, "transfer-encoding") > 1 || (coding != NULL && !head_text_is(*coding, "chunked")))
		return "Transfer-Encoding is not chunked";
	if (count_of(&out->fields, "content-length") > 1 || (coding != NULL && length != NULL))
		return "the length is given twice";
	out->is_chunked = coding != NULL;
	out->content_length = length == NULL ? -1 : read_number(*length);
	return length != NULL && out->content_length < 0 ? "Content-Length is no number" : NULL;
}

const char *head_read_response(const char *data, size_t bytes, struct head_response *out)
{
	size_t at = 0;
	const char *wrong = read_status_line(next_line(data, bytes, &at), out);
	if (wrong == NULL)
		wrong = read_fields(data, bytes, at, &out->fields);
	if (wrong == NULL)
		wrong = read_response_length(out);
	if (wrong != NULL)
		return wrong;
	bool is_old = out->line.at[VERSION_LEN - 1] == '0';
	out->wants_close = is_old || lists(&out->fields, "connection", (struct head_text){"close", 5});
	return NULL;
}

bool head_is_hop_by_hop(const struct head_fields *fields, const struct head_field *field)
{
	static const char *const fixed[] = {
		"connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade", NULL};
	for (size_t i = 0; fixed[i] != NULL; i++) {
		if (head_text_is(field->name, fixed[i]))
			return true;
	}
	return !head_text_is(field->name, "content-length") && lists(fields, "connection", field->name);
}

static size_t move_right(char *data, size_t end, struct head_text line)
{
	size_t begin = end - line.len;
	memmove(data + begin, line.at, line.len);
	return begin;
}

size_t head_strip(char *data, size_t bytes, const struct head_response *response)
{
	// Decided before anything moves: a moved line may cover the Connection line that names others.
	bool stays[HEAD_FIELDS_MAX];
	for (size_t i = 0; i < response->fields.count; i++) {
		const struct head_field *field = &response->fields.list[i];
		stays[i] = !head_is_hop_by_hop(&response->fields, field) || head_text_is(field->name, "transfer-encoding");
	}
	// From the last line to the first: what moves right never covers a line that is still to move.
	size_t begin = bytes - 2;
	for (size_t i = response->fields.count; i > 0; i--) {
		if (stays[i - 1])
			begin = move_right(data, begin, response->fields.list[i - 1].line);
	}
	begin = move_right(data, begin, response->line);
	memcpy(data + begin, VERSION, VERSION_LEN); // NOLINT(bugprone-not-null-terminated-result): over bytes in a text
	return begin;
}
