// What this operator has heard of a replica beyond what the cluster shows: how far its restore is, and why it could not be
// brought forward. For people alone: nothing is decided on it, and it is lost with the process.
//
// Any thread; one lock, never held for long. At most NOTES_MAX Namespaces are remembered.
#ifndef RECONCILER_NOTE_H
#define RECONCILER_NOTE_H

#include "base/cleanup.h"
#include "base/error.h"
#include "builders/names.h"
#include "canopy/entry.h"
#include <stdint.h>

// More restores than run at once, and enough of what is tried again and again. When it is reached, counts go that were not
// renewed for NOTES_STALE_MS (a proxy counts every 30 s).
#define NOTES_MAX 1024
#define NOTES_STALE_MS (INT64_C(10) * 60 * 1000)

struct note {
	// The restore of this round, as its proxy counted it; round "" when nothing was heard.
	char round[ROUND_KEY_SIZE];
	int64_t received_bytes;
	int64_t heard_at_ms; // wall clock
	int64_t bytes_per_s; // between the last two counts; -1 before the second
	// Tries that failed in a row; 0: none.
	int errors_in_row;
	int64_t next_try_ms; // wall clock
	char trouble[ERROR_TEXT_MAX];
};

struct notes;

MUST_CHECK int notes_new(struct notes **out, struct error *err);
void notes_free(struct notes *notes);
DEFINE_AUTO(struct notes, notes, notes_free)

// A count of a round's restore. One that is less than the last one begins anew. Without memory it is lost.
void notes_progress(struct notes *notes, const char *namespace, const char *round, int64_t received_bytes, int64_t now_ms);

// It could not be brought forward; notes_well() forgets that.
void notes_trouble(
	struct notes *notes, const char *namespace, int errors_in_row, int64_t next_try_ms, const char *why, int64_t now_ms);
void notes_well(struct notes *notes, const char *namespace);

// It is gone, or its restore has ended.
void notes_forget(struct notes *notes, const char *namespace);

// False, and *out all zero: nothing was heard.
bool notes_look(struct notes *notes, const char *namespace, struct note *out);

// Changes with everything that is heard.
uint64_t notes_revision(struct notes *notes);

#endif
