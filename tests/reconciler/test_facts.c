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
	assert_ok(facts_json(&facts, &out, &err), err);
	assert_string_equal(buf_str(&out), "\"text\":\"t\",\"empty\":null,\"null\":null,\"number\":0,\"none\":null,"
					   "\"time\":\"2026-11-20T11:57:00Z\",\"never\":null,\"truth\":true");

	static const char template[] = "{{text}}|{{empty}}|{{number}}|{{none}}|{{time}}|{{~time}}|{{~never}}|{{no such}}"
				       "|{{?text}}|{{?empty}}|{{?number}}|{{?none}}|{{?never}}|{{?no such}}|{{not closed";
	buf_reset(&out);
	assert_ok(facts_html(&facts, template, strlen(template), &out, &err), err);
	assert_string_equal(
		buf_str(&out), "t||0||2026-11-20T11:57:00Z|3 min ago|||| hidden|| hidden| hidden| hidden|{{not closed");
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
		cmocka_unit_test(finding_by_words),
	};
	return cmocka_run_group_tests_name("reconciler/facts", cases, NULL, NULL);
}
