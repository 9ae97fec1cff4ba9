// The wrappers of tests/support/torture.h for programs that make texts: their buffers (base/buf.h) have no room, streams and what
// a process reads about itself fail.
#include "tests/support/torture.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>

#pragma GCC diagnostic ignored "-Wredundant-decls"
#if defined(__clang__)
#pragma GCC diagnostic ignored "-Wreserved-identifier"
#endif

int __real_buf_add(struct buf *to, const void *data, size_t len, struct error *err);
int __wrap_buf_add(struct buf *to, const void *data, size_t len, struct error *err);
int __wrap_buf_add(struct buf *to, const void *data, size_t len, struct error *err)
{
	return torture_fails("buf_add", ENOMEM) ? error_no_memory(err, "buffer") : __real_buf_add(to, data, len, err);
}

int __real_buf_add_str(struct buf *to, const char *text, struct error *err);
int __wrap_buf_add_str(struct buf *to, const char *text, struct error *err);
int __wrap_buf_add_str(struct buf *to, const char *text, struct error *err)
{
	return torture_fails("buf_add_str", ENOMEM) ? error_no_memory(err, "buffer") : __real_buf_add_str(to, text, err);
}

int __wrap_buf_addf(struct buf *to, struct error *err, const char *fmt, ...) PRINTF_LIKE(3, 4);
int __wrap_buf_addf(struct buf *to, struct error *err, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	if (torture_fails("buf_addf", ENOMEM))
		return error_no_memory(err, "buffer");
	va_start(ap, fmt);
	int len = vasprintf(&text, fmt, ap);
	va_end(ap);
	int rc = len < 0 ? error_no_memory(err, "buffer") : __real_buf_add(to, text, (size_t)len, err);
	free(text);
	return rc;
}

FILE *__real_open_memstream(char **text, size_t *len);
FILE *__wrap_open_memstream(char **text, size_t *len);
FILE *__wrap_open_memstream(char **text, size_t *len)
{
	return torture_fails("open_memstream", ENOMEM) ? NULL : __real_open_memstream(text, len);
}

DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path);
DIR *__wrap_opendir(const char *path)
{
	return torture_fails("opendir", EMFILE) ? NULL : __real_opendir(path);
}

ssize_t __real_getline(char **line, size_t *room, FILE *from);
ssize_t __wrap_getline(char **line, size_t *room, FILE *from);
ssize_t __wrap_getline(char **line, size_t *room, FILE *from)
{
	return torture_fails("getline", ENOMEM) ? -1 : __real_getline(line, room, from);
}

int __real_getrlimit64(__rlimit_resource_t of, struct rlimit *out);
int __wrap_getrlimit64(__rlimit_resource_t of, struct rlimit *out);
int __wrap_getrlimit64(__rlimit_resource_t of, struct rlimit *out)
{
	return torture_fails("getrlimit", EPERM) ? -1 : __real_getrlimit64(of, out);
}
