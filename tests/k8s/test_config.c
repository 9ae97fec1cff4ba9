#include "base/buf.h"
#include "k8s/config_internal.h"
#include "tests/support/cmocka.h"
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_SIZE 256
#define VARIABLES_MAX 8

static char dir[] = "/tmp/test_k8s_config_XXXXXX";

static struct {
	const char *name;
	char value[2 * PATH_SIZE];
} variables[VARIABLES_MAX];

static const char *env(const char *name)
{
	for (size_t i = 0; i < VARIABLES_MAX; i++) {
		if (variables[i].name != NULL && strcmp(variables[i].name, name) == 0)
			return variables[i].value;
	}
	return NULL;
}

// value with every @ as the test's directory.
static void set(const char *name, const char *value)
{
	size_t i = 0;
	while (variables[i].name != NULL && strcmp(variables[i].name, name) != 0)
		i++;
	variables[i].name = name;
	variables[i].value[0] = '\0';
	for (char *to = variables[i].value; *value != '\0'; value++) {
		size_t room = sizeof(variables[i].value) - (size_t)(to - variables[i].value);
		to += snprintf(to, room, "%.*s", *value == '@' ? (int)strlen(dir) : 1, *value == '@' ? dir : value);
	}
}

static const char *in_dir(const char *name, char out[PATH_SIZE])
{
	(void)snprintf(out, PATH_SIZE, "%s/%s", dir, name);
	return out;
}

static void put(const char *name, const char *text)
{
	char path[PATH_SIZE];
	FILE *file = fopen(in_dir(name, path), "we");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
	assert_int_equal(fclose(file), 0);
}

static void make_dir(const char *name)
{
	char path[PATH_SIZE];
	assert_int_equal(mkdir(in_dir(name, path), 0700), 0);
}

static int begin(void **state)
{
	(void)state;
	memset(variables, 0, sizeof(variables));
	(void)snprintf(dir, sizeof(dir), "/tmp/test_k8s_config_XXXXXX");
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *at)
{
	(void)info;
	(void)type;
	(void)at;
	return remove(path);
}

static int end(void **state)
{
	(void)state;
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static int load(struct k8s_config **out, struct error *err)
{
	char account[PATH_SIZE];
	return k8s_config_load_at(env, in_dir("account", account), out, err);
}

static void put_account(void)
{
	make_dir("account");
	put("account/token", "t0ken\n");
	put("account/ca.crt", "the CA");
	put("account/namespace", "pgro-system\n");
}

static const char minimal[] = "clusters: [{name: c, cluster: {server: 'https://minimal.test:6443/'}}]\n"
			      "contexts: [{name: x, context: {cluster: c}}]\n"
			      "current-context: x\n";

// --- where it comes from ---

static void in_cluster_files_come_first(void **state)
{
	(void)state;
	AUTO(k8s_config) struct k8s_config *config = NULL;
	struct error err = {0};
	char path[PATH_SIZE];
	put_account();
	put("config", minimal);
	set("KUBERNETES_SERVICE_HOST", "10.96.0.1");
	set("KUBERNETES_SERVICE_PORT", "443");
	set("KUBECONFIG", "@/config");
	assert_ok(load(&config, &err), err);
	assert_string_equal(config->server, "https://10.96.0.1:443");
	assert_string_equal(config->ca_pem, "the CA");
	assert_string_equal(config->namespace, "pgro-system");
	assert_string_equal(config->token_file, in_dir("account/token", path));
	assert_null(config->token.bytes);
	assert_string_equal(config->ca_file, in_dir("account/ca.crt", path));
}

static void an_ipv6_address_gets_brackets(void **state)
{
	(void)state;
	AUTO(k8s_config) struct k8s_config *config = NULL;
	struct error err = {0};
	put_account();
	set("KUBERNETES_SERVICE_HOST", "fd00::1");
	set("KUBERNETES_SERVICE_PORT", "6443");
	assert_ok(load(&config, &err), err);
	assert_string_equal(config->server, "https://[fd00::1]:6443");
}

static void an_address_that_has_its_brackets_keeps_them(void **state)
{
	(void)state;
	AUTO(k8s_config) struct k8s_config *config = NULL;
	struct error err = {0};
	put_account();
	put("account/namespace", "\n");
	set("KUBERNETES_SERVICE_HOST", "[fd00::1]");
	set("KUBERNETES_SERVICE_PORT", "6443");
	assert_ok(load(&config, &err), err);
	assert_string_equal(config->server, "https://[fd00::1]:6443");
	assert_null(config->namespace);
}

static void a_variable_that_is_empty_is_none(void **state)
{
	(void)state;
	static const char *const rows[][2] = {{"", "443"}, {"10.96.0.1", ""}};
	put_account();
	put("config", minimal);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		AUTO(k8s_config) struct k8s_config *config = NULL;
		struct error err = {0};
		set("KUBERNETES_SERVICE_HOST", rows[i][0]);
		set("KUBERNETES_SERVICE_PORT", rows[i][1]);
		set("KUBECONFIG", "@/config");
		assert_ok(load(&config, &err), err);
		assert_string_equal(config->server, "https://minimal.test:6443");
		AUTO(k8s_config) struct k8s_config *none = NULL;
		set("KUBECONFIG", "");
		set("HOME", "");
		assert_error(load(&none, &err), err, ERROR_INVALID, "KUBECONFIG is not set");
	}
}

