#include "reconciler/diff.h"

#include "canopy/intents.h"
#include <stdlib.h>
#include <string.h>

#define REFUSED_RETRY_MS (INT64_C(6) * 3600 * 1000) // design.md "Failure": 403 for credentials

const char *const action_reason_text[] = {
#define X(name, text) [name] = (text),
	ACTION_REASONS(X)
#undef X
};

const char *const action_kind_text[] = {
	[ACTION_NONE] = "none", [ACTION_PROVISION] = "provision", [ACTION_REFRESH] = "refresh", [ACTION_TEARDOWN] = "teardown"};

static bool same_text(const char *a, const char *b)
{
	return a != NULL && b != NULL && strcmp(a, b) == 0;
}

// Whether the round that failed last was of this snapshot, and its back-off is not over or its tries are used up.
static bool is_backing_off(
	const struct entry *entry, const struct replica *replica, const struct settings *settings, int64_t now_ms)
{
	if (replica->state != STATE_FAILED || !same_text(replica->round_snapshot_id, entry->snapshot_id))
		return false;
	if (replica->failures >= settings->retry_limit)
		return true;
	int step = replica->failures < 1 ? 0 : replica->failures > 3 ? 2 : replica->failures - 1;
	return replica->failed_at_ms != REPLICA_NEVER && now_ms - replica->failed_at_ms < settings->retry_backoff_ms[step];
}

// canopy refused credentials for this very declaration, not long ago.
static bool is_refused(const struct entry *entry, const struct replica *replica, int64_t now_ms)
{
	char fingerprint[ROUND_KEY_SIZE];
	struct error ignored;
	if (replica->credentials_refused[0] == '\0' || replica->state != STATE_FAILED)
		return false;
	bool same = entry_fingerprint(entry, fingerprint, &ignored) < 0 || strcmp(fingerprint, replica->credentials_refused) == 0;
	return same && now_ms - replica->failed_at_ms < REFUSED_RETRY_MS;
}

static bool is_past_freshness(const struct entry *entry, const struct replica *replica, int64_t now_ms)
{
	return entry->overdue_after_s >= 0 && !intents_is_once((enum settings_intent)entry->known_intent) &&
	       replica->last_restored_at_ms != REPLICA_NEVER &&
	       (now_ms - replica->last_restored_at_ms) / 1000 > entry->overdue_after_s;
}

// The entry's own shortest time between two restores; a param that cannot be read is reported when objects are built from it.
static bool is_too_soon(const struct entry *entry, const struct replica *replica, const struct settings *settings, int64_t now_ms)
{
	struct settings_for_intent sizing;
	struct error ignored;
	if (replica->last_restored_at_ms == REPLICA_NEVER || intents_resolve(settings, entry, &sizing, &ignored) < 0)
		return false;
	return now_ms - replica->last_restored_at_ms < sizing.minimum_ttl_ms;
}

struct action diff_next_round(const struct entry *entry, struct replica *replica, const struct settings *settings, int64_t now_ms)
{
	struct action act = {.kind = ACTION_NONE, .reason = REASON_IN_SYNC, .entry = entry, .replica = replica};

	if (entry->snapshot_id == NULL || replica_has_round_in_hand(replica) || replica->report != NULL)
		return act;
	bool is_newer = !same_text(entry->snapshot_id, replica->last_restored_snapshot_id);
	if (replica->force_refresh)
		act.reason = REASON_FORCED;
	else if (is_refused(entry, replica, now_ms) || is_backing_off(entry, replica, settings, now_ms) ||
		 is_too_soon(entry, replica, settings, now_ms))
		return act;
	else if (replica->state == STATE_PENDING)
		act.reason = REASON_NEW;
	else if (is_newer && same_text(entry->snapshot_id, replica->round_snapshot_id))
		act.reason = REASON_RETRY;
	else if (is_newer)
		act.reason = REASON_NEWER_SNAPSHOT;
	else if (is_past_freshness(entry, replica, now_ms))
		act.reason = REASON_FRESHNESS_EXPIRED;
	else if (replica->state == STATE_FAILED)
		act.reason = REASON_RETRY; // a forced or freshness round of the snapshot that still serves
	else
		return act;
	act.kind = ACTION_REFRESH;
	return act;
}

