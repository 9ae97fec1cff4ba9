// A backup in Azure Blob: how a restore reaches it and by what right.
//
// Either by a shared access signature (SAS), key `sasToken` of the Secret that the entry names: it goes into the Secret of the
// round and from there into the engine's environment. Or by workload identity, for an entry with `client_id`: then nothing secret
// is in the cluster. The webhook of Azure Workload Identity puts a token of the ServiceAccount into pods that carry the label,
// and says in their environment where it is and whom it stands for.
// https://azure.github.io/azure-workload-identity/docs/topics/service-account-labels-and-annotations.html
#ifndef BUILDERS_AZURE_H
#define BUILDERS_AZURE_H

#include "builders/objects.h"

#define AZURE_KEY_SAS "sasToken"

#define AZURE_LABEL_USE "azure.workload.identity/use"
#define AZURE_LABEL_USE_VALUE "true"
#define AZURE_ANN_CLIENT_ID "azure.workload.identity/client-id"

bool azure_uses_identity(const struct build *b);

// ERROR_INVALID when the entry's storage is azure and what it says of it cannot be: account, endpoint, client_id, container.
MUST_CHECK int azure_check(const struct build *b, struct error *err);

// Variables of the engine's container, as an array. NULL as in builders/metadata.h.
json_t *azure_environment(const struct build *b, const char *secret, const char *endpoint);

#endif
