// Slots for restores: so many at once, oldest first.
#include "reconciler/slots.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <string.h>

static struct slots *made(size_t max)
{
	struct error err = {0};
	struct slots *slots = NULL;
	assert_ok(slots_new(max, &slots, &err), err);
	return slots;
}

struct offered {
	char text[256];
};

static void note(void *arg, const char *namespace)
{
	struct offered *o = arg;
	size_t len = strlen(o->text);
	(void)snprintf(o->text + len, sizeof(o->text) - len, "%s ", namespace);
}

static void offers(struct slots *slots, const char *expected)
{
	struct offered o = {""};
	slots_offer(slots, note, &o);
	assert_string_equal(o.text, expected);
}

static void the_oldest_take_what_is_free(void **state)
{
	(void)state;
	AUTO(slots) struct slots *slots = made(2);
	slots_wait(slots, "young", 30);
	slots_wait(slots, "oldest", 10);
	slots_wait(slots, "older", 20);
	offers(slots, "oldest older ");
	assert_false(slots_take(slots, "young"));
	assert_true(slots_take(slots, "older"));
	assert_true(slots_has(slots, "older"));
	assert_false(slots_take(slots, "young"));
	offers(slots, "oldest ");
	assert_true(slots_take(slots, "oldest"));
	offers(slots, "");
	slots_leave(slots, "older");
	offers(slots, "young ");
	assert_true(slots_take(slots, "young"));
	assert_true(slots_take(slots, "young")); // it has it
}

static void nobody_takes_without_waiting(void **state)
{
	(void)state;
	AUTO(slots) struct slots *slots = made(2);
	assert_false(slots_take(slots, "a"));
	assert_false(slots_has(slots, "a"));
	slots_leave(slots, "a");
}

// An operator that begins finds more that restore than its settings allow.
static void those_that_restore_already_hold_theirs(void **state)
{
	(void)state;
	AUTO(slots) struct slots *slots = made(1);
	slots_wait(slots, "a", 1);
	slots_hold(slots, "x");
	slots_hold(slots, "y");
	slots_hold(slots, "x");
	assert_false(slots_take(slots, "a"));
	assert_true(slots_take(slots, "y"));
	slots_leave(slots, "x");
	assert_false(slots_take(slots, "a"));
	slots_leave(slots, "y");
	assert_true(slots_take(slots, "a"));
}

static void a_holder_that_waits_again_keeps_its_slot(void **state)
{
	(void)state;
	AUTO(slots) struct slots *slots = made(1);
	slots_hold(slots, "a");
	slots_wait(slots, "a", 5);
	assert_true(slots_has(slots, "a"));
	slots_clear(slots);
	assert_false(slots_has(slots, "a"));
}

static void a_place_in_line_follows_its_time(void **state)
{
	(void)state;
	AUTO(slots) struct slots *slots = made(1);
	slots_wait(slots, "a", 10);
	slots_wait(slots, "b", 20);
	slots_wait(slots, "a", 30);
	offers(slots, "b ");
	slots_wait(slots, "c", 20); // equal: by name
	slots_leave(slots, "b");
	offers(slots, "c ");
}

// Far more than are kept: the oldest are never the ones that are left out.
static void ten_thousand_wait_and_the_oldest_go_first(void **state)
{
	(void)state;
	AUTO(slots) struct slots *slots = made(3);
	for (int i = 0; i < 10000; i++) {
		char name[32];
		int since = i * 7919 % 10000;
		(void)snprintf(name, sizeof(name), "r%05d", since);
		slots_wait(slots, name, since);
	}
	offers(slots, "r00000 r00001 r00002 ");
	for (int i = 0; i < 200; i++) {
		char name[32];
		(void)snprintf(name, sizeof(name), "r%05d", i);
		assert_true(slots_take(slots, name));
		slots_leave(slots, name);
	}
	offers(slots, "r00200 r00201 r00202 ");
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(the_oldest_take_what_is_free),
		cmocka_unit_test(nobody_takes_without_waiting),
		cmocka_unit_test(those_that_restore_already_hold_theirs),
		cmocka_unit_test(a_holder_that_waits_again_keeps_its_slot),
		cmocka_unit_test(a_place_in_line_follows_its_time),
		cmocka_unit_test(ten_thousand_wait_and_the_oldest_go_first),
	};
	return cmocka_run_group_tests_name("reconciler/slots", cases, NULL, NULL);
}
