// What a failure becomes for the caller of the broker: an RFC 7807 body with a title by its status.
#include "base/json.h"
#include "canopy/problem.h"
#include "tests/support/cmocka.h"
#include <string.h>

static void every_status_has_its_title(void **state)
{
	(void)state;
	static const struct {
		int status;
		const char *title;
	} rows[] = {{400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"}, {404, "Not Found"},
		{405, "Method Not Allowed"}, {409, "Conflict"}, {410, "Gone"}, {411, "Length Required"},
		{413, "Content Too Large"}, {422, "Unprocessable Content"}, {429, "Too Many Requests"},
		{503, "Service Unavailable"}, {500, "Internal Server Error"}, {502, "Internal Server Error"}, {418, "Refused"}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error failure = {0}, err = {0};
		struct https_listener_answer answer = {0};
		AUTO(json) json_t *problem = NULL;
		buf_init(&answer.body, 4096);
		assert_int_equal(problem_set(&failure, rows[i].status, "it is %s", "so"), -1);
		problem_answer(&failure, &answer);
		assert_int_equal(answer.status, rows[i].status);
		assert_ok(json_parse(buf_str(&answer.body), answer.body.len, &problem, &err), err);
		assert_string_equal(json_find_str(problem, "title"), rows[i].title);
		assert_string_equal(json_find_str(problem, "detail"), "it is so");
		assert_int_equal(answer.retry_after_s > 0, rows[i].status == 429 || rows[i].status == 503);
		buf_fini(&answer.body);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_status_has_its_title)};
	return cmocka_run_group_tests_name("canopy/problem", tests, NULL, NULL);
}
