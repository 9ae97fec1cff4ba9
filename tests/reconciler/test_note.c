// What the operator remembers of a replica beside the cluster, and durations and sizes as people read them.
#include "reconciler/note.h"
#include "reconciler/words.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <string.h>

#define KEY "aaaaaaaa"
#define OLD "bbbbbbbb"

static void durations_and_sizes(void **state)
{
	(void)state;
	const struct {
		int64_t ms;
		const char *text;
	} durations[] = {{-5, "0 s"}, {999, "0 s"}, {59999, "59 s"}, {60000, "1 min"}, {3599000, "59 min"}, {3600000, "1 h"},
		{11520000, "3 h 12 min"}, {86400000, "1 d"}, {100800000, "1 d 4 h"}, {INT64_MAX, "106751991167 d 7 h"}};
	const struct {
		int64_t bytes;
		const char *text;
	} sizes[] = {{-1, "0 B"}, {0, "0 B"}, {1023, "1023 B"}, {1024, "1.0 KiB"}, {1536, "1.5 KiB"},
		{INT64_C(4831838208), "4.5 GiB"}, {INT64_C(128) << 20, "128 MiB"}, {INT64_MAX, "7.9 EiB"}};
	char text[WORDS_SIZE];
	for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
		words_duration(durations[i].ms, text);
		assert_string_equal(text, durations[i].text);
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		words_bytes(sizes[i].bytes, text);
		assert_string_equal(text, sizes[i].text);
	}
	words_when(1000, 61000, text);
	assert_string_equal(text, "1 min ago");
	words_when(61000, 1000, text);
	assert_string_equal(text, "in 1 min");
	words_when(61000, 61500, text);
	assert_string_equal(text, "now");
}

static void notes_of_counts_and_troubles(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(notes) struct notes *notes = NULL;
	struct note n;
	assert_ok(notes_new(&notes, &err), err);
	assert_false(notes_look(notes, "a", &n));

	notes_progress(notes, "a", KEY, 1000, 10000);
	assert_true(notes_look(notes, "a", &n));
	assert_int_equal(n.bytes_per_s, -1);
	notes_progress(notes, "a", KEY, 61000, 40000);
	assert_true(notes_look(notes, "a", &n));
	assert_int_equal(n.bytes_per_s, 2000);
	notes_progress(notes, "a", KEY, 10, 50000); // the pod began again
	assert_true(notes_look(notes, "a", &n));
	assert_int_equal(n.bytes_per_s, -1);
	notes_progress(notes, "a", OLD, 20, 60000); // another round
	assert_true(notes_look(notes, "a", &n));
	assert_int_equal(n.bytes_per_s, -1);

	uint64_t before = notes_revision(notes);
	notes_trouble(notes, "a", 2, 70000, "canopy: 502", 60000);
	assert_true(notes_revision(notes) != before);
	assert_true(notes_look(notes, "a", &n));
	assert_int_equal(n.errors_in_row, 2);
	assert_string_equal(n.trouble, "canopy: 502");
	assert_string_equal(n.round, OLD);
	notes_well(notes, "a");
	assert_true(notes_look(notes, "a", &n));
	assert_int_equal(n.errors_in_row, 0);
	notes_forget(notes, "a");
	assert_false(notes_look(notes, "a", &n));
	notes_trouble(notes, "b", 1, 70000, "x", 60000);
	notes_well(notes, "b"); // nothing else was heard of it
	assert_false(notes_look(notes, "b", &n));
}

static void notes_are_bounded(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(notes) struct notes *notes = NULL;
	struct note n;
	char name[16];
	assert_ok(notes_new(&notes, &err), err);
	for (int i = 0; i <= NOTES_MAX; i++) {
		(void)snprintf(name, sizeof(name), "n%d", i);
		notes_progress(notes, name, KEY, 1, 1000);
	}
	assert_false(notes_look(notes, name, &n));
	// Counts that nobody renews make room.
	notes_progress(notes, name, KEY, 1, 1001 + NOTES_STALE_MS);
	assert_true(notes_look(notes, name, &n));
	assert_false(notes_look(notes, "n0", &n));
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(durations_and_sizes),
		cmocka_unit_test(notes_of_counts_and_troubles),
		cmocka_unit_test(notes_are_bounded),
	};
	return cmocka_run_group_tests_name("reconciler/note", cases, NULL, NULL);
}
