// A large JSON document decoded as it arrives: the elements of one array, one by one, and what is around them.
//
// The worklist is an array; a Kubernetes list is an object with an array `items`. The splitter is fed with chunks as they come
// from the network, cuts the text of each element out (it only follows strings and brackets), parses that small text with jansson
// and hands it over. Memory is one element and the envelope, whatever the size of the document. One thread.
#ifndef BASE_JSON_ITEMS_H
#define BASE_JSON_ITEMS_H

#include "base/buf.h"
#include "base/json.h"
#include <stddef.h>

// An element, borrowed until the callback returns. A failure ends the decoding with *err.
typedef int (*json_items_on_item)(void *arg, json_t *item, struct error *err);

struct json_items {
	const char *key; // of the array within the document; NULL when the document is the array
	json_items_on_item on_item;
	void *arg;
	size_t items; // handed over so far
	struct buf element;
	struct buf envelope; // the document with an empty array in place of the elements
	int state;
	int depth;
	bool in_string;
	bool escaped;
};

// key is borrowed and must outlive the splitter. An element longer than max_item_bytes is an error.
void json_items_init(struct json_items *s, const char *key, size_t max_item_bytes, json_items_on_item on_item, void *arg);

MUST_CHECK int json_items_feed(struct json_items *s, const char *data, size_t len, struct error *err);

// The end of the document: fails when it is cut short, is no valid JSON, or lacks the array. *envelope (the caller's; may be NULL
// when it is not wanted) is the rest of the document, with the array empty. With a key, null counts as an empty array: Go writes
// an empty slice that way at times.
MUST_CHECK int json_items_finish(struct json_items *s, json_t **envelope, struct error *err);

void json_items_fini(struct json_items *s);

static inline void auto_json_items(struct json_items *s)
{
	json_items_fini(s);
}

#endif
