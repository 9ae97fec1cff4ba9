#include "canopy/proxy/transfer.h"

#include "base/clock.h"
#include "base/log.h"
#include "canopy/proxy/answer.h"
#include "canopy/proxy/client.h"
#include "canopy/proxy/relay.h"
#include "canopy/proxy/request.h"
#include <stdlib.h>
#include <string.h>

#define REQUEST_MAX ((size_t)256 << 10)
#define HOPS_MAX 2 // to other regions

enum phase { PHASE_NONE, PHASE_HELD, PHASE_SENDING, PHASE_HEAD, PHASE_INSPECT, PHASE_RELAY };
enum probe { PROBE_NOT_YET, PROBE_NOW, PROBE_DONE };

struct transfer {
	struct core *core;
	struct client *client;
	enum phase phase;
	struct policy_request what;
	int64_t hold_until_ms; // 0: it was not held yet
	struct upstream *upstream;
	struct buf request; // signed; wiped when it has been sent
	size_t request_sent;
	struct buffer *buffer; // of the answer; NULL while nothing is in it
	size_t scanned;
	struct answer answer;
	struct relay relay; // once the answer is passed on: connection and buffer are its

	// What the request was sent with.
	uint64_t generation;
	int64_t expires_at_ms;
	unsigned route_changes;

	// What has been tried for this request.
	bool is_fresh; // a connection from the pool was dead
	bool is_renewed;
	bool is_reset; // to S3's clock
	int hops;
	enum probe probe;
};

static void start(struct transfer *t);

struct transfer *transfer_new(struct core *core, struct client *client)
{
	struct transfer *t = calloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	t->core = core;
	t->client = client;
	t->relay = (struct relay){.core = core, .client = client, .answer = &t->answer};
	buf_init(&t->request, REQUEST_MAX);
	return t;
}

static void wipe_request(struct transfer *t)
{
	if (t->request.len > 0)
		secret_wipe(t->request.data, t->request.len);
	buf_reset(&t->request);
	t->request_sent = 0;
}

// Let go of the connection and what came over it. The request may be sent again after that.
static void let_go(struct transfer *t, bool reusable)
{
	if (t->upstream != NULL && reusable)
		upstream_give_back(t->upstream);
	else if (t->upstream != NULL)
		upstream_close(t->upstream);
	t->upstream = NULL;
	buffers_give_back(&t->core->buffers, t->buffer);
	t->buffer = NULL;
	t->scanned = 0;
	wipe_request(t);
}

void transfer_stop(struct transfer *transfer)
{
	let_go(transfer, false);
	relay_stop(&transfer->relay);
	policy_request_fini(&transfer->what);
	transfer->phase = PHASE_NONE;
}

void transfer_free(struct transfer *transfer)
{
	transfer_stop(transfer);
	buf_fini(&transfer->request);
	free(transfer);
}

static void unavailable(struct transfer *t, const char *what, const struct error *why)
{
	log_warn(what, LOG_ERR(why), LOG_STR("endpoint", t->core->route.target.connect_to));
	client_answer(t->client, 503, "ServiceUnavailable", why->text, false);
}

static void bad_answer(struct transfer *t, const char *why)
{
	log_warn("S3's answer is not understood", LOG_STR("why", why));
	client_answer(t->client, 502, "InternalError", why, false);
}

// NOLINTBEGIN(misc-no-recursion): a transfer begins anew once for a lost connection and once for each thing that inspect() can
// mend The connection broke before an answer came. One from the pool may have been closed while the request was under way: that
// is nobody's fault, and a read may be repeated.
static void lost(struct transfer *t)
{
	struct error why = *upstream_error(t->upstream);
	bool may_repeat = upstream_was_idle(t->upstream) && (t->buffer == NULL || t->buffer->end == 0) && !t->is_fresh;
	if (why.kind == ERROR_NONE)
		(void)error_set(&why, ERROR_TRANSIENT, "S3 closed the connection before it answered");
	let_go(t, false);
	if (!may_repeat) {
		unavailable(t, "S3 did not answer", &why);
		return;
	}
	t->is_fresh = true;
	start(t);
}

