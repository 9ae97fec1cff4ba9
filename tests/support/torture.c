#include "tests/support/torture.h"

#include "base/clock.h"
#include "base/hash.h"
#include "tests/support/cmocka.h"
#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MADE_MAX ((size_t)1 << 20)
#define FINDING_MAX 2048
#define CLOSE_WAIT_MS 1000
#define FRAMES_MAX 64
#define PLACE_FRAMES 4 // that make a place: the function that makes the call, and three above it

// Of the sanitizers; absent in other builds.
__attribute__((weak)) int __lsan_do_recoverable_leak_check(void);
__attribute__((weak)) void __sanitizer_print_stack_trace(void);

static _Thread_local bool is_armed;
static size_t calls, fail_at; // from 1; 0: none
static const char *failed;    // the call that failed; NULL: none did
static bool is_traced;
static bool is_listing;
static struct {
	uint64_t what;
	size_t call; // the first that was made from there
} places[TORTURE_CALLS_MAX];
static size_t place_count;
static char finding[FINDING_MAX];

void torture_begin(void)
{
	is_armed = true;
}

void torture_end(void)
{
	is_armed = false;
}

// Of the linker: where our own code lies, libraries lie elsewhere.
extern const char __executable_start, etext;

static bool is_ours(const void *address)
{
	return (const char *)address >= &__executable_start && (const char *)address < &etext;
}

// What is above the wrapper: how many functions of the harness are below it, the compiler decides.
static uint64_t place_of(const char *call, const void *in_wrapper)
{
	void *frames[FRAMES_MAX];
	uint64_t what = hash_text(call);
	int count = backtrace(frames, FRAMES_MAX), ours = 0, from = 0;
	while (from < count && frames[from] != in_wrapper)
		from++;
	for (int i = from + 1; i < count && ours < PLACE_FRAMES; i++) {
		if (!is_ours(frames[i]))
			continue;
		what = (what ^ (uint64_t)(uintptr_t)frames[i]) * UINT64_C(1099511628211);
		ours++;
	}
	return what;
}

static void list_place(const char *call, const void *in_wrapper)
{
	uint64_t what = place_of(call, in_wrapper);
	for (size_t i = 0; i < place_count; i++) {
		if (places[i].what == what)
			return;
	}
	if (place_count < TORTURE_CALLS_MAX) {
		places[place_count].what = what;
		places[place_count++].call = calls;
	}
}

bool torture_fails(const char *call, int os_errno)
{
	if (!is_armed)
		return false;
	calls++;
	if (is_listing) {
		is_armed = false;
		list_place(call, __builtin_return_address(0));
		is_armed = true;
	}
	if (calls != fail_at)
		return false;
	failed = call;
	if (is_traced && __sanitizer_print_stack_trace != NULL) {
		is_armed = false;
		__sanitizer_print_stack_trace();
		is_armed = true;
	}
	errno = os_errno;
	return true;
}

void torture_say(struct buf *made, const char *fmt, ...)
{
	char text[8192];
	struct error err = {0};
	va_list ap;
	va_start(ap, fmt);
	int len = vsnprintf(text, sizeof(text), fmt, ap); // NOLINT(clang-analyzer-valist.Uninitialized): va_start() stands above
	va_end(ap);
	if (len < 0 || (size_t)len >= sizeof(text) || buf_add_str(made, text, &err) < 0) {
		(void)fprintf(stderr, "torture: %s\n", err.kind == ERROR_NONE ? "too long" : err.text);
		abort();
	}
}

static int descriptors(void)
{
	int count = 0;
	DIR *dir = opendir("/proc/self/fd");
	while (dir != NULL && readdir(dir) != NULL)
		count++;
	(void)closedir(dir);
	return count;
}

// A server of the test closes its end when it comes to it. *least: the fewest that were open so far.
static bool is_lost(int *least)
{
	const struct timespec nap = {.tv_nsec = 1000000};
	int64_t give_up_at_ms = clock_mono_ms() + CLOSE_WAIT_MS;
	int now = descriptors();
	while (now > *least && clock_mono_ms() < give_up_at_ms) {
		(void)nanosleep(&nap, NULL);
		now = descriptors();
	}
	bool lost = now > *least;
	*least = now;
	return lost;
}

