// What the tests of builders/ say about objects. Each fails the test with a label and both texts.
#ifndef TESTS_BUILDERS_EXPECT_H
#define TESTS_BUILDERS_EXPECT_H

#include "base/json.h"

void expect_str(const char *label, const char *actual, const char *expected);

// Expectations are JSON written with ' for ".
void assert_json(const char *label, const json_t *actual, const char *expected);

// The string at a path of an object: assert_str("Never", pod, "spec", "restartPolicy").
#define assert_str(expected, object, ...) expect_str(#__VA_ARGS__, json_find_str(object, __VA_ARGS__), expected)

// A member of an array of objects by its name; NULL when it is not there.
const json_t *named(const json_t *list, const char *name);

#endif
