// An owner of a watch for tests: keeps the name and resourceVersion of each object, and can be told to fail.
#ifndef TESTS_K8S_MIRROR_H
#define TESTS_K8S_MIRROR_H

#include "base/json.h"
#include "k8s/watch.h"
#include <pthread.h>

struct mirror {
	pthread_mutex_t lock;
	json_t *objects;    // name -> resourceVersion
	json_t *seen;       // names of the list in hand; NULL outside of one
	int fail_objects;   // so many on_object fail
	int fail_list_ends; // so many on_list_end fail
	int fail_changes;   // so many on_change fail
};

void mirror_init(struct mirror *mirror);
void mirror_fini(struct mirror *mirror);
struct k8s_watch_callbacks mirror_callbacks(struct mirror *mirror);

// "a=5 b=7 ", sorted by name; the caller frees.
char *mirror_text(struct mirror *mirror);

// Ends the test when the text is not as expected within 20 s.
void mirror_await(struct mirror *mirror, const char *expected);

#endif
