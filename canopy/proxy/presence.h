// Is the engine still there? For a proxy that nobody ends when its engine is killed: a second container, not a native sidecar.
//
// A named pipe in the volume that both share. The engine's script holds it open for writing, and all that it starts with it; the
// kernel closes it when the last of them is gone, whatever ended them: SIGKILL and the OOM killer too. Nothing is ever written to
// it. The pod needs no shared process namespace for this, and no clock judges a restore that is merely slow.
#ifndef CANOPY_PROXY_PRESENCE_H
#define CANOPY_PROXY_PRESENCE_H

#include "base/error.h"

enum presence {
	PRESENCE_AWAITED, // nobody has opened it yet
	PRESENCE_THERE,
	PRESENCE_GONE, // it was there, if only between two looks
};

// Make the pipe, or take the one that is there, for a writer that may be another user. The caller closes *fd.
MUST_CHECK int presence_open(const char *path, int *fd, struct error *err);

// Never blocks.
enum presence presence_look(int fd);

#endif
