#include "reconciler/page_view.h"

#include "base/clock.h"
#include "reconciler/page_files.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_MAX ((size_t)256 << 10) // the head, or one row: texts of annotations are small
#define GROUPS (STATE_COUNT + 1)      // the states, and those that have no Namespace yet
#define ABSENT STATE_COUNT

// What people look at first comes first.
static const unsigned char order[GROUPS] = {
	STATE_FAILED, STATE_TERMINATING, STATE_STARTING, STATE_RESTORING, STATE_PENDING, ABSENT, STATE_ACTIVE};

static const char *const group_heading[GROUPS] = {[STATE_PENDING] = "Pending",
	[STATE_RESTORING] = "Restoring",
	[STATE_STARTING] = "Starting",
	[STATE_ACTIVE] = "Active",
	[STATE_FAILED] = "Failed",
	[STATE_TERMINATING] = "Going",
	[ABSENT] = "Not made yet"};

struct line {
	unsigned char group; // by place in order
	bool is_up;          // else it should serve and does not: those come first in their group
	char namespace[ENTRY_NAMESPACE_SIZE];
};

enum part { PART_HEAD, PART_ROWS, PART_FOOT, PART_END };

struct view {
	struct manager *op;
	enum page_form form;
	struct page_query query;
	void (*on_close)(void *arg);
	void *arg;
	int64_t now_ms;
	bool leads, knows_worklist;
	struct lease_status lease;
	struct pulse_facts pulse;
	struct line *lines;
	size_t count, next;
	size_t groups[GROUPS];
	size_t owed, held, down;
	enum part part;
	size_t group; // whose heading was written last, from 1
	bool has_row; // JSON: a comma comes first
	struct buf piece;
	size_t sent; // of the piece
};

static const char *group_name(size_t group)
{
	return group == ABSENT ? "absent" : replica_state_text[group];
}

// --- who is there, at one moment

static int count_record(struct view *view, const struct record *record, struct error *err)
{
	struct replica replica = {0};
	struct scene scene = {0};
	const bool has_replica = record_open_replica(record, &replica);
	const struct wanted *wanted = record_wanted(record);
	if (!has_replica && (!view->knows_worklist || wanted->entry == NULL))
		return 0;
	if (has_replica && record_open_scene(view->op->cache, record, &scene, err) < 0)
		return -1;
	struct line *line = &view->lines[view->count++];
	const unsigned char group = has_replica ? (unsigned char)replica.state : ABSENT;
	view->groups[group]++;
	view->owed += has_replica && replica.report != NULL;
	view->held += view->knows_worklist && wanted->action.reason == REASON_BRAKE;
	line->is_up = !has_replica || !describe_is_down(&replica, &scene);
	view->down += !line->is_up;
	while (order[line->group] != group)
		line->group++;
	memcpy(line->namespace, record_namespace(record), strlen(record_namespace(record)) + 1);
	return 0;
}

static int by_group(const void *a, const void *b)
{
	const struct line *x = a, *y = b;
	if (x->group != y->group)
		return x->group < y->group ? -1 : 1;
	return x->is_up != y->is_up ? (x->is_up ? 1 : -1) : strcmp(x->namespace, y->namespace);
}

static int take_names(struct view *view, struct error *err)
{
	struct record **records = NULL;
	size_t count = 0;
	if (cache_begin(view->op->cache, &records, &count, err) < 0)
		return -1;
	view->lines = calloc(count + 1, sizeof(*view->lines));
	int rc = view->lines == NULL ? error_no_memory(err, "status page") : 0;
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = count_record(view, records[i], err);
	cache_end(view->op->cache);
	if (rc < 0)
		return -1;
	qsort(view->lines, view->count, sizeof(*view->lines), by_group);
	return 0;
}

// --- the head: what is said of all

struct head {
	char title[96], role[LEASE_IDENTITY_SIZE + 256], pass[256], problem[ERROR_TEXT_MAX + 128], brake[384];
	struct facts facts;
};

