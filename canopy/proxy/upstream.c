#include "canopy/proxy/upstream.h"

#include "canopy/proxy/tls.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct upstream {
	struct loop_source source; // first: a source is its connection
	struct upstream_pool *pool;
	struct upstream_target target;
	struct tls *tls;
	enum upstream_state state;
	bool can_read, can_write; // since the last EAGAIN
	bool is_ended;            // the other end has gone, there may still be bytes
	bool was_idle;
	int tries;
	int64_t since_ms; // in this state, for RESOLVING to HANDSHAKE and IDLE
	upstream_on_event on_event;
	void *arg;
	struct error why;
	struct upstream *before, *after;
};

struct upstream_pool {
	struct upstream_options options;
	struct tls_context *tls;
	struct upstream *all; // the one that was idle last is first
	size_t idle_count;
	size_t turn; // so that connections spread over the addresses of a host
};

static ssize_t failed_io(struct upstream *u, const char *what)
{
	(void)error_set_errno(&u->why, errno, "%s", what);
	return UPSTREAM_BROKEN;
}

// Here and for the engine's connections: a signal does not interrupt what never blocks (signal(7)), there is no EINTR.
static ssize_t raw_read(void *arg, void *data, size_t len)
{
	struct upstream *u = arg;
	if (!u->can_read)
		return UPSTREAM_AGAIN;
	ssize_t n = recv(u->source.fd, data, len, 0);
	if (n < 0 && errno == EAGAIN) {
		u->can_read = false;
		return UPSTREAM_AGAIN;
	}
	if (n < 0)
		return failed_io(u, "read from S3");
	// Less than asked for: the socket is empty, and what comes later brings an event.
	if ((size_t)n < len && !u->is_ended)
		u->can_read = false;
	stats_add(&u->pool->options.stats->received_raw_bytes, (size_t)n);
	return n;
}

static ssize_t raw_write(void *arg, const void *data, size_t len)
{
	struct upstream *u = arg;
	ssize_t n = send(u->source.fd, data, len, MSG_NOSIGNAL);
	if (n < 0 && errno == EAGAIN) {
		u->can_write = false;
		return UPSTREAM_AGAIN;
	}
	if (n < 0)
		return failed_io(u, "write to S3");
	stats_add(&u->pool->options.stats->sent_raw_bytes, (size_t)n);
	return n;
}

static const struct tls_transport transport = {.read = raw_read, .write = raw_write};

int upstream_pool_new(const struct upstream_options *options, struct upstream_pool **out, struct error *err)
{
	struct upstream_pool *pool = calloc(1, sizeof(*pool));
	if (pool == NULL)
		return error_no_memory(err, "connections");
	pool->options = *options;
	if (options->config->is_tls && tls_context_new(options->config->ca_file, &transport, &pool->tls, err) < 0) {
		free(pool);
		return -1;
	}
	*out = pool;
	return 0;
}

static void unlink_one(struct upstream *u)
{
	if (u->before != NULL)
		u->before->after = u->after;
	else
		u->pool->all = u->after;
	if (u->after != NULL)
		u->after->before = u->before;
}

static void link_first(struct upstream *u)
{
	u->before = NULL;
	u->after = u->pool->all;
	if (u->after != NULL)
		u->after->before = u;
	u->pool->all = u;
}

static void release(struct loop_source *source)
{
	struct upstream *u = (struct upstream *)(void *)source;
	tls_free(u->tls);
	free(u);
}

void upstream_close(struct upstream *upstream)
{
	if (upstream->state == UPSTREAM_IDLE)
		upstream->pool->idle_count--;
	if (upstream->tls != NULL && upstream->source.fd >= 0)
		tls_shutdown(upstream->tls);
	upstream->on_event = NULL;
	unlink_one(upstream);
	loop_remove(upstream->pool->options.loop, &upstream->source);
}

void upstream_pool_free(struct upstream_pool *pool)
{
	if (pool == NULL)
		return;
	while (pool->all != NULL)
		upstream_close(pool->all);
	tls_context_free(pool->tls);
	free(pool);
}

static void tell(struct upstream *u)
{
	if (u->on_event != NULL)
		u->on_event(u->arg);
}

static void enter(struct upstream *u, enum upstream_state state)
{
	u->state = state;
	u->since_ms = loop_now_ms(u->pool->options.loop);
}

