#include "reconciler/why.h"

#include "base/clock.h"
#include "reconciler/page_view.h"
#include "reconciler/status.h"
#include "reconciler/wiring.h"
#include <stdlib.h>

struct asked {
	struct manager *op;
	const struct output *output;
};

static void line(const char *heading, const char *text, FILE *to)
{
	if (text == NULL || text[0] == '\0')
		return;
	(void)fprintf(to, "%-14s", heading);
	output_text(text, to);
	(void)fputc('\n', to);
}

// A sentence with the time it speaks of: "... (in 25 min, 2026-11-20T12:25:00Z)".
static void line_with_time(const char *heading, const char *text, int64_t at_ms, int64_t now_ms, FILE *to)
{
	char both[DESCRIBE_TEXT_SIZE + 2 * WORDS_SIZE], when[WORDS_SIZE], at[CLOCK_TEXT_SIZE];
	if (text == NULL || text[0] == '\0')
		return;
	words_when(at_ms, now_ms, when);
	clock_format(at_ms, at);
	if (at_ms == REPLICA_NEVER)
		(void)snprintf(both, sizeof(both), "%s", text);
	else
		(void)snprintf(both, sizeof(both), "%s (%s, %s)", text, when, at);
	line(heading, both, to);
}

static void print(const struct asked *asked, const struct page_row *row, const char *holds, FILE *to)
{
	const struct description *d = &row->description;
	const int64_t now_ms = row->facts.now_ms;
	const char *tone = describe_tone_text[d->tone];

	output_text(row->look.replica.namespace, to);
	(void)fputs("  ", to);
	output_text(row->kind, to);
	(void)fputs("\n\n", to);
	output_tone(asked->output, tone, to);
	line_with_time("State", row->badge, d->since_ms, now_ms, to);
	output_plain(asked->output, tone, to);
	line("", d->says, to);
	line("Progress", d->progress, to);
	line_with_time("Snapshot", d->snapshot_id, d->snapshot_at_ms, now_ms, to);
	line("Wanted", d->wanted_id, to);
	line("Waits for", d->waits_for, to);
	line("Held by", holds, to);
	line("Verdict", d->verdict_says, to);
	line("Last error", d->last_error, to);
	line("Whose problem", d->blame, to);
	line_with_time("Next", d->next, d->next_at_ms, now_ms, to);
	line_with_time("Report", d->report_says, d->reported_at_ms, now_ms, to);
}

static int print_json(const struct page_row *row, FILE *to, struct error *err)
{
	AUTO(buf) struct buf text;
	buf_init(&text, (size_t)1 << 20);
	if (facts_json(&row->facts, &text, err) < 0)
		return -1;
	(void)fprintf(to, "{%s}\n", buf_str(&text));
	return 0;
}

// There is no replica of that name: is there a Namespace at all?
static int not_found(struct manager *op, const char *namespace, struct error *err)
{
	AUTO(json) json_t *ignored = NULL;
	if (k8s_get(op->k8s, &K8S_NAMESPACE, NULL, namespace, &ignored, err) < 0)
		return err->kind == ERROR_NOT_FOUND
			       ? error_set(err, ERROR_NOT_FOUND,
					 "why: there is no Namespace \"%s\"; understory status lists the replicas", namespace)
			       : -1;
	return error_set(
		err, ERROR_NOT_FOUND, "why: Namespace \"%s\" is no replica: it lacks the label " MANAGED_SELECTOR, namespace);
}

static int show(void *arg, FILE *to, struct error *err)
{
	const struct asked *asked = arg;
	struct page_row row;
	bool is_there = false;
	AUTO_FREE char *holds = NULL;
	int rc = page_row_make(asked->op, asked->output->namespace, false, clock_wall_ms(), &row, &is_there, err);
	if (rc == 0 && !is_there)
		rc = not_found(asked->op, asked->output->namespace, err);
	if (rc == 0 && row.look.replica.is_deleting)
		rc = status_why_terminating(asked->op->k8s, &row.look.replica, &holds, err);
	if (rc == 0 && asked->output->format == OUTPUT_JSON)
		rc = print_json(&row, to, err);
	else if (rc == 0)
		print(asked, &row, holds, to);
	page_row_fini(&row);
	return rc;
}

int why(const struct settings *settings, const struct output *output, struct error *err)
{
	AUTO(wiring) struct wiring *wiring = NULL;
	if (wiring_open(settings, WIRING_CLUSTER, &wiring, err) < 0)
		return -1;
	struct asked asked = {.op = wiring_manager(wiring), .output = output};
	if (cache_list(asked.op->cache, asked.op->k8s, err) < 0)
		return error_wrap(err, "cluster");
	return output_run(output, show, &asked, err);
}
