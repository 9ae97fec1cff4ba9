// What the commands write: rows for people and for programs, texts of strangers on a terminal, and a watch that shows again what
// has changed. The terminal and the clock of a watch are doubles, linked in by the program (-Wl,--wrap).
#include "reconciler/output.h"

#include "tests/support/cmocka.h"
#include "tests/support/redirect.h"
#include "tests/support/scratch.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RED "\033[31m"
#define GREEN "\033[32m"
#define PLAIN "\033[0m"
#define CLEAR "\033[H\033[J"

#pragma GCC diagnostic ignored "-Wredundant-decls"
#if defined(__clang__)
#pragma GCC diagnostic ignored "-Wreserved-identifier"
#endif

static bool is_terminal;
static int looks_left;                        // of a watch, before a signal ends it
static bool has_no_memory, has_little_memory; // for a stream; for what is written to it

int __wrap_isatty(int fd);
int __wrap_isatty(int fd)
{
	return fd == STDOUT_FILENO && is_terminal;
}

int __wrap_sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *limit);
int __wrap_sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *limit)
{
	(void)info;
	assert_int_equal(sigismember(set, SIGINT), 1);
	assert_int_equal(sigismember(set, SIGTERM), 1);
	assert_int_equal(limit->tv_sec, 2);
	errno = EAGAIN;
	return looks_left-- > 0 ? -1 : SIGTERM;
}

FILE *__real_open_memstream(char **text, size_t *len);
FILE *__wrap_open_memstream(char **text, size_t *len);
FILE *__wrap_open_memstream(char **text, size_t *len)
{
	errno = ENOMEM;
	return has_no_memory ? NULL : __real_open_memstream(text, len);
}

int __real_fclose(FILE *file);
int __wrap_fclose(FILE *file);
int __wrap_fclose(FILE *file)
{
	int rc = __real_fclose(file);
	return has_little_memory ? EOF : rc;
}

// --- texts

static void assert_text(const char *text, const char *expected)
{
	char *out = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&out, &len);
	assert_non_null(to);
	output_text(text, to);
	(void)fclose(to);
	if (strcmp(out, expected) != 0)
		fail_msg("\"%s\" is shown as \"%s\"", text, out);
	free(out);
}

static void what_strangers_say_does_not_steer_a_terminal(void **state)
{
	static const struct {
		const char *text, *expected;
	} rows[] = {
		{"disk is full", "disk is full"},
		{"Zürich \xe2\x82\xac", "Zürich \xe2\x82\xac"},
		{"a\nb\tc", "a b c"},
		{"\033[31mred", "?[31mred"},
		{"bell\x07 del\x7f", "bell? del?"},
		{"C1 \xc2\x9b"
		 "31m, no C1 \xc2\xa0",
			"C1 ?31m, no C1 \xc2\xa0"},
		// Those that turn the direction of text, and their neighbours, which do not.
		{"\xe2\x80\xa9\xe2\x80\xaa\xe2\x80\xae\xe2\x80\xaf", "\xe2\x80\xa9??\xe2\x80\xaf"},
		{"\xe2\x81\xa5\xe2\x81\xa6\xe2\x81\xa9\xe2\x81\xaa", "\xe2\x81\xa5??\xe2\x81\xaa"},
		{"no \xff utf-8 \xc3", "no ? utf-8 ?"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_text(rows[i].text, rows[i].expected);
}

// --- rows

static const struct output_column columns[] = {
	{"NAME", "name", 0, NULL}, {"STATE", "state", 0, "tone"}, {"COUNT", "count", 0, NULL}, {"SAYS", "says", 12, NULL}};

static void assert_rows(const struct output *output, const json_t *rows, const char *expected)
{
	struct error err = {0};
	char *out = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&out, &len);
	assert_non_null(to);
	assert_ok(output_rows(output, rows, columns, sizeof(columns) / sizeof(columns[0]), to, &err), err);
	(void)fclose(to);
	assert_string_equal(out, expected);
	free(out);
}

static json_t *parse(const char *text)
{
	struct error err = {0};
	json_t *value = NULL;
	assert_ok(json_parse(text, strlen(text), &value, &err), err);
	return value;
}

#define ROWS                                                                                                            \
	"[{\"name\":\"a\",\"state\":\"failed\",\"tone\":\"broken\",\"count\":3,\"says\":\"a sentence of many words\"}," \
	"{\"name\":\"\\u00fcber\",\"state\":\"active\",\"tone\":\"good\",\"count\":null,\"says\":\"in 12 chars.\"},"    \
	"{\"name\":\"\",\"state\":\"odd\",\"tone\":\"of a newer one\",\"count\":true,\"says\":\"\\u20ac \\u001b\\n of 13 mm\"}]"

static void a_table_is_for_people(void **state)
{
	(void)state;
	AUTO(json) json_t *rows = parse(ROWS);
	AUTO(json) json_t *none = parse("[]");
	const struct output output = {.format = OUTPUT_TABLE};
	assert_rows(&output, rows,
		"NAME  STATE   COUNT  SAYS\n"
		"a     failed  3      a sentenc...\n"
		"über  active  -      in 12 chars.\n"
		"-     odd     yes    \xe2\x82\xac ?  of 1...\n");
	assert_rows(&output, none, "NAME  STATE  COUNT  SAYS\n");
}

// A cell holds so many bytes and is cut between two characters; what a row lacks is nothing.
static void a_cell_has_its_limit(void **state)
{
	(void)state;
	static const struct {
		size_t as; // before it
		const char *end;
		size_t shown;
	} cells[] = {{506, "bc", 507}, {504, "\xe2\x82\xac\xe2\x82\xac", 507}, {505, "\xe2\x82\xac\xe2\x82\xac", 505},
		{506, "\t\x7f", 507}};
	const struct output output = {.format = OUTPUT_TABLE};
	const struct output_column column = {"N", "name", 0, NULL};
	for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
		struct error err = {0};
		char name[600], *shown = NULL;
		size_t len = 0;
		memset(name, 'a', cells[i].as);
		(void)snprintf(name + cells[i].as, sizeof(name) - cells[i].as, "%s", cells[i].end);
		AUTO(json) json_t *rows = json_pack("[{s:s}]", "name", name);
		FILE *to = open_memstream(&shown, &len);
		assert_non_null(to);
		assert_ok(output_rows(&output, rows, &column, 1, to, &err), err);
		(void)fclose(to);
		if (len != strlen("N\n") + cells[i].shown + strlen("\n"))
			fail_msg("%zu and \"%s\": %zu bytes", cells[i].as, cells[i].end, len);
		free(shown);
	}
	AUTO(json) json_t *lacking = parse("[{\"name\":\"a\\tb\"}]");
	assert_rows(&output, lacking, "NAME  STATE  COUNT  SAYS\na b   -      -      -\n");
}

