#include "canopy/proxy/pipes.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static void close_pipe(struct pipe *pipe)
{
	(void)close(pipe->out);
	(void)close(pipe->in);
	free(pipe);
}

static struct pipe *open_pipe(void)
{
	int fds[2];
	struct pipe *pipe = calloc(1, sizeof(*pipe));
	if (pipe == NULL || pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0) {
		free(pipe);
		return NULL;
	}
	pipe->out = fds[0];
	pipe->in = fds[1];
	if (fcntl(pipe->in, F_SETPIPE_SZ, (int)PIPES_BYTES) < (int)PIPES_BYTES) {
		close_pipe(pipe);
		return NULL;
	}
	return pipe;
}

struct pipe *pipes_take(struct pipes *pipes)
{
	struct pipe *taken = pipes->spare;
	if (taken != NULL) {
		pipes->spare = taken->next;
		taken->next = NULL;
		return taken;
	}
	if (pipes->count == PIPES_MAX)
		return NULL;
	if (pipes->pause > 0) {
		pipes->pause--;
		return NULL;
	}
	taken = open_pipe();
	if (taken == NULL)
		pipes->pause = PIPES_PAUSE;
	else
		pipes->count++;
	return taken;
}

void pipes_give_back(struct pipes *pipes, struct pipe *pipe)
{
	if (pipe == NULL)
		return;
	if (pipe->held > 0) {
		close_pipe(pipe);
		pipes->count--;
		return;
	}
	pipe->next = pipes->spare;
	pipes->spare = pipe;
}

void pipes_fini(struct pipes *pipes)
{
	while (pipes->spare != NULL) {
		struct pipe *first = pipes->spare;
		pipes->spare = first->next;
		close_pipe(first);
		pipes->count--;
	}
}
