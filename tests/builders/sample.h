// Settings and an entry as the tests of builders/ use them: everything that can be set is set. Plain data without an owner.
#ifndef TESTS_BUILDERS_SAMPLE_H
#define TESTS_BUILDERS_SAMPLE_H

#include "builders/objects.h"

#define SAMPLE_SNAPSHOT "8c2b5ef5d1d5a3c2"
#define SAMPLE_SIZING "ab00d6a2" // of what sample_init() sets
#define SAMPLE_CA "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
#define SAMPLE_BROKER_CA "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n"
#define SAMPLE_RUN_ID "0e4ad5c3-6b0c-4f0e-8f5c-1f2a3b4c5d6e"
#define SAMPLE_DEPLOYMENT_UID "2c9d7d0e-8a4b-4a0e-9f3c-5b1e2d3c4f50"
#define SAMPLE_VOLUME_UID "6a1f0b2e-9d3c-4c57-8a41-0f9e8d7c6b5a"

struct sample {
	struct settings settings;
	struct entry entry;
	struct build build; // of the two above
	struct build_round round;
	struct build_restored restored;
	struct secret password;       // borrowed text: never secret_fini()
	struct cert_pair certificate; // likewise
	struct canopy_credentials credentials;
};

// Fill *s for an intent and an engine ("kopia", "restic", "pgbackrest"). s must not move afterwards.
void sample_init(struct sample *s, enum settings_intent intent, const char *engine);

// How a restore comes by its keys. sample_init() takes WAY_DIRECT.
enum sample_way { WAY_DIRECT, WAY_NATIVE_SIDECAR, WAY_SECOND_CONTAINER, WAY_COUNT };
void sample_take_way(struct sample *s, enum sample_way way);

// As POSTGRES_TLS=off has it; sample_init() has it on.
void sample_without_tls(struct sample *s);

// In Azure Blob, which pgBackRest can read, by a SAS.
void sample_in_azure(struct sample *s);

// All objects of a replica and of one round, with an Event about each kind of thing, as one array.
MUST_CHECK int sample_objects(const struct sample *s, json_t **out, struct error *err);

#endif
