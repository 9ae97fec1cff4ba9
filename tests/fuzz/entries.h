// Worklists compared by what they mean.
#ifndef TESTS_FUZZ_ENTRIES_H
#define TESTS_FUZZ_ENTRIES_H

#include "canopy/worklist.h"
#include <stdint.h>

// An entry as canopy writes one, from what was read; never NULL.
json_t *entries_to_json(const struct entry *entry);

// What the decoder makes of the bytes, in one piece or in pieces of chance lengths.
MUST_CHECK int entries_decode(const uint8_t *data, size_t size, bool in_pieces, struct worklist **out, struct error *err);

// What must hold for an entry that was read, and for what becomes of it on its way through JSON and through a pack.
void entries_check(const struct entry *entry);

// The same for each entry of a list.
void entries_check_all(const struct worklist *list);

// Ends the process unless both hold the same entries.
void entries_check_same(const struct worklist *a, const struct worklist *b);

#endif
