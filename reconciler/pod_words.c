#include "reconciler/pod_words.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "builders/names.h"
#include <stdio.h>
#include <string.h>

#define COUNT_MAX INT64_C(1000000000000000) // beyond it a number is no count of anything here

// --- what may stand in a report

// Cut where a character ends; what moves a cursor becomes a blank.
static void copy_text(const char *text, char *out, size_t size)
{
	size_t len = 0;
	for (size_t step = 0; text[len] != '\0' && (step = utf8_len(text + len)) > 0 && len + step < size; len += step)
		memcpy(out + len, text + len, step);
	out[len] = '\0';
	for (char *c = out; *c != '\0'; c++)
		*c = (unsigned char)*c < 0x20 || *c == 0x7f ? ' ' : *c;
}

static json_t *bounded(const json_t *text)
{
	char copy[POD_WORDS_TEXT_MAX + 1];
	if (!json_is_string(text) || json_string_length(text) == 0)
		return NULL;
	copy_text(json_string_value(text), copy, sizeof(copy));
	return json_string(copy);
}

static int64_t count_of(const json_t *said, const char *key)
{
	json_int_t count = json_find_int(-1, said, key);
	return count < 0 || count > COUNT_MAX ? -1 : (int64_t)count;
}

static int64_t time_of(const json_t *object, const char *key)
{
	int64_t ms = 0;
	struct error ignored;
	const char *text = json_find_str(object, key);
	return text == NULL || clock_parse(text, &ms, &ignored) < 0 ? 0 : ms;
}

// A value that is NULL is left out.
static int put(json_t *details, const char *key, json_t *value)
{
	return value == NULL ? 0 : json_object_set_new(details, key, value);
}

static int put_time(json_t *details, const char *key, int64_t at_ms)
{
	char text[CLOCK_TEXT_SIZE];
	if (at_ms == 0)
		return 0;
	clock_format(at_ms, text);
	return put(details, key, json_string(text));
}

// --- prepare's message

static bool is_capture(const char *word)
{
	return word != NULL && (strcmp(word, "shut_down") == 0 || strcmp(word, "base_backup") == 0 ||
				       strcmp(word, "crash_consistent") == 0 || strcmp(word, "dump") == 0);
}

// A list of texts, and beside it how many there are more: those that prepare left out, and those that are left out here.
static int put_list(json_t *details, const json_t *said, const char *key, const char *more_key, size_t *count)
{
	AUTO(json) json_t *list = json_array();
	const json_t *element;
	size_t i;
	int64_t more = more_key == NULL ? 0 : count_of(said, more_key);
	more = more < 0 ? 0 : more;
	*count = 0;
	json_array_foreach (json_object_get(said, key), i, element) {
		json_t *text = bounded(element);
		if (text == NULL)
			continue;
		if (json_array_size(list) == POD_WORDS_TEXTS_MAX) {
			json_decref(text);
			more++;
		} else if (json_array_append_new(list, text) < 0) {
			return -1;
		}
	}
	*count = json_array_size(list) + (size_t)more;
	if (list == NULL || (json_array_size(list) > 0 && json_object_set(details, key, list) < 0))
		return -1;
	return more == 0 || more_key == NULL ? 0 : put(details, more_key, json_integer(more));
}

static int read_lists(const json_t *said, json_t *details, struct pod_words *out)
{
	size_t disarmed = 0, repaired = 0, notes = 0;
	if (put_list(details, said, "disarmed", "disarmed_more", &disarmed) < 0 ||
		put_list(details, said, "repaired", "repaired_more", &repaired) < 0 ||
		put_list(details, said, "notes", NULL, &notes) < 0)
		return -1;
	out->is_repaired = repaired > 0;
	return 0;
}

