// A listening TCP socket from an address as the settings write it.
#ifndef BASE_LISTEN_H
#define BASE_LISTEN_H

#include "base/error.h"

// "[::]:8080", "[::1]:8080", "127.0.0.1:0", "0.0.0.0:8080" or ":8080", which is [::], and 0.0.0.0 where the kernel has no IPv6.
// [::] takes IPv4 too. Port 0 takes a free one. On success *fd is non-blocking, close-on-exec and the caller's; *port is what it
// got. ERROR_INVALID for an address that cannot be read or is not of this machine, ERROR_TRANSIENT when the port is taken.
MUST_CHECK int listen_open(const char *address, int *fd, int *port, struct error *err);

#endif
