// An event loop over epoll: edge-triggered sources, a queue of those that want to go on, a tick for deadlines.
//
// One thread runs it; only loop_wake() and loop_stop() may be called from others. A source is part of the object it serves.
// Edge-triggered: a source is told once that it may read or write, and remembers it until a call says EAGAIN; this saves a system
// call for each change of mind.
#ifndef CANOPY_PROXY_LOOP_H
#define CANOPY_PROXY_LOOP_H

#include "base/error.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define LOOP_TICK_MS 200 // how late a deadline may be noticed

struct loop_source;

// events as epoll gives them; 0 when the source's turn came through loop_again().
typedef void (*loop_on_event)(struct loop_source *source, uint32_t events);

struct loop_source {
	loop_on_event on_event;
	int fd;
	bool is_queued;
	bool is_dead;
	struct loop_source *next; // in the queue of those that go on
	void (*release)(struct loop_source *source);
	struct loop_source *next_dead;
};

struct loop;

// on_tick is called about every LOOP_TICK_MS; on_wake after loop_wake(), once for any number of them.
struct loop_options {
	void (*on_tick)(void *arg);
	void (*on_wake)(void *arg);
	void *arg;
};

MUST_CHECK int loop_new(const struct loop_options *options, struct loop **out, struct error *err);
void loop_free(struct loop *loop);

MUST_CHECK int loop_add(struct loop *loop, struct loop_source *source, uint32_t events, struct error *err);

// Close the descriptor and call release(source) when no event of this round can name it any more.
void loop_remove(struct loop *loop, struct loop_source *source);

// Let the source go on after the others had their turn.
void loop_again(struct loop *loop, struct loop_source *source);

// Monotonic time of this round: cheaper than asking the clock for each event.
int64_t loop_now_ms(const struct loop *loop);

// Until loop_stop().
MUST_CHECK int loop_run(struct loop *loop, struct error *err);

void loop_wake(struct loop *loop);
void loop_stop(struct loop *loop);

#endif
