// cmocka with the headers that it wants before it, and what all tests share.
#ifndef TESTS_SUPPORT_CMOCKA_H
#define TESTS_SUPPORT_CMOCKA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/error.h"

// A call that must succeed: shows the error's text when it does not.
#define assert_ok(call, err)                                                                                                     \
	do {                                                                                                                     \
		if ((call) != 0)                                                                                                 \
			fail_msg("%s: %s: %s", #call, error_kind_text((err).kind), (err).text);                                  \
	} while (0)

// A call that must fail with this kind and a text that holds `part`.
#define assert_error(call, err, expected_kind, part)                                                                             \
	do {                                                                                                                     \
		if ((call) == 0)                                                                                                 \
			fail_msg("%s: succeeded, expected %s: %s", #call, error_kind_text(expected_kind), (part));               \
		if ((err).kind != (expected_kind) || strstr((err).text, (part)) == NULL)                                         \
			fail_msg("%s: %s: %s, expected %s: %s", #call, error_kind_text((err).kind), (err).text,                  \
				error_kind_text(expected_kind), (part));                                                         \
	} while (0)

#endif
