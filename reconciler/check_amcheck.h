// The extension amcheck in a database, for the time of a session: https://www.postgresql.org/docs/15/amcheck.html.
//
// Where the database lacks it, it is created inside a transaction that is never committed: a standing replica keeps nothing of
// it, whatever becomes of the operator or the session.
#ifndef RECONCILER_CHECK_AMCHECK_H
#define RECONCILER_CHECK_AMCHECK_H

#include "reconciler/check_run.h"

struct check_amcheck {
	char schema[260]; // quoted; "" where there is no amcheck: a note of the run says why
	bool has_heap;    // verify_heapam(), from PostgreSQL 14
	bool has_index;   // bt_index_check(index, heapallindexed)
	bool has_unique;  // bt_index_check(index, heapallindexed, checkunique), from 17
};

// Begin the transaction. Where nothing can be checked it still succeeds.
MUST_CHECK int check_amcheck_begin(const struct check_session *session, struct check_amcheck *out, struct error *err);

// Run a check on one object. *out is what it returned, or NULL when it was refused for a reason that is not the backup's, which
// is then in why. -1: damage (ERROR_INVALID), or what keeps the stage from going on.
MUST_CHECK int check_amcheck_query(const struct check_session *session, const char *object, int64_t bytes, const char *sql,
	PGresult **out, char why[ERROR_TEXT_MAX], struct error *err);

#endif
