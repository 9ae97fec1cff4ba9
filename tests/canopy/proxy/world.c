#include "tests/canopy/proxy/world.h"

#include "base/clock.h"
#include "base/file.h"
#include "tests/support/cmocka.h"
#include "tests/support/scratch.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define POSTS_MAX 64
#define SETTINGS_MAX 64

struct post {
	char path[128];
	char body[1024];
};

struct world {
	struct world_options options;
	struct raw_server *broker;
	struct raw_server *s3;
	struct config config;
	struct proxy *proxy;
	pthread_t thread;
	bool is_running;
	size_t descriptors; // open before the world was
	atomic_int broker_calls;
	pthread_mutex_t lock; // guards posts
	struct post posts[POSTS_MAX];
	size_t post_count;
};

static struct pki_cert ca;
static struct pki_cert s3_cert;
static const char *ca_file;
static const char *settings[2 * SETTINGS_MAX + 1]; // that the proxy in hand is read from

#define DESCRIPTORS_TRIES 10000 // 10 s
#define DESCRIPTORS_PAUSE_US 1000

static size_t open_descriptors(void)
{
	size_t count = 0;
	DIR *dir = opendir("/proc/self/fd");
	while (dir != NULL && readdir(dir) != NULL)
		count++;
	(void)closedir(dir);
	return count;
}

const struct pki_cert *world_ca(void)
{
	if (ca.cert_pem == NULL) {
		ca = pki_make_ca("world CA");
		ca_file = scratch_write("ca.crt", ca.cert_pem, strlen(ca.cert_pem));
	}
	return &ca;
}

const char *world_ca_file(void)
{
	(void)world_ca();
	return ca_file;
}

__attribute__((destructor)) static void release_ca(void)
{
	pki_cert_fini(&ca);
	pki_cert_fini(&s3_cert);
}

const struct raw_server_tls *world_tls(const char *san)
{
	static struct raw_server_tls tls;
	pki_cert_fini(&s3_cert);
	s3_cert = pki_make_leaf(world_ca(), "s3", san);
	tls = (struct raw_server_tls){.cert_pem = s3_cert.cert_pem, .key_pem = s3_cert.key_pem};
	return &tls;
}

void world_nap(void)
{
	const struct timespec nap = {.tv_nsec = 2000000};
	(void)nanosleep(&nap, NULL);
}