static int run_once(const struct torture_case *c, size_t at, struct buf *made, struct error *err)
{
	calls = 0;
	fail_at = at;
	failed = NULL;
	buf_reset(made);
	*err = (struct error){0};
	int rc = c->run(made, err);
	is_armed = false;
	return rc;
}

static const char *judge_failure(const struct buf *made, const struct error *err)
{
	if (failed == NULL)
		return "it fails without a fault";
	if (err->kind == ERROR_NONE || err->text[0] == '\0')
		return "it fails and does not say why";
	if (err->kind != ERROR_INTERNAL && err->kind != ERROR_TRANSIENT)
		return "its error is of a kind that says something about the input";
	return made->len > 0 ? "it fails and has touched something" : NULL;
}

static const char *judge(
	const struct torture_case *c, int rc, const struct buf *made, const struct buf *wanted, const struct error *err)
{
	if (rc < 0)
		return judge_failure(made, err);
	if (err->kind != ERROR_NONE)
		return "it gets through and has set an error";
	if (!c->may_go_without && strcmp(buf_str(made), buf_str(wanted)) != 0)
		return "it gets through and has made something else";
	return NULL;
}

static const char *describe(
	const struct torture_case *c, size_t at, const char *what, const struct buf *made, const struct error *err)
{
	(void)snprintf(finding, sizeof(finding), "%s: with call %zu (%s) failing %s; error: %s: %.300s; made: %.600s", c->name,
		at, failed == NULL ? "none" : failed, what, error_kind_text(err->kind), err->text, buf_str(made));
	return finding;
}

// The same again, for the stack of the call that fails.
static void show_where(const struct torture_case *c)
{
	struct buf made;
	struct error ignored;
	buf_init(&made, MADE_MAX);
	is_traced = true;
	(void)run_once(c, fail_at, &made, &ignored);
	is_traced = false;
	buf_fini(&made);
}

static const char *find_in(const struct torture_case *c, struct buf *made, struct buf *wanted)
{
	struct error err;
	// First use of a library opens and keeps things; the second run is what the others are held to.
	if (run_once(c, 0, made, &err) < 0)
		return describe(c, 0, "it fails", made, &err);
	place_count = 0;
	is_listing = c->is_once_a_place;
	int rc = run_once(c, 0, wanted, &err);
	is_listing = false;
	if (rc < 0)
		return describe(c, 0, "it fails", wanted, &err);
	int least = descriptors();
	for (size_t n = 0; n < TORTURE_CALLS_MAX; n++) {
		size_t at = !c->is_once_a_place ? n + 1 : n < place_count ? places[n].call : SIZE_MAX;
		rc = run_once(c, at, made, &err);
		bool is_through = failed == NULL && (!c->is_once_a_place || n >= place_count);
		const char *what = judge(c, rc, made, wanted, &err);
		if (what == NULL && is_lost(&least))
			what = "a descriptor is lost";
		if (what != NULL)
			return describe(c, at, what, made, &err);
		if (is_through)
			return n > 0 ? NULL : describe(c, at, "there is none", made, &err);
	}
	return describe(c, TORTURE_CALLS_MAX, "it still does not get through", made, &err);
}

bool torture_sees_leaks(void)
{
	return __lsan_do_recoverable_leak_check != NULL;
}

const char *torture_find(const struct torture_case *c)
{
	struct buf made, wanted;
	buf_init(&made, MADE_MAX);
	buf_init(&wanted, MADE_MAX);
	const char *found = find_in(c, &made, &wanted);
	buf_fini(&made);
	buf_fini(&wanted);
	if (found == NULL && torture_sees_leaks() && __lsan_do_recoverable_leak_check() != 0) {
		(void)snprintf(finding, sizeof(finding), "%s: memory is leaked", c->name);
		found = finding;
	}
	return found;
}

static void run_case(void **state)
{
	const char *found = torture_find(*state);
	if (found == NULL)
		return;
	if (failed != NULL)
		show_where(*state);
	fail_msg("%s", found);
}

int torture_main(const char *group, const struct torture_case *cases, size_t count)
{
	struct CMUnitTest *tests = calloc(count, sizeof(*tests));
	if (tests == NULL)
		return 1;
	for (size_t i = 0; i < count; i++)
		tests[i] = (struct CMUnitTest){
			.name = cases[i].name, .test_func = run_case, .initial_state = (void *)(uintptr_t)&cases[i]};
	int rc = _cmocka_run_group_tests(group, tests, count, NULL, NULL);
	free(tests);
	return rc;
}
