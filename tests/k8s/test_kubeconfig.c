// What a kubeconfig may not be: each key of a wrong kind is named with its file, line and entry; lists and files have their
// limits.
#include "base/buf.h"
#include "k8s/config_internal.h"
#include "tests/support/cmocka.h"
#include "tests/support/scratch.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONTEXT "current-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n"
#define CLUSTER "clusters: [{name: c, cluster: {server: 'https://c.test'}}]\n"
#define CLUSTER_WITH(members) CONTEXT "clusters: [{name: c, cluster: {server: 'https://c', " members "}}]\n" ASKING
#define V1 "apiVersion: client.authentication.k8s.io/v1, command: p"
#define USER_EXEC(members) CONTEXT CLUSTER "users: [{name: u, user: {exec: {" members "}}}]\n"
#define ASKING "users: [{name: u, user: {exec: {" V1 ", interactiveMode: Never, provideClusterInfo: true}}}]\n"
#define EXTENSION(text) CLUSTER_WITH("extensions: [{name: client.authentication.k8s.io/exec, extension: " text "}]")

static const char *kubeconfig;
static const char *context_name;

static const char *env(const char *name)
{
	if (strcmp(name, "KUBECONFIG") == 0)
		return kubeconfig;
	return strcmp(name, K8S_CONTEXT_VARIABLE) == 0 ? context_name : NULL;
}

static const char *put(const char *name, const char *text)
{
	return scratch_write(name, text, strlen(text));
}

static void assert_refused(const char *label, const char *part)
{
	struct error err = {0};
	AUTO(k8s_config) struct k8s_config *config = NULL;
	int rc = k8s_config_load(env, &config, &err);
	if (rc == 0 || err.kind != ERROR_INVALID || strstr(err.text, part) == NULL)
		fail_msg("%s: %s", label, rc == 0 ? "taken" : err.text);
	assert_null(strstr(err.text, "hush"));
}

static const struct {
	const char *text, *part;
} rows[] = {
	{"current-context: x\ncontexts: {x: 1}\n", ":2: contexts is no list"},
	{"current-context: x\ncontexts: [{name: x, context: {cluster: [c], user: u}}]\n", "context \"x\": cluster is no text"},
	{"current-context: x\n" CLUSTER "contexts: [{name: x, context: {cluster: c, user: [u]}}]\n",
		"context \"x\": user is no text"},
	{"current-context: x\n" CLUSTER "contexts: [{name: x, context: {cluster: c, namespace: [n]}}]\n",
		"context \"x\": namespace is no text"},
	{CLUSTER_WITH("proxy-url: [hush]"), "cluster \"c\": proxy-url is no text"},
	{CLUSTER_WITH("tls-server-name: [hush]"), "cluster \"c\": tls-server-name is no text"},
	{CLUSTER_WITH("insecure-skip-tls-verify: [true]"), "cluster \"c\": insecure-skip-tls-verify is no text"},
	{CLUSTER_WITH("certificate-authority: [f]"), "cluster \"c\": certificate-authority is no text"},
	{CLUSTER_WITH("certificate-authority-data: [Q0E=]"), "cluster \"c\": certificate-authority-data is no text"},
	{CLUSTER_WITH("certificate-authority: /dev/null/x"),
		"certificate-authority cannot be used: open /dev/null/x: Not a directory"},
	{CLUSTER_WITH("extensions: {a: 1}"), "cluster \"c\": extensions is no list"},
	{CLUSTER_WITH("extensions: [{name: [a]}]"), "cluster \"c\": name is no text"},
	{EXTENSION("{? [a] : b}"), "cluster \"c\": extension has a key that is no text"},
	{EXTENSION("[a, {? {b: c} : d}]"), "cluster \"c\": extension has a key that is no text"},
	{USER_EXEC("apiVersion: [v1]"), "user \"u\": apiVersion is no text"},
	{USER_EXEC(V1 ", interactiveMode: [Never]"), "user \"u\": interactiveMode is no text"},
	{USER_EXEC("apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: [p]"),
		"user \"u\": command is no text"},
	{USER_EXEC(V1 ", interactiveMode: Never, args: [\"hush\\0\"]"), "args of exec holds an element that is no text"},
	{USER_EXEC(V1 ", interactiveMode: Never, env: {a: b}"), "user \"u\": env is no list"},
	{USER_EXEC(V1 ", interactiveMode: Never, env: [{name: [a]}]"), "user \"u\": name is no text"},
	{USER_EXEC(V1 ", interactiveMode: Never, env: [{name: a, value: [hush]}]"), "user \"u\": value is no text"},
	{USER_EXEC(V1 ", interactiveMode: Never, installHint: [a]"), "user \"u\": installHint is no text"},
};

