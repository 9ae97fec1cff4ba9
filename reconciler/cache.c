#include "reconciler/cache_record.h"

#include "base/hash.h"
#include "builders/names.h"
#include "reconciler/shapes.h"
#include <string.h>

static const struct pack_shape *const shapes[CACHE_KINDS] = {
	[CACHE_NAMESPACE] = &shape_replica,
	[CACHE_JOB] = &shape_job,
	[CACHE_DEPLOYMENT] = &shape_deployment,
	[CACHE_POD] = &shape_pod,
	[CACHE_PVC] = &shape_pvc,
};

// --- records

static void lock(struct cache *cache)
{
	(void)pthread_mutex_lock(&cache->lock);
}

static void unlock(struct cache *cache)
{
	(void)pthread_mutex_unlock(&cache->lock);
}

static size_t bucket_of(const char *namespace)
{
	return hash_text(namespace) % CACHE_BUCKETS;
}

struct record *cache_find(const struct cache *cache, const char *namespace)
{
	struct record *r = cache->buckets[bucket_of(namespace)];
	while (r != NULL && strcmp(r->namespace, namespace) != 0)
		r = r->next;
	return r;
}

struct record *cache_record(struct cache *cache, const char *namespace)
{
	struct record *r = cache_find(cache, namespace);
	if (r != NULL)
		return r;
	size_t size = strlen(namespace) + 1;
	r = calloc(1, sizeof(*r) + size);
	if (r == NULL)
		return NULL;
	struct record **first = &cache->buckets[bucket_of(namespace)];
	memcpy(r->namespace, namespace, size);
	r->next = *first;
	*first = r;
	cache->count++;
	return r;
}

static void free_items(struct record *r)
{
	while (r->items != NULL) {
		struct item *gone = r->items;
		r->items = gone->next;
		free(gone->view);
		free(gone);
	}
}

// A record of which nothing is known and nothing wanted is forgotten.
static void tidy(struct cache *cache, const struct record *r)
{
	if (r == NULL || r->replica != NULL || r->items != NULL || r->wanted.entry != NULL)
		return;
	struct record **at = &cache->buckets[bucket_of(r->namespace)];
	while (*at != r)
		at = &(*at)->next;
	struct record *gone = *at;
	*at = gone->next;
	cache->count--;
	free(gone);
}

static struct item **find_item(struct record *r, enum cache_kind kind, const char *name)
{
	struct item **at = &r->items;
	for (; *at != NULL; at = &(*at)->next) {
		struct workload of;
		if ((*at)->kind != kind)
			continue;
		item_open_workload(*at, &of);
		if (strcmp(of.name, name) == 0)
			break;
	}
	return at;
}

static void drop_item(struct item **at)
{
	struct item *gone = *at;
	*at = gone->next;
	free(gone->view);
	free(gone);
}

// --- taking objects

// An object as it is about to be kept.
struct incoming {
	enum cache_kind kind;
	char namespace[ENTRY_NAMESPACE_SIZE]; // the Namespace's own name, for a Namespace
	char name[ENTRY_NAMESPACE_SIZE];
	char uid[REPLICA_UID_SIZE];
	char version[REPLICA_VERSION_SIZE];
	struct pack *view;
};

static int pack_view(struct incoming *in, const struct workload *of, const void *view, struct error *err)
{
	memcpy(in->namespace, of->namespace, sizeof(in->namespace));
	memcpy(in->name, of->name, sizeof(in->name));
	memcpy(in->uid, of->uid, sizeof(in->uid));
	return pack_make(shapes[in->kind], view, &in->view, err);
}

static int pack_replica(const struct replica *replica, struct incoming *in, struct error *err)
{
	*in = (struct incoming){.kind = CACHE_NAMESPACE};
	memcpy(in->namespace, replica->namespace, sizeof(in->namespace));
	memcpy(in->uid, replica->uid, sizeof(in->uid));
	memcpy(in->version, replica->resource_version, sizeof(in->version));
	return pack_make(&shape_replica, replica, &in->view, err);
}

