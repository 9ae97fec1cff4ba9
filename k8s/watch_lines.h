// The body of a watch cut into lines: one JSON event each, in whatever pieces the network brings them.
//
// Memory is one line that has not come whole, at most max_bytes; a line that lies whole in a piece is handed over from there. One
// thread.
#ifndef K8S_WATCH_LINES_H
#define K8S_WATCH_LINES_H

#include "base/buf.h"
#include "base/error.h"
#include <stddef.h>

// A line without its end, borrowed until the callback returns. A failure ends the stream with *err.
typedef int (*watch_lines_on_line)(void *arg, const char *line, size_t len, struct error *err);

struct watch_lines {
	struct buf partial;
	watch_lines_on_line on_line;
	void *arg;
};

void watch_lines_init(struct watch_lines *lines, size_t max_bytes, watch_lines_on_line on_line, void *arg);

// Blank lines are left out. A line longer than max_bytes is ERROR_INVALID as soon as that is known. After a failure the stream
// must not go on.
MUST_CHECK int watch_lines_feed(struct watch_lines *lines, const char *data, size_t len, struct error *err);

// What came after the last end of a line is forgotten: the server sends it again.
void watch_lines_fini(struct watch_lines *lines);

static inline void auto_watch_lines(struct watch_lines *lines)
{
	watch_lines_fini(lines);
}

#endif