static void say_role(const struct view *view, struct head *head)
{
	if (view->leads)
		(void)snprintf(head->role, sizeof(head->role), "This operator leads.");
	else
		(void)snprintf(head->role, sizeof(head->role),
			"This operator does not lead: %s. It shows the cluster as it sees it; what the worklist wants, and which "
			"tries failed, only the leader knows.",
			view->lease.holder[0] == '\0' ? "nobody is known to" : view->lease.holder);
}

static void say_pass(const struct view *view, struct head *head)
{
	const struct pulse_facts *p = &view->pulse;
	char when[WORDS_SIZE];
	if (!view->leads)
		return;
	if (p->passed_at_ms == 0) {
		(void)snprintf(head->pass, sizeof(head->pass), "No pass has gone through yet.");
		return;
	}
	words_when(p->passed_at_ms, view->now_ms, when);
	(void)snprintf(head->pass, sizeof(head->pass), "Worklist: %zu entries. Restores at once: %d at most.", p->entries,
		view->op->settings->max_concurrent_restores);
	if (p->error[0] != '\0' || !p->is_current)
		(void)snprintf(head->problem, sizeof(head->problem),
			"The worklist could not be fetched: nothing is provisioned, refreshed or torn down until it is. %s",
			p->error);
	else if (p->unreadable > 0)
		(void)snprintf(head->problem, sizeof(head->problem),
			"%zu entries of the worklist cannot be read: they are left alone, and nothing is torn down. The log "
			"names them.",
			p->unreadable);
}

static void say_brake(const struct view *view, struct head *head)
{
	const struct pulse_facts *p = &view->pulse;
	char at[CLOCK_TEXT_SIZE];
	if (view->held == 0)
		return;
	clock_format(p->held_since_ms + BRAKE_MS, at);
	(void)snprintf(head->brake, sizeof(head->brake),
		"%zu replicas have left the worklist at once, so their teardown is held. It goes on by itself when the same "
		"answer has "
		"come on %d passes (so far: %d) and not before %s.",
		view->held, BRAKE_PASSES, p->held_passes, at);
}

static const char brake_release[] =
	"If the worklist is wrong: mend it, and the next pass ends the hold. To keep a replica whatever comes: "
	"kubectl annotate namespace NAME pgro.bes.au/teardown-hold=true. To let all go now: TEARDOWN_GUARD=off on the operator, "
	"and on "
	"again after a pass.";

static void make_head(const struct view *view, struct head *head)
{
	struct facts *f = &head->facts;
	memset(head, 0, sizeof(*head));
	f->now_ms = view->now_ms;
	(void)snprintf(head->title, sizeof(head->title), "%zu failed of %zu", view->groups[STATE_FAILED], view->count);
	say_role(view, head);
	say_pass(view, head);
	say_brake(view, head);
	facts_text(f, "version", UNDERSTORY_VERSION);
	facts_text(f, "title", head->title);
	facts_time(f, "taken_at", view->now_ms);
	facts_truth(f, "leads", view->leads);
	facts_text(f, "role", head->role);
	facts_time(f, "passed_at", view->pulse.passed_at_ms == 0 ? FACTS_NO_NUMBER : view->pulse.passed_at_ms);
	facts_text(f, "pass", head->pass);
	facts_text(f, "worklist_problem", head->problem);
	facts_number(f, "teardowns_held", (int64_t)view->held);
	facts_text(f, "brake", head->brake);
	facts_text(f, "brake_release", view->held > 0 ? brake_release : NULL);
	facts_number(f, "unavailable", (int64_t)view->down);
	facts_number(f, "reports_owed", (int64_t)view->owed);
	for (size_t i = 0; i < GROUPS; i++)
		facts_number(f, group_name(order[i]), (int64_t)view->groups[order[i]]);
}

// --- HTML

