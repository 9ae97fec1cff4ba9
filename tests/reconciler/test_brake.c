#include "reconciler/brake.h"
#include "tests/support/cmocka.h"

#define MINUTE_MS 60000

static struct brake_question ask(size_t managed, size_t teardowns, bool is_empty, const char *answer, int64_t now_mono_ms)
{
	return (struct brake_question){.managed = managed,
		.teardowns = teardowns,
		.worklist_is_empty = is_empty,
		.answer = brake_answer(0, answer),
		.now_mono_ms = now_mono_ms};
}

static void which_answers_are_held(void **state)
{
	(void)state;
	const struct {
		const char *label;
		size_t managed, teardowns;
		bool is_empty, holds;
	} rows[] = {
		{"nothing to tear down", 10, 0, false, false},
		{"an empty list and nothing to tear down", 0, 0, true, false},
		{"one of five", 5, 1, false, false},
		{"three of three: not more than 3", 3, 3, false, false},
		{"four of thirteen: more than 30 %", 13, 4, false, true},
		{"four of fourteen: less than 30 %", 14, 4, false, false},
		{"thirty of a hundred: not more than 30 %", 100, 30, false, false},
		{"thirty-one of a hundred", 100, 31, false, true},
		{"one, but the list is empty", 1, 1, true, true},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct brake brake = {0};
		const struct brake_question q = ask(rows[i].managed, rows[i].teardowns, rows[i].is_empty, "a", 1000);
		if (brake_holds(&brake, &q) != rows[i].holds)
			fail_msg("%s", rows[i].label);
	}
}

static bool holds(struct brake *brake, const char *answer, int64_t now_mono_ms)
{
	const struct brake_question q = ask(10, 10, false, answer, now_mono_ms);
	return brake_holds(brake, &q);
}

static void released_after_three_passes_and_two_minutes(void **state)
{
	(void)state;
	struct brake brake = {0};
	assert_true(holds(&brake, "a", 0));
	assert_true(holds(&brake, "a", 1 * MINUTE_MS));
	assert_true(holds(&brake, "a", 2 * MINUTE_MS - 1)); // three passes, not yet two minutes
	assert_false(holds(&brake, "a", 2 * MINUTE_MS));
	// Two minutes, but only two passes.
	brake = (struct brake){0};
	assert_true(holds(&brake, "a", 0));
	assert_true(holds(&brake, "a", 10 * MINUTE_MS));
	assert_false(holds(&brake, "a", 11 * MINUTE_MS));
}

static void another_answer_begins_anew(void **state)
{
	(void)state;
	struct brake brake = {0};
	assert_true(holds(&brake, "a", 0));
	assert_true(holds(&brake, "a", 3 * MINUTE_MS));
	assert_true(holds(&brake, "b", 4 * MINUTE_MS));
	assert_true(holds(&brake, "b", 5 * MINUTE_MS));
	assert_false(holds(&brake, "b", 6 * MINUTE_MS));
	// A good pass in between forgets it too.
	brake = (struct brake){0};
	assert_true(holds(&brake, "a", 0));
	const struct brake_question good = ask(10, 0, false, "a", MINUTE_MS);
	assert_false(brake_holds(&brake, &good));
	assert_true(holds(&brake, "a", 3 * MINUTE_MS));
}

static void an_answer_is_a_set(void **state)
{
	(void)state;
	assert_true(brake_answer(brake_answer(0, "x"), "y") == brake_answer(brake_answer(0, "y"), "x"));
	assert_true(brake_answer(0, "x") != brake_answer(0, "y"));
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(which_answers_are_held),
		cmocka_unit_test(released_after_three_passes_and_two_minutes),
		cmocka_unit_test(another_answer_begins_anew),
		cmocka_unit_test(an_answer_is_a_set),
	};
	return cmocka_run_group_tests_name("reconciler/brake", cases, NULL, NULL);
}
