// One line of a watch as an event: {"type": "MODIFIED", "object": {...}}.
// https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
//
// Pure; any thread.
#ifndef K8S_WATCH_EVENT_H
#define K8S_WATCH_EVENT_H

#include "base/error.h"
#include "base/json.h"
#include <stddef.h>

#define WATCH_EVENT_TYPE_SIZE 32

enum watch_event_type {
	WATCH_EVENT_ADDED,
	WATCH_EVENT_MODIFIED,
	WATCH_EVENT_DELETED,
	WATCH_EVENT_BOOKMARK, // only tells how far the stream is
	WATCH_EVENT_ERROR,
	WATCH_EVENT_UNKNOWN, // of a newer server: nothing is known but its name
};

struct watch_event {
	enum watch_event_type type;
	char type_text[WATCH_EVENT_TYPE_SIZE]; // as it came, cut
	json_t *document;
	json_t *object;      // within document, with metadata.name and .resourceVersion; NULL unless ADDED, MODIFIED, DELETED
	const char *version; // within document: where to go on after this event; NULL for ERROR and UNKNOWN
	struct error error;  // of an ERROR: what its Status says, as k8s/client.h tells; 410 in http_status: list again
};

// ERROR_INVALID: no JSON (also: not UTF-8), no event, an object without metadata. The caller ends it with watch_event_fini().
MUST_CHECK int watch_event_decode(const char *line, size_t len, struct watch_event *out, struct error *err);
void watch_event_fini(struct watch_event *event);

static inline void auto_watch_event(struct watch_event *event)
{
	watch_event_fini(event);
}

// The same check for an object of a list.
MUST_CHECK int watch_event_check_object(const json_t *object, struct error *err);

#endif