static int add_options(const struct view *view, struct buf *out, struct error *err)
{
	if (buf_add_str(out, "<option value=\"\">any</option>", err) < 0)
		return -1;
	for (size_t i = 0; i < GROUPS; i++) {
		const char *name = group_name(order[i]);
		if (buf_addf(out, err, "<option value=\"%s\"%s>%s</option>", name,
			    strcmp(name, view->query.state) == 0 ? " selected" : "", group_heading[order[i]]) < 0)
			return -1;
	}
	return 0;
}

// The parts of page.html around its {{{marks}}}, which stand in this order.
enum mark { MARK_OPTIONS, MARK_CHECKED, MARK_ROWS, MARK_TEMPLATE };
static const char *const marks[] = {"{{{state_options}}}", "{{{checked}}}", "{{{rows}}}", "{{{template}}}"};

static int add_part(const struct facts *facts, const char **from, const char *mark, struct buf *out, struct error *err)
{
	const char *end = mark == NULL ? *from + strlen(*from) : strstr(*from, mark);
	if (facts_html(facts, *from, (size_t)(end - *from), out, err) < 0)
		return -1;
	*from = end + (mark == NULL ? 0 : strlen(mark));
	return 0;
}

static int html_head(const struct view *view, struct buf *out, struct error *err)
{
	struct head head;
	const char *from = page_html;
	make_head(view, &head);
	facts_text(&head.facts, "q", view->query.words);
	if (add_part(&head.facts, &from, marks[MARK_OPTIONS], out, err) < 0 || add_options(view, out, err) < 0 ||
		add_part(&head.facts, &from, marks[MARK_CHECKED], out, err) < 0 ||
		buf_add_str(out, view->query.attention ? " checked" : "", err) < 0)
		return -1;
	return add_part(&head.facts, &from, marks[MARK_ROWS], out, err);
}

static int html_group(struct view *view, size_t place, struct buf *out, struct error *err)
{
	const size_t group = order[place];
	if (view->group > 0 && buf_add_str(out, "</tbody>\n", err) < 0)
		return -1;
	view->group = place + 1;
	return buf_addf(out, err,
		"<tbody role=\"rowgroup\" id=\"g-%s\" aria-labelledby=\"h-%s\"%s><tr role=\"row\" class=\"group\"><th "
		"id=\"h-%s\" "
		"role=\"rowheader\" scope=\"rowgroup\" colspan=\"6\">%s <b>%zu</b></th></tr>\n",
		group_name(group), group_name(group), view->groups[group] == 0 ? " hidden" : "", group_name(group),
		group_heading[group], view->groups[group]);
}

// The headings up to a place; all of them are there, so that a script finds them.
static int html_groups_to(struct view *view, size_t place, struct buf *out, struct error *err)
{
	while (view->group < place + 1) {
		if (html_group(view, view->group, out, err) < 0)
			return -1;
	}
	return 0;
}

static int html_foot(struct view *view, struct buf *out, struct error *err)
{
	struct head head;
	static const struct facts nothing = {0};
	const char *from = strstr(page_html, marks[MARK_ROWS]) + strlen(marks[MARK_ROWS]);
	make_head(view, &head);
	if (html_groups_to(view, GROUPS - 1, out, err) < 0 || buf_add_str(out, "</tbody>\n", err) < 0 ||
		add_part(&head.facts, &from, marks[MARK_TEMPLATE], out, err) < 0 ||
		facts_html(&nothing, row_html, strlen(row_html), out, err) < 0)
		return -1;
	return add_part(&head.facts, &from, NULL, out, err);
}

// --- piece by piece

static int json_head(const struct view *view, struct buf *out, struct error *err)
{
	struct head head;
	make_head(view, &head);
	if (buf_add_str(out, "{", err) < 0 || facts_json(&head.facts, out, err) < 0)
		return -1;
	return buf_add_str(out, ",\"replicas\":[", err);
}

