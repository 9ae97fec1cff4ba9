// The steps one by one; steps.c calls them. Private to the steps.
#ifndef RECONCILER_STEP_PARTS_H
#define RECONCILER_STEP_PARTS_H

#include "builders/objects.h"
#include "reconciler/manager.h"
#include "reconciler/round.h"

// What builders read, of this view. Borrows from op and view.
struct build step_build(const struct manager *op, const struct round_view *view);
struct build_round step_round(const struct round_view *view);

// An Event about an object of the replica's Namespace, or about the Namespace (kind NULL). Its action is its reason.
void step_say(struct manager *op, const struct replica *replica, const char *api_version, const char *kind, const char *name,
	bool is_warning, const char *reason, const char *note);

// A Secret of the round, or what its image is pulled with. Unlike other objects, one that is there already gets what this one
// holds: its keys may have expired, its scripts may be another operator's, its owner a volume that is gone.
MUST_CHECK int step_put_secret(struct manager *op, const struct round_view *view, const json_t *secret, struct error *err);

// step_claim.c

// The first round of a replica is claimed by the creation of its Namespace: nobody else can decide about one that is not there.
// Adds the annotations to the Namespace that is about to be made.
void step_say_claimed(const struct replica *replica, enum action_reason reason);
MUST_CHECK int step_claim_first(const struct entry *entry, int64_t now_ms, json_t *namespace, struct error *err);
MUST_CHECK int step_claim(struct manager *op, struct round_view *view, const struct step *step, struct error *err);

// step_make.c
MUST_CHECK int step_make(struct manager *op, struct round_view *view, struct error *err);

// step_start.c
MUST_CHECK int step_start(struct manager *op, struct round_view *view, const struct step *step, struct error *err);
// What is asked of the checks, but for the user's password. False when there is no pod to ask.
bool step_check_request(const struct round_view *view, struct check_request *out);
MUST_CHECK int step_check(struct manager *op, const struct round_view *view, struct error *err);
// The Deployment that serves gets the resources that are wanted now.
MUST_CHECK int step_resize(struct manager *op, const struct round_view *view, struct error *err);

// step_service.c

// Service postgres-<key>, by which the round in hand is tested. Where the type of the intent gives Service postgres an address
// that takes its time, that one is there too, and leads to the round that serves, or to none.
MUST_CHECK int step_make_services(struct manager *op, const struct round_view *view, const struct build *b, struct error *err);
// For struct check_request; arg is the struct manager. Any thread.
int step_find_service(void *arg, const struct check_request *request, struct check_service *out, struct error *err);
// Service postgres follows active-round. It is pointed before the report leaves, so that the report is true when it is read, and
// while a report is owed each try points it again: an operator that died in between is made good for.
MUST_CHECK int step_point_service(struct manager *op, const struct round_view *view, struct error *err);

// step_end.c
MUST_CHECK int step_activate(struct manager *op, struct round_view *view, const struct step *step, struct error *err);
MUST_CHECK int step_fail(struct manager *op, struct round_view *view, const struct step *step, struct error *err);

#endif
