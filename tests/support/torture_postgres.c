// The wrappers of tests/support/torture.h for libpq, and for the calls beside it that a connection to a database makes.
//
// Libpq fails as it does in truth: what cannot be had (memory) is refused by libpq itself, and what breaks is broken under it, so
// that its own words are what the case reads. How often a socket is waited for depends on the machine: of each statement, and of
// each state of a connection that is being made, one call counts. So the calls that count are the same each time.
#include "tests/support/torture.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#pragma GCC diagnostic ignored "-Wredundant-decls"
#if defined(__clang__)
#pragma GCC diagnostic ignored "-Wreserved-identifier"
#endif

static _Thread_local bool is_poll_counted, is_input_counted;
static _Thread_local int results;                  // of the statement in hand
static _Thread_local ConnStatusType counted_state; // of PQconnectPoll(); CONNECTION_OK: none yet

static void next_statement(void)
{
	is_poll_counted = is_input_counted = false;
	results = 0;
}

// Both ways: what the server had sent before can still be read, as after a crash.
static void cut(const PGconn *pg)
{
	(void)shutdown(PQsocket(pg), SHUT_RDWR);
}

PGconn *__real_PQconnectStartParams(const char *const *keywords, const char *const *values, int expand);

static PGconn *connect_without_descriptors(const char *const *keywords, const char *const *values, int expand)
{
	struct rlimit all, none;
	(void)getrlimit(RLIMIT_NOFILE, &all);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = all.rlim_max};
	(void)setrlimit(RLIMIT_NOFILE, &none);
	PGconn *pg = __real_PQconnectStartParams(keywords, values, expand);
	(void)setrlimit(RLIMIT_NOFILE, &all);
	return pg;
}

PGconn *__wrap_PQconnectStartParams(const char *const *keywords, const char *const *values, int expand);
PGconn *__wrap_PQconnectStartParams(const char *const *keywords, const char *const *values, int expand)
{
	counted_state = CONNECTION_OK;
	next_statement();
	if (torture_fails("PQconnectStartParams, for memory", ENOMEM))
		return NULL;
	return torture_fails("PQconnectStartParams, for a socket", EMFILE)
		       ? connect_without_descriptors(keywords, values, expand)
		       : __real_PQconnectStartParams(keywords, values, expand);
}

// The steps that every connection takes; NULL: how fast the server is decides whether it does.
static const char *step_text(ConnStatusType state)
{
	if (counted_state == CONNECTION_OK)
		return "PQconnectPoll, at first";
	if (state == counted_state)
		return NULL;
	return state == CONNECTION_SSL_STARTUP         ? "PQconnectPoll, TLS"
	       : state == CONNECTION_AWAITING_RESPONSE ? "PQconnectPoll, logging in"
						       : NULL;
}

PostgresPollingStatusType __real_PQconnectPoll(PGconn *pg);
PostgresPollingStatusType __wrap_PQconnectPoll(PGconn *pg);
PostgresPollingStatusType __wrap_PQconnectPoll(PGconn *pg)
{
	ConnStatusType state = PQstatus(pg);
	const char *step = step_text(state);
	if (step != NULL) {
		counted_state = state;
		next_statement();
		if (torture_fails(step, ECONNRESET))
			cut(pg);
	}
	return __real_PQconnectPoll(pg);
}

int __real_PQsendQuery(PGconn *pg, const char *sql);
int __wrap_PQsendQuery(PGconn *pg, const char *sql);
int __wrap_PQsendQuery(PGconn *pg, const char *sql)
{
	next_statement();
	if (torture_fails("PQsendQuery, for memory", ENOMEM))
		return __real_PQsendQuery(pg, NULL); // it says that there is none
	if (torture_fails("PQsendQuery, broken", ECONNRESET))
		cut(pg);
	return __real_PQsendQuery(pg, sql);
}

int __real_PQconsumeInput(PGconn *pg);
int __wrap_PQconsumeInput(PGconn *pg);
int __wrap_PQconsumeInput(PGconn *pg)
{
	if (is_input_counted)
		return __real_PQconsumeInput(pg);
	is_input_counted = true;
	if (torture_fails("PQconsumeInput, for memory", ENOMEM))
		return 0; // PQgetResult() then reads on its own
	if (torture_fails("PQconsumeInput, broken", ECONNRESET))
		cut(pg);
	return __real_PQconsumeInput(pg);
}

// Without memory for what has come libpq makes a result of its own that says so, and before 14 none at all, which looks like the
// end of the statement. Several statements that were sent as one have a result each.
static const char *const spoken[] = {"PQgetResult, spoken", "PQgetResult, spoken, 2nd", "PQgetResult, spoken, later"};
static const char *const silent[] = {"PQgetResult, silent", "PQgetResult, silent, 2nd", "PQgetResult, silent, later"};

PGresult *__real_PQgetResult(PGconn *pg);
PGresult *__wrap_PQgetResult(PGconn *pg);
PGresult *__wrap_PQgetResult(PGconn *pg)
{
	PGresult *result = __real_PQgetResult(pg);
	if (result == NULL)
		return NULL;
	int which = results < 2 ? results++ : 2;
	bool is_spoken = torture_fails(spoken[which], ENOMEM);
	if (!is_spoken && !torture_fails(silent[which], ENOMEM))
		return result;
	PQclear(result);
	(void)__real_PQsendQuery(pg, NULL); // for some words
	return is_spoken ? PQmakeEmptyPGresult(pg, PGRES_FATAL_ERROR) : NULL;
}

PGcancel *__real_PQgetCancel(PGconn *pg);
PGcancel *__wrap_PQgetCancel(PGconn *pg);
PGcancel *__wrap_PQgetCancel(PGconn *pg)
{
	return torture_fails("PQgetCancel", ENOMEM) ? NULL : __real_PQgetCancel(pg);
}

// One that waits for nothing is a sleep.
int __real_poll(struct pollfd *waits, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *waits, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *waits, nfds_t count, int timeout_ms)
{
	if (count > 0 && !is_poll_counted) {
		is_poll_counted = true;
		if (torture_fails("poll", ENOMEM))
			return -1;
	}
	return __real_poll(waits, count, timeout_ms);
}

int __real_memfd_create(const char *name, unsigned int flags);
int __wrap_memfd_create(const char *name, unsigned int flags);
int __wrap_memfd_create(const char *name, unsigned int flags)
{
	return torture_fails("memfd_create", EMFILE) ? -1 : __real_memfd_create(name, flags);
}

ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len)
{
	return torture_fails("write", ENOSPC) ? -1 : __real_write(fd, bytes, len);
}
