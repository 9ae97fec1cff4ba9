// Rows for people or for programs: an aligned table or a JSON array of objects; and showing them again and again.
//
// What goes to a terminal comes from strangers too: control characters never reach it. Colours are for terminals alone, and not
// where NO_COLOR is set (https://no-color.org).
#ifndef RECONCILER_OUTPUT_H
#define RECONCILER_OUTPUT_H

#include "base/json.h"
#include "base/settings.h"
#include <stdio.h>

enum output_format { OUTPUT_TABLE, OUTPUT_JSON };

// How a command shows what it has.
struct output {
	enum output_format format;
	bool is_watching;
	const char *namespace; // that of one replica; NULL: all
	bool has_colours;      // set by output_init()
};

// A column: its heading and the member of each row that it shows. Members that no column names are in the JSON alone.
struct output_column {
	const char *heading;
	const char *key;
	size_t width_max;  // longer texts are cut with "..."; 0: never
	const char *tones; // the member whose value, a text of enum describe_tone, gives the colour; NULL: none
};

// Whether a Namespace is to be shown.
bool output_is_asked(const struct output *output, const char *namespace);

// Looks at stdout and the environment.
void output_init(struct output *output);

// Signals that end a watch are kept for it: before any thread, and only where output->is_watching.
void output_begin_watch(void);

// Call show, which writes to `to`; when watching, again every 2 s until SIGINT or SIGTERM: on a terminal over what is there, else
// only when it has changed. What fails after the first time is said, and tried again.
MUST_CHECK int output_run(
	const struct output *output, int (*show)(void *arg, FILE *to, struct error *err), void *arg, struct error *err);

// rows is an array of objects; null is shown as "-".
MUST_CHECK int output_rows(const struct output *output, const json_t *rows, const struct output_column *columns, size_t count,
	FILE *to, struct error *err);

// Text of strangers as it may go to a terminal: control characters and what is no UTF-8 become '?', line ends blanks.
void output_text(const char *text, FILE *to);

// Between these what is written has the colour of a tone.
void output_tone(const struct output *output, const char *tone, FILE *to);
void output_plain(const struct output *output, const char *tone, FILE *to);

// Add a member; value NULL becomes null.
MUST_CHECK int output_set(json_t *row, const char *key, const char *value, struct error *err);

#endif