static int sign(struct transfer *t, struct error *err)
{
	struct core *core = t->core;
	const struct request request = {.config = core->config,
		.route = &core->route,
		.what = &t->what,
		.fields = &t->client->head.fields,
		.set = &core->set,
		.key = &core->key,
		.wall_ms = clock_wall_ms() + core->skew_ms,
		.is_probe = t->probe == PROBE_NOW};
	t->generation = core->set.generation;
	t->expires_at_ms = core->set.keys.expires_at_ms;
	t->route_changes = core->route_changes;
	return request_write(&request, &t->request, err);
}

// Signed when the connection is open: the date in the signature is the date of sending.
static void go_sending(struct transfer *t)
{
	struct error err = {0};
	if (upstream_state(t->upstream) == UPSTREAM_FAILED) {
		err = *upstream_error(t->upstream);
		let_go(t, false);
		unavailable(t, "S3 cannot be reached", &err);
		return;
	}
	if (upstream_state(t->upstream) != UPSTREAM_OPEN)
		return;
	if (t->request.len == 0 && sign(t, &err) < 0) {
		log_error("the request cannot be signed", LOG_ERR(&err));
		client_answer(t->client, 500, "InternalError", "the request cannot be signed", false);
		return;
	}
	while (t->request_sent < t->request.len) {
		ssize_t n = upstream_write(t->upstream, t->request.data + t->request_sent, t->request.len - t->request_sent);
		if (n == UPSTREAM_AGAIN)
			return;
		if (n == UPSTREAM_BROKEN) {
			lost(t);
			return;
		}
		t->request_sent += (size_t)n;
	}
	wipe_request(t);
	stats_add(&t->core->stats.requests, 1);
	t->phase = PHASE_HEAD;
	client_set_deadline(t->client, t->core->config->upstream_stall_ms);
}

static void on_upstream(void *arg)
{
	transfer_go(arg);
}

static void hold(struct transfer *t)
{
	int64_t now_ms = loop_now_ms(t->core->loop);
	if (t->hold_until_ms == 0)
		t->hold_until_ms = now_ms + t->core->config->hold_ms;
	t->phase = PHASE_HELD;
	client_set_deadline(t->client, t->hold_until_ms - now_ms);
}

// Once there are credentials: take a connection and send.
static void start(struct transfer *t)
{
	struct core *core = t->core;
	struct error why = {0};
	switch (credentials_get(core->credentials, clock_wall_ms() + core->skew_ms, &core->set, &why)) {
	case CREDENTIALS_AWAITED:
		hold(t);
		return;
	case CREDENTIALS_REFUSED:
		client_answer(t->client, 403, "AccessDenied", why.text, false);
		return;
	case CREDENTIALS_FAILED:
		client_answer(t->client, 503, "ServiceUnavailable", why.text, false);
		return;
	case CREDENTIALS_READY:
	default:
		break;
	}
	t->phase = PHASE_SENDING;
	client_set_deadline(t->client, core->config->upstream_stall_ms + core->config->connect_ms * UPSTREAM_TRIES_MAX);
	t->upstream = upstream_take(core->pool, &core->route.target, t->is_fresh, on_upstream, t);
	if (t->upstream == NULL) {
		client_answer(t->client, 503, "ServiceUnavailable", "out of memory", false);
		return;
	}
	go_sending(t);
}

static void start_again(struct transfer *t, bool reusable)
{
	let_go(t, reusable);
	start(t);
}

// The cause of a refusal has been dealt with: the request itself once more, also when it was the probe that found the cause.
static void try_again(struct transfer *t)
{
	if (t->probe == PROBE_NOW)
		t->probe = PROBE_NOT_YET;
	start_again(t, t->answer.body_done && !t->answer.closes);
}

