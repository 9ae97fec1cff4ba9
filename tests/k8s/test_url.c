#include "k8s/url.h"
#include "tests/support/cmocka.h"
#include <string.h>

struct path_row {
	const struct k8s_resource *resource;
	const char *namespace;
	const char *name;
	const char *path; // NULL: refused
};

static const struct path_row paths[] = {
	{&K8S_NAMESPACE, NULL, NULL, "/api/v1/namespaces"},
	{&K8S_NAMESPACE, NULL, "a-1", "/api/v1/namespaces/a-1"},
	{&K8S_JOB, NULL, NULL, "/apis/batch/v1/jobs"},
	{&K8S_JOB, "a-1", NULL, "/apis/batch/v1/namespaces/a-1/jobs"},
	{&K8S_JOB, "a-1", "restore-1", "/apis/batch/v1/namespaces/a-1/jobs/restore-1"},
	{&K8S_ROLE_BINDING, "a-1", "system:x y", "/apis/rbac.authorization.k8s.io/v1/namespaces/a-1/rolebindings/system%3Ax%20y"},
	{&K8S_SECRET, "a-1", "\xc3\xbc?#%", "/api/v1/namespaces/a-1/secrets/%C3%BC%3F%23%25"},
	{&K8S_TOKEN_REVIEW, NULL, NULL, "/apis/authentication.k8s.io/v1/tokenreviews"},
	{&K8S_SECRET, NULL, "x", NULL},
	{&K8S_SECRET, "", "x", NULL},
	{&K8S_SECRET, "a", "", NULL},
	{&K8S_SECRET, "a", ".", NULL},
	{&K8S_SECRET, "a", "..", NULL},
	{&K8S_SECRET, "a/secrets", "x", NULL},
	{&K8S_NAMESPACE, NULL, "a/../b", NULL},
};

static void a_path_never_leads_elsewhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct error err = {0};
		AUTO(buf) struct buf url;
		buf_init(&url, K8S_URL_MAX);
		int rc = k8s_url_path(&url, paths[i].resource, paths[i].namespace, paths[i].name, &err);
		if (paths[i].path == NULL) {
			if (rc == 0)
				fail_msg("row %zu: %s was taken", i, buf_str(&url));
			continue;
		}
		assert_ok(rc, err);
		assert_string_equal(buf_str(&url), paths[i].path);
	}
}

static void a_query_is_encoded(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(buf) struct buf url;
	buf_init(&url, K8S_URL_MAX);
	assert_ok(buf_add_str(&url, "/x", &err), err);
	assert_ok(k8s_url_query(&url, "labelSelector", "pgro.bes.au/managed-by=pgro-canopy,a in (b)", &err), err);
	assert_ok(k8s_url_query(&url, "continue", "a+b/c==", &err), err);
	assert_string_equal(buf_str(&url),
		"/x?labelSelector=pgro.bes.au%2Fmanaged-by%3Dpgro-canopy%2Ca%20in%20%28b%29&continue=a%2Bb%2Fc%3D%3D");
}

// Each is an error where it does not fit, never a shorter path that leads elsewhere.
static void what_does_not_fit_is_an_error_at_every_length(void **state)
{
	(void)state;
	static const char path[] = "/apis/rbac.authorization.k8s.io/v1/namespaces/a-1/rolebindings/system%3Ax";
	static const char query[] = "?labelSelector=a%3Db%20c";
	for (size_t max = 0; max <= sizeof(path); max++) {
		struct error err = {0};
		AUTO(buf) struct buf url;
		buf_init(&url, max);
		int rc = k8s_url_path(&url, &K8S_ROLE_BINDING, "a-1", "system:x", &err);
		if ((rc == 0) != (max >= sizeof(path) - 1))
			fail_msg("%zu: %d %s", max, rc, buf_str(&url));
	}
	for (size_t max = 0; max <= sizeof(query); max++) {
		struct error err = {0};
		AUTO(buf) struct buf url;
		buf_init(&url, max);
		int rc = k8s_url_query(&url, "labelSelector", "a=b c", &err);
		if ((rc == 0) != (max >= sizeof(query) - 1))
			fail_msg("%zu: %d %s", max, rc, buf_str(&url));
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(a_path_never_leads_elsewhere),
		cmocka_unit_test(a_query_is_encoded),
		cmocka_unit_test(what_does_not_fit_is_an_error_at_every_length),
	};
	return cmocka_run_group_tests_name("k8s/url", cases, NULL, NULL);
}