static void a_service_account_without_ca_is_an_error_that_names_the_file(void **state)
{
	(void)state;
	struct k8s_config *config = NULL;
	struct error err = {0};
	make_dir("account");
	put("account/token", "t0ken");
	set("KUBERNETES_SERVICE_HOST", "10.96.0.1");
	set("KUBERNETES_SERVICE_PORT", "443");
	assert_int_equal(load(&config, &err), -1);
	assert_non_null(strstr(err.text, "account/ca.crt"));
}

static void without_a_mounted_token_the_kubeconfig_is_taken(void **state)
{
	(void)state;
	AUTO(k8s_config) struct k8s_config *config = NULL;
	struct error err = {0};
	put("config", minimal);
	set("KUBERNETES_SERVICE_HOST", "10.96.0.1");
	set("KUBERNETES_SERVICE_PORT", "443");
	set("KUBECONFIG", "@/config");
	assert_ok(load(&config, &err), err);
	assert_string_equal(config->server, "https://minimal.test:6443");
}

static void the_home_directory_comes_last(void **state)
{
	(void)state;
	AUTO(k8s_config) struct k8s_config *config = NULL;
	struct error err = {0};
	make_dir("home");
	make_dir("home/.kube");
	put("home/.kube/config", minimal);
	set("HOME", "@/home");
	assert_ok(load(&config, &err), err);
	assert_string_equal(config->server, "https://minimal.test:6443");
	assert_null(config->ca_pem);
	assert_null(config->namespace);
	assert_null(config->token_file);

	struct k8s_config *none = NULL;
	set("KUBECONFIG", "@/absent:@/absent too");
	assert_error(load(&none, &err), err, ERROR_INVALID, "KUBECONFIG names no file that exists: /tmp/");
}

static void nothing_at_all_says_where_was_looked(void **state)
{
	(void)state;
	struct k8s_config *config = NULL;
	struct error err = {0};
	assert_error(load(&config, &err), err, ERROR_INVALID, "KUBECONFIG is not set, ~/.kube/config does not exist");
	set("HOME", "@/home");
	assert_error(load(&config, &err), err, ERROR_INVALID, "no way to the Kubernetes API");
}

// --- what a kubeconfig says ---

static void everything_inline(void **state)
{
	(void)state;
	AUTO(k8s_config) struct k8s_config *config = NULL;
	struct error err = {0};
	put("config",
		"apiVersion: v1\nkind: Config\npreferences: {}\n"
		"current-context: prod\n"
		"clusters:\n"
		"- name: other\n  cluster: {server: 'https://other.test'}\n"
		"- name: main\n  cluster:\n    server: https://main.test:6443\n"
		"    certificate-authority-data: VEhF\n      IENB\n"
		"    certificate-authority: not-read\n"
		"    tls-server-name: api.main.test\n    proxy-url: socks5://localhost:1080\n"
		"    insecure-skip-tls-verify: false\n"
		"users:\n"
		"- name: admin\n  user:\n    client-certificate-data: Q0VSVA==\n    client-key-data: S0VZ\n    token: t0ken\n"
		"contexts:\n"
		"- name: prod\n  context: {cluster: main, user: admin, namespace: pgro-system}\n");
	set("KUBECONFIG", "@/config");
	assert_ok(load(&config, &err), err);
	assert_string_equal(config->server, "https://main.test:6443");
	assert_string_equal(config->ca_pem, "THE CA");
	assert_string_equal(config->tls_server_name, "api.main.test");
	assert_string_equal(config->proxy_url, "socks5h://localhost:1080");
	assert_null(config->ca_file);
	assert_null(config->client_cert_file);
	assert_null(config->client_key_file);
	assert_null(config->exec);
	assert_string_equal(config->client_cert_pem, "CERT");
	assert_string_equal(secret_reveal(&config->client_key_pem), "KEY");
	assert_string_equal(secret_reveal(&config->token), "t0ken");
	assert_null(config->token_file);
	assert_string_equal(config->namespace, "pgro-system");
}

