#include "reconciler/shapes.h"

#include <stdlib.h>
#include <string.h>

#define REPLICA(kind, member) PACK_FIELD(kind, struct replica, member)
static const struct pack_field replica_fields[] = {
	REPLICA(PACK_TEXT, namespace),
	REPLICA(PACK_TEXT, uid),
	REPLICA(PACK_TEXT, resource_version),
	REPLICA(PACK_INT64, created_at_ms),
	REPLICA(PACK_BOOL, is_deleting),
	REPLICA(PACK_BOOL, is_managed),
	REPLICA(PACK_TEXT, replica_id),
	REPLICA(PACK_TEXT, group_id),
	REPLICA(PACK_TEXT, server_id),
	REPLICA(PACK_STRING, type),
	REPLICA(PACK_STRING, intent),
	REPLICA(PACK_INT, state),
	REPLICA(PACK_STRING, desired_snapshot_id),
	REPLICA(PACK_STRING, desired_snapshot_at),
	REPLICA(PACK_TEXT, round),
	REPLICA(PACK_STRING, round_snapshot_id),
	REPLICA(PACK_INT, attempt),
	REPLICA(PACK_TEXT, run_id),
	REPLICA(PACK_INT64, round_started_at_ms),
	REPLICA(PACK_TEXT, active_round),
	REPLICA(PACK_STRING, last_restored_snapshot_id),
	REPLICA(PACK_INT64, last_restored_at_ms),
	REPLICA(PACK_STRING, postgres_version),
	REPLICA(PACK_INT, failures),
	REPLICA(PACK_INT64, failed_at_ms),
	REPLICA(PACK_STRING, last_error),
	REPLICA(PACK_STRING, traffic),
	REPLICA(PACK_STRING, report),
	REPLICA(PACK_INT64, reported_at_ms),
	REPLICA(PACK_TEXT, reported_round),
	REPLICA(PACK_STRING, report_error),
	REPLICA(PACK_STRING, verdict),
	REPLICA(PACK_STRING, backup),
	REPLICA(PACK_INT64, expected_bytes),
	REPLICA(PACK_BOOL, force_refresh),
	REPLICA(PACK_BOOL, teardown_hold),
	REPLICA(PACK_TEXT, credentials_refused),
	REPLICA(PACK_INT64, volume_bytes),
	REPLICA(PACK_INT64, tls_renew_at_ms),
	REPLICA(PACK_TEXT, tls_ca),
	REPLICA(PACK_TEXT, flavour),
};
const struct pack_shape shape_replica = PACK_SHAPE(struct replica, replica_fields);

// What all workloads have in common.
#define WORKLOAD(type)                                                                                                    \
	PACK_FIELD(PACK_TEXT, type, of.name), PACK_FIELD(PACK_TEXT, type, of.round), PACK_FIELD(PACK_TEXT, type, of.uid), \
		PACK_FIELD(PACK_INT64, type, of.created_at_ms), PACK_FIELD(PACK_BOOL, type, of.is_deleting)

static const struct pack_field job_fields[] = {
	WORKLOAD(struct job_view),
	PACK_FIELD(PACK_INT, struct job_view, outcome),
	PACK_FIELD(PACK_TEXT, struct job_view, reason),
	PACK_FIELD(PACK_TEXT, struct job_view, message),
};
const struct pack_shape shape_job = PACK_SHAPE(struct job_view, job_fields);

static const struct pack_field deployment_fields[] = {
	WORKLOAD(struct deployment_view),
	PACK_FIELD(PACK_BOOL, struct deployment_view, is_available),
	PACK_FIELD(PACK_INT, struct deployment_view, postgres_major),
	PACK_FIELD(PACK_INT64, struct deployment_view, restored_bytes),
	PACK_FIELD(PACK_INT64, struct deployment_view, restored_files),
	PACK_FIELD(PACK_BOOL, struct deployment_view, has_tls),
	PACK_FIELD(PACK_TEXT, struct deployment_view, sizing),
	PACK_FIELD(PACK_TEXT, struct deployment_view, flavour),
};
const struct pack_shape shape_deployment = PACK_SHAPE(struct deployment_view, deployment_fields);

static const struct pack_field pod_fields[] = {
	WORKLOAD(struct pod_view),
	PACK_FIELD(PACK_BOOL, struct pod_view, is_restore),
	PACK_FIELD(PACK_BOOL, struct pod_view, has_lost_sidecar),
	PACK_FIELD(PACK_TEXT, struct pod_view, ip),
	PACK_FIELD(PACK_TEXT, struct pod_view, waiting_reason),
	PACK_FIELD(PACK_TEXT, struct pod_view, waiting_message),
	PACK_FIELD(PACK_TEXT, struct pod_view, ended_reason),
	PACK_FIELD(PACK_TEXT, struct pod_view, ended_container),
	PACK_FIELD(PACK_INT, struct pod_view, exit_code),
	PACK_FIELD(PACK_STRING, struct pod_view, message),
	PACK_FIELD(PACK_INT, struct pod_view, prepare),
	PACK_FIELD(PACK_INT, struct pod_view, prepare_restarts),
	PACK_FIELD(PACK_INT64, struct pod_view, prepare_started_at_ms),
	PACK_FIELD(PACK_INT64, struct pod_view, prepare_ended_at_ms),
};
const struct pack_shape shape_pod = PACK_SHAPE(struct pod_view, pod_fields);

static const struct pack_field pvc_fields[] = {
	WORKLOAD(struct pvc_view),
};
const struct pack_shape shape_pvc = PACK_SHAPE(struct pvc_view, pvc_fields);

int shape_copy_replica(const struct replica *borrowed, struct replica *out, struct error *err)
{
	struct replica made = *borrowed;
	bool no_memory = false;
	for (size_t i = 0; i < shape_replica.count; i++) {
		const struct pack_field *field = &shape_replica.fields[i];
		char *string = NULL;
		if (field->kind != PACK_STRING)
			continue;
		memcpy(&string, (const char *)borrowed + field->offset, sizeof(string));
		char *copy = string == NULL ? NULL : strdup(string);
		no_memory = no_memory || (string != NULL && copy == NULL);
		memcpy((char *)&made + field->offset, &copy, sizeof(copy));
	}
	if (no_memory) {
		replica_fini(&made);
		return error_no_memory(err, "replica");
	}
	*out = made;
	return 0;
}
