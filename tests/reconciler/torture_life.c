// Torture (tests/support/torture.h) of a replica's life: at each of its moments a worker has it in hand, and each fallible call
// of the worker fails once at each place that it is made from. The worker comes again as it would after its back-off, and then
// all is as if nothing had failed: the same state, the same objects, each report with canopy once. Without a fault each moment
// ends as its row says, so this is the test of the steps, the gate and the worker too.
#include "tests/reconciler/cluster.h"

#include "base/log.h"
#include "tests/reconciler/scenes.h"
#include "tests/support/cmocka.h"
#include "tests/support/torture.h"
#include <stdio.h>
#include <string.h>

#define RESTORED \
	"{\"postgres_version\":\"15\",\"bytes\":1000,\"files\":10,\"seconds\":3,\"layout\":\"debian\",\"engine\":\"kopia\"}"
#define TEXT_SIZE 2048

// --- up to a moment

static void checks_end(struct cluster *c, enum report_grade grade)
{
	c->check = CHECK_DONE;
	c->checked = (struct check_result){.grade = grade, .server_version = "15.20"};
	(void)snprintf(c->checked.stage, sizeof(c->checked.stage), "catalogs");
	if (grade != GRADE_CLEAN)
		(void)snprintf(c->checked.cause, sizeof(c->checked.cause), "a row of pg_class cannot be read");
}

static void until_restoring(struct cluster *c)
{
	cluster_settle(c);
}

static void until_restored(struct cluster *c)
{
	until_restoring(c);
	cluster_job_ends(c, true, RESTORED);
}

static void until_up(struct cluster *c)
{
	until_restored(c);
	cluster_settle(c);
	cluster_database_comes_up(c);
}

static void until_active(struct cluster *c)
{
	until_up(c);
	checks_end(c, GRADE_CLEAN);
	cluster_settle(c);
	c->check = CHECK_NONE;
}

static void until_job_failed(struct cluster *c)
{
	until_restoring(c);
	cluster_job_ends(c, false, "{\"error\":\"the repository has no snapshot s1\",\"stage\":\"snapshot\"}");
}

static void until_report_owed(struct cluster *c)
{
	until_up(c);
	checks_end(c, GRADE_CLEAN);
	c->canopy_status = 502;
	cluster_settle(c);
	c->check = CHECK_NONE;
}

static void until_forced(struct cluster *c)
{
	until_active(c);
	cluster_annotate(c, "force-refresh", "true");
}

static void until_second_serves(struct cluster *c)
{
	until_forced(c);
	cluster_settle(c);
	cluster_job_ends(c, true, RESTORED);
	cluster_settle(c);
	cluster_database_comes_up(c);
	checks_end(c, GRADE_CLEAN);
	cluster_settle(c);
	c->check = CHECK_NONE;
	cluster_annotate(c, "last-restored-at", "2026-01-01T00:00:00Z"); // its grace is over
}

static void until_certificate_is_old(struct cluster *c)
{
	until_active(c);
	cluster_annotate(c, "tls-renew-at", "2026-01-01T00:00:00Z");
	cluster_annotate(c, "tls-ca", "0123456789abcdef");
}

static void until_nothing(struct cluster *c)
{
	(void)c;
}

// --- what is the case at it

static void checks_passed(struct cluster *c)
{
	checks_end(c, GRADE_CLEAN);
}

static void checks_failed(struct cluster *c)
{
	checks_end(c, GRADE_FAILED);
}

static void canopy_is_away(struct cluster *c)
{
	checks_end(c, GRADE_CLEAN);
	c->canopy_status = 502;
}

static void canopy_refuses(struct cluster *c)
{
	c->canopy_status = 404;
}

static void credentials_are_refused(struct cluster *c)
{
	c->credentials_status = 403;
}

static void snapshot_is_newer(struct cluster *c)
{
	c->entry = ",\"snapshot_id\":\"s2\",\"snapshot_at\":\"2026-11-21T10:00:00Z\"";
}