static int read_namespace(const json_t *object, struct incoming *in, struct error *err)
{
	AUTO(replica) struct replica replica = {0};
	if (replica_from_json(object, &replica, err) < 0)
		return -1;
	return pack_replica(&replica, in, err);
}

static int read_pod(const json_t *object, struct incoming *in, struct error *err)
{
	struct pod_view view;
	if (pod_view_from_json(object, &view, err) < 0)
		return -1;
	int rc = pack_view(in, &view.of, &view, err);
	pod_view_fini(&view);
	return rc;
}

static int read_object(enum cache_kind kind, const json_t *object, struct incoming *out, struct error *err)
{
	struct job_view job;
	struct deployment_view deployment;
	struct pvc_view pvc;
	int rc = -1;
	const char *version = json_find_str(object, "metadata", "resourceVersion");
	*out = (struct incoming){.kind = kind};
	if (version != NULL && strlen(version) < sizeof(out->version))
		memcpy(out->version, version, strlen(version) + 1);
	switch (kind) {
	case CACHE_NAMESPACE:
		rc = read_namespace(object, out, err);
		break;
	case CACHE_JOB:
		rc = job_view_from_json(object, &job, err) < 0 ? -1 : pack_view(out, &job.of, &job, err);
		break;
	case CACHE_DEPLOYMENT:
		rc = deployment_view_from_json(object, &deployment, err) < 0 ? -1
									     : pack_view(out, &deployment.of, &deployment, err);
		break;
	case CACHE_POD:
		rc = read_pod(object, out, err);
		break;
	case CACHE_PVC:
		rc = pvc_view_from_json(object, &pvc, err) < 0 ? -1 : pack_view(out, &pvc.of, &pvc, err);
		break;
	}
	return rc;
}

// Versions are opaque by contract and numbers in fact; only numbers are compared, else the newcomer counts. 0: no number.
static uint64_t number_of(const char *version)
{
	size_t len = strlen(version);
	return len > 0 && len < 20 && strspn(version, "0123456789") == len ? strtoull(version, NULL, 10) : 0;
}

static bool is_older(const char *version, const char *than)
{
	return number_of(version) != 0 && number_of(version) < number_of(than);
}

enum source { FROM_EVENT, FROM_LIST, FROM_US };

static bool put_namespace(struct cache *cache, struct record *r, struct incoming *in, enum source source)
{
	struct replica known = {0};
	bool is_known = record_open_replica(r, &known);
	r->seen = cache->list[CACHE_NAMESPACE];
	// A list may be older than a write of ours that came while it was read; else it says how things are, even when that is a
	// version from before: an API server may have been restored.
	bool may_be_old = source != FROM_LIST || r->written == cache->list[CACHE_NAMESPACE];
	if (source == FROM_US)
		r->written = cache->list[CACHE_NAMESPACE];
	if ((is_known && may_be_old && is_older(in->version, known.resource_version)) || pack_equal(r->replica, in->view))
		return false;
	free(r->replica);
	r->replica = TAKE_PTR(in->view);
	cache->revision++;
	return true;
}

// An answer of ours may be read after the watch has shown what came of it, and an event may be older than what we have read.
// Where versions are no numbers, the watch is taken to know better.
static bool is_overtaken(const struct item *item, const struct incoming *in, enum source source)
{
	struct workload of;
	uint64_t version = number_of(in->version);
	if (version != 0 && item->version != 0)
		return source != FROM_LIST && version < item->version;
	item_open_workload(item, &of);
	return source == FROM_US && strcmp(of.uid, in->uid) == 0;
}

