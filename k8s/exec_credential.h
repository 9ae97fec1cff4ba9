// ExecCredential: what an exec plugin prints. https://kubernetes.io/docs/reference/config-api/client-authentication.v1/
//
// Pure; any thread.
#ifndef K8S_EXEC_CREDENTIAL_H
#define K8S_EXEC_CREDENTIAL_H

#include "base/error.h"
#include "base/secret.h"
#include <stddef.h>
#include <stdint.h>

struct exec_credential {
	struct secret token;   // unset without one
	char *client_cert_pem; // NULL without one
	struct secret client_key_pem;
	int64_t expires_at_ms; // wall: what the plugin says or the certificate's end, the earlier; INT64_MAX when neither says
};

// api_version is the one that was asked for; any other is refused, as kubectl does. Credentials that are over at now_ms (wall)
// are ERROR_TRANSIENT, since a plugin with a cache of its own may do better next time; everything else is ERROR_INVALID. No error
// text holds a token or a key. A NUL stands behind text. *out is zeroed by the caller.
MUST_CHECK int exec_credential_parse(
	const char *text, size_t len, const char *api_version, int64_t now_ms, struct exec_credential *out, struct error *err);

// *out is zeroed by the caller.
MUST_CHECK int exec_credential_copy(const struct exec_credential *from, struct exec_credential *out, struct error *err);
void exec_credential_fini(struct exec_credential *credential);

static inline void auto_exec_credential(struct exec_credential *credential)
{
	exec_credential_fini(credential);
}

#endif
