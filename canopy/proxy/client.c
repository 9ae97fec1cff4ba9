#include "canopy/proxy/client.h"

#include "base/log.h"
#include "canopy/proxy/s3error.h"
#include "canopy/proxy/transfer.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES ((size_t)16 << 10)

// On loopback there is no latency to fill. The kernel would let each queue grow to 4 MiB: memory that the pod's limit counts, and
// that has left the processor's cache when it is read again (measured: a fifth more CPU per GB).
#define SEND_BUFFER_BYTES (208 << 10)

static void read_heads(struct client *client);

static void release(struct loop_source *source)
{
	struct client *client = (struct client *)(void *)source;
	buf_fini(&client->in);
	buf_fini(&client->out);
	transfer_free(client->transfer);
	free(client);
}

void client_close(struct client *client)
{
	if (client->source.is_dead)
		return;
	transfer_stop(client->transfer);
	if (client->before != NULL)
		client->before->after = client->after;
	else
		client->core->clients = client->after;
	if (client->after != NULL)
		client->after->before = client->before;
	client->core->client_count--;
	loop_remove(client->core->loop, &client->source);
}

void client_set_deadline(struct client *client, int64_t in_ms)
{
	client->deadline_ms = loop_now_ms(client->core->loop) + in_ms;
}

static void linger(struct client *client)
{
	static char nowhere[READ_BYTES];
	client->phase = CLIENT_LINGER;
	while (client->can_read && client->lingered < CLIENT_LINGER_BYTES) {
		ssize_t n = recv(client->source.fd, nowhere, sizeof(nowhere), 0);
		if (n < 0 && errno == EAGAIN) {
			client->can_read = false;
			return;
		}
		if (n <= 0)
			break;
		client->lingered += (size_t)n;
	}
	if (client->can_read)
		client_close(client);
}

static void send_answer(struct client *client)
{
	while (client->out_sent < client->out.len) {
		ssize_t n = client_send(client, client->out.data + client->out_sent, client->out.len - client->out_sent);
		if (n == CLIENT_AGAIN)
			return;
		if (n == CLIENT_BROKEN) {
			client_close(client);
			return;
		}
		client->out_sent += (size_t)n;
	}
	client_finish(client);
}

void client_answer(struct client *client, int status, const char *code, const char *message, bool closes)
{
	struct error err = {0};
	const struct s3error_answer answer = {.status = status,
		.code = code,
		.message = message,
		.is_head = head_text_is(client->head.method, "HEAD"),
		.closes = closes || client->head.wants_close || client->core->is_draining};
	transfer_stop(client->transfer);
	stats_add(&client->core->stats.refused, 1);
	log_debug("answered", LOG_INT("status", status), LOG_STR("code", code), LOG_STR("why", message));
	buf_reset(&client->out);
	client->out_sent = 0;
	client->closes = answer.closes;
	client->phase = CLIENT_ANSWER;
	client_set_deadline(client, client->core->config->client_stall_ms);
	if (s3error_write(&answer, &client->out, &err) < 0) {
		client_close(client);
		return;
	}
	send_answer(client);
}

ssize_t client_send(struct client *client, const void *data, size_t len)
{
	if (!client->can_write)
		return CLIENT_AGAIN;
	ssize_t n = send(client->source.fd, data, len, MSG_NOSIGNAL);
	if (n < 0 && errno == EAGAIN) {
		client->can_write = false;
		return CLIENT_AGAIN;
	}
	return n < 0 ? CLIENT_BROKEN : n;
}

ssize_t client_splice(struct client *client, int pipe_out, size_t len)
{
	if (!client->can_write)
		return CLIENT_AGAIN;
	ssize_t n = splice(pipe_out, NULL, client->source.fd, NULL, len, SPLICE_F_NONBLOCK);
	if (n < 0 && errno == EAGAIN) {
		client->can_write = false;
		return CLIENT_AGAIN;
	}
	return n < 0 ? CLIENT_BROKEN : n;
}

// Drop the head that is done with; what was sent ahead moves up.
static void forget_head(struct client *client)
{
	size_t rest = client->in.len - client->head_bytes;
	if (rest > 0)
		memmove(client->in.data, client->in.data + client->head_bytes, rest);
	client->in.len = rest;
	client->head_bytes = 0;
	client->scanned = 0;
	if (rest == 0 && client->in.room > READ_BYTES)
		buf_fini(&client->in);
	if (client->in.max == 0)
		buf_init(&client->in, HEAD_BYTES_MAX + READ_BYTES);
}

void client_finish(struct client *client)
{
	transfer_stop(client->transfer);
	if (client->closes || client->core->is_draining) {
		(void)shutdown(client->source.fd, SHUT_WR);
		client_set_deadline(client, CLIENT_LINGER_MS);
		linger(client);
		return;
	}
	forget_head(client);
	client->phase = CLIENT_HEAD;
	client->deadline_ms = 0;
	client->head = (struct head_request){0};
	// Not from here: a long row of requests that were sent ahead would nest without end.
	loop_again(client->core->loop, &client->source);
}

static void refuse_head(struct client *client, int status, const char *why)
{
	client->head = (struct head_request){0};
	client->head_bytes = client->in.len;
	client_answer(client, status, status == 431 ? "RequestHeaderSectionTooLarge" : "InvalidRequest", why, true);
}

