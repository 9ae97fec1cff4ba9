#include "canopy/proxy/resolver.h"

#include "base/clock.h"
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAILED_FOR_MS 1000 // how long a failure is given out before it is tried again

struct host {
	char name[RESOLVER_NAME_SIZE];
	struct resolver_answer answer;
	int64_t done_ms; // the last look-up, good or bad
	bool is_wanted;
	bool has_failed;
	struct error why;
};

struct resolver {
	void (*on_change)(void *arg);
	void *arg;
	pthread_t thread;
	pthread_mutex_t lock; // guards what follows
	pthread_cond_t changed;
	bool is_looking;
	bool stop;
	struct host hosts[RESOLVER_HOSTS_MAX];
	size_t next; // to be replaced
};

// Split "host:port"; an IPv6 address loses its brackets.
static int split(const char *name, char host[RESOLVER_NAME_SIZE], const char **port)
{
	const char *colon = strrchr(name, ':');
	if (colon == NULL)
		return -1;
	bool is_ipv6 = name[0] == '[' && colon > name + 1 && colon[-1] == ']';
	(void)snprintf(host, RESOLVER_NAME_SIZE, "%.*s", (int)(colon - name) - (is_ipv6 ? 2 : 0), name + (is_ipv6 ? 1 : 0));
	*port = colon + 1;
	return 0;
}

static int look_up(const char *name, int flags, struct resolver_answer *out, struct error *err)
{
	char host[RESOLVER_NAME_SIZE];
	const char *port = NULL;
	struct addrinfo *list = NULL;
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
	if (split(name, host, &port) < 0)
		return error_set(err, ERROR_INVALID, "\"%s\" is not host:port", name);
	int rc = getaddrinfo(host, port, &hints, &list);
	if (rc != 0)
		return error_set(err, ERROR_TRANSIENT, "resolve %s: %s", host, gai_strerror(rc));
	out->count = 0;
	for (const struct addrinfo *at = list; at != NULL && out->count < RESOLVER_ADDRESSES_MAX; at = at->ai_next) {
		struct resolver_address *address = &out->list[out->count++];
		memcpy(&address->address, at->ai_addr, at->ai_addrlen);
		address->len = at->ai_addrlen;
	}
	freeaddrinfo(list);
	return 0;
}

static void release(struct resolver *r)
{
	(void)pthread_cond_destroy(&r->changed);
	(void)pthread_mutex_destroy(&r->lock);
	free(r);
}

static struct host *wanted_host(struct resolver *r)
{
	for (size_t i = 0; i < RESOLVER_HOSTS_MAX; i++) {
		if (r->hosts[i].is_wanted)
			return &r->hosts[i];
	}
	return NULL;
}

static struct host *host_of(struct resolver *r, const char *name)
{
	for (size_t i = 0; i < RESOLVER_HOSTS_MAX; i++) {
		if (strcmp(r->hosts[i].name, name) == 0)
			return &r->hosts[i];
	}
	return NULL;
}

static void keep(struct resolver *r, const char *name, const struct resolver_answer *answer, const struct error *err)
{
	struct host *host = host_of(r, name); // another may have taken its place meanwhile
	if (host == NULL)
		return;
	host->is_wanted = false;
	host->done_ms = clock_mono_ms();
	host->has_failed = answer == NULL;
	if (answer != NULL)
		host->answer = *answer;
	else
		host->why = *err;
}

static void *run(void *arg)
{
	struct resolver *r = arg;
	(void)pthread_mutex_lock(&r->lock);
	while (!r->stop) {
		const struct host *host = wanted_host(r);
		if (host == NULL) {
			(void)pthread_cond_wait(&r->changed, &r->lock);
			continue;
		}
		char name[RESOLVER_NAME_SIZE];
		struct resolver_answer answer;
		struct error err = {0};
		(void)snprintf(name, sizeof(name), "%s", host->name);
		r->is_looking = true;
		(void)pthread_mutex_unlock(&r->lock);
		int rc = look_up(name, AI_ADDRCONFIG, &answer, &err);
		(void)pthread_mutex_lock(&r->lock);
		r->is_looking = false;
		keep(r, name, rc == 0 ? &answer : NULL, &err);
		if (!r->stop)
			r->on_change(r->arg);
	}
	bool is_left = r->on_change == NULL;
	(void)pthread_mutex_unlock(&r->lock);
	if (is_left)
		release(r);
	return NULL;
}

int resolver_new(void (*on_change)(void *arg), void *arg, struct resolver **out, struct error *err)
{
	struct resolver *r = calloc(1, sizeof(*r));
	if (r == NULL)
		return error_no_memory(err, "resolver");
	r->on_change = on_change;
	r->arg = arg;
	(void)pthread_mutex_init(&r->lock, NULL);
	(void)pthread_cond_init(&r->changed, NULL);
	int rc = pthread_create(&r->thread, NULL, run, r);
	if (rc != 0) {
		release(r);
		return error_set_errno(err, rc, "thread for look-ups");
	}
	*out = r;
	return 0;
}

void resolver_free(struct resolver *resolver)
{
	if (resolver == NULL)
		return;
	pthread_t thread = resolver->thread;
	(void)pthread_mutex_lock(&resolver->lock);
	resolver->stop = true;
	bool is_looking = resolver->is_looking;
	if (is_looking)
		resolver->on_change = NULL; // the thread is left to itself and frees what it uses
	(void)pthread_cond_signal(&resolver->changed);
	(void)pthread_mutex_unlock(&resolver->lock);
	if (is_looking) {
		(void)pthread_detach(thread);
		return;
	}
	(void)pthread_join(thread, NULL);
	release(resolver);
}

static struct host *host_for(struct resolver *r, const char *name)
{
	struct host *host = host_of(r, name);
	if (host != NULL)
		return host;
	host = &r->hosts[r->next];
	r->next = (r->next + 1) % RESOLVER_HOSTS_MAX;
	*host = (struct host){.is_wanted = true};
	(void)snprintf(host->name, sizeof(host->name), "%s", name);
	return host;
}

enum resolver_state resolver_ask(struct resolver *resolver, const char *host_port, struct resolver_answer *out, struct error *err)
{
	struct error ignored = {0};
	if (look_up(host_port, AI_NUMERICHOST, out, &ignored) == 0)
		return RESOLVER_READY;
	enum resolver_state state = RESOLVER_PENDING;
	(void)pthread_mutex_lock(&resolver->lock);
	struct host *host = host_for(resolver, host_port);
	int64_t age_ms = clock_mono_ms() - host->done_ms;
	bool is_recent_failure = host->has_failed && age_ms < FAILED_FOR_MS;
	if (host->done_ms == 0 || age_ms > RESOLVER_FRESH_MS || (host->has_failed && !is_recent_failure))
		host->is_wanted = true;
	if (host->answer.count > 0) {
		*out = host->answer;
		state = RESOLVER_READY;
	} else if (is_recent_failure) {
		*err = host->why;
		state = RESOLVER_FAILED;
	}
	if (host->is_wanted)
		(void)pthread_cond_signal(&resolver->changed);
	(void)pthread_mutex_unlock(&resolver->lock);
	return state;
}
