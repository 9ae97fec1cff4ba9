#include "base/log.h"

#include "base/clock.h"
#include "base/utf8.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const level_text[] = {"debug", "info", "warn", "error"};
static enum log_level least = LOG_INFO;
static enum log_format chosen = LOG_LOGFMT;
static _Thread_local struct log_field carried = {.kind = LOG_FIELD_END};

// The line under construction. `room` keeps enough back for the truncation mark, so that the end is always well-formed.
struct line {
	char *out;
	size_t len;
	size_t room;
	bool full;
};

static void put(struct line *l, const char *bytes, size_t len)
{
	if (l->full || len > l->room - l->len) {
		l->full = true;
		return;
	}
	memcpy(l->out + l->len, bytes, len);
	l->len += len;
}

static void put_str(struct line *l, const char *text)
{
	put(l, text, strlen(text));
}

// The inside of a JSON string; logfmt uses the same escapes within its quotes.
static void put_escaped(struct line *l, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	while (*s != '\0') {
		char escape[8];
		size_t len = utf8_len((const char *)s);
		if (len == 0) {
			put_str(l, "\\ufffd");
			len = 1;
		} else if (*s == '"' || *s == '\\') {
			put(l, (char[]){'\\', (char)*s}, 2);
		} else if (*s == '\n') {
			put_str(l, "\\n");
		} else if (*s < 0x20 || *s == 0x7f) {
			(void)snprintf(escape, sizeof(escape), "\\u%04x", (unsigned int)*s);
			put_str(l, escape);
		} else {
			put(l, (const char *)s, len);
		}
		s += len;
	}
}

static bool is_bare(const char *text)
{
	for (const unsigned char *s = (const unsigned char *)text; *s != '\0'; s++) {
		if (*s <= 0x20 || *s >= 0x7f || *s == '"' || *s == '=' || *s == '\\')
			return false;
	}
	return *text != '\0';
}

static void put_value(struct line *l, enum log_format format, const struct log_field *f)
{
	char number[32];
	switch (f->kind) {
	case LOG_FIELD_INT:
		(void)snprintf(number, sizeof(number), "%lld", (long long)f->number);
		put_str(l, number);
		break;
	case LOG_FIELD_BOOL:
		put_str(l, f->number != 0 ? "true" : "false");
		break;
	case LOG_FIELD_STR:
	case LOG_FIELD_END:
		if (f->str == NULL) {
			put_str(l, "null");
		} else if (format == LOG_LOGFMT && is_bare(f->str)) {
			put_str(l, f->str);
		} else {
			put_str(l, "\"");
			put_escaped(l, f->str);
			put_str(l, "\"");
		}
		break;
	}
}

// One key and value, whole or not at all.
static void put_field(struct line *l, enum log_format format, const struct log_field *f)
{
	size_t before = l->len;
	if (format == LOG_JSON) {
		put_str(l, before > 1 ? ",\"" : "\"");
		put_escaped(l, f->key);
		put_str(l, "\":");
	} else {
		put_str(l, before > 0 ? " " : "");
		put_str(l, f->key);
		put_str(l, "=");
	}
	put_value(l, format, f);
	if (l->full)
		l->len = before;
}

size_t log_line(enum log_format format, int64_t wall_ms, enum log_level level, const char *message,
	const struct log_field *fields, char out[LOG_LINE_MAX])
{
	static const char mark_json[] = ",\"truncated\":true";
	static const char mark_logfmt[] = " truncated=true";
	char ts[CLOCK_TEXT_SIZE];
	struct line l = {.out = out, .room = LOG_LINE_MAX - sizeof(mark_json) - sizeof("}\n")};

	clock_format_micro(wall_ms, ts);
	put_str(&l, format == LOG_JSON ? "{" : "");
	put_field(&l, format, &LOG_STR("ts", ts));
	put_field(&l, format, &LOG_STR("level", level_text[level]));
	put_field(&l, format, &LOG_STR("msg", message));
	for (const struct log_field *f = fields; f->kind != LOG_FIELD_END && !l.full; f++)
		put_field(&l, format, f);
	if (carried.kind != LOG_FIELD_END)
		put_field(&l, format, &carried);
	bool cut = l.full;
	l.full = false;
	l.room = LOG_LINE_MAX;
	if (cut)
		put_str(&l, format == LOG_JSON ? mark_json : mark_logfmt);
	put_str(&l, format == LOG_JSON ? "}\n" : "\n");
	return l.len;
}

void log_setup(enum log_level level, enum log_format format)
{
	least = level;
	chosen = format;
}

bool log_wants(enum log_level level)
{
	return level >= least;
}

void log_with(const char *key, int64_t number)
{
	carried = number == 0 ? LOG_NONE : LOG_INT(key, number);
}

void log_write(enum log_level level, const char *message, const struct log_field *fields)
{
	if (!log_wants(level))
		return;
	char line[LOG_LINE_MAX];
	size_t len = log_line(chosen, clock_wall_ms(), level, message, fields, line);
	// A full disk or a closed pipe must not stop the operator; part of a line is as good as we can do.
	while (write(STDERR_FILENO, line, len) < 0 && errno == EINTR)
		;
}