static int put_item(
	struct cache *cache, struct record *r, struct incoming *in, enum source source, bool *changed, struct error *err)
{
	struct item **at = find_item(r, in->kind, in->name);
	if (*at != NULL && is_overtaken(*at, in, source))
		return 0;
	if (*at == NULL) {
		*at = calloc(1, sizeof(**at));
		if (*at == NULL)
			return error_no_memory(err, "cache");
		(*at)->kind = in->kind;
	}
	struct item *item = *at;
	item->seen = cache->list[in->kind];
	item->version = number_of(in->version);
	*changed = !pack_equal(item->view, in->view);
	if (*changed) {
		free(item->view);
		item->view = TAKE_PTR(in->view);
		cache->revision++;
	}
	return 0;
}

// An answer of ours that comes after its object's end must not bring it back: nothing would ever take it away again.
static bool is_too_late(const struct record *r, const struct incoming *in, enum source source)
{
	return source == FROM_US && (r == NULL || r->gone == hash_text(in->uid));
}

static int put(struct cache *cache, struct incoming *in, enum source source, bool *changed, struct error *err)
{
	if (is_too_late(cache_find(cache, in->namespace), in, source))
		return 0;
	struct record *r = cache_record(cache, in->namespace);
	if (r == NULL)
		return error_no_memory(err, "cache");
	if (in->kind != CACHE_NAMESPACE)
		return put_item(cache, r, in, source, changed, err);
	*changed = put_namespace(cache, r, in, source);
	return 0;
}

static void tell(const struct cache *cache, const char *namespace)
{
	if (cache->on_change != NULL)
		cache->on_change(cache->on_change_arg, namespace);
}

static int take(struct cache *cache, enum cache_kind kind, const json_t *object, enum source source, struct error *err)
{
	struct incoming in;
	bool changed = false;
	int rc = 0;
	if (read_object(kind, object, &in, err) < 0)
		return -1;
	lock(cache);
	rc = put(cache, &in, source, &changed, err);
	unlock(cache);
	free(in.view);
	if (changed && source != FROM_US)
		tell(cache, in.namespace);
	return rc;
}

int cache_take(struct cache *cache, enum cache_kind kind, const json_t *object, struct error *err)
{
	return take(cache, kind, object, FROM_EVENT, err);
}

int cache_list_take(struct cache *cache, enum cache_kind kind, const json_t *object, struct error *err)
{
	return take(cache, kind, object, FROM_LIST, err);
}

// --- dropping objects

// By uid: a namesake that came since stays. "": whatever has the name.
static bool drop(struct cache *cache, enum cache_kind kind, const char *namespace, const char *name, const char *uid)
{
	bool is_it = false;
	lock(cache);
	struct record *r = cache_find(cache, namespace);
	struct replica replica = {0};
	struct item **at = r == NULL || kind == CACHE_NAMESPACE ? NULL : find_item(r, kind, name);
	if (at != NULL && *at != NULL) {
		struct workload of;
		item_open_workload(*at, &of);
		is_it = uid[0] == '\0' || strcmp(of.uid, uid) == 0;
		if (is_it) {
			r->gone = hash_text(of.uid);
			drop_item(at);
		}
	} else if (r != NULL && kind == CACHE_NAMESPACE && record_open_replica(r, &replica)) {
		is_it = uid[0] == '\0' || strcmp(replica.uid, uid) == 0;
		if (is_it) {
			r->gone = hash_text(replica.uid);
			free(r->replica);
			r->replica = NULL;
		}
	}
	tidy(cache, r);
	cache->revision += is_it;
	unlock(cache);
	return is_it;
}

void cache_drop(struct cache *cache, enum cache_kind kind, const json_t *object)
{
	const char *name = json_find_str(object, "metadata", "name");
	const char *namespace = kind == CACHE_NAMESPACE ? name : json_find_str(object, "metadata", "namespace");
	const char *uid = json_find_str(object, "metadata", "uid");
	if (name != NULL && namespace != NULL && drop(cache, kind, namespace, name, uid == NULL ? "" : uid))
		tell(cache, namespace);
}

void cache_list_begin(struct cache *cache, enum cache_kind kind)
{
	lock(cache);
	cache->list[kind]++;
	unlock(cache);
}

