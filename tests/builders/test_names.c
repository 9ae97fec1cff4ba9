#include "builders/names.h"
#include "tests/support/cmocka.h"
#include <string.h>

// Expected by sha256sum over "<snapshot id>\n<attempt>".
static void a_round_key_is_the_hash_of_snapshot_and_attempt(void **state)
{
	(void)state;
	static const struct {
		const char *snapshot_id;
		int attempt;
		const char *key;
	} rows[] = {
		{"8c2b5ef5d1d5a3c2", 1, "5acb1973"},
		{"8c2b5ef5d1d5a3c2", 2, "2a792754"},
		{"k1234", 12, "0d8ae3c4"},
		{"", 0, "c7757c08"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct error err = {0};
		char key[ROUND_KEY_SIZE];
		assert_ok(round_key(rows[i].snapshot_id, rows[i].attempt, key, &err), err);
		assert_string_equal(key, rows[i].key);
	}
}

static void a_long_snapshot_id_has_a_key_too(void **state)
{
	(void)state;
	struct error err = {0};
	char snapshot_id[100001];
	char key[ROUND_KEY_SIZE];
	memset(snapshot_id, 'x', sizeof snapshot_id - 1);
	snapshot_id[sizeof snapshot_id - 1] = '\0';
	assert_ok(round_key(snapshot_id, 2147483647, key, &err), err);
	assert_int_equal(strlen(key), 8);
}

static void objects_of_a_round_end_in_its_key(void **state)
{
	(void)state;
	char name[OBJECT_NAME_SIZE];
	name_restore("0a1b2c3d", name);
	assert_string_equal(name, "restore-0a1b2c3d");
	name_pvc("0a1b2c3d", name);
	assert_string_equal(name, "pgdata-0a1b2c3d");
	name_deployment("0a1b2c3d", name);
	assert_string_equal(name, "postgres-0a1b2c3d");
}

#define A63 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggg"

static void texts_become_label_values(void **state)
{
	(void)state;
	static const struct {
		const char *label, *text, *value;
	} rows[] = {
		{"as it is", "postgresql", "postgresql"},
		{"inner signs", "a-b_c.d", "a-b_c.d"},
		{"upper case and digits", "PG15", "PG15"},
		{"empty", "", ""},
		{"a space", "postgresql physical", "postgresql-physical"},
		{"signs at the ends", "-_.x.y._-", "x.y"},
		{"nothing that may stay", " /日本/ ", ""},
		{"bytes of UTF-8", "né", "n"},
		{"bytes of UTF-8 inside", "né1", "n--1"},
		{"as long as can be", A63, A63},
		{"one too long", A63 "h", A63},
		{"cut at a sign", "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgg.h",
			"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgg"},
		{"a newline", "a\nb", "a-b"},
		{"signs beside the letters", "a{b[c`d@e:f/g", "a-b-c-d-e-f-g"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char value[LABEL_VALUE_SIZE];
		bool whole = label_value(rows[i].text, value);
		if (strcmp(value, rows[i].value) != 0 || whole != (strcmp(rows[i].text, rows[i].value) == 0))
			fail_msg("%s: \"%s\" became \"%s\" (whole: %d), expected \"%s\"", rows[i].label, rows[i].text, value,
				whole, rows[i].value);
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(a_round_key_is_the_hash_of_snapshot_and_attempt),
		cmocka_unit_test(a_long_snapshot_id_has_a_key_too),
		cmocka_unit_test(objects_of_a_round_end_in_its_key),
		cmocka_unit_test(texts_become_label_values),
	};
	return cmocka_run_group_tests_name("builders/names", cases, NULL, NULL);
}
