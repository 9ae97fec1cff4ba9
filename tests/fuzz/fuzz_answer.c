// An answer of S3 on its way through the proxy: its head is read and stripped of what ends at this hop, and nothing else of it
// changes (canopy/proxy/head.h).
#include "canopy/proxy/head.h"
#include "tests/fuzz/fuzz.h"
#include <string.h>

static bool is_same_text(struct head_text a, struct head_text b)
{
	return a.len == b.len && memcmp(a.at, b.at, a.len) == 0;
}

static bool is_fixed_hop_field(struct head_text name)
{
	return head_text_is(name, "connection") || head_text_is(name, "keep-alive") || head_text_is(name, "proxy-connection") ||
	       head_text_is(name, "te") || head_text_is(name, "upgrade");
}

// What the connection's own bytes say, read again after the head was stripped in place.
static void check_stripped(const struct head_response *before, const struct head_response *after)
{
	size_t k = 0;
	FUZZ_CHECK(after->status == before->status, "status %d becomes %d", before->status, after->status);
	FUZZ_CHECK(after->content_length == before->content_length && after->is_chunked == before->is_chunked, "another framing");
	FUZZ_CHECK(strncmp(after->line.at, "HTTP/1.1 ", 9) == 0, "the version stays");
	for (size_t i = 0; i < before->fields.count; i++) {
		const struct head_field *field = &before->fields.list[i];
		bool goes = head_is_hop_by_hop(&before->fields, field) && !head_text_is(field->name, "transfer-encoding");
		FUZZ_CHECK(goes || !is_fixed_hop_field(field->name), "%.*s stays", (int)field->name.len, field->name.at);
		if (goes)
			continue;
		FUZZ_CHECK(k < after->fields.count && is_same_text(field->line, after->fields.list[k].line), "field %zu changes",
			i + 1);
		k++;
	}
	FUZZ_CHECK(k == after->fields.count, "%zu fields more", after->fields.count - k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct head_response before;
	static struct head_response after;
	size_t scanned = 0;
	size_t bytes = 0;
	AUTO_FREE char *whole = fuzz_copy(data, size);
	AUTO_FREE char *buffer = fuzz_copy(data, size);
	if (head_find_end(whole, size, &scanned, &bytes) != HEAD_WHOLE)
		return 0;
	const char *wrong = head_read_response(whole, bytes, &before);
	if (wrong != NULL) {
		FUZZ_CHECK(*wrong != '\0', "refused without a word");
		return 0;
	}
	FUZZ_CHECK(before.status >= 100 && before.status <= 599 && before.content_length >= -1, "status %d", before.status);
	FUZZ_CHECK(!before.is_chunked || before.content_length == -1, "the length is given twice");

	FUZZ_CHECK(head_read_response(buffer, bytes, &after) == NULL, "read twice, refused once");
	size_t begin = head_strip(buffer, bytes, &after);
	FUZZ_CHECK(begin < bytes && memcmp(buffer + bytes, whole + bytes, size - bytes) == 0, "the body changes");
	wrong = head_read_response(buffer + begin, bytes - begin, &after);
	FUZZ_CHECK(wrong == NULL, "what is left of the head is refused: %s", wrong);
	check_stripped(&before, &after);
	return 0;
}