void transfer_begin(struct transfer *transfer)
{
	struct transfer *t = transfer;
	struct error err = {0};
	bool reads = head_text_is(t->client->head.method, "GET") || head_text_is(t->client->head.method, "HEAD");
	t->hold_until_ms = 0;
	t->is_fresh = false;
	t->is_renewed = false;
	t->is_reset = false;
	t->hops = 0;
	t->probe = PROBE_NOT_YET;
	if (reads && t->client->head.has_body) {
		client_answer(t->client, 400, "InvalidRequest", "a request that reads has no body", true);
		return;
	}
	if (policy_check(&t->core->policy, &t->client->head, &t->what, &err) < 0 && err.kind != ERROR_INVALID) {
		// To an engine AccessDenied is final: it would be our lack of memory that ends the restore.
		client_answer(t->client, 503, "ServiceUnavailable", err.text, !reads);
		return;
	}
	if (err.kind != ERROR_NONE) {
		log_warn("refused", LOG_STR("why", err.text));
		client_answer(t->client, 403, "AccessDenied", err.text, !reads); // a body may follow, which nobody reads
		return;
	}
	start(t);
}

// S3 refuses these credentials: fresh ones, once.
static void renew(struct transfer *t)
{
	credentials_reject(t->core->credentials, t->generation);
	if (t->is_renewed) {
		log_warn("S3 refuses fresh credentials, too", LOG_STR("code", t->answer.error.code));
		client_answer(t->client, 503, "SlowDown", "S3 refuses the credentials; fresh ones are awaited", false);
		return;
	}
	t->is_renewed = true;
	try_again(t);
}

// To the region that S3 names. Another request may have found it out meanwhile.
static bool follow(struct transfer *t)
{
	struct core *core = t->core;
	const struct route_hint hint = {.region = t->answer.region[0] != '\0' ? t->answer.region : t->answer.error.region,
		.location = t->answer.location};
	if (t->hops++ >= HOPS_MAX)
		return false;
	if (t->route_changes == core->route_changes) {
		if (!route_follow(&core->route, core->config, &hint))
			return false;
		core->route_changes++;
		log_info("the bucket is elsewhere", LOG_STR("region", core->route.region), LOG_STR("host", core->route.host));
	}
	try_again(t);
	return true;
}

// Take S3's clock for the signatures, once a request.
static bool set_clock(struct transfer *t)
{
	int64_t theirs_ms = 0;
	if (t->is_reset || !answer_time(&t->answer, &theirs_ms))
		return false;
	t->is_reset = true;
	t->core->skew_ms = theirs_ms - clock_wall_ms();
	log_warn("this machine's clock differs from S3's", LOG_INT("difference_ms", t->core->skew_ms));
	try_again(t);
	return true;
}

static bool is_credentials_fault(const struct transfer *t)
{
	if (t->answer.status != 400 && t->answer.status != 403)
		return false;
	// Some servers say AccessDenied to a token whose time is up.
	return s3error_is_credentials(t->answer.error.code) || clock_wall_ms() + t->core->skew_ms >= t->expires_at_ms;
}

// True when the answer has been dealt with and is not to be shown.
static bool deal_with(struct transfer *t)
{
	const struct answer *answer = &t->answer;
	if (answer->status / 100 == 3 || strcmp(answer->error.code, "AuthorizationHeaderMalformed") == 0) {
		if (follow(t))
			return true;
		if (answer->status / 100 != 3)
			return false;
		bad_answer(t, "S3 sends the bucket's requests elsewhere, and that is not followed");
		return true;
	}
	if (strcmp(answer->error.code, "RequestTimeTooSkewed") == 0)
		return set_clock(t);
	if (is_credentials_fault(t)) {
		renew(t);
		return true;
	}
	return false;
}

static void pass_on(struct transfer *t)
{
	stats_add(&t->core->stats.slow_downs, t->answer.status == 503 ? 1 : 0);
	if (answer_strip(&t->answer, t->buffer) != NULL) {
		bad_answer(t, "the head cannot be read");
		return;
	}
	t->phase = PHASE_RELAY;
	relay_begin(&t->relay, TAKE_PTR(t->upstream), TAKE_PTR(t->buffer));
	relay_go(&t->relay);
}

// The whole answer, or as much as fits, is in the buffer.
static void inspect(struct transfer *t)
{
	answer_read_error(&t->answer, t->buffer);
	if (deal_with(t))
		return;
	if (t->probe != PROBE_NOW) {
		pass_on(t);
		return;
	}
	t->probe = PROBE_DONE;
	start_again(t, t->answer.body_done && !t->answer.closes);
}