void world_answer_json(int status, const char *body, char *out, size_t size)
{
	(void)snprintf(
		out, size, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", status, strlen(body), body);
}

void world_good_keys(int n, int seconds, char *out, size_t size)
{
	char body[512];
	char expires[CLOCK_TEXT_SIZE];
	clock_format(clock_wall_ms() + (int64_t)seconds * 1000, expires);
	(void)snprintf(body, sizeof(body),
		"{\"Version\":1,\"AccessKeyId\":\"AKID%d\",\"SecretAccessKey\":\"SECRETSECRET%d\",\"SessionToken\":\"TOKENTOKEN%"
		"d\","
		"\"Expiration\":\"%s\"}",
		n, n, n, expires);
	world_answer_json(200, body, out, size);
}

static int keep_post(struct world *w, const char *request)
{
	const char *path = strchr(request, ' ');
	const char *body = strstr(request, "\r\n\r\n");
	(void)pthread_mutex_lock(&w->lock);
	if (path != NULL && body != NULL && w->post_count < POSTS_MAX) {
		struct post *post = &w->posts[w->post_count++];
		(void)snprintf(post->path, sizeof(post->path), "%.*s", (int)strcspn(path + 1, " "), path + 1);
		(void)snprintf(post->body, sizeof(post->body), "%s", body + 4);
	}
	int count = (int)w->post_count;
	(void)pthread_mutex_unlock(&w->lock);
	return count;
}

static void broker_script(void *arg, struct raw_connection *connection, int number)
{
	struct world *w = arg;
	char request[WORLD_TEXT_MAX];
	char answer[4096];
	(void)number;
	if (!raw_read_request(connection, request, sizeof(request)))
		return;
	if (strstr(request, "Authorization: Bearer test-token\r\n") == NULL) {
		world_answer_json(401, "{\"title\":\"Unauthorized\"}", answer, sizeof(answer));
	} else if (strncmp(request, "POST /internal/restore-creds ", 29) == 0 &&
		   strstr(request, "\r\n\r\n{\"group\":\"g\",\"type\":\"t\"}") != NULL) {
		int n = atomic_fetch_add(&w->broker_calls, 1) + 1;
		if (w->options.broker != NULL)
			w->options.broker(n, answer, sizeof(answer));
		else
			world_good_keys(n, 3600, answer, sizeof(answer));
	} else {
		int n = keep_post(w, request);
		world_answer_json(w->options.post_status == NULL ? 200 : w->options.post_status(n), "", answer, sizeof(answer));
	}
	raw_write(connection, answer);
}

static const char *read_setting(const char *name)
{
	const char *found = NULL;
	for (size_t i = 0; settings[i] != NULL; i += 2) {
		if (strcmp(settings[i], name) == 0)
			found = settings[i + 1]; // the last counts
	}
	return found;
}

static void *run(void *arg)
{
	struct world *w = arg;
	struct error err = {0};
	if (proxy_run(w->proxy, &err) < 0)
		(void)fprintf(stderr, "# proxy: %s\n", err.text);
	return NULL;
}

static struct raw_server *start_broker(struct world *w)
{
	struct pki_cert leaf = pki_make_leaf(world_ca(), "broker", "IP:127.0.0.1");
	const struct raw_server_tls tls = {.cert_pem = leaf.cert_pem, .key_pem = leaf.key_pem};
	struct raw_server *server = raw_server_start(broker_script, w, &tls);
	pki_cert_fini(&leaf);
	return server;
}

static void read_settings(struct world *w)
{
	static char broker_url[64], stats_url[96], progress_url[96], endpoint[64];
	struct error err = {0};
	int s3_port = w->s3 != NULL ? raw_server_port(w->s3) : w->options.s3_port;
	(void)snprintf(broker_url, sizeof(broker_url), "https://127.0.0.1:%d", raw_server_port(w->broker));
	(void)snprintf(stats_url, sizeof(stats_url), "%s/stats", broker_url);
	(void)snprintf(progress_url, sizeof(progress_url), "%s/progress", broker_url);
	(void)snprintf(endpoint, sizeof(endpoint), "http%s://127.0.0.1:%d", w->options.s3_tls != NULL ? "s" : "", s3_port);
	const char *const usual[] = {"PGRO_BROKER_URL", broker_url, "PGRO_BROKER_CA_FILE", world_ca_file(), "PGRO_TOKEN_FILE",
		scratch_write("token", "test-token\n", 11), "PGRO_GROUP", "g", "PGRO_TYPE", "t", "PGRO_REGION", "us-east-1",
		"PGRO_BUCKET", "bucket", "PGRO_PREFIX", "p/", "S3_ENDPOINT", endpoint, "S3_CA_FILE", world_ca_file(),
		"PGRO_PORT_FILE", scratch_absent(), "PGRO_STATS_CALLBACK_URL", stats_url, "PGRO_PROGRESS_CALLBACK_URL",
		progress_url, "PGRO_RUN_ID", "run-1", NULL};
	size_t count = 0;
	for (size_t i = 0; usual[i] != NULL; i++)
		settings[count++] = usual[i];
	for (size_t i = 0; w->options.settings != NULL && w->options.settings[i] != NULL; i++)
		settings[count++] = w->options.settings[i];
	settings[count] = NULL;
	assert_ok(config_read(read_setting, &w->config, &err), err);
	w->config.drain_ms = 500;
	w->config.totals_ms = 3000;
	if (w->options.tune != NULL)
		w->options.tune(&w->config);
}

struct world *world_new(const struct world_options *options)
{
	struct error err = {0};
	struct world *w = calloc(1, sizeof(*w));
	assert_non_null(w);
	(void)world_ca();
	w->descriptors = open_descriptors();
	w->options = *options;
	(void)pthread_mutex_init(&w->lock, NULL);
	w->broker = start_broker(w);
	if (options->s3 != NULL)
		w->s3 = raw_server_start(options->s3, options->arg, options->s3_tls);
	read_settings(w);
	assert_ok(proxy_new(&w->config, &w->proxy, &err), err);
	if (options->is_driven)
		return w;
	assert_int_equal(pthread_create(&w->thread, NULL, run, w), 0);
	w->is_running = true;
	return w;
}

int world_run(struct world *w, struct error *err)
{
	return proxy_run(w->proxy, err);
}

void world_stop(struct world *w)
{
	if (!w->is_running)
		return;
	proxy_stop(w->proxy);
	assert_int_equal(pthread_join(w->thread, NULL), 0);
	w->is_running = false;
}

void world_free(struct world *w)
{
	world_stop(w);
	proxy_free(w->proxy);
	(void)unlink(w->config.port_file);
	config_fini(&w->config);
	raw_server_stop(w->broker);
	if (w->s3 != NULL)
		raw_server_stop(w->s3);
	(void)pthread_mutex_destroy(&w->lock);
	size_t before = w->descriptors;
	free(w);
	// A test's own server closes its end of a connection when it sees ours closed: a moment later, on a thread of its own.
	for (int i = 0; i < DESCRIPTORS_TRIES && open_descriptors() != before; i++)
		(void)usleep(DESCRIPTORS_PAUSE_US);
	assert_int_equal(open_descriptors(), before);
}

int world_broker_calls(struct world *w)
{
	return atomic_load(&w->broker_calls);
}

const char *world_posted(struct world *w, const char *path)
{
	const char *found = NULL;
	(void)pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < w->post_count; i++) {
		if (strcmp(w->posts[i].path, path) == 0)
			found = w->posts[i].body;
	}
	(void)pthread_mutex_unlock(&w->lock);
	return found;
}

