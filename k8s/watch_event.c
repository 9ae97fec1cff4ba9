#include "k8s/watch_event.h"

#include "base/http.h"
#include <stdio.h>
#include <string.h>

static const char *const type_texts[] = {
	[WATCH_EVENT_ADDED] = "ADDED",
	[WATCH_EVENT_MODIFIED] = "MODIFIED",
	[WATCH_EVENT_DELETED] = "DELETED",
	[WATCH_EVENT_BOOKMARK] = "BOOKMARK",
	[WATCH_EVENT_ERROR] = "ERROR",
};

static enum watch_event_type type_of(const char *text)
{
	for (size_t i = 0; i < sizeof(type_texts) / sizeof(type_texts[0]); i++) {
		if (strcmp(text, type_texts[i]) == 0)
			return (enum watch_event_type)i;
	}
	return WATCH_EVENT_UNKNOWN;
}

static int need_metadata(const json_t *object, const char *key, const char **out, struct error *err)
{
	const json_t *metadata = json_object_get(object, "metadata");
	if (!json_is_object(metadata))
		return error_set(err, ERROR_INVALID, "an object without metadata");
	if (json_need_str(metadata, key, out, err) < 0)
		return error_wrap(err, "metadata");
	return (*out)[0] == '\0' ? error_set(err, ERROR_INVALID, "metadata: field \"%s\" is empty", key) : 0;
}

int watch_event_check_object(const json_t *object, struct error *err)
{
	const char *text = NULL;
	if (need_metadata(object, "name", &text, err) < 0)
		return -1;
	return need_metadata(object, "resourceVersion", &text, err);
}

// The Status of an ERROR: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
static void read_status(const json_t *status, struct error *out)
{
	const char *reason = json_find_str(status, "reason");
	const char *message = json_find_str(status, "message");
	bool is_expired = reason != NULL && (strcmp(reason, "Expired") == 0 || strcmp(reason, "Gone") == 0);
	json_int_t code = json_find_int(is_expired ? 410 : 500, status, "code");
	int http_status = code >= 400 && code < 600 ? (int)code : 500;
	json_int_t retry_after_s = json_find_int(0, status, "details", "retryAfterSeconds");
	enum error_kind kind = http_status == 410 ? ERROR_CONFLICT : http_status_kind(http_status);
	(void)error_set(out, kind, "the server ends the watch: %s", message == NULL || *message == '\0' ? "no reason" : message);
	out->http_status = http_status;
	out->retry_after_ms = retry_after_s > 0 && retry_after_s < INT32_MAX ? (int64_t)retry_after_s * 1000 : 0;
}

static int read_event(struct watch_event *event, struct error *err)
{
	const char *type = NULL;
	if (!json_is_object(event->document))
		return error_set(err, ERROR_INVALID, "the event is no JSON object");
	if (json_need_str(event->document, "type", &type, err) < 0)
		return -1;
	json_t *object = json_object_get(event->document, "object");
	event->type = type_of(type);
	(void)snprintf(event->type_text, sizeof(event->type_text), "%s", type);
	switch (event->type) {
	case WATCH_EVENT_UNKNOWN:
		return 0;
	case WATCH_EVENT_ERROR:
		read_status(object, &event->error);
		return 0;
	case WATCH_EVENT_ADDED:
	case WATCH_EVENT_MODIFIED:
	case WATCH_EVENT_DELETED:
		event->object = object;
		if (watch_event_check_object(object, err) < 0)
			return error_wrap(err, "%s", type);
		break;
	case WATCH_EVENT_BOOKMARK:
		break;
	}
	return need_metadata(object, "resourceVersion", &event->version, err) < 0 ? error_wrap(err, "%s", type) : 0;
}

int watch_event_decode(const char *line, size_t len, struct watch_event *out, struct error *err)
{
	AUTO(watch_event) struct watch_event event = {0};
	if (json_parse(line, len, &event.document, err) < 0 || read_event(&event, err) < 0)
		return -1;
	*out = event;
	event.document = NULL; // the caller's now
	return 0;
}

void watch_event_fini(struct watch_event *event)
{
	json_decref(event->document);
	*event = (struct watch_event){0};
}