// The head has come, and perhaps the beginning of the body.
static void on_head(struct transfer *t)
{
	struct answer *answer = &t->answer;
	bool is_head = t->what.is_head && t->probe != PROBE_NOW;
	const char *wrong = answer_begin(answer, t->buffer, is_head);
	if (wrong != NULL) {
		let_go(t, false);
		bad_answer(t, wrong);
		return;
	}
	bool is_refusal = answer->status == 400 || answer->status == 403;
	if (is_head && is_refusal && t->probe == PROBE_NOT_YET) {
		t->probe = PROBE_NOW;
		start_again(t, !answer->closes);
	} else if (is_refusal || answer_is_redirect(answer)) {
		t->phase = PHASE_INSPECT;
	} else if (t->probe == PROBE_NOW) {
		t->probe = PROBE_DONE;
		start_again(t, answer->body_done && !answer->closes);
	} else {
		pass_on(t);
	}
}

// Read into the buffer behind what is there; false when there is nothing now, or when the connection is lost.
static ssize_t fill(struct transfer *t)
{
	if (t->buffer == NULL)
		t->buffer = buffers_take(&t->core->buffers);
	if (t->buffer == NULL)
		return UPSTREAM_BROKEN;
	struct buffer *buffer = t->buffer;
	ssize_t n = upstream_read(t->upstream, buffer->data + buffer->end, buffer->size - buffer->end);
	if (n > 0)
		buffer->end += (size_t)n;
	return n;
}

static void go_head(struct transfer *t)
{
	size_t bytes = 0;
	ssize_t n = fill(t);
	if (n == UPSTREAM_AGAIN) {
		if (t->buffer->end == 0) {
			buffers_give_back(&t->core->buffers, t->buffer);
			t->buffer = NULL;
		}
		return;
	}
	if (n <= 0) {
		lost(t);
		return;
	}
	enum head_progress progress = head_find_end(t->buffer->data, t->buffer->end, &t->scanned, &bytes);
	if (progress == HEAD_WHOLE && bytes <= HEAD_BYTES_MAX) {
		t->answer.head_bytes = bytes;
		on_head(t);
	} else if (progress == HEAD_PARTIAL && t->buffer->end < HEAD_BYTES_MAX) {
		transfer_go(t);
	} else {
		let_go(t, false);
		bad_answer(t, "the head is too long, or its lines do not end as they should");
	}
}

// The body of an error document. It may come in several pieces.
static void go_inspect(struct transfer *t)
{
	while (!t->answer.body_done && t->buffer->end < t->buffer->size) {
		size_t before = t->buffer->end;
		ssize_t n = fill(t);
		if (n == UPSTREAM_AGAIN)
			return;
		if (n <= 0)
			break; // what came is looked at; passed on, it ends early
		answer_account(&t->answer, t->buffer, before);
	}
	inspect(t);
}

void transfer_go(struct transfer *transfer)
{
	switch (transfer->phase) {
	case PHASE_SENDING:
		go_sending(transfer);
		if (transfer->phase != PHASE_HEAD)
			return;
		break;
	case PHASE_HEAD:
		go_head(transfer);
		if (transfer->phase != PHASE_INSPECT)
			return;
		go_inspect(transfer);
		break;
	case PHASE_INSPECT:
		go_inspect(transfer);
		break;
	case PHASE_RELAY:
		relay_go(&transfer->relay);
		break;
	case PHASE_NONE:
	case PHASE_HELD:
	default:
		break;
	}
}
// NOLINTEND(misc-no-recursion)

void transfer_on_deadline(struct transfer *transfer)
{
	switch (transfer->phase) {
	case PHASE_HELD:
		client_answer(transfer->client, 503, "SlowDown", "no credentials can be had at the moment", false);
		break;
	case PHASE_RELAY:
		relay_on_deadline(&transfer->relay);
		break;
	case PHASE_SENDING:
	case PHASE_HEAD:
	case PHASE_INSPECT:
	case PHASE_NONE:
	default:
		client_answer(transfer->client, 503, "ServiceUnavailable", "S3 does not answer in time", false);
		break;
	}
}

void transfer_wake_all(struct core *core)
{
	for (struct client *client = core->clients, *after = NULL; client != NULL; client = after) {
		after = client->after;
		if (client->transfer->phase == PHASE_HELD)
			start(client->transfer);
	}
}
