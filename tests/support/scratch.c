#include "tests/support/scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILES_MAX 64

static char directory[256];
static char paths[FILES_MAX][320];
static size_t path_count;

static void clean(void)
{
	for (size_t i = 0; i < path_count; i++)
		(void)unlink(paths[i]);
	(void)rmdir(directory);
}

static void give_up(const char *what)
{
	perror(what);
	exit(99);
}

static const char *path_of(const char *name)
{
	if (directory[0] == '\0') {
		const char *base = getenv("TMPDIR");
		(void)snprintf(directory, sizeof(directory), "%.200s/understory-test-XXXXXX", base == NULL ? "/tmp" : base);
		if (mkdtemp(directory) == NULL || atexit(clean) != 0)
			give_up("mkdtemp");
	}
	char path[sizeof(paths[0])];
	(void)snprintf(path, sizeof(path), "%s/%.40s", directory, name);
	for (size_t i = 0; i < path_count; i++) {
		if (strcmp(paths[i], path) == 0)
			return paths[i];
	}
	if (path_count == FILES_MAX)
		give_up("too many scratch files");
	memcpy(paths[path_count], path, sizeof(path));
	return paths[path_count++];
}

const char *scratch_write(const char *name, const char *content, size_t len)
{
	const char *path = path_of(name);
	FILE *file = fopen(path, "we");
	if (file == NULL || fwrite(content, 1, len, file) != len || fclose(file) != 0)
		give_up(path);
	return path;
}

const char *scratch_absent(void)
{
	return path_of("absent");
}
