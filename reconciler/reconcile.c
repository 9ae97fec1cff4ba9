#include "reconciler/reconcile.h"

#include "base/clock.h"
#include "base/log.h"
#include "reconciler/decide.h"
#include "reconciler/gate.h"
#include "reconciler/steps.h"
#include <string.h>

// The longest chain of steps that may follow one another at once: claim, make; or activate, report, discard. More is a fault of
// ours.
#define STEPS_AT_ONCE 8
#define LOOK_AGAIN_MS 1000 // after a change: its events wake us too, and this one needs none

// One replica in the hands of a worker.
struct work {
	struct manager *op;
	const char *namespace;
	struct look look;
	struct memo *memo;
	struct pod_words words; // of the round in hand, where all of it is read and it has a PostgreSQL pod
	bool has_words;
	int64_t pod_created_at_ms; // whose words they are
	bool is_read;     // the replica is what the API server said to this worker; else it is the cache's and may be older
	bool is_all_read; // and so is all of its round
	bool has_changed; // something was done that another look may build on
	bool waits_for_slot;
};

static int look(struct work *w, struct error *err)
{
	struct look fresh;
	if (cache_look(w->op->cache, w->namespace, &fresh, err) < 0)
		return -1;
	look_fini(&w->look);
	w->look = fresh;
	return 0;
}

// What leaves the cluster cannot be guarded by a resourceVersion: asking for credentials, which canopy counts, and sending a
// report. A cache that has not heard of another operator's work must not lead to either.
// Nor may what the cache has not heard of yet make a round fail: the watches are not in step, and a pod's last words may come
// after its Job's end, or much later when its watch has to be opened anew. And how a round ended, well or badly, its pods say
// in more words than the cache keeps.
static bool ends_round(enum step_kind kind)
{
	return kind == STEP_FAIL || kind == STEP_ACTIVATE;
}

static bool needs_reading(const struct work *w, enum step_kind kind)
{
	return ends_round(kind) ? !w->is_all_read : (kind == STEP_MAKE || kind == STEP_REPORT) && !w->is_read;
}

// The words of the round's newest PostgreSQL pod, as scene_pod() chooses it.
static int keep_words(struct work *w, const json_t *pod, struct error *err)
{
	struct pod_view view;
	if (pod_view_from_json(pod, &view, err) < 0)
		return -1;
	bool is_it = !view.is_restore && strcmp(view.of.round, w->look.replica.round) == 0 &&
		     (!w->has_words || view.of.created_at_ms >= w->pod_created_at_ms);
	w->pod_created_at_ms = is_it ? view.of.created_at_ms : w->pod_created_at_ms;
	pod_view_fini(&view);
	if (!is_it)
		return 0;
	pod_words_fini(&w->words);
	w->has_words = false;
	if (pod_words_read(pod, &w->words, err) < 0)
		return -1;
	w->has_words = true;
	return 0;
}

static int see_pod(void *arg, json_t *pod, struct error *err)
{
	struct work *w = arg;
	cache_saw(w->op->cache, &K8S_POD, pod);
	return keep_words(w, pod, err);
}

static void forget_words(void *arg)
{
	struct work *w = arg;
	pod_words_fini(&w->words);
	w->has_words = false;
}

// One object of the round in hand into the cache. That it is not there is no failure, nor that the Role of a Namespace that was
// just made lacks its binding: then it is not there either.
static int read_object(struct work *w, const struct k8s_resource *resource, const char *name, struct error *err)
{
	AUTO(json) json_t *object = NULL;
	if (k8s_get(w->op->k8s, resource, w->namespace, name, &object, err) < 0)
		return err->kind == ERROR_NOT_FOUND || err->http_status == 403 ? 0 : -1;
	cache_saw(w->op->cache, resource, object);
	return 0;
}

