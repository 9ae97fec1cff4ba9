#include "reconciler/run.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "reconciler/page.h"
#include "reconciler/pass.h"
#include "reconciler/tick.h"
#include "reconciler/web.h"
#include "reconciler/wiring.h"
#include "reconciler/workers.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define LEAST_PAUSE_MS 1000 // design.md: at most one pass a second
#define INTERVAL_JITTER_PERCENT 20
#define REGISTER_FIRST_WAIT_MS 1000
#define REGISTER_LONGEST_WAIT_MS 60000
#define CERTIFICATES_LOOK_MS (INT64_C(3600) * 1000)
#define DRAIN_MS 10000 // after SIGTERM, for requests in flight
#define DEAD_MS 300000 // no step finished for so long: the loop hangs (calls time out after 30 s and are tried 4 times)

struct loop {
	struct manager *op;
	struct wiring *wiring;
	int64_t passes;                    // begun so far: the number that lines about one carry
	bool has_led;                      // when the main loop last looked
	int64_t certificates_kept_mono_ms; // when the CA was last looked at
	int wake_fd;                       // eventfd: the Lease came or went, the cluster is known, or it is time to stop
	int signal_fd;                     // signalfd: SIGTERM, SIGINT
	pthread_t signal_thread;
	bool has_signal_thread;
	int quit_fd; // eventfd: the signal thread shall end
};

static void wake(void *arg)
{
	(void)eventfd_write(((struct loop *)arg)->wake_fd, 1);
}

// Sleep until the time is over or somebody rings; rings that came before count.
static void pause_for(struct loop *loop, int64_t ms)
{
	struct pollfd fd = {.fd = loop->wake_fd, .events = POLLIN};
	int64_t until = clock_mono_ms() + ms;
	for (int64_t left = ms; left > 0 && !atomic_load(&loop->op->stopping); left = until - clock_mono_ms()) {
		// The heartbeat goes on while there is nothing to do.
		int n = poll(&fd, 1, left > 10000 ? 10000 : (int)left);
		atomic_store(&loop->op->beat_mono_ms, clock_mono_ms());
		if (n > 0) {
			eventfd_t rings;
			(void)eventfd_read(loop->wake_fd, &rings);
			return;
		}
	}
}

// First SIGTERM: no new step, requests in flight have DRAIN_MS. Second: leave at once.
static void *wait_for_signals(void *arg)
{
	struct loop *loop = arg;
	struct pollfd fds[] = {{.fd = loop->signal_fd, .events = POLLIN}, {.fd = loop->quit_fd, .events = POLLIN}};
	int64_t cancel_at_ms = INT64_MAX;

	for (;;) {
		int64_t left = cancel_at_ms == INT64_MAX ? -1 : cancel_at_ms - clock_mono_ms();
		int n = poll(fds, 2, cancel_at_ms == INT64_MAX ? -1 : left < 0 ? 0 : (int)left);
		if (n > 0 && (fds[1].revents & POLLIN) != 0)
			return NULL;
		if (n > 0 && (fds[0].revents & POLLIN) != 0) {
			struct signalfd_siginfo info;
			(void)(read(loop->signal_fd, &info, sizeof(info)) < 0);
			if (atomic_exchange(&loop->op->stopping, true))
				_exit(1);
			log_info("stopping", LOG_INT("signal", info.ssi_signo));
			cancel_at_ms = clock_mono_ms() + DRAIN_MS;
			wake(loop);
		} else if (n == 0) {
			atomic_store(&loop->op->cancelling, true);
			cancel_at_ms = INT64_MAX;
		}
	}
}

static int block_signals(int *signal_fd, struct error *err)
{
	sigset_t set;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL); // EINVAL, for another way to do it, is all that it knows
	// A peer that goes away is an error of that write, never the end of the program.
	(void)signal(SIGPIPE, SIG_IGN);
	*signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
	return *signal_fd < 0 ? error_set_errno(err, errno, "signalfd") : 0;
}

static int loop_open(struct loop *loop, struct error *err)
{
	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	loop->quit_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->wake_fd < 0 || loop->quit_fd < 0)
		return error_set_errno(err, errno, "eventfd");
	int rc = pthread_create(&loop->signal_thread, NULL, wait_for_signals, loop);
	if (rc != 0)
		return error_set_errno(err, rc, "start the signal thread");
	loop->has_signal_thread = true;
	return 0;
}

// The signal thread looks at the operator: it ends before the operator goes.
static void loop_end_signals(struct loop *loop)
{
	if (!loop->has_signal_thread)
		return;
	(void)eventfd_write(loop->quit_fd, 1);
	(void)pthread_join(loop->signal_thread, NULL);
}

