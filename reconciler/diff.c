#include "reconciler/diff.h"

#include "base/uuid.h"
#include "canopy/intents.h"
#include <stdlib.h>
#include <string.h>

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

int64_t diff_elapsed_ms(int64_t now_ms, int64_t then_ms)
{
	return then_ms > now_ms && then_ms - now_ms > DIFF_SKEW_MS ? INT64_MAX : now_ms - then_ms;
}

static int64_t backoff_ms(const struct replica *replica, const struct settings *settings)
{
	int step = replica->failures < 1 ? 0 : replica->failures > 3 ? 2 : replica->failures - 1;
	return settings->retry_backoff_ms[step];
}

int64_t diff_retry_at_ms(const struct replica *replica, const struct settings *settings)
{
	if (replica->failures >= settings->retry_limit)
		return INT64_MAX;
	return replica->failed_at_ms == REPLICA_NEVER ? 0 : replica->failed_at_ms + backoff_ms(replica, settings);
}

// Whether the round that failed last was of this snapshot, and its back-off is not over or its tries are used up.
static bool is_backing_off(
	const struct entry *entry, const struct replica *replica, const struct settings *settings, int64_t now_ms)
{
	if (replica->state != STATE_FAILED || !same_text(replica->round_snapshot_id, entry->snapshot_id))
		return false;
	if (replica->failures >= settings->retry_limit)
		return true;
	return replica->failed_at_ms != REPLICA_NEVER &&
	       diff_elapsed_ms(now_ms, replica->failed_at_ms) < backoff_ms(replica, settings);
}

// canopy refused credentials for this very declaration, not long ago.
static bool is_refused(const struct entry *entry, const struct replica *replica, int64_t now_ms)
{
	char fingerprint[ROUND_KEY_SIZE];
	struct error ignored;
	if (replica->credentials_refused[0] == '\0' || replica->state != STATE_FAILED)
		return false;
	bool same = entry_fingerprint(entry, fingerprint, &ignored) < 0 || strcmp(fingerprint, replica->credentials_refused) == 0;
	return same && diff_elapsed_ms(now_ms, replica->failed_at_ms) < DIFF_REFUSED_RETRY_MS;
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
	return diff_elapsed_ms(now_ms, replica->last_restored_at_ms) < sizing.minimum_ttl_ms;
}