static struct action none(enum action_reason reason, const struct entry *entry, struct replica *replica)
{
	return (struct action){.kind = ACTION_NONE, .reason = reason, .entry = entry, .replica = replica};
}

static struct action decide_entry(
	const struct entry *entry, struct replica *replica, const struct settings *settings, int64_t now_ms)
{
	if (entry->known_intent < 0)
		return none(REASON_UNKNOWN_INTENT, entry, replica);
	if (replica == NULL)
		return (struct action){.kind = ACTION_PROVISION, .reason = REASON_NEW, .entry = entry};
	if (!replica_is_of(replica, entry))
		return none(REASON_FOREIGN, entry, replica);
	if (replica->is_deleting)
		return none(REASON_BEING_DELETED, entry, replica);
	struct action act = diff_next_round(entry, replica, settings, now_ms);
	// The first round of a Namespace that is there already is no refresh, it is still the provisioning.
	return act.reason == REASON_NEW ? none(REASON_NEW, entry, replica) : act;
}

static struct action decide_replica(struct replica *replica, bool has_unreadable)
{
	if (replica->is_deleting)
		return none(REASON_BEING_DELETED, NULL, replica);
	// Our label but no identity of ours: someone else's, or damaged by hand. Never deleted.
	if (!replica->is_managed || replica->replica_id[0] == '\0' || replica->server_id[0] == '\0')
		return none(REASON_FOREIGN, NULL, replica);
	if (replica->teardown_hold)
		return none(REASON_TEARDOWN_HOLD, NULL, replica);
	if (has_unreadable)
		return none(REASON_UNREADABLE_ENTRIES, NULL, replica);
	return (struct action){.kind = ACTION_TEARDOWN, .reason = REASON_GONE, .replica = replica};
}

// Both sides sorted by identity, with what has been paired.
struct pairing {
	struct entry **entries;       // where identities are equal, in the worklist's order: the first wins
	struct replica **replicas;    // where identities are equal, by Namespace
	bool *is_taken;               // of replicas
	struct replica *by_namespace; // as they were given
	size_t entry_count, replica_count;
};

static int compare_identity(const char *replica_a, const char *server_a, const char *replica_b, const char *server_b)
{
	int order = strcmp(replica_a, replica_b);
	return order != 0 ? order : strcmp(server_a, server_b);
}

static int entries_by_identity(const void *a, const void *b)
{
	const struct entry *x = *(struct entry *const *)a, *y = *(struct entry *const *)b;
	int order = compare_identity(x->replica_id, x->server_id, y->replica_id, y->server_id);
	return order != 0 ? order : (x > y) - (x < y);
}

static int replicas_by_identity(const void *a, const void *b)
{
	const struct replica *x = *(struct replica *const *)a, *y = *(struct replica *const *)b;
	int order = compare_identity(x->replica_id, x->server_id, y->replica_id, y->server_id);
	return order != 0 ? order : strcmp(x->namespace, y->namespace);
}

static void pairing_fini(struct pairing *p)
{
	free(p->entries);
	free(p->replicas);
	free(p->is_taken);
}

static int pairing_init(
	struct pairing *p, struct worklist *worklist, struct replica *replicas, size_t replica_count, struct error *err)
{
	*p = (struct pairing){.entry_count = worklist->count,
		.replica_count = replica_count,
		.by_namespace = replicas,
		.entries = calloc(worklist->count + 1, sizeof(*p->entries)),
		.replicas = calloc(replica_count + 1, sizeof(*p->replicas)),
		.is_taken = calloc(replica_count + 1, sizeof(*p->is_taken))};
	if (p->entries == NULL || p->replicas == NULL || p->is_taken == NULL) {
		pairing_fini(p);
		return error_no_memory(err, "diff");
	}
	for (size_t i = 0; i < worklist->count; i++)
		p->entries[i] = &worklist->entries[i];
	for (size_t i = 0; i < replica_count; i++)
		p->replicas[i] = &replicas[i];
	qsort(p->entries, p->entry_count, sizeof(*p->entries), entries_by_identity);
	qsort(p->replicas, p->replica_count, sizeof(*p->replicas), replicas_by_identity);
	return 0;
}

