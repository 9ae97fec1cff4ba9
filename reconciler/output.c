#include "reconciler/output.h"

#include "base/clock.h"
#include "base/utf8.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CELL_MAX 512
#define COLUMNS_MAX 16
#define AGAIN_S 2
#define CLEAR "\033[H\033[J"

// --- texts

// How many bytes stand for one character, and whether they may go to a terminal.
static size_t next_character(const char *s, bool *is_good)
{
	size_t len = utf8_len(s);
	const unsigned char *c = (const unsigned char *)s;
	bool is_control = c[0] < 0x20 || c[0] == 0x7f || (c[0] == 0xc2 && c[1] < 0xa0); // C0, DEL, C1
	// Those that turn the direction of text.
	bool turns = c[0] == 0xe2 &&
		     ((c[1] == 0x80 && c[2] >= 0xaa && c[2] <= 0xae) || (c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9));
	*is_good = len > 0 && !is_control && !turns;
	return len == 0 ? 1 : len;
}

// As output_text(), to memory; cut at a character.
static void clean(const char *text, char *out, size_t size)
{
	size_t used = 0;
	while (*text != '\0') {
		bool is_good;
		size_t len = next_character(text, &is_good);
		if (used + (is_good ? len : 1) >= size)
			break;
		if (is_good)
			memcpy(out + used, text, len);
		else
			out[used] = *text == '\n' || *text == '\t' ? ' ' : '?';
		used += is_good ? len : 1;
		text += len;
	}
	out[used] = '\0';
}

void output_text(const char *text, FILE *to)
{
	while (*text != '\0') {
		bool is_good;
		size_t len = next_character(text, &is_good);
		if (is_good)
			(void)fwrite(text, 1, len, to);
		else
			(void)fputc(*text == '\n' || *text == '\t' ? ' ' : '?', to);
		text += len;
	}
}

static size_t width_of(const char *text)
{
	size_t width = 0;
	for (const char *c = text; *c != '\0'; c++)
		width += ((unsigned char)*c & 0xc0) != 0x80;
	return width;
}

// --- colours

static const struct {
	const char *tone, *begin;
} colours[] = {{"broken", "\033[31m"}, {"attention", "\033[33m"}, {"working", "\033[34m"}, {"good", "\033[32m"}};

static const char *colour_of(const struct output *output, const char *tone)
{
	for (size_t i = 0; output->has_colours && tone != NULL && i < sizeof(colours) / sizeof(colours[0]); i++) {
		if (strcmp(colours[i].tone, tone) == 0)
			return colours[i].begin;
	}
	return NULL;
}

void output_tone(const struct output *output, const char *tone, FILE *to)
{
	const char *colour = colour_of(output, tone);
	if (colour != NULL)
		(void)fputs(colour, to);
}

void output_plain(const struct output *output, const char *tone, FILE *to)
{
	if (colour_of(output, tone) != NULL)
		(void)fputs("\033[0m", to);
}

void output_init(struct output *output)
{
	// NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes the environment any more
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	output->has_colours = isatty(STDOUT_FILENO) == 1 && (no_color == NULL || no_color[0] == '\0') &&
			      (term == NULL || strcmp(term, "dumb") != 0);
}

bool output_is_asked(const struct output *output, const char *namespace)
{
	return output->namespace == NULL || strcmp(output->namespace, namespace) == 0;
}

// --- tables

// A text that is clean().
static void cut(char text[CELL_MAX], size_t width_max)
{
	size_t width = 0;
	if (width_max <= 3 || width_of(text) <= width_max)
		return;
	char *c = text;
	for (; width < width_max - 3; width++)
		c += utf8_len(c);
	memcpy(c, "...", sizeof("..."));
}

static void cell_text(const json_t *row, const struct output_column *column, char out[CELL_MAX])
{
	const json_t *value = json_object_get(row, column->key);
	if (json_is_integer(value))
		(void)snprintf(out, CELL_MAX, "%lld", (long long)json_integer_value(value));
	else if (json_is_string(value) && *json_string_value(value) != '\0')
		clean(json_string_value(value), out, CELL_MAX - 4);
	else
		(void)snprintf(out, CELL_MAX, "%s", json_is_true(value) ? "yes" : "-");
	cut(out, column->width_max);
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
			cell_text(row, &columns[c], text);
			widths[c] = width_of(text) > widths[c] ? width_of(text) : widths[c];
		}
	}
}