// All of the round in hand.
static int read_round(struct work *w, struct error *err)
{
	char job[OBJECT_NAME_SIZE], deployment[OBJECT_NAME_SIZE];
	const struct k8s_list_options pods = {
		.label_selector = MANAGED_SELECTOR, .on_item = see_pod, .on_restart = forget_words, .arg = w};
	forget_words(w);
	name_restore(w->look.replica.round, job);
	name_deployment(w->look.replica.round, deployment);
	if (read_object(w, &K8S_JOB, job, err) < 0 || read_object(w, &K8S_DEPLOYMENT, deployment, err) < 0 ||
		k8s_list(w->op->k8s, &K8S_POD, w->namespace, &pods, err) < 0)
		return -1;
	w->is_all_read = true;
	return look(w, err);
}

// Read the Namespace, and with a round in hand its Job (or all of it), into the cache, and look again.
static int read_again(struct work *w, bool all, struct error *err)
{
	struct manager *op = w->op;
	AUTO(json) json_t *namespace = NULL;
	char job[OBJECT_NAME_SIZE];

	if (k8s_get(op->k8s, &K8S_NAMESPACE, NULL, w->namespace, &namespace, err) < 0) {
		if (err->kind == ERROR_NOT_FOUND)
			cache_gone(op->cache, w->namespace);
		return -1;
	}
	cache_saw(op->cache, &K8S_NAMESPACE, namespace);
	if (look(w, err) < 0)
		return -1;
	w->is_read = true;
	if (!w->look.has_replica || !replica_has_round_in_hand(&w->look.replica))
		return 0;
	if (all)
		return read_round(w, err);
	name_restore(w->look.replica.round, job);
	return read_object(w, &K8S_JOB, job, err) < 0 ? -1 : look(w, err);
}

static bool may_go_on(const struct manager *op)
{
	return !atomic_load(&op->stopping) && manager_leads(op);
}

// A claim that is due waits for its slot, or has it now.
static void ask_for_slot(struct work *w, struct decision *d)
{
	struct manager *op = w->op;
	w->waits_for_slot = false;
	if (!d->step.wants_slot || !atomic_load(&op->is_current))
		return;
	slots_wait(op->slots, w->namespace, decide_waits_since(&w->look.replica));
	if (slots_take(op->slots, w->namespace))
		decide_with_slot(d);
	else
		w->waits_for_slot = true;
}

// A round waits until the volume of an older one is gone: said once, not in every pass.
static void say_volumes(struct work *w, const struct step *step)
{
	const struct event_regarding namespace = {0};
	if (step->kind == STEP_WAIT && step->is_volume_bound && !w->memo->is_volume_bound)
		events_send(w->op->events, w->namespace, &namespace, true, "VolumesInUse", "VolumesInUse",
			"the next round waits for " ROUND_VOLUMES_TEXT);
	w->memo->is_volume_bound = step->kind == STEP_WAIT && step->is_volume_bound;
}

// One step. *again: another one may follow at once.
static int take_step(struct work *w, struct decision *d, bool *again, struct error *err)
{
	struct manager *op = w->op;
	ask_for_slot(w, d);
	say_volumes(w, &d->step);
	if (needs_reading(w, d->step.kind)) {
		*again = true;
		return read_again(w, ends_round(d->step.kind), err);
	}
	if (d->step.kind == STEP_WAIT)
		return 0;
	int rc = step_do(op, &d->view, &d->step, w->memo, again, err);
	w->has_changed = true;
	// A step that is followed at once has written the replica and holds the answer.
	w->is_read = w->is_read || *again;
	cache_saw_replica(op->cache, &w->look.replica);
	atomic_store(&op->beat_mono_ms, clock_mono_ms());
	return rc;
}

