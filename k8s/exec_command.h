// Runs a command to its end and takes what it prints: no shell, nothing on stdin, everything bounded.
//
// The child starts with our open files closed, no signal blocked or ignored, and as the leader of a process group of its own. The
// group is killed when the time is over, when the child prints too much, when the call is cancelled, and at the child's end: what
// it left behind goes with it, and is reaped where orphans come to us (as process 1 of a container). Nothing is done to SIGCHLD,
// and no other child is waited for. Any thread.
#ifndef K8S_EXEC_COMMAND_H
#define K8S_EXEC_COMMAND_H

#include "base/error.h"
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct exec_command {
	const char *file;  // a path when it holds a slash, else looked up in PATH
	char *const *argv; // with the name at its head and NULL at its end
	char *const *envp; // the whole environment
	size_t output_max; // of stdout, in bytes
	int64_t timeout_ms;
	const atomic_bool *cancel; // looked at every 50 ms; may be NULL
};

// *out is what the command wrote to stdout, NUL-terminated beyond *out_len; the caller frees it, and wipes it when it is secret.
// It is read into memory of its full size, so that no copy is left behind by growing.
// Fails with ERROR_NOT_FOUND (no such file), ERROR_TRANSIENT (out of time; another exit status than 0, or a signal, with the last
// line of stderr in the text), ERROR_INVALID (too much output), ERROR_CANCELLED, or as error_set_errno() says.
MUST_CHECK int exec_command_run(const struct exec_command *command, char **out, size_t *out_len, struct error *err);

#endif
