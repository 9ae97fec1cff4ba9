#include "reconciler/workload.h"

#include "base/clock.h"
#include "builders/objects.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define POSTGRES_MAJOR_MAX 999

// Text of the API is shown to people; what does not fit is cut.
static void copy_cut(const char *text, char *out, size_t size)
{
	size_t len = text == NULL ? 0 : strnlen(text, size - 1);
	if (len > 0)
		memcpy(out, text, len);
	out[len] = '\0';
}

static int64_t integer_of(const char *text, int64_t otherwise)
{
	char *end = NULL;
	long long value = text == NULL ? -1 : strtoll(text, &end, 10);
	return text == NULL || *text == '\0' || *end != '\0' || value < 0 ? otherwise : (int64_t)value;
}

static int read_workload(const json_t *object, struct workload *out, struct error *err)
{
	const json_t *metadata = json_object_get(object, "metadata");
	const char *namespace = NULL, *name = NULL, *uid = NULL;
	if (json_need_str(metadata, "namespace", &namespace, err) < 0 || json_need_str(metadata, "name", &name, err) < 0 ||
		json_need_str(metadata, "uid", &uid, err) < 0)
		return error_wrap(err, "metadata");
	struct workload made = {.is_deleting = json_object_get(metadata, "deletionTimestamp") != NULL, .created_at_ms = -1};
	struct error ignored;
	const char *created = json_find_str(metadata, "creationTimestamp");
	if (created != NULL)
		(void)(clock_parse(created, &made.created_at_ms, &ignored) < 0);
	copy_cut(namespace, made.namespace, sizeof(made.namespace));
	copy_cut(name, made.name, sizeof(made.name));
	copy_cut(uid, made.uid, sizeof(made.uid));
	copy_cut(json_find_str(metadata, "labels", LABEL_ROUND), made.round, sizeof(made.round));
	*out = made;
	return 0;
}

// The condition of this type when its status is True.
static const json_t *true_condition(const json_t *object, const char *type)
{
	size_t i;
	const json_t *condition;
	json_array_foreach (json_find(object, "status", "conditions"), i, condition) {
		const char *its_type = json_find_str(condition, "type");
		const char *status = json_find_str(condition, "status");
		if (its_type != NULL && strcmp(its_type, type) == 0 && status != NULL && strcmp(status, "True") == 0)
			return condition;
	}
	return NULL;
}

int job_view_from_json(const json_t *job, struct job_view *out, struct error *err)
{
	struct job_view made = {.outcome = JOB_RUNNING};
	if (read_workload(job, &made.of, err) < 0)
		return error_wrap(err, "job");
	const json_t *failed = true_condition(job, "Failed");
	if (failed != NULL)
		made.outcome = JOB_FAILED;
	else if (true_condition(job, "Complete") != NULL)
		made.outcome = JOB_COMPLETE;
	copy_cut(json_find_str(failed, "reason"), made.reason, sizeof(made.reason));
	copy_cut(json_find_str(failed, "message"), made.message, sizeof(made.message));
	*out = made;
	return 0;
}

int deployment_view_from_json(const json_t *deployment, struct deployment_view *out, struct error *err)
{
	struct deployment_view made = {0};
	if (read_workload(deployment, &made.of, err) < 0)
		return error_wrap(err, "deployment");
	// Available alone may speak of an older template: observedGeneration has to have caught up.
	json_int_t generation = json_find_int(0, deployment, "metadata", "generation");
	json_int_t observed = json_find_int(0, deployment, "status", "observedGeneration");
	made.is_available = observed >= generation && true_condition(deployment, "Available") != NULL &&
			    json_find_int(0, deployment, "status", "availableReplicas") > 0;
	const json_t *metadata = json_object_get(deployment, "metadata");
	made.postgres_major = (int)integer_of(json_find_str(metadata, "labels", "app.kubernetes.io/version"), 0);
	made.restored_bytes = integer_of(json_find_str(metadata, "annotations", ANN_RESTORED_BYTES), -1);
	made.restored_files = integer_of(json_find_str(metadata, "annotations", ANN_RESTORED_FILES), -1);
	const char *tls = json_find_str(metadata, "annotations", ANN_TLS);
	made.has_tls = tls != NULL && strcmp(tls, ANN_TLS_VALUE) == 0;
	copy_cut(json_find_str(metadata, "annotations", ANN_FLAVOUR), made.flavour, sizeof(made.flavour));
	copy_cut(json_find_str(metadata, "annotations", ANN_SIZING), made.sizing, sizeof(made.sizing));
	*out = made;
	return 0;
}

