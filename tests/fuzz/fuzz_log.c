// Log lines and error texts (base/log.h, error.h): one line of valid output that holds the text, whatever the bytes.
#include "base/log.h"
#include "base/json.h"
#include "tests/fuzz/fuzz.h"
#include <stdio.h>
#include <string.h>

#define VALUES 3

static void check_one_line(const char *line, size_t len)
{
	FUZZ_CHECK(len > 0 && len <= LOG_LINE_MAX && line[len - 1] == '\n', "a line of %zu bytes, or without an end", len);
	for (size_t i = 0; i + 1 < len; i++)
		FUZZ_CHECK((unsigned char)line[i] >= 0x20 && line[i] != 0x7f, "a control character at %zu", i);
	FUZZ_CHECK(fuzz_is_utf8(line, len), "a line that is not UTF-8");
}

// Whole, with a mark for each byte that was no UTF-8; a value that did not fit is missing.
static void check_value(const json_t *line, const char *key, const char *text)
{
	const char *got = json_find_str(line, key);
	if (got == NULL) {
		FUZZ_CHECK(json_is_true(json_object_get(line, "truncated")), "%s is missing", key);
		return;
	}
	if (fuzz_is_utf8(text, strlen(text)))
		FUZZ_CHECK(strcmp(got, text) == 0, "%s holds another text", key);
	else
		FUZZ_CHECK(strstr(got, "\xef\xbf\xbd") != NULL, "%s does not say that bytes were lost", key);
}

static void check_json(const struct log_field *fields)
{
	char out[LOG_LINE_MAX];
	size_t len = log_line(LOG_JSON, 1795000000123, LOG_INFO, "message", fields, out);
	check_one_line(out, len);
	AUTO(json) json_t *line = fuzz_json(out, len);
	FUZZ_CHECK(json_is_object(line), "no JSON: %s", out);
	for (; fields->kind != LOG_FIELD_END; fields++) {
		if (fields->kind == LOG_FIELD_STR)
			check_value(line, fields->key, fields->str);
	}
}

// Quotes in pairs, and outside them nothing but keys, equals signs and bare values with one blank between.
static void check_logfmt(const struct log_field *fields)
{
	char out[LOG_LINE_MAX];
	size_t len = log_line(LOG_LOGFMT, 1795000000123, LOG_INFO, "message", fields, out);
	bool in_quotes = false;
	check_one_line(out, len);
	for (size_t i = 0; i < len; i++) {
		if (in_quotes && out[i] == '\\')
			i++;
		else if (out[i] == '"')
			in_quotes = !in_quotes;
		else if (!in_quotes)
			FUZZ_CHECK(out[i] != ' ' || out[i + 1] != ' ', "two blanks at %zu", i);
	}
	FUZZ_CHECK(!in_quotes, "a quote that is not closed");
}

static void check_error_text(const char *text)
{
	struct error err = {0};
	FUZZ_CHECK(error_set(&err, ERROR_INVALID, "about %s", text) == -1, "error_set() succeeds");
	fuzz_check_error(&err);
	FUZZ_CHECK(error_wrap(&err, "within %s", text) == -1 && strncmp(err.text, "within ", 7) == 0, "error_wrap()");
	fuzz_check_error(&err);
	size_t len = strlen(err.text);
	bool is_cut = strlen(text) * 2 + strlen("within : about ") >= ERROR_TEXT_MAX;
	FUZZ_CHECK(!is_cut || strcmp(err.text + len - 3, "...") == 0, "a text that is cut does not say so: %s", err.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *values[VALUES];
	for (int i = 0; i < VALUES; i++)
		values[i] = fuzz_line(&data, &size);
	const struct log_field fields[] = {LOG_STR("a", values[0]), LOG_INT("n", size), LOG_STR("b", values[1]), LOG_BOOL("t", 1),
		LOG_STR("c", values[2]), LOG_NONE};
	check_json(fields);
	check_logfmt(fields);
	check_error_text(values[0]);
	for (int i = 0; i < VALUES; i++)
		free(values[i]);
	return 0;
}