static void a_key_of_a_wrong_kind_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		kubeconfig = put("config", rows[i].text);
		assert_refused(rows[i].text, rows[i].part);
	}
}

// Of one more than there may be.
static void assert_list_ends(const char *before, const char *element, const char *after, const char *part)
{
	struct error err = {0};
	AUTO(buf) struct buf text;
	buf_init(&text, 1 << 16);
	assert_ok(buf_addf(&text, &err, "%s", before), err);
	for (int i = 0; i < 257; i++)
		assert_ok(buf_addf(&text, &err, "%s%s", i == 0 ? "" : ", ", element), err);
	assert_ok(buf_addf(&text, &err, "%s", after), err);
	kubeconfig = put("config", buf_str(&text));
	if (part != NULL) {
		assert_refused(before, part);
		return;
	}
	AUTO(k8s_config) struct k8s_config *config = NULL;
	assert_ok(k8s_config_load(env, &config, &err), err);
}

static void lists_have_an_end(void **state)
{
	(void)state;
	static const char exec[] = CONTEXT CLUSTER "users: [{name: u, user: {exec: {" V1 ", interactiveMode: Never, ";
	char before[512];
	(void)snprintf(before, sizeof(before), "%sargs: [", exec);
	assert_list_ends(before, "a", "]}}}]\n", "user \"u\": args of exec has more than 256 elements");
	(void)snprintf(before, sizeof(before), "%senv: [", exec);
	assert_list_ends(before, "{name: A, value: hush}", "]}}}]\n", "user \"u\": env of exec has more than 256 elements");
	// What stands behind so many that are not for us is not looked for.
	assert_list_ends(CONTEXT "clusters: [{name: c, cluster: {server: 'https://c', extensions: [", "{name: other}",
		"]}}]\n" ASKING, NULL);
}

static void there_may_be_so_many_files(void **state)
{
	(void)state;
	struct error err = {0};
	AUTO(buf) struct buf list;
	const char *path = put("config", CONTEXT CLUSTER);
	buf_init(&list, 1 << 16);
	for (int i = 0; i < 65; i++)
		assert_ok(buf_addf(&list, &err, "%s%s", i == 0 ? "" : ":", path), err);
	kubeconfig = buf_str(&list);
	assert_refused("65 files", "KUBECONFIG names more than 64 files");
}

// Neither says anything, and the next is looked into.
static void empty_files_and_members_that_are_null_are_passed_over(void **state)
{
	(void)state;
	struct error err = {0};
	char list[1024];
	AUTO(k8s_config) struct k8s_config *config = NULL;
	const char *empty = put("empty", "");
	const char *null = put("null", "current-context: ~\nclusters: null\nusers: ~\n");
	const char *whole = put("config", CONTEXT "clusters: [{name: c, cluster: {server: 'https://c.test/'}}]\n"
						  "users: [{name: u, user: {token: ''}}]\n");
	(void)snprintf(list, sizeof(list), ":%s:%s:%s", empty, null, whole);
	kubeconfig = list;
	assert_ok(k8s_config_load(env, &config, &err), err);
	assert_string_equal(config->server, "https://c.test");
	assert_null(config->token.bytes);
}

static void a_link_to_itself_is_for_a_person_to_mend(void **state)
{
	(void)state;
	char path[512];
	(void)snprintf(path, sizeof(path), "%s.link", put("config", ""));
	(void)unlink(path);
	assert_int_equal(symlink(path, path), 0);
	kubeconfig = path;
	assert_refused("a loop", "Too many levels of symbolic links");
	assert_int_equal(unlink(path), 0);
}

static void a_named_context_in_contexts_that_are_none_is_named(void **state)
{
	(void)state;
	kubeconfig = put("config", "contexts: {x: 1}\n" CLUSTER);
	context_name = "x";
	assert_refused("contexts", ":1: contexts is no list");
	context_name = "";
	assert_refused("an empty name is none", "current-context is not set");
	context_name = NULL;
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(a_key_of_a_wrong_kind_is_named),
		cmocka_unit_test(lists_have_an_end),
		cmocka_unit_test(there_may_be_so_many_files),
		cmocka_unit_test(empty_files_and_members_that_are_null_are_passed_over),
		cmocka_unit_test(a_link_to_itself_is_for_a_person_to_mend),
		cmocka_unit_test(a_named_context_in_contexts_that_are_none_is_named),
	};
	return cmocka_run_group_tests_name("k8s/kubeconfig", cases, NULL, NULL);
}