int world_s3_requests(struct world *w)
{
	return raw_server_requests(w->s3);
}

int world_posts(struct world *w)
{
	(void)pthread_mutex_lock(&w->lock);
	int count = (int)w->post_count;
	(void)pthread_mutex_unlock(&w->lock);
	return count;
}

const struct config *world_config(struct world *w)
{
	return &w->config;
}

struct proxy *world_proxy(struct world *w)
{
	return w->proxy;
}

int world_connect(struct world *w)
{
	const char *address = proxy_address(w->proxy);
	const char *colon = strrchr(address, ':');
	in_port_t port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	bool is_six = address[0] == '[';
	const struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	const struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(is_six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct timeval limit = {.tv_sec = WORLD_TIMEOUT_MS / 1000};
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	int rc = is_six ? connect(fd, (const struct sockaddr *)&six, sizeof(six))
			: connect(fd, (const struct sockaddr *)&four, sizeof(four));
	assert_int_equal(rc, 0);
	return fd;
}

void world_say(int fd, const char *text)
{
	(void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static size_t read_some(int fd, char *out, size_t len)
{
	size_t total = 0;
	while (total < len) {
		ssize_t n = recv(fd, out + total, len - total, 0);
		if (n <= 0)
			break;
		total += (size_t)n;
	}
	return total;
}

static void read_chunked(int fd, struct world_reply *reply)
{
	size_t room = 1 << 20;
	reply->body = calloc(1, room);
	while (reply->len < room - 1 && read_some(fd, reply->body + reply->len, 1) == 1) {
		reply->len++;
		if (reply->len >= 5 && memcmp(reply->body + reply->len - 5, "0\r\n\r\n", 5) == 0)
			return;
	}
	reply->is_cut = true;
}

struct world_reply world_read(int fd, bool is_head)
{
	struct world_reply reply = {0};
	size_t len = 0;
	while (len < sizeof(reply.head) - 1 && read_some(fd, reply.head + len, 1) == 1) {
		len++;
		if (len >= 4 && memcmp(reply.head + len - 4, "\r\n\r\n", 4) == 0)
			break;
	}
	if (len < 4 || memcmp(reply.head + len - 4, "\r\n\r\n", 4) != 0)
		return reply;
	reply.status = (int)strtol(reply.head + strlen("HTTP/1.1 "), NULL, 10);
	if (is_head || reply.status == 204 || reply.status == 304)
		return reply;
	const char *length = strcasestr(reply.head, "\r\ncontent-length:");
	if (length == NULL) {
		read_chunked(fd, &reply);
		return reply;
	}
	size_t wanted = strtoul(length + strlen("\r\ncontent-length:"), NULL, 10);
	reply.body = calloc(1, wanted + 1);
	assert_non_null(reply.body);
	reply.len = read_some(fd, reply.body, wanted);
	reply.is_cut = reply.len < wanted;
	return reply;
}

struct world_reply world_ask(int fd, const char *method, const char *path, const char *headers)
{
	char request[WORLD_TEXT_MAX];
	(void)snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: engine\r\n%s\r\n", method, path, headers);
	world_say(fd, request);
	return world_read(fd, strcmp(method, "HEAD") == 0);
}

void world_reply_fini(struct world_reply *reply)
{
	free(reply->body);
	*reply = (struct world_reply){0};
}

bool world_is_closed(int fd)
{
	char c;
	return recv(fd, &c, 1, 0) <= 0;
}

void world_expect(struct world *w, const char *method, const char *path, const char *headers, int status, const char *part)
{
	int fd = world_connect(w);
	struct world_reply reply = world_ask(fd, method, path, headers);
	bool found = part == NULL || strstr(reply.head, part) != NULL || (reply.body != NULL && strstr(reply.body, part) != NULL);
	if (reply.status != status || !found)
		fail_msg("%s %s: %d, expected %d and \"%s\"; head: %s body: %s", method, path, reply.status, status,
			part == NULL ? "" : part, reply.head, reply.body == NULL ? "" : reply.body);
	world_reply_fini(&reply);
	(void)close(fd);
}
