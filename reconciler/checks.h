// The checks of a restored database: a pool of its own, since a deep check may take hours and never runs on the workers of a
// pass.
//
// The reconciler starts a check for (Namespace, round key) when the round's Deployment is available and looks again in later
// passes; on_done wakes it. Results live in memory alone: an operator that was restarted begins the stage anew. All functions may
// be called from any thread; none blocks but checks_free(), which cancels what runs and waits for it (a libpq call is cancelled,
// at most 10 s).
#ifndef RECONCILER_CHECKS_H
#define RECONCILER_CHECKS_H

#include "base/json.h"
#include "base/secret.h"
#include "builders/names.h"
#include "canopy/entry.h"
#include "canopy/report.h"

#define CHECK_TLS_NAME_SIZE (ENTRY_NAMESPACE_SIZE + 16)
#define CHECK_URL_SIZE 384 // a host name has 253 at most

// How the Service of a round is reached, as it stood when it was asked for.
struct check_service {
	char address[64]; // within the cluster
	int port;
	char url[CHECK_URL_SIZE]; // by which people come in once it serves, without a password; "": nobody does
	int node_port;            // 0: none
};

struct check_request {
	char namespace[ENTRY_NAMESPACE_SIZE];
	char round_key[ROUND_KEY_SIZE];
	char host[64]; // the pod's IP
	int port;
	char tls_name[CHECK_TLS_NAME_SIZE]; // what the certificate of the server has to say; "": it speaks plainly
	const char *ca_pem;                 // the CAs that may have signed it; borrowed, outlives the checks
	const char *user;                   // copied
	const struct secret *password;      // copied
	int expected_major;
	enum settings_depth depth;

	// The connection test through the Service. find_service is called from the check's thread in each try and may block; a
	// failure says what is missing, and is asked again within the limit. NULL: there is no Service to test.
	int (*find_service)(void *arg, const struct check_request *request, struct check_service *out, struct error *err);
	void *find_service_arg; // borrowed, outlives the checks
	enum settings_service service_type;
	int64_t service_timeout_ms;
	bool is_standing; // people come in
	// With PASSWORDS_SOURCE: the login that the test comes in with, in place of user and password; else NULL.
	const char *source_user, *source_database; // copied; database NULL: the one that the other stages begin with
	const struct secret *source_password;      // copied
	bool is_plain_user;                        // no superuser: it may set little for its session
};

enum check_state { CHECK_NONE, CHECK_RUNNING, CHECK_DONE };

struct check_result {
	enum report_grade
		grade;  // GRADE_CLEAN: passed; GRADE_FAILED: the backup's fault; GRADE_INCONCLUSIVE: no connection, no time
	char stage[32]; // where it ended: a text of enum check_stage (reconciler/check_database.h)
	char cause[ERROR_TEXT_MAX]; // one sentence, valid UTF-8, no secrets; "" when it passed
	char server_version[64];    // "15.20 (Debian 15.20-0+deb12u1)", "" when it was not reached
	json_t *details;            // as docs/health-details.md says; the caller's; may be NULL
};

struct checks;

// on_done is called from a thread of the pool when a result is there to be looked at; never for a round that was forgotten.
MUST_CHECK int checks_new(
	int threads, void (*on_done)(void *arg, const char *namespace), void *arg, struct checks **out, struct error *err);
void checks_free(struct checks *checks);
DEFINE_AUTO(struct checks, checks, checks_free)

// Begin unless one for this round runs or is done already.
MUST_CHECK int checks_start(struct checks *checks, const struct check_request *request, struct error *err);

// How it stands. With CHECK_DONE, *result is a copy that the caller owns (details). result may be NULL.
enum check_state checks_look(struct checks *checks, const char *namespace, const char *round_key, struct check_result *result);

// The round is over or gone: cancel what runs, forget the result.
void checks_forget(struct checks *checks, const char *namespace, const char *round_key);

#endif
