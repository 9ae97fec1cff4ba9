// The torture harness itself (tests/support/torture.h).
#include "tests/support/cmocka.h"
#include "tests/support/torture.h"
#include <string.h>
#include <unistd.h>

// Each of these plants one mistake.

static int plants_nothing(struct buf *made, struct error *err)
{
	torture_begin();
	AUTO_FREE char *text = strdup("x");
	torture_end();
	if (text == NULL)
		return error_no_memory(err, "x");
	torture_say(made, "%s", text);
	return 0;
}

static int plants_a_wrong_kind(struct buf *made, struct error *err)
{
	return plants_nothing(made, err) < 0 ? error_set(err, ERROR_NOT_FOUND, "there is no x") : 0;
}

static int plants_no_text(struct buf *made, struct error *err)
{
	return plants_nothing(made, err) < 0 ? error_set(err, ERROR_INTERNAL, "%s", "") : 0;
}

static int plants_half_a_thing(struct buf *made, struct error *err)
{
	if (plants_nothing(made, err) == 0)
		return 0;
	torture_say(made, "x");
	return -1;
}

static int plants_another_thing(struct buf *made, struct error *err)
{
	struct error ignored;
	(void)err;
	if (plants_nothing(made, &ignored) < 0)
		torture_say(made, "y");
	return 0;
}

static int lost_fd = -1;

static int plants_a_lost_descriptor(struct buf *made, struct error *err)
{
	if (plants_nothing(made, err) == 0)
		return 0;
	if (lost_fd < 0)
		lost_fd = dup(0);
	return -1;
}

static int plants_a_fault_of_its_own(struct buf *made, struct error *err)
{
	(void)made;
	return error_set(err, ERROR_INTERNAL, "always");
}

// So that the compiler does not leave the call out.
static void *keep(void *at)
{
	void *volatile kept = at;
	return kept;
}

// Of calls that are made again and again from one place the first fails, and of those from another place the first too.
static int plants_a_fault_in_the_second_place(struct buf *made, struct error *err)
{
	(void)err;
	torture_begin();
	for (int i = 0; i < 3; i++)
		free(keep(malloc(1)));
	AUTO_FREE char *text = strdup("x");
	torture_end();
	torture_say(made, "%s", text == NULL ? "y" : text);
	return 0;
}

static int plants_no_call(struct buf *made, struct error *err)
{
	(void)made;
	(void)err;
	return 0;
}

static void the_harness_finds_what_is_planted(void **state)
{
	(void)state;
	const struct {
		struct torture_case c;
		const char *finding; // NULL: none
	} rows[] = {
		{{.name = "nothing", .run = plants_nothing}, NULL},
		{{.name = "kind", .run = plants_a_wrong_kind}, "of a kind that says something about the input"},
		{{.name = "text", .run = plants_no_text}, "does not say why"},
		{{.name = "half", .run = plants_half_a_thing}, "has touched something"},
		{{.name = "other", .run = plants_another_thing}, "has made something else"},
		{{.name = "fd", .run = plants_a_lost_descriptor}, "a descriptor is lost"},
		{{.name = "own", .run = plants_a_fault_of_its_own}, "it fails"},
		{{.name = "none", .run = plants_no_call}, "there is none"},
		{{.name = "places", .run = plants_a_fault_in_the_second_place, .is_once_a_place = true}, "with call 4 (strdup)"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *found = torture_find(&rows[i].c);
		if (rows[i].finding == NULL ? found != NULL : found == NULL || strstr(found, rows[i].finding) == NULL)
			fail_msg("%s: %s", rows[i].c.name, found == NULL ? "nothing was found" : found);
	}
	(void)close(lost_fd);
}

// LeakSanitizer sees only what nobody points to.
static uintptr_t hidden;

static int plants_a_leak(struct buf *made, struct error *err)
{
	if (plants_nothing(made, err) < 0)
		return -1;
	void *leaked = hidden == 0 ? malloc(16) : NULL;
	if (leaked != NULL)
		hidden = ~(uintptr_t)leaked;
	return 0;
}

static void a_leak_is_found_where_there_is_a_sanitizer(void **state)
{
	(void)state;
	const struct torture_case leaks = {.name = "leak", .run = plants_a_leak};
	const char *found = torture_find(&leaks);
	bool is_found = found != NULL && strstr(found, "memory is leaked") != NULL;
	free((void *)~hidden);
	if (torture_sees_leaks() ? !is_found : found != NULL)
		fail_msg("%s", found == NULL ? "nothing was found" : found);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(the_harness_finds_what_is_planted),
		cmocka_unit_test(a_leak_is_found_where_there_is_a_sanitizer),
	};
	return cmocka_run_group_tests_name("base/torture_harness", cases, NULL, NULL);
}
