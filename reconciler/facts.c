#include "reconciler/facts.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "reconciler/words.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WORD_MAX 64

static void add(struct facts *facts, struct fact fact)
{
	if (facts->count < FACTS_MAX)
		facts->list[facts->count++] = fact;
}

void facts_text(struct facts *facts, const char *key, const char *text)
{
	add(facts, (struct fact){.key = key, .kind = FACT_TEXT, .text = text != NULL && text[0] != '\0' ? text : NULL});
}

void facts_number(struct facts *facts, const char *key, int64_t number)
{
	add(facts, (struct fact){.key = key, .kind = FACT_NUMBER, .number = number});
}

void facts_time(struct facts *facts, const char *key, int64_t at_ms)
{
	add(facts, (struct fact){.key = key, .kind = FACT_TIME, .number = at_ms});
}

void facts_truth(struct facts *facts, const char *key, bool truth)
{
	add(facts, (struct fact){.key = key, .kind = FACT_TRUTH, .number = truth});
}

static bool is_nothing(const struct fact *fact)
{
	return fact == NULL || (fact->kind == FACT_TEXT ? fact->text == NULL : fact->number == FACTS_NO_NUMBER);
}

// --- escaping

// How a byte is written, NULL: as it is. Control characters, which HTML cannot hold, become blanks; what is no UTF-8 becomes
// U+FFFD.
static const char *html_of(char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return (unsigned char)c < 0x20 || c == 0x7f ? " " : NULL;
	}
}

static const char *json_of(char c, char escape[8])
{
	if (c == '"')
		return "\\\"";
	if (c == '\\')
		return "\\\\";
	// So that a body which is taken for HTML in spite of its type is none.
	if ((unsigned char)c >= 0x20 && c != 0x7f && c != '<' && c != '>' && c != '&')
		return NULL;
	(void)snprintf(escape, 8, "\\u%04x", (unsigned int)(unsigned char)c);
	return escape;
}

// Characters that turn the direction of what follows (Unicode's bidirectional controls): with them a name could be made to look
// like another. Their length; 0: another character.
static size_t turns_text(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	if (s[0] != 0xe2)
		return 0;
	bool is_mark = s[1] == 0x80 && (s[2] == 0x8e || s[2] == 0x8f || (s[2] >= 0xaa && s[2] <= 0xae));
	bool is_isolate = s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9;
	return is_mark || is_isolate ? 3 : 0;
}

static int escape_text(const char *text, bool is_html, struct buf *out, struct error *err)
{
	char escape[8];
	while (*text != '\0') {
		size_t plain = 0, len = 1;
		const char *written = NULL;
		// As many as can be written as they are, at once.
		while (text[plain] != '\0' && (len = utf8_len(text + plain)) > 0) {
			written = is_html ? html_of(text[plain]) : json_of(text[plain], escape);
			if (written != NULL || turns_text(text + plain) > 0)
				break;
			plain += len;
		}
		if (plain > 0 && buf_add(out, text, plain, err) < 0)
			return -1;
		text += plain;
		if (*text == '\0')
			break;
		if (buf_add_str(out, written == NULL ? "\xef\xbf\xbd" : written, err) < 0)
			return -1;
		text += len == 0 ? 1 : len;
	}
	return 0;
}

int facts_escape_html(const char *text, struct buf *out, struct error *err)
{
	return escape_text(text, true, out, err);
}

// --- JSON

static int json_value(const struct fact *fact, struct buf *out, struct error *err)
{
	char time[CLOCK_TEXT_SIZE];
	if (is_nothing(fact))
		return buf_add_str(out, "null", err);
	if (fact->kind == FACT_NUMBER)
		return buf_addf(out, err, "%" PRId64, fact->number);
	if (fact->kind == FACT_TRUTH)
		return buf_add_str(out, fact->number != 0 ? "true" : "false", err);
	if (fact->kind == FACT_TIME) {
		clock_format(fact->number, time);
		return buf_addf(out, err, "\"%s\"", time);
	}
	if (buf_add_str(out, "\"", err) < 0 || escape_text(fact->text, false, out, err) < 0)
		return -1;
	return buf_add_str(out, "\"", err);
}

int facts_json(const struct facts *facts, struct buf *out, struct error *err)
{
	for (size_t i = 0; i < facts->count; i++) {
		if (buf_addf(out, err, "%s\"%s\":", i == 0 ? "" : ",", facts->list[i].key) < 0 ||
			json_value(&facts->list[i], out, err) < 0)
			return -1;
	}
	return 0;
}

// --- HTML

static const struct fact *find(const struct facts *facts, const char *key, size_t len)
{
	for (size_t i = 0; i < facts->count; i++) {
		if (strncmp(facts->list[i].key, key, len) == 0 && facts->list[i].key[len] == '\0')
			return &facts->list[i];
	}
	return NULL;
}

static int html_value(const struct fact *fact, bool is_for_people, int64_t now_ms, struct buf *out, struct error *err)
{
	char text[WORDS_SIZE > CLOCK_TEXT_SIZE ? WORDS_SIZE : CLOCK_TEXT_SIZE];
	if (is_nothing(fact))
		return 0;
	if (fact->kind == FACT_TEXT)
		return escape_text(fact->text, true, out, err);
	if (fact->kind == FACT_NUMBER || fact->kind == FACT_TRUTH)
		return buf_addf(out, err, "%" PRId64, fact->number);
	if (is_for_people)
		words_when(fact->number, now_ms, text);
	else
		clock_format(fact->number, text);
	return buf_add_str(out, text, err);
}

static int fill(const struct facts *facts, const char *key, size_t len, struct buf *out, struct error *err)
{
	char sort = len > 0 && (key[0] == '?' || key[0] == '~') ? key[0] : '\0';
	const struct fact *fact = sort == '\0' ? find(facts, key, len) : find(facts, key + 1, len - 1);
	if (sort == '?')
		return is_nothing(fact) ? buf_add_str(out, " hidden", err) : 0;
	return html_value(fact, sort == '~', facts->now_ms, out, err);
}

int facts_html(const struct facts *facts, const char *template, size_t len, struct buf *out, struct error *err)
{
	const char *at = template, *end = template + len;
	while (at < end) {
		const char *open = memmem(at, (size_t)(end - at), "{{", 2);
		const char *close = open == NULL ? NULL : memmem(open, (size_t)(end - open), "}}", 2);
		if (close == NULL)
			return buf_add(out, at, (size_t)(end - at), err);
		if (buf_add(out, at, (size_t)(open - at), err) < 0 ||
			fill(facts, open + 2, (size_t)(close - open - 2), out, err) < 0)
			return -1;
		at = close + 2;
	}
	return 0;
}

// --- finding

static bool has_word(const struct facts *facts, const char *word)
{
	for (size_t i = 0; i < facts->count; i++) {
		if (facts->list[i].kind == FACT_TEXT && facts->list[i].text != NULL &&
			strcasestr(facts->list[i].text, word) != NULL)
			return true;
	}
	return false;
}

bool facts_match(const struct facts *facts, const char *words)
{
	static const char *const blanks = " \t\r\n";
	for (words += strspn(words, blanks); *words != '\0'; words += strspn(words, blanks)) {
		char word[WORD_MAX];
		size_t len = strcspn(words, blanks);
		(void)snprintf(word, sizeof(word), "%.*s", (int)len, words);
		if (!has_word(facts, word))
			return false;
		words += len;
	}
	return true;
}
