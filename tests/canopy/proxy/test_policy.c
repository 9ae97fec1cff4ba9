// What an engine may ask for, and in what form it goes on.
#include "canopy/proxy/policy.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <string.h>

static const struct {
	const char *label;
	const char *prefix;
	const char *method, *target;
	const char *denied; // a part of the reason; NULL: allowed
	const char *key, *query;
} rows[] = {
	{"object", "p/", "GET", "/bucket/p/k", NULL, "p/k", ""},
	{"HEAD", "p/", "HEAD", "/bucket/p/k", NULL, "p/k", ""},
	{"operation named", "p/", "GET", "/bucket/p/k?x-id=GetObject", NULL, "p/k", "x-id=GetObject"},
	{"no prefix", NULL, "GET", "/bucket/any/where", NULL, "any/where", ""},
	{"prefix without slash", "p", "GET", "/bucket/p/k", NULL, "p/k", ""},
	{"prefix with slash before", "/p", "GET", "/bucket/p/k", NULL, "p/k", ""},
	{"encoded once again", "p/", "GET", "/bucket/p/a%20b=%e2%82%ac+~", NULL, "p/a%20b%3D%E2%82%AC%2B~", ""},
	{"encoded slash", "p/", "GET", "/bucket/p%2Fk", NULL, "p/k", ""},
	{"encoded twice stays so", "p/", "GET", "/bucket/p/%252e%252e/k", NULL, "p/%252e%252e/k", ""},
	{"dots in a name", "p/", "GET", "/bucket/p/..k/a...b", NULL, "p/..k/a...b", ""},
	{"location", "p/", "GET", "/bucket/?location=", NULL, "", "location="},
	{"location without =", "p/", "GET", "/bucket?location", NULL, "", "location="},
	{"list", "p/", "GET", "/bucket/?prefix=p%2Fx&list-type=2&delimiter=%2F", NULL, "",
		"delimiter=%2F&list-type=2&prefix=p%2Fx"},
	{"list v1", "p/", "GET", "/bucket/?prefix=p/&marker=p/a", NULL, "", "marker=p%2Fa&prefix=p%2F"},
	{"continuation token", "p/", "GET", "/bucket/?list-type=2&continuation-token=a%2Bb%2Fc%3D%3D&prefix=p%2F", NULL, "",
		"continuation-token=a%2Bb%2Fc%3D%3D&list-type=2&prefix=p%2F"},
	{"plus is a blank in a query", "p/", "GET", "/bucket/?prefix=p/a+b", NULL, "", "prefix=p%2Fa%20b"},
	{"list of all without prefix", NULL, "GET", "/bucket/?list-type=2", NULL, "", "list-type=2"},

	{"PUT", "p/", "PUT", "/bucket/p/k", "only reads", NULL, NULL},
	{"POST", "p/", "POST", "/bucket/p/k?uploads", "only reads", NULL, NULL},
	{"DELETE", "p/", "DELETE", "/bucket/p/k", "only reads", NULL, NULL},
	{"method in other case", "p/", "get", "/bucket/p/k", "only reads", NULL, NULL},
	{"CONNECT", "p/", "CONNECT", "evil:443", "only reads", NULL, NULL},
	{"absolute form", "p/", "GET", "http://evil/bucket/p/k", "no path", NULL, NULL},
	{"asterisk", "p/", "GET", "*", "no path", NULL, NULL},
	{"other bucket", "p/", "GET", "/other/p/k", "bucket", NULL, NULL},
	{"bucket that begins alike", "p/", "GET", "/bucket2/p/k", "bucket", NULL, NULL},
	{"bucket cut short", "p/", "GET", "/bucke", "bucket", NULL, NULL},
	{"all buckets", "p/", "GET", "/", "bucket", NULL, NULL},
	{"other prefix", "p/", "GET", "/bucket/q/k", "prefix", NULL, NULL},
	{"prefix that begins alike", "p", "GET", "/bucket/p2/k", "prefix", NULL, NULL},
	{"the prefix itself", "p", "GET", "/bucket/p", "prefix", NULL, NULL},
	{"dot dot", "p/", "GET", "/bucket/p/../q/k", "dot segment", NULL, NULL},
	{"dot dot encoded", "p/", "GET", "/bucket/p/%2e%2E/q", "dot segment", NULL, NULL},
	{"dot dot with encoded slash", "p/", "GET", "/bucket/p/..%2fq", "dot segment", NULL, NULL},
	{"dot dot at the end", "p/", "GET", "/bucket/p/..", "dot segment", NULL, NULL},
	{"dot", "p/", "GET", "/bucket/p/./k", "dot segment", NULL, NULL},
	{"dot dot to another bucket", "p/", "GET", "/bucket/../other/k", "dot segment", NULL, NULL},
	{"two slashes", "p/", "GET", "/bucket/p//k", "empty segment", NULL, NULL},
	{"two slashes first", "p/", "GET", "//bucket/p/k", "bucket", NULL, NULL},
	{"backslash", "p/", "GET", "/bucket/p/..%5Cq", "not allowed", NULL, NULL},
	{"NUL", "p/", "GET", "/bucket/p/k%00.txt", "percent-encoding", NULL, NULL},
	{"delete character", "p/", "GET", "/bucket/p/%7f", "not allowed", NULL, NULL},
	{"half an escape", "p/", "GET", "/bucket/p/%2z", "percent-encoding", NULL, NULL},
	{"line end", "p/", "GET", "/bucket/p/k%0d%0ax:y", "not allowed", NULL, NULL},
	{"broken encoding", "p/", "GET", "/bucket/p/%zz", "percent-encoding", NULL, NULL},
	{"encoding cut short", "p/", "GET", "/bucket/p/k%2", "percent-encoding", NULL, NULL},
	{"fragment", "p/", "GET", "/bucket/p/k#f", "fragment", NULL, NULL},
	{"acl", "p/", "GET", "/bucket/p/k?acl", "only its content", NULL, NULL},
	{"other version", "p/", "GET", "/bucket/p/k?versionId=1", "only its content", NULL, NULL},
	{"presigned", "p/", "GET", "/bucket/p/k?X-Amz-Signature=00", "only its content", NULL, NULL},
	{"bucket policy", "p/", "GET", "/bucket/?policy", "location and listings", NULL, NULL},
	{"location and more", "p/", "GET", "/bucket/?location&policy", "location and listings", NULL, NULL},
	{"bare bucket", NULL, "GET", "/bucket/", "location and listings", NULL, NULL},
	{"HEAD of the bucket", "p/", "HEAD", "/bucket/", "location and listings", NULL, NULL},
	{"versions", "p/", "GET", "/bucket/?versions&prefix=p/", "location and listings", NULL, NULL},
	{"list without prefix", "p/", "GET", "/bucket/?list-type=2", "listing", NULL, NULL},
	{"list of another prefix", "p/", "GET", "/bucket/?list-type=2&prefix=q/", "listing", NULL, NULL},
	{"list of a shorter prefix", "p/", "GET", "/bucket/?list-type=2&prefix=p", "listing", NULL, NULL},
	{"two prefixes", "p/", "GET", "/bucket/?prefix=p/&prefix=q/", "location and listings", NULL, NULL},
	{"two prefixes, one encoded", "p/", "GET", "/bucket/?prefix=p/&pre%66ix=q/", "location and listings", NULL, NULL},
	{"other kind of list", "p/", "GET", "/bucket/?list-type=3&prefix=p/", "unknown type", NULL, NULL},
	{"too many parameters", "p/", "GET", "/bucket/?a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q", "parameters", NULL, NULL},
};

