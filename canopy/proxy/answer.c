#include "canopy/proxy/answer.h"

#include "base/clock.h"
#include "canopy/proxy/head.h"
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

static void copy_field(const struct head_fields *fields, const char *name, char *out, size_t size)
{
	const struct head_text *value = head_find(fields, name);
	out[0] = '\0';
	if (value != NULL && value->len < size)
		(void)snprintf(out, size, "%.*s", (int)value->len, value->at);
}

const char *answer_begin(struct answer *answer, struct buffer *buffer, bool is_head)
{
	struct head_response head;
	const char *wrong = head_read_response(buffer->data, answer->head_bytes, &head);
	if (wrong != NULL)
		return wrong;
	if (head.status < 200)
		return "an answer below 200, which was not asked for";
	*answer = (struct answer){.head_bytes = answer->head_bytes,
		.status = head.status,
		.closes = head.wants_close,
		.is_chunked = head.is_chunked};
	bool has_no_body = is_head || head.status == 204 || head.status == 304;
	if (!has_no_body && !head.is_chunked && head.content_length < 0)
		return "the body has no length: its end could not be told from a broken connection";
	answer->left = has_no_body || head.is_chunked ? 0 : (uint64_t)head.content_length;
	answer->is_chunked = head.is_chunked && !has_no_body;
	answer->body_done = !answer->is_chunked && answer->left == 0;
	copy_field(&head.fields, "x-amz-bucket-region", answer->region, sizeof(answer->region));
	copy_field(&head.fields, "location", answer->location, sizeof(answer->location));
	copy_field(&head.fields, "date", answer->date, sizeof(answer->date));
	answer_account(answer, buffer, answer->head_bytes);
	return NULL;
}

// Bytes behind the end: the connection is out of step and is not used again.
static void cut(struct answer *answer, struct buffer *buffer, size_t end)
{
	if (buffer->end > end)
		answer->closes = true;
	buffer->end = end;
}

static void account_chunks(struct answer *answer, struct buffer *buffer, size_t from)
{
	while (from < buffer->end) {
		struct chunked_span span;
		size_t used = chunked_next(&answer->chunks, buffer->data + from, buffer->end - from, &span);
		if (used == 0)
			break;
		from += used;
		answer->payload_bytes += span.len;
	}
	answer->body_done = answer->chunks.state == CHUNKED_DONE;
	answer->is_broken = answer->chunks.state == CHUNKED_BROKEN;
	cut(answer, buffer, from);
}

void answer_account_unseen(struct answer *answer, size_t len)
{
	answer->left -= len;
	answer->payload_bytes += len;
	answer->body_done = answer->left == 0;
}

void answer_account(struct answer *answer, struct buffer *buffer, size_t from)
{
	if (answer->is_chunked) {
		account_chunks(answer, buffer, from);
		return;
	}
	size_t len = buffer->end - from;
	size_t ours = len < answer->left ? len : (size_t)answer->left;
	answer_account_unseen(answer, ours);
	cut(answer, buffer, from + ours);
}

const char *answer_strip(const struct answer *answer, struct buffer *buffer)
{
	struct head_response head;
	const char *wrong = head_read_response(buffer->data, answer->head_bytes, &head);
	if (wrong == NULL)
		buffer->begin = head_strip(buffer->data, answer->head_bytes, &head);
	return wrong;
}

bool answer_is_redirect(const struct answer *answer)
{
	return answer->status == 301 || answer->status == 302 || answer->status == 307 || answer->status == 308;
}

// The document without the framing of its chunks, which may cut it anywhere.
static size_t unchunk(const struct answer *answer, const struct buffer *buffer, char *out, size_t size)
{
	struct chunked chunks = {0};
	size_t len = 0;
	for (size_t at = answer->head_bytes; at < buffer->end;) {
		struct chunked_span span;
		size_t used = chunked_next(&chunks, buffer->data + at, buffer->end - at, &span);
		if (used == 0 || span.len > size - len)
			break;
		if (span.len > 0)
			memcpy(out + len, span.at, span.len);
		len += span.len;
		at += used;
	}
	return len;
}

void answer_read_error(struct answer *answer, const struct buffer *buffer)
{
	char whole[4096];
	if (!answer->is_chunked) {
		s3error_read(buffer->data + answer->head_bytes, buffer->end - answer->head_bytes, &answer->error);
		return;
	}
	size_t len = unchunk(answer, buffer, whole, sizeof(whole));
	s3error_read(whole, len, &answer->error);
}

bool answer_time(const struct answer *answer, int64_t *wall_ms)
{
	struct error ignored = {0};
	if (clock_parse(answer->error.server_time, wall_ms, &ignored) == 0)
		return true;
	time_t seconds = answer->date[0] == '\0' ? -1 : curl_getdate(answer->date, NULL);
	*wall_ms = (int64_t)seconds * 1000;
	return seconds > 0;
}
