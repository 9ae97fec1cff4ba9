// Growing a worklist, for the two that read one: canopy/worklist.c and canopy/worklist_file.c.
#ifndef CANOPY_WORKLIST_LIST_H
#define CANOPY_WORKLIST_LIST_H

#include "canopy/worklist.h"

// Takes what entry owns on success.
MUST_CHECK int worklist_add(struct worklist *list, struct entry *entry, struct error *err);

#endif
