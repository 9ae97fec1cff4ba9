// The intents we advertise to canopy, their semantics and parameters, and how an entry's parameters override the settings.
#ifndef CANOPY_INTENTS_H
#define CANOPY_INTENTS_H

#include "base/json.h"
#include "base/settings.h"
#include "canopy/entry.h"

// The body of POST /restore-capabilities: verify = check, once; analytics = check, url; disaster-recovery = check; each with its
// parameters, their types and the defaults that the settings give.
MUST_CHECK int intents_capabilities(const struct settings *settings, json_t **out, struct error *err);

// enum settings_intent of a name, -1 when it is not ours or NULL.
int intents_find(const char *name);

// A snapshot is dispatched once (`once`): never refreshed because of its age, discarded after its report.
bool intents_is_once(enum settings_intent intent);

// The settings of an intent with the entry's params laid over them. *out borrows from settings and entry and is never freed. A
// param of the wrong type or out of bounds is ERROR_INVALID with name, value and what is allowed.
MUST_CHECK int intents_resolve(
	const struct settings *settings, const struct entry *entry, struct settings_for_intent *out, struct error *err);

#endif
