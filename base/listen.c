#include "base/listen.h"

#include "base/cleanup.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define BACKLOG 128
#define HINT "hint: write 127.0.0.1:8080, [::1]:8080 or :8080"

struct listen_address {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
	socklen_t len;
	bool any_family; // ":8080": IPv4 will do where there is no IPv6
};

static int parse_port(const char *address, const char *text, in_port_t *out, struct error *err)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long port = digits > 0 && digits < 6 && text[digits] == '\0' ? strtoul(text, NULL, 10) : 65536;
	if (port > 65535)
		return error_set(err, ERROR_INVALID, "listen address \"%s\": port \"%s\" is no number from 0 to 65535; " HINT,
			address, text);
	*out = htons((in_port_t)port);
	return 0;
}

static void use_ipv6(struct listen_address *out, in_port_t port)
{
	out->v6.sin6_family = AF_INET6;
	out->v6.sin6_port = port;
	out->len = sizeof(out->v6);
}

static void use_ipv4(struct listen_address *out, in_port_t port)
{
	out->v4.sin_family = AF_INET;
	out->v4.sin_port = port;
	out->len = sizeof(out->v4);
}

static int parse(const char *address, struct listen_address *out, struct error *err)
{
	char host[INET6_ADDRSTRLEN + 2];
	in_port_t port = 0;

	const char *colon = strrchr(address, ':');
	if (colon == NULL)
		return error_set(err, ERROR_INVALID, "listen address \"%s\" has no port; " HINT, address);
	if (parse_port(address, colon + 1, &port, err) < 0)
		return -1;
	size_t len = (size_t)(colon - address);
	if (len >= sizeof(host))
		return error_set(err, ERROR_INVALID, "listen address \"%s\" is too long; " HINT, address);
	memcpy(host, address, len);
	host[len] = '\0';

	*out = (struct listen_address){.any_family = len == 0};
	if (len == 0) {
		use_ipv6(out, port);
		return 0;
	}
	if (host[0] == '[' && host[len - 1] == ']') {
		use_ipv6(out, port);
		host[len - 1] = '\0';
		if (inet_pton(AF_INET6, host + 1, &out->v6.sin6_addr) == 1)
			return 0;
		return error_set(err, ERROR_INVALID, "listen address \"%s\": \"%s\" is no IPv6 address", address, host + 1);
	}
	if (strchr(host, ':') != NULL)
		return error_set(err, ERROR_INVALID, "listen address \"%s\": an IPv6 address stands in brackets; " HINT, address);
	use_ipv4(out, port);
	if (inet_pton(AF_INET, host, &out->v4.sin_addr) == 1)
		return 0;
	return error_set(err, ERROR_INVALID, "listen address \"%s\": \"%s\" is no IPv4 address; " HINT, address, host);
}

static int bind_and_listen(const char *address, const struct listen_address *parsed, int fd, int *port, struct error *err)
{
	struct listen_address got = {.len = sizeof(got.v6)};
	const int yes = 1, no = 0;

	// Another start must not wait for the connections of the last one to leave TIME_WAIT; [::] takes IPv4 whatever the sysctl
	// says.
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (parsed->any.sa_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no));

	if (bind(fd, &parsed->any, parsed->len) < 0 || listen(fd, BACKLOG) < 0 || getsockname(fd, &got.any, &got.len) < 0) {
		(void)error_set_errno(err, errno, "listen on %s", address);
		if (err->os_errno == EADDRINUSE)
			err->kind = ERROR_TRANSIENT;
		if (err->os_errno == EADDRNOTAVAIL || err->os_errno == EACCES)
			err->kind = ERROR_INVALID;
		return -1;
	}
	*port = ntohs(got.any.sa_family == AF_INET6 ? got.v6.sin6_port : got.v4.sin_port);
	return 0;
}

int listen_open(const char *address, int *fd, int *port, struct error *err)
{
	struct listen_address parsed;
	if (parse(address, &parsed, err) < 0)
		return -1;

	const int type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
	AUTO_CLOSE int made = socket(parsed.any.sa_family, type, 0);
	if (made < 0 && errno == EAFNOSUPPORT && parsed.any_family) {
		in_port_t same_port = parsed.v6.sin6_port;
		parsed = (struct listen_address){.len = 0};
		use_ipv4(&parsed, same_port);
		made = socket(AF_INET, type, 0);
	}
	if (made < 0)
		return error_set_errno(err, errno, "listen on %s", address);
	if (bind_and_listen(address, &parsed, made, port, err) < 0)
		return -1;
	*fd = take_fd(&made);
	return 0;
}
