// How the last pass went, for whoever looks from another thread. Any thread; one lock, never held for long.
#ifndef RECONCILER_PULSE_H
#define RECONCILER_PULSE_H

#include "base/error.h"
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pulse_facts {
	int64_t passed_at_ms; // wall clock; 0: no pass yet
	bool has_worklist;    // one is in force, of this pass or of one before
	bool is_current;      // it could fetch the worklist
	char error[ERROR_TEXT_MAX];
	size_t entries, unreadable;
	size_t held; // teardowns that the brake holds
	int held_passes;
	int64_t held_since_ms; // wall clock
};

struct pulse {
	pthread_mutex_t lock;
	struct pulse_facts facts;
	uint64_t revision; // counts the passes
};

void pulse_init(struct pulse *pulse);
void pulse_set(struct pulse *pulse, const struct pulse_facts *facts);

// Returns the revision.
uint64_t pulse_get(struct pulse *pulse, struct pulse_facts *out);

#endif
