// The checks of one restored database server, stage by stage, on the caller's thread.
//
// The stages are in the order of enum check_stage; the first that does not pass ends the check and names itself in the result. A
// quick check looks as far as `catalogs`; a deep one goes on to read all that is stored, and ships none of it. The last stage of
// both is the way that people come in by: whatever goes wrong on it leaves the backup unjudged, and comes after all that could
// speak against the backup. Each stage has a limit in check_limits_default, those of a deep check one that grows with what there
// is to read: it is over time when the limit is, and then the check is inconclusive, since a slow volume is not the backup's
// fault.
#ifndef RECONCILER_CHECK_DATABASE_H
#define RECONCILER_CHECK_DATABASE_H

#include "reconciler/checks.h"
#include <stdatomic.h>

#define CHECK_STAGES(X)                                                                                                      \
	X(CHECK_STAGE_CONNECT, "connect")         /* a session on database postgres, or template1 */                         \
	X(CHECK_STAGE_VERSION, "version")         /* the server's major is the backup's */                                   \
	X(CHECK_STAGE_RECOVERY, "recovery")       /* recovery is over */                                                     \
	X(CHECK_STAGE_DATABASES, "databases")     /* each database that allows it: a session, and an answer from pg_class */ \
	X(CHECK_STAGE_APPLICATION, "application") /* there is a database besides those that initdb makes */                  \
	X(CHECK_STAGE_RELATIONS, "relations")     /* each relation has the first segment of its file */                      \
	X(CHECK_STAGE_CATALOGS, "catalogs")       /* each row of each system catalog can be read */                          \
	X(CHECK_STAGE_TABLES, "tables")           /* deep: each table is sound as a structure, by amcheck */                 \
	X(CHECK_STAGE_ROWS, "rows")               /* deep: each row can be read, with what is stored beside it */            \
	X(CHECK_STAGE_INDEXES, "indexes")         /* deep: each btree index is sound and knows each row, by amcheck */       \
	X(CHECK_STAGE_CHECKSUMS, "checksums")     /* deep: no page with a wrong checksum was met by the way */               \
	X(CHECK_STAGE_SERVICE, "service")         /* where there is one: the round's Service leads to it */

enum check_stage {
#define X(name, text) name,
	CHECK_STAGES(X)
#undef X
		CHECK_STAGE_COUNT,
	CHECK_STAGE_QUICK_COUNT = CHECK_STAGE_TABLES, // a quick check leaves these out, up to `service`
};

extern const char *const check_stage_text[CHECK_STAGE_COUNT];

// In the cause of a stage `service` that the source's login was refused in.
#define CHECK_SOURCE_REFUSED "the login of the source was refused"

struct check_limits {
	int64_t ms[CHECK_STAGE_COUNT];
	int64_t object_ms;  // one table or index of a deep check
	int64_t ms_per_gib; // added to both for what there is to read
	// Of `service`, whose limit is the request's: connections that are tried, the pause after the first, doubled up to a
	// maximum.
	int service_tries;
	int64_t service_pause_ms, service_pause_max_ms;
};

extern const struct check_limits check_limits_default;

// Blocks until the verdict. Fills *result whole; details, which the caller owns, is as docs/health-details.md says, with what was
// not reached left out. When the flag is set, it returns within seconds with GRADE_INCONCLUSIVE.
void check_database(const struct check_request *request, const struct check_limits *limits, const atomic_bool *cancel,
	struct check_result *result);

#endif
