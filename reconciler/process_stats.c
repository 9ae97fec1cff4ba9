#include "reconciler/process_stats.h"

#include "base/cleanup.h"
#include "base/file.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define STAT_MAX 4096

// The boot time in Unix seconds: start times in /proc/self/stat count from it. /proc/stat is long on large machines, so it is
// read by lines.
static int read_boot_time(double *out, struct error *err)
{
	AUTO_FREE char *line = NULL;
	size_t room = 0;
	int64_t seconds = 0;

	FILE *file = fopen("/proc/stat", "re");
	if (file == NULL)
		return error_set_errno(err, errno, "open /proc/stat");
	bool found = false;
	while (!found && getline(&line, &room, file) >= 0)
		// NOLINTNEXTLINE(cert-err34-c): the kernel writes numbers that fit, here and below
		found = sscanf(line, "btime %" SCNd64, &seconds) == 1;
	(void)fclose(file);
	if (!found)
		return error_set(err, ERROR_INTERNAL, "no btime in /proc/stat");
	*out = (double)seconds;
	return 0;
}

static int count_open_fds(int64_t *out, struct error *err)
{
	DIR *dir = opendir("/proc/self/fd");
	if (dir == NULL)
		return error_set_errno(err, errno, "open /proc/self/fd");
	int64_t entries = 0;
	while (readdir(dir) != NULL) // NOLINT(concurrency-mt-unsafe): the stream is this function's own
		entries++;
	(void)closedir(dir);
	// Without ".", ".." and the directory that was just read.
	*out = entries - 3;
	return 0;
}

// Fields 14, 15, 20, 22, 23 and 24 of proc(5). The name in field 2 may hold anything, so counting starts behind its bracket.
static int parse_stat(const char *stat, struct process_stats *out, double *started_after_boot_s, struct error *err)
{
	uint64_t user, system, start, virtual;
	int64_t threads, pages;

	const char *rest = strrchr(stat, ')');
	// NOLINTNEXTLINE(cert-err34-c)
	if (rest == NULL || sscanf(rest + 1,
				    " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
				    " %*d %*d %*d %*d %" SCNd64 " %*d %" SCNu64 " %" SCNu64 " %" SCNd64,
				    &user, &system, &threads, &start, &virtual, &pages) != 6)
		return error_set(err, ERROR_INTERNAL, "/proc/self/stat cannot be read");

	const long ticks_per_second = sysconf(_SC_CLK_TCK);
	double ticks = (double)ticks_per_second;
	out->cpu_seconds = (double)(user + system) / ticks;
	*started_after_boot_s = (double)start / ticks;
	out->threads = threads;
	out->virtual_bytes = (int64_t) virtual;
	out->resident_bytes = pages * sysconf(_SC_PAGESIZE);
	return 0;
}

int process_stats_read(struct process_stats *out, struct error *err)
{
	struct process_stats stats = {0};
	double boot_time = 0, started_after_boot_s = 0;
	AUTO_FREE char *stat = NULL;
	size_t len;

	if (file_read("/proc/self/stat", STAT_MAX, &stat, &len, err) < 0 ||
		parse_stat(stat, &stats, &started_after_boot_s, err) < 0 || read_boot_time(&boot_time, err) < 0 ||
		count_open_fds(&stats.open_fds, err) < 0)
		return -1;
	stats.start_time_seconds = boot_time + started_after_boot_s;

	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return error_set_errno(err, errno, "getrlimit RLIMIT_NOFILE");
	stats.max_fds = limit.rlim_cur == RLIM_INFINITY ? -1 : (int64_t)limit.rlim_cur;
	*out = stats;
	return 0;
}
