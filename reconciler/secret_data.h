// Reading a Kubernetes Secret: one key of its `data`, decoded from base64.
#ifndef RECONCILER_SECRET_DATA_H
#define RECONCILER_SECRET_DATA_H

#include "base/json.h"
#include "base/secret.h"

// ERROR_INVALID names the key that is missing or no base64. The decoded bytes are wiped from everywhere but *out.
MUST_CHECK int secret_data_get(const json_t *data, const char *key, struct secret *out, struct error *err);

#endif
