// Torture: a case is run again and again with its 1st, 2nd, 3rd ... fallible call failing, until it gets through without a fault.
//
// Fallible calls are those of our own objects (-Wl,--wrap: memory, files, sockets, threads, libcurl, OpenSSL, libyaml, libpq,
// libmicrohttpd; they are in torture_calls.c) and with them the allocations of jansson (base/json.c). Only calls of the thread
// between torture_begin() and torture_end() count, so a case is the same each time. One program at a time may use it; the program
// ends by cmocka.
//
// What a fault may do: the case fails with an error that has a text and whose kind promises nothing about the input (internal or
// transient: out of memory is no "invalid" and no "not found"), and what it would have made stays unmade. Or the case gets
// through, when what failed was not needed: then it makes what it makes without a fault. Never: a leak (LeakSanitizer, at the end
// of each case), a lost descriptor, a crash.
//
// Not for builds with _FORTIFY_SOURCE, which calls __read_chk and the like past the wrappers: fewer calls fail there.
#ifndef TESTS_SUPPORT_TORTURE_H
#define TESTS_SUPPORT_TORTURE_H

#include "base/buf.h"
#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>

// More fallible calls, or places, than this in one case: it never ends, or it is too large.
#define TORTURE_CALLS_MAX 6000

struct torture_case {
	const char *name;

	// Prepares, calls torture_begin(), the function in question, torture_end(); then releases all it made. After a success it
	// says in `made` what came out, as a text that is the same in each run. After a failure it says there what was touched
	// nevertheless: nothing, when all is well.
	int (*run)(struct buf *made, struct error *err);

	bool may_go_without; // gets through with less when something fails (a page without a row): only the rest is judged

	// A call fails once at each place that it is made from (its name, and four functions of ours from the one that makes it
	// upwards), not each time that it is made: for cases of thousands of calls.
	bool is_once_a_place;
};

void torture_begin(void);
void torture_end(void);

// NULL when all is well; else what was found, of static life until the next call.
const char *torture_find(const struct torture_case *c);

// Is this build one with LeakSanitizer? Others find all but leaks.
bool torture_sees_leaks(void);

// All cases as cmocka tests of one group; returns what cmocka returns.
int torture_main(const char *group, const struct torture_case *cases, size_t count);

// For the wrappers: true, with errno set, when this call is to fail.
bool torture_fails(const char *call, int os_errno);

// Say in `made`; a text that does not fit or cannot be kept ends the program.
void torture_say(struct buf *made, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
