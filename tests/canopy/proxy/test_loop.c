// The event loop: whose turn it is, also when sources leave while others wait for theirs.
#include "canopy/proxy/loop.h"
#include "tests/support/cmocka.h"
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SOURCES 4

struct scene {
	struct loop *loop;
	struct source {
		struct loop_source source; // first: a source is its name
		struct scene *scene;
		char name;
	} sources[SOURCES];
	char order[64]; // whose turn it was
	int released;
	int turns_left; // until the loop stops
	char removes;   // who is removed at the first turn; 0: nobody
};

static void on_event(struct loop_source *at, uint32_t events)
{
	struct source *source = (struct source *)(void *)at;
	struct scene *scene = source->scene;
	size_t len = strlen(scene->order);
	(void)events;
	scene->order[len] = source->name;
	scene->order[len + 1] = '\0';
	if (scene->removes != 0) {
		struct loop_source *leaves = &scene->sources[scene->removes - 'a'].source;
		loop_remove(scene->loop, leaves);
		loop_remove(scene->loop, leaves); // once more is nothing
		loop_again(scene->loop, leaves);  // it has no turn any more
		loop_again(scene->loop, at);      // behind those that are left
		scene->removes = 0;
	}
	if (--scene->turns_left == 0)
		loop_stop(scene->loop);
}

static void release(struct loop_source *at)
{
	((struct source *)(void *)at)->scene->released++;
}

static void nothing(void *arg)
{
	(void)arg;
}

static void begin(struct scene *scene)
{
	struct error err = {0};
	*scene = (struct scene){.turns_left = SOURCES};
	assert_ok(loop_new(&(struct loop_options){.on_tick = nothing, .on_wake = nothing}, &scene->loop, &err), err);
	for (int i = 0; i < SOURCES; i++) {
		struct source *source = &scene->sources[i];
		*source = (struct source){.scene = scene, .name = (char)('a' + i)};
		source->source = (struct loop_source){.fd = eventfd(0, EFD_CLOEXEC), .on_event = on_event, .release = release};
		assert_ok(loop_add(scene->loop, &source->source, EPOLLIN, &err), err);
	}
}

static void run(struct scene *scene)
{
	struct error err = {0};
	assert_ok(loop_run(scene->loop, &err), err);
	for (int i = 0; i < SOURCES; i++)
		loop_remove(scene->loop, &scene->sources[i].source);
	loop_free(scene->loop);
	assert_int_equal(scene->released, SOURCES);
}

// Asked for twice a turn comes once; the place in the queue stays.
static void turns_come_in_the_order_they_were_asked_for(void **state)
{
	(void)state;
	struct scene scene;
	begin(&scene);
	for (const char *at = "cadbca"; *at != '\0'; at++)
		loop_again(scene.loop, &scene.sources[*at - 'a'].source);
	run(&scene);
	assert_string_equal(scene.order, "cadb");
}

static void who_leaves_the_queue_leaves_the_others_in_it(void **state)
{
	(void)state;
	static const struct {
		char removes;
		const char *order;
	} rows[] = {{'b', "acda"}, {'c', "abda"}, {'d', "abca"}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct scene scene;
		begin(&scene);
		scene.removes = rows[i].removes;
		for (int n = 0; n < SOURCES; n++)
			loop_again(scene.loop, &scene.sources[n].source);
		run(&scene);
		assert_string_equal(scene.order, rows[i].order);
	}
}

// Events of one round: the first takes the second away, which then has none.
static void who_is_gone_gets_no_event_of_the_same_round(void **state)
{
	(void)state;
	struct scene scene;
	begin(&scene);
	scene.turns_left = 2;
	scene.removes = 'b';
	assert_int_equal(eventfd_write(scene.sources[0].source.fd, 1), 0);
	assert_int_equal(eventfd_write(scene.sources[1].source.fd, 1), 0);
	run(&scene);
	assert_string_equal(scene.order, "aa"); // its event, and the turn that it asked for
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(turns_come_in_the_order_they_were_asked_for),
		cmocka_unit_test(who_leaves_the_queue_leaves_the_others_in_it),
		cmocka_unit_test(who_is_gone_gets_no_event_of_the_same_round),
	};
	return cmocka_run_group_tests_name("proxy/loop", tests, NULL, NULL);
}
