// TokenReview (authentication.k8s.io/v1): what to ask for a caller's token, and what the answer says about the caller.
//
// Pure; whoever may speak to the API server makes the call.
// https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/
#ifndef CANOPY_TOKEN_REVIEW_H
#define CANOPY_TOKEN_REVIEW_H

#include "base/error.h"
#include "base/json.h"

// Of the projected token in a restore pod. A token for another service, the API server's among them, is no token for us.
#define TOKEN_REVIEW_AUDIENCE "understory-broker"

#define TOKEN_REVIEW_PATH "/apis/authentication.k8s.io/v1/tokenreviews"

// Who asks. The broker knows callers by the Namespace of their ServiceAccount.
struct broker_caller {
	char namespace[64]; // a DNS-1123 label and a NUL
	char service_account[254];
	char pod[254]; // "" when the token is bound to none
};

// The body of the request; it holds the token.
MUST_CHECK int token_review_request(const char *token, json_t **out, struct error *err);

// ERROR_INVALID when the token is not good: not authenticated, not for our audience (an API server that ignores the field answers
// without it), or not of a ServiceAccount. ERROR_INTERNAL when the answer is no TokenReview.
MUST_CHECK int token_review_read(const json_t *answer, struct broker_caller *out, struct error *err);

#endif
