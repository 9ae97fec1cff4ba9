#include "base/error.h"

#include "base/utf8.h"
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const char *const kind_text[] = {
#define X(name, text) [name] = (text),
	ERROR_KINDS(X)
#undef X
};

// Text that does not fit ends in "..." so that a reader knows some is missing. It goes into JSON (annotations, problem bodies,
// reports), which takes UTF-8 alone: bytes of anything else, also of a character that was cut, become '?'.
static void finish(char *text, int wanted)
{
	if (wanted >= ERROR_TEXT_MAX)
		memcpy(text + ERROR_TEXT_MAX - sizeof("..."), "...", sizeof("..."));
	for (size_t len = 0; *text != '\0'; text += len > 0 ? len : 1) {
		len = utf8_len(text);
		if (len == 0)
			*text = '?';
	}
}

static void clear(struct error *err, enum error_kind kind)
{
	err->kind = kind;
	err->os_errno = 0;
	err->http_status = 0;
	err->retry_after_ms = 0;
}

int(error_set)(struct error *err, enum error_kind kind, const char *fmt, ...)
{
	va_list ap;

	clear(err, kind);
	va_start(ap, fmt);
	finish(err->text, vsnprintf(err->text, sizeof(err->text), fmt, ap));
	va_end(ap);
	return -1;
}

int(error_set_errno)(struct error *err, int os_errno, const char *fmt, ...)
{
	char what[ERROR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	finish(what, vsnprintf(what, sizeof(what), fmt, ap));
	va_end(ap);

	bool again = os_errno == EINTR || os_errno == EAGAIN || os_errno == ECONNREFUSED || os_errno == ECONNRESET ||
		     os_errno == ETIMEDOUT || os_errno == EMFILE || os_errno == ENFILE;
	clear(err, os_errno == ENOENT ? ERROR_NOT_FOUND : again ? ERROR_TRANSIENT : ERROR_INTERNAL);
	err->os_errno = os_errno;
	finish(err->text, snprintf(err->text, sizeof(err->text), "%s: %s (errno %d)", what, strerrordesc_np(os_errno), os_errno));
	return -1;
}

int(error_no_memory)(struct error *err, const char *what)
{
	return error_set(err, ERROR_INTERNAL, "out of memory: %s", what);
}

int(error_wrap)(struct error *err, const char *fmt, ...)
{
	char inner[ERROR_TEXT_MAX];
	char outer[ERROR_TEXT_MAX];
	va_list ap;

	memcpy(inner, err->text, sizeof(inner));
	va_start(ap, fmt);
	finish(outer, vsnprintf(outer, sizeof(outer), fmt, ap));
	va_end(ap);
	finish(err->text, snprintf(err->text, sizeof(err->text), "%s: %s", outer, inner));
	return -1;
}

const char *error_kind_text(enum error_kind kind)
{
	return kind_text[kind];
}
