// What the fuzz targets share: each is one file with LLVMFuzzerTestOneInput(), which libFuzzer calls with what it makes up and
// replay.c with the files of the corpus. A target checks properties and ends the process (fuzz_fail) where one does not hold.
//
// Whatever a target decides by chance it takes from the input itself, so that a file replays. One thread.
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// https://llvm.org/docs/LibFuzzer.html#fuzz-target
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Say what does not hold, and abort.
_Noreturn void fuzz_fail(const char *file, int line, const char *fmt, ...) PRINTF_LIKE(3, 4);
#define FUZZ_CHECK(condition, ...)                                  \
	do {                                                        \
		if (!(condition))                                   \
			fuzz_fail(__FILE__, __LINE__, __VA_ARGS__); \
	} while (0)

// A failure must say what may be done and what is wrong: a kind, and a text that is UTF-8 (it goes into JSON).
void fuzz_check_error(const struct error *err);

// A copy of exactly these bytes, so that the sanitizer sees a read past them; the caller frees. Never NULL.
char *fuzz_copy(const void *data, size_t len);

// The same with a NUL behind them, as those have it who take bytes and their number but look at them as a text.
char *fuzz_bytes(const void *data, size_t len);

// The same as a text, cut at the first NUL of their own.
char *fuzz_text(const void *data, size_t len);

// The first line of the input as a text, for the caller to free; the input moves behind it and its '\n'.
char *fuzz_line(const uint8_t **data, size_t *size);

// Bytes in pieces of chance lengths, each in memory of its own.
struct fuzz_cuts {
	const uint8_t *data;
	size_t left;
	uint64_t state;
	char *piece; // the last one; the caller frees it
};
void fuzz_cuts_begin(struct fuzz_cuts *cuts, const uint8_t *data, size_t size);
bool fuzz_cuts_next(struct fuzz_cuts *cuts, size_t *len); // false at the end
void fuzz_cuts_end(struct fuzz_cuts *cuts);

// A number that depends on the input alone.
uint64_t fuzz_hash(const uint8_t *data, size_t size);

// Well-formed UTF-8, as jansson sees it.
bool fuzz_is_utf8(const char *text, size_t len);

// The document; NULL where there is none. The caller's.
json_t *fuzz_json(const void *data, size_t len);

// A file in memory that holds the bytes: path says where, until fuzz_file_close().
#define FUZZ_PATH_SIZE 32
int fuzz_file_open(const uint8_t *data, size_t size, char path[FUZZ_PATH_SIZE]);
void fuzz_file_close(int fd);

#endif