// The Namespace of an entry among those from *from on: the one that bears its name, else the first of its identity. *from moves
// past the lesser identities.
static struct replica *take_replica(struct pairing *p, const struct entry *entry, size_t *from)
{
	size_t found = SIZE_MAX;
	for (size_t i = *from; i < p->replica_count; i++) {
		const struct replica *r = p->replicas[i];
		int order = compare_identity(r->replica_id, r->server_id, entry->replica_id, entry->server_id);
		if (order > 0)
			break;
		if (order < 0)
			*from = i + 1;
		else if (found == SIZE_MAX || strcmp(r->namespace, entry->namespace) == 0)
			found = i;
	}
	if (found == SIZE_MAX)
		return NULL;
	p->is_taken[found] = true;
	return p->replicas[found];
}

static int name_and_replica(const void *name, const void *replica)
{
	return strcmp(name, ((const struct replica *)replica)->namespace);
}

// A managed Namespace that bears the entry's name but another identity: foreign, so it is not torn down either.
static struct replica *take_namesake(struct pairing *p, const struct entry *entry)
{
	struct replica *namesake = p->replica_count == 0 ? NULL
							 : bsearch(entry->namespace, p->by_namespace, p->replica_count,
								   sizeof(*p->by_namespace), name_and_replica);
	for (size_t i = 0; namesake != NULL && i < p->replica_count; i++) {
		if (p->replicas[i] == namesake)
			p->is_taken[i] = true;
	}
	return namesake;
}

static int pair_entry(struct pairing *p, struct entry *entry, size_t *from, const struct settings *settings, int64_t now_ms,
	struct action *out, struct error *err)
{
	struct replica *replica = take_replica(p, entry, from);
	if (replica != NULL) {
		memcpy(entry->namespace, replica->namespace, sizeof(entry->namespace));
	} else {
		if (entry_namespace(entry->name, entry->replica_id, entry->server_id, entry->namespace, err) < 0)
			return -1;
		replica = take_namesake(p, entry);
	}
	*out = decide_entry(entry, replica, settings, now_ms);
	return 0;
}

static const char *action_namespace(const struct action *act)
{
	return act->entry != NULL ? act->entry->namespace : act->replica->namespace;
}

static int actions_by_namespace(const void *a, const void *b)
{
	return strcmp(action_namespace(a), action_namespace(b));
}

static int pair_all(struct pairing *p, const struct worklist *worklist, const struct settings *settings, int64_t now_ms,
	struct diff *out, struct error *err)
{
	size_t from = 0;
	for (size_t e = 0; e < p->entry_count; e++) {
		struct entry *entry = p->entries[e];
		bool is_duplicate = e > 0 && entry_same(entry, p->entries[e - 1]);
		if (is_duplicate)
			out->actions[out->count] = none(REASON_DUPLICATE, entry, NULL);
		else if (pair_entry(p, entry, &from, settings, now_ms, &out->actions[out->count], err) < 0)
			return -1;
		out->count++;
	}
	for (size_t r = 0; r < p->replica_count; r++) {
		if (!p->is_taken[r])
			out->actions[out->count++] = decide_replica(p->replicas[r], worklist->unreadable > 0);
	}
	qsort(out->actions, out->count, sizeof(*out->actions), actions_by_namespace);
	return 0;
}

int diff_compute(struct worklist *worklist, struct replica *replicas, size_t replica_count, const struct settings *settings,
	int64_t now_ms, struct diff *out, struct error *err)
{
	struct pairing p;
	if (pairing_init(&p, worklist, replicas, replica_count, err) < 0)
		return -1;
	struct diff made = {.actions = calloc(worklist->count + replica_count + 1, sizeof(*made.actions))};
	int rc = made.actions == NULL ? error_no_memory(err, "diff") : pair_all(&p, worklist, settings, now_ms, &made, err);
	pairing_fini(&p);
	if (rc < 0)
		diff_fini(&made);
	else
		*out = made;
	return rc;
}

void diff_fini(struct diff *diff)
{
	free(diff->actions);
	*diff = (struct diff){0};
}
