// Facts: what is written as JSON and as HTML, whatever strangers put into it.
#include "reconciler/facts.h"
#include "base/json.h"
#include "tests/support/cmocka.h"
#include <string.h>

#define NOW_MS INT64_C(1795176000000) // 2026-11-20T12:00:00Z

static const struct {
	const char *label, *text, *html, *json; // json: as it reads after parsing; NULL: the text
} rows[] = {
	{"plain", "nauru-prod", "nauru-prod", NULL},
	{"markup", "<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;", NULL},
	{"out of an attribute", "\" onmouseover='x' &lt;", "&quot; onmouseover=&#39;x&#39; &amp;lt;", NULL},
	{"end of a script", "</script><!--", "&lt;/script&gt;&lt;!--", NULL},
	{"a template's marks", "{{namespace}} {{?x}}", "{{namespace}} {{?x}}", NULL},
	{"control characters", "a\tb\nc\x01\x7f", "a b c  ", NULL},
	{"backslash and quote", "\\\"", "\\&quot;", NULL},
	{"UTF-8", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x98", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x98", NULL},
	{"cut in a character", "a\xe2\x82", "a\xef\xbf\xbd\xef\xbf\xbd", "a\xef\xbf\xbd\xef\xbf\xbd"},
	{"no UTF-8", "\xff\xfe<", "\xef\xbf\xbd\xef\xbf\xbd&lt;", "\xef\xbf\xbd\xef\xbf\xbd<"},
	{"overlong", "\xc0\xbc", "\xef\xbf\xbd\xef\xbf\xbd", "\xef\xbf\xbd\xef\xbf\xbd"},
	{"turned text",
		"a\xe2\x80\xae"
		"b\xe2\x81\xa6",
		"a\xef\xbf\xbd"
		"b\xef\xbf\xbd",
		"a\xef\xbf\xbd"
		"b\xef\xbf\xbd"},
	// U+200D to U+2010, then U+2029 to U+202F, then U+2065 to U+206A, then U+20A6: the first and the last of each turn
	// nothing.
	{"marks and their neighbours", "\xe2\x80\x8d\xe2\x80\x8e\xe2\x80\x8f\xe2\x80\x90",
		"\xe2\x80\x8d\xef\xbf\xbd\xef\xbf\xbd\xe2\x80\x90", "\xe2\x80\x8d\xef\xbf\xbd\xef\xbf\xbd\xe2\x80\x90"},
	{"embeddings and their neighbours", "\xe2\x80\xa9\xe2\x80\xaa\xe2\x80\xae\xe2\x80\xaf",
		"\xe2\x80\xa9\xef\xbf\xbd\xef\xbf\xbd\xe2\x80\xaf", "\xe2\x80\xa9\xef\xbf\xbd\xef\xbf\xbd\xe2\x80\xaf"},
	{"isolates and their neighbours", "\xe2\x81\xa5\xe2\x81\xa6\xe2\x81\xa9\xe2\x81\xaa\xe2\x82\xa6",
		"\xe2\x81\xa5\xef\xbf\xbd\xef\xbf\xbd\xe2\x81\xaa\xe2\x82\xa6",
		"\xe2\x81\xa5\xef\xbf\xbd\xef\xbf\xbd\xe2\x81\xaa\xe2\x82\xa6"},
};

static void whatever_strangers_write(void **state)
{
	(void)state;
	static const char template[] = "<i title=\"{{x}}\">{{x}}</i>";
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		char expected[512];
		struct facts facts = {0};
		AUTO(json) json_t *parsed = NULL;
		AUTO(buf) struct buf out;
		buf_init(&out, 4096);
		facts_text(&facts, "x", rows[i].text);
		(void)snprintf(expected, sizeof(expected), "<i title=\"%s\">%s</i>", rows[i].html, rows[i].html);
		assert_ok(facts_html(&facts, template, strlen(template), &out, &err), err);
		if (strcmp(buf_str(&out), expected) != 0)
			fail_msg("%s: HTML is %s", rows[i].label, buf_str(&out));

		buf_reset(&out);
		assert_ok(buf_add_str(&out, "{", &err), err);
		assert_ok(facts_json(&facts, &out, &err), err);
		assert_ok(buf_add_str(&out, "}", &err), err);
		assert_ok(json_parse(buf_str(&out), out.len, &parsed, &err), err);
		const char *read = json_find_str(parsed, "x");
		if (read == NULL || strcmp(read, rows[i].json == NULL ? rows[i].text : rows[i].json) != 0)
			fail_msg("%s: JSON is %s", rows[i].label, buf_str(&out));
		assert_null(strpbrk(buf_str(&out), "<>&"));
	}
}

