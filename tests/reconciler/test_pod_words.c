// What is taken from the words of a PostgreSQL pod, and what is not.
#include "reconciler/pod_words.h"
#include "base/buf.h"
#include "base/clock.h"
#include "tests/support/cmocka.h"
#include <string.h>

#define POD_MAX ((size_t)1 << 20)

static json_t *parse(const char *text)
{
	struct error err = {0};
	json_t *value = NULL;
	AUTO_FREE char *copy = strdup(text);
	for (char *c = copy; *c != '\0'; c++)
		*c = *c == '\'' ? '"' : *c;
	assert_ok(json_parse(copy, strlen(copy), &value, &err), err);
	return value;
}

// The message as the kubelet tells it: as a string within JSON.
static struct pod_words read_with(const char *state, const char *last_state, const char *message)
{
	struct error err = {0};
	struct pod_words words;
	AUTO(buf) struct buf text;
	AUTO(json) json_t *said = json_string(message);
	buf_init(&text, POD_MAX);
	assert_ok(buf_addf(&text, &err,
			  "{'metadata':{'name':'p'},'status':{'conditions':[{'type':'Initialized','status':'True','"
			  "lastTransitionTime':"
			  "'2026-11-20T09:10:01Z'},{'type':'Ready','status':'True','lastTransitionTime':"
			  "'2026-11-20T09:10:07Z'}],'initContainerStatuses':[{'name':'prepare','state':%s,'lastState':%s}],"
			  "'containerStatuses':[{'name':'exporter','image':'exporter:1'},{'name':'postgres','image':'docker.io/"
			  "library/postgres:15','imageID':"
			  "'docker.io/library/postgres@sha256:f4'}]}}",
			  state, last_state),
		err);
	AUTO(json) json_t *pod = parse(buf_str(&text));
	json_t *prepare = json_array_get(json_find(pod, "status", "initContainerStatuses"), 0);
	json_t *ended = json_find(prepare, "state", "terminated");
	if (ended == NULL)
		ended = json_find(prepare, "lastState", "terminated");
	assert_int_equal(json_object_set(ended, "message", said), 0);
	assert_ok(pod_words_read(pod, &words, &err), err);
	return words;
}

static struct pod_words read_words(const char *message)
{
	return read_with("{'terminated':{'exitCode':0,'startedAt':'2026-11-20T09:00:00Z','finishedAt':'2026-11-20T09:10:00Z'}}",
		"{}", message);
}

static void all_that_prepare_may_say(void **state)
{
	(void)state;
	int64_t at_ms = 0;
	struct error err = {0};
	AUTO_FREE char *printed = NULL;
	AUTO(pod_words)
	struct pod_words words = read_words(
		"{\"postgres_version\":\"15\",\"capture\":\"crash_consistent\",\"disarmed\":[\"recovery.conf\",\"slot a\"],"
		"\"disarmed_more\":3,\"recovery_seconds\":12,\"checkpoint_at\":\"2026-11-20T08:00:00Z\","
		"\"recovered_to\":\"0/3000148\",\"last_commit_at\":\"2026-11-20T08:04:00+00:00\",\"repaired\":[\"index a\"],"
		"\"repaired_more\":1,\"salvaged\":\"\",\"notes\":[\"a note\"]}\n");
	assert_ok(json_print(words.details, &printed, &err), err);
	assert_string_equal(printed,
		"{\"capture\":\"crash_consistent\",\"checkpoint_at\":\"2026-11-20T08:00:00Z\",\"disarmed\":[\"recovery.conf\","
		"\"slot a\"],\"disarmed_more\":3,\"last_commit_at\":\"2026-11-20T08:04:00Z\",\"notes\":[\"a note\"],"
		"\"recovered_to\":\"0/3000148\",\"repaired\":[\"index a\"],\"repaired_more\":1}");
	assert_true(words.has_prepared);
	assert_true(words.is_repaired);
	assert_string_equal(words.salvaged, "");
	assert_int_equal(words.recovery_s, 12);
	assert_ok(clock_parse("2026-11-20T08:04:00Z", &at_ms, &err), err);
	assert_int_equal(words.last_commit_at_ms, at_ms);
	assert_int_equal(words.ready_at_ms - words.prepare_ended_at_ms, 7000);
	assert_string_equal(words.image, "docker.io/library/postgres:15");
	assert_string_equal(words.image_id, "docker.io/library/postgres@sha256:f4");
}

