// A connection to a restored database that never outstays its time: libpq without blocking calls, under a deadline and a cancel
// flag.
//
// One thread at a time. Kinds of failure, which the grade of a check follows from:
//   ERROR_TRANSIENT  nobody answers, the server starts up or shuts down, is out of resources or over the time limit, the
//   connection
//                    broke. A server that dies under a check looks like one that the kernel killed for its memory, so it is here
//                    too.
//   ERROR_INTERNAL   the server did not let us in or lets us do too little (user and password are ours), or out of memory
//   ERROR_NOT_FOUND  there is no such database
//   ERROR_INVALID    the database itself said no: damaged, incompatible. The text holds the server's words.
//   ERROR_CANCELLED  the flag was set
#ifndef RECONCILER_CHECK_CONNECTION_H
#define RECONCILER_CHECK_CONNECTION_H

#include "base/cleanup.h"
#include "base/error.h"
#include "reconciler/checks.h"
#include <libpq-fe.h>
#include <stdatomic.h>

// One attempt to connect. An address that swallows packets is found out after that, and asked again.
#define CHECK_CONNECTION_ATTEMPT_MS 10000

// How often the cancel flag is looked at while the server is waited for.
#define CHECK_CONNECTION_SLICE_MS 100

// How long a server may take to end a statement that it was asked to cancel, before the connection is dropped.
#define CHECK_CONNECTION_CANCEL_GRACE_MS 3000

DEFINE_AUTO(PGresult, pgresult, PQclear)

// All borrowed for the call; cancel for the life of the connection.
struct check_connection_options {
	const struct check_request *request;
	const char *database;
	int64_t connect_by_mono_ms; // until then attempts that fail with ERROR_TRANSIENT are repeated
	int64_t finish_by_mono_ms;  // of all statements; see check_connection_set_limit()
	bool is_long;               // statements may take hours: it is only here that the time is watched, and a server from
				    // 14 ends a statement on its own when we are gone. Else the server has a statement_timeout.
	bool is_single;             // one attempt and no other
	const atomic_bool *cancel;
};

struct check_connection;

// A failure names the database.
MUST_CHECK int check_connection_open(
	const struct check_connection_options *options, struct check_connection **out, struct error *err);

// Run one statement. *out is the caller's; NULL where the rows are not wanted. After ERROR_TRANSIENT or ERROR_CANCELLED the
// connection is of no more use.
MUST_CHECK int check_connection_query(struct check_connection *connection, const char *sql, PGresult **out, struct error *err);

// Another limit for the statements to come.
void check_connection_set_limit(struct check_connection *connection, int64_t finish_by_mono_ms);

// The code of the last statement that failed, https://www.postgresql.org/docs/15/errcodes-appendix.html; "" when it was not the
// server that failed it.
const char *check_connection_sqlstate(const struct check_connection *connection);

// The server's version as a number (150020) and as it calls itself ("15.20 (Debian 15.20-0+deb12u1)"; borrowed).
int check_connection_version(const struct check_connection *connection);
const char *check_connection_version_text(const struct check_connection *connection);

// Cancels what still runs on the server, for at most CHECK_CONNECTION_CANCEL_GRACE_MS.
void check_connection_close(struct check_connection *connection);
DEFINE_AUTO(struct check_connection, check_connection, check_connection_close)

// Sleep until a monotonic time, at most. ERROR_CANCELLED when the flag is set before.
MUST_CHECK int check_connection_sleep(const atomic_bool *cancel, int64_t until_mono_ms, struct error *err);

#endif
