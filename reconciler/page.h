// The status page: what a person who is woken at night wants to see. GET / (HTML, whole without script), /status.json (the same
// facts; docs/status-json.md), /page.css and /page.js.
//
// Made from the cache, without a request to the API server. A view begins with the counts and the names of all replicas, taken at
// once; each row is looked at when it is sent, for itself whole, so that neither the lock is held for long nor the replicas are
// held twice: a view of 10,000 takes 700 KiB while it is sent, and at most PAGE_VIEWS_MAX are at a time. A replica that went
// meanwhile has no row. Read-only, and knows no secret: what it shows is in Namespaces, in pods' messages and in the log.
//
// Called from the listener's thread alone.
#ifndef RECONCILER_PAGE_H
#define RECONCILER_PAGE_H

#include "reconciler/manager.h"
#include "reconciler/web.h"

#define PAGE_VIEWS_MAX 8

struct page;

// op is borrowed. started_at_ms tells the versions of this process from those of another.
MUST_CHECK int page_new(struct manager *op, int64_t started_at_ms, struct page **out, struct error *err);
void page_free(struct page *page); // after the listener
DEFINE_AUTO(struct page, page, page_free)

struct web_source page_source(struct page *page);

#endif
