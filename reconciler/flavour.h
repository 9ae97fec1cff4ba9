// Which flavour of the server a round comes up in. Pure.
//
// A flavour is a property of the backup. What the restore Job said of it counts most, and an entry that says otherwise is an
// error; then the entry's own word, then what an earlier round of this replica was (annotation `flavour` of the Namespace), else
// stock. What was backed up as a flavour never comes up as another: one that the settings do not know is an error, and so is one
// without an image.
#ifndef RECONCILER_FLAVOUR_H
#define RECONCILER_FLAVOUR_H

#include "base/settings_flavour.h"
#include "reconciler/round.h"

// said: by the restore Job; "" for nothing, or before it has run. ERROR_INVALID says what is known. *out lives as long as the
// settings.
MUST_CHECK int flavour_choose(
	const struct round_view *view, const char *said, const struct settings_flavour **out, struct error *err);

#endif
