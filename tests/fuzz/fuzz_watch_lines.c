// A watch: lines are the same however they come, and each is an event or is refused (k8s/watch_lines.h, watch_event.h).
#include "base/buf.h"
#include "k8s/watch_event.h"
#include "k8s/watch_lines.h"
#include "tests/fuzz/fuzz.h"
#include <string.h>

#define LINE_BYTES_MAX ((size_t)2048)
#define ALL_MAX ((size_t)64 << 20)

static void check_event(const struct watch_event *event)
{
	bool has_object = event->type <= WATCH_EVENT_DELETED;
	bool has_version = has_object || event->type == WATCH_EVENT_BOOKMARK;
	struct error err;
	FUZZ_CHECK((event->object != NULL) == has_object, "%s: object", event->type_text);
	FUZZ_CHECK((event->version != NULL && *event->version != '\0') == has_version, "%s: version", event->type_text);
	FUZZ_CHECK(!has_object || watch_event_check_object(event->object, &err) == 0, "%s: metadata", event->type_text);
	if (event->type != WATCH_EVENT_ERROR)
		return;
	fuzz_check_error(&event->error);
	FUZZ_CHECK(event->error.http_status >= 400 && event->error.http_status < 600, "status %d", event->error.http_status);
	FUZZ_CHECK(event->error.http_status != 410 || event->error.kind == ERROR_CONFLICT, "410 is a reason to list again");
	FUZZ_CHECK(event->error.retry_after_ms >= 0, "a wait of less than nothing");
}

// Keeps the lines and what became of each; the stream goes on after a line that is no event.
static int on_line(void *arg, const char *line, size_t len, struct error *err)
{
	struct buf *seen = arg;
	struct error why = {0};
	AUTO(watch_event) struct watch_event event = {0};
	FUZZ_CHECK(len > 0 && memchr(line, '\n', len) == NULL, "a line of %zu bytes, or with an end in it", len);
	int rc = watch_event_decode(line, len, &event, &why);
	if (rc < 0)
		fuzz_check_error(&why);
	else
		check_event(&event);
	return buf_add(seen, line, len, err) < 0 ? -1 : buf_addf(seen, err, "\n%d %s\n", rc, why.text);
}

static int feed(const uint8_t *data, size_t size, bool in_pieces, struct buf *seen, struct error *err)
{
	AUTO(watch_lines) struct watch_lines lines;
	watch_lines_init(&lines, LINE_BYTES_MAX, on_line, seen);
	if (!in_pieces) {
		AUTO_FREE char *whole = fuzz_copy(data, size);
		return watch_lines_feed(&lines, whole, size, err);
	}
	struct fuzz_cuts cuts;
	size_t len = 0;
	int rc = 0;
	fuzz_cuts_begin(&cuts, data, size);
	while (rc == 0 && fuzz_cuts_next(&cuts, &len))
		rc = watch_lines_feed(&lines, cuts.piece, len, err);
	fuzz_cuts_end(&cuts);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	struct error err_in_pieces = {0};
	AUTO(buf) struct buf whole;
	AUTO(buf) struct buf pieces;
	buf_init(&whole, ALL_MAX);
	buf_init(&pieces, ALL_MAX);
	int rc = feed(data, size, false, &whole, &err);
	FUZZ_CHECK(feed(data, size, true, &pieces, &err_in_pieces) == rc, "cut into pieces: %s", err_in_pieces.text);
	FUZZ_CHECK(strcmp(err.text, err_in_pieces.text) == 0, "\"%s\", in pieces \"%s\"", err.text, err_in_pieces.text);
	FUZZ_CHECK(whole.len == pieces.len && memcmp(buf_str(&whole), buf_str(&pieces), whole.len) == 0, "other lines in pieces");
	if (rc < 0)
		fuzz_check_error(&err);
	return 0;
}
