#include "canopy/proxy/proxy.h"

#include "base/log.h"
#include "canopy/proxy/client.h"
#include "canopy/proxy/core.h"
#include "canopy/proxy/listener.h"
#include "canopy/proxy/presence.h"
#include "canopy/proxy/transfer.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define DONE_CHECK_MS 1000

struct proxy {
	struct core core;
	struct loop_source listener;
	bool is_behind; // connections wait that could not be accepted
	char address[LISTENER_ADDRESS_SIZE];
	struct stats_reporter *reporter;
	atomic_int stops; // calls of proxy_stop()
	int64_t drain_until_ms;
	int64_t done_checked_ms;
	int engine_pipe; // -1: none
	int64_t began_ms;
	bool was_refused;
};

static void wake(void *arg)
{
	struct proxy *proxy = arg;
	loop_wake(proxy->core.loop);
}

// Until none waits. When there are enough, or no descriptor is left, the next tick goes on: told again at once, the loop would
// spin as long as that lasts.
static void accept_all(struct proxy *proxy)
{
	proxy->is_behind = true;
	while (proxy->core.client_count < CLIENT_MAX) {
		// cppcheck-suppress nullPointer ; accept(2) takes NULL for an address that is not wanted
		int fd = accept4(proxy->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			proxy->is_behind = errno != EAGAIN;
			return;
		}
		client_new(&proxy->core, fd);
	}
}

static void on_connection(struct loop_source *source, uint32_t events)
{
	(void)events;
	accept_all((struct proxy *)(void *)((char *)source - offsetof(struct proxy, listener)));
}

static void on_release(struct loop_source *source)
{
	(void)source;
}

static void drain(struct proxy *proxy)
{
	struct core *core = &proxy->core;
	if (!core->is_draining) {
		core->is_draining = true;
		proxy->drain_until_ms = loop_now_ms(core->loop) + core->config->drain_ms;
		loop_remove(core->loop, &proxy->listener);
		log_info("stopping", LOG_INT("connections", core->client_count));
	}
	client_close_idle(core);
	if (core->clients == NULL || loop_now_ms(core->loop) >= proxy->drain_until_ms || atomic_load(&proxy->stops) > 1)
		loop_stop(core->loop);
}

static bool is_engine_gone(const struct proxy *proxy, int64_t now_ms)
{
	int64_t wait_ms = proxy->core.config->engine_wait_ms;
	if (proxy->engine_pipe < 0)
		return false;
	enum presence engine = presence_look(proxy->engine_pipe);
	if (engine == PRESENCE_GONE)
		log_info("the engine is gone", LOG_NONE);
	else if (engine == PRESENCE_AWAITED && now_ms - proxy->began_ms >= wait_ms)
		log_warn("no engine came", LOG_INT("seconds", wait_ms / 1000));
	else
		return false;
	return true;
}

static bool is_done(struct proxy *proxy)
{
	const char *path = proxy->core.config->done_file;
	int64_t now_ms = loop_now_ms(proxy->core.loop);
	if (now_ms - proxy->done_checked_ms < DONE_CHECK_MS)
		return false;
	proxy->done_checked_ms = now_ms;
	return (path != NULL && access(path, F_OK) == 0) || is_engine_gone(proxy, now_ms);
}

static void on_tick(void *arg)
{
	struct proxy *proxy = arg;
	if (proxy->core.is_draining || atomic_load(&proxy->stops) > 0 || is_done(proxy))
		drain(proxy);
	upstream_pool_tick(proxy->core.pool);
	client_tick_all(&proxy->core);
	if (proxy->is_behind && !proxy->core.is_draining)
		accept_all(proxy);
}

static void on_wake(void *arg)
{
	struct proxy *proxy = arg;
	if (atomic_load(&proxy->stops) > 0)
		drain(proxy);
	upstream_pool_wake(proxy->core.pool);
	transfer_wake_all(&proxy->core);
}

static int make_core(struct proxy *proxy, const struct config *config, struct error *err)
{
	struct core *core = &proxy->core;
	core->config = config;
	core->policy = (struct policy){.bucket = config->bucket, .prefix = config->prefix};
	const struct loop_options loop = {.on_tick = on_tick, .on_wake = on_wake, .arg = proxy};
	if (route_init(config, &core->route, err) < 0 || loop_new(&loop, &core->loop, err) < 0 ||
		resolver_new(wake, proxy, &core->resolver, err) < 0)
		return -1;
	const struct upstream_options upstream = {
		.config = config, .loop = core->loop, .resolver = core->resolver, .stats = &core->stats};
	return upstream_pool_new(&upstream, &core->pool, err);
}