static void kinds_and_their_absence(void **state)
{
	(void)state;
	struct error err = {0};
	struct facts facts = {.now_ms = NOW_MS};
	AUTO(buf) struct buf out;
	buf_init(&out, 4096);
	facts_text(&facts, "text", "t");
	facts_text(&facts, "empty", "");
	facts_text(&facts, "null", NULL);
	facts_number(&facts, "number", 0);
	facts_number(&facts, "none", FACTS_NO_NUMBER);
	facts_time(&facts, "time", NOW_MS - 180000);
	facts_time(&facts, "never", FACTS_NO_NUMBER);
	facts_truth(&facts, "truth", true);
	facts_truth(&facts, "lie", false);
	assert_ok(facts_json(&facts, &out, &err), err);
	assert_string_equal(buf_str(&out), "\"text\":\"t\",\"empty\":null,\"null\":null,\"number\":0,\"none\":null,"
					   "\"time\":\"2026-11-20T11:57:00Z\",\"never\":null,\"truth\":true,\"lie\":false");

	static const char template[] =
		"{{text}}|{{empty}}|{{number}}|{{none}}|{{time}}|{{~time}}|{{~never}}|{{no such}}"
		"|{{?text}}|{{?empty}}|{{?number}}|{{?none}}|{{?never}}|{{?no such}}|{{}}|{{truth}}{{lie}}|{{not closed";
	buf_reset(&out);
	assert_ok(facts_html(&facts, template, strlen(template), &out, &err), err);
	assert_string_equal(
		buf_str(&out), "t||0||2026-11-20T11:57:00Z|3 min ago|||| hidden|| hidden| hidden| hidden||10|{{not closed");
}

// One of each kind, and characters that are escaped, in a template that ends with a mark.
static int write_all(bool as_json, size_t max_bytes, struct buf *out, struct error *err)
{
	static const char template[] = "<p{{?none}}>{{text}} {{~time}}, {{time}}, {{number}}</p>{{truth}}";
	struct facts facts = {.now_ms = NOW_MS};
	facts_text(&facts, "text", "a <b> \xe2\x80\xae c");
	facts_text(&facts, "none", NULL);
	facts_number(&facts, "number", 7);
	facts_time(&facts, "time", NOW_MS - 180000);
	facts_truth(&facts, "truth", true);
	buf_init(out, max_bytes);
	return as_json ? facts_json(&facts, out, err) : facts_html(&facts, template, strlen(template), out, err);
}

static void what_does_not_fit_is_an_error_wherever_it_ends(void **state)
{
	(void)state;
	for (int as_json = 0; as_json <= 1; as_json++) {
		struct error err = {0};
		AUTO(buf) struct buf whole;
		assert_ok(write_all(as_json, 4096, &whole, &err), err);
		for (size_t max_bytes = 0; max_bytes <= whole.len; max_bytes++) {
			struct error why = {0};
			AUTO(buf) struct buf part;
			int rc = write_all(as_json, max_bytes, &part, &why);
			if (rc != (max_bytes < whole.len ? -1 : 0) || (rc < 0 && strstr(why.text, "longer than") == NULL))
				fail_msg("%zu bytes of %zu: %d, %s", max_bytes, whole.len, rc, why.text);
		}
	}
}

static void more_facts_than_there_is_room_for_are_left_out(void **state)
{
	(void)state;
	struct facts facts = {0};
	for (int i = 0; i < FACTS_MAX + 2; i++)
		facts_number(&facts, "key", i);
	assert_int_equal(facts.count, FACTS_MAX);
	assert_int_equal(facts.list[FACTS_MAX - 1].number, FACTS_MAX - 1);
}

static void finding_by_words(void **state)
{
	(void)state;
	struct facts facts = {0};
	const struct {
		const char *words;
		bool is_found;
	} asked[] = {{"", true}, {"  ", true}, {"nauru", true}, {"NAURU disk", true}, {"disk  nauru ", true},
		{"nauru tape", false}, {"5", false}};
	facts_text(&facts, "namespace", "Nauru-prod");
	facts_text(&facts, "last_error", "no space on disk");
	facts_text(&facts, "next", NULL);
	facts_number(&facts, "failures", 5);
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		if (facts_match(&facts, asked[i].words) != asked[i].is_found)
			fail_msg("\"%s\"", asked[i].words);
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(whatever_strangers_write),
		cmocka_unit_test(kinds_and_their_absence),
		cmocka_unit_test(what_does_not_fit_is_an_error_wherever_it_ends),
		cmocka_unit_test(more_facts_than_there_is_room_for_are_left_out),
		cmocka_unit_test(finding_by_words),
	};
	return cmocka_run_group_tests_name("reconciler/facts", cases, NULL, NULL);
}
