#include "k8s/exec_command.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/secret.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#define SLICE_MS 50    // how long the end, a cancel or a grandchild that keeps the pipes open may be overlooked
#define END_SLICE_MS 2 // between the end of the pipes and the end of the child
#define REAP_TRIES 100 // of a millisecond each, for what was killed
#define STDERR_KEPT 1024
#define STDERR_CHUNKS 32 // of 4 KiB; a pipe holds 64 KiB
#define LAST_LINE_MAX 200

struct run {
	const struct exec_command *command;
	pid_t pid;
	int64_t deadline_ms; // monotonic
	int out_fd, err_fd;  // -1 at their end
	char *out;           // command->output_max bytes and a NUL
	size_t out_len;
	char tail[STDERR_KEPT + 1]; // of stderr
	size_t tail_len;
};

// --- start ---

static int make_pipe(int *read_end, int *write_end, struct error *err)
{
	int fds[2];
	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_set_errno(err, errno, "pipe");
	*read_end = fds[0];
	*write_end = fds[1];
	if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0)
		return error_set_errno(err, errno, "pipe");
	return 0;
}

static int set_up_files(posix_spawn_file_actions_t *files, int out_fd, int err_fd)
{
	int rc = posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (rc == 0)
		rc = posix_spawn_file_actions_adddup2(files, out_fd, STDOUT_FILENO);
	if (rc == 0)
		rc = posix_spawn_file_actions_adddup2(files, err_fd, STDERR_FILENO);
	// Libraries open sockets without O_CLOEXEC.
	return rc == 0 ? posix_spawn_file_actions_addclosefrom_np(files, STDERR_FILENO + 1) : rc;
}

// A blocked or ignored signal outlives exec: the child would not die of SIGTERM, nor of a pipe that nobody reads.
static int set_up_signals(posix_spawnattr_t *attributes)
{
	sigset_t none;
	sigset_t all;
	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	int rc = posix_spawnattr_setsigmask(attributes, &none);
	if (rc == 0)
		rc = posix_spawnattr_setsigdefault(attributes, &all);
	if (rc == 0)
		rc = posix_spawnattr_setpgroup(attributes, 0);
	if (rc != 0)
		return rc;
	return posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
}

// 0 or an errno.
static int spawn(const struct exec_command *command, int out_fd, int err_fd, pid_t *pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	int rc = posix_spawn_file_actions_init(&files);
	if (rc != 0)
		return rc;
	rc = posix_spawnattr_init(&attributes);
	if (rc == 0) {
		rc = set_up_files(&files, out_fd, err_fd);
		if (rc == 0)
			rc = set_up_signals(&attributes);
		if (rc == 0)
			rc = posix_spawnp(pid, command->file, &files, &attributes, command->argv, command->envp);
		(void)posix_spawnattr_destroy(&attributes);
	}
	(void)posix_spawn_file_actions_destroy(&files);
	return rc;
}

static int start(struct run *run, struct error *err)
{
	AUTO_CLOSE int out_write = -1;
	AUTO_CLOSE int err_write = -1;
	if (make_pipe(&run->out_fd, &out_write, err) < 0 || make_pipe(&run->err_fd, &err_write, err) < 0)
		return -1;
	int rc = spawn(run->command, out_write, err_write, &run->pid);
	return rc == 0 ? 0 : error_set_errno(err, rc, "cannot be started");
}

// --- what it prints ---

// *got: the number of bytes read, 0 when there is none at present. *fd is closed at its end.
static int read_some(int *fd, char *to, size_t room, size_t *got, struct error *err)
{
	*got = 0;
	if (*fd < 0)
		return 0;
	ssize_t n;
	do
		n = read(*fd, to, room);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN)
		return error_set_errno(err, errno, "read what it prints");
	if (n == 0) {
		(void)close(*fd);
		*fd = -1;
	}
	*got = n > 0 ? (size_t)n : 0;
	return 0;
}

static void keep_tail(struct run *run, const char *data, size_t len)
{
	if (len > STDERR_KEPT) {
		data += len - STDERR_KEPT;
		len = STDERR_KEPT;
	}
	size_t over = run->tail_len + len > STDERR_KEPT ? run->tail_len + len - STDERR_KEPT : 0;
	memmove(run->tail, run->tail + over, run->tail_len - over);
	memcpy(run->tail + run->tail_len - over, data, len);
	run->tail_len += len - over;
	run->tail[run->tail_len] = '\0';
}

