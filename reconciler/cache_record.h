// The inside of the cache: its records, and opening what is packed in them. Private to cache*.c.
#ifndef RECONCILER_CACHE_RECORD_H
#define RECONCILER_CACHE_RECORD_H

#include "base/pack.h"
#include "k8s/watch.h"
#include "reconciler/cache.h"
#include <pthread.h>

#define CACHE_BUCKETS 4096 // two or three records a bucket at 10,000 replicas

// One Job, Deployment, Pod or PVC.
struct item {
	struct item *next;
	struct pack *view;
	uint64_t version; // its resourceVersion; 0 when that is no number
	uint32_t seen;    // the list in which it was seen last
	enum cache_kind kind;
};

struct record {
	struct record *next;
	struct pack *replica; // NULL: the Namespace is not there
	struct item *items;
	struct wanted wanted;
	uint32_t seen;    // the list of Namespaces in which it was seen last
	uint32_t written; // the list of Namespaces that was the last one when we wrote to it
	uint64_t gone;    // a hash of the uid that went last: an answer of ours may come after its object's end
	char namespace[];
};

// Room for the views of one Namespace; grows only.
struct views {
	struct job_view *jobs;
	struct deployment_view *deployments;
	struct pod_view *pods;
	struct pvc_view *pvcs;
	size_t room; // of each
};

// The client's list options carry one argument.
struct cache_feed {
	struct cache *cache;
	enum cache_kind kind;
};

struct cache {
	pthread_mutex_t lock; // guards all below but the feeds
	struct record *buckets[CACHE_BUCKETS];
	size_t count;
	uint64_t revision; // counts the changes of what the cluster shows
	uint32_t list[CACHE_KINDS]; // counts the lists, from 1
	struct record **all;        // between begin and end
	size_t all_count;
	struct views views;
	void (*on_change)(void *arg, const char *namespace);
	void *on_change_arg;
	struct cache_feed feeds[CACHE_KINDS];
	struct k8s_watch *watches[CACHE_KINDS];
};

// NULL when nothing is known of that Namespace. The lock is held.
struct record *cache_find(const struct cache *cache, const char *namespace);

// What all workloads have in common, of one of them; its namespace stays empty.
void item_open_workload(const struct item *item, struct workload *out);

// Open all items of a Namespace. Pod messages are borrowed from the packs.
MUST_CHECK int views_open(
	struct views *views, const char *namespace, const struct item *items, struct scene *out, struct error *err);
void views_fini(struct views *views);

void cache_unwatch(struct cache *cache);

#endif
