// Rows for people or for programs: an aligned table or a JSON array of objects on stdout.
#ifndef RECONCILER_OUTPUT_H
#define RECONCILER_OUTPUT_H

#include "base/json.h"

enum output_format { OUTPUT_TABLE, OUTPUT_JSON };

// A column: its heading and the member of each row that it shows. Members that no column names are in the JSON alone.
struct output_column {
	const char *heading;
	const char *key;
	size_t width_max; // longer texts are cut with "..."; 0: never
};

// rows is an array of objects; null is shown as "-".
MUST_CHECK int output_rows(
	const json_t *rows, const struct output_column *columns, size_t count, enum output_format format, struct error *err);

// Add a member; value NULL becomes null.
MUST_CHECK int output_set(json_t *row, const char *key, const char *value, struct error *err);

#endif
