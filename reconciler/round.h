// next_step: what to do next for one replica. Pure: design.md "A round: next_step", row by row.
//
// All it sees is in struct round_view: no clock, no network, no names by chance. steps.c does what it says.
#ifndef RECONCILER_ROUND_H
#define RECONCILER_ROUND_H

#include "canopy/report.h"
#include "reconciler/checks.h"
#include "reconciler/scene.h"
#include "reconciler/diff.h"
#include "reconciler/pod_words.h"

enum step_kind {
	STEP_WAIT,     // nothing to do now; `text` says what is awaited
	STEP_CLAIM,    // take the round: annotations, with resourceVersion
	STEP_MAKE,     // credentials and all objects of the round in hand, each created or adopted
	STEP_START,    // the restore is complete: passwords and Deployment, then `starting`
	STEP_CHECK,    // the Deployment is available: begin the checks
	STEP_ACTIVATE, // the checks passed: `active`, with the report that is owed
	STEP_FAIL,     // `failed`, with the report that is owed
	STEP_REPORT,   // send what is owed
	STEP_DISCARD,  // proven and reported: delete the objects of the round, keep the Namespace
	STEP_RESIZE,   // the Deployment that serves is sized otherwise than the settings and the entry say
	STEP_SWEEP,    // delete the objects of rounds that are over
};
extern const char *const step_kind_text[];

struct round_view {
	const struct entry *entry; // NULL: not in the worklist, or the worklist is not known now: no new round begins
	struct replica *replica;   // brought up to date by the steps; never by next_step
	struct scene scene;
	const struct settings *settings;
	struct settings_for_intent sizing;
	bool has_slot; // one of MAX_CONCURRENT_RESTORES is this replica's
	enum check_state check;
	const struct check_result *check_result; // with CHECK_DONE
	const struct pod_words *words;           // of the round in hand; NULL until they are read, before it ends
	int64_t now_ms;
	int64_t starting_ms; // how long the database has been coming up, recovery not counted, as somebody saw it; 0: as the
			     // wall clock says
};

struct step {
	enum step_kind kind;
	enum action_reason reason; // of a claim
	bool wants_slot;           // STEP_WAIT: a claim is due and waits for its slot alone
	bool is_volume_bound;      // a claim is due, and the volumes of ROUND_VOLUMES_MAX rounds are still there
	// STEP_START
	struct restore_message restored;
	// STEP_FAIL and STEP_ACTIVATE
	enum report_grade grade;
	// STEP_FAIL
	enum report_owner owner;
	bool is_volume_full; // the next round wants a larger one
	char stage[32];
	char text[ERROR_TEXT_MAX]; // the cause in one sentence, also of what is active and salvaged; for STEP_WAIT what is
				   // awaited
};

// A replica has so many volumes at once: the one that serves and the next. What is on its way out still takes its place.
#define ROUND_VOLUMES_MAX 2
#define ROUND_VOLUMES_TEXT "the sweep of an older round: the volumes of two rounds are there, and a third is not made"

void next_step(const struct round_view *view, struct step *out);

// Whether a round key in the replica's Namespace is over: neither active, nor in hand, nor within its grace.
bool round_is_over(const struct round_view *view, const char *key);

// PostgreSQL is being prepared: the ready time-out does not count that. pod may be NULL.
bool round_is_recovering(const struct pod_view *pod);

// What that preparing is, by what the restore Job said of its engine: a load of dumps, or the recovery of a database.
bool round_is_load(const struct restore_message *said);

// What the restore pod of the round in hand said; all empty, or -1, when it is gone or said nothing.
struct restore_message round_said(const struct round_view *view);

// Does a claim for this reason go on with the backup that the round before it had found? Only after a failure of the same
// snapshot, and not when a person asks for a new round.
bool round_keeps_backup(const struct round_view *view, enum action_reason reason);

// No volume can be made for another round.
bool round_volumes_in_use(const struct scene *scene);

// Size of the round's volume: what an earlier round asked for is a floor like the setting; the maximum holds for both.
int64_t round_volume_bytes(const struct round_view *view);

// Of the next round's, when this one's was too small: twice its size. *is_capped: the maximum allows less than that.
int64_t round_next_volume_bytes(const struct round_view *view, bool *is_capped);

#endif
