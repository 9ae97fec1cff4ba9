// Names of S3, looked up on a thread of their own while a name server does as the test says (getaddrinfo, by --wrap).
#include "base/clock.h"
#include "canopy/proxy/resolver.h"
#include "tests/canopy/proxy/world.h"
#include "tests/support/cmocka.h"
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#if defined(__clang__)
#pragma GCC diagnostic ignored "-Wreserved-identifier"
#endif

int __real_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out);
int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out);

static atomic_int lookups, changes;
static atomic_int failures_left; // of look-ups, before one succeeds
static atomic_bool is_silent;    // while the name server says nothing
static char last_host[64];       // that was looked up

// Numeric addresses are read as ever; a name is 127.0.0.1 when the name server says so.
int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out)
{
	if ((hints->ai_flags & AI_NUMERICHOST) != 0)
		return __real_getaddrinfo(host, port, hints, out);
	(void)snprintf(last_host, sizeof(last_host), "%s", host);
	(void)atomic_fetch_add(&lookups, 1);
	while (atomic_load(&is_silent))
		world_nap();
	if (atomic_load(&failures_left) > 0) {
		(void)atomic_fetch_sub(&failures_left, 1);
		return EAI_AGAIN;
	}
	struct addrinfo numeric = *hints;
	numeric.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
	return __real_getaddrinfo("127.0.0.1", port, &numeric, out);
}

static void on_change(void *arg)
{
	(void)arg;
	(void)atomic_fetch_add(&changes, 1);
}

static struct resolver *new_resolver(int failures)
{
	struct error err = {0};
	struct resolver *resolver = NULL;
	atomic_store(&lookups, 0);
	atomic_store(&changes, 0);
	atomic_store(&failures_left, failures);
	atomic_store(&is_silent, false);
	assert_ok(resolver_new(on_change, NULL, &resolver, &err), err);
	return resolver;
}

static void an_address_needs_no_look_up(void **state)
{
	(void)state;
	struct error err = {0};
	struct resolver_answer answer;
	struct resolver *resolver = new_resolver(0);
	assert_int_equal(resolver_ask(resolver, "127.0.0.1:80", &answer, &err), RESOLVER_READY);
	assert_int_equal(answer.list[0].address.ss_family, AF_INET);
	assert_int_equal(resolver_ask(resolver, "[::1]:80", &answer, &err), RESOLVER_READY);
	assert_int_equal(answer.list[0].address.ss_family, AF_INET6);
	assert_int_equal(atomic_load(&lookups), 0);
	resolver_free(resolver);
}