static void files_are_found_beside_the_kubeconfig(void **state)
{
	(void)state;
	AUTO(k8s_config) struct k8s_config *config = NULL;
	struct error err = {0};
	char path[PATH_SIZE];
	make_dir("sub");
	put("sub/ca.pem", "CA of the file");
	put("sub/cert.pem", "CERT of the file");
	put("key.pem", "KEY of the file");
	put("sub/config",
		"{\"current-context\":\"x\",\"contexts\":[{\"name\":\"x\",\"context\":{\"cluster\":\"c\",\"user\":\"u\"}}],"
		"\"clusters\":[{\"name\":\"c\",\"cluster\":{\"server\":\"http://127.0.0.1:8001\","
		"\"certificate-authority\":\"ca.pem\",\"proxy-url\":\"http://p:3128\"}}],"
		"\"users\":[{\"name\":\"u\",\"user\":{\"client-certificate\":\"cert.pem\",\"client-key\":\"../key.pem\","
		"\"tokenFile\":\"token\"}}]}");
	set("KUBECONFIG", "@/sub/config");
	assert_ok(load(&config, &err), err);
	assert_string_equal(config->server, "http://127.0.0.1:8001");
	assert_string_equal(config->ca_pem, "CA of the file");
	assert_string_equal(config->client_cert_pem, "CERT of the file");
	assert_string_equal(secret_reveal(&config->client_key_pem), "KEY of the file");
	assert_string_equal(config->token_file, in_dir("sub/token", path));
	assert_string_equal(config->proxy_url, "http://p:3128");
	assert_string_equal(config->ca_file, in_dir("sub/ca.pem", path));
	assert_string_equal(config->client_cert_file, in_dir("sub/cert.pem", path));
	assert_string_equal(config->client_key_file, in_dir("sub/../key.pem", path));
}

static void the_first_of_several_files_wins(void **state)
{
	(void)state;
	AUTO(k8s_config) struct k8s_config *config = NULL;
	struct error err = {0};
	put("empty", "");
	put("1", "current-context: ''\nusers: [{name: u, user: {token: first}}]\n");
	put("2", "current-context: b\ncontexts: [{name: b, context: {cluster: c, user: u}}]\n"
		 "users: [{name: u, user: {token: second}}]\n");
	put("3", "current-context: a\ncontexts: [{name: b, context: {cluster: other}}, {name: a, context: {cluster: other}}]\n"
		 "clusters: [{name: c, cluster: {server: 'https://c.test'}}]\n");
	set("KUBECONFIG", ":@/absent:@/empty:@/1:@/2:@/3");
	assert_ok(load(&config, &err), err);
	assert_string_equal(config->server, "https://c.test");
	assert_string_equal(secret_reveal(&config->token), "first");
}

static void a_context_that_is_named_counts(void **state)
{
	(void)state;
	AUTO(k8s_config) struct k8s_config *config = NULL;
	struct error err = {0};
	put("config", "current-context: a\ncontexts: [{name: a, context: {cluster: one}}, {name: b, context: {cluster: two, "
		      "namespace: n}}]\n"
		      "clusters: [{name: one, cluster: {server: 'https://one.test'}}, {name: two, cluster: {server: "
		      "'https://two.test'}}]\n");
	set("KUBECONFIG", "@/config");
	set(K8S_CONTEXT_VARIABLE, "b");
	assert_ok(load(&config, &err), err);
	assert_string_equal(config->server, "https://two.test");
	assert_string_equal(config->namespace, "n");
	set(K8S_CONTEXT_VARIABLE, "c");
	assert_error(load(&config, &err), err, ERROR_INVALID, "there is no context \"c\"");
}

