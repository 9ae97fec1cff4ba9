// Growing a worklist, for the two that read one: canopy/worklist.c and canopy/worklist_file.c.
#ifndef CANOPY_WORKLIST_LIST_H
#define CANOPY_WORKLIST_LIST_H

#include "canopy/worklist.h"

// A copy of the entry goes to the end of the list.
MUST_CHECK int worklist_add(struct worklist *list, const struct entry *entry, struct error *err);

#endif
