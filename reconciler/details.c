#include "reconciler/details.h"

#include "base/clock.h"
#include "builders/engines/engine.h"
#include <stdio.h>
#include <string.h>

#define LOST_WORDS "what the prepare container said is lost: what was disarmed or rebuilt is not known"

// A value that is NULL is left out.
static int put(json_t *object, const char *key, json_t *value)
{
	return value == NULL ? 0 : json_object_set_new(object, key, value);
}

static int put_count(json_t *object, const char *key, int64_t count)
{
	return count < 0 ? 0 : put(object, key, json_integer(count));
}

static int put_text(json_t *object, const char *key, const char *text)
{
	return text == NULL || text[0] == '\0' ? 0 : put(object, key, json_string(text));
}

// An object without members says nothing.
static int put_object(json_t *object, const char *key, json_t *value)
{
	return json_object_size(value) == 0 ? 0 : json_object_set(object, key, value);
}

static int put_restored(const struct round_view *v, const struct restore_message *said, json_t *details)
{
	const struct deployment_view *deployment = scene_deployment(&v->scene, v->replica->round);
	int64_t bytes = deployment != NULL && deployment->restored_bytes >= 0 ? deployment->restored_bytes : said->bytes;
	int64_t files = deployment != NULL && deployment->restored_files >= 0 ? deployment->restored_files : said->files;
	return put_count(details, "restored_bytes", bytes) < 0 || put_count(details, "restored_files", files) < 0 ||
			       put_text(details, "flavour", deployment == NULL ? NULL : deployment->flavour) < 0 ||
			       put_text(details, "layout", said->layout) < 0
		       ? -1
		       : 0;
}

// "restic 0.18.1" is of restic; a name that is none of ours is only told as a version.
static int put_engine(const struct restore_message *said, json_t *details)
{
	const struct engine *engine = engine_said(said->engine);
	return engine == NULL ? 0 : put_text(details, "engine", engine_name(engine));
}

static int put_backup(const struct round_view *v, const struct restore_message *said, json_t *details)
{
	return put_text(details, "backup", said->backup[0] == '\0' ? v->replica->backup : said->backup);
}

static int put_versions(const struct round_view *v, const struct restore_message *said, json_t *details)
{
	AUTO(json) json_t *versions = json_object();
	const char *server = v->check == CHECK_DONE ? v->check_result->server_version : NULL;
	if (put_text(versions, "operator", UNDERSTORY_VERSION) < 0 || put_text(versions, "engine", said->engine) < 0 ||
		put_text(versions, "server", server) < 0 ||
		put_text(versions, "image", v->words == NULL ? NULL : v->words->image) < 0 ||
		put_text(versions, "image_id", v->words == NULL ? NULL : v->words->image_id) < 0)
		return -1;
	return put_object(details, "versions", versions);
}

static double seconds_of_checks(const struct round_view *v)
{
	double sum = 0;
	size_t i;
	const json_t *stage;
	if (v->check != CHECK_DONE)
		return -1;
	json_array_foreach (json_object_get(v->check_result->details, "stages"), i, stage)
		sum += json_number_value(json_object_get(stage, "seconds"));
	return sum;
}

static int put_durations(const struct round_view *v, const struct restore_message *said, json_t *details)
{
	AUTO(json) json_t *durations = json_object();
	const struct pod_words *words = v->words;
	double checks = seconds_of_checks(v);
	bool has_start = words != NULL && words->prepare_ended_at_ms > 0 && words->ready_at_ms >= words->prepare_ended_at_ms;
	int64_t start_s = has_start ? (words->ready_at_ms - words->prepare_ended_at_ms) / 1000 : -1;
	if (put_count(durations, "restore", said->seconds) < 0 ||
		put_count(durations, "recovery", words == NULL ? -1 : words->recovery_s) < 0 ||
		put_count(durations, "load", words == NULL ? -1 : words->load_s) < 0 ||
		put_count(durations, "start", start_s) < 0 || put(durations, "checks", checks < 0 ? NULL : json_real(checks)) < 0)
		return -1;
	return put_object(details, "durations", durations);
}

// What the restored database lacks of what there was when the snapshot was taken: its last commit, where it notes those, else its
// last checkpoint, which is older. Not known any more when the entry has gone on to another snapshot.
static int put_lag(const struct round_view *v, json_t *details)
{
	int64_t snapshot_at_ms = 0;
	struct error ignored;
	const struct entry *entry = v->entry;
	int64_t recovered_ms = v->words == NULL                   ? 0
			       : v->words->last_commit_at_ms != 0 ? v->words->last_commit_at_ms
								  : v->words->checkpoint_at_ms;
	bool is_of_round = entry != NULL && entry->snapshot_at != NULL && entry->snapshot_id != NULL &&
			   v->replica->round_snapshot_id != NULL &&
			   strcmp(entry->snapshot_id, v->replica->round_snapshot_id) == 0;
	if (recovered_ms == 0 || !is_of_round || clock_parse(entry->snapshot_at, &snapshot_at_ms, &ignored) < 0)
		return 0;
	return put(details, "recovery_point_lag_sec", json_integer((snapshot_at_ms - recovered_ms) / 1000));
}

// Those of prepare, then those of the checks.
static int put_notes(const struct round_view *v, const json_t *checked, json_t *details)
{
	AUTO(json) json_t *notes = json_array();
	const json_t *of_prepare = json_object_get(details, "notes"), *of_checks = json_object_get(checked, "notes");
	bool is_lost = v->words != NULL && !v->words->has_prepared && checked != NULL;
	if (notes == NULL || (of_prepare != NULL && json_array_extend(notes, json_object_get(details, "notes")) < 0) ||
		(is_lost && json_array_append_new(notes, json_string(LOST_WORDS)) < 0) ||
		(of_checks != NULL && json_array_extend(notes, json_object_get(checked, "notes")) < 0))
		return -1;
	return json_array_size(notes) == 0 ? 0 : json_object_set(details, "notes", notes);
}

static int put_checked(const struct round_view *v, json_t *details)
{
	const json_t *checked = v->check == CHECK_DONE ? v->check_result->details : NULL;
	AUTO(json) json_t *copy = checked == NULL ? json_object() : json_deep_copy(checked);
	if (copy == NULL || put_notes(v, checked, details) < 0)
		return -1;
	(void)json_object_del(copy, "notes");
	return json_object_update(details, copy);
}

int details_make(const struct round_view *v, json_t **out, struct error *err)
{
	const struct restore_message said = round_said(v);
	json_begin();
	AUTO(json)
	json_t *details = v->words == NULL || v->words->details == NULL ? json_object() : json_deep_copy(v->words->details);
	int64_t seconds =
		v->replica->round_started_at_ms == REPLICA_NEVER ? -1 : (v->now_ms - v->replica->round_started_at_ms) / 1000;
	if (details == NULL || put(details, "attempt", json_integer(v->replica->attempt)) < 0 ||
		put_count(details, "restore_duration_sec", seconds) < 0 || put_restored(v, &said, details) < 0 ||
		put_engine(&said, details) < 0 || put_backup(v, &said, details) < 0 || put_versions(v, &said, details) < 0 ||
		put_durations(v, &said, details) < 0 || put_lag(v, details) < 0 || put_checked(v, details) < 0 ||
		json_lacked_memory())
		return error_no_memory(err, "health details");
	*out = TAKE_PTR(details);
	return 0;
}
