// A pass: the worklist against all that is known of the cluster, decided at once (design.md "diff: what to do").
//
// It writes nothing to anybody: what is wanted of each replica goes into its record in the cache, what is due into the queue. The
// main loop's thread alone, since it owns worklist and brake.
#ifndef RECONCILER_PASS_H
#define RECONCILER_PASS_H

#include "reconciler/diff.h"
#include "reconciler/manager.h"

#define PASS_NAMES_MAX 64 // of each kind that people are told of; the counts are whole

// Namespaces that people are told of.
struct pass_names {
	char names[PASS_NAMES_MAX][ENTRY_NAMESPACE_SIZE];
	size_t named, count;
};

struct pass {
	bool is_current; // the worklist is the service's answer of this pass; else the last one known: nothing begins, nothing
			 // ends
	size_t managed;
	struct pass_names foreign;    // our label, but not the identity
	struct pass_names held;       // teardowns held by the brake
	struct pass_names duplicates; // entries that are there twice
};

// The worklist as it stands now; it comes into force with pass_decide(). On failure the last one stays.
MUST_CHECK int pass_fetch(struct manager *op, struct error *err);

// Decide on the last worklist fetched; is_current says whether this pass fetched it. On failure everything stays as it was
// decided last.
MUST_CHECK int pass_decide(
	struct manager *op, bool is_current, int64_t now_ms, int64_t now_mono_ms, struct pass *out, struct error *err);

// Keep the brake's state in the cluster while it holds, and that it does not any more.
void pass_save_brake(struct manager *op, int64_t now_mono_ms);

// Another operator leads: what this one decided is no base for what it does later.
void pass_forget(struct manager *op);

// Put into the queue what has something to do, and note who waits for a slot and who has one.
MUST_CHECK int pass_enqueue(struct manager *op, int64_t now_ms, struct error *err);

// Metrics of the replicas as the cache shows them.
MUST_CHECK int pass_count(struct manager *op, struct error *err);

// What only the operator that leads knows goes back to zero, so that sums over all operators are true.
void pass_uncount(struct manager *op);

#endif
