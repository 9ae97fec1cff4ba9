// The login of the source that a round with PASSWORDS_SOURCE is tested with: a Secret of OPERATOR_NAMESPACE that its entry names,
// with username, password and perhaps database. It is shown nowhere, and goes with the check.
#ifndef RECONCILER_SOURCE_LOGIN_H
#define RECONCILER_SOURCE_LOGIN_H

#include "base/secret.h"
#include "reconciler/manager.h"
#include "reconciler/round.h"

struct source_login {
	struct secret user, password, database; // all empty with PASSWORDS_GENERATED; database also where it is not said
};

void source_login_fini(struct source_login *login);

static inline void auto_source_login(struct source_login *login)
{
	source_login_fini(login);
}

// Blocks for one request. ERROR_INVALID when a key is missing, or when the user is one whose password is made anew.
MUST_CHECK int source_login_read(struct manager *op, const struct round_view *view, struct source_login *out, struct error *err);

// Borrows from login.
void source_login_give(const struct source_login *login, struct check_request *request);

#endif
