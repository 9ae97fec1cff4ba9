// What the facts about a replica mean, in sentences for people: one place for `understory status`, `why` and the status page.
//
// Pure: all it knows is in struct describe_facts. It says what is, never decides; where it says what comes next it follows diff.c
// and round.c. Texts come from strangers too (names, errors of an engine): whoever shows them escapes them.
#ifndef RECONCILER_DESCRIBE_H
#define RECONCILER_DESCRIBE_H

#include "reconciler/checks.h"
#include "reconciler/diff.h"
#include "reconciler/note.h"
#include "reconciler/scene.h"
#include "reconciler/words.h"

#define DESCRIBE_TEXT_SIZE 768

// A replica, an entry, or both.
struct describe_facts {
	const struct replica *replica; // NULL: its Namespace is not there
	const struct scene *scene;     // NULL without a replica
	const struct entry *entry;     // NULL: not wanted, or the worklist is not known here
	bool knows_worklist;           // else nothing is said of what it wants
	enum action_reason reason;     // of the last pass, with knows_worklist
	bool is_going;                 // its teardown is decided
	bool waits_for_slot;
	enum check_state check;
	struct note note; // all zero: nothing was heard
	const struct settings *settings;
	int64_t now_ms;
};

// How it stands, from bad to good: what people look at first comes first.
#define DESCRIBE_TONES(X)                                                                         \
	X(TONE_BROKEN, "broken")       /* a round failed, or what should serve does not */        \
	X(TONE_ATTENTION, "attention") /* held, refused, or something is tried again and again */ \
	X(TONE_WORKING, "working")                                                                \
	X(TONE_WAITING, "waiting")                                                                \
	X(TONE_GOOD, "good")

enum describe_tone {
#define X(name, text) name,
	DESCRIBE_TONES(X)
#undef X
};
extern const char *const describe_tone_text[];

// Empty texts and REPLICA_NEVER: there is nothing to say.
struct description {
	const char *state; // a text of enum replica_state, or "absent"
	const char *stage; // one word: queued, restore, load, recovery, start, checks, report, settled, deletion, ...
	enum describe_tone tone;
	char says[DESCRIBE_TEXT_SIZE]; // what it is at
	int64_t since_ms;
	char waits_for[DESCRIBE_TEXT_SIZE];
	const char *last_error; // borrowed from the facts; NULL when there is none
	const char *blame;      // whose problem that is; NULL when there is none
	char next[DESCRIBE_TEXT_SIZE];
	int64_t next_at_ms;  // not before then
	const char *verdict; // the grade of the last round that ended: a text of enum report_grade; NULL: none, or not known
	char verdict_says[DESCRIBE_TEXT_SIZE];
	const char *report; // owed, landed, refused, none
	char report_says[DESCRIBE_TEXT_SIZE];
	int64_t reported_at_ms;
	const char *snapshot_id;                                           // in hand, else the one that serves; borrowed; NULL
	int64_t snapshot_at_ms;                                            // when the backup was taken
	const char *wanted_id;                                             // another one that the worklist wants; borrowed; NULL
	char progress[WORDS_SIZE * 5];                                     // of a restore
	int progress_percent;                                              // -1: not known
	int64_t received_bytes, expected_bytes, bytes_per_s, remaining_ms; // -1: not known
};

// It should serve, by what it was, and its PostgreSQL is not available.
bool describe_is_down(const struct replica *replica, const struct scene *scene);

void describe(const struct describe_facts *facts, struct description *out);

#endif
