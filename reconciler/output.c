#include "reconciler/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CELL_MAX 256
#define COLUMNS_MAX 16

static void cell_text(const json_t *value, char out[CELL_MAX])
{
	if (json_is_integer(value))
		(void)snprintf(out, CELL_MAX, "%lld", (long long)json_integer_value(value));
	else if (json_is_string(value) && *json_string_value(value) != '\0')
		(void)snprintf(out, CELL_MAX, "%.*s", CELL_MAX - 1, json_string_value(value));
	else
		(void)snprintf(out, CELL_MAX, "%s", json_is_true(value) ? "yes" : "-");
	for (char *c = out; *c != '\0'; c++) {
		if (*c == '\n' || *c == '\t')
			*c = ' ';
	}
}

static void cut(char text[CELL_MAX], size_t width)
{
	if (width > 3 && width < CELL_MAX && strlen(text) > width)
		memcpy(text + width - 3, "...", sizeof("..."));
}

static void measure(const json_t *rows, const struct output_column *columns, size_t count, size_t widths[COLUMNS_MAX])
{
	size_t i;
	const json_t *row;
	char text[CELL_MAX];
	for (size_t c = 0; c < count; c++)
		widths[c] = strlen(columns[c].heading);
	json_array_foreach (rows, i, row) {
		for (size_t c = 0; c < count; c++) {
			cell_text(json_object_get(row, columns[c].key), text);
			cut(text, columns[c].width_max);
			widths[c] = strlen(text) > widths[c] ? strlen(text) : widths[c];
		}
	}
}

static void print_table(const json_t *rows, const struct output_column *columns, size_t count)
{
	size_t widths[COLUMNS_MAX];
	size_t i;
	const json_t *row;
	char text[CELL_MAX];

	count = count > COLUMNS_MAX ? COLUMNS_MAX : count;
	measure(rows, columns, count, widths);
	for (size_t c = 0; c < count; c++)
		printf("%-*s%s", c + 1 == count ? 0 : (int)widths[c], columns[c].heading, c + 1 == count ? "\n" : "  ");
	json_array_foreach (rows, i, row) {
		for (size_t c = 0; c < count; c++) {
			cell_text(json_object_get(row, columns[c].key), text);
			cut(text, columns[c].width_max);
			printf("%-*s%s", c + 1 == count ? 0 : (int)widths[c], text, c + 1 == count ? "\n" : "  ");
		}
	}
}

int output_rows(
	const json_t *rows, const struct output_column *columns, size_t count, enum output_format format, struct error *err)
{
	if (format == OUTPUT_JSON) {
		AUTO_FREE char *text = json_dumps(rows, JSON_INDENT(2));
		if (text == NULL)
			return error_no_memory(err, "output");
		printf("%s\n", text);
	} else {
		print_table(rows, columns, count);
	}
	if (fflush(stdout) != 0)
		return error_set(err, ERROR_INTERNAL, "stdout cannot be written");
	return 0;
}

int output_set(json_t *row, const char *key, const char *value, struct error *err)
{
	json_t *text = value == NULL ? json_null() : json_string(value);
	if (text == NULL || json_object_set_new(row, key, text) < 0)
		return error_no_memory(err, "output");
	return 0;
}
