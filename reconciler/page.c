#include "reconciler/page.h"

#include "base/hash.h"
#include "reconciler/page_files.h"
#include "reconciler/page_view.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Styles and scripts from here alone, and nothing else at all: neither inline nor from another host.
#define POLICY                                                                                                             \
	"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; form-action 'self'; " \
	"base-uri "                                                                                                        \
	"'none'; frame-ancestors 'none'"

struct page {
	struct manager *op;
	int64_t started_at_ms;
	int views; // that are being sent
};

int page_new(struct manager *op, int64_t started_at_ms, struct page **out, struct error *err)
{
	struct page *page = malloc(sizeof(*page));
	if (page == NULL)
		return error_no_memory(err, "status page");
	*page = (struct page){.op = op, .started_at_ms = started_at_ms};
	*out = page;
	return 0;
}

void page_free(struct page *page)
{
	free(page);
}

// --- the files

static bool is_known_already(const struct web_request *request, struct web_answer *out)
{
	if (request->if_none_match == NULL || strcmp(request->if_none_match, out->etag) != 0)
		return false;
	out->status = 304;
	out->text = "";
	return true;
}

static void send_file(const struct web_request *request, const char *text, const char *type, struct web_answer *out)
{
	(void)snprintf(out->etag, sizeof(out->etag), "\"%" PRIx64 "\"", hash_text(text));
	out->type = type;
	out->status = 200;
	if (!is_known_already(request, out))
		out->text = text;
}

// --- the views

static void view_closed(void *arg)
{
	struct page *page = arg;
	page->views--;
}

static void read_argument(const struct web_request *request, const char *name, char *out, size_t size)
{
	const char *value = request->argument(request->of, name);
	(void)snprintf(out, size, "%s", value == NULL ? "" : value);
}

static void send_view(struct page *page, const struct web_request *request, enum page_form form, struct web_answer *out)
{
	struct page_query query = {0};
	struct error err = {0};
	struct view *view = NULL;
	if (form == PAGE_HTML) {
		read_argument(request, "q", query.words, sizeof(query.words));
		read_argument(request, "state", query.state, sizeof(query.state));
		query.attention = request->argument(request->of, "attention") != NULL;
	}
	if (page->views >= PAGE_VIEWS_MAX || view_new(page->op, form, &query, view_closed, page, &view, &err) < 0) {
		out->status = 503;
		out->type = "text/plain; charset=utf-8";
		out->text = "too many read the status page at once; try again\n";
		return;
	}
	page->views++;
	out->status = 200;
	out->read = view_read;
	out->close = view_close;
	out->stream = view;
}

// The version of what status.json says, as long as this process lives.
static void tag(struct page *page, char out[WEB_ETAG_SIZE])
{
	struct pulse_facts ignored;
	uint64_t passes = pulse_get(&page->op->pulse, &ignored);
	(void)snprintf(out, WEB_ETAG_SIZE, "\"%" PRIx64 "-%" PRIx64 "-%" PRIx64 "-%" PRIx64 "-%d\"",
		(uint64_t)page->started_at_ms, cache_revision(page->op->cache), notes_revision(page->op->notes), passes,
		manager_leads(page->op));
}

static bool answer(void *arg, const struct web_request *request, struct web_answer *out)
{
	struct page *page = arg;
	if (strcmp(request->path, "/page.css") == 0) {
		send_file(request, page_css, "text/css; charset=utf-8", out);
	} else if (strcmp(request->path, "/page.js") == 0) {
		send_file(request, page_js, "text/javascript; charset=utf-8", out);
	} else if (strcmp(request->path, "/status.json") == 0) {
		out->type = "application/json";
		tag(page, out->etag);
		if (!is_known_already(request, out))
			send_view(page, request, PAGE_JSON, out);
	} else if (strcmp(request->path, "/") == 0) {
		out->type = "text/html; charset=utf-8";
		out->policy = POLICY;
		send_view(page, request, PAGE_HTML, out);
	} else {
		return false;
	}
	return true;
}

struct web_source page_source(struct page *page)
{
	return (struct web_source){.answer = answer, .arg = page};
}
