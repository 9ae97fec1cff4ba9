// A client for the benchmark of the proxy: GETs over keep-alive connections, bodies thrown away as cheaply as the kernel can.
//
// usage: load [--ca FILE] HOST:PORT CONNECTIONS SECONDS PATHS-FILE
//
// Each connection takes the next path when its last answer is whole, until there is none or the time is up. Prints "SECONDS BYTES
// REQUESTS": the bytes of bodies that have come, and the requests that were answered whole. Any status but 200, or an answer cut
// short, ends it with exit code 1. Over plain HTTP the kernel drops bodies without copying them (MSG_TRUNC), so that
// the client takes little of the processors that it shares with what is measured.
#include "base/clock.h"
#include "base/file.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 256
#define READ_BYTES ((size_t)256 << 10)
#define HEAD_MAX 8192
#define PATHS_BYTES_MAX ((size_t)16 << 20)
#define TURN 8
#define LOOK_MS 100 // how often the time is looked at when nothing comes

struct connection {
	int fd;
	SSL *ssl;
	char head[HEAD_MAX];
	size_t head_len;
	long long left; // of the body; -1: in the head
	bool is_busy;
};

static struct connection connections[CONNECTIONS_MAX];
static char *next_path; // lines
static const char *host;
static long long bytes;
static long long requests;
static char sink[READ_BYTES];

_Noreturn static void die(const char *what, const char *detail)
{
	fprintf(stderr, "load: %s: %s\n", what, detail);
	exit(1);
}

// "127.0.0.1:80" or "[::1]:80"
static int connect_to(const char *address)
{
	char name[64];
	const char *colon = strrchr(address, ':');
	if (colon == NULL)
		die("address", address);
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)strtoul(colon + 1, NULL, 10))};
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = six.sin6_port};
	bool is_six = address[0] == '[';
	(void)snprintf(name, sizeof(name), "%.*s", (int)(colon - address) - (is_six ? 2 : 0), address + (is_six ? 1 : 0));
	int fd = socket(is_six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool known = inet_pton(is_six ? AF_INET6 : AF_INET, name, is_six ? (void *)&six.sin6_addr : (void *)&four.sin_addr) == 1;
	int rc = is_six ? connect(fd, (const struct sockaddr *)&six, sizeof(six))
			: connect(fd, (const struct sockaddr *)&four, sizeof(four));
	if (!known || rc < 0)
		die(address, strerror(errno));
	return fd;
}

static void send_next(struct connection *c)
{
	char request[1024];
	if (*next_path == '\0') {
		c->is_busy = false;
		return;
	}
	size_t len = strcspn(next_path, "\n");
	int n = snprintf(request, sizeof(request), "GET %.*s HTTP/1.1\r\nHost: %s\r\n\r\n", (int)len, next_path, host);
	next_path += len + 1;
	ssize_t sent = c->ssl != NULL ? SSL_write(c->ssl, request, n) : send(c->fd, request, (size_t)n, MSG_NOSIGNAL);
	if (sent != n)
		die("send", strerror(errno));
	c->head_len = 0;
	c->left = -1;
	c->is_busy = true;
}

// 0: nothing now.
static ssize_t take(struct connection *c, char *to, size_t len, bool drop)
{
	if (c->ssl != NULL) {
		int n = SSL_read(c->ssl, to, (int)len);
		if (n > 0)
			return n;
		if (SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_READ)
			die("read", "the connection ended");
		return 0;
	}
	ssize_t n = recv(c->fd, to, len, MSG_DONTWAIT | (drop ? MSG_TRUNC : 0));
	if (n == 0 || (n < 0 && errno != EAGAIN))
		die("read", n == 0 ? "the connection ended" : strerror(errno));
	return n < 0 ? 0 : n;
}

