// At most MAX_CONCURRENT_RESTORES rounds restore at once, oldest first (design.md "diff: what to do").
//
// A replica holds a slot from before its claim until it restores no more; those that were restoring before this operator began
// hold theirs however many there are. Any thread.
#ifndef RECONCILER_SLOTS_H
#define RECONCILER_SLOTS_H

#include "base/cleanup.h"
#include "canopy/entry.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slots;

MUST_CHECK int slots_new(size_t max, struct slots **out, struct error *err);
void slots_free(struct slots *slots);
DEFINE_AUTO(struct slots, slots, slots_free)

// It restores already. Without memory its slot may be given to one more.
void slots_hold(struct slots *slots, const char *namespace);

// It waits for a slot since then (wall clock): called again it changes nothing but the time. Without memory it waits for the next
// call.
void slots_wait(struct slots *slots, const char *namespace, int64_t since_ms);

// Take the slot, if it has one or is among the first that wait for those that are free.
bool slots_take(struct slots *slots, const char *namespace);
bool slots_has(struct slots *slots, const char *namespace);

// It neither restores nor waits.
void slots_leave(struct slots *slots, const char *namespace);

// Forget all: another operator led meanwhile.
void slots_clear(struct slots *slots);

// Tell of each that may take a slot now. Without the lock.
void slots_offer(struct slots *slots, void (*may_take)(void *arg, const char *namespace), void *arg);

#endif