static void is_not_wanted(struct cluster *c)
{
	c->entry = NULL;
}

static void wants_more_memory(struct cluster *c)
{
	c->entry = ",\"snapshot_id\":\"s1\",\"snapshot_at\":\"2026-11-20T10:00:00Z\",\"params\":{\"memory_limit\":\"3Gi\"}";
}

static void is_as_it_was(struct cluster *c)
{
	(void)c;
}

// --- the moments

struct moment {
	const char *name, *intent;
	void (*until)(struct cluster *c);
	void (*given)(struct cluster *c);
	const char *then;
	const char *kept;
};

// The keys of the two rounds, and what is in the Namespace whatever happens.
#define FIRST "fa04b867"
#define SECOND "6ff91b12"
#define REST "netpol/default-deny netpol/postgres netpol/restore rolebindings/understory"

#define MOMENTS(X)                                                                                                               \
	X(provisions, "a Namespace is made, its round claimed and its Job made", "verify", until_nothing, is_as_it_was,          \
		"restore-state=restoring round=" FIRST " attempt=1 desired-snapshot-id=s1 secrets/restore-" FIRST                \
		" sa/restore pvc/pgdata-" FIRST " jobs/restore-" FIRST " " REST "; reports: 0")                                  \
	X(credentials_refused, "canopy refuses the keys", "verify", until_nothing, credentials_are_refused,                      \
		"restore-state=failed round=" FIRST " attempt=1 last-error=POST /restore-credentials: HTTP 403 "                 \
		"desired-snapshot-id=s1 sa/restore pvc/pgdata-" FIRST " " REST "; reports: 0")                                   \
	X(starts, "the restore is complete", "analytics", until_restored, is_as_it_was,                                          \
		"restore-state=starting round=" FIRST " attempt=1 desired-snapshot-id=s1 po/restore-" FIRST                      \
		"-x secrets/analytics-credentials secrets/postgres-" FIRST                                                       \
		" secrets/postgres-superuser secrets/postgres-tls secrets/restore-" FIRST " sa/restore pvc/pgdata-" FIRST        \
		" jobs/restore-" FIRST " deploy/postgres-" FIRST " " REST "; reports: 0")                                        \
	X(checks, "the database comes up", "analytics", until_up, is_as_it_was,                                                  \
		"restore-state=starting round=" FIRST " attempt=1 desired-snapshot-id=s1 po/postgres-" FIRST                     \
		" po/restore-" FIRST "-x svc/postgres-" FIRST " secrets/analytics-credentials secrets/postgres-" FIRST           \
		" secrets/postgres-superuser secrets/postgres-tls secrets/restore-" FIRST " sa/restore pvc/pgdata-" FIRST        \
		" jobs/restore-" FIRST " deploy/postgres-" FIRST " " REST "; reports: 0")                                        \
	X(proves, "the checks of a verify replica pass", "verify", until_up, checks_passed,                                      \
		"restore-state=active active-round=" FIRST " round=" FIRST                                                       \
		" attempt=1 last-verdict=clean catalogs desired-snapshot-id=s1 last-restored-snapshot-id=s1 "                    \
		"last-verification-reported-round=" FIRST " po/postgres-" FIRST " po/restore-" FIRST                             \
		"-x svc/postgres secrets/postgres-" FIRST                                                                        \
		" secrets/postgres-superuser secrets/postgres-tls sa/restore pvc/pgdata-" FIRST " " REST "; reports: 1 healthy") \
	X(activates, "the checks of a standing replica pass", "analytics", until_up, checks_passed,                              \
		"restore-state=active active-round=" FIRST " round=" FIRST                                                       \
		" attempt=1 last-verdict=clean catalogs desired-snapshot-id=s1 last-restored-snapshot-id=s1 "                    \
		"last-verification-reported-round=" FIRST " po/postgres-" FIRST " po/restore-" FIRST                             \
		"-x svc/postgres secrets/analytics-credentials secrets/postgres-" FIRST                                          \
		" secrets/postgres-superuser secrets/postgres-tls secrets/restore-" FIRST " sa/restore pvc/pgdata-" FIRST        \
		" jobs/restore-" FIRST " deploy/postgres-" FIRST " " REST "; reports: 1 healthy")                                \
	X(owes, "they pass while canopy is away", "verify", until_up, canopy_is_away,                                            \
		"restore-state=active active-round=" FIRST " round=" FIRST                                                       \
		" attempt=1 last-verdict=clean catalogs desired-snapshot-id=s1 last-restored-snapshot-id=s1 "                    \
		"last-verification-error=... report=... po/postgres-" FIRST " po/restore-" FIRST                                 \
		"-x svc/postgres secrets/postgres-" FIRST                                                                        \
		" secrets/postgres-superuser secrets/postgres-tls secrets/restore-" FIRST " sa/restore pvc/pgdata-" FIRST        \
		" jobs/restore-" FIRST " deploy/postgres-" FIRST " " REST "; reports: tried healthy")                            \
	X(reports, "a report is owed", "verify", until_report_owed, is_as_it_was,                                                \
		"restore-state=active active-round=" FIRST " round=" FIRST                                                       \
		" attempt=1 last-verdict=clean catalogs desired-snapshot-id=s1 last-restored-snapshot-id=s1 "                    \
		"last-verification-reported-round=" FIRST " po/postgres-" FIRST " po/restore-" FIRST                             \
		"-x svc/postgres secrets/postgres-" FIRST                                                                        \
		" secrets/postgres-superuser secrets/postgres-tls sa/restore pvc/pgdata-" FIRST " " REST "; reports: 1 healthy") \
	X(is_refused, "its report is refused", "verify", until_report_owed, canopy_refuses,                                      \
		"restore-state=active active-round=" FIRST " round=" FIRST                                                       \
		" attempt=1 last-verdict=clean catalogs desired-snapshot-id=s1 last-restored-snapshot-id=s1 "                    \
		"last-verification-error=... report=... po/postgres-" FIRST " po/restore-" FIRST                                 \
		"-x svc/postgres secrets/postgres-" FIRST                                                                        \
		" secrets/postgres-superuser secrets/postgres-tls secrets/restore-" FIRST " sa/restore pvc/pgdata-" FIRST        \
		" jobs/restore-" FIRST " deploy/postgres-" FIRST " " REST "; reports: tried healthy")                            \
	X(check_fails, "the checks fail", "verify", until_up, checks_failed,                                                     \
		"restore-state=failed round=" FIRST                                                                              \
		" attempt=1 failures=1 last-error=a row of pg_class cannot be read last-verdict=failed catalogs backup "         \
		"desired-snapshot-id=s1 last-verification-reported-round=" FIRST " po/postgres-" FIRST " po/restore-" FIRST      \
		"-x secrets/postgres-" FIRST " secrets/postgres-superuser secrets/postgres-tls secrets/restore-" FIRST           \
		" sa/restore pvc/pgdata-" FIRST " jobs/restore-" FIRST " deploy/postgres-" FIRST " " REST                        \
		"; reports: 1 unhealthy")                                                                                        \
	X(job_fails, "the restore fails", "verify", until_job_failed, is_as_it_was,                                              \
		"restore-state=failed round=" FIRST " attempt=1 failures=1 last-error=the repository has no snapshot s1 ( "      \
		"last-verdict=inconclusive snapshot canopy desired-snapshot-id=s1 last-verification-reported-round=" FIRST       \
		" po/restore-" FIRST "-x secrets/restore-" FIRST " sa/restore pvc/pgdata-" FIRST " jobs/restore-" FIRST " " REST \
		"; reports: 1 unhealthy")                                                                                        \
	X(refreshes, "somebody forces a refresh", "analytics", until_forced, is_as_it_was,                                       \
		"restore-state=restoring active-round=" FIRST " round=" SECOND                                                   \
		" attempt=2 last-verdict=clean catalogs desired-snapshot-id=s1 last-restored-snapshot-id=s1 "                    \
		"last-verification-reported-round=" FIRST " po/postgres-" FIRST " po/restore-" FIRST                             \
		"-x svc/postgres secrets/analytics-credentials secrets/postgres-" FIRST                                          \
		" secrets/postgres-superuser secrets/postgres-tls secrets/restore-" SECOND " secrets/restore-" FIRST             \
		" sa/restore pvc/pgdata-" SECOND " pvc/pgdata-" FIRST " jobs/restore-" SECOND " jobs/restore-" FIRST             \
		" deploy/postgres-" FIRST " " REST "; reports: 0")                                                               \
	X(notes, "a newer snapshot comes meanwhile", "analytics", until_restoring, snapshot_is_newer,                            \
		"restore-state=restoring round=" FIRST " attempt=1 desired-snapshot-id=s2 secrets/restore-" FIRST                \
		" sa/restore pvc/pgdata-" FIRST " jobs/restore-" FIRST " " REST "; reports: 0")                                  \
	X(sweeps, "the grace of the round before is over", "analytics", until_second_serves, is_as_it_was,                       \
		"restore-state=active active-round=" SECOND " round=" SECOND                                                     \
		" attempt=2 last-verdict=clean catalogs desired-snapshot-id=s1 last-restored-snapshot-id=s1 "                    \
		"last-verification-reported-round=" SECOND " po/postgres-" SECOND " po/postgres-" FIRST " po/restore-" SECOND    \
		"-x po/restore-" FIRST "-x svc/postgres secrets/analytics-credentials secrets/postgres-" SECOND                  \
		" secrets/postgres-" FIRST " secrets/postgres-superuser secrets/postgres-tls secrets/restore-" SECOND            \
		" sa/restore pvc/pgdata-" SECOND " pvc/pgdata-" FIRST " jobs/restore-" SECOND " deploy/postgres-" SECOND         \
		" " REST "; reports: 0")                                                                                         \
	X(resizes, "more memory is wanted", "analytics", until_active, wants_more_memory,                                        \
		"restore-state=active active-round=" FIRST " round=" FIRST                                                       \
		" attempt=1 last-verdict=clean catalogs desired-snapshot-id=s1 last-restored-snapshot-id=s1 "                    \
		"last-verification-reported-round=" FIRST " po/postgres-" FIRST " po/restore-" FIRST                             \
		"-x svc/postgres secrets/analytics-credentials secrets/postgres-" FIRST                                          \
		" secrets/postgres-superuser secrets/postgres-tls secrets/restore-" FIRST " sa/restore pvc/pgdata-" FIRST        \
		" jobs/restore-" FIRST " deploy/postgres-" FIRST " with 3Gi " REST "; reports: 0")                               \
	X(renews, "its certificate is old", "analytics", until_certificate_is_old, is_as_it_was,                                 \
		"restore-state=active active-round=" FIRST " round=" FIRST                                                       \
		" attempt=1 last-verdict=clean catalogs desired-snapshot-id=s1 last-restored-snapshot-id=s1 "                    \
		"last-verification-reported-round=" FIRST " po/postgres-" FIRST " po/restore-" FIRST                             \
		"-x svc/postgres secrets/analytics-credentials secrets/postgres-" FIRST                                          \
		" secrets/postgres-superuser secrets/postgres-tls secrets/restore-" FIRST " sa/restore pvc/pgdata-" FIRST        \
		" jobs/restore-" FIRST " deploy/postgres-" FIRST " " REST "; reports: 0")                                        \
	X(goes, "it is not wanted any more", "analytics", until_active, is_not_wanted,                                           \
		"terminating restore-state=active active-round=" FIRST " round=" FIRST                                           \
		" attempt=1 last-verdict=clean catalogs desired-snapshot-id=s1 last-restored-snapshot-id=s1 "                    \
		"last-verification-reported-round=" FIRST " po/postgres-" FIRST " po/restore-" FIRST                             \
		"-x svc/postgres secrets/analytics-credentials secrets/postgres-" FIRST                                          \
		" secrets/postgres-superuser secrets/postgres-tls secrets/restore-" FIRST " sa/restore pvc/pgdata-" FIRST        \
		" jobs/restore-" FIRST " deploy/postgres-" FIRST " " REST "; reports: 0")                                        \
	X(goes_owing, "it is not wanted any more and owes a report", "analytics", until_report_owed, is_not_wanted,              \
		"terminating restore-state=active active-round=" FIRST " round=" FIRST                                           \
		" attempt=1 last-verdict=clean catalogs desired-snapshot-id=s1 last-restored-snapshot-id=s1 "                    \
		"last-verification-reported-round=" FIRST " po/postgres-" FIRST " po/restore-" FIRST                             \
		"-x svc/postgres secrets/analytics-credentials secrets/postgres-" FIRST                                          \
		" secrets/postgres-superuser secrets/postgres-tls secrets/restore-" FIRST " sa/restore pvc/pgdata-" FIRST        \
		" jobs/restore-" FIRST " deploy/postgres-" FIRST " " REST "; reports: 1 healthy")                                \
	X(goes_proven, "it has left the worklist, by which its healthy report has landed", "verify", until_report_owed,          \
		is_not_wanted,                                                                                                   \
		"terminating restore-state=active active-round=" FIRST " round=" FIRST                                           \
		" attempt=1 last-verdict=clean catalogs desired-snapshot-id=s1 last-restored-snapshot-id=s1 "                    \
		"last-verification-error=... report=... po/postgres-" FIRST " po/restore-" FIRST                                 \
		"-x svc/postgres secrets/postgres-" FIRST                                                                        \
		" secrets/postgres-superuser secrets/postgres-tls secrets/restore-" FIRST " sa/restore pvc/pgdata-" FIRST        \
		" jobs/restore-" FIRST " deploy/postgres-" FIRST " " REST "; reports: 0")

