#include "tests/fuzz/entries.h"

#include "tests/fuzz/fuzz.h"
#include <string.h>

json_t *entries_to_json(const struct entry *e)
{
	json_t *made = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:s*, s:s*, s:s*, s:s*, s:s*, s:s*, "
				 "s:s*, s:s*, s:s*, s:s*, s:s*, "
				 "s:o*}",
		"replica_id", e->replica_id, "group_id", e->group_id, e->has_server_id ? "server_id" : "machine_id", e->server_id,
		"type", e->type, "intent", e->intent, "name", e->name, "storage", e->storage, "bucket", e->bucket, "prefix",
		e->prefix, "region", e->region, "params", e->params == NULL ? json_object() : json_incref(e->params),
		"snapshot_id", e->snapshot_id, "snapshot_at", e->snapshot_at, "engine", e->engine, "secret", e->secret, "flavour",
		e->flavour, "passwords", e->passwords, "sourceSecret", e->source_secret, "stanza", e->stanza, "account",
		e->account, "endpoint", e->endpoint, "client_id", e->client_id, "overdue_after_seconds",
		e->overdue_after_s < 0 ? NULL : json_integer((json_int_t)e->overdue_after_s));
	FUZZ_CHECK(made != NULL, "an entry that is no JSON");
	return made;
}

int entries_decode(const uint8_t *data, size_t size, bool in_pieces, struct worklist **out, struct error *err)
{
	struct fuzz_cuts cuts;
	size_t len = 0;
	int rc = 0;
	AUTO(worklist_decoder) struct worklist_decoder *decoder = NULL;
	if (worklist_decoder_new(&decoder, err) < 0)
		return -1;
	if (!in_pieces)
		return worklist_decoder_feed(decoder, (const char *)data, size, err) < 0
			       ? -1
			       : worklist_decoder_finish(decoder, out, err);
	fuzz_cuts_begin(&cuts, data, size);
	while (rc == 0 && fuzz_cuts_next(&cuts, &len))
		rc = worklist_decoder_feed(decoder, cuts.piece, len, err);
	fuzz_cuts_end(&cuts);
	return rc < 0 ? -1 : worklist_decoder_finish(decoder, out, err);
}

// RFC 1123, as Kubernetes takes names of Namespaces.
static bool is_label(const char *name)
{
	size_t len = strlen(name);
	return len > 0 && len < 64 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len && name[0] != '-' &&
	       name[len - 1] != '-';
}

static void check_is_same(const struct entry *a, const struct entry *b, const char *way)
{
	struct error err = {0};
	char fingerprints[2][9];
	AUTO(json) json_t *left = entries_to_json(a);
	AUTO(json) json_t *right = entries_to_json(b);
	FUZZ_CHECK(json_equal(left, right) && a->known_intent == b->known_intent, "an entry changes on its way through %s", way);
	FUZZ_CHECK(strcmp(a->memory_request, b->memory_request) == 0 && strcmp(a->memory_limit, b->memory_limit) == 0 &&
			   entry_same(a, b),
		"another replica, or memory, after %s", way);
	FUZZ_CHECK(entry_fingerprint(a, fingerprints[0], &err) == 0 && entry_fingerprint(b, fingerprints[1], &err) == 0, "%s",
		err.text);
	FUZZ_CHECK(strcmp(fingerprints[0], fingerprints[1]) == 0, "another fingerprint after %s", way);
}

static void check_round_trips(const struct entry *entry)
{
	struct error err = {0};
	struct entry again;
	struct entry opened;
	AUTO_FREE struct pack *pack = NULL;
	AUTO(json) json_t *object = entries_to_json(entry);
	FUZZ_CHECK(entry_from_json(object, &again, &err) == 0, "an entry that is not read again: %s", err.text);
	check_is_same(entry, &again, "JSON");
	entry_fini(&again);
	FUZZ_CHECK(entry_pack(entry, &pack, &err) == 0 && entry_open(pack, &opened, &err) == 0, "no pack: %s", err.text);
	check_is_same(entry, &opened, "a pack");
	entry_close(&opened);
}

void entries_check(const struct entry *entry)
{
	char canonical[UUID_TEXT_SIZE];
	char namespace[ENTRY_NAMESPACE_SIZE];
	struct error err = {0};
	const char *const ids[] = {entry->replica_id, entry->group_id, entry->server_id};
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		FUZZ_CHECK(uuid_parse(ids[i], canonical, &err) == 0 && strcmp(canonical, ids[i]) == 0, "id %s", ids[i]);
	FUZZ_CHECK(entry_namespace(entry->name, entry->replica_id, entry->server_id, namespace, &err) == 0, "%s", err.text);
	FUZZ_CHECK(is_label(namespace), "namespace \"%s\"", namespace);
	FUZZ_CHECK(
		entry->bucket[0] != '\0' && (entry->params == NULL || json_is_object(entry->params)), "no bucket, or no params");
	FUZZ_CHECK(entry->overdue_after_s == -1 || entry->overdue_after_s > 0, "a bound that has always passed");
	check_round_trips(entry);
}

static void open_entry(const struct worklist *list, size_t i, struct entry *out)
{
	struct error err = {0};
	FUZZ_CHECK(entry_open(list->entries[i], out, &err) == 0, "entry %zu: %s", i + 1, err.text);
}

void entries_check_all(const struct worklist *list)
{
	for (size_t i = 0; i < list->count; i++) {
		struct entry entry;
		open_entry(list, i, &entry);
		entries_check(&entry);
		entry_close(&entry);
	}
}

void entries_check_same(const struct worklist *a, const struct worklist *b)
{
	FUZZ_CHECK(a->count == b->count && a->unreadable == b->unreadable, "%zu entries and %zu unreadable, %zu and %zu",
		a->count, a->unreadable, b->count, b->unreadable);
	for (size_t i = 0; i < a->count; i++) {
		struct entry left;
		struct entry right;
		open_entry(a, i, &left);
		open_entry(b, i, &right);
		check_is_same(&left, &right, "another decoder");
		entry_close(&left);
		entry_close(&right);
	}
}
