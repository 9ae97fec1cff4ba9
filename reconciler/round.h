// next_step: what to do next for one replica. Pure: design.md "A round: next_step", row by row.
//
// All it sees is in struct round_view: no clock, no network, no names by chance. steps.c does what it says.
#ifndef RECONCILER_ROUND_H
#define RECONCILER_ROUND_H

#include "canopy/report.h"
#include "reconciler/checks.h"
#include "reconciler/scene.h"
#include "reconciler/diff.h"

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
	int64_t now_ms;
	int64_t starting_ms; // how long the database has been coming up, as somebody saw it; 0: as the wall clock says
};

struct step {
	enum step_kind kind;
	enum action_reason reason; // of a claim
	bool wants_slot;           // STEP_WAIT: a claim is due and waits for its slot alone
	// STEP_START
	struct restore_message restored;
	// STEP_FAIL
	enum report_grade grade;
	bool is_volume_full; // the next round wants a larger one
	char stage[32];
	char text[ERROR_TEXT_MAX]; // the cause in one sentence; for STEP_WAIT what is awaited
};

void next_step(const struct round_view *view, struct step *out);

// Whether a round key in the replica's Namespace is over: neither active, nor in hand, nor within its grace.
bool round_is_over(const struct round_view *view, const char *key);

#endif