struct bad_row {
	const char *label;
	const char *text;
	const char *part; // of the error, after "kubeconfig <path>: "
};

#define TAIL "contexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x\n"
#define CLUSTER "clusters: [{name: c, cluster: {server: 'https://c.test'}}]\n"

#define V1 "apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never"
#define V1BETA1 "apiVersion: client.authentication.k8s.io/v1beta1"

static const struct bad_row bad[] = {
	{"no YAML", "a: [1\nb: ]]", "line 2, column"},
	{"a NUL", "a: \x01", "column"},
	{"empty", "", "current-context is not set"},
	{"a list", "[]", ":1: is no mapping of clusters, contexts and users"},
	{"a text", "\n\nhush", ":3: is no mapping"},
	{"no context", CLUSTER, "current-context is not set"},
	{"a context that is missing", "current-context: prod\n" CLUSTER, "current-context \"prod\" is not defined"},
	{"a context that is a list", "current-context: []\n", "current-context is no text"},
	{"a context without a cluster", "current-context: x\ncontexts: [{name: x, context: {user: u}}]",
		"context \"x\": cluster is not set"},
	{"a context without anything", "current-context: x\ncontexts: [{name: x}]", "context \"x\": cluster is not set"},
	{"a cluster that is missing", TAIL, "context \"x\": cluster \"c\" is not defined"},
	{"a user that is missing", CLUSTER TAIL, "context \"x\": user \"u\" is not defined"},
	{"a cluster without a server", "clusters: [{name: c, cluster: {}}]\n" TAIL, "cluster \"c\": server is not set"},
	{"a server that is no URL", "clusters: [{name: c, cluster: {server: c.test}}]\n" TAIL,
		"cluster \"c\": server is no http or https URL"},
	{"a CA that is no base64",
		"clusters: [{name: c, cluster: {server: 'https://c', certificate-authority-data: '!!!!'}}]\n" TAIL,
		"cluster \"c\": certificate-authority-data is no base64"},
	{"a CA with a NUL", "clusters: [{name: c, cluster: {server: 'https://c', certificate-authority-data: QQBC}}]\n" TAIL,
		"cluster \"c\": certificate-authority-data holds a NUL"},
	{"a CA file that is missing",
		"clusters: [{name: c, cluster: {server: 'https://c', certificate-authority: absent.pem}}]\n" TAIL,
		"cluster \"c\": certificate-authority cannot be used: open /tmp/"},
	{"neither true nor false", "clusters: [{name: c, cluster: {server: 'https://c', insecure-skip-tls-verify: 1}}]\n" TAIL,
		"cluster \"c\": insecure-skip-tls-verify is \"1\", which is neither true nor false"},
	{"no verification", "clusters: [{name: c, cluster: {server: 'https://c', insecure-skip-tls-verify: true}}]\n" TAIL,
		":1: cluster \"c\": insecure-skip-tls-verify is not supported"},
	{"a proxy of another kind", "clusters: [{name: c, cluster: {server: 'https://c', proxy-url: 'ftp://u:hush@p'}}]\n" TAIL,
		"cluster \"c\": proxy-url is no URL of a proxy; allowed: http, https, socks5, socks5h"},
	{"clusters that are no list", "clusters: {c: 1}\n" TAIL, ":1: clusters is no list"},
	{"a cluster that is a text", "clusters: [c]\n" TAIL,
		":1: clusters holds an entry that is no mapping of name and cluster"},
	{"two users of one name", CLUSTER TAIL "users:\n- {name: u, user: {token: hush}}\n- {name: u}\n",
		":5: users holds \"u\" twice"},
	{"a user that is a text", CLUSTER TAIL "users:\n- name: u\n  user: hush\n", ":6: user \"u\" is no mapping"},
	{"someone to act as", CLUSTER TAIL "users: [{name: u, user: {token: hush, as: root}}]\n",
		"user \"u\": as is not supported"},
	{"groups to act as", CLUSTER TAIL "users: [{name: u, user: {token: hush, as-groups: [root]}}]\n",
		"user \"u\": as-groups is not supported"},
	{"an auth provider", CLUSTER TAIL "users: [{name: u, user: {auth-provider: {name: gcp}}}]\n",
		"user \"u\": auth-provider is not supported"},
	{"a password", CLUSTER TAIL "users: [{name: u, user: {username: root, password: hush}}]\n",
		"user \"u\": username is not supported"},
	{"a certificate without a key", CLUSTER TAIL "users: [{name: u, user: {client-certificate-data: Q0VSVA==}}]\n",
		"user \"u\": client-key is not set"},
	{"a key without a certificate", CLUSTER TAIL "users: [{name: u, user: {client-key-data: S0VZ}}]\n",
		"user \"u\": client-certificate is not set"},
	{"a token that is a map", CLUSTER TAIL "users: [{name: u, user: {token: {hush: 1}}}]\n", "user \"u\": token is no text"},
	{"a token with a NUL", CLUSTER TAIL "users: [{name: u, user: {token: \"hush\\0\"}}]\n", "user \"u\": token holds a NUL"},
};

