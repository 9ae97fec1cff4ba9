// The queue of replicas: equal keys are one, each is in the hands of one worker, the earlier time counts.
#include "reconciler/queue.h"
#include "base/clock.h"
#include "tests/support/cmocka.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define FAR_MS 600000 // beyond the end of the test

static struct queue *made(void)
{
	struct error err = {0};
	struct queue *queue = NULL;
	assert_ok(queue_new(&queue, &err), err);
	return queue;
}

static void takes(struct queue *queue, const char *namespace)
{
	char key[ENTRY_NAMESPACE_SIZE];
	assert_true(queue_take(queue, key, NULL));
	assert_string_equal(key, namespace);
}

static void due_keys_come_in_the_order_of_their_time(void **state)
{
	(void)state;
	AUTO(queue) struct queue *queue = made();
	int64_t now = clock_mono_ms();
	queue_add(queue, "third", now - 1);
	queue_add(queue, "first", now - 30);
	queue_add(queue, "later", now + FAR_MS);
	queue_add(queue, "second", now - 20);
	takes(queue, "first");
	takes(queue, "second");
	takes(queue, "third");
}

static void equal_keys_are_one_and_the_earlier_time_counts(void **state)
{
	(void)state;
	AUTO(queue) struct queue *queue = made();
	int64_t now = clock_mono_ms();
	queue_add(queue, "a", now + FAR_MS);
	queue_add(queue, "b", now - 10);
	queue_add(queue, "a", now - 20);
	queue_add(queue, "a", now + FAR_MS); // the earlier one stands
	takes(queue, "a");
	takes(queue, "b");
}

static void a_key_in_hand_comes_again_after_it_is_done(void **state)
{
	(void)state;
	AUTO(queue) struct queue *queue = made();
	queue_add(queue, "a", 0);
	takes(queue, "a");
	assert_false(queue_is_idle(queue));
	queue_add(queue, "a", 0);
	queue_add(queue, "b", 1);
	takes(queue, "b"); // though "a" is due before it
	queue_done(queue, "a");
	takes(queue, "a");
	queue_done(queue, "a");
	assert_false(queue_is_idle(queue));
	queue_done(queue, "b");
	assert_true(queue_is_idle(queue));
	queue_add(queue, "c", 0);
	takes(queue, "c"); // "a" is not there a second time
}

static void a_key_waits_until_it_is_due(void **state)
{
	(void)state;
	AUTO(queue) struct queue *queue = made();
	int64_t due = clock_mono_ms() + 50;
	queue_add(queue, "a", due);
	takes(queue, "a");
	assert_true(clock_mono_ms() >= due);
}

static void what_is_cleared_does_not_come(void **state)
{
	(void)state;
	AUTO(queue) struct queue *queue = made();
	queue_add(queue, "in hand", 0);
	takes(queue, "in hand");
	queue_add(queue, "in hand", 0);
	queue_add(queue, "waiting", 0);
	queue_clear(queue);
	queue_done(queue, "in hand");
	queue_add(queue, "new", 0);
	takes(queue, "new");
	queue_add(queue, "waiting", 1);
	takes(queue, "waiting");
}

static void many_keys_come_once_each(void **state)
{
	(void)state;
	enum { COUNT = 5000 };
	AUTO(queue) struct queue *queue = made();
	static bool has_come[COUNT];
	int64_t last = 0;
	memset(has_come, 0, sizeof(has_come));
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < COUNT; i++) {
			char name[32];
			int place = i * 7919 % COUNT;
			(void)snprintf(name, sizeof(name), "%d", place);
			queue_add(queue, name, 1 + place);
		}
	}
	for (int i = 0; i < COUNT; i++) {
		char key[ENTRY_NAMESPACE_SIZE];
		assert_true(queue_take(queue, key, NULL));
		long place = strtol(key, NULL, 10);
		assert_false(has_come[place]);
		assert_true(place >= last);
		has_come[place] = true;
		last = place;
		queue_done(queue, key);
	}
}

// --- threads

enum { WORKERS = 4, KEYS = 16, ROUNDS = 400 };

struct crew {
	struct queue *queue;
	atomic_int in_hand[KEYS];
	atomic_int overlaps, taken;
};

static void *work(void *arg)
{
	struct crew *crew = arg;
	char key[ENTRY_NAMESPACE_SIZE];
	while (queue_take(crew->queue, key, NULL)) {
		long i = strtol(key, NULL, 10);
		if (atomic_fetch_add(&crew->in_hand[i], 1) != 0)
			atomic_fetch_add(&crew->overlaps, 1);
		atomic_fetch_add(&crew->taken, 1);
		atomic_fetch_sub(&crew->in_hand[i], 1);
		queue_done(crew->queue, key);
	}
	return NULL;
}

static void no_key_is_in_two_hands(void **state)
{
	(void)state;
	AUTO(queue) struct queue *queue = made();
	static struct crew crew;
	pthread_t threads[WORKERS];
	memset(&crew, 0, sizeof(crew));
	crew.queue = queue;
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, &crew), 0);
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < KEYS; i++) {
			char name[16];
			(void)snprintf(name, sizeof(name), "%d", i);
			queue_add(queue, name, 0);
		}
	}
	while (atomic_load(&crew.taken) < KEYS)
		; // each has come at least once
	queue_close(queue);
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(atomic_load(&crew.overlaps), 0);
}

static void the_figures_are_of_now(void **state)
{
	(void)state;
	AUTO(queue) struct queue *queue = made();
	struct queue_stats stats;
	char key[ENTRY_NAMESPACE_SIZE];
	int64_t waited_ms = -1;
	queue_add(queue, "due", 0);
	queue_add(queue, "due", 0); // the same once more
	queue_add(queue, "due-too", 0);
	queue_add(queue, "later", clock_mono_ms() + 60000);
	queue_read_stats(queue, &stats);
	assert_int_equal(stats.adds, 3);
	assert_int_equal(stats.depth, 2);
	assert_int_equal(stats.in_hand, 0);
	assert_int_equal(stats.longest_ms, 0);

	assert_true(queue_take(queue, key, &waited_ms));
	assert_in_range(waited_ms, 0, 10000);
	queue_add(queue, key, 0); // for after
	const int64_t taken_mono_ms = clock_mono_ms();
	while (clock_mono_ms() < taken_mono_ms + 3)
		;
	queue_read_stats(queue, &stats);
	assert_int_equal(stats.adds, 4);
	assert_int_equal(stats.depth, 1);
	assert_int_equal(stats.in_hand, 1);
	assert_in_range(stats.longest_ms, 2, 10000);
	assert_int_equal(stats.in_hand_ms, stats.longest_ms);
	queue_done(queue, key);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(due_keys_come_in_the_order_of_their_time),
		cmocka_unit_test(equal_keys_are_one_and_the_earlier_time_counts),
		cmocka_unit_test(a_key_in_hand_comes_again_after_it_is_done),
		cmocka_unit_test(a_key_waits_until_it_is_due),
		cmocka_unit_test(what_is_cleared_does_not_come),
		cmocka_unit_test(many_keys_come_once_each),
		cmocka_unit_test(no_key_is_in_two_hands),
		cmocka_unit_test(the_figures_are_of_now),
	};
	return cmocka_run_group_tests_name("reconciler/queue", cases, NULL, NULL);
}
