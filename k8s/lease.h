// Leader election over a Lease: at most one of several programs acts.
//
// As client-go's tools/leaderelection does it, and together with it. A record that another holds counts as expired when it has
// not changed for its leaseDurationSeconds on OUR monotonic clock since we saw it change; wall clocks are written, never
// compared.
//
// How two leaders are kept apart. lease_is_held() is true until renew_deadline_ms (10 s) after the last renewal that succeeded
// was SENT, and turns false by itself then, also while the thread hangs in a call or the process was stopped. Others see that
// renewal no sooner than it was sent and wait duration_ms (15 s) from there. So it must be asked before each write; between the
// last moment at which it says yes and the first at which another may act there are 5 s, for the write that was let through. A
// write that takes longer, or a process that is stopped between question and write, is not fenced: what is written must bear
// being written twice (names, preconditions, run ids). A try to renew takes at most a third of the deadline, and never so long
// that deadline and try exceed the duration: it cannot bring a record of ours to the server when another holds it, since each
// write carries the resourceVersion it was decided on.
//
// Threads: lease_is_held() and lease_read_status() from any; the callback comes from the lease's thread, or from the one that
// calls lease_try() or lease_stop().
#ifndef K8S_LEASE_H
#define K8S_LEASE_H

#include "base/error.h"
#include "k8s/client.h"
#include <stdbool.h>
#include <stdint.h>

// What client-go takes by default. Between tries a candidate waits retry_period_ms and up to 1.2 times as much again (its
// JitterFactor), a holder retry_period_ms.
#define LEASE_DURATION_MS 15000
#define LEASE_RENEW_DEADLINE_MS 10000
#define LEASE_RETRY_PERIOD_MS 2000

#define LEASE_IDENTITY_SIZE 320 // a host name (64 on Linux, 255 at most by POSIX), "_", a UUID

struct lease;

struct lease_timings {
	int64_t duration_ms; // whole seconds; more than renew_deadline_ms, which is more than 1.2 retry_period_ms
	int64_t renew_deadline_ms;
	int64_t retry_period_ms;
};

// For tests. mono_ms must be safe to call from any thread.
struct lease_clock {
	int64_t (*mono_ms)(void *arg);
	int64_t (*wall_ms)(void *arg);
	void *arg;
};

// Texts are copied.
struct lease_options {
	const char *namespace;
	const char *name;
	const char *identity;            // of this process alone: lease_make_identity()
	struct lease_timings timings;    // all zero: the LEASE_ values
	const struct lease_clock *clock; // NULL: base/clock.h
	// May be NULL. After a loss that nobody was told of before the lease came back, both are told. Must not call
	// lease_stop().
	void (*on_change)(void *arg, bool is_held);
	void *arg;
};

struct lease_status {
	bool is_held;
	char holder[LEASE_IDENTITY_SIZE]; // as last seen; "" for nobody
	int64_t transitions;
	uint64_t slow_paths;        // renewals that needed to read the record first
	char error[ERROR_TEXT_MAX]; // of the last try; "" when it went well, whoever holds the lease
};

// "<host name>_<random UUID>".
MUST_CHECK int lease_make_identity(char out[LEASE_IDENTITY_SIZE], struct error *err);

// client is borrowed for the lease's life; its cancel does not concern the lease, which has to release at the end. ERROR_INVALID:
// timings that contradict each other.
MUST_CHECK int lease_new(struct k8s_client *client, const struct lease_options *options, struct lease **out, struct error *err);

// Take part, on a thread of its own, until lease_stop().
MUST_CHECK int lease_start(struct lease *lease, struct error *err);

// Stop taking part: not held from now on, the record is released if it is ours. To be called when nothing writes any more. Blocks
// for about 1 s and the time of one try at most. Twice is as good as once.
void lease_stop(struct lease *lease);

// Stops first.
void lease_free(struct lease *lease);
DEFINE_AUTO(struct lease, lease, lease_free)

// Cheap: a clock and an atomic.
bool lease_is_held(const struct lease *lease);

void lease_read_status(struct lease *lease, struct lease_status *out);

// One try to get or keep the lease, for tests and for a program that has a loop of its own in place of lease_start(). 0 also when
// another holds it.
MUST_CHECK int lease_try(struct lease *lease, struct error *err);

#endif
