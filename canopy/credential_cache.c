#include "canopy/credential_cache.h"

#include <pthread.h>
#include <string.h>

struct slot {
	char *group, *type; // NULL: free
	struct canopy_credentials credentials;
	int64_t fresh_until_ms; // wall time
	bool is_fetching;
	uint64_t fetches;     // that have ended
	struct error failure; // of the last fetch; kind ERROR_NONE after a success
	unsigned int users;   // callers that are in credential_cache_get() with it
};

struct credential_cache {
	credential_fetch fetch;
	void *arg;
	int64_t (*wall_ms)(void);
	pthread_mutex_t lock; // guards the slots
	pthread_cond_t fetched;
	struct slot slots[CREDENTIAL_CACHE_MAX];
};

int credential_cache_new(
	credential_fetch fetch, void *arg, int64_t (*wall_ms)(void), struct credential_cache **out, struct error *err)
{
	struct credential_cache *made = calloc(1, sizeof(*made));
	if (made == NULL)
		return error_no_memory(err, "credentials");
	made->fetch = fetch;
	made->arg = arg;
	made->wall_ms = wall_ms;
	(void)pthread_mutex_init(&made->lock, NULL);
	(void)pthread_cond_init(&made->fetched, NULL);
	*out = made;
	return 0;
}

static void clear_slot(struct slot *slot)
{
	free(slot->group);
	free(slot->type);
	canopy_credentials_fini(&slot->credentials);
	*slot = (struct slot){0};
}

void credential_cache_free(struct credential_cache *cache)
{
	if (cache == NULL)
		return;
	for (size_t i = 0; i < CREDENTIAL_CACHE_MAX; i++)
		clear_slot(&cache->slots[i]);
	(void)pthread_cond_destroy(&cache->fetched);
	(void)pthread_mutex_destroy(&cache->lock);
	free(cache);
}

static void wipe_expired(struct credential_cache *cache, int64_t now_ms)
{
	for (size_t i = 0; i < CREDENTIAL_CACHE_MAX; i++) {
		struct slot *slot = &cache->slots[i];
		if (slot->group != NULL && slot->users == 0 && slot->credentials.expires_at_ms <= now_ms)
			clear_slot(slot);
	}
}

static struct slot *find_slot(struct credential_cache *cache, const char *group, const char *type)
{
	for (size_t i = 0; i < CREDENTIAL_CACHE_MAX; i++) {
		struct slot *slot = &cache->slots[i];
		if (slot->group != NULL && strcmp(slot->group, group) == 0 && strcmp(slot->type, type) == 0)
			return slot;
	}
	return NULL;
}

// Free, or the one nobody uses whose end is nearest.
static struct slot *find_room(struct credential_cache *cache)
{
	struct slot *best = NULL;
	for (size_t i = 0; i < CREDENTIAL_CACHE_MAX; i++) {
		struct slot *slot = &cache->slots[i];
		if (slot->group == NULL)
			return slot;
		if (slot->users == 0 && (best == NULL || slot->fresh_until_ms < best->fresh_until_ms))
			best = slot;
	}
	return best;
}

static int need_slot(struct credential_cache *cache, const char *group, const char *type, struct slot **out, struct error *err)
{
	struct slot *slot = find_slot(cache, group, type);
	if (slot == NULL) {
		slot = find_room(cache);
		if (slot == NULL)
			return error_set(
				err, ERROR_TRANSIENT, "credentials of %d groups are being asked for", CREDENTIAL_CACHE_MAX);
		clear_slot(slot);
		slot->group = strdup(group);
		slot->type = strdup(type);
		if (slot->group == NULL || slot->type == NULL) {
			clear_slot(slot);
			return error_no_memory(err, "credentials");
		}
	}
	*out = slot;
	return 0;
}

static int copy_keys(const struct canopy_credentials *from, struct canopy_credentials *to, struct error *err)
{
	AUTO(canopy_credentials) struct canopy_credentials made = {.expires_at_ms = from->expires_at_ms};
	if (secret_set(&made.access_key_id, secret_reveal(&from->access_key_id), err) < 0 ||
		secret_set(&made.secret_access_key, secret_reveal(&from->secret_access_key), err) < 0 ||
		secret_set(&made.session_token, secret_reveal(&from->session_token), err) < 0)
		return -1;
	canopy_credentials_fini(to);
	*to = made;
	made = (struct canopy_credentials){0};
	return 0;
}

static int64_t fresh_until_ms(int64_t now_ms, int64_t expires_at_ms)
{
	int64_t life_ms = expires_at_ms - now_ms;
	return life_ms < CREDENTIAL_CACHE_SHORT_LIFE_MS ? now_ms + life_ms / 5 * 4 : expires_at_ms - CREDENTIAL_CACHE_MARGIN_MS;
}

// With the lock, which is let go during the call. The slot stays: it has a user.
static void fetch_into(struct credential_cache *cache, struct slot *slot, const char *run_id)
{
	AUTO(canopy_credentials) struct canopy_credentials fetched = {0};
	struct error failure = {0};
	slot->is_fetching = true;
	(void)pthread_mutex_unlock(&cache->lock);
	int rc = cache->fetch(cache->arg, slot->group, slot->type, run_id, &fetched, &failure);
	secret_fini(&fetched.repo_password);
	(void)pthread_mutex_lock(&cache->lock);

	slot->is_fetching = false;
	slot->fetches++;
	slot->failure = rc < 0 ? failure : (struct error){0};
	if (rc == 0) {
		canopy_credentials_fini(&slot->credentials);
		slot->credentials = fetched;
		slot->fresh_until_ms = fresh_until_ms(cache->wall_ms(), fetched.expires_at_ms);
		fetched = (struct canopy_credentials){0};
	}
	(void)pthread_cond_broadcast(&cache->fetched);
}

static void await_fetch(struct credential_cache *cache, const struct slot *slot)
{
	uint64_t before = slot->fetches;
	while (slot->fetches == before)
		(void)pthread_cond_wait(&cache->fetched, &cache->lock);
}

int credential_cache_get(struct credential_cache *cache, const char *group, const char *type, const char *run_id,
	struct canopy_credentials *out, bool *is_new, struct error *err)
{
	struct slot *slot = NULL;
	int64_t now_ms = cache->wall_ms();
	(void)pthread_mutex_lock(&cache->lock);
	wipe_expired(cache, now_ms);
	int rc = need_slot(cache, group, type, &slot, err);
	if (rc == 0 && slot != NULL) {
		slot->users++;
		bool is_fresh = slot->fresh_until_ms > now_ms;
		*is_new = !is_fresh && !slot->is_fetching;
		if (*is_new)
			fetch_into(cache, slot, run_id);
		else if (!is_fresh)
			await_fetch(cache, slot);
		if (!is_fresh && slot->failure.kind != ERROR_NONE) {
			*err = slot->failure;
			rc = -1;
		} else {
			rc = copy_keys(&slot->credentials, out, err);
		}
		slot->users--;
	}
	(void)pthread_mutex_unlock(&cache->lock);
	return rc;
}
