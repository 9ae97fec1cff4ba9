// Whose fault a failure is, and whether another try could end otherwise. Pure.
//
// The backup is judged by what our scripts found in it, and by what the database itself said; all else leaves it unjudged
// (GRADE_INCONCLUSIVE), whoever is to blame.
#ifndef RECONCILER_BLAME_H
#define RECONCILER_BLAME_H

#include "base/settings.h"
#include "canopy/report.h"
#include "reconciler/checks.h"
#include "reconciler/workload.h"

struct blame {
	enum report_grade grade;
	enum report_owner owner;
	bool is_final; // of the prepare container: its next run would end in the same way
};

// An exit code with which a script of ours ended after it had said why. One that is not in builders/exit_codes.h, such as 1, says
// nothing: the cluster's, since all that lies between backup and database is.
struct blame blame_exit_code(int exit_code);

// A pod that ended or waits without a word of ours.
struct blame blame_pod(const struct pod_view *pod, const struct settings_for_intent *sizing);

// A check that did not pass.
struct blame blame_check(const struct check_result *result);

#endif
