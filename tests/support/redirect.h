// Where a stream of this program goes meanwhile: a file that is there. One at a time for each descriptor.
#ifndef TESTS_SUPPORT_REDIRECT_H
#define TESTS_SUPPORT_REDIRECT_H

// STDOUT_FILENO or STDERR_FILENO. Returns what redirect_end() wants. Fails the test when it cannot be had.
int redirect_begin(int stream, const char *path);
void redirect_end(int stream, int before);

// What is in a file now; the caller frees.
char *redirect_read(const char *path);

#endif
