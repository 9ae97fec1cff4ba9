// hash_text: the published values of FNV-1a, since the brake keeps hashes beyond the life of a process.
#include "base/hash.h"
#include "tests/support/cmocka.h"

static void gives_the_published_values(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t hash;
	} rows[] = {
		{"", UINT64_C(0xcbf29ce484222325)},
		{"a", UINT64_C(0xaf63dc4c8601ec8c)},
		{"foobar", UINT64_C(0x85944171f73967e8)},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (hash_text(rows[i].text) != rows[i].hash)
			fail_msg("\"%s\"", rows[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {cmocka_unit_test(gives_the_published_values)};
	return cmocka_run_group_tests_name("base/hash", cases, NULL, NULL);
}