static bool is_just_starting(const char *reason)
{
	return strcmp(reason, "ContainerCreating") == 0 || strcmp(reason, "PodInitializing") == 0;
}

// Init containers first: what they say explains why the others wait.
static const char *const status_lists[] = {"initContainerStatuses", "containerStatuses"};
#define STATUS_LISTS (sizeof(status_lists) / sizeof(status_lists[0]))

static void read_waiting(const json_t *status, struct pod_view *pod)
{
	const json_t *waiting = json_find(status, "state", "waiting");
	const char *reason = json_find_str(waiting, "reason");
	if (reason == NULL || is_just_starting(reason) || pod->waiting_reason[0] != '\0')
		return;
	copy_cut(reason, pod->waiting_reason, sizeof(pod->waiting_reason));
	copy_cut(json_find_str(waiting, "message"), pod->waiting_message, sizeof(pod->waiting_message));
}

// The state that ended, else the one before this try. Of a restore pod the restore container speaks before all others; else the
// first that ended badly does.
static int read_ended(const json_t *status, struct pod_view *pod, struct error *err)
{
	const json_t *ended = json_find(status, "state", "terminated");
	if (ended == NULL)
		ended = json_find(status, "lastState", "terminated");
	const char *name = json_find_str(status, "name");
	if (ended == NULL || name == NULL)
		return 0;
	int exit_code = (int)json_find_int(0, ended, "exitCode");
	bool is_main = pod->is_restore && strcmp(name, CONTAINER_RESTORE) == 0;
	if (!is_main && (exit_code == 0 || pod->ended_container[0] != '\0'))
		return 0;
	pod->exit_code = exit_code;
	copy_cut(name, pod->ended_container, sizeof(pod->ended_container));
	copy_cut(json_find_str(ended, "reason"), pod->ended_reason, sizeof(pod->ended_reason));
	const char *message = json_find_str(ended, "message");
	free(pod->message);
	pod->message = message == NULL ? NULL : strdup(message);
	return message != NULL && pod->message == NULL ? error_no_memory(err, "termination message") : 0;
}

static int64_t time_of(const json_t *state, const char *key)
{
	int64_t ms = 0;
	struct error ignored;
	const char *text = json_find_str(state, key);
	return text == NULL || clock_parse(text, &ms, &ignored) < 0 ? 0 : ms;
}

static void read_prepare(const json_t *status, struct pod_view *pod)
{
	const char *name = json_find_str(status, "name");
	if (pod->is_restore || name == NULL || strcmp(name, CONTAINER_PREPARE) != 0)
		return;
	const json_t *running = json_find(status, "state", "running");
	const json_t *ended = json_find(status, "state", "terminated");
	if (running != NULL)
		pod->prepare = PREPARE_RUNNING;
	else if (ended != NULL && json_find_int(-1, ended, "exitCode") == 0)
		pod->prepare = PREPARE_DONE;
	else if (ended == NULL)
		ended = json_find(status, "lastState", "terminated");
	pod->prepare_started_at_ms = time_of(running != NULL ? running : ended, "startedAt");
	pod->prepare_ended_at_ms = running != NULL ? 0 : time_of(ended, "finishedAt");
	json_int_t restarts = json_find_int(0, status, "restartCount");
	pod->prepare_restarts = restarts < 0 ? 0 : restarts > INT_MAX ? INT_MAX : (int)restarts;
}

