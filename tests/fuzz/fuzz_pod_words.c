// What a pod says at its end (reconciler/workload.h, reconciler/pod_words.h): the termination messages of restore and prepare,
// which scripts write that work on somebody else's data. Input: such a message.
#include "builders/names.h"
#include "canopy/report.h"
#include "reconciler/pod_words.h"
#include "tests/fuzz/fuzz.h"
#include <string.h>

static bool is_nul_terminated(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static void read_restore(const char *message)
{
	struct restore_message said;
	if (!restore_message_parse(message, &said))
		return;
	FUZZ_CHECK(said.bytes >= -1 && said.files >= -1 && said.seconds >= -1 && said.postgres_major >= 0, "a count below zero");
	FUZZ_CHECK(is_nul_terminated(said.error, sizeof(said.error)) && is_nul_terminated(said.stage, sizeof(said.stage)) &&
			   is_nul_terminated(said.layout, sizeof(said.layout)) &&
			   is_nul_terminated(said.engine, sizeof(said.engine)),
		"a text without an end");
}

static void check_list(const json_t *details, const char *key)
{
	size_t i;
	const json_t *text;
	const json_t *list = json_object_get(details, key);
	FUZZ_CHECK(list == NULL ||
			   (json_is_array(list) && json_array_size(list) > 0 && json_array_size(list) <= POD_WORDS_TEXTS_MAX),
		"%s is no list", key);
	json_array_foreach (list, i, text)
		FUZZ_CHECK(json_is_string(text) && json_string_length(text) <= POD_WORDS_TEXT_MAX &&
				   strlen(json_string_value(text)) == json_string_length(text),
			"%s holds what is no text of it", key);
}

// Only what is known stands in a report, and the report can be made.
static void check_details(json_t *details)
{
	static const char *const known[] = {"capture", "checkpoint_at", "last_commit_at", "recovered_to", "disarmed",
		"disarmed_more", "repaired", "repaired_more", "notes"};
	const char *key;
	json_t *ignored;
	json_object_foreach (details, key, ignored) {
		bool is_known = false;
		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			is_known = is_known || strcmp(known[i], key) == 0;
		FUZZ_CHECK(is_known, "%s has come into the report", key);
	}
	check_list(details, "disarmed");
	check_list(details, "repaired");
	check_list(details, "notes");
	struct error err = {0};
	AUTO_FREE char *body = NULL;
	const struct report report = {.group_id = "g", .server_id = "s", .type = "t", .intent = "verify", .details = details};
	FUZZ_CHECK(report_build(&report, &body, &err) == 0, "%s", err.text);
}

static void read_prepare(const char *message, int exit_code)
{
	struct error err = {0};
	AUTO(pod_words) struct pod_words words = {0};
	json_t *said = json_string(message); // NULL when it is no UTF-8: the API server would not have told it
	AUTO(json)
	json_t *pod =
		json_pack("{s:{s:[{s:s, s:{s:{s:i, s:s, s:o*}}}]}}", "status", "initContainerStatuses", "name", CONTAINER_PREPARE,
			"state", "terminated", "exitCode", exit_code, "finishedAt", "2026-11-20T09:10:00Z", "message", said);
	FUZZ_CHECK(pod != NULL && pod_words_read(pod, &words, &err) == 0, "%s", err.text);
	FUZZ_CHECK(is_nul_terminated(words.salvaged, sizeof(words.salvaged)) && words.recovery_s >= -1, "words that cannot be");
	FUZZ_CHECK(!words.has_prepared || (exit_code == 0 && words.details != NULL), "a run that failed has prepared");
	if (words.details != NULL)
		check_details(words.details);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE char *message = strndup((const char *)data, size);
	FUZZ_CHECK(message != NULL, "no memory");
	read_restore(message);
	read_prepare(message, 0);
	read_prepare(message, 21);
	return 0;
}
