// What the pods of restores and of databases share: Pod Security `restricted`, placement, volumes, environment.
#ifndef BUILDERS_POD_H
#define BUILDERS_POD_H

#include "builders/objects.h"

// uid and gid of the `postgres` user in the Debian images; PGDATA belongs to whom the restore runs as, so both pods use it.
#define POD_UID 999

#define POD_PGDATA_MOUNT "/pgdata"
#define POD_RUN_MOUNT "/run/understory"
#define POD_TLS_MOUNT "/run/understory-tls"
#define POD_POSTGRES_PORT 5432
#define POD_POSTGRES_PORT_TEXT "5432"
#define POD_TERMINATION_LOG "/dev/termination-log"

// One variable of an environment.
json_t *pod_env(const char *name, const char *value);
json_t *pod_env_secret(const char *name, const char *secret, const char *key);
json_t *pod_env_field(const char *name, const char *field_path);

// Adds CPU_LIMIT to an environment: whole CPUs, rounded up, by which a program knows how many hands it has. Without a limit
// nothing is said. -1: no memory.
int pod_add_cpu_limit(const struct build *b, json_t *environment);

json_t *pod_mount(const char *volume, const char *path, bool read_only);
json_t *pod_volume_claim(const char *name, const char *claim);
json_t *pod_volume_empty(const char *name, bool in_memory);
json_t *pod_volume_secret_file(const char *name, const char *secret, const char *key, const char *file);
// tls.crt and tls.key, which root owns and the pod's group may read.
json_t *pod_volume_tls(const char *name, const char *secret);

// A program as a container without any privilege. The json_t are stolen.
struct pod_program {
	const char *name;
	const char *image;
	json_t *command;
	json_t *environment;
	json_t *mounts;
	json_t *resources;
};
json_t *pod_program(const struct pod_program *program);

// requests and limits, as far as the sizing says them.
json_t *pod_resources(const struct settings_for_intent *sizing);

// The scripts of a pod are files of a Secret of its round, and not a part of the pod: prepare alone has 33 KB, and would lie in
// the Deployment, its ReplicaSet and each of its pods, which are watched and listed.
#define POD_SCRIPT_RESTORE "restore.sh"
#define POD_SCRIPT_PREPARE "prepare.sh"
#define POD_SCRIPT_POSTGRES "postgres.sh"

// The volume with one or two (NULL: one) of them.
json_t *pod_volume_scripts(const char *secret, const char *script, const char *other);

// A container that runs a script of that volume with /bin/sh and has the resources that the sizing says. environment and mounts
// are stolen.
json_t *pod_container(
	const struct build *b, const char *name, const char *image, const char *script, json_t *environment, json_t *mounts);

// {metadata, spec} for Jobs and Deployments: labels, the settings' annotations and placement, the security context. The spec
// holds no container yet. volumes is stolen.
json_t *pod_template(const struct build *b, const char *component, const char *round_key, json_t *volumes);

#endif