static int read_said(const json_t *said, struct pod_words *out, struct error *err)
{
	json_begin();
	AUTO(json) json_t *details = json_object();
	const char *capture = json_find_str(said, "capture");
	const json_t *salvaged = json_object_get(said, "salvaged");
	int64_t warnings = count_of(said, "load_warnings");
	if (json_is_string(salvaged))
		copy_text(json_string_value(salvaged), out->salvaged, sizeof(out->salvaged));
	else if (json_is_true(salvaged))
		copy_text("what was lost is not known", out->salvaged, sizeof(out->salvaged));
	out->recovery_s = count_of(said, "recovery_seconds");
	out->load_s = count_of(said, "load_seconds");
	out->checkpoint_at_ms = time_of(said, "checkpoint_at");
	out->last_commit_at_ms = time_of(said, "last_commit_at");
	if (details == NULL || read_lists(said, details, out) < 0 ||
		put(details, "capture", is_capture(capture) ? json_string(capture) : NULL) < 0 ||
		put(details, "load_warnings", warnings < 0 ? NULL : json_integer(warnings)) < 0 ||
		put(details, "recovered_to", bounded(json_object_get(said, "recovered_to"))) < 0 ||
		put_time(details, "checkpoint_at", out->checkpoint_at_ms) < 0 ||
		put_time(details, "last_commit_at", out->last_commit_at_ms) < 0 || json_lacked_memory())
		return error_no_memory(err, "words of prepare");
	out->details = TAKE_PTR(details);
	return 0;
}

// --- the pod

static const json_t *status_of(const json_t *pod, const char *list, const char *name)
{
	size_t i;
	const json_t *status;
	json_array_foreach (json_find(pod, "status", list), i, status) {
		const char *its_name = json_find_str(status, "name");
		if (its_name != NULL && strcmp(its_name, name) == 0)
			return status;
	}
	return NULL;
}

static int64_t ready_since(const json_t *pod)
{
	size_t i;
	const json_t *condition;
	json_array_foreach (json_find(pod, "status", "conditions"), i, condition) {
		const char *type = json_find_str(condition, "type");
		const char *status = json_find_str(condition, "status");
		if (type != NULL && status != NULL && strcmp(type, "Ready") == 0 && strcmp(status, "True") == 0)
			return time_of(condition, "lastTransitionTime");
	}
	return 0;
}

// Its last run that ended, well or badly.
static int read_prepare(const json_t *pod, struct pod_words *out, struct error *err)
{
	struct error why = {0};
	AUTO(json) json_t *said = NULL;
	const json_t *status = status_of(pod, "initContainerStatuses", CONTAINER_PREPARE);
	const json_t *ended = json_find(status, "state", "terminated");
	bool is_well = ended != NULL && json_find_int(-1, ended, "exitCode") == 0;
	if (ended == NULL)
		ended = json_find(status, "lastState", "terminated");
	const char *message = json_find_str(ended, "message");
	out->prepare_ended_at_ms = time_of(ended, "finishedAt");
	if (message == NULL)
		return 0;
	if (json_parse(message, strlen(message), &said, &why) < 0)
		return why.kind == ERROR_INVALID ? 0 : error_no_memory(err, "words of prepare");
	if (json_typeof(said) != JSON_OBJECT)
		return 0;
	out->has_prepared = is_well;
	return read_said(said, out, err);
}

int pod_words_read(const json_t *pod, struct pod_words *out, struct error *err)
{
	AUTO(pod_words) struct pod_words made = {.recovery_s = -1, .load_s = -1};
	const json_t *postgres = status_of(pod, "containerStatuses", CONTAINER_POSTGRES);
	const char *image = json_find_str(postgres, "image");
	const char *image_id = json_find_str(postgres, "imageID");
	if (read_prepare(pod, &made, err) < 0)
		return -1;
	made.ready_at_ms = ready_since(pod);
	copy_text(image == NULL ? "" : image, made.image, sizeof(made.image));
	copy_text(image_id == NULL ? "" : image_id, made.image_id, sizeof(made.image_id));
	*out = made;
	made.details = NULL;
	return 0;
}

void pod_words_fini(struct pod_words *words)
{
	json_decref(words->details);
	words->details = NULL;
}