static bool forget_unseen(struct cache *cache, struct record *r, enum cache_kind kind)
{
	bool changed = false;
	uint32_t list = cache->list[kind];
	if (kind == CACHE_NAMESPACE && r->replica != NULL && r->seen != list) {
		free(r->replica);
		r->replica = NULL;
		changed = true;
	}
	for (struct item **at = &r->items; *at != NULL;) {
		if ((*at)->kind == kind && (*at)->seen != list) {
			drop_item(at);
			changed = true;
		} else {
			at = &(*at)->next;
		}
	}
	cache->revision += changed;
	return changed;
}

// One Namespace in which something was not in the list any more; "" when there is none left.
static void find_unseen(struct cache *cache, enum cache_kind kind, size_t *bucket, char out[ENTRY_NAMESPACE_SIZE])
{
	out[0] = '\0';
	lock(cache);
	for (; *bucket < CACHE_BUCKETS && out[0] == '\0'; *bucket += out[0] == '\0') {
		for (struct record *r = cache->buckets[*bucket]; r != NULL && out[0] == '\0'; r = r->next) {
			if (forget_unseen(cache, r, kind))
				memcpy(out, r->namespace, strlen(r->namespace) + 1);
		}
	}
	if (out[0] != '\0')
		tidy(cache, cache_find(cache, out));
	unlock(cache);
}

void cache_list_end(struct cache *cache, enum cache_kind kind)
{
	char namespace[ENTRY_NAMESPACE_SIZE];
	size_t bucket = 0;
	for (find_unseen(cache, kind, &bucket, namespace); namespace[0] != '\0'; find_unseen(cache, kind, &bucket, namespace))
		tell(cache, namespace);
	tell(cache, NULL);
}

// --- what the operator did itself

static bool kind_of(const struct k8s_resource *resource, enum cache_kind *out)
{
	const struct k8s_resource *const kinds[CACHE_KINDS] = {[CACHE_NAMESPACE] = &K8S_NAMESPACE,
		[CACHE_JOB] = &K8S_JOB,
		[CACHE_DEPLOYMENT] = &K8S_DEPLOYMENT,
		[CACHE_POD] = &K8S_POD,
		[CACHE_PVC] = &K8S_PVC};
	for (size_t i = 0; i < CACHE_KINDS; i++) {
		*out = (enum cache_kind)i;
		if (kinds[i] == resource)
			return true;
	}
	return false;
}

bool cache_wants_answer(const struct k8s_resource *resource)
{
	enum cache_kind kind;
	return kind_of(resource, &kind);
}

void cache_saw(struct cache *cache, const struct k8s_resource *resource, const json_t *answer)
{
	enum cache_kind kind;
	struct error ignored = {0};
	if (kind_of(resource, &kind))
		(void)(take(cache, kind, answer, FROM_US, &ignored) < 0);
}

void cache_saw_replica(struct cache *cache, const struct replica *replica)
{
	struct error ignored;
	struct incoming in;
	bool changed = false;
	if (pack_replica(replica, &in, &ignored) < 0)
		return;
	lock(cache);
	(void)(put(cache, &in, FROM_US, &changed, &ignored) < 0);
	unlock(cache);
	free(in.view);
}

void cache_gone(struct cache *cache, const char *namespace)
{
	(void)drop(cache, CACHE_NAMESPACE, namespace, namespace, "");
}

// A Namespace takes its time to go: it is marked, and its end comes as an event.
static void mark_deleting(struct cache *cache, const char *namespace, const char *uid)
{
	struct error ignored;
	struct pack *marked = NULL;
	lock(cache);
	struct record *r = cache_find(cache, namespace);
	struct replica replica = {0};
	if (r != NULL && record_open_replica(r, &replica) && strcmp(replica.uid, uid) == 0) {
		replica.is_deleting = true;
		replica.state = STATE_TERMINATING;
		if (pack_make(&shape_replica, &replica, &marked, &ignored) == 0) {
			free(r->replica);
			r->replica = marked;
			cache->revision++;
		}
	}
	unlock(cache);
}

