#include "tests/support/redirect.h"

#include "base/file.h"
#include "tests/support/cmocka.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX ((size_t)1 << 20)

int redirect_begin(int stream, const char *path)
{
	(void)fflush(stdout);
	int before = fcntl(stream, F_DUPFD_CLOEXEC, 0);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(before >= 0 && fd >= 0 && dup2(fd, stream) == stream);
	(void)close(fd);
	return before;
}

void redirect_end(int stream, int before)
{
	(void)fflush(stdout);
	assert_int_equal(dup2(before, stream), stream);
	(void)close(before);
}

char *redirect_read(const char *path)
{
	struct error err = {0};
	char *text = NULL;
	size_t len = 0;
	assert_ok(file_read(path, TEXT_MAX, &text, &len, &err), err);
	return text;
}
