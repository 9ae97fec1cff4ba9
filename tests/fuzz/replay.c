// Runs a fuzz target over files, in builds without libFuzzer: the corpus as a plain test, or one file that crashed. TAP.
//
// usage: replay_<target> FILE-OR-FOLDER...
#include "tests/fuzz/fuzz.h"
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int number; // of files so far

// By the C library alone: targets put things of their own in the place of base/file.h.
static char *read_file(const char *path, size_t *len)
{
	struct stat st;
	FILE *file = fopen(path, "re");
	if (file == NULL || fstat(fileno(file), &st) < 0 || !S_ISREG(st.st_mode)) {
		if (file != NULL)
			(void)fclose(file);
		return NULL;
	}
	*len = (size_t)st.st_size;
	char *data = malloc(*len + 1); // with 0 bytes it may give NULL
	if (data != NULL && fread(data, 1, *len, file) != *len) {
		free(data);
		data = NULL;
	}
	(void)fclose(file);
	return data;
}

static int replay_file(const char *path)
{
	size_t len = 0;
	AUTO_FREE char *data = read_file(path, &len);
	if (data == NULL) {
		(void)fprintf(stderr, "%s: cannot be read\n", path);
		return -1;
	}
	// Said before: a target that fails ends the process.
	(void)printf("# %s\n", path);
	AUTO_FREE char *copy = fuzz_copy(data, len);
	(void)LLVMFuzzerTestOneInput((const uint8_t *)copy, len);
	(void)printf("ok %d - %s\n", ++number, path);
	return 0;
}

static int is_file(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int replay_folder(const char *folder)
{
	struct dirent **list = NULL;
	int count = scandir(folder, &list, is_file, alphasort);
	if (count < 0)
		return replay_file(folder);
	int rc = count > 0 ? 0 : -1;
	if (count == 0)
		(void)fprintf(stderr, "%s: no file\n", folder);
	for (int i = 0; i < count; i++) {
		char *path = NULL;
		if (asprintf(&path, "%s/%s", folder, list[i]->d_name) < 0 || replay_file(path) < 0)
			rc = -1;
		free(path);
		free(list[i]);
	}
	free(list);
	return rc;
}

int main(int argc, char **argv)
{
	int rc = argc > 1 ? 0 : -1;
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc; i++) {
		if (replay_folder(argv[i]) < 0)
			rc = -1;
	}
	(void)printf("1..%d\n", number);
	return rc == 0 ? 0 : 1;
}
