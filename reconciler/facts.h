// A list of named facts, written as JSON or into a template of HTML, so that both say the same. What is written is escaped: names
// and errors come from strangers. One thread at a time; texts are borrowed.
//
// A template holds {{key}} (the text), {{~key}} (a time as people say it, "3 h ago") and {{?key}} (" hidden" when there is
// nothing to say). A key that is not in the list says nothing.
#ifndef RECONCILER_FACTS_H
#define RECONCILER_FACTS_H

#include "base/buf.h"
#include <stdbool.h>
#include <stdint.h>

#define FACTS_MAX 48
#define FACTS_NO_NUMBER INT64_C(-1)

enum fact_kind { FACT_TEXT, FACT_NUMBER, FACT_TIME, FACT_TRUTH };

struct fact {
	const char *key;
	enum fact_kind kind;
	const char *text; // NULL: nothing
	int64_t number;   // or a time, wall clock; FACTS_NO_NUMBER: nothing
};

struct facts {
	struct fact list[FACTS_MAX];
	size_t count;
	int64_t now_ms;
};

// An empty text is nothing. More than FACTS_MAX are left out: a bug that tests see.
void facts_text(struct facts *facts, const char *key, const char *text);
void facts_number(struct facts *facts, const char *key, int64_t number);
void facts_truth(struct facts *facts, const char *key, bool truth);
void facts_time(struct facts *facts, const char *key, int64_t at_ms);

// The members of an object, without its braces; what says nothing is null, times are RFC 3339.
MUST_CHECK int facts_json(const struct facts *facts, struct buf *out, struct error *err);
MUST_CHECK int facts_html(const struct facts *facts, const char *template, size_t len, struct buf *out, struct error *err);

// Text as it may stand in HTML, in an attribute's value too.
MUST_CHECK int facts_escape_html(const char *text, struct buf *out, struct error *err);

// Whether each of the words (apart by blanks) is in one of the texts, in either case of ASCII.
bool facts_match(const struct facts *facts, const char *words);

#endif
