#include "canopy/proxy/loop.h"

#include "base/clock.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EVENTS_PER_ROUND 64

struct loop {
	struct loop_options options;
	int epoll_fd;
	int wake_fd;
	int64_t now_ms;
	int64_t ticked_ms;
	struct loop_source *first; // the queue of those that go on
	struct loop_source *last;
	struct loop_source *dead;
	atomic_bool stop;
};

int loop_new(const struct loop_options *options, struct loop **out, struct error *err)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	if (loop == NULL)
		return error_no_memory(err, "event loop");
	loop->options = *options;
	loop->now_ms = clock_mono_ms();
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	// A NULL pointer stands for the loop's own descriptor.
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
	if (loop->epoll_fd < 0 || loop->wake_fd < 0 || epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &event) < 0) {
		(void)error_set_errno(err, errno, "event loop");
		loop_free(loop);
		return -1;
	}
	*out = loop;
	return 0;
}

static void bury(struct loop *loop)
{
	while (loop->dead != NULL) {
		struct loop_source *source = loop->dead;
		loop->dead = source->next_dead;
		source->release(source);
	}
}

void loop_free(struct loop *loop)
{
	if (loop == NULL)
		return;
	bury(loop);
	if (loop->epoll_fd >= 0)
		(void)close(loop->epoll_fd);
	if (loop->wake_fd >= 0)
		(void)close(loop->wake_fd);
	free(loop);
}

int loop_add(struct loop *loop, struct loop_source *source, uint32_t events, struct error *err)
{
	struct epoll_event event = {.events = events, .data.ptr = source};
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, source->fd, &event) < 0)
		return error_set_errno(err, errno, "event loop");
	return 0;
}

static void unqueue(struct loop *loop, struct loop_source *source)
{
	struct loop_source *before = NULL;
	for (struct loop_source *at = loop->first; at != NULL; before = at, at = at->next) {
		if (at != source)
			continue;
		if (before == NULL)
			loop->first = at->next;
		else
			before->next = at->next;
		if (loop->last == at)
			loop->last = before;
		break;
	}
	source->is_queued = false;
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
	if (source->is_dead)
		return;
	if (source->is_queued)
		unqueue(loop, source);
	if (source->fd >= 0)
		(void)close(source->fd); // leaves the epoll set by itself
	source->fd = -1;
	source->is_dead = true;
	source->next_dead = loop->dead;
	loop->dead = source;
}

void loop_again(struct loop *loop, struct loop_source *source)
{
	if (source->is_queued || source->is_dead)
		return;
	source->is_queued = true;
	source->next = NULL;
	if (loop->last == NULL)
		loop->first = source;
	else
		loop->last->next = source;
	loop->last = source;
}

int64_t loop_now_ms(const struct loop *loop)
{
	return loop->now_ms;
}

// Those that were queued when the round began; what they queue again waits for the next.
static void run_queue(struct loop *loop)
{
	struct loop_source *last = loop->last;
	while (loop->first != NULL) {
		struct loop_source *source = loop->first;
		bool is_last = source == last;
		loop->first = source->next;
		if (loop->first == NULL)
			loop->last = NULL;
		source->is_queued = false;
		source->on_event(source, 0);
		if (is_last)
			break;
	}
}

static void run_events(struct loop *loop, const struct epoll_event *events, int count)
{
	for (int i = 0; i < count; i++) {
		struct loop_source *source = events[i].data.ptr;
		if (source == NULL) {
			uint64_t wakes = 0;
			(void)!read(loop->wake_fd, &wakes, sizeof(wakes));
			loop->options.on_wake(loop->options.arg);
		} else if (!source->is_dead) {
			source->on_event(source, events[i].events);
		}
	}
}

static void tick(struct loop *loop)
{
	if (loop->now_ms - loop->ticked_ms < LOOP_TICK_MS)
		return;
	loop->ticked_ms = loop->now_ms;
	loop->options.on_tick(loop->options.arg);
}

int loop_run(struct loop *loop, struct error *err)
{
	struct epoll_event events[EVENTS_PER_ROUND];
	while (!atomic_load(&loop->stop)) {
		int count = epoll_wait(loop->epoll_fd, events, EVENTS_PER_ROUND, loop->first != NULL ? 0 : LOOP_TICK_MS);
		if (count < 0 && errno != EINTR)
			return error_set_errno(err, errno, "wait for events");
		loop->now_ms = clock_mono_ms();
		run_events(loop, events, count);
		run_queue(loop);
		tick(loop);
		bury(loop);
	}
	return 0;
}

void loop_wake(struct loop *loop)
{
	const uint64_t one = 1;
	(void)!write(loop->wake_fd, &one, sizeof(one));
}

void loop_stop(struct loop *loop)
{
	atomic_store(&loop->stop, true);
	loop_wake(loop);
}
