// Errors as the broker's callers see them: RFC 7807 (now RFC 9457) bodies. Private to canopy/.
#ifndef CANOPY_PROBLEM_H
#define CANOPY_PROBLEM_H

#include "base/error.h"
#include "base/https_listener.h"

// When nobody said how long to wait.
#define PROBLEM_RETRY_AFTER_S 5
#define PROBLEM_RETRY_AFTER_MAX_S 300

// Fill *err with what is to be answered and return -1.
int problem_set(struct error *err, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);

// What a failure behind us means to the caller, where nothing else is known: http_status is set to the status to answer with.
// ERROR_CONFLICT 409, ERROR_TRANSIENT and ERROR_CANCELLED 503, everything else 500.
int problem_of_failure(struct error *err);

// As problem_of_failure(), but what canopy refused with a 4xx is passed on: 401 is not, since it is the operator's own
// certificate that was refused and no other token of the caller's would help.
int problem_of_canopy(struct error *err);

// err->http_status, err->text as `detail`, and Retry-After with 429 and 503.
void problem_answer(const struct error *err, struct https_listener_answer *answer);

#endif