// False when more bytes are needed.
static bool take_head(struct client *client)
{
	int status = 400;
	switch (head_find_end(client->in.data, client->in.len, &client->scanned, &client->head_bytes)) {
	case HEAD_BAD:
		refuse_head(client, 400, "a line ends without a carriage return");
		return true;
	case HEAD_PARTIAL:
		if (client->in.len < HEAD_BYTES_MAX)
			return false;
		refuse_head(client, 431, "the head of the request is longer than 32 KiB");
		return true;
	case HEAD_WHOLE:
	default:
		break;
	}
	if (client->head_bytes > HEAD_BYTES_MAX) {
		refuse_head(client, 431, "the head of the request is longer than 32 KiB");
		return true;
	}
	const char *wrong = head_read_request(client->in.data, client->head_bytes, &client->head, &status);
	if (wrong != NULL) {
		refuse_head(client, status, wrong);
		return true;
	}
	client->closes = client->head.wants_close;
	client->phase = CLIENT_TRANSFER;
	transfer_begin(client->transfer);
	return true;
}

// False at the end of the connection or when there is nothing more for now.
static bool read_more(struct client *client)
{
	char bytes[READ_BYTES];
	struct error err = {0};
	if (!client->can_read)
		return false;
	ssize_t n = recv(client->source.fd, bytes, sizeof(bytes), 0);
	if (n < 0 && errno == EAGAIN) {
		client->can_read = false;
		return false;
	}
	if (n <= 0) {
		client_close(client);
		return false;
	}
	if (client->in.len == 0)
		client_set_deadline(client, client->core->config->client_head_ms);
	if (buf_add(&client->in, bytes, (size_t)n, &err) < 0) {
		client_close(client);
		return false;
	}
	return true;
}

static void read_heads(struct client *client)
{
	while (client->phase == CLIENT_HEAD && !client->source.is_dead) {
		if (client->in.len > client->scanned && take_head(client))
			return;
		if (!read_more(client))
			return;
	}
}

static void on_event(struct loop_source *source, uint32_t events)
{
	struct client *client = (struct client *)(void *)source;
	const uint32_t gone = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
	client->can_read = client->can_read || (events & (EPOLLIN | gone)) != 0;
	client->can_write = client->can_write || (events & EPOLLOUT) != 0;
	// An engine that has gone needs no answer; an end of its sending alone is the same to us, as no engine does it.
	if ((events & gone) != 0 && client->phase != CLIENT_HEAD && client->phase != CLIENT_LINGER) {
		client_close(client);
		return;
	}
	switch (client->phase) {
	case CLIENT_HEAD:
		read_heads(client);
		break;
	case CLIENT_TRANSFER:
		transfer_go(client->transfer);
		break;
	case CLIENT_ANSWER:
		send_answer(client);
		break;
	case CLIENT_LINGER:
	default:
		linger(client);
		break;
	}
}

void client_new(struct core *core, int fd)
{
	struct error err = {0};
	const int on = 1;
	const int send_buffer = SEND_BUFFER_BYTES;
	struct client *client = calloc(1, sizeof(*client));
	struct transfer *transfer = client == NULL ? NULL : transfer_new(core, client);
	if (transfer == NULL) {
		free(client);
		(void)close(fd);
		return;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer));
	client->source.fd = fd;
	client->source.on_event = on_event;
	client->source.release = release;
	client->core = core;
	client->transfer = transfer;
	buf_init(&client->in, HEAD_BYTES_MAX + READ_BYTES);
	buf_init(&client->out, S3ERROR_BODY_MAX * 2);
	if (loop_add(core->loop, &client->source, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, &err) < 0) {
		log_warn("a connection could not be taken", LOG_ERR(&err));
		(void)close(fd);
		client->source.fd = -1;
		release(&client->source);
		return;
	}
	client_set_deadline(client, core->config->client_head_ms);
	client->after = core->clients;
	if (client->after != NULL)
		client->after->before = client;
	core->clients = client;
	core->client_count++;
}

static void on_deadline(struct client *client)
{
	switch (client->phase) {
	case CLIENT_HEAD:
		if (client->in.len == 0)
			client_close(client);
		else
			refuse_head(client, 408, "the head of the request did not come in time");
		break;
	case CLIENT_TRANSFER:
		transfer_on_deadline(client->transfer);
		break;
	case CLIENT_ANSWER:
	case CLIENT_LINGER:
	default:
		client_close(client);
		break;
	}
}

// A deadline may close this client, never another.
void client_tick_all(struct core *core)
{
	int64_t now_ms = loop_now_ms(core->loop);
	for (struct client *client = core->clients, *after = NULL; client != NULL; client = after) {
		after = client->after;
		if (client->deadline_ms != 0 && now_ms >= client->deadline_ms) {
			client->deadline_ms = 0;
			on_deadline(client);
		}
	}
}

void client_close_idle(struct core *core)
{
	for (struct client *client = core->clients, *after = NULL; client != NULL; client = after) {
		after = client->after;
		if (client->phase == CLIENT_HEAD || client->phase == CLIENT_LINGER)
			client_close(client);
	}
}

void client_close_all(struct core *core)
{
	while (core->clients != NULL)
		client_close(core->clients);
}
