// What every object says about itself: name, Namespace, and whose it is (design.md "Identity").
//
// As everywhere inside builders/, a function that returns json_t * gives the caller a new reference, or NULL when memory ran out
// or a text is not UTF-8. json_pack() and json_object_set_new() take NULL for a failure, so that one check at the end of a
// builder (json_made()) covers all of it.
#ifndef BUILDERS_METADATA_H
#define BUILDERS_METADATA_H

#include "builders/objects.h"

// Labels of identity, of the component (COMPONENT_*), and of the round unless round_key is NULL.
json_t *metadata_labels(const struct build *b, const char *component, const char *round_key);

// name, namespace and labels of a namespaced object.
json_t *metadata_new(const struct build *b, const char *name, const char *component, const char *round_key);

// Give an object to the round's PVC: the garbage collector takes it when the volume is gone (build_round.volume_uid).
// ERROR_INTERNAL when its uid is not known.
MUST_CHECK int metadata_own_by_volume(json_t *object, const struct build_round *round, struct error *err);

// The labels by which pods of a component are told from others in the Namespace; round_key NULL: of every round.
json_t *metadata_selector(const struct build *b, const char *component, const char *round_key);

#endif
