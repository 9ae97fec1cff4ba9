// What the operator knows of each replica: what the worklist wants of it, and what the cluster shows.
//
// One record a Namespace, kept small (base/pack.h), filled by five watches with MANAGED_SELECTOR (or by five lists, for programs
// that look once). Its memory follows our own objects, never the cluster's. What the operator writes itself is put in from the
// API server's answer, so that a decision never builds on what was before an own write; events that are older are left out.
//
// Any thread; one lock. Workers get copies (cache_look()). The pass works on all records at once between cache_begin() and
// cache_end(), when what it opens is borrowed.
#ifndef RECONCILER_CACHE_H
#define RECONCILER_CACHE_H

#include "base/cleanup.h"
#include "canopy/entry.h"
#include "k8s/client.h"
#include "reconciler/diff.h"
#include "reconciler/replica.h"
#include "reconciler/scene.h"

enum cache_kind { CACHE_NAMESPACE, CACHE_JOB, CACHE_DEPLOYMENT, CACHE_POD, CACHE_PVC };
#define CACHE_KINDS (CACHE_PVC + 1)

struct cache;
struct record;

MUST_CHECK int cache_new(struct cache **out, struct error *err);
void cache_free(struct cache *cache); // ends the watches
DEFINE_AUTO(struct cache, cache, cache_free)

// --- filling it

// Called from the threads of the watches, without the lock: something that decisions read has changed in this Namespace; NULL: a
// list has come to its end. Set before cache_watch().
void cache_on_change(struct cache *cache, void (*on_change)(void *arg, const char *namespace), void *arg);

// List everything once, workloads first: an object of a Namespace that was made since then is seen the next time, while one that
// is missing beside its Namespace would be made again for nothing.
MUST_CHECK int cache_list(struct cache *cache, struct k8s_client *k8s, struct error *err);

// Begin to watch. The client is borrowed until cache_free(). Until cache_is_synced() the picture is not whole.
MUST_CHECK int cache_watch(struct cache *cache, struct k8s_client *k8s, struct error *err);
bool cache_is_synced(const struct cache *cache);

// For metrics: the list of this kind is whole and its watch goes on, or it does neither. After cache_watch() has returned.
bool cache_follows(const struct cache *cache, enum cache_kind kind);
const char *cache_resource(enum cache_kind kind);

// One object as the API server shows it now, or its end. on_change is told. cache_take() fails for lack of memory, or when the
// object lacks what every object has.
MUST_CHECK int cache_take(struct cache *cache, enum cache_kind kind, const json_t *object, struct error *err);
void cache_drop(struct cache *cache, enum cache_kind kind, const json_t *object);

// A list: what is not taken between begin and end is dropped at the end. Begin may come again before the end.
void cache_list_begin(struct cache *cache, enum cache_kind kind);
MUST_CHECK int cache_list_take(struct cache *cache, enum cache_kind kind, const json_t *object, struct error *err);
void cache_list_end(struct cache *cache, enum cache_kind kind);

// --- what the operator did itself

// What the API server answered to a write or a read of ours; kinds that are not kept are passed over. An answer that cannot be
// kept only makes the operator wait for the event.
void cache_saw(struct cache *cache, const struct k8s_resource *resource, const json_t *answer);
void cache_saw_replica(struct cache *cache, const struct replica *replica);
// Whether an answer is worth decoding for it: what decides the next step.
bool cache_wants_answer(const struct k8s_resource *resource);

// A read of ours says that the Namespace is not there.
void cache_gone(struct cache *cache, const char *namespace);

// It was deleted by us: gone, or about to be.
void cache_deleted(
	struct cache *cache, const struct k8s_resource *resource, const char *namespace, const char *name, const char *uid);

// --- looking at one replica

// A copy. Its replica owns its strings, so that a write may replace it; the rest is borrowed from the block.
struct look {
	bool has_replica; // the Namespace is there
	struct replica replica;
	struct scene scene;
	bool has_entry;
	struct entry entry;    // its namespace is the record's
	struct action decided; // by the last pass
	void *block;
};

// Fails for lack of memory. A Namespace that nothing is known of gives a look without replica and entry.
MUST_CHECK int cache_look(struct cache *cache, const char *namespace, struct look *out, struct error *err);
void look_fini(struct look *look);
DEFINE_AUTO(struct look, look, look_fini)

static inline void auto_look_value(struct look *look)
{
	look_fini(look);
}

// The Namespaces of all records, in order; the caller frees *out.
MUST_CHECK int cache_names(struct cache *cache, char (**out)[ENTRY_NAMESPACE_SIZE], size_t *count, struct error *err);

// Changes with everything that the cluster shows anew; not with what is wanted.
uint64_t cache_revision(struct cache *cache);

// --- the pass: the lock is held from begin to end, so nothing slow comes in between

// All records, ordered by Namespace; valid until cache_end(). Fails for lack of memory, and then holds no lock.
MUST_CHECK int cache_begin(struct cache *cache, struct record ***out, size_t *count, struct error *err);
void cache_end(struct cache *cache);

// The record of a Namespace, made when there is none. NULL: no memory.
struct record *cache_record(struct cache *cache, const char *namespace);
const char *record_namespace(const struct record *record);

// False when the Namespace is not there. What is opened borrows.
bool record_has_replica(const struct record *record);
bool record_open_replica(const struct record *record, struct replica *out);

// Fails for lack of memory. The scene is the cache's: valid until the next call.
MUST_CHECK int record_open_scene(struct cache *cache, const struct record *record, struct scene *out, struct error *err);

// What the worklist wants of it from now on; entry is borrowed until the next pass, NULL: nothing.
struct wanted {
	const struct pack *entry;
	struct action action; // a teardown needs the pass's word: it alone knows of the brake and of what could not be read
};
void record_want(struct record *record, const struct wanted *wanted);
const struct wanted *record_wanted(const struct record *record);

#endif
