#include "reconciler/authority.h"

#include "base/hash.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

// One bundle that is or was in force.
struct known {
	struct known *older;
	struct trust trust;
	char bundle_pem[];
};

struct authority {
	pthread_mutex_t lock;  // guards all below
	struct ca_state state; // bundle and keys
	struct known *newest;
};

int authority_new(struct authority **out, struct error *err)
{
	struct authority *made = calloc(1, sizeof(*made));
	if (made == NULL)
		return error_no_memory(err, "authority");
	(void)pthread_mutex_init(&made->lock, NULL);
	*out = made;
	return 0;
}

void authority_free(struct authority *authority)
{
	if (authority == NULL)
		return;
	for (struct known *older; authority->newest != NULL; authority->newest = older) {
		older = authority->newest->older;
		free(authority->newest);
	}
	ca_state_fini(&authority->state);
	(void)pthread_mutex_destroy(&authority->lock);
	free(authority);
}

static struct known *known_new(const char *bundle_pem)
{
	size_t size = strlen(bundle_pem) + 1;
	struct known *made = calloc(1, sizeof(*made) + size);
	if (made == NULL)
		return NULL;
	memcpy(made->bundle_pem, bundle_pem, size);
	made->trust.bundle_pem = made->bundle_pem;
	(void)snprintf(made->trust.id, sizeof(made->trust.id), "%016" PRIx64, hash_text(bundle_pem));
	return made;
}

// The serving certificate is the broker's business and stays out.
static int copy_state(const struct ca_state *from, struct ca_state *to, struct error *err)
{
	to->bundle_pem = strdup(from->bundle_pem);
	if (to->bundle_pem == NULL)
		return error_no_memory(err, "authority");
	if (secret_set(&to->key, secret_reveal(&from->key), err) < 0)
		return -1;
	return from->old_key.bytes == NULL ? 0 : secret_set(&to->old_key, secret_reveal(&from->old_key), err);
}

int authority_set(struct authority *authority, const struct ca_state *state, struct error *err)
{
	AUTO(ca_state) struct ca_state copy = {0};
	AUTO_FREE struct known *known = known_new(state->bundle_pem);
	if (known == NULL)
		return error_no_memory(err, "authority");
	if (copy_state(state, &copy, err) < 0)
		return -1;
	(void)pthread_mutex_lock(&authority->lock);
	struct ca_state before = authority->state;
	authority->state = copy;
	if (authority->newest == NULL || strcmp(authority->newest->bundle_pem, known->bundle_pem) != 0) {
		known->older = authority->newest;
		authority->newest = TAKE_PTR(known);
	}
	(void)pthread_mutex_unlock(&authority->lock);
	copy = before;
	return 0;
}

const struct trust *authority_trust(struct authority *authority)
{
	if (authority == NULL)
		return NULL;
	(void)pthread_mutex_lock(&authority->lock);
	const struct trust *trust = authority->newest == NULL ? NULL : &authority->newest->trust;
	(void)pthread_mutex_unlock(&authority->lock);
	return trust;
}

int authority_issue(
	struct authority *authority, const char *const *names, int64_t now_ms, struct cert_pair *out, struct error *err)
{
	(void)pthread_mutex_lock(&authority->lock);
	int rc = ca_issue(&authority->state, names, now_ms, out, err);
	(void)pthread_mutex_unlock(&authority->lock);
	return rc;
}
