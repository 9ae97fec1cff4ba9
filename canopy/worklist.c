#include "canopy/worklist.h"

#include "base/json_items.h"
#include "canopy/worklist_list.h"
#include <stdio.h>
#include <string.h>

struct worklist_decoder {
	struct json_items items;
	struct worklist *list;
	size_t bytes;
};

int worklist_add(struct worklist *list, const struct entry *entry, struct error *err)
{
	if (list->count == list->room) {
		size_t room = list->room == 0 ? 16 : list->room + list->room / 2;
		struct pack **entries = reallocarray(list->entries, room, sizeof(*entries));
		if (entries == NULL)
			return error_no_memory(err, "worklist");
		list->entries = entries;
		list->room = room;
	}
	if (entry_pack(entry, &list->entries[list->count], err) < 0)
		return -1;
	list->count++;
	return 0;
}

static void note_unreadable(struct worklist *list, size_t index, const struct error *why)
{
	char *complaint = NULL;
	list->unreadable++;
	if (list->complaint_count == WORKLIST_COMPLAINTS_MAX)
		return;
	// Without memory for the words it is still counted, and that is what holds the Teardowns.
	if (asprintf(&complaint, "entry %zu: %s", index, why->text) >= 0)
		list->complaints[list->complaint_count++] = complaint;
}

static int on_item(void *arg, json_t *item, struct error *err)
{
	struct worklist_decoder *decoder = arg;
	struct worklist *list = decoder->list;
	struct entry entry;
	struct error why = {0};
	if (entry_from_json(item, &entry, &why) == 0) {
		int rc = worklist_add(list, &entry, err);
		entry_fini(&entry);
		return rc;
	}
	if (why.kind != ERROR_INVALID) {
		*err = why;
		return -1;
	}
	note_unreadable(list, decoder->items.items, &why);
	return 0;
}

int worklist_decoder_new(struct worklist_decoder **out, struct error *err)
{
	AUTO(worklist_decoder) struct worklist_decoder *decoder = calloc(1, sizeof(*decoder));
	if (decoder == NULL)
		return error_no_memory(err, "worklist");
	json_items_init(&decoder->items, NULL, WORKLIST_ENTRY_MAX, on_item, decoder);
	decoder->list = calloc(1, sizeof(*decoder->list));
	if (decoder->list == NULL)
		return error_no_memory(err, "worklist");
	*out = TAKE_PTR(decoder);
	return 0;
}

int worklist_decoder_feed(struct worklist_decoder *decoder, const char *data, size_t len, struct error *err)
{
	if (len > WORKLIST_BODY_MAX - decoder->bytes)
		return error_set(err, ERROR_INVALID, "worklist is longer than %zu bytes", WORKLIST_BODY_MAX);
	decoder->bytes += len;
	return json_items_feed(&decoder->items, data, len, err) < 0 ? error_wrap(err, "worklist") : 0;
}

int worklist_decoder_finish(struct worklist_decoder *decoder, struct worklist **out, struct error *err)
{
	if (json_items_finish(&decoder->items, NULL, err) < 0)
		return error_wrap(err, "worklist");
	struct worklist *list = TAKE_PTR(decoder->list);
	// It stays in memory until the next change: give back the room it grew into. Where that fails nothing is lost.
	struct pack **exact = list->count == 0 ? NULL : reallocarray(list->entries, list->count, sizeof(*exact));
	if (exact != NULL) {
		list->entries = exact;
		list->room = list->count;
	}
	*out = list;
	return 0;
}

void worklist_decoder_free(struct worklist_decoder *decoder)
{
	if (decoder == NULL)
		return;
	json_items_fini(&decoder->items);
	worklist_free(decoder->list);
	free(decoder);
}

void worklist_free(struct worklist *worklist)
{
	if (worklist == NULL)
		return;
	for (size_t i = 0; i < worklist->count; i++)
		free(worklist->entries[i]);
	for (size_t i = 0; i < worklist->complaint_count; i++)
		free(worklist->complaints[i]);
	free(worklist->entries);
	free(worklist);
}
