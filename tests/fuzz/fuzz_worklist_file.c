// A worklist in a YAML file means what the same document means as JSON from canopy (canopy/worklist.h, base/yamltree.h).
#include "base/yamltree.h"
#include "tests/fuzz/entries.h"
#include "tests/fuzz/fuzz.h"
#include <string.h>

// The document by way of the tree, as canopy would send it.
static void check_against_json(const char *path, const struct worklist *list)
{
	struct error err = {0};
	AUTO(yamltree) struct yamltree *tree = NULL;
	AUTO(json) json_t *document = NULL;
	AUTO_FREE char *text = NULL;
	AUTO(worklist) struct worklist *from_json = NULL;
	FUZZ_CHECK(yamltree_read(path, WORKLIST_BODY_MAX, &tree, &err) == 0 || strstr(err.text, "nested too deep") != NULL,
		"a list whose document is not read: %s", err.text);
	if (tree == NULL)
		return;
	FUZZ_CHECK(
		yamltree_to_json(tree, &document, &err) == 0 && json_print(document, &text, &err) == 0, "no JSON: %s", err.text);
	FUZZ_CHECK(entries_decode((const uint8_t *)text, strlen(text), false, &from_json, &err) == 0, "as JSON: %s", err.text);
	entries_check_same(list, from_json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	char path[FUZZ_PATH_SIZE];
	AUTO(worklist) struct worklist *list = NULL;
	int fd = fuzz_file_open(data, size, path);
	if (worklist_from_file(path, &list, &err) < 0) {
		fuzz_check_error(&err);
		FUZZ_CHECK(
			err.kind == ERROR_INVALID && strstr(err.text, path) != NULL, "a refusal without a place: %s", err.text);
	} else {
		entries_check_all(list);
		check_against_json(path, list);
	}
	fuzz_file_close(fd);
	return 0;
}