static void a_restore_only_reads_and_only_its_own(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct policy policy = {.bucket = "bucket", .prefix = rows[i].prefix};
		const struct head_request request = {
			.method = {rows[i].method, strlen(rows[i].method)}, .target = {rows[i].target, strlen(rows[i].target)}};
		struct policy_request what = {0};
		struct error err = {0};
		int rc = policy_check(&policy, &request, &what, &err);
		if (rows[i].denied != NULL && (rc == 0 || strstr(err.text, rows[i].denied) == NULL))
			fail_msg("%s: %s", rows[i].label, rc == 0 ? "allowed" : err.text);
		if (rows[i].denied == NULL && rc != 0)
			fail_msg("%s: %s", rows[i].label, err.text);
		if (rc == 0 && (strcmp(buf_str(&what.key), rows[i].key) != 0 || strcmp(buf_str(&what.query), rows[i].query) != 0))
			fail_msg("%s: \"%s\" ? \"%s\"", rows[i].label, buf_str(&what.key), buf_str(&what.query));
		assert_int_equal(what.is_head, strcmp(rows[i].method, "HEAD") == 0);
		policy_request_fini(&what);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_restore_only_reads_and_only_its_own)};
	return cmocka_run_group_tests_name("proxy/policy", tests, NULL, NULL);
}
