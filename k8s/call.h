// One call of the Kubernetes API: the request with its token, its repeats, and a refusal as an error. Shared by the modules of
// k8s/; nobody else includes it.
#ifndef K8S_CALL_H
#define K8S_CALL_H

#include "base/http.h"
#include "k8s/client.h"
#include "k8s/credentials.h"

#define K8S_CALL_TIMEOUT_MS 30000 // all tries of a call and the waits between them
#define K8S_CALL_TRIES 4
#define K8S_CALL_PAUSE_MS 200 // before the second try; doubles
#define K8S_CALL_PAUSE_MAX_MS 5000

struct k8s_client {
	const struct k8s_config *config;
	struct k8s_credentials credentials;
	const atomic_bool *cancel;
	k8s_on_request on_request;
	void *on_request_arg;
	k8s_may_write may_write; // NULL: always
	void *may_write_arg;
};

struct k8s_call {
	const char *verb;      // get, list, watch, create, update, apply, patch, delete: for error texts and metrics
	const char *resource;  // plural, or a path
	const char *namespace; // for error texts; may be NULL, as name may
	const char *name;

	const char *method;
	const char *target;       // path and query
	const char *accept;       // NULL: application/json
	const char *content_type; // NULL without a body
	const char *body;         // NULL for none
	bool repeatable;          // may be sent again when nobody knows what became of it
	http_on_head on_head;     // may be NULL; a call with it is counted (k8s_observe) when the head comes, not at its end
	http_on_body on_body;     // may be NULL; once it has had a part of the answer the call is not repeated
	void *arg;
	size_t max_body_bytes;      // 0: HTTP_BODY_MAX
	int64_t timeout_ms;         // of all tries; 0: K8S_CALL_TIMEOUT_MS
	int64_t silence_timeout_ms; // as in base/http.h
	int tries;                  // 0: K8S_CALL_TRIES. A 401 has one more where credentials can be renewed.
	const atomic_bool *cancel;  // in place of the client's; NULL: the client's
};

// 0 and a 2xx answer, which the caller finishes with http_response_fini(); or an error as k8s/client.h tells.
MUST_CHECK int k8s_call_do(
	struct k8s_client *client, const struct k8s_call *call, struct http_response *response, struct error *err);

// As above, with an object as the body (NULL: none; its text is wiped, it may be a Secret) and one as the answer (*out is the
// caller's, out NULL: not wanted). An answer that is no JSON comes from something between the API server and us, which passes:
// ERROR_TRANSIENT.
MUST_CHECK int k8s_call_json(
	struct k8s_client *client, struct k8s_call *call, const json_t *object, json_t **out, struct error *err);

// Put "<verb> <resource> <namespace>/<name>: " in front of the text and return -1.
int k8s_call_wrap(const struct k8s_call *call, struct error *err);

#endif