void cache_deleted(
	struct cache *cache, const struct k8s_resource *resource, const char *namespace, const char *name, const char *uid)
{
	enum cache_kind kind;
	if (!kind_of(resource, &kind))
		return;
	if (kind == CACHE_NAMESPACE)
		mark_deleting(cache, name, uid);
	else
		(void)drop(cache, kind, namespace, name, uid);
}

// --- life

int cache_new(struct cache **out, struct error *err)
{
	struct cache *made = calloc(1, sizeof(*made));
	if (made == NULL)
		return error_no_memory(err, "cache");
	(void)pthread_mutex_init(&made->lock, NULL);
	*out = made;
	return 0;
}

void cache_free(struct cache *cache)
{
	if (cache == NULL)
		return;
	cache_unwatch(cache);
	for (size_t i = 0; i < CACHE_BUCKETS; i++) {
		while (cache->buckets[i] != NULL) {
			struct record *gone = cache->buckets[i];
			cache->buckets[i] = gone->next;
			free_items(gone);
			free(gone->replica);
			free(gone);
		}
	}
	views_fini(&cache->views);
	(void)pthread_mutex_destroy(&cache->lock);
	free(cache);
}

void cache_on_change(struct cache *cache, void (*on_change)(void *arg, const char *namespace), void *arg)
{
	cache->on_change_arg = arg;
	cache->on_change = on_change;
}

// --- the pass

static int by_namespace(const void *a, const void *b)
{
	const struct record *const *x = a, *const *y = b;
	return strcmp((*x)->namespace, (*y)->namespace);
}

int cache_begin(struct cache *cache, struct record ***out, size_t *count, struct error *err)
{
	size_t n = 0;
	lock(cache);
	struct record **all = calloc(cache->count + 1, sizeof(struct record *));
	if (all == NULL) {
		unlock(cache);
		return error_no_memory(err, "cache");
	}
	for (size_t i = 0; i < CACHE_BUCKETS; i++) {
		for (struct record *r = cache->buckets[i]; r != NULL; r = r->next)
			all[n++] = r;
	}
	qsort(all, n, sizeof(struct record *), by_namespace);
	cache->all = all;
	cache->all_count = n;
	*out = all;
	*count = n;
	return 0;
}

void cache_end(struct cache *cache)
{
	for (size_t i = 0; i < cache->all_count; i++)
		tidy(cache, cache->all[i]);
	free(cache->all);
	cache->all = NULL;
	unlock(cache);
}

int cache_names(struct cache *cache, char (**out)[ENTRY_NAMESPACE_SIZE], size_t *count, struct error *err)
{
	struct record **records = NULL;
	if (cache_begin(cache, &records, count, err) < 0)
		return -1;
	*out = calloc(*count + 1, sizeof(**out));
	for (size_t i = 0; *out != NULL && i < *count; i++)
		memcpy((*out)[i], records[i]->namespace, strlen(records[i]->namespace) + 1);
	cache_end(cache);
	return *out == NULL ? error_no_memory(err, "cache") : 0;
}

uint64_t cache_revision(struct cache *cache)
{
	lock(cache);
	uint64_t revision = cache->revision;
	unlock(cache);
	return revision;
}

const char *record_namespace(const struct record *record)
{
	return record->namespace;
}

bool record_has_replica(const struct record *record)
{
	return record->replica != NULL;
}

bool record_open_replica(const struct record *record, struct replica *out)
{
	if (record->replica == NULL)
		return false;
	pack_open(&shape_replica, record->replica, out);
	return true;
}

int record_open_scene(struct cache *cache, const struct record *record, struct scene *out, struct error *err)
{
	return views_open(&cache->views, record->namespace, record->items, out, err);
}

void record_want(struct record *record, const struct wanted *wanted)
{
	record->wanted = *wanted;
}

const struct wanted *record_wanted(const struct record *record)
{
	return &record->wanted;
}