// `exec` of the user, and what is wrong with it.
static const struct bad_row bad_exec[] = {
	{"no mapping", "aws", "user \"u\": exec is no mapping"},
	{"no apiVersion", "{command: aws}", "user \"u\": exec.apiVersion is not set; allowed: client.authentication.k8s.io/v1,"},
	{"an apiVersion of old", "{command: aws, apiVersion: client.authentication.k8s.io/v1alpha1}",
		"apiVersion of exec is \"client.authentication.k8s.io/v1alpha1\"; allowed: client.authentication.k8s.io/v1, "
		"client.authentication.k8s.io/v1beta1"},
	{"no command", "{" V1 "}", "user \"u\": exec.command is not set"},
	{"no interactiveMode", "{apiVersion: client.authentication.k8s.io/v1, command: aws}",
		"exec.interactiveMode is not set; allowed: Never, IfAvailable"},
	{"a terminal", "{" V1BETA1 ", command: aws, interactiveMode: Always}",
		"interactiveMode of exec is \"Always\", but there is no terminal here"},
	{"another mode", "{" V1BETA1 ", command: aws, interactiveMode: Sometimes}",
		"interactiveMode of exec is \"Sometimes\"; allowed: Never, IfAvailable"},
	{"arguments that are no list", "{" V1 ", command: aws, args: eks}", "user \"u\": args is no list"},
	{"an argument that is a map", "{" V1 ", command: aws, args: [{a: 1}]}", "args of exec holds an element that is no text"},
	{"a variable without a name", "{" V1 ", command: aws, env: [{value: hush}]}",
		"env of exec holds an element without a name"},
	{"a variable with =", "{" V1 ", command: aws, env: [{name: A=B, value: hush}]}",
		"env of exec holds an element without a name, or with = in it"},
	{"neither true nor false", "{" V1 ", command: aws, provideClusterInfo: yes}",
		"provideClusterInfo is \"yes\", which is neither true nor false"},
	{"beside a token", "{" V1 ", command: aws}, token: hush", "user \"u\": token is set beside exec"},
	{"beside a token file", "{" V1 ", command: aws}, tokenFile: f", "user \"u\": tokenFile is set beside exec"},
	{"beside a certificate", "{" V1 ", command: aws}, client-certificate-data: Q0VSVA==",
		"user \"u\": client-certificate-data is set beside exec"},
	{"beside a provider", "{" V1 ", command: aws}, auth-provider: {name: gcp}", "user \"u\": auth-provider is not supported"},
};

static void what_is_wrong_with_a_plugin_is_said_by_name(void **state)
{
	(void)state;
	char text[1024];
	char path[PATH_SIZE];
	set("KUBECONFIG", "@/config");
	for (size_t i = 0; i < sizeof(bad_exec) / sizeof(bad_exec[0]); i++) {
		struct error err = {0};
		AUTO(k8s_config) struct k8s_config *config = NULL;
		(void)snprintf(text, sizeof(text), CLUSTER TAIL "users:\n- {name: u, user: {exec: %s}}\n", bad_exec[i].text);
		put("config", text);
		print_message("# %s\n", bad_exec[i].label);
		assert_error(load(&config, &err), err, ERROR_INVALID, bad_exec[i].part);
		(void)snprintf(text, sizeof(text), "%s:5: ", in_dir("config", path));
		assert_non_null(strstr(err.text, text));
		assert_null(strstr(err.text, "hush"));
	}
}

