// The PostgreSQL that the tests of checks look at, and how they look at it: one server for a whole test program. One thread, but
// for checked_server_check().
#ifndef TESTS_RECONCILER_CHECKED_SERVER_H
#define TESTS_RECONCILER_CHECKED_SERVER_H

#include "reconciler/check_database.h"
#include "tests/support/postgres.h"

// Enough for a healthy server on a machine under load; tests of a limit set a short one.
#define CHECKED_SERVER_ENOUGH_MS 60000

// Not running where there is no PostgreSQL.
extern struct postgres checked_server;

// For cmocka_run_group_tests().
int checked_server_setup(void **state);
int checked_server_teardown(void **state);

// Each case that needs the server begins with the databases of initdb and one called app. Skips where there is no PostgreSQL.
void checked_server_begin(void);

// Statements on a database; the first field of what they answer.
void checked_server_exec(const char *database, const char *sql);
void checked_server_fetch(const char *database, const char *sql, char *out, size_t size);

// A file of the server's own, in its PGDATA; and whether it speaks TLS, with server.crt and server.key there.
void checked_server_write(const char *name, const char *text);
void checked_server_speak_tls(bool on);

// Where the first segment of a relation of database app is.
void checked_server_path(const char *relation, char out[256]);

struct check_request checked_server_request(void); // a quick check
struct check_limits checked_server_limits(enum check_stage stage, int64_t ms);

// Check under these limits. The result's details are the caller's.
void checked_server_check(const struct check_request *request, const struct check_limits *limits, struct check_result *result);

void checked_server_assert(const struct check_result *result, enum report_grade grade, const char *stage, const char *cause_part);

// A quick check of the server as it is, and what to expect.
void checked_server_assert_is(enum report_grade grade, const char *stage, const char *cause_part);

#endif