static bool is_asked_for(const struct view *view, const struct page_row *row)
{
	const struct page_query *q = &view->query;
	if (q->attention && row->description.tone != TONE_BROKEN && row->description.tone != TONE_ATTENTION)
		return false;
	return facts_match(&row->facts, q->words);
}

static int write_row(struct view *view, const struct line *line, struct error *err)
{
	struct page_row row;
	struct buf *out = &view->piece;
	bool is_there = false;
	int rc = page_row_make(view->op, line->namespace, view->knows_worklist, view->now_ms, &row, &is_there, err);
	if (rc == 0 && is_there && view->form == PAGE_HTML && is_asked_for(view, &row))
		rc = facts_html(&row.facts, row_html, strlen(row_html), out, err);
	if (rc == 0 && is_there && view->form == PAGE_JSON) {
		rc = buf_add_str(out, view->has_row ? ",\n{" : "\n{", err);
		rc = rc < 0 || facts_json(&row.facts, out, err) < 0 ? -1 : buf_add_str(out, "}", err);
		view->has_row = true;
	}
	page_row_fini(&row);
	return rc;
}

static int next_row(struct view *view, struct error *err)
{
	if (view->next == view->count) {
		view->part = PART_FOOT;
		return 0;
	}
	const struct line *line = &view->lines[view->next++];
	if (view->form == PAGE_HTML && html_groups_to(view, line->group, &view->piece, err) < 0)
		return -1;
	if (view->query.state[0] != '\0' && strcmp(view->query.state, group_name(order[line->group])) != 0)
		return 0;
	return write_row(view, line, err);
}

// Not at the end.
static int next_piece(struct view *view, struct error *err)
{
	buf_reset(&view->piece);
	view->sent = 0;
	if (view->part == PART_ROWS)
		return next_row(view, err);
	if (view->part == PART_HEAD) {
		view->part = PART_ROWS;
		return view->form == PAGE_HTML ? html_head(view, &view->piece, err) : json_head(view, &view->piece, err);
	}
	view->part = PART_END;
	return view->form == PAGE_HTML ? html_foot(view, &view->piece, err) : buf_add_str(&view->piece, "\n]}\n", err);
}

ssize_t view_read(void *arg, char *out, size_t room)
{
	struct view *view = arg;
	struct error err = {0};
	size_t given = 0;
	while (given < room) {
		size_t left = view->piece.len - view->sent;
		if (left == 0 && view->part == PART_END)
			break;
		if (left == 0 && next_piece(view, &err) < 0)
			return -1;
		left = view->piece.len - view->sent;
		size_t n = left < room - given ? left : room - given;
		if (n > 0)
			memcpy(out + given, view->piece.data + view->sent, n);
		given += n;
		view->sent += n;
	}
	return (ssize_t)given;
}

// --- life

int view_new(struct manager *op, enum page_form form, const struct page_query *query, void (*on_close)(void *arg), void *arg,
	struct view **out, struct error *err)
{
	struct view *view = calloc(1, sizeof(*view));
	if (view == NULL)
		return error_no_memory(err, "status page");
	*view = (struct view){.op = op, .form = form, .query = *query, .now_ms = clock_wall_ms(), .leads = manager_leads(op)};
	buf_init(&view->piece, PIECE_MAX);
	(void)pulse_get(&op->pulse, &view->pulse);
	view->knows_worklist = view->leads && view->pulse.has_worklist;
	if (op->lease != NULL)
		lease_read_status(op->lease, &view->lease);
	if (take_names(view, err) < 0) {
		view_close(view);
		return -1;
	}
	view->on_close = on_close;
	view->arg = arg;
	*out = view;
	return 0;
}

void view_close(void *arg)
{
	struct view *view = arg;
	if (view->on_close != NULL)
		view->on_close(view->arg);
	buf_fini(&view->piece);
	free(view->lines);
	free(view);
}
