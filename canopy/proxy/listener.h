// The loopback port that engines connect to, and the file that tells them which one it is.
#ifndef CANOPY_PROXY_LISTENER_H
#define CANOPY_PROXY_LISTENER_H

#include "base/error.h"

#define LISTENER_ADDRESS_SIZE 32

// An ephemeral port of [::1], or of 127.0.0.1 where there is no IPv6. The caller closes *fd (non-blocking).
MUST_CHECK int listener_open(int *fd, char address[LISTENER_ADDRESS_SIZE], struct error *err);

// Write "ADDRESS\n" to path in one step: a reader finds the whole line or no file. Readable to all: the engine runs as another
// user.
MUST_CHECK int listener_tell(const char *path, const char *address, struct error *err);

// Does the address in that file take connections? Blocks for as long as the loopback interface does. ERROR_TRANSIENT when not.
MUST_CHECK int listener_check(const char *path, struct error *err);

#endif