static int read_pipes(struct run *run, struct error *err)
{
	char chunk[4096];
	size_t got = 0;
	do {
		// One byte more than is allowed shows that there is too much.
		size_t room = run->command->output_max + 1 - run->out_len;
		if (read_some(&run->out_fd, run->out + run->out_len, room, &got, err) < 0)
			return -1;
		run->out_len += got;
		if (run->out_len > run->command->output_max)
			return error_set(err, ERROR_INVALID, "printed more than %zu bytes", run->command->output_max);
	} while (got > 0);
	// More than a pipe holds, so that nothing is missed at the end; bounded, since a child may never stop complaining.
	for (int i = 0; i < STDERR_CHUNKS; i++) {
		if (read_some(&run->err_fd, chunk, sizeof(chunk), &got, err) < 0)
			return -1;
		if (got == 0)
			break;
		keep_tail(run, chunk, got);
	}
	return 0;
}

// The last line of stderr that says something, as ": line"; "" without one.
static void last_line(struct run *run, char out[LAST_LINE_MAX + 3])
{
	out[0] = '\0';
	for (size_t i = 0; i < run->tail_len; i++) {
		if ((unsigned char)run->tail[i] < ' ' && run->tail[i] != '\n')
			run->tail[i] = ' ';
	}
	while (run->tail_len > 0 && (run->tail[run->tail_len - 1] == ' ' || run->tail[run->tail_len - 1] == '\n'))
		run->tail[--run->tail_len] = '\0';
	const char *newline = strrchr(run->tail, '\n');
	const char *line = newline == NULL ? run->tail : newline + 1;
	line += strspn(line, " ");
	if (line[0] == '\0')
		return;
	out[0] = ':';
	out[1] = ' ';
	size_t len = strnlen(line, LAST_LINE_MAX);
	memcpy(out + 2, line, len);
	out[2 + len] = '\0';
}

// --- its end ---

// Without reaping it: as long as it is there, nobody else can have the number of its process group.
static bool has_ended(const struct run *run)
{
	siginfo_t info = {0};
	return waitid(P_PID, (id_t)run->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == run->pid;
}

// Until the child has ended and what it printed is read. What a child of its own may still print is not waited for.
static int collect(struct run *run, struct error *err)
{
	char line[LAST_LINE_MAX + 3];
	for (;;) {
		bool ended = has_ended(run);
		if (read_pipes(run, err) < 0)
			return -1;
		if (ended)
			return 0;
		if (run->command->cancel != NULL && atomic_load(run->command->cancel))
			return error_set(err, ERROR_CANCELLED, "cancelled");
		if (clock_mono_ms() >= run->deadline_ms) {
			last_line(run, line);
			return error_set(
				err, ERROR_TRANSIENT, "has not ended within %" PRId64 " ms%s", run->command->timeout_ms, line);
		}
		struct pollfd fds[2] = {{.fd = run->out_fd, .events = POLLIN}, {.fd = run->err_fd, .events = POLLIN}};
		(void)poll(fds, 2, run->out_fd < 0 && run->err_fd < 0 ? END_SLICE_MS : SLICE_MS);
	}
}

// Kills what is left of the group and reaps it, the child first. Returns the child's wait status.
static int put_away(const struct run *run)
{
	int status = 0;
	(void)kill(-run->pid, SIGKILL);
	while (waitpid(run->pid, &status, 0) < 0 && errno == EINTR)
		;
	for (int i = 0; i < REAP_TRIES; i++) {
		pid_t reaped = waitpid(-run->pid, NULL, WNOHANG);
		if (reaped < 0)
			break;
		if (reaped == 0)
			(void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	return status;
}

static int judge(struct run *run, int status, struct error *err)
{
	char line[LAST_LINE_MAX + 3];
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	last_line(run, line);
	if (WIFEXITED(status))
		return error_set(err, ERROR_TRANSIENT, "ended with exit code %d%s", WEXITSTATUS(status), line);
	return error_set(err, ERROR_TRANSIENT, "was ended by signal %d%s", WTERMSIG(status), line);
}

static int run_to_end(struct run *run, struct error *err)
{
	if (start(run, err) < 0)
		return -1;
	int rc = collect(run, err);
	int status = put_away(run);
	return rc < 0 ? -1 : judge(run, status, err);
}

int exec_command_run(const struct exec_command *command, char **out, size_t *out_len, struct error *err)
{
	struct run run = {.command = command, .out_fd = -1, .err_fd = -1};
	run.deadline_ms = clock_mono_ms() + command->timeout_ms;
	run.out = malloc(command->output_max + 1);
	if (run.out == NULL)
		return error_no_memory(err, "output of a command");
	int rc = run_to_end(&run, err);
	if (run.out_fd >= 0)
		(void)close(run.out_fd);
	if (run.err_fd >= 0)
		(void)close(run.err_fd);
	if (rc < 0) {
		secret_wipe(run.out, run.out_len);
		free(run.out);
		return -1;
	}
	run.out[run.out_len] = '\0';
	*out = run.out;
	*out_len = run.out_len;
	return 0;
}