// Whatever is of the wrong kind is as if it had not been said.
static void what_is_not_taken(void **state)
{
	(void)state;
	static const struct {
		const char *message;
		bool has_prepared;
		const char *details; // NULL: none
	} rows[] = {
		{"{}", true, "{}"},
		{"{\"capture\":\"dump\",\"load_warnings\":0,\"load_seconds\":3}", true,
			"{\"capture\":\"dump\",\"load_warnings\":0}"},
		{"{\"capture\":\"shut_down\"}", true, "{\"capture\":\"shut_down\"}"},
		{"{\"load_warnings\":-1}", true, "{}"},
		{"{\"capture\":\"else\",\"disarmed\":\"text\",\"repaired\":{\"a\":1},\"notes\":7,\"recovery_seconds\":\"12\"}",
			true, "{}"},
		{"{\"capture\":[],\"checkpoint_at\":\"Fri 20 Nov\",\"last_commit_at\":1,\"recovered_to\":null}", true, "{}"},
		{"{\"disarmed\":[1,null,\"\",[\"deep\"],\"one\"],\"disarmed_more\":-4}", true, "{\"disarmed\":[\"one\"]}"},
		{"{\"disarmed_more\":1e3,\"repaired_more\":9223372036854775807}", true, "{}"},
		{"{\"grade\":\"clean\",\"owner\":\"backup\",\"stage\":\"x\",\"attempt\":9}", true, "{}"},
		{"{\"notes\":[\"line\\nbreak\\u001b[31m\\u007f.\"]}", true, "{\"notes\":[\"line break [31m .\"]}"},
		{"[\"capture\"]", false, NULL},
		{"plain text", false, NULL},
		{"{\"capture\":\"base_backup\"", false, NULL},
		{"", false, NULL},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		AUTO_FREE char *printed = NULL;
		AUTO(pod_words) struct pod_words words = read_words(rows[i].message);
		if (words.details != NULL)
			assert_ok(json_print(words.details, &printed, &err), err);
		bool is_same =
			rows[i].details == NULL ? printed == NULL : printed != NULL && strcmp(printed, rows[i].details) == 0;
		if (!is_same || words.has_prepared != rows[i].has_prepared)
			fail_msg("%s: %s", rows[i].message, printed == NULL ? "nothing" : printed);
		assert_false(words.is_repaired);
	}
}

static void a_reset_of_the_log_is_never_missed(void **state)
{
	(void)state;
	static const struct {
		const char *message, *salvaged;
	} rows[] = {
		{"{\"salvaged\":\"the log from 0/3 on\"}", "the log from 0/3 on"},
		{"{\"salvaged\":true}", "what was lost is not known"},
		{"{\"salvaged\":\"\"}", ""},
		{"{\"salvaged\":false}", ""},
		{"{\"salvaged\":null}", ""},
		{"{}", ""},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		AUTO(pod_words) struct pod_words words = read_words(rows[i].message);
		if (strcmp(words.salvaged, rows[i].salvaged) != 0)
			fail_msg("%s: \"%s\"", rows[i].message, words.salvaged);
	}
}

static void long_lists_and_texts_are_cut_and_counted(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(buf) struct buf message;
	buf_init(&message, POD_MAX);
	assert_ok(buf_add_str(&message, "{\"repaired_more\":5,\"repaired\":[", &err), err);
	for (int i = 0; i < 100; i++)
		assert_ok(buf_addf(&message, &err, "%s\"index %d\"", i == 0 ? "" : ",", i), err);
	assert_ok(buf_add_str(&message, "],\"notes\":[\"", &err), err);
	for (int i = 0; i < 200; i++)
		assert_ok(buf_add_str(&message, "\xc3\xa9\xe2\x82\xac", &err), err); // 5 bytes
	assert_ok(buf_add_str(&message, "\"]}", &err), err);
	AUTO(pod_words) struct pod_words words = read_words(buf_str(&message));
	assert_int_equal(json_array_size(json_object_get(words.details, "repaired")), POD_WORDS_TEXTS_MAX);
	assert_int_equal(json_find_int(-1, words.details, "repaired_more"), 5 + 100 - POD_WORDS_TEXTS_MAX);
	size_t len = json_string_length(json_array_get(json_object_get(words.details, "notes"), 0));
	assert_int_equal(len, POD_WORDS_TEXT_MAX); // 60 times 5
}

