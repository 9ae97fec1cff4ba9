#include "canopy/proxy/listener.h"

#include "base/cleanup.h"
#include "base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define BACKLOG 256
#define FILE_MODE 0644

static int bind_loopback(int family, int *out)
{
	const struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	const struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	AUTO_CLOSE int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	int rc = family == AF_INET6 ? bind(fd, (const struct sockaddr *)&six, sizeof(six))
				    : bind(fd, (const struct sockaddr *)&four, sizeof(four));
	if (rc < 0 || listen(fd, BACKLOG) < 0)
		return -1;
	*out = take_fd(&fd);
	return 0;
}

static int port_of(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address = {0};
	socklen_t len = sizeof(address);
	if (getsockname(fd, &address.any, &len) < 0)
		return -1;
	return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

int listener_open(int *fd, char address[LISTENER_ADDRESS_SIZE], struct error *err)
{
	AUTO_CLOSE int made = -1;
	bool is_ipv6 = bind_loopback(AF_INET6, &made) == 0;
	if (!is_ipv6 && bind_loopback(AF_INET, &made) < 0)
		return error_set_errno(err, errno, "listen on a loopback port");
	int port = port_of(made);
	if (port < 0)
		return error_set_errno(err, errno, "listen on a loopback port");
	(void)snprintf(address, LISTENER_ADDRESS_SIZE, "%s:%d", is_ipv6 ? "[::1]" : "127.0.0.1", port);
	*fd = take_fd(&made);
	return 0;
}

int listener_tell(const char *path, const char *address, struct error *err)
{
	char temporary[4096];
	if ((size_t)snprintf(temporary, sizeof(temporary), "%s.tmp", path) >= sizeof(temporary))
		return error_set(err, ERROR_INVALID, "PGRO_PORT_FILE is longer than %zu bytes", sizeof(temporary) - 5);
	AUTO_CLOSE int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
	if (fd < 0)
		return error_set_errno(err, errno, "open %s", temporary);
	if (fchmod(fd, FILE_MODE) < 0 || dprintf(fd, "%s\n", address) < 0 || rename(temporary, path) < 0)
		return error_set_errno(err, errno, "write %s", path);
	return 0;
}

static int connect_loopback(const char *address)
{
	const char *colon = strrchr(address, ':');
	in_port_t port = colon == NULL ? 0 : htons((uint16_t)strtoul(colon + 1, NULL, 10));
	const struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	const struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	bool is_ipv6 = address[0] == '[';
	AUTO_CLOSE int fd = socket(is_ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	return is_ipv6 ? connect(fd, (const struct sockaddr *)&six, sizeof(six))
		       : connect(fd, (const struct sockaddr *)&four, sizeof(four));
}

int listener_check(const char *path, struct error *err)
{
	AUTO_FREE char *address = NULL;
	size_t len = 0;
	if (file_read(path, LISTENER_ADDRESS_SIZE, &address, &len, err) < 0)
		return -1;
	address[strcspn(address, "\n")] = '\0';
	if (connect_loopback(address) < 0) {
		(void)error_set_errno(err, errno, "connect to %s", address);
		err->kind = ERROR_TRANSIENT;
		return -1;
	}
	return 0;
}
