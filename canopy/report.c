#include "canopy/report.h"

#include "base/clock.h"
#include "base/utf8.h"
#include <string.h>

const char *const report_grade_text[] = {"clean", "repaired", "salvaged", "failed", "inconclusive", NULL};

const char *const report_owner_text[] = {NULL, "backup", "cluster", "image", "credentials", "canopy", "settings"};

// As the subject of a sentence.
static const char *const owner_words[] = {"nobody is known", "the backup is", "the cluster or its network is", "the image is",
	"the credentials are", "what canopy declares is", "the settings are"};

static bool is_healthy(enum report_grade grade)
{
	return grade == GRADE_CLEAN || grade == GRADE_REPAIRED;
}

// A report must leave whatever bytes a log line or a cut error text holds: what is no UTF-8 loses its bytes above ASCII.
static json_t *text(const char *s)
{
	if (utf8_is_good(s))
		return json_string(s);
	AUTO_FREE char *copy = strdup(s);
	for (char *c = copy; c != NULL && *c != '\0'; c++)
		*c = (unsigned char)*c < 0x80 ? *c : '?';
	return copy == NULL ? NULL : json_string(copy);
}

static int set_text(json_t *object, const char *key, const char *value, struct error *err)
{
	if (value != NULL && json_object_set_new(object, key, text(value)) < 0)
		return error_no_memory(err, "report");
	return 0;
}

// What the backup did wrong, or that it was not the backup.
static int set_error(json_t *body, const struct report *r, struct error *err)
{
	struct error words = {0};
	const char *cause = r->cause == NULL ? "no cause is known" : r->cause;
	if (is_healthy(r->grade))
		return 0;
	if (r->grade == GRADE_INCONCLUSIVE)
		(void)error_set(&words, ERROR_NONE, "inconclusive: %s to blame, the backup was not judged: %s",
			owner_words[r->owner], cause);
	else if (r->grade == GRADE_SALVAGED)
		(void)error_set(&words, ERROR_NONE, "salvaged: the write-ahead log was reset: %s", cause);
	else
		(void)error_set(&words, ERROR_NONE, "%s", cause);
	return set_text(body, "error", words.text, err);
}

static int set_details(json_t *body, const struct report *r, struct error *err)
{
	AUTO(json) json_t *details = NULL;
	if (json_made(json_is_object(r->details) ? json_copy(r->details) : json_object(), "report", &details, err) < 0)
		return -1;
	if (set_text(details, "grade", report_grade_text[r->grade], err) < 0 || set_text(details, "stage", r->stage, err) < 0 ||
		set_text(details, "cause", r->cause, err) < 0 || set_text(details, "owner", report_owner_text[r->owner], err) < 0)
		return -1;
	return json_object_set(body, "health_details", details) < 0 ? error_no_memory(err, "report") : 0;
}

static int set_traffic(json_t *body, const json_t *traffic, struct error *err)
{
	static const char *const counts[] = {
		"s3_sent_raw_bytes", "s3_sent_payload_bytes", "s3_received_raw_bytes", "s3_received_payload_bytes"};
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		json_t *count = json_object_get(traffic, counts[i]);
		if (json_is_integer(count) && json_object_set(body, counts[i], count) < 0)
			return error_no_memory(err, "report");
	}
	return 0;
}

int report_build(const struct report *r, char **out, struct error *err)
{
	AUTO(json) json_t *body = json_object();
	char observed_at[CLOCK_TEXT_SIZE];
	clock_format(r->observed_at_ms, observed_at);
	bool healthy = is_healthy(r->grade);
	const struct {
		const char *key, *value;
	} texts[] = {
		{"group", r->group_id},
		{r->has_server_id ? "server_id" : "machine_id", r->server_id},
		{"replica_id", r->replica_id},
		{"type", r->type},
		{"intent", r->intent},
		{"snapshot_id", r->snapshot_id},
		{"run_id", r->run_id},
		{"postgres_version", r->postgres_version},
		{"observed_at", observed_at},
		{"outcome", healthy ? "success" : "failure"},
	};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (set_text(body, texts[i].key, texts[i].value, err) < 0)
			return -1;
	}
	if (json_object_set_new(body, "replica_healthy", json_boolean(healthy)) < 0)
		return error_no_memory(err, "report");
	if (set_error(body, r, err) < 0 || set_details(body, r, err) < 0 || set_traffic(body, r->traffic, err) < 0)
		return -1;
	return json_print(body, out, err);
}

int report_is_healthy(const char *body, bool *out, struct error *err)
{
	struct error failure = {0};
	AUTO(json) json_t *report = NULL;
	if (json_parse(body, strlen(body), &report, &failure) < 0 && failure.kind == ERROR_INTERNAL) {
		*err = failure;
		return -1;
	}
	*out = json_is_true(json_find(report, "replica_healthy"));
	return 0;
}

int64_t report_observed_at_ms(const char *body)
{
	struct error ignored;
	AUTO(json) json_t *report = NULL;
	int64_t at_ms = -1;
	if (json_parse(body, strlen(body), &report, &ignored) < 0)
		return -1;
	const char *observed_at = json_find_str(report, "observed_at");
	return observed_at != NULL && clock_parse(observed_at, &at_ms, &ignored) == 0 ? at_ms : -1;
}