// Of those nobody says how many there were.
static void notes_that_are_too_many_are_left_out(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(buf) struct buf message;
	buf_init(&message, POD_MAX);
	for (int i = 0; i < POD_WORDS_TEXTS_MAX + 1; i++)
		assert_ok(buf_addf(&message, &err, "%s\"note %d\"", i == 0 ? "{\"notes\":[" : ",", i), err);
	assert_ok(buf_add_str(&message, "]}", &err), err);
	AUTO(pod_words) struct pod_words words = read_words(buf_str(&message));
	assert_int_equal(json_array_size(json_object_get(words.details, "notes")), POD_WORDS_TEXTS_MAX);
	assert_int_equal(json_object_size(words.details), 1);
}

// A run that failed has words too, but none that say the database is prepared.
static void runs_that_failed(void **state)
{
	(void)state;
	const char *message = "{\"error\":\"no\",\"stage\":\"recovery\",\"capture\":\"base_backup\"}";
	AUTO(pod_words)
	struct pod_words ended = read_with("{'terminated':{'exitCode':21,'finishedAt':'2026-11-20T09:10:00Z'}}", "{}", message);
	AUTO(pod_words)
	struct pod_words again = read_with("{'waiting':{'reason':'CrashLoopBackOff'}}",
		"{'terminated':{'exitCode':21,'finishedAt':'2026-11-20T09:10:00Z'}}", message);
	assert_false(ended.has_prepared);
	assert_false(again.has_prepared);
	assert_string_equal(json_find_str(ended.details, "capture"), "base_backup");
	assert_string_equal(json_find_str(again.details, "capture"), "base_backup");
	assert_true(again.prepare_ended_at_ms > 0);
}

static void a_pod_without_status_says_nothing(void **state)
{
	(void)state;
	static const char *const pods[] = {"{}", "[]", "{'status':[]}", "{'status':{'initContainerStatuses':{},'conditions':7}}",
		"{'status':{'initContainerStatuses':[7,{'name':1},{'name':'prepare','state':7}],'containerStatuses':[{'name':'"
		"postgres',"
		"'image':7}]}}",
		"{'status':{'initContainerStatuses':[{'name':'prepare','state':{'terminated':{'exitCode':0}}}]}}",
		"{'status':{'conditions':[{'status':'True'},{'type':'Ready'},{'type':'Ready','status':'False','"
		"lastTransitionTime':"
		"'2026-11-20T09:10:07Z'},{'type':'PodScheduled','status':'True','lastTransitionTime':'2026-11-20T09:10:07Z'}]}}"};
	for (size_t i = 0; i < sizeof(pods) / sizeof(pods[0]); i++) {
		struct error err = {0};
		AUTO(pod_words) struct pod_words words = {0};
		AUTO(json) json_t *pod = parse(pods[i]);
		assert_ok(pod_words_read(pod, &words, &err), err);
		assert_false(words.has_prepared);
		assert_null(words.details);
		assert_int_equal(words.recovery_s, -1);
		assert_string_equal(words.image, "");
		assert_int_equal(words.ready_at_ms, 0);
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(all_that_prepare_may_say),
		cmocka_unit_test(what_is_not_taken),
		cmocka_unit_test(a_reset_of_the_log_is_never_missed),
		cmocka_unit_test(long_lists_and_texts_are_cut_and_counted),
		cmocka_unit_test(notes_that_are_too_many_are_left_out),
		cmocka_unit_test(runs_that_failed),
		cmocka_unit_test(a_pod_without_status_says_nothing),
	};
	return cmocka_run_group_tests_name("reconciler/pod_words", cases, NULL, NULL);
}
