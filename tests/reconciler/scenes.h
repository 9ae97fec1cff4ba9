// Entries, Namespaces and settings for tables: small texts in, the structs of the program out.
#ifndef TESTS_RECONCILER_SCENES_H
#define TESTS_RECONCILER_SCENES_H

#include "canopy/entry.h"
#include "reconciler/replica.h"

#define SCENE_REPLICA_ID "6f1c1f6e-0c0e-4b7a-9a55-0d6a4a1f2b01"
#define SCENE_SERVER_ID "b0a7c0de-1111-4222-8333-444455556666"
#define SCENE_GROUP_ID "11111111-2222-4333-8444-555566667777"
#define SCENE_NAMESPACE "nauru-prod-analytics-21779af8"
#define SCENE_NOW "2026-11-20T12:00:00Z"

// The settings' defaults, with short names for what tables need.
struct settings *scene_settings(void);

// An entry with this server and intent; extra are further JSON members (",\"snapshot_id\":\"s1\""). Fails the test when it is no entry.
struct entry scene_entry(const char *server_id, const char *intent, const char *extra);

// A managed Namespace of that entry; annotations is the inside of a JSON object without the prefix pgro.bes.au/ ("\"attempt\":\"1\"").
struct replica scene_replica(const char *namespace, const char *server_id, const char *intent, const char *annotations);

// As scene_replica(), with further members of metadata (",\"deletionTimestamp\":...").
struct replica scene_replica_with(
	const char *namespace, const char *server_id, const char *intent, const char *annotations, const char *metadata);

// SCENE_NOW in milliseconds.
int64_t scene_now_ms(void);

#endif
