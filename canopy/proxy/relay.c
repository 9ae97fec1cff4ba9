#include "canopy/proxy/relay.h"

#include "base/log.h"
#include "canopy/proxy/client.h"

void relay_begin(struct relay *relay, struct upstream *upstream, struct buffer *buffer)
{
	relay->upstream = upstream;
	relay->buffer = buffer;
}

static void drop_buffer(struct relay *relay)
{
	buffers_give_back(&relay->core->buffers, relay->buffer);
	relay->buffer = NULL;
}

static void drop_pipe(struct relay *relay)
{
	pipes_give_back(&relay->core->pipes, relay->pipe);
	relay->pipe = NULL;
}

void relay_stop(struct relay *relay)
{
	if (relay->upstream != NULL)
		upstream_close(relay->upstream);
	relay->upstream = NULL;
	drop_buffer(relay);
	drop_pipe(relay);
}

static void cut_off(struct relay *relay, const char *why)
{
	log_warn("the answer ends early", LOG_STR("why", why), LOG_INT("status", relay->answer->status));
	client_close(relay->client);
}

// The connection is free as soon as the body is here, however slow the engine is.
static void release_upstream(struct relay *relay)
{
	if (relay->upstream == NULL || !relay->answer->body_done)
		return;
	if (relay->answer->closes)
		upstream_close(relay->upstream);
	else
		upstream_give_back(relay->upstream);
	relay->upstream = NULL;
}

// What a read gave besides bytes. False: the relay cannot go on now, or at all.
static bool has_come(struct relay *relay, ssize_t n)
{
	if (n > 0)
		return true;
	if (n == UPSTREAM_AGAIN) {
		client_set_deadline(relay->client, relay->core->config->upstream_stall_ms);
		return false;
	}
	const struct error *why = upstream_error(relay->upstream);
	cut_off(relay, n == 0 || why->kind == ERROR_NONE ? "S3 closed the connection" : why->text);
	return false;
}

static bool has_gone(struct relay *relay, ssize_t n)
{
	if (n == CLIENT_AGAIN)
		client_set_deadline(relay->client, relay->core->config->client_stall_ms);
	else if (n <= 0)
		client_close(relay->client);
	return n > 0;
}

static bool fill_buffer(struct relay *relay)
{
	if (relay->buffer == NULL)
		relay->buffer = buffers_take(&relay->core->buffers);
	if (relay->buffer == NULL) {
		cut_off(relay, "out of memory");
		return false;
	}
	struct buffer *buffer = relay->buffer;
	ssize_t n = upstream_read(relay->upstream, buffer->data, buffer->size);
	buffer->begin = 0;
	buffer->end = n > 0 ? (size_t)n : 0;
	if (n <= 0)
		drop_buffer(relay);
	else
		answer_account(relay->answer, buffer, 0);
	return has_come(relay, n);
}

static bool empty_buffer(struct relay *relay)
{
	struct buffer *buffer = relay->buffer;
	ssize_t n = client_send(relay->client, buffer->data + buffer->begin, buffer->end - buffer->begin);
	if (!has_gone(relay, n))
		return false;
	buffer->begin += (size_t)n;
	return true;
}

static bool fill_pipe(struct relay *relay)
{
	struct answer *answer = relay->answer;
	size_t wanted = answer->left < PIPES_BYTES ? (size_t)answer->left : PIPES_BYTES;
	ssize_t n = upstream_splice(relay->upstream, relay->pipe->in, wanted);
	if (n <= 0) {
		drop_pipe(relay);
	} else {
		relay->pipe->held = (size_t)n;
		answer_account_unseen(answer, (size_t)n);
	}
	return has_come(relay, n);
}

static bool empty_pipe(struct relay *relay)
{
	struct pipe *pipe = relay->pipe;
	ssize_t n = client_splice(relay->client, pipe->out, pipe->held);
	if (!has_gone(relay, n))
		return false;
	pipe->held -= (size_t)n;
	if (pipe->held == 0)
		drop_pipe(relay);
	return true;
}

static bool read_more(struct relay *relay)
{
	const struct answer *answer = relay->answer;
	if (upstream_is_plain(relay->upstream) && !answer->is_chunked && answer->left >= RELAY_PIPE_MIN)
		relay->pipe = pipes_take(&relay->core->pipes);
	if (relay->pipe == NULL)
		return fill_buffer(relay);
	drop_buffer(relay);
	return fill_pipe(relay);
}

void relay_go(struct relay *relay)
{
	for (int step = 0; step < RELAY_TURN; step++) {
		if (relay->answer->is_broken) {
			cut_off(relay, "the chunks of the body are broken");
			return;
		}
		release_upstream(relay);
		bool has_buffered = relay->buffer != NULL && relay->buffer->begin < relay->buffer->end;
		if (!has_buffered && relay->pipe == NULL && relay->answer->body_done) {
			stats_add(&relay->core->stats.received_payload_bytes, relay->answer->payload_bytes);
			client_finish(relay->client);
			return;
		}
		if (has_buffered ? !empty_buffer(relay) : relay->pipe != NULL ? !empty_pipe(relay) : !read_more(relay))
			return;
	}
	// A body may flow for long without that either side has to be waited for.
	client_set_deadline(relay->client, relay->core->config->upstream_stall_ms);
	loop_again(relay->core->loop, &relay->client->source);
}

void relay_on_deadline(struct relay *relay)
{
	cut_off(relay, relay->buffer != NULL || relay->pipe != NULL ? "the engine reads no more" : "S3 sends no more");
}
