// The quick checks of one restored database server, stage by stage, on the caller's thread.
//
// The stages are in the order of enum check_stage; the first that does not pass ends the check and names itself in the result.
// Each has a limit in check_limits_default: it is over time when the limit is, and then the check is inconclusive, since a slow
// volume is not the backup's fault. A deep check, which reads all the data, is no stage of these and gets no such limit.
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
	X(CHECK_STAGE_CATALOGS, "catalogs")       /* each row of each system catalog can be read */

enum check_stage {
#define X(name, text) name,
	CHECK_STAGES(X)
#undef X
		CHECK_STAGE_COUNT
};

extern const char *const check_stage_text[CHECK_STAGE_COUNT];

struct check_limits {
	int64_t ms[CHECK_STAGE_COUNT];
};

extern const struct check_limits check_limits_default;

// Blocks until the verdict. Fills *result whole; details, which the caller owns, is
//   {"databases": 4, "sizes": {"app": 8000000}, "relations_checked": 1200, "catalog_rows_read": 9000,
//    "stages": [{"name": "connect", "seconds": 0.012}]}
// with what was not reached left out. When the flag is set, it returns within seconds with GRADE_INCONCLUSIVE.
void check_database(const struct check_request *request, const struct check_limits *limits, const atomic_bool *cancel,
	struct check_result *result);

#endif