static int live(struct moment *m, struct buf *made, struct error *err)
{
	struct cluster c;
	AUTO(buf) struct buf text;
	buf_init(&text, TEXT_SIZE);
	if (m->kept == NULL) {
		cluster_open(&c, m->intent, NULL);
		m->until(&c);
		m->kept = cluster_keep(&c, m->name);
		cluster_close(&c);
	}
	cluster_open(&c, m->intent, m->kept);
	m->given(&c);
	cluster_look(&c);
	torture_begin();
	cluster_work(&c);
	torture_end();
	cluster_settle(&c);
	cluster_say(&c, &text);
	cluster_close(&c);
	if (strcmp(buf_str(&text), m->then) == 0)
		return 0;
	torture_say(made, "%s", buf_str(&text));
	return error_set(err, ERROR_INTERNAL, "it ends otherwise");
}

#define X(id, name, intent, until, given, then)                                      \
	static struct moment moment_##id = {name, intent, until, given, then, NULL}; \
	static int live_##id(struct buf *made, struct error *err)                    \
	{                                                                            \
		return live(&moment_##id, made, err);                                \
	}
MOMENTS(X)
#undef X

int main(void)
{
	static const struct torture_case cases[] = {
#define X(id, title, intent, until, given, then) {.name = (title), .run = live_##id, .is_once_a_place = true},
		MOMENTS(X)
#undef X
	};
	log_setup(LOG_ERROR, LOG_LOGFMT);
	return torture_main("reconciler/life", cases, sizeof(cases) / sizeof(cases[0]));
}
