// Errors: what went wrong, what it was about, and what the caller may do about it.
//
// A function that can fail returns MUST_CHECK int (0 or -1) and takes `struct error *err` last. On success *err is untouched.
// On failure *err is filled exactly once, where the failure was seen; callers on the way up add context with error_wrap().
// An error lives in the caller's frame and owns no memory, so reporting a failure can never fail or leak.
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdbool.h>
#include <stdint.h>

#define ERROR_TEXT_MAX 512

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

// What the caller may do next. It is decided where the failure is seen and consumed by the reconciler; nothing else maps it.
#define ERROR_KINDS(X)                                                                                                    \
	X(ERROR_NONE, "none")                                                                                             \
	X(ERROR_TRANSIENT, "transient") /* try again with back-off */                                                     \
	X(ERROR_CONFLICT, "conflict")   /* read again, decide again */                                                    \
	X(ERROR_EXISTS, "exists")       /* a namesake is there: adopt it when it is ours */                               \
	X(ERROR_NOT_FOUND, "not found")                                                                                   \
	X(ERROR_INVALID, "invalid")     /* needs a person or a new spec; also every definite refusal (see http_status) */ \
	X(ERROR_CANCELLED, "cancelled") /* shutdown or lost the lease */                                                  \
	X(ERROR_INTERNAL, "internal")   /* a bug of ours, or out of memory */

enum error_kind {
#define X(name, text) name,
	ERROR_KINDS(X)
#undef X
};

struct error {
	enum error_kind kind;
	int os_errno;              // 0 when no system call is involved
	int http_status;           // 0 when no HTTP answer is involved
	int64_t retry_after_ms;    // what the server asked for, 0 when it asked for nothing
	char text[ERROR_TEXT_MAX]; // UTF-8, whatever it was made of
};

// Fill *err and return -1, so that a failing path is one statement.
int error_set(struct error *err, enum error_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);

// As error_set(), with errno's number and name added to the text.
int error_set_errno(struct error *err, int os_errno, const char *fmt, ...) PRINTF_LIKE(3, 4);

// ERROR_INTERNAL "out of memory: <what>".
int error_no_memory(struct error *err, const char *what);

// Put "context: " in front of the text and return -1. Kind, errno and status stay as they were.
int error_wrap(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

const char *error_kind_text(enum error_kind kind);

// What they return is said where compilers and analyzers see it, else they follow paths on which a failure is a success.
#define error_set(...) (error_set(__VA_ARGS__), -1)
#define error_set_errno(...) (error_set_errno(__VA_ARGS__), -1)
#define error_no_memory(...) (error_no_memory(__VA_ARGS__), -1)
#define error_wrap(...) (error_wrap(__VA_ARGS__), -1)

#endif
