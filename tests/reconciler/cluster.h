// A cluster and a canopy inside the test, around an operator without threads of its own: the test says when it looks, and what
// happens in the cluster meanwhile.
//
// The API server is the stub's (fixtures/apiserver) without a node, on a thread; canopy is a scripted HTTP server that keeps what
// it was sent. The checks of the database are doubles, linked in by the program (-Wl,--wrap): the test says how they stand. One
// cluster at a time in a program.
#ifndef TESTS_RECONCILER_CLUSTER_H
#define TESTS_RECONCILER_CLUSTER_H

#include "reconciler/manager.h"
#include <stdatomic.h>

struct cluster {
	struct manager op;
	struct check_result checked; // with check CHECK_DONE
	enum check_state check;
	int checks_started;
	char checked_as[64]; // the login of the source that the last one was started with, "user@database"; "": the operator's
	atomic_int canopy_status; // of every answer of canopy but the worklist; 0: all is well
	int credentials_status;   // the same of credentials alone
	const char
		*_Atomic entry; // members of the one entry after its name, as scene_entry() takes them; NULL: an empty worklist
	const char *intent;
	int exit_code; // with which a restore Job that fails has ended; 0: 11
};

// Made for Namespaces of SCENE_REPLICA_ID on SCENE_SERVER_ID; intent is "verify", "analytics" and so on. kept: a file of
// cluster_keep(), NULL for an empty cluster. canopy_status and entry may be changed while others ask canopy. Fails the test when
// something cannot be had.
void cluster_open(struct cluster *cluster, const char *intent, const char *kept);
void cluster_close(struct cluster *cluster);

// All objects into a file that cluster_open() takes; the path stays valid.
const char *cluster_keep(struct cluster *cluster, const char *name);

// The path of a kubeconfig that leads to it; it stays valid.
const char *cluster_kubeconfig(struct cluster *cluster);

// What a pass does before anybody works on a replica: the cluster and the worklist as they are, and what is due.
void cluster_look(struct cluster *cluster);

// The replica in the hands of a worker, once.
void cluster_work(struct cluster *cluster);

// Looked at and worked on, without waiting for any back-off, until nothing is left to do now.
void cluster_settle(struct cluster *cluster);

// The last try ended in an error: its text; "" when it did not.
const char *cluster_trouble(struct cluster *cluster);

// Rules of fixtures/apiserver/faults.h for the API server from now on, as JSON.
void cluster_fault(struct cluster *cluster, const char *rules);

// How many requests the first of those rules has hit.
int cluster_count_faults(struct cluster *cluster);

// What happens in the cluster: the restore Job of the round in hand ends (message: its termination message), its database
// answers.
void cluster_job_ends(struct cluster *cluster, bool is_well, const char *message);
void cluster_database_comes_up(struct cluster *cluster);

// Members of an object, merged into it; kind is that of fixtures/apiserver/store.h. Takes the change.
void cluster_change(const char *kind, const char *namespace, const char *name, json_t *by);

// An annotation of the replica's Namespace, its key without the prefix.
void cluster_annotate(struct cluster *cluster, const char *key, const char *value);
void cluster_label(struct cluster *cluster, const char *key, const char *value);

// An annotation that holds JSON; the caller's.
json_t *cluster_annotation(struct cluster *cluster, const char *key);

// A token of the restore pod's ServiceAccount for the broker; the caller frees.
char *cluster_token(struct cluster *cluster);

// A Secret of OPERATOR_NAMESPACE; data holds base64.
void cluster_make_secret(struct cluster *cluster, const char *name, json_t *data);

// Fails the test when no Event of this reason comes.
void cluster_await_event(struct cluster *cluster, const char *reason);

// How many requests for this path came to canopy.
int cluster_count_asked(struct cluster *cluster, const char *path);

// How everything stands, for comparing: the Namespace's state and what else does not differ from run to run, the names of all
// objects but Events, and the reports that canopy took. Each report comes once; the text says so when one came twice or with
// other bytes.
void cluster_say(struct cluster *cluster, struct buf *out);

// Fails the test unless that text has this in it; or, with a '!' in front, has it not.
void cluster_stands(struct cluster *cluster, const char *expected);

// The operator's, to be changed.
struct settings *cluster_settings(struct cluster *cluster);

#endif
