// docs/health-details.md, as far as a test reads it: the keys of its tables.
#ifndef TESTS_RECONCILER_MANUAL_H
#define TESTS_RECONCILER_MANUAL_H

#include "base/json.h"

// {key: true} of each row of the tables whose first column is `key`; "durations.restore" is a member of `durations`. MANUAL in
// the environment is its path. The caller owns it; fails the test when there is none.
json_t *manual_keys(void);

// {key: true} of a report's health_details, written in the same way.
json_t *manual_keys_of(const json_t *details);

// Fails the test with each key of `of` that is not in `in`.
void manual_assert_within(const json_t *of, const json_t *in, const char *what);

#endif
