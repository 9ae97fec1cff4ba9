// The worklist from a YAML file (WORKLIST_FILE).
#include "base/yamltree.h"
#include "canopy/worklist_list.h"

struct reading {
	const char *path;
	struct worklist *list;
};

// By way of JSON, so that the rules are those of canopy's worklist.
static int read_entry(const struct yamltree *item, struct entry *out, struct error *err)
{
	AUTO(json) json_t *object = NULL;
	if (yamltree_to_json(item, &object, err) < 0)
		return -1;
	return entry_from_json(object, out, err);
}

static int on_item(void *arg, const struct yamltree *item, struct error *err)
{
	struct reading *reading = arg;
	struct entry entry;
	if (read_entry(item, &entry, err) < 0)
		return error_wrap(err, "%s:%d:%d: entry %zu", reading->path, item->line, item->column, reading->list->count + 1);
	int rc = worklist_add(reading->list, &entry, err);
	entry_fini(&entry);
	return rc;
}

int worklist_from_file(const char *path, struct worklist **out, struct error *err)
{
	AUTO(worklist) struct worklist *list = calloc(1, sizeof(*list));
	if (list == NULL)
		return error_no_memory(err, "worklist");
	struct reading reading = {path, list};
	const struct yamltree_items items = {
		.max_bytes = WORKLIST_BODY_MAX, .max_item_bytes = WORKLIST_ENTRY_MAX, .on_item = on_item, .arg = &reading};
	if (yamltree_read_items(path, &items, err) < 0)
		return error_wrap(err, "worklist");
	*out = TAKE_PTR(list);
	return 0;
}