static void loop_close(const struct loop *loop)
{
	const int fds[] = {loop->wake_fd, loop->quit_fd, loop->signal_fd};
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (fds[i] >= 0)
			(void)close(fds[i]);
	}
}

static bool is_live(void *arg, char *why, size_t why_size)
{
	const struct manager *op = arg;
	int64_t silent_ms = clock_mono_ms() - atomic_load(&op->beat_mono_ms);
	if (silent_ms > DEAD_MS)
		(void)snprintf(why, why_size, "the main loop has not moved for %lld s", (long long)(silent_ms / 1000));
	return silent_ms <= DEAD_MS;
}

static bool is_ready(void *arg, char *why, size_t why_size)
{
	const struct manager *op = arg;
	// One that waits for its turn is ready to take it.
	bool synced = atomic_load(&op->is_synced) || !manager_leads(op);
	if (!synced)
		(void)snprintf(why, why_size, "no pass has gone through yet: see the log");
	return synced && !atomic_load(&op->stopping);
}

// canopy drops entries whose intent is not advertised: nothing is asked for before this has worked.
static void register_intents(struct loop *loop)
{
	int64_t wait_ms = REGISTER_FIRST_WAIT_MS;
	while (loop->op->canopy != NULL && !loop->op->is_registered && !atomic_load(&loop->op->stopping) &&
		manager_leads(loop->op)) {
		struct error err = {0};
		if (canopy_register(loop->op->canopy, loop->op->settings, &err) == 0) {
			loop->op->is_registered = true;
			log_info("intents registered", LOG_STR("canopy", loop->op->settings->canopy_base_url));
			return;
		}
		tick_note_end(loop->op);
		int64_t pause_ms = random_jitter(wait_ms, INTERVAL_JITTER_PERCENT);
		log_warn("intents not registered", LOG_INT("next_try_ms", pause_ms), LOG_ERR(&err));
		pause_for(loop, err.retry_after_ms > pause_ms ? err.retry_after_ms : pause_ms);
		wait_ms = wait_ms * 2 > REGISTER_LONGEST_WAIT_MS ? REGISTER_LONGEST_WAIT_MS : wait_ms * 2;
	}
}

// The broker serves on every operator, whether it leads or not. Once there is a CA, it is looked at every hour.
static bool keep_certificates(struct loop *loop)
{
	struct error err = {0};
	int64_t now_ms = clock_mono_ms();
	if (loop->certificates_kept_mono_ms != 0 && now_ms - loop->certificates_kept_mono_ms < CERTIFICATES_LOOK_MS)
		return true;
	if (wiring_keep_certificates(loop->wiring, clock_wall_ms(), &err) == 0) {
		loop->certificates_kept_mono_ms = now_ms;
		return true;
	}
	log_warn("CA and broker are not up to date", LOG_ERR(&err));
	if (loop->certificates_kept_mono_ms != 0)
		return true; // what is there goes on
	pause_for(loop, LEAST_PAUSE_MS);
	return false;
}

// Returns true when this operator leads. What was remembered while another led is no base for decisions.
static bool wait_to_lead(struct loop *loop)
{
	struct manager *op = loop->op;
	if (manager_leads(op)) {
		if (loop->has_led)
			return true;
		wiring_announce(loop->wiring);
		loop->has_led = true;
		// Who led before may have registered the intents of other settings, and renewed the CA within the hour.
		op->is_registered = false;
		loop->certificates_kept_mono_ms = 0;
		return keep_certificates(loop);
	}
	if (loop->has_led)
		pass_forget(op);
	loop->has_led = false;
	slots_clear(op->slots);
	queue_clear(op->queue);
	// Once the workers have let go nothing is left to be cancelled; the broker serves on.
	const bool is_idle = queue_is_idle(op->queue);
	if (is_idle && !atomic_load(&op->stopping))
		atomic_store(&op->cancelling, false);
	pause_for(loop, is_idle ? op->settings->reconcile_interval_ms : LEAST_PAUSE_MS / 10);
	return false;
}

// Nothing is decided on half a picture: all five lists have to be through.
static bool wait_to_see(struct loop *loop)
{
	if (cache_is_synced(loop->op->cache))
		return true;
	pause_for(loop, LEAST_PAUSE_MS / 10);
	return false;
}

