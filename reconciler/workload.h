// What runs in a replica's Namespace, reduced to what decisions need: Jobs, Deployments, Pods, PVCs.
//
// Decoded from the API's objects as recordings/node-1.26 shows them; nothing here decides. Plain values; a pod view owns its
// message.
#ifndef RECONCILER_WORKLOAD_H
#define RECONCILER_WORKLOAD_H

#include "base/json.h"
#include "base/settings_flavour.h"
#include "builders/names.h"
#include "builders/sizing.h"
#include "canopy/entry.h"
#include <stdbool.h>
#include <stdint.h>

#define WORKLOAD_REASON_SIZE 64
#define WORKLOAD_MESSAGE_SIZE 512

// Common to all: where it is and which round it belongs to.
struct workload {
	char namespace[ENTRY_NAMESPACE_SIZE];
	char name[ENTRY_NAMESPACE_SIZE];
	char round[ROUND_KEY_SIZE]; // "" when it carries no round label
	char uid[64];
	int64_t created_at_ms;
	bool is_deleting;
};

// Only the conditions Complete and Failed decide; a failed count never does (field-notes 3.6).
enum job_outcome { JOB_RUNNING, JOB_COMPLETE, JOB_FAILED };

struct job_view {
	struct workload of;
	enum job_outcome outcome;
	char reason[WORKLOAD_REASON_SIZE]; // BackoffLimitExceeded, DeadlineExceeded, PodFailurePolicy
	char message[WORKLOAD_MESSAGE_SIZE];
};

// Where the init container `prepare` of a PostgreSQL pod stands.
enum prepare_state {
	PREPARE_WAITING, // it has not run yet, or ended badly and is to run again
	PREPARE_RUNNING,
	PREPARE_DONE, // it ended well
};

struct deployment_view {
	struct workload of;
	bool is_available;
	int postgres_major;                     // app.kubernetes.io/version; 0 when missing
	int64_t restored_bytes, restored_files; // -1 when not said
	bool has_tls;                           // PostgreSQL speaks TLS alone to other hosts
	char flavour[FLAVOUR_NAME_SIZE];        // of the server, as its annotation has it; "" when not said
	char sizing[BUILD_SIZING_SIZE];         // what its containers were sized by (builders/sizing.h); "" when not said
};

struct pod_view {
	struct workload of;
	bool is_restore;       // of the restore Job, else of the Deployment
	bool has_lost_sidecar; // something in the cluster made a plain init container of the proxy: the pod hangs
	char ip[64];
	// Why it does not run: the first container that waits for a reason other than starting, else the last that ended badly.
	char waiting_reason[WORKLOAD_REASON_SIZE];
	char waiting_message[WORKLOAD_MESSAGE_SIZE];
	char ended_reason[WORKLOAD_REASON_SIZE]; // Error, OOMKilled, Completed, Evicted, ...
	char ended_container[WORKLOAD_REASON_SIZE];
	int exit_code;
	char *message; // its termination message (the restore container's, where it is a restore pod); NULL when none
	// Of a PostgreSQL pod. Times of its last run, by the node's clock; 0: never. What it said when it ended well is not kept:
	// reconciler/pod_words.h reads it when the round ends.
	enum prepare_state prepare;
	int prepare_restarts;
	int64_t prepare_started_at_ms, prepare_ended_at_ms;
};

struct pvc_view {
	struct workload of; // that it is there is all that is asked: its metadata alone are read
};

MUST_CHECK int job_view_from_json(const json_t *job, struct job_view *out, struct error *err);
MUST_CHECK int deployment_view_from_json(const json_t *deployment, struct deployment_view *out, struct error *err);
MUST_CHECK int pod_view_from_json(const json_t *pod, struct pod_view *out, struct error *err);
void pod_view_fini(struct pod_view *pod);
MUST_CHECK int pvc_view_from_json(const json_t *pvc, struct pvc_view *out, struct error *err);

#define RESTORE_BACKUP_SIZE 512

// The one JSON line of a restore pod (builders/scripts): what it restored, or why not.
struct restore_message {
	int postgres_major;                // 0 when it names none
	int64_t bytes, files, seconds;     // -1 when not said
	char error[WORKLOAD_MESSAGE_SIZE]; // "" when it worked
	char stage[32];
	char layout[32];                  // of the backup's folders; "" when not said
	char engine[64];                  // name and version of the engine; "" when not said
	char backup[RESTORE_BACKUP_SIZE]; // its name for what it restores, also where it failed; "" when not said, or too long
	char flavour[FLAVOUR_NAME_SIZE];  // of the server that was backed up; "" when not said
};

// False when text is no such line (NULL, empty, cut, no JSON).
bool restore_message_parse(const char *text, struct restore_message *out);

#endif