static int provision(struct work *w, struct error *err)
{
	struct manager *op = w->op;
	char namespace[ENTRY_NAMESPACE_SIZE];
	const struct entry *entry = &w->look.entry;
	if (entry_namespace(entry->name, entry->replica_id, entry->server_id, namespace, err) < 0)
		return -1;
	// A declaration that was renamed had this Namespace, and it is gone: the next pass gives it the one of its name.
	if (!atomic_load(&op->is_current) || strcmp(namespace, w->namespace) != 0)
		return 0;
	const int64_t now_ms = clock_wall_ms();
	slots_wait(op->slots, w->namespace, now_ms);
	enum adopt_result found;
	int rc = step_provision(op, entry, slots_take(op->slots, w->namespace), &w->look.replica, &found, err);
	w->memo->is_foreign = rc < 0 && err->kind == ERROR_EXISTS;
	if (rc < 0)
		return error_wrap(err, "provision");
	w->look.has_replica = true;
	w->is_read = found == ADOPT_MADE; // else its Job may be there too
	w->has_changed = true;
	cache_saw_replica(op->cache, &w->look.replica);
	return 0;
}

static int teardown(struct work *w, struct error *err)
{
	struct manager *op = w->op;
	int64_t now_mono_ms = clock_mono_ms();
	if (!atomic_load(&op->is_current))
		return 0;
	if (w->memo->teardown_since_mono_ms == 0)
		w->memo->teardown_since_mono_ms = now_mono_ms;
	if (w->look.replica.report != NULL && !w->is_read && read_again(w, false, err) < 0)
		return -1;
	if (!w->look.has_replica || gate_release(op, &w->look.replica, w->memo, clock_wall_ms(), now_mono_ms, err) < 0)
		return w->look.has_replica ? -1 : 0;
	cache_saw_replica(op->cache, &w->look.replica);
	if (step_teardown(op, &w->look.replica, err) < 0)
		return -1;
	w->has_changed = true;
	return 0;
}

static int note_desired(struct work *w, struct error *err)
{
	if (!w->look.has_entry || !atomic_load(&w->op->is_current) || !decide_is_note_due(&w->look.entry, &w->look.replica))
		return 0;
	if (step_note_desired(w->op, &w->look.entry, &w->look.replica, err) < 0)
		return -1;
	cache_saw_replica(w->op->cache, &w->look.replica);
	return 0;
}

// The certificate of its database, and what people are told of it.
static int keep_tls(struct work *w, struct decision *d, struct error *err)
{
	if (d->view.entry == NULL)
		return 0;
	int rc = step_keep_tls(w->op, &d->view, err);
	cache_saw_replica(w->op->cache, &w->look.replica);
	return rc;
}

// What is neither torn down nor made is there: only the worklist may have lost it.
static int act(struct work *w, struct decision *d, bool *again, struct error *err)
{
	if (d->action.kind == ACTION_TEARDOWN)
		return teardown(w, err);
	w->memo->teardown_since_mono_ms = 0;
	if (d->action.kind != ACTION_PROVISION)
		return take_step(w, d, again, err) < 0 ? -1 : *again ? 0 : note_desired(w, err) < 0 ? -1 : keep_tls(w, d, err);
	if (provision(w, err) < 0)
		return -1;
	*again = w->look.has_replica;
	return 0;
}

// How long its database has been coming up; and what is not owed any more is not refused either.
static int64_t starting_ms(struct work *w)
{
	const struct replica *r = &w->look.replica;
	if (!w->look.has_replica || r->report == NULL)
		w->memo->refused_since_mono_ms = 0;
	bool is_starting = w->look.has_replica && r->state == STATE_STARTING &&
			   scene_deployment(&w->look.scene, r->round) != NULL &&
			   !round_is_recovering(scene_pod(&w->look.scene, r->round, false));
	return memo_starting_ms(w->memo, is_starting ? r->round : NULL, clock_mono_ms());
}

// Decide anew after each step, on what is known then.
static int bring_forward(struct work *w, struct error *err)
{
	bool again = true;
	for (int i = 0; i < STEPS_AT_ONCE && again && may_go_on(w->op); i++) {
		struct decision d;
		struct subject subject = decide_subject(&w->look);
		subject.words = w->has_words ? &w->words : NULL;
		subject.starting_ms = starting_ms(w);
		int rc = decide(w->op, &subject, slots_has(w->op->slots, w->namespace), clock_wall_ms(), &d, err);
		again = false;
		if (rc == 0 && d.is_worked_on)
			rc = act(w, &d, &again, err);
		decision_fini(&d);
		if (rc < 0)
			return -1;
	}
	return 0;
}