static void pass(struct loop *loop)
{
	struct manager *op = loop->op;
	struct error err = {0};
	log_with("pass", ++loop->passes);
	atomic_store(&op->hears_events, true);
	int rc = tick(op, &err);
	if (op->worklist != NULL)
		atomic_store(&op->is_synced, true);
	if (rc < 0 && !atomic_load(&op->stopping))
		log_warn("pass not completed", LOG_STR("kind", error_kind_text(err.kind)), LOG_ERR(&err));
	log_with("pass", 0);
}

// Until the next pass; the metrics follow the workers meanwhile.
static void pause_counting(struct loop *loop, int64_t ms)
{
	int64_t until = clock_mono_ms() + ms;
	for (int64_t left = ms; left > 0 && !atomic_load(&loop->op->stopping) && manager_leads(loop->op);
		left = until - clock_mono_ms()) {
		pause_for(loop, left < LEAST_PAUSE_MS ? left : LEAST_PAUSE_MS);
		tick_count(loop->op);
	}
}

static void run_passes(struct loop *loop)
{
	struct manager *op = loop->op;
	while (!atomic_load(&op->stopping)) {
		atomic_store(&op->beat_mono_ms, clock_mono_ms());
		if (!keep_certificates(loop) || !wait_to_lead(loop) || !wait_to_see(loop))
			continue;
		register_intents(loop);
		if (op->canopy != NULL && !op->is_registered)
			continue;
		pass(loop);
		int64_t interval_ms = random_jitter(op->settings->reconcile_interval_ms, INTERVAL_JITTER_PERCENT);
		pause_counting(loop, interval_ms < LEAST_PAUSE_MS ? LEAST_PAUSE_MS : interval_ms);
	}
}

// Which version, and all that somebody has set.
static void say_started(const struct settings *settings, const struct web *web)
{
	struct error err = {0};
	AUTO(buf) struct buf summary;
	buf_init(&summary, LOG_LINE_MAX / 2);
	const bool is_shown = settings_summary(settings, &summary, &err) == 0;
	log_info("understory started", LOG_STR("version", UNDERSTORY_VERSION), LOG_INT("metrics_port", web_port(web)),
		LOG_INT("interval_ms", settings->reconcile_interval_ms), LOG_STR("config_file", settings->config_file),
		LOG_STR("settings", is_shown ? buf_str(&summary) : "not shown here: see understory check-config"));
}

static int run_operator(struct loop *loop, struct wiring *wiring, struct error *err)
{
	AUTO(workers) struct workers *workers = NULL;
	AUTO(page) struct page *page = NULL;
	AUTO(web) struct web *web = NULL; // ends before the page
	const struct web_probes probes = {.is_live = is_live, .is_ready = is_ready, .arg = loop->op};

	atomic_store(&loop->op->beat_mono_ms, clock_mono_ms());
	metrics_set(loop->op->metrics, METRIC_BUILD_INFO, UNDERSTORY_VERSION, NULL, NULL, 1);
	wiring_on_wake(wiring, wake, loop);
	if (page_new(loop->op, clock_wall_ms(), &page, err) < 0)
		return -1;
	const struct web_source source = page_source(page);
	// The watches first: the page of metrics looks at them.
	if (wiring_watch(wiring, err) < 0 ||
		web_start(loop->op->settings->metrics_addr, loop->op->metrics, &probes, &source, &web, err) < 0 ||
		workers_start(loop->op, &workers, err) < 0)
		return -1;
	say_started(loop->op->settings, web);
	if (loop->op->lease != NULL && lease_start(loop->op->lease, err) < 0)
		return -1;
	run_passes(loop);
	workers_stop(TAKE_PTR(workers));
	// Nothing writes any more: the next one need not wait for the Lease to expire.
	if (loop->op->lease != NULL)
		lease_stop(loop->op->lease);
	return 0;
}

int run(const struct settings *settings, struct error *err)
{
	AUTO(wiring) struct wiring *wiring = NULL;
	struct loop loop = {.wake_fd = -1, .signal_fd = -1, .quit_fd = -1};

	// Before any thread, so that every thread inherits it.
	if (block_signals(&loop.signal_fd, err) < 0)
		return -1;
	int rc = wiring_open(settings, WIRING_ALL, &wiring, err);
	if (rc == 0) {
		loop.op = wiring_manager(wiring);
		loop.wiring = wiring;
		rc = loop_open(&loop, err);
	}
	if (rc == 0)
		rc = run_operator(&loop, wiring, err);
	loop_end_signals(&loop);
	// The checks ring the loop: they end, with all else, before its descriptors are closed.
	wiring_close(TAKE_PTR(wiring));
	loop_close(&loop);
	if (rc == 0)
		log_info("stopped", LOG_NONE);
	return rc;
}
