// One sending of the status page or of status.json. Private to page*.c.
#ifndef RECONCILER_PAGE_VIEW_H
#define RECONCILER_PAGE_VIEW_H

#include "reconciler/describe.h"
#include "reconciler/facts.h"
#include "reconciler/manager.h"

#define PAGE_QUERY_SIZE 256

enum page_form { PAGE_HTML, PAGE_JSON };

// What is asked for; all empty: everything. Not of status.json, which is always whole.
struct page_query {
	char words[PAGE_QUERY_SIZE];
	char state[16];
	bool attention;
};

struct view;

// ERROR_INTERNAL for lack of memory. on_close is called at the end.
MUST_CHECK int view_new(struct manager *op, enum page_form form, const struct page_query *query, void (*on_close)(void *arg),
	void *arg, struct view **out, struct error *err);
ssize_t view_read(void *view, char *out, size_t room); // struct web_answer
void view_close(void *view);

// --- page_row.c

// A replica described, and the facts of its row. Big: on nobody's stack twice.
struct page_row {
	struct look look;
	struct description description;
	struct facts facts;
	char kind[192], badge[48], snapshot[16], wanted[32]; // texts that facts borrow
};

// False: it is not there any more. Fails for lack of memory. page_row_fini() in any case.
MUST_CHECK int page_row_make(struct manager *op, const char *namespace, bool knows_worklist, int64_t now_ms, struct page_row *out,
	bool *is_there, struct error *err);
void page_row_fini(struct page_row *row);

#endif
