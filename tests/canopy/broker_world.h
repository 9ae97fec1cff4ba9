// A broker in the test, before stand-ins for the cluster and for canopy that do as the test says; and clients that ask it.
//
// Any failure to set up fails the test. After each test the log is looked through: no key, no token and no password may be in it.
#ifndef TESTS_CANOPY_BROKER_WORLD_H
#define TESTS_CANOPY_BROKER_WORLD_H

#include "base/http.h"
#include "canopy/broker.h"
#include "canopy/ca.h"
#include <stdatomic.h>

#define GROUP "0d5be8b8-6a3c-4c0e-8a55-1f6b7d2c9e10"
#define OTHER_GROUP "1d5be8b8-6a3c-4c0e-8a55-1f6b7d2c9e11"
#define RUN "11111111-2222-4333-8444-555555555555"
#define WISH "{\"group\":\"" GROUP "\",\"type\":\"postgres\"}"
#define CREDS BROKER_PATH_CREDENTIALS
#define STATS BROKER_PATH_STATS "ns-1/restore-0a1b2c3d"
#define PROGRESS BROKER_PATH_PROGRESS "ns-1/restore-0a1b2c3d"
#define SWAPS 25
#define SHORT_LIMIT_MS 300
#define ANSWER_LIMIT_MS 20000

struct broker_world {
	atomic_int reviews, lookups, fetches, stats, progresses;
	_Atomic int64_t skipped_ms; // added to both clocks
	int64_t life_ms;
	int fetch_waits_for_lookups;
	struct error failure; // of fetch, stats and progress; kind ERROR_NONE: they succeed
	struct error review_failure;
	char seen[512]; // by fetch, stats and progress

	// Made by the set-up.
	struct ca_state ca;
	struct ca_names names;
	struct broker *broker;
	struct http_client *client; // that trusts the CA
};
extern struct broker_world world;

// For cmocka. The impatient broker takes SHORT_LIMIT_MS for a request.
int broker_world_setup(void **state);
int broker_world_setup_impatient(void **state);
int broker_world_teardown(void **state);

// Callbacks: a token "TOKENSECRET-NAMESPACE" is of that Namespace; "TOKENSECRET-else.NAMESPACE" is for another audience.
extern const struct broker_callbacks broker_world_callbacks;

struct broker *broker_world_start(int64_t request_limit_ms); // posts go to the one that was started last
struct http_client *client_with(const char *bundle_pem);
const char *logged(void); // so far

struct answer {
	int status;
	int64_t retry_after_ms;
	char body[2048];
};
int post_with(
	struct http_client *by, const char *path, const char *token, const char *body, struct answer *out, struct error *err);
struct answer post(const char *path, const char *token, const char *body); // by world.client

// For a thread: asks for keys and puts the status, or -1, in the place of the number in *arg, which tells the Namespace.
void *ask_once(void *arg);

// An RFC 7807 body with this status and these words in its detail.
void assert_problem(const char *label, const struct answer *answer, int status, const char *detail);

#endif