// Byte by byte would be slow and in large pieces would eat the body: what is beyond the head counts as body.
static bool read_head(struct connection *c)
{
	ssize_t n = take(c, c->head + c->head_len, HEAD_MAX - 1 - c->head_len, false);
	if (n <= 0)
		return false;
	c->head_len += (size_t)n;
	c->head[c->head_len] = '\0';
	const char *end = strstr(c->head, "\r\n\r\n");
	if (end == NULL) {
		if (c->head_len == HEAD_MAX - 1)
			die("answer", "head too long");
		return true;
	}
	const char *length = strcasestr(c->head, "\r\ncontent-length:");
	if (strncmp(c->head, "HTTP/1.1 200", 12) != 0 || length == NULL)
		die("answer", c->head);
	long long here = (long long)(c->head_len - (size_t)(end + 4 - c->head));
	c->left = strtoll(length + strlen("\r\ncontent-length:"), NULL, 10) - here;
	bytes += here;
	return true;
}

// A turn, or one connection that is served fast would keep the others waiting. What OpenSSL holds back no event tells of.
static void go_on(struct connection *c)
{
	for (int step = 0; c->is_busy && (step < TURN || (c->ssl != NULL && SSL_has_pending(c->ssl) == 1)); step++) {
		if (c->left < 0) {
			if (!read_head(c))
				return;
		} else if (c->left > 0) {
			ssize_t n = take(c, sink, c->left < (long long)READ_BYTES ? (size_t)c->left : READ_BYTES, true);
			if (n == 0)
				return;
			c->left -= n;
			bytes += n;
		}
		if (c->left == 0) {
			requests++;
			send_next(c);
		}
	}
}

static void start(struct connection *c, SSL_CTX *tls)
{
	c->fd = connect_to(host);
	if (tls != NULL) {
		c->ssl = SSL_new(tls);
		if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1 || SSL_connect(c->ssl) != 1)
			die("TLS", host);
		if (fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0)
			die("TLS", strerror(errno));
	}
}

int main(int argc, char **argv)
{
	struct error err = {0};
	SSL_CTX *tls = NULL;
	char *paths = NULL;
	size_t len = 0;
	if (argc == 7 && strcmp(argv[1], "--ca") == 0) {
		tls = SSL_CTX_new(TLS_client_method());
		if (tls == NULL || SSL_CTX_load_verify_file(tls, argv[2]) != 1)
			die("CA", argv[2]);
		SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
		argv += 2;
		argc -= 2;
	}
	if (argc != 5 || file_read(argv[4], PATHS_BYTES_MAX, &paths, &len, &err) < 0)
		die("usage", "load [--ca FILE] HOST:PORT CONNECTIONS SECONDS PATHS-FILE");
	host = argv[1];
	next_path = paths;
	size_t count = strtoul(argv[2], NULL, 10);
	if (count == 0 || count > CONNECTIONS_MAX)
		die("connections", argv[2]);
	double seconds = strtod(argv[3], NULL);
	if (!(seconds > 0))
		die("seconds", argv[3]);
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	int64_t begin_ms = clock_mono_ms();
	int64_t end_ms = begin_ms + (int64_t)(seconds * 1000);
	for (size_t i = 0; i < count; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = &connections[i]};
		start(&connections[i], tls);
		send_next(&connections[i]);
		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, connections[i].fd, &event) < 0)
			die("epoll", strerror(errno));
	}
	long long wanted = 0;
	for (const char *at = paths; *at != '\0'; at++)
		wanted += *at == '\n' ? 1 : 0;
	while (requests < wanted && clock_mono_ms() < end_ms) {
		struct epoll_event events[64];
		int n = epoll_wait(epoll_fd, events, 64, LOOK_MS);
		for (int i = 0; i < n; i++)
			go_on(events[i].data.ptr);
	}
	printf("%.3f %lld %lld\n", (double)(clock_mono_ms() - begin_ms) / 1000, bytes, requests);
	for (size_t i = 0; i < count; i++) {
		SSL_free(connections[i].ssl);
		(void)close(connections[i].fd);
	}
	SSL_CTX_free(tls);
	(void)close(epoll_fd);
	free(paths);
	return 0;
}