static void a_terminal_shows_the_tone(void **state)
{
	(void)state;
	AUTO(json) json_t *rows = parse(ROWS);
	const struct output output = {.format = OUTPUT_TABLE, .has_colours = true};
	assert_rows(&output, rows,
		"NAME  STATE   COUNT  SAYS\n"
		"a     " RED "failed  " PLAIN "3      a sentenc...\n"
		"über  " GREEN "active  " PLAIN "-      in 12 chars.\n"
		"-     odd     yes    \xe2\x82\xac ?  of 1...\n");
}

static void json_is_for_programs(void **state)
{
	(void)state;
	AUTO(json) json_t *rows = parse("[{\"name\":\"a\",\"else\":1}]");
	const struct output output = {.format = OUTPUT_JSON, .has_colours = true};
	assert_rows(&output, rows, "[\n  {\n    \"name\": \"a\",\n    \"else\": 1\n  }\n]\n");
}

static void one_replica_or_all(void **state)
{
	(void)state;
	assert_true(output_is_asked(&(struct output){.namespace = NULL}, "a-0"));
	assert_true(output_is_asked(&(struct output){.namespace = "a-0"}, "a-0"));
	assert_false(output_is_asked(&(struct output){.namespace = "a-0"}, "a-00"));
}

static void colours_are_for_terminals(void **state)
{
	static const struct {
		bool is_terminal;
		const char *no_color, *term;
		bool has_colours;
	} rows[] = {
		{true, NULL, "xterm", true},
		{true, NULL, NULL, true},
		{true, "", "xterm", true},
		{true, "1", "xterm", false},
		{true, NULL, "dumb", false},
		{false, NULL, "xterm", false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct output output = {.has_colours = !rows[i].has_colours};
		is_terminal = rows[i].is_terminal;
		// NOLINTBEGIN(concurrency-mt-unsafe): there is one thread
		assert_int_equal(rows[i].no_color == NULL ? unsetenv("NO_COLOR") : setenv("NO_COLOR", rows[i].no_color, 1), 0);
		assert_int_equal(rows[i].term == NULL ? unsetenv("TERM") : setenv("TERM", rows[i].term, 1), 0);
		// NOLINTEND(concurrency-mt-unsafe)
		output_init(&output);
		if (output.has_colours != rows[i].has_colours)
			fail_msg("row %zu", i);
	}
	is_terminal = false;
}

// --- once, or again and again

// What a command says, look after look; NULL: it fails.
struct script {
	const char *const *says;
	int looks;
	int full_at; // the look at which the disk is full; 0: never
};

static int show(void *arg, FILE *to, struct error *err)
{
	struct script *script = arg;
	const char *says = script->says[script->looks++];
	if (script->looks == script->full_at)
		redirect_end(STDOUT_FILENO, open("/dev/full", O_WRONLY | O_CLOEXEC));
	if (says == NULL)
		return error_set(err, ERROR_TRANSIENT, "cluster: nobody is there");
	(void)fputs(says, to);
	return 0;
}

static void assert_holds(const char *path, const char *expected)
{
	AUTO_FREE char *text = redirect_read(path);
	assert_string_equal(text, expected);
}

static void watch(const struct output *output, const char *const *says, int looks, const char *out, const char *errors)
{
	struct error err = {0};
	struct script script = {.says = says};
	const char *out_path = scratch_write("out", "", 0), *errors_path = scratch_write("errors", "", 0);
	looks_left = looks - 1;
	int stdout_before = redirect_begin(STDOUT_FILENO, out_path), stderr_before = redirect_begin(STDERR_FILENO, errors_path);
	int rc = output_run(output, show, &script, &err);
	redirect_end(STDOUT_FILENO, stdout_before);
	redirect_end(STDERR_FILENO, stderr_before);
	assert_ok(rc, err);
	assert_int_equal(script.looks, looks);
	assert_holds(out_path, out);
	assert_holds(errors_path, errors);
}

static const char *const looks[] = {"one\n", "one\n", NULL, "", "two\n", "two\n"};
#define COMPLAINT "understory: cluster: nobody is there; what is shown is of before\n"

static void a_watch_shows_what_has_changed(void **state)
{
	(void)state;
	const struct output table = {.format = OUTPUT_TABLE, .is_watching = true};
	const struct output json = {.format = OUTPUT_JSON, .is_watching = true};
	watch(&table, looks, 6, "one\n\n\ntwo\n", COMPLAINT);
	is_terminal = true;
	watch(&table, looks, 6, CLEAR "one\n" CLEAR CLEAR "two\n", COMPLAINT);
	watch(&json, looks, 6, "one\n\n\ntwo\n", COMPLAINT);
	is_terminal = false;
}

static void without_a_watch_it_is_shown_once(void **state)
{
	(void)state;
	watch(&(struct output){.format = OUTPUT_TABLE}, looks, 1, "one\n", "");
	is_terminal = true;
	watch(&(struct output){.format = OUTPUT_TABLE}, looks, 1, "one\n", "");
	is_terminal = false;
}

static void what_fails_at_first_is_an_error(void **state)
{
	(void)state;
	struct error err = {0};
	struct script script = {.says = looks + 2};
	assert_error(output_run(&(struct output){.is_watching = true}, show, &script, &err), err, ERROR_TRANSIENT,
		"cluster: nobody is there");
	assert_int_equal(script.looks, 1);
}

// A disk that is full, a reader that has gone.
static void what_cannot_be_written_is_an_error(void **state)
{
	(void)state;
	for (int full_at = 1; full_at <= 4; full_at++) {
		struct error err = {0};
		struct script script = {.says = looks + (full_at % 2 == 0 ? 3 : 0), .full_at = full_at % 2 == 0 ? 2 : 1};
		looks_left = 5;
		is_terminal = full_at > 2;
		int before = redirect_begin(STDOUT_FILENO, scratch_write("out", "", 0));
		int rc = output_run(&(struct output){.is_watching = true}, show, &script, &err);
		(void)fflush(stdout);
		clearerr(stdout);
		redirect_end(STDOUT_FILENO, before);
		is_terminal = false;
		assert_error(rc, err, ERROR_INTERNAL, "stdout cannot be written");
		assert_int_equal(script.looks, script.full_at);
	}
}

// Half of a page is none.
static void what_there_is_no_memory_for_is_not_shown(void **state)
{
	(void)state;
	for (int little = 0; little <= 1; little++) {
		struct error err = {0};
		struct script script = {.says = looks};
		has_no_memory = little == 0;
		has_little_memory = little == 1;
		int rc = output_run(&(struct output){.format = OUTPUT_TABLE}, show, &script, &err);
		has_no_memory = has_little_memory = false;
		assert_error(rc, err, ERROR_INTERNAL, "out of memory: output");
	}
}

static void a_watch_keeps_its_signals(void **state)
{
	(void)state;
	sigset_t blocked, before;
	assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &before), 0);
	output_begin_watch();
	assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, &blocked), 0);
	assert_int_equal(sigismember(&blocked, SIGINT), 1);
	assert_int_equal(sigismember(&blocked, SIGTERM), 1);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(what_strangers_say_does_not_steer_a_terminal),
		cmocka_unit_test(a_table_is_for_people),
		cmocka_unit_test(a_cell_has_its_limit),
		cmocka_unit_test(a_terminal_shows_the_tone),
		cmocka_unit_test(json_is_for_programs),
		cmocka_unit_test(one_replica_or_all),
		cmocka_unit_test(colours_are_for_terminals),
		cmocka_unit_test(a_watch_shows_what_has_changed),
		cmocka_unit_test(without_a_watch_it_is_shown_once),
		cmocka_unit_test(what_fails_at_first_is_an_error),
		cmocka_unit_test(what_cannot_be_written_is_an_error),
		cmocka_unit_test(what_there_is_no_memory_for_is_not_shown),
		cmocka_unit_test(a_watch_keeps_its_signals),
	};
	return cmocka_run_group_tests_name("reconciler/output", cases, NULL, NULL);
}
