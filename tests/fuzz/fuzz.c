#include "tests/fuzz/fuzz.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define CUT_MAX 64

void fuzz_fail(const char *file, int line, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	(void)fprintf(stderr, "%s:%d: ", file, line);
	(void)vfprintf(stderr, fmt, ap);
	(void)fputc('\n', stderr);
	va_end(ap);
	abort();
}

void fuzz_check_error(const struct error *err)
{
	FUZZ_CHECK(err->kind != ERROR_NONE, "a failure without a kind: %s", err->text);
	size_t len = strnlen(err->text, sizeof(err->text));
	FUZZ_CHECK(len > 0 && len < sizeof(err->text), "a failure with a text of %zu bytes", len);
	FUZZ_CHECK(fuzz_is_utf8(err->text, len), "an error text that is not UTF-8: %s", err->text);
}

char *fuzz_copy(const void *data, size_t len)
{
	char *copy = malloc(len + (len == 0));
	FUZZ_CHECK(copy != NULL, "no memory");
	if (len > 0)
		memcpy(copy, data, len);
	return copy;
}

char *fuzz_bytes(const void *data, size_t len)
{
	char *copy = malloc(len + 1);
	FUZZ_CHECK(copy != NULL, "no memory");
	if (len > 0)
		memcpy(copy, data, len);
	copy[len] = '\0';
	return copy;
}

char *fuzz_text(const void *data, size_t len)
{
	char *text = strndup(len == 0 ? "" : data, len);
	FUZZ_CHECK(text != NULL, "no memory");
	return text;
}

char *fuzz_line(const uint8_t **data, size_t *size)
{
	const uint8_t *end = *size == 0 ? NULL : memchr(*data, '\n', *size);
	size_t len = end == NULL ? *size : (size_t)(end - *data);
	char *line = fuzz_text(*data, len);
	size_t used = end == NULL ? len : len + 1;
	*data += used;
	*size -= used;
	return line;
}

// FNV-1a, 64 bits
uint64_t fuzz_hash(const uint8_t *data, size_t size)
{
	uint64_t hash = UINT64_C(14695981039346656037);
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ data[i]) * UINT64_C(1099511628211);
	return hash;
}

void fuzz_cuts_begin(struct fuzz_cuts *cuts, const uint8_t *data, size_t size)
{
	*cuts = (struct fuzz_cuts){.data = data, .left = size, .state = fuzz_hash(data, size) | 1};
}

bool fuzz_cuts_next(struct fuzz_cuts *cuts, size_t *len)
{
	free(cuts->piece);
	cuts->piece = NULL;
	if (cuts->left == 0)
		return false;
	// xorshift64; half of the pieces are single bytes, so that every place is cut at some time.
	cuts->state ^= cuts->state << 13;
	cuts->state ^= cuts->state >> 7;
	cuts->state ^= cuts->state << 17;
	size_t wanted = (cuts->state & 1) != 0 ? 1 : 1 + (size_t)(cuts->state >> 32) % CUT_MAX;
	*len = wanted < cuts->left ? wanted : cuts->left;
	cuts->piece = fuzz_copy(cuts->data, *len);
	cuts->data += *len;
	cuts->left -= *len;
	return true;
}

void fuzz_cuts_end(struct fuzz_cuts *cuts)
{
	free(cuts->piece);
	cuts->piece = NULL;
}

bool fuzz_is_utf8(const char *text, size_t len)
{
	json_t *string = json_stringn(text, len);
	bool is_utf8 = string != NULL;
	json_decref(string);
	return is_utf8;
}

json_t *fuzz_json(const void *data, size_t len)
{
	struct error ignored;
	json_t *document = NULL;
	return json_parse(data, len, &document, &ignored) < 0 ? NULL : document;
}

int fuzz_file_open(const uint8_t *data, size_t size, char path[FUZZ_PATH_SIZE])
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	FUZZ_CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size, "no file in memory");
	(void)snprintf(path, FUZZ_PATH_SIZE, "/proc/self/fd/%d", fd);
	return fd;
}

void fuzz_file_close(int fd)
{
	(void)close(fd);
}