static void a_plugin_is_read_whole(void **state)
{
	(void)state;
	AUTO(k8s_config) struct k8s_config *config = NULL;
	struct error err = {0};
	char path[PATH_SIZE];
	make_dir("sub");
	put("sub/config",
		TAIL "clusters:\n- name: c\n  cluster:\n    server: https://c.test:6443/\n    proxy-url: socks5://p:1\n"
		     "    tls-server-name: api.test\n    certificate-authority-data: VEhFIENB\n"
		     "    extensions:\n    - {name: other, extension: 1}\n    - name: client.authentication.k8s.io/exec\n"
		     "      extension: {audience: 06e3f, n: 7, quoted: '7', on: true, none: null, list: [a, {b: c}]}\n"
		     "users:\n- name: u\n  user:\n    exec:\n      apiVersion: client.authentication.k8s.io/v1\n"
		     "      command: ./bin/plugin\n      args: [get-token, --n, 1, '']\n"
		     "      env: [{name: PROFILE, value: prod}, {name: EMPTY, value: ''}]\n"
		     "      installHint: install it\n      provideClusterInfo: true\n      interactiveMode: IfAvailable\n");
	set("KUBECONFIG", "@/sub/config");
	assert_ok(load(&config, &err), err);
	assert_non_null(config->exec);
	assert_string_equal(config->exec->command, in_dir("sub/./bin/plugin", path));
	static const char *const args[] = {"get-token", "--n", "1", ""};
	for (size_t i = 0; i < 4; i++)
		assert_string_equal(config->exec->args[i], args[i]);
	assert_null(config->exec->args[4]);
	assert_string_equal(config->exec->env[0], "PROFILE=prod");
	assert_string_equal(config->exec->env[1], "EMPTY=");
	assert_null(config->exec->env[2]);
	assert_string_equal(config->exec->install_hint, "install it");
	assert_string_equal(config->exec->info,
		"{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"spec\":{\"cluster\":{"
		"\"certificate-authority-data\":\"VEhFIENB\",\"config\":{\"audience\":\"06e3f\",\"list\":[\"a\",{\"b\":\"c\"}],"
		"\"n\":7,\"none\":null,\"on\":true,\"quoted\":\"7\"},\"proxy-url\":\"socks5://p:1\",\"server\":\"https://"
		"c.test:6443\","
		"\"tls-server-name\":\"api.test\"},\"interactive\":false}}");
}

static void a_plugin_in_the_path_is_told_of_no_cluster_unless_it_asks(void **state)
{
	(void)state;
	AUTO(k8s_config) struct k8s_config *config = NULL;
	struct error err = {0};
	put("config", CLUSTER TAIL
		"users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: aws}}}]\n");
	set("KUBECONFIG", "@/config");
	assert_ok(load(&config, &err), err);
	assert_string_equal(config->exec->command, "aws");
	assert_null(config->exec->args[0]);
	assert_null(config->exec->install_hint);
	assert_string_equal(config->exec->info, "{\"apiVersion\":\"client.authentication.k8s.io/v1beta1\",\"kind\":"
						"\"ExecCredential\",\"spec\":{\"interactive\":false}}");
}

// An anchor that holds itself, and one that doubles on each line.
static void an_extension_without_end_is_refused(void **state)
{
	(void)state;
	static const char *const extensions[] = {
		"&a {self: *a}",
		"{a: &a [1, 1, 1, 1, 1, 1, 1, 1], b: &b [*a, *a, *a, *a, *a, *a, *a, *a], c: [*b, *b, *b, *b, *b, *b, *b, *b, "
		"*b, *b, *b, *b, *b, *b, *b, *b, *b]}",
	};
	for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++) {
		char text[1024];
		struct error err = {0};
		AUTO(k8s_config) struct k8s_config *config = NULL;
		(void)snprintf(text, sizeof(text),
			TAIL "clusters: [{name: c, cluster: {server: 'https://c', extensions: [{name: "
			     "client.authentication.k8s.io/exec, extension: %s}]}}]\n"
			     "users: [{name: u, user: {exec: {" V1 ", command: p, provideClusterInfo: true}}}]\n",
			extensions[i]);
		put("config", text);
		set("KUBECONFIG", "@/config");
		assert_error(load(&config, &err), err, ERROR_INVALID,
			"cluster \"c\": extension is deeper than 32 or has more than 1000 values");
	}
}

