// A Kubernetes list decoded as it arrives gives what jansson makes of the whole document, and refuses what jansson refuses
// (base/json_items.h).
#include "base/json_items.h"
#include "tests/fuzz/fuzz.h"
#include <string.h>

#define ITEM_BYTES_MAX ((size_t)1 << 20)

static int keep(void *arg, json_t *item, struct error *err)
{
	return json_array_append(arg, item) < 0 ? error_no_memory(err, "items") : 0;
}

// In one piece or in many: the envelope with the items in it.
static int decode(const uint8_t *data, size_t size, bool in_pieces, json_t **out, struct error *err)
{
	struct fuzz_cuts cuts;
	size_t len = 0;
	int rc = 0;
	AUTO(json) json_t *items = json_array();
	AUTO(json) json_t *envelope = NULL;
	AUTO(json_items) struct json_items splitter;
	json_items_init(&splitter, "items", ITEM_BYTES_MAX, keep, items);
	fuzz_cuts_begin(&cuts, data, size);
	if (in_pieces) {
		while (rc == 0 && fuzz_cuts_next(&cuts, &len))
			rc = json_items_feed(&splitter, cuts.piece, len, err);
	} else {
		rc = json_items_feed(&splitter, (const char *)data, size, err);
	}
	fuzz_cuts_end(&cuts);
	if (rc < 0 || json_items_finish(&splitter, &envelope, err) < 0)
		return -1;
	FUZZ_CHECK(splitter.items == json_array_size(items), "%zu items are counted", splitter.items);
	if (json_is_array(json_object_get(envelope, "items")))
		(void)json_object_set(envelope, "items", items);
	*out = TAKE_PTR(envelope);
	return 0;
}

// What the decoder refuses and jansson does not: nesting beyond its limit, and a key that is spelled with escapes.
static bool is_own_refusal(const struct error *err)
{
	return strstr(err->text, "nested deeper") != NULL || strstr(err->text, "spelled with escapes") != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	struct error err_in_pieces = {0};
	AUTO(json) json_t *whole = NULL;
	AUTO(json) json_t *pieces = NULL;
	AUTO(json) json_t *expected = fuzz_json(data, size);
	int rc = decode(data, size, false, &whole, &err);
	FUZZ_CHECK(decode(data, size, true, &pieces, &err_in_pieces) == rc, "in pieces: %s", err_in_pieces.text);
	FUZZ_CHECK(strcmp(err.text, err_in_pieces.text) == 0, "\"%s\", in pieces \"%s\"", err.text, err_in_pieces.text);
	FUZZ_CHECK(rc < 0 || json_equal(whole, pieces), "another document in pieces");

	const json_t *items = json_object_get(expected, "items");
	bool is_list = json_is_array(items) || json_is_null(items);
	if (rc == 0)
		FUZZ_CHECK(is_list && json_equal(whole, expected), "jansson reads another document");
	else
		fuzz_check_error(&err);
	FUZZ_CHECK(rc == 0 || !is_list || is_own_refusal(&err), "refused: %s", err.text);
	return 0;
}
