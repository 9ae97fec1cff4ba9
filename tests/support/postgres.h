// A real PostgreSQL for tests: initdb in a directory of its own under /tmp, on a free port of 127.0.0.1, with password login.
//
// The newest server under /usr/lib/postgresql (or the one in UNDERSTORY_TEST_POSTGRES_BIN) is used. A server refuses to run as
// root, so root runs it as user postgres through setpriv. It dies with the thread that started it, even when the test crashes.
// One thread.
#ifndef TESTS_SUPPORT_POSTGRES_H
#define TESTS_SUPPORT_POSTGRES_H

#include "base/error.h"
#include "base/secret.h"
#include <stddef.h>
#include <sys/types.h>

#define POSTGRES_HOST "127.0.0.1"
#define POSTGRES_USER "postgres"

struct postgres {
	char bin[96];  // directory of the server's programs
	char dir[64];  // what we made: data/, password, *.log
	char data[80]; // PGDATA
	int major;
	int port;
	pid_t pid; // 0: not running
	struct secret password;
};

// Make a cluster and start it. ERROR_NOT_FOUND when there is no PostgreSQL on this machine: the test is then to be skipped. After
// a failure nothing is left.
MUST_CHECK int postgres_new(struct postgres *pg, struct error *err);

// Stop it and remove its directory. Fine for one that was zeroed and never made.
void postgres_free(struct postgres *pg);

// Shut it down, keeping its files, and start it again (on another port), for tests that change files in between.
void postgres_halt(struct postgres *pg);
MUST_CHECK int postgres_run(struct postgres *pg, struct error *err);

// Data checksums of a cluster that is shut down and had them otherwise; initdb here makes it without, before PostgreSQL 18.
MUST_CHECK int postgres_set_checksums(struct postgres *pg, bool on, struct error *err);

// Run statements in a session of its own. first (may be NULL) gets the first field of the last result.
MUST_CHECK int postgres_exec(
	const struct postgres *pg, const char *database, const char *sql, char *first, size_t first_size, struct error *err);

#endif