static int connect_to(struct upstream *u, const struct resolver_address *address, struct error *err)
{
	const int on = 1;
	int fd = socket(address->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set_errno(err, errno, "socket for %s", u->target.connect_to);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	u->source.fd = fd;
	u->can_read = false;
	u->can_write = false;
	u->is_ended = false;
	if (connect(fd, (const struct sockaddr *)&address->address, address->len) < 0 && errno != EINPROGRESS)
		(void)error_set_errno(err, errno, "connect to %s", u->target.connect_to);
	else if (loop_add(u->pool->options.loop, &u->source, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, err) == 0)
		return 0;
	(void)close(fd);
	u->source.fd = -1;
	return -1;
}

// Give up the descriptor, keep the connection object for the next address.
static void drop_socket(struct upstream *u)
{
	tls_free(u->tls);
	u->tls = NULL;
	if (u->source.fd >= 0)
		(void)close(u->source.fd);
	u->source.fd = -1;
}

static void try_addresses(struct upstream *u)
{
	struct resolver_answer answer;
	struct error err = {0};
	switch (resolver_ask(u->pool->options.resolver, u->target.connect_to, &answer, &err)) {
	case RESOLVER_PENDING:
		if (u->state != UPSTREAM_RESOLVING)
			enter(u, UPSTREAM_RESOLVING);
		return;
	case RESOLVER_FAILED:
		u->why = err;
		enter(u, UPSTREAM_FAILED);
		return;
	case RESOLVER_READY:
	default:
		break;
	}
	for (; u->tries < UPSTREAM_TRIES_MAX && answer.count > 0; u->tries++) {
		if (connect_to(u, &answer.list[u->pool->turn++ % answer.count], &u->why) == 0) {
			u->tries++;
			enter(u, UPSTREAM_CONNECTING);
			return;
		}
	}
	if (u->why.kind == ERROR_NONE)
		(void)error_set(&u->why, ERROR_TRANSIENT, "%s has no address", u->target.connect_to);
	enter(u, UPSTREAM_FAILED);
}

static void next_address(struct upstream *u)
{
	drop_socket(u);
	try_addresses(u);
	if (u->state == UPSTREAM_FAILED)
		tell(u);
}

static void shake_hands(struct upstream *u)
{
	int rc = tls_handshake(u->tls, &u->why);
	if (rc == TLS_AGAIN)
		return;
	enter(u, rc == 1 ? UPSTREAM_OPEN : UPSTREAM_FAILED);
	tell(u);
}

static void on_connected(struct upstream *u)
{
	int problem = 0;
	socklen_t len = sizeof(problem);
	(void)getsockopt(u->source.fd, SOL_SOCKET, SO_ERROR, &problem, &len);
	if (problem != 0) {
		(void)error_set_errno(&u->why, problem, "connect to %s", u->target.connect_to);
		next_address(u);
		return;
	}
	if (u->target.tls_name[0] == '\0') {
		enter(u, UPSTREAM_OPEN);
		tell(u);
		return;
	}
	if (tls_new(u->pool->tls, u->target.tls_name, u, &u->tls, &u->why) < 0) {
		enter(u, UPSTREAM_FAILED);
		tell(u);
		return;
	}
	enter(u, UPSTREAM_HANDSHAKE);
	shake_hands(u);
}

static void on_event(struct loop_source *source, uint32_t events)
{
	struct upstream *u = (struct upstream *)(void *)source;
	const uint32_t gone = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
	u->is_ended = u->is_ended || (events & gone) != 0;
	u->can_read = u->can_read || (events & (EPOLLIN | gone)) != 0;
	u->can_write = u->can_write || (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0;
	switch (u->state) {
	case UPSTREAM_CONNECTING:
		on_connected(u);
		break;
	case UPSTREAM_HANDSHAKE:
		shake_hands(u);
		break;
	case UPSTREAM_OPEN:
		tell(u);
		break;
	case UPSTREAM_IDLE:
		if (u->can_read) // its end, or something that nobody asked for
			upstream_close(u);
		break;
	case UPSTREAM_RESOLVING:
	case UPSTREAM_FAILED:
	default:
		break;
	}
}

static bool fits(const struct upstream *u, const struct upstream_target *target)
{
	return u->state == UPSTREAM_IDLE && strcmp(u->target.connect_to, target->connect_to) == 0 &&
	       strcmp(u->target.tls_name, target->tls_name) == 0;
}

struct upstream *upstream_take(
	struct upstream_pool *pool, const struct upstream_target *target, bool fresh, upstream_on_event on_ready, void *arg)
{
	struct upstream *u = fresh ? NULL : pool->all;
	while (u != NULL && !fits(u, target))
		u = u->after;
	if (u != NULL) {
		pool->idle_count--;
		u->was_idle = true;
		u->on_event = on_ready;
		u->arg = arg;
		enter(u, UPSTREAM_OPEN);
		return u;
	}
	u = calloc(1, sizeof(*u));
	if (u == NULL)
		return NULL;
	u->source.fd = -1;
	u->source.on_event = on_event;
	u->source.release = release;
	u->pool = pool;
	u->target = *target;
	u->on_event = on_ready;
	u->arg = arg;
	link_first(u);
	enter(u, UPSTREAM_RESOLVING);
	try_addresses(u);
	return u;
}

// Who took no more than the body has not seen what stands behind it, and no event will tell of it again.
static bool is_empty(struct upstream *u)
{
	char c;
	if (u->tls != NULL || !u->can_read)
		return true;
	u->can_read = !(recv(u->source.fd, &c, 1, MSG_PEEK) < 0 && errno == EAGAIN);
	return !u->can_read;
}

void upstream_give_back(struct upstream *upstream)
{
	struct upstream_pool *pool = upstream->pool;
	bool is_good = upstream->state == UPSTREAM_OPEN && !upstream->is_ended && is_empty(upstream);
	if (!is_good || pool->idle_count >= UPSTREAM_IDLE_MAX) {
		upstream_close(upstream);
		return;
	}
	upstream->on_event = NULL;
	unlink_one(upstream);
	link_first(upstream);
	pool->idle_count++;
	enter(upstream, UPSTREAM_IDLE);
}

enum upstream_state upstream_state(const struct upstream *upstream)
{
	return upstream->state;
}

const struct error *upstream_error(const struct upstream *upstream)
{
	return &upstream->why;
}

bool upstream_was_idle(const struct upstream *upstream)
{
	return upstream->was_idle;
}

bool upstream_is_plain(const struct upstream *upstream)
{
	return upstream->tls == NULL;
}

ssize_t upstream_read(struct upstream *upstream, void *data, size_t len)
{
	return upstream->tls == NULL ? raw_read(upstream, data, len) : tls_read(upstream->tls, data, len, &upstream->why);
}

ssize_t upstream_write(struct upstream *upstream, const void *data, size_t len)
{
	return upstream->tls == NULL ? raw_write(upstream, data, len) : tls_write(upstream->tls, data, len, &upstream->why);
}

ssize_t upstream_splice(struct upstream *upstream, int pipe_in, size_t len)
{
	if (!upstream->can_read)
		return UPSTREAM_AGAIN;
	ssize_t n = splice(upstream->source.fd, NULL, pipe_in, NULL, len, SPLICE_F_NONBLOCK);
	// Less than asked for says nothing here: the pipe may have run out of places for pieces.
	if (n < 0 && errno == EAGAIN) {
		upstream->can_read = false;
		return UPSTREAM_AGAIN;
	}
	if (n < 0)
		return failed_io(upstream, "read from S3");
	stats_add(&upstream->pool->options.stats->received_raw_bytes, (size_t)n);
	return n;
}

static bool is_too_old(const struct upstream *u, int64_t age_ms)
{
	switch (u->state) {
	case UPSTREAM_RESOLVING:
	case UPSTREAM_CONNECTING:
	case UPSTREAM_HANDSHAKE:
		return age_ms > u->pool->options.config->connect_ms;
	case UPSTREAM_IDLE:
		return age_ms > UPSTREAM_IDLE_MS;
	case UPSTREAM_OPEN:
	case UPSTREAM_FAILED:
	default:
		return false;
	}
}

// Telling a transfer may take connections and close others: the walk begins anew after each.
void upstream_pool_tick(struct upstream_pool *pool)
{
	int64_t now_ms = loop_now_ms(pool->options.loop);
	struct upstream *u = pool->all;
	while (u != NULL) {
		if (!is_too_old(u, now_ms - u->since_ms)) {
			u = u->after;
			continue;
		}
		if (u->state == UPSTREAM_IDLE) {
			upstream_close(u);
		} else {
			bool resolving = u->state == UPSTREAM_RESOLVING;
			(void)error_set(&u->why, ERROR_TRANSIENT, "%s %s: no answer in %lld ms",
				resolving ? "resolve" : "connect to", u->target.connect_to,
				(long long)pool->options.config->connect_ms);
			if (resolving) {
				enter(u, UPSTREAM_FAILED);
				tell(u);
			} else {
				next_address(u);
			}
		}
		u = pool->all;
	}
}

void upstream_pool_wake(struct upstream_pool *pool)
{
	struct upstream *u = pool->all;
	while (u != NULL) {
		if (u->state == UPSTREAM_RESOLVING) {
			try_addresses(u);
			if (u->state == UPSTREAM_FAILED) {
				tell(u);
				u = pool->all;
				continue;
			}
		}
		u = u->after;
	}
}
