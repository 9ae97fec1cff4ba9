// The worklist: the whole desired state, decoded as it arrives, from canopy or from a YAML file.
//
// Entries that cannot be read are left out, counted and described: the caller then tears nothing down. The list owns its entries,
// which it keeps packed: ten thousand of them stay in memory between two passes.
// A body that is no JSON array, is cut short or is too long is an error and gives no list at all. One thread.
#ifndef CANOPY_WORKLIST_H
#define CANOPY_WORKLIST_H

#include "canopy/entry.h"
#include <stddef.h>

#define WORKLIST_BODY_MAX ((size_t)64 << 20) // about 100,000 entries; what is longer is a fault of the service
#define WORKLIST_ENTRY_MAX ((size_t)1 << 20)
#define WORKLIST_COMPLAINTS_MAX 16 // of the unreadable entries that are described; the others are only counted

struct worklist {
	struct pack **entries; // entry_open()
	size_t count;
	size_t room;
	size_t unreadable;
	char *complaints[WORKLIST_COMPLAINTS_MAX]; // "entry 3 (counted from 1): field \"server_id\" is missing"
	size_t complaint_count;
};

// Decoding in pieces: begin, feed (from http's on_body), end.
struct worklist_decoder;
MUST_CHECK int worklist_decoder_new(struct worklist_decoder **out, struct error *err);
MUST_CHECK int worklist_decoder_feed(struct worklist_decoder *decoder, const char *data, size_t len, struct error *err);
MUST_CHECK int worklist_decoder_finish(struct worklist_decoder *decoder, struct worklist **out, struct error *err);
void worklist_decoder_free(struct worklist_decoder *decoder);
DEFINE_AUTO(struct worklist_decoder, worklist_decoder, worklist_decoder_free)

// The same from a YAML file: a sequence of entries with the same fields, and `engine`, `secret`, `flavour`,
// `passwords` and `sourceSecret`. Any entry that cannot be read
// is an ERROR_INVALID with file, line and column: a file is edited by people and is taken whole or not at all.
MUST_CHECK int worklist_from_file(const char *path, struct worklist **out, struct error *err);

void worklist_free(struct worklist *worklist);
DEFINE_AUTO(struct worklist, worklist, worklist_free)

#endif
