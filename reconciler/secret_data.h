// Reading a Kubernetes Secret: one that settings or an entry name, and one key of its `data`, decoded from base64.
#ifndef RECONCILER_SECRET_DATA_H
#define RECONCILER_SECRET_DATA_H

#include "base/json.h"
#include "base/secret.h"
#include "k8s/client.h"

// Of OPERATOR_NAMESPACE. The operator may read those alone that a Role names: where it may not, the error says so.
MUST_CHECK int secret_data_named(
	struct k8s_client *k8s, const char *namespace, const char *name, json_t **out, struct error *err);

// ERROR_INVALID names the key that is missing or no base64. The decoded bytes are wiped from everywhere but *out.
MUST_CHECK int secret_data_get(const json_t *data, const char *key, struct secret *out, struct error *err);

#endif
