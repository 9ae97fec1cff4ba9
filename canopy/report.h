// The report: the body of POST /restore-verification for one round. Pure.
#ifndef CANOPY_REPORT_H
#define CANOPY_REPORT_H

#include "base/json.h"
#include "canopy/entry.h"

// design.md "A round": only clean and repaired are healthy.
enum report_grade { GRADE_CLEAN, GRADE_REPAIRED, GRADE_SALVAGED, GRADE_FAILED, GRADE_INCONCLUSIVE };

extern const char *const report_grade_text[];

// Who has to do something about a failure. docs/health-details.md says what each one holds.
enum report_owner {
	OWNER_NONE, // nobody: it is healthy
	OWNER_BACKUP,
	OWNER_CLUSTER, // its network and the way to the store are part of it: from within they cannot be told apart
	OWNER_IMAGE,
	OWNER_CREDENTIALS,
	OWNER_CANOPY,
	OWNER_SETTINGS
};

extern const char *const report_owner_text[];

// All borrowed; NULL leaves a thing out.
struct report {
	const char *group_id, *server_id, *replica_id; // canonical UUIDs
	bool has_server_id;                            // else the machine is named as machine_id
	const char *type, *intent;
	const char *snapshot_id;
	const char *run_id;
	enum report_grade grade;
	enum report_owner owner;
	const char *stage;            // where it ended: restore, start, connect, databases, ...
	const char *cause;            // one sentence; NULL when healthy
	const char *postgres_version; // major, or what the server says
	int64_t observed_at_ms;
	json_t *details;       // further members of health_details; borrowed; may be NULL
	const json_t *traffic; // the Namespace's `traffic` annotation: s3_*_bytes; may be NULL
};

// outcome is "success" or "failure"; error is the cause, prefixed with the grade and the owner where another than the backup is
// to blame.
MUST_CHECK int report_build(const struct report *report, char **out, struct error *err);

// *out: the report body says replica_healthy; one that cannot be read does not. Fails for lack of memory alone.
MUST_CHECK int report_is_healthy(const char *body, bool *out, struct error *err);

// observed_at of a report body in wall milliseconds, -1 when it has none that can be read.
int64_t report_observed_at_ms(const char *body);

#endif
