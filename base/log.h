// Log lines on stderr: a constant message and key/values, as logfmt or JSON, one write(2) a line.
//
//   log_info("restore started", LOG_STR("namespace", ns), LOG_INT("attempt", attempt));
//
// Any thread. A line that cannot be written is dropped: logging never fails or blocks the caller for long. Values are
// escaped, so a line is always one line of valid output whatever the bytes. Secrets have a type of their own (base/secret.h) and
// no LOG_ macro takes it.
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_LOGFMT, LOG_JSON };

// Longer lines lose their last values, and say so with a field truncated=true.
#define LOG_LINE_MAX 8192

enum log_field_kind { LOG_FIELD_END, LOG_FIELD_STR, LOG_FIELD_INT, LOG_FIELD_BOOL };

struct log_field {
	enum log_field_kind kind;
	const char *key;
	const char *str; // NULL is written as null
	int64_t number;
};

#define LOG_STR(k, v) ((struct log_field){.kind = LOG_FIELD_STR, .key = (k), .str = (v)})
#define LOG_INT(k, v) ((struct log_field){.kind = LOG_FIELD_INT, .key = (k), .number = (int64_t)(v)})
#define LOG_BOOL(k, v) ((struct log_field){.kind = LOG_FIELD_BOOL, .key = (k), .number = (v) ? 1 : 0})
#define LOG_ERR(e) LOG_STR("err", (e)->text)
#define LOG_NONE ((struct log_field){.kind = LOG_FIELD_END})

#define log_debug(message, ...) log_write(LOG_DEBUG, message, (const struct log_field[]){__VA_ARGS__, LOG_NONE})
#define log_info(message, ...) log_write(LOG_INFO, message, (const struct log_field[]){__VA_ARGS__, LOG_NONE})
#define log_warn(message, ...) log_write(LOG_WARN, message, (const struct log_field[]){__VA_ARGS__, LOG_NONE})
#define log_error(message, ...) log_write(LOG_ERROR, message, (const struct log_field[]){__VA_ARGS__, LOG_NONE})

// Lines below the level are dropped before formatting. Call once, before threads start; the default is info and logfmt.
void log_setup(enum log_level level, enum log_format format);

bool log_wants(enum log_level level);

// A number that every further line of this thread carries after its own fields, such as the pass that it belongs to; 0 ends that.
// key must be a constant.
void log_with(const char *key, int64_t number);

// message must be a constant. fields end with LOG_FIELD_END.
void log_write(enum log_level level, const char *message, const struct log_field *fields);

// The line that log_write() would write, newline included, for tests and fuzzing; returns its length. wall_ms is the time it
// names.
size_t log_line(enum log_format format, int64_t wall_ms, enum log_level level, const char *message,
	const struct log_field *fields, char out[LOG_LINE_MAX]);

#endif
