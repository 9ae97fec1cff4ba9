#include "tests/k8s/mirror.h"

#include "base/clock.h"
#include "tests/support/cmocka.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEADLINE_MS 20000
#define TEXT_MAX ((size_t)4 << 20)

void mirror_init(struct mirror *mirror)
{
	*mirror = (struct mirror){.objects = json_object()};
	(void)pthread_mutex_init(&mirror->lock, NULL);
}

void mirror_fini(struct mirror *mirror)
{
	json_decref(mirror->objects);
	json_decref(mirror->seen);
	(void)pthread_mutex_destroy(&mirror->lock);
}

// Counts *failures down to 0.
static int fail_next(int *failures, struct error *err)
{
	if (*failures == 0)
		return 0;
	(*failures)--;
	return error_set(err, ERROR_TRANSIENT, "the mirror is full");
}

static int keep(struct mirror *mirror, const json_t *object)
{
	const json_t *version = json_find(object, "metadata", "resourceVersion");
	// A copy: jansson's reference counts belong to one thread.
	return json_object_set_new(
		mirror->objects, json_find_str(object, "metadata", "name"), json_string(json_string_value(version)));
}

static void on_list_begin(void *arg)
{
	struct mirror *mirror = arg;
	(void)pthread_mutex_lock(&mirror->lock);
	json_decref(mirror->seen);
	mirror->seen = json_object();
	(void)pthread_mutex_unlock(&mirror->lock);
}

static int on_object(void *arg, json_t *object, struct error *err)
{
	struct mirror *mirror = arg;
	(void)pthread_mutex_lock(&mirror->lock);
	int rc = fail_next(&mirror->fail_objects, err);
	if (rc == 0)
		rc = keep(mirror, object);
	if (rc == 0)
		rc = json_object_set_new(mirror->seen, json_find_str(object, "metadata", "name"), json_true());
	(void)pthread_mutex_unlock(&mirror->lock);
	return rc;
}

static int on_list_end(void *arg, struct error *err)
{
	struct mirror *mirror = arg;
	const char *name;
	void *next;
	json_t *version;
	(void)pthread_mutex_lock(&mirror->lock);
	int rc = fail_next(&mirror->fail_list_ends, err);
	if (rc == 0) {
		json_object_foreach_safe (mirror->objects, next, name, version)
			if (json_object_get(mirror->seen, name) == NULL)
				(void)json_object_del(mirror->objects, name);
		json_decref(mirror->seen);
		mirror->seen = NULL;
	}
	(void)pthread_mutex_unlock(&mirror->lock);
	return rc;
}

static int on_change(void *arg, enum k8s_watch_change change, json_t *object, struct error *err)
{
	struct mirror *mirror = arg;
	(void)pthread_mutex_lock(&mirror->lock);
	int rc = fail_next(&mirror->fail_changes, err);
	if (rc == 0 && change == K8S_WATCH_DELETED)
		(void)json_object_del(mirror->objects, json_find_str(object, "metadata", "name"));
	else if (rc == 0)
		rc = keep(mirror, object);
	(void)pthread_mutex_unlock(&mirror->lock);
	return rc;
}

struct k8s_watch_callbacks mirror_callbacks(struct mirror *mirror)
{
	return (struct k8s_watch_callbacks){.on_list_begin = on_list_begin,
		.on_object = on_object,
		.on_list_end = on_list_end,
		.on_change = on_change,
		.arg = mirror};
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

char *mirror_text(struct mirror *mirror)
{
	struct error err = {0};
	struct buf text;
	const char *name;
	json_t *version;
	size_t count = 0;
	buf_init(&text, TEXT_MAX);
	assert_ok(buf_add_str(&text, "", &err), err);
	(void)pthread_mutex_lock(&mirror->lock);
	const char **names = calloc(json_object_size(mirror->objects) + 1, sizeof(*names));
	assert_non_null(names);
	json_object_foreach (mirror->objects, name, version)
		names[count++] = name;
	qsort(names, count, sizeof(*names), compare);
	for (size_t i = 0; i < count; i++)
		assert_ok(buf_addf(&text, &err, "%s=%s ", names[i], json_find_str(mirror->objects, names[i])), err);
	(void)pthread_mutex_unlock(&mirror->lock);
	free(names);
	return text.data;
}

void mirror_await(struct mirror *mirror, const char *expected)
{
	int64_t end_ms = clock_mono_ms() + DEADLINE_MS;
	for (;;) {
		AUTO_FREE char *text = mirror_text(mirror);
		if (strcmp(text, expected) == 0)
			return;
		if (clock_mono_ms() > end_ms)
			fail_msg("the mirror is \"%.2000s\", expected \"%.2000s\"", text, expected);
		(void)nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	}
}