static void enqueue(void *arg, const char *namespace)
{
	queue_add(arg, namespace, 0);
}

void reconcile_offer_slots(struct manager *op)
{
	slots_offer(op->slots, enqueue, op->queue);
}

static void settle_slot(struct work *w)
{
	struct manager *op = w->op;
	if (w->look.has_replica && w->look.replica.state == STATE_RESTORING) {
		slots_hold(op->slots, w->namespace);
	} else if (!w->waits_for_slot) {
		slots_leave(op->slots, w->namespace);
		reconcile_offer_slots(op);
	}
}

// Somebody wrote in between: read again and decide again, the first time without waiting.
static bool is_overtaken(struct work *w, const struct error *err)
{
	struct error ignored = {0};
	return err->kind == ERROR_CONFLICT && err->http_status == 409 && w->memo->errors_in_row++ == 0 &&
	       read_again(w, false, &ignored) == 0;
}

static void count_result(struct work *w, const char *result)
{
	metrics_add(w->op->metrics, METRIC_RECONCILE_TOTAL, result, NULL, NULL, 1);
}

static void note_failure(struct work *w, const struct error *err)
{
	if (is_overtaken(w, err)) {
		count_result(w, "requeue");
		queue_add(w->op->queue, w->namespace, 0);
		return;
	}
	count_result(w, "error");
	metrics_add(w->op->metrics, METRIC_RECONCILE_ERRORS_TOTAL, NULL, NULL, NULL, 1);
	metrics_add(w->op->metrics, METRIC_WORKQUEUE_RETRIES_TOTAL, NULL, NULL, NULL, 1);
	w->waits_for_slot = false;
	memo_failed(w->memo, err, clock_mono_ms());
	queue_add(w->op->queue, w->namespace, w->memo->next_try_mono_ms);
	const int64_t now_ms = clock_wall_ms();
	notes_trouble(w->op->notes, w->namespace, w->memo->errors_in_row, now_ms + w->memo->next_try_mono_ms - clock_mono_ms(),
		err->text, now_ms);
	log_warn("replica not brought forward", LOG_STR("namespace", w->namespace), LOG_STR("kind", error_kind_text(err->kind)),
		LOG_STR("run_id", w->look.has_replica ? w->look.replica.run_id : ""),
		LOG_INT("errors_in_row", w->memo->errors_in_row), LOG_ERR(err));
}

static void note_success(const struct work *w)
{
	if (w->look.has_replica && w->look.replica.state == STATE_RESTORING)
		notes_well(w->op->notes, w->namespace);
	else
		notes_forget(w->op->notes, w->namespace);
}

static void try(struct work *w)
{
	struct error err = {0};
	if (look(w, &err) == 0 && bring_forward(w, &err) == 0) {
		memo_succeeded(w->memo);
		count_result(w, w->has_changed ? "requeue_after" : "success");
		note_success(w);
		if (w->has_changed)
			queue_add(w->op->queue, w->namespace, clock_mono_ms() + LOOK_AGAIN_MS);
	} else {
		note_failure(w, &err);
	}
	settle_slot(w);
	if (w->has_changed)
		atomic_store(&w->op->has_changed, true);
	look_fini(&w->look);
	forget_words(w);
}

void reconcile(struct manager *op, const char *namespace)
{
	struct work w = {.op = op, .namespace = namespace};
	if (!may_go_on(op))
		return;
	w.memo = memos_take(op->memos, namespace);
	if (w.memo == NULL) {
		log_warn("out of memory: a replica is looked at in the next pass only", LOG_STR("namespace", namespace));
		return;
	}
	if (w.memo->next_try_mono_ms > clock_mono_ms()) {
		queue_add(op->queue, namespace, w.memo->next_try_mono_ms);
		if (!slots_has(op->slots, namespace))
			slots_leave(op->slots, namespace); // others need not wait with it
	} else {
		try(&w);
	}
	memos_put(op->memos, w.memo);
}
