// canopy's worklist: the same list however it comes, no entry lost without being counted, and what was read is read again from
// its JSON (canopy/worklist.h, entry.h).
#include "tests/fuzz/entries.h"
#include "tests/fuzz/fuzz.h"
#include <string.h>

static void check_list(const struct worklist *list, const uint8_t *data, size_t size)
{
	AUTO(json) json_t *document = fuzz_json(data, size);
	FUZZ_CHECK(json_is_array(document), "a list from no list");
	FUZZ_CHECK(list->count + list->unreadable == json_array_size(document), "%zu entries of %zu",
		list->count + list->unreadable, json_array_size(document));
	FUZZ_CHECK((list->unreadable > 0) == (list->complaint_count > 0), "unreadable entries without a word");
	for (size_t i = 0; i < list->complaint_count; i++)
		FUZZ_CHECK(strncmp(list->complaints[i], "entry ", 6) == 0, "complaint \"%s\"", list->complaints[i]);
	entries_check_all(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	struct error err_in_pieces = {0};
	AUTO(worklist) struct worklist *whole = NULL;
	AUTO(worklist) struct worklist *pieces = NULL;
	int rc = entries_decode(data, size, false, &whole, &err);
	FUZZ_CHECK(entries_decode(data, size, true, &pieces, &err_in_pieces) == rc, "in pieces: %s", err_in_pieces.text);
	FUZZ_CHECK(strcmp(err.text, err_in_pieces.text) == 0, "\"%s\", in pieces \"%s\"", err.text, err_in_pieces.text);
	if (rc < 0) {
		fuzz_check_error(&err);
		return 0;
	}
	check_list(whole, data, size);
	entries_check_same(whole, pieces);
	return 0;
}
