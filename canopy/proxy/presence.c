#include "canopy/proxy/presence.h"

#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIPE_MODE 0666 // for reading too: a shell opens it for both, since that never waits

int presence_open(const char *path, int *fd, struct error *err)
{
	struct stat found;
	if (mkfifo(path, PIPE_MODE) < 0 && errno != EEXIST)
		return error_set_errno(err, errno, "make the pipe %s", path);
	AUTO_CLOSE int opened = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	if (opened < 0 || fstat(opened, &found) < 0)
		return error_set_errno(err, errno, "open %s", path);
	if (!S_ISFIFO(found.st_mode))
		return error_set(err, ERROR_INVALID, "%s is there and no pipe", path);
	if (fchmod(opened, PIPE_MODE) < 0) // past the umask
		return error_set_errno(err, errno, "change the mode of %s", path);
	*fd = take_fd(&opened);
	return 0;
}

// Linux says POLLHUP only after a writer has been there (pipe(7)); read() says EAGAIN only while there is one.
enum presence presence_look(int fd)
{
	char byte;
	struct pollfd pipe = {.fd = fd};
	if (poll(&pipe, 1, 0) > 0 && (pipe.revents & POLLHUP) != 0)
		return PRESENCE_GONE;
	ssize_t n = read(fd, &byte, 1);
	return n > 0 || (n < 0 && errno == EAGAIN) ? PRESENCE_THERE : PRESENCE_AWAITED;
}
