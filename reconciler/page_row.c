#include "reconciler/page_view.h"

#include "reconciler/decide.h"
#include <stdio.h>
#include <string.h>

// What diff and next_step say of it now: the same as a worker would see, but for what only a read of the API server shows.
static void decide_facts(struct manager *op, struct look *look, int64_t now_ms, struct describe_facts *f)
{
	struct decision d;
	struct error ignored;
	const struct subject subject = decide_subject(look);
	f->reason = look->decided.reason;
	f->is_going = look->decided.kind == ACTION_TEARDOWN;
	if (decide(op, &subject, slots_has(op->slots, f->replica != NULL ? f->replica->namespace : look->entry.namespace), now_ms,
		    &d, &ignored) == 0) {
		f->waits_for_slot = d.step.wants_slot;
		f->check = d.view.check;
	}
	decision_fini(&d);
}

static int64_t or_none(int64_t number)
{
	return number < 0 ? FACTS_NO_NUMBER : number;
}

static void add_texts(struct page_row *row, const char *namespace)
{
	const struct description *d = &row->description;
	struct facts *f = &row->facts;
	facts_text(f, "namespace", namespace);
	facts_text(f, "kind", row->kind);
	facts_text(f, "state", d->state);
	facts_text(f, "stage", d->stage);
	facts_text(f, "tone", describe_tone_text[d->tone]);
	facts_text(f, "badge", row->badge);
	facts_text(f, "says", d->says);
	facts_text(f, "waits_for", d->waits_for);
	facts_text(f, "next", d->next);
	facts_text(f, "verdict", d->verdict);
	facts_text(f, "verdict_says", d->verdict_says);
	facts_text(f, "last_error", d->last_error);
	facts_text(f, "blame", d->blame);
	facts_text(f, "report", d->report);
	facts_text(f, "report_says", d->report_says);
	facts_text(f, "snapshot", row->snapshot);
	facts_text(f, "snapshot_id", d->snapshot_id);
	facts_text(f, "wanted", row->wanted);
	facts_text(f, "wanted_snapshot_id", d->wanted_id);
	facts_text(f, "progress", d->progress);
}

static void add_numbers(struct page_row *row)
{
	const struct description *d = &row->description;
	struct facts *f = &row->facts;
	facts_time(f, "since", d->since_ms);
	facts_time(f, "next_at", d->next_at_ms);
	facts_time(f, "snapshot_at", d->snapshot_at_ms);
	facts_time(f, "reported_at", d->reported_at_ms);
	facts_number(f, "progress_percent", or_none(d->progress_percent));
	facts_number(f, "received_bytes", or_none(d->received_bytes));
	facts_number(f, "expected_bytes", or_none(d->expected_bytes));
	facts_number(f, "bytes_per_second", or_none(d->bytes_per_s));
	facts_number(f, "remaining_seconds", d->remaining_ms < 0 ? FACTS_NO_NUMBER : d->remaining_ms / 1000);
}

static void add_replica(struct page_row *row)
{
	struct facts *f = &row->facts;
	const struct replica *r = row->look.has_replica ? &row->look.replica : NULL;
	const struct entry *e = &row->look.entry; // all zero where there is none
	facts_text(f, "intent", r != NULL ? r->intent : e->intent);
	facts_text(f, "type", r != NULL ? r->type : e->type);
	facts_text(f, "replica_id", r != NULL ? r->replica_id : e->replica_id);
	facts_text(f, "group_id", r != NULL ? r->group_id : e->group_id);
	facts_text(f, "server_id", r != NULL ? r->server_id : e->server_id);
	if (r == NULL)
		return;
	facts_text(f, "round", r->round);
	facts_text(f, "active_round", r->active_round);
	facts_text(f, "run_id", r->run_id);
	facts_text(f, "postgres_version", r->postgres_version);
	facts_number(f, "attempt", r->attempt);
	facts_number(f, "failures", r->failures);
}

static void make_texts(struct page_row *row)
{
	const struct description *d = &row->description;
	const struct look *look = &row->look;
	const char *intent = look->has_replica ? look->replica.intent : look->entry.intent;
	const char *type = look->has_replica ? look->replica.type : look->entry.type;
	(void)snprintf(row->kind, sizeof(row->kind), "%.80s, %.80s", intent == NULL ? "no intent" : intent,
		type == NULL ? "no type" : type);
	// "restoring, restore" says nothing that "restoring" does not.
	bool says_more = strcmp(d->stage, "settled") != 0 && strncmp(d->stage, d->state, strlen("start")) != 0;
	(void)snprintf(row->badge, sizeof(row->badge), "%s%s%s", d->state, says_more ? ", " : "", says_more ? d->stage : "");
	if (d->snapshot_id != NULL)
		(void)snprintf(row->snapshot, sizeof(row->snapshot), "%.12s", d->snapshot_id);
	if (d->wanted_id != NULL)
		(void)snprintf(row->wanted, sizeof(row->wanted), "%.12s is wanted", d->wanted_id);
}

int page_row_make(struct manager *op, const char *namespace, bool knows_worklist, int64_t now_ms, struct page_row *out,
	bool *is_there, struct error *err)
{
	memset(out, 0, sizeof(*out));
	if (cache_look(op->cache, namespace, &out->look, err) < 0)
		return -1;
	*is_there = out->look.has_replica || (knows_worklist && out->look.has_entry);
	if (!*is_there)
		return 0;
	struct describe_facts f = {.replica = out->look.has_replica ? &out->look.replica : NULL,
		.scene = &out->look.scene,
		.entry = knows_worklist && out->look.has_entry ? &out->look.entry : NULL,
		.knows_worklist = knows_worklist,
		.settings = op->settings,
		.now_ms = now_ms};
	if (knows_worklist)
		decide_facts(op, &out->look, now_ms, &f);
	(void)notes_look(op->notes, namespace, &f.note);
	describe(&f, &out->description);
	out->facts.now_ms = now_ms;
	make_texts(out);
	add_texts(out, namespace);
	add_numbers(out);
	add_replica(out);
	return 0;
}

void page_row_fini(struct page_row *row)
{
	look_fini(&row->look);
}