static void what_cannot_be_read_is_said_by_name(void **state)
{
	(void)state;
	AUTO(k8s_config) struct k8s_config *config = NULL;
	struct error err = {0};
	char path[PATH_SIZE];
	make_dir("config");
	set("KUBECONFIG", "@/config");
	assert_error(load(&config, &err), err, ERROR_INVALID, "kubeconfig: read /tmp/");
	assert_non_null(strstr(err.text, in_dir("config", path)));
	assert_int_equal(rmdir(path), 0);
	put("config", CLUSTER TAIL "users:\n- name: u\n  user:\n    client-key-data: S0VZ\n    client-certificate: absent.pem\n");
	assert_error(load(&config, &err), err, ERROR_INVALID, ":8: user \"u\": client-certificate cannot be used: open /tmp/");
}

static void what_is_wrong_is_said_by_name(void **state)
{
	(void)state;
	char path[PATH_SIZE];
	set("KUBECONFIG", "@/config");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct error err = {0};
		AUTO(k8s_config) struct k8s_config *config = NULL;
		put("config", bad[i].text);
		print_message("# %s\n", bad[i].label);
		assert_error(load(&config, &err), err, ERROR_INVALID, bad[i].part);
		assert_non_null(strstr(err.text, in_dir("config", path)));
		assert_null(strstr(err.text, "hush"));
	}
}

static void a_file_that_is_cut_does_no_harm(void **state)
{
	(void)state;
	static const char text[] =
		CLUSTER TAIL "users: [{name: u, user: {token: &t hush, client-key-data: S0VZ, client-certificate-data: "
			     "Q0VSVA==}}]\n";
	set("KUBECONFIG", "@/config");
	for (size_t len = 0; len < sizeof(text) - 3; len++) {
		char cut[sizeof(text)];
		struct error err = {0};
		AUTO(k8s_config) struct k8s_config *config = NULL;
		(void)snprintf(cut, sizeof(cut), "%.*s", (int)len, text);
		put("config", cut);
		if (load(&config, &err) == 0)
			fail_msg("the first %zu bytes were taken for the whole", len);
		assert_int_equal(err.kind, ERROR_INVALID);
		assert_null(strstr(err.text, "hush"));
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test_setup_teardown(in_cluster_files_come_first, begin, end),
		cmocka_unit_test_setup_teardown(an_ipv6_address_gets_brackets, begin, end),
		cmocka_unit_test_setup_teardown(an_address_that_has_its_brackets_keeps_them, begin, end),
		cmocka_unit_test_setup_teardown(a_variable_that_is_empty_is_none, begin, end),
		cmocka_unit_test_setup_teardown(a_service_account_without_ca_is_an_error_that_names_the_file, begin, end),
		cmocka_unit_test_setup_teardown(without_a_mounted_token_the_kubeconfig_is_taken, begin, end),
		cmocka_unit_test_setup_teardown(the_home_directory_comes_last, begin, end),
		cmocka_unit_test_setup_teardown(nothing_at_all_says_where_was_looked, begin, end),
		cmocka_unit_test_setup_teardown(everything_inline, begin, end),
		cmocka_unit_test_setup_teardown(files_are_found_beside_the_kubeconfig, begin, end),
		cmocka_unit_test_setup_teardown(the_first_of_several_files_wins, begin, end),
		cmocka_unit_test_setup_teardown(a_context_that_is_named_counts, begin, end),
		cmocka_unit_test_setup_teardown(what_is_wrong_is_said_by_name, begin, end),
		cmocka_unit_test_setup_teardown(what_is_wrong_with_a_plugin_is_said_by_name, begin, end),
		cmocka_unit_test_setup_teardown(what_cannot_be_read_is_said_by_name, begin, end),
		cmocka_unit_test_setup_teardown(a_plugin_is_read_whole, begin, end),
		cmocka_unit_test_setup_teardown(a_plugin_in_the_path_is_told_of_no_cluster_unless_it_asks, begin, end),
		cmocka_unit_test_setup_teardown(an_extension_without_end_is_refused, begin, end),
		cmocka_unit_test_setup_teardown(a_file_that_is_cut_does_no_harm, begin, end),
	};
	return cmocka_run_group_tests_name("k8s/config", cases, NULL, NULL);
}
