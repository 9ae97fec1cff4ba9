// pack: what goes in comes out, whatever the members hold.
#include "base/pack.h"
#include "base/uuid.h"
#include "tests/support/cmocka.h"
#include <stdlib.h>
#include <string.h>

enum colour { COLOUR_RED, COLOUR_BLUE };

struct thing {
	char id[UUID_TEXT_SIZE];
	char uid[64]; // may be no UUID
	char *name;
	char *other;
	enum colour colour;
	int64_t at_ms;
	int count;
	bool is_open;
	bool is_shut;
	int left_out; // no field of the shape
	char long_text[512];
};

static const struct pack_field fields[] = {
	PACK_FIELD(PACK_TEXT, struct thing, id),
	PACK_FIELD(PACK_TEXT, struct thing, uid),
	PACK_FIELD(PACK_STRING, struct thing, name),
	PACK_FIELD(PACK_STRING, struct thing, other),
	PACK_FIELD(PACK_INT, struct thing, colour),
	PACK_FIELD(PACK_INT64, struct thing, at_ms),
	PACK_FIELD(PACK_INT, struct thing, count),
	PACK_FIELD(PACK_BOOL, struct thing, is_open),
	PACK_FIELD(PACK_BOOL, struct thing, is_shut),
	PACK_FIELD(PACK_TEXT, struct thing, long_text),
};
static const struct pack_shape shape = PACK_SHAPE(struct thing, fields);

static char name[] = "a name";
static char empty[] = "";

#define ID "11111111-2222-4333-8444-5555aabbccdd"

static void same_text(const char *label, const char *wanted, const char *is)
{
	if ((wanted == NULL) != (is == NULL) || (wanted != NULL && strcmp(wanted, is) != 0))
		fail_msg("%s: \"%s\", expected \"%s\"", label, is == NULL ? "(null)" : is, wanted == NULL ? "(null)" : wanted);
}

static void what_goes_in_comes_out(void **state)
{
	(void)state;
	const struct {
		const char *label;
		struct thing thing;
	} rows[] = {
		{"nothing", {.count = 0}},
		{"a UUID", {.id = ID, .uid = ID}},
		{"no UUID", {.id = "11111111-2222-4333-8444-5555AABBCCDD", .uid = "u-1"}},
		{"36 characters that are none", {.uid = "11111111-2222-4333-8444_5555aabbccdd"}},
		{"a text that fills its room", {.uid = "123456789012345678901234567890123456789012345678901234567890123"}},
		{"strings", {.name = name, .other = empty}},
		{"the second string alone", {.other = name}},
		{"numbers", {.colour = COLOUR_BLUE, .at_ms = INT64_C(1795000000000), .count = 7}},
		{"negative", {.at_ms = -1, .count = -70000}},
		{"least", {.at_ms = INT64_MIN, .count = INT32_MIN}},
		{"most", {.at_ms = INT64_MAX, .count = INT32_MAX}},
		{"the last bit alone", {.is_shut = true}},
		{"both", {.is_open = true, .is_shut = true, .name = name}},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		struct pack *pack = NULL;
		struct thing out;
		const struct thing *in = &rows[i].thing;
		memset(&out, 0xee, sizeof(out));
		assert_ok(pack_make(&shape, in, &pack, &err), err);
		pack_open(&shape, pack, &out);
		same_text(rows[i].label, in->id, out.id);
		same_text(rows[i].label, in->uid, out.uid);
		same_text(rows[i].label, in->name, out.name);
		same_text(rows[i].label, in->other, out.other);
		if (in->colour != out.colour || in->at_ms != out.at_ms || in->count != out.count || in->is_open != out.is_open ||
			in->is_shut != out.is_shut)
			fail_msg("%s: a number or a flag came out changed", rows[i].label);
		assert_int_equal(out.left_out, 0);
		free(pack);
	}
}

static void a_text_of_any_length_comes_out(void **state)
{
	(void)state;
	struct thing in = {0};
	for (size_t len = 0; len < sizeof(in.long_text); len++) {
		struct error err = {0};
		struct pack *pack = NULL;
		struct thing out;
		memset(in.long_text, 'x', len);
		in.count = (int)len; // behind a text of one length is a number of another
		assert_ok(pack_make(&shape, &in, &pack, &err), err);
		pack_open(&shape, pack, &out);
		assert_int_equal(strlen(out.long_text), len);
		assert_int_equal(out.count, len);
		free(pack);
	}
}

static void equal_content_is_equal(void **state)
{
	(void)state;
	struct error err = {0};
	struct pack *a = NULL, *b = NULL, *c = NULL;
	struct thing thing = {.id = ID, .name = name, .left_out = 1};
	assert_ok(pack_make(&shape, &thing, &a, &err), err);
	thing.left_out = 2;
	assert_ok(pack_make(&shape, &thing, &b, &err), err);
	thing.count = 1;
	assert_ok(pack_make(&shape, &thing, &c, &err), err);
	assert_true(pack_equal(a, b));
	assert_false(pack_equal(a, c));
	assert_false(pack_equal(a, NULL));
	assert_false(pack_equal(NULL, NULL));
	free(a);
	free(b);
	free(c);
}

static void it_is_small(void **state)
{
	(void)state;
	struct error err = {0};
	struct pack *pack = NULL;
	struct thing thing = {.id = ID};
	assert_ok(pack_make(&shape, &thing, &pack, &err), err);
	assert_true(pack_size(pack) <= sizeof(*pack) + 2 + 1 + UUID_BYTES);
	free(pack);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(what_goes_in_comes_out),
		cmocka_unit_test(a_text_of_any_length_comes_out),
		cmocka_unit_test(equal_content_is_equal),
		cmocka_unit_test(it_is_small),
	};
	return cmocka_run_group_tests_name("base/pack", cases, NULL, NULL);
}