struct action diff_next_round(
	const struct entry *entry, const struct replica *replica, const struct settings *settings, int64_t now_ms)
{
	struct action act = {.kind = ACTION_NONE, .reason = REASON_IN_SYNC};

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

static struct action none(enum action_reason reason)
{
	return (struct action){.kind = ACTION_NONE, .reason = reason};
}

struct action diff_entry(
	const struct entry *entry, const struct replica *replica, const struct settings *settings, int64_t now_ms)
{
	if (entry->known_intent < 0)
		return none(REASON_UNKNOWN_INTENT);
	if (replica == NULL)
		return (struct action){.kind = ACTION_PROVISION, .reason = REASON_NEW};
	if (!replica_is_of(replica, entry))
		return none(REASON_FOREIGN);
	if (replica->is_deleting)
		return none(REASON_BEING_DELETED);
	struct action act = diff_next_round(entry, replica, settings, now_ms);
	// The first round of a Namespace that is there already is no refresh, it is still the provisioning.
	return act.reason == REASON_NEW ? none(REASON_NEW) : act;
}

struct action diff_replica(const struct replica *replica, bool has_unreadable)
{
	if (replica->is_deleting)
		return none(REASON_BEING_DELETED);
	// Our label but no identity of ours: someone else's, or damaged by hand. Never deleted.
	if (!replica->is_managed || replica->replica_id[0] == '\0' || replica->server_id[0] == '\0')
		return none(REASON_FOREIGN);
	if (replica->teardown_hold)
		return none(REASON_TEARDOWN_HOLD);
	if (has_unreadable)
		return none(REASON_UNREADABLE_ENTRIES);
	return (struct action){.kind = ACTION_TEARDOWN, .reason = REASON_GONE};
}

bool diff_is_worked_on(const struct action *action)
{
	return action->reason != REASON_FOREIGN && action->reason != REASON_DUPLICATE &&
	       action->reason != REASON_UNKNOWN_INTENT && action->reason != REASON_BEING_DELETED;
}

// --- pairing

// (replica_id, server_id) of one entry or replica.
struct identity {
	unsigned char ids[2 * UUID_BYTES];
	size_t index;
};

// Both sides sorted by identity; equal ones by index, so the first of two entries and of two Namespaces wins.
struct pairing {
	const struct diff_sides *sides;
	struct identity *entries, *replicas;
	size_t entry_count, replica_count; // replicas without an identity are not among them
	bool *is_taken;                    // of all replicas, by index
};

static int by_identity(const void *a, const void *b)
{
	const struct identity *x = a, *y = b;
	int order = memcmp(x->ids, y->ids, sizeof(x->ids));
	return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

static void identify(struct identity *out, const char *replica_id, const char *server_id, size_t index)
{
	uuid_to_bytes(replica_id, out->ids);
	uuid_to_bytes(server_id, out->ids + UUID_BYTES);
	out->index = index;
}

static void pairing_fini(struct pairing *p)
{
	free(p->entries);
	free(p->replicas);
	free(p->is_taken);
}

static int identify_all(struct pairing *p, struct error *err)
{
	const struct diff_sides *sides = p->sides;
	for (size_t i = 0; i < sides->entry_count; i++) {
		struct entry entry;
		if (sides->open_entry(sides->arg, i, &entry, err) < 0)
			return -1;
		identify(&p->entries[p->entry_count++], entry.replica_id, entry.server_id, i);
		entry_close(&entry);
	}
	for (size_t i = 0; i < sides->replica_count; i++) {
		struct replica replica;
		sides->open_replica(sides->arg, i, &replica);
		if (replica.replica_id[0] != '\0' && replica.server_id[0] != '\0')
			identify(&p->replicas[p->replica_count++], replica.replica_id, replica.server_id, i);
	}
	qsort(p->entries, p->entry_count, sizeof(*p->entries), by_identity);
	qsort(p->replicas, p->replica_count, sizeof(*p->replicas), by_identity);
	return 0;
}

static int pairing_init(struct pairing *p, const struct diff_sides *sides, struct error *err)
{
	*p = (struct pairing){.sides = sides,
		.entries = calloc(sides->entry_count + 1, sizeof(*p->entries)),
		.replicas = calloc(sides->replica_count + 1, sizeof(*p->replicas)),
		.is_taken = calloc(sides->replica_count + 1, sizeof(*p->is_taken))};
	if (p->entries == NULL || p->replicas == NULL || p->is_taken == NULL)
		return error_no_memory(err, "diff");
	return identify_all(p, err);
}

static int compare_ids(const struct identity *a, const struct identity *b)
{
	return memcmp(a->ids, b->ids, sizeof(a->ids));
}

// The replica of an entry: of several with its identity the one that bears its name, else the first. *from moves along with the
// entries. The others stay untaken, so they are torn down like any replica that has no entry.
static size_t take_replica(struct pairing *p, const struct identity *entry, const char *namespace, size_t *from)
{
	size_t found = DIFF_NONE;
	while (*from < p->replica_count && compare_ids(&p->replicas[*from], entry) < 0)
		(*from)++;
	for (; *from < p->replica_count && compare_ids(&p->replicas[*from], entry) == 0; (*from)++) {
		struct replica replica;
		size_t index = p->replicas[*from].index;
		p->sides->open_replica(p->sides->arg, index, &replica);
		if (found == DIFF_NONE || strcmp(replica.namespace, namespace) == 0)
			found = index;
	}
	if (found != DIFF_NONE)
		p->is_taken[found] = true;
	return found;
}

// The managed Namespace that bears a name, by bisection; DIFF_NONE when there is none.
static size_t find_namespace(const struct diff_sides *sides, const char *namespace, struct replica *out)
{
	size_t low = 0, high = sides->replica_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		sides->open_replica(sides->arg, middle, out);
		int order = strcmp(namespace, out->namespace);
		if (order == 0)
			return middle;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return DIFF_NONE;
}

static int pair_entry(struct pairing *p, const struct identity *identity, size_t *from, const struct settings *settings,
	int64_t now_ms, struct diff_row *out, struct error *err)
{
	const struct diff_sides *sides = p->sides;
	struct entry entry;
	struct replica replica;
	char namespace[ENTRY_NAMESPACE_SIZE] = "";

	if (sides->open_entry(sides->arg, identity->index, &entry, err) < 0)
		return -1;
	int rc = entry_namespace(entry.name, entry.replica_id, entry.server_id, namespace, err);
	size_t index = take_replica(p, identity, namespace, from);
	if (index != DIFF_NONE) {
		sides->open_replica(sides->arg, index, &replica);
	} else {
		// One that bears the entry's name but another identity is foreign, so it is not torn down either.
		index = find_namespace(sides, namespace, &replica);
		if (index != DIFF_NONE)
			p->is_taken[index] = true;
	}
	*out = (struct diff_row){.action = diff_entry(&entry, index == DIFF_NONE ? NULL : &replica, settings, now_ms),
		.entry = identity->index,
		.replica = index};
	entry_close(&entry);
	return rc;
}

static int pair_all(struct pairing *p, const struct settings *settings, int64_t now_ms, struct diff *out, struct error *err)
{
	size_t from = 0;
	for (size_t e = 0; e < p->entry_count; e++) {
		const struct identity *entry = &p->entries[e];
		struct diff_row *row = &out->rows[out->count];
		*row = (struct diff_row){.action = none(REASON_DUPLICATE), .entry = entry->index, .replica = DIFF_NONE};
		bool is_duplicate = e > 0 && compare_ids(entry, &p->entries[e - 1]) == 0;
		if (!is_duplicate && pair_entry(p, entry, &from, settings, now_ms, row, err) < 0)
			return -1;
		out->count++;
	}
	for (size_t r = 0; r < p->sides->replica_count; r++) {
		struct replica replica;
		if (p->is_taken[r])
			continue;
		p->sides->open_replica(p->sides->arg, r, &replica);
		out->rows[out->count++] = (struct diff_row){
			.action = diff_replica(&replica, p->sides->unreadable > 0), .entry = DIFF_NONE, .replica = r};
	}
	return 0;
}

int diff_compute(
	const struct diff_sides *sides, const struct settings *settings, int64_t now_ms, struct diff *out, struct error *err)
{
	struct pairing p;
	struct diff made = {.rows = calloc(sides->entry_count + sides->replica_count + 1, sizeof(*made.rows))};
	int rc = pairing_init(&p, sides, err);
	if (rc == 0)
		rc = made.rows == NULL ? error_no_memory(err, "diff") : pair_all(&p, settings, now_ms, &made, err);
	pairing_fini(&p);
	if (rc < 0)
		diff_fini(&made);
	else
		*out = made;
	return rc;
}

void diff_fini(struct diff *diff)
{
	free(diff->rows);
	*diff = (struct diff){0};
}
