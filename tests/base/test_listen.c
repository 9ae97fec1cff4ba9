#include "base/listen.h"
#include "base/cleanup.h"
#include "tests/support/cmocka.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void addresses_are_read_or_refused_with_a_reason(void **state)
{
	(void)state;
	const struct {
		const char *address;
		const char *part; // of the error; NULL: it listens
	} rows[] = {
		{"127.0.0.1:0", NULL}, {"0.0.0.0:0", NULL}, {":0", NULL}, {"", "has no port"}, {"127.0.0.1", "has no port"},
		{"127.0.0.1:", "port \"\" is no number from 0 to 65535"}, {"127.0.0.1:65536", "port \"65536\" is no number"},
		{"127.0.0.1:-1", "port \"-1\" is no number"}, {"127.0.0.1:80a", "port \"80a\" is no number"},
		{"127.0.0.1: 80", "port \" 80\" is no number"}, {"localhost:80", "\"localhost\" is no IPv4 address"},
		{"127.0.0.256:80", "\"127.0.0.256\" is no IPv4 address"}, {"::1:80", "an IPv6 address stands in brackets"},
		{"[::1]", "is no number"}, {"[::g]:80", "\"::g\" is no IPv6 address"}, {"[]:80", "\"\" is no IPv6 address"},
		{"[:80", "is no IPv4 address"},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:80", "is too long"},
		{"192.0.2.1:0", "listen on 192.0.2.1:0: "}, // of nobody, RFC 5737
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {0};
		int fd, port;
		if (rows[i].part != NULL) {
			assert_error(listen_open(rows[i].address, &fd, &port, &err), err, ERROR_INVALID, rows[i].part);
			continue;
		}
		assert_ok(listen_open(rows[i].address, &fd, &port, &err), err);
		assert_in_range(port, 1, 65535);
		(void)close(fd);
	}
}

static void a_port_that_is_taken_is_named(void **state)
{
	(void)state;
	struct error err = {0};
	char address[32];
	int fd, port;
	AUTO_CLOSE int first = -1;
	assert_ok(listen_open("127.0.0.1:0", &first, &port, &err), err);
	(void)snprintf(address, sizeof(address), "127.0.0.1:%d", port);
	assert_error(listen_open(address, &fd, &port, &err), err, ERROR_TRANSIENT, address);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(addresses_are_read_or_refused_with_a_reason),
		cmocka_unit_test(a_port_that_is_taken_is_named),
	};
	return cmocka_run_group_tests_name("base/listen", cases, NULL, NULL);
}