// What is said of the pod as a whole. Its phase is not read: it lags behind what its containers say.
static void read_pod_status(const json_t *pod, struct pod_view *out)
{
	copy_cut(json_find_str(pod, "status", "podIP"), out->ip, sizeof(out->ip));
	// Evicted and the like are said of the pod, not of a container; so is that no node takes it.
	copy_cut(json_find_str(pod, "status", "reason"), out->ended_reason, sizeof(out->ended_reason));
	size_t i;
	const json_t *condition;
	json_array_foreach (json_find(pod, "status", "conditions"), i, condition) {
		const char *type = json_find_str(condition, "type");
		const char *reason = json_find_str(condition, "reason");
		if (type == NULL || reason == NULL || strcmp(type, "PodScheduled") != 0)
			continue;
		copy_cut(reason, out->waiting_reason, sizeof(out->waiting_reason));
		copy_cut(json_find_str(condition, "message"), out->waiting_message, sizeof(out->waiting_message));
	}
}

int pod_view_from_json(const json_t *pod, struct pod_view *out, struct error *err)
{
	struct pod_view made = {0};
	if (read_workload(pod, &made.of, err) < 0)
		return error_wrap(err, "pod");
	const json_t *labels = json_find(pod, "metadata", "labels");
	made.is_restore =
		json_object_get(labels, "job-name") != NULL || json_object_get(labels, "batch.kubernetes.io/job-name") != NULL;
	made.has_lost_sidecar = made.is_restore && !build_kept_sidecar(pod);
	read_pod_status(pod, &made);
	for (size_t list = 0; list < STATUS_LISTS; list++) {
		size_t i;
		const json_t *status;
		json_array_foreach (json_find(pod, "status", status_lists[list]), i, status) {
			read_waiting(status, &made);
			read_prepare(status, &made);
			if (read_ended(status, &made, err) < 0) {
				pod_view_fini(&made);
				return -1;
			}
		}
	}
	*out = made;
	return 0;
}

void pod_view_fini(struct pod_view *pod)
{
	free(pod->message);
	*pod = (struct pod_view){0};
}

int pvc_view_from_json(const json_t *pvc, struct pvc_view *out, struct error *err)
{
	struct pvc_view made = {0};
	if (read_workload(pvc, &made.of, err) < 0)
		return error_wrap(err, "persistentvolumeclaim");
	*out = made;
	return 0;
}

// A pod's word: a count that cannot be is none.
static int64_t count_of(const json_t *line, const char *key)
{
	json_int_t count = json_find_int(-1, line, key);
	return count < 0 ? -1 : (int64_t)count;
}

bool restore_message_parse(const char *text, struct restore_message *out)
{
	struct error ignored;
	AUTO(json) json_t *line = NULL;
	if (text == NULL || json_parse(text, strlen(text), &line, &ignored) < 0 || !json_is_object(line))
		return false;
	*out = (struct restore_message){
		.bytes = count_of(line, "bytes"), .files = count_of(line, "files"), .seconds = count_of(line, "seconds")};
	// "15", "9.6" is out of scope, "15.4" never stands in PG_VERSION.
	int64_t major = integer_of(json_find_str(line, "postgres_version"), 0);
	out->postgres_major = major > POSTGRES_MAJOR_MAX ? 0 : (int)major;
	copy_cut(json_find_str(line, "error"), out->error, sizeof(out->error));
	copy_cut(json_find_str(line, "stage"), out->stage, sizeof(out->stage));
	copy_cut(json_find_str(line, "layout"), out->layout, sizeof(out->layout));
	copy_cut(json_find_str(line, "flavour"), out->flavour, sizeof(out->flavour));
	copy_cut(json_find_str(line, "engine"), out->engine, sizeof(out->engine));
	// Half a name would be another backup's.
	const char *backup = json_find_str(line, "backup");
	copy_cut(backup != NULL && strlen(backup) < sizeof(out->backup) ? backup : NULL, out->backup, sizeof(out->backup));
	return true;
}
