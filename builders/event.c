// Events (events.k8s.io/v1), within the limits that the API server checks (Kubernetes pkg/apis/core/validation/events.go).
#include "base/clock.h"
#include "builders/objects.h"
#include <string.h>

#define REPORTING_CONTROLLER PGRO "understory"
#define NOTE_MAX 1024
#define WORD_MAX 128 // action, reason, reportingInstance

// The text in at most max bytes, never cut inside a UTF-8 character.
static json_t *cut(const char *text, size_t max)
{
	size_t len = strnlen(text, max + 1);
	if (len > max) {
		len = max;
		while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
			len--;
	}
	return json_stringn(text, len);
}

static json_t *regarding(const struct build_event *event)
{
	if (event->regarding_kind == NULL)
		return json_pack("{s:s, s:s, s:s, s:s*}", "apiVersion", "v1", "kind", "Namespace", "name", event->namespace,
			"uid", event->regarding_uid);
	return json_pack("{s:s*, s:s, s:s, s:s*, s:s*}", "apiVersion", event->regarding_api_version, "kind",
		event->regarding_kind, "namespace", event->namespace, "name", event->regarding_name, "uid", event->regarding_uid);
}

// One key a line.
// clang-format off
int build_event(const struct build_event *event, json_t **out, struct error *err)
{
	char time[CLOCK_TEXT_SIZE];
	clock_format_micro(event->now_ms, time);
	// An Event about what has no Namespace is accepted in `default` only.
	const char *namespace = event->regarding_kind == NULL ? "default" : event->namespace;
	json_begin();
	json_t *made = json_pack("{s:s, s:s, s:{s:o, s:s, s:{s:s}}, s:s, s:s, s:o, s:o, s:o, s:s, s:o, s:o}",
		"apiVersion", "events.k8s.io/v1",
		"kind", "Event",
		"metadata",
			"name", json_sprintf("%s.%s", event->namespace, event->unique),
			"namespace", namespace,
			"labels", LABEL_MANAGED_BY, LABEL_MANAGED_BY_VALUE,
		"eventTime", time,
		"reportingController", REPORTING_CONTROLLER,
		"reportingInstance", cut(event->instance, WORD_MAX),
		"action", cut(event->action, WORD_MAX),
		"reason", cut(event->reason, WORD_MAX),
		"type", event->is_warning ? "Warning" : "Normal",
		"note", cut(event->note, NOTE_MAX),
		"regarding", regarding(event));
	return json_made_whole(made, "Event", out, err);
}
// clang-format on
