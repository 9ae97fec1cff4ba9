// The brake: teardowns that look like a mistake of the worklist are held until the same answer has come again and again. Pure but
// for its own memory; design.md "diff: what to do" is the rule.
//
// Teardowns of replicas that left the worklist by design (replica_is_proven_once) are not counted and never held. One thread.
#ifndef RECONCILER_BRAKE_H
#define RECONCILER_BRAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BRAKE_PERCENT 30
#define BRAKE_COUNT 3 // held from more than this many
#define BRAKE_PASSES 3
#define BRAKE_MS (INT64_C(2) * 60 * 1000)

struct brake {
	uint64_t answer; // which Namespaces would go; 0: nothing is held
	int passes;
	int64_t since_mono_ms;
};

// What one pass would do.
struct brake_question {
	size_t managed;   // replicas in the cluster
	size_t teardowns; // countable ones
	bool worklist_is_empty;
	uint64_t answer; // brake_answer() over their Namespaces
	int64_t now_mono_ms;
};

// True: hold the countable teardowns in this pass.
bool brake_holds(struct brake *brake, const struct brake_question *question);

// Add a Namespace to an answer (begin with 0); the order does not matter.
uint64_t brake_answer(uint64_t answer, const char *namespace);

#endif