static void a_name_is_looked_up_once_and_told_of(void **state)
{
	(void)state;
	struct error err = {0};
	struct resolver_answer answer = {0};
	struct resolver *resolver = new_resolver(0);
	assert_int_equal(resolver_ask(resolver, "store.invalid:80", &answer, &err), RESOLVER_PENDING);
	world_wait(atomic_load(&changes) == 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(resolver_ask(resolver, "store.invalid:80", &answer, &err), RESOLVER_READY);
	assert_int_equal(answer.count, 1);
	assert_int_equal(atomic_load(&lookups), 1);
	assert_string_equal(last_host, "store.invalid");
	resolver_free(resolver);
}

static void a_failure_is_told_for_a_second_and_then_tried_again(void **state)
{
	(void)state;
	struct error err = {0};
	struct resolver_answer answer;
	struct resolver *resolver = new_resolver(1);
	assert_int_equal(resolver_ask(resolver, "store.invalid:80", &answer, &err), RESOLVER_PENDING);
	world_wait(atomic_load(&changes) == 1);
	assert_int_equal(resolver_ask(resolver, "store.invalid:80", &answer, &err), RESOLVER_FAILED);
	assert_int_equal(err.kind, ERROR_TRANSIENT);
	assert_non_null(strstr(err.text, "resolve store.invalid: "));
	world_wait(resolver_ask(resolver, "store.invalid:80", &answer, &err) == RESOLVER_READY);
	assert_int_equal(atomic_load(&lookups), 2);
	resolver_free(resolver);
}

// More names than are kept, while the first is looked up: its answer has no place any more.
static void a_name_that_lost_its_place_is_looked_up_anew(void **state)
{
	(void)state;
	struct error err = {0};
	struct resolver_answer answer;
	struct resolver *resolver = new_resolver(0);
	atomic_store(&is_silent, true);
	assert_int_equal(resolver_ask(resolver, "first.invalid:80", &answer, &err), RESOLVER_PENDING);
	world_wait(atomic_load(&lookups) == 1);
	for (int i = 0; i < RESOLVER_HOSTS_MAX; i++) {
		char name[] = "a.invalid:80";
		name[0] = (char)('a' + i);
		assert_int_equal(resolver_ask(resolver, name, &answer, &err), RESOLVER_PENDING);
	}
	atomic_store(&is_silent, false);
	world_wait(atomic_load(&changes) == RESOLVER_HOSTS_MAX + 1);
	assert_int_equal(resolver_ask(resolver, "first.invalid:80", &answer, &err), RESOLVER_PENDING);
	resolver_free(resolver);
}

static void what_names_no_port_is_never_resolved(void **state)
{
	(void)state;
	struct error err = {0};
	struct resolver_answer answer;
	struct resolver *resolver = new_resolver(0);
	assert_int_equal(resolver_ask(resolver, "store.invalid", &answer, &err), RESOLVER_PENDING);
	world_wait(atomic_load(&changes) == 1);
	assert_int_equal(resolver_ask(resolver, "store.invalid", &answer, &err), RESOLVER_FAILED);
	assert_string_equal(err.text, "\"store.invalid\" is not host:port");
	assert_int_equal(atomic_load(&lookups), 0);
	resolver_free(resolver);
}

// The end does not wait for a name server; the look-up frees what it uses.
static void the_end_does_not_wait_for_a_name_server(void **state)
{
	(void)state;
	struct error err = {0};
	struct resolver_answer answer;
	struct resolver *resolver = new_resolver(0);
	atomic_store(&is_silent, true);
	assert_int_equal(resolver_ask(resolver, "store.invalid:80", &answer, &err), RESOLVER_PENDING);
	world_wait(atomic_load(&lookups) == 1);
	resolver_free(resolver);
	atomic_store(&is_silent, false); // LeakSanitizer sees what stays
	assert_int_equal(atomic_load(&changes), 0);
}

// --- all of the proxy ---

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void ok_script(void *arg, struct raw_connection *connection, int number)
{
	char request[WORLD_TEXT_MAX];
	(void)arg;
	(void)number;
	while (raw_read_request(connection, request, sizeof(request)))
		raw_write(connection, OK);
}

static void connect_soon(struct config *config)
{
	config->connect_ms = 300;
}

static void a_request_waits_for_the_name_of_s3(void **state)
{
	(void)state;
	struct raw_server *s3 = raw_server_start(ok_script, NULL, NULL);
	char connect_to[64];
	(void)snprintf(connect_to, sizeof(connect_to), "store.invalid:%d", raw_server_port(s3));
	const char *const settings[] = {"S3_CONNECT_TO", connect_to, NULL};
	atomic_store(&failures_left, 0);
	atomic_store(&is_silent, false);
	struct world *w = world_new(&(struct world_options){.s3_port = 1, .settings = settings});
	world_expect(w, "GET", "/bucket/p/k", "", 200, "ok");
	world_free(w);
	raw_server_stop(s3);
}

static void a_name_server_that_says_nothing_is_not_waited_for(void **state)
{
	(void)state;
	static const char *const settings[] = {"S3_CONNECT_TO", "store.invalid:80", NULL};
	atomic_store(&is_silent, true);
	struct world *w = world_new(&(struct world_options){.s3_port = 1, .settings = settings, .tune = connect_soon});
	world_expect(w, "GET", "/bucket/p/k", "", 503, "resolve store.invalid:80: no answer in 300 ms");
	atomic_store(&is_silent, false);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_needs_no_look_up),
		cmocka_unit_test(a_name_is_looked_up_once_and_told_of),
		cmocka_unit_test(a_failure_is_told_for_a_second_and_then_tried_again),
		cmocka_unit_test(a_name_that_lost_its_place_is_looked_up_anew),
		cmocka_unit_test(what_names_no_port_is_never_resolved),
		cmocka_unit_test(the_end_does_not_wait_for_a_name_server),
		cmocka_unit_test(a_request_waits_for_the_name_of_s3),
		cmocka_unit_test(a_name_server_that_says_nothing_is_not_waited_for),
	};
	return cmocka_run_group_tests_name("proxy/resolver", tests, NULL, NULL);
}