// The last column is not filled up.
static void print_cell(const char *text, size_t width, bool is_last, FILE *to)
{
	(void)fprintf(to, "%s%*s", text, is_last || width <= width_of(text) ? 0 : (int)(width - width_of(text)), "");
	(void)fputs(is_last ? "\n" : "  ", to);
}

static void print_table(
	const struct output *output, const json_t *rows, const struct output_column *columns, size_t count, FILE *to)
{
	size_t widths[COLUMNS_MAX];
	size_t i;
	const json_t *row;
	char text[CELL_MAX];

	count = count > COLUMNS_MAX ? COLUMNS_MAX : count;
	measure(rows, columns, count, widths);
	for (size_t c = 0; c < count; c++)
		print_cell(columns[c].heading, widths[c], c + 1 == count, to);
	json_array_foreach (rows, i, row) {
		for (size_t c = 0; c < count; c++) {
			const char *tone = columns[c].tones == NULL ? NULL : json_find_str(row, columns[c].tones);
			cell_text(row, &columns[c], text);
			output_tone(output, tone, to);
			print_cell(text, widths[c], c + 1 == count, to);
			output_plain(output, tone, to);
		}
	}
}

int output_rows(const struct output *output, const json_t *rows, const struct output_column *columns, size_t count, FILE *to,
	struct error *err)
{
	if (output->format == OUTPUT_TABLE) {
		print_table(output, rows, columns, count, to);
		return 0;
	}
	AUTO_FREE char *text = json_dumps(rows, JSON_INDENT(2));
	if (text == NULL)
		return error_no_memory(err, "output");
	(void)fprintf(to, "%s\n", text);
	return 0;
}

int output_set(json_t *row, const char *key, const char *value, struct error *err)
{
	json_t *text = value == NULL ? json_null() : json_string(value);
	if (text == NULL || json_object_set_new(row, key, text) < 0)
		return error_no_memory(err, "output");
	return 0;
}

// --- once, or again and again

static void ending_signals(sigset_t *out)
{
	(void)sigemptyset(out);
	(void)sigaddset(out, SIGINT);
	(void)sigaddset(out, SIGTERM);
}

void output_begin_watch(void)
{
	sigset_t set;
	ending_signals(&set);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL); // EINVAL, for another way to do it, is all that it knows
}

// True: it is time to end.
static bool wait_for_signal(void)
{
	const struct timespec pause = {.tv_sec = AGAIN_S};
	sigset_t set;
	ending_signals(&set);
	return sigtimedwait(&set, NULL, &pause) > 0;
}

static int put_out(const char *before, const char *text, struct error *err)
{
	(void)fputs(before, stdout);
	(void)fputs(text, stdout);
	(void)fflush(stdout);
	return ferror(stdout) == 0 ? 0 : error_set(err, ERROR_INTERNAL, "stdout cannot be written");
}

// What show writes, as a text that the caller frees.
static int capture(int (*show)(void *arg, FILE *to, struct error *err), void *arg, char **out, struct error *err)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);
	if (to == NULL)
		return error_no_memory(err, "output");
	int rc = show(arg, to, err);
	bool is_whole = fclose(to) == 0 && text != NULL;
	if (rc < 0)
		return -1;
	if (!is_whole)
		return error_no_memory(err, "output");
	*out = TAKE_PTR(text);
	return 0;
}

int output_run(const struct output *output, int (*show)(void *arg, FILE *to, struct error *err), void *arg, struct error *err)
{
	AUTO_FREE char *shown = NULL;
	const bool redraws = output->is_watching && output->format == OUTPUT_TABLE && isatty(STDOUT_FILENO) == 1;
	if (capture(show, arg, &shown, err) < 0 || put_out(redraws ? CLEAR : "", shown, err) < 0)
		return -1;
	while (output->is_watching && !wait_for_signal()) {
		AUTO_FREE char *now = NULL;
		struct error failed = {0};
		if (capture(show, arg, &now, &failed) < 0) {
			(void)fprintf(stderr, "understory: %s; what is shown is of before\n", failed.text);
			continue;
		}
		if (strcmp(now, shown) == 0)
			continue;
		if (put_out(redraws ? CLEAR : "\n", now, err) < 0)
			return -1;
		free(shown);
		shown = TAKE_PTR(now);
	}
	return 0;
}
