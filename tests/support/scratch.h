// Files for a test: written to a directory of its own under the system's temporary one, removed at the end of the program.
#ifndef TESTS_SUPPORT_SCRATCH_H
#define TESTS_SUPPORT_SCRATCH_H

#include <stddef.h>

// The path of the file with this content; it replaces an earlier one of the same name. Ends the program when it cannot be
// written. The path stays valid.
const char *scratch_write(const char *name, const char *content, size_t len);

// A path in the same directory where nothing is.
const char *scratch_absent(void);

#endif