static int watch_engine(struct proxy *proxy, struct error *err)
{
	const char *path = proxy->core.config->engine_pipe;
	proxy->began_ms = loop_now_ms(proxy->core.loop);
	return path == NULL ? 0 : presence_open(path, &proxy->engine_pipe, err);
}

static int listen_on(struct proxy *proxy, struct error *err)
{
	if (listener_open(&proxy->listener.fd, proxy->address, err) < 0)
		return -1;
	proxy->listener.on_event = on_connection;
	proxy->listener.release = on_release;
	return loop_add(proxy->core.loop, &proxy->listener, EPOLLIN | EPOLLET, err);
}

int proxy_new(const struct config *config, struct proxy **out, struct error *err)
{
	struct proxy *made = calloc(1, sizeof(*made));
	if (made == NULL)
		return error_no_memory(err, "proxy");
	AUTO(proxy) struct proxy *proxy = made;
	proxy->listener.fd = -1;
	proxy->engine_pipe = -1;
	const struct credentials_options credentials = {.config = config, .on_change = wake, .arg = proxy};
	if (make_core(proxy, config, err) < 0 || listen_on(proxy, err) < 0 ||
		credentials_new(&credentials, &proxy->core.credentials, err) < 0 ||
		stats_reporter_new(config, &proxy->core.stats, &proxy->reporter, err) < 0 || watch_engine(proxy, err) < 0 ||
		listener_tell(config->port_file, proxy->address, err) < 0)
		return -1;
	*out = TAKE_PTR(proxy);
	return 0;
}

static void say_totals(const struct core *core)
{
	log_info("totals", LOG_INT("requests", atomic_load(&core->stats.requests)),
		LOG_INT("refused", atomic_load(&core->stats.refused)),
		LOG_INT("slow_downs", atomic_load(&core->stats.slow_downs)),
		LOG_INT("sent_raw_bytes", atomic_load(&core->stats.sent_raw_bytes)),
		LOG_INT("received_raw_bytes", atomic_load(&core->stats.received_raw_bytes)),
		LOG_INT("received_payload_bytes", atomic_load(&core->stats.received_payload_bytes)));
}

int proxy_run(struct proxy *proxy, struct error *err)
{
	const struct config *config = proxy->core.config;
	log_info("serving", LOG_STR("address", proxy->address), LOG_STR("bucket", config->bucket),
		LOG_STR("prefix", config->prefix), LOG_STR("host", proxy->core.route.host),
		LOG_STR("connect_to", proxy->core.route.target.connect_to), LOG_STR("region", config->region),
		LOG_STR("run_id", config->run_id));
	int rc = loop_run(proxy->core.loop, err);
	client_close_all(&proxy->core);
	proxy->was_refused = credentials_is_refused(proxy->core.credentials);
	say_totals(&proxy->core);
	stats_reporter_free(proxy->reporter);
	proxy->reporter = NULL;
	return rc;
}

void proxy_stop(struct proxy *proxy)
{
	(void)atomic_fetch_add(&proxy->stops, 1);
	loop_wake(proxy->core.loop);
}

void proxy_free(struct proxy *proxy)
{
	if (proxy == NULL)
		return;
	struct core *core = &proxy->core;
	stats_reporter_free(proxy->reporter);
	credentials_free(core->credentials);
	resolver_free(core->resolver);
	if (core->loop != NULL)
		client_close_all(core);
	upstream_pool_free(core->pool);
	if (proxy->listener.fd >= 0)
		(void)close(proxy->listener.fd);
	if (proxy->engine_pipe >= 0)
		(void)close(proxy->engine_pipe);
	loop_free(core->loop);
	buffers_fini(&core->buffers);
	pipes_fini(&core->pipes);
	credentials_set_fini(&core->set);
	sigv4_key_fini(&core->key);
	free(proxy);
}

const char *proxy_address(const struct proxy *proxy)
{
	return proxy->address;
}

bool proxy_was_refused(struct proxy *proxy)
{
	return proxy->was_refused;
}
